//! Calls on a descriptor: a queue's go to its node, everything else to the next library.
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use super::paths::finish;
use crate::front::model;
use crate::front::nodes::{self, DEVICE_FDS, Found, Sys};
use crate::sys::{self, FdSet, HIDDEN, next};
use libc::{c_int, c_uint, c_ulong, c_void, size_t, ssize_t};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a node's call; a panic is an I/O error of this call.
pub(super) fn guarded<R>(f: impl FnOnce() -> Sys<R>) -> Sys<R> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(Err(libc::EIO))
}

/// The queue behind a descriptor that is marked as one.
pub(super) fn queue(fd: c_int) -> Option<Found> {
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
    if STRATEGIES.contains(fd)
        && let Some(device) = super::paths::strategy_behind(fd)
    {
        let saved = sys::errno();
        // SAFETY: the caller's buffer.
        let text = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
        return super::paths::write_strategy(device, text, saved);
    }
    if queue(fd).is_some() {
        sys::set_errno(libc::EINVAL);
        return -1;
    }
    // SAFETY: the caller's arguments.
    unsafe { next::write(fd, buf, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    if !model::in_vfork_child() {
        super::waiting::closed(fd, DEVICE_FDS.contains(fd));
    }
    if (DEVICE_FDS.contains(fd) || HIDDEN.contains(fd)) && !model::in_vfork_child() {
        if HIDDEN.contains(fd) {
            // the program does not know this number: it closes everything there may be
            sys::set_errno(libc::EBADF);
            return -1;
        }
        if queue(fd).is_some() {
            let saved = sys::errno();
            let result = catch_unwind(|| nodes::close(fd)).unwrap_or(0);
            if result == 0 {
                sys::set_errno(saved);
            }
            return result;
        }
    }
    // SAFETY: the caller's descriptor.
    unsafe { next::close(fd) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    const UNSHARE: c_int = 2;
    // SAFETY: the caller's arguments.
    unsafe {
        // closes nothing, or fails
        if flags & !UNSHARE != 0 || first > last || model::in_vfork_child() {
            return next::close_range(first, last, flags);
        }
        let mut from = first;
        for fd in DEVICE_FDS.within(first, last).filter(|fd| queue(*fd).is_some()) {
            let _ = catch_unwind(|| nodes::close(fd));
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

/// Descriptors that are, or were, an `isolate_strategy` opened for writing.
pub(super) static STRATEGIES: FdSet = FdSet::new();

/// After a successful duplication: the copy refers to the same queue.
fn duplicated(fd: c_int, copy: c_int) -> c_int {
    if copy >= 0 && STRATEGIES.contains(fd) {
        STRATEGIES.insert(copy);
    }
    if copy >= 0 && copy != fd && queue(fd).is_some() {
        let saved = sys::errno();
        let _ = catch_unwind(|| nodes::alias(fd, copy));
        sys::set_errno(saved);
    }
    copy
}

/// Before `to` is replaced: a queue there is closed, a descriptor of the model moves away. Not if the call will fail.
fn replacing(fd: c_int, to: c_int, flags: c_int) {
    if fd == to || !(DEVICE_FDS.contains(to) || HIDDEN.contains(to)) || model::in_vfork_child() {
        return;
    }
    let errno = sys::errno();
    // SAFETY: only asks whether the caller's descriptor exists.
    if flags & !libc::O_CLOEXEC != 0 || unsafe { next::fcntl(fd, libc::F_GETFD, 0) } < 0 {
        return sys::set_errno(errno);
    }
    let saved = sys::errno();
    if HIDDEN.contains(to) {
        sys::make_way(to);
    }
    if queue(to).is_some() {
        let _ = catch_unwind(|| nodes::close(to));
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
    replacing(fd, to, 0);
    // SAFETY: the caller's descriptors.
    duplicated(fd, unsafe { next::dup2(fd, to) })
}
#[unsafe(no_mangle)]
unsafe extern "C" fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
    replacing(fd, to, flags);
    // SAFETY: the caller's descriptors.
    duplicated(fd, unsafe { next::dup3(fd, to, flags) })
}

/// `fcntl`: a duplicate is the same queue; the mode shown is the one of the open, and the descriptor behind it never
/// blocks.
unsafe fn control(
    fd: c_int,
    cmd: c_int,
    arg: c_ulong,
    real: unsafe fn(c_int, c_int, c_ulong) -> c_int,
) -> c_int {
    const SHOWN: c_int = libc::O_ACCMODE | libc::O_NONBLOCK;
    // SAFETY: the caller's arguments; the third is passed on whether or not the command has one.
    unsafe {
        match cmd {
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => duplicated(fd, real(fd, cmd, arg)),
            libc::F_GETFL => match (real(fd, cmd, arg), queue(fd)) {
                (flags, Some(found)) if flags >= 0 => {
                    flags & !SHOWN | found.queue.slot.access() as c_int & SHOWN
                }
                (flags, _) => flags,
            },
            libc::F_SETFL => match queue(fd) {
                Some(found) => {
                    found.queue.slot.set_nonblocking(arg as c_int & libc::O_NONBLOCK);
                    real(fd, cmd, arg | libc::O_NONBLOCK as c_ulong)
                }
                None => real(fd, cmd, arg),
            },
            _ => real(fd, cmd, arg),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl(fd: c_int, cmd: c_int, arg: c_ulong) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { control(fd, cmd, arg, next::fcntl) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl64(fd: c_int, cmd: c_int, arg: c_ulong) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { control(fd, cmd, arg, next::fcntl64) }
}

/// What the kernel does with any descriptor, without asking its driver.
const FIOCLEX: c_ulong = 0x5451;
const FIONCLEX: c_ulong = 0x5450;

#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int {
    match queue(fd).filter(|_| !matches!(request as c_ulong & 0xffff_ffff, FIOCLEX | FIONCLEX)) {
        Some(found) => finish(sys::errno(), guarded(|| nodes::ioctl(&found, request, arg as u64))),
        // SAFETY: the caller's arguments; the third is passed on whether or not the request has one.
        None => unsafe { next::ioctl(fd, request, arg) },
    }
}
