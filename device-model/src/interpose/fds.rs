//! Calls on a descriptor: a queue's go to its node, everything else to the next library.
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use super::paths::finish;
use crate::front::model;
use crate::front::nodes::{self, DEVICE_FDS, Found, Sys};
use crate::sys::{self, HIDDEN, next};
use libc::{c_int, c_uint, c_ulong, c_void, nfds_t, off_t, pollfd, size_t, ssize_t};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Runs a node's call; a panic is an I/O error of this call.
fn guarded<R>(f: impl FnOnce() -> Sys<R>) -> Sys<R> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(Err(libc::EIO))
}

/// The queue behind a descriptor that is marked as one.
fn queue(fd: c_int) -> Option<Found> {
    if !DEVICE_FDS.contains(fd) || model::in_vfork_child() {
        return None;
    }
    let saved = sys::errno();
    let found = catch_unwind(|| nodes::find(fd)).ok().flatten();
    sys::set_errno(saved);
    found
}

unsafe fn read_from(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    if queue(fd).is_some() {
        sys::set_errno(libc::EINVAL);
        return -1;
    }
    // SAFETY: the caller's arguments.
    unsafe { next::read(fd, buf, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { read_from(fd, buf, len) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __read_chk(fd: c_int, buf: *mut c_void, len: size_t, room: size_t) -> ssize_t {
    if len > room {
        sys::fatal(&[b"*** buffer overflow detected ***: terminated\n"]);
    }
    // SAFETY: the caller's arguments.
    unsafe { read_from(fd, buf, len) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    if queue(fd).is_some() {
        sys::set_errno(libc::EINVAL);
        return -1;
    }
    // SAFETY: the caller's arguments.
    unsafe { next::write(fd, buf, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    if (DEVICE_FDS.contains(fd) || HIDDEN.contains(fd)) && !model::in_vfork_child() {
        if HIDDEN.contains(fd) {
            // the program does not know this number: it closes everything there may be
            sys::set_errno(libc::EBADF);
            return -1;
        }
        let saved = sys::errno();
        if queue(fd).is_some() {
            let _ = catch_unwind(|| nodes::forget(fd));
        }
        sys::set_errno(saved);
    }
    // SAFETY: the caller's descriptor.
    unsafe { next::close(fd) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    const CLOEXEC: c_int = 4;
    // SAFETY: the caller's arguments.
    unsafe {
        if flags & CLOEXEC != 0 || first > last || model::in_vfork_child() {
            return next::close_range(first, last, flags);
        }
        let mut from = first;
        for fd in DEVICE_FDS.within(first, last) {
            let _ = catch_unwind(|| nodes::forget(fd));
        }
        for hidden in HIDDEN.within(first, last) {
            let hidden = hidden as c_uint;
            if hidden > from {
                let result = next::close_range(from, hidden - 1, flags);
                if result != 0 {
                    return result;
                }
            }
            from = hidden + 1;
        }
        if from <= last { next::close_range(from, last, flags) } else { 0 }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn closefrom(low: c_int) {
    // SAFETY: as close_range; a negative number means 0.
    unsafe { close_range(low.max(0) as c_uint, c_uint::MAX, 0) };
}

/// After a successful duplication: the copy refers to the same queue.
fn duplicated(fd: c_int, copy: c_int) -> c_int {
    if copy >= 0 && copy != fd && queue(fd).is_some() {
        let saved = sys::errno();
        let _ = catch_unwind(|| nodes::alias(fd, copy));
        sys::set_errno(saved);
    }
    copy
}

/// Before `to` is replaced: a queue there is closed, a descriptor of the model moves away.
fn replacing(fd: c_int, to: c_int) {
    if fd == to || model::in_vfork_child() {
        return;
    }
    let saved = sys::errno();
    if HIDDEN.contains(to) {
        sys::make_way(to);
    }
    if DEVICE_FDS.contains(to) {
        let _ = catch_unwind(|| nodes::forget(to));
    }
    sys::set_errno(saved);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dup(fd: c_int) -> c_int {
    // SAFETY: the caller's descriptor.
    duplicated(fd, unsafe { next::dup(fd) })
}
#[unsafe(no_mangle)]
unsafe extern "C" fn dup2(fd: c_int, to: c_int) -> c_int {
    replacing(fd, to);
    // SAFETY: the caller's descriptors.
    duplicated(fd, unsafe { next::dup2(fd, to) })
}
#[unsafe(no_mangle)]
unsafe extern "C" fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
    replacing(fd, to);
    // SAFETY: the caller's descriptors.
    duplicated(fd, unsafe { next::dup3(fd, to, flags) })
}

fn controlled(fd: c_int, cmd: c_int, result: c_int) -> c_int {
    if matches!(cmd, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) { duplicated(fd, result) } else { result }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl(fd: c_int, cmd: c_int, arg: c_ulong) -> c_int {
    // SAFETY: the caller's arguments; the third is passed on whether or not the command has one.
    controlled(fd, cmd, unsafe { next::fcntl(fd, cmd, arg) })
}
#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl64(fd: c_int, cmd: c_int, arg: c_ulong) -> c_int {
    // SAFETY: as fcntl.
    controlled(fd, cmd, unsafe { next::fcntl64(fd, cmd, arg) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int {
    match queue(fd) {
        Some(found) => finish(sys::errno(), guarded(|| nodes::ioctl(&found, request, arg as u64))),
        // SAFETY: the caller's arguments; the third is passed on whether or not the request has one.
        None => unsafe { next::ioctl(fd, request, arg) },
    }
}

unsafe fn map(
    addr: *mut c_void,
    len: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    off: off_t,
    real: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    if fd < 0 || flags & libc::MAP_ANONYMOUS != 0 {
        return real();
    }
    let Some(found) = queue(fd) else { return real() };
    let saved = sys::errno();
    match guarded(|| nodes::mmap(&found, addr as usize, len, prot, flags, off)) {
        Ok(at) => {
            sys::set_errno(saved);
            at
        }
        Err(errno) => {
            sys::set_errno(errno);
            libc::MAP_FAILED
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    addr: *mut c_void,
    len: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    off: off_t,
) -> *mut c_void {
    // SAFETY: the caller's arguments.
    unsafe { map(addr, len, prot, flags, fd, off, || next::mmap(addr, len, prot, flags, fd, off)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    addr: *mut c_void,
    len: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    off: off_t,
) -> *mut c_void {
    // SAFETY: the caller's arguments.
    unsafe { map(addr, len, prot, flags, fd, off, || next::mmap64(addr, len, prot, flags, fd, off)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(addr: *mut c_void, len: size_t) -> c_int {
    nodes::unmapping(addr as usize, len);
    // SAFETY: the caller's arguments.
    unsafe { next::munmap(addr, len) }
}

/// Whether a poll has anything to do with a queue.
unsafe fn concerns_queues(fds: *const pollfd, n: nfds_t) -> bool {
    if fds.is_null() {
        return false;
    }
    // SAFETY: the caller's array of `n` records.
    let records = unsafe { std::slice::from_raw_parts(fds, n as usize) };
    records.iter().any(|record| DEVICE_FDS.contains(record.fd)) && !model::in_vfork_child()
}

/// Polls with queues among the descriptors; `wait` is the real call.
unsafe fn poll_queues(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: Option<Duration>,
    wait: impl FnMut(&mut [pollfd], Option<Duration>) -> c_int,
) -> c_int {
    // SAFETY: the caller's array of `n` records, not null (checked by `concerns_queues`).
    let records = unsafe { std::slice::from_raw_parts_mut(fds, n as usize) };
    let saved = sys::errno();
    let result = guarded(|| Ok(nodes::poll(records, timeout, wait)));
    match result {
        Ok(count) if count >= 0 => sys::set_errno(saved),
        Ok(_) => {}
        Err(errno) => sys::set_errno(errno),
    }
    result.unwrap_or(-1)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        if !concerns_queues(fds, n) {
            return next::poll(fds, n, timeout);
        }
        let limit = u64::try_from(timeout).ok().map(Duration::from_millis);
        poll_queues(fds, n, limit, |records, left| {
            // rounded up, so that the last millisecond is slept and not spun
            let ms = left.map_or(-1, |d| d.as_micros().div_ceil(1000).min(i32::MAX as u128) as c_int);
            next::poll(records.as_mut_ptr(), n, ms)
        })
    }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __poll_chk(fds: *mut pollfd, n: nfds_t, timeout: c_int, room: size_t) -> c_int {
    if room / size_of::<pollfd>() < n as usize {
        sys::fatal(&[b"*** buffer overflow detected ***: terminated\n"]);
    }
    // SAFETY: the caller's arguments.
    unsafe { poll(fds, n, timeout) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn ppoll(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        if !concerns_queues(fds, n) {
            return next::ppoll(fds, n, timeout, mask);
        }
        let limit = timeout.as_ref().map(|t| {
            Duration::from_secs(t.tv_sec.max(0) as u64) + Duration::from_nanos(t.tv_nsec.max(0) as u64)
        });
        poll_queues(fds, n, limit, |records, left| {
            let left =
                left.map(|d| libc::timespec { tv_sec: d.as_secs() as _, tv_nsec: d.subsec_nanos() as _ });
            let left = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            next::ppoll(records.as_mut_ptr(), n, left, mask)
        })
    }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __ppoll_chk(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
    room: size_t,
) -> c_int {
    if room / size_of::<pollfd>() < n as usize {
        sys::fatal(&[b"*** buffer overflow detected ***: terminated\n"]);
    }
    // SAFETY: the caller's arguments.
    unsafe { ppoll(fds, n, timeout, mask) }
}
