//! Processor time of the calling thread for a deflate of 64 KiB under policy `save-cpu`, against zlib's at level 6.
//!
//! Run on the preloaded device model with canned answers and a service time (`make bench-saving`): the model's own
//! computing is on its own thread, and beyond the first requests there is none, so what the calling thread spends is the
//! library's part: the checks, the submission, falling asleep and waking. A trapped doorbell (2.6 µs) is in it, which a
//! real device does not cost. Each round measures both right after one another; printed are medians.

mod zlib;

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Bytes of a request.
const SIZE: usize = 64 << 10;
const LEVEL: i32 = 6;
/// Rounds; odd, so that the median is a measured one.
const ROUNDS: usize = 31;
/// Requests of a round.
const REQUESTS: u32 = 50;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: warpdrive-bench-saving OUR-LIBRARY THEIR-LIBRARY";
    let ours = zlib::Library::open(&arguments.next().context(usage)?)?;
    let theirs = zlib::Library::open(&arguments.next().context(usage)?)?;
    let data = zlib::text(SIZE);
    let packed = ours.compress(&data, LEVEL)?;
    ensure!(theirs.uncompress(&packed, SIZE)? == data, "wrong bytes");
    let counted = served()?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    round(&ours, &data)?;
    for _ in 0..ROUNDS {
        rounds.push((round(&ours, &data)?, round(&theirs, &data)?));
    }
    let served = served()? - counted;
    let asked = u64::from(REQUESTS) * (ROUNDS as u64 + 1);
    println!(
        "deflate of {SIZE} bytes at level {LEVEL}; microseconds of the calling thread, medians of {ROUNDS} rounds"
    );
    println!("{:34} {:>9} {:>9}", "", "processor", "clock");
    let median = |value: &dyn Fn(&(Cost, Cost)) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    println!(
        "{:34} {:9.1} {:9.1}",
        "ours, on the device",
        median(&|r| r.0.processor),
        median(&|r| r.0.clock)
    );
    println!(
        "{:34} {:9.1} {:9.1}",
        format!("zlib {}", theirs.version()),
        median(&|r| r.1.processor),
        median(&|r| r.1.clock)
    );
    println!("ratio of processor time: {:.3}", median(&|r| r.0.processor / r.1.processor));
    println!("{served} of {asked} requests were served by the device");
    ensure!(served * 100 >= asked * 99, "this was to be a measurement of the device's way");
    Ok(())
}

/// What one request cost, microseconds.
struct Cost {
    processor: f64,
    clock: f64,
}

fn round(library: &zlib::Library, data: &[u8]) -> Result<Cost> {
    let (start, before) = (std::time::Instant::now(), processor_ns()?);
    for _ in 0..REQUESTS {
        library.compress(data, LEVEL)?;
    }
    let each = 1e3 * f64::from(REQUESTS);
    let processor = (processor_ns()? - before) as f64 / each;
    Ok(Cost { processor, clock: start.elapsed().as_nanos() as f64 / each })
}

/// Processor time of this thread so far, nanoseconds.
fn processor_ns() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    text.split(' ').next().and_then(|ns| ns.parse().ok()).context("schedstat")
}

/// Requests that the library has counted as the device's.
fn served() -> Result<u64> {
    let directory = std::env::var_os("WARPDRIVE_STATS_DIR").context("WARPDRIVE_STATS_DIR is not set")?;
    let counters = warpdrive_core::stats::read_dir(Path::new(&directory))?;
    Ok(counters.get("device.zip.compress.requests").copied().unwrap_or(0))
}
