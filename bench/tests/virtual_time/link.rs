//! The core's queue pair on the model's in-process front: the seam is `qm::Link`, doorbells included.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use warpdrive_core::Fault;
use warpdrive_core::qm::doorbell::{self, Doorbell, Kind};
use warpdrive_core::qm::queue_pair::Link;
use warpdrive_core::qm::ring::{Geometry, Ring};
use warpdrive_core::qm::{Channel, QueuePair, Version};
use warpdrive_core::uacce::Region;
use warpdrive_device_model::virtual_time::{Machine, QueueId, Words};

/// Entries of each ring.
pub const DEPTH: u16 = 1024;

/// The core's queue memory as the model wants it.
struct Shared(Arc<Region>);

impl Words for Shared {
    fn count(&self) -> usize {
        self.0.len() / 8
    }
    fn word(&self, index: usize) -> &AtomicU64 {
        self.0.atomic_u64(8 * index).expect("inside the region")
    }
}

/// Doorbells by a call; sleeping lets the next event happen.
pub struct Virtual {
    machine: Rc<Machine>,
    id: QueueId,
    /// Doorbells rung, by kind.
    pub rung: Rc<Cell<(u32, u32)>>,
}

impl Doorbell for Virtual {
    fn ring(&self, kind: Kind, index: u16) {
        let (submissions, completions) = self.rung.get();
        self.rung.set(match kind {
            Kind::Submission => (submissions + 1, completions),
            Kind::Completion { .. } => (submissions, completions + 1),
        });
        self.machine.doorbell(self.id, doorbell::encode(self.id.number, kind, index));
    }
}

impl Link for Virtual {
    fn sleep(&self, timeout: Duration) {
        if !self.machine.step() {
            self.machine.advance(timeout.as_nanos() as u64);
        }
    }
    fn stop(&self) -> Result<(), i32> {
        self.machine.close(self.id);
        Ok(())
    }
    fn abandon(self) {}
}

/// A started ZIP queue of the core on a device of the machine, and its doorbell counts.
pub fn open(
    machine: &Rc<Machine>,
    device: usize,
    qc_type: u16,
) -> (QueuePair<Virtual>, Rc<Cell<(u32, u32)>>) {
    let geometry = Geometry { sqe_size: 128, sq_depth: DEPTH, cq_depth: DEPTH };
    let region = Arc::new(Region::anonymous(0x25000).expect("memory"));
    let id = machine.open(device, qc_type, Box::new(Shared(Arc::clone(&region)))).expect("a queue");
    let ring = Ring::new(region, geometry).expect("rings that fit");
    let rung = Rc::new(Cell::new((0, 0)));
    let link = Virtual { machine: Rc::clone(machine), id, rung: Rc::clone(&rung) };
    (QueuePair::new(ring, link), rung)
}

/// The core's engines on such a queue.
pub struct OneQueue(pub QueuePair<Virtual>, pub Version);

impl Channel for OneQueue {
    fn version(&self) -> Version {
        self.1
    }
    fn execute(&mut self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault> {
        self.0.execute(sqe, deadline)
    }
}
