//! UNSAFE: exported C functions for check values, and what says who we are.
#![expect(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint, c_ulong};
use std::slice;

use zlib_rs::adler32 as adler;
use zlib_rs::crc32 as crc;

use super::VERSION;
use crate::guard::guard;
use crate::soft::sums;

/// The offset type of the functions without and with `64` in their name; both have 64 bits here.
type Offset = i64;

/// `adler32_z`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn adler32_z(value: c_ulong, buf: *const u8, len: usize) -> c_ulong {
    if buf.is_null() {
        return 1;
    }
    // SAFETY: not null, and of that length by zlib's contract.
    guard(1, || sums::adler32(value as u32, unsafe { slice::from_raw_parts(buf, len) }).into())
}

/// `adler32`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn adler32(value: c_ulong, buf: *const u8, len: c_uint) -> c_ulong {
    // SAFETY: same contract.
    unsafe { adler32_z(value, buf, len as usize) }
}

/// `crc32_z`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crc32_z(value: c_ulong, buf: *const u8, len: usize) -> c_ulong {
    if buf.is_null() {
        return 0;
    }
    // SAFETY: not null, and of that length by zlib's contract.
    guard(0, || sums::crc32(value as u32, unsafe { slice::from_raw_parts(buf, len) }).into())
}

/// `crc32`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crc32(value: c_ulong, buf: *const u8, len: c_uint) -> c_ulong {
    // SAFETY: same contract.
    unsafe { crc32_z(value, buf, len as usize) }
}

fn combine_adler(first: c_ulong, second: c_ulong, length: Offset) -> c_ulong {
    // zlib's own value for a length that cannot be.
    let Ok(length) = u64::try_from(length) else { return 0xffff_ffff };
    guard(0xffff_ffff, || adler::adler32_combine(first as u32, second as u32, length).into())
}

fn combine_crc(first: c_ulong, second: c_ulong, length: Offset) -> c_ulong {
    let Ok(length) = u64::try_from(length) else { return 0 };
    guard(0, || crc::crc32_combine(first as u32, second as u32, length).into())
}

fn combine_gen(length: Offset) -> c_ulong {
    let Ok(length) = u64::try_from(length) else { return 0 };
    guard(0, || crc::crc32_combine_gen(length).into())
}

/// `adler32_combine`.
#[unsafe(no_mangle)]
pub extern "C" fn adler32_combine(first: c_ulong, second: c_ulong, length: Offset) -> c_ulong {
    combine_adler(first, second, length)
}

/// `adler32_combine64`.
#[unsafe(no_mangle)]
pub extern "C" fn adler32_combine64(first: c_ulong, second: c_ulong, length: Offset) -> c_ulong {
    combine_adler(first, second, length)
}

/// `crc32_combine`.
#[unsafe(no_mangle)]
pub extern "C" fn crc32_combine(first: c_ulong, second: c_ulong, length: Offset) -> c_ulong {
    combine_crc(first, second, length)
}

/// `crc32_combine64`.
#[unsafe(no_mangle)]
pub extern "C" fn crc32_combine64(first: c_ulong, second: c_ulong, length: Offset) -> c_ulong {
    combine_crc(first, second, length)
}

/// `crc32_combine_gen`.
#[unsafe(no_mangle)]
pub extern "C" fn crc32_combine_gen(length: Offset) -> c_ulong {
    combine_gen(length)
}

/// `crc32_combine_gen64`.
#[unsafe(no_mangle)]
pub extern "C" fn crc32_combine_gen64(length: Offset) -> c_ulong {
    combine_gen(length)
}

/// `crc32_combine_op`.
#[unsafe(no_mangle)]
pub extern "C" fn crc32_combine_op(first: c_ulong, second: c_ulong, op: c_ulong) -> c_ulong {
    guard(0, || crc::crc32_combine_op(first as u32, second as u32, op as u32).into())
}

/// `get_crc_table`: 256 entries.
#[unsafe(no_mangle)]
pub extern "C" fn get_crc_table() -> *const u32 {
    crc::get_crc_table().as_ptr()
}

/// `zlibVersion`.
#[unsafe(no_mangle)]
pub extern "C" fn zlibVersion() -> *const c_char {
    VERSION.as_ptr()
}

/// `zlibCompileFlags`: sizes of the C types, nothing missing, nothing special.
#[unsafe(no_mangle)]
pub extern "C" fn zlibCompileFlags() -> c_ulong {
    const fn size(bytes: usize) -> c_ulong {
        match bytes {
            2 => 0,
            4 => 1,
            8 => 2,
            _ => 3,
        }
    }
    size(size_of::<c_uint>())
        | size(size_of::<c_ulong>()) << 2
        | size(size_of::<*const u8>()) << 4
        | size(size_of::<libc::off_t>()) << 6
}

/// `zError`.
#[unsafe(no_mangle)]
pub extern "C" fn zError(code: c_int) -> *const c_char {
    crate::gz::message(code).as_ptr()
}
