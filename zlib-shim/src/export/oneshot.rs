//! UNSAFE: exported C functions for one-call use, with `uLong` and with `size_t` lengths.
#![expect(unsafe_code)]

use std::ffi::{c_int, c_ulong};

use super::STREAM_ERROR;
use crate::deflate::frame;
use crate::guard::guard;
use crate::oneshot;

unsafe fn compressed(
    dest: *mut u8,
    room: *mut c_ulong,
    source: *const u8,
    length: c_ulong,
    level: c_int,
) -> c_int {
    if room.is_null() {
        return STREAM_ERROR;
    }
    // SAFETY: zlib's contract, with room not null.
    guard(STREAM_ERROR, || unsafe {
        let (code, made) = oneshot::compress(dest, room.read(), source, length, level);
        room.write(made);
        code as c_int
    })
}

unsafe fn uncompressed(dest: *mut u8, room: *mut c_ulong, source: *const u8, length: *mut c_ulong) -> c_int {
    if room.is_null() || length.is_null() {
        return STREAM_ERROR;
    }
    // SAFETY: zlib's contract, with neither null.
    guard(STREAM_ERROR, || unsafe {
        let (code, made, used) = oneshot::uncompress(dest, room.read(), source, length.read());
        length.write(used);
        room.write(made);
        code as c_int
    })
}

/// `compress`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn compress(
    dest: *mut u8,
    room: *mut c_ulong,
    source: *const u8,
    length: c_ulong,
) -> c_int {
    // SAFETY: same contract.
    unsafe { compressed(dest, room, source, length, -1) }
}

/// `compress2`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn compress2(
    dest: *mut u8,
    room: *mut c_ulong,
    source: *const u8,
    length: c_ulong,
    level: c_int,
) -> c_int {
    // SAFETY: same contract.
    unsafe { compressed(dest, room, source, length, level) }
}

/// `compressBound`.
#[unsafe(no_mangle)]
pub extern "C" fn compressBound(length: c_ulong) -> c_ulong {
    frame::compress_bound(length)
}

/// `uncompress`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncompress(
    dest: *mut u8,
    room: *mut c_ulong,
    source: *const u8,
    length: c_ulong,
) -> c_int {
    let mut length = length;
    // SAFETY: same contract.
    unsafe { uncompressed(dest, room, source, &mut length) }
}

/// `uncompress2`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncompress2(
    dest: *mut u8,
    room: *mut c_ulong,
    source: *const u8,
    length: *mut c_ulong,
) -> c_int {
    // SAFETY: same contract.
    unsafe { uncompressed(dest, room, source, length) }
}

// The same with size_t, which has uLong's size on every platform uacce runs on.
const _: () = assert!(size_of::<usize>() == size_of::<c_ulong>());

/// `compress_z`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn compress_z(
    dest: *mut u8,
    room: *mut usize,
    source: *const u8,
    length: usize,
) -> c_int {
    // SAFETY: same contract.
    unsafe { compressed(dest, room.cast(), source, length as c_ulong, -1) }
}

/// `compress2_z`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn compress2_z(
    dest: *mut u8,
    room: *mut usize,
    source: *const u8,
    length: usize,
    level: c_int,
) -> c_int {
    // SAFETY: same contract.
    unsafe { compressed(dest, room.cast(), source, length as c_ulong, level) }
}

/// `compressBound_z`.
#[unsafe(no_mangle)]
pub extern "C" fn compressBound_z(length: usize) -> usize {
    frame::compress_bound(length as u64) as usize
}

/// `uncompress_z`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncompress_z(
    dest: *mut u8,
    room: *mut usize,
    source: *const u8,
    length: usize,
) -> c_int {
    let mut length = length as c_ulong;
    // SAFETY: same contract.
    unsafe { uncompressed(dest, room.cast(), source, &mut length) }
}

/// `uncompress2_z`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncompress2_z(
    dest: *mut u8,
    room: *mut usize,
    source: *const u8,
    length: *mut usize,
) -> c_int {
    // SAFETY: same contract.
    unsafe { uncompressed(dest, room.cast(), source, length.cast()) }
}
