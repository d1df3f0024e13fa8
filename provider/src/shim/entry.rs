//! UNSAFE: the module's only export, and the provider's own function table.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::sync::{Arc, Once};

use super::{cipher, keymgmt, signature};
use crate::ossl::dispatch::{Algorithm, Dispatch, END, NO_MORE, op, slot};
use crate::ossl::guard::{give, guard, shared, take};
use crate::ossl::param::{self, Answers, OsslParam, describe, kind};
use crate::ossl::upcall::Core;
use crate::provider::Provider;

/// Property definition of every algorithm. Never `fips=yes`.
const PROPERTIES: &CStr = c"provider=warpdrive";

const RSA_NAMES: &CStr = c"RSA:rsaEncryption:1.2.840.113549.1.1.1";

const fn algorithm(
    names: &'static CStr,
    table: &'static [Dispatch],
    description: &'static CStr,
) -> Algorithm {
    Algorithm {
        names: names.as_ptr(),
        properties: PROPERTIES.as_ptr(),
        implementation: table.as_ptr(),
        description: description.as_ptr(),
    }
}

static KEYMGMTS: [Algorithm; 2] = [algorithm(RSA_NAMES, &keymgmt::TABLE, c"WarpDrive RSA keys"), NO_MORE];

static SIGNATURES: [Algorithm; 2] =
    [algorithm(RSA_NAMES, &signature::TABLE, c"WarpDrive RSA on HPRE"), NO_MORE];

static CIPHERS: [Algorithm; 4] = [
    algorithm(c"AES-256-CTR", &cipher::Table::<2>::DISPATCH, c"WarpDrive AES-256-CTR on SEC"),
    algorithm(c"AES-192-CTR", &cipher::Table::<1>::DISPATCH, c"WarpDrive AES-192-CTR on SEC"),
    algorithm(c"AES-128-CTR", &cipher::Table::<0>::DISPATCH, c"WarpDrive AES-128-CTR on SEC"),
    NO_MORE,
];

static PROVIDER: [Dispatch; 5] = [
    slot::provider_teardown(teardown),
    slot::provider_gettable_params(gettable_params),
    slot::provider_get_params(get_params),
    slot::provider_query_operation(query_operation),
    END,
];

static GETTABLE: [OsslParam; 5] = [
    describe(c"name", kind::UTF8_PTR, 0),
    describe(c"version", kind::UTF8_PTR, 0),
    describe(c"buildinfo", kind::UTF8_PTR, 0),
    describe(c"status", kind::INTEGER, 4),
    param::END,
];

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("no NUL inside a version"),
};

/// Called by libcrypto when it loads the module.
///
/// # Safety
/// The arguments are those of `OSSL_provider_init` in provider-base(7).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn OSSL_provider_init(
    handle: *const c_void,
    upcalls: *const Dispatch,
    table: *mut *const Dispatch,
    provider: *mut *mut c_void,
) -> c_int {
    guard(|| {
        // A panic is reported by the call that it ends, never on the host's standard error. The hook belongs to
        // this module's own copy of the standard library.
        static SILENCE: Once = Once::new();
        SILENCE.call_once(warpdrive_core::log::silence_panics);
        // SAFETY: libcrypto gives its upcall table with its handle.
        let core = unsafe { Core::new(handle, upcalls) };
        let instance = Arc::new(Provider::new(core));
        // SAFETY: both are places that libcrypto wants filled.
        unsafe {
            *table = PROVIDER.as_ptr();
            *provider = give(instance);
        }
        1
    })
}

unsafe extern "C" fn teardown(provider: *mut c_void) {
    // SAFETY: made by `OSSL_provider_init`; libcrypto calls this last.
    unsafe { take::<Arc<Provider>>(provider) }
}

unsafe extern "C" fn gettable_params(_: *mut c_void) -> *const OsslParam {
    GETTABLE.as_ptr()
}

unsafe extern "C" fn get_params(provider: *mut c_void, params: *mut OsslParam) -> c_int {
    // SAFETY: our instance; a terminated array.
    unsafe {
        shared::<Arc<Provider>, _>(provider, |provider| {
            let mut answers = Answers::new(params);
            c_int::from(
                answers.utf8_static(c"name", c"WarpDrive")
                    && answers.utf8_static(c"version", VERSION)
                    && answers.utf8_static(c"buildinfo", provider.build_info())
                    && answers.uint(c"status", u64::from(provider.lib().is_some())),
            )
        })
    }
}

unsafe extern "C" fn query_operation(
    provider: *mut c_void,
    operation: c_int,
    no_cache: *mut c_int,
) -> *const Algorithm {
    // SAFETY: our instance; `no_cache` is a place to fill.
    unsafe {
        if let Some(no_cache) = no_cache.as_mut() {
            *no_cache = 0;
        }
        shared::<Arc<Provider>, _>(provider, |provider| match operation {
            op::KEYMGMT if provider.offers_rsa() => KEYMGMTS.as_ptr(),
            op::SIGNATURE if provider.offers_rsa() => SIGNATURES.as_ptr(),
            op::CIPHER if provider.offers_ctr() => CIPHERS.as_ptr(),
            _ => std::ptr::null(),
        })
    }
}

/// The instance behind a `provctx`.
///
/// # Safety
/// `provider` is what `OSSL_provider_init` gave out.
pub(super) unsafe fn instance(provider: *mut c_void) -> Option<Arc<Provider>> {
    let mut found = None;
    // SAFETY: by the contract.
    unsafe {
        shared::<Arc<Provider>, ()>(provider, |provider| found = Some(Arc::clone(provider)));
    }
    found
}
