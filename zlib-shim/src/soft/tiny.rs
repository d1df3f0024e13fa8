//! Deflate for a few dozen bytes: one block with fixed codes, every earlier position tried. Clearing the hash tables of
//! any other engine costs more than that, and libdeflate would store such inputs.

/// Most input, bytes.
pub const MAX: usize = 64;

/// Most output for [`MAX`] bytes of input: nine bits a byte, and the block's ends.
const ROOM: usize = (9 * MAX + 10).div_ceil(8);

const SHORTEST: usize = 3;

/// Bits gathered into bytes, the lowest first.
struct Bits {
    bytes: [u8; ROOM],
    length: usize,
    held: u32,
    count: u32,
}

impl Bits {
    /// Appends the low `count` bits of `value`, at most 16.
    fn put(&mut self, value: usize, count: u32) {
        self.held |= (value as u32) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.flush_byte();
        }
    }

    fn flush_byte(&mut self) {
        self.bytes[self.length] = self.held as u8;
        self.length += 1;
        self.held >>= 8;
        self.count = self.count.saturating_sub(8);
    }

    /// Appends a Huffman code, whose highest bit comes first.
    fn code(&mut self, code: usize, count: u32) {
        self.put((code as u32).reverse_bits() as usize >> (32 - count), count);
    }

    /// A symbol of the literal and length alphabet (RFC 1951, 3.2.6).
    fn symbol(&mut self, symbol: usize) {
        match symbol {
            0..144 => self.code(0x30 + symbol, 8),
            144..256 => self.code(0x190 + symbol - 144, 9),
            256..280 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// A match (RFC 1951, 3.2.5): `above` is its length, less the shortest, or its distance less one; codes come in
    /// groups of `1 << log` for each number of further bits.
    fn split(above: usize, log: u32) -> (usize, usize, u32) {
        let further = (above >> (log + 1)).checked_ilog2().map_or(0, |n| n + 1);
        let code = ((further as usize) << log) + (above >> further);
        (code, above & ((1 << further) - 1), further)
    }

    fn repeat(&mut self, length: usize, distance: usize) {
        let (code, rest, further) = Bits::split(length - SHORTEST, 2);
        self.symbol(257 + code);
        self.put(rest, further);
        let (code, rest, further) = Bits::split(distance - 1, 1);
        self.code(code, 5);
        self.put(rest, further);
    }
}

/// The longest earlier occurrence of what follows `at`: length and distance, the nearest of equals.
fn longest(input: &[u8], at: usize) -> (usize, usize) {
    let mut best = (0, 0);
    for start in (0..at).rev() {
        let length = (at..input.len()).take_while(|&i| input[i] == input[start + i - at]).count();
        if length > best.0 {
            best = (length, at - start);
        }
    }
    best
}

/// Compresses `input`, at most [`MAX`] bytes, into `output`: the length, or `None` if it does not fit.
pub fn deflate(input: &[u8], output: &mut [u8]) -> Option<usize> {
    let input = input.get(..input.len().min(MAX))?;
    let mut bits = Bits { bytes: [0; ROOM], length: 0, held: 0, count: 0 };
    // final, fixed codes
    bits.put(0b011, 3);
    let mut at = 0;
    while at < input.len() {
        let (length, distance) = longest(input, at);
        // A longer match one byte on is worth a literal.
        if length >= SHORTEST && longest(input, at + 1).0 <= length {
            bits.repeat(length, distance);
            at += length;
        } else {
            bits.symbol(input[at].into());
            at += 1;
        }
    }
    bits.symbol(256);
    if bits.count > 0 {
        bits.flush_byte();
    }
    output.get_mut(..bits.length)?.copy_from_slice(&bits.bytes[..bits.length]);
    Some(bits.length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(packed: &[u8]) -> Vec<u8> {
        let mut out = vec![0; MAX + 1];
        let config = zlib_rs::InflateConfig { window_bits: -15 };
        let (made, code) = zlib_rs::decompress_slice(&mut out, packed, config);
        assert_eq!(code, zlib_rs::ReturnCode::Ok);
        made.to_vec()
    }

    #[test]
    fn nothing_is_an_empty_block_and_runs_are_short() {
        let mut out = [0; ROOM];
        assert_eq!(deflate(&[], &mut out), Some(2));
        assert_eq!(out[..2], [3, 0]);
        let made = deflate(&[7; MAX], &mut out).expect("room");
        assert_eq!(back(&out[..made]), [7; MAX]);
        assert!(made <= 5, "{made}");
        assert_eq!(deflate(&[7; MAX], &mut out[..3]), None);
    }

    #[test]
    fn every_length_and_distance_code_comes_back() {
        for distance in 1..MAX - SHORTEST {
            for length in SHORTEST..=MAX - distance {
                let mut data: Vec<u8> = (0..distance as u8).map(|i| i.wrapping_mul(37) | 1).collect();
                data.extend((0..length).map(|i| data[i % distance]).collect::<Vec<u8>>());
                let mut out = [0; ROOM];
                let made = deflate(&data, &mut out).expect("room");
                assert_eq!(back(&out[..made]), data, "{length} from {distance}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_within_nine_bits_each(data in prop::collection::vec(0u8..=255, 0..=MAX)) {
            let mut out = [0; ROOM];
            let made = deflate(&data, &mut out).expect("room");
            prop_assert!(made <= (9 * data.len() + 10).div_ceil(8));
            prop_assert_eq!(back(&out[..made]), data);
        }

        #[test]
        fn repetitive_bytes_come_back(data in prop::collection::vec(0u8..3, 0..=MAX)) {
            let mut out = [0; ROOM];
            let made = deflate(&data, &mut out).expect("room");
            prop_assert_eq!(back(&out[..made]), data);
        }
    }
}
