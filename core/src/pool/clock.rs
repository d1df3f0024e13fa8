//! The pool's time: milliseconds since it was made, from 1.

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub(super) enum Clock {
    System(Instant),
    /// Goes when a test says so.
    #[cfg(test)]
    Manual(Arc<AtomicU64>),
}

impl Clock {
    pub(super) fn now(&self) -> u64 {
        match self {
            Clock::System(start) => u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX >> 16) + 1,
            #[cfg(test)]
            Clock::Manual(time) => time.load(Ordering::Relaxed) + 1,
        }
    }
}
