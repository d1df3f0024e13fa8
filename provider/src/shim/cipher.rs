//! UNSAFE: the cipher functions that libcrypto calls. Only `newctx` and `get_params` know the key size.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uchar, c_void};
use std::ptr;

use warpdrive_core::engine::cipher::Data;
use zeroize::Zeroizing;

use super::bytes;
use super::entry::instance;
use crate::ctr::{Ctr, SIZES};
use crate::ossl::dispatch::{Dispatch, END, slot};
use crate::ossl::error::{Reason, raise};
use crate::ossl::guard::{exclusive, give, guard, shared, take};
use crate::ossl::libcrypto::Libcrypto;
use crate::ossl::param::{self, Answers, OsslParam, Params, describe, kind};

/// The function table for the key size that `INDEX` names in [`SIZES`].
pub(super) struct Table<const INDEX: usize>;

impl<const INDEX: usize> Table<INDEX> {
    pub(super) const DISPATCH: [Dispatch; 15] = [
        slot::cipher_newctx(newctx::<INDEX>),
        slot::cipher_freectx(freectx),
        slot::cipher_dupctx(dupctx),
        slot::cipher_encrypt_init(init::<true>),
        slot::cipher_decrypt_init(init::<false>),
        slot::cipher_update(update),
        slot::cipher_final(finish),
        slot::cipher_cipher(one_shot),
        slot::cipher_get_params(get_params::<INDEX>),
        slot::cipher_gettable_params(gettable_params),
        slot::cipher_get_ctx_params(get_ctx_params),
        slot::cipher_gettable_ctx_params(gettable_ctx_params),
        slot::cipher_set_ctx_params(set_ctx_params),
        slot::cipher_settable_ctx_params(settable_ctx_params),
        END,
    ];
}

const SIZE: usize = size_of::<usize>();

static GETTABLE: [OsslParam; 10] = [
    describe(c"mode", kind::UNSIGNED, 4),
    describe(c"keylen", kind::UNSIGNED, SIZE),
    describe(c"ivlen", kind::UNSIGNED, SIZE),
    describe(c"blocksize", kind::UNSIGNED, SIZE),
    describe(c"aead", kind::INTEGER, 4),
    describe(c"custom-iv", kind::INTEGER, 4),
    describe(c"cts", kind::INTEGER, 4),
    describe(c"tls-multi", kind::INTEGER, 4),
    describe(c"has-randkey", kind::INTEGER, 4),
    param::END,
];
static CTX_GETTABLE: [OsslParam; 8] = [
    describe(c"keylen", kind::UNSIGNED, SIZE),
    describe(c"ivlen", kind::UNSIGNED, SIZE),
    describe(c"padding", kind::UNSIGNED, 4),
    describe(c"num", kind::UNSIGNED, 4),
    describe(c"iv", kind::OCTET_STRING, 0),
    describe(c"updated-iv", kind::OCTET_STRING, 0),
    describe(c"tls-mac", kind::OCTET_PTR, 0),
    param::END,
];
static CTX_SETTABLE: [OsslParam; 6] = [
    describe(c"padding", kind::UNSIGNED, 4),
    describe(c"num", kind::UNSIGNED, 4),
    describe(c"use-bits", kind::UNSIGNED, 4),
    describe(c"tls-version", kind::UNSIGNED, 4),
    describe(c"tls-mac-size", kind::UNSIGNED, SIZE),
    param::END,
];

/// What is behind a context's opaque pointer.
struct Context {
    lib: &'static Libcrypto,
    ctr: Ctr,
}

unsafe extern "C" fn newctx<const INDEX: usize>(provider: *mut c_void) -> *mut c_void {
    guard(|| {
        // SAFETY: libcrypto passes our provider context.
        let Some(provider) = (unsafe { instance(provider) }) else { return ptr::null_mut() };
        match provider.lib() {
            Some(lib) => give(Context { lib, ctr: Ctr::new(provider, INDEX) }),
            None => ptr::null_mut(),
        }
    })
}

unsafe extern "C" fn freectx(ctx: *mut c_void) {
    // SAFETY: made by `newctx` or `dupctx`; freed once.
    unsafe { take::<Context>(ctx) }
}

unsafe extern "C" fn dupctx(ctx: *mut c_void) -> *mut c_void {
    // SAFETY: one of our contexts.
    unsafe {
        shared::<Context, _>(ctx, |context| {
            context.ctr.duplicate().map_or(ptr::null_mut(), |ctr| give(Context { lib: context.lib, ctr }))
        })
    }
}

unsafe extern "C" fn init<const ENCRYPT: bool>(
    ctx: *mut c_void,
    key: *const c_uchar,
    key_len: usize,
    iv: *const c_uchar,
    iv_len: usize,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: our context, used by one thread; key and IV null or readable for their lengths, which are checked
    // against the algorithm's before they are copied; null or a terminated array.
    unsafe {
        exclusive::<Context, _>(ctx, |context| {
            let key = (!key.is_null()).then(|| bytes(key, key_len));
            let iv = (!iv.is_null()).then(|| bytes(iv, iv_len));
            (context.ctr.init(ENCRYPT, key, iv) && context.set(Params::new(params))).into()
        })
    }
}

unsafe extern "C" fn update(
    ctx: *mut c_void,
    out: *mut c_uchar,
    out_len: *mut usize,
    out_size: usize,
    input: *const c_uchar,
    len: usize,
) -> c_int {
    // SAFETY: our context; `input` readable for `len`, `out` writable for `out_size`, `out_len` writable.
    unsafe {
        exclusive::<Context, _>(ctx, |context| {
            let Some(written) = out_len.as_mut() else { return 0 };
            if !context.ready() {
                return 0;
            }
            if len == 0 {
                *written = 0;
                return 1;
            }
            if !context.crypt(out, out_size, input, len) {
                return 0;
            }
            *written = len;
            let decrypting = !context.ctr.is_encrypting();
            let tls = &mut context.ctr.tls;
            if decrypting && tls.version > 0 && tls.mac_size > 0 {
                let Some(rest) = len.checked_sub(tls.mac_size) else { return 0 };
                tls.mac = out.add(rest).cast_const();
                *written = rest;
            }
            1
        })
    }
}

unsafe extern "C" fn finish(ctx: *mut c_void, _: *mut c_uchar, out_len: *mut usize, _: usize) -> c_int {
    // SAFETY: our context; `out_len` writable.
    unsafe {
        exclusive::<Context, _>(ctx, |context| match out_len.as_mut() {
            Some(written) if context.ready() => {
                *written = 0;
                1
            }
            _ => 0,
        })
    }
}

unsafe extern "C" fn one_shot(
    ctx: *mut c_void,
    out: *mut c_uchar,
    out_len: *mut usize,
    out_size: usize,
    input: *const c_uchar,
    len: usize,
) -> c_int {
    // SAFETY: as `update`.
    unsafe {
        exclusive::<Context, _>(ctx, |context| {
            if !context.ready() || (len > 0 && !context.crypt(out, out_size, input, len)) {
                return 0;
            }
            if let Some(written) = out_len.as_mut() {
                *written = len;
            }
            1
        })
    }
}

impl Context {
    fn ready(&self) -> bool {
        if !self.ctr.has_key() {
            raise(self.lib, Reason::NoKeySet);
        }
        self.ctr.has_key()
    }

    /// # Safety
    /// `input` is readable for `len` bytes, `out` writable for `out_size`.
    unsafe fn crypt(
        &mut self,
        out: *mut c_uchar,
        out_size: usize,
        input: *const c_uchar,
        len: usize,
    ) -> bool {
        if out_size < len {
            raise(self.lib, Reason::OutputBufferTooSmall);
            return false;
        }
        if out.is_null() || input.is_null() {
            raise(self.lib, Reason::CipherOperationFailed);
            return false;
        }
        if ptr::eq(out, input) {
            // SAFETY: one range, readable and writable for `len`.
            return self.ctr.crypt(Data::InPlace(unsafe { std::slice::from_raw_parts_mut(out, len) }));
        }
        if (out as usize).abs_diff(input as usize) >= len {
            // SAFETY: two disjoint ranges of `len` bytes.
            let (input, output) =
                unsafe { (std::slice::from_raw_parts(input, len), std::slice::from_raw_parts_mut(out, len)) };
            return self.ctr.crypt(Data::Separate { input, output });
        }
        // Overlapping: keep the input apart, so that no byte is read after it was overwritten.
        let mut copy = Zeroizing::new(Vec::new());
        if copy.try_reserve_exact(len).is_err() {
            raise(self.lib, Reason::CipherOperationFailed);
            return false;
        }
        // SAFETY: readable for `len`; the borrow ends with the copy.
        copy.extend_from_slice(unsafe { std::slice::from_raw_parts(input, len) });
        // SAFETY: writable for `len`; the input is no longer borrowed.
        let output = unsafe { std::slice::from_raw_parts_mut(out, len) };
        self.ctr.crypt(Data::Separate { input: &copy, output })
    }

    fn set(&mut self, params: Params<'_>) -> bool {
        let mut bad = false;
        let mut read = |key| {
            let value = params.uint(key);
            bad |= value == Some(None);
            value.flatten()
        };
        let (padding, num) = (read(c"padding"), read(c"num"));
        let (version, mac_size, _) = (read(c"tls-version"), read(c"tls-mac-size"), read(c"use-bits"));
        if bad {
            raise(self.lib, Reason::FailedToGetParameter);
            return false;
        }
        if let Some(padding) = padding {
            self.ctr.padding = padding != 0;
        }
        if let Some(version) = version {
            self.ctr.tls.version = version as u32;
        }
        if let Some(size) = mac_size {
            self.ctr.tls.mac_size = size as usize;
        }
        num.is_none_or(|num| self.ctr.set_used(num as usize))
    }
}

unsafe extern "C" fn get_params<const INDEX: usize>(params: *mut OsslParam) -> c_int {
    guard(|| {
        // SAFETY: a terminated array.
        let mut answers = unsafe { Answers::new(params) };
        // EVP_CIPH_CTR_MODE; a stream cipher's block is one byte.
        let done = answers.uint(c"mode", 5)
            && answers.uint(c"keylen", SIZES[INDEX].2 as u64)
            && answers.uint(c"ivlen", 16)
            && answers.uint(c"blocksize", 1)
            && [c"aead", c"custom-iv", c"cts", c"tls-multi", c"has-randkey", c"encrypt-then-mac"]
                .iter()
                .all(|flag| answers.uint(flag, 0));
        c_int::from(done)
    })
}

unsafe extern "C" fn gettable_params(_: *mut c_void) -> *const OsslParam {
    GETTABLE.as_ptr()
}

unsafe extern "C" fn get_ctx_params(ctx: *mut c_void, params: *mut OsslParam) -> c_int {
    // SAFETY: our context; a terminated array. The pointers given out are into the context, which stays where
    // it is until it is freed, or into the caller's last output.
    unsafe {
        exclusive::<Context, _>(ctx, |context| {
            let mut answers = Answers::new(params);
            let ctr = &context.ctr;
            let done = answers.uint(c"ivlen", 16)
                && answers.uint(c"padding", ctr.padding.into())
                && answers.octets(c"iv", ctr.original())
                && answers.octets(c"updated-iv", ctr.counter())
                && answers.uint(c"num", ctr.used() as u64)
                && answers.uint(c"keylen", ctr.key_len() as u64)
                && answers.pointer(c"tls-mac", ctr.tls.mac, ctr.tls.mac_size);
            if !done {
                raise(context.lib, Reason::FailedToSetParameter);
            }
            done.into()
        })
    }
}

unsafe extern "C" fn gettable_ctx_params(_: *mut c_void, _: *mut c_void) -> *const OsslParam {
    CTX_GETTABLE.as_ptr()
}

unsafe extern "C" fn set_ctx_params(ctx: *mut c_void, params: *const OsslParam) -> c_int {
    // SAFETY: our context; null or a terminated array.
    unsafe { exclusive::<Context, _>(ctx, |context| context.set(Params::new(params)).into()) }
}

unsafe extern "C" fn settable_ctx_params(_: *mut c_void, _: *mut c_void) -> *const OsslParam {
    CTX_SETTABLE.as_ptr()
}
