//! One moving average in one word, so that threads and a forked child can keep it without a lock: an update is a
//! single compare-and-swap, and one that loses a race is dropped, for the winner's sample is as good.

use std::sync::atomic::{AtomicU64, Ordering};

/// Weight of a new sample, as a shift: an eighth.
const WEIGHT: u32 = 3;
/// A sample this many times above or below the average is no noise: a second one in a row is the new average.
const JUMP: u64 = 3;
/// Samples after which an average is believed.
pub(super) const TRUSTED: u32 = 3;

const COUNT_BITS: u32 = 22;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const MARK_BITS: u32 = 2;
const MEAN: u64 = (1 << (64 - COUNT_BITS - MARK_BITS)) - 1;

/// What the last sample was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Usual,
    Low,
    /// As `Low`, and a second look is under way.
    LookedAt,
    High,
}

/// What is known: an average in nanoseconds and the number of samples behind it, at most some four million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Moving average, nanoseconds; 0 without samples.
    pub mean: u64,
    /// Samples since the last jump.
    pub samples: u32,
}

/// How a sample moved the average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Gently,
    /// The average has become that of two samples far below it.
    Down(u64),
    /// Or above.
    Up(u64),
}

/// An average: 40 bits of nanoseconds (18 minutes), two of [`Mark`], 22 of count. Zero is no sample.
#[derive(Debug, Default)]
pub(super) struct Cell(AtomicU64);

fn unpack(word: u64) -> (Known, Mark) {
    let mark = match word >> COUNT_BITS & 3 {
        0 => Mark::Usual,
        1 => Mark::Low,
        2 => Mark::LookedAt,
        _ => Mark::High,
    };
    let samples = u32::try_from(word & COUNT).unwrap_or(u32::MAX);
    (Known { mean: word >> (COUNT_BITS + MARK_BITS), samples }, mark)
}

fn pack(mean: u64, mark: Mark, samples: u32) -> u64 {
    mean.clamp(1, MEAN) << (COUNT_BITS + MARK_BITS)
        | (mark as u64) << COUNT_BITS
        | u64::from(samples).min(COUNT)
}

impl Cell {
    pub(super) fn known(&self) -> Known {
        unpack(self.0.load(Ordering::Relaxed)).0
    }

    /// Forgets all samples.
    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Lowers the average to `bound` if it is above.
    pub(super) fn cap(&self, bound: u64) {
        let word = self.0.load(Ordering::Relaxed);
        let (known, _) = unpack(word);
        if known.samples > 0 && known.mean > bound {
            self.replace(word, pack(bound, Mark::Usual, known.samples));
        }
    }

    /// Takes a sample in.
    pub(super) fn add(&self, took: u64) -> Moved {
        let word = self.0.load(Ordering::Relaxed);
        let (Known { mean, samples }, mark) = unpack(word);
        if samples == 0 {
            self.replace(word, pack(took, Mark::Usual, 1));
            return Moved::Gently;
        }
        let low = took.saturating_mul(JUMP) < mean;
        let high = took > mean.saturating_mul(JUMP);
        let again = if low { matches!(mark, Mark::Low | Mark::LookedAt) } else { mark == Mark::High };
        if (low || high) && again {
            self.replace(word, pack(took, Mark::Usual, TRUSTED));
            return if low { Moved::Down(took) } else { Moved::Up(took) };
        }
        let (mark, seen) = match (low, high) {
            (true, _) => (Mark::Low, took.max(mean / JUMP)),
            (_, true) => (Mark::High, took.min(mean.saturating_mul(JUMP))),
            _ => (Mark::Usual, took),
        };
        // The first samples count alike; later ones an eighth.
        let divisor = i64::from(samples.saturating_add(1)).min(1 << WEIGHT);
        let step = (seen.cast_signed() - mean.cast_signed()) / divisor;
        let next = mean.saturating_add_signed(step);
        self.replace(word, pack(next, mark, samples.saturating_add(1)));
        Moved::Gently
    }

    /// Whether the last sample was so much better that a second look is worth a request: true for one caller.
    pub(super) fn take_second_look(&self) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        let (known, mark) = unpack(word);
        mark == Mark::Low && self.replace(word, pack(known.mean, Mark::LookedAt, known.samples))
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(samples: &[u64]) -> Cell {
        let cell = Cell::default();
        for sample in samples {
            cell.add(*sample);
        }
        cell
    }

    #[test]
    fn first_samples_are_averaged_and_later_ones_weigh_an_eighth() {
        assert_eq!(cell(&[]).known(), Known { mean: 0, samples: 0 });
        assert_eq!(cell(&[100, 200, 300]).known(), Known { mean: 200, samples: 3 });
        let cell = cell(&[800; 8]);
        cell.add(1600);
        assert_eq!(cell.known(), Known { mean: 900, samples: 9 });
    }

    #[test]
    fn one_outlier_hardly_moves_and_two_are_the_new_average() {
        let cell = cell(&[1000; 20]);
        assert_eq!(cell.add(1_000_000), Moved::Gently);
        assert_eq!(cell.known().mean, 1250, "as if it had been three times the average");
        assert_eq!(cell.add(1_000_000), Moved::Up(1_000_000));
        assert_eq!(cell.known(), Known { mean: 1_000_000, samples: TRUSTED });
        assert_eq!((cell.add(10), cell.add(20)), (Moved::Gently, Moved::Down(20)));
        assert_eq!(cell.known().mean, 20);
    }

    #[test]
    fn outliers_to_both_sides_are_noise() {
        let cell = cell(&[1000; 20]);
        for _ in 0..10 {
            assert_eq!((cell.add(100_000), cell.add(10)), (Moved::Gently, Moved::Gently));
        }
    }

    #[test]
    fn second_look_is_granted_once() {
        let cell = cell(&[1000; 5]);
        assert!(!cell.take_second_look());
        cell.add(10);
        assert!(cell.take_second_look() && !cell.take_second_look());
        assert_eq!(cell.add(10), Moved::Down(10));
        assert!(!cell.take_second_look());
    }

    #[test]
    fn extremes_fit() {
        let cell = cell(&[u64::MAX >> 1, u64::MAX >> 1, 0, 0, 0]);
        assert!(cell.known().mean >= 1);
        let long = self::cell(&[u64::MAX >> 1]);
        assert_eq!(long.known(), Known { mean: MEAN, samples: 1 });
        assert_eq!(super::super::cell::unpack(u64::MAX).0.mean, MEAN);
    }

    #[test]
    fn cap_lowers_only() {
        let cell = cell(&[100; 4]);
        cell.cap(200);
        assert_eq!(cell.known().mean, 100);
        cell.cap(50);
        assert_eq!(cell.known(), Known { mean: 50, samples: 4 });
        cell.forget();
        cell.cap(1);
        assert_eq!(cell.known().samples, 0);
    }
}
