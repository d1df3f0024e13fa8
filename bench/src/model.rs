//! What the device model itself costs: one doorbell trap, and a request that does nothing, through the whole preloaded
//! path. To be run under the model (`make bench-model`). The device thread works beside us, so wall-clock figures depend on
//! the number of processors and on who else uses them; processor time, of all our threads, depends less on that.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use warpdrive_core::qm::doorbell::{Doorbell, Kind as Bell, Mmio};
use warpdrive_core::qm::{self, queue_pair::Link, queue_pair::QueuePair};
use warpdrive_core::uacce::abi::{QueueContext, RegionKind, SetContext};
use warpdrive_core::uacce::{Device, Kind, Node, sysfs};

/// Rounds of each measurement; printed are the fastest, the median and the slowest.
const ROUNDS: usize = 21;
const DEADLINE: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let root = Path::new("/sys/class/uacce");
    let devices = sysfs::scan(root).context("no uacce class here: run this under the model")?;
    let device = devices
        .iter()
        .filter_map(|entry| entry.device(root))
        .find(|device| device.kind == Kind::Zip)
        .context("no ZIP device here: run this under the model")?;
    println!("{}, generation {}; microseconds for one", device.name, device.generation);
    println!("{:60} {:>8} {:>8} {:>8} {:>9}", "", "fastest", "median", "slowest", "processor");

    let word = AtomicU64::new(0);
    row("a store to ordinary memory", 1_000_000, |n| {
        (0..n).for_each(|value| black_box(&word).store(u64::from(value), Ordering::Release));
        Ok(())
    })?;
    let idle = idle_doorbell(&device)?;
    row("a doorbell to a queue that is not started: the trap alone", 20_000, |n| {
        (0..n).for_each(|_| idle.ring(Bell::Completion { arm: false }, 0));
        Ok(())
    })?;

    let (mut queue, _memory) = qm::open(&device, 1).map_err(|error| anyhow!("no queue: {error:?}"))?;
    let request = nothing(device.generation);
    row("an empty request, one at a time", 2_000, |n| {
        for _ in 0..n {
            let mut sqe = request;
            queue.execute(&mut sqe, DEADLINE).map_err(|fault| anyhow!("{fault:?}"))?;
            ensure!(sqe == request, "the request came back changed");
        }
        Ok(())
    })?;
    for depth in [8, 64, 512] {
        row(&format!("an empty request, {depth} in flight"), 20_000, |n| {
            pipelined(&mut queue, &request, depth, n)
        })?;
    }
    Ok(())
}

/// The doorbell register of a queue that is open and mapped, and not started.
fn idle_doorbell(device: &Device) -> Result<Mmio> {
    let os = |errno| anyhow!("errno {errno}");
    let node = Node::open(&device.node).map_err(os)?;
    let registers = node.map(RegionKind::Mmio, device.mmio_size).map_err(os)?;
    let mut context = QueueContext { id: 0, qc_type: 1 };
    node.ioctl::<SetContext>(&mut context).map_err(os)?;
    // The queue stays open as long as the program runs.
    std::mem::forget(node);
    Mmio::new(registers, context.id).context("no doorbell in the region")
}

/// A bypass request: stateful decompression of nothing into 16 bytes, which the device completes without doing
/// anything (zip.md 11).
fn nothing(generation: u32) -> [u8; 128] {
    let (kind, stream, zlib) = (if generation <= 2 { 0 } else { 3 << 28 }, 1u32 << 26, 2u32);
    let mut sqe = [0; 128];
    for (at, word) in [(0x1C, kind | stream), (0x24, zlib), (0x38, 0x10), (0x58, 0x1000)] {
        sqe[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    sqe
}

fn pipelined<L: Link>(queue: &mut QueuePair<L>, request: &[u8; 128], depth: u16, count: u32) -> Result<()> {
    let (mut sent, mut done) = (0, 0);
    while done < count {
        while sent < count && queue.in_flight() < depth {
            queue.submit(request).map_err(|refusal| anyhow!("{refusal:?}"))?;
            sent += 1;
        }
        let mut sqe = [0; 128];
        queue.wait(&mut sqe, DEADLINE).map_err(|fault| anyhow!("{fault:?}"))?;
        ensure!(sqe == *request, "the request came back changed");
        done += 1;
    }
    Ok(())
}

/// Times `run`, which does the thing so many times, and prints a line.
fn row(name: &str, count: u32, mut run: impl FnMut(u32) -> Result<()>) -> Result<()> {
    run(count / 10)?;
    let (mut each, mut processor) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        let (start, before) = (Instant::now(), processor_ns()?);
        run(count)?;
        each.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(count));
        processor.push((processor_ns()? - before) as f64 / 1e3 / f64::from(count));
    }
    each.sort_by(f64::total_cmp);
    processor.sort_by(f64::total_cmp);
    let middle = ROUNDS / 2;
    let (fastest, median, slowest) = (each[0], each[middle], each[ROUNDS - 1]);
    println!("{name:60} {fastest:8.3} {median:8.3} {slowest:8.3} {:9.3}", processor[middle]);
    Ok(())
}

/// Processor time of all threads so far, nanoseconds. None of ours ends between two calls.
fn processor_ns() -> Result<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).context("schedstat")?;
    }
    Ok(sum)
}
