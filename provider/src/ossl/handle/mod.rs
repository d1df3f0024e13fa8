//! UNSAFE: owned handles of libcrypto objects with safe methods. Each handle frees its object once, and keeps
//! the function table it was made with. Calls report failure as libcrypto does and leave its errors queued.
#![allow(unsafe_code)]

mod cipher;
mod digest;
mod number;
mod pkey;

use std::ffi::CStr;
use std::ptr::{self, NonNull};

use super::libcrypto::{
    BnCtxSt, BnSt, CipherCtxSt, CipherSt, LibCtxSt, Libcrypto, MdCtxSt, MdSt, MontSt, PkeyCtxSt, PkeySt,
    ProviderSt,
};

use super::param::Params;

pub(crate) use pkey::{Operation, Progress};

macro_rules! owned {
    ($($(#[$doc:meta])* $name:ident($c:ty, $free:ident);)*) => { $(
        $(#[$doc])*
        pub(crate) struct $name {
            lib: &'static Libcrypto,
            ptr: NonNull<$c>,
        }

        // SAFETY: libcrypto objects may move between threads; those that are not thread-safe are only
        // changed through `&mut`.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}

        impl $name {
            /// # Safety
            /// `ptr` is null or a fresh object that nobody else frees.
            unsafe fn from_raw(lib: &'static Libcrypto, ptr: *mut $c) -> Option<Self> {
                NonNull::new(ptr).map(|ptr| $name { lib, ptr })
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: `from_raw` promised sole ownership.
                unsafe { (self.lib.$free)(self.ptr.as_ptr()) };
            }
        }
    )* };
}

owned! {
    /// A private library context.
    LibCtx(LibCtxSt, OSSL_LIB_CTX_free);
    /// A provider loaded into a private context; unloaded when dropped.
    Loaded(ProviderSt, OSSL_PROVIDER_unload);
    /// A key held by the default provider.
    Pkey(PkeySt, EVP_PKEY_free);
    /// An operation on a key.
    PkeyCtx(PkeyCtxSt, EVP_PKEY_CTX_free);
    /// A digest algorithm.
    Md(MdSt, EVP_MD_free);
    /// A running digest.
    MdCtx(MdCtxSt, EVP_MD_CTX_free);
    /// A cipher algorithm.
    Cipher(CipherSt, EVP_CIPHER_free);
    /// A running cipher.
    CipherCtx(CipherCtxSt, EVP_CIPHER_CTX_free);
    /// A number; cleared when freed.
    Bn(BnSt, BN_clear_free);
    /// Scratch space of number operations.
    BnCtx(BnCtxSt, BN_CTX_free);
    /// Precomputation for one odd modulus.
    Mont(MontSt, BN_MONT_CTX_free);
}

impl LibCtx {
    /// An empty context. Reads no configuration.
    pub(crate) fn new(lib: &'static Libcrypto) -> Option<LibCtx> {
        // SAFETY: a fresh context, owned by the handle.
        unsafe { LibCtx::from_raw(lib, (lib.OSSL_LIB_CTX_new)()) }
    }

    /// Loads a provider that comes with OpenSSL. Drop it before the context.
    pub(crate) fn load(&self, name: &CStr) -> Option<Loaded> {
        // SAFETY: a live context and a NUL-terminated name; the result is our activation, given back on drop.
        unsafe { Loaded::from_raw(self.lib, (self.lib.OSSL_PROVIDER_load)(self.ptr.as_ptr(), name.as_ptr())) }
    }

    pub(crate) fn random(&self, bytes: &mut [u8]) -> bool {
        // SAFETY: `bytes` is writable for its length.
        unsafe { (self.lib.RAND_bytes_ex)(self.ptr.as_ptr(), bytes.as_mut_ptr(), bytes.len(), 0) == 1 }
    }

    pub(crate) fn bn_ctx(&self) -> Option<BnCtx> {
        // SAFETY: a fresh object.
        unsafe { BnCtx::from_raw(self.lib, (self.lib.BN_CTX_new_ex)(self.ptr.as_ptr())) }
    }

    /// A digest of this context by name.
    pub(crate) fn digest(&self, name: &CStr) -> Option<Md> {
        // SAFETY: `self` is a live context.
        unsafe { Md::fetch(self.lib, self.ptr.as_ptr(), name) }
    }

    /// Whether the default provider, while it digests `name` for a signature with `key`, takes `params`. Leaves
    /// its errors if not.
    pub(crate) fn streaming_takes(
        &self,
        key: &Pkey,
        operation: Operation,
        name: &CStr,
        params: Params<'_>,
    ) -> bool {
        let Some(digest) = MdCtx::new(self.lib) else { return false };
        let mut ctx = ptr::null_mut();
        let init = match operation {
            Operation::Sign => self.lib.EVP_DigestSignInit_ex,
            _ => self.lib.EVP_DigestVerifyInit_ex,
        };
        let (libctx, key) = (self.ptr.as_ptr(), key.ptr.as_ptr());
        // SAFETY: live objects; `ctx` belongs to the digest context, which outlives its use here.
        unsafe {
            init(digest.ptr.as_ptr(), &mut ctx, name.as_ptr(), libctx, ptr::null(), key, ptr::null()) == 1
                && (self.lib.EVP_PKEY_CTX_set_params)(ctx, params.as_ptr()) == 1
        }
    }

    pub(crate) fn cipher(&self, name: &CStr) -> Option<Cipher> {
        // SAFETY: live context, NUL-terminated name; the result is a new reference.
        unsafe {
            let cipher = (self.lib.EVP_CIPHER_fetch)(self.ptr.as_ptr(), name.as_ptr(), ptr::null());
            Cipher::from_raw(self.lib, cipher)
        }
    }

    /// A context for an algorithm's key generation or import.
    pub(crate) fn pkey_ctx(&self, algorithm: &CStr) -> Option<PkeyCtx> {
        // SAFETY: as above.
        unsafe {
            let ctx =
                (self.lib.EVP_PKEY_CTX_new_from_name)(self.ptr.as_ptr(), algorithm.as_ptr(), ptr::null());
            PkeyCtx::from_raw(self.lib, ctx)
        }
    }

    /// A context for operations with `key`.
    pub(crate) fn key_ctx(&self, key: &Pkey) -> Option<PkeyCtx> {
        // SAFETY: live context and key; the new object takes its own reference on the key.
        unsafe {
            let ctx = (self.lib.EVP_PKEY_CTX_new_from_pkey)(self.ptr.as_ptr(), key.ptr.as_ptr(), ptr::null());
            PkeyCtx::from_raw(self.lib, ctx)
        }
    }
}
