//! UNSAFE: OpenSSL's error queue. Real errors carry the codes that the default provider uses, so that programs
//! and messages do not change; what was tried and recovered leaves no trace.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_ulong};
use std::panic::Location;
use std::ptr;

use super::libcrypto::Libcrypto;

/// `ERR_LIB_PROV`, the library number of provider errors.
const LIB_PROV: c_int = 57;

/// Reason codes of `<openssl/proverr.h>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Reason {
    CipherOperationFailed = 102,
    FailedToGetParameter = 103,
    FailedToSetParameter = 104,
    InvalidKeyLength = 105,
    OutputBufferTooSmall = 106,
    InvalidIvLength = 109,
    NoKeySet = 114,
}

/// Puts `reason` on the calling thread's queue.
#[track_caller]
pub(crate) fn raise(lib: &Libcrypto, reason: Reason) {
    let at = Location::caller();
    // SAFETY: the strings are static or null; a null format takes no further arguments.
    unsafe {
        (lib.ERR_new)();
        (lib.ERR_set_debug)(c"warpdrive".as_ptr(), at.line() as c_int, ptr::null());
        (lib.ERR_set_error)(LIB_PROV, reason as c_int, ptr::null());
    }
}

/// Takes back the remark "the provider's signature failed" that libcrypto's own layer (3.4 on) adds to the twin's
/// errors: the same layer adds it above us where it belongs.
pub(crate) fn without_layer_remark(lib: &Libcrypto) {
    // ERR_LIB_EVP and EVP_R_PROVIDER_SIGNATURE_FAILURE, packed as err.h does.
    const REMARK: c_ulong = 6 << 23 | 234;
    let Some(pop) = lib.ERR_pop else { return };
    // SAFETY: no arguments.
    unsafe {
        if (lib.ERR_peek_last_error)() == REMARK {
            pop();
        }
    }
}

/// Runs `body` and takes back whatever it put on the error queue.
pub(crate) fn quietly<R>(lib: &Libcrypto, body: impl FnOnce() -> R) -> R {
    struct Mark<'a>(&'a Libcrypto);
    impl Drop for Mark<'_> {
        fn drop(&mut self) {
            // SAFETY: no arguments; takes the queue back to the mark set below, also when `body` panics.
            unsafe { (self.0.ERR_pop_to_mark)() };
        }
    }
    // SAFETY: no arguments.
    unsafe { (lib.ERR_set_mark)() };
    let _mark = Mark(lib);
    body()
}
