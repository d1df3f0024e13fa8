//! One queue pair: its memory, its state, its numbers.
//!
//! UNSAFE: maps queue memory and reads and writes ring entries through the device's own mapping.
#![allow(unsafe_code)]

use super::ports::Port;
use super::profile::Kind;
use crate::sys::{self, HiddenFd};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::thread::JoinHandle;

/// States of uacce.md 3.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Opened, not started.
    Init = 0,
    /// The data path is open.
    Started = 1,
    /// Put, or closed.
    Zombie = 2,
}

/// Which region of a queue a mapping shows; the file offset in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Doorbells.
    Mmio = 0,
    /// Queue memory.
    Dus = 1,
}

/// What forked processes see of one queue together.
#[derive(Debug)]
#[repr(C)]
struct Control {
    state: AtomicU32,
    mapped: AtomicU32,
    busy: AtomicU32,
}

/// An anonymous or file mapping of the model's own, unmapped in the process that made it.
#[derive(Debug)]
struct Mapping {
    base: *mut u8,
    len: usize,
    owner: libc::c_int,
}

// SAFETY: a mapping is an address range; who may touch what is the queue's business.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(len: usize, fd: libc::c_int, inherited: bool) -> io::Result<Mapping> {
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
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.owner == sys::pid() {
            // SAFETY: mapped by `new` in this process and referred to by nobody any more.
            unsafe { sys::next::munmap(self.base.cast(), self.len) };
        }
    }
}

/// A queue pair of a device.
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
    /// Where its doorbells arrive.
    pub port: &'static Port,
    /// Value of the device's reset counter when the queue was opened.
    pub resets_at_open: u64,
    /// Descriptors of this process that refer to the queue.
    pub references: AtomicUsize,
    /// Tells the device thread to finish.
    pub stopping: AtomicBool,
    qc_type: AtomicU16,
    dus: Mapping,
    control: Mapping,
    dus_file: HiddenFd,
    bell: HiddenFd,
    written: AtomicU64,
    polled: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
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
    pub port: &'static Port,
    /// See [`Queue`].
    pub resets_at_open: u64,
    /// Another opening of the file behind the descriptor; a byte written to it makes the descriptor readable.
    pub bell: HiddenFd,
}

impl Queue {
    /// A queue in state INIT with zeroed memory.
    pub fn new(setup: Setup) -> io::Result<Queue> {
        // SAFETY: a NUL-terminated name; the descriptor is handed on at once.
        let fd = unsafe { libc::memfd_create(c"warpdrive-model-queue".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let dus_file = HiddenFd::adopt(fd)?;
        // SAFETY: ftruncate of our own descriptor.
        if unsafe { libc::ftruncate(dus_file.number(), setup.dus_size as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let dus = Mapping::new(setup.dus_size, dus_file.number(), false)?;
        let control = Mapping::new(sys::page_size(), -1, true)?;
        let Setup { device, name, kind, number, depth, identity, port, resets_at_open, bell, .. } = setup;
        Ok(Queue {
            device,
            name,
            kind,
            number,
            depth,
            identity,
            port,
            resets_at_open,
            references: AtomicUsize::new(1),
            stopping: AtomicBool::new(false),
            qc_type: AtomicU16::new(0),
            dus,
            control,
            dus_file,
            bell,
            written: AtomicU64::new(0),
            polled: AtomicU64::new(0),
            thread: Mutex::new(None),
        })
    }

    fn control(&self) -> &Control {
        // SAFETY: a zeroed shared page that lives as long as `self`; all fields are atomic.
        unsafe { &*self.control.base.cast::<Control>() }
    }

    /// The present state.
    pub fn state(&self) -> State {
        match self.control().state.load(Ordering::SeqCst) {
            0 => State::Init,
            1 => State::Started,
            _ => State::Zombie,
        }
    }

    /// Changes the state from `from` to `to`; false if it is not `from`.
    pub fn change_state(&self, from: State, to: State) -> bool {
        let (from, to) = (from as u32, to as u32);
        self.control().state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Marks the region as mapped; false if it was.
    pub fn mark_mapped(&self, region: Region) -> bool {
        let bit = 1 << region as u32;
        self.control().mapped.fetch_or(bit, Ordering::SeqCst) & bit == 0
    }

    /// Marks the region as not mapped.
    pub fn mark_unmapped(&self, region: Region) {
        self.control().mapped.fetch_and(!(1 << region as u32), Ordering::SeqCst);
    }

    /// Tells other processes whether a request is being executed.
    pub fn set_busy(&self, busy: bool) {
        self.control().busy.store(u32::from(busy), Ordering::SeqCst);
    }

    /// Whether a request is being executed.
    pub fn busy(&self) -> bool {
        self.control().busy.load(Ordering::SeqCst) != 0
    }

    /// The queue class that START_Q puts into the SQ context.
    pub fn qc_type(&self) -> u16 {
        self.qc_type.load(Ordering::SeqCst)
    }

    /// Stores the queue class.
    pub fn set_qc_type(&self, qc_type: u16) {
        self.qc_type.store(qc_type, Ordering::SeqCst);
    }

    /// The file that holds the queue memory, for a second mapping.
    pub fn dus_fd(&self) -> libc::c_int {
        self.dus_file.number()
    }

    /// Bytes of the queue memory.
    pub fn dus_size(&self) -> usize {
        self.dus.len
    }

    /// The device thread, to be kept or taken.
    pub fn thread(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Copies submission slot `slot` out of the ring.
    pub fn read_sqe(&self, slot: u16, sqe: &mut [u8]) {
        assert!(slot < self.depth && sqe.len() == self.kind.sqe_size());
        fence(Ordering::Acquire);
        // SAFETY: the slot lies within the mapping (checked above; the mapping covers both rings). The program
        // may write at the same time; then what is read is its own affair, as on hardware.
        unsafe {
            let from = self.dus.base.add(usize::from(slot) * sqe.len());
            std::ptr::copy_nonoverlapping(from, sqe.as_mut_ptr(), sqe.len());
        }
    }

    /// Writes the results back into submission slot `slot`.
    pub fn write_sqe(&self, slot: u16, sqe: &[u8]) {
        assert!(slot < self.depth && sqe.len() == self.kind.sqe_size());
        // SAFETY: as in `read_sqe`.
        unsafe {
            let to = self.dus.base.add(usize::from(slot) * sqe.len());
            std::ptr::copy_nonoverlapping(sqe.as_ptr(), to, sqe.len());
        }
    }

    /// Writes completion entry `index` for submission slot `slot`, the phase bit last (qm.md 5.1).
    pub fn write_cqe(&self, index: u16, phase: bool, slot: u16) {
        assert!(index < self.depth);
        let at = self.kind.sqe_size() * usize::from(self.depth) + 16 * usize::from(index);
        // SAFETY: inside the mapping by the assertion and the region size; 16-byte aligned, so each store is
        // aligned. The program only reads here.
        unsafe {
            let cqe = self.dus.base.add(at);
            cqe.cast::<u64>().write_volatile(0);
            cqe.add(8).cast::<u16>().write_volatile(slot);
            cqe.add(10).cast::<u16>().write_volatile(self.number);
            cqe.add(12).cast::<u16>().write_volatile(0);
            fence(Ordering::Release);
            (*cqe.add(14).cast::<AtomicU16>()).store(u16::from(phase), Ordering::Release);
        }
        self.written.fetch_add(1, Ordering::SeqCst);
    }

    fn status_word(&self, from_end: usize) -> &AtomicU32 {
        // SAFETY: the region is a multiple of the page size, so its last 8 bytes are two aligned words.
        unsafe { &*self.dus.base.add(self.dus.len - from_end).cast::<AtomicU32>() }
    }

    /// Tells the driver to stop sending (TX word, last 4 bytes).
    pub fn set_tx(&self) {
        self.status_word(4).store(1, Ordering::SeqCst);
    }

    /// Tells the driver that nothing more will arrive (RX word, 8 bytes before the end).
    pub fn set_rx(&self) {
        self.status_word(8).store(1, Ordering::SeqCst);
    }

    /// Raises the completion interrupt: the descriptor becomes readable.
    pub fn raise(&self) {
        // SAFETY: one byte to our own descriptor; a full pipe is readable anyway.
        unsafe { sys::next::write(self.bell.number(), [1u8].as_ptr().cast(), 1) };
    }

    /// Takes interrupts back that nobody waited for.
    pub fn calm(&self) {
        drain(self.bell.number());
    }

    /// Whether completions were written since the last positive answer; a positive answer consumes them.
    pub fn take_ready(&self) -> bool {
        let written = self.written.load(Ordering::SeqCst);
        self.state() == State::Started && self.polled.swap(written, Ordering::SeqCst) != written
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
