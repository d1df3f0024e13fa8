//! Prefix codes of DEFLATE (RFC 1951, 3.2.2): lengths from frequencies, codes from lengths, decoding tables.

/// Longest code of the literal/length and distance alphabets.
pub(super) const LONGEST: usize = 15;

/// Code lengths (at most `limit`) for the given frequencies; at least two symbols get one, so that the code is
/// complete for every decoder. Flattens the frequencies until the tree is low enough.
pub(super) fn lengths(frequencies: &[u32], limit: usize) -> Vec<u8> {
    let mut weights = frequencies.to_vec();
    while weights.iter().filter(|w| **w > 0).count() < 2 {
        let free = weights.iter().position(|w| *w == 0).expect("an alphabet has two symbols");
        weights[free] = 1;
    }
    loop {
        let out = tree(&weights);
        if out.iter().all(|length| usize::from(*length) <= limit) {
            return out;
        }
        for weight in weights.iter_mut().filter(|w| **w > 0) {
            *weight = *weight / 2 + 1;
        }
    }
}

/// Depths of a Huffman tree, by the two-queue method over the sorted leaves.
fn tree(weights: &[u32]) -> Vec<u8> {
    let mut leaves: Vec<(u64, usize)> =
        weights.iter().enumerate().filter(|(_, w)| **w > 0).map(|(s, w)| (u64::from(*w), s)).collect();
    leaves.sort_unstable();
    // Nodes 0..n are the leaves in order, n.. the inner nodes in the order they are made (their weights rise).
    let n = leaves.len();
    let mut weight: Vec<u64> = leaves.iter().map(|(w, _)| *w).collect();
    let mut parent = vec![0usize; 2 * n - 1];
    let (mut leaf, mut inner) = (0, n);
    for made in n..2 * n - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            let pick = if leaf < n && (inner >= made || weight[leaf] <= weight[inner]) {
                leaf += 1;
                leaf - 1
            } else {
                inner += 1;
                inner - 1
            };
            parent[pick] = made;
            sum += weight[pick];
        }
        weight.push(sum);
    }
    let mut depth = vec![0u8; 2 * n - 1];
    for node in (0..2 * n - 2).rev() {
        depth[node] = depth[parent[node]].saturating_add(1);
    }
    let mut out = vec![0u8; weights.len()];
    for (index, (_, symbol)) in leaves.iter().enumerate() {
        out[*symbol] = depth[index];
    }
    out
}

/// Canonical codes for the lengths, bit-reversed so that they can be written least significant bit first.
pub(super) fn codes(lengths: &[u8]) -> Vec<u16> {
    let mut count = [0u16; LONGEST + 1];
    for length in lengths.iter().filter(|l| **l > 0) {
        count[usize::from(*length)] += 1;
    }
    let mut next = [0u16; LONGEST + 1];
    for length in 2..=LONGEST {
        next[length] = next[length - 1].wrapping_add(count[length - 1]) << 1;
    }
    lengths
        .iter()
        .map(|length| {
            let length = usize::from(*length);
            if length == 0 {
                return 0;
            }
            let code = next[length];
            next[length] = code.wrapping_add(1);
            code.reverse_bits() >> (16 - length)
        })
        .collect()
}

/// Number of bits that the first table looks at.
const FAST: usize = 10;

/// A decoding table: codes up to [`FAST`] bits by look-up, longer ones by counting.
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    /// symbol << 4 | length, 0 where the code is longer or does not exist.
    fast: Vec<u16>,
    count: [u16; LONGEST + 1],
    symbols: Vec<u16>,
}

/// What the bits at hand say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A symbol and the length of its code.
    Symbol(usize, u32),
    /// More bits are needed.
    More,
    /// No such code.
    Invalid,
}

impl Decoder {
    /// `None` if the lengths are over-subscribed, or leave codes unused (permitted only for a single code of one
    /// bit, or no code at all, as encoders do write for distances).
    pub(super) fn new(lengths: &[u8]) -> Option<Self> {
        let mut count = [0u16; LONGEST + 1];
        for length in lengths {
            *count.get_mut(usize::from(*length))? += 1;
        }
        count[0] = 0;
        let mut free = 1i32;
        for used in &count[1..] {
            free = free * 2 - i32::from(*used);
            if free < 0 {
                return None;
            }
        }
        if free > 0 && count[2..].iter().any(|c| *c > 0) {
            return None;
        }
        let mut start = [0u16; LONGEST + 2];
        for length in 1..=LONGEST {
            start[length + 1] = start[length] + count[length];
        }
        let mut symbols = vec![0u16; usize::from(start[LONGEST + 1])];
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, l)| **l > 0) {
            let slot = &mut start[usize::from(*length)];
            symbols[usize::from(*slot)] = symbol as u16;
            *slot += 1;
        }
        let mut fast = vec![0u16; 1 << FAST];
        for (symbol, (code, length)) in codes(lengths).iter().zip(lengths).enumerate() {
            let length = usize::from(*length);
            if (1..=FAST).contains(&length) {
                for entry in fast[usize::from(*code)..].iter_mut().step_by(1 << length) {
                    *entry = (symbol << 4 | length) as u16;
                }
            }
        }
        Some(Self { fast, count, symbols })
    }

    /// Looks for a symbol in the lowest `have` bits of `bits` (the rest must be 0).
    #[inline]
    pub(super) fn find(&self, bits: u64, have: u32) -> Found {
        let entry = self.fast[(bits & ((1 << FAST) - 1)) as usize];
        let length = u32::from(entry & 15);
        if length != 0 {
            return if length <= have { Found::Symbol(usize::from(entry >> 4), length) } else { Found::More };
        }
        let (mut code, mut first, mut index) = (0i32, 0i32, 0i32);
        for length in 1..=LONGEST {
            if length as u32 > have {
                return Found::More;
            }
            code |= (bits >> (length - 1) & 1) as i32;
            let count = i32::from(self.count[length]);
            if code - first < count {
                return Found::Symbol(
                    usize::from(self.symbols[(index + code - first) as usize]),
                    length as u32,
                );
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Found::Invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_standard_example() {
        // RFC 1951, 3.2.2: lengths 3,3,3,3,3,2,4,4 give 010,011,100,101,110,00,1110,1111.
        let codes = codes(&[3, 3, 3, 3, 3, 2, 4, 4]);
        assert_eq!(codes, [0b010, 0b110, 0b001, 0b101, 0b011, 0b00, 0b0111, 0b1111]);
    }

    #[test]
    fn lengths_obey_the_limit_and_fill_the_code_space() {
        // Fibonacci weights make the deepest tree there is.
        let mut weights = vec![1u32, 1];
        for i in 2..40 {
            weights.push(weights[i - 1].saturating_add(weights[i - 2]));
        }
        for limit in [7, 15] {
            let lengths = lengths(&weights, limit);
            assert!(lengths.iter().all(|l| (1..=limit).contains(&usize::from(*l))));
            let kraft: u32 = lengths.iter().map(|l| 1 << (LONGEST - usize::from(*l))).sum();
            assert_eq!(kraft, 1 << LONGEST);
        }
    }

    #[test]
    fn a_lonely_symbol_gets_a_partner() {
        assert_eq!(lengths(&[0, 0, 9, 0], 15), [1, 0, 1, 0]);
        assert_eq!(lengths(&[0, 0], 15), [1, 1]);
    }

    #[test]
    fn decoder_reads_back_every_code() {
        let weights: Vec<u32> = (0..286).map(|i| 1 << (i % 25)).collect();
        let lengths = lengths(&weights, LONGEST);
        let decoder = Decoder::new(&lengths).unwrap();
        for (symbol, code) in codes(&lengths).iter().enumerate() {
            let length = u32::from(lengths[symbol]);
            assert_eq!(decoder.find(u64::from(*code), length), Found::Symbol(symbol, length));
            assert_eq!(decoder.find(u64::from(*code) & ((1 << (length - 1)) - 1), length - 1), Found::More);
        }
    }

    #[test]
    fn impossible_length_sets_are_refused() {
        assert!(Decoder::new(&[1, 1, 1]).is_none(), "over-subscribed");
        assert!(Decoder::new(&[2, 2, 2]).is_none(), "incomplete");
        assert!(Decoder::new(&[0, 1]).is_some(), "one code of one bit");
        assert!(Decoder::new(&[0, 0]).is_some(), "no code");
        assert_eq!(Decoder::new(&[0, 0]).unwrap().find(0, 15), Found::Invalid);
    }
}
