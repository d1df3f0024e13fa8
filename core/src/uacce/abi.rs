//! The ioctls of the uacce character device as types, and its mmap regions (uacce.md 3.2, 3.4).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An ioctl: its number and what its argument points to. `()` stands for "no argument".
pub trait Ioctl {
    /// Encoded request number.
    const NUMBER: u32;
    /// What the pointer argument refers to, read and written by the kernel.
    type Argument: FromBytes + IntoBytes + Immutable;
}

/// The asm-generic encoding: direction in bits 31:30, size in 29:16, type in 15:8, number in 7:0.
const fn encode(direction: u32, kind: u8, number: u8, size: usize) -> u32 {
    direction << 30 | (size as u32) << 16 | (kind as u32) << 8 | number as u32
}

const NONE: u32 = 0;
const READ: u32 = 2;
const READ_WRITE: u32 = 3;

/// `UACCE_CMD_START_Q`: programs the queue contexts; INIT → STARTED.
#[derive(Debug)]
pub struct StartQueue;

/// `UACCE_CMD_PUT_Q`: stops the queue. When it has returned, the device touches no buffer of the queue.
#[derive(Debug)]
pub struct PutQueue;

/// `QM_SET_QP_CTX`: stores the algorithm class, answers the hardware queue number.
#[derive(Debug)]
pub struct SetContext;

/// `QM_SET_QP_INFO`, in spite of its name a getter: descriptor size and depths.
#[derive(Debug)]
pub struct GetInfo;

/// `UACCE_CMD_GET_SS_DMA` (KAE kernels): in, the number of a slice of the SS region; out, its address for the device
/// and its size. Answers how many slices follow.
#[derive(Debug)]
pub struct GetSsDma;

/// Argument of [`SetContext`].
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct QueueContext {
    /// Out: hardware queue number within the function.
    pub id: u16,
    /// In: algorithm class (qm.md 2).
    pub qc_type: u16,
}

/// Argument of [`GetInfo`]; all out.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct QueueInfo {
    /// Bytes per descriptor: 128 (zip, sec2) or 64 (hpre).
    pub sqe_size: u32,
    /// Entries of the submission queue.
    pub sq_depth: u16,
    /// Entries of the completion queue.
    pub cq_depth: u16,
    /// Copied back unchanged.
    pub reserved: u64,
}

impl Ioctl for StartQueue {
    const NUMBER: u32 = encode(NONE, b'W', 0, 0);
    type Argument = ();
}

impl Ioctl for PutQueue {
    const NUMBER: u32 = encode(NONE, b'W', 1, 0);
    type Argument = ();
}

impl Ioctl for SetContext {
    const NUMBER: u32 = encode(READ_WRITE, b'H', 10, size_of::<QueueContext>());
    type Argument = QueueContext;
}

impl Ioctl for GetInfo {
    const NUMBER: u32 = encode(READ_WRITE, b'H', 11, size_of::<QueueInfo>());
    type Argument = QueueInfo;
}

impl Ioctl for GetSsDma {
    const NUMBER: u32 = encode(READ, b'W', 3, size_of::<u64>());
    type Argument = u64;
}

/// The values that uacce.md 3.2 lists.
const _: () = {
    assert!(StartQueue::NUMBER == 0x5700);
    assert!(PutQueue::NUMBER == 0x5701);
    assert!(SetContext::NUMBER == 0xC004_480A);
    assert!(GetInfo::NUMBER == 0xC010_480B);
    assert!(GetSsDma::NUMBER == 0x8008_5703);
};

/// A memory region of a queue; the mmap offset is the index times the system's page size (uacce.md 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// Doorbell registers.
    Mmio,
    /// Queue memory: rings and status words.
    Dus,
    /// Memory for everything that the device reads and writes; only without SVA (uacce.md 4.1).
    Ss,
}

impl RegionKind {
    /// Region index, which selects the region in the mmap offset.
    pub const fn index(self) -> usize {
        match self {
            RegionKind::Mmio => 0,
            RegionKind::Dus => 1,
            RegionKind::Ss => 2,
        }
    }
}
