//! Block ciphers of 16-byte blocks behind one type.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;

/// One block.
pub(super) type Block = [u8; BLOCK];

/// A keyed cipher.
pub(super) enum Cipher {
    Aes128(Box<aes::Aes128>),
    Aes192(Box<aes::Aes192>),
    Aes256(Box<aes::Aes256>),
    Sm4(Box<sm4::Sm4>),
}

macro_rules! each {
    ($cipher:expr, $c:ident => $body:expr) => {
        match $cipher {
            Cipher::Aes128($c) => $body,
            Cipher::Aes192($c) => $body,
            Cipher::Aes256($c) => $body,
            Cipher::Sm4($c) => $body,
        }
    };
}

impl Cipher {
    /// AES by the length of the key (16, 24 or 32 bytes).
    pub(super) fn aes(key: &[u8]) -> Option<Self> {
        Some(match key.len() {
            16 => Self::Aes128(Box::new(aes::Aes128::new_from_slice(key).ok()?)),
            24 => Self::Aes192(Box::new(aes::Aes192::new_from_slice(key).ok()?)),
            32 => Self::Aes256(Box::new(aes::Aes256::new_from_slice(key).ok()?)),
            _ => return None,
        })
    }

    /// SM4, key of 16 bytes.
    pub(super) fn sm4(key: &[u8]) -> Option<Self> {
        Some(Self::Sm4(Box::new(sm4::Sm4::new_from_slice(key).ok()?)))
    }

    pub(super) fn encrypt(&self, block: &mut Block) {
        each!(self, c => c.encrypt_block(block.into()));
    }

    pub(super) fn decrypt(&self, block: &mut Block) {
        each!(self, c => c.decrypt_block(block.into()));
    }
}
