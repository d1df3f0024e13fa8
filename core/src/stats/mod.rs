//! Statistics: counters, latency histograms and gauges in a mapped file that any reader can read without the process's
//! help (docs/statistics.md), or in the process alone where no file is wanted or possible; and the switch by which an
//! administrator turns devices off while programs run.
//!
//! A count is one atomic addition to a word that only the calling thread writes: no lock, no allocation, no system call.
//! The file is made at the first count, not at load.
//!
//! **Forked children** count on in the inherited file: a child in a sandbox may be unable to make one, and must not
//! find out by being killed. A child that has opened a queue is in no such sandbox and gets a file of its own then. A
//! file is free for others only when nobody maps it any more, so nothing is lost and nothing counted twice.

mod event;
pub mod histogram;
mod layout;
mod page;
pub mod reader;
mod schema;
mod seat;
pub mod switch;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use once_cell::race::OnceBox;

pub use event::Event;
pub use histogram::Histogram;
pub use reader::{read_dir, records};
pub use schema::Kind;

use crate::job::{Op, Why};
use layout::Layout;
use page::Page;
use schema::WORDS;

/// Where counter files go if the administrator has made the directory.
pub const DEFAULT_DIRECTORY: &str = "/run/warpdrive/stats";

/// Environment variable with the directory, set by `warpdrive run`.
pub const DIRECTORY_VARIABLE: &str = "WARPDRIVE_STATS_DIR";

/// Most gauges that a process may have.
pub const MOST_GAUGES: usize = 4096;

/// The words of a shard, apart from other shards' cache lines.
#[repr(align(128))]
struct Shard([AtomicU64; WORDS]);

/// Counters of a process without a file.
static LOCAL: [Shard; seat::LOCAL_SHARDS] =
    [const { Shard([const { AtomicU64::new(0) }; WORDS]) }; seat::LOCAL_SHARDS];
static DIRECTORY: OnceBox<PathBuf> = OnceBox::new();
static GAUGES: OnceBox<Gauges> = OnceBox::new();
/// The file of this process, or of its first ancestor that had one, and through its `next` those of the children.
static FIRST: OnceBox<Page> = OnceBox::new();
/// Making the file failed once; it is not tried again.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// The gauges of this process. Their values are kept here too, for the files that it will make.
struct Gauges {
    names: fn() -> Vec<String>,
    values: Vec<AtomicU64>,
}

/// Who did the work that took so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// A device, from the first look for a queue to the checked result.
    Device,
    /// Software.
    Software,
}

/// Names the directory in which this process's counter file shall be made. The first call decides.
pub(crate) fn use_directory(directory: PathBuf) {
    let _ = DIRECTORY.set(Box::new(directory));
}

/// Names the gauges of this process: `count` of them (at most [`MOST_GAUGES`]); `names` gives as many distinct names, of 1
/// to 48 characters from `a-z0-9._-`, and is called only when a file is made. The first call decides, and must come before
/// the first count.
pub fn use_gauges(count: usize, names: fn() -> Vec<String>) {
    let values = (0..count.min(MOST_GAUGES)).map(|_| AtomicU64::new(0)).collect();
    let _ = GAUGES.set(Box::new(Gauges { names, values }));
}

/// Counts one request that a device completed; `bytes` count only if it ended well.
pub fn device(op: Op, bytes: u64, ok: bool) {
    if let Some(page) = page() {
        let shard = seat::shard(page, true);
        page.word(shard, schema::requests(op)).fetch_add(1, Ordering::Relaxed);
        if ok && bytes > 0 {
            page.word(shard, schema::bytes(op)).fetch_add(bytes, Ordering::Relaxed);
        }
        return;
    }
    add(schema::requests(op), 1);
    if ok && bytes > 0 {
        add(schema::bytes(op), bytes);
    }
}

/// Counts one request that software served.
pub fn software(why: Why) {
    add(schema::software(why), 1);
}

/// Counts one request of `op` that software served: as [`software`], and by kind of work.
pub fn software_for(op: Op, why: Why) {
    software(why);
    add(schema::reason(op, why), 1);
}

/// Records how long one request of `op` took on `side`, in nanoseconds.
pub fn latency(op: Op, side: Side, took_ns: u64) {
    add(schema::latency(op, side as usize, took_ns), 1);
}

/// Records how many requests of others were in flight on the queue that one of `op` was given.
pub fn depth(op: Op, depth: u16) {
    add(schema::depth(op, depth), 1);
}

/// Counts an event.
pub fn event(event: Event) {
    if event == Event::QueueOpened {
        leave_inherited_page();
    }
    add(schema::event(event), 1);
}

/// Shows `value` as the present value of gauge number `index` of those that [`use_gauges`] named. Makes no file: if
/// there is none yet, the one that the first count makes will show it.
pub fn gauge(index: usize, value: u64) {
    if let Some(own) = GAUGES.get().and_then(|gauges| gauges.values.get(index)) {
        own.store(value, Ordering::Relaxed);
        if let Some(word) = known_page().and_then(|page| page.gauge(index)) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

/// Whether devices may be used: false while an administrator has switched them off.
///
/// A load for each switch that exists; for those that do not, the clock, and a look at most four times a second.
pub fn enabled() -> bool {
    match DIRECTORY.get() {
        None => true,
        Some(directory) => switch::enabled(directory),
    }
}

/// This process's own counters (with an inherited file, those of all processes that count in it); histograms and gauges
/// are left out.
pub fn snapshot() -> BTreeMap<String, u64> {
    let page = known_page();
    let value = |index: usize| {
        let local = LOCAL.iter().map(|shard| shard.0[index].load(Ordering::Relaxed)).sum::<u64>();
        page.map_or(0, |page| page.counted(index)) + local
    };
    let entries = schema::entries(std::iter::empty());
    let counters = entries.into_iter().filter(|entry| entry.kind == Kind::Counter);
    counters.map(|entry| (entry.name, value(entry.first))).collect()
}

fn add(index: usize, amount: u64) {
    let word = match page() {
        Some(page) => page.word(seat::shard(page, false), index),
        None => &LOCAL[seat::local()].0[index],
    };
    word.fetch_add(amount, Ordering::Relaxed);
}

/// The file to count in, made now if this is the first count.
fn page() -> Option<&'static Page> {
    known_page().or_else(first_page)
}

/// The file to count in, if there is one.
fn known_page() -> Option<&'static Page> {
    let mut page = FIRST.get()?;
    while let Some(next) = page.next.get() {
        page = next;
    }
    Some(page)
}

#[cold]
fn first_page() -> Option<&'static Page> {
    let directory = DIRECTORY.get()?;
    if REFUSED.load(Ordering::Relaxed) {
        return None;
    }
    match open_page(directory) {
        // Threads that count for the first time together each open a file; all but one let go of theirs, so that no
        // thread waits for another (which a fork might have left behind).
        Ok(page) => drop(FIRST.set(Box::new(page))),
        Err(error) => {
            REFUSED.store(true, Ordering::Relaxed);
            log::info!("no counter file in {}: {error}", directory.display());
        }
    }
    known_page()
}

/// A child of a fork that has opened a queue gets a file of its own; if it cannot have one, it stays with its parent's.
#[cold]
fn leave_inherited_page() {
    let (Some(page), Some(directory)) = (page(), DIRECTORY.get()) else { return };
    if !page.is_ours()
        && let Ok(own) = open_page(directory)
        && own.is_ours()
    {
        let _ = page.next.set(Box::new(own));
    }
}

fn open_page(directory: &Path) -> io::Result<Page> {
    let gauges = GAUGES.get();
    let names = gauges.map_or_else(Vec::new, |gauges| (gauges.names)());
    let page = Page::open(directory, &Layout::new(&schema::entries(names.into_iter().take(MOST_GAUGES))))?;
    for (index, value) in gauges.into_iter().flat_map(|gauges| gauges.values.iter().enumerate()) {
        if let Some(word) = page.gauge(index) {
            word.store(value.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests;
