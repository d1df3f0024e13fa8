//! How to wait: spin about as long as the device is expected to need, then yield, then sleep.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long and how eagerly a caller waits for a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// After this the queue is given up.
    pub deadline: Duration,
    /// What to do before sleeping.
    pub spin: Spin,
}

impl Patience {
    /// Waits at most `deadline`, spinning as long as this queue has been seen to need.
    pub const fn learned(deadline: Duration) -> Patience {
        Patience { deadline, spin: Spin::Learned }
    }
}

/// What a thread does before it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spin {
    /// Spins as long as the queue's moving average suggests, then yields for a while: shortest latency.
    #[default]
    Learned,
    /// Sleeps almost at once: least processor time.
    Short,
}

/// A sleep and its wake-up cost 43 to 83 µs (baselines.md 0): it does not pay to spin longer for one request.
const LONGEST_SPIN_NS: u32 = 80_000;
/// Time spent yielding before the first sleep.
const YIELDING: Duration = Duration::from_micros(200);
/// Longest single sleep. A wake-up may be missed for good (uacce.md 3.5), so sleeps are short.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);
/// Looks of [`Spin::Short`], and of a queue that takes longer than it pays to spin.
const FEW_LOOKS: u32 = 16;
/// Looks of a thread that leaves the looking to another.
const FOLLOWER_LOOKS: u32 = 32;
/// Looks without a pause, which takes as long as a third of a round trip (docs/queue.md).
const AT_ONCE: u32 = 64;
/// Until something is learned: about 5 µs. An assumption.
const FIRST_LOOKS: u32 = 200;
const MOST_LOOKS: u32 = 20_000;

/// What one queue has been seen to need. Written by one request in sixteen, which reads the clock; races lose a sample.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Moving average of the time from doorbell to completion, nanoseconds; 0 before the first.
    expected_ns: AtomicU32,
    /// Moving average of one look, nanoseconds.
    look_ns: AtomicU32,
    /// Looks worth making before yielding, from the two above.
    looks: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            expected_ns: AtomicU32::new(0),
            look_ns: AtomicU32::new(25),
            looks: AtomicU32::new(FIRST_LOOKS),
        }
    }
}

fn averaged(old: u32, new: u32) -> u32 {
    if old == 0 { new } else { old - old / 8 + new / 8 }
}

impl Pace {
    /// A request took `elapsed`, of which `looks` looks were spun, in `spun` of it (if they were timed).
    pub(crate) fn learn(&self, elapsed: Duration, spun: Option<(Duration, u32)>) {
        let elapsed = u32::try_from(elapsed.as_nanos()).unwrap_or(u32::MAX);
        let expected = averaged(self.expected_ns.load(Relaxed), elapsed).max(1);
        self.expected_ns.store(expected, Relaxed);
        if let Some((time, looks @ 16..)) = spun {
            let each = u32::try_from(time.as_nanos()).unwrap_or(u32::MAX) / looks;
            self.look_ns.store(averaged(self.look_ns.load(Relaxed), each).clamp(1, 2_000), Relaxed);
        }
        // Twice the average: most requests are over by then, whatever their spread.
        let looks = if expected > LONGEST_SPIN_NS / 2 {
            FEW_LOOKS
        } else {
            (2 * expected / self.look_ns.load(Relaxed)).clamp(FOLLOWER_LOOKS, MOST_LOOKS)
        };
        self.looks.store(looks, Relaxed);
    }

    /// Moving average of the time from doorbell to completion, nanoseconds; 0 before the first sample.
    pub(crate) fn expected_ns(&self) -> u32 {
        self.expected_ns.load(Relaxed)
    }

    #[inline]
    pub(crate) fn wait(&self, patience: Patience) -> Wait {
        let looks = match patience.spin {
            Spin::Learned => self.looks.load(Relaxed),
            Spin::Short => FEW_LOOKS,
        };
        Wait { looks, made: 0, since: None, patience }
    }
}

/// One thread's waiting.
#[derive(Debug)]
pub(crate) struct Wait {
    looks: u32,
    made: u32,
    /// When spinning ended.
    since: Option<Instant>,
    patience: Patience,
}

/// What to do before the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: look again.
    Look,
    /// Let the processor's other thread have a moment.
    Spin,
    Yield,
    Sleep(Duration),
    Expired,
}

impl Wait {
    /// Looks made so far.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// Whether all looks were made while spinning.
    pub(crate) fn only_spun(&self) -> bool {
        self.since.is_none()
    }

    /// What to do after a look that found nothing; a follower leaves the looking to the leader.
    #[inline]
    pub(crate) fn step(&mut self, follower: bool) -> Step {
        let looks = if follower { self.looks.min(FOLLOWER_LOOKS) } else { self.looks };
        if self.made < looks {
            self.made += 1;
            return if self.made < AT_ONCE { Step::Look } else { Step::Spin };
        }
        self.later(follower)
    }

    #[cold]
    fn later(&mut self, follower: bool) -> Step {
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let Patience { deadline, spin } = self.patience;
        if waited >= deadline {
            return Step::Expired;
        }
        let yielding = match spin {
            Spin::Short => Duration::ZERO,
            Spin::Learned if follower => YIELDING / 4,
            Spin::Learned => YIELDING,
        };
        if waited < yielding {
            return Step::Yield;
        }
        // Whole milliseconds, rounded up: poll knows no less, and zero would not sleep.
        Step::Sleep((deadline - waited).min(LONGEST_SLEEP).max(Duration::from_millis(1)))
    }
}
