//! The open queues of a process, each a seat, and the list of them.
//!
//! The list is copied when it changes, which is when a queue is opened or closed; threads keep the copy that they saw
//! last and look at a number to see whether there is a newer one. So no request takes the lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::occupancy::Occupancy;
use super::queue::Queue;

/// An open queue. Not in the cache line of another.
#[repr(align(128))]
pub(super) struct Seat {
    pub(super) occupancy: Occupancy,
    /// When it was last taken.
    pub(super) used: AtomicU64,
    /// Number of its device.
    pub(super) device: usize,
    /// Algorithm class of the queue ([`crate::Op::qc_type`]).
    pub(super) class: u16,
    /// Stopped by then, it is closed when the seat is dropped: nobody but the list and leases holds one for long.
    pub(super) queue: Box<dyn Queue>,
    /// Dropped after the queue, so that the budget counts what is really open.
    _reserved: Reservation,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seat { occupancy, device, class, .. } = self;
        write!(f, "Seat {{ device: {device}, class: {class}, {occupancy:?} }}")
    }
}

impl Seat {
    /// A queue that was opened a moment ago, taken by who did it.
    pub(super) fn taken(
        device: usize,
        class: u16,
        queue: Box<dyn Queue>,
        reserved: Reservation,
        now: u64,
    ) -> Arc<Seat> {
        let (occupancy, used) = (Occupancy::taken(), AtomicU64::new(now));
        Arc::new(Seat { occupancy, used, device, class, queue, _reserved: reserved })
    }

    /// Not taken for `idle` milliseconds, and nobody sits there.
    pub(super) fn idle(&self, now: u64, idle: u64) -> bool {
        self.occupancy.users() == Some(0) && now.saturating_sub(self.used.load(Ordering::Relaxed)) >= idle
    }
}

/// A queue that counts: open, or being opened.
#[derive(Debug)]
pub(super) struct Reservation(Arc<AtomicUsize>);

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Seats in the order of their devices.
pub(super) type List = Arc<[Arc<Seat>]>;

/// Every seat of a process.
#[derive(Debug)]
pub(super) struct Seats {
    list: Mutex<List>,
    version: AtomicU64,
    count: Arc<AtomicUsize>,
}

impl Seats {
    pub(super) fn new() -> Self {
        Seats { list: Mutex::new(Arc::new([])), version: AtomicU64::new(0), count: Arc::default() }
    }

    /// Queues open or being opened.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Counts a queue that is about to be opened, if `cap` allows one more.
    pub(super) fn reserve(&self, cap: usize) -> Option<Reservation> {
        let below = |count: usize| (count < cap).then_some(count + 1);
        let reserved = self.count.fetch_update(Ordering::Acquire, Ordering::Relaxed, below);
        reserved.ok().map(|_| Reservation(Arc::clone(&self.count)))
    }

    /// Changes whenever the list does.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The list and its version.
    pub(super) fn snapshot(&self) -> (u64, List) {
        let list = self.list.lock();
        (self.version(), list.clone())
    }

    /// The list, unless somebody is changing it; in a child, for whom nobody will ever end that.
    pub(super) fn try_list(&self) -> Option<List> {
        self.list.try_lock().map(|list| list.clone())
    }

    pub(super) fn add(&self, seat: Arc<Seat>) {
        self.change(|seats| {
            let at = seats.partition_point(|other| other.device <= seat.device);
            seats.insert(at, seat);
        });
    }

    pub(super) fn remove(&self, seat: &Arc<Seat>) {
        self.change(|seats| seats.retain(|other| !Arc::ptr_eq(other, seat)));
    }

    /// As a thread that is changing the list.
    #[cfg(test)]
    pub(super) fn lock_for_test(&self) -> parking_lot::MutexGuard<'_, List> {
        self.list.lock()
    }

    fn change(&self, edit: impl FnOnce(&mut Vec<Arc<Seat>>)) {
        let mut list = self.list.lock();
        let mut seats = list.to_vec();
        edit(&mut seats);
        let old = std::mem::replace(&mut *list, seats.into());
        self.version.fetch_add(1, Ordering::Release);
        drop(list);
        // Not under the lock: the last reference to a queue may go with it.
        drop(old);
    }
}
