//! One accelerator function as the queue manager sees it, independent of the front that drives it.
//!
//! A front (preloaded into a program, in-process on virtual time, or a PCI function of a virtual machine) gives
//! a [`QueuePair`] what hardware has around it, as a [`Host`]: ring memory, user memory, an interrupt, a clock, a
//! place for counts and lines. It then drives four steps, on whatever thread or event queue it likes:
//!
//! 1. [`QueuePair::doorbell`] for each store to the MMIO region;
//! 2. [`QueuePair::fetch`] takes the next announced entry, counts it as accepted, and asks the fault plan;
//! 3. [`QueuePair::execute`] lets the engine work: user memory is read and written, the completion record is ready,
//!    the ring is untouched. Any time may pass between the steps, and several requests may be between them;
//! 4. [`QueuePair::complete`] writes the entry back and the completion, in submission order, and interrupts if armed.
//!
//! What concerns all queues of a function (reset, isolation, removal, a busy spell) comes back as a [`DeviceEvent`];
//! the front applies it to the [`Function`] words that its queues share and lets every queue [`QueuePair::die`].
//!
//! Nothing here knows a thread, a file descriptor, a system call or the time of day. Sources: `qm.md` 2 to 7 and 10.

pub mod canned;
mod doorbell;
pub mod faults;
mod function;
mod kind;
pub mod local;
mod page_fault;
mod queue_pair;
mod records;
mod request;
mod rings;
pub mod service;
pub mod trace;

pub use doorbell::Store;
pub use function::{Closed, DeviceEvent, Function, Lost};
pub use kind::Kind;
pub use queue_pair::{Completion, Next, QueuePair, Rang, Setup};
pub use records::{CounterId, InMemory, Records};
pub use request::{Fetched, Finished};

use crate::engine::{Fault, Memory};

/// Ring memory of one queue pair (`qm.md` 3): submission and completion ring, and the two status words. A front
/// that reaches it by DMA may fail; the preloaded one cannot.
pub trait RingMemory {
    /// Copies submission slot `slot` into `sqe`, which has exactly the kind's entry size.
    fn read_sqe(&self, slot: u16, sqe: &mut [u8]) -> Result<(), Fault>;
    /// Writes results back into submission slot `slot`.
    fn write_sqe(&self, slot: u16, sqe: &[u8]) -> Result<(), Fault>;
    /// Writes completion entry `index` for submission slot `slot`, the phase bit last (`qm.md` 5.1).
    fn write_cqe(&self, index: u16, phase: bool, slot: u16) -> Result<(), Fault>;
    /// Sets the TX word: stop sending.
    fn set_tx(&self);
    /// Sets the RX word: nothing more will arrive.
    fn set_rx(&self);
}

/// The completion interrupt of one queue.
pub trait Interrupt {
    /// An armed completion ring received an entry.
    fn raise(&self);
    /// The ring was armed again with nothing in it: an interrupt that nobody waited for may be taken back.
    fn calm(&self);
}

/// A source of time; only differences and the order of values mean something.
pub trait Clock {
    /// Nanoseconds since some fixed moment of the run.
    fn now_ns(&self) -> u64;
}

/// What a queue pair has around it, lent for the length of one call.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The queue's own memory.
    pub rings: &'a dyn RingMemory,
    /// The memory that descriptors point to.
    pub memory: &'a dyn Memory,
    /// The queue's interrupt.
    pub interrupt: &'a dyn Interrupt,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Counts, log and trace.
    pub records: &'a dyn Records,
    /// What is planned to go wrong.
    pub faults: faults::Faults<'a>,
}
