//! A request that its caller waits for elsewhere.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Fault;
use crate::qm::lane::Lane;
use crate::qm::link::Link;
use crate::qm::post::{Keep, Parcel};
use crate::qm::shared::pace::{Patience, Step};
use crate::qm::shared::{Flight, Shared};
use crate::qm::slots::Claim;

/// One submitted request. Dropped before it is done, it is abandoned: whoever comes by next on the queue reaps it, and
/// what it kept lives until then.
#[derive(Debug)]
pub struct Ticket<L: Link> {
    queue: Arc<Shared<L>>,
    slot: u16,
    parcel: Arc<Parcel>,
    due: Option<Instant>,
}

impl<L: Link> Ticket<L> {
    pub(super) fn new(queue: Arc<Shared<L>>, slot: u16, parcel: Arc<Parcel>, deadline: Duration) -> Self {
        Ticket { queue, slot, parcel, due: Instant::now().checked_add(deadline) }
    }

    /// Looks whether the request is done, without waiting: then `sqe` becomes the write-back, and what was kept comes
    /// back, once.
    ///
    /// # Errors
    /// The fault that ended the request; the device is quiet. [`Fault::Timeout`] after the deadline.
    /// [`Fault::Unsupported`] if `sqe` has another length than the descriptor, or after the result was taken.
    pub fn poll(&mut self, sqe: &mut [u8]) -> Result<Option<Keep>, Fault> {
        let Some(lane) = self.queue.lane() else { return Err(Fault::Reset) };
        let looked = self.look(lane);
        if !self.parcel.is_done() {
            looked?;
            if self.due.is_some_and(|due| Instant::now() >= due) {
                return Err(lane.stop(Fault::Timeout));
            }
            return Ok(None);
        }
        self.parcel.take(sqe).transpose()
    }

    /// Waits until the request is done or its deadline is over; otherwise as [`Ticket::poll`]. Of `patience`, only the
    /// manner of waiting counts here.
    ///
    /// # Errors
    /// As [`Ticket::poll`].
    pub fn wait(self, sqe: &mut [u8], patience: &Patience) -> Result<Keep, Fault> {
        let Some(lane) = self.queue.lane() else { return Err(Fault::Reset) };
        let deadline = self.due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
        let mut wait = self.queue.pace.wait(Patience { deadline, ..*patience }, 0);
        let mut flight = Flight { lane, claim: Claim::NONE, landed: true };
        loop {
            if flight.claim.leading {
                while !self.parcel.is_done() {
                    match lane.reap(&Claim::NONE) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(fault) => return Err(lane.stop(fault)),
                    }
                }
            }
            if self.parcel.is_done() {
                break;
            }
            if lane.slots.is_stopped() {
                return Err(lane.stop(Fault::Reset));
            }
            if !flight.claim.leading && lane.slots.try_lead() {
                flight = Flight { lane, claim: Claim::leader(), landed: false };
                continue;
            }
            match wait.step(!flight.claim.leading) {
                Step::Look => {}
                Step::Spin => std::hint::spin_loop(),
                Step::Yield => std::thread::yield_now(),
                Step::Expired => return Err(lane.stop(Fault::Timeout)),
                Step::Sleep(time) if !flight.claim.leading => {
                    lane.slots.sleep(self.slot, time, || !self.parcel.is_done());
                }
                Step::Sleep(time) => match lane.arm(&Claim::NONE) {
                    Ok(Some(_)) => {}
                    Ok(None) => lane.link.sleep(time),
                    Err(fault) => return Err(lane.stop(fault)),
                },
            }
        }
        flight.land()?;
        self.parcel.take(sqe).unwrap_or(Err(Fault::Inconsistent))
    }

    /// Looks for completions: for this request's, or, if that is done, for others that the queue's hint may have been
    /// about. It may have come to our descriptor, and to nobody else's.
    fn look(&self, lane: &Lane<L>) -> Result<(), Fault> {
        if self.parcel.is_done() && !lane.post.is_watched() {
            return Ok(());
        }
        self.queue.look_surely(lane)
    }

    /// A descriptor for poll, epoll and the like, which becomes readable when there is a reason to call
    /// [`Ticket::poll`]: this request is done, or the queue has completions that nobody has taken yet. It belongs to
    /// the ticket and is made at the first call.
    ///
    /// It unites the queue's descriptor with an event of this request alone. The kernel shows a completion to one of
    /// those who poll the queue; that one takes all completions, and the events tell the others.
    ///
    /// # Errors
    /// [`Fault::Os`] if no descriptor could be made: wait or poll instead. A fault of the queue.
    pub fn wait_fd(&self) -> Result<RawFd, Fault> {
        let Some(lane) = self.queue.lane() else { return Err(Fault::Reset) };
        let (descriptor, unarmed) =
            lane.post.watch(&self.parcel, lane.link.descriptor()).map_err(Fault::Os)?;
        if unarmed {
            // If another leads, it arms before it goes.
            if lane.slots.lead() {
                Flight { lane, claim: Claim::leader(), landed: false }.land()?;
            }
        }
        Ok(descriptor)
    }
}

impl<L: Link> Drop for Ticket<L> {
    fn drop(&mut self) {
        let Some(lane) = self.queue.lane() else { return };
        // A fault stops the queue, and is told to those who wait.
        let _ = self.look(lane);
    }
}
