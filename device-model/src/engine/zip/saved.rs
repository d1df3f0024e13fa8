//! The state of a stream between requests, kept in the context memory of the program.
//!
//! The device owns the first 0x97C0 bytes behind the context address (reference 7.2). The state proper lies at its
//! start, the history at 0xC00, where drivers presume it, and behind it the bits at hand (7.3). Memory of the program can
//! hold anything: what is read back is checked, and words that the driver has to carry are compared with what was
//! returned.

use super::checkvalue::Format;
use super::inflate::{Block, Inflater, Phase, WINDOW};
use super::options::CACHE;
use crate::engine::{Fault, Memory};

const HISTORY_AT: u64 = 0xC00;
const MARK: u32 = 0x5A1F_57A7;
const PACKED_MARK: u32 = 0x5A1F_C0DE;
/// Bytes of the fixed part, as written by `store`.
const SIZE: usize = 399 + CACHE;
const _: () = assert!(SIZE as u64 <= HISTORY_AT && HISTORY_AT + WINDOW as u64 + 8 <= 0x97C0);
/// Bytes of the fixed part of a compression.
const PACKED_SIZE: usize = 29;

const NO_STREAM: &str = "no stream was started, or it has ended";

/// Marks the context as holding no stream.
pub(super) fn erase(mem: &dyn Memory, addr: u64) -> Result<(), Fault> {
    mem.write(addr, &[0; 4])
}

/// A compression between two requests.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) format: Format,
    /// dw15, dw28, dw29, dw30 and dw31 as returned.
    pub(super) words: [u32; 5],
    pub(super) history: Vec<u8>,
}

impl Packed {
    /// Writes the state behind `addr`.
    pub(super) fn store(
        mem: &dyn Memory,
        addr: u64,
        format: Format,
        words: [u32; 5],
        history: &[u8],
    ) -> Result<(), Fault> {
        let mut out = Vec::with_capacity(PACKED_SIZE);
        out.extend(PACKED_MARK.to_le_bytes());
        out.push(format as u8);
        out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        out.extend((history.len() as u32).to_le_bytes());
        debug_assert_eq!(out.len(), PACKED_SIZE);
        mem.write(addr, &out)?;
        mem.write(addr.wrapping_add(HISTORY_AT), history)
    }

    /// Reads the state back; the inner error says why there is no stream there.
    pub(super) fn load(mem: &dyn Memory, addr: u64) -> Result<Result<Self, &'static str>, Fault> {
        let mut raw = [0u8; PACKED_SIZE];
        mem.read(addr, &mut raw)?;
        let mut at = Cursor(&raw);
        if at.number(4) as u32 != PACKED_MARK {
            return Ok(Err(NO_STREAM));
        }
        let Some(format) = at.format() else { return Ok(Err("unknown format")) };
        let words = std::array::from_fn(|_| at.number(4) as u32);
        let len = at.number(4) as usize;
        if len > WINDOW {
            return Ok(Err("lengths out of range"));
        }
        let mut history = vec![0; len];
        mem.read(addr.wrapping_add(HISTORY_AT), &mut history)?;
        Ok(Ok(Self { format, words, history }))
    }
}

/// A decompression between two requests.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) format: Format,
    pub(super) inflater: Inflater,
    /// Trailer bytes seen so far.
    pub(super) trailer: Vec<u8>,
    /// The next byte of input, if it was used already and then reported as unconsumed.
    pub(super) owed: Option<u8>,
    /// Input consumed and not decoded yet.
    pub(super) cache: Vec<u8>,
    /// dw15, dw28, dw29, dw30 and dw31 as returned.
    pub(super) words: [u32; 5],
    pub(super) history: Vec<u8>,
}

impl Saved {
    /// A stream without data.
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            inflater: Inflater::default(),
            trailer: Vec::new(),
            owed: None,
            cache: Vec::new(),
            words: [0; 5],
            history: Vec::new(),
        }
    }

    /// Writes the state behind `addr`; with `bits` also those at hand, where drivers look for them.
    pub(super) fn store(&self, mem: &dyn Memory, addr: u64, bits: bool) -> Result<(), Fault> {
        let (phase, a, b) = match self.inflater.phase {
            Phase::BlockStart => (0, 0, 0),
            Phase::Stored { left } => (1, left, 0),
            Phase::HeaderOrder { done } => (2, u16::from(done), 0),
            Phase::HeaderLengths { done } => (3, done, 0),
            Phase::Symbols => (4, 0, 0),
            Phase::Copy { length, distance } => (5, length, distance),
            Phase::Finished => (6, 0, 0),
        };
        let block = &self.inflater.block;
        let mut out = Vec::with_capacity(SIZE);
        out.extend(MARK.to_le_bytes());
        out.push(self.format as u8);
        out.push(phase);
        out.extend(a.to_le_bytes());
        out.extend(b.to_le_bytes());
        out.push(self.inflater.count as u8);
        out.extend(self.inflater.held.to_le_bytes());
        out.push(u8::from(block.last) | u8::from(block.dynamic) << 1);
        out.extend(block.literal_count.to_le_bytes());
        out.push(block.distance_count);
        out.push(block.order_count);
        out.extend(block.order_lengths);
        out.extend(block.lengths);
        out.push(self.trailer.len() as u8);
        out.extend(self.trailer.iter().chain(&[0; 8]).take(8));
        out.push(u8::from(self.owed.is_some()));
        out.push(self.owed.unwrap_or(0));
        out.push(self.cache.len() as u8);
        out.extend(self.cache.iter().chain(&[0; CACHE]).take(CACHE));
        out.extend(self.words.iter().flat_map(|w| w.to_le_bytes()));
        out.extend((self.history.len() as u32).to_le_bytes());
        debug_assert_eq!(out.len(), SIZE);
        mem.write(addr, &out)?;
        mem.write(addr.wrapping_add(HISTORY_AT), &self.history)?;
        if bits {
            let at = HISTORY_AT + self.history.len().next_multiple_of(16) as u64;
            mem.write(addr.wrapping_add(at), &self.inflater.held.to_le_bytes())?;
        }
        Ok(())
    }

    /// Reads the state back; the inner error says why there is no stream there.
    pub(super) fn load(mem: &dyn Memory, addr: u64) -> Result<Result<Self, &'static str>, Fault> {
        let mut raw = [0u8; SIZE];
        mem.read(addr, &mut raw)?;
        let mut at = Cursor(&raw);
        if at.number(4) as u32 != MARK {
            return Ok(Err(NO_STREAM));
        }
        let Some(format) = at.format() else { return Ok(Err("unknown format")) };
        let (phase, a, b) = (at.number(1), at.number(2) as u16, at.number(2) as u16);
        let phase = match phase {
            0 => Phase::BlockStart,
            1 => Phase::Stored { left: a },
            2 => Phase::HeaderOrder { done: a.min(255) as u8 },
            3 => Phase::HeaderLengths { done: a },
            4 => Phase::Symbols,
            5 => Phase::Copy { length: a, distance: b },
            6 => Phase::Finished,
            _ => return Ok(Err("unknown phase")),
        };
        let (count, held) = (at.number(1) as u32, at.number(8));
        let flags = at.number(1);
        let block = Block {
            last: flags & 1 != 0,
            dynamic: flags & 2 != 0,
            literal_count: at.number(2) as u16,
            distance_count: at.number(1) as u8,
            order_count: at.number(1) as u8,
            order_lengths: at.bytes(),
            lengths: at.bytes(),
        };
        let trailer_len = at.number(1) as usize;
        let trailer: [u8; 8] = at.bytes();
        let (is_owed, owed) = (at.number(1) != 0, at.number(1) as u8);
        let cache_len = at.number(1) as usize;
        let cache: [u8; CACHE] = at.bytes();
        let words = std::array::from_fn(|_| at.number(4) as u32);
        let history_len = at.number(4) as usize;
        // Only a stored block's own bytes are ever cached.
        let most = match phase {
            Phase::Stored { left } => CACHE.min(usize::from(left)),
            _ => 0,
        };
        if history_len > WINDOW || trailer_len > format.trailer_len() || cache_len > most {
            return Ok(Err("lengths out of range"));
        }
        let Some(inflater) = Inflater::restore(phase, held, count, block) else {
            return Ok(Err("inconsistent decoder state"));
        };
        let mut history = vec![0; history_len];
        mem.read(addr.wrapping_add(HISTORY_AT), &mut history)?;
        Ok(Ok(Self {
            format,
            inflater,
            trailer: trailer[..trailer_len].to_vec(),
            owed: is_owed.then_some(owed),
            cache: cache[..cache_len].to_vec(),
            words,
            history,
        }))
    }
}

/// Reads little-endian numbers from the front of a buffer of the right size.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn number(&mut self, width: usize) -> u64 {
        let (head, rest) = self.0.split_at(width);
        self.0 = rest;
        head.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn format(&mut self) -> Option<Format> {
        [Format::Raw, Format::Zlib, Format::Gzip]
            .into_iter()
            .find(|f| self.0.first() == Some(&(*f as u8)))
            .inspect(|_| {
                self.0 = &self.0[1..];
            })
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number(1) as u8)
    }
}
