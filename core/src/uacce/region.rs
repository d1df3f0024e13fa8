//! Mapped memory with an owner.
//!
//! UNSAFE: mmap and munmap, the one reference type that a mapping may hand out (an atomic word), and copies into and
//! out of memory that a device uses as well. Nothing else in the crate maps or unmaps.
#![expect(unsafe_code)]

mod removal;

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::uacce::abi::RegionKind;
use crate::uacce::node::last_errno;

/// A shared, writable mapping; unmapped on drop.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    len: usize,
    /// A device's memory, which vanishes with the device: where `removal` keeps it.
    watch: Option<removal::Watch>,
}

// SAFETY: a mapping belongs to the process, not to a thread; `Region` gives out only raw pointers and atomics.
unsafe impl Send for Region {}
// SAFETY: as above; whoever dereferences the raw pointer keeps its own discipline (ring, mmio).
unsafe impl Sync for Region {}

impl Region {
    /// Maps `len` bytes of a device at `offset`. If the device is removed, the region turns into dead memory
    /// (see `removal`).
    ///
    /// # Errors
    /// The errno of mmap; EINVAL for an empty length.
    pub(crate) fn of_device(fd: RawFd, kind: RegionKind, offset: usize, len: usize) -> Result<Region, i32> {
        let mut region = Self::mmap(fd, offset, len, libc::MAP_SHARED)?;
        region.watch = removal::watch(region.as_ptr(), len, kind);
        Ok(region)
    }

    /// Maps the first `len` bytes of a regular file, shared with its other readers.
    ///
    /// # Errors
    /// As [`Region::anonymous`].
    pub fn of_file(file: &File, len: usize) -> Result<Region, i32> {
        Self::mmap(file.as_raw_fd(), 0, len, libc::MAP_SHARED)
    }

    /// Zeroed memory of its own, page aligned; queue memory of in-crate fakes.
    ///
    /// # Errors
    /// The errno of mmap; EINVAL for an empty length.
    pub fn anonymous(len: usize) -> Result<Region, i32> {
        Self::mmap(-1, 0, len, libc::MAP_SHARED | libc::MAP_ANONYMOUS)
    }

    /// Zeroed private memory, a page or more, that the kernel zeroes again in a forked child.
    ///
    /// # Errors
    /// The errno of mmap or madvise; ENOTSUP where advice is taken and not followed.
    pub(crate) fn wiped_on_fork(len: usize) -> Result<Region, i32> {
        let region = Self::mmap(-1, 0, len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)?;
        let advise = |advice| {
            // SAFETY: the range is this region's own mapping, which nobody else knows yet.
            unsafe { libc::madvise(region.base.as_ptr().cast(), region.len, advice) }
        };
        // Emulators that take every advice and follow none take this one too.
        if advise(-1) == 0 {
            return Err(libc::ENOTSUP);
        }
        if advise(libc::MADV_WIPEONFORK) == 0 { Ok(region) } else { Err(last_errno()) }
    }

    /// As [`Region::anonymous`], but as device mappings are: not there in a forked child. So a fork leaves its pages
    /// ready for the device, where pages that a child shares would have to be copied at the next write.
    ///
    /// # Errors
    /// The errno of mmap or madvise.
    pub(crate) fn not_inherited(len: usize) -> Result<Region, i32> {
        let region = Self::anonymous(len)?;
        // SAFETY: the range is this region's own mapping.
        let result = unsafe { libc::madvise(region.base.as_ptr().cast(), region.len, libc::MADV_DONTFORK) };
        if result == 0 { Ok(region) } else { Err(last_errno()) }
    }

    fn mmap(fd: RawFd, offset: usize, len: usize, flags: i32) -> Result<Region, i32> {
        Self::mmap_as(fd, offset, len, flags, libc::PROT_READ | libc::PROT_WRITE)
    }

    fn mmap_as(fd: RawFd, offset: usize, len: usize, flags: i32, protection: i32) -> Result<Region, i32> {
        let (Ok(offset), true) = (libc::off_t::try_from(offset), len > 0) else { return Err(libc::EINVAL) };
        // SAFETY: a null hint lets the kernel choose an unused range, so no existing memory changes; every
        // failure is checked below.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, fd, offset) };
        if base == libc::MAP_FAILED {
            return Err(last_errno());
        }
        match NonNull::new(base.cast()) {
            Some(base) => Ok(Region { base, len, watch: None }),
            None => Err(libc::ENOMEM),
        }
    }

    /// Takes a device's memory away at once, whoever is using it: ordinary memory lies in its place from then on, for
    /// queue memory with status words that say "stopped". The kernel sees the device's mapping go. Without memory for
    /// its tables the process keeps the mapping; the caller has nothing better to do then than to unmap it soon.
    pub(crate) fn bury(&self, kind: RegionKind) {
        // SAFETY: exactly this region's own mapping, which stays mapped; everybody reaches it by raw pointers or
        // atomics, for which any content is valid.
        unsafe { removal::lay_over(self.as_ptr(), self.len, kind == RegionKind::Dus) };
    }

    /// First byte. Page aligned; valid for [`Region::len`] bytes as long as the region lives, except in a
    /// forked child, which does not inherit device mappings.
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true; for the lint.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies `bytes` to byte `offset`. For memory that no other thread and no request in flight uses at the moment.
    ///
    /// # Panics
    /// The bytes do not lie inside.
    pub fn copy_in(&self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.len && bytes.len() <= self.len - offset);
        // SAFETY: inside the mapping by the check above. No Rust reference covers it, so the source is other memory;
        // whoever lends the range out (`qm::memory`) has it to himself.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.as_ptr().add(offset), bytes.len()) };
    }

    /// Copies from byte `offset` into `bytes`; as [`Region::copy_in`].
    ///
    /// # Panics
    /// The bytes do not lie inside.
    pub fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        assert!(offset <= self.len && bytes.len() <= self.len - offset);
        // SAFETY: as in `copy_in`; a device that still wrote here would be one whose queue was not waited for.
        unsafe { ptr::copy_nonoverlapping(self.as_ptr().add(offset), bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Overwrites `len` bytes from `offset` with zeros, for certain: secrets, and pages that shall be there.
    ///
    /// # Panics
    /// The bytes do not lie inside.
    pub fn wipe(&self, offset: usize, len: usize) {
        assert!(offset <= self.len && len <= self.len - offset);
        // SAFETY: as in `copy_in`; zero bytes are valid bytes. The stores count: the kernel knows the mapping's address,
        // and the compiler cannot know what munmap does with it.
        unsafe { ptr::write_bytes(self.as_ptr().add(offset), 0, len) };
    }

    /// Whether the device has been removed under the mapping, which has been ordinary memory since.
    pub fn vanished(&self) -> bool {
        self.watch.is_some_and(removal::covered)
    }

    /// The 64-bit word at byte `offset`, if it is aligned and inside. For ordinary memory shared between
    /// processes (counter files), never for registers.
    pub fn atomic_u64(&self, offset: usize) -> Option<&AtomicU64> {
        if !offset.is_multiple_of(8) || offset.checked_add(8)? > self.len {
            return None;
        }
        // SAFETY: aligned (the base is page aligned) and inside the mapping by the check above; the mapping
        // outlives `&self`; every access to the word in this process goes through this atomic.
        Some(unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) })
    }
}

/// The beginning of a regular file, mapped to be looked at: writing to it is impossible, also for us.
#[derive(Debug)]
pub(crate) struct ReadOnly(Region);

impl ReadOnly {
    /// Maps the first `len` bytes.
    ///
    /// # Errors
    /// As [`Region::anonymous`].
    pub(crate) fn of_file(file: &File, len: usize) -> Result<ReadOnly, i32> {
        Region::mmap_as(file.as_raw_fd(), 0, len, libc::MAP_SHARED, libc::PROT_READ).map(ReadOnly)
    }

    /// The present value of the 64-bit word at byte `offset`, if it is aligned and inside.
    pub(crate) fn load(&self, offset: usize) -> Option<u64> {
        // A relaxed load of this size is a plain one on every architecture that we run on: no write.
        self.0.atomic_u64(offset).map(|word| word.load(Ordering::Relaxed))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(watch) = self.watch {
            removal::forget(watch, self.as_ptr());
        }
        // SAFETY: `base` and `len` are those of the mmap that made this region; no reference into it outlives
        // the region (the atomics borrow it, rings and doorbells own it). A forked child never comes here
        // with a device mapping: the queue pair forgets its regions there.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Page size of the running system in bytes: 4096 or 65536 on arm64, never to be assumed.
pub fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn words_outside_or_unaligned_are_refused() {
        let region = Region::anonymous(4096).unwrap();
        assert!(region.atomic_u64(4096).is_none());
        assert!(region.atomic_u64(4092).is_none());
        assert!(region.atomic_u64(1).is_none());
        assert!(region.atomic_u64(usize::MAX - 7).is_none());
        let word = region.atomic_u64(4088).unwrap();
        word.fetch_add(3, Ordering::Relaxed);
        assert_eq!(region.atomic_u64(4088).unwrap().load(Ordering::Relaxed), 3);
    }

    #[test]
    fn empty_mapping_is_refused() {
        assert_eq!(Region::anonymous(0).unwrap_err(), libc::EINVAL);
    }
}
