//! UNSAFE: exported C functions for deflate streams.
#![expect(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint, c_ulong};
use std::slice;

use zlib_rs::ReturnCode;
use zlib_rs::c_api::{gz_headerp, z_stream};

use super::{STREAM_ERROR, VERSION_ERROR, compatible};
use crate::deflate::{Deflater, frame};
use crate::guard::guard;
use crate::gzhead::Head;
use crate::io::Io;
use crate::next::next;
use crate::state;

type Strm = *mut z_stream;

/// `deflateInit_`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateInit_(
    strm: Strm,
    level: c_int,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    // SAFETY: same contract.
    unsafe { init(strm, level, 8, 15, 8, 0, version, stream_size) }
}

/// `deflateInit2_`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateInit2_(
    strm: Strm,
    level: c_int,
    method: c_int,
    window_bits: c_int,
    mem_level: c_int,
    strategy: c_int,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    // SAFETY: same contract.
    unsafe { init(strm, level, method, window_bits, mem_level, strategy, version, stream_size) }
}

#[expect(clippy::too_many_arguments, reason = "zlib's own list")]
unsafe fn init(
    strm: Strm,
    level: c_int,
    method: c_int,
    window_bits: c_int,
    mem_level: c_int,
    strategy: c_int,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    // SAFETY: null or a C string, by contract.
    if !compatible(unsafe { version.as_ref() }.copied(), stream_size) {
        return VERSION_ERROR;
    }
    // SAFETY: null or a stream, by contract.
    let Some(strm) = (unsafe { strm.as_mut() }) else { return STREAM_ERROR };
    guard(STREAM_ERROR, || open(strm, level, method, window_bits, mem_level, strategy) as c_int)
}

/// Opens a deflate stream; also for the library's own streams.
pub fn open(
    strm: &mut z_stream,
    level: i32,
    method: i32,
    window_bits: i32,
    mem_level: i32,
    strategy: i32,
) -> ReturnCode {
    strm.msg = std::ptr::null_mut();
    let alloc = state::settle_allocator(strm);
    let opened = Deflater::new(level, method, window_bits, mem_level, strategy, alloc).and_then(|body| {
        body.reset_io(&mut Io::new(strm));
        state::attach(strm, body)
    });
    match opened {
        Ok(()) => ReturnCode::Ok,
        Err(ReturnCode::MemError) => {
            strm.state = std::ptr::null_mut();
            Io::new(strm).error(ReturnCode::MemError)
        }
        Err(code) => code,
    }
}

macro_rules! on_stream {
    ($strm:expr, $name:literal, fn($($ty:ty),*), ($($arg:expr),*), $body:expr) => {{
        let body = state::body::<Deflater, c_int, _>($body);
        // SAFETY: zlib's contract with its caller, which the exported function states.
        unsafe {
            state::with(
                $strm,
                STREAM_ERROR,
                || next!(STREAM_ERROR, $name, fn($($ty),*) -> c_int, ($($arg),*)),
                body,
            )
        }
    }};
}

/// `deflate`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflate(strm: Strm, flush: c_int) -> c_int {
    on_stream!(strm, c"deflate", fn(Strm, c_int), (strm, flush), |body, io| body.deflate(io, flush) as c_int)
}

/// `deflateEnd`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateEnd(strm: Strm) -> c_int {
    // SAFETY: same contract.
    unsafe {
        state::close::<Deflater, c_int>(
            strm,
            STREAM_ERROR,
            || next!(STREAM_ERROR, c"deflateEnd", fn(Strm) -> c_int, (strm)),
            |body| body.end() as c_int,
        )
    }
}

/// `deflateReset`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateReset(strm: Strm) -> c_int {
    on_stream!(strm, c"deflateReset", fn(Strm), (strm), |body, io| body.reset(io, false) as c_int)
}

/// `deflateResetKeep`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateResetKeep(strm: Strm) -> c_int {
    on_stream!(strm, c"deflateResetKeep", fn(Strm), (strm), |body, io| body.reset(io, true) as c_int)
}

/// `deflateParams`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateParams(strm: Strm, level: c_int, strategy: c_int) -> c_int {
    on_stream!(strm, c"deflateParams", fn(Strm, c_int, c_int), (strm, level, strategy), |body, io| {
        body.params(io, level, strategy) as c_int
    })
}

/// `deflateTune`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateTune(
    strm: Strm,
    good: c_int,
    lazy: c_int,
    nice: c_int,
    chain: c_int,
) -> c_int {
    on_stream!(
        strm,
        c"deflateTune",
        fn(Strm, c_int, c_int, c_int, c_int),
        (strm, good, lazy, nice, chain),
        |body, _| match body.engine() {
            Some(engine) => {
                engine.tune(good as usize, lazy as usize, nice as usize, chain as usize);
                0
            }
            None => STREAM_ERROR,
        }
    )
}

/// `deflatePrime`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflatePrime(strm: Strm, bits: c_int, value: c_int) -> c_int {
    on_stream!(strm, c"deflatePrime", fn(Strm, c_int, c_int), (strm, bits, value), |body, _| {
        if !(0..=16).contains(&bits) {
            return ReturnCode::BufError as c_int;
        }
        body.engine().map_or(STREAM_ERROR, |engine| engine.prime(bits, value) as c_int)
    })
}

/// `deflatePending`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflatePending(strm: Strm, pending: *mut c_uint, bits: *mut c_int) -> c_int {
    on_stream!(
        strm,
        c"deflatePending",
        fn(Strm, *mut c_uint, *mut c_int),
        (strm, pending, bits),
        |body, _| {
            let (bytes, used) = body.waiting();
            // SAFETY: each is null or valid for a write, by zlib's contract.
            unsafe {
                if !pending.is_null() {
                    pending.write(bytes as c_uint);
                }
                if !bits.is_null() {
                    bits.write(used.into());
                }
            }
            0
        }
    )
}

/// `deflateUsed`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateUsed(strm: Strm, bits: *mut c_int) -> c_int {
    on_stream!(strm, c"deflateUsed", fn(Strm, *mut c_int), (strm, bits), |body, _| {
        let used = body.bits_used();
        // SAFETY: null or valid for a write, by zlib's contract.
        unsafe {
            if !bits.is_null() {
                bits.write(used.into());
            }
        }
        0
    })
}

/// `deflateSetDictionary`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateSetDictionary(strm: Strm, dictionary: *const u8, length: c_uint) -> c_int {
    on_stream!(
        strm,
        c"deflateSetDictionary",
        fn(Strm, *const u8, c_uint),
        (strm, dictionary, length),
        |body, io| {
            if dictionary.is_null() {
                return STREAM_ERROR;
            }
            // SAFETY: not null, and of that length by zlib's contract.
            let dictionary = unsafe { slice::from_raw_parts(dictionary, length as usize) };
            body.set_dictionary(io, dictionary) as c_int
        }
    )
}

/// `deflateGetDictionary`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateGetDictionary(strm: Strm, dictionary: *mut u8, length: *mut c_uint) -> c_int {
    on_stream!(
        strm,
        c"deflateGetDictionary",
        fn(Strm, *mut u8, *mut c_uint),
        (strm, dictionary, length),
        |body, _| {
            let Some(window) = body.dictionary() else { return STREAM_ERROR };
            // SAFETY: null or room for a window, and null or valid for a write, by zlib's contract.
            unsafe {
                if !dictionary.is_null() {
                    dictionary.copy_from_nonoverlapping(window.as_ptr(), window.len());
                }
                if !length.is_null() {
                    length.write(window.len() as c_uint);
                }
            }
            0
        }
    )
}

/// `deflateSetHeader`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateSetHeader(strm: Strm, head: gz_headerp) -> c_int {
    on_stream!(strm, c"deflateSetHeader", fn(Strm, gz_headerp), (strm, head), |body, _| {
        // SAFETY: null or valid until the header was written, by zlib's contract.
        body.set_header(unsafe { Head::new(head) }) as c_int
    })
}

/// `deflateBound`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateBound(strm: Strm, length: c_ulong) -> c_ulong {
    let fail = frame::deflate_bound(length, None);
    // SAFETY: same contract.
    unsafe {
        state::with::<Deflater, c_ulong>(
            strm,
            fail,
            || next!(fail, c"deflateBound", fn(Strm, c_ulong) -> c_ulong, (strm, length)),
            |body, _| body.bound(length),
        )
    }
}

/// `deflateBound_z`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateBound_z(strm: Strm, length: usize) -> usize {
    // SAFETY: same contract.
    unsafe { deflateBound(strm, length as c_ulong) as usize }
}

/// `deflateCopy`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deflateCopy(dest: Strm, source: Strm) -> c_int {
    // SAFETY: same contract.
    unsafe {
        state::copy::<Deflater>(
            dest,
            source,
            || {
                let code = next!(STREAM_ERROR, c"deflateCopy", fn(Strm, Strm) -> c_int, (dest, source));
                ReturnCode::try_from_c_int(code).unwrap_or(ReturnCode::StreamError)
            },
            |body, _| body.copy(),
        ) as c_int
    }
}

/// One `deflate` step on a stream of the library's own.
pub fn step(strm: &mut z_stream, flush: i32) -> ReturnCode {
    // SAFETY: a stream that open made, whose buffers its owner keeps.
    unsafe {
        state::with::<Deflater, ReturnCode>(
            strm,
            ReturnCode::StreamError,
            || ReturnCode::StreamError,
            |body, io| body.deflate(io, flush),
        )
    }
}

/// `deflateParams` on a stream of the library's own.
pub fn params(strm: &mut z_stream, level: i32, strategy: i32) -> ReturnCode {
    // SAFETY: as in step.
    unsafe {
        state::with::<Deflater, ReturnCode>(
            strm,
            ReturnCode::StreamError,
            || ReturnCode::StreamError,
            |body, io| body.params(io, level, strategy),
        )
    }
}

/// `deflateReset` on a stream of the library's own.
pub fn restart(strm: &mut z_stream) -> ReturnCode {
    // SAFETY: as in step.
    unsafe {
        state::with::<Deflater, ReturnCode>(
            strm,
            ReturnCode::StreamError,
            || ReturnCode::StreamError,
            |body, io| body.reset(io, false),
        )
    }
}

/// `deflateEnd` on a stream of the library's own.
pub fn end(strm: &mut z_stream) -> ReturnCode {
    // SAFETY: as in step.
    unsafe {
        state::close::<Deflater, ReturnCode>(
            strm,
            ReturnCode::StreamError,
            || ReturnCode::StreamError,
            Deflater::end,
        )
    }
}
