//! The devices as one process sees them, what it believes of them, and its queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use once_cell::race::OnceBox;

use super::distance::Distances;
use super::door::{Door, Obstacle};
use super::occupancy::Closing;
use super::seats::{Seat, Seats};
use super::trust::Trust;
use crate::Fault;
use crate::job::{Op, Why};
use crate::stats::{self, Event};
use crate::uacce::{Device, Kind, process};

/// See the room's description; the pool holds a chain of these.
pub(super) struct Generation {
    /// Shared with no other of this process or its ancestors; never 0.
    pub(super) id: u64,
    owner: u64,
    /// Made by a child that found its parent's.
    forked: bool,
    pub(super) devices: Arc<[Device]>,
    pub(super) distances: Distances,
    /// Per device.
    pub(super) doors: Box<[Door]>,
    /// Per device: leases out at the moment, whichever queues they are of.
    pub(super) busy: Box<[AtomicU32]>,
    /// Per device, then by kind of work.
    trust: Box<[[Trust; Op::ALL.len()]]>,
    /// Per kind: every device of it has refused this process for lack of permission.
    refused: [AtomicBool; Kind::ALL.len()],
    /// The process has opened a queue, so no sandbox keeps it from the system calls that go with one. A child may
    /// have entered a sandbox, whatever its parent did before.
    opened: AtomicBool,
    pub(super) seats: Seats,
    /// When somebody should look for idle queues; never while none is open.
    sweep: AtomicU64,
    pub(super) next: OnceBox<Generation>,
}

impl Generation {
    /// A process's first look, or a new one. What `before` had found out about the same devices stays known.
    pub(super) fn new(devices: Arc<[Device]>, before: Option<&Generation>, forked: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let known = |device: &Device| {
            let before = before?;
            let index = before.devices.iter().position(|other| other == device)?;
            Some(&before.trust[index])
        };
        let trust = devices.iter().map(|device| match known(device) {
            Some(known) => std::array::from_fn(|op| known[op].inherited()),
            None => std::array::from_fn(|_| Trust::new()),
        });
        Generation {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            owner: process::identity(),
            forked,
            // A child may be in a sandbox, and its parent's table is as good.
            distances: match before {
                Some(before) if forked => before.distances.clone(),
                _ => Distances::of(&devices),
            },
            doors: devices.iter().map(|_| Door::default()).collect(),
            busy: devices.iter().map(|_| AtomicU32::new(0)).collect(),
            trust: trust.collect(),
            devices,
            refused: Default::default(),
            opened: AtomicBool::new(false),
            seats: Seats::new(),
            sweep: AtomicU64::new(u64::MAX),
            next: OnceBox::new(),
        }
    }

    /// Whether this process made it.
    pub(super) fn is_ours(&self) -> bool {
        self.owner == process::identity()
    }

    pub(super) fn trust(&self, device: usize, op: Op) -> &Trust {
        &self.trust[device][op.index()]
    }

    pub(super) fn has_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }

    /// What a lasting refusal is called.
    pub(super) const fn refusal(&self) -> Why {
        if self.forked { Why::Forked } else { Why::NoDevice }
    }

    pub(super) fn is_refused(&self, kind: Kind) -> bool {
        self.refused[kind.index()].load(Ordering::Relaxed)
    }

    /// Latches that no device of `kind` may be opened, if it is so.
    pub(super) fn latch_refusal(&self, kind: Kind) {
        let mut doors = self.devices.iter().zip(&self.doors).filter(|(device, _)| device.kind == kind);
        if doors.all(|(_, door)| matches!(door.obstacle(), Some(Obstacle::Refused(_)))) {
            self.refused[kind.index()].store(true, Ordering::Relaxed);
        }
    }

    /// Takes up an opened queue.
    pub(super) fn seat(&self, seat: Arc<Seat>, next_sweep: u64) {
        self.opened.store(true, Ordering::Relaxed);
        self.doors[seat.device].opened();
        self.seats.add(seat);
        self.sweep.fetch_min(next_sweep, Ordering::AcqRel);
        stats::event(Event::QueueOpened);
    }

    /// Stops the queue of a closed seat that everybody has left, and forgets it: it is closed when the caller drops the
    /// seat. No lock is held.
    pub(super) fn dispose(&self, seat: &Arc<Seat>) {
        seat.queue.retire(Fault::Reset);
        self.seats.remove(seat);
    }

    /// Closes a free seat's queue; false if the seat is not free.
    pub(super) fn close_free(&self, seat: &Arc<Seat>, event: Event) -> bool {
        let closed = seat.occupancy.close_if_free();
        if closed {
            self.dispose(seat);
            stats::event(event);
        }
        closed
    }

    /// Lets nobody on this seat any more; its queue is closed when the last one leaves. Whether it was open.
    pub(super) fn close(&self, seat: &Arc<Seat>, event: Event) -> bool {
        let closing = seat.occupancy.close();
        if closing == Closing::Empty {
            self.dispose(seat);
        }
        if closing != Closing::Already {
            stats::event(event);
        }
        closing != Closing::Already
    }

    /// A queue that is closed by now was found dead, or `fault` has killed it.
    pub(super) fn lost(&self, seat: &Arc<Seat>, fault: Fault) {
        log::warn!("{}: queue given up: {fault}", self.devices[seat.device].name);
        if fault == Fault::Reset {
            self.look_after(seat.device);
        }
    }

    /// A queue of the device was reset. If none of its others is alive then it was the whole device, which has
    /// to prove itself again.
    fn look_after(&self, device: usize) {
        let (_, list) = self.seats.snapshot();
        let mut alive = false;
        for seat in list.iter().filter(|seat| seat.device == device && seat.occupancy.users().is_some()) {
            if seat.queue.is_alive() {
                alive = true;
            } else {
                self.close(seat, Event::QueueRetired);
            }
        }
        if !alive {
            self.trust[device].iter().for_each(Trust::doubt);
        }
    }

    /// When somebody should look for idle queues.
    pub(super) fn sweep_due(&self) -> u64 {
        self.sweep.load(Ordering::Relaxed)
    }

    /// Closes the queues that nobody has used for `idle` milliseconds, and those that died meanwhile.
    pub(super) fn sweep(&self, now: u64, idle: u64) {
        let due = self.sweep_due();
        let next = now.saturating_add(interval(idle));
        // One thread sweeps, the others go on.
        if now < due || self.sweep.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let (_, list) = self.seats.snapshot();
        for seat in &*list {
            if seat.idle(now, idle) {
                self.close_free(seat, Event::IdleClosed);
            } else if seat.occupancy.users() == Some(0)
                && !seat.queue.is_alive()
                && self.close(seat, Event::QueueRetired)
            {
                self.lost(seat, Fault::Reset);
            }
        }
        // What was closed counts until the list goes.
        drop(list);
        let nothing_open = self.seats.count() == 0;
        if nothing_open
            && self.sweep.compare_exchange(next, u64::MAX, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            // A queue may have been taken up in between: it is counted before it asks for a sweep.
            && self.seats.count() != 0
        {
            self.sweep.fetch_min(next, Ordering::Relaxed);
        }
    }

    /// Ends the use of a generation that another has replaced: what is lent is closed on its return.
    pub(super) fn close_all(&self) {
        let (_, list) = self.seats.snapshot();
        for seat in &*list {
            self.close(seat, Event::QueueClosed);
        }
    }

    /// In a forked child: closes the descriptors that it inherited, so that the parent's close can release its
    /// queues. Not if a thread was changing the list when the process was copied: nobody will end that here.
    pub(super) fn let_go(&self) {
        for seat in self.seats.try_list().iter().flat_map(|list| list.iter()) {
            seat.queue.retire(Fault::Reset);
        }
    }
}

/// How often to look for queues that are idle for `idle` milliseconds.
pub(super) fn interval(idle: u64) -> u64 {
    (idle / 4).max(1)
}
