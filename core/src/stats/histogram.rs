//! Log-linear histograms: which bucket a value belongs to, what a bucket means, percentiles from counts.
//!
//! Values are divided by `2^shift`. Up to `2^digits` the quotient is its own bucket; above, each power of two is cut
//! into `2^digits` equal buckets, so a bucket is at most `2^-digits` of its values wide. The last bucket takes whatever
//! is beyond.

/// The shape of a histogram. A reader takes it from the file, so it may be anything.
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
            ((octave + 1) << self.digits) + (scaled >> octave) - (1 << self.digits)
        };
        let last = self.buckets as u64 - 1;
        if index < last { index as usize } else { last as usize }
    }

    /// The smallest value of bucket `index`; saturated where a file's shape goes beyond 64 bits.
    pub fn lower(self, index: usize) -> u64 {
        let index = index as u64;
        let (octave, digit) = (index >> self.digits, index & ((1 << self.digits) - 1));
        let (base, exponent) =
            if octave == 0 { (digit, 0) } else { (digit + (1 << self.digits), octave - 1) };
        let exponent = exponent + u64::from(self.shift);
        if base == 0 {
            0
        } else if exponent > u64::from(base.leading_zeros()) {
            u64::MAX
        } else {
            base << exponent
        }
    }

    /// The largest value of bucket `index`; for the open last one its smallest.
    pub fn upper(self, index: usize) -> u64 {
        if index + 1 >= self.buckets as usize { self.lower(index) } else { self.lower(index + 1) - 1 }
    }
}
