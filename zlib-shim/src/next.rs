//! UNSAFE: looks up C functions by name in the next library and calls them.
//!
//! A stream or file that this library did not open, because another zlib in the process did, goes to the next
//! definition of the function in load order.
#![expect(unsafe_code)]

use std::ffi::{CStr, c_void};

/// The next definition of `name` after this library, if there is one.
pub fn symbol(name: &'static CStr) -> Option<*mut c_void> {
    // SAFETY: name is NUL-terminated by its type; dlsym has no other precondition.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Calls the next library's function of the given C signature, or yields `$fail` if there is none. For use in
/// an `unsafe` context: the caller's arguments are passed on unchanged.
macro_rules! next {
    ($fail:expr, $name:literal, fn($($ty:ty),*) -> $ret:ty, ($($arg:expr),*)) => {
        match $crate::next::symbol($name) {
            // SAFETY (of the caller's block): the name is one of zlib's API and the type its documented C signature.
            Some(found) => {
                std::mem::transmute::<*mut std::ffi::c_void, unsafe extern "C" fn($($ty),*) -> $ret>(found)($($arg),*)
            }
            None => $fail,
        }
    };
}
pub(crate) use next;
