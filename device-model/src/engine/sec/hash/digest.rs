//! The nine hash functions by their compression functions, with a chaining state that can be taken out and put back at
//! any block boundary, and HMAC over them (reference 8.2 and 8.4).
//!
//! The state image is the chaining words in the byte order of the digest (big-endian, little-endian for MD5), so that a
//! truncation of the last state is the digest.

use sha2::digest::block_api::{UpdateCore, VariableOutputCore};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::sec) enum Digest {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512To224,
    Sha512To256,
    Sm3,
}

impl Digest {
    /// By the code of the plain hash or of its HMAC; also says whether it is HMAC (5.6).
    pub(in crate::engine::sec) fn by_code(a_alg: u64) -> Option<(Self, bool)> {
        let digest = match a_alg {
            0x00 | 0x10 => Self::Sha1,
            0x01 | 0x11 => Self::Sha256,
            0x02 | 0x12 => Self::Md5,
            0x03 | 0x13 => Self::Sha224,
            0x04 | 0x14 => Self::Sha384,
            0x05 | 0x15 => Self::Sha512,
            0x06 | 0x16 => Self::Sha512To224,
            0x07 | 0x17 => Self::Sha512To256,
            0x25 | 0x26 => Self::Sm3,
            _ => return None,
        };
        Some((digest, a_alg & 0x10 != 0 || a_alg == 0x26))
    }

    /// The standard's name.
    pub(in crate::engine::sec) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha224 => "SHA-224",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
            Self::Sha512To224 => "SHA-512/224",
            Self::Sha512To256 => "SHA-512/256",
            Self::Sm3 => "SM3",
        }
    }

    /// Bytes of the digest.
    pub(in crate::engine::sec) fn output_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha512To224 => 28,
            Self::Sha256 | Self::Sha512To256 | Self::Sm3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Bytes of the chaining state.
    pub(in crate::engine::sec) fn state_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha256 | Self::Sm3 => 32,
            Self::Sha384 | Self::Sha512 | Self::Sha512To224 | Self::Sha512To256 => 64,
        }
    }

    /// Bytes of a block.
    pub(in crate::engine::sec) fn block_len(self) -> usize {
        if self.wide() { 128 } else { 64 }
    }

    fn wide(self) -> bool {
        self.state_len() == 64
    }

    /// HMAC (RFC 2104) or the plain hash of `data`, whole.
    pub(in crate::engine::sec) fn once(self, hmac_key: Option<&[u8]>, data: &[u8]) -> Vec<u8> {
        let running = Running::start(self, hmac_key);
        running.finish(hmac_key, data, data.len() as u128 * 8)
    }
}

/// A compression function with its chaining state.
enum Core {
    Md5(md5::block_api::Md5Core),
    Sha1(sha1::block_api::Sha1Core),
    Narrow(sha2::block_api::Sha256VarCore),
    Wide(sha2::block_api::Sha512VarCore),
    Sm3(sm3::block_api::Sm3Core),
}

macro_rules! each {
    ($core:expr, $c:ident => $body:expr) => {
        match $core {
            Core::Md5($c) => $body,
            Core::Sha1($c) => $body,
            Core::Narrow($c) => $body,
            Core::Wide($c) => $body,
            Core::Sm3($c) => $body,
        }
    };
}

fn absorb<C: UpdateCore>(core: &mut C, data: &[u8]) {
    let (blocks, rest) = sha2::digest::block_api::Block::<C>::slice_as_chunks(data);
    debug_assert!(rest.is_empty());
    core.update_blocks(blocks);
}

/// The crates write a state as its words, little-endian, and then a count of blocks, which is not the engine's.
fn restore<C: SerializableState>(words: &[u8]) -> Option<C> {
    let mut whole = SerializedState::<C>::default();
    whole[..words.len()].copy_from_slice(words);
    C::deserialize(&whole).ok()
}

/// A hash under way, at a block boundary.
pub(in crate::engine::sec) struct Running {
    digest: Digest,
    core: Core,
}

impl Running {
    /// The initial state; for HMAC the state behind the block key XOR ipad. The key has at most one block.
    pub(in crate::engine::sec) fn start(digest: Digest, hmac_key: Option<&[u8]>) -> Self {
        let narrow = |len| sha2::block_api::Sha256VarCore::new(len).map(Core::Narrow);
        let wide = |len| sha2::block_api::Sha512VarCore::new(len).map(Core::Wide);
        let core = match digest {
            Digest::Md5 => Core::Md5(Default::default()),
            Digest::Sha1 => Core::Sha1(Default::default()),
            Digest::Sm3 => Core::Sm3(Default::default()),
            Digest::Sha224 | Digest::Sha256 => narrow(digest.output_len()).expect("28 or 32 bytes"),
            _ => wide(digest.output_len()).expect("28, 32, 48 or 64 bytes"),
        };
        let mut running = Self { digest, core };
        if let Some(key) = hmac_key {
            running.absorb(&running.pad_key(key, 0x36));
        }
        running
    }

    /// Goes on from a state image of `state_len` bytes.
    pub(in crate::engine::sec) fn resume(digest: Digest, image: &[u8]) -> Self {
        let words = words(digest, image);
        let core = match digest {
            Digest::Md5 => restore(&words).map(Core::Md5),
            Digest::Sha1 => restore(&words).map(Core::Sha1),
            Digest::Sm3 => restore(&words).map(Core::Sm3),
            Digest::Sha224 | Digest::Sha256 => restore(&words).map(Core::Narrow),
            _ => restore(&words).map(Core::Wide),
        };
        Self { digest, core: core.expect("any words are a state") }
    }

    /// The state image.
    pub(in crate::engine::sec) fn image(&self) -> Vec<u8> {
        each!(&self.core, c => words(self.digest, &c.serialize()[..self.digest.state_len()]))
    }

    /// Absorbs whole blocks.
    pub(in crate::engine::sec) fn absorb(&mut self, data: &[u8]) {
        each!(&mut self.core, c => absorb(c, data));
    }

    /// Absorbs the last part and the padding for a message of `bits` bits (with HMAC not counting the key's block),
    /// and for HMAC runs the outer hash. Gives the whole digest.
    pub(in crate::engine::sec) fn finish(
        mut self,
        hmac_key: Option<&[u8]>,
        data: &[u8],
        bits: u128,
    ) -> Vec<u8> {
        let block = self.digest.block_len();
        let bits = if hmac_key.is_some() { bits.wrapping_add(8 * block as u128) } else { bits };
        let whole = data.len() / block * block;
        self.absorb(&data[..whole]);
        let mut last = data[whole..].to_vec();
        last.push(0x80);
        let count = if self.digest.wide() { 16 } else { 8 };
        last.resize((last.len() + count).next_multiple_of(block) - count, 0);
        if self.digest == Digest::Md5 {
            last.extend((bits as u64).to_le_bytes());
        } else {
            last.extend(&bits.to_be_bytes()[16 - count..]);
        }
        self.absorb(&last);
        let mut out = self.image();
        out.truncate(self.digest.output_len());
        match hmac_key {
            None => out,
            Some(key) => {
                let mut outer = Self::start(self.digest, None);
                outer.absorb(&self.pad_key(key, 0x5C));
                let bits = 8 * (block + out.len()) as u128;
                outer.finish(None, &out, bits)
            }
        }
    }

    fn pad_key(&self, key: &[u8], with: u8) -> Vec<u8> {
        let mut block = vec![with; self.digest.block_len()];
        block.iter_mut().zip(key).for_each(|(into, byte)| *into ^= byte);
        block
    }
}

/// Little-endian words to an image and back: the bytes of each word reversed, except for MD5.
fn words(digest: Digest, bytes: &[u8]) -> Vec<u8> {
    let size = match digest {
        Digest::Md5 => 1,
        _ if digest.wide() => 8,
        _ => 4,
    };
    bytes.chunks_exact(size).flat_map(|word| word.iter().rev().copied()).collect()
}

#[cfg(test)]
mod tests;
