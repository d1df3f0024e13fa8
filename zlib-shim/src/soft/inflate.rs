//! UNSAFE: hands buffers to zlib-rs's inflate by pointer.
//!
//! The engine reads headers and trailers itself here: its errors, messages and positions are what programs
//! see, also when it takes over from the device by replay.
#![expect(unsafe_code)]

use std::ffi::{CStr, c_char, c_long};
use std::mem::MaybeUninit;

use zlib_rs::c_api::{gz_headerp, z_stream};
use zlib_rs::inflate::{self as engine, InflateConfig, InflateStream};
use zlib_rs::{InflateFlush, ReturnCode};

use super::{empty, lend, settle};
use crate::io::Io;
use crate::state::Alloc;

/// An inflate stream of the software engine.
pub struct SoftInflate {
    z: z_stream,
}

impl SoftInflate {
    /// Opens a stream; `window_bits` as in `inflateInit2`.
    ///
    /// # Errors
    /// `MemError`, or `StreamError` for `window_bits` out of range.
    pub fn new(window_bits: i32, alloc: Option<Alloc>) -> Result<Self, ReturnCode> {
        let mut z = empty(alloc);
        match engine::init(&mut z, InflateConfig { window_bits }) {
            ReturnCode::Ok => Ok(SoftInflate { z }),
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

    /// One step on the program's buffers.
    pub fn step(&mut self, io: &mut Io<'_>, flush: InflateFlush) -> ReturnCode {
        lend(&mut self.z, io.raw());
        // SAFETY: the program's buffers are valid during the call, by zlib's contract.
        let code = unsafe { engine::inflate(self.stream(), flush) };
        settle(&self.z, io.raw());
        code
    }

    /// Decodes from `input` into `output`; returns bytes used, bytes written and the code.
    pub fn decode(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: InflateFlush,
    ) -> (usize, usize, ReturnCode) {
        let (had, room) = (input.len().min(u32::MAX as usize), output.len().min(u32::MAX as usize));
        self.z.next_in = input.as_ptr();
        self.z.avail_in = had as u32;
        self.z.next_out = output.as_mut_ptr();
        self.z.avail_out = room as u32;
        // SAFETY: both slices outlive the call.
        let code = unsafe { engine::inflate(self.stream(), flush) };
        (had - self.z.avail_in as usize, room - self.z.avail_out as usize, code)
    }

    /// The engine's own check value, and its `data_type`, after the last step.
    pub fn adler(&self) -> u32 {
        self.z.adler as u32
    }

    /// `data_type` after the last step.
    pub fn data_type(&self) -> i32 {
        self.z.data_type
    }

    /// The engine's message, a constant of its own, or null.
    pub fn message(&self) -> *mut c_char {
        self.z.msg
    }

    /// Whether the engine's fast path found an error and lost what it was: zlib-rs overwrites the message
    /// with this one on its way out.
    pub fn lost_message(&self) -> bool {
        // SAFETY: messages are null or constants of the engine, NUL-terminated.
        !self.z.msg.is_null() && unsafe { CStr::from_ptr(self.z.msg) } == c"repeated call with bad state"
    }

    /// The message for bad data in `input`, which is all of a member so far: decoded again in steps too small
    /// for the fast path.
    pub fn message_for(window_bits: i32, input: &[u8]) -> *mut c_char {
        const STEP: usize = 256;
        if let Ok(mut again) = SoftInflate::new(window_bits, None) {
            let (mut at, mut scratch) = (0, [0; STEP]);
            loop {
                let (used, made, code) = again.decode(&input[at..], &mut scratch, InflateFlush::NoFlush);
                at += used;
                match code {
                    ReturnCode::Ok if used + made > 0 => {}
                    ReturnCode::DataError if !again.lost_message() => return again.message(),
                    _ => break,
                }
            }
        }
        ReturnCode::DataError.error_message().cast_mut()
    }

    /// See `inflateReset2`; `None` keeps the window bits (`inflateReset`), `keep` the window too.
    pub fn reset(&mut self, window_bits: Option<i32>, keep: bool) -> ReturnCode {
        self.z.msg = std::ptr::null_mut();
        match window_bits {
            Some(window_bits) => engine::reset_with_config(self.stream(), InflateConfig { window_bits }),
            None if keep => engine::reset_keep(self.stream()),
            None => engine::reset(self.stream()),
        }
    }

    /// See `inflateSync`. A search that fails leaves the program's message alone.
    pub fn sync(&mut self, io: &mut Io<'_>) -> ReturnCode {
        let message = io.raw().msg;
        lend(&mut self.z, io.raw());
        let code = engine::sync(self.stream());
        settle(&self.z, io.raw());
        let kept = if code == ReturnCode::Ok { std::ptr::null_mut() } else { message };
        (self.z.msg, io.raw().msg) = (std::ptr::null_mut(), kept);
        code
    }

    /// Searches `input` for a sync mark; returns bytes used and the code.
    pub fn sync_in(&mut self, input: &[u8]) -> (usize, ReturnCode) {
        let had = input.len().min(u32::MAX as usize);
        self.z.next_in = input.as_ptr();
        self.z.avail_in = had as u32;
        let code = engine::sync(self.stream());
        (had - self.z.avail_in as usize, code)
    }

    /// See `inflateSyncPoint`.
    pub fn sync_point(&mut self) -> bool {
        engine::sync_point(self.stream())
    }

    /// See `inflateMark`.
    pub fn mark(&mut self) -> c_long {
        // The engine refuses without an output buffer, which says nothing about its state.
        if self.z.next_out.is_null() {
            self.z.next_out = std::ptr::NonNull::dangling().as_ptr();
        }
        self.z.avail_in = 0;
        self.z.avail_out = 0;
        engine::mark(self.stream())
    }

    /// See `inflatePrime`.
    pub fn prime(&mut self, bits: i32, value: i32) -> ReturnCode {
        engine::prime(self.stream(), bits, value)
    }

    /// See `inflateValidate`.
    pub fn validate(&mut self, check: bool) -> ReturnCode {
        engine::validate(self.stream(), check)
    }

    /// See `inflateCodesUsed`.
    pub fn codes_used(&mut self) -> usize {
        engine::codes_used(self.stream())
    }

    /// See `inflateSetDictionary`.
    pub fn set_dictionary(&mut self, dictionary: &[u8]) -> ReturnCode {
        engine::set_dictionary(self.stream(), dictionary)
    }

    /// The history: the last output, at most 32 KiB.
    pub fn dictionary(&mut self) -> Vec<u8> {
        let mut out = vec![0; 32 << 10];
        // SAFETY: out has room for the largest window.
        let n = unsafe { engine::get_dictionary(self.stream(), out.as_mut_ptr()) };
        out.truncate(n);
        out
    }

    /// See `inflateGetHeader`.
    ///
    /// # Safety
    /// `head` stays valid until the header has been read or the stream ends, as zlib documents.
    pub unsafe fn get_header(&mut self, head: gz_headerp) -> ReturnCode {
        // SAFETY: contract of this function.
        unsafe { engine::get_header(self.stream(), head.as_mut()) }
    }

    /// A second stream in the same state.
    ///
    /// # Errors
    /// `MemError`.
    pub fn copy(&mut self) -> Result<Self, ReturnCode> {
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
                Ok(SoftInflate { z })
            }
            code => Err(code),
        }
    }
}

impl Drop for SoftInflate {
    fn drop(&mut self) {
        engine::end(self.stream());
    }
}
