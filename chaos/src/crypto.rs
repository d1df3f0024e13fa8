//! UNSAFE: libcrypto with our provider preferred, as any program would use it, and jobs that check themselves: AES-CTR
//! against a crate, RSA against the default provider.
#![expect(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uchar, c_ulong, c_void};
use std::ptr::{null, null_mut};

use aes::cipher::{KeyIvInit, StreamCipher};
use anyhow::{Context, Result, ensure};

use crate::dice::Dice;

/// Opaque objects of libcrypto.
type Object = *mut c_void;
type Name = *const c_char;
type Out = *mut c_uchar;
type In = *const c_uchar;

const PSS: c_int = 6;
/// The query that finds the default provider, and that which finds the preferred one.
const THEIRS: Name = c"provider=default".as_ptr();
const OURS: Name = null();

macro_rules! functions {
    ($($name:ident: fn($($ty:ty),*) -> $ret:ty;)*) => {
        #[allow(non_snake_case)]
        struct Functions { $($name: unsafe extern "C" fn($($ty),*) -> $ret,)* }

        impl Functions {
            fn of(library: &libloading::Library) -> Result<Functions> {
                // SAFETY: the documented signatures.
                unsafe { Ok(Functions { $($name: *library.get(stringify!($name).as_bytes())?,)* }) }
            }
        }
    };
}

functions! {
    EVP_PKEY_CTX_new_from_name: fn(Object, Name, Name) -> Object;
    EVP_PKEY_CTX_free: fn(Object) -> ();
    EVP_PKEY_CTX_set_rsa_keygen_bits: fn(Object, c_int) -> c_int;
    EVP_PKEY_CTX_set_rsa_padding: fn(Object, c_int) -> c_int;
    EVP_PKEY_keygen_init: fn(Object) -> c_int;
    EVP_PKEY_generate: fn(Object, *mut Object) -> c_int;
    EVP_MD_CTX_new: fn() -> Object;
    EVP_MD_CTX_free: fn(Object) -> ();
    EVP_DigestSignInit_ex: fn(Object, *mut Object, Name, Object, Name, Object, *const c_void) -> c_int;
    EVP_DigestSign: fn(Object, Out, *mut usize, In, usize) -> c_int;
    EVP_DigestVerifyInit_ex: fn(Object, *mut Object, Name, Object, Name, Object, *const c_void) -> c_int;
    EVP_DigestVerify: fn(Object, In, usize, In, usize) -> c_int;
    EVP_CIPHER_fetch: fn(Object, Name, Name) -> Object;
    EVP_CIPHER_free: fn(Object) -> ();
    EVP_CIPHER_get0_provider: fn(Object) -> Object;
    OSSL_PROVIDER_get0_name: fn(Object) -> Name;
    EVP_CIPHER_CTX_new: fn() -> Object;
    EVP_CIPHER_CTX_free: fn(Object) -> ();
    EVP_EncryptInit_ex2: fn(Object, Object, In, In, *const c_void) -> c_int;
    EVP_EncryptUpdate: fn(Object, Out, *mut c_int, In, c_int) -> c_int;
    ERR_peek_error: fn() -> c_ulong;
    ERR_clear_error: fn() -> ();
}

/// A key, and what the default provider signs with it.
struct Key {
    object: Object,
    bits: c_int,
    signature: Vec<u8>,
}

/// libcrypto with keys.
pub struct Crypto {
    functions: Functions,
    keys: Vec<Key>,
}

// SAFETY: function pointers of a library that stays loaded, and keys, which libcrypto lets threads share.
unsafe impl Send for Crypto {}
// SAFETY: as above.
unsafe impl Sync for Crypto {}

const MESSAGE: &[u8] = b"a message that is signed again and again";

impl Crypto {
    /// Loads libcrypto, whose configuration (`OPENSSL_CONF`) prefers our provider, and makes keys.
    pub fn open() -> Result<Crypto> {
        // SAFETY: a library whose constructor has no precondition; it stays loaded to the end.
        let library = unsafe { libloading::Library::new("libcrypto.so.3") }?;
        let functions = Functions::of(Box::leak(Box::new(library)))?;
        let mut crypto = Crypto { functions, keys: Vec::new() };
        for bits in [1024, 2048] {
            let object = crypto.generate(bits)?;
            let signature = crypto.sign(object, THEIRS, false)?;
            crypto.keys.push(Key { object, bits, signature });
        }
        Ok(crypto)
    }

    /// The name of the provider that programs get for `AES-128-CTR`.
    pub fn provider(&self) -> Result<String> {
        let f = &self.functions;
        // SAFETY: a cipher that is freed once; the provider's name lives as long as libcrypto.
        unsafe {
            let cipher = (f.EVP_CIPHER_fetch)(null_mut(), c"AES-128-CTR".as_ptr(), OURS);
            ensure!(!cipher.is_null(), "no AES-128-CTR");
            let name = (f.OSSL_PROVIDER_get0_name)((f.EVP_CIPHER_get0_provider)(cipher));
            let name = CStr::from_ptr(name).to_string_lossy().into_owned();
            (f.EVP_CIPHER_free)(cipher);
            Ok(name)
        }
    }

    fn generate(&self, bits: c_int) -> Result<Object> {
        let f = &self.functions;
        let mut key = null_mut();
        // SAFETY: a context that is freed once.
        unsafe {
            let ctx = (f.EVP_PKEY_CTX_new_from_name)(null_mut(), c"RSA".as_ptr(), THEIRS);
            ensure!(!ctx.is_null() && (f.EVP_PKEY_keygen_init)(ctx) == 1, "no key generation");
            ensure!((f.EVP_PKEY_CTX_set_rsa_keygen_bits)(ctx, bits) == 1, "{bits} bits");
            ensure!((f.EVP_PKEY_generate)(ctx, &mut key) == 1, "no key of {bits} bits");
            (f.EVP_PKEY_CTX_free)(ctx);
        }
        Ok(key)
    }

    /// Nothing may be left on the error queue of a thread whose calls went well.
    fn quiet(&self) -> Result<()> {
        // SAFETY: no precondition.
        let code = unsafe { (self.functions.ERR_peek_error)() };
        ensure!(code == 0, "error {code:#x} on the queue");
        Ok(())
    }

    fn sign(&self, key: Object, query: Name, pss: bool) -> Result<Vec<u8>> {
        let f = &self.functions;
        let (mut signature, mut length) = (vec![0; 512], 512);
        let ctx = Owned(self.context()?, f.EVP_MD_CTX_free);
        let mut inner = null_mut();
        let sha = c"SHA256".as_ptr();
        // SAFETY: live objects, and a buffer of the length that is passed.
        unsafe {
            let code = (f.EVP_DigestSignInit_ex)(ctx.0, &mut inner, sha, null_mut(), query, key, null());
            ensure!(code == 1, "EVP_DigestSignInit says {code}");
            ensure!(!pss || (f.EVP_PKEY_CTX_set_rsa_padding)(inner, PSS) == 1, "no PSS");
            let code = (f.EVP_DigestSign)(
                ctx.0,
                signature.as_mut_ptr(),
                &mut length,
                MESSAGE.as_ptr(),
                MESSAGE.len(),
            );
            ensure!(code == 1, "EVP_DigestSign says {code}");
        }
        signature.truncate(length);
        self.quiet()?;
        Ok(signature)
    }

    fn context(&self) -> Result<Object> {
        // SAFETY: no precondition.
        let ctx = unsafe { (self.functions.EVP_MD_CTX_new)() };
        ensure!(!ctx.is_null(), "no context");
        Ok(ctx)
    }

    /// What `EVP_DigestVerify` says.
    fn verify(&self, key: Object, query: Name, pss: bool, signature: &[u8]) -> Result<c_int> {
        let f = &self.functions;
        let ctx = Owned(self.context()?, f.EVP_MD_CTX_free);
        let mut inner = null_mut();
        let sha = c"SHA256".as_ptr();
        // SAFETY: live objects and buffers of the lengths that are passed.
        unsafe {
            let code = (f.EVP_DigestVerifyInit_ex)(ctx.0, &mut inner, sha, null_mut(), query, key, null());
            ensure!(code == 1, "EVP_DigestVerifyInit says {code}");
            ensure!(!pss || (f.EVP_PKEY_CTX_set_rsa_padding)(inner, PSS) == 1, "no PSS");
            let code = (f.EVP_DigestVerify)(
                ctx.0,
                signature.as_ptr(),
                signature.len(),
                MESSAGE.as_ptr(),
                MESSAGE.len(),
            );
            if code != 1 {
                (f.ERR_clear_error)();
            }
            Ok(code)
        }
    }

    /// One job with RSA: signatures equal the default's or are good for it; good ones are accepted, others refused.
    pub fn rsa(&self, dice: &mut Dice) -> Result<()> {
        let key = &self.keys[dice.below(self.keys.len())];
        let what = || format!("RSA, {} bits", key.bits);
        match dice.below(4) {
            0 => {
                let signature = self.sign(key.object, OURS, false).with_context(what)?;
                ensure!(signature == key.signature, "wrong bytes: {} signature", what());
            }
            1 => {
                let signature = self.sign(key.object, OURS, true).with_context(what)?;
                let code = self.verify(key.object, THEIRS, true, &signature).with_context(what)?;
                ensure!(code == 1, "wrong bytes: {} PSS signature", what());
            }
            2 => {
                let code = self.verify(key.object, OURS, false, &key.signature).with_context(what)?;
                ensure!(code == 1, "a good signature is refused: {}, {code}", what());
            }
            _ => {
                let mut bad = key.signature.clone();
                let at = 1 + dice.below(bad.len() - 1);
                bad[at] ^= 1 << dice.below(8);
                let codes = [OURS, THEIRS].map(|query| self.verify(key.object, query, false, &bad));
                let [ours, theirs] = codes;
                let (ours, theirs) = (ours.with_context(what)?, theirs.with_context(what)?);
                ensure!(ours == theirs && ours != 1, "a bad signature: {ours}, the default says {theirs}");
            }
        }
        self.quiet()
    }

    /// One job with AES-CTR, in random pieces.
    pub fn ctr(&self, dice: &mut Dice) -> Result<()> {
        let f = &self.functions;
        let length = dice.length(96 << 10);
        let mut input = vec![0; length];
        dice.fill(&mut input);
        let (mut key, mut iv) = ([0; 32], [0; 16]);
        dice.fill(&mut key);
        dice.fill(&mut iv);
        if dice.once_in(3) {
            // the lower half of the counter wraps on the way
            iv[8..].fill(0xFF);
        }
        let (name, bytes) = dice.pick(&[(c"AES-128-CTR", 16), (c"AES-192-CTR", 24), (c"AES-256-CTR", 32)]);
        let expected = ctr(&key[..bytes], &iv, &input);
        let mut output = vec![0; length];
        // SAFETY: objects that are freed once, live buffers, lengths within them.
        unsafe {
            let cipher = (f.EVP_CIPHER_fetch)(null_mut(), name.as_ptr(), OURS);
            let cipher = Owned(cipher, f.EVP_CIPHER_free);
            let ctx = Owned((f.EVP_CIPHER_CTX_new)(), f.EVP_CIPHER_CTX_free);
            ensure!(!cipher.0.is_null() && !ctx.0.is_null(), "no {name:?}");
            let code = (f.EVP_EncryptInit_ex2)(ctx.0, cipher.0, key.as_ptr(), iv.as_ptr(), null());
            ensure!(code == 1, "EVP_EncryptInit says {code}");
            let mut at = 0;
            while at < length {
                let piece = (1 + dice.length(length)).min(length - at);
                let mut made = 0;
                let (to, from) = (output[at..].as_mut_ptr(), input[at..].as_ptr());
                let code = (f.EVP_EncryptUpdate)(ctx.0, to, &mut made, from, piece as c_int);
                ensure!(
                    code == 1 && made as usize == piece,
                    "EVP_EncryptUpdate says {code}, {made} of {piece}"
                );
                at += piece;
            }
        }
        ensure!(output == expected, "wrong bytes: {name:?}, {length} bytes");
        self.quiet()
    }
}

/// An object that is freed by its function.
struct Owned(Object, unsafe extern "C" fn(Object));

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: made by the function's counterpart, or null, which it takes.
        unsafe { (self.1)(self.0) }
    }
}

/// AES-CTR by a crate.
fn ctr(key: &[u8], iv: &[u8; 16], input: &[u8]) -> Vec<u8> {
    fn with<C: KeyIvInit + StreamCipher>(key: &[u8], iv: &[u8; 16], data: &mut [u8]) {
        if let Ok(mut cipher) = C::new_from_slices(key, iv) {
            cipher.apply_keystream(data);
        }
    }
    let mut output = input.to_vec();
    match key.len() {
        16 => with::<ctr::Ctr128BE<aes::Aes128>>(key, iv, &mut output),
        24 => with::<ctr::Ctr128BE<aes::Aes192>>(key, iv, &mut output),
        _ => with::<ctr::Ctr128BE<aes::Aes256>>(key, iv, &mut output),
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_aes_ctr() {
        // NIST SP 800-38A, F.5.1, first block
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let iv = 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff_u128.to_be_bytes();
        let input = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
        let output = 0x874d_6191_b620_e326_1bef_6864_990d_b6ce_u128.to_be_bytes();
        assert_eq!(ctr(&key, &iv, &input), output);
    }
}
