//! A queue on loan.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Pool;
use super::generation::Generation;
use super::local;
use super::seats::Seat;
use super::trust::{Limits, Proof};
use crate::Fault;
use crate::job::Op;
use crate::qm::memory::{Loans, Memory, address, address_mut};
use crate::qm::{Channel, Patience, Spin, Version};
use crate::stats::{self, Event};

/// How requests on a lease are waited for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waiting {
    /// The deadline is not below this: what the cost model expects, with a generous factor.
    pub(crate) least: Duration,
    /// Sleep early instead of spinning as long as the device usually needs.
    pub(crate) sleep_early: bool,
}

/// The queue has died under the lease.
#[derive(Debug, Clone, Copy)]
struct Loss {
    fault: Fault,
    /// Nobody has reported it before: it counts once, however many were on the queue.
    first: bool,
}

/// A queue on loan, perhaps shared with others. Given back on drop; closed then if a request on it killed it.
pub struct Lease<'a> {
    pool: &'a Pool,
    generation: &'a Generation,
    op: Op,
    version: Version,
    device: usize,
    others: u32,
    /// Others on the device, on whichever queues.
    ahead: u32,
    /// `None` only while dropping.
    pub(super) seat: Option<Arc<Seat>>,
    /// Due, and not yet reported.
    proof: Option<Proof>,
    lost: Option<Loss>,
    /// A request was completed.
    worked: bool,
    waiting: Waiting,
    /// What the request has borrowed of the queue's memory.
    loans: Loans,
    /// Software is to check the result.
    sampled: bool,
    /// Time that software has spent on that.
    checking: Duration,
}

impl fmt::Debug for Lease<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("device", &self.device_name())
            .field("op", &self.op)
            .finish_non_exhaustive()
    }
}

impl<'a> Lease<'a> {
    /// Of a taken seat that `others` use too.
    pub(super) fn new(
        pool: &'a Pool,
        generation: &'a Generation,
        op: Op,
        seat: Arc<Seat>,
        others: u32,
        proof: Option<Proof>,
    ) -> Self {
        let device = seat.device;
        let version = Version::from_generation(generation.devices[device].generation);
        let ahead = generation.busy[device].fetch_add(1, Ordering::Relaxed);
        Lease {
            pool,
            generation,
            op,
            version,
            device,
            others,
            ahead,
            seat: Some(seat),
            proof,
            lost: None,
            worked: false,
            waiting: Waiting::default(),
            loans: Loans::default(),
            sampled: false,
            checking: Duration::ZERO,
        }
    }

    /// Class entry of the device behind the queue.
    pub fn device_name(&self) -> &str {
        &self.generation.devices[self.device].name
    }

    /// Number of the device behind the queue, among those in use.
    pub fn device_index(&self) -> usize {
        self.device
    }

    /// How many others of this process were at work with the device, on this queue and others, when it was lent: what
    /// is ahead of the request.
    pub fn ahead(&self) -> u16 {
        u16::try_from(self.ahead).unwrap_or(u16::MAX)
    }

    /// How many others used the queue when it was lent.
    pub fn depth(&self) -> u16 {
        u16::try_from(self.others).unwrap_or(u16::MAX)
    }

    /// From now on requests are waited for like this.
    pub(crate) fn wait_as(&mut self, waiting: Waiting) {
        self.waiting = waiting;
    }

    /// The result of this request is to be checked.
    pub(crate) fn sample(&mut self) {
        self.sampled = true;
    }

    /// Time that checks of results have taken, which is not the device's.
    pub(crate) fn checking(&self) -> Duration {
        self.checking
    }

    /// Whether this result is one of those that software checks: the caller then keeps what its check will need.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// If this result is to be checked: asks `right`, which computes it by software and compares. Called between the
    /// engine's answer and the delivery of the result.
    ///
    /// # Errors
    /// [`Fault::Check`] if it is not right, which the caller returns to the gate.
    pub fn check_sample(&mut self, right: impl FnOnce() -> bool) -> Result<(), Fault> {
        if !self.sampled {
            return Ok(());
        }
        let start = Instant::now();
        let right = right();
        self.checking += start.elapsed();
        if right {
            stats::event(Event::SamplePassed);
            return Ok(());
        }
        stats::event(Event::SampleFailed);
        log::warn!("{}: {}: software comes to another result", self.device_name(), self.op.name());
        Err(Fault::Check)
    }

    /// What was asked until now was for our own sake; what the lease was given out for begins.
    pub(crate) fn begin_work(&mut self) {
        self.worked = false;
    }

    /// Whether a request was completed on this lease.
    pub(crate) fn worked(&self) -> bool {
        self.worked
    }

    /// Whether this process is a child of the one that took the lease: the queue is out of reach.
    pub fn is_inherited(&self) -> bool {
        !self.generation.is_ours()
    }

    /// Whether this lease is to prove that the device does this work rightly, before anything else is asked of it.
    /// [`Lease::proved`] takes the outcome; without it that of the first request counts.
    pub fn needs_proof(&self) -> bool {
        self.proof.is_some()
    }

    /// The outcome of the proof. After a failed one the device does no work of this kind for a while.
    pub fn proved(&mut self, outcome: Result<(), Fault>) {
        let Some(proof) = self.proof.take() else { return };
        let trust = self.generation.trust(self.device, self.op);
        match outcome {
            Ok(()) => {
                if trust.proved(proof) {
                    stats::event(Event::ProofPassed);
                }
            }
            Err(fault) => {
                stats::event(Event::ProofFailed);
                let rest = trust.disproved(proof, self.pool.clock.now(), self.limits());
                self.rests(rest, "a failed known-answer test", fault);
            }
        }
    }

    /// The request was served.
    pub fn succeeded(&mut self) {
        if !self.worked {
            // Nothing was asked of the device.
            return;
        }
        self.proved(Ok(()));
        self.generation.trust(self.device, self.op).worked();
    }

    /// The request ended in `fault`, which counts against the device's work of this kind if it blames the device.
    pub fn failed(&mut self, fault: Fault) {
        if let Some(event) = event_of(fault) {
            stats::event(event);
        }
        let trust = self.generation.trust(self.device, self.op);
        let (lost, now, limits) = (self.lost.is_some(), self.pool.clock.now(), self.limits());
        let rest = match self.proof.take() {
            proof if self.lost.is_some_and(|loss| !loss.first) => {
                if let Some(proof) = proof {
                    trust.abandon(proof);
                }
                None
            }
            Some(proof) => trust.tried(proof, fault, lost, now, limits),
            None => trust.failed(fault, lost, now, limits),
        };
        if rest.is_some() {
            stats::event(Event::BreakerOpened);
        }
        self.rests(rest, "faults", fault);
    }

    fn limits(&self) -> Limits {
        self.pool.limits()
    }

    fn rests(&self, rest: Option<u64>, after: &str, fault: Fault) {
        if let Some(rest) = rest {
            let (device, op) = (self.device_name(), self.op.name());
            log::warn!("{device}: {op} in software for {rest} ms after {after}: {fault}");
        }
    }
}

/// What a fault is counted as; the data's own faults are none.
fn event_of(fault: Fault) -> Option<Event> {
    Some(match fault {
        Fault::Status(_) => Event::BadStatus,
        Fault::Timeout => Event::Timeout,
        Fault::Reset => Event::Reset,
        Fault::Os(_) => Event::SystemCall,
        Fault::Inconsistent => Event::Inconsistent,
        Fault::Check => Event::CheckFailed,
        _ => return None,
    })
}

impl Channel for Lease<'_> {
    fn version(&self) -> Version {
        self.version
    }

    fn execute(&mut self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault> {
        let seat = self.seat.as_ref().ok_or(Fault::Reset)?;
        let Waiting { least, sleep_early } = self.waiting;
        let spin = if sleep_early { Spin::Short } else { Spin::Learned };
        let result = seat.queue.execute(sqe, &Patience { deadline: deadline.max(least), spin });
        self.worked |= result.is_ok();
        if let Err(fault) = result
            && !seat.queue.is_alive()
        {
            let first = self.generation.close(seat, Event::QueueRetired);
            self.lost = Some(Loss { fault, first });
        }
        result
    }

    fn has(&self, line: &str) -> bool {
        self.generation.devices[self.device].has(line)
    }

    fn lend(&mut self, bytes: &[u8]) -> Result<u64, Fault> {
        match self.seat.as_ref().and_then(|seat| seat.queue.memory()) {
            Some(memory) => memory.lend(&mut self.loans, bytes),
            None => Ok(address(bytes)),
        }
    }

    fn lend_mut(&mut self, bytes: &mut [u8], likely: usize) -> Result<u64, Fault> {
        match self.seat.as_ref().and_then(|seat| seat.queue.memory()) {
            Some(memory) => memory.lend_mut(&mut self.loans, bytes, likely),
            None => Ok(address_mut(bytes)),
        }
    }

    fn lend_state(&mut self, bytes: &mut [u8]) -> Result<u64, Fault> {
        match self.seat.as_ref().and_then(|seat| seat.queue.memory()) {
            Some(memory) => memory.lend_state(&mut self.loans, bytes),
            None => Ok(address_mut(bytes)),
        }
    }

    fn collect(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        match self.seat.as_ref().and_then(|seat| seat.queue.memory()) {
            Some(memory) => memory.collect(&self.loans, address, bytes),
            None => Ok(()),
        }
    }

    fn settle(&mut self) {
        if let Some(memory) = self.seat.as_ref().and_then(|seat| seat.queue.memory()) {
            memory.settle(&mut self.loans);
        }
    }

    fn shares_addresses(&self) -> bool {
        self.seat.as_ref().and_then(|seat| seat.queue.memory()).is_none_or(Memory::shares_addresses)
    }

    fn longest_loan(&self) -> usize {
        self.seat.as_ref().and_then(|seat| seat.queue.memory()).map_or(usize::MAX, Memory::longest_loan)
    }

    fn record(&mut self, bytes: u64, ok: bool) {
        stats::device(self.op, bytes, ok);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // A panic may have kept the engine from it.
        self.settle();
        let Some(seat) = self.seat.take() else { return };
        let generation = self.generation;
        if self.is_inherited() {
            // The queue lets go of the parent's queue by itself; the parent's bookkeeping is the parent's.
            return;
        }
        generation.busy[self.device].fetch_sub(1, Ordering::Relaxed);
        if let Some(proof) = self.proof.take() {
            generation.trust(self.device, self.op).abandon(proof);
        }
        if let Some(Loss { fault, first: true }) = self.lost {
            generation.lost(&seat, fault);
        } else if generation.next.get().is_some() {
            generation.close(&seat, Event::QueueClosed);
        }
        if seat.occupancy.leave() {
            generation.dispose(&seat);
        } else if seat.occupancy.users().is_some() {
            local::with(generation, |local| local.remember(self.op, &seat));
        }
    }
}
