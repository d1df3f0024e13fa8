//! Check values: Adler-32 and CRC-32, by container.

use warpdrive_core::engine::zip::Format;
use zlib_rs::adler32::adler32_combine;
use zlib_rs::crc32::crc32_combine;

use crate::soft::sums::{adler32, crc32};

/// Running check value of one container format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    format: Format,
    value: u32,
}

impl Check {
    /// Check value of no data.
    pub const fn new(format: Format) -> Self {
        Check { format, value: if matches!(format, Format::Zlib) { 1 } else { 0 } }
    }

    /// The value: Adler-32, CRC-32, or 0 for raw streams.
    pub const fn value(self) -> u32 {
        self.value
    }

    /// Takes `bytes` in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.value = match self.format {
            Format::Raw => 0,
            Format::Zlib => adler32(self.value, bytes),
            Format::Gzip => crc32(self.value, bytes),
        };
    }

    /// The check value of this data followed by `length` bytes whose own value is `value`.
    pub fn followed_by(self, value: u32, length: u64) -> Self {
        let value = match self.format {
            Format::Raw => 0,
            Format::Zlib => adler32_combine(self.value, value, length),
            Format::Gzip => crc32_combine(self.value, value, length),
        };
        Check { value, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_values_equal_the_value_of_the_whole() {
        let data: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for format in [Format::Zlib, Format::Gzip, Format::Raw] {
            for cut in [0, 1, 5551, 65_521, 99_999, 100_000] {
                let (mut whole, mut head, mut tail) =
                    (Check::new(format), Check::new(format), Check::new(format));
                whole.update(&data);
                head.update(&data[..cut]);
                tail.update(&data[cut..]);
                assert_eq!(
                    head.followed_by(tail.value(), (data.len() - cut) as u64),
                    whole,
                    "{format:?} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn known_values() {
        let of = |format, data: &[u8]| {
            let mut check = Check::new(format);
            check.update(data);
            check.value()
        };
        assert_eq!(of(Format::Gzip, b"123456789"), 0xCBF4_3926);
        assert_eq!(of(Format::Zlib, b"123456789"), 0x091E_01DE);
        assert_eq!(of(Format::Zlib, b""), 1);
    }
}
