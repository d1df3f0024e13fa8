//! What is counted, under which name, and where it stands in a counter file (docs/statistics.md).
//!
//! Everything follows from [`Op::ALL`], [`Why::NAMES`], [`Event::NAMES`] and the gauges' names: a new kind of work or
//! reason needs no change here. The file carries the names, so readers need none of this.

use super::event::Event;
use super::histogram::Shape;
use crate::job::{Op, Why};

const OPS: usize = Op::ALL.len();
const WHYS: usize = Why::NAMES.len();

/// Nanoseconds in units of 64, up to 69 seconds; a bucket is at most an eighth of its values wide.
pub(super) const LATENCY: Shape = Shape { shift: 6, digits: 3, buckets: 8 + 27 * 8 + 1 };
/// Requests in flight: exact up to 15, up to 2047.
pub(super) const DEPTH: Shape = Shape { shift: 0, digits: 3, buckets: 8 + 8 * 8 + 1 };

// Words of a shard, in this order.
const SOFTWARE: usize = 2 * OPS;
const REASONS: usize = SOFTWARE + WHYS;
const EVENTS: usize = REASONS + OPS * WHYS;
const LATENCIES: usize = EVENTS + Event::NAMES.len();
const DEPTHS: usize = LATENCIES + 2 * OPS * LATENCY.buckets as usize;
/// Words of a shard.
pub(super) const WORDS: usize = DEPTHS + OPS * DEPTH.buckets as usize;

/// Requests of `op` that devices completed.
pub(super) const fn requests(op: Op) -> usize {
    2 * op.index()
}

/// Bytes of those that ended well.
pub(super) const fn bytes(op: Op) -> usize {
    2 * op.index() + 1
}

/// Requests that software served because of `why`.
pub(super) const fn software(why: Why) -> usize {
    SOFTWARE + why.index()
}

/// Those of them that are known to be of `op`.
pub(super) const fn reason(op: Op, why: Why) -> usize {
    REASONS + op.index() * WHYS + why.index()
}

pub(super) const fn event(event: Event) -> usize {
    EVENTS + event.index()
}

/// The bucket for a request of `op` that took `ns` on a device (`side` 0) or in software (1).
pub(super) const fn latency(op: Op, side: usize, ns: u64) -> usize {
    LATENCIES + (2 * op.index() + side) * LATENCY.buckets as usize + LATENCY.index(ns)
}

/// The bucket for a request of `op` that met `depth` others.
pub(super) const fn depth(op: Op, depth: u16) -> usize {
    DEPTHS + op.index() * DEPTH.buckets as usize + DEPTH.index(depth as u64)
}

/// Bytes of a name, padded with NUL.
pub(super) const NAME: usize = 48;
/// Bytes of a schema entry: name, kind, unit, shift, digits, words (u32), first word (u64).
pub(super) const ENTRY: usize = 64;

/// What an entry of the schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A number of things that happened; only grows; one word in every shard.
    Counter = 1,
    /// One counter per bucket.
    Histogram = 2,
    /// A present value, in the gauges' part of the file.
    Gauge = 3,
}

impl Kind {
    pub(super) const fn of(number: u8) -> Option<Kind> {
        match number {
            1 => Some(Kind::Counter),
            2 => Some(Kind::Histogram),
            3 => Some(Kind::Gauge),
            _ => None,
        }
    }
}

/// What a value is a number of.
const PLAIN: u8 = 0;
const BYTES: u8 = 1;
const NANOSECONDS: u8 = 2;

/// One line of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) unit: u8,
    pub(super) shape: Shape,
    pub(super) first: usize,
}

impl Entry {
    fn new(name: String, kind: Kind, unit: u8, shape: Shape, first: usize) -> Entry {
        debug_assert!(legible(name.as_bytes()) && name.len() <= NAME, "{name}");
        Entry { name, kind, unit, shape, first }
    }

    fn encode(&self) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        let name = &self.name.as_bytes()[..self.name.len().min(NAME)];
        entry[..name.len()].copy_from_slice(name);
        entry[48..52].copy_from_slice(&[self.kind as u8, self.unit, self.shape.shift, self.shape.digits]);
        entry[52..56].copy_from_slice(&self.shape.buckets.to_le_bytes());
        entry[56..].copy_from_slice(&(self.first as u64).to_le_bytes());
        entry
    }
}

/// Whether every byte may stand in a name.
pub(super) fn legible(name: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(byte);
    !name.is_empty() && name.iter().all(allowed)
}

/// The whole schema, with `gauges` gauges of these names.
pub(super) fn entries(gauges: impl Iterator<Item = String>) -> Vec<Entry> {
    const ONE: Shape = Shape { shift: 0, digits: 0, buckets: 1 };
    let counter = |name, unit, first| Entry::new(name, Kind::Counter, unit, ONE, first);
    let mut all = Vec::new();
    for op in Op::ALL {
        all.push(counter(format!("device.{}.requests", op.name()), PLAIN, requests(op)));
        all.push(counter(format!("device.{}.bytes", op.name()), BYTES, bytes(op)));
    }
    for (index, why) in Why::NAMES.iter().enumerate() {
        all.push(counter(format!("software.{why}"), PLAIN, SOFTWARE + index));
    }
    for op in Op::ALL {
        for (index, why) in Why::NAMES.iter().enumerate() {
            let first = REASONS + op.index() * WHYS + index;
            all.push(counter(format!("reason.{}.{why}", op.name()), PLAIN, first));
        }
    }
    for (index, event) in Event::NAMES.iter().enumerate() {
        all.push(counter(format!("event.{event}"), PLAIN, EVENTS + index));
    }
    for op in Op::ALL {
        for (side, name) in ["device", "software"].into_iter().enumerate() {
            let name = format!("latency.{name}.{}", op.name());
            all.push(Entry::new(name, Kind::Histogram, NANOSECONDS, LATENCY, latency(op, side, 0)));
        }
    }
    for op in Op::ALL {
        let name = format!("depth.{}", op.name());
        all.push(Entry::new(name, Kind::Histogram, PLAIN, DEPTH, depth(op, 0)));
    }
    all.extend(gauges.enumerate().map(|(index, name)| Entry::new(name, Kind::Gauge, PLAIN, ONE, index)));
    all
}

/// The schema as it stands in a file.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(Entry::encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_documentation() {
        let all = entries(["model.x".to_owned()].into_iter());
        let counters: Vec<_> =
            all.iter().filter(|e| e.kind == Kind::Counter).map(|e| e.name.as_str()).collect();
        assert_eq!(
            counters[..SOFTWARE],
            [
                "device.zip.compress.requests",
                "device.zip.compress.bytes",
                "device.zip.decompress.requests",
                "device.zip.decompress.bytes",
                "device.sec.cipher.requests",
                "device.sec.cipher.bytes",
                "device.hpre.rsa.requests",
                "device.hpre.rsa.bytes",
            ]
        );
        let find = |name: &str| all.iter().find(|e| e.name == name).unwrap().first;
        assert_eq!(find("software.forked"), software(Why::Forked));
        assert_eq!(find("reason.sec.cipher.too_small"), reason(Op::SecCipher, Why::TooSmall));
        assert_eq!(find("event.idle_closed"), event(Event::IdleClosed));
        assert_eq!(find("latency.software.hpre.rsa"), latency(Op::HpreRsa, 1, 0));
        assert_eq!(find("depth.zip.decompress"), depth(Op::ZipDecompress, 0));
        assert_eq!((all.last().unwrap().name.as_str(), find("model.x")), ("model.x", 0));
    }

    #[test]
    fn every_word_of_a_shard_belongs_to_one_entry_and_names_are_distinct() {
        let all = entries(std::iter::empty());
        let mut owners = vec![0; WORDS];
        for entry in &all {
            for owner in &mut owners[entry.first..][..entry.shape.buckets as usize] {
                *owner += 1;
            }
        }
        assert!(owners.iter().all(|owners| *owners == 1));
        let names: std::collections::BTreeSet<_> = all.iter().map(|entry| &entry.name).collect();
        assert_eq!(names.len(), all.len());
    }
}
