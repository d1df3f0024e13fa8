//! UNSAFE: hands buffers to zlib-rs's deflate by pointer.
//!
//! A stream that comes whole in its first call is libdeflate's; every other is zlib-rs's.
//! Raw deflate only: headers, trailers and check values are the frame's work (`crate::deflate`), on the device
//! and in software alike, so that either may serve the next part of a stream.
#![expect(unsafe_code)]

use std::mem::MaybeUninit;

use zlib_rs::c_api::z_stream;
use zlib_rs::deflate::{self as engine, DeflateConfig, DeflateStream, Method, Strategy};
use zlib_rs::{DeflateFlush, ReturnCode};

use super::{choice, empty, lend, pool, settle, tiny};
use crate::deflate::frame;
use crate::io::Io;
use crate::pending::Pending;
use crate::state::Alloc;

/// `Z_UNKNOWN` and `Z_BINARY`.
const UNKNOWN: i32 = 2;
const BINARY: i32 = 0;

/// Parameters of a raw stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// 0 to 9.
    pub level: i32,
    /// Strategy.
    pub strategy: Strategy,
    /// 9 to 15.
    pub window_bits: i32,
    /// 1 to 9.
    pub mem_level: i32,
}

impl Params {
    /// Whether an engine with these parameters can serve any other stream that has `deflateInit`'s.
    fn poolable(self) -> bool {
        (self.window_bits, self.mem_level) == (15, 8)
    }
}

/// The engine's level for zlib's: its own level 1 writes fixed codes only and would exceed zlib's bound on
/// incompressible data, and zlib's level 1 output by a fifth; its level 2 keeps both.
fn engine_level(level: i32) -> i32 {
    if level == 1 { 2 } else { level }
}

/// zlib-rs's state of one raw deflate stream, open from init to drop.
pub struct DeflateEngine {
    z: z_stream,
}

impl DeflateEngine {
    /// An engine with nothing fed: one that an earlier stream left, or a new one; with the program's allocator if
    /// it gave one.
    fn open(params: Params, alloc: Option<Alloc>) -> Result<Self, ReturnCode> {
        if alloc.is_none()
            && params.poolable()
            && let Some(mut kept) = pool::deflate_engine()
        {
            engine::reset(kept.stream());
            if engine::params(kept.stream(), engine_level(params.level), params.strategy) == ReturnCode::Ok {
                return Ok(kept);
            }
        }
        let mut z = empty(alloc);
        let config = DeflateConfig {
            level: engine_level(params.level),
            method: Method::Deflated,
            window_bits: -params.window_bits,
            mem_level: params.mem_level,
            strategy: params.strategy,
        };
        match engine::init(&mut z, config) {
            ReturnCode::Ok => Ok(DeflateEngine { z }),
            code => Err(code),
        }
    }

    fn stream(&mut self) -> &mut DeflateStream<'static> {
        // SAFETY: z was initialised by engine::init or engine::copy, and is so until drop.
        match unsafe { DeflateStream::from_stream_mut(&mut self.z) } {
            Some(stream) => stream,
            None => unreachable!("an open stream has a state and an allocator"),
        }
    }

    fn append(&mut self, mut input: &[u8], flush: DeflateFlush, output: &mut Vec<u8>) -> ReturnCode {
        const STEP: usize = 16 << 10;
        loop {
            let now = input.len().min(u32::MAX as usize);
            let filled = output.len();
            output.resize(filled + STEP, 0);
            self.z.next_in = input.as_ptr();
            self.z.avail_in = now as u32;
            self.z.next_out = output[filled..].as_mut_ptr();
            self.z.avail_out = STEP as u32;
            let flush_now = if now == input.len() { flush } else { DeflateFlush::NoFlush };
            let code = engine::deflate(self.stream(), flush_now);
            let left = self.z.avail_out as usize;
            input = &input[now - self.z.avail_in as usize..];
            output.truncate(filled + STEP - left);
            match code {
                ReturnCode::Ok if left != 0 && input.is_empty() => return ReturnCode::Ok,
                ReturnCode::Ok => {}
                // No more to flush: the last round ended exactly with the buffer.
                ReturnCode::BufError if input.is_empty() => return ReturnCode::Ok,
                other => return other,
            }
        }
    }

    fn copy(&mut self) -> Result<Self, ReturnCode> {
        let mut dest = MaybeUninit::<DeflateStream<'static>>::uninit();
        match engine::copy(&mut dest, self.stream()) {
            ReturnCode::Ok => {
                // SAFETY: the copy succeeded, so dest is initialised; the two types have the same layout
                // (zlib-rs asserts it), and the copy has a state of its own.
                let z =
                    unsafe { std::mem::transmute::<DeflateStream<'static>, z_stream>(dest.assume_init()) };
                Ok(DeflateEngine { z })
            }
            code => Err(code),
        }
    }
}

impl Drop for DeflateEngine {
    fn drop(&mut self) {
        let _ = engine::end(self.stream());
    }
}

/// How far a stream is, and who makes it.
enum Stage {
    /// Nothing fed.
    Fresh,
    /// The engine makes it.
    Stream,
    /// All of it was made in one piece; what the program had no space for waits. `busy` if zlib would not yet have
    /// read all input.
    Whole { waiting: Pending, busy: bool },
}

/// A raw deflate stream in software.
pub struct RawDeflate {
    params: Params,
    alloc: Option<Alloc>,
    stage: Stage,
    /// Made when the stream first needs it; after a reset it may be there with old contents.
    engine: Option<DeflateEngine>,
}

impl RawDeflate {
    /// Opens a stream; with the program's allocator if it gave one. Allocates nothing: what serves the stream is
    /// chosen at its first data.
    ///
    /// # Errors
    /// None today; streams of `Params` out of range fail at the first data.
    pub fn new(params: Params, alloc: Option<Alloc>) -> Result<Self, ReturnCode> {
        Ok(RawDeflate { params, alloc, stage: Stage::Fresh, engine: None })
    }

    /// The engine, in the state of this stream.
    fn engine(&mut self) -> Result<&mut DeflateEngine, ReturnCode> {
        if matches!(self.stage, Stage::Fresh) {
            let opened = match self.engine.take() {
                Some(mut kept) => {
                    engine::reset(kept.stream());
                    let level = engine_level(self.params.level);
                    match engine::params(kept.stream(), level, self.params.strategy) {
                        ReturnCode::Ok => kept,
                        code => return Err(code),
                    }
                }
                None => DeflateEngine::open(self.params, self.alloc)?,
            };
            self.engine = Some(opened);
            self.stage = Stage::Stream;
        }
        self.engine.as_mut().ok_or(ReturnCode::StreamError)
    }

    /// One step on the program's buffers.
    pub fn step(&mut self, io: &mut Io<'_>, flush: DeflateFlush) -> ReturnCode {
        if matches!(self.stage, Stage::Fresh) && flush == DeflateFlush::Finish {
            self.in_one_piece(io);
        }
        if let Stage::Whole { waiting, .. } = &mut self.stage {
            waiting.drain(io);
            return match io.avail_in() {
                0 if waiting.is_empty() => ReturnCode::StreamEnd,
                0 => ReturnCode::Ok,
                // after the last data, as in zlib
                _ => io.error(ReturnCode::BufError),
            };
        }
        let engine = match self.engine() {
            Ok(engine) => engine,
            Err(code) => return code,
        };
        lend(&mut engine.z, io.raw());
        engine.z.data_type = io.data_type();
        let code = engine::deflate(engine.stream(), flush);
        settle(&engine.z, io.raw());
        io.set_data_type(engine.z.data_type);
        code
    }

    /// Makes the whole stream of the program's input, if that is faster and there is room for it.
    fn in_one_piece(&mut self, io: &mut Io<'_>) {
        let (input, output) = io.split();
        let (taken, bound) = (input.len(), whole_bound(input.len()));
        let Some(level) = choice::whole(self.params, input) else { return };
        let kind = frame::data_type(&input[..taken.min(32 << 10)]);
        let mut waiting = Pending::default();
        if output.len() >= bound {
            let Some(made) = whole(level, input, output) else { return };
            io.produce(made);
        } else if taken <= choice::WAITING_MAX {
            let Some(made) = whole(level, input, waiting.room(bound)) else { return };
            waiting.filled(made);
        } else {
            return;
        }
        io.consume(taken);
        if io.data_type() == UNKNOWN {
            io.set_data_type(if taken == 0 { BINARY } else { kind });
        }
        // One block is as much as zlib reads ahead of its output at least.
        let busy = taken >= 1 << (self.params.mem_level + 6);
        self.stage = Stage::Whole { waiting, busy };
    }

    /// Compresses all of `input`, appending to `output`, up to and including what `flush` asks for.
    pub fn append(&mut self, input: &[u8], flush: DeflateFlush, output: &mut Vec<u8>) -> ReturnCode {
        if matches!(self.stage, Stage::Fresh)
            && flush == DeflateFlush::Finish
            && let Some(level) = choice::whole(self.params, input)
        {
            let (filled, bound) = (output.len(), whole_bound(input.len()));
            output.resize(filled + bound, 0);
            let made = whole(level, input, &mut output[filled..]);
            output.truncate(filled + made.unwrap_or(0));
            if made.is_some() {
                self.stage = Stage::Whole { waiting: Pending::default(), busy: false };
                return ReturnCode::StreamEnd;
            }
        }
        match self.engine() {
            Ok(engine) => engine.append(input, flush, output),
            Err(code) => code,
        }
    }

    /// See `deflateParams`; `io` takes what the change makes the engine write.
    pub fn params(&mut self, io: &mut Io<'_>, level: i32, strategy: Strategy) -> ReturnCode {
        match self.stage {
            Stage::Fresh => {}
            // finished: nothing more will be made
            Stage::Whole { .. } => return ReturnCode::Ok,
            Stage::Stream => {
                let Some(engine) = &mut self.engine else { return ReturnCode::StreamError };
                lend(&mut engine.z, io.raw());
                let code = engine::params(engine.stream(), engine_level(level), strategy);
                settle(&engine.z, io.raw());
                if code != ReturnCode::Ok {
                    return code;
                }
            }
        }
        (self.params.level, self.params.strategy) = (level, strategy);
        ReturnCode::Ok
    }

    /// See `deflateSetDictionary` for a raw stream.
    pub fn set_dictionary(&mut self, dictionary: &[u8]) -> ReturnCode {
        match self.engine() {
            Ok(engine) => engine::set_dictionary(engine.stream(), dictionary),
            Err(code) => code,
        }
    }

    /// The history, at most 32 KiB; none of a stream that was made in one piece.
    pub fn history(&mut self) -> Vec<u8> {
        let (Stage::Stream, Some(engine)) = (&self.stage, &mut self.engine) else { return Vec::new() };
        let mut out = vec![0; 32 << 10];
        // SAFETY: out has room for the largest window.
        let n = unsafe { engine::get_dictionary(engine.stream(), out.as_mut_ptr()) };
        out.truncate(n);
        out
    }

    /// See `deflatePrime`.
    pub fn prime(&mut self, bits: i32, value: i32) -> ReturnCode {
        match self.engine() {
            Ok(engine) => engine::prime(engine.stream(), bits, value),
            Err(code) => code,
        }
    }

    /// See `deflateTune`.
    pub fn tune(&mut self, good: usize, lazy: usize, nice: usize, chain: usize) {
        if let Ok(engine) = self.engine() {
            engine::tune(engine.stream(), good, lazy, nice, chain);
        }
    }

    /// Bytes and bits not written yet.
    pub fn pending(&mut self) -> (usize, u8) {
        match (&self.stage, &mut self.engine) {
            (Stage::Stream, Some(engine)) => engine.stream().pending(),
            (Stage::Whole { waiting, .. }, _) => (waiting.len(), 0),
            _ => (0, 0),
        }
    }

    /// See `deflateUsed`; 0, which says nothing, for a stream that was made in one piece.
    pub fn bits_used(&mut self) -> u8 {
        match (&self.stage, &mut self.engine) {
            (Stage::Stream, Some(engine)) => engine.stream().bits_used(),
            _ => 0,
        }
    }

    /// Starts over; with `keep` the hash and history stay (`deflateResetKeep`).
    pub fn reset(&mut self, keep: bool) {
        match (&self.stage, &mut self.engine) {
            (Stage::Stream, Some(engine)) if keep => {
                engine::reset_keep(engine.stream());
                engine.z.msg = std::ptr::null_mut();
            }
            // the engine's own reset comes when it is needed
            _ => self.stage = Stage::Fresh,
        }
    }

    /// A second stream in the same state.
    ///
    /// # Errors
    /// `MemError`.
    pub fn copy(&mut self) -> Result<Self, ReturnCode> {
        let (stage, engine) = match (&self.stage, &mut self.engine) {
            (Stage::Stream, Some(engine)) => (Stage::Stream, Some(engine.copy()?)),
            (Stage::Whole { waiting, busy }, _) => {
                (Stage::Whole { waiting: waiting.clone(), busy: *busy }, None)
            }
            _ => (Stage::Fresh, None),
        };
        Ok(RawDeflate { params: self.params, alloc: self.alloc, stage, engine })
    }

    /// Closes the stream. False if data was left inside (zlib's `Z_DATA_ERROR`).
    pub fn end(mut self) -> bool {
        match &self.stage {
            Stage::Fresh => true,
            Stage::Whole { waiting, busy } => waiting.is_empty() || !busy,
            // Ended when the engine is dropped or reset; the answer is the same.
            Stage::Stream => self.engine.take().is_none_or(|mut engine| {
                let clean = engine::end(engine.stream()).is_ok();
                std::mem::forget(engine);
                clean
            }),
        }
    }
}

impl Drop for RawDeflate {
    fn drop(&mut self) {
        if self.alloc.is_none()
            && self.params.poolable()
            && let Some(engine) = self.engine.take()
        {
            pool::keep_deflate_engine(engine);
        }
    }
}

/// Compresses `input` whole into `output`, which has [`whole_bound`] bytes; the length. `None` without memory.
fn whole(level: i32, input: &[u8], output: &mut [u8]) -> Option<usize> {
    if input.len() <= tiny::MAX {
        return tiny::deflate(input, output);
    }
    // What does not shrink is stored in blocks as large as can be, which zlib's bound allows for.
    let room = frame::stored_len(input.len());
    let made = pool::with_compressor(level, |compressor| compressor.deflate(input, &mut output[..room]))?;
    Some(made.unwrap_or_else(|| frame::stored(input, true, output)))
}

/// Output space for `n` bytes compressed by [`whole`]; not above zlib's bound.
fn whole_bound(n: usize) -> usize {
    if n <= tiny::MAX { (9 * n + 10).div_ceil(8) } else { frame::stored_len(n) }
}
