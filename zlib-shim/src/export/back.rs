//! UNSAFE: exported C functions of inflateBack.
#![expect(unsafe_code)]

use std::ffi::{c_char, c_int, c_uchar, c_void};

use zlib_rs::ReturnCode;
use zlib_rs::c_api::{in_func, out_func, z_stream};

use super::{STREAM_ERROR, VERSION_ERROR, compatible};
use crate::guard::guard;
use crate::next::next;
use crate::soft::back::Back;
use crate::state;

type Strm = *mut z_stream;

/// `inflateBackInit_`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateBackInit_(
    strm: Strm,
    window_bits: c_int,
    window: *mut c_uchar,
    version: *const c_char,
    stream_size: c_int,
) -> c_int {
    // SAFETY: null or a C string, by contract.
    if !compatible(unsafe { version.as_ref() }.copied(), stream_size) {
        return VERSION_ERROR;
    }
    // SAFETY: null or a stream, by contract.
    let Some(strm) = (unsafe { strm.as_mut() }) else { return STREAM_ERROR };
    if window.is_null() || !(8..=15).contains(&window_bits) {
        return STREAM_ERROR;
    }
    guard(STREAM_ERROR, || {
        strm.msg = std::ptr::null_mut();
        let alloc = state::settle_allocator(strm);
        // SAFETY: not null, of that size, and alive as long as the stream, by zlib's contract.
        let opened =
            unsafe { Back::new(window_bits, window, alloc) }.and_then(|body| state::attach(strm, body));
        opened.err().unwrap_or(ReturnCode::Ok) as c_int
    })
}

/// `inflateBack`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateBack(
    strm: Strm,
    input: Option<in_func>,
    input_context: *mut c_void,
    output: Option<out_func>,
    output_context: *mut c_void,
) -> c_int {
    // SAFETY: same contract.
    unsafe {
        state::with::<Back, c_int>(
            strm,
            STREAM_ERROR,
            || {
                next!(
                    STREAM_ERROR,
                    c"inflateBack",
                    fn(Strm, Option<in_func>, *mut c_void, Option<out_func>, *mut c_void) -> c_int,
                    (strm, input, input_context, output, output_context)
                )
            },
            |body, io| match (input, output) {
                (Some(input), Some(output)) => {
                    body.run(io, input, input_context, output, output_context) as c_int
                }
                _ => STREAM_ERROR,
            },
        )
    }
}

/// `inflateBackEnd`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inflateBackEnd(strm: Strm) -> c_int {
    // SAFETY: same contract.
    unsafe {
        state::close::<Back, c_int>(
            strm,
            STREAM_ERROR,
            || next!(STREAM_ERROR, c"inflateBackEnd", fn(Strm) -> c_int, (strm)),
            |_| 0,
        )
    }
}
