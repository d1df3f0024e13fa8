//! Parts of a host kept in this process, for fronts without shared memory and for tests: rings, interrupt, clock.

use super::{Clock, Interrupt, Kind, RingMemory};
use crate::engine::Fault;
use std::cell::{Cell, RefCell};

/// Bytes of a completion entry (`qm.md` 5.1).
const CQE: usize = 16;

/// Both rings and the status words, in the layout of the queue memory (`qm.md` 3); with the driver's side of them.
#[derive(Debug)]
pub struct LocalRings {
    memory: RefCell<Vec<u8>>,
    sqe_size: usize,
    depth: u16,
    number: u16,
    tx: Cell<bool>,
    rx: Cell<bool>,
}

/// A completion entry as a driver reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cqe {
    /// Submission slot that is complete.
    pub slot: u16,
    /// Queue number.
    pub queue: u16,
    /// Phase bit.
    pub phase: bool,
}

impl LocalRings {
    /// Zeroed rings of `depth` entries for queue `number`.
    pub fn new(kind: Kind, depth: u16, number: u16) -> LocalRings {
        let bytes = usize::from(depth) * (kind.sqe_size() + CQE);
        LocalRings {
            memory: RefCell::new(vec![0; bytes]),
            sqe_size: kind.sqe_size(),
            depth,
            number,
            tx: Cell::new(false),
            rx: Cell::new(false),
        }
    }

    fn sqe_at(&self, slot: u16) -> std::ops::Range<usize> {
        assert!(slot < self.depth, "slot {slot} at depth {}", self.depth);
        let at = usize::from(slot) * self.sqe_size;
        at..at + self.sqe_size
    }

    fn cqe_at(&self, index: u16) -> usize {
        assert!(index < self.depth, "completion {index} at depth {}", self.depth);
        usize::from(self.depth) * self.sqe_size + usize::from(index) * CQE
    }

    /// The driver fills a submission slot.
    pub fn submit(&self, slot: u16, sqe: &[u8]) {
        self.memory.borrow_mut()[self.sqe_at(slot)].copy_from_slice(sqe);
    }

    /// The driver copies a submission slot out.
    pub fn sqe(&self, slot: u16) -> Vec<u8> {
        self.memory.borrow()[self.sqe_at(slot)].to_vec()
    }

    /// The driver looks at a completion entry.
    pub fn cqe(&self, index: u16) -> Cqe {
        let (memory, at) = (self.memory.borrow(), self.cqe_at(index));
        let half = |offset| u16::from_le_bytes([memory[at + offset], memory[at + offset + 1]]);
        Cqe { slot: half(8), queue: half(10), phase: half(14) & 1 == 1 }
    }

    /// The TX word: the driver must not send.
    pub fn tx(&self) -> bool {
        self.tx.get()
    }

    /// The RX word: nothing more will arrive.
    pub fn rx(&self) -> bool {
        self.rx.get()
    }
}

impl RingMemory for LocalRings {
    fn read_sqe(&self, slot: u16, sqe: &mut [u8]) -> Result<(), Fault> {
        sqe.copy_from_slice(&self.memory.borrow()[self.sqe_at(slot)]);
        Ok(())
    }
    fn write_sqe(&self, slot: u16, sqe: &[u8]) -> Result<(), Fault> {
        self.submit(slot, sqe);
        Ok(())
    }
    fn write_cqe(&self, index: u16, phase: bool, slot: u16) -> Result<(), Fault> {
        let at = self.cqe_at(index);
        let mut memory = self.memory.borrow_mut();
        memory[at..at + CQE].fill(0);
        memory[at + 8..at + 10].copy_from_slice(&slot.to_le_bytes());
        memory[at + 10..at + 12].copy_from_slice(&self.number.to_le_bytes());
        memory[at + 14] = u8::from(phase);
        Ok(())
    }
    fn set_tx(&self) {
        self.tx.set(true);
    }
    fn set_rx(&self) {
        assert!(self.tx.get(), "RX before TX");
        self.rx.set(true);
    }
}

/// An interrupt line that counts.
#[derive(Debug, Default)]
pub struct LocalInterrupt {
    /// Interrupts raised so far.
    pub raised: Cell<u64>,
}

impl Interrupt for LocalInterrupt {
    fn raise(&self) {
        self.raised.set(self.raised.get() + 1);
    }
    fn calm(&self) {}
}

/// A clock that stands where it was set.
#[derive(Debug, Default)]
pub struct LocalClock {
    /// Nanoseconds.
    pub now: Cell<u64>,
}

impl Clock for LocalClock {
    fn now_ns(&self) -> u64 {
        self.now.get()
    }
}
