//! Queue memory as raw slots (qm.md 3 and 5.1).
//!
//! UNSAFE: the hardware writes this memory at any time, so there is no reference into it: completions and status words
//! are volatile loads, descriptors are copied while they belong to us, inside bounds that the constructor has checked.
#![expect(unsafe_code)]

use std::ptr::{self, NonNull};
use std::sync::Arc;

use crate::uacce::Region;
use crate::uacce::abi::RegionKind;

/// Bytes of a completion entry.
const CQE_SIZE: usize = 16;
/// Offset of the completed submission slot in a completion entry.
const CQE_SQ_HEAD: usize = 8;
/// Offset of the word whose bit 0 is the phase.
const CQE_W7: usize = 14;
/// Distance of the RX status word from the end of the region.
const RX_FROM_END: usize = 8;
/// Distance of the TX status word from the end of the region.
const TX_FROM_END: usize = 4;

/// Dimensions of a queue's rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes per submission entry.
    pub sqe_size: usize,
    /// Entries of the submission queue.
    pub sq_depth: u16,
    /// Entries of the completion queue.
    pub cq_depth: u16,
}

/// The two rings and the two status words of one queue.
#[derive(Debug)]
pub struct Ring {
    memory: Arc<Region>,
    geometry: Geometry,
    /// First byte of `memory`, at hand.
    base: NonNull<u8>,
    /// Offsets of the completion queue and of the RX word.
    completions: usize,
    status: usize,
}

// SAFETY: `base` is where `memory` lies, which is Send; whoever uses the pointer keeps the discipline of the methods.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

/// A completion entry: its offset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry(usize);

impl Ring {
    /// Lays the rings over the queue memory; `None` if they do not fit, or if a dimension makes no sense
    /// (an entry size that is not a multiple of 8, a depth below 2).
    pub fn new(memory: Arc<Region>, geometry: Geometry) -> Option<Ring> {
        let Geometry { sqe_size, sq_depth, cq_depth } = geometry;
        let rings = sqe_size
            .checked_mul(sq_depth.into())?
            .checked_add(CQE_SIZE * usize::from(cq_depth))?
            .checked_add(RX_FROM_END)?;
        let sensible = sqe_size > 0 && sqe_size.is_multiple_of(8) && sq_depth >= 2 && cq_depth >= 2;
        let fits = rings <= memory.len() && memory.len().is_multiple_of(8);
        let base = NonNull::new(memory.as_ptr())?;
        let (completions, status) =
            (sqe_size * usize::from(sq_depth), memory.len().checked_sub(RX_FROM_END)?);
        (sensible && fits).then_some(Ring { memory, geometry, base, completions, status })
    }

    /// Dimensions.
    #[inline]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Takes the queue's memory away from the device. Later accesses, of whatever thread, find ordinary memory
    /// without completions, whose status words say "stopped".
    pub(crate) fn bury(&self) {
        self.memory.bury(RegionKind::Dus);
    }

    /// Copies `sqe` (exactly one entry) into a submission slot, which the caller has claimed.
    #[inline]
    pub fn write_sqe(&self, slot: u16, sqe: &[u8]) {
        let entry = self.entry(slot, sqe.len());
        // The sizes that there are as constants: a quarter of what a request costs is these copies.
        match sqe.len() {
            128 => fill(entry, sqe, 128),
            64 => fill(entry, sqe, 64),
            len => fill(entry, sqe, len),
        }
    }

    /// Copies a submission slot, with the hardware's write-back, into `sqe`.
    #[inline]
    pub fn read_sqe(&self, slot: u16, sqe: &mut [u8]) {
        let entry = self.entry(slot, sqe.len());
        match sqe.len() {
            128 => empty(entry, sqe, 128),
            64 => empty(entry, sqe, 64),
            len => empty(entry, sqe, len),
        }
    }

    /// A submission slot, which is `len` bytes.
    #[inline]
    fn entry(&self, slot: u16, len: usize) -> *mut u8 {
        assert!(slot < self.geometry.sq_depth && len == self.geometry.sqe_size);
        self.base.as_ptr().wrapping_add(usize::from(slot) * len)
    }

    /// The completion entry number `index`.
    #[inline]
    pub(crate) fn completion(&self, index: u16) -> Entry {
        assert!(index < self.geometry.cq_depth);
        Entry(self.completions + CQE_SIZE * usize::from(index))
    }

    /// Phase bit of a completion entry. The caller puts the load fence behind it.
    #[inline]
    pub(crate) fn phase_of(&self, entry: Entry) -> bool {
        self.load::<u16>(entry.0 + CQE_W7) & 1 == 1
    }

    /// Submission slot that a completion entry names; as the hardware wrote it, not checked.
    #[inline]
    pub(crate) fn slot_of(&self, entry: Entry) -> u16 {
        self.load(entry.0 + CQE_SQ_HEAD)
    }

    /// Whether the RX status word says that no further completion will arrive (qm.md 7).
    #[inline]
    pub fn receive_stopped(&self) -> bool {
        self.load::<u32>(self.status) == 1
    }

    /// Whether the TX status word says that nothing may be submitted (qm.md 7).
    #[inline]
    pub fn send_stopped(&self) -> bool {
        self.load::<u32>(self.status + RX_FROM_END - TX_FROM_END) == 1
    }

    #[inline]
    fn load<T: Copy + zerocopy::FromBytes>(&self, offset: usize) -> T {
        debug_assert!(offset.is_multiple_of(align_of::<T>()) && offset + size_of::<T>() <= self.memory.len());
        // SAFETY: every offset comes from an index checked by the caller against the geometry, which `new`
        // checked against the length of the mapping; the base is page aligned and the offsets are multiples
        // of the word; any bit pattern is a `T` (`FromBytes`).
        unsafe { self.base.as_ptr().add(offset).cast::<T>().read_volatile() }
    }
}

#[inline(always)]
fn fill(entry: *mut u8, sqe: &[u8], len: usize) {
    // SAFETY: `Ring::entry` answers a slot of `len` bytes, the length of `sqe`, inside the mapping, where no Rust object
    // lies. The slot is claimed: no other thread touches it, and the device does not before the doorbell, which is
    // behind a fence that the compiler cannot look through.
    unsafe { ptr::copy_nonoverlapping(sqe.as_ptr(), entry, len) };
}

#[inline(always)]
fn empty(entry: *const u8, sqe: &mut [u8], len: usize) {
    // SAFETY: as in `fill`. The device has completed the slot, which was seen before a fence. If it writes all the same,
    // or its memory is taken away, what is read is any bytes, and the caller's checks are there for that.
    unsafe { ptr::copy_nonoverlapping(entry, sqe.as_mut_ptr(), len) };
}

/// The hardware's side of the ring, for in-crate fakes.
#[cfg(test)]
impl Ring {
    /// Writes a completion entry: slot first, phase last.
    pub(crate) fn complete(&self, index: u16, sq_head: u16, phase: bool) {
        let base = self.completion(index).0;
        self.poke(base + CQE_SQ_HEAD, sq_head);
        crate::qm::mmio::store_fence();
        self.poke(base + CQE_W7, u16::from(phase));
    }

    /// Sets the RX status word.
    pub(crate) fn set_receive_stopped(&self, value: u32) {
        self.poke(self.memory.len() - RX_FROM_END, value);
    }

    /// Sets the TX status word.
    pub(crate) fn set_send_stopped(&self, value: u32) {
        self.poke(self.memory.len() - TX_FROM_END, value);
    }

    fn poke<T: Copy>(&self, offset: usize, value: T) {
        // SAFETY: test offsets are those of `load`.
        unsafe { self.memory.as_ptr().add(offset).cast::<T>().write_volatile(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZIP: Geometry = Geometry { sqe_size: 128, sq_depth: 1024, cq_depth: 1024 };

    fn memory(len: usize) -> Arc<Region> {
        Arc::new(Region::anonymous(len).unwrap())
    }

    fn word(memory: &Region, offset: usize) -> u64 {
        memory.atomic_u64(offset).unwrap().load(std::sync::atomic::Ordering::Relaxed)
    }

    /// qm.md 3: with 128-byte entries, depth 1024 and 4 KiB pages the completion queue is at 0x20000, the RX
    /// word at 0x24FF8 and the TX word at 0x24FFC of a region of 0x25000 bytes.
    #[test]
    fn offsets_match_the_table() {
        let memory = memory(0x25000);
        let ring = Ring::new(memory.clone(), ZIP).unwrap();
        ring.complete(0, 0x1234, true);
        assert_eq!(word(&memory, 0x20008), 0x0001_0000_0000_1234);
        ring.set_receive_stopped(1);
        assert_eq!(word(&memory, 0x24FF8), 1);
        ring.set_send_stopped(1);
        assert_eq!(word(&memory, 0x24FF8), 0x1_0000_0001);
        ring.write_sqe(1023, &[0xA5; 128]);
        assert_eq!(word(&memory, 0x1FFF8), 0xA5A5_A5A5_A5A5_A5A5);
        assert_eq!(word(&memory, 0x20000), 0, "the first completion entry is not touched");
    }

    #[test]
    fn slots_come_back_as_written() {
        let ring = Ring::new(memory(0x25000), ZIP).unwrap();
        let sqe: Vec<u8> = (0..128).collect();
        ring.write_sqe(5, &sqe);
        let mut back = vec![0; 128];
        ring.read_sqe(5, &mut back);
        assert_eq!(back, sqe);
    }

    #[test]
    fn only_the_value_one_stops() {
        let ring = Ring::new(memory(0x25000), ZIP).unwrap();
        ring.set_receive_stopped(2);
        ring.set_send_stopped(0x0100_0000);
        assert!(!ring.receive_stopped() && !ring.send_stopped());
    }

    #[test]
    fn rings_that_do_not_fit_are_refused() {
        assert!(Ring::new(memory(0x24000), ZIP).is_none());
        assert!(Ring::new(memory(0x25000), Geometry { sqe_size: 0, ..ZIP }).is_none());
        assert!(Ring::new(memory(0x25000), Geometry { sqe_size: 12, ..ZIP }).is_none());
        assert!(Ring::new(memory(0x25000), Geometry { cq_depth: 1, ..ZIP }).is_none());
        assert!(Ring::new(memory(0x25000), Geometry { sqe_size: usize::MAX - 7, ..ZIP }).is_none());
    }
}
