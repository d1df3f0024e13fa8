//! Who owns which queue, across processes: a FIFO per queue number in the shared directory, locked by the open file
//! description that the program's descriptor refers to. The kernel releases it with the last reference.
//!
//! Beside the FIFO `N` lies `N.dus`, the queue's memory, which keeps what its last owner left in the submission ring;
//! `registers` is the doorbell page of all queues of the device.
//!
//! UNSAFE: system calls on descriptors of our own.
#![allow(unsafe_code)]

use super::model::Model;
use super::nodes::{Sys, last_errno};
use super::queue::{self, Queue};
use super::{shared, tree};
use crate::sys::{self, next};
use libc::c_int;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

fn directory(model: &Model, device: usize) -> PathBuf {
    model.dir.state(&tree::queue_dir(&model.devices[device]))
}

fn fifo_path(model: &Model, device: usize, number: u16) -> CString {
    let path = directory(model, device).join(number.to_string());
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// Device and inode behind a descriptor.
pub fn identity(fd: c_int) -> Option<(libc::dev_t, libc::ino_t)> {
    file_kind(fd).map(|(_, identity)| identity)
}

fn file_kind(fd: c_int) -> Option<(libc::mode_t, (libc::dev_t, libc::ino_t))> {
    // SAFETY: the buffer has the kernel's layout on 64-bit targets.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        let known = libc::syscall(libc::SYS_fstat, fd, &mut stat) == 0;
        known.then_some((stat.st_mode & libc::S_IFMT, (stat.st_dev, stat.st_ino)))
    }
}

/// The queue whose FIFO `fd` is, if it is one.
pub fn recognise(model: &Model, fd: c_int) -> Option<(usize, u16)> {
    if file_kind(fd)?.0 != libc::S_IFIFO {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    let number: u16 = path.file_name()?.to_str()?.parse().ok()?;
    let device =
        (0..model.devices.len()).find(|device| Some(&*directory(model, *device)) == path.parent())?;
    (usize::from(number) < model.slots[device].len() / super::slots::SLOT_WORDS).then_some((device, number))
}

fn file(path: PathBuf, len: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o666).open(path)?;
    if file.metadata()?.len() != len {
        file.set_len(0)?;
        shared::make_room(&file, len)?;
    }
    Ok(file)
}

/// The file that holds a queue's memory.
pub fn memory(model: &Model, device: usize, number: u16) -> io::Result<File> {
    let len = model.profile.dus_size(model.devices[device].kind, sys::page_size());
    file(directory(model, device).join(format!("{number}.dus")), len as u64)
}

/// The same, if it is there.
pub fn existing_memory(model: &Model, device: usize, number: u16) -> io::Result<Option<File>> {
    let path = directory(model, device).join(format!("{number}.dus"));
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) if file.metadata()?.len() >= 8 => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes everything away that the queues of a device are made of. Every mapping of their memory faults from now on;
/// what is made later under the same names is something else.
pub fn destroy(model: &Model, device: usize) -> io::Result<()> {
    for entry in std::fs::read_dir(directory(model, device))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            OpenOptions::new().write(true).open(entry.path())?.set_len(0)?;
        }
        std::fs::remove_file(entry.path())?;
    }
    Ok(())
}

/// The same, as the kernel leaves it at open: completion ring and status words zeroed, submission ring as it was.
pub fn clean_memory(model: &Model, device: usize, number: u16) -> io::Result<File> {
    let memory = memory(model, device, number)?;
    let depth = usize::from(model.profile.depth);
    let len = memory.metadata()?.len();
    memory.write_all_at(&vec![0; 16 * depth], (model.devices[device].kind.sqe_size() * depth) as u64)?;
    memory.write_all_at(&[0; 8], len - 8)?;
    Ok(memory)
}

/// The file behind the doorbell pages of a device.
pub fn registers(model: &Model, device: usize) -> io::Result<File> {
    file(directory(model, device).join("registers"), model.profile.mmio_size(sys::page_size()) as u64)
}

/// Gives the lock away that `fd` holds: the queue is free while the descriptor lives on.
pub fn let_go(fd: c_int) {
    let mut lock = whole_file_lock();
    lock.l_type = libc::F_UNLCK as libc::c_short;
    // SAFETY: the program's descriptor of a queue and a valid lock record.
    unsafe { next::fcntl(fd, libc::F_OFD_SETLK, (&raw mut lock) as libc::c_ulong) };
}

/// Takes the lock of a queue that nobody holds any more, unless somebody does.
pub fn take_back(queue: &Queue) -> Option<File> {
    let model = super::model::peek()?;
    let fd = open_again(model, queue.device, queue.number).ok()?;
    // SAFETY: just opened, owned by nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    let mut lock = whole_file_lock();
    // SAFETY: our descriptor and a valid lock record.
    let locked = unsafe { next::fcntl(fd, libc::F_OFD_SETLK, (&raw mut lock) as libc::c_ulong) } == 0;
    (locked && identity(file.as_raw_fd()) == Some(queue.identity)).then_some(file)
}

fn open_fifo(path: &CString, flags: c_int) -> Sys<c_int> {
    loop {
        // SAFETY: a NUL-terminated path.
        let fd = unsafe { next::open(path.as_ptr(), libc::O_RDWR | libc::O_NONBLOCK | flags, 0) };
        if fd >= 0 {
            return Ok(fd);
        }
        match last_errno() {
            // SAFETY: as above.
            libc::ENOENT => unsafe {
                if libc::mkfifo(path.as_ptr(), 0o666) != 0 && last_errno() != libc::EEXIST {
                    return Err(last_errno());
                }
            },
            error => return Err(error),
        }
    }
}

fn whole_file_lock() -> libc::flock {
    // SAFETY: all-zero is a valid flock; it means the whole file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

/// Queues of a device that no process holds.
pub fn free_queues(model: &Model, device: usize) -> usize {
    let queues = model.profile.kind(model.devices[device].kind).queues;
    let taken = (0..queues).filter(|number| {
        let path = fifo_path(model, device, *number);
        // SAFETY: a NUL-terminated path; the descriptor is closed below.
        let fd = unsafe { next::open(path.as_ptr(), libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC, 0) };
        if fd < 0 {
            return false; // never used
        }
        let mut lock = whole_file_lock();
        // SAFETY: our descriptor and a valid lock record.
        unsafe {
            let asked = next::fcntl(fd, libc::F_OFD_GETLK, (&raw mut lock) as libc::c_ulong);
            next::close(fd);
            asked == 0 && lock.l_type != libc::F_UNLCK as libc::c_short
        }
    });
    usize::from(queues) - taken.count()
}

/// Takes a free queue: cyclically, starting after the number that was handed out last.
pub fn reserve(model: &Model, device: usize, flags: c_int) -> Sys<(c_int, u16)> {
    let queues = u64::from(model.profile.kind(model.devices[device].kind).queues);
    let words = model.function(device);
    let first = words.next_queue.load(Ordering::SeqCst);
    for step in 0..queues {
        let number = (first + step) % queues;
        let fd = open_fifo(&fifo_path(model, device, number as u16), flags & libc::O_CLOEXEC)?;
        let mut lock = whole_file_lock();
        // SAFETY: our descriptor and a valid lock record.
        if unsafe { next::fcntl(fd, libc::F_OFD_SETLK, (&raw mut lock) as libc::c_ulong) } == 0 {
            words.next_queue.store((number + 1) % queues, Ordering::SeqCst);
            queue::drain(fd);
            return Ok((fd, number as u16));
        }
        let error = last_errno();
        // SAFETY: the descriptor was opened above and given to nobody.
        unsafe { next::close(fd) };
        if !matches!(error, libc::EAGAIN | libc::EACCES) {
            return Err(error);
        }
    }
    Err(libc::EBUSY)
}

/// Opens the FIFO of a queue that this process owns once more, without a lock: the device's end.
pub fn open_again(model: &Model, device: usize, number: u16) -> Sys<c_int> {
    open_fifo(&fifo_path(model, device, number), libc::O_CLOEXEC)
}
