//! UNSAFE: hands the program's callbacks and window to zlib-rs's inflateBack.
#![expect(unsafe_code)]

use std::ffi::c_void;

use zlib_rs::ReturnCode;
use zlib_rs::c_api::{in_func, out_func, z_stream};
use zlib_rs::inflate::{self as engine, InflateConfig, InflateStream, Window};

use super::{empty, lend};
use crate::io::Io;
use crate::state::{Alloc, FAMILY, Kind};

/// State behind a stream opened by `inflateBackInit`.
pub struct Back {
    z: z_stream,
}

impl Kind for Back {
    const MAGIC: u64 = FAMILY << 16 | 3;
}

impl Back {
    /// Opens a stream over the program's window of `1 << window_bits` bytes.
    ///
    /// # Errors
    /// `MemError`, `StreamError`.
    ///
    /// # Safety
    /// `window` points to that many bytes which live as long as the stream, as zlib documents.
    pub unsafe fn new(window_bits: i32, window: *mut u8, alloc: Option<Alloc>) -> Result<Self, ReturnCode> {
        let mut z = empty(alloc);
        // SAFETY: contract of this function.
        let window = unsafe { Window::from_raw_parts(window, 1 << window_bits) };
        match engine::back_init(&mut z, InflateConfig { window_bits }, window) {
            ReturnCode::Ok => Ok(Back { z }),
            code => Err(code),
        }
    }

    /// See `inflateBack`.
    ///
    /// # Safety
    /// The callbacks keep zlib's contract for them.
    pub unsafe fn run(
        &mut self,
        io: &mut Io<'_>,
        input: in_func,
        input_context: *mut c_void,
        output: out_func,
        output_context: *mut c_void,
    ) -> ReturnCode {
        lend(&mut self.z, io.raw());
        // SAFETY: z was initialised by back_init, and is so until drop.
        let Some(stream) = (unsafe { InflateStream::from_stream_mut(&mut self.z) }) else {
            return ReturnCode::StreamError;
        };
        // SAFETY: contract of this function.
        let code = unsafe { engine::back(stream, input, input_context, output, output_context) };
        let outer = io.raw();
        outer.next_in = self.z.next_in;
        outer.avail_in = self.z.avail_in;
        outer.msg = self.z.msg;
        code
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        // SAFETY: as in run.
        if let Some(stream) = unsafe { InflateStream::from_stream_mut(&mut self.z) } {
            engine::back_end(stream);
        }
    }
}
