//! What one count costs: by a thread alone and by several at once, in a mapped file and beside it the plain shared
//! counters that sharding avoids; and what asking the off switch costs. Run it by `make bench-stats`.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use warpdrive_core::stats::{self, Event, Side};
use warpdrive_core::{Op, Runtime, Why};

/// Rounds of each measurement; printed are the fastest, the median and the slowest.
const ROUNDS: usize = 21;
const COUNTS: u64 = 200_000;

fn main() -> Result<()> {
    // With an argument: that many counts of each kind and nothing else, for an instruction counter.
    if let Some(counts) = std::env::args().nth(1) {
        let counts = counts.parse()?;
        begin()?;
        count(counts);
        return Ok(());
    }
    println!("{:.0} microseconds for the first count, with the file", begin()?.as_secs_f64() * 1e6);
    println!(
        "nanoseconds for one, by each thread{:34} {:>8} {:>8} {:>8}",
        "", "fastest", "median", "slowest"
    );
    static PLAIN: AtomicU64 = AtomicU64::new(0);
    for threads in [1, 2] {
        row("one shared counter, for comparison", threads, || {
            PLAIN.fetch_add(1, Ordering::Relaxed);
        });
        row("software(why)", threads, || stats::software(Why::TooSmall));
        row("device(op, bytes)", threads, || stats::device(Op::ZipCompress, 65536, true));
        row("latency(op, side, ns)", threads, || {
            stats::latency(Op::ZipCompress, Side::Device, black_box(12_345))
        });
        row("depth(op, others)", threads, || stats::depth(Op::ZipCompress, black_box(3)));
        row("gauge(index, value)", threads, || stats::gauge(0, black_box(7)));
        row("enabled(), no switch to be found", threads, || {
            black_box(stats::enabled());
        });
    }
    Ok(())
}

/// Makes the counter file, where a thread may have counters of its own.
fn begin() -> Result<Duration> {
    ensure!(std::env::var_os(stats::DIRECTORY_VARIABLE).is_some(), "set {}", stats::DIRECTORY_VARIABLE);
    Runtime::get();
    let start = Instant::now();
    stats::software(Why::TooSmall);
    let took = start.elapsed();
    stats::event(Event::QueueOpened);
    Ok(took)
}

fn count(counts: u64) {
    for _ in 0..counts {
        stats::latency(Op::ZipCompress, Side::Device, black_box(12_345));
    }
}

fn row(name: &str, threads: usize, once: impl Fn() + Sync) {
    let barrier = Barrier::new(threads);
    let mut each: Vec<f64> = std::thread::scope(|scope| {
        let run = || {
            let mut each = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                barrier.wait();
                let start = Instant::now();
                (0..COUNTS).for_each(|_| once());
                each.push(start.elapsed().as_secs_f64() * 1e9 / COUNTS as f64);
            }
            each
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    each.sort_by(f64::total_cmp);
    let (fastest, median, slowest) = (each[0], each[each.len() / 2], each[each.len() - 1]);
    println!(
        "{threads} thread{} {name:58} {fastest:8.1} {median:8.1} {slowest:8.1}",
        if threads > 1 { "s" } else { " " }
    );
}
