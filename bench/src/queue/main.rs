//! The queue path against its limits, paired in one run (`make bench-queue`; `docs/queue.md` has figures).
//!
//! The machine's speed drifts, so each round times the contenders one right after the other, in alternating order, and
//! only the ratio of a round counts; printed are medians. The device is a thread that answers at once, and takes one
//! processor: with two of them, device and caller have one each, and whatever else runs disturbs both.

mod crowd;
mod instructions;
mod link;
mod trip;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        None => {
            trip::run()?;
            crowd::run()
        }
        // For ci/bench-queue, which counts instructions.
        Some("--instructions") => {
            let what = arguments.next().context("which")?;
            instructions::run(&what, arguments.next().context("how many")?.parse()?)
        }
        Some(other) => anyhow::bail!("unknown argument {other}"),
    }
}

/// The middle of an odd number of values, and the smallest and the largest.
fn median(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}
