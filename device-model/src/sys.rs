//! The next library's functions, and the descriptors that belong to the model and not to the program.
//!
//! UNSAFE: calls C functions through pointers found by `dlsym(RTLD_NEXT)`. Everything of the model goes through
//! here and never through its own interposed symbols. Nothing on these paths allocates.
#![allow(unsafe_code)]

use libc::{c_char, c_int, c_uint, c_ulong, c_void, mode_t, off_t, size_t, ssize_t};
use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

/// Finds `name` in the libraries after this one, once. A missing symbol ends the process: the program called a
/// function that its own libc does not have.
fn resolve(cache: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let known = cache.load(Ordering::Acquire);
    if !known.is_null() {
        return known;
    }
    let saved = errno();
    // SAFETY: `name` is NUL-terminated; RTLD_NEXT is always a valid handle.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        fatal(&[b"device model: libc has no ", name.to_bytes(), b"\n"]);
    }
    cache.store(found, Ordering::Release);
    set_errno(saved);
    found
}

/// Writes the parts to standard error and aborts. Async-signal-safe.
pub fn fatal(parts: &[&[u8]]) -> ! {
    for part in parts {
        // SAFETY: a raw write of an initialised slice.
        unsafe { libc::syscall(libc::SYS_write, 2, part.as_ptr(), part.len()) };
    }
    // SAFETY: abort never returns and has no precondition.
    unsafe { libc::abort() }
}

/// The calling thread's `errno`.
pub fn errno() -> c_int {
    // SAFETY: glibc's location is valid for the life of the thread.
    unsafe { *libc::__errno_location() }
}

/// Sets the calling thread's `errno`.
pub fn set_errno(value: c_int) {
    // SAFETY: as in `errno`.
    unsafe { *libc::__errno_location() = value }
}

macro_rules! next {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        /// The functions of the next library, by name.
        #[allow(missing_docs, clippy::missing_safety_doc, clippy::too_many_arguments)]
        pub mod next {
            use super::*;
            $(
                pub unsafe fn $name($($arg: $ty),*) -> $ret {
                    static CACHE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
                    const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a symbol name with a NUL"),
                    };
                    // SAFETY: the symbol of that name has this C signature; arguments are the caller's duty.
                    unsafe {
                        let f: unsafe extern "C" fn($($ty),*) -> $ret = std::mem::transmute(resolve(&CACHE, NAME));
                        f($($arg),*)
                    }
                }
            )*
        }
    };
}

/// A signal handler as `signal()` takes and returns it.
pub type Handler = size_t;

next! {
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn __open_2(path: *const c_char, flags: c_int) -> c_int;
    fn __open64_2(path: *const c_char, flags: c_int) -> c_int;
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn __openat_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int;
    fn __openat64_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int;
    fn opendir(path: *const c_char) -> *mut libc::DIR;
    fn fdopendir(fd: c_int) -> *mut libc::DIR;
    fn readdir64(dir: *mut libc::DIR) -> *mut libc::dirent64;
    fn readdir64_r(dir: *mut libc::DIR, entry: *mut libc::dirent64, result: *mut *mut libc::dirent64) -> c_int;
    fn rewinddir(dir: *mut libc::DIR) -> ();
    fn closedir(dir: *mut libc::DIR) -> c_int;
    fn glob(pattern: *const c_char, flags: c_int, failed: *const c_void, out: *mut c_void) -> c_int;
    fn glob64(pattern: *const c_char, flags: c_int, failed: *const c_void, out: *mut c_void) -> c_int;
    fn nftw(path: *const c_char, each: *const c_void, fds: c_int, flags: c_int) -> c_int;
    fn nftw64(path: *const c_char, each: *const c_void, fds: c_int, flags: c_int) -> c_int;
    fn ftw(path: *const c_char, each: *const c_void, fds: c_int, flags: c_int) -> c_int;
    fn ftw64(path: *const c_char, each: *const c_void, fds: c_int, flags: c_int) -> c_int;
    fn getcwd(buf: *mut c_char, len: size_t) -> *mut c_char;
    fn get_current_dir_name() -> *mut c_char;
    fn select(n: c_int, read: *mut libc::fd_set, write: *mut libc::fd_set, except: *mut libc::fd_set, timeout: *mut libc::timeval) -> c_int;
    fn pselect(n: c_int, read: *mut libc::fd_set, write: *mut libc::fd_set, except: *mut libc::fd_set, timeout: *const libc::timespec, mask: *const libc::sigset_t) -> c_int;
    fn epoll_ctl(set: c_int, operation: c_int, fd: c_int, event: *mut libc::epoll_event) -> c_int;
    fn epoll_wait(set: c_int, events: *mut libc::epoll_event, room: c_int, timeout: c_int) -> c_int;
    fn epoll_pwait(set: c_int, events: *mut libc::epoll_event, room: c_int, timeout: c_int, mask: *const libc::sigset_t) -> c_int;
    fn epoll_pwait2(set: c_int, events: *mut libc::epoll_event, room: c_int, timeout: *const libc::timespec, mask: *const libc::sigset_t) -> c_int;
    fn scandir(path: *const c_char, out: *mut c_void, filter: *const c_void, order: *const c_void) -> c_int;
    fn scandir64(path: *const c_char, out: *mut c_void, filter: *const c_void, order: *const c_void) -> c_int;
    fn chdir(path: *const c_char) -> c_int;
    fn access(path: *const c_char, mode: c_int) -> c_int;
    fn faccessat(dir: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int;
    fn euidaccess(path: *const c_char, mode: c_int) -> c_int;
    fn eaccess(path: *const c_char, mode: c_int) -> c_int;
    fn stat(path: *const c_char, buf: *mut libc::stat) -> c_int;
    fn stat64(path: *const c_char, buf: *mut libc::stat64) -> c_int;
    fn lstat(path: *const c_char, buf: *mut libc::stat) -> c_int;
    fn lstat64(path: *const c_char, buf: *mut libc::stat64) -> c_int;
    fn fstat(fd: c_int, buf: *mut libc::stat) -> c_int;
    fn fstat64(fd: c_int, buf: *mut libc::stat64) -> c_int;
    fn fstatat(dir: c_int, path: *const c_char, buf: *mut libc::stat, flags: c_int) -> c_int;
    fn fstatat64(dir: c_int, path: *const c_char, buf: *mut libc::stat64, flags: c_int) -> c_int;
    fn __xstat(ver: c_int, path: *const c_char, buf: *mut libc::stat) -> c_int;
    fn __xstat64(ver: c_int, path: *const c_char, buf: *mut libc::stat64) -> c_int;
    fn __lxstat(ver: c_int, path: *const c_char, buf: *mut libc::stat) -> c_int;
    fn __lxstat64(ver: c_int, path: *const c_char, buf: *mut libc::stat64) -> c_int;
    fn __fxstat(ver: c_int, fd: c_int, buf: *mut libc::stat) -> c_int;
    fn __fxstat64(ver: c_int, fd: c_int, buf: *mut libc::stat64) -> c_int;
    fn __fxstatat(ver: c_int, dir: c_int, path: *const c_char, buf: *mut libc::stat, flags: c_int) -> c_int;
    fn __fxstatat64(ver: c_int, dir: c_int, path: *const c_char, buf: *mut libc::stat64, flags: c_int) -> c_int;
    fn statx(dir: c_int, path: *const c_char, flags: c_int, mask: c_uint, buf: *mut libc::statx) -> c_int;
    fn realpath(path: *const c_char, out: *mut c_char) -> *mut c_char;
    fn canonicalize_file_name(path: *const c_char) -> *mut c_char;
    fn readlink(path: *const c_char, buf: *mut c_char, len: size_t) -> ssize_t;
    fn readlinkat(dir: c_int, path: *const c_char, buf: *mut c_char, len: size_t) -> ssize_t;
    fn getxattr(path: *const c_char, name: *const c_char, buf: *mut c_void, len: size_t) -> ssize_t;
    fn lgetxattr(path: *const c_char, name: *const c_char, buf: *mut c_void, len: size_t) -> ssize_t;
    fn listxattr(path: *const c_char, buf: *mut c_char, len: size_t) -> ssize_t;
    fn llistxattr(path: *const c_char, buf: *mut c_char, len: size_t) -> ssize_t;
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut libc::FILE;
    fn fopen64(path: *const c_char, mode: *const c_char) -> *mut libc::FILE;
    fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t;
    fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t;
    fn close(fd: c_int) -> c_int;
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int;
    fn dup(fd: c_int) -> c_int;
    fn dup2(fd: c_int, to: c_int) -> c_int;
    fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int;
    fn fcntl(fd: c_int, cmd: c_int, arg: c_ulong) -> c_int;
    fn fcntl64(fd: c_int, cmd: c_int, arg: c_ulong) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int;
    fn mmap(addr: *mut c_void, len: size_t, prot: c_int, flags: c_int, fd: c_int, off: off_t) -> *mut c_void;
    fn mmap64(addr: *mut c_void, len: size_t, prot: c_int, flags: c_int, fd: c_int, off: off_t) -> *mut c_void;
    fn munmap(addr: *mut c_void, len: size_t) -> c_int;
    fn mremap(addr: *mut c_void, old: size_t, new: size_t, flags: c_int, to: *mut c_void) -> *mut c_void;
    fn mprotect(addr: *mut c_void, len: size_t, prot: c_int) -> c_int;
    fn recvmsg(fd: c_int, message: *mut libc::msghdr, flags: c_int) -> ssize_t;
    fn recvmmsg(fd: c_int, messages: *mut libc::mmsghdr, count: c_uint, flags: c_int, timeout: *mut libc::timespec) -> c_int;
    fn poll(fds: *mut libc::pollfd, n: libc::nfds_t, timeout: c_int) -> c_int;
    fn ppoll(fds: *mut libc::pollfd, n: libc::nfds_t, timeout: *const libc::timespec, mask: *const libc::sigset_t) -> c_int;
    fn sigaction(sig: c_int, act: *const libc::sigaction, old: *mut libc::sigaction) -> c_int;
    fn signal(sig: c_int, handler: Handler) -> Handler;
    fn sysv_signal(sig: c_int, handler: Handler) -> Handler;
    fn sigprocmask(how: c_int, set: *const libc::sigset_t, old: *mut libc::sigset_t) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const libc::sigset_t, old: *mut libc::sigset_t) -> c_int;
}

/// Descriptor numbers that the model watches: beyond it the program's descriptors are not looked at.
pub const WATCHED_FDS: usize = 65536;

/// A set of descriptor numbers, readable from anywhere without a lock.
pub struct FdSet([AtomicU64; WATCHED_FDS / 64]);

impl FdSet {
    /// The empty set.
    pub const fn new() -> Self {
        FdSet([const { AtomicU64::new(0) }; WATCHED_FDS / 64])
    }
    /// Whether `fd` is in the set; false for numbers out of range.
    pub fn contains(&self, fd: c_int) -> bool {
        (0..WATCHED_FDS as c_int).contains(&fd)
            && self.0[fd as usize / 64].load(Ordering::Acquire) & (1 << (fd % 64)) != 0
    }
    /// Adds `fd`; false if the number is out of range.
    pub fn insert(&self, fd: c_int) -> bool {
        let fits = (0..WATCHED_FDS as c_int).contains(&fd);
        if fits {
            self.0[fd as usize / 64].fetch_or(1 << (fd % 64), Ordering::AcqRel);
        }
        fits
    }
    /// Removes `fd`.
    pub fn remove(&self, fd: c_int) {
        if (0..WATCHED_FDS as c_int).contains(&fd) {
            self.0[fd as usize / 64].fetch_and(!(1 << (fd % 64)), Ordering::AcqRel);
        }
    }
    /// The members within `first..=last`, ascending.
    pub fn within(&self, first: c_uint, last: c_uint) -> impl Iterator<Item = c_int> + '_ {
        let last = last.min(WATCHED_FDS as c_uint - 1);
        (first..last.saturating_add(1)).map(|fd| fd as c_int).filter(|&fd| self.contains(fd))
    }
}

impl Default for FdSet {
    fn default() -> Self {
        Self::new()
    }
}

/// Numbers of the model's own descriptors; the program's `close` must not reach them.
pub static HIDDEN: FdSet = FdSet::new();
const HIDDEN_SLOTS: usize = 8192;
static HIDDEN_NUMBERS: [AtomicI32; HIDDEN_SLOTS] = [const { AtomicI32::new(-1) }; HIDDEN_SLOTS];

/// A descriptor of the model's own, out of the program's way: above the low numbers that programs choose,
/// close-on-exec, refused to the program's `close`, and moved aside when the program claims its number.
#[derive(Debug)]
pub struct HiddenFd {
    slot: usize,
}

impl HiddenFd {
    /// Takes over `fd`, moving it to a high number where the descriptor limit allows.
    pub fn adopt(fd: c_int) -> std::io::Result<HiddenFd> {
        // SAFETY: fcntl and close on a descriptor that the caller hands over.
        let number = unsafe {
            let high = next::fcntl(fd, libc::F_DUPFD_CLOEXEC, 700);
            if high >= 0 {
                next::close(fd);
                high
            } else {
                next::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC as c_ulong);
                fd
            }
        };
        for (slot, cell) in HIDDEN_NUMBERS.iter().enumerate() {
            if cell.compare_exchange(-1, number, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                HIDDEN.insert(number);
                return Ok(HiddenFd { slot });
            }
        }
        // SAFETY: the number is ours and not recorded anywhere.
        unsafe { next::close(number) };
        Err(std::io::Error::from_raw_os_error(libc::EMFILE))
    }

    /// The present number.
    pub fn number(&self) -> c_int {
        HIDDEN_NUMBERS[self.slot].load(Ordering::Acquire)
    }
}

impl Drop for HiddenFd {
    fn drop(&mut self) {
        let number = HIDDEN_NUMBERS[self.slot].swap(-1, Ordering::AcqRel);
        HIDDEN.remove(number);
        // SAFETY: the number was ours until this line.
        unsafe { next::close(number) };
    }
}

/// A new zeroed memory file of `len` bytes.
pub fn memory_file(name: &CStr, len: usize) -> std::io::Result<HiddenFd> {
    // SAFETY: a NUL-terminated name; the descriptor is handed on at once.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    let file = HiddenFd::adopt(fd)?;
    // SAFETY: ftruncate of our own descriptor.
    if unsafe { libc::ftruncate(file.number(), len as libc::off_t) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(file)
}

/// Moves the hidden descriptor away from `fd`, because the program is about to put something there.
pub fn make_way(fd: c_int) {
    for cell in &HIDDEN_NUMBERS {
        if cell.load(Ordering::Acquire) == fd {
            // SAFETY: duplicates a descriptor of ours; the caller replaces the old number itself.
            let moved = unsafe { next::fcntl(fd, libc::F_DUPFD_CLOEXEC, 700) };
            if moved >= 0 {
                HIDDEN.insert(moved);
                cell.store(moved, Ordering::Release);
                HIDDEN.remove(fd);
            }
            return;
        }
    }
}

/// Closes every hidden descriptor: a forked child has no use for what served its parent's device threads.
pub fn close_hidden() {
    for cell in &HIDDEN_NUMBERS {
        let number = cell.swap(-1, Ordering::AcqRel);
        if number >= 0 {
            HIDDEN.remove(number);
            // SAFETY: a descriptor of ours.
            unsafe { next::close(number) };
        }
    }
}

/// The system's page size in bytes (never assumed to be 4096).
pub fn page_size() -> usize {
    // SAFETY: sysconf has no precondition.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// The process id from the kernel, which a `vfork` child does not share with its parent.
pub fn pid() -> c_int {
    // SAFETY: getpid has no precondition.
    unsafe { libc::getpid() }
}

fn futex_shared(word: &AtomicU64, operation: c_int, value: u32, spec: *const libc::timespec) {
    // the low half: both architectures are little-endian
    let half = word.as_ptr().cast::<u32>();
    // SAFETY: `word` and `spec` outlive the call; an AtomicU64 is aligned for its half.
    unsafe { libc::syscall(libc::SYS_futex, half, operation, value, spec) };
}

/// NUMA node of the processor that runs this thread.
pub fn current_node() -> Option<u32> {
    let (mut cpu, mut node) = (0u32, 0u32);
    // SAFETY: two writable words; the third argument is unused.
    let asked = unsafe { libc::syscall(libc::SYS_getcpu, &mut cpu, &mut node, std::ptr::null::<c_void>()) };
    (asked == 0).then_some(node)
}

/// Whether there is a process of this number.
pub fn process_exists(pid: u64) -> bool {
    // SAFETY: signal 0 only asks.
    let asked = unsafe { libc::kill(pid as c_int, 0) };
    pid != 0 && (asked == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM))
}

/// Sleeps while the low half of `word`, in a file shared between processes, is that of `expected`: until woken or until
/// `timeout` has passed. May wake for no reason.
pub fn futex_wait_shared(word: &AtomicU64, expected: u64, timeout: Option<std::time::Duration>) {
    let spec = timeout.map(|t| libc::timespec { tv_sec: t.as_secs() as _, tv_nsec: t.subsec_nanos() as _ });
    let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    futex_shared(word, libc::FUTEX_WAIT, expected as u32, spec);
}

/// Wakes all sleepers on the low half of `word`, in all processes. Async-signal-safe.
pub fn futex_wake_shared(word: &AtomicU64) {
    futex_shared(word, libc::FUTEX_WAKE, c_int::MAX as u32, std::ptr::null());
}

/// Milliseconds of the monotonic clock, comparable between processes.
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

/// Monotonic time in nanoseconds, the same clock in all processes.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Runs `f` with every signal blocked in this thread, so that a thread started inside inherits that.
pub fn with_signals_blocked<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: both sets are initialised by the calls before they are used.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        next::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
        let result = f();
        next::pthread_sigmask(libc::SIG_SETMASK, &old, std::ptr::null_mut());
        result
    }
}
