//! Callers, processors and one accelerator on virtual time, around the real cost model and the real queue path.
//!
//! Each caller asks for one request after the other. A request in software takes its time on the caller's own
//! processor; one on the device goes through the core's queue to the device model's machine, at whose clock everything
//! is read. The same study gives the same figures everywhere.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use warpdrive_core::config::Policy;
use warpdrive_core::gate::model::{CostModel, Decision};
use warpdrive_core::{Effort, Job, Needs};
use warpdrive_device_model::device::Kind;
use warpdrive_device_model::device::service::Work;
use warpdrive_device_model::engine::Generation;
use warpdrive_device_model::virtual_time::{DeviceSetup, Hollow, Machine, Speed, process_memory};

use crate::link;

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;
/// Share of time for learning that the configuration has by default, in ten-thousandths.
const SHARE: u32 = 200;

static ENGINE: Hollow = Hollow::ZIP;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// For people.
    pub name: &'static str,
    /// What it is to the cost model.
    pub effort: Effort,
    /// Input or modulus, bytes.
    pub bytes: usize,
    /// What software takes, nanoseconds: measured on another machine (design/baselines.md 1b, 2a, 3).
    pub software_ns: u64,
}

/// The three tasks of every study.
pub const TASKS: [Task; 3] = [
    Task { name: "deflate 64 KiB", effort: Effort::DeflateUsual, bytes: 64 << 10, software_ns: 1_000_000 },
    Task { name: "AES-CBC 16 KiB", effort: Effort::CipherChained, bytes: 16 << 10, software_ns: 14_700 },
    Task { name: "RSA-2048 sign", effort: Effort::RsaPrivate, bytes: 256, software_ns: 388_000 },
];

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Every request to the device.
    Device,
    /// None.
    Software,
    /// The cost model under this policy.
    Model(Policy),
}

/// One study.
#[derive(Clone, Debug)]
pub struct Study {
    /// What is asked for.
    pub task: Task,
    /// Callers, each with a processor of its own.
    pub callers: usize,
    /// Requests that the device serves at a time.
    pub engines: u16,
    /// How fast it is: 1 is as fast as software.
    pub speed: Speed,
    /// Time between two requests of a caller, who has them whether or not the last one is done, nanoseconds; 0: the
    /// next one comes when the last is done.
    pub interval: u64,
    /// How long it lasts, nanoseconds.
    pub length: u64,
    /// Into so many parts of equal length the figures are divided.
    pub parts: usize,
}

/// Requests that ended within one part of a study.
#[derive(Clone, Debug)]
pub struct Part {
    /// How many.
    pub requests: u64,
    /// By latency, in 256ths of an octave.
    latencies: Vec<u32>,
}

/// Latencies are told apart by so many steps of an octave.
const STEPS: usize = 256;

impl Part {
    fn new() -> Part {
        Part { requests: 0, latencies: vec![0; 48 * STEPS] }
    }

    fn add(&mut self, latency: u64) {
        let octave = latency.max(1).ilog2() as usize;
        let within = ((latency as u128 * STEPS as u128) >> octave) as usize - STEPS;
        let index = (octave * STEPS + within).min(self.latencies.len() - 1);
        self.requests += 1;
        self.latencies[index] += 1;
    }

    /// The sum of several.
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Part>) -> Part {
        parts.into_iter().fold(Part::new(), |mut sum, part| {
            sum.requests += part.requests;
            sum.latencies.iter_mut().zip(&part.latencies).for_each(|(sum, count)| *sum += count);
            sum
        })
    }

    /// The latency that one request in a hundred exceeds, nanoseconds, to a part in 256.
    pub fn p99(&self) -> f64 {
        let mut beyond = self.requests / 100;
        let slowest_first = self.latencies.iter().enumerate().rev();
        for (index, count) in slowest_first.filter(|(_, count)| **count > 0) {
            match beyond.checked_sub(u64::from(*count)) {
                Some(rest) if rest > 0 => beyond = rest,
                _ => {
                    return (1u64 << (index / STEPS)) as f64 * (1.0 + (index % STEPS) as f64 / STEPS as f64);
                }
            }
        }
        0.0
    }
}

/// What happens at a caller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Here {
    Done,
    Arrives,
}

/// A request on its way.
struct Flight {
    caller: usize,
    /// When the caller had it.
    start: u64,
    /// When he could turn to it.
    begun: u64,
    depth: u16,
    decision: Option<Decision>,
}

/// Runs a study under one strategy; the parts in their order.
pub fn run(study: &Study, strategy: Strategy) -> Vec<Part> {
    let work = Work { engines: study.engines, fixed_ns: study.task.software_ns, ..Work::FREE };
    let setup =
        DeviceSetup { engine: &ENGINE, work: [work; 2], ..DeviceSetup::new(Kind::Zip, Generation::V3) };
    let machine = Rc::new(Machine::new(vec![setup], process_memory()));
    machine.set_speed(study.speed.clone());
    let (mut queue, _) = link::open(&machine, 0, 0);
    let job = Job::new(study.task.effort.op(), study.task.bytes, Needs::always("any"));
    let job = job.with_effort(study.task.effort);
    let model = match strategy {
        Strategy::Model(policy) => Some(CostModel::new(policy, SHARE)),
        Strategy::Device | Strategy::Software => None,
    };
    let mut parts = vec![Part::new(); study.parts];
    let mut here = BinaryHeap::new();
    let mut software = Vec::new();
    let mut on_device: Vec<Option<Flight>> = (0..link::DEPTH).map(|_| None).collect();
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut idle: Vec<usize> = (0..study.callers).collect();
    software.resize_with(study.callers, || None);
    // One after the other within an interval.
    let first = |caller| study.interval * caller as u64 / study.callers as u64;
    let mut due: Vec<u64> = (0..study.callers).map(first).collect();
    while machine.now_ns() < study.length {
        for caller in std::mem::take(&mut idle) {
            if due[caller] > machine.now_ns() {
                here.push(Reverse((due[caller], caller, Here::Arrives)));
                continue;
            }
            let (now, depth) = (machine.now_ns(), queue.in_flight());
            // A request that had to wait for its caller waits.
            let start = if study.interval == 0 { now } else { due[caller] };
            due[caller] = start + study.interval;
            // As the gate does: first at an empty queue, then at the one that it is given.
            let decision = model.as_ref().map(|model| {
                let first = model.decide(&job, 0, 0);
                match first.software {
                    Some(_) => (false, Some(first)),
                    None => model.still(&job, first, 0, depth).map_or((false, None), |it| (true, Some(it))),
                }
            });
            let (device, decision) = decision.unwrap_or((strategy == Strategy::Device, None));
            let flight = Some(Flight { caller, start, begun: now, depth, decision });
            if device {
                let slot = queue.submit(&[0; 128]).expect("fewer callers than slots");
                on_device[usize::from(slot.index())] = flight;
            } else {
                software[caller] = flight;
                let end = now + varied(study.task.software_ns, &mut dice);
                here.push(Reverse((end, caller, Here::Done)));
            }
        }
        let next_here = here.peek().map(|Reverse((time, ..))| *time);
        let next_there = machine.next_event_ns();
        let mut done = |flight: Flight, device: bool| {
            let took = machine.now_ns() - flight.begun;
            if let Some(model) = &model {
                if device {
                    model.device(&job, 0, flight.depth, took);
                } else {
                    model.software(&job, took);
                }
                if let Some(decision) = flight.decision {
                    model.settle(&job, decision, took);
                }
            }
            let part =
                (u128::from(machine.now_ns()) * study.parts as u128 / u128::from(study.length)) as usize;
            if let Some(part) = parts.get_mut(part) {
                part.add(machine.now_ns() - flight.start);
            }
            flight.caller
        };
        if next_there.is_some_and(|there| next_here.is_none_or(|here| there <= here)) {
            machine.step();
            while let Some(slot) = queue.reap(&mut [0; 128]).expect("a healthy queue") {
                let flight = on_device[usize::from(slot.index())].take().expect("in flight");
                idle.push(done(flight, true));
            }
        } else if let Some(Reverse((time, caller, what))) = here.pop() {
            machine.run_until(time);
            idle.push(match what {
                Here::Arrives => caller,
                Here::Done => done(software[caller].take().expect("at work"), false),
            });
        }
    }
    parts
}

/// Five per cent more or less: contents differ.
fn varied(ns: u64, dice: &mut u64) -> u64 {
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    ns * (950 + (*dice >> 32) % 101) / 1000
}
