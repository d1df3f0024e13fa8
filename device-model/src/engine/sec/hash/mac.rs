//! AES-XCBC-MAC (RFC 3566) and AES-CMAC (RFC 4493). Messages are not empty.

use crate::engine::sec::block::{BLOCK, Block, Cipher};

/// CBC-MAC in which the last block, padded with 10…0 if it is not whole, is masked with one of two subkeys.
fn masked(cipher: &Cipher, whole: &Block, padded: &Block, data: &[u8]) -> Block {
    let mut state = [0; BLOCK];
    let last = data.len().saturating_sub(1) / BLOCK * BLOCK;
    for block in data[..last].chunks_exact(BLOCK) {
        xor(&mut state, block);
        cipher.encrypt(&mut state);
    }
    let rest = &data[last..];
    xor(&mut state, rest);
    if rest.len() < BLOCK {
        state[rest.len()] ^= 0x80;
        xor(&mut state, padded);
    } else {
        xor(&mut state, whole);
    }
    cipher.encrypt(&mut state);
    state
}

fn xor(into: &mut Block, with: &[u8]) {
    into.iter_mut().zip(with).for_each(|(a, b)| *a ^= b);
}

/// The 16 bytes of AES-XCBC-PRF-128 with a 16-byte key; AES-XCBC-MAC-96 is their first 12.
pub(super) fn xcbc(new: impl Fn(&Block) -> Cipher, key: &Block, data: &[u8]) -> Block {
    let root = new(key);
    let derived = |fill: u8| {
        let mut block = [fill; BLOCK];
        root.encrypt(&mut block);
        block
    };
    masked(&new(&derived(1)), &derived(2), &derived(3), data)
}

/// The 16 bytes of CMAC.
pub(super) fn cmac(cipher: &Cipher, data: &[u8]) -> Block {
    let mut zero = [0; BLOCK];
    cipher.encrypt(&mut zero);
    let twice = |block: Block| {
        let value = u128::from_be_bytes(block);
        ((value << 1) ^ ((value >> 127) * 0x87)).to_be_bytes()
    };
    let whole = twice(zero);
    masked(cipher, &whole, &twice(whole), data)
}
