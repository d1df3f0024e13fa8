//! One queue pair: its memory, its state, its numbers.
//!
//! UNSAFE: maps queue memory and reads and writes ring entries through the device's own mapping.
#![allow(unsafe_code)]

use super::ports::Port;
use super::profile::Kind;
use super::slots::Slot;
pub use super::slots::{Region, State};
use super::ss::Attached;
use crate::sys::{self, HiddenFd};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicUsize, Ordering, fence};
use std::thread::JoinHandle;

/// An anonymous or file mapping of the model's own, unmapped in the process that made it.
#[derive(Debug)]
pub struct Mapping {
    base: *mut u8,
    len: usize,
    owner: libc::c_int,
}

// SAFETY: a mapping is an address range; who may touch what is the queue's business.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// A shared mapping of `len` bytes of `fd` (negative: of new memory). A forked child has it only if `inherited`.
    pub fn new(len: usize, fd: libc::c_int, inherited: bool) -> io::Result<Mapping> {
        let flags = libc::MAP_SHARED | if fd < 0 { libc::MAP_ANONYMOUS } else { 0 };
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { sys::next::mmap(std::ptr::null_mut(), len, prot, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        if !inherited {
            // SAFETY: exactly the new mapping.
            unsafe { libc::madvise(base, len, libc::MADV_DONTFORK) };
        }
        Ok(Mapping { base: base.cast(), len, owner: sys::pid() })
    }

    /// First byte.
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.owner == sys::pid() {
            // SAFETY: mapped by `new` in this process and referred to by nobody any more.
            unsafe { sys::next::munmap(self.base.cast(), self.len) };
        }
    }
}

/// An opening of a queue pair, as one process sees it.
#[derive(Debug)]
pub struct Queue {
    /// Minor number of the device.
    pub device: usize,
    /// Name of the device, for messages.
    pub name: String,
    /// Kind of the device.
    pub kind: Kind,
    /// Queue number within the device.
    pub number: u16,
    /// Entries of each ring.
    pub depth: u16,
    /// Device and inode of the file behind the descriptor.
    pub identity: (libc::dev_t, libc::ino_t),
    /// What all processes see of it.
    pub slot: Slot,
    /// Which life of the slot this opening is.
    pub epoch: u64,
    /// Where this process has mapped it.
    pub port: &'static Port,
    /// Descriptors of this process that refer to the queue.
    pub references: AtomicUsize,
    /// Tells the device thread to finish.
    pub stopping: AtomicBool,
    dus: Option<Mapping>,
    dus_size: usize,
    bell: Option<HiddenFd>,
    thread: Mutex<Option<JoinHandle<()>>>,
    ss: Mutex<Option<Attached>>,
}

/// What [`Queue::new`] needs to know.
#[derive(Debug)]
pub struct Setup {
    /// See [`Queue`].
    pub device: usize,
    /// See [`Queue`].
    pub name: String,
    /// See [`Queue`].
    pub kind: Kind,
    /// See [`Queue`].
    pub number: u16,
    /// See [`Queue`].
    pub depth: u16,
    /// Bytes of the DUS region.
    pub dus_size: usize,
    /// See [`Queue`].
    pub identity: (libc::dev_t, libc::ino_t),
    /// See [`Queue`].
    pub slot: Slot,
    /// See [`Queue`].
    pub epoch: u64,
    /// See [`Queue`].
    pub port: &'static Port,
}

/// What only the process has in which the device thread runs.
#[derive(Debug)]
pub struct Served {
    /// The file that holds the queue memory, at least `dus_size` bytes long.
    pub memory: libc::c_int,
    /// Another opening of the file behind the descriptor; a byte written to it makes the descriptor readable.
    pub bell: HiddenFd,
}

impl Queue {
    /// An opening of a queue; with `served`, one whose device thread this process runs.
    pub fn new(setup: Setup, served: Option<Served>) -> io::Result<Queue> {
        let Setup { device, name, kind, number, depth, dus_size, identity, slot, epoch, port } = setup;
        let (dus, bell) = match served {
            Some(Served { memory, bell }) => (Some(Mapping::new(dus_size, memory, false)?), Some(bell)),
            None => (None, None),
        };
        Ok(Queue {
            device,
            name,
            kind,
            number,
            depth,
            identity,
            slot,
            epoch,
            port,
            references: AtomicUsize::new(1),
            stopping: AtomicBool::new(false),
            dus,
            dus_size,
            bell,
            thread: Mutex::new(None),
            ss: Mutex::new(None),
        })
    }

    /// The present state; ZOMBIE if the queue number has had a later opening.
    pub fn state(&self) -> State {
        if self.slot.epoch() == self.epoch { self.slot.state() } else { State::Zombie }
    }

    /// Changes the state from `from` to `to`; false if it is not `from`.
    pub fn change_state(&self, from: State, to: State) -> bool {
        self.slot.epoch() == self.epoch && self.slot.change_state(from, to)
    }

    /// ZOMBIE from now on.
    pub fn end(&self) {
        if self.slot.epoch() == self.epoch {
            self.slot.end();
        }
    }

    /// Marks the region as mapped by this process; false if it is.
    pub fn mark_mapped(&self, region: Region) -> bool {
        self.slot.mark_mapped(region, sys::pid() as u64, sys::process_exists)
    }

    /// Marks the region as not mapped; `remembered`: old kernels do not let it be mapped again.
    pub fn mark_unmapped(&self, region: Region, remembered: bool) {
        if self.slot.epoch() == self.epoch {
            self.slot.mark_unmapped(region, remembered);
        }
    }

    /// Bytes of the queue memory.
    pub fn dus_size(&self) -> usize {
        self.dus_size
    }

    /// The SS region of this process's queue; not to be asked for a queue that came through fork.
    pub fn ss(&self) -> std::sync::MutexGuard<'_, Option<Attached>> {
        self.ss.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The device thread, to be kept or taken.
    pub fn thread(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The device's mapping; where there is none, nobody serves the queue here.
    fn base(&self) -> *mut u8 {
        self.dus.as_ref().expect("only the serving process touches queue memory").base
    }

    /// Copies submission slot `slot` out of the ring.
    pub fn copy_sqe_out(&self, slot: u16, sqe: &mut [u8]) {
        assert!(slot < self.depth && sqe.len() == self.kind.sqe_size());
        fence(Ordering::Acquire);
        // SAFETY: the slot lies within the mapping (checked above; the mapping covers both rings). The program
        // may write at the same time; then what is read is its own affair, as on hardware.
        unsafe {
            let from = self.base().add(usize::from(slot) * sqe.len());
            std::ptr::copy_nonoverlapping(from, sqe.as_mut_ptr(), sqe.len());
        }
    }

    /// Writes the results back into submission slot `slot`.
    pub fn copy_sqe_in(&self, slot: u16, sqe: &[u8]) {
        assert!(slot < self.depth && sqe.len() == self.kind.sqe_size());
        // SAFETY: as in `copy_sqe_out`.
        unsafe {
            let to = self.base().add(usize::from(slot) * sqe.len());
            std::ptr::copy_nonoverlapping(sqe.as_ptr(), to, sqe.len());
        }
    }

    /// Writes completion entry `index` for submission slot `slot`, the phase bit last (qm.md 5.1).
    pub fn put_cqe(&self, index: u16, phase: bool, slot: u16) {
        assert!(index < self.depth);
        let at = self.kind.sqe_size() * usize::from(self.depth) + 16 * usize::from(index);
        // SAFETY: inside the mapping by the assertion and the region size; 16-byte aligned, so each store is
        // aligned. The program only reads here.
        unsafe {
            let cqe = self.base().add(at);
            cqe.cast::<u64>().write_volatile(0);
            cqe.add(8).cast::<u16>().write_volatile(slot);
            cqe.add(10).cast::<u16>().write_volatile(self.number);
            cqe.add(12).cast::<u16>().write_volatile(0);
            fence(Ordering::Release);
            (*cqe.add(14).cast::<AtomicU16>()).store(u16::from(phase), Ordering::Release);
        }
        self.slot.wrote();
    }

    fn status_word(&self, from_end: usize) -> &AtomicU32 {
        // SAFETY: the region is a multiple of the page size, so its last 8 bytes are two aligned words.
        unsafe { &*self.base().add(self.dus_size - from_end).cast::<AtomicU32>() }
    }

    /// Tells the driver to stop sending (TX word, last 4 bytes).
    pub fn write_tx(&self) {
        self.status_word(4).store(1, Ordering::SeqCst);
    }

    /// Tells the driver that nothing more will arrive (RX word, 8 bytes before the end).
    pub fn write_rx(&self) {
        self.status_word(8).store(1, Ordering::SeqCst);
    }

    /// Raises the completion interrupt: the descriptor becomes readable.
    pub fn ring_bell(&self) {
        self.slot.interrupted();
        if let Some(bell) = &self.bell {
            // SAFETY: one byte to our own descriptor; a full pipe is readable anyway.
            unsafe { sys::next::write(bell.number(), [1u8].as_ptr().cast(), 1) };
        }
    }

    /// Takes interrupts back that nobody waited for.
    pub fn calm_bell(&self) {
        if let Some(bell) = &self.bell {
            drain(bell.number());
        }
    }

    /// Takes interrupts back through a descriptor of the program, which any process has.
    pub fn calm_from(&self, fd: libc::c_int) {
        drain(fd);
    }

    /// Whether poll has something to report, which a positive answer consumes (uacce.md 3.5). `kae`: by interrupts.
    pub fn take_ready(&self, kae: bool) -> bool {
        self.state() != State::Zombie && if kae { self.slot.take_event() } else { self.slot.take_written() }
    }
}

/// Empties the pipe behind a descriptor.
pub fn drain(fd: libc::c_int) {
    let mut bytes = [0u8; 64];
    // SAFETY: reads into a buffer of that length; the descriptor does not block.
    while unsafe { sys::next::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) } == bytes.len() as isize {}
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.port.release();
    }
}
