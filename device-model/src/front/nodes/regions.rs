//! `mmap`, `munmap`, `mremap` and `mprotect` of queue regions (uacce.md 3.4).
//!
//! UNSAFE: maps regions into the program, where it wants them.
#![allow(unsafe_code)]

use super::super::model::{self, Model};
use super::super::ports::{self, Port, Range};
use super::super::profile::Kernel;
use super::super::queue::{Queue, Region, State};
use super::super::{ownership, ss, worker};
use super::{Entry, Found, Sys, errno_of, last_errno, leave, mapped, with_table};
use crate::sys::{self, next};
use libc::{c_int, c_void};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Mapped regions in this process.
static REGIONS: AtomicUsize = AtomicUsize::new(0);

/// In a forked child no region is mapped.
pub(super) fn forget() {
    REGIONS.store(0, Ordering::SeqCst);
}

/// Where the program has mapped the regions of a queue.
pub(super) fn of(port: &'static Port) -> [(Region, &'static Range); 3] {
    [(Region::Mmio, &port.mmio), (Region::Dus, &port.dus), (Region::Ss, &port.ss)]
}

fn allowed(access: c_int, prot: c_int) -> bool {
    match access & libc::O_ACCMODE {
        libc::O_RDWR => true,
        libc::O_RDONLY => prot & libc::PROT_WRITE == 0,
        _ => false,
    }
}

/// `mmap` of a region; `offset` selects it, `addr` is a wish (an order with `MAP_FIXED`).
pub fn mmap(
    found: &Found,
    addr: usize,
    len: usize,
    prot: c_int,
    flags: c_int,
    offset: i64,
) -> Sys<*mut c_void> {
    let queue = &found.queue;
    let model = model::peek().ok_or(libc::ENXIO)?;
    let page = sys::page_size();
    // the kernel proper, before the driver is asked
    if len == 0 || usize::try_from(offset).is_ok_and(|o| o % page != 0) {
        return Err(libc::EINVAL);
    }
    let rounded = len.checked_next_multiple_of(page).ok_or(libc::ENOMEM)?;
    let shared = flags & libc::MAP_TYPE != libc::MAP_PRIVATE;
    if !allowed(queue.slot.access() as c_int, if shared { prot } else { libc::PROT_READ }) {
        return Err(libc::EACCES);
    }
    let region = match usize::try_from(offset).map(|o| o / page) {
        Ok(0) => Region::Mmio,
        Ok(1) => Region::Dus,
        Ok(2) => Region::Ss,
        _ => return Err(libc::EINVAL),
    };
    if queue.state() == State::Zombie {
        return Err(if model.profile.kernel == Kernel::Old { libc::EINVAL } else { libc::ENXIO });
    }
    if region == Region::Ss && !model.profile.kae() {
        return Err(libc::EINVAL);
    }
    if !queue.mark_mapped(region) {
        return Err(libc::EEXIST);
    }
    let fits = match region {
        Region::Mmio => rounded <= model.profile.mmio_size(page),
        Region::Dus => rounded == queue.dus_size(),
        Region::Ss => true,
    };
    let mapped = if fits && shared {
        place(found, model, region, addr, rounded, prot, flags)
    } else {
        Err(libc::EINVAL)
    };
    mapped.inspect_err(|_| queue.mark_unmapped(region, false))
}

fn place(
    found: &Found,
    model: &'static Model,
    region: Region,
    addr: usize,
    len: usize,
    prot: c_int,
    flags: c_int,
) -> Sys<*mut c_void> {
    let queue = &found.queue;
    let held;
    let (file, prot_here) = match region {
        // the device's registers: a file of zeros, so that removal can take them away; each store traps
        Region::Mmio => {
            held = ownership::registers(model, queue.device).map_err(|e| errno_of(&e))?;
            (
                held.as_raw_fd(),
                prot & !libc::PROT_WRITE | if prot & libc::PROT_WRITE != 0 { libc::PROT_READ } else { 0 },
            )
        }
        Region::Dus => {
            held = ownership::memory(model, queue.device, queue.number).map_err(|e| errno_of(&e))?;
            (held.as_raw_fd(), prot)
        }
        Region::Ss if found.inherited => {
            model
                .dir
                .log(&format!("{}: an SS region can be mapped where the queue was opened only", queue.name));
            return Err(libc::EINVAL);
        }
        Region::Ss => (ss::calls::attach(queue, model, len)?, prot),
    };
    let placed = flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE);
    // SAFETY: the program's own mmap call, with the memory behind it replaced by ours.
    let at = unsafe { next::mmap(addr as *mut c_void, len, prot_here, placed | libc::MAP_SHARED, file, 0) };
    if at == libc::MAP_FAILED {
        let error = last_errno();
        if region == Region::Ss {
            ss::calls::detach(queue);
        }
        return Err(error);
    }
    // SAFETY: exactly the new mapping.
    unsafe { libc::madvise(at, len, libc::MADV_DONTFORK) };
    let port = queue.port;
    if region == Region::Mmio {
        crate::trap::signals::install();
        port.writable.store(prot & libc::PROT_WRITE != 0, Ordering::SeqCst);
    }
    let range = of(port)[region as usize].1;
    range.set(at as usize, len);
    REGIONS.fetch_add(1, Ordering::SeqCst);
    if found.inherited {
        model.dir.log(&format!(
            "{} queue {}: region {region:?} mapped by another process than the one that opened the queue",
            queue.name, queue.number
        ));
    }
    Ok(at)
}

/// Called before the program unmaps a range: regions inside it can be mapped again.
pub fn unmapping(addr: usize, len: usize) {
    if REGIONS.load(Ordering::Relaxed) == 0 || !ports::any_within(addr, len) || model::in_vfork_child() {
        return;
    }
    let remembered = model::peek().is_some_and(|m| m.profile.kernel == Kernel::Old);
    let mut without_memory: Vec<Arc<Queue>> = Vec::new();
    let done = with_table(|table| {
        for entry in table.values() {
            for (region, range) in of(entry.queue.port) {
                if range.lies_in(addr, len) {
                    range.clear();
                    REGIONS.fetch_sub(1, Ordering::SeqCst);
                    if region == Region::Ss {
                        without_memory.push(Arc::clone(&entry.queue));
                    } else {
                        entry.queue.mark_unmapped(region, remembered);
                    }
                }
            }
        }
        let last = |(_, entry): &(&c_int, &Entry)| entry.kept.is_some() && !mapped(entry);
        let numbers: Vec<c_int> = table.iter().filter(last).map(|(number, _)| *number).collect();
        numbers.iter().filter_map(|number| table.remove(number)).collect::<Vec<_>>()
    });
    for queue in without_memory {
        // the kernel stops a queue before it frees the memory that its requests use
        worker::stop(&queue);
        ss::calls::detach(&queue);
        queue.mark_unmapped(Region::Ss, false); // KAE forgets this one with its memory
    }
    for mut entry in done {
        let kept = entry.kept.take();
        leave(entry, || {
            drop(kept);
            0
        });
    }
}

/// What becomes of an `mremap`.
#[derive(Debug)]
pub enum Moved {
    /// Not about a queue.
    Elsewhere,
    /// The kernel refuses it.
    Refused(c_int),
    /// To be done, and then told where to: the region lies elsewhere from then on.
    Follows(&'static Range),
}

/// Called before the program's `mremap` of `old_len` bytes at `addr`.
pub fn moving(addr: usize, old_len: usize, new_len: usize) -> Moved {
    if REGIONS.load(Ordering::Relaxed) == 0 || model::in_vfork_child() {
        return Moved::Elsewhere;
    }
    let newest = model::peek().is_some_and(|m| m.profile.kernel == Kernel::Newest);
    with_table(|table| {
        let mut ranges = table.values().flat_map(|entry| of(entry.queue.port));
        let Some((_, range)) = ranges.find(|(_, range)| range.offset_of(addr).is_some()) else {
            return Moved::Elsewhere;
        };
        if newest {
            Moved::Refused(libc::EPERM)
        } else if new_len > old_len {
            Moved::Refused(libc::EFAULT) // not expandable
        } else {
            Moved::Follows(range)
        }
    })
}

/// The program's `mprotect` of a doorbell page: stores to it must keep faulting. The protection to ask for instead of
/// `prot`, if the range holds such a page.
pub fn protecting(addr: usize, len: usize, prot: c_int) -> Option<c_int> {
    if REGIONS.load(Ordering::Relaxed) == 0 || model::in_vfork_child() {
        return None;
    }
    let mut any = false;
    for (port, _) in ports::doorbells_in(addr, len) {
        port.writable.store(prot & libc::PROT_WRITE != 0, Ordering::SeqCst);
        any = true;
    }
    any.then_some(if prot & libc::PROT_WRITE != 0 { libc::PROT_READ } else { prot })
}
