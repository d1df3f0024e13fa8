//! State that the processes of a run share: a directory, its log, and files of counters mapped by all.
//!
//! UNSAFE: maps files and views them as atomic words; and touches only files that the model itself sizes.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use crate::sys;

/// The directory of a run: `ledger`, `model.log` and `trace` on top, everything else below `state/`.
#[derive(Debug)]
pub struct SharedDir {
    path: PathBuf,
    log: CString,
    /// Made by this process for itself alone; removed when it exits.
    pub private: bool,
}

/// What the names of private directories start with; the process id follows.
const PRIVATE: &str = "warpdrive-model-";
const NAMESPACE: &str = "/proc/self/ns/pid";

/// Removes the private directories of processes that were killed, left by `_exit`, or became another program.
fn sweep(temporary: &Path) {
    let (Ok(entries), Ok(here)) = (fs::read_dir(temporary), fs::read_link(NAMESPACE)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PRIVATE)?.parse().ok());
        // SAFETY: geteuid has no precondition.
        let mine = |found: fs::Metadata| found.is_dir() && found.uid() == unsafe { libc::geteuid() };
        if pid.is_some_and(|pid: u64| pid > 0 && !sys::process_exists(pid))
            && entry.metadata().is_ok_and(mine)
            && fs::read_link(entry.path().join("namespace")).is_ok_and(|space| space == here)
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl SharedDir {
    /// The directory that `WARPDRIVE_MODEL_DIR` names, made if it is not there.
    pub fn named(path: &Path) -> io::Result<SharedDir> {
        fs::create_dir_all(path)?;
        SharedDir::at(fs::canonicalize(path)?, false)
    }

    /// A directory of this process's own. Its name holds the process id, so that a program which replaces
    /// itself by exec finds it again.
    pub fn private() -> io::Result<SharedDir> {
        let path = std::env::temp_dir().join(format!("{PRIVATE}{}", sys::pid()));
        sweep(&std::env::temp_dir());
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(&path)?;
                // SAFETY: geteuid has no precondition.
                let me = unsafe { libc::geteuid() };
                if !found.is_dir() || found.uid() != me || found.mode() & 0o077 != 0 {
                    return Err(e);
                }
            }
            other => other?,
        }
        let path = fs::canonicalize(path)?;
        // process ids mean something in their own namespace only
        let _ = fs::read_link(NAMESPACE).and_then(|space| symlink(space, path.join("namespace")));
        SharedDir::at(path, true)
    }

    fn at(path: PathBuf, private: bool) -> io::Result<SharedDir> {
        fs::create_dir_all(path.join("state"))?;
        let log = CString::new(path.join("model.log").as_os_str().as_bytes())?;
        Ok(SharedDir { path, log, private })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path below `state/`.
    pub fn state(&self, name: &str) -> PathBuf {
        self.path.join("state").join(name)
    }

    /// Appends a line to `model.log`. A log that cannot be written is not the program's concern.
    pub fn log(&self, text: &str) {
        let line = format!("[{}] {text}\n", sys::pid());
        let file = OpenOptions::new().append(true).create(true).mode(0o666).open(self.path.join("model.log"));
        if let Ok(mut file) = file {
            let _ = file.write_all(line.as_bytes());
        }
    }

    /// Appends a line to the file `trace`, in one write, so that the lines of several processes do not mix.
    pub fn trace(&self, line: &str) {
        let file = OpenOptions::new().append(true).create(true).mode(0o666).open(self.path.join("trace"));
        if let Ok(mut file) = file {
            let _ = file.write_all(line.as_bytes());
        }
    }

    /// Appends raw bytes to `model.log` by system calls alone, for a signal handler.
    pub fn log_from_signal(&self, parts: &[&[u8]]) {
        // SAFETY: `log` is NUL-terminated and lives as long as `self`; slices are initialised.
        unsafe {
            let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
            let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, self.log.as_ptr(), flags, 0o666);
            if fd >= 0 {
                for part in parts {
                    libc::syscall(libc::SYS_write, fd, part.as_ptr(), part.len());
                }
                libc::syscall(libc::SYS_close, fd);
            }
        }
    }
}

/// An exclusive lock between processes, held by an open file; released when it drops or its holder dies.
#[derive(Debug)]
pub struct FileLock(#[expect(dead_code, reason = "held for its lock")] fs::File);

impl FileLock {
    /// Waits for the lock on `path`, which is created if need be.
    pub fn take(path: &Path) -> io::Result<FileLock> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o666).open(path)?;
        loop {
            // SAFETY: flock on an open descriptor.
            if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } == 0 {
                return Ok(FileLock(file));
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

/// Makes a file `len` bytes long, with room on its file system: a mapping of a full one would raise SIGBUS.
pub fn make_room(file: &fs::File, len: u64) -> io::Result<()> {
    let bytes = libc::off_t::try_from(len).map_err(io::Error::other)?;
    // SAFETY: fallocate on an open descriptor.
    if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, bytes) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // not every file system can
        error if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => file.set_len(len),
        error => Err(error),
    }
}

/// A file of atomic 64-bit words, mapped for the life of the process by every process of the run.
#[derive(Debug)]
pub struct SharedWords {
    words: &'static [AtomicU64],
}

impl SharedWords {
    /// Maps the first `count` words of `path`; a file that is new or short grows with zeros.
    pub fn open(path: &Path, count: usize) -> io::Result<SharedWords> {
        if count == 0 {
            return Ok(SharedWords { words: &[] });
        }
        let bytes = count * size_of::<AtomicU64>();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o666).open(path)?;
        {
            let _sizing = FileLock::take(path)?;
            if file.metadata()?.len() < bytes as u64 {
                make_room(&file, bytes as u64)?;
            }
        }
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new shared mapping of a file that is at least `bytes` long and never shrinks.
        let at = unsafe {
            sys::next::mmap(std::ptr::null_mut(), bytes, prot, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: page-aligned, `bytes` long, never unmapped; every access by anybody is atomic.
        let words = unsafe { std::slice::from_raw_parts(at.cast::<AtomicU64>(), count) };
        Ok(SharedWords { words })
    }

    /// The words.
    pub fn words(&self) -> &'static [AtomicU64] {
        self.words
    }
}

/// A short stable name for a text: FNV-1a in hexadecimal. Tells runs with different settings apart.
pub fn fingerprint(text: &str) -> String {
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_has_its_room_on_the_file_system() {
        let path = std::env::temp_dir().join(format!("wd-room-test-{}", sys::pid()));
        SharedWords::open(&path, 8192).unwrap();
        let file = fs::metadata(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(file.len(), 65536);
        assert!(file.blocks() * 512 >= 65536, "{} blocks", file.blocks());
    }
}
