//! UNSAFE: owned handles of libcrypto objects with safe methods. Each handle frees its object once, and keeps
//! the function table it was made with. Calls report failure as libcrypto does and leave its errors queued.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use warpdrive_core::engine::cipher::Data;
use zeroize::Zeroizing;

use super::dispatch::{Callback, select};
use super::libcrypto::{
    BnCtxSt, BnSt, CipherCtxSt, CipherSt, LibCtxSt, Libcrypto, MdCtxSt, MdSt, MontSt, PkeyCtxSt, PkeySt,
    ProviderSt,
};
use super::param::{self, Answers, OsslParam, Params};

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
            super::guard::guard(|| {
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
        done.then_some(len)
    }

    /// libcrypto's own verdict: 1, 0, or negative.
    pub(crate) fn verify(&mut self, sig: &[u8], tbs: &[u8]) -> c_int {
        // SAFETY: slices with their lengths.
        unsafe {
            (self.lib.EVP_PKEY_verify)(self.ptr.as_ptr(), sig.as_ptr(), sig.len(), tbs.as_ptr(), tbs.len())
        }
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
    ///
    /// # Safety
    /// `progress` accepts `argument`.
    pub(crate) unsafe fn generate(
        &mut self,
        progress: Option<Callback>,
        argument: *mut c_void,
    ) -> Option<Pkey> {
        struct Watcher {
            lib: &'static Libcrypto,
            progress: Callback,
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
            // SAFETY: the callback accepts its argument by the contract of `generate`.
            unsafe { (watcher.progress)(params.as_ptr(), watcher.argument) }
        }
        let watcher = progress.map(|progress| Watcher { lib: self.lib, progress, argument });
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

impl Md {
    /// # Safety
    /// `ctx` is a live library context, or null for the process's default one.
    unsafe fn fetch(lib: &'static Libcrypto, ctx: *mut LibCtxSt, name: &CStr) -> Option<Md> {
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
