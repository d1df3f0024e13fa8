//! Reading gzip files.

use std::ffi::c_int;

use zlib_rs::ReturnCode;

use super::{BUF, DATA, Gz, How, MEM, STREAM, sys};
use crate::export::inflate;

/// A serious error was recorded.
struct Failed;

impl Gz {
    /// Reads from the file until `to` is full or the file ends.
    fn load(&mut self, to: &mut [u8]) -> Result<usize, Failed> {
        let mut have = 0;
        while have < to.len() {
            match sys::read(self.fd, &mut to[have..]) {
                Ok(0) => {
                    self.eof = true;
                    break;
                }
                Ok(n) => have += n,
                Err(error) => {
                    self.fail_os(&error);
                    return Err(Failed);
                }
            }
        }
        Ok(have)
    }

    /// Tops up the input buffer.
    fn refill(&mut self) -> Result<(), Failed> {
        if self.err != super::OK && self.err != BUF {
            return Err(Failed);
        }
        if !self.eof {
            let left = self.avail_in();
            self.input.copy_within(self.in_at..self.in_end, 0);
            (self.in_at, self.in_end) = (0, left);
            let mut input = std::mem::take(&mut self.input);
            let got = self.load(&mut input[left..]);
            self.input = input;
            self.in_end += got?;
        }
        Ok(())
    }

    /// Looks for a header and decides what follows.
    fn look(&mut self) -> Result<(), Failed> {
        if self.size == 0 {
            self.input = vec![0; self.want];
            self.out = vec![0; self.want * 2];
            self.size = self.want;
            // 31: gzip, full window.
            if inflate::open(&mut self.strm, 31) != ReturnCode::Ok {
                self.size = 0;
                self.fail(MEM, b"out of memory");
                return Err(Failed);
            }
            self.opened = true;
        }
        if self.avail_in() < 2 {
            self.refill()?;
            if self.avail_in() == 0 {
                return Ok(());
            }
        }
        if self.input[self.in_at..self.in_end].starts_with(&[31, 139]) {
            inflate::restart(&mut self.strm);
            (self.how, self.direct) = (How::Gzip, false);
            return Ok(());
        }
        if !self.direct {
            // Behind a gzip member: garbage, ignored.
            (self.in_at, self.in_end) = (0, 0);
            self.eof = true;
            self.have = 0;
            return Ok(());
        }
        let n = self.avail_in();
        self.out[..n].copy_from_slice(&self.input[self.in_at..self.in_end]);
        (self.in_at, self.in_end) = (0, 0);
        self.offer(0, n);
        self.how = How::Copy;
        Ok(())
    }

    /// Decodes into `to`; returns how much.
    fn decode(&mut self, to: &mut [u8]) -> Result<usize, Failed> {
        let room = to.len().min(u32::MAX as usize);
        self.strm.next_out = to.as_mut_ptr();
        self.strm.avail_out = room as u32;
        loop {
            if self.avail_in() == 0 {
                self.refill()?;
                if self.avail_in() == 0 {
                    self.fail(BUF, b"unexpected end of file");
                    break;
                }
            }
            self.strm.next_in = self.input[self.in_at..].as_ptr();
            self.strm.avail_in = self.avail_in() as u32;
            let code = inflate::step(&mut self.strm, 0);
            self.in_at = self.in_end - self.strm.avail_in as usize;
            match code {
                ReturnCode::StreamError | ReturnCode::NeedDict => {
                    self.fail(STREAM, b"internal error: inflate stream corrupt");
                    return Err(Failed);
                }
                ReturnCode::MemError => {
                    self.fail(MEM, b"out of memory");
                    return Err(Failed);
                }
                ReturnCode::DataError => {
                    let text = inflate::message(&self.strm).unwrap_or(c"compressed data error");
                    self.fail(DATA, text.to_bytes());
                    return Err(Failed);
                }
                ReturnCode::StreamEnd => {
                    self.how = How::Look;
                    break;
                }
                _ if self.strm.avail_out == 0 => break,
                _ => {}
            }
        }
        Ok(room - self.strm.avail_out as usize)
    }

    /// Puts something into the output buffer, if there is anything left.
    fn fetch(&mut self) -> Result<(), Failed> {
        loop {
            match self.how {
                How::Look => {
                    self.look()?;
                    if self.how == How::Look {
                        return Ok(());
                    }
                }
                How::Copy | How::Gzip => {
                    let mut out = std::mem::take(&mut self.out);
                    let got = if self.how == How::Copy { self.load(&mut out) } else { self.decode(&mut out) };
                    self.out = out;
                    let copy = self.how == How::Copy;
                    self.offer(0, got?);
                    if copy {
                        return Ok(());
                    }
                }
            }
            if self.have != 0 || (self.eof && self.avail_in() == 0) {
                return Ok(());
            }
        }
    }

    /// Marks `n` bytes at `next` as read.
    pub(super) fn take(&mut self, n: usize) {
        self.next = self.next.wrapping_add(n);
        self.have -= n as u32;
        self.pos += n as i64;
    }

    fn finished(&self) -> bool {
        self.eof && self.avail_in() == 0
    }

    /// Does a seek that is due.
    fn due_skip(&mut self) -> Result<(), Failed> {
        if !self.seek {
            return Ok(());
        }
        self.seek = false;
        let mut left = self.skip;
        while left > 0 {
            if self.have != 0 {
                let n = i64::from(self.have).min(left);
                self.take(n as usize);
                left -= n;
            } else if self.finished() {
                break;
            } else {
                self.fetch()?;
            }
        }
        Ok(())
    }

    fn fill(&mut self, to: &mut [u8]) -> Result<usize, Failed> {
        if to.is_empty() {
            return Ok(0);
        }
        self.due_skip()?;
        let mut got = 0;
        while got < to.len() {
            let rest = &mut to[got..];
            let n = if self.have != 0 {
                let n = rest.len().min(self.have as usize);
                let at = self.next_at();
                rest[..n].copy_from_slice(&self.out[at..at + n]);
                self.next = self.next.wrapping_add(n);
                self.have -= n as u32;
                n
            } else if self.finished() {
                self.past = true;
                break;
            } else if self.how == How::Look || rest.len() < self.size * 2 {
                self.fetch()?;
                continue;
            } else if self.how == How::Copy {
                self.load(rest)?
            } else {
                self.decode(rest)?
            };
            got += n;
            self.pos += n as i64;
        }
        Ok(got)
    }

    /// Bytes read; errors are recorded and give what was read before, or 0.
    fn bytes(&mut self, to: &mut [u8]) -> usize {
        self.fill(to).unwrap_or(0)
    }

    /// `gzread`.
    pub fn read(&mut self, to: &mut [u8]) -> c_int {
        if !self.readable() {
            return -1;
        }
        if to.len() > i32::MAX as usize {
            self.fail(STREAM, b"request does not fit in an int");
            return -1;
        }
        let got = self.bytes(to);
        if got == 0 && self.err != super::OK && self.err != BUF { -1 } else { got as c_int }
    }

    /// `gzfread`, for a request that fits: bytes read.
    pub fn fread(&mut self, to: &mut [u8]) -> usize {
        if self.readable() { self.bytes(to) } else { 0 }
    }

    /// A request of `gzfread` or `gzfwrite` whose size overflows.
    pub fn too_large(&mut self) {
        self.fail(STREAM, b"request does not fit in a size_t");
    }

    /// `gzgetc`.
    pub fn get(&mut self) -> c_int {
        let mut one = [0];
        if self.readable() && self.bytes(&mut one) == 1 { one[0].into() } else { -1 }
    }

    /// `gzungetc`.
    pub fn unget(&mut self, c: c_int) -> c_int {
        if self.mode == super::Mode::Read && self.how == How::Look && self.have == 0 {
            // Just opened: there must be a buffer to push into.
            let _ = self.look();
        }
        if !self.readable() || self.due_skip().is_err() || c < 0 || self.out.is_empty() {
            return -1;
        }
        let whole = self.out.len();
        let at = if self.have == 0 {
            whole
        } else if self.have as usize == whole {
            self.fail(DATA, b"out of room to push characters");
            return -1;
        } else if self.next_at() == 0 {
            let have = self.have as usize;
            self.out.copy_within(..have, whole - have);
            whole - have
        } else {
            self.next_at()
        };
        self.out[at - 1] = c as u8;
        self.offer(at - 1, self.have as usize + 1);
        self.pos -= 1;
        self.past = false;
        c
    }

    /// `gzgets`: reads a line into `to`, which has room for the NUL that follows. False at the end or on error.
    pub fn line(&mut self, to: &mut [u8]) -> bool {
        let Some((end, _)) = to.split_last_mut().map(|(_, body)| (body.len(), ())) else { return false };
        if !self.readable() || self.due_skip().is_err() {
            return false;
        }
        let mut got = 0;
        while got < end {
            if self.have == 0 && self.fetch().is_err() {
                return false;
            }
            if self.have == 0 {
                self.past = true;
                break;
            }
            let at = self.next_at();
            let n = (self.have as usize).min(end - got);
            let piece = &self.out[at..at + n];
            let eol = piece.iter().position(|&b| b == b'\n');
            let n = eol.map_or(n, |i| i + 1);
            to[got..got + n].copy_from_slice(&piece[..n]);
            self.take(n);
            got += n;
            if eol.is_some() {
                break;
            }
        }
        if got == 0 {
            return false;
        }
        to[got] = 0;
        true
    }

    /// `gzdirect`.
    pub fn plain(&mut self) -> bool {
        if self.mode == super::Mode::Read && self.how == How::Look && self.have == 0 {
            let _ = self.look();
        }
        self.direct
    }
}
