//! What the pool lends, and who makes it.

use std::time::Duration;

use parking_lot::Mutex;

use crate::Fault;
use crate::qm::memory::Memory;
use crate::qm::queue_pair::Link;
use crate::qm::{OpenError, QueuePair};
use crate::uacce::Device;

/// A queue of any make, which several threads may use at a time.
pub(crate) trait Queue: Send + Sync {
    /// As [`crate::qm::Channel::execute`].
    fn execute(&self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault>;
    /// Whether it can take requests.
    fn is_alive(&self) -> bool;
    /// Stops it for good, and closes it when the last thread inside has left. In a forked child: lets go of what is
    /// the parent's.
    fn retire(&self, fault: Fault);
    /// What it lends to its device; `None` for a queue whose buffers stay where they are.
    fn memory(&self) -> Option<&Memory> {
        None
    }
}

/// A queue and the memory it lends, which goes after it.
struct Equipped<Q> {
    queue: Q,
    memory: Memory,
}

impl<Q: Queue> Queue for Equipped<Q> {
    fn execute(&self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault> {
        self.queue.execute(sqe, deadline)
    }
    fn is_alive(&self) -> bool {
        self.queue.is_alive()
    }
    fn retire(&self, fault: Fault) {
        self.queue.retire(fault);
    }
    fn memory(&self) -> Option<&Memory> {
        Some(&self.memory)
    }
}

/// A queue pair has one owner: those who share it wait for one another.
impl<L: Link + Send> Queue for Mutex<QueuePair<L>> {
    fn execute(&self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault> {
        self.lock().execute(sqe, deadline)
    }
    fn is_alive(&self) -> bool {
        self.try_lock().is_none_or(|queue| queue.is_alive())
    }
    fn retire(&self, fault: Fault) {
        // A fork may have copied the lock locked; then its owner was the parent's thread, and so is the queue.
        if let Some(mut queue) = self.try_lock() {
            queue.retire(fault);
        }
    }
}

/// Opens queues: the kernel, or a fake in tests. Gets the device and the algorithm class of the queue.
pub(crate) type Opener = dyn Fn(&Device, u16) -> Result<Box<dyn Queue>, OpenError> + Send + Sync;

/// Opens queues of real devices.
pub(crate) fn hardware(device: &Device, class: u16) -> Result<Box<dyn Queue>, OpenError> {
    if device.isolated_now() {
        return Err(OpenError::Isolated);
    }
    let (queue, memory) = crate::qm::open(device, class)?;
    Ok(Box::new(Equipped { queue: Mutex::new(queue), memory }))
}
