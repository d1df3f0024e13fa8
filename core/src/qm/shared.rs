//! A queue that several threads use at the same time.
//!
//! A thread that is alone claims a slot and leads with one atomic step, writes its descriptor, rings, and looks for its
//! completion. Threads that meet write their descriptors side by side, let one doorbell announce them ([`Slots`]), and
//! one of them looks for all; the others wait for the state of their own slot and sleep if that takes long. Any fault
//! stops the queue for all, and nobody learns of it before the device is quiet.
//!
//! [`Slots`]: crate::qm::slots::Slots

pub(in crate::qm) mod pace;
mod ticket;

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::fence;
use std::time::{Duration, Instant};

use crate::Fault;
use crate::qm::lane::{Glance, Lane};
use crate::qm::link::Link;
use crate::qm::meter::Meter;
use crate::qm::post::Parcel;
use crate::qm::queue_pair::Refusal;
use crate::qm::ring::Ring;
use crate::qm::slots::{Claim, Denied};
use crate::uacce::process::Owner;

pub use crate::qm::post::Keep;
use pace::{Pace, Step, Wait};
pub use pace::{Patience, Spin};
pub use ticket::Ticket;

/// One request in so many is timed.
const SAMPLED: u16 = 64;
/// Completions that a thread hands to others before it goes.
const COURTESY: u16 = 64;
/// Between looks for room in a queue that is full, once yielding has not helped.
const ROOM: Duration = Duration::from_micros(100);

/// A started queue, for any number of threads. Stopped and closed when dropped.
#[derive(Debug)]
pub struct Shared<L: Link> {
    /// `None` only while dropping.
    lane: Option<Lane<L>>,
    pace: Pace,
    /// The process that opened it; a forked child has no mapping.
    owner: Owner,
}

impl<L: Link> Shared<L> {
    /// A queue that was started a moment ago: both rings empty, completion queue zero.
    pub fn new(ring: Ring, link: L) -> Self {
        Shared { lane: Some(Lane::new(ring, link)), pace: Pace::default(), owner: Owner::here() }
    }

    /// The lane, if this process opened it.
    #[inline]
    fn lane(&self) -> Option<&Lane<L>> {
        if self.is_ours() { self.lane.as_ref() } else { None }
    }

    /// The other side, for the in-crate fake.
    #[cfg(test)]
    pub(crate) fn link(&self) -> &L {
        &self.lane.as_ref().expect("not dropped").link
    }

    /// Whether requests can be submitted: not stopped, not reset by the device, not inherited by a fork.
    pub fn is_alive(&self) -> bool {
        self.lane().is_some_and(Lane::is_alive)
    }

    /// Whether this process opened the queue.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.owner.is_here()
    }

    /// Requests submitted and not completed, of all threads; a moment's figure.
    pub fn in_flight(&self) -> u16 {
        self.lane().map_or(0, Lane::in_flight)
    }

    /// Moving average of the time from doorbell to completion, in nanoseconds; 0 while nothing was timed.
    pub fn expected_ns(&self) -> u32 {
        self.pace.expected_ns()
    }

    /// How its threads met so far.
    pub fn meter(&self) -> Meter {
        self.lane().map(|lane| lane.slots.counts.read()).unwrap_or_default()
    }

    /// Submits one request and waits for it; `sqe` becomes the write-back.
    ///
    /// # Errors
    /// [`Fault::Timeout`], [`Fault::Reset`], [`Fault::Inconsistent`]: the queue is stopped, and the device quiet.
    /// [`Fault::Unsupported`] with nothing submitted if `sqe` is not one entry of this queue. In a forked child
    /// [`Fault::Reset`].
    #[inline]
    pub fn execute(&self, sqe: &mut [u8], patience: &Patience) -> Result<(), Fault> {
        let Some(lane) = self.lane() else { return Err(Fault::Reset) };
        if sqe.len() != lane.ring.geometry().sqe_size {
            return Err(Fault::Unsupported);
        }
        match lane.slots.claim_alone() {
            Some(claim) => self.run_alone(lane, claim, sqe, patience),
            None => self.run_some(lane, sqe, *patience).map(|_| ()),
        }
    }

    /// Submits several requests, whose descriptors lie one behind the other in `sqes`, with as few doorbells as
    /// there is room, and waits for all; each becomes its write-back.
    ///
    /// # Errors
    /// As [`Shared::execute`]; what was completed before is written back, and the device touches the buffers of none.
    pub fn execute_all(&self, sqes: &mut [u8], patience: &Patience) -> Result<(), Fault> {
        let Some(lane) = self.lane() else { return Err(Fault::Reset) };
        let size = lane.ring.geometry().sqe_size;
        if !sqes.len().is_multiple_of(size) {
            return Err(Fault::Unsupported);
        }
        // Half a ring at a time leaves room for others.
        sqes.chunks_mut(size * usize::from(lane.slots.half())).try_for_each(|part| {
            let mut rest = part;
            while !rest.is_empty() {
                let done = self.run_some(lane, rest, *patience)?;
                rest = &mut rest[done * size..];
            }
            Ok(())
        })
    }

    /// Runs one request of a thread that is alone and leads.
    #[inline]
    fn run_alone(
        &self,
        lane: &Lane<L>,
        claim: Claim,
        sqe: &mut [u8],
        patience: &Patience,
    ) -> Result<(), Fault> {
        let slot = claim.first;
        // Whatever leaves this function, a panic included, leaves no request in flight.
        let mut flight = Flight { lane, claim, landed: false };
        lane.ring.write_sqe(slot, sqe);
        let announced = lane.announce_alone(&flight.claim).map_err(|fault| lane.stop(fault))?;
        let start = slot.is_multiple_of(SAMPLED).then(Instant::now);
        let mut looks = 0;
        if announced {
            if self.look_alone(lane, slot, &mut looks) {
                lane.ring.read_sqe(slot, sqe);
                // As in `land_one`; the stop is looked for in `resign_alone`.
                fence(Acquire);
                self.learn(start);
                if lane.resign_alone(slot).map_err(|fault| lane.stop(fault))? {
                    flight.landed = true;
                    return Ok(());
                }
                if lane.slots.is_stopped() {
                    return Err(lane.stop(Fault::Reset));
                }
                lane.silence().map_err(|fault| lane.stop(fault))?;
                return flight.land();
            }
            lane.slots.sent(slot);
        }
        lane.silence().map_err(|fault| lane.stop(fault))?;
        self.wait(lane, &mut flight.claim, slot, &mut self.pace.wait(*patience, looks))?;
        land_one(lane, slot, sqe)?;
        self.learn(start);
        flight.land()
    }

    /// Looks for the completion of `slot` for a while, with the bell in hand; whether it was consumed.
    #[inline(always)]
    fn look_alone(&self, lane: &Lane<L>, slot: u16, looks: &mut u32) -> bool {
        loop {
            match lane.glance(slot) {
                Glance::Own => return true,
                Glance::Nothing if *looks < pace::AT_ONCE && !lane.slots.is_bell_wanted() => *looks += 1,
                Glance::Nothing | Glance::Other => return false,
            }
        }
    }

    #[inline]
    fn learn(&self, start: Option<Instant>) {
        if let Some(start) = start {
            self.pace.learn(start.elapsed());
        }
    }

    /// Runs as many of the requests as can be claimed at a time; answers how many.
    #[inline(never)]
    fn run_some(&self, lane: &Lane<L>, sqes: &mut [u8], patience: Patience) -> Result<usize, Fault> {
        let size = lane.ring.geometry().sqe_size;
        let claim = self.claim(lane, (sqes.len() / size) as u16, patience)?;
        let first = claim.first;
        let count = usize::from(claim.count);
        // As in `run_alone`.
        let mut flight = Flight { lane, claim, landed: false };
        let sqes = &mut sqes[..count * size];
        for (offset, sqe) in (0..).zip(sqes.chunks_exact(size)) {
            lane.ring.write_sqe(lane.slots.at(first, offset), sqe);
        }
        lane.announce(&flight.claim, false).map_err(|fault| lane.stop(fault))?;
        let start = (count == 1 && first.is_multiple_of(SAMPLED)).then(Instant::now);
        for (offset, sqe) in (0..).zip(sqes.chunks_exact_mut(size)) {
            let slot = lane.slots.at(first, offset);
            self.wait(lane, &mut flight.claim, slot, &mut self.pace.wait(patience, 0))?;
            land_one(lane, slot, sqe)?;
            flight.claim.gave_back(lane.ring.geometry().sq_depth);
        }
        self.learn(start);
        flight.land()?;
        Ok(count)
    }

    /// Claims at least one slot; waits while the queue is full.
    #[inline]
    fn claim(&self, lane: &Lane<L>, wanted: u16, patience: Patience) -> Result<Claim, Fault> {
        match lane.slots.claim(wanted, true) {
            Ok(claim) => Ok(claim),
            Err(denied) => self.claim_later(lane, wanted, patience, denied),
        }
    }

    #[cold]
    fn claim_later(
        &self,
        lane: &Lane<L>,
        wanted: u16,
        patience: Patience,
        mut denied: Denied,
    ) -> Result<Claim, Fault> {
        let mut wait = self.pace.wait(patience, 0);
        lane.slots.counts.waited_for_room();
        loop {
            if denied == Denied::Stopped {
                return Err(lane.stop(Fault::Reset));
            }
            self.look_around(lane)?;
            denied = match lane.slots.claim(wanted, true) {
                Ok(claim) => return Ok(claim),
                Err(denied) => denied,
            };
            match wait.step(true) {
                Step::Look => {}
                Step::Spin => std::hint::spin_loop(),
                Step::Yield => std::thread::yield_now(),
                Step::Sleep(_) => std::thread::sleep(ROOM),
                Step::Expired => return Err(lane.stop(Fault::Timeout)),
            }
        }
    }

    /// As [`Shared::look_around`], for a caller that may have been shown a completion which nobody else was shown: if
    /// another leads, that one looks again.
    fn look_surely(&self, lane: &Lane<L>) -> Result<(), Fault> {
        if !lane.slots.lead() {
            lane.post.ask();
            if !lane.slots.lead() {
                return Ok(());
            }
        }
        self.look_as_leader(lane)
    }

    /// Consumes what there is to consume and gives it back, if nobody else is at it.
    fn look_around(&self, lane: &Lane<L>) -> Result<(), Fault> {
        if lane.slots.try_lead() { self.look_as_leader(lane) } else { Ok(()) }
    }

    fn look_as_leader(&self, lane: &Lane<L>) -> Result<(), Fault> {
        let mut flight = Flight { lane, claim: Claim::leader(), landed: false };
        let looked = (0..COURTESY).try_for_each(|_| match lane.reap(&Claim::NONE) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(None),
            Err(fault) => Err(Some(fault)),
        });
        if let Err(Some(fault)) = looked {
            return Err(lane.stop(fault));
        }
        lane.make_room();
        flight.land()
    }

    /// Waits until `slot`, one of the caller's, is completed; leads when nobody else does.
    #[inline]
    fn wait(&self, lane: &Lane<L>, claim: &mut Claim, slot: u16, wait: &mut Wait) -> Result<(), Fault> {
        loop {
            if claim.leading {
                while !lane.slots.is_done(slot) {
                    match lane.reap(claim) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(fault) => return Err(lane.stop(fault)),
                    }
                }
            }
            if lane.slots.is_done(slot) {
                return Ok(());
            }
            if lane.slots.is_stopped() {
                return Err(lane.stop(Fault::Reset));
            }
            if !claim.leading && lane.slots.try_lead() {
                claim.leading = true;
                continue;
            }
            // A leader with company yields as early as the others: they may have more to submit, and processors may be short.
            let company = !claim.leading || lane.in_flight() > claim.count;
            match wait.step(company) {
                Step::Look => {}
                Step::Spin => std::hint::spin_loop(),
                Step::Yield => std::thread::yield_now(),
                Step::Expired => return Err(lane.stop(Fault::Timeout)),
                Step::Sleep(time) if !claim.leading => lane.slots.park(slot, time),
                Step::Sleep(time) => match lane.arm(claim) {
                    Ok(Some(_)) => {}
                    Ok(None) => lane.link.sleep(time),
                    Err(fault) => return Err(lane.stop(fault)),
                },
            }
        }
    }

    /// Submits one request that nobody waits for here. `keep`, which holds the buffers that the descriptor names,
    /// stays alive until the device is done with them or the queue is stopped; a request that is not done
    /// `deadline` from now counts as lost. Whoever reaps the request may be the one that drops `keep`, in the middle of
    /// its own: that must not use the queue.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was submitted, and `keep` is dropped.
    pub fn submit(
        self: &Arc<Self>,
        sqe: &[u8],
        keep: Keep,
        deadline: Duration,
    ) -> Result<Ticket<L>, Refusal> {
        let Some(lane) = self.lane() else { return Err(Refusal::Dead(Fault::Reset)) };
        if sqe.len() != lane.ring.geometry().sqe_size {
            return Err(Refusal::WrongSize);
        }
        let claim = match lane.slots.claim(1, false) {
            Err(Denied::Full) => {
                self.look_around(lane).map_err(Refusal::Dead)?;
                lane.slots.claim(1, false)
            }
            other => other,
        };
        let claim = match claim {
            Ok(claim) => claim,
            Err(Denied::Full) => return Err(Refusal::Full),
            Err(Denied::Stopped) => return Err(Refusal::Dead(lane.stop(Fault::Reset))),
        };
        let mut flight = Flight { lane, claim, landed: false };
        let slot = flight.claim.first;
        let parcel = Arc::new(Parcel::new(sqe, keep));
        lane.ring.write_sqe(slot, sqe);
        lane.post.accept(slot, lane.ring.geometry().sq_depth, Arc::clone(&parcel));
        let announced = lane.announce(&flight.claim, true);
        flight.landed = true;
        // A stop that had passed the post before the parcel was there has to pass it again.
        match announced {
            Err(fault) => return Err(Refusal::Dead(lane.stop(fault))),
            Ok(()) if lane.slots.is_stopped() => return Err(Refusal::Dead(lane.stop(Fault::Reset))),
            Ok(()) => {}
        }
        Ok(Ticket::new(Arc::clone(self), slot, parcel, deadline))
    }

    /// Stops the queue for good: when this has returned, the device touches neither ring nor buffers, whatever other
    /// threads are doing; theirs and all later requests end in a fault. Answers the first fault. In a forked child
    /// the inherited descriptor is closed, so that the parent's close can release the queue, and nothing else happens.
    pub fn retire(&self, fault: Fault) -> Fault {
        match &self.lane {
            Some(lane) if self.is_ours() => lane.stop(fault),
            Some(lane) => {
                lane.link.let_go();
                Fault::Reset
            }
            None => Fault::Reset,
        }
    }
}

impl<L: Link> Drop for Shared<L> {
    fn drop(&mut self) {
        let ours = self.is_ours();
        match self.lane.take() {
            Some(lane) if ours => drop(lane.stop(Fault::Reset)),
            Some(lane) => lane.abandon(),
            None => {}
        }
    }
}

/// Reads the write-back of a completed slot, and gives the slot back.
#[inline(always)]
fn land_one<L: Link>(lane: &Lane<L>, slot: u16, sqe: &mut [u8]) -> Result<(), Fault> {
    lane.ring.read_sqe(slot, sqe);
    // Memory that was taken away under us reads as nothing: what was read counts if that had not begun.
    fence(Acquire);
    if lane.slots.is_stopped() {
        return Err(lane.stop(Fault::Reset));
    }
    lane.slots.free(slot);
    Ok(())
}

/// A thread's requests between claim and completion; stops the queue when it is dropped before they have landed.
struct Flight<'a, L: Link> {
    lane: &'a Lane<L>,
    claim: Claim,
    landed: bool,
}

impl<L: Link> Flight<'_, L> {
    /// All slots are free again: hands on the leadership, after what others wait for and is there already.
    #[inline]
    fn land(&mut self) -> Result<(), Fault> {
        let slot = self.claim.first;
        if !self.claim.leading {
            self.lane.slots.leave(slot);
        } else {
            let courtesy = || {
                for _ in 0..COURTESY {
                    if self.lane.in_flight() == 0 || self.lane.reap(&Claim::NONE)?.is_none() {
                        break;
                    }
                }
                self.lane.resign(slot)
            };
            courtesy().map_err(|fault| self.lane.stop(fault))?;
        }
        self.landed = true;
        Ok(())
    }
}

impl<L: Link> Drop for Flight<'_, L> {
    fn drop(&mut self) {
        if !self.landed {
            self.lane.stop(Fault::Reset);
        }
    }
}

#[cfg(test)]
mod tests;
