//! How threads of one queue met: what contention cost, for measurements.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Counts since the queue was opened. Nothing of it is counted on the way of a thread that is alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meter {
    /// Claims that had to be tried again because another thread came first.
    pub retried: u64,
    /// Most further tries of one claim: an upper bound of how often it was overtaken.
    pub longest_retry: u64,
    /// Requests that found the queue full.
    pub waited_for_room: u64,
    /// Sleeps of threads that left the looking to another.
    pub parked: u64,
    /// Doorbells that another thread, which was ringing anyway, rang as well.
    pub left_to_ringer: u64,
}

impl Meter {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Meter) -> Meter {
        Meter {
            retried: self.retried + other.retried,
            longest_retry: self.longest_retry.max(other.longest_retry),
            waited_for_room: self.waited_for_room + other.waited_for_room,
            parked: self.parked + other.parked,
            left_to_ringer: self.left_to_ringer + other.left_to_ringer,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    retried: AtomicU64,
    longest_retry: AtomicU64,
    waited_for_room: AtomicU64,
    parked: AtomicU64,
    left_to_ringer: AtomicU64,
}

impl Counts {
    #[cold]
    pub(crate) fn retried(&self, times: u64) {
        self.retried.fetch_add(1, Relaxed);
        self.longest_retry.fetch_max(times, Relaxed);
    }

    #[cold]
    pub(crate) fn waited_for_room(&self) {
        self.waited_for_room.fetch_add(1, Relaxed);
    }

    #[cold]
    pub(crate) fn parked(&self) {
        self.parked.fetch_add(1, Relaxed);
    }

    #[cold]
    pub(crate) fn left_to_ringer(&self) {
        self.left_to_ringer.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> Meter {
        Meter {
            retried: self.retried.load(Relaxed),
            longest_retry: self.longest_retry.load(Relaxed),
            waited_for_room: self.waited_for_room.load(Relaxed),
            parked: self.parked.load(Relaxed),
            left_to_ringer: self.left_to_ringer.load(Relaxed),
        }
    }
}
