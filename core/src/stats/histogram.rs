//! Log-linear histograms: which bucket a value belongs to, what a bucket means, percentiles from counts.
//!
//! Values are divided by `2^shift`. Up to `2^digits` the quotient is its own bucket; above, each power of two is cut
//! into `2^digits` equal buckets, so a bucket is at most `2^-digits` of its values wide. The last bucket takes whatever
//! lies beyond.

/// Most digits that a file may ask for.
pub(super) const MOST_DIGITS: u8 = 20;

/// The shape of a histogram; `digits` at most 20, `shift` at most 63, at least one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// log2 of the unit that values are counted in.
    pub shift: u8,
    /// log2 of the buckets per power of two.
    pub digits: u8,
    /// Number of buckets, the last of which is open.
    pub buckets: u32,
}

impl Shape {
    /// The bucket of `value`.
    pub const fn index(self, value: u64) -> usize {
        let scaled = value >> self.shift;
        let index = if scaled < 1 << self.digits {
            scaled
        } else {
            let octave = scaled.ilog2() as u64 - self.digits as u64;
            (octave << self.digits) + (scaled >> octave)
        };
        let last = self.buckets as u64 - 1;
        if index < last { index as usize } else { last as usize }
    }

    /// The smallest value of bucket `index`; `u64::MAX` where a file's shape goes beyond 64 bits.
    pub fn lower(self, index: usize) -> u64 {
        let index = index as u64;
        let ring = index >> self.digits;
        let (base, exponent) =
            if ring < 2 { (index, 0) } else { (index - ((ring - 1) << self.digits), ring - 1) };
        let exponent = exponent + u64::from(self.shift);
        match base {
            0 => 0,
            _ if exponent > u64::from(base.leading_zeros()) => u64::MAX,
            _ => base << exponent,
        }
    }

    /// The largest value of bucket `index`; of the open last one, its smallest.
    pub fn upper(self, index: usize) -> u64 {
        if index + 1 >= self.buckets as usize {
            return self.lower(index);
        }
        match self.lower(index + 1) {
            u64::MAX => u64::MAX,
            next => next - 1,
        }
    }
}

/// Counts by bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// What the buckets mean.
    pub shape: Shape,
    /// As many as the shape says.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Number of values.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// A bound that the fraction `part / whole` of the values does not exceed, at most one bucket too large (for
    /// values in the open last bucket it is that bucket's beginning); `None` without values.
    pub fn percentile(&self, part: u64, whole: u64) -> Option<u64> {
        let total: u128 = self.counts.iter().map(|count| u128::from(*count)).sum();
        let rank = (total * u128::from(part)).div_ceil(u128::from(whole.max(1))).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += u128::from(*count);
            seen >= rank
        });
        found.map(|index| self.shape.upper(index))
    }

    /// Adds the counts of another histogram, if its shape is the same; whether it was.
    pub fn merge(&mut self, other: &Histogram) -> bool {
        let same = self.shape == other.shape && self.counts.len() == other.counts.len();
        if same {
            for (own, count) in self.counts.iter_mut().zip(&other.counts) {
                *own = own.saturating_add(*count);
            }
        }
        same
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{DEPTH, LATENCY};
    use super::*;
    use proptest::prelude::*;

    fn filled(shape: Shape, values: &[u64]) -> Histogram {
        let mut counts = vec![0; shape.buckets as usize];
        for value in values {
            counts[shape.index(*value)] += 1;
        }
        Histogram { shape, counts }
    }

    #[test]
    fn buckets_join_without_gap_and_the_ends_are_as_documented() {
        for shape in [LATENCY, DEPTH, Shape { shift: 3, digits: 0, buckets: 9 }] {
            let last = shape.buckets as usize - 1;
            assert_eq!((shape.lower(0), shape.index(0)), (0, 0));
            for index in 0..last {
                let (lower, upper) = (shape.lower(index), shape.upper(index));
                assert_eq!((shape.index(lower), shape.index(upper)), (index, index), "{shape:?}");
                assert_eq!(shape.lower(index + 1), upper + 1);
                // width at most 2^-digits of the values, or one unit
                let width = upper - lower + 1;
                assert!(width == 1 << shape.shift || width << shape.digits <= lower, "{shape:?} {index}");
            }
            assert_eq!(shape.index(u64::MAX), last);
        }
        assert_eq!(LATENCY.lower(LATENCY.buckets as usize - 1), 1 << 36);
        assert_eq!(DEPTH.lower(DEPTH.buckets as usize - 1), 2048);
        assert!((0..16).all(|depth| DEPTH.index(depth) == usize::try_from(depth).unwrap()));
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(filled(LATENCY, &[]).percentile(50, 100), None);
        assert_eq!(filled(LATENCY, &[0]).percentile(50, 100), Some(63));
    }

    #[test]
    fn shapes_from_elsewhere_do_not_overflow() {
        let shape = Shape { shift: 63, digits: 20, buckets: u32::MAX };
        assert_eq!(shape.lower(u32::MAX as usize), u64::MAX);
        assert_eq!(shape.upper(1), u64::MAX);
        let huge = Histogram { shape: LATENCY, counts: vec![u64::MAX; LATENCY.buckets as usize] };
        assert_eq!(huge.total(), u64::MAX);
        assert!(huge.percentile(99, 100).is_some());
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_values_rounded_up_within_a_bucket(
            bits in prop::collection::vec((any::<u64>(), 0_u32..64), 1..200),
            part in 1_u64..=100,
        ) {
            // of every magnitude alike
            let mut values: Vec<u64> = bits.iter().map(|(value, bits)| value >> bits).collect();
            values.sort_unstable();
            let rank = (values.len() as u64 * part).div_ceil(100) as usize;
            let exact = values[rank - 1];
            for shape in [LATENCY, DEPTH] {
                let histogram = filled(shape, &values);
                prop_assert_eq!(histogram.total(), values.len() as u64);
                let found = histogram.percentile(part, 100).unwrap();
                let open = shape.lower(shape.buckets as usize - 1);
                if exact >= open {
                    prop_assert_eq!(found, open);
                } else {
                    prop_assert!(found >= exact);
                    prop_assert!(found - exact <= (exact >> shape.digits).max((1 << shape.shift) - 1));
                }
            }
        }

        #[test]
        fn merging_is_counting_all_together(
            one in prop::collection::vec(0_u64..1 << 40, 0..50),
            two in prop::collection::vec(0_u64..1 << 40, 0..50),
        ) {
            let mut sum = filled(LATENCY, &one);
            prop_assert!(sum.merge(&filled(LATENCY, &two)));
            prop_assert_eq!(sum, filled(LATENCY, &[one, two].concat()));
        }
    }
}
