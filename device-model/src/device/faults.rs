//! The fault plan: which requests and opens go wrong, and how.
//!
//! A plan is `;`-separated rules `ENGINE[.CLASS]:KIND[=ARG]@WHEN`. Each rule numbers the requests (or opens) of its
//! scope from 1; the first rule that fires decides. All decisions are made in [`Faults`], nowhere else.
//!
//! What is reproducible: whether a rule fires at number n depends on the plan alone (with `pX`, on seed and n), and
//! the numbers are given out over all processes that share the counters. So the same requests in the same order
//! meet the same faults. With several queues, threads or processes, which of them gets number n is decided by who
//! is fetched first; how many of the first n fire is not. `tA-B` depends on the clock by its nature.
//!
//! Faults are of two kinds. A signalled one shows: a status, reset words, an errno, nothing within the deadline. A
//! **silent** one ([`Fault::is_silent`]) shows good status over a wrong result, and only a check of the result
//! finds it; log and trace mark it.

use super::{DeviceEvent, Kind};
use std::sync::atomic::{AtomicU64, Ordering};

mod parse;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Complete with this status, without output.
    Status(u32),
    /// Never complete.
    Drop,
    /// Execute after this many milliseconds.
    Delay(u64),
    /// Some output, then an error status.
    Partial,
    /// ZIP: good status, but only part of the input is consumed.
    Truncate,
    /// The access of this number (from 1) that the request makes to memory meets a page that nobody has.
    PageFault(u64),
    /// The completion finds the completion ring full: the queue dies.
    CqOverflow,
    /// Controller reset of the whole device; opens are refused for this many milliseconds.
    Reset(u64),
    /// The device is isolated: the attribute says 1, its queues die, opens are refused.
    Isolate,
    /// Hot removal.
    Remove,
    /// Silent: wrong output with a good status.
    Corrupt,
    /// Silent: good output under another request's tag.
    StaleTag,
    /// `open` fails with this errno.
    RefuseOpen(i32),
    /// All queues of the device are taken for this many milliseconds.
    Busy(u64),
}

impl Fault {
    /// The kind's name in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Status(_) => "status",
            Fault::Drop => "drop",
            Fault::Delay(_) => "delay",
            Fault::Partial => "partial",
            Fault::Truncate => "truncate",
            Fault::PageFault(_) => "page-fault",
            Fault::CqOverflow => "cq-overflow",
            Fault::Reset(_) => "reset",
            Fault::Isolate => "isolate",
            Fault::Remove => "remove",
            Fault::Corrupt => "corrupt",
            Fault::StaleTag => "stale-tag",
            Fault::RefuseOpen(_) => "refuse-open",
            Fault::Busy(_) => "busy",
        }
    }

    /// The name of its counter: `fault.` and the kind, with `_` for `-`.
    pub fn counter(self) -> String {
        format!("fault.{}", self.name().replace('-', "_"))
    }

    /// Nothing that the device reports gives it away.
    pub fn is_silent(self) -> bool {
        matches!(self, Fault::Corrupt | Fault::StaleTag)
    }

    /// Its scope is opens, not requests.
    pub fn is_for_opens(self) -> bool {
        matches!(self, Fault::RefuseOpen(_) | Fault::Busy(_))
    }

    /// What it brings upon the whole function.
    pub fn event(self) -> Option<DeviceEvent> {
        match self {
            Fault::Reset(ms) => Some(DeviceEvent::Reset(ms)),
            Fault::Isolate => Some(DeviceEvent::Isolate),
            Fault::Remove => Some(DeviceEvent::Remove),
            Fault::Busy(ms) => Some(DeviceEvent::Busy(ms)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Fault {
    /// As in a plan: `status=0xb`, `delay=5`, `drop`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        match self {
            Fault::Status(status) => write!(f, "={status:#x}"),
            Fault::Delay(n) | Fault::Reset(n) | Fault::Busy(n) | Fault::PageFault(n) => write!(f, "={n}"),
            Fault::RefuseOpen(errno) => write!(f, "={errno}"),
            _ => Ok(()),
        }
    }
}

/// When a rule fires, counted from 1 within its scope.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Nth(u64),
    From(u64),
    Every(u64),
    Chance {
        probability: f64,
        seed: u64,
    },
    /// Milliseconds since the first decision of the run: from, up to but not including.
    Window {
        from: u64,
        to: u64,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    engine: Option<Kind>,
    class: Option<String>,
    fault: Fault,
    when: When,
}

/// The rules of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    rules: Vec<Rule>,
}

impl Plan {
    /// How many words the plan needs: the time of its first decision, and one counter per rule.
    pub fn counters(&self) -> usize {
        1 + self.rules.len()
    }
}

impl Rule {
    fn fires(&self, n: u64, elapsed_ms: u64) -> bool {
        match self.when {
            When::Nth(k) => n == k,
            When::From(k) => n >= k,
            When::Every(k) => n.is_multiple_of(k),
            When::Window { from, to } => (from..to).contains(&elapsed_ms),
            When::Chance { probability, seed } => {
                // 53 random bits, a function of the seed and the request's number only
                ((mix(mix(seed) ^ n) >> 11) as f64 / (1u64 << 53) as f64) < probability
            }
        }
    }
}

/// The splitmix64 output function: a well-spread 64-bit word from a counter.
fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A plan with its words; processes that share the words share the plan.
#[derive(Clone, Copy, Debug)]
pub struct Faults<'a> {
    /// The rules.
    pub plan: &'a Plan,
    /// At least [`Plan::counters`] words, 0 at the start of the run.
    pub counters: &'a [AtomicU64],
}

impl Faults<'_> {
    fn decide(&self, now_ms: u64, in_scope: impl Fn(&Rule) -> bool) -> Option<Fault> {
        let (start, counters) = self.counters.split_first()?;
        // 0 is "not yet", so the clock counts from 1
        let now = now_ms + 1;
        let start = start.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).err().unwrap_or(now);
        let mut fault = None;
        for (rule, counter) in self.plan.rules.iter().zip(counters).filter(|(rule, _)| in_scope(rule)) {
            let n = counter.fetch_add(1, Ordering::Relaxed) + 1;
            if fault.is_none() && rule.fires(n, now.saturating_sub(start)) {
                fault = Some(rule.fault);
            }
        }
        fault
    }

    /// What happens to the next request of this engine and class.
    pub fn request(&self, engine: Kind, class: &str, now_ms: u64) -> Option<Fault> {
        self.decide(now_ms, |rule| {
            !rule.fault.is_for_opens()
                && rule.engine.is_none_or(|e| e == engine)
                && rule.class.as_deref().is_none_or(|c| c == class)
        })
    }

    /// What happens to the next open of such a device: [`Fault::RefuseOpen`], [`Fault::Busy`] or nothing.
    pub fn open(&self, engine: Kind, now_ms: u64) -> Option<Fault> {
        self.decide(now_ms, |rule| rule.fault.is_for_opens() && rule.engine.is_none_or(|e| e == engine))
    }
}

#[cfg(test)]
mod tests;
