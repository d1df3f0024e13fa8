//! Mappings: a queue's regions are its node's business, everything else is the next library's.
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use super::fds::{guarded, queue};
use crate::front::nodes::{self, Moved};
use crate::sys::{self, next};
use libc::{c_int, c_void, off_t, size_t};

unsafe fn map(
    addr: *mut c_void,
    len: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    off: off_t,
    real: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    let found = if fd < 0 || flags & libc::MAP_ANONYMOUS != 0 { None } else { queue(fd) };
    let saved = sys::errno();
    let Some(found) = found else {
        if flags & libc::MAP_FIXED != 0 {
            // what lay there is unmapped by this
            nodes::unmapping(addr as usize, len);
            sys::set_errno(saved);
        }
        return real();
    };
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
    let saved = sys::errno();
    nodes::unmapping(addr as usize, len);
    sys::set_errno(saved);
    // SAFETY: the caller's arguments.
    unsafe { next::munmap(addr, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mremap(
    addr: *mut c_void,
    old_len: size_t,
    new_len: size_t,
    flags: c_int,
    to: *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller's arguments; the fifth is passed on whether or not the flags ask for it.
    let real = || unsafe { next::mremap(addr, old_len, new_len, flags, to) };
    match guarded(|| Ok(nodes::moving(addr as usize, old_len, new_len))) {
        Ok(Moved::Follows(range)) => {
            let at = real();
            if at != libc::MAP_FAILED {
                range.set(at as usize, new_len.next_multiple_of(sys::page_size()));
            }
            at
        }
        Ok(Moved::Refused(errno)) => {
            sys::set_errno(errno);
            libc::MAP_FAILED
        }
        Ok(Moved::Elsewhere) | Err(_) => real(),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mprotect(addr: *mut c_void, len: size_t, prot: c_int) -> c_int {
    match nodes::protecting(addr as usize, len, prot) {
        // SAFETY: the caller's arguments.
        None => unsafe { next::mprotect(addr, len, prot) },
        // SAFETY: the same range with fewer rights.
        Some(less) => unsafe { next::mprotect(addr, len, less) },
    }
}
