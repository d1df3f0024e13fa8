//! Surviving the removal of a device: the kernel then drops its mappings, and the next access raises SIGBUS
//! (uacce.md 3.9).
//!
//! UNSAFE: a signal handler. It does only what is allowed in one: atomics, mmap, plain stores, and calling the
//! handler that was there before.
//!
//! The handler is installed when the first device region is mapped, never before. If the faulting address lies
//! in a device region, it lays anonymous memory over the region, with the status words of queue memory set to
//! "stopped", and returns: the interrupted access is repeated and the queue pair finds a dead queue. Any other
//! SIGBUS goes to whoever had the signal before.
#![expect(unsafe_code)]

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use libc::{c_int, c_void, siginfo_t};
use once_cell::race::OnceBox;

use crate::uacce::abi::RegionKind;
use crate::uacce::process;

/// Device regions watched at a time. Beyond that (1024 queues) a removal is what it would be without us.
const SLOTS: usize = 2048;

struct Slot {
    /// First byte; 0 for a free slot, 1 while it is being filled.
    base: AtomicUsize,
    /// The process whose region it is. A forked child inherits the table but not the regions: something else may
    /// be mapped there.
    owner: AtomicU64,
    len: AtomicUsize,
    /// Queue memory, which has status words.
    dus: AtomicBool,
    /// Dead memory lies over it.
    covered: AtomicBool,
}

static WATCHED: [Slot; SLOTS] = [const {
    Slot {
        base: AtomicUsize::new(0),
        owner: AtomicU64::new(0),
        len: AtomicUsize::new(0),
        dus: AtomicBool::new(false),
        covered: AtomicBool::new(false),
    }
}; SLOTS];
/// Slots from here on have never been used: keeps the handler's search short.
static USED: AtomicUsize = AtomicUsize::new(0);
static PREVIOUS: OnceBox<libc::sigaction> = OnceBox::new();

/// A region's place in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch(usize);

/// Watches a mapped device region until [`forget`]; `None` if the table is full.
pub(super) fn watch(base: *mut u8, len: usize, kind: RegionKind) -> Option<Watch> {
    install();
    let own = process::identity();
    for (index, slot) in WATCHED.iter().enumerate() {
        // Slots of the process that forked us are free for us.
        let found = slot.base.load(Ordering::Acquire);
        let free = found == 0 || (found > 1 && slot.owner.load(Ordering::Relaxed) != own);
        if free && slot.base.compare_exchange(found, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            slot.owner.store(own, Ordering::Relaxed);
            slot.len.store(len, Ordering::Relaxed);
            slot.dus.store(kind == RegionKind::Dus, Ordering::Relaxed);
            slot.covered.store(false, Ordering::Relaxed);
            slot.base.store(base as usize, Ordering::Release);
            USED.fetch_max(index + 1, Ordering::Release);
            return Some(Watch(index));
        }
    }
    None
}

/// Whether the watched region has become dead memory.
pub(super) fn covered(watch: Watch) -> bool {
    WATCHED[watch.0].covered.load(Ordering::Acquire)
}

/// Ends the watch, before the region is unmapped.
pub(super) fn forget(watch: Watch, base: *mut u8) {
    let slot = &WATCHED[watch.0];
    if slot.owner.load(Ordering::Relaxed) == process::identity() {
        let _ = slot.base.compare_exchange(base as usize, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// Installs the handler, once.
fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.swap(true, Ordering::AcqRel) {
        return;
    }
    // SAFETY: sigaction with valid pointers. The previous action is kept before ours is in force, so that the
    // handler always finds it. The handler stays mapped: our shared objects are linked with `-z nodelete`.
    unsafe {
        let mut previous: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &mut previous) != 0 {
            return;
        }
        let _ = PREVIOUS.set(Box::new(previous));
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_bus_error;
        action.sa_sigaction = handler as libc::sighandler_t;
        // On the alternate stack where there is one: runtimes with small stacks of their own rely on it.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigaction(libc::SIGBUS, &action, ptr::null_mut());
    }
}

extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo to a SA_SIGINFO handler, and SIGBUS has an address.
    let address = unsafe { (*info).si_addr() } as usize;
    // Sent by kill, there is no address: only faults (positive codes) are ours.
    // SAFETY: as above.
    let fault = unsafe { (*info).si_code } > 0;
    if !(fault && cover(address)) {
        pass_on(PREVIOUS.get(), signal, info, context);
    }
}

/// Lays dead memory over the watched region that contains `address`; whether there was one.
fn cover(address: usize) -> bool {
    let used = USED.load(Ordering::Acquire);
    let own = process::identity();
    for slot in &WATCHED[..used] {
        let (base, len) = (slot.base.load(Ordering::Acquire), slot.len.load(Ordering::Relaxed));
        if base <= 1 || address < base || address - base >= len || slot.owner.load(Ordering::Relaxed) != own {
            continue;
        }
        // SAFETY: the range is a region of ours that its owner is using at this moment (it has just faulted in
        // it), so it is mapped and stays so; what is replaced cannot be accessed any more.
        let laid = unsafe { lay_over(base as *mut u8, len, slot.dus.load(Ordering::Relaxed)) };
        slot.covered.fetch_or(laid, Ordering::Release);
        return laid;
    }
    false
}

/// Lays dead memory over a mapping, with the status words of queue memory if it is that; whether it worked. May run
/// in a signal handler.
///
/// # Safety
/// The range is a mapping of ours (a page at least) that stays mapped, and nobody relies on its content.
pub(super) unsafe fn lay_over(base: *mut u8, len: usize, dus: bool) -> bool {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: by this function's contract; the words are inside. errno is kept for interrupted code.
    unsafe {
        let errno = *libc::__errno_location();
        let page = libc::mmap(base.cast(), len, protection, flags, -1, 0);
        *libc::__errno_location() = errno;
        if page == libc::MAP_FAILED {
            return false;
        }
        if dus && len >= 8 {
            // RX and TX status words, the last eight bytes (qm.md 3): 1 means stopped.
            let words = base.add(len - 8).cast::<u32>();
            words.write_volatile(1);
            words.add(1).write_volatile(1);
        }
    }
    true
}

/// Does what would have happened without us.
fn pass_on(previous: Option<&libc::sigaction>, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let handler = previous.map_or(libc::SIG_DFL, |action| action.sa_sigaction);
    // SAFETY: a handler other than the two constants is a function of the type that its flags say, put there
    // by the program. With the default restored, the repeated access (or the signal sent again) ends the
    // process as it would have.
    unsafe {
        match previous {
            Some(action) if handler != libc::SIG_DFL && handler != libc::SIG_IGN => {
                if action.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                        std::mem::transmute(handler);
                    handler(signal, info, context);
                } else {
                    let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
                    handler(signal);
                }
            }
            // Ignored and not caused by an access: ignored.
            Some(_) if handler == libc::SIG_IGN && (*info).si_code <= 0 => {}
            _ => {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(libc::SIGBUS, &action, ptr::null_mut());
                if (*info).si_code <= 0 {
                    libc::raise(signal);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::sync::Arc;

    use crate::qm::ring::{Geometry, Ring};
    use crate::testing::{TempDir, in_child};
    use crate::uacce::Region;

    use super::*;

    fn file(directory: &TempDir) -> File {
        directory.write("memory", vec![0; 8192]);
        File::options().read(true).write(true).open(directory.path().join("memory")).unwrap()
    }

    #[test]
    fn queue_memory_that_vanishes_reads_as_stopped() {
        let directory = TempDir::new();
        let file = file(&directory);
        let memory = Region::of_device(file.as_raw_fd(), RegionKind::Dus, 0, 8192).unwrap();
        let ring = Ring::new(Arc::new(memory), Geometry { sqe_size: 64, sq_depth: 8, cq_depth: 8 }).unwrap();
        assert!(!ring.receive_stopped());
        // A mapping without backing raises SIGBUS, as a removed device does.
        file.set_len(0).unwrap();
        assert!(!ring.phase_of(ring.completion(0)));
        assert!(ring.receive_stopped() && ring.send_stopped());
    }

    #[test]
    fn foreign_bus_errors_reach_the_earlier_handler_in_its_own_form() {
        extern "C" fn plain(signal: c_int) {
            // SAFETY: _exit is allowed in a handler.
            unsafe { libc::_exit(if signal == libc::SIGBUS { 0 } else { 1 }) };
        }
        extern "C" fn with_info(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
            // SAFETY: as above; the test passes a valid siginfo.
            unsafe { libc::_exit(if (*info).si_signo == libc::SIGBUS { 0 } else { 1 }) };
        }
        let plain: extern "C" fn(c_int) = plain;
        let with_info: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = with_info;
        for (handler, flags) in [(plain as usize, 0), (with_info as usize, libc::SA_SIGINFO)] {
            assert!(in_child(|| {
                // SAFETY: all-zero is a valid value of both plain structures.
                let (mut action, mut info): (libc::sigaction, siginfo_t) = unsafe { std::mem::zeroed() };
                (action.sa_sigaction, action.sa_flags) = (handler, flags);
                info.si_signo = libc::SIGBUS;
                pass_on(Some(&action), libc::SIGBUS, &mut info, ptr::null_mut());
                false
            }));
        }
    }

    #[test]
    fn foreign_bus_error_without_a_handler_still_kills() {
        let directory = TempDir::new();
        let file = file(&directory);
        assert!(!in_child(|| {
            install();
            let stranger = Region::of_file(&file, 8192).unwrap();
            file.set_len(0).unwrap();
            // SAFETY: as above.
            unsafe { stranger.as_ptr().read_volatile() };
            true
        }));
    }

    #[test]
    fn forked_child_covers_none_of_its_parents_regions() {
        let directory = TempDir::new();
        let file = file(&directory);
        let region = Region::of_device(file.as_raw_fd(), RegionKind::Dus, 0, 8192).unwrap();
        let base = region.as_ptr() as usize;
        assert!(in_child(|| !cover(base)));
        assert!(in_child(|| {
            let own = Region::of_device(file.as_raw_fd(), RegionKind::Dus, 0, 8192).unwrap();
            cover(own.as_ptr() as usize)
        }));
        assert!(cover(base));
    }

    #[test]
    fn forgotten_region_is_not_covered() {
        let directory = TempDir::new();
        let file = file(&directory);
        let region = Region::of_device(file.as_raw_fd(), RegionKind::Mmio, 0, 4096).unwrap();
        let base = region.as_ptr() as usize;
        drop(region);
        assert!(!cover(base));
    }
}
