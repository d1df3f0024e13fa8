//! Who owns which queue, across processes: a FIFO per queue number in the shared directory, locked by the open file
//! description that the program's descriptor refers to. The kernel releases it with the last reference.
//!
//! UNSAFE: system calls on descriptors of our own.
#![allow(unsafe_code)]

use super::model::Model;
use super::nodes::{Sys, last_errno};
use super::{queue, tree};
use crate::sys::next;
use libc::c_int;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

fn fifo_path(model: &Model, device: usize, number: u16) -> CString {
    let path = model.dir.state(&tree::queue_dir(&model.devices[device])).join(number.to_string());
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
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
    let words = model.device_words(device);
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
