//! Where things stand in a counter file (docs/statistics.md): the header's words, and the offsets that this version
//! of the writer uses. Readers take the offsets from the header.

use super::schema::{self, ENTRY, Entry, Kind, WORDS};

/// First bytes of a complete file.
pub(super) const MAGIC: [u8; 8] = *b"WDSTATS\n";
/// First bytes while a new file is being written: it holds no counts yet.
pub(super) const UNFINISHED: [u8; 8] = *b"WDSTATS?";
/// Version of the format; a reader refuses others.
pub(super) const VERSION: u64 = 1;
/// Bytes of the header.
pub(super) const HEADER: usize = 256;
/// Threads with counters of their own; further ones share.
pub(super) const SHARDS: usize = 64;
/// Shards that a file has from the start.
pub(super) const FIRST_SHARDS: usize = 2;
/// Bytes of the program's name in the header, padded with NUL.
pub(super) const PROGRAM: usize = 64;

/// Byte offsets of the header's words (u64, little-endian).
pub(super) mod word {
    pub const VERSION: usize = 8;
    /// Odd while the owner and the baseline are being rewritten.
    pub const SEQUENCE: usize = 16;
    pub const SCHEMA: usize = 24;
    pub const ENTRIES: usize = 32;
    pub const GAUGES: usize = 40;
    pub const GAUGE_WORDS: usize = 48;
    pub const BASELINE: usize = 56;
    pub const SHARDS: usize = 64;
    pub const STRIDE: usize = 72;
    pub const WORDS: usize = 80;
    /// Shards that the file has; grows.
    pub const SHARD_COUNT: usize = 88;
    pub const PID: usize = 96;
    pub const UID: usize = 104;
    /// Seconds since 1970.
    pub const STARTED: usize = 112;
    /// Processes that have counted in this file, one after the other.
    pub const PROCESSES: usize = 120;
    pub const PROGRAM: usize = 128;
}

/// A schema and the places that follow from it.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) schema: Vec<u8>,
    pub(super) gauges: usize,
    pub(super) gauge_words: usize,
    pub(super) baseline: usize,
    pub(super) shards: usize,
    pub(super) stride: usize,
}

/// Two cache lines: neighbouring lines are fetched in pairs.
const ALIGNMENT: usize = 128;

impl Layout {
    pub(super) fn new(entries: &[Entry]) -> Layout {
        let schema = schema::encode(entries);
        let gauge_words = entries.iter().filter(|entry| entry.kind == Kind::Gauge).count();
        let gauges = (HEADER + schema.len()).next_multiple_of(ALIGNMENT);
        let baseline = (gauges + 8 * gauge_words).next_multiple_of(ALIGNMENT);
        let stride = (8 * WORDS).next_multiple_of(ALIGNMENT);
        Layout { schema, gauges, gauge_words, baseline, shards: baseline + stride, stride }
    }

    /// Offset of shard `index`, and with the number of shards the size of the file.
    pub(super) const fn shard(&self, index: usize) -> usize {
        self.shards + index * self.stride
    }

    /// Tells schemas apart in file names: FNV-1a over format version and schema, by words.
    pub(super) fn fingerprint(&self) -> u64 {
        let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(32);
        let words =
            self.schema.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
        words.fold(step(0xcbf2_9ce4_8422_2325, VERSION), step)
    }

    /// The words of the header that never change while a file lives, with their offsets.
    fn constants(&self) -> [(usize, u64); 9] {
        [
            (word::VERSION, VERSION),
            (word::SCHEMA, HEADER as u64),
            (word::ENTRIES, (self.schema.len() / ENTRY) as u64),
            (word::GAUGES, self.gauges as u64),
            (word::GAUGE_WORDS, self.gauge_words as u64),
            (word::BASELINE, self.baseline as u64),
            (word::SHARDS, self.shards as u64),
            (word::STRIDE, self.stride as u64),
            (word::WORDS, WORDS as u64),
        ]
    }

    /// A new file without its magic number: no counts, no owner.
    pub(super) fn blank(&self) -> Vec<u8> {
        let mut content = vec![0; self.shard(FIRST_SHARDS)];
        content[..8].copy_from_slice(&UNFINISHED);
        for (offset, value) in self.constants() {
            content[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        }
        content[word::SHARD_COUNT..][..8].copy_from_slice(&(FIRST_SHARDS as u64).to_le_bytes());
        content[HEADER..HEADER + self.schema.len()].copy_from_slice(&self.schema);
        content
    }

    /// The number of shards of a complete file that this layout describes: `head` is the file up to the end of its
    /// schema, `len` its size.
    pub(super) fn describes(&self, head: &[u8], len: u64) -> Option<usize> {
        let value = |offset: usize| {
            head.get(offset..offset + 8).map(|b| u64::from_le_bytes(b.try_into().unwrap_or_default()))
        };
        let same = head.get(..8)? == MAGIC
            && self.constants().iter().all(|(offset, expected)| value(*offset) == Some(*expected))
            && head.get(HEADER..)? == self.schema;
        let shards = usize::try_from(value(word::SHARD_COUNT)?).ok()?;
        let fits = (FIRST_SHARDS..=SHARDS).contains(&shards) && len >= self.shard(shards) as u64;
        (same && fits).then_some(shards)
    }
}
