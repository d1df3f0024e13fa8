//! The fault plan: which requests go wrong, and how.
//!
//! A plan is `;`-separated rules `ENGINE[.CLASS]:KIND[=ARG]@WHEN`. Each rule counts the requests of its scope,
//! over all processes of a run (the counters live in the shared directory); the first rule that fires decides.
//! All decisions are made in [`Plan::request`] and [`Plan::open`], nowhere else.

use super::profile::Kind;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Controller reset of the whole device; opens are refused for this many milliseconds.
    Reset(u64),
    /// Silent: wrong output with a good status.
    Corrupt,
    /// `open` fails with this errno.
    RefuseOpen(i32),
}

/// How long a reset lasts when the plan does not say (milliseconds).
pub const RESET_MS: u64 = 20;

/// When a rule fires, counted from 1 within its scope.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Nth(u64),
    From(u64),
    Every(u64),
    Chance { probability: f64, seed: u64 },
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

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

const ERRNO_NAMES: [(&str, i32); 12] = [
    ("EPERM", libc::EPERM),
    ("ENOENT", libc::ENOENT),
    ("EIO", libc::EIO),
    ("ENXIO", libc::ENXIO),
    ("EAGAIN", libc::EAGAIN),
    ("ENOMEM", libc::ENOMEM),
    ("EACCES", libc::EACCES),
    ("EBUSY", libc::EBUSY),
    ("ENODEV", libc::ENODEV),
    ("EINVAL", libc::EINVAL),
    ("EMFILE", libc::EMFILE),
    ("EINTR", libc::EINTR),
];

fn errno(text: &str) -> Option<i32> {
    let named = ERRNO_NAMES.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    named.or_else(|| number(text).filter(|n| (1..4096).contains(n)).map(|n| n as i32))
}

impl Rule {
    fn parse(text: &str) -> Result<Rule, String> {
        let bad = |why: &str| format!("rule `{text}`: {why}");
        let (scope, rest) = text.split_once(':').ok_or_else(|| bad("no `:` after the engine"))?;
        let (action, when) = rest.split_once('@').ok_or_else(|| bad("no `@WHEN`"))?;
        let (engine, class) = scope.split_once('.').map_or((scope, None), |(e, c)| (e, Some(c)));
        let engine = match engine {
            "*" => None,
            name => {
                let kind = Kind::ALL.into_iter().find(|k| k.name() == name);
                Some(kind.ok_or_else(|| bad("ENGINE is zip, sec, hpre or *"))?)
            }
        };
        if class == Some("") {
            return Err(bad("empty CLASS"));
        }
        let (kind, arg) = action.split_once('=').map_or((action, None), |(k, a)| (k, Some(a)));
        let value = || arg.and_then(number).ok_or_else(|| bad("this KIND wants a number"));
        let fault = match kind {
            "status" => {
                Fault::Status(u32::try_from(value()?).map_err(|_| bad("a status has at most 32 bits"))?)
            }
            "delay" => Fault::Delay(value()?),
            "refuse-open" => Fault::RefuseOpen(
                arg.and_then(errno).ok_or_else(|| bad("refuse-open wants an errno name or number"))?,
            ),
            "reset" => Fault::Reset(if arg.is_some() { value()? } else { RESET_MS }),
            "drop" | "partial" | "corrupt" if arg.is_some() => {
                return Err(bad("this KIND takes no argument"));
            }
            "drop" => Fault::Drop,
            "partial" => Fault::Partial,
            "corrupt" => Fault::Corrupt,
            _ => return Err(bad("no such KIND")),
        };
        if class.is_some() && matches!(fault, Fault::RefuseOpen(_)) {
            return Err(bad("an open has no CLASS"));
        }
        let count = |text: &str| {
            number(text).filter(|n| *n > 0).ok_or_else(|| bad("WHEN wants a count from 1, as N, N+ or %N"))
        };
        let when = if let Some(chance) = when.strip_prefix('p') {
            let (probability, seed) = match chance.split_once(',') {
                None => (chance, 0),
                Some((p, seed)) => {
                    let seed = seed.strip_prefix("seed=").and_then(number);
                    (p, seed.ok_or_else(|| bad("wants `pX,seed=S`"))?)
                }
            };
            let probability = probability.parse().ok().filter(|p| (0.0..=1.0).contains(p));
            When::Chance { probability: probability.ok_or_else(|| bad("a probability lies in 0..1"))?, seed }
        } else if let Some(every) = when.strip_prefix('%') {
            When::Every(count(every)?)
        } else if let Some(from) = when.strip_suffix('+') {
            When::From(count(from)?)
        } else {
            When::Nth(count(when)?)
        };
        Ok(Rule { engine, class: class.map(str::to_owned), fault, when })
    }

    fn fires(&self, n: u64) -> bool {
        match self.when {
            When::Nth(k) => n == k,
            When::From(k) => n >= k,
            When::Every(k) => n.is_multiple_of(k),
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

impl Plan {
    /// Reads a plan; the error names the rule and what is wrong with it.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let rules = text.split(';').map(str::trim).filter(|rule| !rule.is_empty());
        Ok(Plan { rules: rules.map(Rule::parse).collect::<Result<_, _>>()? })
    }

    /// How many counters the plan needs: one per rule.
    pub fn counters(&self) -> usize {
        self.rules.len()
    }

    fn decide(&self, counters: &[AtomicU64], in_scope: impl Fn(&Rule) -> bool) -> Option<Fault> {
        let mut fault = None;
        for (rule, counter) in self.rules.iter().zip(counters).filter(|(rule, _)| in_scope(rule)) {
            let n = counter.fetch_add(1, Ordering::Relaxed) + 1;
            if fault.is_none() && rule.fires(n) {
                fault = Some(rule.fault);
            }
        }
        fault
    }

    /// What happens to the next request of this engine and class.
    pub fn request(&self, engine: Kind, class: &str, counters: &[AtomicU64]) -> Option<Fault> {
        self.decide(counters, |rule| {
            !matches!(rule.fault, Fault::RefuseOpen(_))
                && rule.engine.is_none_or(|e| e == engine)
                && rule.class.as_deref().is_none_or(|c| c == class)
        })
    }

    /// The errno with which the next open of such a device fails, if it does.
    pub fn open(&self, engine: Kind, counters: &[AtomicU64]) -> Option<i32> {
        let fault = self.decide(counters, |rule| {
            matches!(rule.fault, Fault::RefuseOpen(_)) && rule.engine.is_none_or(|e| e == engine)
        });
        match fault {
            Some(Fault::RefuseOpen(errno)) => Some(errno),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(plan: &Plan) -> Vec<AtomicU64> {
        (0..plan.counters()).map(|_| AtomicU64::new(0)).collect()
    }

    fn run(plan: &str, requests: &[(Kind, &str)]) -> Vec<Option<Fault>> {
        let plan = Plan::parse(plan).unwrap();
        let counters = counters(&plan);
        requests.iter().map(|(kind, class)| plan.request(*kind, class, &counters)).collect()
    }

    #[test]
    fn the_nth_request_of_the_scope_is_hit() {
        let zip = (Kind::Zip, "compress");
        let other = (Kind::Zip, "decompress");
        let hits = run("zip.compress:status=0x0b@2", &[zip, other, zip, zip]);
        assert_eq!(hits, [None, None, Some(Fault::Status(11)), None]);
    }

    #[test]
    fn from_every_and_wildcard() {
        let requests = [(Kind::Sec, "cipher"); 5];
        let fired = |plan: &str| run(plan, &requests).iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(fired("*:drop@4+"), [false, false, false, true, true]);
        assert_eq!(fired("sec:partial@%2"), [false, true, false, true, false]);
        assert_eq!(fired("hpre:drop@1+"), [false; 5]);
    }

    #[test]
    fn the_first_rule_that_fires_decides_and_all_rules_count() {
        let hits = run("zip:drop@2;zip:delay=5@%2", &[(Kind::Zip, "compress"); 4]);
        assert_eq!(hits, [None, Some(Fault::Drop), None, Some(Fault::Delay(5))]);
    }

    #[test]
    fn chance_is_reproducible_from_the_seed_and_near_its_probability() {
        let requests = vec![(Kind::Hpre, "rsa"); 4000];
        let hits = |plan: &str| run(plan, &requests);
        let first = hits("hpre:reset@p0.25,seed=7");
        assert_eq!(first, hits("hpre:reset@p0.25,seed=7"));
        assert_ne!(first, hits("hpre:reset@p0.25,seed=8"));
        let fired = first.iter().flatten().count();
        assert!((850..1150).contains(&fired), "{fired}");
        assert!(hits("hpre:drop@p0").iter().all(Option::is_none));
        assert!(hits("hpre:drop@p1").iter().all(Option::is_some));
    }

    #[test]
    fn opens_and_requests_count_apart() {
        let plan = Plan::parse("zip:refuse-open=EBUSY@2;*:drop@1").unwrap();
        let counters = counters(&plan);
        assert_eq!(plan.open(Kind::Zip, &counters), None);
        assert_eq!(plan.request(Kind::Zip, "compress", &counters), Some(Fault::Drop));
        assert_eq!(plan.open(Kind::Zip, &counters), Some(libc::EBUSY));
    }

    #[test]
    fn a_broken_rule_is_named() {
        for rule in [
            "zip",
            "zip:drop",
            "zap:drop@1",
            "zip:fly@1",
            "zip:drop@0",
            "zip:drop@x",
            "zip:status@1",
            "zip:drop=3@1",
            "zip.:drop@1",
            "zip:drop@p2",
            "zip:drop@p0.1,sead=3",
            "zip:refuse-open=EWHAT@1",
            "zip:status=0x1ffffffff@1",
            "zip:drop@%0",
            "zip.compress:refuse-open=EBUSY@1",
        ] {
            let error = Plan::parse(&format!("sec:drop@1;{rule}")).unwrap_err();
            assert!(error.contains(rule), "{error}");
        }
        assert_eq!(Plan::parse(" ; ").unwrap(), Plan::default());
    }
}
