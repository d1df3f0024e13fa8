//! Descriptors that arrive through a socket: a queue among them is known from then on.
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use crate::front::{model, nodes};
use crate::sys::{self, next};
use libc::{c_int, c_uint, msghdr, size_t, ssize_t};
use std::panic::catch_unwind;

/// Looks at the control messages that the kernel has put into `message`.
unsafe fn received(message: *const msghdr) {
    let saved = sys::errno();
    // SAFETY: the call has just filled the caller's record and its control buffer.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(header).cast::<c_int>();
                let bytes = (*header).cmsg_len - libc::CMSG_LEN(0) as size_t;
                for n in 0..bytes / size_of::<c_int>() {
                    let fd = data.add(n).read_unaligned();
                    let _ = catch_unwind(|| model::peek().is_some_and(|model| nodes::adopt(model, fd)));
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    sys::set_errno(saved);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe {
        let result = next::recvmsg(fd, message, flags);
        if result >= 0 && (*message).msg_controllen > 0 && !model::in_vfork_child() {
            received(message);
        }
        result
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut libc::mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut libc::timespec,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        let result = next::recvmmsg(fd, messages, count, flags, timeout);
        for n in 0..usize::try_from(result).unwrap_or(0) {
            let message = &raw const (*messages.add(n)).msg_hdr;
            if (*message).msg_controllen > 0 && !model::in_vfork_child() {
                received(message);
            }
        }
        result
    }
}
