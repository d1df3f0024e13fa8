//! UNSAFE: one-call compression and decompression; points the library's own streams at the caller's slices.
#![expect(unsafe_code)]

use std::ffi::c_uint;
use std::slice;

use warpdrive_core::engine::zip::Format;
use zlib_rs::ReturnCode;
use zlib_rs::c_api::z_stream;

use crate::export::{deflate, inflate};
use crate::inflate::device::worth_asking;
use crate::soft::oneshot::decode;

/// `Z_NO_FLUSH` and `Z_FINISH`.
const NO_FLUSH: i32 = 0;
const FINISH: i32 = 4;

/// An unopened stream with the default allocator.
pub fn unopened() -> z_stream {
    z_stream {
        next_in: std::ptr::null(),
        avail_in: 0,
        total_in: 0,
        next_out: std::ptr::null_mut(),
        avail_out: 0,
        total_out: 0,
        msg: std::ptr::null_mut(),
        state: std::ptr::null_mut(),
        zalloc: None,
        zfree: None,
        opaque: std::ptr::null_mut(),
        data_type: 0,
        adler: 0,
        reserved: 0,
    }
}

/// Compresses `source` of `length` bytes into `dest` of `room` bytes; returns the code and the output's length.
///
/// # Safety
/// The pointers are valid for those lengths (null allowed with 0 for `source`).
pub unsafe fn compress(
    dest: *mut u8,
    room: u64,
    source: *const u8,
    length: u64,
    level: i32,
) -> (ReturnCode, u64) {
    let mut strm = unopened();
    let code = deflate::open(&mut strm, level, 8, 15, 8, 0);
    if code != ReturnCode::Ok {
        return (code, 0);
    }
    let (mut room, mut length) = (room, length);
    strm.next_out = dest;
    strm.next_in = source;
    let code = loop {
        if strm.avail_out == 0 {
            strm.avail_out = room.min(c_uint::MAX.into()) as c_uint;
            room -= u64::from(strm.avail_out);
        }
        if strm.avail_in == 0 {
            strm.avail_in = length.min(c_uint::MAX.into()) as c_uint;
            length -= u64::from(strm.avail_in);
        }
        match deflate::step(&mut strm, if length == 0 { FINISH } else { NO_FLUSH }) {
            ReturnCode::Ok => {}
            ReturnCode::StreamEnd => break ReturnCode::Ok,
            code => break code,
        }
    };
    let made = strm.total_out;
    deflate::end(&mut strm);
    (code, made)
}

/// Decompresses `source` of `length` bytes into `dest` of `room` bytes; returns the code, the output's length
/// and the bytes of source used.
///
/// # Safety
/// The pointers are valid for those lengths (null allowed with 0).
pub unsafe fn uncompress(dest: *mut u8, room: u64, source: *const u8, length: u64) -> (ReturnCode, u64, u64) {
    if room > 0 && length > 0 && !dest.is_null() && !source.is_null() {
        // SAFETY: contract of this function; not null.
        let (input, output) = unsafe {
            (slice::from_raw_parts(source, length as usize), slice::from_raw_parts_mut(dest, room as usize))
        };
        // What is good and for software needs no stream; what is not gets its codes from one.
        if !worth_asking(Format::Zlib, input.len())
            && let Some((_, used, made)) = decode(15, input, output)
        {
            return (ReturnCode::Ok, made as u64, used as u64);
        }
    }
    let mut strm = unopened();
    let code = inflate::open(&mut strm, 15);
    if code != ReturnCode::Ok {
        return (code, if room == 0 { 0 } else { room }, 0);
    }
    // Without space, one byte tells an empty stream from a longer one.
    let mut spare = [0u8; 1];
    let (dest, mut left) = if room == 0 { (spare.as_mut_ptr(), 1) } else { (dest, room) };
    let mut rest = length;
    strm.next_out = dest;
    strm.next_in = source;
    let code = loop {
        if strm.avail_out == 0 {
            strm.avail_out = left.min(c_uint::MAX.into()) as c_uint;
            left -= u64::from(strm.avail_out);
        }
        if strm.avail_in == 0 {
            strm.avail_in = rest.min(c_uint::MAX.into()) as c_uint;
            rest -= u64::from(strm.avail_in);
        }
        match inflate::step(&mut strm, NO_FLUSH) {
            ReturnCode::Ok => {}
            code => break code,
        }
    };
    let used = length - (rest + u64::from(strm.avail_in));
    let made = if room == 0 { 0 } else { strm.total_out };
    if room == 0 && strm.total_out != 0 && code == ReturnCode::BufError {
        left = 1;
    }
    let space_left = left + u64::from(strm.avail_out);
    inflate::end(&mut strm);
    let code = match code {
        ReturnCode::StreamEnd => ReturnCode::Ok,
        ReturnCode::NeedDict => ReturnCode::DataError,
        ReturnCode::BufError if space_left != 0 => ReturnCode::DataError,
        code => code,
    };
    (code, made, used)
}
