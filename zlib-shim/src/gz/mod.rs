//! The gzip file API over the library's own streams: reading, with transparent reading of other files and of
//! several members, and writing, with appending.

pub mod open;
mod read;
mod sys;
mod write;

use std::ffi::{CStr, CString, c_int, c_uint};
use std::io::Error;

use zlib_rs::ReturnCode;
use zlib_rs::c_api::z_stream;

use crate::export::{deflate, inflate};

/// zlib's text for a return code.
pub fn message(code: c_int) -> &'static CStr {
    match code {
        2 => c"need dictionary",
        1 => c"stream end",
        -1 => c"file error",
        -2 => c"stream error",
        -3 => c"data error",
        -4 => c"insufficient memory",
        -5 => c"buffer error",
        -6 => c"incompatible version",
        _ => c"",
    }
}

const OK: c_int = ReturnCode::Ok as c_int;
const ERRNO: c_int = ReturnCode::ErrNo as c_int;
const STREAM: c_int = ReturnCode::StreamError as c_int;
const DATA: c_int = ReturnCode::DataError as c_int;
const MEM: c_int = ReturnCode::MemError as c_int;
const BUF: c_int = ReturnCode::BufError as c_int;

/// Direction of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Opened with `r`.
    Read,
    /// Opened with `w` or `a`.
    Write,
}

/// What the reader is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Before a header.
    Look,
    /// Plain data, copied.
    Copy,
    /// A gzip member.
    Gzip,
}

/// What stands behind a `gzFile`. The first three fields are zlib's ABI: the `gzgetc` macro reads and writes
/// them.
#[repr(C)]
pub struct Gz {
    /// Bytes ready at `next`.
    have: c_uint,
    /// Next byte to read, inside `out`.
    next: *mut u8,
    /// Position in the uncompressed data.
    pos: i64,
    /// Tells our handles from another library's.
    magic: u64,
    mode: Mode,
    fd: c_int,
    path: Vec<u8>,
    /// Buffer size once buffers exist, else 0.
    size: usize,
    want: usize,
    input: Vec<u8>,
    /// Unused input: `input[in_at..in_end]`.
    in_at: usize,
    in_end: usize,
    out: Vec<u8>,
    /// Writing: filled part of `out`.
    out_end: usize,
    direct: bool,
    how: How,
    start: i64,
    eof: bool,
    past: bool,
    level: c_int,
    strategy: c_int,
    /// Writing: a member was finished, the next data begins another.
    reset: bool,
    skip: i64,
    seek: bool,
    err: c_int,
    text: Option<CString>,
    strm: Box<z_stream>,
    /// `strm` is open.
    opened: bool,
}

/// See [`Gz::magic`]; different in every copy of this library.
pub fn magic() -> u64 {
    (crate::state::FAMILY << 16 | 4) ^ crate::state::this_library() as u64
}

/// Offset of the magic in the handle, for the export layer to look before it casts.
pub const MAGIC_OFFSET: usize = std::mem::offset_of!(Gz, magic);

impl Gz {
    /// Records an error, with zlib's form of message; a serious one ends the `gzgetc` macro's supply.
    fn fail(&mut self, code: c_int, text: &[u8]) {
        if code != OK && code != BUF {
            self.have = 0;
        }
        self.err = code;
        self.text = (code != OK && !text.is_empty()).then(|| {
            let whole = [&self.path[..], b": ", text].concat();
            CString::new(whole.into_iter().take_while(|&b| b != 0).collect::<Vec<_>>()).unwrap_or_default()
        });
    }

    fn fail_os(&mut self, error: &Error) {
        let text = sys::text(error);
        self.fail(ERRNO, &text);
    }

    fn clear_error(&mut self) {
        self.fail(OK, b"");
    }

    /// Usable: no error, or one that more input may cure.
    fn readable(&self) -> bool {
        self.mode == Mode::Read && (self.err == OK || self.err == BUF)
    }

    fn writable(&self) -> bool {
        self.mode == Mode::Write && self.err == OK
    }

    /// Unused input, bytes.
    fn avail_in(&self) -> usize {
        self.in_end - self.in_at
    }

    /// Where `next` stands in `out`.
    fn next_at(&self) -> usize {
        (self.next as usize).wrapping_sub(self.out.as_ptr() as usize).min(self.out.len())
    }

    /// Offers `out[at..at + have]` to readers.
    fn offer(&mut self, at: usize, have: usize) {
        self.next = self.out.as_mut_ptr().wrapping_add(at);
        self.have = have as c_uint;
    }

    /// `gzerror`.
    pub fn error(&self) -> (c_int, &CStr) {
        let text = if self.err == MEM { c"out of memory" } else { self.text.as_deref().unwrap_or(c"") };
        (self.err, text)
    }

    /// `gzclearerr`.
    pub fn clear(&mut self) {
        if self.mode == Mode::Read {
            (self.eof, self.past) = (false, false);
        }
        self.clear_error();
    }

    /// `gzeof`.
    pub fn at_end(&self) -> bool {
        self.mode == Mode::Read && self.past
    }

    /// `gzbuffer`.
    pub fn buffer(&mut self, size: c_uint) -> c_int {
        if self.size != 0 || size.checked_mul(2).is_none() {
            return -1;
        }
        self.want = size.max(8) as usize;
        0
    }

    /// `gztell`.
    pub fn tell(&self) -> i64 {
        self.pos + if self.seek { self.skip } else { 0 }
    }

    /// `gzoffset`.
    pub fn offset(&self) -> i64 {
        let Some(at) = sys::seek(self.fd, 0, libc::SEEK_CUR) else { return -1 };
        if self.mode == Mode::Read { at - self.avail_in() as i64 } else { at }
    }

    /// `gzseek`.
    pub fn seek_to(&mut self, offset: i64, whence: c_int) -> i64 {
        if (self.err != OK && self.err != BUF) || !matches!(whence, libc::SEEK_SET | libc::SEEK_CUR) {
            return -1;
        }
        let mut offset = if whence == libc::SEEK_SET {
            offset.wrapping_sub(self.pos)
        } else if self.seek {
            offset.wrapping_add(self.skip)
        } else {
            offset
        };
        self.seek = false;
        let target = self.pos.wrapping_add(offset);
        if self.mode == Mode::Read && self.how == How::Copy && target >= 0 {
            if sys::seek(self.fd, offset - i64::from(self.have), libc::SEEK_CUR).is_none() {
                return -1;
            }
            (self.have, self.eof, self.past) = (0, false, false);
            self.clear_error();
            (self.in_at, self.in_end) = (0, 0);
            self.pos = target;
            return target;
        }
        if offset < 0 {
            if self.mode != Mode::Read || target < 0 || self.rewind() == -1 {
                return -1;
            }
            offset = target;
        }
        if self.mode == Mode::Read {
            let n = i64::from(self.have).min(offset);
            self.take(n as usize);
            offset -= n;
        }
        if offset != 0 {
            (self.seek, self.skip) = (true, offset);
        }
        self.pos + offset
    }

    /// `gzrewind`.
    pub fn rewind(&mut self) -> c_int {
        if !self.readable() || sys::seek(self.fd, self.start, libc::SEEK_SET).is_none() {
            return -1;
        }
        self.renew();
        0
    }

    /// Back to the start of the data.
    fn renew(&mut self) {
        self.have = 0;
        (self.eof, self.past, self.how) = (false, false, How::Look);
        (self.reset, self.seek) = (false, false);
        self.clear_error();
        self.pos = 0;
        (self.in_at, self.in_end) = (0, 0);
    }

    /// `gzclose`, `gzclose_r` and `gzclose_w`: zlib's code for how it went.
    pub fn close(&mut self) -> c_int {
        let mut code = OK;
        match self.mode {
            Mode::Read => {
                if self.err == BUF {
                    code = BUF;
                }
                if self.opened {
                    inflate::end(&mut self.strm);
                }
            }
            Mode::Write => {
                if self.seek {
                    self.seek = false;
                    if !self.zeros(self.skip) {
                        code = self.err;
                    }
                }
                if !self.compress(write::FINISH) {
                    code = self.err;
                }
                if self.opened {
                    deflate::end(&mut self.strm);
                }
            }
        }
        self.opened = false;
        if sys::close(self.fd) { code } else { ERRNO }
    }

    /// The direction.
    pub fn mode(&self) -> Mode {
        self.mode
    }
}
