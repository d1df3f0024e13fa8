//! How opening queues of one device goes, and when it may be tried again. Lock-free; times are milliseconds on the
//! pool's clock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::job::Why;
use crate::qm::OpenError;

/// What stands in the way of opening a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// No free queue, or no room for one in this process: errno.
    Busy(i32),
    /// It could not be opened, as while the device is being reset (EPERM): errno.
    Closed(i32),
    /// The device has gone: errno.
    Gone(i32),
    /// This process may not open it, now and ever: errno.
    Refused(i32),
    /// Its queues do not fit its descriptors.
    Misfit,
    /// Isolated by the kernel.
    Isolated,
}

/// First and longest rest after an obstacle, milliseconds.
struct Rest {
    first: u64,
    longest: u64,
}

impl Obstacle {
    /// What the errors of uacce.md 3.1, 3.3 and 3.4 mean to a pool.
    pub(super) fn of(error: OpenError) -> Self {
        match error {
            OpenError::Isolated => Obstacle::Isolated,
            OpenError::Geometry => Obstacle::Misfit,
            OpenError::Os(errno) => match errno {
                // Exhausted: queues, descriptors, memory. Worth another try soon.
                libc::EBUSY | libc::EMFILE | libc::ENFILE | libc::ENOMEM => Obstacle::Busy(errno),
                libc::EACCES => Obstacle::Refused(errno),
                // No such minor, or being removed; no such node; removed between open and start.
                libc::ENODEV | libc::EINVAL | libc::ENOENT | libc::ENXIO => Obstacle::Gone(errno),
                _ => Obstacle::Closed(errno),
            },
        }
    }

    /// Never tried again in this generation.
    const fn lasts(self) -> bool {
        matches!(self, Obstacle::Refused(_) | Obstacle::Misfit)
    }

    const fn rest(self) -> Rest {
        match self {
            Obstacle::Busy(_) => Rest { first: 10, longest: 320 },
            // Looking is a read of an attribute; nothing but an administrator ends it.
            Obstacle::Isolated => Rest { first: 5_000, longest: 60_000 },
            _ => Rest { first: 100, longest: 10_000 },
        }
    }

    const fn code(self) -> (u64, i32) {
        match self {
            Obstacle::Busy(errno) => (1, errno),
            Obstacle::Closed(errno) => (2, errno),
            Obstacle::Gone(errno) => (3, errno),
            Obstacle::Refused(errno) => (4, errno),
            Obstacle::Misfit => (5, 0),
            Obstacle::Isolated => (6, 0),
        }
    }

    const fn decode(code: u64, errno: i32) -> Option<Self> {
        Some(match code {
            1 => Obstacle::Busy(errno),
            2 => Obstacle::Closed(errno),
            3 => Obstacle::Gone(errno),
            4 => Obstacle::Refused(errno),
            5 => Obstacle::Misfit,
            6 => Obstacle::Isolated,
            _ => return None,
        })
    }
}

/// The way into one device.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// `until << 16 | errno << 4 | code`; 0 for an open door. One word, so that a reader never mixes two failures.
    word: AtomicU64,
    rest: AtomicU64,
}

impl Door {
    /// What was in the way last.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        let word = self.word.load(Ordering::Relaxed);
        Obstacle::decode(word & 0xF, (word >> 4 & 0xFFF) as i32)
    }

    /// What speaks against trying now.
    pub(super) fn blocked(&self, now: u64) -> Option<Obstacle> {
        let obstacle = self.obstacle()?;
        let resting = now < self.word.load(Ordering::Relaxed) >> 16;
        (obstacle.lasts() || resting).then_some(obstacle)
    }

    /// A try has failed: rests, longer each time that the same kind of obstacle is met again.
    pub(super) fn failed(&self, obstacle: Obstacle, now: u64) {
        let (code, errno) = obstacle.code();
        let again = self.word.load(Ordering::Relaxed) & 0xF == code;
        let Rest { first, longest } = obstacle.rest();
        let rest = if again { (self.rest.load(Ordering::Relaxed) * 2).clamp(first, longest) } else { first };
        self.rest.store(rest, Ordering::Relaxed);
        let until = now.saturating_add(rest);
        self.word.store(until << 16 | ((errno & 0xFFF) as u64) << 4 | code, Ordering::Relaxed);
    }

    /// A queue was opened.
    pub(super) fn opened(&self) {
        self.word.store(0, Ordering::Relaxed);
    }
}

/// The reason to report when no queue was to be had: of all that were met the one that passes soonest.
#[derive(Debug, Default)]
pub(super) struct Reason(Option<Why>);

impl Reason {
    /// One more reason. `refusal` is what a lasting refusal is called in this process.
    pub(super) fn met(&mut self, obstacle: Obstacle, refusal: Why) {
        self.note(match obstacle {
            Obstacle::Busy(_) => Why::AllBusy,
            Obstacle::Refused(_) => refusal,
            Obstacle::Closed(_) | Obstacle::Gone(_) | Obstacle::Misfit | Obstacle::Isolated => Why::NoDevice,
        });
    }

    pub(super) fn note(&mut self, why: Why) {
        let rank = |why: Why| match why {
            Why::Unproven => 4,
            Why::AllBusy => 3,
            Why::Tripped => 2,
            Why::NoDevice => 1,
            _ => 0,
        };
        if self.0.is_none_or(|known| rank(why) > rank(known)) {
            self.0 = Some(why);
        }
    }

    pub(super) fn why(self) -> Why {
        self.0.unwrap_or(Why::NoDevice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Obstacle = Obstacle::Busy(libc::EBUSY);
    const RESETTING: Obstacle = Obstacle::Closed(libc::EPERM);

    #[test]
    fn every_obstacle_comes_back_from_its_word() {
        let errors = [
            OpenError::Os(libc::EBUSY),
            OpenError::Os(libc::EPERM),
            OpenError::Os(libc::ENODEV),
            OpenError::Os(libc::EACCES),
            OpenError::Os(4095),
            OpenError::Geometry,
            OpenError::Isolated,
        ];
        for error in errors {
            let (door, obstacle) = (Door::default(), Obstacle::of(error));
            assert_eq!(door.blocked(5), None);
            door.failed(obstacle, 5);
            assert_eq!((door.obstacle(), door.blocked(5)), (Some(obstacle), Some(obstacle)));
            let lasts = matches!(obstacle, Obstacle::Refused(_) | Obstacle::Misfit);
            assert_eq!(door.blocked(u64::MAX >> 16).is_some(), lasts, "{obstacle:?}");
            door.opened();
            assert_eq!(door.blocked(5), None);
        }
    }

    #[test]
    fn rest_doubles_up_to_its_limit_and_another_obstacle_begins_anew() {
        let door = Door::default();
        let mut rests = Vec::new();
        for _ in 0..9 {
            door.failed(RESETTING, 0);
            rests.push((0..).find(|now| door.blocked(*now).is_none()).unwrap());
        }
        assert_eq!(rests, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        door.failed(BUSY, 0);
        assert!(door.blocked(9).is_some() && door.blocked(10).is_none());
        door.failed(BUSY, 0);
        assert!(door.blocked(19).is_some() && door.blocked(20).is_none());
        door.opened();
        door.failed(BUSY, 0);
        assert!(door.blocked(9).is_some() && door.blocked(10).is_none());
    }

    #[test]
    fn reason_is_the_one_that_passes_soonest() {
        let mut reason = Reason::default();
        reason.met(Obstacle::Refused(libc::EACCES), Why::Forked);
        reason.met(Obstacle::Isolated, Why::Forked);
        reason.note(Why::Tripped);
        reason.met(BUSY, Why::Forked);
        reason.met(RESETTING, Why::Forked);
        assert_eq!(reason.why(), Why::AllBusy);
        let mut reason = Reason::default();
        reason.met(Obstacle::Refused(libc::EACCES), Why::Forked);
        assert_eq!(reason.why(), Why::Forked);
        assert_eq!(Reason::default().why(), Why::NoDevice);
    }
}
