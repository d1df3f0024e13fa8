//! UNSAFE: the function tables that libcrypto reads. One typed `const fn` per slot erases the function's
//! type; a function of the wrong shape does not compile. Ids and shapes follow `<openssl/core_dispatch.h>`
//! and are checked against the installed header by `tests/abi.c`.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_uchar, c_void};
use std::ptr;

use super::param::OsslParam;

/// `OSSL_DISPATCH`: one slot of a function table; id 0 ends the table.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Dispatch {
    pub(crate) id: c_int,
    pub(crate) function: Option<unsafe extern "C" fn()>,
}

/// `OSSL_ALGORITHM`: names, property definition, function table; null names end the array.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Algorithm {
    pub(crate) names: *const c_char,
    pub(crate) properties: *const c_char,
    pub(crate) implementation: *const Dispatch,
    pub(crate) description: *const c_char,
}

// SAFETY: every `Algorithm` of this crate is a static made of pointers to statics; nobody writes them.
unsafe impl Sync for Algorithm {}
// SAFETY: as above.
unsafe impl Send for Algorithm {}

/// Ends an array of [`Algorithm`].
pub(crate) const NO_MORE: Algorithm = Algorithm {
    names: ptr::null(),
    properties: ptr::null(),
    implementation: ptr::null(),
    description: ptr::null(),
};

/// Ends a function table.
pub(crate) const END: Dispatch = Dispatch { id: 0, function: None };

/// `OSSL_CALLBACK`: receives parameters during export or progress during key generation.
pub(crate) type Callback = unsafe extern "C" fn(*const OsslParam, *mut c_void) -> c_int;

macro_rules! slots {
    ($($name:ident = $id:literal: ($($arg:ty),*) $(-> $ret:ty)?;)*) => { $(
        pub(crate) const fn $name(function: unsafe extern "C" fn($($arg),*) $(-> $ret)?) -> Dispatch {
            // SAFETY: all `extern "C"` function pointers have one representation, and libcrypto casts this
            // one back to the type that belongs to the id before it calls.
            let function = unsafe {
                std::mem::transmute::<unsafe extern "C" fn($($arg),*) $(-> $ret)?, unsafe extern "C" fn()>(function)
            };
            Dispatch { id: $id, function: Some(function) }
        }
    )*
    };
}

/// One constructor per slot that this provider fills.
pub(crate) mod slot {
    use super::*;

    type Obj = *mut c_void;
    type In = *const c_uchar;
    type Out = *mut c_uchar;
    type Params = *const OsslParam;
    type ParamsMut = *mut OsslParam;

    slots! {
        provider_teardown = 1024: (Obj);
        provider_gettable_params = 1025: (Obj) -> Params;
        provider_get_params = 1026: (Obj, ParamsMut) -> c_int;
        provider_query_operation = 1027: (Obj, c_int, *mut c_int) -> *const Algorithm;

        cipher_newctx = 1: (Obj) -> Obj;
        cipher_encrypt_init = 2: (Obj, In, usize, In, usize, Params) -> c_int;
        cipher_decrypt_init = 3: (Obj, In, usize, In, usize, Params) -> c_int;
        cipher_update = 4: (Obj, Out, *mut usize, usize, In, usize) -> c_int;
        cipher_final = 5: (Obj, Out, *mut usize, usize) -> c_int;
        cipher_cipher = 6: (Obj, Out, *mut usize, usize, In, usize) -> c_int;
        cipher_freectx = 7: (Obj);
        cipher_dupctx = 8: (Obj) -> Obj;
        cipher_get_params = 9: (ParamsMut) -> c_int;
        cipher_get_ctx_params = 10: (Obj, ParamsMut) -> c_int;
        cipher_set_ctx_params = 11: (Obj, Params) -> c_int;
        cipher_gettable_params = 12: (Obj) -> Params;
        cipher_gettable_ctx_params = 13: (Obj, Obj) -> Params;
        cipher_settable_ctx_params = 14: (Obj, Obj) -> Params;

        keymgmt_new = 1: (Obj) -> Obj;
        keymgmt_gen_init = 2: (Obj, c_int, Params) -> Obj;
        keymgmt_gen_set_params = 4: (Obj, Params) -> c_int;
        keymgmt_gen_settable_params = 5: (Obj, Obj) -> Params;
        keymgmt_gen = 6: (Obj, Option<Callback>, Obj) -> Obj;
        keymgmt_gen_cleanup = 7: (Obj);
        keymgmt_load = 8: (*const c_void, usize) -> Obj;
        keymgmt_free = 10: (Obj);
        keymgmt_get_params = 11: (Obj, ParamsMut) -> c_int;
        keymgmt_gettable_params = 12: (Obj) -> Params;
        keymgmt_query_operation_name = 20: (c_int) -> *const c_char;
        keymgmt_has = 21: (*const c_void, c_int) -> c_int;
        keymgmt_validate = 22: (*const c_void, c_int, c_int) -> c_int;
        keymgmt_match = 23: (*const c_void, *const c_void, c_int) -> c_int;
        keymgmt_import = 40: (Obj, c_int, Params) -> c_int;
        keymgmt_import_types = 41: (c_int) -> Params;
        keymgmt_export = 42: (Obj, c_int, Option<Callback>, Obj) -> c_int;
        keymgmt_export_types = 43: (c_int) -> Params;
        keymgmt_dup = 44: (*const c_void, c_int) -> Obj;

        signature_newctx = 1: (Obj, *const c_char) -> Obj;
        signature_sign_init = 2: (Obj, Obj, Params) -> c_int;
        signature_sign = 3: (Obj, Out, *mut usize, usize, In, usize) -> c_int;
        signature_verify_init = 4: (Obj, Obj, Params) -> c_int;
        signature_verify = 5: (Obj, In, usize, In, usize) -> c_int;
        signature_verify_recover_init = 6: (Obj, Obj, Params) -> c_int;
        signature_verify_recover = 7: (Obj, Out, *mut usize, usize, In, usize) -> c_int;
        signature_digest_sign_init = 8: (Obj, *const c_char, Obj, Params) -> c_int;
        signature_digest_sign_update = 9: (Obj, In, usize) -> c_int;
        signature_digest_sign_final = 10: (Obj, Out, *mut usize, usize) -> c_int;
        signature_digest_verify_init = 12: (Obj, *const c_char, Obj, Params) -> c_int;
        signature_digest_verify_update = 13: (Obj, In, usize) -> c_int;
        signature_digest_verify_final = 14: (Obj, In, usize) -> c_int;
        signature_freectx = 16: (Obj);
        signature_dupctx = 17: (Obj) -> Obj;
        signature_get_ctx_params = 18: (Obj, ParamsMut) -> c_int;
        signature_gettable_ctx_params = 19: (Obj, Obj) -> Params;
        signature_set_ctx_params = 20: (Obj, Params) -> c_int;
        signature_settable_ctx_params = 21: (Obj, Obj) -> Params;
        signature_get_ctx_md_params = 22: (Obj, ParamsMut) -> c_int;
        signature_gettable_ctx_md_params = 23: (Obj) -> Params;
        signature_set_ctx_md_params = 24: (Obj, Params) -> c_int;
        signature_settable_ctx_md_params = 25: (Obj) -> Params;
    }
}

/// Operation ids of `query_operation` (`OSSL_OP_*`).
pub(crate) mod op {
    use std::ffi::c_int;

    pub(crate) const CIPHER: c_int = 2;
    pub(crate) const KEYMGMT: c_int = 10;
    pub(crate) const SIGNATURE: c_int = 12;
}

/// Bits of a key management selection (`OSSL_KEYMGMT_SELECT_*`).
pub(crate) mod select {
    use std::ffi::c_int;

    pub(crate) const PRIVATE: c_int = 0x01;
    pub(crate) const PUBLIC: c_int = 0x02;
    pub(crate) const KEYPAIR: c_int = PRIVATE | PUBLIC;
    pub(crate) const OTHER: c_int = 0x80;
    /// What an RSA key can have at all.
    pub(crate) const POSSIBLE: c_int = KEYPAIR | OTHER;
}
