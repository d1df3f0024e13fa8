//! UNSAFE: memory from the program's allocator, and buffers handed to zlib-rs's deflate by pointer.
//!
//! A raw deflate stream for programs with an allocator of their own. Such programs count what a stream asks for
//! (nginx sets aside just what zlib would take), and free it all without closing the stream (nginx again, when a client
//! goes away). The engine's state is larger and cannot be split. So the stream itself keeps input, history and output
//! that waits, in as much memory as zlib's four buffers have; the engine is this thread's own, borrowed for each part
//! of the input, and continues from the history.
#![expect(unsafe_code)]

use std::ffi::c_uint;
use std::ptr::NonNull;

use zlib_rs::deflate::{self as engine};
use zlib_rs::{DeflateFlush, ReturnCode};

use super::deflate::{DeflateEngine, Params, UNKNOWN, whole, whole_bound};
use super::{choice, lend_slices};
use crate::deflate::frame;
use crate::io::Io;
use crate::state::Alloc;

/// What zlib asks for besides its state: window and chains of a window's length, hash table and output buffer.
pub const fn zlib_buffers(params: Params) -> usize {
    (1 << (params.window_bits + 2)) + (1 << (params.mem_level + 9))
}

/// Output space for `n` bytes of input in whatever blocks the engine makes: fixed codes of nine bits at worst.
const fn output_bound(n: usize) -> usize {
    n + n / 7 + 64
}

/// Memory of the program's allocator.
struct Block {
    start: NonNull<u8>,
    length: usize,
    alloc: Alloc,
}

impl Block {
    /// `length` zeros; `None` without memory.
    fn new(length: usize, alloc: Alloc) -> Option<Self> {
        // SAFETY: the program's allocator, called as zlib documents it.
        let start = unsafe { (alloc.zalloc)(alloc.opaque, 1, length as c_uint) };
        let start = NonNull::new(start.cast::<u8>())?;
        // SAFETY: just allocated with this length.
        unsafe { start.write_bytes(0, length) };
        Some(Block { start, length, alloc })
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: allocated with this length and filled in new; ours until drop.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: came from this allocator, freed once.
        unsafe { (self.alloc.zfree)(self.alloc.opaque, self.start.as_ptr().cast()) };
    }
}

/// Arguments of `deflateTune`.
pub type Tuning = (usize, usize, usize, usize);

/// A raw deflate stream in a program's memory.
pub struct Gathered {
    params: Params,
    /// History, then the input gathered behind it; from [`Gathered::text`] on the output that waits.
    block: Block,
    history: usize,
    staged: usize,
    /// Most input gathered.
    stage: usize,
    waiting: std::ops::Range<usize>,
    /// Bits of the output's last, incomplete byte.
    bits: (u32, u32),
    tuning: Option<Tuning>,
    /// Some output was made.
    begun: bool,
    /// What the last part of the output ended with.
    flushed: DeflateFlush,
    finished: bool,
}

impl Gathered {
    /// An empty stream in the program's memory.
    ///
    /// # Errors
    /// `MemError`.
    pub fn new(params: Params, alloc: Alloc) -> Result<Self, ReturnCode> {
        let room = zlib_buffers(params);
        let window = 1usize << params.window_bits;
        let stage = (room - window - 64) * 7 / 15;
        let block = Block::new(room, alloc).ok_or(ReturnCode::MemError)?;
        debug_assert!(window + stage + output_bound(stage) <= room);
        Ok(Gathered {
            params,
            block,
            history: 0,
            staged: 0,
            stage,
            waiting: 0..0,
            bits: (0, 0),
            tuning: None,
            begun: false,
            flushed: DeflateFlush::NoFlush,
            finished: false,
        })
    }

    /// Length of the part of the memory for history and input.
    fn text(&self) -> usize {
        (1 << self.params.window_bits) + self.stage
    }

    /// One step on the program's buffers.
    pub fn step(&mut self, io: &mut Io<'_>, flush: DeflateFlush) -> ReturnCode {
        let waited = !self.waiting.is_empty();
        self.drain(io);
        if !self.waiting.is_empty() {
            return ReturnCode::Ok;
        }
        if self.finished {
            return if io.avail_in() == 0 { ReturnCode::StreamEnd } else { io.error(ReturnCode::BufError) };
        }
        loop {
            self.gather(io);
            if io.avail_in() == 0 {
                break;
            }
            if let Err(code) = self.make(io, DeflateFlush::Block) {
                return code;
            }
            if !self.waiting.is_empty() {
                return ReturnCode::Ok;
            }
        }
        let done = self.staged == 0 && waited && self.flushed == flush && flush != DeflateFlush::Finish;
        if flush == DeflateFlush::NoFlush || done {
            return ReturnCode::Ok;
        }
        if let Err(code) = self.make(io, flush) {
            return code;
        }
        if self.finished && self.waiting.is_empty() { ReturnCode::StreamEnd } else { ReturnCode::Ok }
    }

    /// Compresses all of `input`, appending to `output`, up to and including what `flush` asks for.
    pub fn append(&mut self, input: &[u8], flush: DeflateFlush, output: &mut Vec<u8>) -> ReturnCode {
        const STEP: usize = 64 << 10;
        let mut stream = super::empty(None);
        stream.next_in = input.as_ptr();
        let mut rest = input.len();
        loop {
            let now = rest.min(u32::MAX as usize);
            let filled = output.len();
            output.resize(filled + STEP, 0);
            (stream.avail_in, stream.avail_out) = (now as u32, STEP as u32);
            stream.next_out = output[filled..].as_mut_ptr();
            let flush_now = if now == rest { flush } else { DeflateFlush::NoFlush };
            let code = self.step(&mut Io::new(&mut stream), flush_now);
            rest -= now - stream.avail_in as usize;
            output.truncate(filled + STEP - stream.avail_out as usize);
            if code != ReturnCode::Ok || (rest == 0 && stream.avail_out > 0) {
                return code;
            }
        }
    }

    /// Takes what fits of the program's input.
    fn gather(&mut self, io: &mut Io<'_>) {
        let n = io.avail_in().min(self.stage - self.staged);
        let at = self.history + self.staged;
        self.block.bytes()[at..at + n].copy_from_slice(&io.input()[..n]);
        self.staged += n;
        io.consume(n);
    }

    fn drain(&mut self, io: &mut Io<'_>) {
        if !self.waiting.is_empty() {
            self.waiting.start += io.put(&self.block.bytes()[self.waiting.clone()]);
        }
    }

    /// Makes output of all gathered input, ending with what `flush` asks for: into the program's buffer or, if that
    /// may be too short, to wait. Nothing waits before.
    fn make(&mut self, io: &mut Io<'_>, flush: DeflateFlush) -> Result<(), ReturnCode> {
        let (text, input) = (self.text(), self.history..self.history + self.staged);
        let mut kind = io.data_type();
        let (before, rest) = self.block.bytes().split_at_mut(text);
        let (history, input) = (&before[..input.start], &before[input]);
        let direct = io.avail_out() >= output_bound(input.len()).max(whole_bound(input.len()));
        let output = if direct { io.split().1 } else { rest };
        let alone = !self.begun && history.is_empty() && self.bits.1 == 0 && self.tuning.is_none();
        let in_one_piece = if alone && flush == DeflateFlush::Finish {
            choice::whole(self.params, input).and_then(|level| whole(level, input, output))
        } else {
            None
        };
        let (made, bits) = match in_one_piece {
            Some(made) => {
                if kind == UNKNOWN {
                    kind = frame::data_type(&input[..input.len().min(32 << 10)]);
                }
                (made, (0, 0))
            }
            None => {
                let mut borrowed = Borrowed { params: self.params, tuning: self.tuning, bits: self.bits };
                borrowed.run(history, input, flush, &mut kind, output)?
            }
        };
        self.bits = bits;
        io.set_data_type(kind);
        if direct {
            io.produce(made);
        } else {
            self.waiting = text..text + made;
            self.drain(io);
        }
        self.begun = true;
        self.flushed = flush;
        self.finished = flush == DeflateFlush::Finish;
        self.remember(flush);
        Ok(())
    }

    /// What was input is history now, as far as a window goes.
    fn remember(&mut self, flush: DeflateFlush) {
        let all = self.history + self.staged;
        let kept = if flush == DeflateFlush::FullFlush { 0 } else { all.min(1 << self.params.window_bits) };
        self.block.bytes().copy_within(all - kept..all, 0);
        (self.history, self.staged) = (kept, 0);
    }

    /// See `deflateParams`.
    pub fn params(&mut self, io: &mut Io<'_>, params: Params) -> ReturnCode {
        if self.staged > 0 {
            self.drain(io);
            if !self.waiting.is_empty() {
                return ReturnCode::BufError;
            }
            if let Err(code) = self.make(io, DeflateFlush::Block) {
                return code;
            }
        }
        self.params = params;
        ReturnCode::Ok
    }

    /// See `deflateSetDictionary` for a raw stream: not while input is gathered.
    pub fn set_dictionary(&mut self, dictionary: &[u8]) -> ReturnCode {
        if self.staged > 0 || self.finished {
            return ReturnCode::StreamError;
        }
        // as input that makes no output
        for part in dictionary.chunks(self.stage) {
            let at = self.history;
            self.block.bytes()[at..at + part.len()].copy_from_slice(part);
            self.staged = part.len();
            self.remember(DeflateFlush::NoFlush);
        }
        self.begun = true;
        ReturnCode::Ok
    }

    /// The history with what is gathered, at most a window.
    pub fn history(&mut self) -> Vec<u8> {
        let all = self.history + self.staged;
        let kept = all.min(1 << self.params.window_bits);
        self.block.bytes()[all - kept..all].to_vec()
    }

    /// See `deflatePrime`; `bits` at most 16.
    pub fn prime(&mut self, bits: i32, value: i32) -> ReturnCode {
        // Bits go out behind what waits.
        if self.waiting.is_empty() {
            self.waiting = self.text()..self.text();
        }
        if self.waiting.end + 4 > self.block.length {
            return ReturnCode::BufError;
        }
        let (mut held, mut count) = self.bits;
        held |= (value as u32 & ((1 << bits) - 1)) << count;
        count += bits as u32;
        while count >= 8 {
            let end = self.waiting.end;
            self.block.bytes()[end] = held as u8;
            self.waiting.end += 1;
            held >>= 8;
            count -= 8;
        }
        self.bits = (held, count);
        self.begun = true;
        ReturnCode::Ok
    }

    /// See `deflateTune`.
    pub fn tune(&mut self, tuning: Tuning) {
        self.tuning = Some(tuning);
    }

    /// Bytes and bits not delivered yet.
    pub fn pending(&self) -> (usize, u8) {
        (self.waiting.len(), self.bits.1 as u8)
    }

    /// Whether the final block was made.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// Starts over in the same memory, with these parameters.
    pub fn reset(&mut self, params: Params) {
        self.params = params;
        (self.history, self.staged, self.waiting, self.bits) = (0, 0, 0..0, (0, 0));
        (self.tuning, self.begun, self.flushed, self.finished) = (None, false, DeflateFlush::NoFlush, false);
    }

    /// A second stream in the same state, in memory of its own.
    ///
    /// # Errors
    /// `MemError`.
    pub fn copy(&mut self) -> Result<Self, ReturnCode> {
        let mut made = Gathered::new(self.params, self.block.alloc)?;
        made.block.bytes().copy_from_slice(self.block.bytes());
        Ok(Gathered {
            block: made.block,
            waiting: self.waiting.clone(),
            params: self.params,
            history: self.history,
            staged: self.staged,
            stage: self.stage,
            bits: self.bits,
            tuning: self.tuning,
            begun: self.begun,
            flushed: self.flushed,
            finished: self.finished,
        })
    }
}

/// What an engine is told before it continues a stream.
struct Borrowed {
    params: Params,
    tuning: Option<Tuning>,
    bits: (u32, u32),
}

impl Borrowed {
    /// Continues behind `history` with `input` into `output`, which is long enough: bytes made, and the bits of the
    /// last, incomplete byte.
    fn run(
        &mut self,
        history: &[u8],
        input: &[u8],
        flush: DeflateFlush,
        kind: &mut i32,
        output: &mut [u8],
    ) -> Result<(usize, (u32, u32)), ReturnCode> {
        // The engine's buffers are its own affair: one size serves all streams.
        let params = Params { mem_level: 8, ..self.params };
        let mut engine = DeflateEngine::open(params)?;
        if let Some((good, lazy, nice, chain)) = self.tuning {
            engine::tune(engine.stream(), good, lazy, nice, chain);
        }
        if !history.is_empty() {
            engine::set_dictionary(engine.stream(), history);
        }
        engine::prime(engine.stream(), self.bits.1 as i32, self.bits.0 as i32);
        lend_slices(engine.raw(), input, output);
        engine.raw().data_type = *kind;
        let code = engine::deflate(engine.stream(), flush);
        *kind = engine.raw().data_type;
        let left = engine.raw().avail_out as usize;
        let complete = if flush == DeflateFlush::Finish {
            code == ReturnCode::StreamEnd
        } else {
            matches!(code, ReturnCode::Ok | ReturnCode::BufError) && left > 0
        };
        if !complete || engine.raw().avail_in != 0 {
            return Err(ReturnCode::StreamError);
        }
        let made = output.len().min(u32::MAX as usize) - left;
        let (_, count) = engine.stream().pending();
        let mut bits = (0, 0);
        if count > 0 && flush != DeflateFlush::Finish {
            // The engine tells how many bits it holds, and which when they are filled up to a byte.
            let mut last = [0; 8];
            engine::prime(engine.stream(), 8 - i32::from(count), 0);
            lend_slices(engine.raw(), &[], &mut last);
            engine::deflate(engine.stream(), DeflateFlush::Block);
            bits = (u32::from(last[0]), count.into());
        }
        engine.give_back(params);
        Ok((made, bits))
    }
}
