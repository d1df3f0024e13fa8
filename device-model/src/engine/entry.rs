//! Access to a queue entry by byte offset, little-endian, as the hardware tables count.

use super::{Refusal, Rule};

/// A queue entry of any engine. Offsets come from the engines' own tables, so a wrong one is a bug here and panics
/// in the tests; the entry's length is checked once, in [`Entry::new`].
pub(crate) struct Entry<'a> {
    raw: &'a mut [u8],
}

impl<'a> Entry<'a> {
    /// Takes an entry of exactly `size` bytes.
    pub(crate) fn new(raw: &'a mut [u8], size: usize) -> Result<Self, Refusal> {
        if raw.len() == size {
            Ok(Self { raw })
        } else {
            Err(Rule::Size.broken(format!("entry of {} bytes where {size} are expected", raw.len())))
        }
    }

    pub(crate) fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.raw[at], self.raw[at + 1]])
    }

    pub(crate) fn word(&self, at: usize) -> u32 {
        u32::from(self.half(at)) | u32::from(self.half(at + 2)) << 16
    }

    /// 64 bits at any offset: the type 3 security descriptor has them at multiples of four.
    pub(crate) fn long(&self, at: usize) -> u64 {
        u64::from(self.word(at)) | u64::from(self.word(at + 4)) << 32
    }

    /// Bits `high..=low` of the word at `at`.
    pub(crate) fn bits(&self, at: usize, high: u32, low: u32) -> u32 {
        let width = high - low + 1;
        let mask = if width == 32 { u32::MAX } else { (1 << width) - 1 };
        self.word(at) >> low & mask
    }

    pub(crate) fn put_byte(&mut self, at: usize, value: u8) {
        self.raw[at] = value;
    }

    pub(crate) fn put_half(&mut self, at: usize, value: u16) {
        self.raw[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn put_word(&mut self, at: usize, value: u32) {
        self.raw[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn clear(&mut self, at: usize, len: usize) {
        self.raw[at..at + len].fill(0);
    }

    /// Refuses a non-zero field that every table marks as reserved or "written 0".
    pub(crate) fn must_be_zero(&self, at: usize, high: u32, low: u32, name: &str) -> Result<(), Refusal> {
        match self.bits(at, high, low) {
            0 => Ok(()),
            value => Err(Rule::Reserved
                .broken(format!("{name} (byte {at:#x}, bits {high}:{low}) is {value:#x}, must be 0"))),
        }
    }
}
