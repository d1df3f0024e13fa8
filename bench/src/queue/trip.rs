//! One thread and one queue: round trips, batches, a window of requests in flight.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use warpdrive_core::qm::{Patience, QueuePair, Shared};

use crate::link::{Device, EchoLink, Memory, Plain, SQE, Side};
use crate::median;

/// Rounds per row; odd.
const ROUNDS: usize = 101;
/// Requests before the clock starts.
const WARM: u64 = 64;
const PATIENCE: Patience = Patience::learned(Duration::from_secs(10));

struct Rig {
    plain: Plain,
    plain_side: Side,
    shared: Shared<EchoLink>,
    shared_side: Side,
    pair: QueuePair<EchoLink>,
    pair_side: Side,
}

pub fn run() -> Result<()> {
    let (mut one, mut two) = (Memory::new()?, Memory::new()?);
    let (shared_side, pair_side) = (one.side(), two.side());
    let (shared, pair) = (one.core(false)?, two.core(false)?);
    let mut plain = Plain::new(Memory::new()?);
    let mut device = Device::start()?;
    let mut rig = Rig {
        plain_side: plain.side(),
        plain,
        shared: Shared::new(shared.0, shared.1),
        shared_side,
        pair: QueuePair::new(pair.0, pair.1),
        pair_side,
    };
    println!(
        "One thread, one queue, an echo device on another thread; nanoseconds per request, medians of {ROUNDS} rounds"
    );
    println!("{:44} {:>8} {:>8} {:>7} {:>15}", "", "ours", "plain C", "ratio", "least..most");
    let device = &mut device;
    rig.row(device, "round trip, one at a time", 640, Rig::single, |plain, n| plain.single(n))?;
    rig.row(device, "round trip, QueuePair (one owner)", 640, Rig::owned, |plain, n| plain.single(n))?;
    for depth in [16, 64] {
        rig.row(
            device,
            &format!("{depth} requests, one doorbell, all waited for"),
            6_400,
            |rig, n| rig.batch(n, depth),
            |plain, n| plain.batch(n, depth),
        )?;
    }
    for depth in [16, 64] {
        rig.row(
            device,
            &format!("window of {depth}, a doorbell each, QueuePair"),
            6_400,
            |rig, n| rig.window(n, depth),
            |plain, n| plain.window(n, depth),
        )?;
    }
    rig.hand_overs(device)
}

impl Rig {
    fn single(&mut self, count: u64) -> Result<()> {
        let mut sqe = [0x5A; SQE];
        (0..count).try_for_each(|_| self.shared.execute(&mut sqe, &PATIENCE)).map_err(|fault| anyhow!(fault))
    }

    fn owned(&mut self, count: u64) -> Result<()> {
        let mut sqe = [0x5A; SQE];
        (0..count)
            .try_for_each(|_| self.pair.execute(&mut sqe, PATIENCE.deadline))
            .map_err(|fault| anyhow!(fault))
    }

    fn batch(&mut self, count: u64, depth: u64) -> Result<()> {
        let mut sqes = vec![0x5A; SQE * depth as usize];
        (0..count / depth)
            .try_for_each(|_| self.shared.execute_all(&mut sqes, &PATIENCE))
            .map_err(|fault| anyhow!(fault))
    }

    fn window(&mut self, count: u64, depth: u64) -> Result<()> {
        let (sqe, mut back) = ([0x5A; SQE], [0; SQE]);
        let (mut sent, mut done) = (0, 0);
        while done < count {
            if sent < count && sent - done < depth {
                self.pair.submit(&sqe).map_err(|refusal| anyhow!("{refusal:?}"))?;
                sent += 1;
            } else {
                self.pair.wait(&mut back, PATIENCE.deadline)?;
                done += 1;
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        device: &mut Device,
        name: &str,
        count: u64,
        ours: impl Fn(&mut Rig, u64) -> Result<()>,
        theirs: impl Fn(&mut Plain, u64),
    ) -> Result<()> {
        let (mut mine, mut plain, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let owned = name.starts_with("window") || name.contains("QueuePair");
        let side = if owned { self.pair_side } else { self.shared_side };
        for round in 0..=ROUNDS {
            let mut times = [0.0; 2];
            for turn in [round % 2, 1 - round % 2] {
                // Once for nothing: the device's thread has to wake up.
                times[turn] = if turn == 0 {
                    device.while_serving(side, || -> Result<f64> {
                        ours(self, WARM)?;
                        let start = Instant::now();
                        ours(self, count)?;
                        Ok(start.elapsed().as_nanos() as f64)
                    })??
                } else {
                    device.while_serving(self.plain_side, || {
                        theirs(&mut self.plain, WARM);
                        let start = Instant::now();
                        theirs(&mut self.plain, count);
                        start.elapsed().as_nanos() as f64
                    })?
                };
            }
            // The first round warms up.
            if round > 0 {
                mine.push(times[0] / count as f64);
                plain.push(times[1] / count as f64);
                ratios.push(times[0] / times[1]);
            }
        }
        let (ratio, least, most) = median(&mut ratios);
        println!(
            "{name:44} {:>8.1} {:>8.1} {ratio:>7.2} {:>15}",
            median(&mut mine).0,
            median(&mut plain).0,
            format!("{least:.2}..{most:.2}"),
        );
        Ok(())
    }

    /// The round trip against two bare hand-overs of a cache line.
    fn hand_overs(&mut self, device: &mut Device) -> Result<()> {
        const COUNT: u64 = 640;
        let (mut bare, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let ours = device.while_serving(self.shared_side, || -> Result<f64> {
                self.single(WARM)?;
                let start = Instant::now();
                self.single(COUNT)?;
                Ok(start.elapsed().as_nanos() as f64)
            })??;
            let ping = device.ping(COUNT)?.as_nanos() as f64;
            bare.push(ping / COUNT as f64);
            ratios.push(ours / ping);
        }
        let (ratio, least, most) = median(&mut ratios);
        let (bare, ..) = median(&mut bare);
        println!(
            "{:44} {:>8} {bare:>8.1} {ratio:>7.2} {:>15}",
            "round trip to two bare hand-overs",
            "",
            format!("{least:.2}..{most:.2}")
        );
        Ok(())
    }
}
