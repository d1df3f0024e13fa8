//! The slot protocol: who may write which submission slot, who rings, who looks for completions, who sleeps. No ring
//! memory and no doorbell here, so that `ci/loom` can check every interleaving. A little over 500 lines: the protocol is
//! one argument, which is read and checked as a whole.
//!
//! One word carries what threads must agree on: the tail, the credit in use, how many threads ask for a doorbell,
//! whether somebody leads, whether the queue is stopped. A request of a thread that is alone takes two atomic
//! steps on it: *claim* (slot, leadership and the bell in one), and the end of all that.
//!
//! * **Claim**: the tail moves over FREE slots as far as credit goes; credit = depth − 1 − claimed requests whose
//!   completion was not yet returned by a doorbell. A claimed slot belongs to its claimer.
//! * **Announce**: the claimer marks its slot READY. The first to ask for the bell rings for all READY slots in a row;
//!   who asks meanwhile leaves it to the ringer, who goes round again. So one doorbell serves all that meet, tails
//!   never go backwards, and a slot still being written holds back those behind it.
//! * **Lead**: one thread at a time consumes completions, for all; a completed slot is DONE until its owner has read it
//!   and makes it FREE.
//! * **Park**: who does not lead may sleep, but only while somebody leads. Who stops leading wakes a sleeper. Both
//!   sides change the word after they have said what they want, so one of them sees the other.

use std::time::Duration;

use std::sync::PoisonError;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::qm::meter::Counts;
use crate::sync::{AtomicU32, AtomicU64, Condvar, Mutex};

/// \[15:0\] tail, \[31:16\] credit in use, \[45:32\] passes over the ring (so that an old word is not mistaken for a
/// new one), 46 leading, 47 stopped, \[63:48\] threads that want the bell.
const USED_SHIFT: u32 = 16;
const PASS_SHIFT: u32 = 32;
const PASS_MASK: u64 = 0x3FFF << PASS_SHIFT;
const LEADING: u64 = 1 << 46;
const STOPPED: u64 = 1 << 47;
const BELL: u64 = 1 << 48;

/// Nobody's; may be claimed.
const FREE: u32 = 0;
/// Written, to be announced.
const READY: u32 = 1;
/// Announced to the device.
const SENT: u32 = 2;
/// Completed, to be read and freed by its owner.
const DONE: u32 = 3;
const STEP: u32 = 3;
/// The owner sleeps and must be woken.
const PARKED: u32 = 4;
/// Nobody waits in this slot: what it carries is handed over and the slot freed when it completes.
const POSTED: u32 = 8;

/// Places to sleep, by slot number. More would only spare wake-ups for nothing.
const BERTHS: usize = 16;

/// Why no slot was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No credit, or the slot at the tail is not free yet.
    Full,
    /// The queue is stopped.
    Stopped,
}

/// Slots claimed in a row, from `first`, modulo the depth.
#[derive(Debug)]
#[must_use]
pub(crate) struct Claim {
    pub(crate) first: u16,
    pub(crate) count: u16,
    /// The slot behind them.
    tail: u16,
    /// The claimer has become the leader with the same step.
    pub(crate) leading: bool,
    ringing: bool,
}

impl Claim {
    /// No slots, for a thread that waits for none.
    pub(crate) const NONE: Claim = Claim { first: 0, count: 0, tail: 0, leading: false, ringing: false };

    /// The first of the slots has been given back: it may be another's from now on.
    #[inline]
    pub(crate) fn gave_back(&mut self, depth: u16) {
        self.first = if self.first + 1 == depth { 0 } else { self.first + 1 };
        self.count -= 1;
    }

    /// No slots, of the leader.
    pub(crate) const fn leader() -> Claim {
        Claim { leading: true, ..Claim::NONE }
    }

    #[inline]
    fn has(&self, slot: u16, depth: u16) -> bool {
        let offset = if slot >= self.first { slot - self.first } else { slot + (depth - self.first) };
        offset < self.count
    }
}

/// What a completion meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completed {
    /// The slot's owner will find it, and was woken if it slept.
    Owned,
    /// Nobody waits in the slot: hand over what it carries, then [`Slots::free`] it.
    Posted,
    /// No such request is in flight.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Slots {
    word: AtomicU64,
    /// First slot not yet announced; the ringer's.
    announced: AtomicU32,
    depth: u16,
    limit: u16,
    state: Box<[AtomicU32]>,
    /// Threads that sleep or are about to.
    sleepers: AtomicU32,
    berths: [Berth; BERTHS],
    pub(crate) counts: Counts,
}

#[derive(Debug)]
struct Berth {
    /// Threads asleep here.
    asleep: Mutex<u32>,
    wake: Condvar,
}

/// The word in the next pass over the ring.
#[cold]
const fn pass(word: u64) -> u64 {
    word & !PASS_MASK | (word + (1 << PASS_SHIFT)) & PASS_MASK
}

impl Slots {
    /// All slots of a submission queue of `depth` entries free, with room for `limit` requests at a time.
    pub(crate) fn new(depth: u16, limit: u16) -> Slots {
        Slots {
            word: AtomicU64::new(0),
            announced: AtomicU32::new(0),
            depth,
            limit,
            state: (0..depth).map(|_| AtomicU32::new(FREE)).collect(),
            sleepers: AtomicU32::new(0),
            berths: std::array::from_fn(|_| Berth { asleep: Mutex::new(0), wake: Condvar::new() }),
            counts: Counts::default(),
        }
    }

    /// The slot `offset` after `first`.
    #[inline]
    pub(crate) fn at(&self, first: u16, offset: u16) -> u16 {
        let index = u32::from(first) + u32::from(offset);
        let depth = u32::from(self.depth);
        // Below twice the depth, which fits.
        (if index >= depth { index - depth } else { index }) as u16
    }

    /// All slots, for an owner that shares with nobody.
    pub(crate) fn all(&self) -> Claim {
        Claim { count: self.depth, ..Claim::leader() }
    }

    /// Half of what can be claimed at a time, at least one.
    pub(crate) fn half(&self) -> u16 {
        (self.limit / 2).max(1)
    }

    /// Claims one slot and leads, if nobody else leads, rings or stops, and there is room: what a thread does that is
    /// alone. `None` says nothing about the queue.
    #[inline]
    pub(crate) fn claim_alone(&self) -> Option<Claim> {
        let word = self.word.load(Acquire);
        let (first, used) = (word as u16, (word >> USED_SHIFT) as u16);
        // Nothing from the leading bit upwards.
        let alone = word < LEADING && used < self.limit;
        if !alone || self.state[usize::from(first)].load(Acquire) != FREE {
            return None;
        }
        let tail = self.at(first, 1);
        let mut next = (word & !0xFFFF | u64::from(tail)) + (1 << USED_SHIFT);
        if tail == 0 {
            next = pass(next);
        }
        let taken = self.word.compare_exchange(word, next + LEADING + BELL, AcqRel, Relaxed);
        taken.ok().map(|_| Claim { first, count: 1, tail, leading: true, ringing: true })
    }

    /// Claims up to `wanted` slots, at least one; with `lead`, becomes the leader if there is none.
    #[inline]
    pub(crate) fn claim(&self, wanted: u16, lead: bool) -> Result<Claim, Denied> {
        let mut word = self.word.load(Acquire);
        let mut tries = 0;
        loop {
            if word & STOPPED != 0 {
                return Err(Denied::Stopped);
            }
            let (first, used) = (word as u16, (word >> USED_SHIFT) as u16);
            let room = wanted.min(self.limit.saturating_sub(used));
            let free = |&offset: &u16| self.state[usize::from(self.at(first, offset))].load(Acquire) == FREE;
            let count = (0..room).take_while(free).count() as u16;
            if count == 0 {
                // The slot may have been claimed since the word was read.
                let now = self.word.load(Acquire);
                if now == word {
                    return Err(Denied::Full);
                }
                word = now;
                continue;
            }
            let tail = self.at(first, count);
            let mut next = word & !0xFFFF | u64::from(tail);
            if tail < first {
                next = pass(next);
            }
            next += u64::from(count) << USED_SHIFT;
            let leading = lead && word & LEADING == 0;
            if leading {
                next |= LEADING;
            }
            let ringing = word < BELL;
            if ringing {
                next += BELL;
            }
            match self.word.compare_exchange_weak(word, next, AcqRel, Acquire) {
                Ok(_) => {
                    if tries > 0 {
                        self.counts.retried(tries);
                    }
                    return Ok(Claim { first, count, tail, leading, ringing });
                }
                Err(now) => word = now,
            }
            tries += 1;
        }
    }

    /// Marks the claimed slots as written, and has them announced: by `ring` (with the new tail) here, or by the
    /// thread that is ringing at the moment. With `posted`, nobody will wait in these slots.
    #[inline]
    pub(crate) fn announce(&self, claim: &Claim, posted: bool, ring: impl FnMut(u16)) {
        let ready = READY | if posted { POSTED } else { 0 };
        for offset in 0..claim.count {
            self.state[usize::from(self.at(claim.first, offset))].store(ready, Release);
        }
        if !claim.ringing && self.word.fetch_add(BELL, AcqRel) >= BELL {
            self.counts.left_to_ringer();
            return;
        }
        self.ring_on(1, ring);
    }

    /// As [`Slots::announce`] after [`Slots::claim_alone`], but keeps the bell, and leaves the slot's state as it is: the
    /// leader alone looks at it, and credit keeps the tail from coming round to it as long as this leader returns none
    /// but its own. [`Slots::resign_alone`] is to follow soon; otherwise [`Slots::sent`] and [`Slots::silence`], at once
    /// if the bell [is wanted](Slots::is_bell_wanted).
    #[inline(always)]
    pub(crate) fn announce_alone(&self, claim: &Claim, ring: impl FnOnce(u16)) -> bool {
        let (slot, tail) = (claim.first, claim.tail);
        if self.announced.load(Relaxed) != u32::from(slot) {
            // A slot before this one is still written. Its thread asks for the bell when it is done.
            self.state[usize::from(slot)].store(READY, Release);
            return false;
        }
        self.announced.store(tail.into(), Relaxed);
        ring(tail);
        true
    }

    /// What [`Slots::announce_alone`] has announced is in flight for all to see.
    pub(crate) fn sent(&self, slot: u16) {
        self.state[usize::from(slot)].store(SENT, Release);
    }

    /// Whether the queue is not stopped and nothing is claimed but `unreturned` requests.
    #[inline]
    pub(crate) fn is_calm(&self, unreturned: u16) -> bool {
        let word = self.word.load(Relaxed);
        word & STOPPED == 0 && (word >> USED_SHIFT) as u16 == unreturned
    }

    /// Whether somebody asks the ringer to go round again.
    #[inline]
    pub(crate) fn is_bell_wanted(&self) -> bool {
        self.word.load(Relaxed) >= 2 * BELL
    }

    /// Gives the bell away that [`Slots::announce_alone`] has kept, and rings for all who have asked meanwhile.
    pub(crate) fn silence(&self, ring: impl FnMut(u16)) {
        self.ring_on(1, ring);
    }

    /// Gives away the leadership and the kept bell in one step; as [`Slots::resign`] and [`Slots::silence`].
    #[inline]
    pub(crate) fn resign_alone(&self, slot: u16, ring: impl FnMut(u16)) {
        let left = self.word.fetch_sub(LEADING + BELL, AcqRel) / BELL - 1;
        if self.sleepers.load(Relaxed) != 0 {
            self.wake_one(slot);
        }
        if left > 0 {
            self.ring_on(left, ring);
        }
    }

    /// Rings as long as somebody asks for it; `served` threads have asked so far.
    fn ring_on(&self, mut served: u64, mut ring: impl FnMut(u16)) {
        loop {
            let from = self.announced.load(Relaxed) as u16;
            let mut at = from;
            loop {
                let slot = &self.state[usize::from(at)];
                let state = slot.load(Acquire);
                if state & STEP != READY {
                    break;
                }
                // Nobody else changes a slot that is READY.
                slot.store(state - READY + SENT, Release);
                at = self.at(at, 1);
            }
            if at != from {
                self.announced.store(at.into(), Relaxed);
                ring(at);
            }
            let left = (self.word.fetch_sub(served * BELL, AcqRel) / BELL) - served;
            if left == 0 {
                return;
            }
            served = left;
        }
    }

    /// Claims the next slot for an owner that shares with nobody: no atomic steps. To be written, and then
    /// [`Slots::announced_owned`].
    #[inline]
    pub(crate) fn claim_owned(&self) -> Result<u16, Denied> {
        let word = self.word.load(Relaxed);
        let (slot, used) = (word as u16, (word >> USED_SHIFT) as u16);
        if word & STOPPED != 0 {
            return Err(Denied::Stopped);
        }
        if used >= self.limit || self.state[usize::from(slot)].load(Relaxed) != FREE {
            return Err(Denied::Full);
        }
        let next = word & !0xFFFF | u64::from(self.at(slot, 1));
        self.word.store(next + (1 << USED_SHIFT), Relaxed);
        Ok(slot)
    }

    /// The slot is about to be announced; answers the new tail.
    #[inline]
    pub(crate) fn announced_owned(&self, slot: u16) -> u16 {
        self.state[usize::from(slot)].store(SENT, Relaxed);
        self.word.load(Relaxed) as u16
    }

    /// Becomes the leader, if there is none and the queue is not stopped.
    #[inline]
    pub(crate) fn try_lead(&self) -> bool {
        self.word.load(Relaxed) & (LEADING | STOPPED) == 0 && self.lead()
    }

    /// As [`Slots::try_lead`], but a refusal is certain: the leader there is sees all that this thread did before.
    pub(crate) fn lead(&self) -> bool {
        self.word.fetch_or(LEADING, AcqRel) & LEADING == 0
    }

    /// Ends the leadership; the oldest sleeper after `slot`, if there is one, is woken to take it.
    #[inline]
    pub(crate) fn resign(&self, slot: u16) {
        self.word.fetch_and(!LEADING, AcqRel);
        // A thread that is about to sleep counts itself before it looks at the word.
        if self.sleepers.load(Relaxed) != 0 {
            self.wake_one(slot);
        }
    }

    #[cold]
    fn wake_one(&self, slot: u16) {
        for offset in 1..=BERTHS {
            let berth = &self.berths[(usize::from(slot) + offset) % BERTHS];
            if *berth.asleep.lock().unwrap_or_else(PoisonError::into_inner) > 0 {
                berth.wake.notify_one();
                return;
            }
        }
    }

    /// The leader, who waits for `own`, has found the completion of `slot`.
    #[inline]
    pub(crate) fn complete(&self, slot: u16, own: &Claim) -> Completed {
        let Some(state) = self.state.get(usize::from(slot)) else { return Completed::Unknown };
        let before = state.load(Acquire);
        if before & STEP != SENT {
            return Completed::Unknown;
        }
        if own.has(slot, self.depth) {
            // Nobody else changes it.
            state.store(DONE, Relaxed);
            return Completed::Owned;
        }
        let before = state.fetch_add(DONE - SENT, AcqRel);
        if before & PARKED != 0 {
            self.wake(slot);
        }
        if before & POSTED != 0 { Completed::Posted } else { Completed::Owned }
    }

    /// Wakes whoever sleeps in the berth of `slot`.
    #[cold]
    pub(crate) fn wake(&self, slot: u16) {
        let berth = &self.berths[usize::from(slot) % BERTHS];
        let asleep = berth.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        if *asleep > 0 {
            berth.wake.notify_all();
        }
    }

    /// Whether the request in `slot` has completed; only its owner may ask.
    #[inline]
    pub(crate) fn is_done(&self, slot: u16) -> bool {
        self.state[usize::from(slot)].load(Acquire) & STEP == DONE
    }

    /// The owner of a completed slot has read it.
    #[inline]
    pub(crate) fn free(&self, slot: u16) {
        self.state[usize::from(slot)].store(FREE, Release);
    }

    /// `count` completions have been returned by a doorbell; the leader's.
    #[inline]
    pub(crate) fn returned(&self, count: u16) {
        self.word.fetch_sub(u64::from(count) << USED_SHIFT, Release);
    }

    /// Requests claimed whose completion has not been returned.
    #[inline]
    pub(crate) fn used(&self) -> u16 {
        (self.word.load(Relaxed) >> USED_SHIFT) as u16
    }

    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.word.load(Acquire) & STOPPED != 0
    }

    #[inline]
    pub(crate) fn is_led(&self) -> bool {
        self.word.load(Acquire) & LEADING != 0
    }

    /// From now on nothing is claimed and nobody begins to sleep. [`Slots::wake_all`] comes when that has had its
    /// effect.
    pub(crate) fn stop(&self) {
        self.word.fetch_or(STOPPED, AcqRel);
    }

    /// Wakes every sleeper.
    pub(crate) fn wake_all(&self) {
        (0..BERTHS as u16).for_each(|berth| self.wake(berth));
    }

    /// Sleeps until `slot`, which the caller owns, is completed, or the leadership is free, or the queue is stopped, at
    /// most for `timeout`. May return early for no reason.
    pub(crate) fn park(&self, slot: u16, timeout: Duration) {
        let state = &self.state[usize::from(slot)];
        let mut parked = false;
        self.sleep(slot, timeout, || {
            // A slot that is still to be announced is a matter of moments.
            parked = state.compare_exchange(SENT, SENT | PARKED, AcqRel, Acquire).is_ok();
            parked
        });
        if parked {
            state.fetch_and(!PARKED, AcqRel);
        }
    }

    /// For a thread that stops waiting without having led: it may have been woken to lead, so it wakes the next.
    #[inline]
    pub(crate) fn leave(&self, slot: u16) {
        if self.sleepers.load(Relaxed) != 0 && !self.is_led() {
            self.wake_one(slot);
        }
    }

    /// As [`Slots::park`], for a posted request: `waiting` tells whether it is still to be waited for, and who changes
    /// that calls [`Slots::wake`].
    pub(crate) fn sleep(&self, slot: u16, timeout: Duration, waiting: impl FnOnce() -> bool) {
        let berth = &self.berths[usize::from(slot) % BERTHS];
        let mut asleep = berth.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        *asleep += 1;
        self.sleepers.fetch_add(1, Relaxed);
        // A step on the word, not a look: it comes before the leader's last step, which then sees the sleeper, or
        // after it, and then sees that nobody leads.
        if waiting() && self.word.fetch_or(0, AcqRel) & (LEADING | STOPPED) == LEADING {
            self.counts.parked();
            asleep = berth.wake.wait_timeout(asleep, timeout).unwrap_or_else(PoisonError::into_inner).0;
        }
        *asleep -= 1;
        self.sleepers.fetch_sub(1, Relaxed);
    }
}

#[cfg(all(test, loom))]
mod interleavings;
#[cfg(all(test, not(loom)))]
mod tests;
