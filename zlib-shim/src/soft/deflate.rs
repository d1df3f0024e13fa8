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

use super::gathered::Gathered;
use super::{choice, empty, lend, lend_slices, pool, settle, tiny};
use crate::deflate::frame;
use crate::io::Io;
use crate::pending::Pending;
use crate::state::Alloc;

/// `Z_UNKNOWN`.
pub const UNKNOWN: i32 = 2;

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
    /// An engine with nothing fed: one that an earlier stream left, or a new one.
    ///
    /// # Errors
    /// `MemError`.
    pub fn open(params: Params) -> Result<Self, ReturnCode> {
        if params.poolable()
            && let Some(mut kept) = pool::deflate_engine()
        {
            kept.restart(params)?;
            return Ok(kept);
        }
        let mut z = empty(None);
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

    /// zlib-rs's stream.
    pub fn stream(&mut self) -> &mut DeflateStream<'static> {
        // SAFETY: z was initialised by engine::init or engine::copy, and is so until drop.
        match unsafe { DeflateStream::from_stream_mut(&mut self.z) } {
            Some(stream) => stream,
            None => unreachable!("an open stream has a state and an allocator"),
        }
    }

    /// Back to nothing fed, at the level and with the strategy of `params`.
    fn restart(&mut self, params: Params) -> Result<(), ReturnCode> {
        engine::reset(self.stream());
        self.z.msg = std::ptr::null_mut();
        match engine::params(self.stream(), engine_level(params.level), params.strategy) {
            ReturnCode::Ok => Ok(()),
            code => Err(code),
        }
    }

    /// The buffers of zlib-rs's stream.
    pub fn raw(&mut self) -> &mut z_stream {
        &mut self.z
    }

    /// For the next stream of this thread, if it may have any stream's parameters.
    pub fn give_back(self, params: Params) {
        if params.poolable() {
            pool::keep_deflate_engine(self);
        }
    }

    fn append(&mut self, mut input: &[u8], flush: DeflateFlush, output: &mut Vec<u8>) -> ReturnCode {
        const STEP: usize = 16 << 10;
        loop {
            let now = input.len().min(u32::MAX as usize);
            let filled = output.len();
            output.resize(filled + STEP, 0);
            lend_slices(&mut self.z, &input[..now], &mut output[filled..]);
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
#[derive(Clone)]
enum Stage {
    /// Nothing fed.
    Fresh,
    /// It is being made, by the engine, or in the program's memory if that has its own allocator.
    Made(Progress),
    /// All of it was made in one piece; what the program had no space for waits. `busy` if zlib would not yet have
    /// read all input.
    Whole { waiting: Pending, busy: bool },
}

/// How far the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Running,
    /// Told to finish, and short of output space.
    Finishing,
    Finished,
}

/// Who makes a stream.
enum Maker<'a> {
    Engine(&'a mut DeflateEngine),
    Gathered(&'a mut Gathered),
}

/// A raw deflate stream in software.
pub struct RawDeflate {
    params: Params,
    alloc: Option<Alloc>,
    stage: Stage,
    /// Made when the stream first needs one of them; after a reset it may be there with old contents.
    engine: Option<DeflateEngine>,
    gathered: Option<Gathered>,
}

impl RawDeflate {
    /// Opens a stream; in memory of the program's allocator if it gave one. Allocates nothing: what serves the stream
    /// is chosen at its first data.
    pub fn new(params: Params, alloc: Option<Alloc>) -> Self {
        RawDeflate { params, alloc, stage: Stage::Fresh, engine: None, gathered: None }
    }

    /// Who makes this stream from its first data on, if not in one piece.
    fn maker(&mut self) -> Result<Maker<'_>, ReturnCode> {
        if matches!(self.stage, Stage::Fresh) {
            match (&mut self.gathered, &mut self.engine, self.alloc) {
                (Some(kept), _, _) => kept.reset(self.params),
                (None, Some(kept), _) => kept.restart(self.params)?,
                (None, None, Some(alloc)) => self.gathered = Some(Gathered::new(self.params, alloc)?),
                (None, None, None) => self.engine = Some(DeflateEngine::open(self.params)?),
            }
            self.stage = Stage::Made(Progress::Running);
        }
        match (&mut self.gathered, &mut self.engine) {
            (Some(gathered), _) => Ok(Maker::Gathered(gathered)),
            (None, Some(engine)) => Ok(Maker::Engine(engine)),
            (None, None) => Err(ReturnCode::StreamError),
        }
    }

    /// Who makes this stream, if it was begun so.
    fn begun(&mut self) -> Option<Maker<'_>> {
        if matches!(self.stage, Stage::Made(_)) { self.maker().ok() } else { None }
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
        let code = match self.maker() {
            Ok(Maker::Gathered(gathered)) => gathered.step(io, flush),
            Ok(Maker::Engine(engine)) => {
                lend(&mut engine.z, io.raw());
                engine.z.data_type = io.data_type();
                let code = engine::deflate(engine.stream(), flush);
                settle(&engine.z, io.raw());
                io.set_data_type(engine.z.data_type);
                code
            }
            Err(code) => return code,
        };
        self.went(code, flush);
        code
    }

    fn went(&mut self, code: ReturnCode, flush: DeflateFlush) {
        if let Stage::Made(progress) = &mut self.stage {
            *progress = match (code, flush) {
                (ReturnCode::StreamEnd, _) => Progress::Finished,
                (_, DeflateFlush::Finish) => Progress::Finishing,
                _ => *progress,
            };
        }
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
        } else if taken <= choice::WAITING_MAX && self.alloc.is_none() {
            let Some(made) = whole(level, input, waiting.room(bound)) else { return };
            waiting.filled(made);
        } else {
            return;
        }
        io.consume(taken);
        if io.data_type() == UNKNOWN {
            io.set_data_type(kind);
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
        let code = match self.maker() {
            Ok(Maker::Engine(engine)) => engine.append(input, flush, output),
            Ok(Maker::Gathered(gathered)) => gathered.append(input, flush, output),
            Err(code) => return code,
        };
        self.went(code, flush);
        code
    }

    /// See `deflateParams`; `io` takes what the change makes the engine write.
    pub fn params(&mut self, io: &mut Io<'_>, level: i32, strategy: Strategy) -> ReturnCode {
        let params = Params { level, strategy, ..self.params };
        let code = match self.begun() {
            Some(Maker::Engine(engine)) => {
                lend(&mut engine.z, io.raw());
                let code = engine::params(engine.stream(), engine_level(level), strategy);
                settle(&engine.z, io.raw());
                code
            }
            Some(Maker::Gathered(gathered)) => gathered.params(io, params),
            // not begun, or finished
            None => ReturnCode::Ok,
        };
        if code == ReturnCode::Ok {
            self.params = params;
        }
        code
    }

    /// See `deflateSetDictionary` for a raw stream.
    pub fn set_dictionary(&mut self, dictionary: &[u8]) -> ReturnCode {
        match self.maker() {
            Ok(Maker::Engine(engine)) => engine::set_dictionary(engine.stream(), dictionary),
            Ok(Maker::Gathered(gathered)) => gathered.set_dictionary(dictionary),
            Err(code) => code,
        }
    }

    /// The history, at most 32 KiB; none of a stream that was made in one piece.
    pub fn history(&mut self) -> Vec<u8> {
        match self.begun() {
            Some(Maker::Engine(engine)) => {
                let mut out = vec![0; 32 << 10];
                // SAFETY: out has room for the largest window.
                let n = unsafe { engine::get_dictionary(engine.stream(), out.as_mut_ptr()) };
                out.truncate(n);
                out
            }
            Some(Maker::Gathered(gathered)) => gathered.history(),
            None => Vec::new(),
        }
    }

    /// See `deflatePrime`.
    pub fn prime(&mut self, bits: i32, value: i32) -> ReturnCode {
        match self.maker() {
            Ok(Maker::Engine(engine)) => engine::prime(engine.stream(), bits, value),
            Ok(Maker::Gathered(gathered)) => gathered.prime(bits, value),
            Err(code) => code,
        }
    }

    /// See `deflateTune`.
    pub fn tune(&mut self, good: usize, lazy: usize, nice: usize, chain: usize) {
        match self.maker() {
            Ok(Maker::Engine(engine)) => {
                engine::tune(engine.stream(), good, lazy, nice, chain);
            }
            Ok(Maker::Gathered(gathered)) => gathered.tune((good, lazy, nice, chain)),
            Err(_) => {}
        }
    }

    /// Bytes and bits not written yet.
    pub fn pending(&mut self) -> (usize, u8) {
        if let Stage::Whole { waiting, .. } = &self.stage {
            return (waiting.len(), 0);
        }
        match self.begun() {
            Some(Maker::Engine(engine)) => engine.stream().pending(),
            Some(Maker::Gathered(gathered)) => gathered.pending(),
            None => (0, 0),
        }
    }

    /// See `deflateUsed`; 0, which says nothing, for a stream that the engine did not make.
    pub fn bits_used(&mut self) -> u8 {
        match self.begun() {
            Some(Maker::Engine(engine)) => engine.stream().bits_used(),
            _ => 0,
        }
    }

    /// Starts over; with `keep` the hash and history stay (`deflateResetKeep`).
    pub fn reset(&mut self, keep: bool) {
        if keep && let Some(Maker::Engine(engine)) = self.begun() {
            engine::reset_keep(engine.stream());
            engine.z.msg = std::ptr::null_mut();
            self.stage = Stage::Made(Progress::Running);
        } else {
            // the engine's own reset comes when it is needed
            self.stage = Stage::Fresh;
        }
    }

    /// A second stream in the same state.
    ///
    /// # Errors
    /// `MemError`.
    pub fn copy(&mut self) -> Result<Self, ReturnCode> {
        let (mut engine, mut gathered) = (None, None);
        match self.begun() {
            Some(Maker::Engine(made)) => engine = Some(made.copy()?),
            Some(Maker::Gathered(made)) => gathered = Some(made.copy()?),
            None => {}
        }
        Ok(RawDeflate { params: self.params, alloc: self.alloc, stage: self.stage.clone(), engine, gathered })
    }

    /// Closes the stream. False if data was left inside (zlib's `Z_DATA_ERROR`).
    pub fn end(mut self) -> bool {
        match &self.stage {
            Stage::Fresh | Stage::Made(Progress::Finished) => true,
            Stage::Whole { waiting, busy } => waiting.is_empty() || !busy,
            Stage::Made(Progress::Running) => false,
            // The engine knows whether it has made its last block.
            Stage::Made(Progress::Finishing) => match (&self.gathered, self.engine.take()) {
                (Some(gathered), _) => gathered.finished(),
                (None, Some(mut engine)) => {
                    let clean = engine::end(engine.stream()).is_ok();
                    std::mem::forget(engine);
                    clean
                }
                (None, None) => true,
            },
        }
    }
}

impl Drop for RawDeflate {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.give_back(self.params);
        }
    }
}

/// Compresses `input` whole into `output`, which has [`whole_bound`] bytes; the length. `None` without memory.
pub fn whole(level: i32, input: &[u8], output: &mut [u8]) -> Option<usize> {
    if tiny::fits(input) {
        return tiny::deflate(input, output);
    }
    // What does not shrink is stored in blocks as large as can be, which zlib's bound allows for.
    let room = frame::stored_len(input.len());
    let made = pool::with_compressor(level, |compressor| compressor.deflate(input, &mut output[..room]))?;
    Some(made.unwrap_or_else(|| frame::stored(input, true, output)))
}

/// Output space for `n` bytes compressed by [`whole`]; not above zlib's bound.
pub fn whole_bound(n: usize) -> usize {
    if n <= tiny::MAX { (9 * n + 10).div_ceil(8) } else { frame::stored_len(n) }
}
