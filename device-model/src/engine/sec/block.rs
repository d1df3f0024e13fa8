//! Block ciphers behind one type, selected by c_alg and c_key_len (reference 5.5 and 7.3).

use super::descriptor::Fields;
use crate::engine::{Refusal, Rule};
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// Bytes of a block of AES and SM4.
pub(super) const BLOCK: usize = 16;

/// One block of AES or SM4.
pub(super) type Block = [u8; BLOCK];

/// c_alg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Des,
    TripleDes,
    Aes,
    Sm4,
}

impl Algorithm {
    /// By c_alg.
    pub(super) fn read(f: &Fields) -> Result<Self, Refusal> {
        Ok(match f.c_alg {
            0 => Self::Des,
            1 => Self::TripleDes,
            2 => Self::Aes,
            3 => Self::Sm4,
            other => return Err(Rule::Value.broken(format!("c_alg is {other}, must be 0 to 3"))),
        })
    }

    /// Bytes of one key by c_key_len.
    pub(super) fn key_len(self, f: &Fields) -> Result<usize, Refusal> {
        match (self, f.c_key_len) {
            // V2 drivers write the code elsewhere (14.2), and there is only one size.
            (Self::Des, _) => Ok(8),
            (Self::TripleDes, 1) => Ok(24),
            (Self::TripleDes, 3) => Ok(16),
            (Self::Aes, code @ 0..=2) => Ok(16 + 8 * code as usize),
            (Self::Sm4, 0) => Ok(16),
            (_, code) => Err(Rule::Key.broken(format!("c_key_len {code} with {self:?}"))),
        }
    }

    /// Bytes of a block.
    pub(super) fn block_len(self) -> usize {
        match self {
            Self::Des | Self::TripleDes => 8,
            Self::Aes | Self::Sm4 => BLOCK,
        }
    }
}

/// A keyed cipher.
pub(super) enum Cipher {
    Des(Box<des::Des>),
    /// K1, K2, K1.
    Tdes2(Box<des::TdesEde2>),
    Tdes3(Box<des::TdesEde3>),
    Aes128(Box<aes::Aes128>),
    Aes192(Box<aes::Aes192>),
    Aes256(Box<aes::Aes256>),
    Sm4(Box<sm4::Sm4>),
}

macro_rules! each {
    ($cipher:expr, $c:ident => $body:expr) => {
        match $cipher {
            Cipher::Des($c) => $body,
            Cipher::Tdes2($c) => $body,
            Cipher::Tdes3($c) => $body,
            Cipher::Aes128($c) => $body,
            Cipher::Aes192($c) => $body,
            Cipher::Aes256($c) => $body,
            Cipher::Sm4($c) => $body,
        }
    };
}

impl Cipher {
    /// By the length of the key; none if the algorithm has no key of that length.
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        fn boxed<C: KeyInit>(key: &[u8]) -> Option<Box<C>> {
            C::new_from_slice(key).ok().map(Box::new)
        }
        match (algorithm, key.len()) {
            (Algorithm::Des, 8) => boxed(key).map(Self::Des),
            (Algorithm::TripleDes, 16) => boxed(key).map(Self::Tdes2),
            (Algorithm::TripleDes, 24) => boxed(key).map(Self::Tdes3),
            (Algorithm::Aes, 16) => boxed(key).map(Self::Aes128),
            (Algorithm::Aes, 24) => boxed(key).map(Self::Aes192),
            (Algorithm::Aes, 32) => boxed(key).map(Self::Aes256),
            (Algorithm::Sm4, 16) => boxed(key).map(Self::Sm4),
            _ => None,
        }
    }

    /// Bytes of a block.
    pub(super) fn block_len(&self) -> usize {
        match self {
            Self::Des(_) | Self::Tdes2(_) | Self::Tdes3(_) => 8,
            _ => BLOCK,
        }
    }

    /// Encrypts all whole blocks of `data`, each for itself; a rest stays as it is.
    pub(super) fn encrypt(&self, data: &mut [u8]) {
        each!(self, c => c.encrypt_blocks(Array::slice_as_chunks_mut(data).0));
    }

    /// Decrypts all whole blocks of `data`, each for itself; a rest stays as it is.
    pub(super) fn decrypt(&self, data: &mut [u8]) {
        each!(self, c => c.decrypt_blocks(Array::slice_as_chunks_mut(data).0));
    }
}
