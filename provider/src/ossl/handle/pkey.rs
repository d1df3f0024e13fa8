//! UNSAFE: keys of the default provider, and operations on them.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use super::{Bn, Pkey, PkeyCtx};
use crate::ossl::dispatch::{Callback, select};
use crate::ossl::error::without_layer_remark;
use crate::ossl::libcrypto::{Libcrypto, PkeyCtxSt};
use crate::ossl::param::{self, Answers, OsslParam, Params};

impl Pkey {
    pub(crate) fn duplicate(&self) -> Option<Pkey> {
        // SAFETY: a live key, which the call only reads; the result is a new object.
        unsafe { Pkey::from_raw(self.lib, (self.lib.EVP_PKEY_dup)(self.ptr.as_ptr())) }
    }

    /// Hands the selected parts to `callback`.
    ///
    /// # Safety
    /// `callback` accepts `argument`.
    pub(crate) unsafe fn export(
        &self,
        selection: c_int,
        callback: Option<Callback>,
        argument: *mut c_void,
    ) -> bool {
        // SAFETY: live key; the callback by the caller's contract.
        unsafe { (self.lib.EVP_PKEY_export)(self.ptr.as_ptr(), selection, callback, argument) == 1 }
    }

    /// A new key made of the selected parts.
    pub(crate) fn subset(&self, ctx: &mut PkeyCtx, selection: c_int) -> Option<Pkey> {
        struct Import<'a> {
            ctx: &'a mut PkeyCtx,
            selection: c_int,
            made: Option<Pkey>,
        }
        unsafe extern "C" fn receive(params: *const OsslParam, argument: *mut c_void) -> c_int {
            crate::ossl::guard::guard(|| {
                // SAFETY: `argument` is the `Import` below, alive during the export.
                let import = unsafe { &mut *argument.cast::<Import<'_>>() };
                // SAFETY: libcrypto gives a terminated array, alive during the callback.
                let params = unsafe { Params::new(params) };
                import.made = import.ctx.import(import.selection, params);
                import.made.is_some().into()
            })
        }
        let mut import = Import { ctx, selection, made: None };
        // SAFETY: `receive` expects exactly this argument.
        unsafe { self.export(selection, Some(receive), ptr::from_mut(&mut import).cast()) };
        import.made
    }

    pub(crate) fn get_params(&self, answers: &mut Answers<'_>) -> bool {
        // SAFETY: live key, terminated array.
        unsafe { (self.lib.EVP_PKEY_get_params)(self.ptr.as_ptr(), answers.as_ptr()) == 1 }
    }

    /// A number of the key, if it has it. May leave an error queued if not.
    pub(crate) fn number(&self, name: &CStr) -> Option<Bn> {
        let mut bn = ptr::null_mut();
        // SAFETY: live key; with a null place the call makes a new number.
        unsafe {
            let found = (self.lib.EVP_PKEY_get_bn_param)(self.ptr.as_ptr(), name.as_ptr(), &mut bn) == 1;
            Bn::from_raw(self.lib, bn).filter(|_| found)
        }
    }
}

/// A caller's function that is told how a key generation goes on.
pub(crate) struct Progress {
    callback: Option<Callback>,
    argument: *mut c_void,
}

impl Progress {
    /// # Safety
    /// `callback` accepts `argument` as long as the generation runs.
    pub(crate) unsafe fn new(callback: Option<Callback>, argument: *mut c_void) -> Self {
        Progress { callback, argument }
    }
}

/// What a signature context was initialized for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Sign,
    Verify,
    VerifyRecover,
}

impl PkeyCtx {
    pub(crate) fn import(&mut self, selection: c_int, params: Params<'_>) -> Option<Pkey> {
        let mut key = ptr::null_mut();
        // SAFETY: live context, terminated array (not written, in spite of its type), fresh result.
        unsafe {
            let done = (self.lib.EVP_PKEY_fromdata_init)(self.ptr.as_ptr()) == 1
                && (self.lib.EVP_PKEY_fromdata)(
                    self.ptr.as_ptr(),
                    &mut key,
                    selection,
                    params.as_ptr().cast_mut(),
                ) == 1;
            Pkey::from_raw(self.lib, key).filter(|_| done)
        }
    }

    pub(crate) fn init(&mut self, operation: Operation) -> bool {
        let init = match operation {
            Operation::Sign => self.lib.EVP_PKEY_sign_init_ex,
            Operation::Verify => self.lib.EVP_PKEY_verify_init_ex,
            Operation::VerifyRecover => self.lib.EVP_PKEY_verify_recover_init_ex,
        };
        // SAFETY: live context; null parameters are allowed.
        unsafe { init(self.ptr.as_ptr(), ptr::null()) == 1 }
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> bool {
        // SAFETY: live context, terminated array.
        unsafe { (self.lib.EVP_PKEY_CTX_set_params)(self.ptr.as_ptr(), params.as_ptr()) == 1 }
    }

    pub(crate) fn get_params(&mut self, answers: &mut Answers<'_>) -> bool {
        // SAFETY: live context, terminated array.
        unsafe { (self.lib.EVP_PKEY_CTX_get_params)(self.ptr.as_ptr(), answers.as_ptr()) == 1 }
    }

    /// An integer parameter.
    pub(crate) fn get_int(&mut self, key: &'static CStr) -> Option<i32> {
        let mut value = 0;
        let mut array = [param::int(key, &mut value), param::END];
        // SAFETY: a terminated local array.
        let done = self.get_params(&mut unsafe { Answers::new(array.as_mut_ptr()) });
        done.then_some(value)
    }

    /// A short string parameter; empty if unset.
    pub(crate) fn get_name(&mut self, key: &'static CStr) -> Option<CString> {
        let mut text = [0u8; 80];
        let space = text.as_mut_ptr().cast::<c_char>();
        let mut array = [param::utf8_string(key, space, text.len()), param::END];
        // SAFETY: a terminated local array over `text`.
        let done = self.get_params(&mut unsafe { Answers::new(array.as_mut_ptr()) });
        done.then(|| CStr::from_bytes_until_nul(&text).ok().map(CString::from)).flatten()
    }

    /// The table of what can be asked or set; belongs to libcrypto.
    pub(crate) fn gettable(&self) -> *const OsslParam {
        // SAFETY: live context.
        unsafe { (self.lib.EVP_PKEY_CTX_gettable_params)(self.ptr.as_ptr()) }
    }

    pub(crate) fn settable(&self) -> *const OsslParam {
        // SAFETY: live context.
        unsafe { (self.lib.EVP_PKEY_CTX_settable_params)(self.ptr.as_ptr()) }
    }

    /// Signs `tbs` into `sig`; the result is the signature's length.
    pub(crate) fn sign(&mut self, sig: &mut [u8], tbs: &[u8]) -> Option<usize> {
        let mut len = sig.len();
        // SAFETY: `len` bytes are writable at `sig`.
        let done = unsafe {
            (self.lib.EVP_PKEY_sign)(self.ptr.as_ptr(), sig.as_mut_ptr(), &mut len, tbs.as_ptr(), tbs.len())
                == 1
        };
        self.failed_unless(done);
        done.then_some(len)
    }

    fn failed_unless(&self, done: bool) {
        if !done {
            without_layer_remark(self.lib);
        }
    }

    /// libcrypto's own verdict: 1, 0, or negative.
    pub(crate) fn verify(&mut self, sig: &[u8], tbs: &[u8]) -> c_int {
        // SAFETY: slices with their lengths.
        let verdict = unsafe {
            (self.lib.EVP_PKEY_verify)(self.ptr.as_ptr(), sig.as_ptr(), sig.len(), tbs.as_ptr(), tbs.len())
        };
        self.failed_unless(verdict > 0);
        verdict
    }

    pub(crate) fn verify_recover(&mut self, out: &mut [u8], sig: &[u8]) -> Option<usize> {
        let mut len = out.len();
        // SAFETY: `len` bytes are writable at `out`.
        let done = unsafe {
            (self.lib.EVP_PKEY_verify_recover)(
                self.ptr.as_ptr(),
                out.as_mut_ptr(),
                &mut len,
                sig.as_ptr(),
                sig.len(),
            ) == 1
        };
        self.failed_unless(done);
        done.then_some(len)
    }

    pub(crate) fn duplicate(&self) -> Option<PkeyCtx> {
        // SAFETY: live context, which the call only reads; the result is a new object.
        unsafe { PkeyCtx::from_raw(self.lib, (self.lib.EVP_PKEY_CTX_dup)(self.ptr.as_ptr())) }
    }

    /// Checks the selected parts of the key.
    pub(crate) fn check(&mut self, selection: c_int, quick: bool) -> bool {
        let one = |check: unsafe extern "C" fn(*mut PkeyCtxSt) -> c_int| {
            // SAFETY: live context with a key.
            unsafe { check(self.ptr.as_ptr()) == 1 }
        };
        if selection & select::KEYPAIR == select::KEYPAIR {
            return one(self.lib.EVP_PKEY_check);
        }
        let public =
            if quick { self.lib.EVP_PKEY_public_check_quick } else { self.lib.EVP_PKEY_public_check };
        (selection & select::PRIVATE == 0 || one(self.lib.EVP_PKEY_private_check))
            && (selection & select::PUBLIC == 0 || one(public))
    }

    pub(crate) fn keygen_init(&mut self) -> bool {
        // SAFETY: live context.
        unsafe { (self.lib.EVP_PKEY_keygen_init)(self.ptr.as_ptr()) == 1 }
    }

    /// Generates a key, telling `progress` how it goes on.
    pub(crate) fn generate(&mut self, progress: Progress) -> Option<Pkey> {
        struct Watcher {
            lib: &'static Libcrypto,
            callback: Callback,
            argument: *mut c_void,
        }
        thread_local! {
            // The watcher of the generation that runs on this thread; libcrypto calls back on the same thread.
            static CURRENT: Cell<*const Watcher> = const { Cell::new(ptr::null()) };
        }
        unsafe extern "C" fn watch(ctx: *mut PkeyCtxSt) -> c_int {
            let current = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
            // SAFETY: set below for the time of the generation, in whose frame the watcher lives.
            let Some(watcher) = (unsafe { current.as_ref() }) else { return 1 };
            // SAFETY: `ctx` is the context that libcrypto is generating with.
            let info = |index| unsafe { (watcher.lib.EVP_PKEY_CTX_get_keygen_info)(ctx, index) };
            let (mut potential, mut iteration) = (info(0), info(1));
            let params = [
                param::int(c"potential", &mut potential),
                param::int(c"iteration", &mut iteration),
                param::END,
            ];
            // SAFETY: the callback accepts its argument by the contract of `Progress::new`.
            unsafe { (watcher.callback)(params.as_ptr(), watcher.argument) }
        }
        let Progress { callback, argument } = progress;
        let watcher = callback.map(|callback| Watcher { lib: self.lib, callback, argument });
        let mut key = ptr::null_mut();
        let current = watcher.as_ref().map_or(ptr::null(), ptr::from_ref);
        let previous = CURRENT.try_with(|cell| cell.replace(current)).unwrap_or(ptr::null());
        // SAFETY: live context, initialized for generation; the result is a new object.
        let made = unsafe {
            (self.lib.EVP_PKEY_CTX_set_cb)(self.ptr.as_ptr(), watcher.as_ref().map(|_| watch as _));
            let done = (self.lib.EVP_PKEY_generate)(self.ptr.as_ptr(), &mut key) == 1;
            Pkey::from_raw(self.lib, key).filter(|_| done)
        };
        let _ = CURRENT.try_with(|cell| cell.set(previous));
        made
    }
}
