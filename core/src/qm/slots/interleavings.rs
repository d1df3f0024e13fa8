//! Every interleaving, and every order in which memory may show it, of a few threads on a small queue (`ci/loom`). The
//! device completes at the doorbell, in the thread that rings; its completions and its descriptors are relaxed atomics, so
//! that a missing order in the protocol shows as a wrong word.

use std::sync::atomic::AtomicBool as Plain;

use loom::sync::Arc;
use loom::thread;

use super::*;

/// A queue of so many entries with its device.
struct Queue {
    slots: Slots,
    depth: u16,
    entries: Vec<AtomicU64>,
    /// Completed slots, plus one, in order; the device's side of the completion queue.
    completions: Vec<AtomicU32>,
    written: AtomicU32,
    /// The device's.
    head: AtomicU32,
    /// The leader's.
    consumed: AtomicU32,
    /// Somebody rings at this moment, somebody leads: no part of the protocol, so no part of the model.
    ringing: Plain,
    leading: Plain,
}

impl Queue {
    fn new(depth: u16, requests: usize) -> Queue {
        Queue {
            slots: Slots::new(depth, depth - 1),
            depth,
            entries: (0..depth).map(|_| AtomicU64::new(0)).collect(),
            completions: (0..requests).map(|_| AtomicU32::new(0)).collect(),
            written: AtomicU32::new(0),
            head: AtomicU32::new(0),
            consumed: AtomicU32::new(0),
            ringing: Plain::new(false),
            leading: Plain::new(false),
        }
    }

    /// The device takes what is announced, inverts it, and completes it.
    fn ring(&self, tail: u16) {
        assert!(!self.ringing.swap(true, Relaxed), "two ring at the same time");
        let mut at = self.head.load(Relaxed) as u16;
        assert_ne!(at, tail, "a doorbell for nothing, or backwards");
        while at != tail {
            let entry = &self.entries[usize::from(at)];
            entry.store(!entry.load(Relaxed), Relaxed);
            let index = self.written.load(Relaxed);
            self.written.store(index + 1, Relaxed);
            self.completions[index as usize].store(u32::from(at) + 1, Release);
            at = (at + 1) % self.depth;
        }
        self.head.store(at.into(), Relaxed);
        self.ringing.store(false, Relaxed);
    }

    /// Consumes one completion, as the leader.
    fn reap(&self, own: &Claim) -> bool {
        assert!(!self.leading.swap(true, Relaxed), "two lead at the same time");
        let index = self.consumed.load(Relaxed);
        let slot = self.completions.get(index as usize).map_or(0, |entry| entry.load(Acquire));
        if slot != 0 {
            self.consumed.store(index + 1, Relaxed);
            let state = self.slots.state[slot as usize - 1].load(Acquire);
            let completed = self.slots.complete(slot as u16 - 1, own);
            assert_ne!(completed, Completed::Unknown, "slot {} in state {state}", slot - 1);
            self.slots.returned(1);
        }
        self.leading.store(false, Relaxed);
        slot != 0
    }

    /// Consumes the next completion if it is that of `slot`, as the leader.
    fn glance(&self, slot: u16) -> bool {
        let index = self.consumed.load(Relaxed);
        let own = self.completions[index as usize].load(Acquire) == u32::from(slot) + 1;
        if own {
            self.consumed.store(index + 1, Relaxed);
            self.slots.returned(1);
        }
        own
    }

    /// As `Shared` claims when it is not alone; `None` on a stopped queue.
    fn claim(&self) -> Option<Claim> {
        loop {
            match self.slots.claim(1, true) {
                Ok(claim) => return Some(claim),
                Err(Denied::Stopped) => return None,
                Err(Denied::Full) => {
                    if self.slots.try_lead() {
                        self.reap(&Claim::NONE);
                        self.slots.resign(0);
                    }
                    thread::yield_now();
                }
            }
        }
    }

    /// One request as `Shared` does it; `None` on a stopped queue.
    fn execute(&self, value: u64) -> Option<()> {
        let alone = self.slots.claim_alone();
        let is_alone = alone.is_some();
        let mut claim = alone.map_or_else(|| self.claim(), Some)?;
        let slot = claim.first;
        let entry = &self.entries[usize::from(slot)];
        entry.store(value, Relaxed);
        if is_alone {
            // One look with the bell in hand.
            if self.slots.announce_alone(&claim, |tail| self.ring(tail)) {
                if self.glance(slot) {
                    // Its completion is returned, and what it carries not yet read.
                    thread::yield_now();
                    assert_eq!(entry.load(Relaxed), !value, "somebody else's answer");
                    if self.slots.is_calm(0) {
                        self.slots.resign_alone(slot, |tail| self.ring(tail));
                    } else {
                        self.slots.silence(|tail| self.ring(tail));
                        self.slots.resign(slot);
                    }
                    return Some(());
                }
                self.slots.sent(slot);
            }
            self.slots.silence(|tail| self.ring(tail));
        } else {
            self.slots.announce(&claim, false, |tail| self.ring(tail));
        }
        loop {
            if claim.leading {
                while !self.slots.is_done(slot) && self.reap(&claim) {}
            }
            if self.slots.is_done(slot) {
                break;
            }
            if self.slots.is_stopped() {
                return None;
            }
            if !claim.leading && self.slots.try_lead() {
                claim.leading = true;
            } else if claim.leading {
                thread::yield_now();
            } else {
                self.slots.park(slot, Duration::MAX);
                thread::yield_now();
            }
        }
        assert_eq!(entry.load(Relaxed), !value, "somebody else's answer");
        self.slots.free(slot);
        if claim.leading {
            self.slots.resign(slot);
        } else {
            self.slots.leave(slot);
        }
        Some(())
    }
}

/// All interleavings with so many preemptions at most, or the first so many (LOOM_MAX_PERMUTATIONS asks for more).
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    const MOST: usize = 30_000;
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_permutations = builder.max_permutations.or(Some(MOST));
    builder.check(model);
}

/// So many threads run `each` requests on a queue of `depth`.
fn threads(depth: u16, threads: u64, each: u64) {
    let queue = Arc::new(Queue::new(depth, (threads * each) as usize));
    let run =
        move |queue: &Queue, thread: u64| (0..each).for_each(|n| queue.execute(10 * thread + n + 1).unwrap());
    let others: Vec<_> = (1..threads)
        .map(|n| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || run(&queue, n))
        })
        .collect();
    run(&queue, 0);
    others.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(queue.slots.used(), 0);
    assert!(!queue.slots.is_led());
}

#[test]
fn two_threads_meet_on_a_queue_with_room() {
    explore(3, || threads(4, 2, 1));
}

#[test]
fn two_threads_go_round_a_queue() {
    explore(2, || threads(3, 2, 2));
}

#[test]
fn two_threads_share_a_single_slot() {
    explore(2, || threads(2, 2, 1));
}

#[test]
fn three_threads_meet() {
    explore(1, || threads(4, 3, 1));
}

#[test]
fn stop_reaches_everybody_and_nobody_sleeps_on() {
    explore(2, || {
        let queue = Arc::new(Queue::new(4, 2));
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.execute(1);
            })
        };
        // As `Lane::stop`: first nobody claims, then those inside are woken.
        queue.slots.stop();
        queue.slots.wake_all();
        assert!(queue.execute(2).is_none());
        other.join().unwrap();
    });
}

/// A waiter that never leads, beside a leader that leaves in the middle: the sleeper is woken to lead.
#[test]
fn leader_that_leaves_wakes_a_sleeper() {
    explore(3, || {
        let queue = Arc::new(Queue::new(4, 1));
        assert!(queue.slots.lead());
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.execute(7).unwrap())
        };
        queue.slots.resign(0);
        other.join().unwrap();
    });
}
