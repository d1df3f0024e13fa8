//! The questions: is the gate as good as the better of the two who never think?

use warpdrive_core::config::Policy;
use warpdrive_device_model::virtual_time::Speed;

use crate::world::{Part, SECOND, Strategy, Study, Task, run};

/// How much slower or faster than software the devices are.
pub const SLOW: f64 = 0.1;
/// And the other one.
pub const FAST: f64 = 10.0;

/// One study under all three strategies.
pub struct Comparison {
    /// The study.
    pub study: Study,
    /// Parts under the gate's policy.
    pub gate: Vec<Part>,
    /// Parts with every request on the device.
    pub device: Vec<Part>,
    /// And in software.
    pub software: Vec<Part>,
}

/// How the gate did, over the better of the other two; 1: as well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratios {
    /// Of requests served.
    pub throughput: f64,
    /// Of the 99th percentile of latency, such that more is better.
    pub p99: f64,
}

impl Comparison {
    /// Runs a study.
    pub fn of(study: Study, policy: Policy) -> Comparison {
        let [gate, device, software] =
            [Strategy::Model(policy), Strategy::Device, Strategy::Software].map(|who| run(&study, who));
        Comparison { study, gate, device, software }
    }

    /// Over the parts from `from` to before `to`.
    pub fn ratios(&self, from: usize, to: usize) -> Ratios {
        let [gate, device, software] =
            [&self.gate, &self.device, &self.software].map(|parts| Part::sum(&parts[from..to]));
        Ratios {
            throughput: gate.requests as f64 / device.requests.max(software.requests) as f64,
            p99: device.p99().min(software.p99()) / gate.p99(),
        }
    }
}

/// A device that stays as it is: `parts` parts within `length`.
pub fn constant(task: Task, callers: usize, factor: f64, length: u64, parts: usize) -> Comparison {
    let speed = Speed::Constant(factor);
    let study = Study { task, callers, engines: callers as u16, speed, interval: 0, length, parts };
    Comparison::of(study, Policy::Latency)
}

/// A device that is slow and fast in turn, `step` each, four times in all.
pub fn changing(task: Task, callers: usize, step: u64, parts: usize) -> Comparison {
    changing_at(task, callers, 0, step, parts)
}

/// The same under a load that does not depend on who serves it: a request every `interval` for each caller.
pub fn changing_at(task: Task, callers: usize, interval: u64, step: u64, parts: usize) -> Comparison {
    let speed = Speed::Steps { step_ns: step, factors: vec![SLOW, FAST] };
    let study = Study { task, callers, engines: callers as u16, speed, interval, length: 4 * step, parts };
    Comparison::of(study, Policy::Latency)
}

/// Seconds, for people.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND as f64
}
