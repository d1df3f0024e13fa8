//! Opening a hardware queue: the order of uacce.md 5, and what a queue pair needs of the kernel afterwards.

use std::mem::ManuallyDrop;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use crate::qm::doorbell::{Doorbell, Kind, Mmio};
use crate::qm::link::Link;
use crate::qm::memory::{self, Memory};
use crate::qm::ring::{Geometry, Ring};
use crate::qm::{QueuePair, Shared};
use crate::uacce::abi::{GetInfo, PutQueue, QueueContext, QueueInfo, RegionKind, SetContext, StartQueue};
use crate::uacce::{Device, Node, Reach};

/// Why a queue could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// A system call failed with this errno (uacce.md 3.1, 3.3, 3.4).
    Os(i32),
    /// The kernel has isolated the device.
    Isolated,
    /// The reported dimensions do not fit the descriptors that this kind of device takes, or its regions.
    Geometry,
}

/// Depth of both rings where the kernel does not know QM_SET_QP_INFO (uacce.md 3.3).
const DEFAULT_DEPTH: u16 = 1024;

/// Opens, maps and starts one queue of `device` for the algorithm class `qc_type`, for one owner. The memory is to be
/// dropped after the queue.
///
/// # Errors
/// [`OpenError`]; nothing stays open.
pub fn open(device: &Device, qc_type: u16) -> Result<(QueuePair<Hardware>, Memory), OpenError> {
    start(device, qc_type).map(|(ring, link, memory)| (QueuePair::new(ring, link), memory))
}

/// As [`open`], for any number of threads.
///
/// # Errors
/// [`OpenError`]; nothing stays open.
pub fn open_shared(device: &Device, qc_type: u16) -> Result<(Shared<Hardware>, Memory), OpenError> {
    start(device, qc_type).map(|(ring, link, memory)| (Shared::new(ring, link), memory))
}

fn start(device: &Device, qc_type: u16) -> Result<(Ring, Hardware, Memory), OpenError> {
    let node = Node::open(&device.node).map_err(OpenError::Os)?;
    let memory = node.map(RegionKind::Dus, device.dus_size).map_err(OpenError::Os)?;
    let registers = node.map(RegionKind::Mmio, device.mmio_size).map_err(OpenError::Os)?;
    let mut context = QueueContext { id: 0, qc_type };
    node.ioctl::<SetContext>(&mut context).map_err(OpenError::Os)?;
    let sqe_size = device.kind.sqe_size();
    let mut info = QueueInfo::default();
    let geometry = match node.ioctl::<GetInfo>(&mut info) {
        Ok(()) if usize::try_from(info.sqe_size) == Ok(sqe_size) => {
            Geometry { sqe_size, sq_depth: info.sq_depth, cq_depth: info.cq_depth }
        }
        Ok(()) => return Err(OpenError::Geometry),
        Err(libc::EINVAL) => Geometry { sqe_size, sq_depth: DEFAULT_DEPTH, cq_depth: DEFAULT_DEPTH },
        Err(errno) => return Err(OpenError::Os(errno)),
    };
    let ring = Ring::new(Arc::new(memory), geometry).ok_or(OpenError::Geometry)?;
    let doorbell = Mmio::new(registers, context.id).ok_or(OpenError::Geometry)?;
    let lent = match device.reach {
        Reach::Process => Memory::shared(device.kind),
        Reach::Pinned { iommu } => memory::pinned(&node, device.kind, iommu).map_err(OpenError::Os)?,
    };
    node.ioctl::<StartQueue>(&mut ()).map_err(OpenError::Os)?;
    Ok((ring, Hardware { doorbell, node }, lent))
}

/// The kernel's and the doorbell's side of an open hardware queue. The doorbell region is unmapped before the
/// node is closed (field order).
#[derive(Debug)]
pub struct Hardware {
    doorbell: Mmio,
    node: Node,
}

impl Doorbell for Hardware {
    #[inline]
    fn ring(&self, kind: Kind, index: u16) {
        self.doorbell.ring(kind, index);
    }
}

impl Link for Hardware {
    fn sleep(&self, timeout: Duration) {
        // A descriptor that was closed under us still has its mappings, so the queue works on; without poll
        // the wait becomes a plain sleep.
        if self.node.poll(timeout).is_err() {
            std::thread::sleep(timeout.min(Duration::from_millis(1)));
        }
    }

    fn stop(&self) -> Result<(), i32> {
        // PUT_Q gives the queue's number back, and the page of doorbells serves all numbers: a thread that is about
        // to ring must not reach the queue of the next holder.
        self.doorbell.disconnect();
        // A failure (ENXIO for a device that is gone, EBADF for a descriptor that somebody closed) leaves a queue
        // that ends with its last mapping.
        self.node.ioctl::<PutQueue>(&mut ())
    }

    fn descriptor(&self) -> Option<RawFd> {
        self.node.descriptor()
    }

    fn let_go(&self) {
        self.node.let_go();
    }

    fn abandon(self) {
        // The mapping is not there in a forked child, so it must not be unmapped; the descriptor is.
        let Hardware { doorbell, node } = self;
        let _ = ManuallyDrop::new(doorbell);
        drop(node);
    }
}
