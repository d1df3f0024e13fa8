//! Container formats: check values, their encoding in the descriptor, and trailers (reference sections 4 to 6).

/// What surrounds the deflate payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Raw,
    Zlib,
    Gzip,
}

impl Format {
    pub(super) fn trailer_len(self) -> usize {
        match self {
            Self::Raw => 0,
            Self::Zlib => 4,
            Self::Gzip => 8,
        }
    }
}

/// Running check value and uncompressed length (modulo 2^32) of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    format: Format,
    /// adler32 or crc32 in the usual form.
    sum: u32,
    pub(super) len: u32,
}

impl Tally {
    /// Nothing seen yet.
    pub(super) fn start(format: Format) -> Self {
        Self { format, sum: u32::from(format == Format::Zlib), len: 0 }
    }

    /// From the descriptor's checksum and isize words.
    pub(super) fn resume(format: Format, register: u32, len: u32) -> Self {
        let sum = match format {
            Format::Gzip => (!register).reverse_bits(),
            Format::Zlib => register,
            Format::Raw => 0,
        };
        Self { format, sum, len }
    }

    /// The descriptor's checksum word: adler32 as a number; for gzip the raw, non-reflected crc register.
    pub(super) fn register(&self) -> u32 {
        match self.format {
            Format::Gzip => !self.sum.reverse_bits(),
            Format::Zlib => self.sum,
            Format::Raw => 0,
        }
    }

    /// Takes in uncompressed bytes.
    pub(super) fn add(&mut self, data: &[u8]) {
        self.len = self.len.wrapping_add(data.len() as u32);
        match self.format {
            Format::Raw => {}
            Format::Zlib => {
                let mut sum = adler2::Adler32::from_checksum(self.sum);
                sum.write_slice(data);
                self.sum = sum.checksum();
            }
            Format::Gzip => {
                let mut sum = crc32fast::Hasher::new_with_initial(self.sum);
                sum.update(data);
                self.sum = sum.finalize();
            }
        }
    }

    /// The bytes behind the last block.
    pub(super) fn trailer(&self) -> Vec<u8> {
        match self.format {
            Format::Raw => Vec::new(),
            Format::Zlib => self.sum.to_be_bytes().to_vec(),
            Format::Gzip => [self.sum.to_le_bytes(), self.len.to_le_bytes()].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_register_is_the_unreflected_crc() {
        for (text, register) in [("", 0xFFFF_FFFFu32), ("a", 0x3D82_12E8), ("123456789", 0x9B63_D02C)] {
            let mut tally = Tally::start(Format::Gzip);
            tally.add(text.as_bytes());
            assert_eq!(tally.register(), register, "{text}");
            assert_eq!(Tally::resume(Format::Gzip, register, text.len() as u32), tally);
        }
    }

    #[test]
    fn trailers_are_big_endian_adler_and_little_endian_crc_and_length() {
        let mut zlib = Tally::start(Format::Zlib);
        assert_eq!(zlib.trailer(), [0, 0, 0, 1]);
        zlib.add(b"123456789");
        assert_eq!(zlib.trailer(), [0x09, 0x1E, 0x01, 0xDE]);
        let mut gzip = Tally::start(Format::Gzip);
        gzip.add(b"123456789");
        assert_eq!(gzip.trailer(), [0x26, 0x39, 0xF4, 0xCB, 9, 0, 0, 0]);
    }

    #[test]
    fn check_values_continue_across_requests() {
        for format in [Format::Zlib, Format::Gzip] {
            let mut whole = Tally::start(format);
            whole.add(b"hello, world");
            let mut first = Tally::start(format);
            first.add(b"hello");
            let mut second = Tally::resume(format, first.register(), first.len);
            second.add(b", world");
            assert_eq!(second, whole);
        }
    }
}
