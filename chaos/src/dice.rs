//! Reproducible choices and data.

/// A sequence that its seed decides (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for each `label`.
    pub fn of(seed: u64, label: u64) -> Dice {
        let mut dice = Dice(seed ^ label.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Dice(dice.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// 0 to `n - 1`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A length up to `most`, small ones as often as large ones.
    pub fn length(&mut self, most: usize) -> usize {
        let bits = usize::BITS - most.leading_zeros();
        let limit = 1usize << self.below(bits as usize + 1);
        self.below(limit.min(most) + 1)
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
    }

    /// Data that compresses well, badly or not at all.
    pub fn data(&mut self, length: usize) -> Vec<u8> {
        let mut data = vec![0; length];
        self.fill(&mut data);
        match self.below(4) {
            0 => {}
            1 => data.iter_mut().for_each(|byte| *byte = b"acegikmo"[usize::from(*byte & 7)]),
            2 => {
                let period = 1 + self.below(300);
                for at in period.min(length)..length {
                    data[at] = data[at - period];
                }
            }
            _ => {
                for (at, byte) in data.iter_mut().enumerate() {
                    if at >> 10 & 1 == 0 {
                        *byte = (at % 7) as u8;
                    }
                }
            }
        }
        data
    }
}
