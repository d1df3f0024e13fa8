//! UNSAFE: digests.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use zeroize::Zeroizing;

use super::{Md, MdCtx};
use crate::ossl::libcrypto::{LibCtxSt, Libcrypto};
use crate::ossl::param::{Answers, OsslParam, Params};

impl Md {
    /// # Safety
    /// `ctx` is a live library context, or null for the process's default one.
    pub(super) unsafe fn fetch(lib: &'static Libcrypto, ctx: *mut LibCtxSt, name: &CStr) -> Option<Md> {
        // SAFETY: by the contract; the result is a new reference.
        unsafe { Md::from_raw(lib, (lib.EVP_MD_fetch)(ctx, name.as_ptr(), ptr::null())) }
    }

    /// Whether the application's own context knows a digest.
    ///
    /// # Safety
    /// `ctx` is a live library context, or null for the process's default one.
    pub(crate) unsafe fn known_to(lib: &'static Libcrypto, ctx: *mut c_void, name: &CStr) -> bool {
        // SAFETY: by the contract.
        unsafe { Md::fetch(lib, ctx.cast(), name) }.is_some()
    }

    pub(crate) fn is_a(&self, name: &CStr) -> bool {
        // SAFETY: live digest.
        unsafe { (self.lib.EVP_MD_is_a)(self.ptr.as_ptr(), name.as_ptr()) == 1 }
    }

    /// Output size in bytes.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: live digest.
        usize::try_from(unsafe { (self.lib.EVP_MD_get_size)(self.ptr.as_ptr()) }).unwrap_or(0)
    }

    pub(crate) fn share(&self) -> Option<Md> {
        // SAFETY: live digest; the second handle owns the second reference.
        unsafe {
            let done = (self.lib.EVP_MD_up_ref)(self.ptr.as_ptr()) == 1;
            Md::from_raw(self.lib, if done { self.ptr.as_ptr() } else { ptr::null_mut() })
        }
    }

    pub(crate) fn gettable(&self) -> *const OsslParam {
        // SAFETY: live digest.
        unsafe { (self.lib.EVP_MD_gettable_ctx_params)(self.ptr.as_ptr()) }
    }

    pub(crate) fn settable(&self) -> *const OsslParam {
        // SAFETY: live digest.
        unsafe { (self.lib.EVP_MD_settable_ctx_params)(self.ptr.as_ptr()) }
    }

    /// The digest of the concatenated parts.
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
        let mut ctx = MdCtx::new(self.lib)?;
        (ctx.init(Some(self), Params::none()) && parts.iter().all(|part| ctx.update(part)))
            .then(|| ctx.finish())?
    }
}

impl MdCtx {
    pub(crate) fn new(lib: &'static Libcrypto) -> Option<MdCtx> {
        // SAFETY: a fresh object.
        unsafe { MdCtx::from_raw(lib, (lib.EVP_MD_CTX_new)()) }
    }

    pub(crate) fn init(&mut self, md: Option<&Md>, params: Params<'_>) -> bool {
        let md = md.map_or(ptr::null(), |md| md.ptr.as_ptr().cast_const());
        // SAFETY: live context; a null digest is an error that the call reports.
        unsafe { (self.lib.EVP_DigestInit_ex2)(self.ptr.as_ptr(), md, params.as_ptr()) == 1 }
    }

    pub(crate) fn update(&mut self, data: &[u8]) -> bool {
        // SAFETY: live context, slice with its length.
        unsafe { (self.lib.EVP_DigestUpdate)(self.ptr.as_ptr(), data.as_ptr().cast(), data.len()) == 1 }
    }

    pub(crate) fn finish(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        // EVP_MAX_MD_SIZE
        let mut out = Zeroizing::new(vec![0u8; 64]);
        let mut len = 0;
        // SAFETY: the output holds the largest digest.
        let done =
            unsafe { (self.lib.EVP_DigestFinal_ex)(self.ptr.as_ptr(), out.as_mut_ptr(), &mut len) == 1 };
        out.truncate(len as usize);
        done.then_some(out)
    }

    pub(crate) fn duplicate(&self) -> Option<MdCtx> {
        let copy = MdCtx::new(self.lib)?;
        // SAFETY: two live contexts.
        let done = unsafe { (self.lib.EVP_MD_CTX_copy_ex)(copy.ptr.as_ptr(), self.ptr.as_ptr()) == 1 };
        done.then_some(copy)
    }

    pub(crate) fn get_params(&mut self, answers: &mut Answers<'_>) -> c_int {
        // SAFETY: live context, terminated array.
        unsafe { (self.lib.EVP_MD_CTX_get_params)(self.ptr.as_ptr(), answers.as_ptr()) }
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        // SAFETY: live context, terminated array.
        unsafe { (self.lib.EVP_MD_CTX_set_params)(self.ptr.as_ptr(), params.as_ptr()) }
    }
}
