//! The text of a plan. Errors name the rule and what is wrong with it.

use super::{Fault, Kind, Plan, Rule, When};

/// How long a reset lasts when the plan does not say (milliseconds).
const RESET_MS: u64 = 20;
/// How long a device is busy when the plan does not say (milliseconds).
const BUSY_MS: u64 = 20;

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The names and Linux values of errnos that a plan may give to an open.
const ERRNO_NAMES: [(&str, i32); 12] = [
    ("EPERM", 1),
    ("ENOENT", 2),
    ("EINTR", 4),
    ("EIO", 5),
    ("ENXIO", 6),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EBUSY", 16),
    ("ENODEV", 19),
    ("EINVAL", 22),
    ("EMFILE", 24),
];

fn errno(text: &str) -> Option<i32> {
    let named = ERRNO_NAMES.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    named.or_else(|| number(text).filter(|n| (1..4096).contains(n)).map(|n| n as i32))
}

fn fault(action: &str) -> Result<Fault, &'static str> {
    let (kind, arg) = action.split_once('=').map_or((action, None), |(k, a)| (k, Some(a)));
    let value = || arg.and_then(number).ok_or("this KIND wants a number");
    let value_or = |default: u64| if arg.is_some() { value() } else { Ok(default) };
    let alone = |fault: Fault| if arg.is_none() { Ok(fault) } else { Err("this KIND takes no argument") };
    match kind {
        "status" => {
            let status = u32::try_from(value()?).map_err(|_| "a status has at most 32 bits")?;
            Ok(Fault::Status(status))
        }
        "delay" => value().map(Fault::Delay),
        "reset" => value_or(RESET_MS).map(Fault::Reset),
        "busy" => value_or(BUSY_MS).map(Fault::Busy),
        "page-fault" => match value_or(1)? {
            0 => Err("accesses are counted from 1"),
            access => Ok(Fault::PageFault(access)),
        },
        "refuse-open" => {
            let errno = arg.and_then(errno).ok_or("refuse-open wants an errno name or number")?;
            Ok(Fault::RefuseOpen(errno))
        }
        "drop" => alone(Fault::Drop),
        "partial" => alone(Fault::Partial),
        "truncate" => alone(Fault::Truncate),
        "cq-overflow" => alone(Fault::CqOverflow),
        "isolate" => alone(Fault::Isolate),
        "remove" => alone(Fault::Remove),
        "corrupt" => alone(Fault::Corrupt),
        "stale-tag" => alone(Fault::StaleTag),
        _ => Err("no such KIND"),
    }
}

fn when(text: &str) -> Result<When, &'static str> {
    let count =
        |text: &str| number(text).filter(|n| *n > 0).ok_or("WHEN wants a count from 1, as N, N+ or %N");
    if let Some(chance) = text.strip_prefix('p') {
        let (probability, seed) = match chance.split_once(',') {
            None => (chance, 0),
            Some((p, seed)) => {
                let seed = seed.strip_prefix("seed=").and_then(number);
                (p, seed.ok_or("wants `pX,seed=S`")?)
            }
        };
        let probability = probability.parse().ok().filter(|p| (0.0..=1.0).contains(p));
        Ok(When::Chance { probability: probability.ok_or("a probability lies in 0..1")?, seed })
    } else if let Some(window) = text.strip_prefix('t') {
        let ends = window.split_once('-').and_then(|(a, b)| Some((number(a)?, number(b)?)));
        match ends {
            Some((from, to)) if from < to => Ok(When::Window { from, to }),
            _ => Err("a time window is `tA-B`, milliseconds, A below B"),
        }
    } else if let Some(every) = text.strip_prefix('%') {
        count(every).map(When::Every)
    } else if let Some(from) = text.strip_suffix('+') {
        count(from).map(When::From)
    } else {
        count(text).map(When::Nth)
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Rule, String> {
        let bad = |why: &str| format!("rule `{text}`: {why}");
        let (scope, rest) = text.split_once(':').ok_or_else(|| bad("no `:` after the engine"))?;
        let (action, moment) = rest.split_once('@').ok_or_else(|| bad("no `@WHEN`"))?;
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
        let fault = fault(action).map_err(bad)?;
        if class.is_some() && fault.is_for_opens() {
            return Err(bad("an open has no CLASS"));
        }
        if fault == Fault::Truncate && engine != Some(Kind::Zip) {
            return Err(bad("only zip can be truncated"));
        }
        let when = when(moment).map_err(bad)?;
        Ok(Rule { engine, class: class.map(str::to_owned), fault, when })
    }
}

impl Plan {
    /// Reads a plan; the error names the rule and what is wrong with it.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let rules = text.split(';').map(str::trim).filter(|rule| !rule.is_empty());
        Ok(Plan { rules: rules.map(Rule::parse).collect::<Result<_, _>>()? })
    }
}
