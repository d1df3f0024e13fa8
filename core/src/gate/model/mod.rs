//! The cost model: what a request of some kind and size is expected to take on each side, and which side it goes to.
//!
//! A table with a row for each [`Effort`] and size class. A row holds software's moving average, and for each device
//! one average by the number of requests that are ahead in its queue. What has not been measured is assumed
//! (`assumed.rs`), so a row moves by its own evidence alone. Nothing here locks, allocates after the start, or looks
//! at a clock: durations are given, so a simulation can drive it. See `explore.rs` for how the side that is not
//! preferred stays known.

mod assumed;
mod cell;
mod explore;
mod place;

use std::sync::atomic::{AtomicI64, AtomicU32};

use crate::config::Policy;
use crate::job::{Effort, Job, Why};
use assumed::{device as assumed_device, software as assumed_software};
pub use cell::Known;
use cell::{Cell, Moved, TRUSTED};
pub use place::{Place, SIZES};

/// Devices that are told apart; others share (a machine has at most so many of a kind).
pub const LANES: usize = 8;
/// Least number of requests ahead, by which a device's averages are told apart.
pub const DEPTHS: [u16; 6] = [0, 1, 2, 4, 8, 16];
/// Requests that a device serves at a time, as long as nothing about its queue has been measured: an assumption.
const ENGINES: u64 = 4;
/// How much slower than software a device must be for a stream on it to leave: a compressor can leave at each
/// request, but continues without its window's history; an inflater begins again at the member's start.
const LEAVE_DEFLATE: u64 = 2;
const LEAVE_INFLATE: u64 = 8;

/// What a request is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Nanoseconds.
    pub ns: u64,
    /// Measurements behind it; 0: an assumption.
    pub samples: u32,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// `None`: to the device.
    pub software: Option<Why>,
    /// Not because it is the better side, but to learn what it costs.
    pub explored: bool,
    /// What the side that it goes to is expected to take, nanoseconds.
    pub expected: u64,
    /// The device that was asked about.
    device: usize,
    /// With so many requests ahead.
    depth: u16,
    /// What was set aside for learning, nanoseconds.
    charge: u64,
    /// What the better side was expected to take.
    best: u64,
}

#[derive(Debug, Default)]
struct Row {
    software: Cell,
    /// Time that may be spent on learning, nanoseconds.
    credit: AtomicI64,
    /// Tries before the other side was known.
    tries: AtomicU32,
    device: [[Cell; DEPTHS.len()]; LANES],
}

/// See the module. Shared by all threads.
#[derive(Debug)]
pub struct CostModel {
    policy: Policy,
    /// Share of all time that may go into learning, in ten-thousandths.
    share: u32,
    rows: Box<[Row]>,
}

impl CostModel {
    /// A model that has measured nothing. `share`, in ten-thousandths, bounds the time spent on learning.
    pub fn new(policy: Policy, share: u32) -> Self {
        CostModel { policy, share, rows: Place::all().map(|_| Row::default()).collect() }
    }

    /// What software is expected to take for so many bytes.
    pub fn software_cost(&self, effort: Effort, bytes: usize) -> Expected {
        let place = Place::of(effort, bytes);
        let curve = assumed_software(effort);
        let known = self.rows[place.index()].software.known();
        let ns = match known.samples {
            0 => place.at(curve),
            1..TRUSTED => known.mean.min(place.at(curve)),
            _ => known.mean,
        };
        Expected { ns: place.for_bytes(curve, bytes, ns), samples: known.samples }
    }

    /// What a device is expected to take for so many bytes with `depth` requests ahead.
    pub fn device_cost(&self, effort: Effort, bytes: usize, device: usize, depth: u16) -> Expected {
        let place = Place::of(effort, bytes);
        let curve = assumed_device(effort);
        let lane = &self.rows[place.index()].device[device % LANES];
        let known = lane[bucket(depth)].known();
        let known = if known.samples >= TRUSTED {
            known
        } else {
            let guess = from_other_depths(lane, depth).unwrap_or_else(|| {
                let assumed = place.at(curve);
                Known { mean: scale(assumed, ENGINES + u64::from(depth), ENGINES), samples: 0 }
            });
            match known.samples {
                0 => guess,
                // Too few to be sure that the device is slow; enough to see that it is fast.
                samples => Known { mean: known.mean.min(guess.mean), samples },
            }
        };
        Expected { ns: place.for_bytes(curve, bytes, known.mean), samples: known.samples }
    }

    /// Of several devices the one that is expected to be fastest with an empty queue.
    pub fn fastest(&self, job: &Job, mut devices: impl Iterator<Item = usize>) -> Option<usize> {
        let first = devices.next()?;
        let cost = |device| self.device_cost(job.effort, job.bytes, device, 0).ns;
        // Most often there is one, of which nothing need be known.
        let Some(second) = devices.next() else { return Some(first) };
        [first, second].into_iter().chain(devices).min_by_key(|device| cost(*device))
    }

    /// Where `job` goes if `device` would serve it with `depth` requests ahead.
    pub fn decide(&self, job: &Job, device: usize, depth: u16) -> Decision {
        let on_device = self.device_cost(job.effort, job.bytes, device, depth);
        let in_software = self.software_cost(job.effort, job.bytes);
        let limit = self.limit(job, in_software.ns);
        let preferred = on_device.ns <= limit;
        let (best, other) = if preferred { (on_device, in_software) } else { (in_software, on_device) };
        // A stream that has begun is no place to try things.
        let charge = if job.sticky { None } else { self.explore(job, device, depth, best, other, preferred) };
        let why = match (preferred, charge) {
            (true, None) | (false, Some(_)) => None,
            (true, Some(_)) => Some(Why::Explored),
            (false, None) => Some(self.why_not(job, device, depth, limit)),
        };
        Decision {
            software: why,
            explored: charge.is_some(),
            expected: if charge.is_some() { other.ns } else { best.ns },
            device,
            depth,
            charge: charge.unwrap_or(0),
            best: best.ns,
        }
    }

    /// As [`CostModel::decide`] where the decision was for the device, which turned out to be this one, with so many
    /// requests ahead: whether it still goes there.
    ///
    /// # Errors
    /// Why not.
    pub fn still(&self, job: &Job, first: Decision, device: usize, depth: u16) -> Result<Decision, Why> {
        if (device, depth) == (first.device, first.depth) {
            return Ok(first);
        }
        let expected = self.device_cost(job.effort, job.bytes, device, depth).ns;
        let limit = self.limit(job, self.software_cost(job.effort, job.bytes).ns);
        if first.explored || expected <= limit {
            Ok(Decision { expected, ..first })
        } else {
            Err(self.why_not(job, device, depth, limit))
        }
    }

    fn why_not(&self, job: &Job, device: usize, depth: u16, limit: u64) -> Why {
        let deep = depth > 0 && self.device_cost(job.effort, job.bytes, device, 0).ns <= limit;
        if deep { Why::QueueDeep } else { Why::CheaperOnCpu }
    }

    /// Longest time on a device that is preferred to `software` nanoseconds there.
    fn limit(&self, job: &Job, software: u64) -> u64 {
        let stay = match (job.sticky, job.effort) {
            (false, _) => 1,
            (true, Effort::Inflate) => LEAVE_INFLATE,
            (true, _) => LEAVE_DEFLATE,
        };
        match self.policy.factor() {
            Some(factor) if factor > 0 => software.saturating_mul(stay.max(factor)),
            Some(_) => 0,
            None => u64::MAX,
        }
    }

    /// Takes in how long a device took, waiting included, for a request that met `depth` others.
    pub fn device(&self, job: &Job, device: usize, depth: u16, took: u64) {
        let place = Place::of(job.effort, job.bytes);
        let lane = &self.rows[place.index()].device[device % LANES];
        let bucket = bucket(depth);
        match lane[bucket].add(place.for_row(assumed_device(job.effort), job.bytes, took)) {
            Moved::Gently => {}
            // The device is another one than we knew: nothing with fewer requests ahead takes longer than this did,
            // and what we knew of deeper queues is history.
            Moved::Down(mean) => {
                lane[..bucket].iter().for_each(|cell| cell.cap(mean));
                lane[bucket + 1..].iter().for_each(Cell::forget);
            }
            Moved::Up(mean) => {
                let deeper = lane[bucket + 1..].iter();
                deeper.filter(|cell| cell.known().mean < mean).for_each(Cell::forget);
            }
        }
    }

    /// Takes in how long software took.
    pub fn software(&self, job: &Job, took: u64) {
        let place = Place::of(job.effort, job.bytes);
        let took = place.for_row(assumed_software(job.effort), job.bytes, took);
        self.rows[place.index()].software.add(took);
    }

    /// What has been measured of software in a row, and of a device by the depth of its queue.
    pub fn known(&self, place: Place, device: usize) -> (Known, [Known; DEPTHS.len()]) {
        let row = &self.rows[place.index()];
        (row.software.known(), std::array::from_fn(|depth| row.device[device % LANES][depth].known()))
    }
}

/// Position in [`DEPTHS`].
fn bucket(depth: u16) -> usize {
    DEPTHS.iter().rposition(|least| depth >= *least).unwrap_or(0)
}

/// From what was measured with fewer requests ahead, else with more: as if the device did one after the other.
fn from_other_depths(lane: &[Cell; DEPTHS.len()], depth: u16) -> Option<Known> {
    let here = bucket(depth);
    let order = (0..here).rev().chain(here + 1..DEPTHS.len());
    order.map(|other| (other, lane[other].known())).find(|(_, known)| known.samples > 0).map(
        |(other, known)| {
            let mean = scale(known.mean, u64::from(depth) + 1, u64::from(DEPTHS[other]) + 1);
            Known { mean, samples: known.samples }
        },
    )
}

fn scale(value: u64, by: u64, over: u64) -> u64 {
    value.saturating_mul(by) / over
}

#[cfg(test)]
mod tests;
