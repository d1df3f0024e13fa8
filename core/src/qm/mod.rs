//! The queue manager: rings, doorbells, completion. Knows bytes, never an algorithm.

pub mod doorbell;
pub mod link;
pub mod memory;
pub mod meter;
pub mod mmio;
pub mod queue_pair;
pub mod ring;
pub mod shared;

#[cfg(test)]
pub(crate) mod fake;
mod hardware;
mod lane;
mod post;
mod slots;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Fault;
use crate::job::Op;

pub use hardware::{Hardware, OpenError, open, open_shared};
pub use meter::Meter;
pub use queue_pair::{QueuePair, Slot};
pub use shared::{Patience, Shared, Spin, Ticket};

/// Queue-manager generation, from the number in the `api` attribute (uacce.md 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `hisi_qm_v2`, Kunpeng 920.
    V2,
    /// `hisi_qm_v3` and later, Kunpeng 930.
    V3,
}

impl Version {
    /// From the number in `api`: later and unknown numbers have V3's request formats (uacce.md 2.3). V1 and 0
    /// never come here, discovery refuses them.
    pub const fn from_generation(number: u32) -> Version {
        if number <= 2 { Version::V2 } else { Version::V3 }
    }
}

/// What an engine needs of a queue: one request, written back in place. Implemented by [`crate::Lease`] and
/// by fakes in tests.
pub trait Channel {
    /// Generation of the device behind the queue: selects the descriptor format.
    fn version(&self) -> Version;

    /// Submits `sqe` (128 bytes for ZIP and SEC, 64 for HPRE), waits until it completes or `deadline` has
    /// passed, and replaces `sqe` by the device's write-back. Counts nothing.
    ///
    /// # Errors
    /// [`Fault::Timeout`], [`Fault::Reset`], [`Fault::Os`], [`Fault::Inconsistent`]. On every error the device
    /// is guaranteed quiet: it touches neither the descriptor's buffers nor the ring any more.
    fn execute(&mut self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault>;

    /// Whether the device's `algorithms` attribute has this whole line.
    fn has(&self, _line: &str) -> bool {
        true
    }

    /// Lends `bytes` to the device to read: the address that it knows them by, valid until
    /// [`Channel::settle`]. A plain channel has the process's own addresses.
    ///
    /// # Errors
    /// [`Fault::Memory`] if the queue's memory has no room for them at the moment.
    fn lend(&mut self, bytes: &[u8]) -> Result<u64, Fault> {
        Ok(memory::address(bytes))
    }

    /// Lends `bytes` to the device to write; what they hold does not reach it. `likely` says how many of them
    /// will probably be written. [`Channel::collect`] brings them back.
    ///
    /// # Errors
    /// As [`Channel::lend`].
    fn lend_mut(&mut self, bytes: &mut [u8], _likely: usize) -> Result<u64, Fault> {
        Ok(memory::address_mut(bytes))
    }

    /// Lends `bytes` to the device to read and to write, such as the context of a stream.
    ///
    /// # Errors
    /// As [`Channel::lend`].
    fn lend_state(&mut self, bytes: &mut [u8]) -> Result<u64, Fault> {
        Ok(memory::address_mut(bytes))
    }

    /// Brings back what the device has written at the lent `address`, after [`Channel::execute`] has returned
    /// `Ok`: `bytes` are the first ones of what was lent.
    ///
    /// # Errors
    /// [`Fault::Reset`] if the device has vanished together with its memory; `bytes` then hold garbage.
    fn collect(&mut self, _address: u64, _bytes: &mut [u8]) -> Result<(), Fault> {
        Ok(())
    }

    /// Ends every loan: called when the request is over, well or not.
    fn settle(&mut self) {}

    /// Whether the device knows the process's own addresses (SVA).
    fn shares_addresses(&self) -> bool {
        true
    }

    /// The longest buffer that can be lent; longer data is cut into several requests or left to software.
    fn longest_loan(&self) -> usize {
        usize::MAX
    }

    /// Counts one request whose completion was reaped: call it once after every [`Channel::execute`] that
    /// returned `Ok`, when the write-back has been read. `bytes` as ARCHITECTURE.md defines them for the
    /// engine; `ok` is false for an error status, and the bytes then count as zero. Fakes count nothing.
    fn record(&mut self, _bytes: u64, _ok: bool) {}
}

/// Milliseconds that the smallest request may take, from configuration (`deadline_ms`).
static DEADLINE_FLOOR_MS: AtomicU64 = AtomicU64::new(1000);

pub(crate) fn set_deadline_floor(milliseconds: u64) {
    DEADLINE_FLOOR_MS.store(milliseconds, Ordering::Relaxed);
}

/// How long a request of `bytes` (as in [`crate::Job::bytes`]) may take before its queue is given up. There
/// are no published latencies: these are generous assumptions, far above what any hardware needs, because a
/// deadline that strikes costs a queue. The floor (configured, 1 s by default) grows with the size: by itself
/// per MiB of bulk data (1 MB/s, a hundredth of the slowest plausible engine), and per 128 bytes of RSA modulus.
pub fn deadline(op: Op, bytes: usize) -> Duration {
    let unit = match op {
        Op::ZipCompress | Op::ZipDecompress | Op::SecCipher => 1 << 20,
        Op::HpreRsa => 128,
    };
    let floor = DEADLINE_FLOOR_MS.load(Ordering::Relaxed);
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Duration::from_millis(floor.saturating_add(floor.saturating_mul(bytes) / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_grow_with_size_and_never_overflow() {
        assert_eq!(deadline(Op::ZipCompress, 0), Duration::from_secs(1));
        assert_eq!(deadline(Op::ZipCompress, 8 << 20), Duration::from_secs(9));
        assert_eq!(deadline(Op::HpreRsa, 256), Duration::from_secs(3));
        assert!(deadline(Op::HpreRsa, usize::MAX) > deadline(Op::HpreRsa, 512));
    }

    #[test]
    fn generations_map_to_request_formats() {
        assert_eq!(Version::from_generation(2), Version::V2);
        assert_eq!(Version::from_generation(3), Version::V3);
        assert_eq!(Version::from_generation(5), Version::V3);
    }
}
