//! Opening gzip files: the mode string.

use std::ffi::{CStr, c_int};

use super::{Gz, How, Mode, OK, magic, sys};
use crate::oneshot::unopened;

/// zlib's default buffer size, bytes.
const BUFFER: usize = 8192;

/// What a mode string asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    mode: Mode,
    append: bool,
    level: c_int,
    strategy: c_int,
    direct: bool,
    flags: c_int,
}

/// Reads zlib's mode string: `r`, `w` or `a`, a level digit, a strategy letter, and `b`, `e`, `x`, `T`. Other
/// letters are ignored, as in zlib; `+` and contradictions give `None`.
fn parse(mode: &[u8]) -> Option<Wish> {
    let mut wish = Wish { mode: Mode::Read, append: false, level: -1, strategy: 0, direct: false, flags: 0 };
    let mut known = false;
    for &letter in mode {
        match letter {
            b'0'..=b'9' => wish.level = c_int::from(letter - b'0'),
            b'r' => (wish.mode, wish.append, known) = (Mode::Read, false, true),
            b'w' => (wish.mode, wish.append, known) = (Mode::Write, false, true),
            b'a' => (wish.mode, wish.append, known) = (Mode::Write, true, true),
            b'+' => return None,
            b'e' => wish.flags |= libc::O_CLOEXEC,
            b'x' => wish.flags |= libc::O_EXCL,
            b'f' => wish.strategy = 1,
            b'h' => wish.strategy = 2,
            b'R' => wish.strategy = 3,
            b'F' => wish.strategy = 4,
            b'T' => wish.direct = true,
            _ => {}
        }
    }
    if !known || (wish.mode == Mode::Read && wish.direct) {
        return None;
    }
    wish.flags = match wish.mode {
        Mode::Read => libc::O_RDONLY | wish.flags & libc::O_CLOEXEC,
        Mode::Write => {
            libc::O_WRONLY
                | libc::O_CREAT
                | wish.flags
                | if wish.append { libc::O_APPEND } else { libc::O_TRUNC }
        }
    };
    Some(wish)
}

fn handle(wish: &Wish, fd: c_int, path: Vec<u8>) -> Box<Gz> {
    let start = match (wish.mode, wish.append) {
        (Mode::Read, _) => sys::seek(fd, 0, libc::SEEK_CUR).unwrap_or(0),
        (Mode::Write, true) => sys::seek(fd, 0, libc::SEEK_END).unwrap_or(0),
        (Mode::Write, false) => 0,
    };
    Box::new(Gz {
        have: 0,
        next: std::ptr::null_mut(),
        pos: 0,
        magic: magic(),
        mode: wish.mode,
        fd,
        path,
        size: 0,
        want: BUFFER,
        input: Vec::new(),
        in_at: 0,
        in_end: 0,
        out: Vec::new(),
        out_end: 0,
        // An empty file reads as plain.
        direct: wish.direct || wish.mode == Mode::Read,
        how: How::Look,
        start,
        eof: false,
        past: false,
        level: wish.level,
        strategy: wish.strategy,
        reset: false,
        skip: 0,
        seek: false,
        err: OK,
        text: None,
        strm: Box::new(unopened()),
        opened: false,
    })
}

/// `gzopen`.
pub fn open(path: &CStr, mode: &CStr) -> Option<Box<Gz>> {
    let wish = parse(mode.to_bytes())?;
    let fd = sys::open(path, wish.flags).ok()?;
    Some(handle(&wish, fd, path.to_bytes().to_vec()))
}

/// `gzdopen`.
pub fn adopt(fd: c_int, mode: &CStr) -> Option<Box<Gz>> {
    let wish = parse(mode.to_bytes()).filter(|_| fd != -1)?;
    Some(handle(&wish, fd, format!("<fd:{fd}>").into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_strings_mean_what_zlib_says() {
        let read = parse(b"rb").expect("valid");
        assert_eq!((read.mode, read.flags, read.direct), (Mode::Read, libc::O_RDONLY, false));
        let write = parse(b"wb9h").expect("valid");
        assert_eq!((write.mode, write.level, write.strategy), (Mode::Write, 9, 2));
        assert_eq!(write.flags, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC);
        let append = parse(b"aeT").expect("valid");
        assert_eq!(append.flags, libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC);
        assert!(append.direct);
        assert_eq!(parse(b"wx").expect("valid").flags & libc::O_EXCL, libc::O_EXCL);
    }

    #[test]
    fn impossible_modes_are_refused() {
        for mode in [&b""[..], b"b", b"6", b"r+", b"w+", b"rT"] {
            assert_eq!(parse(mode), None, "{mode:?}");
        }
    }
}
