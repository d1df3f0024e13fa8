//! CCM (SP 800-38C) from the two blocks that a driver formats: B0 and the first counter block of the text (9.5).
//!
//! The engine knows no nonce: it takes both blocks as they are. [`Blocks::check`] is the model's strict rule: B0 must
//! say of the message what the descriptor says, or the tag would be that of another message.

use crate::engine::sec::block::{BLOCK, Block, Cipher};
use crate::engine::sec::cipher::modes::{self, Carry};

/// Longest additional data, bytes: only the two-byte encoding of its length exists (9.3).
pub(super) const LONGEST_ADDITIONAL: u64 = 0xFEFF;

/// B0 from a_ivin_addr and A1 from c_ivin_addr.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    pub(super) b0: Block,
    pub(super) a1: Block,
}

/// Bytes of the length in B0, and of the counter in A1, that every driver writes.
const WRITTEN: usize = 2;

impl Blocks {
    /// Whether the blocks belong together and describe this message (lengths in bytes); the error names the field.
    ///
    /// Of a length field of more than two bytes UADK leaves the upper ones to its caller, and its own benchmark fills
    /// them with what comes: they count only where the text needs them. The blocks are used as they are, so that a
    /// driver which leaves something there has another tag than the standard's. (L − 1 = 0, which the standard
    /// reserves, is such a caller's as well.)
    pub(super) fn check(&self, additional: u64, text: u64, tag: usize) -> Result<(), String> {
        let flags = self.b0[0];
        let expected = (self.a1[0] & 7) | (((tag - 2) / 2) as u8) << 3 | u8::from(additional > 0) << 6;
        if flags != expected {
            return Err(format!(
                "B0 flags {flags:#04x} do not say tag {tag}, a_len {additional:#x}, L of A1: {expected:#04x}"
            ));
        }
        let whole = (usize::from(self.a1[0] & 7) + 1).max(WRITTEN);
        let looked_at = if text >> (8 * WRITTEN) == 0 { WRITTEN } else { whole };
        let (nonce, length) = self.b0.split_at(BLOCK - looked_at);
        if number(length) != text {
            return Err(format!("B0 length is {:#x}, c_len is {text:#x}", number(length)));
        }
        let (same, counter) = self.a1.split_at(BLOCK - looked_at);
        if same[1..] != nonce[1..] {
            return Err("nonce in B0 is not the one in A1".into());
        }
        if number(counter) != 1 {
            return Err(format!("A1 counter is {:#x}, must be 1", number(counter)));
        }
        Ok(())
    }

    /// Transforms `data` in place and gives the whole tag.
    pub(super) fn whole(&self, cipher: &Cipher, encrypt: bool, additional: &[u8], data: &mut [u8]) -> Block {
        // One counter of 128 bits: with a text that fits the counter field, the carry never leaves that field.
        if !encrypt {
            modes::ctr(cipher, Carry::All128, &self.a1, data);
        }
        let mut tag = self.authenticate(cipher, additional, data);
        if encrypt {
            modes::ctr(cipher, Carry::All128, &self.a1, data);
        }
        let mut a0 = self.a1;
        let nonce_end = BLOCK - 1 - usize::from(a0[0] & 7);
        a0[nonce_end..].fill(0);
        cipher.encrypt(&mut a0);
        xor(&mut tag, &a0);
        tag
    }

    /// CBC-MAC of B0, the additional data behind its two-byte length, and the plaintext.
    fn authenticate(&self, cipher: &Cipher, additional: &[u8], plain: &[u8]) -> Block {
        let mut mac = self.b0;
        cipher.encrypt(&mut mac);
        if !additional.is_empty() {
            let (head, rest) = additional.split_at(additional.len().min(BLOCK - 2));
            let mut first = [0; BLOCK];
            first[..2].copy_from_slice(&(additional.len() as u16).to_be_bytes());
            first[2..2 + head.len()].copy_from_slice(head);
            absorb(cipher, &mut mac, &first);
            absorb(cipher, &mut mac, rest);
        }
        absorb(cipher, &mut mac, plain);
        mac
    }
}

fn absorb(cipher: &Cipher, mac: &mut Block, data: &[u8]) {
    for chunk in data.chunks(BLOCK) {
        xor(mac, chunk);
        cipher.encrypt(mac);
    }
}

fn xor(into: &mut Block, with: &[u8]) {
    into.iter_mut().zip(with).for_each(|(into, with)| *into ^= with);
}

fn number(big_endian: &[u8]) -> u64 {
    big_endian.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
