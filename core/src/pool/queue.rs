//! What the pool lends, and who makes it.

use crate::Fault;
use crate::qm::link::Link;
use crate::qm::memory::Memory;
use crate::qm::{OpenError, Patience, Shared};
use crate::uacce::Device;

/// A queue of any make, which several threads may use at a time.
pub(crate) trait Queue: Send + Sync {
    /// As [`crate::qm::Channel::execute`].
    fn execute(&self, sqe: &mut [u8], patience: &Patience) -> Result<(), Fault>;
    /// Whether it can take requests.
    fn is_alive(&self) -> bool;
    /// Stops it for good, whoever is inside; it is closed when it is dropped. In a forked child: closes the inherited
    /// descriptor and touches nothing else.
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
    fn execute(&self, sqe: &mut [u8], patience: &Patience) -> Result<(), Fault> {
        self.queue.execute(sqe, patience)
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

impl<L: Link + Send + Sync> Queue for Shared<L> {
    fn execute(&self, sqe: &mut [u8], patience: &Patience) -> Result<(), Fault> {
        Shared::execute(self, sqe, patience)
    }
    fn is_alive(&self) -> bool {
        Shared::is_alive(self)
    }
    fn retire(&self, fault: Fault) {
        Shared::retire(self, fault);
    }
}

/// Opens queues: the kernel, or a fake in tests. Gets the device and the algorithm class of the queue.
pub(crate) type Opener = dyn Fn(&Device, u16) -> Result<Box<dyn Queue>, OpenError> + Send + Sync;

/// Opens queues of real devices.
pub(crate) fn hardware(device: &Device, class: u16) -> Result<Box<dyn Queue>, OpenError> {
    if device.isolated_now() {
        return Err(OpenError::Isolated);
    }
    let (queue, memory) = crate::qm::open_shared(device, class)?;
    Ok(Box::new(Equipped { queue, memory }))
}
