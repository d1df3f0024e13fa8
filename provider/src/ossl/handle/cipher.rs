//! UNSAFE: counter mode with the default provider's cipher.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr;

use warpdrive_core::engine::cipher::Data;

use super::{Cipher, CipherCtx};
use crate::ossl::param::Params;

impl Cipher {
    pub(crate) fn context(&self) -> Option<CipherCtx> {
        // SAFETY: a fresh object; the set-up below only names the algorithm, the key comes with `rekey`.
        unsafe {
            let ctx = CipherCtx::from_raw(self.lib, (self.lib.EVP_CIPHER_CTX_new)())?;
            let named = (self.lib.EVP_EncryptInit_ex2)(
                ctx.ptr.as_ptr(),
                self.ptr.as_ptr(),
                ptr::null(),
                ptr::null(),
                ptr::null(),
            );
            (named == 1).then_some(ctx)
        }
    }
}

impl CipherCtx {
    /// Sets a key of the algorithm's exact length (the caller's duty) and a counter block.
    pub(crate) fn rekey(&mut self, key: &[u8], counter: &[u8; 16]) -> bool {
        // SAFETY: live context; lengths are the algorithm's.
        unsafe {
            let (key, iv) = (key.as_ptr(), counter.as_ptr());
            (self.lib.EVP_EncryptInit_ex2)(self.ptr.as_ptr(), ptr::null(), key, iv, ptr::null()) == 1
        }
    }

    /// Sets the counter block and keeps the key.
    pub(crate) fn set_counter(&mut self, counter: &[u8; 16]) -> bool {
        // SAFETY: live context; the counter block has the algorithm's IV length.
        unsafe {
            let iv = counter.as_ptr();
            (self.lib.EVP_EncryptInit_ex2)(self.ptr.as_ptr(), ptr::null(), ptr::null(), iv, ptr::null()) == 1
        }
    }

    /// Encrypts `data`.
    pub(crate) fn crypt(&mut self, data: Data<'_>) -> bool {
        match data {
            // SAFETY: two slices; the range is the shorter one's.
            Data::Separate { input, output } => unsafe {
                self.update(output.as_mut_ptr(), input.as_ptr(), input.len().min(output.len()))
            },
            // SAFETY: one slice as both sides, which the function allows.
            Data::InPlace(buffer) => unsafe {
                self.update(buffer.as_mut_ptr(), buffer.as_ptr(), buffer.len())
            },
        }
    }

    /// # Safety
    /// `len` bytes are readable at `input` and writable at `output`, and the two are equal or disjoint.
    unsafe fn update(&mut self, mut output: *mut u8, mut input: *const u8, mut len: usize) -> bool {
        // The function counts in `int`; a multiple of the block size per step.
        const STEP: usize = 1 << 30;
        while len > 0 {
            let step = len.min(STEP);
            let mut written = 0;
            // SAFETY: `step` bytes remain at both pointers.
            let done = unsafe {
                (self.lib.EVP_EncryptUpdate)(self.ptr.as_ptr(), output, &mut written, input, step as c_int)
            };
            if done != 1 || written as usize != step {
                return false;
            }
            // SAFETY: still within the two ranges, or one past their end.
            (output, input) = unsafe { (output.add(step), input.add(step)) };
            len -= step;
        }
        true
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> bool {
        // SAFETY: live context, terminated array.
        unsafe { (self.lib.EVP_CIPHER_CTX_set_params)(self.ptr.as_ptr(), params.as_ptr()) == 1 }
    }

    pub(crate) fn duplicate(&self) -> Option<CipherCtx> {
        // SAFETY: a fresh object and a live one.
        unsafe {
            let copy = CipherCtx::from_raw(self.lib, (self.lib.EVP_CIPHER_CTX_new)())?;
            ((self.lib.EVP_CIPHER_CTX_copy)(copy.ptr.as_ptr(), self.ptr.as_ptr()) == 1).then_some(copy)
        }
    }
}
