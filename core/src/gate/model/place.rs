//! Where a request stands in the table: its row, and how its cost relates to the row's.

use super::assumed::Curve;
use crate::job::{Effort, Op};

/// Size classes of each effort.
pub const SIZES: usize = 20;

/// Exponent of the smallest size class of data; everything smaller is in it too.
const SMALLEST: u32 = 6;

/// Bytes of a modulus for one class.
const MODULUS: usize = 128;

/// One row of the table: an effort and a size class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What is done.
    pub effort: Effort,
    /// Size class, below [`SIZES`]: by powers of two from 64 bytes on, for RSA by 128 bytes of modulus.
    pub class: usize,
}

impl Place {
    /// Of a request.
    pub fn of(effort: Effort, bytes: usize) -> Place {
        let class = if effort.op() == Op::HpreRsa {
            bytes.div_ceil(MODULUS).saturating_sub(1)
        } else {
            bytes.checked_ilog2().map_or(0, |log| log.saturating_sub(SMALLEST) as usize)
        };
        Place { effort, class: class.min(SIZES - 1) }
    }

    /// Every one, in the order of [`Place::index`].
    pub fn all() -> impl Iterator<Item = Place> {
        Effort::ALL.into_iter().flat_map(|effort| (0..SIZES).map(move |class| Place { effort, class }))
    }

    /// Number of the row.
    pub const fn index(self) -> usize {
        self.effort.index() * SIZES + self.class
    }

    /// The size for which the row's averages hold, bytes: the smallest of the class, for RSA the only usual one.
    pub const fn bytes(self) -> usize {
        match self.effort.op() {
            Op::HpreRsa => MODULUS * (self.class + 1),
            _ => 1 << (self.class as u32 + SMALLEST),
        }
    }

    /// From the cost of `bytes` to that of [`Place::bytes`], by the shape of `curve`.
    pub(super) fn for_row(self, curve: Curve, bytes: usize, ns: u64) -> u64 {
        if bytes == self.bytes() { ns } else { ratio(ns, self.at(curve), curve.at(bytes as u64)) }
    }

    /// And back.
    pub(super) fn for_bytes(self, curve: Curve, bytes: usize, ns: u64) -> u64 {
        if bytes == self.bytes() { ns } else { ratio(ns, curve.at(bytes as u64), self.at(curve)) }
    }

    pub(super) const fn at(self, curve: Curve) -> u64 {
        curve.at(self.bytes() as u64)
    }
}

fn ratio(value: u64, by: u64, over: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(by) / u128::from(over)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_powers_of_two_and_moduli() {
        let class = |effort, bytes| Place::of(effort, bytes).class;
        assert_eq!([0, 1, 64, 127, 128].map(|bytes| class(Effort::Inflate, bytes)), [0, 0, 0, 0, 1]);
        assert_eq!(class(Effort::Cipher, usize::MAX), SIZES - 1);
        assert_eq!([128, 256, 384, 512].map(|bytes| class(Effort::RsaPublic, bytes)), [0, 1, 2, 3]);
        for (index, place) in Place::all().enumerate() {
            assert_eq!((place.index(), Place::of(place.effort, place.bytes())), (index, place));
        }
    }

    #[test]
    fn costs_within_a_class_follow_the_curve() {
        let curve = super::super::assumed::software(Effort::Inflate);
        let place = Place::of(Effort::Inflate, 100_000);
        let (here, there) = (curve.at(100_000), curve.at(65_536));
        assert_eq!(place.for_row(curve, 100_000, 2 * here), 2 * there);
        assert_eq!(place.for_bytes(curve, 65_536, 77), 77);
        let back = place.for_bytes(curve, 100_000, place.for_row(curve, 100_000, 123_456));
        assert!(back.abs_diff(123_456) <= 2, "{back}");
        assert!(place.for_row(curve, usize::MAX, u64::MAX) > 0);
    }
}
