//! Listings: `/dev` shows the nodes beside what is really there; glob and nftw see what the path calls see, which they
//! would not by themselves, as the C library calls its own functions inside.
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use super::paths::{redirect, redirected};
use crate::front::model::{self, Forkable};
use crate::sys::{self, next};
use libc::{DIR, c_char, c_int, c_long, c_void, dirent64};
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Nodes that are still to come in one open listing of `/dev`.
struct Rest {
    names: Vec<String>,
    given: usize,
    entry: Box<dirent64>,
}

// SAFETY: plain data; the C library forbids two threads to read one DIR at a time.
unsafe impl Send for Rest {}

static OPEN: AtomicUsize = AtomicUsize::new(0);
static LISTINGS: Forkable<Option<HashMap<usize, Rest>>> = Forkable::new(None);

fn with<R>(f: impl FnOnce(&mut HashMap<usize, Rest>) -> R) -> R {
    LISTINGS.with(|listings| f(listings.get_or_insert_with(HashMap::new)))
}

/// Adds the nodes to a listing that has just been opened.
fn extend(dir: *mut DIR) -> *mut DIR {
    if dir.is_null() || model::in_vfork_child() {
        return dir;
    }
    let saved = sys::errno();
    let _ = catch_unwind(|| {
        let Some(model) = model::get() else { return };
        model.sync_tree();
        let nodes = std::fs::read_dir(model.root.join("dev")).into_iter().flatten().flatten();
        let names = nodes.filter_map(|entry| entry.file_name().into_string().ok());
        let real = |name: &String| {
            let path = CString::new(format!("/dev/{name}")).unwrap_or_default();
            // SAFETY: a NUL-terminated path; the system call itself, as the C library's functions see the nodes.
            unsafe { libc::syscall(libc::SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), libc::F_OK) == 0 }
        };
        let names: Vec<String> = names.filter(|name| !real(name)).collect();
        // SAFETY: all-zero is a valid record.
        let entry = Box::new(unsafe { std::mem::zeroed() });
        if with(|open| open.insert(dir as usize, Rest { names, given: 0, entry })).is_none() {
            OPEN.fetch_add(1, Ordering::SeqCst);
        }
    });
    sys::set_errno(saved);
    dir
}

fn is_dev(path: &[u8]) -> bool {
    matches!(path, b"/dev" | b"/dev/" | b"/dev/." | b"//dev")
}

#[unsafe(no_mangle)]
unsafe extern "C" fn opendir(path: *const c_char) -> *mut DIR {
    // SAFETY: the caller's path.
    unsafe {
        if !path.is_null() && is_dev(CStr::from_ptr(path).to_bytes()) {
            return extend(next::opendir(path));
        }
        redirected(path, |p| next::opendir(p))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdopendir(fd: c_int) -> *mut DIR {
    // SAFETY: the caller's descriptor.
    let dir = unsafe { next::fdopendir(fd) };
    let saved = sys::errno();
    let dev = !dir.is_null()
        && std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|p| is_dev(p.as_os_str().as_bytes()));
    sys::set_errno(saved);
    if dev { extend(dir) } else { dir }
}

/// The next of our entries, once the real ones are through.
fn ours(dir: *mut DIR) -> *mut dirent64 {
    if OPEN.load(Ordering::SeqCst) == 0 {
        return std::ptr::null_mut();
    }
    with(|open| {
        let Some(rest) = open.get_mut(&(dir as usize)) else { return std::ptr::null_mut() };
        let Some(name) = rest.names.get(rest.given) else { return std::ptr::null_mut() };
        rest.given += 1;
        let inode = model::peek().and_then(|model| std::fs::metadata(model.root.join("dev").join(name)).ok());
        let entry = &mut *rest.entry;
        entry.d_ino = inode.map_or(1, |file| std::os::unix::fs::MetadataExt::ino(&file));
        entry.d_off = c_long::MAX;
        entry.d_reclen = size_of::<dirent64>() as u16;
        entry.d_type = libc::DT_CHR;
        entry.d_name.fill(0);
        for (to, from) in entry.d_name.iter_mut().zip(name.as_bytes().iter().take(255)) {
            *to = *from as c_char;
        }
        std::ptr::from_mut(entry)
    })
}

unsafe fn read_entry(dir: *mut DIR, real: impl FnOnce() -> *mut dirent64) -> *mut dirent64 {
    let saved = sys::errno();
    sys::set_errno(0);
    let entry = real();
    if !entry.is_null() || sys::errno() != 0 {
        if !entry.is_null() {
            sys::set_errno(saved);
        }
        return entry;
    }
    sys::set_errno(saved);
    ours(dir)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn readdir(dir: *mut DIR) -> *mut dirent64 {
    // SAFETY: the caller's listing; both records are the same on 64-bit targets.
    unsafe { read_entry(dir, || next::readdir64(dir)) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn readdir64(dir: *mut DIR) -> *mut dirent64 {
    // SAFETY: the caller's listing.
    unsafe { read_entry(dir, || next::readdir64(dir)) }
}

unsafe fn read_into(dir: *mut DIR, entry: *mut dirent64, result: *mut *mut dirent64) -> c_int {
    // SAFETY: the caller's listing and records.
    unsafe {
        let error = next::readdir64_r(dir, entry, result);
        if error == 0 && (*result).is_null() {
            let found = ours(dir);
            if !found.is_null() {
                entry.write(*found);
                *result = entry;
            }
        }
        error
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn readdir_r(dir: *mut DIR, entry: *mut dirent64, result: *mut *mut dirent64) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { read_into(dir, entry, result) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn readdir64_r(dir: *mut DIR, entry: *mut dirent64, result: *mut *mut dirent64) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { read_into(dir, entry, result) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rewinddir(dir: *mut DIR) {
    if OPEN.load(Ordering::SeqCst) > 0 {
        with(|open| {
            if let Some(rest) = open.get_mut(&(dir as usize)) {
                rest.given = 0;
            }
        });
    }
    // SAFETY: the caller's listing.
    unsafe { next::rewinddir(dir) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn closedir(dir: *mut DIR) -> c_int {
    if OPEN.load(Ordering::SeqCst) > 0 && with(|open| open.remove(&(dir as usize))).is_some() {
        OPEN.fetch_sub(1, Ordering::SeqCst);
    }
    // SAFETY: the caller's listing.
    unsafe { next::closedir(dir) }
}

type Filter = Option<unsafe extern "C" fn(*const dirent64) -> c_int>;
type Order = Option<unsafe extern "C" fn(*mut *const dirent64, *mut *const dirent64) -> c_int>;

/// `scandir` of `/dev`, by the listing above.
unsafe fn scan_dev(path: *const c_char, out: *mut *mut *mut dirent64, filter: Filter, order: Order) -> c_int {
    // SAFETY: the caller's path, place and functions; entries are copied into memory that the caller frees.
    unsafe {
        let dir = opendir(path);
        if dir.is_null() {
            return -1;
        }
        let mut found: Vec<*mut dirent64> = Vec::new();
        loop {
            let entry = readdir64(dir);
            if entry.is_null() {
                break;
            }
            if filter.is_none_or(|wanted| wanted(entry) != 0) {
                let length = usize::from((*entry).d_reclen);
                let copy = libc::malloc(length.max(size_of::<dirent64>())).cast::<dirent64>();
                std::ptr::copy_nonoverlapping(entry.cast::<u8>(), copy.cast::<u8>(), length);
                found.push(copy);
            }
        }
        closedir(dir);
        let list = libc::malloc((found.len().max(1)) * size_of::<*mut dirent64>()).cast::<*mut dirent64>();
        std::ptr::copy_nonoverlapping(found.as_ptr(), list, found.len());
        if let Some(order) = order {
            let compare: unsafe extern "C" fn(*const c_void, *const c_void) -> c_int =
                std::mem::transmute(order);
            libc::qsort(list.cast(), found.len(), size_of::<*mut dirent64>(), Some(compare));
        }
        *out = list;
        found.len() as c_int
    }
}

macro_rules! scans {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            path: *const c_char,
            out: *mut *mut *mut dirent64,
            filter: Filter,
            order: Order,
        ) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe {
                if !path.is_null() && is_dev(CStr::from_ptr(path).to_bytes()) {
                    return scan_dev(path, out, filter, order);
                }
                redirected(path, |p| {
                    let filter = std::mem::transmute::<Filter, *const c_void>(filter);
                    let order = std::mem::transmute::<Order, *const c_void>(order);
                    next::$name(p, out.cast(), filter, order)
                })
            }
        }
    )*};
}
scans!(scandir scandir64);

/// `glob_t` with the functions that GLOB_ALTDIRFUNC asks for.
#[repr(C)]
struct Glob {
    count: usize,
    paths: *mut *mut c_char,
    offset: usize,
    flags: c_int,
    closedir: Option<unsafe extern "C" fn(*mut c_void)>,
    readdir: Option<unsafe extern "C" fn(*mut c_void) -> *mut dirent64>,
    opendir: Option<unsafe extern "C" fn(*const c_char) -> *mut c_void>,
    lstat: Option<unsafe extern "C" fn(*const c_char, *mut c_void) -> c_int>,
    stat: Option<unsafe extern "C" fn(*const c_char, *mut c_void) -> c_int>,
}
const GLOB_ALTDIRFUNC: c_int = 1 << 9;

unsafe extern "C" fn glob_close(dir: *mut c_void) {
    // SAFETY: a listing that `glob_open` made.
    unsafe { closedir(dir.cast()) };
}
unsafe extern "C" fn glob_read(dir: *mut c_void) -> *mut dirent64 {
    // SAFETY: as above.
    unsafe { readdir64(dir.cast()) }
}
unsafe extern "C" fn glob_open(path: *const c_char) -> *mut c_void {
    // SAFETY: the C library's path.
    unsafe { opendir(path).cast() }
}
unsafe extern "C" fn glob_lstat(path: *const c_char, buf: *mut c_void) -> c_int {
    // SAFETY: the C library's path and record.
    unsafe { super::stat::lstat64(path, buf.cast()) }
}
unsafe extern "C" fn glob_stat(path: *const c_char, buf: *mut c_void) -> c_int {
    // SAFETY: the C library's path and record.
    unsafe { super::stat::stat64(path, buf.cast()) }
}

macro_rules! globs {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            pattern: *const c_char,
            flags: c_int,
            failed: *const c_void,
            out: *mut c_void,
        ) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe {
                let text = if pattern.is_null() { &[][..] } else { CStr::from_ptr(pattern).to_bytes() };
                let ours = text.starts_with(b"/dev/") || text.starts_with(b"/sys/");
                if !ours || flags & GLOB_ALTDIRFUNC != 0 {
                    return next::$name(pattern, flags, failed, out);
                }
                let glob = &mut *out.cast::<Glob>();
                glob.closedir = Some(glob_close);
                glob.readdir = Some(glob_read);
                glob.opendir = Some(glob_open);
                glob.lstat = Some(glob_lstat);
                glob.stat = Some(glob_stat);
                next::$name(pattern, flags | GLOB_ALTDIRFUNC, failed, out)
            }
        }
    )*};
}
globs!(glob glob64);

/// `struct FTW`.
#[repr(C)]
struct Level {
    base: c_int,
    level: c_int,
}
type Visit = unsafe extern "C" fn(*const c_char, *const c_void, c_int, *mut Level) -> c_int;

thread_local! {
    static VISIT: Cell<Option<(Visit, usize)>> = const { Cell::new(None) };
}

/// Hands a visit on with the path that the program would see.
unsafe extern "C" fn visit(
    path: *const c_char,
    stat: *const c_void,
    kind: c_int,
    level: *mut Level,
) -> c_int {
    let Some((visit, root)) = VISIT.get() else { return 0 };
    // SAFETY: the path begins with the root, which was put there by `nftw` below; ftw passes no level. The level is a
    // copy, as the walk goes on with its own.
    unsafe {
        if level.is_null() {
            return visit(path.add(root), stat, kind, level);
        }
        let mut seen = Level { base: (*level).base - root as c_int, level: (*level).level };
        visit(path.add(root), stat, kind, &mut seen)
    }
}

macro_rules! walks {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: *const c_char, each: Visit, fds: c_int, flags: c_int) -> c_int {
            // SAFETY: the caller's arguments; ftw has no flags, and what stands in their place is not looked at.
            unsafe {
                match redirect(libc::AT_FDCWD, path) {
                    None => next::$name(path, each as *const c_void, fds, flags),
                    Some(target) => {
                        let before = VISIT.replace(Some((each, target.root())));
                        let result = next::$name(target.file(), visit as *const c_void, fds, flags);
                        VISIT.set(before);
                        result
                    }
                }
            }
        }
    )*};
}
walks!(nftw nftw64 ftw ftw64);
