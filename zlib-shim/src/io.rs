//! UNSAFE: the cast from a program's buffers to slices.
//!
//! `Io` is a program's `z_stream` during one call: everything behind this file sees slices and counts only.
#![expect(unsafe_code)]

use std::slice;

use zlib_rs::ReturnCode;
use zlib_rs::c_api::z_stream;

/// A position in the input, to see later what was taken since.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    next: *const u8,
    avail: u32,
}

impl Mark {
    /// Input bytes left at the mark.
    pub fn avail(self) -> usize {
        self.avail as usize
    }
}

/// A position in the output, to see later what was made since.
#[derive(Debug, Clone, Copy)]
pub struct OutMark {
    next: *mut u8,
    avail: u32,
}

/// A program's stream during one call.
pub struct Io<'a> {
    strm: &'a mut z_stream,
}

impl<'a> Io<'a> {
    /// Borrows the stream for one call. Its buffers are valid for that long, by zlib's contract.
    pub fn new(strm: &'a mut z_stream) -> Self {
        Io { strm }
    }

    /// The stream itself, for the software engine's wrappers.
    pub fn raw(&mut self) -> &mut z_stream {
        self.strm
    }

    /// Whether the buffer pointers are unusable: no output buffer, or input promised without a buffer.
    pub fn unusable(&self) -> bool {
        self.strm.next_out.is_null() || (self.strm.next_in.is_null() && self.strm.avail_in != 0)
    }

    /// Input bytes left.
    pub fn avail_in(&self) -> usize {
        self.strm.avail_in as usize
    }

    /// Output space left, bytes.
    pub fn avail_out(&self) -> usize {
        self.strm.avail_out as usize
    }

    /// All input left.
    pub fn input(&self) -> &[u8] {
        if self.strm.avail_in == 0 || self.strm.next_in.is_null() {
            return &[];
        }
        // SAFETY: next_in points to avail_in readable bytes, by zlib's contract with the program.
        unsafe { slice::from_raw_parts(self.strm.next_in, self.strm.avail_in as usize) }
    }

    /// All input left and all output space left. The output's old content is never read.
    pub fn split(&mut self) -> (&[u8], &mut [u8]) {
        let output: &mut [u8] = if self.strm.avail_out == 0 || self.strm.next_out.is_null() {
            &mut []
        } else {
            // SAFETY: next_out points to avail_out writable bytes that nobody else uses during the call, by
            // zlib's contract with the program.
            unsafe { slice::from_raw_parts_mut(self.strm.next_out, self.strm.avail_out as usize) }
        };
        (self.input(), output)
    }

    /// Input of `n` bytes has been used.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.strm.avail_in as usize);
        self.strm.next_in = self.strm.next_in.wrapping_add(n);
        self.strm.avail_in -= n as u32;
        self.strm.total_in = self.strm.total_in.wrapping_add(n as u64);
    }

    /// The first `n` bytes of the output space have been filled.
    pub fn produce(&mut self, n: usize) {
        let n = n.min(self.strm.avail_out as usize);
        self.strm.next_out = self.strm.next_out.wrapping_add(n);
        self.strm.avail_out -= n as u32;
        self.strm.total_out = self.strm.total_out.wrapping_add(n as u64);
    }

    /// The input's present position.
    pub fn mark(&self) -> Mark {
        Mark { next: self.strm.next_in, avail: self.strm.avail_in }
    }

    /// The input taken since `mark`, which was made in the same call.
    pub fn taken_since(&self, mark: Mark) -> &[u8] {
        let n = mark.avail.saturating_sub(self.strm.avail_in) as usize;
        if n == 0 || mark.next.is_null() {
            return &[];
        }
        // SAFETY: the program's input at the mark was that many bytes at least, valid during the whole call.
        unsafe { slice::from_raw_parts(mark.next, n) }
    }

    /// The output's present position.
    pub fn out_mark(&self) -> OutMark {
        OutMark { next: self.strm.next_out, avail: self.strm.avail_out }
    }

    /// The output made since `mark`, which was made in the same call.
    pub fn made_since(&self, mark: OutMark) -> &[u8] {
        let n = mark.avail.saturating_sub(self.strm.avail_out) as usize;
        if n == 0 || mark.next.is_null() {
            return &[];
        }
        // SAFETY: these bytes of the program's output buffer were written in this call.
        unsafe { slice::from_raw_parts(mark.next, n) }
    }

    /// Copies as much of `bytes` as there is space for; returns how much.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let output = self.split().1;
        let n = bytes.len().min(output.len());
        output[..n].copy_from_slice(&bytes[..n]);
        self.produce(n);
        n
    }

    /// `total_in` of the stream, as the program sees it.
    pub fn total_in(&self) -> u64 {
        self.strm.total_in
    }

    /// Sets `total_in`.
    pub fn set_total_in(&mut self, value: u64) {
        self.strm.total_in = value;
    }

    /// Adds `n` to `total_in`.
    pub fn count_in(&mut self, n: usize) {
        self.strm.total_in = self.strm.total_in.wrapping_add(n as u64);
    }

    /// Sets the check value that the program sees.
    pub fn set_adler(&mut self, value: u32) {
        self.strm.adler = value.into();
    }

    /// `data_type` as the program sees it.
    pub fn data_type(&self) -> i32 {
        self.strm.data_type
    }

    /// Sets `data_type`.
    pub fn set_data_type(&mut self, value: i32) {
        self.strm.data_type = value;
    }

    /// Leaves zlib's standard message for `code` with the stream, and passes the code on.
    pub fn error(&mut self, code: ReturnCode) -> ReturnCode {
        self.strm.msg = code.error_message().cast_mut();
        code
    }

    /// What every reset does: counts to zero, no message.
    pub fn reset_counts(&mut self) {
        self.strm.total_in = 0;
        self.strm.total_out = 0;
        self.strm.msg = std::ptr::null_mut();
    }
}
