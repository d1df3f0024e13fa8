//! UNSAFE: what libcrypto calls: one thin function per dispatch slot, which checks lengths, turns pointers into
//! slices and objects, and calls the safe rooms.
#![allow(unsafe_code)]

pub(crate) mod cipher;
pub(crate) mod entry;
pub(crate) mod keymgmt;
pub(crate) mod signature;

/// A readable range given by the caller; null is the empty one.
///
/// # Safety
/// `start` is null or readable for `len` bytes during `'a`, and nobody writes there meanwhile.
unsafe fn bytes<'a>(start: *const u8, len: usize) -> &'a [u8] {
    if start.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: by the contract.
    unsafe { std::slice::from_raw_parts(start, len) }
}
