//! The switch by which an administrator turns devices off while programs run (`warpdrive off`).
//!
//! A switch is a small file that processes map and never write. A process obeys, in the directory of its counter file
//! and in the system's: `switch`, which must belong to root or to the owner of the directory, and `switch-<uid>` of its
//! own user. Nobody else may be able to write to one: who can write to a file can cut it short, and then looking at its
//! mapping is fatal. So a member of the group can switch off his own programs, and root everybody's.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use once_cell::race::OnceBox;

use super::DEFAULT_DIRECTORY;
use super::reader::text;
use crate::uacce::node;
use crate::uacce::region::ReadOnly;

/// Bytes of a switch.
const SIZE: usize = 256;
const MAGIC: [u8; 8] = *b"WDSWITCH";
/// Offset of the state (u64): 1 is off, everything else on.
const STATE: usize = 8;
/// Offset of the time of the last change (u64, seconds since 1970).
const SINCE: usize = 16;
/// Offset of the user who made it (u64).
const BY: usize = 24;
/// Offset of the reason, padded with NUL.
const REASON: usize = 32;
const OFF: u64 = 1;

/// Milliseconds between two looks for a switch that does not exist.
const INTERVAL: u64 = 250;

/// The switches that this process obeys.
pub(super) struct Obeyed {
    directories: Vec<Directory>,
    /// When to look again, in milliseconds.
    due: AtomicU64,
}

struct Directory {
    path: PathBuf,
    /// That of the whole directory, and that of our user.
    switches: [OnceBox<ReadOnly>; 2],
    /// The process may not look, and does not try again.
    refused: AtomicBool,
}

pub(super) fn enabled(directory: &Path) -> bool {
    static OBEYED: OnceBox<Obeyed> = OnceBox::new();
    OBEYED.get_or_init(|| Box::new(Obeyed::new(&[directory, Path::new(DEFAULT_DIRECTORY)]))).enabled()
}

impl Obeyed {
    pub(super) fn new(directories: &[&Path]) -> Obeyed {
        let mut paths: Vec<PathBuf> = directories.iter().map(|path| path.to_path_buf()).collect();
        paths.dedup();
        let directory =
            |path| Directory { path, switches: Default::default(), refused: AtomicBool::new(false) };
        let directories = paths.into_iter().map(directory).collect();
        Obeyed { directories, due: AtomicU64::new(0) }
    }

    pub(super) fn enabled(&self) -> bool {
        let mut complete = true;
        for directory in &self.directories {
            for switch in &directory.switches {
                match switch.get() {
                    Some(page) if page.load(STATE) == Some(OFF) => return false,
                    Some(_) => {}
                    None => complete &= directory.refused.load(Ordering::Relaxed),
                }
            }
        }
        complete || !self.is_due() || self.look()
    }

    /// Makes the next look due, whatever the time.
    #[cfg(test)]
    pub(super) fn look_is_due(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    /// Whether some directory has not refused us.
    #[cfg(test)]
    pub(super) fn may_look(&self) -> bool {
        self.directories.iter().any(|directory| !directory.refused.load(Ordering::Relaxed))
    }

    fn is_due(&self) -> bool {
        let now = node::coarse_milliseconds();
        let due = self.due.load(Ordering::Relaxed);
        // One thread looks, the others go by what is known.
        now >= due
            && self.due.compare_exchange(due, now + INTERVAL, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Maps switches that have appeared; whether none of them says off.
    fn look(&self) -> bool {
        let mut on = true;
        for directory in &self.directories {
            if directory.refused.load(Ordering::Relaxed) {
                continue;
            }
            if let Err(error) = directory.look()
                && error.kind() == io::ErrorKind::PermissionDenied
            {
                directory.refused.store(true, Ordering::Relaxed);
            }
            on &= directory.switches.iter().all(|s| s.get().and_then(|page| page.load(STATE)) != Some(OFF));
        }
        on
    }
}

impl Directory {
    fn look(&self) -> io::Result<()> {
        // First an open: a sandbox answers it with an error, other calls perhaps not so gently.
        let owner = File::open(&self.path)?.metadata()?.uid();
        let user = node::effective_user();
        let candidates = [(self.path.join(SYSTEM), [0, owner]), (self.path.join(of_user(user)), [0, user])];
        for (switch, (path, owners)) in self.switches.iter().zip(candidates) {
            if switch.get().is_some() {
                continue;
            }
            match open(&path, false) {
                Ok((file, metadata)) if trusted(&metadata, owners) && is_switch(&file) => {
                    let page = ReadOnly::of_file(&file, SIZE).map_err(io::Error::from_raw_os_error)?;
                    let _ = switch.set(Box::new(page));
                }
                // Somebody else's file under that name is no switch.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Name of the switch of a whole directory.
const SYSTEM: &str = "switch";

fn of_user(user: u32) -> String {
    format!("switch-{user}")
}

fn open(path: &Path, write: bool) -> io::Result<(File, Metadata)> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn trusted(metadata: &Metadata, owners: [u32; 2]) -> bool {
    let whole = metadata.is_file() && metadata.len() >= SIZE as u64;
    whole && owners.contains(&metadata.uid()) && metadata.mode() & 0o022 == 0
}

fn is_switch(file: &File) -> bool {
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == MAGIC
}

/// What a switch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Devices are off.
    pub off: bool,
    /// When that was said, in seconds since 1970.
    pub since: u64,
    /// The user who said it.
    pub by: u64,
    /// Why; printable ASCII.
    pub reason: String,
}

/// The switch that this user may turn for the programs that count in `directory`: that of the whole directory for root
/// and the directory's owner, otherwise his own.
///
/// # Errors
/// The directory cannot be looked at.
pub fn own(directory: &Path) -> io::Result<PathBuf> {
    let (owner, user) = (std::fs::metadata(directory)?.uid(), node::effective_user());
    Ok(directory.join(if user == 0 || user == owner { SYSTEM.to_owned() } else { of_user(user) }))
}

/// Every switch in `directory` that some process obeys, by name, and what it says.
///
/// # Errors
/// The directory cannot be listed.
pub fn all(directory: &Path) -> io::Result<Vec<(String, State)>> {
    let owner = std::fs::metadata(directory)?.uid();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let user = match name.strip_prefix("switch-").map(str::parse) {
            Some(Ok(user)) => user,
            _ if name == SYSTEM => owner,
            _ => continue,
        };
        if let Ok((file, metadata)) = open(&directory.join(&name), false)
            && trusted(&metadata, [0, user])
            && let Some(state) = read(&file)
        {
            found.push((name, state));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

fn read(file: &File) -> Option<State> {
    let mut content = [0; SIZE];
    file.read_exact_at(&mut content, 0).ok()?;
    let word = |at: usize| u64::from_le_bytes(content[at..at + 8].try_into().unwrap_or_default());
    let state =
        State { off: word(STATE) == OFF, since: word(SINCE), by: word(BY), reason: text(&content[REASON..]) };
    (content[..8] == MAGIC).then_some(state)
}

/// Turns the switch at `path`, which is made if there is none.
///
/// # Errors
/// It can be neither written nor made, or something else has its name.
pub fn turn(path: &Path, off: bool, reason: &str) -> io::Result<()> {
    let user = node::effective_user();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut content = [0; SIZE];
    content[..8].copy_from_slice(&MAGIC);
    content[STATE..][..8].copy_from_slice(&(if off { OFF } else { 0 }).to_le_bytes());
    content[SINCE..][..8].copy_from_slice(&since.to_le_bytes());
    content[BY..][..8].copy_from_slice(&u64::from(user).to_le_bytes());
    let length = reason.len().min(SIZE - REASON);
    content[REASON..][..length].copy_from_slice(&reason.as_bytes()[..length]);
    match make(path, &content) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result,
    }
    let (file, metadata) = open(path, true)?;
    let owner = directory_of(path).metadata()?.uid();
    if !trusted(&metadata, [owner, user]) && !trusted(&metadata, [0, user]) || !is_switch(&file) {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something else has the name of the switch",
        ));
    }
    // In place, since processes have it mapped; one write, so that two commands at a time do not mix.
    file.write_all_at(&content[STATE..], STATE as u64)
}

/// Makes a switch that is there with its whole content or not at all.
fn make(path: &Path, content: &[u8]) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&draft)?;
    let filled = file.write_all_at(content, 0).and_then(|()| {
        // For the group of the directory, also where that is not passed on by itself.
        let group = directory_of(path).metadata()?.gid();
        let _ = fchown(&file, None, Some(group));
        file.set_permissions(Permissions::from_mode(0o640))?;
        std::fs::hard_link(&draft, path)
    });
    let _ = std::fs::remove_file(&draft);
    filled
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
