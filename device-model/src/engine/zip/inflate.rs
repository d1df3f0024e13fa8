//! The decompressor: a DEFLATE decoder that can stop at any input byte and at any output byte.
//!
//! Its unit of work is one element (a block header, a code length, a literal, a whole match). Input bytes are taken
//! one at a time until the element is complete, so that never more than the bytes of an incomplete element, or of one
//! that waits for output space, are held; behind the final block nothing is. A faster loop takes more
//! while input and output are ample and gives the surplus back.
//!
//! (Over 500 lines: the exact and the fast loop are one state machine, to be read side by side.)

use super::huffman::{Decoder, Found};
use std::sync::{Arc, LazyLock};

/// History that a distance may reach into, bytes.
pub(super) const WINDOW: usize = 32 * 1024;

/// Uncompressed data: the history of the stream, then what this request adds.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    history: usize,
    /// Greatest length of `bytes`.
    limit: usize,
}

impl Output {
    /// Room for `space` bytes behind `history`.
    pub(super) fn new(history: Vec<u8>, space: usize) -> Self {
        let old = history.len();
        Self { bytes: history, history: old, limit: old.saturating_add(space) }
    }

    /// The new bytes.
    pub(super) fn fresh(&self) -> &[u8] {
        &self.bytes[self.history..]
    }

    /// The last bytes, as history for the next request.
    pub(super) fn tail(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(WINDOW)..]
    }

    fn space(&self) -> usize {
        self.limit - self.bytes.len()
    }

    /// Copies `length` bytes from `distance` back; the caller has checked both.
    fn repeat(&mut self, length: usize, distance: usize) {
        let from = self.bytes.len() - distance;
        if distance >= length {
            self.bytes.extend_from_within(from..from + length);
        } else {
            self.bytes.reserve(length);
            for at in from..from + length {
                self.bytes.push(self.bytes[at]);
            }
        }
    }
}

/// Where the decoder stands between two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    BlockStart,
    Stored { left: u16 },
    HeaderOrder { done: u8 },
    HeaderLengths { done: u16 },
    Symbols,
    Copy { length: u16, distance: u16 },
    Finished,
}

/// Why [`Inflater::run`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// All input is used and more is needed.
    Input,
    /// An element waits for output space.
    Space,
    /// The final block is complete.
    End,
}

/// The data is not a deflate stream; says what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Everything about the block at hand that must survive between requests, apart from the codes built from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) last: bool,
    /// Dynamic codes; otherwise the fixed ones.
    pub(super) dynamic: bool,
    pub(super) literal_count: u16,
    pub(super) distance_count: u8,
    pub(super) order_count: u8,
    pub(super) order_lengths: [u8; 19],
    pub(super) lengths: [u8; 320],
}

/// A deflate stream in the course of decoding.
#[derive(Clone, Debug)]
pub(super) struct Inflater {
    pub(super) phase: Phase,
    pub(super) held: u64,
    pub(super) count: u32,
    pub(super) block: Block,
    order: Option<Decoder>,
    codes: Option<Arc<(Decoder, Decoder)>>,
}

const ORDER: [u8; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LENGTH_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];
const LENGTH_EXTRA: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
    4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

/// An element of a block with codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Literal(u8),
    Match { length: u16, distance: u16 },
    EndOfBlock,
}

/// The header of a block.
#[derive(Clone, Copy, Debug)]
struct Head {
    last: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Stored(u16),
    Fixed,
    Dynamic { literals: u16, distances: u8, order: u8 },
}

/// Result of looking for an element in the bits at hand: the element and its width, or `None` for "more bits".
type Look<T> = Result<Option<(T, u32)>, Malformed>;

impl Default for Inflater {
    fn default() -> Self {
        Self {
            phase: Phase::BlockStart,
            held: 0,
            count: 0,
            block: Block::default(),
            order: None,
            codes: None,
        }
    }
}

impl Default for Block {
    fn default() -> Self {
        Self {
            last: false,
            dynamic: false,
            literal_count: 0,
            distance_count: 0,
            order_count: 0,
            order_lengths: [0; 19],
            lengths: [0; 320],
        }
    }
}

impl Inflater {
    /// From saved state; `None` if no decoder can be in that state.
    pub(super) fn restore(phase: Phase, held: u64, count: u32, block: Block) -> Option<Self> {
        if count >= 64 || held >> count != 0 {
            return None;
        }
        let mut out = Self { phase, held, count, block, order: None, codes: None };
        let fits = out.block.literal_count <= 286
            && out.block.distance_count <= 30
            && out.block.order_count <= 19
            && out.block.order_lengths.iter().all(|l| *l <= 7);
        if !fits {
            return None;
        }
        let built = match phase {
            Phase::BlockStart | Phase::Stored { .. } | Phase::Finished => Ok(()),
            Phase::HeaderOrder { done } => (done < out.block.order_count).then_some(()).ok_or(Malformed("")),
            Phase::HeaderLengths { done } if done < 316 => out.build_order(),
            Phase::HeaderLengths { .. } => return None,
            Phase::Symbols => out.build_codes(),
            Phase::Copy { length, distance } => {
                if length == 0 || length > 258 || distance == 0 || usize::from(distance) > WINDOW {
                    return None;
                }
                out.build_codes()
            }
        };
        built.ok().map(|()| out)
    }

    /// Whether the next element is a block's header, of which some bits are at hand.
    pub(super) fn between_blocks(&self) -> bool {
        self.phase == Phase::BlockStart && self.count > 0
    }

    /// Decodes from the front of `input`, which is advanced, to `out`.
    pub(super) fn run(&mut self, input: &mut &[u8], out: &mut Output) -> Result<Stop, Malformed> {
        loop {
            if matches!(self.phase, Phase::Symbols) {
                self.run_fast(input, out)?;
            }
            match self.step(input, out)? {
                Some(stop) => return Ok(stop),
                None => continue,
            }
        }
    }

    /// One element, or the reason why there is none.
    fn step(&mut self, input: &mut &[u8], out: &mut Output) -> Result<Option<Stop>, Malformed> {
        match self.phase {
            Phase::Finished => return Ok(Some(Stop::End)),
            Phase::Copy { length, distance } => {
                if usize::from(distance) > out.bytes.len().min(WINDOW) {
                    return Err(Malformed("distance reaches before the beginning"));
                }
                let now = usize::from(length).min(out.space());
                out.repeat(now, usize::from(distance));
                let left = length - now as u16;
                if left > 0 {
                    self.phase = Phase::Copy { length: left, distance };
                    return Ok(Some(Stop::Space));
                }
                self.phase = Phase::Symbols;
            }
            Phase::Stored { left: 0 } => self.end_of_block()?,
            Phase::Stored { left } => {
                if input.is_empty() {
                    return Ok(Some(Stop::Input));
                }
                let now = usize::from(left).min(input.len()).min(out.space());
                if now == 0 {
                    return Ok(Some(Stop::Space));
                }
                let (head, rest) = input.split_at(now);
                out.bytes.extend_from_slice(head);
                *input = rest;
                self.phase = Phase::Stored { left: left - now as u16 };
            }
            Phase::BlockStart => match self.look(input, Self::look_block)? {
                Some((head, width)) => {
                    self.drop_bits(width);
                    self.start_block(head)?;
                }
                None => return Ok(Some(Stop::Input)),
            },
            Phase::HeaderOrder { done } => match self.look(input, |d| Ok(d.low_bits(3).map(|v| (v, 3))))? {
                Some((value, width)) => {
                    self.drop_bits(width);
                    self.block.order_lengths[usize::from(ORDER[usize::from(done)])] = value as u8;
                    self.phase = Phase::HeaderOrder { done: done + 1 };
                    if done + 1 == self.block.order_count {
                        self.build_order()?;
                        self.phase = Phase::HeaderLengths { done: 0 };
                    }
                }
                None => return Ok(Some(Stop::Input)),
            },
            Phase::HeaderLengths { done } => match self.look(input, |d| d.look_lengths(done))? {
                Some(((value, times), width)) => {
                    self.drop_bits(width);
                    let next = done + times;
                    let total = self.block.literal_count + u16::from(self.block.distance_count);
                    if next > total {
                        return Err(Malformed("too many code lengths"));
                    }
                    self.block.lengths[usize::from(done)..usize::from(next)].fill(value);
                    self.phase = Phase::HeaderLengths { done: next };
                    if next == total {
                        self.build_codes()?;
                        self.phase = Phase::Symbols;
                    }
                }
                None => return Ok(Some(Stop::Input)),
            },
            Phase::Symbols => match self.look(input, Self::look_element)? {
                Some((Element::EndOfBlock, width)) => {
                    self.drop_bits(width);
                    self.end_of_block()?;
                }
                Some((element, width)) => {
                    if out.space() == 0 {
                        return Ok(Some(Stop::Space));
                    }
                    self.drop_bits(width);
                    match element {
                        Element::Literal(byte) => out.bytes.push(byte),
                        Element::Match { length, distance } => self.phase = Phase::Copy { length, distance },
                        Element::EndOfBlock => {}
                    }
                }
                None => return Ok(Some(Stop::Input)),
            },
        }
        Ok(None)
    }

    fn end_of_block(&mut self) -> Result<(), Malformed> {
        if self.block.last {
            self.drop_bits(self.count % 8);
            if self.count != 0 {
                return Err(Malformed("held input behind the final block"));
            }
            self.phase = Phase::Finished;
        } else {
            self.phase = Phase::BlockStart;
        }
        Ok(())
    }

    /// Literals and matches while at least 8 bytes of input and a longest match of space are at hand.
    fn run_fast(&mut self, input: &mut &[u8], out: &mut Output) -> Result<(), Malformed> {
        let all = *input;
        let mut used = 0;
        let mut result = Ok(());
        while all.len() - used >= 8 && out.space() >= 258 {
            while self.count <= 56 {
                self.held |= u64::from(all[used]) << self.count;
                self.count += 8;
                used += 1;
            }
            match self.look_element() {
                Ok(Some((Element::Literal(byte), width))) => {
                    self.drop_bits(width);
                    out.bytes.push(byte);
                }
                Ok(Some((Element::Match { length, distance }, width))) => {
                    if usize::from(distance) > out.bytes.len().min(WINDOW) {
                        result = Err(Malformed("distance reaches before the beginning"));
                        break;
                    }
                    self.drop_bits(width);
                    out.repeat(usize::from(length), usize::from(distance));
                }
                Ok(Some((Element::EndOfBlock, _)) | None) => break,
                Err(malformed) => {
                    result = Err(malformed);
                    break;
                }
            }
        }
        // What was taken too much goes back, but never bytes of an earlier request.
        let surplus = (self.count as usize / 8).min(used);
        self.count -= 8 * surplus as u32;
        self.held &= (1u64 << self.count) - 1;
        *input = &all[used - surplus..];
        result
    }

    /// Looks for an element, taking single input bytes until it is there; `None` if the input ends first.
    fn look<T>(&mut self, input: &mut &[u8], find: impl Fn(&Self) -> Look<T>) -> Look<T> {
        loop {
            if let Some(found) = find(self)? {
                return Ok(Some(found));
            }
            let Some((byte, rest)) = input.split_first() else { return Ok(None) };
            self.held |= u64::from(*byte) << self.count;
            self.count += 8;
            *input = rest;
        }
    }

    fn drop_bits(&mut self, width: u32) {
        self.held >>= width;
        self.count -= width;
    }

    fn low_bits(&self, width: u32) -> Option<u32> {
        (self.count >= width).then(|| (self.held & ((1 << width) - 1)) as u32)
    }

    fn look_block(&self) -> Look<Head> {
        let Some(head) = self.low_bits(3) else { return Ok(None) };
        let last = head & 1 == 1;
        match head >> 1 {
            0 => {
                // Held bits end at a byte boundary of the input, so these are the ones before it.
                let skip = 3 + (self.count - 3) % 8;
                if self.count < skip + 32 {
                    return Ok(None);
                }
                let length = (self.held >> skip & 0xFFFF) as u16;
                if length != !((self.held >> (skip + 16)) as u16) {
                    return Err(Malformed("stored block length does not match its complement"));
                }
                Ok(Some((Head { last, kind: Kind::Stored(length) }, skip + 32)))
            }
            1 => Ok(Some((Head { last, kind: Kind::Fixed }, 3))),
            2 => {
                let Some(head) = self.low_bits(17) else { return Ok(None) };
                let (literals, distances, order) =
                    (257 + (head >> 3 & 31), 1 + (head >> 8 & 31), 4 + (head >> 13));
                if literals > 286 || distances > 30 {
                    return Err(Malformed("too many length or distance symbols"));
                }
                let kind = Kind::Dynamic {
                    literals: literals as u16,
                    distances: distances as u8,
                    order: order as u8,
                };
                Ok(Some((Head { last, kind }, 17)))
            }
            _ => Err(Malformed("block type 3")),
        }
    }

    fn start_block(&mut self, head: Head) -> Result<(), Malformed> {
        self.block = Block { last: head.last, ..Block::default() };
        self.phase = match head.kind {
            Kind::Stored(left) => {
                if self.count != 0 {
                    return Err(Malformed("held input before a stored block"));
                }
                Phase::Stored { left }
            }
            Kind::Fixed => {
                self.build_codes()?;
                Phase::Symbols
            }
            Kind::Dynamic { literals, distances, order } => {
                self.block.dynamic = true;
                self.block.literal_count = literals;
                self.block.distance_count = distances;
                self.block.order_count = order;
                Phase::HeaderOrder { done: 0 }
            }
        };
        Ok(())
    }

    /// A run of equal code lengths: (length, how many).
    fn look_lengths(&self, done: u16) -> Look<(u8, u16)> {
        let order = self.order.as_ref().ok_or(Malformed("no code-length code"))?;
        let (symbol, width) = match order.find(self.held, self.count) {
            Found::Symbol(symbol, width) => (symbol, width),
            Found::More => return Ok(None),
            Found::Invalid => return Err(Malformed("invalid code-length code")),
        };
        let (base, extra) = match symbol {
            16 => (3, 2),
            17 => (3, 3),
            18 => (11, 7),
            length => return Ok(Some(((length as u8, 1), width))),
        };
        if self.count < width + extra {
            return Ok(None);
        }
        let times = base + (self.held >> width & ((1 << extra) - 1)) as u16;
        let value = match (symbol, done) {
            (16, 0) => return Err(Malformed("repeat of no code length")),
            (16, _) => self.block.lengths[usize::from(done) - 1],
            _ => 0,
        };
        Ok(Some(((value, times), width + extra)))
    }

    #[inline]
    fn look_element(&self) -> Look<Element> {
        let (literals, distances) = &**self.codes.as_ref().ok_or(Malformed("no codes"))?;
        let (symbol, mut width) = match literals.find(self.held, self.count) {
            Found::Symbol(symbol, width) => (symbol, width),
            Found::More => return Ok(None),
            Found::Invalid => return Err(Malformed("invalid literal or length code")),
        };
        let index = match symbol {
            0..256 => return Ok(Some((Element::Literal(symbol as u8), width))),
            256 => return Ok(Some((Element::EndOfBlock, width))),
            257..286 => symbol - 257,
            _ => return Err(Malformed("invalid length symbol")),
        };
        let extra = u32::from(LENGTH_EXTRA[index]);
        if self.count < width + extra {
            return Ok(None);
        }
        let length = LENGTH_BASE[index] + (self.held >> width & ((1 << extra) - 1)) as u16;
        width += extra;
        let (index, code) = match distances.find(self.held >> width, self.count - width) {
            Found::Symbol(symbol, code) if symbol < 30 => (symbol, code),
            Found::More => return Ok(None),
            _ => return Err(Malformed("invalid distance code")),
        };
        width += code;
        let extra = u32::from(DISTANCE_EXTRA[index]);
        if self.count < width + extra {
            return Ok(None);
        }
        let distance = DISTANCE_BASE[index] + (self.held >> width & ((1 << extra) - 1)) as u16;
        Ok(Some((Element::Match { length, distance }, width + extra)))
    }

    fn build_order(&mut self) -> Result<(), Malformed> {
        let space: u32 =
            self.block.order_lengths.iter().filter(|l| **l > 0).map(|l| 1 << (7 - (*l).min(7))).sum();
        let order = Decoder::new(&self.block.order_lengths).filter(|_| space == 1 << 7);
        self.order = Some(order.ok_or(Malformed("code-length code is not complete"))?);
        Ok(())
    }

    fn build_codes(&mut self) -> Result<(), Malformed> {
        if !self.block.dynamic {
            self.codes = Some(FIXED.clone());
            return Ok(());
        }
        let split = usize::from(self.block.literal_count);
        let all = &self.block.lengths[..split + usize::from(self.block.distance_count)];
        if all.get(256).is_none_or(|length| *length == 0) {
            return Err(Malformed("no code for the end of the block"));
        }
        let literals = Decoder::new(&all[..split]);
        let literals = literals.ok_or(Malformed("literal code is over-subscribed or incomplete"))?;
        let distances = Decoder::new(&all[split..]);
        let distances = distances.ok_or(Malformed("distance code is over-subscribed or incomplete"))?;
        self.codes = Some(Arc::new((literals, distances)));
        Ok(())
    }
}

/// The codes of fixed blocks, made once: such a block can be as short as ten bits, and a request holds millions.
static FIXED: LazyLock<Arc<(Decoder, Decoder)>> = LazyLock::new(|| {
    let literals: Vec<u8> = [(8, 144), (9, 112), (7, 24), (8, 8)]
        .iter()
        .flat_map(|(length, times)| std::iter::repeat_n(*length, *times))
        .collect();
    let decoder = |lengths: &[u8]| Decoder::new(lengths).expect("the standard's codes are complete");
    Arc::new((decoder(&literals), decoder(&[5; 32])))
});

#[cfg(test)]
mod tests;
