//! How long requests take: a model of service time, for studies of scheduling.
//!
//! **All figures here are assumptions.** No hardware was measured; each has its source beside it, and most are derived
//! from one published figure or guessed. They can be replaced key by key.
//!
//! A request occupies one of its pool's engines for a fixed time, a time for its bytes, a time that grows with the cube
//! of an operand's width (modular exponentiation), and a time for each page that the program has not touched yet. It
//! is complete a latency later, during which the engine serves others.

use super::Kind;
use crate::engine::{Fault, Memory};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// What work of one pool costs. Times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Requests that are served at a time; 0: any number.
    pub engines: u16,
    /// From the end of the engine's work to the completion.
    pub latency_ns: u64,
    /// For every request.
    pub fixed_ns: u64,
    /// Bytes of input or output, whichever are more, that an engine moves in a microsecond (MB/s); 0: no limit.
    pub bytes_per_us: u64,
    /// For an operand of 256 bytes (2048 bits); eight times as much for twice the width.
    pub cubic_ns: u64,
}

/// Most engines of a pool.
pub const MOST_ENGINES: u16 = 16;

impl Work {
    /// Costs nothing.
    pub const FREE: Work = Work { engines: 0, latency_ns: 0, fixed_ns: 0, bytes_per_us: 0, cubic_ns: 0 };

    /// Nanoseconds that a request of so many bytes occupies an engine, page faults apart.
    pub fn occupancy_ns(&self, bytes: u64) -> u64 {
        let moving = (u128::from(bytes) * 1000).checked_div(u128::from(self.bytes_per_us)).unwrap_or(0);
        let (bytes, cubic) = (u128::from(bytes.min(1 << 16)), u128::from(self.cubic_ns));
        let powers = cubic * bytes * bytes * bytes / (256 * 256 * 256);
        u64::try_from(u128::from(self.fixed_ns) + moving + powers).unwrap_or(u64::MAX)
    }
}

/// What the work of a whole machine costs. A kind has one pool of engines for each queue class (zip: compress and
/// decompress), or one for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// By queue class.
    pub zip: [Work; 2],
    /// By queue class; the engines of the first serve both.
    pub sec: [Work; 2],
    /// By queue class; the engines of the first serve both.
    pub hpre: [Work; 2],
    /// For each page of a request's buffers that the program has not touched.
    pub page_fault_ns: u64,
}

/// As fast as it can.
pub const NONE: Service =
    Service { zip: [Work::FREE; 2], sec: [Work::FREE; 2], hpre: [Work::FREE; 2], page_fault_ns: 0 };

/// Kunpeng 920 (V2).
pub const KUNPENG920: Service = Service {
    zip: [
        // Two cores (zip.md 1). UADK's docs/perf.rst, 8 KiB blocks: 7.2 GB/s with 60 in flight, so 3.6 GB/s a core;
        // 556 MB/s, so 14.7 µs, with one at a time, of which the core needs 2.3 µs.
        Work { engines: 2, latency_ns: 12_000, fixed_ns: 0, bytes_per_us: 3_600, cubic_ns: 0 },
        // Six cores (zip.md 1). Their speed is a guess; a published 1.5 GB/s of lzbench includes its program.
        Work { engines: 6, latency_ns: 12_000, fixed_ns: 0, bytes_per_us: 1_000, cubic_ns: 0 },
    ],
    // A guess: nothing published.
    sec: [Work { engines: 8, latency_ns: 5_000, fixed_ns: 200, bytes_per_us: 600, cubic_ns: 0 }; 2],
    hpre: [
        // "100,000 OPS" of RSA-2048 for a server (hikunpeng.com, KAE acceleration principles), taken as two devices
        // of ten cores (hpre.md 1 lists ten on V3).
        Work { engines: 10, latency_ns: 5_000, fixed_ns: 1_000, bytes_per_us: 0, cubic_ns: 199_000 },
        // A guess for elliptic curves of 256 bits.
        Work { engines: 10, latency_ns: 5_000, fixed_ns: 50_000, bytes_per_us: 0, cubic_ns: 0 },
    ],
    // docs/perf.rst: 1943 MB/s into untouched, 7003 MB/s into touched memory: 3.05 µs more for a block, that is 6.1 µs
    // of one of two cores, for two pages.
    page_fault_ns: 3_000,
};

/// Kunpeng 930 (V3): as 920, with three decompression cores (zip.md 1).
pub const KUNPENG930: Service =
    Service { zip: [KUNPENG920.zip[0], Work { engines: 3, ..KUNPENG920.zip[1] }], ..KUNPENG920 };

impl Service {
    /// By name: `none`, `kunpeng920`, `kunpeng930`.
    pub fn named(name: &str) -> Option<Service> {
        match name {
            "none" => Some(NONE),
            "kunpeng920" => Some(KUNPENG920),
            "kunpeng930" => Some(KUNPENG930),
            _ => None,
        }
    }

    /// The work of a kind, by queue class.
    pub fn of(&self, kind: Kind) -> [Work; 2] {
        match kind {
            Kind::Zip => self.zip,
            Kind::Sec => self.sec,
            Kind::Hpre => self.hpre,
        }
    }

    /// As [`Service::of`], to be changed.
    pub fn of_mut(&mut self, kind: Kind) -> &mut [Work; 2] {
        match kind {
            Kind::Zip => &mut self.zip,
            Kind::Sec => &mut self.sec,
            Kind::Hpre => &mut self.hpre,
        }
    }
}

/// Index of the pool that serves a queue class, and of the work in [`Service::of`].
pub fn pool(kind: Kind, qc_type: u16) -> (usize, usize) {
    let class = usize::from(qc_type.min(1));
    (if kind == Kind::Zip { class } else { 0 }, class)
}

/// Takes the engine that is free first, from `now_ns` on, for so long; gives the end of the work. `engines` hold the
/// time at which each is free again; none means that there is always one.
pub fn occupy(engines: &[AtomicU64], now_ns: u64, occupancy_ns: u64) -> u64 {
    loop {
        let first =
            engines.iter().map(|engine| (engine.load(Ordering::SeqCst), engine)).min_by_key(|(t, _)| *t);
        let Some((free, engine)) = first else { return now_ns.saturating_add(occupancy_ns) };
        let end = free.max(now_ns).saturating_add(occupancy_ns);
        if engine.compare_exchange(free, end, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return end;
        }
    }
}

/// Memory that counts the pages which its user was the first to touch.
pub struct Touching<M> {
    memory: M,
    counts: bool,
    untouched: Cell<u64>,
}

impl<M: Memory> Touching<M> {
    /// Counts from 0; only if `counts`, since looking costs.
    pub fn new(memory: M, counts: bool) -> Touching<M> {
        Touching { memory, counts, untouched: Cell::new(0) }
    }

    /// Pages since the last call.
    pub fn take(&self) -> u64 {
        self.untouched.take()
    }

    fn count(&self, addr: u64, len: usize) {
        if self.counts {
            self.untouched.set(self.untouched.get() + self.memory.untouched(addr, len));
        }
    }
}

impl<M: Memory> Memory for Touching<M> {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.count(addr, buf.len());
        self.memory.read(addr, buf)
    }
    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), Fault> {
        self.count(addr, buf.len());
        self.memory.write(addr, buf)
    }
    fn untouched(&self, addr: u64, len: usize) -> u64 {
        self.memory.untouched(addr, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_add_up_as_the_fields_say() {
        let work = Work { engines: 1, latency_ns: 7, fixed_ns: 100, bytes_per_us: 500, cubic_ns: 800 };
        assert_eq!(work.occupancy_ns(0), 100);
        assert_eq!(work.occupancy_ns(256), 100 + 512 + 800);
        assert_eq!(work.occupancy_ns(512), 100 + 1024 + 6400);
        assert_eq!(Work::FREE.occupancy_ns(u64::MAX), 0);
        assert!(Work { bytes_per_us: 1, cubic_ns: u64::MAX, ..work }.occupancy_ns(u64::MAX) > 1 << 60);
    }

    #[test]
    fn the_published_figures_come_out() {
        let [compress, _] = KUNPENG920.zip;
        let block = compress.occupancy_ns(8192);
        let alone = 8192.0 / (block + compress.latency_ns) as f64 * 1000.0;
        assert!((540.0..590.0).contains(&alone), "{alone} MB/s one at a time, 556 published");
        let many = 8192.0 / block as f64 * 1000.0 * f64::from(compress.engines);
        assert!((7000.0..7400.0).contains(&many), "{many} MB/s with many in flight, 7245 published");
        let cold = block + 2 * KUNPENG920.page_fault_ns;
        let cold = 8192.0 / cold as f64 * 1000.0 * f64::from(compress.engines);
        assert!((1800.0..2100.0).contains(&cold), "{cold} MB/s into untouched memory, 1943 published");
        let [rsa, _] = KUNPENG920.hpre;
        let second = 1_000_000_000 / rsa.occupancy_ns(256) * u64::from(rsa.engines) * 2;
        assert_eq!(second, 100_000, "RSA-2048 on two devices");
    }

    #[test]
    fn engines_are_taken_in_the_order_in_which_they_get_free() {
        let engines = [AtomicU64::new(0), AtomicU64::new(0)];
        let ends: Vec<u64> = [(10, 100), (10, 50), (10, 50), (10, 50), (500, 1)]
            .into_iter()
            .map(|(now, takes)| occupy(&engines, now, takes))
            .collect();
        assert_eq!(ends, [110, 60, 110, 160, 501]);
        assert_eq!(occupy(&[], 3, 4), 7);
    }

    #[test]
    fn only_first_touches_are_counted() {
        struct Cold(Cell<u64>);
        impl Memory for Cold {
            fn read(&self, _: u64, _: &mut [u8]) -> Result<(), Fault> {
                self.0.set(0);
                Ok(())
            }
            fn write(&self, _: u64, _: &[u8]) -> Result<(), Fault> {
                Ok(())
            }
            fn untouched(&self, _: u64, _: usize) -> u64 {
                self.0.get()
            }
        }
        let memory = Touching::new(Cold(Cell::new(5)), true);
        memory.read(0, &mut [0]).unwrap();
        memory.write(0, &[0]).unwrap();
        assert_eq!((memory.take(), memory.take()), (5, 0));
    }
}
