//! Queue memory as 64-bit words that the program and the device both write.

use crate::device::{Kind, RingMemory};
use crate::engine::Fault;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a completion entry (`qm.md` 5.1).
const CQE: usize = 16;

/// Memory of whoever opens a queue, as words; a region of a driver under study can be one.
pub trait Words {
    /// How many there are.
    fn count(&self) -> usize;
    /// The word of this index, below [`Words::count`].
    fn word(&self, index: usize) -> &AtomicU64;
}

impl<T: AsRef<[AtomicU64]>> Words for T {
    fn count(&self) -> usize {
        self.as_ref().len()
    }
    fn word(&self, index: usize) -> &AtomicU64 {
        &self.as_ref()[index]
    }
}

/// The rings of one queue in such memory: layout of `qm.md` 3.
pub(super) struct WordRings {
    words: Box<dyn Words>,
    sqe_words: usize,
    depth: u16,
    number: u16,
}

impl WordRings {
    /// `None` if the memory is too short for the rings and the status words behind them.
    pub(super) fn new(words: Box<dyn Words>, kind: Kind, depth: u16, number: u16) -> Option<WordRings> {
        let sqe_words = kind.sqe_size() / 8;
        let least = usize::from(depth) * (sqe_words + CQE / 8) + 1;
        (words.count() >= least).then_some(WordRings { words, sqe_words, depth, number })
    }

    /// As at START_Q: completion ring and status words zero.
    pub(super) fn clear(&self) {
        for index in usize::from(self.depth) * self.sqe_words..self.words.count() {
            self.words.word(index).store(0, Ordering::Release);
        }
    }

    fn status(&self) -> &AtomicU64 {
        self.words.word(self.words.count() - 1)
    }
}

impl RingMemory for WordRings {
    fn read_sqe(&self, slot: u16, sqe: &mut [u8]) -> Result<(), Fault> {
        let first = usize::from(slot) * self.sqe_words;
        for (index, bytes) in sqe.chunks_exact_mut(8).enumerate() {
            bytes.copy_from_slice(&self.words.word(first + index).load(Ordering::Acquire).to_le_bytes());
        }
        Ok(())
    }

    fn write_sqe(&self, slot: u16, sqe: &[u8]) -> Result<(), Fault> {
        let first = usize::from(slot) * self.sqe_words;
        for (index, bytes) in sqe.chunks_exact(8).enumerate() {
            let word = bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            self.words.word(first + index).store(word, Ordering::Release);
        }
        Ok(())
    }

    fn write_cqe(&self, index: u16, phase: bool, slot: u16) -> Result<(), Fault> {
        let at = usize::from(self.depth) * self.sqe_words + usize::from(index) * (CQE / 8);
        self.words.word(at).store(0, Ordering::Release);
        let word = u64::from(slot) | u64::from(self.number) << 16 | u64::from(phase) << 48;
        self.words.word(at + 1).store(word, Ordering::Release);
        Ok(())
    }

    // RX is the lower half of the last word, TX the upper.
    fn set_tx(&self) {
        self.status().fetch_or(1 << 32, Ordering::SeqCst);
    }
    fn set_rx(&self) {
        self.status().fetch_or(1, Ordering::SeqCst);
    }
}
