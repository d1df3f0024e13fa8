//! Fences towards a device, and the doorbell store.
//!
//! UNSAFE: inline assembly, and the one store into device memory.
//!
//! Rust's atomic fences order memory among processors only (`dmb ish` on aarch64, nothing on x86-64). The
//! device is outside of that domain, and doorbells are Device memory while rings are Normal memory, so the
//! barriers must be the full-system ones that existing drivers use (qm.md 6):
//!
//! * [`store_fence`] between the last store into the ring and the doorbell store: `dsb st` on aarch64. On
//!   x86-64 ordinary stores become visible in order, uncached ones included, so only the compiler is held back;
//!   the exception, non-temporal stores, is fenced by whoever makes them.
//! * [`load_fence`] between the load of the phase and every load it announces: `dsb ld` on aarch64; on
//!   x86-64 loads are in order, so only the compiler is held back.
//! * [`full_fence`] between the store that arms the interrupt and the last look at the ring before sleeping: a
//!   store followed by a load, which both architectures reorder: `dsb sy`, `mfence`.
#![expect(unsafe_code)]

use std::arch::asm;

use crate::uacce::Region;
use crate::uacce::abi::RegionKind;

/// Every earlier store is visible to the device before any later one.
#[inline]
pub fn store_fence() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier touches no register and no memory of ours; without `nomem` the compiler keeps order.
    unsafe {
        asm!("dsb st", options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: an empty instruction sequence that the compiler must assume to read and write memory.
    unsafe {
        asm!("", options(nostack, preserves_flags));
    }
}

/// Every earlier load has happened before any later one.
#[inline]
pub fn load_fence() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier touches no register and no memory of ours; without `nomem` the compiler keeps order.
    unsafe {
        asm!("dsb ld", options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: an empty instruction sequence that the compiler must assume to read and write memory.
    unsafe {
        asm!("", options(nostack, preserves_flags));
    }
}

/// Every earlier access has happened before any later one.
#[inline]
pub fn full_fence() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier touches no register and no memory of ours; without `nomem` the compiler keeps order.
    unsafe {
        asm!("dsb sy", options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    unsafe {
        asm!("mfence", options(nostack, preserves_flags));
    }
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
compile_error!("warpdrive knows the fences of aarch64 (the hardware) and x86-64 (development) only");

/// A 64-bit write-only register in a mapped region.
#[derive(Debug)]
pub struct Register {
    region: Region,
    offset: usize,
}

impl Register {
    /// The register at byte `offset` of `region`; `None` if it is unaligned or outside.
    pub fn new(region: Region, offset: usize) -> Option<Register> {
        (offset.is_multiple_of(8) && offset.checked_add(8)? <= region.len())
            .then_some(Register { region, offset })
    }

    /// Takes the mapping away; later stores go to ordinary memory.
    pub(crate) fn disconnect(&self) {
        self.region.bury(RegionKind::Mmio);
    }

    /// Writes `value` by exactly one aligned 64-bit integer store. `write_volatile` gives no such promise: a
    /// vector store has been seen, which Device memory does not take.
    #[inline]
    pub fn store(&self, value: u64) {
        // SAFETY: inside the mapping and aligned, by `new` and the page-aligned base.
        let address = unsafe { self.region.as_ptr().add(self.offset) };
        #[cfg(target_arch = "aarch64")]
        // SAFETY: one store to a mapped, writable, aligned address that no Rust reference covers.
        unsafe {
            asm!("str {value}, [{address}]", value = in(reg) value, address = in(reg) address,
                options(nostack, preserves_flags));
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        unsafe {
            asm!("mov qword ptr [{address}], {value}", value = in(reg) value, address = in(reg) address,
                options(nostack, preserves_flags));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn store_writes_the_word_and_nothing_else() {
        let region = Region::anonymous(4096).unwrap();
        let register = Register::new(region, 0x340).unwrap();
        register.store(0x0123_4567_89AB_CDEF);
        store_fence();
        load_fence();
        full_fence();
        let word = |offset| register.region.atomic_u64(offset).unwrap().load(Ordering::Relaxed);
        assert_eq!((word(0x338), word(0x340), word(0x348)), (0, 0x0123_4567_89AB_CDEF, 0));
    }

    #[test]
    fn register_outside_of_the_region_is_refused() {
        assert!(Register::new(Region::anonymous(4096).unwrap(), 0x1000).is_none());
        assert!(Register::new(Region::anonymous(4096).unwrap(), 0x341).is_none());
        assert!(Register::new(Region::anonymous(4096).unwrap(), usize::MAX - 7).is_none());
    }
}
