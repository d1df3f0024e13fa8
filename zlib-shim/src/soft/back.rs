//! UNSAFE: calls the program's callbacks of inflateBack and writes to its window.
#![expect(unsafe_code)]

use std::ffi::c_void;
use std::{ptr, slice};

use zlib_rs::ReturnCode;
use zlib_rs::c_api::{in_func, out_func};

use crate::inflate::back::Stream;
use crate::io::Io;
use crate::state::{Alloc, FAMILY, Kind};

/// State behind a stream opened by `inflateBackInit`.
pub struct Back {
    window: *mut u8,
    window_size: usize,
    stream: Stream,
}

impl Kind for Back {
    const MAGIC: u64 = FAMILY << 16 | 3;
}

/// The program during one call of `inflateBack`: its callbacks, its window, and the last portion it gave.
pub struct Program {
    input: in_func,
    input_context: *mut c_void,
    output: out_func,
    output_context: *mut c_void,
    window: *mut u8,
    window_size: usize,
    portion: *const u8,
    length: u32,
}

impl Program {
    /// The portion of input that the program gave last; empty if it had none.
    pub fn portion(&self) -> &[u8] {
        if self.portion.is_null() || self.length == 0 {
            return &[];
        }
        // SAFETY: the program's memory until `in()` is called again, by zlib's contract; that takes `&mut`.
        unsafe { slice::from_raw_parts(self.portion, self.length as usize) }
    }

    /// Asks for the next portion; false if there is none.
    pub fn pull(&mut self) -> bool {
        let mut next = self.portion;
        // SAFETY: the callback with its context, called as zlib documents (contract of `Back::run`).
        self.length = unsafe { (self.input)(self.input_context, &mut next) };
        if self.length == 0 || next.is_null() {
            (self.portion, self.length) = (ptr::null(), 0);
        } else {
            self.portion = next;
        }
        !self.portion().is_empty()
    }

    /// Size of the window, bytes.
    pub fn window(&self) -> usize {
        self.window_size
    }

    /// Copies `bytes` to offset `at` of the window, as far as they fit.
    pub fn fill(&mut self, at: usize, bytes: &[u8]) {
        let n = bytes.len().min(self.window_size.saturating_sub(at));
        // SAFETY: the window has window_size bytes (contract of `Back::new`), and at + n are within; bytes
        // are this library's own.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.window.wrapping_add(at), n) };
    }

    /// Gives the first `n` bytes of the window to the program; false if it refuses.
    pub fn deliver(&mut self, n: usize) -> bool {
        let n = n.min(self.window_size) as u32;
        // SAFETY: as in pull; the window holds n bytes.
        unsafe { (self.output)(self.output_context, self.window, n) == 0 }
    }
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
        let stream = Stream::new(window_bits, alloc)?;
        Ok(Back { window, window_size: 1 << window_bits, stream })
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
        let outer = io.raw();
        let mut program = Program {
            input,
            input_context,
            output,
            output_context,
            window: self.window,
            window_size: self.window_size,
            portion: outer.next_in,
            length: outer.avail_in,
        };
        let end = self.stream.run(&mut program);
        outer.next_in = program.portion.wrapping_add(end.used);
        outer.avail_in = program.length.saturating_sub(end.used as u32);
        outer.msg = end.message;
        end.code
    }
}
