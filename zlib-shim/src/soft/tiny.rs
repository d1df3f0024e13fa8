//! Deflate for a few dozen bytes, and for some more if they are all alike: one block with fixed codes, every earlier
//! position tried. Clearing the hash tables of any other engine costs more than that, and libdeflate would store such
//! inputs.

/// Most input, bytes.
pub const MAX: usize = 64;

/// Most output for [`MAX`] bytes of input: nine bits a byte, and the block's ends.
const ROOM: usize = (9 * MAX + 10).div_ceil(8);

/// Most input that is one byte repeated: above, codes made for it are worth their table.
const ALIKE_MAX: usize = 2048;

/// Shortest and longest match.
const SHORTEST: usize = 3;
const LONGEST: usize = 258;

/// Whether `input` is for this engine.
pub fn fits(input: &[u8]) -> bool {
    input.len() <= MAX || (input.len() <= ALIKE_MAX && input[1..] == input[..input.len() - 1])
}

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
        if length == LONGEST {
            self.symbol(285);
        } else {
            let (code, rest, further) = Bits::split(length - SHORTEST, 2);
            self.symbol(257 + code);
            self.put(rest, further);
        }
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

/// Compresses `input`, which [`fits`], into `output`: the length, or `None` if there is no room for it.
pub fn deflate(input: &[u8], output: &mut [u8]) -> Option<usize> {
    let mut bits = Bits { bytes: [0; ROOM], length: 0, held: 0, count: 0 };
    // final, fixed codes
    bits.put(0b011, 3);
    let mut at = 0;
    if input.len() > MAX {
        bits.symbol(input[0].into());
        at = 1;
        while input.len() - at >= SHORTEST {
            // nothing too short for a match is left over
            let length = match input.len() - at {
                left @ ..=LONGEST => left,
                left if left - LONGEST < SHORTEST => LONGEST - SHORTEST,
                _ => LONGEST,
            };
            bits.repeat(length, 1);
            at += length;
        }
    }
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

    #[test]
    fn bytes_that_are_all_alike_come_back_whatever_their_number() {
        for n in (MAX + 1..ALIKE_MAX).step_by(1).chain([ALIKE_MAX]) {
            let data = vec![0xfe; n];
            assert!(fits(&data));
            let (mut out, mut again) = ([0; ROOM], vec![0; n + 1]);
            let made = deflate(&data, &mut out).expect("room");
            let config = zlib_rs::InflateConfig { window_bits: -15 };
            let (got, code) = zlib_rs::decompress_slice(&mut again, &out[..made], config);
            assert_eq!((got.len(), code), (n, zlib_rs::ReturnCode::Ok));
            assert!(got == data);
        }
        let mut data = vec![0; 100];
        data[99] = 1;
        assert!(!fits(&data));
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
