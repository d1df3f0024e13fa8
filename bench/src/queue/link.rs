//! Queue memory, the echo device behind it, and both contenders' hold on them.
//!
//! UNSAFE: calls of `plain.c` with pointers into regions that live as long as the rig.
#![allow(unsafe_code, reason = "the plain loop and the echo device are C functions over raw queue memory")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use warpdrive_core::qm::doorbell::{Doorbell, Kind};
use warpdrive_core::qm::link::Link;
use warpdrive_core::qm::mmio::Register;
use warpdrive_core::qm::ring::{Geometry, Ring};
use warpdrive_core::uacce::Region;

/// Entries of each ring, and bytes of a descriptor.
pub const DEPTH: u16 = 1024;
pub const SQE: usize = 128;
const DUS: usize = 0x25000;
const CQ_AT: usize = SQE * DEPTH as usize;

/// As in plain.c.
#[repr(C)]
pub struct CQueue {
    sq: *mut u64,
    cq: *mut u8,
    sq_bell: *mut u64,
    cq_bell: *mut u64,
    depth: u32,
    head: u32,
    cq_index: u32,
    phase: u32,
}

/// As in plain.c: the plain loop's own indices.
#[repr(C)]
struct CPlain {
    tail: u32,
    head: u32,
    phase: u32,
    unreturned: u32,
}

unsafe extern "C" {
    fn plain_single(q: *mut CQueue, p: *mut CPlain, sqe: *mut u64, count: u64);
    fn plain_batch(q: *mut CQueue, p: *mut CPlain, sqes: *mut u64, count: u64, depth: u64);
    fn plain_window(q: *mut CQueue, p: *mut CPlain, sqe: *mut u64, count: u64, depth: u64);
    fn bare_ping(ping: *mut u64, pong: *mut u64, count: u64);
    fn echo_step(q: *mut CQueue) -> u32;
    fn echo_serve(q: *mut CQueue, mode: *const u64, mine: u64);
    fn echo_pong(ping: *mut u64, pong: *mut u64, mode: *const u64, mine: u64);
    fn echo_serve_many(q: *const *mut CQueue, count: u64, mode: *const u64, mine: u64, delay_ns: u64);
}

/// Memory of one queue, and the device's side of it.
pub struct Memory {
    rings: Arc<Region>,
    /// A page for each kind of doorbell: submissions, completions.
    bells: [Region; 2],
    device: Box<CQueue>,
}

/// The device's side, for the device thread.
#[derive(Clone, Copy)]
pub struct Side(*mut CQueue);

// SAFETY: the device thread alone uses it, and ends before the memory does.
unsafe impl Send for Side {}
// SAFETY: as above; the other threads only hold it.
unsafe impl Sync for Side {}

impl Memory {
    pub fn new() -> Result<Memory> {
        let os = |errno| anyhow!("errno {errno}");
        let rings = Arc::new(Region::anonymous(DUS).map_err(os)?);
        let bells = [Region::anonymous(4096).map_err(os)?, Region::anonymous(4096).map_err(os)?];
        // SAFETY: the offset lies inside of the region.
        let device = unsafe {
            Box::new(CQueue {
                sq: rings.as_ptr().cast(),
                cq: rings.as_ptr().add(CQ_AT),
                sq_bell: bells[0].as_ptr().cast(),
                cq_bell: bells[1].as_ptr().cast(),
                depth: DEPTH.into(),
                head: 0,
                cq_index: 0,
                phase: 1,
            })
        };
        Ok(Memory { rings, bells, device })
    }

    pub fn side(&mut self) -> Side {
        Side(&raw mut *self.device)
    }

    /// The core's view: a ring and a link, for [`warpdrive_core::qm::Shared`] or `QueuePair`. With `inline`, the device
    /// answers inside of the doorbell.
    pub fn core(mut self, inline: bool) -> Result<(Ring, EchoLink)> {
        let geometry = Geometry { sqe_size: SQE, sq_depth: DEPTH, cq_depth: DEPTH };
        let ring = Ring::new(Arc::clone(&self.rings), geometry).context("rings that fit")?;
        let inline = inline.then(|| self.side());
        let [submissions, completions] =
            self.bells.map(|page| Register::new(page, 0).context("a bell in the page"));
        let (submissions, completions) = (submissions?, completions?);
        Ok((ring, EchoLink { submissions, completions, inline, _device: Held(self.device) }))
    }
}

/// Only kept alive; the device thread uses it.
struct Held(#[allow(dead_code, reason = "kept alive")] Box<CQueue>);

/// Doorbells as stores to memory.
pub struct EchoLink {
    submissions: Register,
    completions: Register,
    inline: Option<Side>,
    _device: Held,
}

// SAFETY: registers are written by single stores; the device's side is used by one thread at a time: the device's, or
// inline the one that rings, which the slot protocol makes one.
unsafe impl Send for EchoLink {}
// SAFETY: as above.
unsafe impl Sync for EchoLink {}

impl Doorbell for EchoLink {
    #[inline]
    fn ring(&self, kind: Kind, index: u16) {
        match kind {
            Kind::Submission => {
                self.submissions.store(index.into());
                if let Some(side) = self.inline {
                    step(side);
                }
            }
            Kind::Completion { .. } => self.completions.store(index.into()),
        }
    }
}

/// Lets the device answer what was announced.
#[inline(never)]
pub fn step(side: Side) -> u32 {
    // SAFETY: the device's side is alive and used by this thread alone.
    unsafe { echo_step(side.0) }
}

impl Link for EchoLink {
    /// About what an interrupt costs; there is none here.
    fn sleep(&self, _timeout: Duration) {
        std::thread::sleep(Duration::from_micros(20));
    }
    fn stop(&self) -> Result<(), i32> {
        Ok(())
    }
    fn abandon(self) {}
}

/// The plain loop on a queue of its own.
pub struct Plain {
    memory: Memory,
    state: CPlain,
    sqes: Vec<u64>,
}

impl Plain {
    pub fn new(memory: Memory) -> Plain {
        let state = CPlain { tail: 0, head: 0, phase: 1, unreturned: 0 };
        Plain { memory, state, sqes: vec![0x0123_4567_89AB_CDEF; 64 * SQE / 8] }
    }

    fn client(&self) -> CQueue {
        let device = &self.memory.device;
        CQueue { head: 0, ..CQueue { phase: 1, cq_index: 0, ..copy(device) } }
    }

    pub fn single(&mut self, count: u64) {
        let mut queue = self.client();
        // SAFETY: rings and bells live in `memory`; the buffer has room for one descriptor.
        unsafe { plain_single(&raw mut queue, &raw mut self.state, self.sqes.as_mut_ptr(), count) };
    }

    pub fn batch(&mut self, count: u64, depth: u64) {
        assert!(depth <= 64);
        let mut queue = self.client();
        // SAFETY: as above; the buffer has room for 64 descriptors.
        unsafe { plain_batch(&raw mut queue, &raw mut self.state, self.sqes.as_mut_ptr(), count, depth) };
    }

    pub fn window(&mut self, count: u64, depth: u64) {
        let mut queue = self.client();
        // SAFETY: as in `single`.
        unsafe { plain_window(&raw mut queue, &raw mut self.state, self.sqes.as_mut_ptr(), count, depth) };
    }

    pub fn side(&mut self) -> Side {
        self.memory.side()
    }
}

/// The pointers of a queue; the device's indices stay with the device.
fn copy(device: &CQueue) -> CQueue {
    CQueue { head: 0, cq_index: 0, phase: 1, ..*device }
}

/// What the device thread is to do.
enum Work {
    Serve(Side),
    ServeMany(Vec<Side>, u64),
    Pong,
}

/// The device thread, and the two lines of the bare hand-over.
pub struct Device {
    lines: Arc<Region>,
    orders: std::sync::mpsc::Sender<(u64, Work)>,
    thread: Option<JoinHandle<()>>,
    order: u64,
}

const MODE: usize = 0;
const PING: usize = 256;
const PONG: usize = 512;

fn word(lines: &Region, offset: usize) -> &AtomicU64 {
    lines.atomic_u64(offset).expect("inside the page")
}

impl Device {
    pub fn start() -> Result<Device> {
        let lines = Arc::new(Region::anonymous(4096).map_err(|errno| anyhow!("errno {errno}"))?);
        let (orders, incoming) = std::sync::mpsc::channel::<(u64, Work)>();
        let shared = Arc::clone(&lines);
        let thread = std::thread::spawn(move || {
            let at = |offset| word(&shared, offset).as_ptr();
            while let Ok((mine, work)) = incoming.recv() {
                // SAFETY: the queues outlive the order (`while_serving` waits for its end); the words are in the page.
                unsafe {
                    match work {
                        Work::Serve(side) => echo_serve(side.0, at(MODE), mine),
                        Work::ServeMany(sides, delay) => {
                            let queues: Vec<_> = sides.iter().map(|side| side.0).collect();
                            echo_serve_many(queues.as_ptr(), queues.len() as u64, at(MODE), mine, delay);
                        }
                        Work::Pong => echo_pong(at(PING), at(PONG), at(MODE), mine),
                    }
                }
                word(&shared, MODE).store(0, Ordering::Release);
            }
        });
        Ok(Device { lines, orders, thread: Some(thread), order: 0 })
    }

    fn while_working<T>(&mut self, work: Work, run: impl FnOnce() -> T) -> Result<T> {
        self.order += 1;
        let mode = word(&self.lines, MODE);
        mode.store(self.order, Ordering::Release);
        self.orders.send((self.order, work)).map_err(|_| anyhow!("the device thread is gone"))?;
        let value = run();
        mode.store(u64::MAX, Ordering::Release);
        while mode.load(Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
        Ok(value)
    }

    /// Runs `run` while the device answers this queue.
    pub fn while_serving<T>(&mut self, side: Side, run: impl FnOnce() -> T) -> Result<T> {
        self.while_working(Work::Serve(side), run)
    }

    /// Runs `run` while the device answers these queues, each request after `delay_ns`.
    pub fn while_serving_many<T>(
        &mut self,
        sides: &[Side],
        delay_ns: u64,
        run: impl FnOnce() -> T,
    ) -> Result<T> {
        self.while_working(Work::ServeMany(sides.to_vec(), delay_ns), run)
    }

    /// `count` times two hand-overs of a cache line.
    pub fn ping(&mut self, count: u64) -> Result<std::time::Duration> {
        let lines = Arc::clone(&self.lines);
        self.while_working(Work::Pong, || {
            // SAFETY: two words of the page.
            unsafe { bare_ping(word(&lines, PING).as_ptr(), word(&lines, PONG).as_ptr(), 64) };
            let start = std::time::Instant::now();
            // SAFETY: as above.
            unsafe { bare_ping(word(&lines, PING).as_ptr(), word(&lines, PONG).as_ptr(), count) };
            start.elapsed()
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let (closed, _) = std::sync::mpsc::channel();
        self.orders = closed;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
