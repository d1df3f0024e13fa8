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
        let mut refused = false;
        self.slots.announce(claim, posted, |tail| {
            if self.ring.send_stopped() {
                refused = true;
            } else {
                mmio::store_fence();
                self.link.ring(Kind::Submission, tail);
            }
        });
        if refused { Err(Fault::Reset) } else { Ok(()) }
    }

    /// Consumes the next completion, if there is one, as the leader, who waits for `own`; answers its slot.
    ///
    /// # Errors
    /// [`Fault::Reset`], [`Fault::Inconsistent`]. To be followed by [`Lane::stop`].
    #[inline]
    pub(crate) fn reap(&self, own: &Claim) -> Result<Option<u16>, Fault> {
        let head = self.head.load(Relaxed);
        let index = head as u16;
        if self.ring.phase(index) != (head & PHASE != 0) {
            return if self.ring.receive_stopped() { Err(Fault::Reset) } else { Ok(None) };
        }
        // Between the phase and everything it announces: slot, write-back, output data.
        mmio::load_fence();
        let slot = self.ring.sq_head(index);
        if self.ring.receive_stopped() {
            return Err(Fault::Reset);
        }
        let wraps = index + 1 == self.ring.geometry().cq_depth;
        self.head.store(if wraps { (head & PHASE) ^ PHASE } else { head + 1 }, Relaxed);
        let unreturned = self.unreturned.load(Relaxed) + 1;
        self.unreturned.store(unreturned, Relaxed);
        if unreturned >= self.batch {
            self.return_completions(false);
        }
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
                while self.arm(&Claim::NONE)?.is_some() {
                    while self.reap(&Claim::NONE)?.is_some() {}
                }
            }
            self.slots.resign(slot);
            // Who begins to watch tries to lead after it has said so: one of the two sees the other.
            if watched || !self.post.is_watched() || !self.slots.try_lead() {
                return Ok(());
            }
        }
    }

    /// Stops the queue for good: when this has returned, the device touches neither ring nor buffers. Answers the
    /// fault that the queue reports from now on: the first one.
    #[cold]
    pub(crate) fn stop(&self, fault: Fault) -> Fault {
        self.slots.stop();
        // Whoever comes second waits here until the first is through.
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *verdict.get_or_insert(fault);
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
