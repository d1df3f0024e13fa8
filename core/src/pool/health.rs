//! How a device has behaved lately, and when it may be tried again.

use std::time::{Duration, Instant};

use crate::qm::OpenError;

/// A device is left alone this long after a queue of it failed; doubles with each further failure.
pub(super) const REST: Duration = Duration::from_millis(100);
/// Longest such rest.
pub(super) const LONGEST_REST: Duration = Duration::from_secs(10);
/// A device without a free queue is not asked again for this long.
pub(super) const FULL_REST: Duration = Duration::from_millis(10);

/// How opening and using a device went lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    pub(super) rest_until: Option<Instant>,
    pub(super) rest: Duration,
    pub(super) obstacle: Option<Obstacle>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// No free queue.
    Busy,
    /// A queue of it failed in use.
    Faulty,
    /// It could not be opened; errno.
    Closed(i32),
    /// This process may not open it, now and ever; errno.
    Refused(i32),
    /// Its queues do not fit its descriptors.
    Misfit,
    /// Isolated by the kernel.
    Isolated,
}

impl Obstacle {
    pub(super) fn of(error: OpenError) -> Self {
        match error {
            OpenError::Isolated => Obstacle::Isolated,
            OpenError::Geometry => Obstacle::Misfit,
            // Exhausted: queues, descriptors, memory. Worth another try soon.
            OpenError::Os(libc::EBUSY | libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Obstacle::Busy,
            OpenError::Os(errno @ libc::EACCES) => Obstacle::Refused(errno),
            OpenError::Os(errno) => Obstacle::Closed(errno),
        }
    }

    /// Never tried again in this generation.
    pub(super) const fn lasts(self) -> bool {
        matches!(self, Obstacle::Refused(_) | Obstacle::Misfit)
    }
}

impl Health {
    pub(super) fn blocked(&self, now: Instant) -> Option<Obstacle> {
        let obstacle = self.obstacle?;
        let resting = self.rest_until.is_some_and(|until| now < until);
        (obstacle.lasts() || resting).then_some(obstacle)
    }

    pub(super) fn failed(&mut self, obstacle: Obstacle, now: Instant) {
        let rest = match obstacle {
            Obstacle::Busy => FULL_REST,
            _ => {
                self.rest = (self.rest * 2).clamp(REST, LONGEST_REST);
                self.rest
            }
        };
        self.obstacle = Some(obstacle);
        self.rest_until = Some(now + rest);
    }

    pub(super) fn worked(&mut self) {
        *self = Health::default();
    }
}

/// Of two reasons for having no queue the one to report: the one that passes soonest.
pub(super) fn worse(known: Option<Obstacle>, new: Obstacle) -> Option<Obstacle> {
    let rank = |obstacle: Obstacle| match obstacle {
        Obstacle::Busy => 3,
        Obstacle::Faulty => 2,
        Obstacle::Closed(_) | Obstacle::Isolated => 1,
        Obstacle::Refused(_) | Obstacle::Misfit => 0,
    };
    match known {
        Some(known) if rank(known) >= rank(new) => Some(known),
        _ => Some(new),
    }
}
