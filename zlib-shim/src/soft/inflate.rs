//! UNSAFE: hands buffers to zlib-rs's inflate by pointer.
//!
//! The engine reads headers and trailers itself here: its errors, messages and positions are what programs
//! see, also when it takes over from the device by replay. A member that is there whole in its first call goes to
//! `oneshot` first.
#![expect(unsafe_code)]

use std::ffi::{CStr, c_char, c_long};
use std::mem::MaybeUninit;

use warpdrive_core::engine::zip::Format;
use zlib_rs::c_api::{gz_headerp, z_stream};
use zlib_rs::inflate::{self as engine, InflateConfig, InflateStream};
use zlib_rs::{InflateFlush, ReturnCode};

use super::{empty, lend, oneshot, pool, settle};
use crate::io::Io;
use crate::state::Alloc;

/// `inflateMark`'s answer where there is none.
const NO_MARK: c_long = -65536;

/// zlib-rs's state of one inflate stream, open from init to drop.
pub struct InflateEngine {
    z: z_stream,
}

impl InflateEngine {
    /// An engine at the start of a stream: one that an earlier stream left, or a new one.
    fn open(window_bits: i32, alloc: Option<Alloc>) -> Result<Self, ReturnCode> {
        if alloc.is_none()
            && let Some(mut kept) = pool::inflate_engine()
        {
            kept.z.msg = std::ptr::null_mut();
            if engine::reset_with_config(kept.stream(), InflateConfig { window_bits }) == ReturnCode::Ok {
                engine::validate(kept.stream(), true);
                return Ok(kept);
            }
        }
        let mut z = empty(alloc);
        match engine::init(&mut z, InflateConfig { window_bits }) {
            ReturnCode::Ok => Ok(InflateEngine { z }),
            code => Err(code),
        }
    }

    fn stream(&mut self) -> &mut InflateStream<'static> {
        // SAFETY: z was initialised by engine::init or engine::copy, and is so until drop.
        match unsafe { InflateStream::from_stream_mut(&mut self.z) } {
            Some(stream) => stream,
            None => unreachable!("an open stream has a state and an allocator"),
        }
    }

    fn decode(&mut self, input: &[u8], output: &mut [u8], flush: InflateFlush) -> (usize, usize, ReturnCode) {
        let (had, room) = (input.len().min(u32::MAX as usize), output.len().min(u32::MAX as usize));
        self.z.next_in = input.as_ptr();
        self.z.avail_in = had as u32;
        self.z.next_out = output.as_mut_ptr();
        self.z.avail_out = room as u32;
        // SAFETY: both slices outlive the call.
        let code = unsafe { engine::inflate(self.stream(), flush) };
        (had - self.z.avail_in as usize, room - self.z.avail_out as usize, code)
    }
}

impl Drop for InflateEngine {
    fn drop(&mut self) {
        engine::end(self.stream());
    }
}

/// How far a stream is, and who decodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing fed.
    Fresh,
    /// The engine decodes it.
    Stream,
    /// All of it, of this format, was decoded in one piece; the engine is not there, or holds something else.
    Done(Format),
}

/// `data_type` behind the final block.
const FINAL: i32 = 64;

/// An inflate stream in software.
pub struct SoftInflate {
    window_bits: i32,
    alloc: Option<Alloc>,
    stage: Stage,
    /// Made when the stream first needs it; after a reset it may be there with old contents.
    engine: Option<InflateEngine>,
    /// `inflateValidate` has switched checking off, which outlives `inflateReset`.
    unchecked: bool,
}

impl SoftInflate {
    /// Opens a stream; `window_bits` as in `inflateInit2`. Allocates nothing: what decodes the stream is chosen at
    /// its first data.
    ///
    /// # Errors
    /// None today; `window_bits` out of range fail at the first data.
    pub fn new(window_bits: i32, alloc: Option<Alloc>) -> Result<Self, ReturnCode> {
        Ok(SoftInflate { window_bits, alloc, stage: Stage::Fresh, engine: None, unchecked: false })
    }

    /// The engine, in the state of this stream.
    fn engine(&mut self) -> Result<&mut InflateEngine, ReturnCode> {
        if self.stage == Stage::Stream {
            return self.engine.as_mut().ok_or(ReturnCode::StreamError);
        }
        let window_bits = self.window_bits;
        let mut opened = match self.engine.take() {
            Some(mut kept) => {
                kept.z.msg = std::ptr::null_mut();
                match engine::reset_with_config(kept.stream(), InflateConfig { window_bits }) {
                    ReturnCode::Ok => kept,
                    code => return Err(code),
                }
            }
            None => InflateEngine::open(window_bits, self.alloc)?,
        };
        if let Stage::Done(format) = self.stage {
            // A stream that ended within its first call leaves no window: all that end like that are alike.
            opened.decode(oneshot::empty_stream(format), &mut [0], InflateFlush::Finish);
        }
        self.stage = Stage::Stream;
        Ok(self.engine.insert(opened))
    }

    /// One step on the program's buffers.
    pub fn step(&mut self, io: &mut Io<'_>, flush: InflateFlush) -> ReturnCode {
        if self.stage == Stage::Fresh
            && flush == InflateFlush::Finish
            && let Some(format) = oneshot::member(self.window_bits, io)
        {
            self.stage = Stage::Done(format);
            return ReturnCode::StreamEnd;
        }
        if let Stage::Done(_) = self.stage {
            return ReturnCode::StreamEnd;
        }
        let engine = match self.engine() {
            Ok(engine) => engine,
            Err(code) => return code,
        };
        lend(&mut engine.z, io.raw());
        // SAFETY: the program's buffers are valid during the call, by zlib's contract.
        let code = unsafe { engine::inflate(engine.stream(), flush) };
        settle(&engine.z, io.raw());
        code
    }

    /// Decodes from `input` into `output`; returns bytes used, bytes written and the code.
    pub fn decode(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: InflateFlush,
    ) -> (usize, usize, ReturnCode) {
        match self.engine() {
            Ok(engine) => engine.decode(input, output, flush),
            Err(code) => (0, 0, code),
        }
    }

    /// The engine of a stream that is being decoded.
    fn decoding(&self) -> Option<&InflateEngine> {
        self.engine.as_ref().filter(|_| self.stage == Stage::Stream)
    }

    /// The engine's own check value after the last step.
    pub fn adler(&self) -> u32 {
        self.decoding().map_or(0, |engine| engine.z.adler as u32)
    }

    /// `data_type` after the last step.
    pub fn data_type(&self) -> i32 {
        match self.stage {
            Stage::Fresh => 0,
            Stage::Stream => self.decoding().map_or(0, |engine| engine.z.data_type),
            Stage::Done(_) => FINAL,
        }
    }

    /// The engine's message, a constant of its own, or null.
    pub fn message(&self) -> *mut c_char {
        self.decoding().map_or(std::ptr::null_mut(), |engine| engine.z.msg)
    }

    /// Whether the engine's fast path found an error and lost what it was: zlib-rs overwrites the message
    /// with this one on its way out.
    pub fn lost_message(&self) -> bool {
        let message = self.message();
        // SAFETY: messages are null or constants of the engine, NUL-terminated.
        !message.is_null() && unsafe { CStr::from_ptr(message) } == c"repeated call with bad state"
    }

    /// The message for bad data in `input`, which is all of a member so far: decoded again in steps too small
    /// for the fast path.
    pub fn message_for(window_bits: i32, input: &[u8]) -> *mut c_char {
        match SoftInflate::new(window_bits, None) {
            Ok(again) => again.message_behind(input),
            Err(_) => ReturnCode::DataError.error_message().cast_mut(),
        }
    }

    /// The message for bad data in `input`, which continues what this engine has decoded.
    pub fn message_behind(mut self, input: &[u8]) -> *mut c_char {
        const STEP: usize = 256;
        let (mut at, mut scratch) = (0, [0; STEP]);
        loop {
            let (used, made, code) = self.decode(&input[at..], &mut scratch, InflateFlush::NoFlush);
            at += used;
            match code {
                ReturnCode::Ok if used + made > 0 => {}
                ReturnCode::DataError if !self.lost_message() => return self.message(),
                _ => return ReturnCode::DataError.error_message().cast_mut(),
            }
        }
    }

    /// See `inflateReset2`; `None` keeps the window bits (`inflateReset`), `keep` the window too.
    pub fn reset(&mut self, window_bits: Option<i32>, keep: bool) -> ReturnCode {
        self.window_bits = window_bits.unwrap_or(self.window_bits);
        self.unchecked &= window_bits.is_none();
        match &mut self.engine {
            Some(engine) if self.stage == Stage::Stream && (keep || self.unchecked) => {
                engine.z.msg = std::ptr::null_mut();
                if keep { engine::reset_keep(engine.stream()) } else { engine::reset(engine.stream()) }
            }
            // the engine's own reset comes when it is needed
            _ => {
                self.stage = Stage::Fresh;
                ReturnCode::Ok
            }
        }
    }

    /// See `inflateSync`. A search that fails leaves the program's message alone.
    pub fn sync(&mut self, io: &mut Io<'_>) -> ReturnCode {
        let message = io.raw().msg;
        let engine = match self.engine() {
            Ok(engine) => engine,
            Err(code) => return code,
        };
        lend(&mut engine.z, io.raw());
        let code = engine::sync(engine.stream());
        settle(&engine.z, io.raw());
        let kept = if code == ReturnCode::Ok { std::ptr::null_mut() } else { message };
        (engine.z.msg, io.raw().msg) = (std::ptr::null_mut(), kept);
        code
    }

    /// Searches `input` for a sync mark; returns bytes used and the code.
    pub fn sync_in(&mut self, input: &[u8]) -> (usize, ReturnCode) {
        let had = input.len().min(u32::MAX as usize);
        let engine = match self.engine() {
            Ok(engine) => engine,
            Err(code) => return (0, code),
        };
        engine.z.next_in = input.as_ptr();
        engine.z.avail_in = had as u32;
        let code = engine::sync(engine.stream());
        (had - engine.z.avail_in as usize, code)
    }

    /// Asks or tells the engine's stream something; `fail` without memory.
    fn ask<R>(&mut self, fail: R, f: impl FnOnce(&mut InflateStream<'static>) -> R) -> R {
        match self.engine() {
            Ok(engine) => f(engine.stream()),
            Err(_) => fail,
        }
    }

    /// See `inflateSyncPoint`.
    pub fn sync_point(&mut self) -> bool {
        self.ask(false, |stream| engine::sync_point(stream))
    }

    /// See `inflateMark`.
    pub fn mark(&mut self) -> c_long {
        let Ok(engine) = self.engine() else { return NO_MARK };
        // The engine refuses without an output buffer, which says nothing about its state.
        if engine.z.next_out.is_null() {
            engine.z.next_out = std::ptr::NonNull::dangling().as_ptr();
        }
        engine.z.avail_in = 0;
        engine.z.avail_out = 0;
        engine::mark(engine.stream())
    }

    /// See `inflatePrime`.
    pub fn prime(&mut self, bits: i32, value: i32) -> ReturnCode {
        self.ask(ReturnCode::MemError, |stream| engine::prime(stream, bits, value))
    }

    /// See `inflateValidate`.
    pub fn validate(&mut self, check: bool) -> ReturnCode {
        self.unchecked = !check;
        self.ask(ReturnCode::MemError, |stream| engine::validate(stream, check))
    }

    /// See `inflateCodesUsed`.
    pub fn codes_used(&mut self) -> usize {
        self.ask(0, |stream| engine::codes_used(stream))
    }

    /// See `inflateSetDictionary`.
    pub fn set_dictionary(&mut self, dictionary: &[u8]) -> ReturnCode {
        self.ask(ReturnCode::MemError, |stream| engine::set_dictionary(stream, dictionary))
    }

    /// The history: the last output, at most 32 KiB.
    pub fn dictionary(&mut self) -> Vec<u8> {
        let mut out = vec![0; 32 << 10];
        // SAFETY: out has room for the largest window.
        let n = self.ask(0, |stream| unsafe { engine::get_dictionary(stream, out.as_mut_ptr()) });
        out.truncate(n);
        out
    }

    /// See `inflateGetHeader`.
    ///
    /// # Safety
    /// `head` stays valid until the header has been read or the stream ends, as zlib documents.
    pub unsafe fn get_header(&mut self, head: gz_headerp) -> ReturnCode {
        // SAFETY: contract of this function.
        self.ask(ReturnCode::MemError, |stream| unsafe { engine::get_header(stream, head.as_mut()) })
    }

    /// A second stream in the same state.
    ///
    /// # Errors
    /// `MemError`.
    pub fn copy(&mut self) -> Result<Self, ReturnCode> {
        let SoftInflate { window_bits, alloc, stage, unchecked, .. } = *self;
        let engine = match &mut self.engine {
            Some(engine) if stage == Stage::Stream => Some(engine.copy()?),
            _ => None,
        };
        Ok(SoftInflate { window_bits, alloc, stage, engine, unchecked })
    }
}

impl Drop for SoftInflate {
    fn drop(&mut self) {
        if self.alloc.is_none()
            && let Some(engine) = self.engine.take()
        {
            pool::keep_inflate_engine(engine);
        }
    }
}

impl InflateEngine {
    fn copy(&mut self) -> Result<Self, ReturnCode> {
        // The engine wants usable buffer pointers, though a copy needs none.
        self.z.avail_in = 0;
        self.z.avail_out = 0;
        if self.z.next_out.is_null() {
            self.z.next_out = std::ptr::NonNull::dangling().as_ptr();
        }
        let mut dest = MaybeUninit::<InflateStream<'static>>::uninit();
        // SAFETY: the source is an open stream; its buffers are empty now.
        match unsafe { engine::copy(&mut dest, self.stream()) } {
            ReturnCode::Ok => {
                // SAFETY: the copy succeeded, so dest is initialised; the two types have the same layout
                // (zlib-rs asserts it), and the copy has a state of its own.
                let z =
                    unsafe { std::mem::transmute::<InflateStream<'static>, z_stream>(dest.assume_init()) };
                Ok(InflateEngine { z })
            }
            code => Err(code),
        }
    }
}
