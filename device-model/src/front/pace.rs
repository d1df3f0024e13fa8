//! Requests take their service time: completions wait until they are due.
//!
//! The engines of a device are shared by all queues of all processes: each is a word that holds the time at which it
//! is free. The model's own computing happens inside the service time; where it takes longer, the request does too.

use super::slots::Slot;
use crate::device::Finished;
use crate::device::service::{Work, occupy};
use crate::sys;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Requests of a queue that are executed and not due yet, at most.
const MOST: usize = 256;
/// A sleep may end so much late: the rest is spent looking at the clock.
const SPIN_NS: u64 = 60_000;

/// The executed requests of one queue.
pub struct Pace {
    work: Work,
    engines: &'static [AtomicU64],
    page_fault_ns: u64,
    /// With the time at which each is due.
    waiting: Vec<(u64, Finished)>,
}

impl Pace {
    /// For a queue whose work costs so much, on these engines.
    pub fn new(work: Work, engines: &'static [AtomicU64], page_fault_ns: u64) -> Pace {
        Pace { work, engines, page_fault_ns, waiting: Vec::new() }
    }

    /// Takes an executed request, whose buffers had so many untouched pages.
    pub fn push(&mut self, finished: Finished, untouched: u64) {
        let (input, output) = finished.sizes();
        let faults = untouched.saturating_mul(self.page_fault_ns);
        let occupancy = self.work.occupancy_ns(input.max(output)).saturating_add(faults);
        let end = occupy(self.engines, finished.request().fetched_ns(), occupancy);
        self.waiting.push((end.saturating_add(self.work.latency_ns), finished));
    }

    /// A request that is due.
    pub fn due(&mut self) -> Option<Finished> {
        let now = sys::monotonic_ns();
        let place = self.waiting.iter().position(|(due, _)| *due <= now)?;
        Some(self.waiting.remove(place).1)
    }

    /// When the next one is due, nanoseconds.
    pub fn next_due(&self) -> Option<u64> {
        self.waiting.iter().map(|(due, _)| *due).min()
    }

    /// No further request should be executed ahead of its time.
    pub fn full(&self) -> bool {
        self.waiting.len() >= MOST
    }

    /// The requests that will not be completed, as the queue ends.
    pub fn drain(&mut self) -> impl Iterator<Item = Finished> + '_ {
        self.waiting.drain(..).map(|(_, finished)| finished)
    }
}

/// Waits until then, or until something happens to the queue since the ticket was taken.
pub fn wait_until(due_ns: u64, slot: &Slot, ticket: u64) {
    loop {
        let left = due_ns.saturating_sub(sys::monotonic_ns());
        if left == 0 || slot.ticket() != ticket {
            return;
        }
        if left > SPIN_NS {
            slot.sleep(ticket, Some(Duration::from_nanos(left - SPIN_NS)));
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::faults::{Faults, Plan};
    use crate::device::local::{LocalClock, LocalInterrupt, LocalRings};
    use crate::device::{Host, InMemory, Kind, Next, QueuePair, Setup, Store};
    use crate::engine::Generation;
    use crate::engine::testing::Space;
    use crate::virtual_time::Hollow;

    static HOLLOW: Hollow = Hollow::ZIP;

    /// Executed requests of so many bytes, fetched at the time now.
    fn executed(sizes: &[u32], now_ns: u64) -> Vec<Finished> {
        let (rings, interrupt, clock) =
            (LocalRings::new(Kind::Zip, 16, 0), LocalInterrupt::default(), LocalClock::default());
        clock.now.set(now_ns);
        let (memory, records, plan) = (Space::default(), InMemory::default(), Plan::default());
        let mut pair = QueuePair::new(Setup {
            device: "hisi_zip-0".to_owned(),
            kind: Kind::Zip,
            engine: &HOLLOW,
            generation: Generation::V3,
            number: 0,
            depth: 16,
            qc_type: 0,
            doorbell_isolation: true,
        });
        let host = Host {
            rings: &rings,
            memory: &memory,
            interrupt: &interrupt,
            clock: &clock,
            records: &records,
            faults: Faults { plan: &plan, counters: &[] },
        };
        for (slot, size) in sizes.iter().enumerate() {
            let mut sqe = [0; 128];
            sqe[0x10..0x14].copy_from_slice(&size.to_le_bytes());
            rings.submit(slot as u16, &sqe);
        }
        pair.doorbell(&host, Store { offset: 0x1000, width: 8, value: (sizes.len() as u64) << 32 });
        let mut all = Vec::new();
        while let Next::Request(request) = pair.fetch(&host) {
            all.extend(pair.execute(&host, request));
        }
        all
    }

    fn engines(count: usize) -> &'static [AtomicU64] {
        Box::leak((0..count).map(|_| AtomicU64::new(0)).collect())
    }

    #[test]
    fn queues_share_the_engines_of_their_device() {
        let work = Work { latency_ns: 5, fixed_ns: 100, bytes_per_us: 1000, ..Work::FREE };
        let engines = engines(2);
        let mut one = Pace::new(work, engines, 1000);
        let mut two = Pace::new(work, engines, 1000);
        // Far in the future, so that nothing is due meanwhile.
        let start = sys::monotonic_ns() + 1_000_000_000_000;
        for finished in executed(&[0, 50], start) {
            one.push(finished, 0);
        }
        for finished in executed(&[0, 0], start + 10) {
            two.push(finished, 0);
        }
        // Engines: until 100 and until 150; then the third request until 200, the fourth until 250.
        let due = |pace: &Pace| pace.waiting.iter().map(|(due, _)| due - start).collect::<Vec<_>>();
        assert_eq!((due(&one), due(&two)), (vec![105, 155], vec![205, 255]));
        assert_eq!((one.next_due(), one.due().is_none(), one.full()), (Some(start + 105), true, false));
        for finished in executed(&[0], start + 1000) {
            one.push(finished, 3);
        }
        assert_eq!(due(&one)[2], 1000 + 100 + 3000 + 5, "three pages were not touched");
        assert_eq!((one.drain().count(), one.next_due()), (3, None));
    }

    #[test]
    fn what_is_due_comes_out_and_not_before() {
        let work = Work { fixed_ns: 3_000_000, ..Work::FREE };
        let mut pace = Pace::new(work, engines(1), 0);
        let start = sys::monotonic_ns();
        for finished in executed(&[0, 0], start) {
            pace.push(finished, 0);
        }
        for n in 1..=2 {
            while pace.due().is_none() {
                std::thread::sleep(Duration::from_micros(100));
            }
            assert!(sys::monotonic_ns() >= start + n * 3_000_000);
        }
        assert!(pace.due().is_none());
    }
}
