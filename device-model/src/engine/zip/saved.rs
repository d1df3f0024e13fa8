//! The state of a decompression stream between requests, kept in the context memory of the program.
//!
//! The device owns the first 0x97C0 bytes behind the context address (reference 7.2). The state proper lies at its
//! start, the history at 0xC00, where drivers presume it. Memory of the program can hold anything: what is read
//! back is checked, and words that the driver has to carry are compared with what was returned.

use super::checkvalue::Format;
use super::inflate::{Block, Inflater, Phase, WINDOW};
use crate::engine::{Fault, Memory};

const HISTORY_AT: u64 = 0xC00;
const MARK: u32 = 0x5A1F_57A7;
/// Bytes of the fixed part, as written by `store`.
const SIZE: usize = 396;
const _: () = assert!(SIZE as u64 <= HISTORY_AT && HISTORY_AT + WINDOW as u64 <= 0x97C0);

/// A stream between two requests.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) format: Format,
    pub(super) inflater: Inflater,
    /// Trailer bytes seen so far.
    pub(super) trailer: Vec<u8>,
    /// dw15, dw28, dw29, dw30 and dw31 as returned.
    pub(super) words: [u32; 5],
    pub(super) history: Vec<u8>,
}

impl Saved {
    /// Writes the state behind `addr`.
    pub(super) fn store(&self, mem: &dyn Memory, addr: u64) -> Result<(), Fault> {
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
        out.extend(self.words.iter().flat_map(|w| w.to_le_bytes()));
        out.extend((self.history.len() as u32).to_le_bytes());
        debug_assert_eq!(out.len(), SIZE);
        mem.write(addr, &out)?;
        mem.write(addr.wrapping_add(HISTORY_AT), &self.history)
    }

    /// Reads the state back; the inner error says why there is no stream there.
    pub(super) fn load(mem: &dyn Memory, addr: u64) -> Result<Result<Self, &'static str>, Fault> {
        let mut raw = [0u8; SIZE];
        mem.read(addr, &mut raw)?;
        let mut at = Cursor(&raw);
        if at.number(4) as u32 != MARK {
            return Ok(Err("no stream was started, or it has ended"));
        }
        let format = match at.number(1) {
            0 => Format::Raw,
            1 => Format::Zlib,
            2 => Format::Gzip,
            _ => return Ok(Err("unknown format")),
        };
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
        let words = std::array::from_fn(|_| at.number(4) as u32);
        let history_len = at.number(4) as usize;
        if history_len > WINDOW || trailer_len > format.trailer_len() {
            return Ok(Err("lengths out of range"));
        }
        let Some(inflater) = Inflater::restore(phase, held, count, block) else {
            return Ok(Err("inconsistent decoder state"));
        };
        let mut history = vec![0; history_len];
        mem.read(addr.wrapping_add(HISTORY_AT), &mut history)?;
        Ok(Ok(Self { format, inflater, trailer: trailer[..trailer_len].to_vec(), words, history }))
    }

    /// Marks the context as holding no stream.
    pub(super) fn erase(mem: &dyn Memory, addr: u64) -> Result<(), Fault> {
        mem.write(addr, &[0; 4])
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

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number(1) as u8)
    }
}
