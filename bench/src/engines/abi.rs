//! zlib's C interface as a table of functions, of whatever library.
//!
//! UNSAFE: functions of other libraries are called by the prototypes of zlib.h.
#![allow(unsafe_code, reason = "C functions of a library opened at run time")]

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

use anyhow::{Result, ensure};

/// zlib's `z_stream`; zlib-ng's agrees up to `data_type`, which is all that is used here.
#[repr(C)]
pub struct Stream {
    next_in: *const u8,
    avail_in: c_uint,
    total_in: c_ulong,
    next_out: *mut u8,
    avail_out: c_uint,
    total_out: c_ulong,
    msg: *const c_char,
    state: *mut c_void,
    zalloc: *mut c_void,
    zfree: *mut c_void,
    opaque: *mut c_void,
    data_type: c_int,
    adler: c_ulong,
    reserved: c_ulong,
}

/// A pointer to a stream, whatever the library calls its type.
pub type Strm = *mut Stream;

/// The functions used. Which of them are null is never looked at: all are there.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "zlib's names")]
pub struct Functions {
    pub deflate_init2:
        unsafe extern "C" fn(Strm, c_int, c_int, c_int, c_int, c_int, *const c_char, c_int) -> c_int,
    pub deflate: unsafe extern "C" fn(Strm, c_int) -> c_int,
    pub deflate_reset: unsafe extern "C" fn(Strm) -> c_int,
    pub deflate_end: unsafe extern "C" fn(Strm) -> c_int,
    pub inflate_init2: unsafe extern "C" fn(Strm, c_int, *const c_char, c_int) -> c_int,
    pub inflate: unsafe extern "C" fn(Strm, c_int) -> c_int,
    pub inflate_reset: unsafe extern "C" fn(Strm) -> c_int,
    pub inflate_end: unsafe extern "C" fn(Strm) -> c_int,
    /// Size of the library's stream type.
    pub stream_size: c_int,
}

const OK: c_int = 0;
const STREAM_END: c_int = 1;
const NO_FLUSH: c_int = 0;
const FINISH: c_int = 4;

/// An open stream.
pub struct Open<'a> {
    functions: &'a Functions,
    stream: Box<Stream>,
    deflating: bool,
}

impl<'a> Open<'a> {
    fn new(functions: &'a Functions, deflating: bool) -> Self {
        // SAFETY: all zero is what C programs start with; every field allows it.
        Open { functions, stream: Box::new(unsafe { std::mem::zeroed() }), deflating }
    }

    /// `deflateInit`, zlib's format.
    pub fn deflate(functions: &'a Functions, level: i32) -> Result<Self> {
        let mut open = Open::new(functions, true);
        let size = functions.stream_size;
        // SAFETY: a zeroed stream of the size given.
        let code = unsafe {
            (functions.deflate_init2)(&mut *open.stream, level, 8, 15, 8, 0, c"1.2.11".as_ptr(), size)
        };
        ensure!(code == OK, "deflateInit2 returned {code}");
        Ok(open)
    }

    /// `inflateInit`, zlib's format.
    pub fn inflate(functions: &'a Functions) -> Result<Self> {
        let mut open = Open::new(functions, false);
        let size = functions.stream_size;
        // SAFETY: a zeroed stream of the size given.
        let code = unsafe { (functions.inflate_init2)(&mut *open.stream, 15, c"1.2.11".as_ptr(), size) };
        ensure!(code == OK, "inflateInit2 returned {code}");
        Ok(open)
    }

    /// Back to the start.
    pub fn reset(&mut self) -> Result<()> {
        let f = if self.deflating { self.functions.deflate_reset } else { self.functions.inflate_reset };
        // SAFETY: an open stream.
        let code = unsafe { f(&mut *self.stream) };
        ensure!(code == OK, "reset returned {code}");
        Ok(())
    }

    /// All of `input` into `output`, in pieces of `chunk` bytes on both sides, or all in one call; the length made.
    pub fn run(&mut self, input: &[u8], output: &mut [u8], chunk: Option<usize>) -> Result<usize> {
        let f = if self.deflating { self.functions.deflate } else { self.functions.inflate };
        let (mut used, mut made) = (0, 0);
        loop {
            let now = (input.len() - used).min(chunk.unwrap_or(usize::MAX));
            let room = (output.len() - made).min(chunk.unwrap_or(usize::MAX));
            let stream = &mut *self.stream;
            stream.next_in = input[used..].as_ptr();
            stream.avail_in = now as c_uint;
            stream.next_out = output[made..].as_mut_ptr();
            stream.avail_out = room as c_uint;
            let last = used + now == input.len();
            // An inflating program does not know its last piece, as a rule.
            let flush = if last && (self.deflating || chunk.is_none()) { FINISH } else { NO_FLUSH };
            // SAFETY: an open stream, and buffers of the lengths given.
            let code = unsafe { f(stream, flush) };
            used += now - stream.avail_in as usize;
            made += room - stream.avail_out as usize;
            match code {
                STREAM_END => return Ok(made),
                OK if made < output.len() => {}
                code => anyhow::bail!("returned {code} after {used} of {} and {made} bytes", input.len()),
            }
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let f = if self.deflating { self.functions.deflate_end } else { self.functions.inflate_end };
        // SAFETY: an open stream, closed once.
        unsafe { f(&mut *self.stream) };
    }
}

/// Time that this thread has computed, in nanoseconds.
pub fn cpu_time() -> u64 {
    // SAFETY: a valid place for the answer; the clock exists on every Linux.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        time
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
