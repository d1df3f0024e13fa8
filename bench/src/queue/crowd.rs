//! Several threads on two queues: what a request costs, who waits for whom, and how far one is overtaken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use warpdrive_core::qm::{Meter, Patience, Shared};

use crate::link::{Device, EchoLink, Memory, SQE, Side};
use crate::median;

const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(150);
const PATIENCE: Patience = Patience::learned(Duration::from_secs(10));

struct Queue {
    shared: Shared<EchoLink>,
    side: Side,
    /// Requests begun and ended.
    begun: AtomicU64,
    ended: AtomicU64,
}

/// What one round saw.
#[derive(Default)]
struct Seen {
    requests: u64,
    processor_ns: u64,
    overtaken: u64,
}

pub fn run() -> Result<()> {
    println!(
        "\nSeveral threads over two queues; processor time of the callers per request, medians of {ROUNDS} rounds"
    );
    println!(
        "{:28} {:>9} {:>9} {:>7} {:>15} {:>10} {:>10}",
        "device", "2 threads", "8 threads", "ratio", "least..most", "req/s 2", "req/s 8"
    );
    for delay_us in [0, 20] {
        let (mut few, mut many, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let (mut rate_few, mut rate_many) = (Vec::new(), Vec::new());
        let mut device = Device::start()?;
        let (two, eight) = ([queue()?, queue()?], [queue()?, queue()?]);
        let mut overtaken = 0;
        for round in 0..=ROUNDS {
            let a = measure(&mut device, &two, 2, delay_us)?;
            let b = measure(&mut device, &eight, 8, delay_us)?;
            if round == 0 {
                continue;
            }
            let [x, y] = [&a, &b].map(|seen| seen.processor_ns as f64 / seen.requests as f64);
            few.push(x);
            many.push(y);
            ratios.push(y / x);
            rate_few.push(a.requests as f64 / ROUND.as_secs_f64());
            rate_many.push(b.requests as f64 / ROUND.as_secs_f64());
            overtaken = overtaken.max(b.overtaken);
        }
        let (ratio, least, most) = median(&mut ratios);
        let name =
            if delay_us == 0 { "answers at once".into() } else { format!("answers after {delay_us} µs") };
        println!(
            "{name:28} {:>6.0} ns {:>6.0} ns {ratio:>7.2} {:>15} {:>10.0} {:>10.0}",
            median(&mut few).0,
            median(&mut many).0,
            format!("{least:.2}..{most:.2}"),
            median(&mut rate_few).0,
            median(&mut rate_many).0,
        );
        let Meter { retried, longest_retry, waited_for_room, parked, left_to_ringer } =
            eight.iter().map(|queue| queue.shared.meter()).fold(Meter::default(), Meter::plus);
        let requests: u64 = eight.iter().map(|queue| queue.ended.load(Ordering::Relaxed)).sum();
        println!(
            "  8 threads, {requests} requests: {retried} claims met another (the longest tried {longest_retry} times more), \
             {left_to_ringer} doorbells left to another, {parked} sleeps, {waited_for_room} waits for room; \
             a request was overtaken, from call to return, by at most {overtaken}"
        );
    }
    Ok(())
}

fn queue() -> Result<Queue> {
    let mut memory = Memory::new()?;
    let side = memory.side();
    let (ring, link) = memory.core(false)?;
    let (begun, ended) = (AtomicU64::new(0), AtomicU64::new(0));
    Ok(Queue { shared: Shared::new(ring, link), side, begun, ended })
}

fn measure(device: &mut Device, queues: &[Queue; 2], threads: usize, delay_us: u64) -> Result<Seen> {
    let over = AtomicBool::new(false);
    let sides = [queues[0].side, queues[1].side];
    device.while_serving_many(&sides, delay_us * 1000, || {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|n| {
                    scope.spawn({
                        let over = &over;
                        move || work(&queues[n % 2], threads as u64 / 2, over)
                    })
                })
                .collect();
            std::thread::sleep(ROUND);
            over.store(true, Ordering::Relaxed);
            let mut sum = Seen::default();
            for worker in workers {
                let seen = worker.join().map_err(|_| anyhow!("a worker panicked"))??;
                sum.requests += seen.requests;
                sum.processor_ns += seen.processor_ns;
                sum.overtaken = sum.overtaken.max(seen.overtaken);
            }
            Ok(sum)
        })
    })?
}

fn work(queue: &Queue, sharers: u64, over: &AtomicBool) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut sqe = [0x5A; SQE];
    let before = processor_ns()?;
    while !over.load(Ordering::Relaxed) {
        let begun = queue.begun.fetch_add(1, Ordering::Relaxed);
        queue.shared.execute(&mut sqe, &PATIENCE).map_err(|fault| anyhow!(fault))?;
        let ended = queue.ended.fetch_add(1, Ordering::Relaxed);
        // Of those who ended before this one, all but the ones that began before it overtook it; of these, all but one
        // per other sharer have certainly ended.
        seen.overtaken = seen.overtaken.max((ended + sharers - 1).saturating_sub(begun));
        seen.requests += 1;
    }
    seen.processor_ns = processor_ns()? - before;
    Ok(seen)
}

/// Processor time of this thread so far, nanoseconds.
fn processor_ns() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    text.split(' ').next().and_then(|ns| ns.parse().ok()).context("schedstat")
}
