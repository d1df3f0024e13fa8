//! Who sits on a queue: the one word that threads agree by.
//!
//! A seat is taken (alone), shared, left, and closed once. Closing ends all taking; what is behind the seat is
//! disposed of by exactly one thread: the one that closes it empty, or else the last to leave. Model-checked (`tests`).

use crate::sync::{AtomicU32, Ordering};

/// Set once, by whoever closes the seat.
const CLOSED: u32 = 1 << 31;

/// Number of users, and whether the seat is closed.
#[derive(Debug)]
pub(super) struct Occupancy(AtomicU32);

/// What closing a seat came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// Nobody sits there: the caller disposes of the queue.
    Empty,
    /// The last user to leave will.
    InUse,
    /// Somebody closed it before.
    Already,
}

impl Occupancy {
    /// Occupied by the thread that has opened the queue.
    pub(super) fn taken() -> Self {
        Occupancy(AtomicU32::new(1))
    }

    /// Takes a free seat.
    pub(super) fn take(&self) -> bool {
        self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Joins the others on an open seat of fewer than `most` users; how many they are (none, if they have left).
    pub(super) fn share(&self, most: u32) -> Option<u32> {
        // A closed seat's word exceeds every bound.
        let joined = self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, |users| {
            (users < most.min(CLOSED)).then_some(users + 1)
        });
        joined.ok()
    }

    /// Leaves the seat. Whether the caller must dispose of the queue: it is closed, and he was the last.
    #[must_use]
    pub(super) fn leave(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == CLOSED | 1
    }

    /// Closes a seat that is free; if it was, the caller disposes of the queue.
    #[must_use]
    pub(super) fn close_if_free(&self) -> bool {
        self.0.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Closes the seat, whoever sits there.
    #[must_use]
    pub(super) fn close(&self) -> Closing {
        match self.0.fetch_or(CLOSED, Ordering::AcqRel) {
            0 => Closing::Empty,
            word if word & CLOSED == 0 => Closing::InUse,
            _ => Closing::Already,
        }
    }

    /// Users at the moment; `None` once closed.
    pub(super) fn users(&self) -> Option<u32> {
        let word = self.0.load(Ordering::Relaxed);
        (word & CLOSED == 0).then_some(word)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn free_seat_is_taken_once_and_shared_up_to_its_bound() {
        let seat = Occupancy::taken();
        assert!(!seat.take());
        assert_eq!(seat.share(3), Some(1));
        assert_eq!(seat.share(3), Some(2));
        assert_eq!(seat.share(3), None);
        assert!(!seat.leave());
        assert_eq!(seat.share(3), Some(2));
        assert_eq!(seat.users(), Some(3));
    }

    #[test]
    fn closed_seat_is_left_but_never_taken() {
        let seat = Occupancy::taken();
        assert_eq!(seat.share(9), Some(1));
        assert!(!seat.close_if_free());
        assert_eq!((seat.close(), seat.close()), (Closing::InUse, Closing::Already));
        assert_eq!((seat.take(), seat.share(u32::MAX), seat.users()), (false, None, None));
        assert!(!seat.leave());
        assert!(seat.leave(), "the last one disposes");
        assert!(!seat.take() && seat.share(9).is_none());
    }

    #[test]
    fn free_seat_is_disposed_of_by_who_closes_it() {
        let seat = Occupancy::taken();
        assert!(!seat.leave());
        assert!(seat.close_if_free());
        assert_eq!(seat.close(), Closing::Already);
        let seat = Occupancy::taken();
        assert!(!seat.leave());
        assert_eq!(seat.close(), Closing::Empty);
    }
}

/// Every interleaving of small teams, by `ci/loom`.
#[cfg(all(test, loom))]
mod interleavings {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A seat and what is behind it: users read, the disposer writes. Loom objects when the two meet, or when the
    /// disposer has not seen all that the users did.
    struct House {
        seat: Occupancy,
        queue: UnsafeCell<u32>,
        disposals: AtomicU32,
    }

    impl House {
        fn new() -> Arc<House> {
            Arc::new(House {
                seat: Occupancy::taken(),
                queue: UnsafeCell::new(0),
                disposals: AtomicU32::new(0),
            })
        }

        fn work(&self) {
            self.queue.with(|_| thread::yield_now());
        }

        fn leave(&self) {
            if self.seat.leave() {
                self.dispose();
            }
        }

        fn dispose(&self) {
            self.queue.with_mut(|_| ());
            self.disposals.fetch_add(1, Ordering::Relaxed);
        }

        fn close(&self) {
            if self.seat.close() == Closing::Empty {
                self.dispose();
            }
        }
    }

    fn check(actors: &'static [fn(&House)]) {
        crate::sync::check(move || {
            let house = House::new();
            let team: Vec<_> = actors
                .iter()
                .map(|actor| {
                    let house = house.clone();
                    thread::spawn(move || actor(&house))
                })
                .collect();
            // The opener's own request.
            house.work();
            house.leave();
            team.into_iter().for_each(|actor| actor.join().unwrap());
            let disposed = house.disposals.load(Ordering::Relaxed);
            match house.seat.users() {
                Some(users) => assert_eq!((users, disposed), (0, 0), "open, and nobody is left on it"),
                None => assert_eq!(disposed, 1, "disposed of exactly once"),
            }
        });
    }

    fn take(house: &House) {
        if house.seat.take() {
            house.work();
            house.leave();
        }
    }

    fn share(house: &House) {
        if house.seat.share(8).is_some() {
            house.work();
            house.leave();
        }
    }

    /// A user whose request met a fault.
    fn fail(house: &House) {
        if house.seat.share(8).is_some() {
            house.work();
            house.close();
            house.leave();
        }
    }

    /// Whoever finds the queue idle, or dead.
    fn sweep(house: &House) {
        if house.seat.close_if_free() {
            house.dispose();
        }
    }

    #[test]
    fn takers_and_sharers_meet_the_sweeper() {
        check(&[take, share, sweep]);
    }

    #[test]
    fn failing_user_meets_sharers() {
        check(&[fail, share]);
        check(&[fail, fail]);
    }

    #[test]
    fn retired_under_its_users() {
        check(&[share, House::close, sweep]);
        check(&[fail, House::close]);
    }
}
