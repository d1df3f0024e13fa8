//! Calls that name a path: redirected into the discovery tree, or answered by a device node.
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use crate::front::model::{self, Model};
use crate::front::nodes::{self, Sys};
use crate::front::ownership;
use crate::front::tree::{self, Place};
use crate::sys::{self, next};
use libc::{c_char, c_int, c_uint, c_void, mode_t, size_t, ssize_t};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Room for a redirected path.
const ROOM: usize = 8192;

/// Where a path of ours leads.
struct Target {
    model: &'static Model,
    /// The device, if the path is its node.
    node: Option<usize>,
    /// The file in the tree, NUL-terminated.
    path: Vec<u8>,
}

impl Target {
    fn file(&self) -> *const c_char {
        self.path.as_ptr().cast()
    }
}

/// Turns a result into the C convention; `errno` is the caller's own again on success.
pub fn finish(saved: c_int, result: Sys<c_int>) -> c_int {
    match result {
        Ok(value) => {
            sys::set_errno(saved);
            value
        }
        Err(errno) => {
            sys::set_errno(errno);
            -1
        }
    }
}

fn freshen(model: &Model, path: &str) {
    if !path.ends_with("available_instances") {
        return;
    }
    let named = tree::instances_of(&model.devices, path).map(|d| usize::from(d.minor));
    let all = 0..model.devices.len();
    for device in all.filter(|device| named.is_none_or(|n| n == *device)) {
        let free = ownership::free_queues(model, device);
        if let Err(error) = tree::refresh_instances(&model.root, &model.devices[device], free) {
            model.dir.log(&format!("available_instances of {}: {error}", model.devices[device].name));
        }
    }
}

#[cold]
fn look(path: &[u8]) -> Option<Target> {
    if path.first() != Some(&b'/') {
        // relative, perhaps to a directory of the tree: only the live attribute needs anything
        if let (Some(model), Ok(path)) = (model::peek(), std::str::from_utf8(path)) {
            freshen(model, path);
        }
        return None;
    }
    // On the heap: a program may call from a small stack (OpenSSL's jobs have 32 KiB).
    let mut clean = vec![0u8; ROOM];
    let n = tree::clean(path, &mut clean)?;
    let clean = std::str::from_utf8(&clean[..n]).ok()?;
    let place = tree::place(clean);
    if place == Place::Elsewhere {
        return None;
    }
    let model = model::get()?;
    let node = match place {
        Place::Node(name) => tree::device_index(&model.devices, name),
        _ => None,
    };
    freshen(model, clean);
    let root = model.root.as_os_str().as_bytes();
    let path = [root, clean.as_bytes(), b"\0"].concat();
    Some(Target { model, node, path })
}

/// Whether and where to redirect; `None` passes the call through.
unsafe fn redirect(path: *const c_char) -> Option<Target> {
    if path.is_null() {
        return None;
    }
    // SAFETY: a NUL-terminated path, as every caller of the C function promises.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    if !tree::worth_a_look(bytes) {
        return None;
    }
    let saved = sys::errno();
    let target = catch_unwind(AssertUnwindSafe(|| look(bytes))).ok().flatten();
    sys::set_errno(saved);
    target
}

unsafe fn open_at(path: *const c_char, flags: c_int, real: impl FnOnce(*const c_char) -> c_int) -> c_int {
    // SAFETY: the caller's path.
    match unsafe { redirect(path) } {
        None => real(path),
        Some(Target { model, node: Some(device), .. }) => {
            let saved = sys::errno();
            let opened = catch_unwind(AssertUnwindSafe(|| nodes::open(model, device, flags)));
            finish(saved, opened.unwrap_or(Err(libc::EIO)))
        }
        Some(target) => real(target.file()),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(path, flags, |p| next::open(p, flags, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(path, flags, |p| next::open64(p, flags, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __open_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(path, flags, |p| next::__open_2(p, flags)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __open64_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(path, flags, |p| next::__open64_2(p, flags)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(path, flags, |p| next::openat(dir, p, flags, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(path, flags, |p| next::openat64(dir, p, flags, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __openat_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(path, flags, |p| next::__openat_2(dir, p, flags)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __openat64_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(path, flags, |p| next::__openat64_2(dir, p, flags)) }
}

/// Calls that only need the path replaced.
macro_rules! by_path {
    ($(fn $name:ident($($before:ident: $bt:ty,)* @ $(, $after:ident: $at:ty)*) -> $ret:ty;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($before: $bt,)* path: *const c_char $(, $after: $at)*) -> $ret {
            // SAFETY: the caller's arguments; a redirected path lives until the call is over.
            unsafe {
                let target = redirect(path);
                let path = target.as_ref().map_or(path, |target| target.file());
                next::$name($($before,)* path $(, $after)*)
            }
        }
    )*};
}

by_path! {
    fn opendir(@) -> *mut libc::DIR;
    fn scandir(@, out: *mut c_void, filter: *const c_void, order: *const c_void) -> c_int;
    fn scandir64(@, out: *mut c_void, filter: *const c_void, order: *const c_void) -> c_int;
    fn chdir(@) -> c_int;
    fn readlink(@, buf: *mut c_char, len: size_t) -> ssize_t;
    fn readlinkat(dir: c_int, @, buf: *mut c_char, len: size_t) -> ssize_t;
    fn getxattr(@, name: *const c_char, buf: *mut c_void, len: size_t) -> ssize_t;
    fn lgetxattr(@, name: *const c_char, buf: *mut c_void, len: size_t) -> ssize_t;
    fn listxattr(@, buf: *mut c_char, len: size_t) -> ssize_t;
    fn llistxattr(@, buf: *mut c_char, len: size_t) -> ssize_t;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __readlink_chk(
    path: *const c_char,
    buf: *mut c_char,
    len: size_t,
    room: size_t,
) -> ssize_t {
    if len > room {
        sys::fatal(&[b"*** buffer overflow detected ***: terminated\n"]);
    }
    // SAFETY: the caller's arguments.
    unsafe { readlink(path, buf, len) }
}

unsafe fn open_stream(
    path: *const c_char,
    real: impl FnOnce(*const c_char) -> *mut libc::FILE,
) -> *mut libc::FILE {
    // SAFETY: the caller's path.
    match unsafe { redirect(path) } {
        None => real(path),
        Some(Target { node: Some(_), .. }) => {
            // neither read nor write is possible on a node, so a stream is of no use
            sys::set_errno(libc::EINVAL);
            std::ptr::null_mut()
        }
        Some(target) => real(target.file()),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    // SAFETY: the caller's arguments.
    unsafe { open_stream(path, |p| next::fopen(p, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    // SAFETY: the caller's arguments.
    unsafe { open_stream(path, |p| next::fopen64(p, mode)) }
}

unsafe fn check_access(path: *const c_char, mode: c_int, real: impl FnOnce(*const c_char) -> c_int) -> c_int {
    // SAFETY: the caller's path.
    match unsafe { redirect(path) } {
        None => real(path),
        Some(Target { model, node: Some(device), .. }) => {
            let bits = model.profile.kind(model.devices[device].kind).node_mode;
            let refused = (mode & libc::R_OK != 0 && bits & 0o444 == 0)
                || (mode & libc::W_OK != 0 && bits & 0o222 == 0)
                || mode & libc::X_OK != 0;
            finish(sys::errno(), if refused { Err(libc::EACCES) } else { Ok(0) })
        }
        Some(target) => real(target.file()),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn access(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { check_access(path, mode, |p| next::access(p, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn euidaccess(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { check_access(path, mode, |p| next::euidaccess(p, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn eaccess(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { check_access(path, mode, |p| next::eaccess(p, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn faccessat(dir: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { check_access(path, mode, |p| next::faccessat(dir, p, mode, flags)) }
}

/// Takes the root of the tree off a resolved path, in place.
unsafe fn as_seen_by_the_program(resolved: *mut c_char) -> *mut c_char {
    if let (false, Some(model)) = (resolved.is_null(), model::peek()) {
        let root = model.root.as_os_str().as_bytes();
        // SAFETY: realpath returned a NUL-terminated string in a buffer that is at least as long.
        unsafe {
            let bytes = CStr::from_ptr(resolved).to_bytes_with_nul();
            if bytes.starts_with(root) && bytes.get(root.len()) == Some(&b'/') {
                std::ptr::copy(resolved.add(root.len()), resolved, bytes.len() - root.len());
            }
        }
    }
    resolved
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realpath(path: *const c_char, out: *mut c_char) -> *mut c_char {
    // SAFETY: the caller's arguments.
    unsafe {
        match redirect(path) {
            None => next::realpath(path, out),
            Some(target) => as_seen_by_the_program(next::realpath(target.file(), out)),
        }
    }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __realpath_chk(path: *const c_char, out: *mut c_char, room: size_t) -> *mut c_char {
    if room < libc::PATH_MAX as size_t {
        sys::fatal(&[b"*** buffer overflow detected ***: terminated\n"]);
    }
    // SAFETY: the caller's arguments.
    unsafe { realpath(path, out) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn canonicalize_file_name(path: *const c_char) -> *mut c_char {
    // SAFETY: the caller's arguments.
    unsafe { realpath(path, std::ptr::null_mut()) }
}

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
    path: *const c_char,
    buf: *mut T,
    real: impl FnOnce(*const c_char, *mut T) -> c_int,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        match redirect(path) {
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
    of_path: impl FnOnce(*const c_char, *mut T) -> c_int,
    of_fd: impl FnOnce() -> c_int,
) -> c_int {
    if !nodes::DEVICE_FDS.contains(fd) {
        return of_fd();
    }
    let found = catch_unwind(|| nodes::find(fd)).ok().flatten();
    match (found, model::peek()) {
        (Some(found), Some(model)) => {
            let path = model.root.join("dev").join(&found.queue.name);
            let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return of_fd() };
            let result = of_path(path.as_ptr(), buf);
            // SAFETY: the caller's record.
            unsafe { as_node(model, found.queue.device, buf, result) }
        }
        _ => of_fd(),
    }
}

macro_rules! stat_family {
    ($ty:ty: $stat:ident $lstat:ident $fstat:ident $fstatat:ident $xstat:ident $lxstat:ident $fxstat:ident $fxstatat:ident) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $stat(path: *const c_char, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_path(path, buf, |p, b| next::$stat(p, b)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $lstat(path: *const c_char, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_path(path, buf, |p, b| next::$lstat(p, b)) }
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
                stat_path(path, buf, |p, b| next::$fstatat(dir, p, b, flags))
            }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $xstat(ver: c_int, path: *const c_char, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_path(path, buf, |p, b| next::$xstat(ver, p, b)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $lxstat(ver: c_int, path: *const c_char, buf: *mut $ty) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { stat_path(path, buf, |p, b| next::$lxstat(ver, p, b)) }
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
            unsafe { stat_path(path, buf, |p, b| next::$fxstatat(ver, dir, p, b, flags)) }
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
        stat_path(path, buf, |p, b| next::statx(dir, p, flags, mask, b))
    }
}
