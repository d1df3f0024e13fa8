//! Check values of data: libdeflate's, where it gives what zlib gives.

use zlib_rs::adler32 as engine;

use super::libdeflate;

/// Adler-32's modulus.
const BASE: u32 = 65_521;

/// CRC-32 of what has `value`, followed by `bytes`.
pub fn crc32(value: u32, bytes: &[u8]) -> u32 {
    libdeflate::crc32(value, bytes)
}

/// Adler-32 of what has `value`, followed by `bytes`.
pub fn adler32(value: u32, bytes: &[u8]) -> u32 {
    // A value that no data has is zlib's own affair.
    if value & 0xffff >= BASE || value >> 16 >= BASE {
        return engine::adler32(value, bytes);
    }
    libdeflate::adler32(value, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_engines_for_every_length_alignment_and_start() {
        let data: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        for start in [0, 1, 0x1234_5678, 0xfff0_fff0, 0xfff1_0000, 0x0000_fff5, u32::MAX] {
            for at in [0, 1, 3, 8] {
                for n in (0..300).chain([4095, 4096, 5552, 5553, 15_000]) {
                    let bytes = &data[at..at + n];
                    assert_eq!(
                        crc32(start, bytes),
                        zlib_rs::crc32::crc32(start, bytes),
                        "{start:x} {at} {n}"
                    );
                    assert_eq!(adler32(start, bytes), engine::adler32(start, bytes), "{start:x} {at} {n}");
                }
            }
        }
    }

    #[test]
    fn white_bytes_do_not_overflow() {
        let data = vec![0xff; 1 << 20];
        assert_eq!(adler32(0xfff0_fff0, &data), engine::adler32(0xfff0_fff0, &data));
    }
}
