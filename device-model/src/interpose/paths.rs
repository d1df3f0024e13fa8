//! Calls that name a path: redirected into the discovery tree, or answered by a device node.
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use super::fds::STRATEGIES;
use crate::front::model::{self, Model};
use crate::front::nodes::{self, Sys};
use crate::front::tree::{self, Place};
use crate::sys::{self, next};
use libc::{c_char, c_int, c_void, mode_t, size_t, ssize_t};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Room for a redirected path.
const ROOM: usize = 8192;

/// Where a path of ours leads.
pub(super) struct Target {
    pub(super) model: &'static Model,
    /// The device, if the path is its node.
    pub(super) node: Option<usize>,
    /// The file in the tree, NUL-terminated.
    path: Vec<u8>,
}

impl Target {
    pub(super) fn file(&self) -> *const c_char {
        self.path.as_ptr().cast()
    }

    /// Bytes of the path that the program does not know of.
    pub(super) fn root(&self) -> usize {
        self.model.root.as_os_str().len()
    }

    fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path[..self.path.len() - 1]))
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
    model.sync_tree();
    let Some((attribute, named)) = tree::live(&model.devices, path) else { return };
    for device in model.devices.iter().filter(|device| named.is_none_or(|n| n == *device)) {
        let index = usize::from(device.minor);
        let Some(text) = model.live_attribute(index, attribute) else { continue };
        match tree::refresh(&model.root, device, attribute, &text) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                model.dir.log(&format!("{attribute} of {}: {error}", device.name));
            }
            _ => {}
        }
    }
}

/// A relative path as an absolute one, as the program sees it.
fn absolute(dir: c_int, path: &[u8]) -> Option<Vec<u8>> {
    let base = match dir {
        libc::AT_FDCWD => std::fs::read_link("/proc/self/cwd"),
        dir => std::fs::read_link(format!("/proc/self/fd/{dir}")),
    };
    let base = base.ok()?;
    let seen = model::peek().and_then(|model| base.strip_prefix(&model.root).ok());
    let base = seen.map_or(base.as_os_str().as_bytes(), |seen| seen.as_os_str().as_bytes());
    Some([b"/", base, b"/", path].concat())
}

#[cold]
fn look(dir: c_int, path: &[u8]) -> Option<Target> {
    let joined;
    let path = if path.first() == Some(&b'/') {
        path
    } else {
        joined = absolute(dir, path)?;
        &joined
    };
    // On the heap: a program may call from a small stack (OpenSSL's jobs have 32 KiB).
    let mut clean = vec![0u8; ROOM];
    let n = tree::clean(path, &mut clean)?;
    let clean = std::str::from_utf8(&clean[..n]).ok()?;
    let place = tree::place(clean);
    if place == Place::Elsewhere {
        return None;
    }
    let model = model::get()?;
    freshen(model, clean);
    let node = match place {
        // a node that is out of sight is no node
        Place::Node(name) => tree::device_index(&model.devices, name)
            .filter(|device| model.present(*device) || model.root.join("dev").join(name).exists()),
        _ => None,
    };
    let root = model.root.as_os_str().as_bytes();
    let path = [root, tree::inside(clean).as_bytes(), b"\0"].concat();
    Some(Target { model, node, path })
}

/// Whether and where to redirect; `None` passes the call through.
pub(super) unsafe fn redirect(dir: c_int, path: *const c_char) -> Option<Target> {
    if path.is_null() {
        return None;
    }
    // SAFETY: a NUL-terminated path, as every caller of the C function promises.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    if !tree::worth_a_look(bytes) || model::in_vfork_child() {
        return None;
    }
    let saved = sys::errno();
    let target = catch_unwind(AssertUnwindSafe(|| look(dir, bytes))).ok().flatten();
    sys::set_errno(saved);
    target
}

/// Calls `real` with the path, or with where it leads.
pub(super) unsafe fn redirected<R>(path: *const c_char, real: impl FnOnce(*const c_char) -> R) -> R {
    // SAFETY: the caller's path.
    let target = unsafe { redirect(libc::AT_FDCWD, path) };
    real(target.as_ref().map_or(path, Target::file))
}

/// What sysfs says to an open of an attribute, and the flags that have a meaning there.
fn attribute_flags(target: &Target, flags: c_int) -> Sys<c_int> {
    let known = std::fs::metadata(target.as_path());
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
    match known {
        Ok(file) if file.is_file() && writes && file.permissions().mode() & 0o222 == 0 => Err(libc::EACCES),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && flags & libc::O_CREAT != 0 => {
            Err(libc::EACCES)
        }
        _ => Ok(flags & !(libc::O_TRUNC | if flags & libc::O_EXCL == 0 { libc::O_CREAT } else { 0 })),
    }
}

fn is_strategy(target: &Target) -> bool {
    target.as_path().file_name() == Some(OsStr::new("isolate_strategy"))
}

/// The device whose `isolate_strategy` the descriptor is.
pub(super) fn strategy_behind(fd: c_int) -> Option<usize> {
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    let model = model::peek()?;
    let path = path.strip_prefix(&model.root).ok()?.to_str()?;
    // each look puts a new file in the place of the one that is open
    let entry = path.trim_end_matches(" (deleted)").strip_suffix("/isolate_strategy")?;
    tree::device_index(&model.devices, entry.rsplit('/').next()?)
}

/// A write of `text` to a device's `isolate_strategy`.
pub(super) fn write_strategy(device: usize, text: &[u8], saved: c_int) -> ssize_t {
    let written =
        model::peek().ok_or(libc::ENODEV).and_then(|model| model.set_isolate_strategy(device, text));
    match written {
        Ok(()) => {
            sys::set_errno(saved);
            text.len() as ssize_t
        }
        Err(errno) => {
            sys::set_errno(errno);
            -1
        }
    }
}

unsafe fn open_at(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    real: impl FnOnce(*const c_char, c_int) -> c_int,
) -> c_int {
    // SAFETY: the caller's path.
    match unsafe { redirect(dir, path) } {
        None => real(path, flags),
        // a place in the file system, of which no driver hears
        Some(target) if flags & libc::O_PATH != 0 => real(target.file(), flags),
        Some(Target { model, node: Some(device), .. }) => {
            let saved = sys::errno();
            let opened = catch_unwind(AssertUnwindSafe(|| nodes::open(model, device, flags)));
            finish(saved, opened.unwrap_or(Err(libc::EIO)))
        }
        Some(target) => match attribute_flags(&target, flags) {
            Err(errno) => finish(0, Err(errno)),
            Ok(cleared) => {
                let fd = real(target.file(), cleared);
                if fd >= 0 && flags & libc::O_ACCMODE != libc::O_RDONLY && is_strategy(&target) {
                    STRATEGIES.insert(fd);
                }
                fd
            }
        },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(libc::AT_FDCWD, path, flags, |p, flags| next::open(p, flags, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(libc::AT_FDCWD, path, flags, |p, flags| next::open64(p, flags, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __open_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(libc::AT_FDCWD, path, flags, |p, flags| next::__open_2(p, flags)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __open64_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(libc::AT_FDCWD, path, flags, |p, flags| next::__open64_2(p, flags)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(dir, path, flags, |p, flags| next::openat(dir, p, flags, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(dir, path, flags, |p, flags| next::openat64(dir, p, flags, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __openat_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(dir, path, flags, |p, flags| next::__openat_2(dir, p, flags)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __openat64_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { open_at(dir, path, flags, |p, flags| next::__openat64_2(dir, p, flags)) }
}

/// The directory that a relative path is relative to.
macro_rules! dir_of {
    () => {
        libc::AT_FDCWD
    };
    ($dir:ident) => {
        $dir
    };
}

/// Calls that only need the path replaced.
macro_rules! by_path {
    ($(fn $name:ident($($before:ident: $bt:ty,)* @ $(, $after:ident: $at:ty)*) -> $ret:ty;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($before: $bt,)* path: *const c_char $(, $after: $at)*) -> $ret {
            // SAFETY: the caller's arguments; a redirected path lives until the call is over.
            unsafe {
                let target = redirect(dir_of!($($before)*), path);
                let path = target.as_ref().map_or(path, |target| target.file());
                next::$name($($before,)* path $(, $after)*)
            }
        }
    )*};
}

by_path! {
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
    mode: *const c_char,
    real: impl FnOnce(*const c_char) -> *mut libc::FILE,
) -> *mut libc::FILE {
    // SAFETY: the caller's path.
    match unsafe { redirect(libc::AT_FDCWD, path) } {
        None => real(path),
        Some(Target { node: Some(_), .. }) => {
            // neither read nor write is possible on a node, so a stream is of no use
            sys::set_errno(libc::EINVAL);
            std::ptr::null_mut()
        }
        Some(target) => {
            // SAFETY: a NUL-terminated mode, as every caller of fopen promises.
            let text = unsafe { CStr::from_ptr(mode) }.to_bytes();
            let flags = match (text.first(), text.contains(&b'+')) {
                (Some(b'r'), false) => libc::O_RDONLY,
                (Some(b'r'), true) => libc::O_RDWR,
                _ => libc::O_WRONLY | libc::O_CREAT,
            };
            if let Err(errno) = attribute_flags(&target, flags) {
                sys::set_errno(errno);
                return std::ptr::null_mut();
            }
            if flags == libc::O_RDONLY || !is_strategy(&target) {
                return real(target.file());
            }
            let name = target.as_path().parent().and_then(Path::file_name).and_then(OsStr::to_str);
            match name.and_then(|name| tree::device_index(&target.model.devices, name)) {
                // SAFETY: the caller's mode.
                Some(device) => unsafe { strategy_stream(device, mode) },
                None => real(target.file()),
            }
        }
    }
}

/// How the C library lets somebody else do a stream's input and output.
#[repr(C)]
struct CookieFunctions {
    read: Option<unsafe extern "C" fn(*mut c_void, *mut c_char, size_t) -> ssize_t>,
    write: Option<unsafe extern "C" fn(*mut c_void, *const c_char, size_t) -> ssize_t>,
    seek: *const c_void,
    close: *const c_void,
}

unsafe extern "C" {
    fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: CookieFunctions) -> *mut libc::FILE;
}

unsafe extern "C" fn stream_writes(cookie: *mut c_void, buf: *const c_char, len: size_t) -> ssize_t {
    // SAFETY: the C library's buffer.
    let text = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    // such a function answers 0 for an error
    write_strategy(cookie as usize, text, sys::errno()).max(0)
}

/// A stream on `isolate_strategy`: the C library writes without calling what is interposed here.
unsafe fn strategy_stream(device: usize, mode: *const c_char) -> *mut libc::FILE {
    let functions = CookieFunctions {
        read: None,
        write: Some(stream_writes),
        seek: std::ptr::null(),
        close: std::ptr::null(),
    };
    // SAFETY: the cookie is a number, never dereferenced.
    unsafe { fopencookie(device as *mut c_void, mode, functions) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    // SAFETY: the caller's arguments.
    unsafe { open_stream(path, mode, |p| next::fopen(p, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    // SAFETY: the caller's arguments.
    unsafe { open_stream(path, mode, |p| next::fopen64(p, mode)) }
}

unsafe fn check_access(
    dir: c_int,
    path: *const c_char,
    mode: c_int,
    real: impl FnOnce(*const c_char) -> c_int,
) -> c_int {
    // SAFETY: the caller's path.
    match unsafe { redirect(dir, path) } {
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
    unsafe { check_access(libc::AT_FDCWD, path, mode, |p| next::access(p, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn euidaccess(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { check_access(libc::AT_FDCWD, path, mode, |p| next::euidaccess(p, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn eaccess(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { check_access(libc::AT_FDCWD, path, mode, |p| next::eaccess(p, mode)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn faccessat(dir: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { check_access(dir, path, mode, |p| next::faccessat(dir, p, mode, flags)) }
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
        match redirect(libc::AT_FDCWD, path) {
            None => as_seen_by_the_program(next::realpath(path, out)),
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

#[unsafe(no_mangle)]
unsafe extern "C" fn getcwd(buf: *mut c_char, len: size_t) -> *mut c_char {
    // SAFETY: the caller's arguments; a resolved path only gets shorter.
    unsafe { as_seen_by_the_program(next::getcwd(buf, len)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn get_current_dir_name() -> *mut c_char {
    // SAFETY: no arguments.
    unsafe { as_seen_by_the_program(next::get_current_dir_name()) }
}
