//! Signal calls of the program, so that its handlers and masks coexist with the doorbell trap.
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use crate::sys::{Handler, next};
use crate::trap::signals as trap;
use libc::{c_int, sigset_t};
use std::mem::MaybeUninit;

#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(sig: c_int, act: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    // SAFETY: the caller's pointers.
    unsafe { trap::sigaction(sig, act, old) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __sigaction(
    sig: c_int,
    act: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: the caller's pointers.
    unsafe { trap::sigaction(sig, act, old) }
}

const SYSV: c_int = libc::SA_RESETHAND | libc::SA_NODEFER;

#[unsafe(no_mangle)]
unsafe extern "C" fn signal(sig: c_int, handler: Handler) -> Handler {
    // SAFETY: the caller's handler.
    unsafe { trap::signal(sig, handler, libc::SA_RESTART).unwrap_or_else(|| next::signal(sig, handler)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bsd_signal(sig: c_int, handler: Handler) -> Handler {
    // SAFETY: the caller's handler.
    unsafe { trap::signal(sig, handler, libc::SA_RESTART).unwrap_or_else(|| next::signal(sig, handler)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ssignal(sig: c_int, handler: Handler) -> Handler {
    // SAFETY: the caller's handler.
    unsafe { trap::signal(sig, handler, libc::SA_RESTART).unwrap_or_else(|| next::signal(sig, handler)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sysv_signal(sig: c_int, handler: Handler) -> Handler {
    // SAFETY: the caller's handler.
    unsafe { trap::signal(sig, handler, SYSV).unwrap_or_else(|| next::sysv_signal(sig, handler)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __sysv_signal(sig: c_int, handler: Handler) -> Handler {
    // SAFETY: the caller's handler.
    unsafe { trap::signal(sig, handler, SYSV).unwrap_or_else(|| next::sysv_signal(sig, handler)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    let mut copy = MaybeUninit::uninit();
    // SAFETY: the caller's pointers.
    unsafe { next::sigprocmask(how, trap::without_faults(how, set, &mut copy), old) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    let mut copy = MaybeUninit::uninit();
    // SAFETY: the caller's pointers.
    unsafe { next::pthread_sigmask(how, trap::without_faults(how, set, &mut copy), old) }
}
