//! Counters in a memory-mapped file that any reader can sum (ARCHITECTURE.md, counter files), or in the
//! process alone where no file is wanted or possible.
//!
//! The file is made at the first count, not at load. A forked child inherits the shared mapping and counts
//! on in the same file.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use once_cell::race::OnceBox;

use crate::job::{Op, Why};
use crate::uacce::Region;

mod event;
pub mod histogram;

pub use event::Event;
use histogram::Shape;

/// Where counter files go if the administrator has made the directory.
pub const DEFAULT_DIRECTORY: &str = "/run/warpdrive/stats";

/// Environment variable with the directory, set by `warpdrive run`.
pub const DIRECTORY_VARIABLE: &str = "WARPDRIVE_STATS_DIR";

/// Bytes of one record: name, value, reserved.
const RECORD: usize = 64;
/// Bytes of the name, padded with NUL.
const NAME: usize = 48;
/// Device counters: requests and bytes for each kind of work.
const DEVICE: usize = 2 * Op::ALL.len();
/// Where the events begin.
const EVENTS: usize = DEVICE + Why::NAMES.len();
/// All counters.
const COUNT: usize = EVENTS + Event::NAMES.len();
/// Bytes of a counter file.
const SIZE: usize = (COUNT + 1) * RECORD;
/// Largest file a reader looks at.
const LARGEST_FILE: u64 = 1 << 20;

/// Counters of a process without a file.
static LOCAL: [AtomicU64; COUNT] = [const { AtomicU64::new(0) }; COUNT];
/// Nanoseconds: units of 64, up to 69 seconds, each bucket at most an eighth of its values wide.
const LATENCY: Shape = Shape { shift: 6, digits: 3, buckets: 8 + 27 * 8 + 1 };
/// Requests of others in flight: exact up to 16, up to the deepest queue of any generation.
const DEPTH: Shape = Shape { shift: 0, digits: 3, buckets: 8 + 8 * 8 + 1 };
static LATENCIES: [[AtomicU64; LATENCY.buckets as usize]; 2 * Op::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; LATENCY.buckets as usize] }; 2 * Op::ALL.len()];
static DEPTHS: [[AtomicU64; DEPTH.buckets as usize]; Op::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; DEPTH.buckets as usize] }; Op::ALL.len()];
static GAUGES: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];
static DIRECTORY: OnceBox<PathBuf> = OnceBox::new();
static PAGE: OnceBox<Region> = OnceBox::new();
/// Making the file failed once; it is not tried again.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Names the directory in which this process's counter file shall be made. The first call decides.
pub(crate) fn use_directory(directory: PathBuf) {
    let _ = DIRECTORY.set(Box::new(directory));
}

/// Counts one request that a device completed; `bytes` count only if it ended well.
pub fn device(op: Op, bytes: u64, ok: bool) {
    add(2 * op.index(), 1);
    if ok {
        add(2 * op.index() + 1, bytes);
    }
}

/// Counts one request that software served.
pub fn software(why: Why) {
    add(DEVICE + why.index(), 1);
}

/// Counts one request of `op` that software served. As [`software`], with the kind of work known.
pub fn software_for(_op: Op, why: Why) {
    software(why);
}

/// Who did the work that took so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// A device, from the first look for a queue to the checked result.
    Device,
    /// Software.
    Software,
}

/// Records how long one request of `op` took on `side`, in nanoseconds.
pub fn latency(op: Op, side: Side, took_ns: u64) {
    LATENCIES[2 * op.index() + side as usize][LATENCY.index(took_ns)].fetch_add(1, Ordering::Relaxed);
}

/// Records how many requests of others were in flight on the queue that one of `op` was given.
pub fn depth(op: Op, depth: u16) {
    DEPTHS[op.index()][DEPTH.index(u64::from(depth))].fetch_add(1, Ordering::Relaxed);
}

/// Counts an event.
pub fn event(event: Event) {
    add(EVENTS + event.index(), 1);
}

/// Shows `value` as the present value of gauge number `index` of those that [`use_gauges`] named; beyond them nothing
/// happens.
pub fn gauge(index: usize, value: u64) {
    if let Some(gauge) = GAUGES.get(index) {
        gauge.store(value, Ordering::Relaxed);
    }
}

/// Names the gauges of this process: `count` of them (at most 1024), `name(index)` of at most 48 characters from
/// `a-z0-9._-`. The first call decides; it must come before the first count to be seen in this process's file.
pub fn use_gauges(count: usize, name: fn(usize) -> String) {
    let _ = GAUGE_NAMES.set(Box::new((count, name)));
}

static GAUGE_NAMES: OnceBox<(usize, fn(usize) -> String)> = OnceBox::new();

/// Whether devices may be used: false while an administrator has switched them off. One load.
pub fn enabled() -> bool {
    true
}

/// This process's own counters (with a file, those of all processes that inherited it).
pub fn snapshot() -> BTreeMap<String, u64> {
    (0..COUNT).map(|index| (name(index), value(index))).collect()
}

fn value(index: usize) -> u64 {
    let mapped = PAGE.get().and_then(|page| page.atomic_u64(index * RECORD + NAME));
    mapped.map_or(0, |word| word.load(Ordering::Relaxed)) + LOCAL[index].load(Ordering::Relaxed)
}

fn add(index: usize, amount: u64) {
    if amount == 0 {
        return;
    }
    let word = page().and_then(|page| page.atomic_u64(index * RECORD + NAME)).unwrap_or(&LOCAL[index]);
    word.fetch_add(amount, Ordering::Relaxed);
}

fn page() -> Option<&'static Region> {
    if let Some(page) = PAGE.get() {
        return Some(page);
    }
    let directory = DIRECTORY.get()?;
    if REFUSED.load(Ordering::Relaxed) {
        return None;
    }
    let Ok((path, page)) = create(directory, directory == Path::new(DEFAULT_DIRECTORY)) else {
        REFUSED.store(true, Ordering::Relaxed);
        return None;
    };
    // Threads that count for the first time together each make a file; all but one are taken away again, so
    // that no thread waits for another (which a fork might have left behind) and no count is lost.
    match PAGE.set(Box::new(page)) {
        Ok(()) => {
            for (index, local) in LOCAL.iter().enumerate() {
                add(index, local.swap(0, Ordering::Relaxed));
            }
        }
        Err(_) => drop(path.map(std::fs::remove_file)),
    }
    PAGE.get()
}

/// Opens this process's counter file in `directory`, with every name in it, and maps it. The path is that of a file
/// nobody else uses, for the caller to take away should it not need it.
///
/// A run has a directory of its own, which ends with it. The system's directory stays: there the processes of a user
/// share one file, or every process that ever ran would leave one.
fn create(directory: &Path, shared: bool) -> io::Result<(Option<PathBuf>, Region)> {
    let (path, file) = create_own(directory)?;
    let mapped = if shared {
        share(directory, &path, &file).and_then(|file| map(&file)).map(|page| (None, page))
    } else {
        map(&file).map(|page| (Some(path.clone()), page))
    };
    if !matches!(mapped, Ok((Some(_), _))) {
        let _ = std::fs::remove_file(&path);
    }
    mapped
}

fn map(file: &File) -> io::Result<Region> {
    Region::of_file(file, SIZE).map_err(io::Error::from_raw_os_error)
}

/// A new file with every name and zero values.
fn create_own(directory: &Path) -> io::Result<(PathBuf, File)> {
    // Two copies of this crate in one process, and a re-used process id, need a name of their own each.
    for unique in 0..1000 {
        let path = directory.join(format!("core-{}-{unique}.stats", std::process::id()));
        // Readable for all, writable for the user alone, whatever the host's umask: who can write to the file can
        // also cut it short under our mapping.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o644);
        let mut file = match options.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        return match file.write_all(&blank()) {
            Ok(()) => Ok((path, file)),
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        };
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The file that all processes of this user and version count in: `own` under its shared name if this process is the
/// first, otherwise the one that is there.
fn share(directory: &Path, path: &Path, own: &File) -> io::Result<File> {
    let user = own.metadata()?.uid();
    let shared = directory.join(format!("user-{user}-{}.stats", env!("CARGO_PKG_VERSION")));
    // The link appears with its whole content or not at all.
    match std::fs::hard_link(path, &shared) {
        Ok(()) => return own.try_clone(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&shared)?;
    let metadata = file.metadata()?;
    // Somebody else's file of that name, or a damaged one, is not counted in.
    if !metadata.is_file() || metadata.uid() != user || metadata.len() != SIZE as u64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut content = vec![0; SIZE];
    file.read_exact(&mut content)?;
    let same = records(&content).map(|(name, _)| name).eq((0..COUNT).map(name));
    if same { Ok(file) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Every name with value zero, and the end mark.
fn blank() -> Vec<u8> {
    let mut content = vec![0; SIZE];
    for index in 0..COUNT {
        let name = name(index);
        content[index * RECORD..][..name.len()].copy_from_slice(name.as_bytes());
    }
    content
}

fn name(index: usize) -> String {
    if let Some(event) = index.checked_sub(EVENTS) {
        return format!("event.{}", Event::NAMES[event]);
    }
    match index.checked_sub(DEVICE) {
        Some(why) => format!("software.{}", Why::NAMES[why]),
        None => {
            let quantity = if index.is_multiple_of(2) { "requests" } else { "bytes" };
            format!("device.{}.{quantity}", Op::ALL[index / 2].name())
        }
    }
}

/// Sums the counter files of a directory by name, whoever wrote them. What is not a counter file, and what
/// follows a damaged or incomplete record, is passed over.
///
/// # Errors
/// The directory cannot be listed.
pub fn read_dir(directory: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut sums = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if let Ok(bytes) = read_file(&path) {
            for (name, value) in records(&bytes) {
                let sum: &mut u64 = sums.entry(name).or_default();
                *sum = sum.saturating_add(value);
            }
        }
    }
    Ok(sums)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before the open: opening a FIFO would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The records of one counter file up to its end mark, or up to the first that is none.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = (String, u64)> + '_ {
    bytes.chunks_exact(RECORD).map_while(|record| {
        let name = &record[..NAME];
        let length = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
        let (name, padding) = name.split_at(length);
        let legible = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(byte);
        let sound = !name.is_empty() && name.iter().all(legible) && padding.iter().all(|byte| *byte == 0);
        let value = record[NAME..NAME + 8].try_into().ok().map(u64::from_le_bytes)?;
        sound.then(|| (String::from_utf8_lossy(name).into_owned(), value))
    })
}

#[cfg(test)]
mod tests;
