//! The counter file that a process counts in: found or made, taken over, mapped, enlarged.
//!
//! A file belongs to whoever holds its lock (flock). The kernel lets go of the lock with the last mapping, however the
//! process ends and whoever inherited the mapping, so no process id has to be trusted. A process takes over a file that a
//! dead process of the same user left, so there are never more files than processes at the same time. What the dead one
//! counted stays where it is: only a note of how much that was (the baseline) is made, so no crash can lose or double it.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use once_cell::race::OnceBox;

use super::layout::{FIRST_SHARDS, HEADER, Layout, MAGIC, PROGRAM, SHARDS, UNFINISHED, word};
use super::schema::WORDS;
use crate::uacce::{Region, node, process};

/// Names that may fail for another reason than being in use.
const MOST_ERRORS: u32 = 8;

/// A mapped counter file.
pub(super) struct Page {
    region: Region,
    layout: Layout,
    path: PathBuf,
    /// Device and inode, to find the same file again.
    file: (u64, u64),
    /// Process that made or took over the file.
    pid: u32,
    /// Its number ([`process::identity`]), 0 until it has opened a queue: then no sandbox minds our system calls.
    identity: AtomicU64,
    /// Shards that the file has; only then may one be touched.
    shards: AtomicUsize,
    /// A thread is adding shards. Never waited for.
    growing: AtomicBool,
    /// Shards that a thread has for itself, one bit each.
    taken: AtomicU64,
    /// The file of a child that inherited this one and made its own.
    pub(super) next: OnceBox<Page>,
}

impl Page {
    /// Opens a file in `directory` that nobody else counts in, new or left by a dead process of this user.
    ///
    /// # Errors
    /// The directory cannot be opened or written, or every name that was tried is in use.
    pub(super) fn open(directory: &Path, layout: &Layout) -> io::Result<Page> {
        // First an open: a sandbox answers it with an error, other calls perhaps not so gently.
        drop(File::open(directory)?);
        let (user, pid) = (node::effective_user(), std::process::id());
        let schema = layout.fingerprint();
        let mut errors = 0;
        for slot in slots(pid) {
            let name = format!("core-{user}-{schema:016x}-{slot}.stats");
            match Page::open_file(&directory.join(name), layout, user) {
                Ok(page) => return Ok(page),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Somebody else's file under our name, or a damaged one, is left alone.
                Err(error) => {
                    errors += 1;
                    if errors == MOST_ERRORS {
                        return Err(error);
                    }
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn open_file(path: &Path, layout: &Layout, user: u32) -> io::Result<Page> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o640);
        let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
        file.try_lock()?;
        let metadata = file.metadata()?;
        // A second link could be somebody's trap: a file of ours from elsewhere under a name in this directory.
        if !metadata.is_file() || metadata.uid() != user || metadata.nlink() != 1 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let shards = match prepared(&file, metadata.len(), layout)? {
            Some(shards) => shards,
            None => {
                // Whatever the host's umask: readable for the group, writable for the user alone, since who can write
                // to a file can also cut it short under our mapping.
                file.set_permissions(Permissions::from_mode(0o640))?;
                file.set_len(0)?;
                // Written, not left as holes: a full file system must not show itself when the mapping is used.
                file.write_all_at(&layout.blank(), 0)?;
                file.write_all_at(&MAGIC, 0)?;
                FIRST_SHARDS
            }
        };
        let region = Region::of_file(&file, layout.shard(SHARDS)).map_err(io::Error::from_raw_os_error)?;
        let page = Page {
            region,
            layout: layout.clone(),
            path: path.to_owned(),
            file: (metadata.dev(), metadata.ino()),
            pid: std::process::id(),
            identity: AtomicU64::new(0),
            shards: AtomicUsize::new(shards),
            growing: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            next: OnceBox::new(),
        };
        page.own(user);
        // The lock stays with the mapping when the descriptor is closed here.
        Ok(page)
    }

    /// Enters this process as the owner, with what was counted before it as the baseline.
    fn own(&self, user: u32) {
        let sequence = self.at(word::SEQUENCE);
        // Odd also after an owner that died in the middle of this.
        let odd = sequence.load(Ordering::Relaxed) | 1;
        sequence.store(odd, Ordering::SeqCst);
        // Of a new file all this is zero, and better not touched before it is needed.
        for index in (0..WORDS).filter(|_| self.at(word::PROCESSES).load(Ordering::Relaxed) > 0) {
            self.at(self.layout.baseline + 8 * index).store(self.total(index), Ordering::Relaxed);
        }
        for index in 0..self.layout.gauge_words {
            self.at(self.layout.gauges + 8 * index).store(0, Ordering::Relaxed);
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.at(word::PID).store(u64::from(self.pid), Ordering::Relaxed);
        self.at(word::UID).store(u64::from(user), Ordering::Relaxed);
        self.at(word::STARTED).store(since.as_secs(), Ordering::Relaxed);
        self.at(word::PROCESSES).fetch_add(1, Ordering::Relaxed);
        let mut name = [0; PROGRAM];
        let program = program();
        let length = program.len().min(PROGRAM - 1);
        name[..length].copy_from_slice(&program[..length]);
        for (index, part) in name.chunks_exact(8).enumerate() {
            let value = u64::from_le_bytes(part.try_into().unwrap_or_default());
            self.at(word::PROGRAM + 8 * index).store(value, Ordering::Relaxed);
        }
        sequence.store(odd.wrapping_add(1), Ordering::SeqCst);
    }

    /// Whether the file is this process's own and not its parent's, asked by a process that has opened a queue.
    pub(super) fn is_ours(&self) -> bool {
        let own = process::identity();
        if self.pid != std::process::id() {
            return false;
        }
        let claim = self.identity.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed);
        claim.map_or_else(|other| other == own, |_| true)
    }

    /// A word of the file; inside by construction of the callers.
    fn at(&self, offset: usize) -> &AtomicU64 {
        // Never taken; a counter is not worth a panic.
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        self.region.atomic_u64(offset).unwrap_or(&NOWHERE)
    }

    /// Word `index` of `shard`, one of those that the file has.
    pub(super) fn word(&self, shard: usize, index: usize) -> &AtomicU64 {
        self.at(self.layout.shard(shard) + 8 * index)
    }

    /// The present value of gauge `index`, if there is one.
    pub(super) fn gauge(&self, index: usize) -> Option<&AtomicU64> {
        (index < self.layout.gauge_words).then(|| self.at(self.layout.gauges + 8 * index))
    }

    /// What was counted under word `index` in this file, by whomever.
    fn total(&self, index: usize) -> u64 {
        let shards = self.shards.load(Ordering::Acquire);
        (0..shards).fold(0, |sum, shard| sum.wrapping_add(self.word(shard, index).load(Ordering::Relaxed)))
    }

    /// What was counted under word `index` since this process has the file.
    pub(super) fn counted(&self, index: usize) -> u64 {
        let before = self.at(self.layout.baseline + 8 * index).load(Ordering::Relaxed);
        self.total(index).wrapping_sub(before)
    }

    /// A shard for a thread, and whether it may keep it; until it may, it shares one of the first.
    pub(super) fn take_shard(&self) -> (usize, bool) {
        let free = |taken: u64| (!taken != 0).then(|| taken | (taken + 1));
        let before = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        let Ok(before) = before else {
            // All are taken: one more thread on some of them.
            static TURN: AtomicUsize = AtomicUsize::new(0);
            let turn = TURN.fetch_add(1, Ordering::Relaxed);
            return (turn % self.shards.load(Ordering::Acquire), false);
        };
        let shard = before.trailing_ones() as usize;
        if shard < self.shards.load(Ordering::Acquire) || self.grow(shard + 1) {
            return (shard, true);
        }
        self.give_back(shard);
        (shard % self.shards.load(Ordering::Acquire), false)
    }

    /// The thread that had `shard` to itself ends.
    pub(super) fn give_back(&self, shard: usize) {
        self.taken.fetch_and(!(1 << shard), Ordering::Relaxed);
    }

    /// Gives the file `wanted` shards; false if that cannot be now.
    fn grow(&self, wanted: usize) -> bool {
        let identity = self.identity.load(Ordering::Relaxed);
        if identity == 0 || identity != process::identity() || self.growing.swap(true, Ordering::Acquire) {
            return false;
        }
        let have = self.shards.load(Ordering::Acquire);
        let done = have >= wanted || self.enlarge(have, wanted).is_ok();
        self.growing.store(false, Ordering::Release);
        done
    }

    fn enlarge(&self, have: usize, wanted: usize) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
        // By name: a descriptor kept open could be closed by the host, and its number mean another file.
        let file = options.open(&self.path)?;
        let metadata = file.metadata()?;
        let offset = self.layout.shard(have) as u64;
        if (metadata.dev(), metadata.ino()) != self.file || metadata.len() < offset {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Beyond what the count says there may be the rest of an attempt that failed, zeros as well.
        file.write_all_at(&vec![0; (wanted - have) * self.layout.stride], offset)?;
        self.at(word::SHARD_COUNT).store(wanted as u64, Ordering::Release);
        self.shards.store(wanted, Ordering::Release);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The number of shards of a file that can be counted in as it is; `None` if it is empty or was never finished.
fn prepared(file: &File, len: u64, layout: &Layout) -> io::Result<Option<usize>> {
    let mut head = vec![0; HEADER + layout.schema.len()];
    if len < MAGIC.len() as u64 {
        return if len == 0 { Ok(None) } else { Err(io::ErrorKind::InvalidData.into()) };
    }
    file.read_exact_at(&mut head[..8], 0)?;
    if head[..8] == UNFINISHED {
        return Ok(None);
    }
    file.read_exact_at(&mut head, 0)?;
    layout.describes(&head, len).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Names to try, by number: few files where few processes run at a time, few attempts where many do.
fn slots(pid: u32) -> impl Iterator<Item = u32> {
    const LEVELS: u32 = 10;
    const TRIES: u32 = 4;
    (0..LEVELS).flat_map(move |level| {
        // Levels of 8, 16, 32, … numbers follow one another.
        let (size, begin) = (8 << level, (8 << level) - 8);
        let start = pid.wrapping_mul(0x9e37_79b9).rotate_left(level * 3 + 7);
        (0..TRIES).map(move |turn| begin + start.wrapping_add(turn) % size)
    })
}

/// How the program was called, without its directory.
fn program() -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    let called = std::env::args_os().next().unwrap_or_default().into_vec();
    called.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec()
}
