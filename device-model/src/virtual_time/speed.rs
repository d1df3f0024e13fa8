//! How fast the engines are, over virtual time.

/// A speed that may change: 1 is what the service times say, 10 is ten times as fast.
#[derive(Clone, Debug, PartialEq)]
pub enum Speed {
    /// The same always.
    Constant(f64),
    /// One factor after the other, each for so long, then from the start again. A request that meets a change goes on
    /// at the new speed.
    Steps {
        /// Length of a step, nanoseconds, above 0.
        step_ns: u64,
        /// The factors, at least one, each above 0.
        factors: Vec<f64>,
    },
}

impl Default for Speed {
    fn default() -> Self {
        Speed::Constant(1.0)
    }
}

impl Speed {
    /// When work that takes `work_ns` at speed 1 and begins at `start_ns` is done, rounded up to a nanosecond.
    pub fn end(&self, start_ns: u64, work_ns: u64) -> u64 {
        match self {
            Speed::Constant(factor) => start_ns.saturating_add((work_ns as f64 / factor).ceil() as u64),
            Speed::Steps { step_ns, factors } => {
                let (mut now, mut left) = (start_ns, work_ns as f64);
                loop {
                    let step = now / step_ns;
                    let factor = factors[(step % factors.len() as u64) as usize];
                    let room = (step + 1).saturating_mul(*step_ns) - now;
                    let takes = left / factor;
                    if takes <= room as f64 || now == u64::MAX {
                        return now.saturating_add(takes.ceil() as u64);
                    }
                    left -= room as f64 * factor;
                    now += room;
                }
            }
        }
    }

    /// Whether the fields are as they must be.
    pub(super) fn is_valid(&self) -> bool {
        let good = |factor: &f64| factor.is_finite() && *factor > 0.0;
        match self {
            Speed::Constant(factor) => good(factor),
            Speed::Steps { step_ns, factors } => {
                *step_ns > 0 && !factors.is_empty() && factors.iter().all(good)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_speeds_divide() {
        assert_eq!(Speed::default().end(5, 100), 105);
        assert_eq!(Speed::Constant(10.0).end(5, 100), 15);
        assert_eq!(Speed::Constant(0.1).end(5, 100), 1005);
        assert_eq!(Speed::Constant(3.0).end(0, 10), 4, "rounded up");
    }

    #[test]
    fn work_goes_on_at_the_new_speed_where_a_step_ends() {
        // Ten nanoseconds slow (0.1), ten fast (10), and again.
        let speed = Speed::Steps { step_ns: 10, factors: vec![0.1, 10.0] };
        assert_eq!(speed.end(0, 1), 10, "one unit in the slow step");
        assert_eq!(speed.end(0, 2), 11, "a unit slowly, the other in a tenth");
        assert_eq!(speed.end(10, 100), 20, "all of the fast step");
        assert_eq!(speed.end(10, 101), 30, "a unit more takes the slow step");
        assert_eq!(speed.end(15, 50), 20);
        assert_eq!(speed.end(0, 202), 40, "twice around");
    }
}
