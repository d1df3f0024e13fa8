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
/// What a queue spins that takes longer than that.
const SHORTEST_SPIN_NS: u32 = 1_000;
/// Until something is learned. An assumption.
const FIRST_SPIN_NS: u32 = 5_000;
/// Time spent yielding before the first sleep.
const YIELDING: Duration = Duration::from_micros(200);
/// Longest single sleep. A wake-up may be missed for good (uacce.md 3.5), so sleeps are short.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);
/// Looks without a pause, which takes as long as a third of a round trip (docs/queue.md): about a microsecond.
pub(in crate::qm) const AT_ONCE: u32 = 256;
/// Looks of threads that wait together: their processors are better used by whoever has work to do.
const FEW_LOOKS: u32 = 16;
/// Looks, with a pause each, between two looks at the clock.
const BETWEEN_CLOCKS: u32 = 32;

/// What one queue has been seen to need. Written by one request in 64, which reads the clock; races
/// lose a sample.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Moving average of the time from doorbell to completion, nanoseconds; 0 before the first.
    expected_ns: AtomicU32,
    /// How long to spin, from that.
    spin_ns: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { expected_ns: AtomicU32::new(0), spin_ns: AtomicU32::new(FIRST_SPIN_NS) }
    }
}

impl Pace {
    /// A request took `elapsed`.
    #[cold]
    pub(crate) fn learn(&self, elapsed: Duration) {
        // A second is as good as for ever.
        let elapsed = u32::try_from(elapsed.as_nanos()).unwrap_or(u32::MAX).min(1_000_000_000);
        let expected = match self.expected_ns.load(Relaxed) {
            0 => elapsed,
            old => old - old / 8 + elapsed / 8,
        };
        self.expected_ns.store(expected.max(1), Relaxed);
        // Twice the average: most requests are over by then, whatever their spread.
        let spin = 2 * expected;
        let spin = if spin > LONGEST_SPIN_NS { SHORTEST_SPIN_NS } else { spin.max(SHORTEST_SPIN_NS) };
        self.spin_ns.store(spin, Relaxed);
    }

    /// Moving average of the time from doorbell to completion, nanoseconds; 0 before the first sample.
    pub(crate) fn expected_ns(&self) -> u32 {
        self.expected_ns.load(Relaxed)
    }

    /// A wait of which `made` looks are over.
    pub(crate) fn wait(&self, patience: Patience, made: u32) -> Wait {
        let spin_ns = match patience.spin {
            Spin::Learned => self.spin_ns.load(Relaxed),
            Spin::Short => 0,
        };
        Wait { made, since: None, spin_ns, patience }
    }
}

/// One thread's waiting.
#[derive(Debug)]
pub(crate) struct Wait {
    /// Looks made so far.
    made: u32,
    /// When the clock was first looked at.
    since: Option<Instant>,
    spin_ns: u32,
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
    /// What to do after a look that found nothing; in `company`, others wait as well, or look for this thread.
    #[inline]
    pub(crate) fn step(&mut self, company: bool) -> Step {
        if company && self.made >= FEW_LOOKS {
            self.later(true)
        } else if self.made < AT_ONCE {
            self.made += 1;
            Step::Look
        } else if !self.made.is_multiple_of(BETWEEN_CLOCKS) {
            self.made += 1;
            Step::Spin
        } else {
            self.later(company)
        }
    }

    #[cold]
    fn later(&mut self, company: bool) -> Step {
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let Patience { deadline, spin } = self.patience;
        if waited >= deadline {
            return Step::Expired;
        }
        if !company && waited < Duration::from_nanos(self.spin_ns.into()) {
            self.made = self.made.wrapping_add(1);
            return Step::Spin;
        }
        let yielding = match spin {
            Spin::Short => Duration::ZERO,
            Spin::Learned if company => YIELDING / 4,
            Spin::Learned => YIELDING,
        };
        if waited < yielding {
            return Step::Yield;
        }
        // Whole milliseconds, rounded up: poll knows no less, and zero would not sleep.
        Step::Sleep((deadline - waited).min(LONGEST_SLEEP).max(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Patience = Patience::learned(Duration::from_secs(1000));

    fn spin_after(samples: &[u64]) -> u32 {
        let pace = Pace::default();
        samples.iter().for_each(|&us| pace.learn(Duration::from_micros(us)));
        pace.wait(LONG, 0).spin_ns
    }

    #[test]
    fn spinning_follows_what_the_queue_needs_up_to_what_a_sleep_costs() {
        assert_eq!(spin_after(&[]), FIRST_SPIN_NS);
        assert_eq!(spin_after(&[20]), 40_000);
        assert!((20_000..24_000).contains(&spin_after(&[&[20][..], &[10; 40]].concat())));
        assert_eq!(spin_after(&[500]), SHORTEST_SPIN_NS, "it would not pay");
        assert_eq!(spin_after(&[0]), SHORTEST_SPIN_NS);
        assert_eq!(spin_after(&[u64::MAX / 2000; 3]), SHORTEST_SPIN_NS);
    }

    #[test]
    fn average_recovers_from_one_outlier() {
        let spins = spin_after(&[&[10; 20][..], &[100], &[10; 40]].concat());
        assert!((20_000..24_000).contains(&spins), "{spins}");
    }

    #[test]
    fn waiting_goes_from_looks_to_spins_to_yields_to_sleeps() {
        let mut wait = Pace::default().wait(LONG, 0);
        let mut steps = vec![wait.step(false)];
        while !matches!(steps.last(), Some(Step::Sleep(_))) {
            let step = wait.step(false);
            if steps.last() != Some(&step) {
                steps.push(step);
            }
        }
        // How long each takes is the scheduler's, so a stage may be skipped, but their order stands.
        let rank = |step: &Step| match step {
            Step::Look => 0,
            Step::Spin => 1,
            Step::Yield => 2,
            Step::Sleep(_) => 3,
            Step::Expired => 4,
        };
        assert!(steps.is_sorted_by_key(rank), "{steps:?}");
        assert_eq!(steps[0], Step::Look);
        assert_eq!(steps.last(), Some(&Step::Sleep(LONGEST_SLEEP)));
    }

    #[test]
    fn short_waits_neither_spin_nor_yield() {
        let mut wait = Pace::default().wait(Patience { spin: Spin::Short, ..LONG }, AT_ONCE);
        assert_eq!(wait.step(false), Step::Sleep(LONGEST_SLEEP));
    }

    #[test]
    fn deadline_ends_every_wait() {
        for spin in [Spin::Learned, Spin::Short] {
            let patience = Patience { deadline: Duration::ZERO, spin };
            assert_eq!(Pace::default().wait(patience, AT_ONCE).step(true), Step::Expired);
        }
    }
}
