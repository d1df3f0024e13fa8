//! A request on its way: fetched, then finished.

use super::CounterId;
use super::faults::Fault;
use crate::engine::Verdict;

/// The counters of an operation class; `reaped` ≤ `executed` ≤ `accepted` at every moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassCounters {
    pub(super) class: &'static str,
    /// Fetched from the ring, counted before execution.
    pub(super) accepted: CounterId,
    /// Completion written, whatever its status; counted just before it becomes visible.
    pub(super) executed: CounterId,
    /// The executed ones whose descriptor obeys the tables.
    pub(super) requests: CounterId,
    /// Bytes of the requests that ended well.
    pub(super) bytes: CounterId,
    /// Completions returned by a completion doorbell.
    pub(super) reaped: CounterId,
}

/// A request between the ring and the engine.
#[derive(Debug)]
pub struct Fetched {
    pub(super) sequence: u64,
    pub(super) slot: u16,
    pub(super) entry: Vec<u8>,
    pub(super) counters: ClassCounters,
    pub(super) fault: Option<Fault>,
    pub(super) fetched_ns: u64,
}

impl Fetched {
    /// Milliseconds that the fault plan wants to pass before the execution.
    pub fn hold_ms(&self) -> u64 {
        match self.fault {
            Some(Fault::Delay(ms)) => ms,
            _ => 0,
        }
    }
    /// Operation class.
    pub fn class(&self) -> &'static str {
        self.counters.class
    }
    /// Submission slot.
    pub fn slot(&self) -> u16 {
        self.slot
    }
    /// The entry as the driver wrote it.
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }
    /// What the fault plan does to it.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }
    /// When it was fetched, by the host's clock.
    pub fn fetched_ns(&self) -> u64 {
        self.fetched_ns
    }
}

/// A request between the engine and its completion.
#[derive(Debug)]
pub struct Finished {
    pub(super) request: Fetched,
    /// The entry as the engine wrote it back.
    pub(super) entry: Vec<u8>,
    pub(super) verdict: Verdict,
    /// It counts as refused: the descriptor breaks a table, and not by plan.
    pub(super) refused: bool,
}

impl Finished {
    /// The request as it was fetched.
    pub fn request(&self) -> &Fetched {
        &self.request
    }
    /// What the engine said. An address that the plan made unreachable shows as refused here, and is counted as a
    /// request with an error status.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
    /// Input bytes as the ledger counts them, and output bytes; 0 where the request did not end well.
    pub fn sizes(&self) -> (u64, u64) {
        match self.verdict {
            Verdict::Done { bytes, output, ok: true, .. } => (bytes, output),
            Verdict::Done { output, .. } => (0, output),
            Verdict::Refused { .. } => (0, 0),
        }
    }
}
