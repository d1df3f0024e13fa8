//! Rounds of two contenders, one right after the other.

use std::time::Instant;

use anyhow::Result;

/// Rounds per row; odd, so that the median is a measured one.
const ROUNDS: usize = 31;
/// A round repeats its call until it takes about this long, so that the clock's step does not count.
const ROUND_SECONDS: f64 = 0.004;
/// Rank (from 0) of the lower bound of a 95 % interval for the median of 31 samples (binomial order statistics).
const LOW: usize = 9;

/// Times `run` with both contenders and prints one row.
pub fn row<T>(name: &str, ours: &T, theirs: &T, run: &mut dyn FnMut(&T) -> Result<()>) -> Result<()> {
    let mut repeat = 1;
    while time(theirs, repeat, run)? < ROUND_SECONDS && repeat < 1 << 20 {
        repeat *= 2;
    }
    time(ours, repeat, run)?;
    let mut samples = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let (a, b) = if round % 2 == 0 {
            let a = time(ours, repeat, run)?;
            (a, time(theirs, repeat, run)?)
        } else {
            let b = time(theirs, repeat, run)?;
            (time(ours, repeat, run)?, b)
        };
        samples.push((a, b));
    }
    let each = 1e6 / f64::from(repeat);
    let ratios = sorted(samples.iter().map(|(a, b)| b / a));
    println!(
        "{name:34} {:>10.2} {:>10.2} {:>8.2} {:>8.2}",
        sorted(samples.iter().map(|(a, _)| a * each))[ROUNDS / 2],
        sorted(samples.iter().map(|(_, b)| b * each))[ROUNDS / 2],
        ratios[ROUNDS / 2],
        ratios[LOW],
    );
    Ok(())
}

fn time<T>(contender: &T, repeat: u32, run: &mut dyn FnMut(&T) -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..repeat {
        run(contender)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
