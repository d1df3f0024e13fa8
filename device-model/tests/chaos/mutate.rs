//! How a valid request is spoiled.

use super::seeds::Seed;

/// splitmix64: reproducible from its seed.
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

fn some_value(random: &mut Random, old: u32) -> u32 {
    match random.below(8) {
        0 => random.word() as u32,
        1 => 0,
        2 => u32::MAX,
        3 | 4 => old ^ 1 << random.below(32),
        5 => old.wrapping_add(random.below(5) as u32).wrapping_sub(2),
        6 => [0x80_0000, 0x80_0001, 0x100_0000, 0xFF_FFFF][random.below(4)],
        _ => random.below(300) as u32,
    }
}

/// Changes one to three words of the bytes, at multiples of four.
fn spoil(random: &mut Random, bytes: &mut [u8]) {
    for _ in 0..1 + random.below(3) {
        if bytes.len() < 4 {
            return;
        }
        let at = 4 * random.below(bytes.len() / 4);
        let old = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        bytes[at..at + 4].copy_from_slice(&some_value(random, old).to_le_bytes());
    }
}

/// Exchanges, bends or breaks an address of the entry.
fn spoil_address(random: &mut Random, seed: &mut Seed) {
    let at = 4 * random.below(seed.entry.len() / 4 - 1);
    let known = seed.regions.get(random.below(seed.regions.len().max(1))).map_or(0, |(base, _)| *base);
    let value = match random.below(6) {
        0 => 0,
        1 => u64::MAX - random.below(200) as u64,
        2 => random.word(),
        3 => known.wrapping_sub(random.below(80) as u64),
        4 => known + random.below(2000) as u64,
        _ => known,
    };
    seed.entry[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Leaves the seed alone (then it is true), or changes entry, memory or both.
pub fn perhaps(random: &mut Random, seed: &mut Seed) -> bool {
    let choice = random.below(20);
    match choice {
        0..=4 => return true,
        5..=11 => spoil(random, &mut seed.entry),
        12..=13 => spoil_address(random, seed),
        19 => {
            for chunk in seed.entry.chunks_mut(8) {
                let noise = if random.one_in(3) { 0 } else { random.word() };
                chunk.copy_from_slice(&noise.to_le_bytes()[..chunk.len()]);
            }
        }
        _ => {
            if !seed.regions.is_empty() {
                let which = random.below(seed.regions.len());
                spoil(random, &mut seed.regions[which].1);
            }
            if choice == 18 {
                spoil(random, &mut seed.entry);
            }
        }
    }
    false
}
