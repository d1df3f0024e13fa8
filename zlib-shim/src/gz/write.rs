//! Writing gzip files.

use std::ffi::c_int;

use zlib_rs::ReturnCode;

use super::{Gz, MEM, OK, STREAM, sys};
use crate::export::deflate;

/// `Z_NO_FLUSH`.
const NO_FLUSH: c_int = 0;
/// `Z_FINISH`.
pub const FINISH: c_int = 4;

impl Gz {
    /// Makes buffers and stream at the first use. False: an error was recorded.
    fn begin(&mut self) -> bool {
        if self.size != 0 {
            return true;
        }
        self.input = vec![0; self.want * 2];
        if !self.direct {
            self.out = vec![0; self.want];
            // 31: gzip, full window; 8: zlib's default memory level.
            if deflate::open(&mut self.strm, self.level, 8, 31, 8, self.strategy) != ReturnCode::Ok {
                self.fail(MEM, b"out of memory");
                return false;
            }
            self.opened = true;
        }
        self.size = self.want;
        true
    }

    fn put(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match sys::write(self.fd, bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(error) => {
                    self.fail_os(&error);
                    return false;
                }
            }
        }
        true
    }

    /// Writes out what is compressed.
    fn flush_out(&mut self) -> bool {
        let out = std::mem::take(&mut self.out);
        let done = self.put(&out[..self.out_end]);
        self.out = out;
        self.out_end = 0;
        done
    }

    /// Compresses the gathered input with `flush` and writes what comes. False: an error was recorded.
    pub(super) fn compress(&mut self, flush: c_int) -> bool {
        if !self.begin() {
            return false;
        }
        let input = std::mem::take(&mut self.input);
        let done = self.feed(&input[self.in_at..self.in_end], flush);
        self.input = input;
        (self.in_at, self.in_end) = (0, 0);
        done
    }

    /// Compresses `bytes`, which are not in the gathering buffer.
    fn feed(&mut self, bytes: &[u8], flush: c_int) -> bool {
        if self.direct {
            return self.put(bytes);
        }
        if self.reset {
            // A finished member: the next one begins with data only.
            if bytes.is_empty() {
                return true;
            }
            deflate::restart(&mut self.strm);
            self.reset = false;
        }
        let mut rest = bytes;
        loop {
            let now = rest.len().min(u32::MAX as usize);
            let flush_now = if now == rest.len() { flush } else { NO_FLUSH };
            self.strm.next_in = rest.as_ptr();
            self.strm.avail_in = now as u32;
            let mut ended = false;
            loop {
                if self.out_end == self.out.len() && !self.flush_out() {
                    return false;
                }
                let room = self.out.len() - self.out_end;
                self.strm.next_out = self.out[self.out_end..].as_mut_ptr();
                self.strm.avail_out = room as u32;
                let code = deflate::step(&mut self.strm, flush_now);
                if code == ReturnCode::StreamError {
                    self.fail(STREAM, b"internal error: deflate stream corrupt");
                    return false;
                }
                if code == ReturnCode::MemError {
                    self.fail(MEM, b"out of memory");
                    return false;
                }
                self.out_end = self.out.len() - self.strm.avail_out as usize;
                ended = ended || code == ReturnCode::StreamEnd;
                if self.strm.avail_out != 0 {
                    break;
                }
            }
            rest = &rest[now - self.strm.avail_in as usize..];
            if rest.is_empty() {
                break;
            }
        }
        if flush != NO_FLUSH && !self.flush_out() {
            return false;
        }
        self.reset = flush == FINISH;
        true
    }

    /// Writes `n` zero bytes: a seek forward.
    pub(super) fn zeros(&mut self, n: i64) -> bool {
        if !self.compress(NO_FLUSH) {
            return false;
        }
        let zeros = vec![0; self.size.max(1)];
        let mut left = n;
        while left > 0 {
            let now = left.min(zeros.len() as i64);
            if !self.feed(&zeros[..now as usize], NO_FLUSH) {
                return false;
            }
            self.pos += now;
            left -= now;
        }
        true
    }

    fn due_zeros(&mut self) -> bool {
        !std::mem::take(&mut self.seek) || self.zeros(self.skip)
    }

    /// Writes all of `bytes`; 0 on error.
    fn append(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        if !self.begin() || !self.due_zeros() {
            return 0;
        }
        if bytes.len() >= self.size {
            if self.in_end != self.in_at && !self.compress(NO_FLUSH) {
                return 0;
            }
            self.pos += bytes.len() as i64;
            return if self.feed(bytes, NO_FLUSH) { bytes.len() } else { 0 };
        }
        let mut rest = bytes;
        loop {
            let n = rest.len().min(self.size - self.in_end);
            self.input[self.in_end..self.in_end + n].copy_from_slice(&rest[..n]);
            self.in_end += n;
            self.pos += n as i64;
            rest = &rest[n..];
            if rest.is_empty() {
                return bytes.len();
            }
            if !self.compress(NO_FLUSH) {
                return 0;
            }
        }
    }

    /// `gzwrite`.
    pub fn write(&mut self, bytes: &[u8]) -> c_int {
        if !self.writable() {
            return 0;
        }
        if bytes.len() > i32::MAX as usize {
            self.fail(super::DATA, b"requested length does not fit in int");
            return 0;
        }
        self.append(bytes) as c_int
    }

    /// `gzfwrite`, for a request that fits: bytes written.
    pub fn fwrite(&mut self, bytes: &[u8]) -> usize {
        if self.writable() { self.append(bytes) } else { 0 }
    }

    /// `gzputc`.
    pub fn put_byte(&mut self, c: c_int) -> c_int {
        let byte = c as u8;
        if self.writable() && self.append(&[byte]) == 1 { byte.into() } else { -1 }
    }

    /// `gzputs`.
    pub fn put_text(&mut self, text: &[u8]) -> c_int {
        if !self.writable() {
            return -1;
        }
        if text.len() > i32::MAX as usize {
            self.fail(STREAM, b"string length does not fit in int");
            return -1;
        }
        if self.append(text) < text.len() { -1 } else { text.len() as c_int }
    }

    /// `gzvprintf`: has `format` write a text of less than the buffer's size into the slice it is given and
    /// return the whole text's length.
    pub fn print(&mut self, format: impl FnOnce(&mut [u8]) -> c_int) -> c_int {
        if !self.writable() {
            return STREAM;
        }
        if !self.begin() || !self.due_zeros() {
            return self.err;
        }
        let at = self.in_end;
        let length = format(&mut self.input[at..at + self.size]);
        // What does not fit is not written at all.
        if length <= 0 || length as usize >= self.size {
            return 0;
        }
        self.in_end += length as usize;
        self.pos += i64::from(length);
        if self.in_end >= self.size && !self.compress(NO_FLUSH) {
            return self.err;
        }
        length
    }

    /// `gzflush`.
    pub fn flush(&mut self, flush: c_int) -> c_int {
        if !self.writable() || !(0..=FINISH).contains(&flush) {
            return STREAM;
        }
        if self.due_zeros() {
            self.compress(flush);
        }
        self.err
    }

    /// `gzsetparams`.
    pub fn set_params(&mut self, level: c_int, strategy: c_int) -> c_int {
        if !self.writable() || self.direct {
            return STREAM;
        }
        if (level, strategy) == (self.level, self.strategy) {
            return OK;
        }
        if !self.due_zeros() {
            return self.err;
        }
        if self.size != 0 {
            if !self.compress(NO_FLUSH) {
                return self.err;
            }
            loop {
                if self.out_end == self.out.len() && !self.flush_out() {
                    return self.err;
                }
                self.strm.avail_in = 0;
                self.strm.next_out = self.out[self.out_end..].as_mut_ptr();
                self.strm.avail_out = (self.out.len() - self.out_end) as u32;
                let code = deflate::params(&mut self.strm, level, strategy);
                self.out_end = self.out.len() - self.strm.avail_out as usize;
                // Out of space for what the old parameters still have to write: once more.
                if code != ReturnCode::BufError || self.strm.avail_out != 0 {
                    break;
                }
            }
        }
        (self.level, self.strategy) = (level, strategy);
        OK
    }
}
