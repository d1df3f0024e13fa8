//! Learning what the side costs that is not preferred, within a stated share of the time.
//!
//! Each row has an account. Every request pays in the configured share of what it costs; a request on the other side
//! is drawn from it: at least as much as that side is expected to take longer, and more if it does. It never costs
//! less than four requests of the better side, so that with the default share of 2 % at most one request in 200 is
//! slower than need be and the 99th percentile stays. While the other side has hardly been measured, sixteen times
//! the share is paid in: the first samples of a row come after some dozen requests.

use std::sync::atomic::{AtomicI64, Ordering};

use super::{CostModel, Decision, Expected, LANES, Place, TRUSTED, bucket};
use crate::config::Policy;
use crate::job::Job;

/// Least price of a try, in requests of the better side.
const LEAST: u64 = 4;
/// What is paid in while the other side is hardly known, in shares.
const BEGINNING: u64 = 16;
/// Tries at that rate; some may end without a sample.
const TRIES: u32 = 8;
/// Largest debt, nanoseconds: a device that hung once is tried again some day.
const DEBT: i64 = -1_000_000_000;
/// The whole, in the unit of the share.
const WHOLE: u64 = 10_000;

impl CostModel {
    /// Whether this request goes to the other side, and what was drawn for it. `preferred`: the device is better.
    pub(super) fn explore(
        &self,
        job: &Job,
        device: usize,
        depth: u16,
        best: Expected,
        other: Expected,
        preferred: bool,
    ) -> Option<u64> {
        if self.share == 0 || matches!(self.policy, Policy::Device | Policy::Off) {
            return None;
        }
        let row = &self.rows[Place::of(job.effort, job.bytes).index()];
        let charge = other.ns.saturating_sub(best.ns).max(best.ns.saturating_mul(LEAST)).min(i64::MAX as u64);
        let beginning = other.samples < TRUSTED && row.tries.load(Ordering::Relaxed) < TRIES;
        let rate = u64::from(self.share) * if beginning { BEGINNING } else { 1 };
        let paid = best.ns.saturating_mul(rate.min(WHOLE / 2)) / WHOLE;
        // Not one atomic step: a payment lost to another thread only makes learning rarer.
        let had = row.credit.load(Ordering::Relaxed);
        let has = had.saturating_add_unsigned(paid).min(charge.cast_signed().max(had));
        if has != had {
            row.credit.store(has, Ordering::Relaxed);
        }
        let cell = if preferred { &row.software } else { &row.device[device % LANES][bucket(depth)] };
        // A single sample that is far better than all before may be chance; a second one tells, and is paid for too.
        let due = has >= charge.cast_signed() || cell.take_second_look();
        let after = has.saturating_sub_unsigned(charge).max(DEBT);
        let drawn =
            due && row.credit.compare_exchange(has, after, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if drawn && beginning {
            row.tries.fetch_add(1, Ordering::Relaxed);
        }
        drawn.then_some(charge)
    }

    /// Draws what a try took beyond what was set aside for it.
    pub fn settle(&self, job: &Job, decision: Decision, took: u64) {
        let over = took.saturating_sub(decision.best).saturating_sub(decision.charge);
        if decision.explored && over > 0 {
            let credit: &AtomicI64 = &self.rows[Place::of(job.effort, job.bytes).index()].credit;
            let has = credit.load(Ordering::Relaxed);
            credit.store(has.saturating_sub_unsigned(over).max(DEBT), Ordering::Relaxed);
        }
    }
}
