//! UNSAFE: exported C functions for inflate streams.
#![expect(unsafe_code)]

use std::ffi::{c_char, c_int, c_long, c_uint, c_ulong};
use std::slice;

use zlib_rs::ReturnCode;
use zlib_rs::c_api::{gz_headerp, z_stream};

use super::{STREAM_ERROR, VERSION_ERROR, compatible};
use crate::guard::guard;
use crate::inflate::Inflater;
use crate::io::Io;
use crate::next::next;
use crate::state;

type Strm = *mut z_stream;

/// `inflateInit_`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateInit_(strm: Strm, version: *const c_char, stream_size: c_int) -> c_int {
    // SAFETY: same contract.
    unsafe { init(strm, 15, version, stream_size) }
}

/// `inflateInit2_`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateInit2_(
    strm: Strm,
    window_bits: c_int,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    // SAFETY: same contract.
    unsafe { init(strm, window_bits, version, stream_size) }
}

unsafe fn init(strm: Strm, window_bits: c_int, version: *const c_char, stream_size: c_int) -> c_int {
    // SAFETY: null or a C string, by contract.
    if !compatible(unsafe { version.as_ref() }.copied(), stream_size) {
        return VERSION_ERROR;
    }
    // SAFETY: null or a stream, by contract.
    let Some(strm) = (unsafe { strm.as_mut() }) else { return STREAM_ERROR };
    guard(STREAM_ERROR, || open(strm, window_bits) as c_int)
}

/// Opens an inflate stream; also for the library's own streams.
pub fn open(strm: &mut z_stream, window_bits: i32) -> ReturnCode {
    strm.msg = std::ptr::null_mut();
    let alloc = state::settle_allocator(strm);
    let opened = Inflater::new(window_bits, alloc).and_then(|body| {
        body.reset_io(&mut Io::new(strm));
        state::attach(strm, body)
    });
    match opened {
        Ok(()) => ReturnCode::Ok,
        Err(code) => {
            strm.state = std::ptr::null_mut();
            code
        }
    }
}

macro_rules! on_stream {
    ($strm:expr, $fail:expr, $name:literal, fn($($ty:ty),*) -> $ret:ty, ($($arg:expr),*), $body:expr) => {{
        let body = state::body::<Inflater, $ret, _>($body);
        // SAFETY: zlib's contract with its caller, which the exported function states.
        unsafe { state::with($strm, $fail, || next!($fail, $name, fn($($ty),*) -> $ret, ($($arg),*)), body) }
    }};
}

/// `inflate`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflate(strm: Strm, flush: c_int) -> c_int {
    on_stream!(strm, STREAM_ERROR, c"inflate", fn(Strm, c_int) -> c_int, (strm, flush), |body, io| {
        body.inflate(io, flush) as c_int
    })
}

/// `inflateEnd`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateEnd(strm: Strm) -> c_int {
    // SAFETY: same contract.
    unsafe {
        state::close::<Inflater, c_int>(
            strm,
            STREAM_ERROR,
            || next!(STREAM_ERROR, c"inflateEnd", fn(Strm) -> c_int, (strm)),
            |_| 0,
        )
    }
}

/// `inflateReset`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateReset(strm: Strm) -> c_int {
    on_stream!(strm, STREAM_ERROR, c"inflateReset", fn(Strm) -> c_int, (strm), |body, io| {
        body.reset(io, None, false) as c_int
    })
}

/// `inflateReset2`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateReset2(strm: Strm, window_bits: c_int) -> c_int {
    on_stream!(
        strm,
        STREAM_ERROR,
        c"inflateReset2",
        fn(Strm, c_int) -> c_int,
        (strm, window_bits),
        |body, io| body.reset(io, Some(window_bits), false) as c_int
    )
}

/// `inflateResetKeep`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateResetKeep(strm: Strm) -> c_int {
    on_stream!(strm, STREAM_ERROR, c"inflateResetKeep", fn(Strm) -> c_int, (strm), |body, io| {
        body.reset(io, None, true) as c_int
    })
}

/// `inflateSync`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateSync(strm: Strm) -> c_int {
    on_stream!(strm, STREAM_ERROR, c"inflateSync", fn(Strm) -> c_int, (strm), |body, io| body.sync(io)
        as c_int)
}

/// `inflateSyncPoint`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateSyncPoint(strm: Strm) -> c_int {
    on_stream!(strm, STREAM_ERROR, c"inflateSyncPoint", fn(Strm) -> c_int, (strm), |body, io| {
        body.sync_point(io).map_or(STREAM_ERROR, c_int::from)
    })
}

/// `inflateMark`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateMark(strm: Strm) -> c_long {
    on_stream!(strm, -65536, c"inflateMark", fn(Strm) -> c_long, (strm), |body, io| {
        body.asked(io).map_or(-65536, |engine| engine.mark())
    })
}

/// `inflatePrime`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflatePrime(strm: Strm, bits: c_int, value: c_int) -> c_int {
    on_stream!(
        strm,
        STREAM_ERROR,
        c"inflatePrime",
        fn(Strm, c_int, c_int) -> c_int,
        (strm, bits, value),
        |body, io| {
            // Nothing to put in, or refused: the stream stays what it was.
            let engine = if (1..=16).contains(&bits) || bits < 0 { body.engine(io) } else { body.asked(io) };
            engine.map_or(STREAM_ERROR, |engine| engine.prime(bits, value) as c_int)
        }
    )
}

/// `inflateValidate`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateValidate(strm: Strm, check: c_int) -> c_int {
    on_stream!(strm, STREAM_ERROR, c"inflateValidate", fn(Strm, c_int) -> c_int, (strm, check), |body, io| {
        body.validate(io, check != 0) as c_int
    })
}

/// `inflateUndermine`: invalid distances are never allowed, which zlib's own default build answers the same.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateUndermine(strm: Strm, subvert: c_int) -> c_int {
    on_stream!(strm, STREAM_ERROR, c"inflateUndermine", fn(Strm, c_int) -> c_int, (strm, subvert), |_, _| {
        ReturnCode::DataError as c_int
    })
}

/// `inflateCodesUsed`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateCodesUsed(strm: Strm) -> c_ulong {
    on_stream!(strm, c_ulong::MAX, c"inflateCodesUsed", fn(Strm) -> c_ulong, (strm), |body, io| {
        body.asked(io).map_or(c_ulong::MAX, |engine| engine.codes_used() as c_ulong)
    })
}

/// `inflateSetDictionary`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateSetDictionary(strm: Strm, dictionary: *const u8, length: c_uint) -> c_int {
    on_stream!(
        strm,
        STREAM_ERROR,
        c"inflateSetDictionary",
        fn(Strm, *const u8, c_uint) -> c_int,
        (strm, dictionary, length),
        |body, io| {
            let dictionary = if dictionary.is_null() {
                &[]
            } else {
                // SAFETY: not null, and of that length by zlib's contract.
                unsafe { slice::from_raw_parts(dictionary, length as usize) }
            };
            body.engine(io).map_or(STREAM_ERROR, |engine| engine.set_dictionary(dictionary) as c_int)
        }
    )
}

/// `inflateGetDictionary`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateGetDictionary(strm: Strm, dictionary: *mut u8, length: *mut c_uint) -> c_int {
    on_stream!(
        strm,
        STREAM_ERROR,
        c"inflateGetDictionary",
        fn(Strm, *mut u8, *mut c_uint) -> c_int,
        (strm, dictionary, length),
        |body, io| {
            let window = body.window();
            let Ok(engine) = body.asked(io) else { return STREAM_ERROR };
            let bytes = engine.dictionary();
            let bytes = &bytes[bytes.len().saturating_sub(window)..];
            // SAFETY: null or room for a window, and null or valid for a write, by zlib's contract.
            unsafe {
                if !dictionary.is_null() {
                    dictionary.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
                if !length.is_null() {
                    length.write(bytes.len() as c_uint);
                }
            }
            0
        }
    )
}

/// `inflateGetHeader`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateGetHeader(strm: Strm, head: gz_headerp) -> c_int {
    on_stream!(
        strm,
        STREAM_ERROR,
        c"inflateGetHeader",
        fn(Strm, gz_headerp) -> c_int,
        (strm, head),
        |body, io| {
            // SAFETY: valid until the header was read, by zlib's contract.
            body.asked(io).map_or(STREAM_ERROR, |engine| unsafe { engine.get_header(head) } as c_int)
        }
    )
}

/// `inflateCopy`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateCopy(dest: Strm, source: Strm) -> c_int {
    // SAFETY: same contract.
    unsafe {
        state::copy::<Inflater>(
            dest,
            source,
            || {
                let code = next!(STREAM_ERROR, c"inflateCopy", fn(Strm, Strm) -> c_int, (dest, source));
                ReturnCode::try_from_c_int(code).unwrap_or(ReturnCode::StreamError)
            },
            |body, io| body.copy(io),
        ) as c_int
    }
}

/// One `inflate` step on a stream of the library's own.
pub fn step(strm: &mut z_stream, flush: i32) -> ReturnCode {
    // SAFETY: a stream that open made, whose buffers its owner keeps.
    unsafe {
        state::with::<Inflater, ReturnCode>(
            strm,
            ReturnCode::StreamError,
            || ReturnCode::StreamError,
            |body, io| body.inflate(io, flush),
        )
    }
}

/// `inflateReset` on a stream of the library's own.
pub fn restart(strm: &mut z_stream) -> ReturnCode {
    // SAFETY: as in step.
    unsafe {
        state::with::<Inflater, ReturnCode>(
            strm,
            ReturnCode::StreamError,
            || ReturnCode::StreamError,
            |body, io| body.reset(io, None, false),
        )
    }
}

/// `inflateEnd` on a stream of the library's own.
pub fn end(strm: &mut z_stream) -> ReturnCode {
    // SAFETY: as in step.
    unsafe {
        state::close::<Inflater, ReturnCode>(
            strm,
            ReturnCode::StreamError,
            || ReturnCode::StreamError,
            |_| ReturnCode::Ok,
        )
    }
}

/// The message that the last step left with a stream of the library's own.
pub fn message(strm: &z_stream) -> Option<&'static std::ffi::CStr> {
    // SAFETY: messages are null or constants of the engine, NUL-terminated.
    (!strm.msg.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(strm.msg) })
}
