//! The two rings of a queue at work: what is written, rung, consumed, returned, and how all of it ends (qm.md 6 and
//! 7). Who may do what at a time is the business of [`Slots`]; whose the queue is, that of its owner
//! ([`crate::qm::Shared`], [`crate::qm::QueuePair`]).
//!
//! The identity of a request is its submission slot. A lane that had any fault is stopped before the fault is
//! reported: no late completion can then reach anybody, and the device touches no buffer any more. It is never
//! started again. Its memory stays until its owner drops it, so a thread that is still inside reads and writes
//! memory that is there.

use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Mutex, PoisonError};

use crate::Fault;
use crate::qm::doorbell::Kind;
use crate::qm::link::Link;
use crate::qm::mmio;
use crate::qm::post::Post;
use crate::qm::ring::Ring;
use crate::qm::slots::{Claim, Completed, Slots};

/// Completions returned by one doorbell at most.
const BATCH: u32 = 32;

/// Field order is drop order: the ring is unmapped before the link unmaps its registers and closes.
#[derive(Debug)]
pub(crate) struct Lane<L> {
    pub(crate) ring: Ring,
    pub(crate) link: L,
    pub(crate) slots: Slots,
    /// Requests that nobody waits for in their slots.
    pub(crate) post: Post,
    /// Next completion entry \[15:0\] and the phase of a new one there \[16\]: true in the first pass (qm.md 5.2).
    /// The leader's.
    head: AtomicU32,
    /// Completions consumed and not yet returned by a doorbell. The leader's.
    unreturned: AtomicU32,
    batch: u32,
    /// Why it was stopped.
    verdict: Mutex<Option<Fault>>,
    /// The device is quiet.
    quiet: AtomicBool,
}

const PHASE: u32 = 1 << 16;

/// What [`Lane::glance`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Glance {
    Nothing,
    /// The completion of one's own request, which is now consumed.
    Own,
    /// Somebody else's, or a fault: to be reaped.
    Other,
}

impl<L: Link> Lane<L> {
    /// A queue that was started a moment ago: both rings empty, completion queue zero.
    pub(crate) fn new(ring: Ring, link: L) -> Self {
        let geometry = ring.geometry();
        let limit = geometry.sq_depth.min(geometry.cq_depth) - 1;
        Lane {
            slots: Slots::new(geometry.sq_depth, limit),
            ring,
            link,
            post: Post::default(),
            head: AtomicU32::new(PHASE),
            unreturned: AtomicU32::new(0),
            batch: BATCH.min(u32::from(geometry.cq_depth) / 4).max(1),
            verdict: Mutex::new(None),
            quiet: AtomicBool::new(false),
        }
    }

    /// Requests claimed and not yet reaped.
    pub(crate) fn in_flight(&self) -> u16 {
        self.slots.used().saturating_sub(self.unreturned.load(Relaxed) as u16)
    }

    /// Whether neither status word nor a fault speaks against submitting.
    pub(crate) fn is_alive(&self) -> bool {
        !self.slots.is_stopped() && !self.ring.send_stopped() && !self.ring.receive_stopped()
    }

    /// Announces written slots.
    ///
    /// # Errors
    /// [`Fault::Reset`] if the device takes no more; nothing was rung. To be followed by [`Lane::stop`].
    #[inline]
    pub(crate) fn announce(&self, claim: &Claim, posted: bool) -> Result<(), Fault> {
        let mut taken = true;
        self.slots.announce(claim, posted, |tail| taken &= self.ring(tail));
        if taken { Ok(()) } else { Err(Fault::Reset) }
    }

    /// As [`Lane::announce`], of a slot that was claimed alone, keeping the bell; false if there is nothing to look for
    /// yet.
    ///
    /// # Errors
    /// As [`Lane::announce`].
    #[inline(always)]
    pub(crate) fn announce_alone(&self, claim: &Claim) -> Result<bool, Fault> {
        let mut taken = true;
        let announced = self.slots.announce_alone(claim, |tail| taken = self.ring(tail));
        if taken { Ok(announced) } else { Err(Fault::Reset) }
    }

    /// Gives the kept bell away.
    ///
    /// # Errors
    /// As [`Lane::announce`].
    #[cold]
    pub(crate) fn silence(&self) -> Result<(), Fault> {
        let mut taken = true;
        self.slots.silence(|tail| taken &= self.ring(tail));
        if taken { Ok(()) } else { Err(Fault::Reset) }
    }

    /// Tells the device the new tail; false if it takes no more.
    #[inline]
    pub(crate) fn ring(&self, tail: u16) -> bool {
        let takes = !self.ring.send_stopped();
        if takes {
            mmio::store_fence();
            self.link.ring(Kind::Submission, tail);
        }
        takes
    }

    /// A glance at the next completion, as the leader, for the request in `slot`. What is not its completion stays.
    #[inline]
    pub(crate) fn glance(&self, slot: u16) -> Glance {
        let head = self.head.load(Relaxed);
        let entry = self.ring.completion(head as u16);
        if self.ring.phase_of(entry) != (head & PHASE != 0) {
            return Glance::Nothing;
        }
        // Between the phase and everything it announces: slot, write-back, output data.
        mmio::load_fence();
        if self.ring.slot_of(entry) != slot || self.ring.receive_stopped() {
            return Glance::Other;
        }
        self.consume(head);
        Glance::Own
    }

    /// The completion entry at `head` is taken.
    #[inline]
    fn consume(&self, head: u32) {
        let next = head + 1;
        let wraps = next as u16 == self.ring.geometry().cq_depth;
        self.head.store(if wraps { (head & PHASE) ^ PHASE } else { next }, Relaxed);
        let unreturned = self.unreturned.load(Relaxed) + 1;
        self.unreturned.store(unreturned, Relaxed);
        if unreturned >= self.batch {
            self.return_completions(false);
        }
    }

    /// Consumes the next completion, if there is one, as the leader, who waits for `own`; answers its slot.
    ///
    /// # Errors
    /// [`Fault::Reset`], [`Fault::Inconsistent`]. To be followed by [`Lane::stop`].
    #[inline]
    pub(crate) fn reap(&self, own: &Claim) -> Result<Option<u16>, Fault> {
        let head = self.head.load(Relaxed);
        let entry = self.ring.completion(head as u16);
        if self.ring.phase_of(entry) != (head & PHASE != 0) {
            return if self.ring.receive_stopped() { Err(Fault::Reset) } else { Ok(None) };
        }
        // Between the phase and everything it announces: slot, write-back, output data.
        mmio::load_fence();
        let slot = self.ring.slot_of(entry);
        if self.ring.receive_stopped() {
            return Err(Fault::Reset);
        }
        self.consume(head);
        match self.slots.complete(slot, own) {
            Completed::Owned => {}
            Completed::Posted => {
                self.post.deliver(slot, |sqe| self.ring.read_sqe(slot, sqe));
                self.slots.free(slot);
                self.slots.wake(slot);
            }
            Completed::Unknown => return Err(Fault::Inconsistent),
        }
        Ok(Some(slot))
    }

    /// Gives consumed completions back, with the wanted c_flag, as the leader.
    #[cold]
    pub(crate) fn return_completions(&self, arm: bool) {
        let unreturned = self.unreturned.swap(0, Relaxed);
        self.link.ring(Kind::Completion { arm }, self.head.load(Relaxed) as u16);
        if unreturned > 0 {
            // The device knows of the room before a doorbell of another thread can make use of it.
            mmio::store_fence();
            self.slots.returned(unreturned as u16);
        }
    }

    /// Gives consumed completions back if there are any, as the leader; whether there were.
    pub(crate) fn make_room(&self) -> bool {
        let any = self.unreturned.load(Relaxed) > 0;
        if any {
            self.return_completions(false);
        }
        any
    }

    /// Arms the interrupt as the leader, who may sleep if this answers `None`: a completion between the last look
    /// and the arming raises nothing, so there is a look behind it.
    ///
    /// # Errors
    /// As [`Lane::reap`].
    pub(crate) fn arm(&self, own: &Claim) -> Result<Option<u16>, Fault> {
        self.return_completions(true);
        mmio::full_fence();
        self.reap(own)
    }

    /// Ends the leadership and gives the kept bell away, if nobody has anything else from this thread and the queue is not
    /// stopped; whether it did.
    ///
    /// # Errors
    /// As [`Lane::announce`].
    #[inline]
    pub(crate) fn resign_alone(&self, slot: u16) -> Result<bool, Fault> {
        if !self.slots.is_calm(self.unreturned.load(Relaxed) as u16) || self.post.is_watched() {
            return Ok(false);
        }
        let mut taken = true;
        self.slots.resign_alone(slot, |tail| taken &= self.ring(tail));
        if !taken {
            return Err(Fault::Reset);
        }
        // As in `resign`.
        if self.post.is_watched() && self.slots.try_lead() {
            self.resign(slot)?;
        }
        Ok(true)
    }

    /// Ends the leadership of a thread whose last slot was `slot`. While somebody watches a descriptor, nobody leaves
    /// the interrupt unarmed.
    ///
    /// # Errors
    /// As [`Lane::reap`].
    #[inline]
    pub(crate) fn resign(&self, slot: u16) -> Result<(), Fault> {
        loop {
            let watched = self.post.is_watched();
            if watched {
                self.post.answer();
            }
            if watched && self.arm(&Claim::NONE)?.is_some() {
                // What came before the arming raised nothing, so it has to be taken here: less than a ring. What came
                // after it has raised the interrupt.
                for _ in 0..self.ring.geometry().cq_depth {
                    if self.reap(&Claim::NONE)?.is_none() {
                        break;
                    }
                }
            }
            self.slots.resign(slot);
            // Who begins to watch, or was told to look, tries to lead after it has said so: one of the two sees the other.
            let again = if watched { self.post.is_asked() } else { self.post.is_watched() };
            if !again || !self.slots.try_lead() {
                return Ok(());
            }
        }
    }

    /// Stops the queue for good: when this has returned, the device touches neither ring nor buffers. Answers the
    /// fault that the queue reports from now on: the first one.
    #[cold]
    pub(crate) fn stop(&self, fault: Fault) -> Fault {
        // Whoever comes second waits here until the first is through. The fault is noted before anybody can see that the
        // queue is stopped, or a thread that only sees that would be the first to name one.
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *verdict.get_or_insert(fault);
        self.slots.stop();
        if !self.quiet.load(Acquire) {
            if self.link.stop().is_err() {
                self.ring.bury();
            }
            self.quiet.store(true, Release);
        }
        drop(verdict);
        self.post.fail(first);
        self.slots.wake_all();
        first
    }

    /// Lets go of a queue that belongs to the parent process: touches no mapping and no lock, closes the inherited
    /// descriptor so that the parent's close can release the queue.
    pub(crate) fn abandon(self) {
        let Lane { ring, link, post, .. } = self;
        let _ = (ManuallyDrop::new(ring), ManuallyDrop::new(post));
        link.abandon();
    }
}
