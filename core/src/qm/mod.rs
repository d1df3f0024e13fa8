//! The queue manager: rings, doorbells, completion. Knows bytes, never an algorithm.

use std::time::Duration;

use crate::Fault;

/// Queue-manager generation, from the number in the `api` attribute (uacce.md 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `hisi_qm_v2`, Kunpeng 920.
    V2,
    /// `hisi_qm_v3` and later, Kunpeng 930.
    V3,
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

    /// Counts one request whose completion was reaped: call it once after every [`Channel::execute`] that
    /// returned `Ok`, when the write-back has been read. `bytes` as ARCHITECTURE.md defines them for the
    /// engine; `ok` is false for an error status, and the bytes then count as zero. Fakes count nothing.
    fn record(&mut self, _bytes: u64, _ok: bool) {}
}
