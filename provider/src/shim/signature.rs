//! UNSAFE: the RSA signature functions that libcrypto calls.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uchar, c_void};
use std::ptr;

use super::bytes;
use super::entry::instance;
use super::keymgmt::key_data;
use crate::ossl::dispatch::{Dispatch, END, slot};
use crate::ossl::guard::{exclusive, give, guard, shared, take};
use crate::ossl::handle::{Md, Operation};
use crate::ossl::param::{self, Answers, OsslParam, Params, describe, kind};
use crate::rsa::sign::{Signature, Signer};

/// The function table of the RSA signature.
pub(super) static TABLE: [Dispatch; 24] = [
    slot::signature_newctx(newctx),
    slot::signature_freectx(freectx),
    slot::signature_dupctx(dupctx),
    slot::signature_sign_init(init::<SIGN>),
    slot::signature_sign(sign),
    slot::signature_verify_init(init::<VERIFY>),
    slot::signature_verify(verify),
    slot::signature_verify_recover_init(init::<RECOVER>),
    slot::signature_verify_recover(verify_recover),
    slot::signature_digest_sign_init(digest_init::<SIGN>),
    slot::signature_digest_sign_update(digest_update),
    slot::signature_digest_sign_final(digest_sign_final),
    slot::signature_digest_verify_init(digest_init::<VERIFY>),
    slot::signature_digest_verify_update(digest_update),
    slot::signature_digest_verify_final(digest_verify_final),
    slot::signature_get_ctx_params(get_ctx_params),
    slot::signature_gettable_ctx_params(gettable_ctx_params),
    slot::signature_set_ctx_params(set_ctx_params),
    slot::signature_settable_ctx_params(settable_ctx_params),
    slot::signature_get_ctx_md_params(get_ctx_md_params),
    slot::signature_gettable_ctx_md_params(gettable_ctx_md_params),
    slot::signature_set_ctx_md_params(set_ctx_md_params),
    slot::signature_settable_ctx_md_params(settable_ctx_md_params),
    END,
];

const SIGN: u8 = 0;
const VERIFY: u8 = 1;
const RECOVER: u8 = 2;

const fn operation(code: u8) -> Operation {
    match code {
        SIGN => Operation::Sign,
        VERIFY => Operation::Verify,
        _ => Operation::VerifyRecover,
    }
}

const fn text(key: &'static CStr) -> OsslParam {
    describe(key, kind::UTF8_STRING, 0)
}

// For a context that has no key yet; with one, the tables are libcrypto's own.
static GETTABLE: [OsslParam; 6] = [
    describe(c"algorithm-id", kind::OCTET_STRING, 0),
    text(c"pad-mode"),
    text(c"digest"),
    text(c"mgf1-digest"),
    text(c"saltlen"),
    param::END,
];
static SETTABLE: [OsslParam; 7] = [
    text(c"digest"),
    text(c"properties"),
    text(c"pad-mode"),
    text(c"mgf1-digest"),
    text(c"mgf1-properties"),
    text(c"saltlen"),
    param::END,
];
static SETTABLE_WHILE_STREAMING: [OsslParam; 5] =
    [text(c"pad-mode"), text(c"mgf1-digest"), text(c"mgf1-properties"), text(c"saltlen"), param::END];

/// Property queries steer only the choice of digests, and the private context has one choice.
unsafe extern "C" fn newctx(provider: *mut c_void, _properties: *const c_char) -> *mut c_void {
    // SAFETY: libcrypto passes our provider context.
    guard(|| unsafe { instance(provider) }.map_or(ptr::null_mut(), |provider| give(Signer::new(provider))))
}

unsafe extern "C" fn freectx(ctx: *mut c_void) {
    // SAFETY: made by `give::<Signer>`; freed once.
    unsafe { take::<Signer>(ctx) }
}

unsafe extern "C" fn dupctx(ctx: *mut c_void) -> *mut c_void {
    // SAFETY: one of our contexts.
    unsafe { shared::<Signer, _>(ctx, |signer| signer.duplicate().map_or(ptr::null_mut(), give)) }
}

unsafe extern "C" fn init<const CODE: u8>(
    ctx: *mut c_void,
    key: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: our context, used by one thread; one of our keys or null; a terminated array.
    unsafe {
        exclusive::<Signer, _>(ctx, |signer| {
            let data = key_data(key);
            if data.is_none() && !key.is_null() {
                return 0;
            }
            signer.init(operation(CODE), data, Params::new(params)).into()
        })
    }
}

unsafe extern "C" fn digest_init<const CODE: u8>(
    ctx: *mut c_void,
    name: *const c_char,
    key: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: as `init`; the name is null or NUL-terminated.
    unsafe {
        exclusive::<Signer, _>(ctx, |signer| {
            let data = key_data(key);
            if data.is_none() && !key.is_null() {
                return 0;
            }
            let name = if name.is_null() { None } else { Some(CStr::from_ptr(name)) };
            signer.digest_init(operation(CODE), name, data, Params::new(params)).into()
        })
    }
}

unsafe extern "C" fn sign(
    ctx: *mut c_void,
    sig: *mut c_uchar,
    len: *mut usize,
    capacity: usize,
    input: *const c_uchar,
    input_len: usize,
) -> c_int {
    // SAFETY: our context; a readable input of its length; `sig` null or writable for `capacity`.
    unsafe {
        exclusive::<Signer, _>(ctx, |signer| {
            let room = (!sig.is_null()).then_some(capacity);
            deliver(signer.sign(room, bytes(input, input_len)), sig, capacity, len)
        })
    }
}

unsafe extern "C" fn digest_sign_final(
    ctx: *mut c_void,
    sig: *mut c_uchar,
    len: *mut usize,
    capacity: usize,
) -> c_int {
    // SAFETY: our context; `sig` null or writable for `capacity`.
    unsafe {
        exclusive::<Signer, _>(ctx, |signer| {
            let room = (!sig.is_null()).then_some(capacity);
            deliver(signer.digest_sign_final(room), sig, capacity, len)
        })
    }
}

unsafe extern "C" fn verify_recover(
    ctx: *mut c_void,
    out: *mut c_uchar,
    len: *mut usize,
    capacity: usize,
    sig: *const c_uchar,
    sig_len: usize,
) -> c_int {
    // SAFETY: our context; a readable signature of its length; `out` null or writable for `capacity`.
    unsafe {
        exclusive::<Signer, _>(ctx, |signer| {
            let room = (!out.is_null()).then_some(capacity);
            deliver(signer.verify_recover(room, bytes(sig, sig_len)), out, capacity, len)
        })
    }
}

/// Hands a result to the caller.
///
/// # Safety
/// `out` is null or writable for `capacity` bytes, `len` null or writable.
unsafe fn deliver(result: Option<Signature>, out: *mut c_uchar, capacity: usize, len: *mut usize) -> c_int {
    let count = match result {
        Some(Signature::Length(count)) => count,
        Some(Signature::Bytes(bytes)) if bytes.len() <= capacity => {
            // SAFETY: the room was just checked, and the vector is ours alone.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), out, bytes.len()) };
            bytes.len()
        }
        _ => return 0,
    };
    // SAFETY: by the contract.
    unsafe {
        if let Some(len) = len.as_mut() {
            *len = count;
        }
    }
    1
}

unsafe extern "C" fn verify(
    ctx: *mut c_void,
    sig: *const c_uchar,
    sig_len: usize,
    input: *const c_uchar,
    input_len: usize,
) -> c_int {
    // SAFETY: our context; two readable ranges.
    unsafe {
        exclusive::<Signer, _>(ctx, |signer| signer.verify(bytes(sig, sig_len), bytes(input, input_len)))
    }
}

unsafe extern "C" fn digest_update(ctx: *mut c_void, data: *const c_uchar, len: usize) -> c_int {
    // SAFETY: our context; a readable range.
    unsafe { exclusive::<Signer, _>(ctx, |signer| signer.digest_update(bytes(data, len)).into()) }
}

unsafe extern "C" fn digest_verify_final(ctx: *mut c_void, sig: *const c_uchar, len: usize) -> c_int {
    // SAFETY: our context; a readable range.
    unsafe { exclusive::<Signer, _>(ctx, |signer| signer.digest_verify_final(bytes(sig, len))) }
}

unsafe extern "C" fn get_ctx_params(ctx: *mut c_void, params: *mut OsslParam) -> c_int {
    // SAFETY: our context; a terminated array.
    unsafe { exclusive::<Signer, _>(ctx, |signer| signer.get_params(&mut Answers::new(params)).into()) }
}

unsafe extern "C" fn set_ctx_params(ctx: *mut c_void, params: *const OsslParam) -> c_int {
    // SAFETY: our context; null or a terminated array.
    unsafe {
        exclusive::<Signer, _>(ctx, |signer| {
            let params = Params::new(params);
            (params.is_null() || signer.set_params(params)).into()
        })
    }
}

unsafe extern "C" fn gettable_ctx_params(ctx: *mut c_void, _: *mut c_void) -> *const OsslParam {
    // SAFETY: null or our context.
    let own = unsafe { shared::<Signer, _>(ctx, |signer| signer.gettable().unwrap_or(ptr::null())) };
    if own.is_null() { GETTABLE.as_ptr() } else { own }
}

unsafe extern "C" fn settable_ctx_params(ctx: *mut c_void, _: *mut c_void) -> *const OsslParam {
    // SAFETY: null or our context.
    let own = unsafe {
        shared::<Signer, _>(ctx, |signer| {
            let fixed = signer.is_streaming().then_some(SETTABLE_WHILE_STREAMING.as_ptr());
            fixed.or_else(|| signer.settable()).unwrap_or(ptr::null())
        })
    };
    if own.is_null() { SETTABLE.as_ptr() } else { own }
}

unsafe extern "C" fn get_ctx_md_params(ctx: *mut c_void, params: *mut OsslParam) -> c_int {
    // SAFETY: our context; a terminated array.
    unsafe {
        exclusive::<Signer, _>(ctx, |signer| {
            signer.running().map_or(0, |running| running.get_params(&mut Answers::new(params)))
        })
    }
}

unsafe extern "C" fn set_ctx_md_params(ctx: *mut c_void, params: *const OsslParam) -> c_int {
    // SAFETY: our context; null or a terminated array.
    unsafe {
        exclusive::<Signer, _>(ctx, |signer| {
            signer.running().map_or(0, |it| it.set_params(Params::new(params)))
        })
    }
}

unsafe extern "C" fn gettable_ctx_md_params(ctx: *mut c_void) -> *const OsslParam {
    // SAFETY: our context.
    unsafe { shared::<Signer, _>(ctx, |signer| signer.digest().map_or(ptr::null(), Md::gettable)) }
}

unsafe extern "C" fn settable_ctx_md_params(ctx: *mut c_void) -> *const OsslParam {
    // SAFETY: our context.
    unsafe { shared::<Signer, _>(ctx, |signer| signer.digest().map_or(ptr::null(), Md::settable)) }
}
