//! The decision as a table for people: what a side is expected to cost and which would be chosen, row by row. A
//! running process shows its own through gauges, from which another one can read it.

use std::collections::BTreeMap;

use super::model::{CostModel, Expected, Place};
use crate::config::{Config, Policy};
use crate::job::{Effort, Job, Op, Why};
use crate::stats;

/// Moduli of up to 1024 bytes have gauges; other rows all do.
const MODULI: usize = 8;
/// Gauges before those of the rows: the policy, and each operation's smallest size.
const SETTINGS: usize = 1 + Op::ALL.len();
/// Gauges of a row.
const COLUMNS: [&str; 4] = ["device.ns", "device.samples", "software.ns", "software.samples"];

/// One row: requests of an effort and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What is done.
    pub effort: Effort,
    /// Of how many bytes.
    pub bytes: usize,
    /// What a device is expected to take when nothing is ahead; of several devices the one used last.
    pub device: Expected,
    /// What software is expected to take.
    pub software: Expected,
    /// Why it goes to software; `None`: to the device.
    pub why: Option<Why>,
}

impl Line {
    fn new(rules: &Rules, effort: Effort, bytes: usize, device: Expected, software: Expected) -> Line {
        let why = match rules.policy.factor() {
            Some(0) => Some(Why::Disabled),
            _ if rules.minimum[effort.op().index()] == usize::MAX => Some(Why::Disabled),
            _ if bytes < rules.minimum[effort.op().index()] => Some(Why::TooSmall),
            Some(factor) if device.ns > software.ns.saturating_mul(factor) => Some(Why::CheaperOnCpu),
            _ => None,
        };
        Line { effort, bytes, device, software, why }
    }
}

/// What the table depends on beside the costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The policy in force.
    pub policy: Policy,
    /// Smallest size, bytes, by operation; the largest number where devices are switched off for it.
    pub minimum: [usize; Op::ALL.len()],
}

impl Rules {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Rules {
        let minimum = |op| if config.enabled(op) { config.minimum(op) } else { usize::MAX };
        Rules { policy: config.policy(), minimum: Op::ALL.map(minimum) }
    }
}

/// One line of what a process with this configuration starts from.
pub fn assumed(rules: &Rules, effort: Effort, bytes: usize) -> Line {
    let model = CostModel::new(rules.policy, 0);
    let (device, software) = (model.device_cost(effort, bytes, 0, 0), model.software_cost(effort, bytes));
    Line::new(rules, effort, bytes, device, software)
}

/// Rows that have gauges, in their order.
pub fn places() -> impl Iterator<Item = Place> {
    Place::all().filter(|place| first_gauge(*place).is_some())
}

/// Number of the first of a row's gauges.
fn first_gauge(place: Place) -> Option<usize> {
    let rsa = [Effort::RsaPrivate, Effort::RsaPublic].iter().position(|effort| *effort == place.effort);
    let row = match rsa {
        // The RSA rows are the last ones.
        Some(_) if place.class >= MODULI => return None,
        Some(which) => Place { effort: Effort::RsaPrivate, class: 0 }.index() + which * MODULI + place.class,
        None => place.index(),
    };
    Some(SETTINGS + row * COLUMNS.len())
}

/// Names this process's gauges and shows its rules. To be called before the first count.
pub(crate) fn announce(config: &Config) {
    fn names() -> Vec<String> {
        let settings = std::iter::once("model.policy".to_owned());
        let minimum = Op::ALL.iter().map(|op| format!("model.min.{}", op.name()));
        let rows = places().flat_map(|place| COLUMNS.map(|column| row_name(place, column)));
        settings.chain(minimum).chain(rows).collect()
    }
    stats::use_gauges(SETTINGS + places().count() * COLUMNS.len(), names);
    let rules = Rules::of(config);
    let policy = Policy::ALL.iter().position(|policy| *policy == rules.policy);
    stats::gauge(0, policy.unwrap_or_default() as u64);
    for (index, bytes) in rules.minimum.into_iter().enumerate() {
        stats::gauge(1 + index, bytes as u64);
    }
}

fn row_name(place: Place, column: &str) -> String {
    format!("model.{}.{}.{column}", place.effort.name(), place.bytes())
}

fn show(place: Place, column: usize, value: Expected) {
    if let Some(first) = first_gauge(place) {
        stats::gauge(first + column, value.ns);
        stats::gauge(first + column + 1, u64::from(value.samples));
    }
}

/// Shows what is expected of a device after a sample.
pub(super) fn show_device(model: &CostModel, job: &Job, device: usize) {
    let place = Place::of(job.effort, job.bytes);
    show(place, 0, model.device_cost(place.effort, place.bytes(), device, 0));
}

/// Shows what is expected of software after a sample.
pub(super) fn show_software(model: &CostModel, job: &Job) {
    let place = Place::of(job.effort, job.bytes);
    show(place, 2, model.software_cost(place.effort, place.bytes()));
}

/// The table of another process, from its gauges by name: rules, and every row in which something was measured.
/// What was not measured there is what any process starts from. `None` if these are no such gauges.
pub fn of_gauges(gauges: &BTreeMap<String, u64>) -> Option<(Rules, Vec<Line>)> {
    let policy = usize::try_from(*gauges.get("model.policy")?).ok()?;
    let minimum = Op::ALL.map(|op| gauges.get(&format!("model.min.{}", op.name())).copied());
    let minimum = minimum.map(|bytes| usize::try_from(bytes.unwrap_or_default()).unwrap_or(usize::MAX));
    let rules = Rules { policy: *Policy::ALL.get(policy)?, minimum };
    let value = |place, column| gauges.get(&row_name(place, COLUMNS[column])).copied().unwrap_or(0);
    let lines = places().filter_map(|place| {
        let start = assumed(&rules, place.effort, place.bytes());
        let measured = |column, start| match u32::try_from(value(place, column + 1)).unwrap_or(u32::MAX) {
            0 => start,
            samples => Expected { ns: value(place, column), samples },
        };
        let (device, software) = (measured(0, start.device), measured(2, start.software));
        (device.samples + software.samples > 0)
            .then(|| Line::new(&rules, place.effort, place.bytes(), device, software))
    });
    let lines = lines.collect();
    Some((rules, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules::of(&Config::default())
    }

    #[test]
    fn gauges_follow_one_another_without_gaps() {
        let firsts: Vec<_> = places().map(|place| first_gauge(place).unwrap()).collect();
        let expected: Vec<_> = (0..firsts.len()).map(|row| SETTINGS + row * COLUMNS.len()).collect();
        assert_eq!(firsts, expected);
        assert!(firsts.len() * COLUMNS.len() + SETTINGS <= 1024, "as many as there may be");
        assert!(places().all(|place| row_name(place, COLUMNS[3]).len() <= 48));
    }

    #[test]
    fn lines_say_what_the_gate_would_do() {
        let why = |effort, bytes| assumed(&rules(), effort, bytes).why;
        assert_eq!(why(Effort::DeflateUsual, 65536), None);
        assert_eq!(why(Effort::DeflateUsual, 100), Some(Why::TooSmall));
        assert_eq!(why(Effort::Cipher, 65536), Some(Why::CheaperOnCpu));
        let off = Rules { policy: Policy::Off, ..rules() };
        assert_eq!(assumed(&off, Effort::DeflateUsual, 65536).why, Some(Why::Disabled));
        let (config, _) = crate::config::parse("zip = off");
        assert_eq!(assumed(&Rules::of(&config), Effort::DeflateUsual, 65536).why, Some(Why::Disabled));
        let always = Rules { policy: Policy::Device, ..rules() };
        assert_eq!(assumed(&always, Effort::Cipher, 65536).why, None);
    }

    #[test]
    fn table_of_another_process_is_read_from_its_gauges() {
        let mut gauges = BTreeMap::from([
            ("model.policy".to_owned(), 1),
            ("model.min.zip.compress".to_owned(), 4096),
            ("model.inflate.65536.device.ns".to_owned(), 77_000),
            ("model.inflate.65536.device.samples".to_owned(), 5),
        ]);
        let (rules, lines) = of_gauges(&gauges).unwrap();
        assert_eq!((rules.policy, rules.minimum), (Policy::SaveCpu, [4096, 0, 0, 0]));
        let [line] = lines[..] else { panic!("{lines:?}") };
        assert_eq!((line.effort, line.bytes), (Effort::Inflate, 65536));
        assert_eq!(line.device, Expected { ns: 77_000, samples: 5 });
        assert_eq!((line.software.samples, line.why), (0, None));
        gauges.insert("model.policy".to_owned(), 99);
        assert_eq!(of_gauges(&gauges), None);
        assert_eq!(of_gauges(&BTreeMap::new()), None);
    }
}
