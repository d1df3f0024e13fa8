//! Modes of operation, in place, as in reference 7.5 to 7.7. Lengths have been checked.
//!
//! Where the blocks do not depend on each other they go to the cipher together, which may work on several at once.

use crate::engine::sec::block::{BLOCK, Block, Cipher};

/// Width of a wrapping counter (reference 7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::sec) enum Carry {
    Low32,
    All128,
}

/// Which multiplication by alpha an XTS tweak goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubling {
    /// IEEE 1619: little-endian, 0x87.
    Ieee,
    /// GB/T 17964: GHASH bit order, 0xE1.
    Gb,
}

/// Order of the last two blocks in ciphertext stealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stealing {
    Cs1,
    Cs2,
    Cs3,
}

/// Bytes that are worked on together.
const BATCH: usize = 64 * BLOCK;

fn xor(into: &mut [u8], with: &[u8]) {
    for (a, b) in into.iter_mut().zip(with) {
        *a ^= b;
    }
}

/// Whole blocks only.
pub(super) fn ecb(cipher: &Cipher, encrypt: bool, data: &mut [u8]) {
    if encrypt {
        cipher.encrypt(data);
    } else {
        cipher.decrypt(data);
    }
}

/// Whole blocks of the cipher only; `iv` is one block.
pub(in crate::engine::sec) fn cbc(cipher: &Cipher, encrypt: bool, iv: &[u8], data: &mut [u8]) {
    let size = cipher.block_len();
    if !encrypt {
        let mut chain = [iv, &data[..data.len() - size.min(data.len())]].concat();
        cipher.decrypt(data);
        chain.truncate(data.len());
        return xor(data, &chain);
    }
    let mut chain = [0; BLOCK];
    let chain = &mut chain[..size];
    chain.copy_from_slice(iv);
    for block in data.chunks_exact_mut(size) {
        xor(block, chain);
        cipher.encrypt(block);
        chain.copy_from_slice(block);
    }
}

/// CFB with full-block feedback; the last block may be partial.
pub(super) fn cfb(cipher: &Cipher, encrypt: bool, iv: &Block, data: &mut [u8]) {
    let mut chain = *iv;
    for chunk in data.chunks_mut(BLOCK) {
        let mut next = [0; BLOCK];
        cipher.encrypt(&mut chain);
        if !encrypt {
            next[..chunk.len()].copy_from_slice(chunk);
        }
        xor(chunk, &chain);
        if encrypt {
            next[..chunk.len()].copy_from_slice(chunk);
        }
        chain = next;
    }
}

pub(super) fn ofb(cipher: &Cipher, iv: &Block, data: &mut [u8]) {
    let mut stream = *iv;
    for chunk in data.chunks_mut(BLOCK) {
        cipher.encrypt(&mut stream);
        xor(chunk, &stream);
    }
}

/// The first keystream block is the encryption of `iv` itself.
pub(in crate::engine::sec) fn ctr(cipher: &Cipher, carry: Carry, iv: &Block, data: &mut [u8]) {
    let mut counter = u128::from_be_bytes(*iv);
    let mut stream = [0; BATCH];
    for chunk in data.chunks_mut(BATCH) {
        let blocks = chunk.len().div_ceil(BLOCK) * BLOCK;
        for block in stream[..blocks].chunks_exact_mut(BLOCK) {
            block.copy_from_slice(&counter.to_be_bytes());
            counter = match carry {
                Carry::All128 => counter.wrapping_add(1),
                Carry::Low32 => counter & !0xFFFF_FFFF | u128::from((counter as u32).wrapping_add(1)),
            };
        }
        cipher.encrypt(&mut stream[..blocks]);
        xor(chunk, &stream);
    }
}

/// XTS over at least one block; a partial last block steals from the one before. The tweak comes unencrypted.
pub(super) fn xts(
    (data_key, tweak_key): (&Cipher, &Cipher),
    encrypt: bool,
    doubling: Doubling,
    iv: &Block,
    data: &mut [u8],
) {
    let mut tweak = *iv;
    tweak_key.encrypt(&mut tweak);
    let whole = |blocks: &mut [u8], tweaks: &[u8]| {
        xor(blocks, tweaks);
        ecb(data_key, encrypt, blocks);
        xor(blocks, tweaks);
    };
    let partial = data.len() % BLOCK;
    // With a partial block, the last whole one takes part in the stealing.
    let plain = data.len() - partial - if partial > 0 { BLOCK } else { 0 };
    let (head, tail) = data.split_at_mut(plain);
    let mut tweaks = Vec::with_capacity(BATCH);
    for batch in head.chunks_mut(BATCH) {
        tweaks.clear();
        while tweaks.len() < batch.len() {
            tweaks.extend_from_slice(&tweak);
            tweak = double(doubling, tweak);
        }
        whole(batch, &tweaks);
    }
    if partial == 0 {
        return;
    }
    let next = double(doubling, tweak);
    let (first, second) = if encrypt { (tweak, next) } else { (next, tweak) };
    let (last, rest) = tail.split_at_mut(BLOCK);
    whole(last, &first);
    let mut joined: Block = (&*last).try_into().expect("one block");
    joined[..partial].copy_from_slice(rest);
    rest.copy_from_slice(&last[..partial]);
    whole(&mut joined, &second);
    last.copy_from_slice(&joined);
}

fn double(doubling: Doubling, tweak: Block) -> Block {
    match doubling {
        Doubling::Ieee => {
            let value = u128::from_le_bytes(tweak);
            ((value << 1) ^ ((value >> 127) * 0x87)).to_le_bytes()
        }
        Doubling::Gb => {
            let value = u128::from_be_bytes(tweak);
            ((value >> 1) ^ ((value & 1) * (0xE1 << 120))).to_be_bytes()
        }
    }
}

/// CBC with ciphertext stealing (addendum to SP 800-38A), more than one block, or exactly one as plain CBC.
pub(super) fn cbc_cs(cipher: &Cipher, encrypt: bool, variant: Stealing, iv: &Block, data: &mut [u8]) {
    let len = data.len();
    if len <= BLOCK {
        return cbc(cipher, encrypt, iv, data);
    }
    // d, the bytes of the last block, 1 to 16.
    let d = (len - 1) % BLOCK + 1;
    let swapped = match variant {
        Stealing::Cs1 => false,
        Stealing::Cs2 => d < BLOCK,
        Stealing::Cs3 => true,
    };
    let tail = len - d - BLOCK;
    if encrypt {
        let mut padded = data.to_vec();
        padded.resize(len - d + BLOCK, 0);
        cbc(cipher, true, iv, &mut padded);
        let (short, full) = padded[tail..].split_at(BLOCK);
        data[..tail].copy_from_slice(&padded[..tail]);
        let ends = if swapped { [full, &short[..d]] } else { [&short[..d], full] };
        data[tail..].copy_from_slice(&ends.concat());
    } else {
        let (short, full) = if swapped {
            let (full, short) = data[tail..].split_at(BLOCK);
            (short.to_vec(), full.to_vec())
        } else {
            let (short, full) = data[tail..].split_at(d);
            (short.to_vec(), full.to_vec())
        };
        // The last block decrypts to (padded plaintext XOR second-last ciphertext); its tail is that ciphertext's.
        let mut inner: Block = full.as_slice().try_into().expect("one block");
        cipher.decrypt(&mut inner);
        let mut second_last = inner;
        second_last[..d].copy_from_slice(&short);
        xor(&mut inner, &second_last);
        let chain: Block = match tail {
            0 => *iv,
            _ => data[tail - BLOCK..tail].try_into().expect("one block"),
        };
        cbc(cipher, false, iv, &mut data[..tail]);
        cipher.decrypt(&mut second_last);
        xor(&mut second_last, &chain);
        data[tail..tail + BLOCK].copy_from_slice(&second_last);
        data[tail + BLOCK..].copy_from_slice(&inner[..d]);
    }
}
