//! A queue with one owner: submit, reap, wait, retire, by hand. What several threads use is [`crate::qm::Shared`]; both
//! drive the same lane.

use std::time::Duration;

use crate::Fault;
use crate::qm::lane::Lane;
use crate::qm::ring::Ring;
use crate::qm::shared::Patience;
use crate::qm::shared::pace::{Pace, Step};
use crate::qm::slots::Denied;
use crate::uacce::process::Owner;

pub use crate::qm::link::Link;

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

/// A started queue with one owner, who always leads.
#[derive(Debug)]
pub struct QueuePair<L: Link> {
    /// `None` only while dropping, and once abandoned in a forked child.
    lane: Option<Lane<L>>,
    pace: Pace,
    /// The process that opened it; a forked child has no mapping.
    owner: Owner,
}

impl<L: Link> QueuePair<L> {
    /// A queue that was started a moment ago: both rings empty, completion queue zero.
    pub fn new(ring: Ring, link: L) -> Self {
        QueuePair { lane: Some(Lane::new(ring, link)), pace: Pace::default(), owner: Owner::here() }
    }

    #[inline]
    fn lane(&self) -> Option<&Lane<L>> {
        if self.is_ours() { self.lane.as_ref() } else { None }
    }

    /// Whether requests can be submitted: not retired, not reset by the device, not inherited by a fork.
    pub fn is_alive(&self) -> bool {
        self.lane().is_some_and(Lane::is_alive)
    }

    /// Whether this process opened the queue.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.owner.is_here()
    }

    /// Requests submitted and not reaped.
    pub fn in_flight(&self) -> u16 {
        self.lane().map_or(0, Lane::in_flight)
    }

    /// Writes one request into the next slot and rings. The buffers that the descriptor names must stay until
    /// the slot is reaped or the queue is retired.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was submitted.
    #[inline]
    pub fn submit(&mut self, sqe: &[u8]) -> Result<Slot, Refusal> {
        let Some(lane) = self.lane() else { return Err(Refusal::Dead(Fault::Reset)) };
        if sqe.len() != lane.ring.geometry().sqe_size {
            return Err(Refusal::WrongSize);
        }
        let slot = match lane.slots.claim_owned() {
            Err(Denied::Full) if lane.make_room() => lane.slots.claim_owned(),
            other => other,
        };
        match slot {
            Ok(slot) => {
                lane.ring.write_sqe(slot, sqe);
                if !lane.ring(lane.slots.announced_owned(slot)) {
                    return Err(Refusal::Dead(lane.stop(Fault::Reset)));
                }
                Ok(Slot(slot))
            }
            Err(Denied::Full) => Err(Refusal::Full),
            Err(Denied::Stopped) => Err(Refusal::Dead(lane.stop(Fault::Reset))),
        }
    }

    /// Takes the next completion, if there is one: `sqe` (one entry long) becomes its write-back.
    ///
    /// # Errors
    /// [`Fault::Reset`], [`Fault::Inconsistent`]; the queue is then retired.
    ///
    /// # Panics
    /// `sqe` is not exactly one entry long.
    #[inline]
    pub fn reap(&mut self, sqe: &mut [u8]) -> Result<Option<Slot>, Fault> {
        let Some(lane) = self.lane() else { return Err(Fault::Reset) };
        if lane.slots.is_stopped() {
            return Err(lane.stop(Fault::Reset));
        }
        let found = lane.reap(&lane.slots.all()).map_err(|fault| lane.stop(fault))?;
        Ok(found.map(|slot| collect(lane, slot, sqe)))
    }

    /// Waits for the next completion: spins, then yields, then sleeps in poll.
    ///
    /// # Errors
    /// As [`QueuePair::reap`], and [`Fault::Timeout`] after `deadline`; the queue is then retired.
    pub fn wait(&mut self, sqe: &mut [u8], deadline: Duration) -> Result<Slot, Fault> {
        let mut wait = self.pace.wait(Patience::learned(deadline), 0);
        loop {
            if let Some(slot) = self.reap(sqe)? {
                return Ok(slot);
            }
            let Some(lane) = self.lane() else { return Err(Fault::Reset) };
            match wait.step(false) {
                Step::Look => {}
                Step::Spin => std::hint::spin_loop(),
                Step::Yield => std::thread::yield_now(),
                Step::Expired => return Err(lane.stop(Fault::Timeout)),
                Step::Sleep(time) => match lane.arm(&lane.slots.all()) {
                    Ok(Some(slot)) => return Ok(collect(lane, slot, sqe)),
                    Ok(None) => lane.link.sleep(time),
                    Err(fault) => return Err(lane.stop(fault)),
                },
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
            return Err(self.retire(Fault::Reset));
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
    /// the fault that the queue reports from now on: the first one. In a forked child, lets go of what is the
    /// parent's.
    pub fn retire(&mut self, fault: Fault) -> Fault {
        if self.is_ours() {
            self.lane.as_ref().map_or(fault, |lane| lane.stop(fault))
        } else {
            if let Some(lane) = self.lane.take() {
                lane.abandon();
            }
            Fault::Reset
        }
    }
}

fn collect<L: Link>(lane: &Lane<L>, slot: u16, sqe: &mut [u8]) -> Slot {
    lane.ring.read_sqe(slot, sqe);
    lane.slots.free(slot);
    Slot(slot)
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
