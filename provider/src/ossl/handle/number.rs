//! UNSAFE: large numbers, as far as images and checks of RSA keys need them.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr;

use zeroize::Zeroizing;

use super::{Bn, BnCtx, Mont};
use crate::ossl::libcrypto::Libcrypto;

impl Bn {
    /// `BN_FLG_CONSTTIME`
    const CONSTANT_TIME: c_int = 4;

    fn new(lib: &'static Libcrypto) -> Option<Bn> {
        // SAFETY: a fresh object.
        unsafe { Bn::from_raw(lib, (lib.BN_new)()) }
    }

    pub(crate) fn from_bytes(lib: &'static Libcrypto, bytes: &[u8]) -> Option<Bn> {
        let len = c_int::try_from(bytes.len()).ok()?;
        // SAFETY: slice with its length; with a null place the call makes a new number.
        unsafe { Bn::from_raw(lib, (lib.BN_bin2bn)(bytes.as_ptr(), len, ptr::null_mut())) }
    }

    pub(crate) fn bits(&self) -> usize {
        // SAFETY: live number.
        usize::try_from(unsafe { (self.lib.BN_num_bits)(self.ptr.as_ptr()) }).unwrap_or(0)
    }

    /// Big-endian, padded on the left to `len` bytes; `None` if it does not fit.
    pub(crate) fn to_bytes(&self, len: usize) -> Option<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(vec![0u8; len]);
        let len = c_int::try_from(len).ok()?;
        // SAFETY: `len` bytes are writable.
        let written = unsafe { (self.lib.BN_bn2binpad)(self.ptr.as_ptr(), bytes.as_mut_ptr(), len) };
        (written == len).then_some(bytes)
    }

    /// Big-endian without leading zeros.
    pub(crate) fn to_minimal_bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.to_bytes(self.bits().div_ceil(8))
    }

    pub(crate) fn equals(&self, other: &Bn) -> bool {
        // SAFETY: live numbers.
        unsafe { (self.lib.BN_cmp)(self.ptr.as_ptr(), other.ptr.as_ptr()) == 0 }
    }

    pub(crate) fn is_odd(&self) -> bool {
        // SAFETY: live number.
        unsafe { (self.lib.BN_is_odd)(self.ptr.as_ptr()) == 1 }
    }

    pub(crate) fn is_one(&self) -> bool {
        // SAFETY: live number.
        unsafe { (self.lib.BN_is_one)(self.ptr.as_ptr()) == 1 }
    }

    /// Marks the number as secret: libcrypto then picks constant-time code for it.
    pub(crate) fn secret(self) -> Bn {
        // SAFETY: live number, exclusively ours.
        unsafe { (self.lib.BN_set_flags)(self.ptr.as_ptr(), Bn::CONSTANT_TIME) };
        self
    }

    pub(crate) fn minus_one(&self) -> Option<Bn> {
        // SAFETY: the copy is a new object and the only one changed.
        unsafe {
            let copy = Bn::from_raw(self.lib, (self.lib.BN_dup)(self.ptr.as_ptr()))?.secret();
            ((self.lib.BN_sub_word)(copy.ptr.as_ptr(), 1) == 1).then_some(copy)
        }
    }

    pub(crate) fn times(&self, other: &Bn, scratch: &mut BnCtx) -> Option<Bn> {
        let product = Bn::new(self.lib)?.secret();
        // SAFETY: live objects; only `product` and the scratch space change.
        let done = unsafe {
            (self.lib.BN_mul)(
                product.ptr.as_ptr(),
                self.ptr.as_ptr(),
                other.ptr.as_ptr(),
                scratch.ptr.as_ptr(),
            )
        };
        (done == 1).then_some(product)
    }

    /// self · other mod modulus.
    pub(crate) fn times_mod(&self, other: &Bn, modulus: &Bn, scratch: &mut BnCtx) -> Option<Bn> {
        let product = Bn::new(self.lib)?.secret();
        // SAFETY: live objects; only `product` and the scratch space change.
        let done = unsafe {
            (self.lib.BN_mod_mul)(
                product.ptr.as_ptr(),
                self.ptr.as_ptr(),
                other.ptr.as_ptr(),
                modulus.ptr.as_ptr(),
                scratch.ptr.as_ptr(),
            )
        };
        (done == 1).then_some(product)
    }
}

impl Mont {
    /// `None` for an even modulus.
    pub(crate) fn new(modulus: &Bn, scratch: &mut BnCtx) -> Option<Mont> {
        let lib = modulus.lib;
        // SAFETY: a fresh object, filled from a live number.
        unsafe {
            let mont = Mont::from_raw(lib, (lib.BN_MONT_CTX_new)())?;
            let done = modulus.is_odd()
                && (lib.BN_MONT_CTX_set)(mont.ptr.as_ptr(), modulus.ptr.as_ptr(), scratch.ptr.as_ptr()) == 1;
            done.then_some(mont)
        }
    }

    /// base^exponent mod modulus for public values; `modulus` is the one given to [`Mont::new`].
    pub(crate) fn power(&self, base: &Bn, exponent: &Bn, modulus: &Bn, scratch: &mut BnCtx) -> Option<Bn> {
        let result = Bn::new(self.lib)?;
        // SAFETY: live objects; the Montgomery context is complete, so the call only reads it.
        let done = unsafe {
            (self.lib.BN_mod_exp_mont)(
                result.ptr.as_ptr(),
                base.ptr.as_ptr(),
                exponent.ptr.as_ptr(),
                modulus.ptr.as_ptr(),
                scratch.ptr.as_ptr(),
                self.ptr.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }
}
