//! GHASH and GMAC over any 16-byte block cipher (SP 800-38D), with a state that can be taken out and put back.
//!
//! The state is the accumulator Y in natural byte order, first byte of the block first: what the engine keeps at
//! `mac_addr` between the parts of a GCM stream (reference 9.8, checked against 16.8).

use super::block::{BLOCK, Block, Cipher};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

/// Bytes of the only nonce that the engine takes (reference 9.4).
pub(super) const NONCE: usize = 12;

/// A running GHASH under H = E(0).
pub(super) struct Ghash {
    hash: GHash,
    /// Accumulator of an earlier part, to be added to the first block of this one.
    earlier: Block,
    empty: bool,
}

impl Ghash {
    /// Y = 0.
    pub(super) fn new(cipher: &Cipher) -> Self {
        Self::resume(cipher, &[0; BLOCK])
    }

    /// Goes on from a state that [`Ghash::state`] gave.
    pub(super) fn resume(cipher: &Cipher, state: &Block) -> Self {
        let mut h = [0; BLOCK];
        cipher.encrypt(&mut h);
        Self { hash: GHash::new(&h.into()), earlier: *state, empty: true }
    }

    /// Absorbs `data`, zero-padded to whole blocks: a piece that another one follows must be whole blocks.
    pub(super) fn absorb(&mut self, data: &[u8]) {
        let mut rest = data;
        if self.empty && !data.is_empty() {
            let (head, tail) = data.split_at(data.len().min(BLOCK));
            let mut first = self.earlier;
            first.iter_mut().zip(head).for_each(|(into, with)| *into ^= with);
            self.hash.update(&[first.into()]);
            self.empty = false;
            rest = tail;
        }
        self.hash.update_padded(rest);
    }

    /// Absorbs the closing block of lengths, given in bytes.
    pub(super) fn lengths(&mut self, additional: u64, text: u64) {
        let block = (u128::from(additional) << 67 | u128::from(text) << 3).to_be_bytes();
        self.absorb(&block);
    }

    /// The accumulator Y.
    pub(super) fn state(self) -> Block {
        if self.empty { self.earlier } else { self.hash.finalize().into() }
    }
}

/// J0 for a 12-byte nonce.
pub(super) fn first_counter(nonce: &[u8; NONCE]) -> Block {
    let mut block = [0; BLOCK];
    block[..NONCE].copy_from_slice(nonce);
    block[BLOCK - 1] = 1;
    block
}

/// The whole tag of an authenticated message without text: `data` is all additional data.
pub(super) fn gmac(cipher: &Cipher, nonce: &[u8; NONCE], data: &[u8]) -> Block {
    let mut hash = Ghash::new(cipher);
    hash.absorb(data);
    hash.lengths(data.len() as u64, 0);
    seal(cipher, &first_counter(nonce), hash)
}

/// Tag from a finished hash: Y XOR E(J0).
pub(super) fn seal(cipher: &Cipher, first_counter: &Block, hash: Ghash) -> Block {
    let mut tag = *first_counter;
    cipher.encrypt(&mut tag);
    tag.iter_mut().zip(hash.state()).for_each(|(into, with)| *into ^= with);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sec::block::Algorithm;
    use crate::engine::testing::{hex, seq};

    #[test]
    fn states_are_those_of_the_reference_stream() {
        // 16.8: key seq(00, 16), additional data seq(40, 16), ciphertext of the MIDDLE part.
        let cipher = Cipher::new(Algorithm::Aes, &seq(0, 16)).unwrap();
        let mut hash = Ghash::new(&cipher);
        hash.absorb(&seq(0x40, 16));
        let first = hash.state();
        assert_eq!(first[..], hex("a74e2fced4d090ebfc86b48f53ae96c2"));
        let mut hash = Ghash::resume(&cipher, &first);
        hash.absorb(&hex("2a07ba38fa0cb58d02f13f8bca9f3eefc37fb19b1782ab38bd89eb00de101137
                          3a02e792ab4f4acad777486f0376a77f0ce5fefa8734205a3a8f347159d8bac2"));
        assert_eq!(hash.state()[..], hex("c1969c138a002fef1866943e59896fbb"));
    }

    #[test]
    fn a_hash_of_nothing_is_the_state_it_began_with() {
        let cipher = Cipher::new(Algorithm::Sm4, &seq(7, 16)).unwrap();
        assert_eq!(Ghash::new(&cipher).state(), [0; 16]);
        let mut hash = Ghash::resume(&cipher, &[9; 16]);
        hash.absorb(&[]);
        assert_eq!(hash.state(), [9; 16]);
    }

    #[test]
    fn any_cut_at_block_boundaries_gives_the_same_state() {
        let cipher = Cipher::new(Algorithm::Aes, &seq(3, 32)).unwrap();
        let data = seq(0, 77);
        let mut whole = Ghash::new(&cipher);
        whole.absorb(&data);
        let whole = whole.state();
        for cut in [0, 16, 32, 48, 64] {
            let mut first = Ghash::new(&cipher);
            first.absorb(&data[..cut]);
            let mut second = Ghash::resume(&cipher, &first.state());
            second.absorb(&data[cut..]);
            assert_eq!(second.state(), whole, "{cut}");
        }
    }

    #[test]
    fn gmac_gives_the_reference_tags() {
        let nonce = |bytes: Vec<u8>| bytes.try_into().unwrap();
        let tag =
            gmac(&Cipher::new(Algorithm::Aes, &seq(0, 16)).unwrap(), &nonce(seq(0xA0, 12)), &seq(0x80, 40));
        assert_eq!(tag[..], hex("ea3b0a80d3641d567b8d4626af992951"));
        let tag = gmac(
            &Cipher::new(Algorithm::Aes, &[0x11; 16]).unwrap(),
            &nonce(hex("333333333300000000000000")),
            &[0x44; 32],
        );
        assert_eq!(tag[..], hex("ce18d75ef7289e221b870eba5a29d670"));
    }
}
