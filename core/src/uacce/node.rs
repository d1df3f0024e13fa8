//! The character device: open, ioctl, poll, close, each behind a check that the descriptor is still ours.
//!
//! UNSAFE: libc calls on a raw descriptor, and four facts of the process (AT_SECURE, user, NUMA node, time). A
//! daemon may close every descriptor and open others under the same numbers, so an owned descriptor that closes blindly
//! would hit a stranger: the identity is compared before every ioctl, poll, mmap and close.
#![expect(unsafe_code)]

use std::ffi::CString;
use std::fs::OpenOptions;
use std::mem::MaybeUninit;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::uacce::abi::{Ioctl, RegionKind};
use crate::uacce::region::{Region, page_size};

mod wakeup;

pub use wakeup::Wakeup;

/// An open device node, which is one hardware queue.
#[derive(Debug)]
pub struct Node {
    held: Held,
}

/// A descriptor of ours, as long as nobody else closes it.
#[derive(Debug)]
struct Held {
    fd: RawFd,
    identity: Identity,
    serial: u64,
    released: AtomicBool,
}

/// Serial number of the node that was the last to get each descriptor number. Two queues of one device have the same
/// [`Identity`]: after a stranger's close, this tells the queue that lost its descriptor from the one that got the
/// number next. Numbers beyond the table go by identity alone.
static HOLDERS: [AtomicU64; 4096] = [const { AtomicU64::new(0) }; 4096];
static SERIAL: AtomicU64 = AtomicU64::new(1);

fn holder(fd: RawFd) -> Option<&'static AtomicU64> {
    HOLDERS.get(usize::try_from(fd).ok()?)
}

/// What fstat says of a descriptor that cannot change while it stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: libc::dev_t,
    inode: libc::ino_t,
    special: libc::dev_t,
}

impl Identity {
    fn of(fd: RawFd) -> Result<Identity, i32> {
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: fstat writes a whole `stat` through the pointer, which has room for one; a bad descriptor
        // is an error code.
        if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
            return Err(last_errno());
        }
        // SAFETY: fstat succeeded, so it filled the structure.
        let stat = unsafe { stat.assume_init() };
        Ok(Identity { device: stat.st_dev, inode: stat.st_ino, special: stat.st_rdev })
    }
}

impl Held {
    /// Takes over a descriptor that was opened a moment ago and is owned by nobody else.
    fn new(fd: RawFd) -> Result<Held, i32> {
        match Identity::of(fd) {
            Ok(identity) => {
                let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
                if let Some(holder) = holder(fd) {
                    holder.store(serial, Ordering::Relaxed);
                }
                Ok(Held { fd, identity, serial, released: AtomicBool::new(false) })
            }
            Err(errno) => {
                // SAFETY: owned by nobody else.
                unsafe { libc::close(fd) };
                Err(errno)
            }
        }
    }

    fn is_ours(&self) -> bool {
        !self.released.load(Ordering::Relaxed) && self.still_ours()
    }

    /// Whether nobody else has closed it.
    fn still_ours(&self) -> bool {
        holder(self.fd).is_none_or(|holder| holder.load(Ordering::Relaxed) == self.serial)
            && Identity::of(self.fd) == Ok(self.identity)
    }

    fn checked(&self) -> Result<RawFd, i32> {
        if self.is_ours() { Ok(self.fd) } else { Err(libc::EBADF) }
    }
}

impl Held {
    /// Closes the descriptor, once: from then on it is not ours.
    fn release(&self) {
        if !self.released.swap(true, Ordering::Relaxed) && self.still_ours() {
            // SAFETY: the descriptor is the one we opened (checked in this moment), and nobody uses it after it was
            // released: every use checks first.
            unsafe { libc::close(self.fd) };
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

impl Node {
    /// Opens `path` read-write and close-on-exec, which reserves one queue of the device.
    ///
    /// # Errors
    /// The errno: EBUSY no free queue, EPERM resetting, ENODEV or EINVAL gone, EACCES no permission
    /// (uacce.md 3.1).
    pub fn open(path: &Path) -> Result<Node, i32> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
        Ok(Node { held: Held::new(file.into_raw_fd())? })
    }

    /// Whether the descriptor still refers to what was opened.
    pub fn is_ours(&self) -> bool {
        self.held.is_ours()
    }

    fn checked(&self) -> Result<RawFd, i32> {
        self.held.checked()
    }

    /// Closes the descriptor of a node that will not be dropped: in a forked child, where the threads that used it are
    /// no more.
    pub(crate) fn let_go(&self) {
        self.held.release();
    }

    /// The descriptor, for others to poll; `None` if it is no longer ours.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.checked().ok()
    }

    /// Issues the ioctl `I`, whose answer beside the argument is nothing.
    ///
    /// # Errors
    /// As [`Node::ask`].
    pub fn ioctl<I: Ioctl>(&self, argument: &mut I::Argument) -> Result<(), i32> {
        self.ask::<I>(argument).map(drop)
    }

    /// Issues the ioctl `I`: the number that it returns.
    ///
    /// # Errors
    /// The errno; EBADF if the descriptor is no longer ours.
    pub fn ask<I: Ioctl>(&self, argument: &mut I::Argument) -> Result<i32, i32> {
        let fd = self.checked()?;
        let pointer: *mut I::Argument =
            if size_of::<I::Argument>() == 0 { ptr::null_mut() } else { argument };
        // SAFETY: the number and the size of the argument belong together (`Ioctl`, whose numbers are checked
        // against the table at compile time); the pointer is null or borrowed for the call; any bytes that
        // the kernel writes are a valid `Argument` (`FromBytes`).
        let result = unsafe { libc::ioctl(fd, I::NUMBER as _, pointer) };
        if result < 0 { Err(last_errno()) } else { Ok(result) }
    }

    /// Maps a region of the queue. `len` is the size that sysfs reports.
    ///
    /// # Errors
    /// The errno (uacce.md 3.4); EBADF if the descriptor is no longer ours.
    pub fn map(&self, kind: RegionKind, len: usize) -> Result<Region, i32> {
        Region::of_device(self.checked()?, kind, kind.index() * page_size(), len)
    }

    /// Sleeps until the kernel hints at a completion or `timeout` has passed. A hint only: the caller looks
    /// at the ring in any case.
    ///
    /// # Errors
    /// EBADF if the descriptor is no longer ours, otherwise poll's errno; an interrupted sleep is a short one.
    pub fn poll(&self, timeout: Duration) -> Result<(), i32> {
        let mut set = libc::pollfd { fd: self.checked()?, events: libc::POLLIN, revents: 0 };
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one pollfd, borrowed for the call.
        let result = unsafe { libc::poll(&mut set, 1, millis) };
        if result < 0 && last_errno() != libc::EINTR { Err(last_errno()) } else { Ok(()) }
    }
}

/// Whether this process may read and write `path`, without opening it (an open would take a queue).
///
/// # Errors
/// The errno of access(2).
pub fn accessible(path: &Path) -> Result<(), i32> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| libc::EINVAL)?;
    // SAFETY: a NUL-terminated string that lives through the call.
    if unsafe { libc::access(path.as_ptr(), libc::R_OK | libc::W_OK) } == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Whether the program runs with more rights than its user (set-id and the like): AT_SECURE.
pub fn secure_execution() -> bool {
    // SAFETY: getauxval has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The user in whose name this process makes files.
pub fn effective_user() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Milliseconds of a clock that never goes back, as of the kernel's last tick: a few late, and cheaper than the exact
/// time. 0 if the kernel has no such clock.
pub fn coarse_milliseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes one timespec through a valid pointer; an unknown clock is an error, which leaves
    // the zeros.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(now.tv_sec).saturating_mul(1000) + part(now.tv_nsec) / 1_000_000
}

/// NUMA node of the processor that runs this thread at the moment; 0 if the kernel does not say.
pub fn current_numa_node() -> i32 {
    let mut node: libc::c_uint = 0;
    // SAFETY: getcpu writes the node through a valid pointer; null for the processor number and the unused
    // third argument is allowed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_getcpu,
            ptr::null_mut::<libc::c_uint>(),
            &raw mut node,
            ptr::null_mut::<libc::c_void>(),
        )
    };
    if result == 0 { i32::try_from(node).unwrap_or(0) } else { 0 }
}

/// errno of the last failed call of this thread.
pub(crate) fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use super::*;

    #[test]
    fn missing_node_is_an_errno() {
        assert_eq!(Node::open(Path::new("/nonexistent/hisi_zip-0")).unwrap_err(), libc::ENOENT);
    }

    #[test]
    fn open_is_close_on_exec() {
        let node = Node::open(Path::new("/dev/null")).unwrap();
        // SAFETY: fcntl on an open descriptor.
        let flags = unsafe { libc::fcntl(node.held.fd, libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    }

    #[test]
    fn descriptor_taken_over_by_another_file_is_neither_used_nor_closed() {
        let node = Node::open(Path::new("/dev/null")).unwrap();
        let fd = node.held.fd;
        let other = std::fs::File::open("/dev/zero").unwrap();
        // SAFETY: dup3 atomically replaces the node's descriptor, as a daemon that closes all and reopens does.
        assert_eq!(unsafe { libc::dup3(other.as_raw_fd(), fd, libc::O_CLOEXEC) }, fd);
        assert!(!node.is_ours());
        assert_eq!(node.ioctl::<crate::uacce::abi::PutQueue>(&mut ()), Err(libc::EBADF));
        assert_eq!(node.poll(Duration::ZERO), Err(libc::EBADF));
        drop(node);
        assert!(Identity::of(fd).is_ok(), "the stranger's descriptor stays open");
        // SAFETY: after the dup3 the number is owned by this test alone.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }

    #[test]
    fn queue_whose_number_went_to_another_queue_of_the_device_leaves_that_one_alone() {
        // Alone in a child: no other thread takes the number in between.
        assert!(crate::testing::in_child(|| {
            let first = Node::open(Path::new("/dev/null")).unwrap();
            // SAFETY: a stranger's close of an open descriptor.
            unsafe { libc::close(first.held.fd) };
            let second = Node::open(Path::new("/dev/null")).unwrap();
            let same_number = first.held.fd == second.held.fd;
            let told_apart = !first.is_ours() && second.is_ours();
            drop(first);
            same_number && told_apart && second.is_ours()
        }));
    }

    #[test]
    fn coarse_time_goes_on_and_not_back() {
        let (begin, exact) = (coarse_milliseconds(), std::time::Instant::now());
        let mut now = begin;
        while now == begin && exact.elapsed() < Duration::from_secs(60) {
            let next = coarse_milliseconds();
            assert!(next >= now);
            now = next;
        }
        assert!(now > begin);
    }

    #[test]
    fn access_follows_permissions() {
        assert_eq!(accessible(Path::new("/dev/null")), Ok(()));
        assert_eq!(accessible(Path::new("/nonexistent")), Err(libc::ENOENT));
    }
}
