//! The pool over in-memory devices, on a clock that goes when a test says so.

mod devices;
mod fork;
mod idle;
mod reference;
mod sharing;
mod trust;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::job::{Needs, Op};
use crate::qm::Channel;
use crate::qm::fake::{self, Event as Crossing};
use crate::testing::device;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(2);
const PACK: Op = Op::ZipCompress;
const UNPACK: Op = Op::ZipDecompress;

/// What the fake kernel has seen and shall answer.
#[derive(Default)]
struct Kernel {
    opens: Vec<(String, u16)>,
    queues: Vec<Arc<Mutex<fake::Device>>>,
    /// Device of each queue.
    owners: Vec<String>,
    refusals: HashMap<String, OpenError>,
    /// Queues that a device has, where they are few.
    scarce: HashMap<String, usize>,
}

impl Kernel {
    /// Queues of a device that are not stopped, or of all.
    fn open(&self, name: Option<&str>) -> usize {
        let of = |owner: &str| name.is_none_or(|name| name == owner);
        let stopped = |queue: &Mutex<fake::Device>| queue.lock().journal.contains(&Crossing::Stop);
        self.queues.iter().zip(&self.owners).filter(|(queue, owner)| of(owner) && !stopped(queue)).count()
    }
}

/// A pool, its kernel and its time in milliseconds.
struct House {
    pool: Pool,
    kernel: Arc<Mutex<Kernel>>,
    time: Arc<AtomicU64>,
}

impl House {
    fn new(devices: Vec<Device>) -> House {
        House::with(devices, "")
    }

    fn with(devices: Vec<Device>, config: &str) -> House {
        let (kernel, time) = (Arc::<Mutex<Kernel>>::default(), Arc::<AtomicU64>::default());
        let mut pool = Pool::new(opener(&kernel));
        pool.clock = Clock::Manual(time.clone());
        let (config, problems) = crate::config::parse(config);
        assert_eq!(problems, []);
        pool.configure(&config);
        pool.adopt(devices);
        House { pool, kernel, time }
    }

    fn lease(&self, op: Op, cap: usize) -> Result<Lease<'_>, Why> {
        self.pool.lease(&job(op), cap)
    }

    /// One request, served or not, reported as the gate does.
    fn serve(&self, op: Op, cap: usize) -> Result<(), Why> {
        let mut lease = self.lease(op, cap)?;
        request(&mut lease, LONG)
    }

    fn pass(&self, milliseconds: u64) {
        self.time.fetch_add(milliseconds, Ordering::Relaxed);
    }

    fn opened(&self) -> Vec<String> {
        self.kernel.lock().opens.iter().map(|(name, _)| name.clone()).collect()
    }

    fn refuse(&self, name: &str, error: OpenError) {
        self.kernel.lock().refusals.insert(name.to_owned(), error);
    }

    fn queue(&self, number: usize) -> Arc<Mutex<fake::Device>> {
        self.kernel.lock().queues[number].clone()
    }

    fn count(&self) -> usize {
        self.pool.last().unwrap().seats.count()
    }
}

/// A request of the lease's op and its report.
fn request(lease: &mut Lease<'_>, deadline: Duration) -> Result<(), Why> {
    let mut sqe = [0x5A; 128];
    match lease.execute(&mut sqe, deadline) {
        Ok(()) => {
            assert_eq!(sqe, [!0x5A; 128]);
            lease.succeeded();
            Ok(())
        }
        Err(fault) => {
            lease.failed(fault);
            Err(Why::Failed(fault))
        }
    }
}

fn opener(kernel: &Arc<Mutex<Kernel>>) -> Box<Opener> {
    let kernel = kernel.clone();
    Box::new(move |device, class| {
        let mut kernel = kernel.lock();
        kernel.opens.push((device.name.clone(), class));
        if let Some(error) = kernel.refusals.get(&device.name) {
            return Err(*error);
        }
        let there = kernel.scarce.get(&device.name).copied().unwrap_or(usize::MAX);
        if kernel.open(Some(&device.name)) >= there {
            return Err(OpenError::Os(libc::EBUSY));
        }
        let (queue, side) = fake::shared(64, device.kind.sqe_size());
        kernel.queues.push(side);
        kernel.owners.push(device.name.clone());
        Ok(Box::new(queue))
    })
}

fn zip(name: &str, node: i32) -> Device {
    device(name, Kind::Zip, node, &["zlib", "gzip"])
}

fn job(op: Op) -> Job {
    let line = match op.kind() {
        Kind::Zip => "zlib",
        Kind::Sec => "cipher",
        Kind::Hpre => "rsa",
    };
    Job::new(op, 1 << 20, Needs::always(line))
}
