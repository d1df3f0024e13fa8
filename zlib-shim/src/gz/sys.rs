//! UNSAFE: system calls on the file behind a gzip file handle.
#![expect(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::io::Error;

/// Opens `path`; the descriptor, or the error.
pub fn open(path: &CStr, flags: c_int) -> Result<c_int, Error> {
    // SAFETY: path is NUL-terminated by its type.
    let fd = unsafe { libc::open64(path.as_ptr(), flags | libc::O_LARGEFILE, 0o666 as libc::mode_t) };
    if fd < 0 { Err(Error::last_os_error()) } else { Ok(fd) }
}

/// Reads once.
pub fn read(fd: c_int, to: &mut [u8]) -> Result<usize, Error> {
    let n = to.len().min(1 << 30);
    // SAFETY: to has room for n bytes.
    let got = unsafe { libc::read(fd, to.as_mut_ptr().cast(), n) };
    usize::try_from(got).map_err(|_| Error::last_os_error())
}

/// Writes once.
pub fn write(fd: c_int, from: &[u8]) -> Result<usize, Error> {
    let n = from.len().min(1 << 30);
    // SAFETY: from has n bytes.
    let put = unsafe { libc::write(fd, from.as_ptr().cast(), n) };
    usize::try_from(put).map_err(|_| Error::last_os_error())
}

/// Moves the file position; the new one, or `None`.
pub fn seek(fd: c_int, offset: i64, whence: c_int) -> Option<i64> {
    // SAFETY: lseek has no precondition.
    let at = unsafe { libc::lseek64(fd, offset, whence) };
    (at >= 0).then_some(at)
}

/// Closes; whether that succeeded.
pub fn close(fd: c_int) -> bool {
    // SAFETY: the handle owns the descriptor and is being destroyed.
    unsafe { libc::close(fd) == 0 }
}

/// The system's own words for an error.
pub fn text(error: &Error) -> Vec<u8> {
    let mut buffer = [0u8; 128];
    let code = error.raw_os_error().unwrap_or(0);
    // SAFETY: the buffer has the given length; the POSIX variant writes a NUL-terminated text into it.
    let done = unsafe { libc::strerror_r(code, buffer.as_mut_ptr().cast(), buffer.len()) };
    match CStr::from_bytes_until_nul(&buffer) {
        Ok(text) if done == 0 => text.to_bytes().to_vec(),
        _ => b"input/output error".to_vec(),
    }
}
