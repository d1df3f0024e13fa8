//! UNSAFE: the functions of the libcrypto that called us, found at load. The module is not linked with any
//! libcrypto, so it works in a process with whichever version that process has.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ulong, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use super::dispatch::Callback;
use super::param::OsslParam;

macro_rules! opaque {
    ($($name:ident)*) => { $(
        /// An OpenSSL type that only libcrypto looks into.
        #[repr(C)]
        pub(crate) struct $name {
            private: [u8; 0],
        }
    )* };
}

opaque! { LibCtxSt ProviderSt PkeySt PkeyCtxSt MdSt MdCtxSt CipherSt CipherCtxSt BnSt BnCtxSt MontSt }

type Params = *const OsslParam;
type Gencb = unsafe extern "C" fn(*mut PkeyCtxSt) -> c_int;

macro_rules! functions {
    (@type ($($arg:ty),*) ($($ret:ty)?)) => { unsafe extern "C" fn($($arg),*) $(-> $ret)? };
    (@type ($($arg:ty),*) ($($ret:ty)?) variadic) => { unsafe extern "C" fn($($arg),*, ...) $(-> $ret)? };
    ($($name:ident: fn($($arg:ty),* $(; $dots:tt)?) $(-> $ret:ty)?;)*) => {
        /// The function table. Field names are the C names.
        #[allow(non_snake_case, reason = "C names")]
        pub(crate) struct Libcrypto {
            base: usize,
            /// Takes back the last error; from 3.3 on.
            pub(crate) ERR_pop: Option<unsafe extern "C" fn() -> c_int>,
            $(pub(crate) $name: functions!(@type ($($arg),*) ($($ret)?) $($dots)?),)*
        }

        impl Libcrypto {
            fn load(find: impl Fn(&'static CStr) -> Option<*mut c_void>, base: usize) -> Result<Self, &'static CStr> {
                Ok(Libcrypto {
                    base,
                    // SAFETY: the symbol of this name in libcrypto has this type.
                    ERR_pop: find(c"ERR_pop").map(|address| unsafe { std::mem::transmute(address) }),
                    $($name: {
                        const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                            Ok(name) => name,
                            Err(_) => panic!("no NUL inside a name"),
                        };
                        let address = find(NAME).ok_or(NAME)?;
                        // SAFETY: the symbol of this name in libcrypto has this type (public headers, 3.0 on).
                        unsafe { std::mem::transmute_copy(&address) }
                    },)*
                })
            }
        }
    };
}

functions! {
    OSSL_LIB_CTX_new: fn() -> *mut LibCtxSt;
    OSSL_LIB_CTX_free: fn(*mut LibCtxSt);
    OSSL_PROVIDER_load: fn(*mut LibCtxSt, *const c_char) -> *mut ProviderSt;
    OSSL_PROVIDER_unload: fn(*mut ProviderSt) -> c_int;

    ERR_new: fn();
    ERR_set_debug: fn(*const c_char, c_int, *const c_char);
    ERR_set_error: fn(c_int, c_int, *const c_char; variadic);
    ERR_set_mark: fn() -> c_int;
    ERR_pop_to_mark: fn() -> c_int;
    ERR_peek_last_error: fn() -> c_ulong;

    EVP_PKEY_CTX_new_from_name: fn(*mut LibCtxSt, *const c_char, *const c_char) -> *mut PkeyCtxSt;
    EVP_PKEY_CTX_new_from_pkey: fn(*mut LibCtxSt, *mut PkeySt, *const c_char) -> *mut PkeyCtxSt;
    EVP_PKEY_CTX_dup: fn(*const PkeyCtxSt) -> *mut PkeyCtxSt;
    EVP_PKEY_CTX_free: fn(*mut PkeyCtxSt);
    EVP_PKEY_CTX_set_params: fn(*mut PkeyCtxSt, Params) -> c_int;
    EVP_PKEY_CTX_get_params: fn(*mut PkeyCtxSt, *mut OsslParam) -> c_int;
    EVP_PKEY_CTX_gettable_params: fn(*const PkeyCtxSt) -> Params;
    EVP_PKEY_CTX_settable_params: fn(*const PkeyCtxSt) -> Params;
    EVP_PKEY_free: fn(*mut PkeySt);
    EVP_PKEY_dup: fn(*mut PkeySt) -> *mut PkeySt;
    EVP_PKEY_fromdata_init: fn(*mut PkeyCtxSt) -> c_int;
    EVP_PKEY_fromdata: fn(*mut PkeyCtxSt, *mut *mut PkeySt, c_int, *mut OsslParam) -> c_int;
    EVP_PKEY_export: fn(*const PkeySt, c_int, Option<Callback>, *mut c_void) -> c_int;
    EVP_PKEY_get_params: fn(*const PkeySt, *mut OsslParam) -> c_int;
    EVP_PKEY_get_bn_param: fn(*const PkeySt, *const c_char, *mut *mut BnSt) -> c_int;
    EVP_PKEY_sign_init_ex: fn(*mut PkeyCtxSt, Params) -> c_int;
    EVP_PKEY_sign: fn(*mut PkeyCtxSt, *mut c_uchar, *mut usize, *const c_uchar, usize) -> c_int;
    EVP_PKEY_verify_init_ex: fn(*mut PkeyCtxSt, Params) -> c_int;
    EVP_PKEY_verify: fn(*mut PkeyCtxSt, *const c_uchar, usize, *const c_uchar, usize) -> c_int;
    EVP_PKEY_verify_recover_init_ex: fn(*mut PkeyCtxSt, Params) -> c_int;
    EVP_PKEY_verify_recover: fn(*mut PkeyCtxSt, *mut c_uchar, *mut usize, *const c_uchar, usize) -> c_int;
    EVP_PKEY_check: fn(*mut PkeyCtxSt) -> c_int;
    EVP_PKEY_public_check: fn(*mut PkeyCtxSt) -> c_int;
    EVP_PKEY_public_check_quick: fn(*mut PkeyCtxSt) -> c_int;
    EVP_PKEY_private_check: fn(*mut PkeyCtxSt) -> c_int;
    EVP_PKEY_keygen_init: fn(*mut PkeyCtxSt) -> c_int;
    EVP_PKEY_generate: fn(*mut PkeyCtxSt, *mut *mut PkeySt) -> c_int;
    EVP_PKEY_CTX_set_cb: fn(*mut PkeyCtxSt, Option<Gencb>);
    EVP_PKEY_CTX_get_keygen_info: fn(*mut PkeyCtxSt, c_int) -> c_int;

    EVP_MD_fetch: fn(*mut LibCtxSt, *const c_char, *const c_char) -> *mut MdSt;
    EVP_MD_up_ref: fn(*mut MdSt) -> c_int;
    EVP_MD_free: fn(*mut MdSt);
    EVP_MD_is_a: fn(*const MdSt, *const c_char) -> c_int;
    EVP_MD_get_size: fn(*const MdSt) -> c_int;
    EVP_MD_gettable_ctx_params: fn(*const MdSt) -> Params;
    EVP_MD_settable_ctx_params: fn(*const MdSt) -> Params;
    EVP_MD_CTX_new: fn() -> *mut MdCtxSt;
    EVP_MD_CTX_free: fn(*mut MdCtxSt);
    EVP_MD_CTX_copy_ex: fn(*mut MdCtxSt, *const MdCtxSt) -> c_int;
    EVP_MD_CTX_get_params: fn(*mut MdCtxSt, *mut OsslParam) -> c_int;
    EVP_MD_CTX_set_params: fn(*mut MdCtxSt, Params) -> c_int;
    EVP_DigestSignInit_ex: fn(*mut MdCtxSt, *mut *mut PkeyCtxSt, *const c_char, *mut LibCtxSt, *const c_char, *mut PkeySt, Params) -> c_int;
    EVP_DigestVerifyInit_ex: fn(*mut MdCtxSt, *mut *mut PkeyCtxSt, *const c_char, *mut LibCtxSt, *const c_char, *mut PkeySt, Params) -> c_int;
    EVP_DigestInit_ex2: fn(*mut MdCtxSt, *const MdSt, Params) -> c_int;
    EVP_DigestUpdate: fn(*mut MdCtxSt, *const c_void, usize) -> c_int;
    EVP_DigestFinal_ex: fn(*mut MdCtxSt, *mut c_uchar, *mut c_uint) -> c_int;
    RAND_bytes_ex: fn(*mut LibCtxSt, *mut c_uchar, usize, c_uint) -> c_int;

    EVP_CIPHER_fetch: fn(*mut LibCtxSt, *const c_char, *const c_char) -> *mut CipherSt;
    EVP_CIPHER_free: fn(*mut CipherSt);
    EVP_CIPHER_CTX_new: fn() -> *mut CipherCtxSt;
    EVP_CIPHER_CTX_free: fn(*mut CipherCtxSt);
    EVP_CIPHER_CTX_copy: fn(*mut CipherCtxSt, *const CipherCtxSt) -> c_int;
    EVP_CIPHER_CTX_set_params: fn(*mut CipherCtxSt, Params) -> c_int;
    EVP_EncryptInit_ex2: fn(*mut CipherCtxSt, *const CipherSt, *const c_uchar, *const c_uchar, Params) -> c_int;
    EVP_EncryptUpdate: fn(*mut CipherCtxSt, *mut c_uchar, *mut c_int, *const c_uchar, c_int) -> c_int;

    BN_CTX_new_ex: fn(*mut LibCtxSt) -> *mut BnCtxSt;
    BN_CTX_free: fn(*mut BnCtxSt);
    BN_new: fn() -> *mut BnSt;
    BN_clear_free: fn(*mut BnSt);
    BN_set_flags: fn(*mut BnSt, c_int);
    BN_num_bits: fn(*const BnSt) -> c_int;
    BN_bin2bn: fn(*const c_uchar, c_int, *mut BnSt) -> *mut BnSt;
    BN_bn2binpad: fn(*const BnSt, *mut c_uchar, c_int) -> c_int;
    BN_cmp: fn(*const BnSt, *const BnSt) -> c_int;
    BN_is_one: fn(*const BnSt) -> c_int;
    BN_is_odd: fn(*const BnSt) -> c_int;
    BN_mul: fn(*mut BnSt, *const BnSt, *const BnSt, *mut BnCtxSt) -> c_int;
    BN_mod_mul: fn(*mut BnSt, *const BnSt, *const BnSt, *const BnSt, *mut BnCtxSt) -> c_int;
    BN_sub_word: fn(*mut BnSt, c_ulong) -> c_int;
    BN_dup: fn(*const BnSt) -> *mut BnSt;
    BN_MONT_CTX_new: fn() -> *mut MontSt;
    BN_MONT_CTX_free: fn(*mut MontSt);
    BN_MONT_CTX_set: fn(*mut MontSt, *const BnSt, *mut BnCtxSt) -> c_int;
    BN_mod_exp_mont: fn(*mut BnSt, *const BnSt, *const BnSt, *const BnSt, *mut BnCtxSt, *mut MontSt) -> c_int;
}

/// Why no function table could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// The address is in no loaded object.
    NoObject,
    /// The object cannot be opened (bundled statically, symbols not exported).
    NotShared,
    /// A function that we need is missing.
    Missing(&'static CStr),
}

impl Libcrypto {
    /// The table of the libcrypto that contains `anchor`; made once per libcrypto and kept for ever.
    pub(crate) fn containing(anchor: *const c_void) -> Result<&'static Libcrypto, Unresolved> {
        static KNOWN: Mutex<Vec<&'static Libcrypto>> = Mutex::new(Vec::new());
        let (base, name) = object_of(anchor).ok_or(Unresolved::NoObject)?;
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = known.iter().find(|table| table.base == base) {
            return Ok(table);
        }
        // SAFETY: `name` is the loader's own NUL-terminated name; RTLD_NOLOAD opens nothing new.
        let mut object = unsafe { libc::dlopen(name, libc::RTLD_NOLOAD | libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if object.is_null() {
            // The main program's name is not one that dlopen knows; its handle is that of a null name.
            // SAFETY: a null name is allowed.
            object = unsafe { libc::dlopen(ptr::null(), libc::RTLD_NOW) };
        }
        if object.is_null() {
            return Err(Unresolved::NotShared);
        }
        let find = |symbol: &'static CStr| {
            // SAFETY: an open handle and a NUL-terminated name.
            let address = unsafe { libc::dlsym(object, symbol.as_ptr()) };
            // A symbol from some other libcrypto of the process would be worse than none.
            (object_of(address)?.0 == base).then_some(address)
        };
        let table: &'static Libcrypto =
            Box::leak(Box::new(Self::load(find, base).map_err(Unresolved::Missing)?));
        known.push(table);
        Ok(table)
    }
}

/// Load address and name of the object that contains `address`.
fn object_of(address: *const c_void) -> Option<(usize, *const c_char)> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` accepts any address and fills `info` if it returns non-zero.
    let info = unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init()) }?;
    (!info.dli_fname.is_null()).then_some((info.dli_fbase as usize, info.dli_fname))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_libcrypto_is_unresolvable() {
        let here = an_object_without_libcrypto_is_unresolvable as *const c_void;
        assert!(matches!(Libcrypto::containing(here), Err(Unresolved::Missing(_) | Unresolved::NotShared)));
        assert_eq!(Libcrypto::containing(ptr::null()).err(), Some(Unresolved::NoObject));
    }
}
