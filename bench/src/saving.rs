//! Processor time of the calling thread for a deflate of 64 KiB under policy `save-cpu`, against software's at level 6:
//! zlib's, and our library's own in a second process, which has no device.
//!
//! Run on the preloaded device model with canned answers and a service time (`make bench-saving`): the model's own
//! computing is on its own thread, and beyond the first requests there is none, so what the calling thread spends is the
//! library's part: the checks, the submission, falling asleep and waking. A trapped doorbell (2.6 µs) is in it, which a
//! real device does not cost. Each round measures all three right after one another; printed are medians.

mod zlib;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

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
    let path = arguments.next().context(usage)?;
    let ours = zlib::Library::open(&path)?;
    let theirs = arguments.next().context(usage)?;
    let data = zlib::text(SIZE);
    if theirs == SOFTWARE {
        return serve(&ours, &data);
    }
    let theirs = zlib::Library::open(&theirs)?;
    let mut software = Software::start(&path)?;
    let packed = ours.compress(&data, LEVEL)?;
    ensure!(theirs.uncompress(&packed, SIZE)? == data, "wrong bytes");
    let counted = served()?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    round(&ours, &data)?;
    for _ in 0..ROUNDS {
        rounds.push([round(&ours, &data)?, software.round()?, round(&theirs, &data)?]);
    }
    let served = served()? - counted;
    let asked = u64::from(REQUESTS) * (ROUNDS as u64 + 1);
    println!(
        "deflate of {SIZE} bytes at level {LEVEL}; microseconds of the calling thread, medians of {ROUNDS} rounds"
    );
    println!("{:34} {:>9} {:>9}", "", "processor", "clock");
    let median = |value: &dyn Fn(&[Cost; 3]) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let names = [
        "ours, on the device".to_owned(),
        "ours, in software".to_owned(),
        format!("zlib {}", theirs.version()),
    ];
    for (who, name) in names.iter().enumerate() {
        println!("{name:34} {:9.1} {:9.1}", median(&|r| r[who].processor), median(&|r| r[who].clock));
    }
    for (who, name) in names.iter().enumerate().skip(1) {
        println!("processor time over that of {name}: {:.3}", median(&|r| r[0].processor / r[who].processor));
    }
    println!("{served} of {asked} requests were served by the device");
    ensure!(
        served * 100 >= asked * 99,
        "this was to be a measurement of the device's way; was the machine busy?"
    );
    Ok(())
}

/// Argument of the process that measures our library's software.
const SOFTWARE: &str = "--software";

/// That process, which runs a round for each line that it is sent.
struct Software {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Software {
    fn start(library: &str) -> Result<Software> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([library, SOFTWARE]).env_remove("LD_PRELOAD").env("WARPDRIVE_MODE", "off");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = BufReader::new(process.stdout.take().context("no pipe")?);
        Ok(Software { process, answers })
    }

    fn round(&mut self) -> Result<Cost> {
        self.process.stdin.as_mut().context("no pipe")?.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (processor, clock) = line.trim().split_once(' ').context("the other process has ended")?;
        Ok(Cost { processor: processor.parse()?, clock: clock.parse()? })
    }
}

impl Drop for Software {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The other process's work.
fn serve(library: &zlib::Library, data: &[u8]) -> Result<()> {
    round(library, data)?;
    for line in std::io::stdin().lines() {
        line?;
        let cost = round(library, data)?;
        println!("{} {}", cost.processor, cost.clock);
    }
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
