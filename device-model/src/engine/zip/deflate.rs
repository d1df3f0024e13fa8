//! The compressor: LZ77 with hash chains of one depth and one step of lazy matching, then per block whichever of a
//! stored, a fixed or a dynamic block is shortest (RFC 1951). There are no levels, as in the device (reference 2.3).
//! Matches may reach into the data of earlier requests, which the caller hands over as history (section 8 leaves
//! that free).

use super::huffman;

const SHORTEST: usize = 3;
const LONGEST: usize = 258;
const HASH_BITS: u32 = 15;
const CHAIN: usize = 48;
const GOOD_ENOUGH: usize = 64;
/// Tokens in a block; bounds the cost of a badly fitting code.
const BLOCK_TOKENS: usize = 1 << 14;
const STORED_MOST: usize = 65_535;
const END: usize = 256;
const NONE: u32 = u32::MAX;

/// Bytes that `len` bytes take as stored blocks from a byte boundary.
pub(super) fn stored_len(len: usize, last: bool) -> usize {
    len + 5 * if last { len.div_ceil(STORED_MOST).max(1) } else { len.div_ceil(STORED_MOST) }
}

/// What is to be compressed: the stream's data so far (as much as is kept of it), then the new data from `start` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    pub(super) all: &'a [u8],
    pub(super) start: usize,
}

impl<'a> Input<'a> {
    #[cfg(test)]
    pub(super) fn alone(data: &'a [u8]) -> Self {
        Self { all: data, start: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len() - self.start
    }

    /// The first `len` bytes of the new data.
    pub(super) fn beginning(self, len: usize) -> Self {
        Self { all: &self.all[..self.start + len], ..self }
    }
}

/// Compresses `input` into blocks that begin and end on a byte boundary; the last one is marked final if `last`.
/// `window` is the largest distance of a match, in bytes. Never longer than [`stored_len`]; empty for no data if not
/// `last`.
pub(super) fn encode(input: Input<'_>, window: usize, last: bool) -> Vec<u8> {
    if input.len() == 0 && !last {
        return Vec::new();
    }
    let limit = stored_len(input.len(), last);
    let mut out = Bits::default();
    let mut matcher = Matcher::new(input, window);
    let mut tokens = Vec::with_capacity(BLOCK_TOKENS + 1);
    let mut from = input.start;
    loop {
        tokens.clear();
        matcher.fill(&mut tokens);
        let to = matcher.emitted();
        block(&mut out, &tokens, &input.all[from..to], last && to == input.all.len());
        from = to;
        if to == input.all.len() {
            break;
        }
    }
    if last {
        out.align();
    } else if out.count % 8 != 0 {
        stored(&mut out, &[], false);
    }
    if out.bytes.len() <= limit {
        return out.bytes;
    }
    let mut plain = Bits::default();
    stored(&mut plain, &input.all[input.start..], last);
    plain.bytes
}

/// Compresses as long a beginning of `input` as fits into `room` bytes, without a final block. Gives the number of
/// bytes used, which is 0 only if nothing can be encoded in `room`.
pub(super) fn encode_beginning(input: Input<'_>, window: usize, room: usize) -> (usize, Vec<u8>) {
    // 1032 is DEFLATE's greatest possible ratio: no longer beginning can fit.
    let mut take = input.len().min(room.saturating_mul(1032));
    let sure = room.saturating_sub(5).min(STORED_MOST);
    let mut attempt = 0;
    loop {
        let out = encode(input.beginning(take), window, false);
        // What is sure fits: this ends.
        if out.len() <= room {
            return (take, out);
        }
        take = shorter(take, room, out.len(), attempt).max(sure);
        attempt += 1;
    }
}

/// What to try after a beginning of `take` bytes has become `len`, more than `room`: as much as fits if the rest is like it,
/// and a little less, each time twice as little; so that few attempts do whatever the data is.
fn shorter(take: usize, room: usize, len: usize, attempt: u32) -> usize {
    let parts = 32 - (1 << attempt.min(4)) as u128;
    (take as u128 * room as u128 * parts / (32 * len as u128)) as usize
}

/// Writes bits, least significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits {
    #[inline]
    fn put(&mut self, value: u32, width: u32) {
        self.held |= u64::from(value) << self.count;
        self.count += width;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }
}

/// A literal (below 256) or a match, `1 << 31 | (length - 3) << 16 | (distance - 1)`.
#[derive(Clone, Copy)]
struct Token(u32);

impl Token {
    fn copy(length: usize, distance: usize) -> Self {
        Self(1 << 31 | ((length - SHORTEST) as u32) << 16 | (distance - 1) as u32)
    }

    /// (length symbol, extra bits, their width), (distance symbol, …) of a match.
    #[inline]
    fn parts(self) -> ((usize, u32, u32), (usize, u32, u32)) {
        let (length, distance) = (self.0 >> 16 & 0xFF, self.0 & 0xFFFF);
        let length = match length {
            255 => (285, 0, 0),
            0..8 => (257 + length as usize, 0, 0),
            _ => {
                let extra = length.ilog2() - 2;
                (257 + (4 * extra + (length >> extra)) as usize, length & ((1 << extra) - 1), extra)
            }
        };
        let distance = if distance < 4 {
            (distance as usize, 0, 0)
        } else {
            let extra = distance.ilog2() - 1;
            ((2 * extra + (distance >> extra)) as usize, distance & ((1 << extra) - 1), extra)
        };
        (length, distance)
    }
}

/// Finds matches for the new data, in it and in the history before it.
struct Matcher<'a> {
    data: &'a [u8],
    window: usize,
    head: Vec<u32>,
    before: Vec<u32>,
    /// Next position to enter into the chains, and next to emit a token for.
    entered: usize,
    at: usize,
}

impl<'a> Matcher<'a> {
    fn new(input: Input<'a>, window: usize) -> Self {
        let data = input.all;
        // A power of two not below the reach, so that a position's slot is a mask away.
        let before = vec![NONE; window.min(data.len()).max(1).next_power_of_two()];
        let entered = input.start.saturating_sub(window);
        Self { data, window, head: vec![NONE; 1 << HASH_BITS], before, entered, at: input.start }
    }

    fn emitted(&self) -> usize {
        self.at
    }

    /// Appends tokens until a block is full or the data ends.
    fn fill(&mut self, tokens: &mut Vec<Token>) {
        let mut found = self.longest(self.at);
        while tokens.len() < BLOCK_TOKENS && self.at < self.data.len() {
            let (length, distance) = found;
            if length < SHORTEST {
                tokens.push(Token(u32::from(self.data[self.at])));
                self.at += 1;
                found = self.longest(self.at);
                continue;
            }
            if length < GOOD_ENOUGH {
                let next = self.longest(self.at + 1);
                if next.0 > length {
                    tokens.push(Token(u32::from(self.data[self.at])));
                    self.at += 1;
                    found = next;
                    continue;
                }
            }
            tokens.push(Token::copy(length, distance));
            self.at += length;
            found = self.longest(self.at);
        }
    }

    fn hash(&self, at: usize) -> Option<usize> {
        let three = self.data.get(at..at + SHORTEST)?;
        let value = u32::from(three[0]) | u32::from(three[1]) << 8 | u32::from(three[2]) << 16;
        Some((value.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize)
    }

    /// Longest match at `at`, (0, 0) if none. Enters all positions before `at` first.
    fn longest(&mut self, at: usize) -> (usize, usize) {
        while self.entered < at {
            if let Some(hash) = self.hash(self.entered) {
                let slot = self.entered & (self.before.len() - 1);
                self.before[slot] = self.head[hash];
                self.head[hash] = self.entered as u32;
            }
            self.entered += 1;
        }
        let Some(hash) = self.hash(at) else { return (0, 0) };
        let most = (self.data.len() - at).min(LONGEST);
        let here = &self.data[at..at + most];
        let mut best = (0, 0);
        let mut candidate = self.head[hash];
        for _ in 0..CHAIN {
            if candidate == NONE || at - candidate as usize > self.window {
                break;
            }
            let there = candidate as usize;
            if best.0 == 0 || self.data[there + best.0] == here[best.0] {
                let length = common(here, &self.data[there..there + most]);
                if length >= SHORTEST && length > best.0 {
                    best = (length, at - there);
                    if length == most {
                        break;
                    }
                }
            }
            let older = self.before[there & (self.before.len() - 1)];
            if older == NONE || older >= candidate {
                break;
            }
            candidate = older;
        }
        best
    }
}

/// Number of equal bytes at the start of two slices of the same length.
#[inline]
fn common(a: &[u8], b: &[u8]) -> usize {
    let mut same = 0;
    for (x, y) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        let differ = u64::from_le_bytes(x.try_into().expect("eight bytes"))
            ^ u64::from_le_bytes(y.try_into().expect("eight bytes"));
        if differ != 0 {
            return same + differ.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    same + a[same..].iter().zip(&b[same..]).take_while(|(x, y)| x == y).count()
}

/// One block over `tokens`, which stand for `plain`, in the shortest of the three forms.
fn block(out: &mut Bits, tokens: &[Token], plain: &[u8], last: bool) {
    let mut literal_use = [0u32; 286];
    let mut distance_use = [0u32; 30];
    let mut extra_bits = 0u64;
    literal_use[END] = 1;
    for token in tokens {
        if token.0 < 256 {
            literal_use[token.0 as usize] += 1;
        } else {
            let (length, distance) = token.parts();
            literal_use[length.0] += 1;
            distance_use[distance.0] += 1;
            extra_bits += u64::from(length.2 + distance.2);
        }
    }
    let (fixed_literals, fixed_distances) = fixed_lengths();
    let literals = huffman::lengths(&literal_use, huffman::LONGEST);
    let distances = huffman::lengths(&distance_use, huffman::LONGEST);
    let header = Header::new(&literals, &distances);

    let cost = |uses: &[u32], lengths: &[u8]| -> u64 {
        uses.iter().zip(lengths).map(|(n, l)| u64::from(*n) * u64::from(*l)).sum()
    };
    let fixed_cost = cost(&literal_use, &fixed_literals) + cost(&distance_use, &fixed_distances) + extra_bits;
    let dynamic_cost =
        header.cost() + cost(&literal_use, &literals) + cost(&distance_use, &distances) + extra_bits;
    let stored_cost = 8 * (stored_len(plain.len(), true) as u64);
    if stored_cost < fixed_cost.min(dynamic_cost) {
        stored(out, plain, last);
    } else if fixed_cost <= dynamic_cost {
        out.put(u32::from(last) | 1 << 1, 3);
        body(out, tokens, &fixed_literals, &fixed_distances);
    } else {
        out.put(u32::from(last) | 2 << 1, 3);
        header.write(out);
        body(out, tokens, &literals, &distances);
    }
}

fn fixed_lengths() -> (Vec<u8>, Vec<u8>) {
    // 288 and 30 lengths; the codes of the unused symbols 286 and 287 take part in the numbering.
    let literals = (0..288)
        .map(|symbol| match symbol {
            0..144 => 8,
            144..256 => 9,
            256..280 => 7,
            _ => 8,
        })
        .collect();
    (literals, vec![5; 30])
}

fn body(out: &mut Bits, tokens: &[Token], literals: &[u8], distances: &[u8]) {
    let literal_codes = huffman::codes(literals);
    let distance_codes = huffman::codes(distances);
    for token in tokens {
        if token.0 < 256 {
            let symbol = token.0 as usize;
            out.put(u32::from(literal_codes[symbol]), u32::from(literals[symbol]));
            continue;
        }
        let (length, distance) = token.parts();
        out.put(u32::from(literal_codes[length.0]), u32::from(literals[length.0]));
        out.put(length.1, length.2);
        out.put(u32::from(distance_codes[distance.0]), u32::from(distances[distance.0]));
        out.put(distance.1, distance.2);
    }
    out.put(u32::from(literal_codes[END]), u32::from(literals[END]));
}

/// Stored blocks for `plain`, at least one.
fn stored(out: &mut Bits, plain: &[u8], last: bool) {
    let mut left = plain;
    loop {
        let (now, rest) = left.split_at(left.len().min(STORED_MOST));
        out.put(u32::from(last && rest.is_empty()), 3);
        out.align();
        out.put(now.len() as u32, 16);
        out.put(!now.len() as u32 & 0xFFFF, 16);
        out.bytes.extend_from_slice(now);
        left = rest;
        if left.is_empty() {
            return;
        }
    }
}

/// Order in which the lengths of the code-length code are written.
const HEADER_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The code description of a dynamic block.
struct Header {
    literal_count: usize,
    distance_count: usize,
    /// (symbol, extra value, width)
    runs: Vec<(usize, u32, u32)>,
    lengths: Vec<u8>,
    shown: usize,
}

impl Header {
    fn new(literals: &[u8], distances: &[u8]) -> Self {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|l| *l > 0).map_or(least, |p| (p + 1).max(least))
        };
        let (literal_count, distance_count) = (used(literals, 257), used(distances, 1));
        let all: Vec<u8> = [&literals[..literal_count], &distances[..distance_count]].concat();
        let mut runs = Vec::new();
        let mut at = 0;
        while at < all.len() {
            let value = all[at];
            let mut run = all[at..].iter().take_while(|l| **l == value).count();
            at += run;
            if value != 0 {
                runs.push((usize::from(value), 0, 0));
                run -= 1;
            }
            while run > 0 {
                let (symbol, width, base, most) = match (value, run) {
                    (0, 11..) => (18, 7, 11, 138),
                    (0, 3..) => (17, 3, 3, 10),
                    (_, 3..) => (16, 2, 3, 6),
                    _ => (usize::from(value), 0, 1, 1),
                };
                let now = run.min(most);
                runs.push((symbol, (now - base) as u32, width));
                run -= now;
            }
        }
        let mut uses = [0u32; 19];
        for (symbol, ..) in &runs {
            uses[*symbol] += 1;
        }
        let lengths = huffman::lengths(&uses, 7);
        let shown = HEADER_ORDER.iter().rposition(|s| lengths[*s] > 0).map_or(4, |p| (p + 1).max(4));
        Self { literal_count, distance_count, runs, lengths, shown }
    }

    fn cost(&self) -> u64 {
        let runs: u64 = self.runs.iter().map(|(s, _, w)| u64::from(self.lengths[*s]) + u64::from(*w)).sum();
        14 + 3 * self.shown as u64 + runs
    }

    fn write(&self, out: &mut Bits) {
        out.put((self.literal_count - 257) as u32, 5);
        out.put((self.distance_count - 1) as u32, 5);
        out.put((self.shown - 4) as u32, 4);
        for symbol in &HEADER_ORDER[..self.shown] {
            out.put(u32::from(self.lengths[*symbol]), 3);
        }
        let codes = huffman::codes(&self.lengths);
        for (symbol, extra, width) in &self.runs {
            out.put(u32::from(codes[*symbol]), u32::from(self.lengths[*symbol]));
            out.put(*extra, *width);
        }
    }
}

#[cfg(test)]
mod tests;
