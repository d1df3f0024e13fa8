//! GCM (SP 800-38D) over any 16-byte block cipher, with the 12-byte nonce that the engine takes (reference 9.4), in
//! one piece or as a stream (9.8).

use crate::engine::sec::block::{Block, Cipher};
use crate::engine::sec::cipher::modes::{self, Carry};
use crate::engine::sec::ghash::{self, Ghash, NONCE};

/// Transforms `data` in place and gives the whole tag.
pub(super) fn whole(
    cipher: &Cipher,
    nonce: &[u8; NONCE],
    encrypt: bool,
    additional: &[u8],
    data: &mut [u8],
) -> Block {
    let first_counter = ghash::first_counter(nonce);
    let mut hash = Ghash::new(cipher);
    hash.absorb(additional);
    let text = data.len() as u64;
    part(cipher, &first_counter, encrypt, &mut hash, data);
    hash.lengths(additional.len() as u64, text);
    ghash::seal(cipher, &first_counter, hash)
}

/// Transforms a part of the text, whose key stream begins after the counter block `last_used`, and absorbs its
/// ciphertext. All parts but the last are whole blocks.
pub(super) fn part(cipher: &Cipher, last_used: &Block, encrypt: bool, hash: &mut Ghash, data: &mut [u8]) {
    if !encrypt {
        hash.absorb(data);
    }
    // inc32 of SP 800-38D: the carry stays within the low 32 bits.
    let counter = u128::from_be_bytes(*last_used);
    let next = counter >> 32 << 32 | u128::from((counter as u32).wrapping_add(1));
    modes::ctr(cipher, Carry::Low32, &next.to_be_bytes(), data);
    if encrypt {
        hash.absorb(data);
    }
}
