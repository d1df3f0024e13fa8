//! UNSAFE: hands buffers to zlib-rs's deflate by pointer.
//!
//! Raw deflate only: headers, trailers and check values are the frame's work (`crate::deflate`), on the device
//! and in software alike, so that either may serve the next part of a stream.
#![expect(unsafe_code)]

use std::mem::MaybeUninit;

use zlib_rs::c_api::z_stream;
use zlib_rs::deflate::{self as engine, DeflateConfig, DeflateStream, Method, Strategy};
use zlib_rs::{DeflateFlush, ReturnCode};

use super::{empty, lend, settle};
use crate::io::Io;
use crate::state::Alloc;

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

/// The engine's level for zlib's: its own level 1 writes fixed codes only and would exceed zlib's bound on
/// incompressible data, and zlib's level 1 output by a fifth; its level 2 keeps both.
fn engine_level(level: i32) -> i32 {
    if level == 1 { 2 } else { level }
}

/// A raw deflate stream of the software engine.
pub struct RawDeflate {
    z: z_stream,
}

impl RawDeflate {
    /// Opens a stream; with the program's allocator if it gave one.
    ///
    /// # Errors
    /// `MemError`, or `StreamError` for parameters out of range.
    pub fn new(params: Params, alloc: Option<Alloc>) -> Result<Self, ReturnCode> {
        let mut z = empty(alloc);
        let config = DeflateConfig {
            level: engine_level(params.level),
            method: Method::Deflated,
            window_bits: -params.window_bits,
            mem_level: params.mem_level,
            strategy: params.strategy,
        };
        match engine::init(&mut z, config) {
            ReturnCode::Ok => Ok(RawDeflate { z }),
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

    /// One step on the program's buffers.
    pub fn step(&mut self, io: &mut Io<'_>, flush: DeflateFlush) -> ReturnCode {
        lend(&mut self.z, io.raw());
        self.z.data_type = io.data_type();
        let code = engine::deflate(self.stream(), flush);
        settle(&self.z, io.raw());
        io.set_data_type(self.z.data_type);
        code
    }

    /// Compresses all of `input`, appending to `output`, up to and including what `flush` asks for.
    pub fn append(&mut self, mut input: &[u8], flush: DeflateFlush, output: &mut Vec<u8>) -> ReturnCode {
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

    /// See `deflateParams`; `io` takes what the change makes the engine write.
    pub fn params(&mut self, io: &mut Io<'_>, level: i32, strategy: Strategy) -> ReturnCode {
        lend(&mut self.z, io.raw());
        let code = engine::params(self.stream(), engine_level(level), strategy);
        settle(&self.z, io.raw());
        code
    }

    /// See `deflateSetDictionary` for a raw stream.
    pub fn set_dictionary(&mut self, dictionary: &[u8]) -> ReturnCode {
        engine::set_dictionary(self.stream(), dictionary)
    }

    /// The history, at most 32 KiB.
    pub fn history(&mut self) -> Vec<u8> {
        let mut out = vec![0; 32 << 10];
        // SAFETY: out has room for the largest window.
        let n = unsafe { engine::get_dictionary(self.stream(), out.as_mut_ptr()) };
        out.truncate(n);
        out
    }

    /// See `deflatePrime`.
    pub fn prime(&mut self, bits: i32, value: i32) -> ReturnCode {
        engine::prime(self.stream(), bits, value)
    }

    /// See `deflateTune`.
    pub fn tune(&mut self, good: usize, lazy: usize, nice: usize, chain: usize) {
        engine::tune(self.stream(), good, lazy, nice, chain);
    }

    /// Bytes and bits not written yet.
    pub fn pending(&mut self) -> (usize, u8) {
        self.stream().pending()
    }

    /// See `deflateUsed`.
    pub fn bits_used(&mut self) -> u8 {
        self.stream().bits_used()
    }

    /// Starts over; with `keep` the hash and history stay (`deflateResetKeep`).
    pub fn reset(&mut self, keep: bool) {
        if keep {
            engine::reset_keep(self.stream());
        } else {
            engine::reset(self.stream());
        }
        self.z.msg = std::ptr::null_mut();
    }

    /// A second stream in the same state.
    ///
    /// # Errors
    /// `MemError`.
    pub fn copy(&mut self) -> Result<Self, ReturnCode> {
        let mut dest = MaybeUninit::<DeflateStream<'static>>::uninit();
        match engine::copy(&mut dest, self.stream()) {
            ReturnCode::Ok => {
                // SAFETY: the copy succeeded, so dest is initialised; the two types have the same layout
                // (zlib-rs asserts it), and the copy has a state of its own.
                let z =
                    unsafe { std::mem::transmute::<DeflateStream<'static>, z_stream>(dest.assume_init()) };
                Ok(RawDeflate { z })
            }
            code => Err(code),
        }
    }

    /// Closes the stream. False if data was left inside (zlib's `Z_DATA_ERROR`).
    pub fn end(mut self) -> bool {
        let clean = engine::end(self.stream()).is_ok();
        std::mem::forget(self);
        clean
    }
}

impl Drop for RawDeflate {
    fn drop(&mut self) {
        let _ = engine::end(self.stream());
    }
}
