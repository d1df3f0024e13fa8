//! The circuit breaker of one kind of work: after several device faults in a row, software serves everything
//! for a while, and then a single request tries again. Lock-free, since a fork may copy it at any moment.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::config::Config;

/// State of one breaker. Times are milliseconds on the gate's clock; 0 in `until` means closed.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    faults: AtomicU32,
    until: AtomicU64,
    cooldown: AtomicU64,
}

impl Breaker {
    /// Whether requests stay in software; looks at the clock only if there is something to wait for.
    pub(super) fn is_open(&self, now: impl FnOnce() -> u64) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until != 0 && now() < until
    }

    /// Asks for admission, with a queue at hand. After the cool-down one request gets through as a trial; the
    /// others wait for its result, or for another cool-down.
    pub(super) fn admit(&self, now: u64) -> Option<Admission> {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return Some(Admission { trial: false });
        }
        let again = now.saturating_add(self.cooldown.load(Ordering::Relaxed).max(1));
        let won = now >= until
            && self.until.compare_exchange(until, again, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        won.then_some(Admission { trial: true })
    }

    /// A request came back in good order: the device works.
    pub(super) fn success(&self) {
        // Stores only where something changes: this is every request's way.
        if self.faults.load(Ordering::Relaxed) != 0 {
            self.faults.store(0, Ordering::Relaxed);
        }
        if self.until.load(Ordering::Relaxed) != 0 {
            self.until.store(0, Ordering::Relaxed);
            self.cooldown.store(0, Ordering::Relaxed);
        }
    }

    /// An admitted request met a fault of the device. Answers the length of the cool-down if the breaker
    /// opened by it.
    pub(super) fn fault(&self, admission: Admission, now: u64, config: &Config) -> Option<Duration> {
        let faults = self.faults.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let open = self.until.load(Ordering::Relaxed) != 0;
        // Requests that were under way when it opened do not lengthen the cool-down; a failed trial does.
        if faults < config.breaker_faults || (open && !admission.trial) {
            return None;
        }
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
        let doubled = self.cooldown.load(Ordering::Relaxed).saturating_mul(2);
        let cooldown = doubled.max(millis(config.breaker_cooldown)).min(millis(config.breaker_cooldown_max));
        self.cooldown.store(cooldown, Ordering::Relaxed);
        self.until.store(now.saturating_add(cooldown).max(1), Ordering::Relaxed);
        Some(Duration::from_millis(cooldown))
    }
}

/// Leave to use the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission {
    trial: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        crate::config::parse(
            "breaker_faults=3
breaker_cooldown_ms=10
breaker_cooldown_max_ms=30",
        )
        .0
    }

    #[test]
    fn opens_after_faults_in_a_row_only() {
        let (breaker, config) = (Breaker::default(), config());
        for _ in 0..2 {
            let admission = breaker.admit(100).unwrap();
            assert!(breaker.fault(admission, 100, &config).is_none());
        }
        breaker.success();
        for _ in 0..2 {
            let admission = breaker.admit(100).unwrap();
            assert!(breaker.fault(admission, 100, &config).is_none());
        }
        assert!(!breaker.is_open(|| 100));
        let admission = breaker.admit(100).unwrap();
        assert_eq!(breaker.fault(admission, 100, &config), Some(Duration::from_millis(10)));
        assert!(breaker.is_open(|| 100) && breaker.is_open(|| 109) && !breaker.is_open(|| 110));
    }

    #[test]
    fn one_trial_after_the_cool_down_and_longer_rests_after_failed_ones() {
        let (breaker, config) = (Breaker::default(), config());
        for _ in 0..3 {
            breaker.fault(Admission { trial: false }, 0, &config);
        }
        assert!(breaker.admit(5).is_none());
        let trial = breaker.admit(10).unwrap();
        assert!(breaker.admit(10).is_none(), "a second request does not try as well");
        assert_eq!(breaker.fault(trial, 11, &config), Some(Duration::from_millis(20)));
        let trial = breaker.admit(31).unwrap();
        assert_eq!(breaker.fault(trial, 31, &config), Some(Duration::from_millis(30)), "at most the maximum");
        let _trial = breaker.admit(61).unwrap();
        breaker.success();
        assert!(!breaker.is_open(|| 61) && breaker.admit(61).is_some() && breaker.admit(61).is_some());
    }

    #[test]
    fn faults_of_requests_under_way_do_not_lengthen_the_rest() {
        let (breaker, config) = (Breaker::default(), config());
        for _ in 0..3 {
            breaker.fault(Admission { trial: false }, 0, &config);
        }
        assert_eq!(breaker.fault(Admission { trial: false }, 9, &config), None);
        assert!(!breaker.is_open(|| 10));
    }

    #[test]
    fn trial_that_never_reports_is_followed_by_another() {
        let (breaker, config) = (Breaker::default(), config());
        for _ in 0..3 {
            breaker.fault(Admission { trial: false }, 0, &config);
        }
        assert!(breaker.admit(10).is_some());
        assert!(breaker.admit(19).is_none());
        assert!(breaker.admit(20).is_some());
    }
}
