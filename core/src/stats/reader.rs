//! Reading counter files, whoever wrote them: nothing in them is believed before it has been checked.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::histogram::{Histogram, MOST_DIGITS, Shape};
use super::layout::{HEADER, MAGIC, PROGRAM, VERSION, word};
use super::schema::{ENTRY, Kind, NAME, legible};

/// Largest file that is looked at.
const LARGEST_FILE: u64 = 16 << 20;
/// Bytes of a record of the device model's ledger: name, value, reserved.
const RECORD: usize = 64;
/// Attempts to read a file whose owner is just being entered.
const MOST_TRIES: usize = 4;

/// What was counted, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// Numbers of things that happened.
    pub counters: BTreeMap<String, u64>,
    /// Latencies (nanoseconds) and queue depths.
    pub histograms: BTreeMap<String, Histogram>,
}

impl Values {
    /// Adds what another has; of histograms that differ in shape, the first stays.
    pub fn merge(&mut self, other: &Values) {
        for (name, value) in &other.counters {
            let sum = self.counters.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*value);
        }
        for (name, histogram) in &other.histograms {
            match self.histograms.get_mut(name) {
                Some(sum) => {
                    let _ = sum.merge(histogram);
                }
                None => drop(self.histograms.insert(name.clone(), histogram.clone())),
            }
        }
    }

    /// Whether anything was counted.
    pub fn any(&self) -> bool {
        self.counters.values().any(|value| *value > 0) || self.histograms.values().any(|h| h.total() > 0)
    }
}

/// The process that a file belongs to, or belonged to last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its process id, as it saw itself (in a container, that is not what others see).
    pub pid: u64,
    /// Its user.
    pub uid: u64,
    /// When it began to count, in seconds since 1970.
    pub started: u64,
    /// How it was called; printable ASCII.
    pub program: String,
    /// What it has counted.
    pub values: Values,
    /// Its cost model's table, by name.
    pub gauges: BTreeMap<String, u64>,
}

/// The content of one counter file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What all processes that had the file counted.
    pub totals: Values,
    /// The last of them; `None` if it died while it was entered.
    pub owner: Option<Owner>,
}

/// One counter file of a directory.
#[derive(Debug, Clone)]
pub struct CounterFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its inode, by which the processes that map it can be found (`/proc/<pid>/maps`).
    pub inode: u64,
    /// Whether a process counts in it at the moment.
    pub alive: bool,
    /// What is in it.
    pub content: Content,
}

/// The counters of a directory, summed by name over all its files: counter files, and ledgers of the device model.
/// What is neither is passed over, and in a ledger what follows a damaged or incomplete record.
///
/// # Errors
/// The directory cannot be listed.
pub fn read_dir(directory: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut sums = Values::default();
    for entry in std::fs::read_dir(directory)? {
        let Ok((_, bytes)) = read(&entry?.path()) else { continue };
        match parse(&bytes) {
            Some(content) => sums.merge(&content.totals),
            None => {
                for (name, value) in records(&bytes) {
                    let sum = sums.counters.entry(name).or_default();
                    *sum = sum.saturating_add(value);
                }
            }
        }
    }
    Ok(sums.counters)
}

/// What all processes counted in a directory's counter files.
///
/// # Errors
/// The directory cannot be listed.
pub fn totals(directory: &Path) -> io::Result<Values> {
    let mut totals = Values::default();
    files(directory)?.iter().for_each(|file| totals.merge(&file.content.totals));
    Ok(totals)
}

/// Every counter file of a directory, in the order of their names.
///
/// # Errors
/// The directory cannot be listed.
pub fn files(directory: &Path) -> io::Result<Vec<CounterFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let Ok((file, bytes)) = read(&path) else { continue };
        let Some(content) = parse(&bytes) else { continue };
        // The owner has the exclusive lock as long as anybody maps the file.
        let alive = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        let inode = file.metadata().map_or(0, |metadata| metadata.ino());
        files.push(CounterFile { path, inode, alive, content });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn read(path: &Path) -> io::Result<(File, Vec<u8>)> {
    // Others may put into the directory what they like: a link elsewhere, a pipe that would wait, a terminal.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    for turn in 1.. {
        bytes.clear();
        (&mut file).take(LARGEST_FILE).read_to_end(&mut bytes)?;
        let mut now = [0; 8];
        let sequence = bytes.get(word::SEQUENCE..word::SEQUENCE + 8);
        let steady = match sequence {
            Some(before) if bytes.starts_with(&MAGIC) => {
                file.read_exact_at(&mut now, word::SEQUENCE as u64).is_ok()
                    && before == now
                    && now[0] & 1 == 0
            }
            _ => true,
        };
        if steady {
            break;
        }
        if turn == MOST_TRIES {
            // Whose it is cannot be told; what was counted can.
            if let Some(sequence) = bytes.get_mut(word::SEQUENCE) {
                *sequence |= 1;
            }
            break;
        }
        io::Seek::rewind(&mut file)?;
    }
    Ok((file, bytes))
}

/// The content of a counter file (docs/statistics.md), if the bytes are one of this version.
pub fn parse(bytes: &[u8]) -> Option<Content> {
    if bytes.len() < HEADER || !bytes.starts_with(&MAGIC) || number(bytes, word::VERSION)? != VERSION {
        return None;
    }
    let field = |offset| usize::try_from(number(bytes, offset)?).ok();
    let (words, stride) = (field(word::WORDS)?, field(word::STRIDE)?);
    let size = words.checked_mul(8)?;
    if words == 0 || size > stride {
        return None;
    }
    let mut sums = vec![0_u64; array(bytes, field(word::SHARDS)?, words)?.count()];
    for shard in 0..field(word::SHARD_COUNT)? {
        let offset = shard.checked_mul(stride)?.checked_add(field(word::SHARDS)?)?;
        // A file cut short ends here.
        let Some(shard) = array(bytes, offset, words) else { break };
        for (sum, value) in sums.iter_mut().zip(shard) {
            *sum = sum.wrapping_add(value);
        }
    }
    let gauges: Vec<u64> = array(bytes, field(word::GAUGES)?, field(word::GAUGE_WORDS)?)?.collect();
    let schema = Schema::parse(bytes, field(word::SCHEMA)?, field(word::ENTRIES)?, words)?;
    let owner = (number(bytes, word::SEQUENCE)? & 1 == 0).then(|| {
        let baseline = array(bytes, field(word::BASELINE)?, words)?;
        let own: Vec<u64> = sums.iter().zip(baseline).map(|(sum, before)| sum.wrapping_sub(before)).collect();
        Some(Owner {
            pid: number(bytes, word::PID)?,
            uid: number(bytes, word::UID)?,
            started: number(bytes, word::STARTED)?,
            program: text(&bytes[word::PROGRAM..][..PROGRAM]),
            values: schema.values(&own),
            gauges: schema.gauges(&gauges),
        })
    });
    Some(Content { totals: schema.values(&sums), owner: owner.flatten() })
}

/// Entries of a file's schema that make sense.
struct Schema(Vec<(String, Kind, Shape, usize)>);

impl Schema {
    fn parse(bytes: &[u8], offset: usize, count: usize, words: usize) -> Option<Schema> {
        let end = count.checked_mul(ENTRY)?.checked_add(offset)?;
        let mut entries = Vec::new();
        // Entries that share words would make a small file expensive to read.
        let mut left = words;
        for entry in bytes.get(offset..end)?.chunks_exact(ENTRY) {
            let Some(name) = name(&entry[..NAME]) else { continue };
            let Some(kind) = Kind::of(entry[48]) else { continue };
            let buckets = u32::from_le_bytes(entry[52..56].try_into().ok()?);
            let shape = Shape { shift: entry[50], digits: entry[51], buckets };
            let first = usize::try_from(number(entry, 56)?).ok()?;
            let inside = first.checked_add(buckets as usize).is_some_and(|end| end <= words);
            let sound = shape.shift < 64 && shape.digits <= MOST_DIGITS && buckets > 0;
            if kind != Kind::Gauge {
                if !sound || !inside || buckets as usize > left {
                    continue;
                }
                left -= buckets as usize;
            }
            entries.push((name, kind, shape, first));
        }
        Some(Schema(entries))
    }

    fn values(&self, words: &[u64]) -> Values {
        let mut values = Values::default();
        for (name, kind, shape, first) in &self.0 {
            match kind {
                Kind::Counter => {
                    values.counters.entry(name.clone()).or_insert(words[*first]);
                }
                Kind::Histogram => {
                    let counts = words[*first..][..shape.buckets as usize].to_vec();
                    values.histograms.entry(name.clone()).or_insert(Histogram { shape: *shape, counts });
                }
                Kind::Gauge => {}
            }
        }
        values
    }

    fn gauges(&self, words: &[u64]) -> BTreeMap<String, u64> {
        let gauges = self.0.iter().filter(|(_, kind, ..)| *kind == Kind::Gauge);
        gauges.filter_map(|(name, _, _, first)| Some((name.clone(), *words.get(*first)?))).collect()
    }
}

fn number(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..offset.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// `count` words at `offset`, if they are all there.
fn array(bytes: &[u8], offset: usize, count: usize) -> Option<impl Iterator<Item = u64> + '_> {
    let end = count.checked_mul(8)?.checked_add(offset)?;
    let words = bytes.get(offset..end)?.chunks_exact(8);
    Some(words.map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default())))
}

/// A name padded with NUL.
fn name(field: &[u8]) -> Option<String> {
    let length = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let (name, padding) = field.split_at(length);
    (legible(name) && padding.iter().all(|byte| *byte == 0))
        .then(|| String::from_utf8_lossy(name).into_owned())
}

/// Text padded with NUL, as far as it may be shown on a terminal.
pub(super) fn text(field: &[u8]) -> String {
    let used = field.iter().take_while(|byte| **byte != 0);
    used.map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' }).collect()
}

/// The records of a ledger of the device model up to its end mark, or up to the first that is none: name (48 bytes,
/// padded with NUL), value (u64, little-endian), 8 bytes reserved.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = (String, u64)> + '_ {
    bytes.chunks_exact(RECORD).map_while(|record| Some((name(&record[..NAME])?, number(record, NAME)?)))
}
