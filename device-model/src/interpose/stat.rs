//! The stat family: a node shows as a character device, everything else as it is.
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use super::paths::redirect;
use crate::front::model::{self, Model};
use crate::front::{nodes, tree};
use crate::sys::next;
use libc::{c_char, c_int, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::panic::catch_unwind;

/// A stat record that can be made to look like a character device.
trait Record {
    fn make_node(&mut self, mode: u32, minor: u32);
}

macro_rules! record {
    ($($ty:ty),*) => {$(
        impl Record for $ty {
            fn make_node(&mut self, mode: u32, minor: u32) {
                self.st_mode = libc::S_IFCHR | mode;
                self.st_rdev = libc::makedev(tree::MAJOR, minor);
                self.st_size = 0;
                self.st_blocks = 0;
            }
        }
    )*};
}
record!(libc::stat, libc::stat64);

impl Record for libc::statx {
    fn make_node(&mut self, mode: u32, minor: u32) {
        self.stx_mode = (libc::S_IFCHR | mode) as u16;
        self.stx_rdev_major = tree::MAJOR;
        self.stx_rdev_minor = minor;
        self.stx_size = 0;
        self.stx_blocks = 0;
    }
}

unsafe fn as_node<T: Record>(model: &Model, device: usize, buf: *mut T, result: c_int) -> c_int {
    if result == 0 {
        let mode = model.profile.kind(model.devices[device].kind).node_mode;
        // SAFETY: the call has just filled the caller's record.
        unsafe { &mut *buf }.make_node(mode, device as u32);
    }
    result
}

unsafe fn stat_path<T: Record>(
    dir: c_int,
    path: *const c_char,
    buf: *mut T,
    real: impl FnOnce(*const c_char, *mut T) -> c_int,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        match redirect(dir, path) {
            None => real(path, buf),
            Some(target) => {
                let result = real(target.file(), buf);
                match target.node {
                    Some(device) => as_node(target.model, device, buf, result),
                    None => result,
                }
            }
        }
    }
}

/// A descriptor of a queue shows its node, everything else itself.
unsafe fn stat_fd<T: Record>(
    fd: c_int,
    buf: *mut T,
    of_path: impl Fn(*const c_char, *mut T) -> c_int,
    of_fd: impl FnOnce() -> c_int,
) -> c_int {
    if !nodes::DEVICE_FDS.contains(fd) {
        return of_fd();
    }
    let found = catch_unwind(|| nodes::find(fd)).ok().flatten();
    match (found, model::peek()) {
        (Some(found), Some(model)) => {
            // Also of a device that is gone: an open descriptor keeps its inode. It may come back at any moment.
            let [seen, hidden] = tree::node_files(&model.root, &found.queue.name);
            let mut result = -1;
            for place in [&seen, &hidden, &seen] {
                let Ok(path) = std::ffi::CString::new(place.as_os_str().as_bytes()) else { return of_fd() };
                result = of_path(path.as_ptr(), buf);
                if result == 0 {
                    break;
                }
            }
            // SAFETY: the caller's record.
            unsafe { as_node(model, found.queue.device, buf, result) }
        }
        _ => of_fd(),
    }
}

macro_rules! stat_family {
    ($ty:ty: $stat:ident $lstat:ident $fstat:ident $fstatat:ident $xstat:ident $lxstat:ident $fxstat:ident $fxstatat:ident) => {
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $stat(path: *const c_char, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_path(libc::AT_FDCWD, path, buf, |p, b| next::$stat(p, b)) }
        }
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $lstat(path: *const c_char, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_path(libc::AT_FDCWD, path, buf, |p, b| next::$lstat(p, b)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $fstat(fd: c_int, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_fd(fd, buf, |p, b| next::$stat(p, b), || next::$fstat(fd, buf)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $fstatat(dir: c_int, path: *const c_char, buf: *mut $ty, flags: c_int) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe {
                if flags & libc::AT_EMPTY_PATH != 0 && !path.is_null() && *path == 0 {
                    return stat_fd(
                        dir,
                        buf,
                        |p, b| next::$stat(p, b),
                        || next::$fstatat(dir, path, buf, flags),
                    );
                }
                stat_path(dir, path, buf, |p, b| next::$fstatat(dir, p, b, flags))
            }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $xstat(ver: c_int, path: *const c_char, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_path(libc::AT_FDCWD, path, buf, |p, b| next::$xstat(ver, p, b)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $lxstat(ver: c_int, path: *const c_char, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_path(libc::AT_FDCWD, path, buf, |p, b| next::$lxstat(ver, p, b)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $fxstat(ver: c_int, fd: c_int, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_fd(fd, buf, |p, b| next::$xstat(ver, p, b), || next::$fxstat(ver, fd, buf)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $fxstatat(
            ver: c_int,
            dir: c_int,
            path: *const c_char,
            buf: *mut $ty,
            flags: c_int,
        ) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_path(dir, path, buf, |p, b| next::$fxstatat(ver, dir, p, b, flags)) }
        }
    };
}

stat_family!(libc::stat: stat lstat fstat fstatat __xstat __lxstat __fxstat __fxstatat);
stat_family!(libc::stat64: stat64 lstat64 fstat64 fstatat64 __xstat64 __lxstat64 __fxstat64 __fxstatat64);

#[unsafe(no_mangle)]
unsafe extern "C" fn statx(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    buf: *mut libc::statx,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        if flags & libc::AT_EMPTY_PATH != 0 && !path.is_null() && *path == 0 {
            let of_path = |p, b| next::statx(libc::AT_FDCWD, p, flags & !libc::AT_EMPTY_PATH, mask, b);
            return stat_fd(dir, buf, of_path, || next::statx(dir, path, flags, mask, buf));
        }
        stat_path(dir, path, buf, |p, b| next::statx(dir, p, flags, mask, b))
    }
}
