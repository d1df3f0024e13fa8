//! One queue: submit, reap, wait, retire (qm.md 6 and 7).
//!
//! The identity of a request is its submission slot. A queue that had any fault is retired, that is stopped,
//! unmapped and closed, before the fault is reported: no late completion can then reach anybody, and the
//! device touches no buffer any more. A retired queue is never started again.

use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use crate::Fault;
use crate::qm::doorbell::{Doorbell, Kind};
use crate::qm::mmio;
use crate::qm::ring::Ring;

/// Looks at the ring before the first yield. A polled round trip is below a microsecond (baselines.md 0).
const SPINS: u32 = 200;
/// Time spent yielding before the first sleep; a sleep and its wake-up cost 43 to 83 µs (baselines.md 0).
const YIELDING: Duration = Duration::from_micros(200);
/// Longest single sleep. A wake-up may be missed for good (uacce.md 3.5), so sleeps are short.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);
/// Completions returned by one doorbell at most.
const BATCH: u16 = 32;

/// What a queue pair needs besides its ring memory: doorbells, and the kernel's two services.
pub trait Link: Doorbell {
    /// Sleeps until a completion is hinted at, at most `timeout`. May return early for no reason.
    fn sleep(&self, timeout: Duration);

    /// Stops the queue (PUT_Q). When this has returned and the queue's memory and the link are dropped, the
    /// device is quiet.
    fn stop(&self);

    /// Lets go in a forked child: closes what the child inherited and touches no mapping.
    fn abandon(self);
}

/// A submission slot in flight: the identity of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(u16);

impl Slot {
    /// Index in the submission queue.
    pub const fn index(self) -> u16 {
        self.0
    }
}

/// Why nothing was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No credit: reap first. The queue is in good order.
    Full,
    /// Not exactly one entry of this queue; the caller's mistake.
    WrongSize,
    /// The queue is dead, from now on or already before.
    Dead(Fault),
}

/// A started queue with one owner.
#[derive(Debug)]
pub struct QueuePair<L: Link> {
    /// `None` once retired.
    live: Option<Live<L>>,
    /// Why it was retired.
    fault: Fault,
    /// The process that opened it; a forked child has no mapping.
    owner: u32,
}

/// Field order is drop order: the ring is unmapped before the link unmaps its registers and closes.
#[derive(Debug)]
struct Live<L> {
    ring: Ring,
    link: L,
    tail: u16,
    head: u16,
    /// Phase of a new completion at `head`: true in the first pass (qm.md 5.2).
    phase: bool,
    /// Per submission slot: in flight.
    pending: Vec<bool>,
    in_flight: u16,
    /// Completions consumed and not yet returned by a doorbell.
    unreturned: u16,
}

impl<L: Link> Live<L> {
    /// Requests that may still be submitted: depth − 1 − in flight − unreturned, in the smaller ring.
    fn credit(&self) -> u16 {
        let geometry = self.ring.geometry();
        (geometry.sq_depth.min(geometry.cq_depth) - 1).saturating_sub(self.in_flight + self.unreturned)
    }

    /// Gives consumed completions back, with the wanted c_flag.
    fn return_completions(&mut self, arm: bool) {
        self.unreturned = 0;
        self.link.ring(Kind::Completion { arm }, self.head);
    }

    fn submit(&mut self, sqe: &[u8]) -> Result<Slot, Refusal> {
        let geometry = self.ring.geometry();
        if sqe.len() != geometry.sqe_size {
            return Err(Refusal::WrongSize);
        }
        if self.credit() == 0 && self.unreturned > 0 {
            self.return_completions(false);
        }
        let slot = self.tail;
        // Completions may arrive in any order, so a slot can be in flight although there is credit.
        if self.credit() == 0 || self.pending[usize::from(slot)] {
            return Err(Refusal::Full);
        }
        self.ring.write_sqe(slot, sqe);
        if self.ring.send_stopped() {
            return Err(Refusal::Dead(Fault::Reset));
        }
        self.pending[usize::from(slot)] = true;
        self.in_flight += 1;
        self.tail = next(slot, geometry.sq_depth);
        mmio::store_fence();
        self.link.ring(Kind::Submission, self.tail);
        Ok(Slot(slot))
    }

    fn reap(&mut self, sqe: &mut [u8]) -> Result<Option<Slot>, Fault> {
        if self.ring.receive_stopped() {
            return Err(Fault::Reset);
        }
        if self.ring.phase(self.head) != self.phase {
            return Ok(None);
        }
        // Between the phase and everything it announces: slot, write-back, output data.
        mmio::load_fence();
        let geometry = self.ring.geometry();
        let slot = self.ring.sq_head(self.head);
        if slot >= geometry.sq_depth || !self.pending[usize::from(slot)] {
            return Err(Fault::Inconsistent);
        }
        self.ring.read_sqe(slot, sqe);
        self.head = next(self.head, geometry.cq_depth);
        if self.head == 0 {
            self.phase = !self.phase;
        }
        self.pending[usize::from(slot)] = false;
        self.in_flight -= 1;
        self.unreturned += 1;
        if self.ring.receive_stopped() {
            return Err(Fault::Reset);
        }
        mmio::load_fence();
        if self.unreturned >= BATCH.min(geometry.cq_depth / 4).max(1) {
            self.return_completions(false);
        }
        Ok(Some(Slot(slot)))
    }
}

/// The index after `index` in a ring of `depth` entries.
const fn next(index: u16, depth: u16) -> u16 {
    if index + 1 == depth { 0 } else { index + 1 }
}

impl<L: Link> QueuePair<L> {
    /// A queue that was started a moment ago: both rings empty, completion queue zero.
    pub fn new(ring: Ring, link: L) -> Self {
        let pending = vec![false; ring.geometry().sq_depth.into()];
        let live = Live { ring, link, tail: 0, head: 0, phase: true, pending, in_flight: 0, unreturned: 0 };
        QueuePair { live: Some(live), fault: Fault::Reset, owner: std::process::id() }
    }

    /// Whether requests can be submitted: not retired, not reset by the device, not inherited by a fork.
    pub fn is_alive(&self) -> bool {
        self.is_ours()
            && self
                .live
                .as_ref()
                .is_some_and(|live| !live.ring.send_stopped() && !live.ring.receive_stopped())
    }

    /// Whether this process opened the queue.
    pub fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    /// Requests submitted and not reaped.
    pub fn in_flight(&self) -> u16 {
        self.live.as_ref().map_or(0, |live| live.in_flight)
    }

    /// Writes one request into the next slot and rings. The buffers that the descriptor names must stay until
    /// the slot is reaped or the queue is retired.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was submitted.
    pub fn submit(&mut self, sqe: &[u8]) -> Result<Slot, Refusal> {
        let Some(live) = self.live.as_mut() else { return Err(Refusal::Dead(self.fault)) };
        match live.submit(sqe) {
            Err(Refusal::Dead(fault)) => Err(Refusal::Dead(self.retire(fault))),
            other => other,
        }
    }

    /// Takes the next completion, if there is one: `sqe` (one entry long) becomes its write-back.
    ///
    /// # Errors
    /// [`Fault::Reset`], [`Fault::Inconsistent`]; the queue is then retired.
    ///
    /// # Panics
    /// `sqe` is not exactly one entry long.
    pub fn reap(&mut self, sqe: &mut [u8]) -> Result<Option<Slot>, Fault> {
        let Some(live) = self.live.as_mut() else { return Err(self.fault) };
        live.reap(sqe).map_err(|fault| self.retire(fault))
    }

    /// Waits for the next completion: spins, then yields, then sleeps in poll.
    ///
    /// # Errors
    /// As [`QueuePair::reap`], and [`Fault::Timeout`] after `deadline`; the queue is then retired.
    pub fn wait(&mut self, sqe: &mut [u8], deadline: Duration) -> Result<Slot, Fault> {
        for _ in 0..SPINS {
            if let Some(slot) = self.reap(sqe)? {
                return Ok(slot);
            }
            std::hint::spin_loop();
        }
        let start = Instant::now();
        loop {
            if let Some(slot) = self.reap(sqe)? {
                return Ok(slot);
            }
            let waited = start.elapsed();
            if waited >= deadline {
                return Err(self.retire(Fault::Timeout));
            }
            if waited < YIELDING {
                std::thread::yield_now();
                continue;
            }
            let Some(live) = self.live.as_mut() else { return Err(self.fault) };
            // Arm, then look once more: a completion between the last look and the arming raises nothing.
            live.return_completions(true);
            mmio::full_fence();
            if let Some(slot) = self.reap(sqe)? {
                return Ok(slot);
            }
            if let Some(live) = self.live.as_ref() {
                // Whole milliseconds, rounded up: poll knows no less, and zero would not sleep.
                let rest = (deadline - waited).min(LONGEST_SLEEP).max(Duration::from_millis(1));
                live.link.sleep(rest);
            }
        }
    }

    /// Submits one request on an idle queue and waits for it; `sqe` becomes the write-back.
    ///
    /// # Errors
    /// Any fault of [`QueuePair::submit`] and [`QueuePair::wait`], after which the device is quiet, or
    /// [`Fault::Unsupported`] with nothing submitted if `sqe` is not one entry of this queue.
    pub fn execute(&mut self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault> {
        if !self.is_ours() {
            // A lease held across a fork: nothing here may be touched in the child.
            self.abandon();
            return Err(self.fault);
        }
        // Whatever leaves this function, a panic included, leaves no request in flight.
        let quiet = Quiet(self);
        let slot = match quiet.0.submit(sqe) {
            Ok(slot) => slot,
            Err(Refusal::WrongSize) => return Err(Fault::Unsupported),
            Err(Refusal::Full) => return Err(quiet.0.retire(Fault::Inconsistent)),
            Err(Refusal::Dead(fault)) => return Err(fault),
        };
        if quiet.0.wait(sqe, deadline)? != slot {
            return Err(quiet.0.retire(Fault::Inconsistent));
        }
        Ok(())
    }

    /// Stops the queue for good: when this has returned, the device touches neither ring nor buffers. Answers
    /// the fault that the queue reports from now on: the first one.
    pub fn retire(&mut self, fault: Fault) -> Fault {
        if !self.is_ours() {
            self.abandon();
        } else if let Some(live) = self.live.take() {
            live.link.stop();
            self.fault = fault;
        }
        self.fault
    }

    /// Lets go of a queue that belongs to the parent process: touches no mapping, closes the inherited
    /// descriptor so that the parent's close can release the queue.
    fn abandon(&mut self) {
        if let Some(live) = self.live.take() {
            let Live { ring, link, .. } = live;
            let _ = ManuallyDrop::new(ring);
            link.abandon();
        }
    }
}

impl<L: Link> Drop for QueuePair<L> {
    fn drop(&mut self) {
        self.retire(Fault::Reset);
    }
}

/// Retires a queue that is left with a request in flight.
struct Quiet<'a, L: Link>(&'a mut QueuePair<L>);

impl<L: Link> Drop for Quiet<'_, L> {
    fn drop(&mut self) {
        if self.0.in_flight() > 0 {
            self.0.retire(Fault::Reset);
        }
    }
}

#[cfg(test)]
mod tests;
