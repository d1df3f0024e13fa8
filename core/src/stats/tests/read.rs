//! Reading what is there, and what only looks like it.

use proptest::prelude::*;

use super::*;
use crate::stats::layout::word;
use crate::stats::reader::parse;

fn record(name: &[u8], value: u64) -> Vec<u8> {
    let mut record = vec![0; 64];
    record[..name.len()].copy_from_slice(name);
    record[48..56].copy_from_slice(&value.to_le_bytes());
    record
}

/// A file with a gauge and something of everything.
fn sample() -> Vec<u8> {
    let directory = TempDir::new();
    let page = Page::open(directory.path(), &with_gauges(&["model.x"])).unwrap();
    count(&page, 1, schema::latency(Op::HpreRsa, 0, 5_000), 3);
    count(&page, 0, schema::latency(Op::HpreRsa, 0, 5_000_000), 1);
    count(&page, 0, schema::depth(Op::SecCipher, 7), 2);
    count(&page, 0, schema::reason(Op::ZipCompress, Why::Tripped), 4);
    count(&page, 0, schema::event(Event::Reset), 5);
    page.gauge(0).unwrap().store(6, Ordering::Relaxed);
    std::fs::read(page.path()).unwrap()
}

fn put(bytes: &mut [u8], offset: usize, value: u64) {
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn histograms_gauges_and_events_come_back_under_their_names() {
    let content = parse(&sample()).unwrap();
    let latency = &content.totals.histograms["latency.device.hpre.rsa"];
    assert_eq!(latency.total(), 4);
    let (median, tail) = (latency.percentile(50, 100).unwrap(), latency.percentile(99, 100).unwrap());
    assert!((5_000..5_700).contains(&median) && (5_000_000..5_700_000).contains(&tail), "{median} {tail}");
    assert_eq!(content.totals.histograms["depth.sec.cipher"].percentile(1, 2), Some(7));
    assert_eq!(content.totals.counters["reason.zip.compress.tripped"], 4);
    assert_eq!(content.totals.counters["event.reset"], 5);
    let owner = content.owner.unwrap();
    assert!(owner.gauges["model.x"] == 6 && owner.values == content.totals);
}

#[test]
fn ledgers_and_counter_files_are_summed_and_the_rest_is_passed_over() {
    let directory = TempDir::new();
    let good = [record(b"zip.compress.requests", 7), record(b"event.reset", 9)].concat();
    directory.write("ledger", &good[..64 + 60]);
    directory.write("empty", "");
    directory
        .write("text", "This is no counter file, but it is longer than one record of 64 bytes. ".repeat(3));
    directory.write("ended", [good.clone(), vec![0; 64], record(b"after.the.end", 1)].concat());
    directory.write("sub/directory", &good);
    directory.write("garbled", [record(b"a", 1), record(b"a\0b", 1), record(b"c", 1)].concat());
    directory.write("one.stats", sample());
    directory.write("two.stats", sample());
    std::os::unix::fs::symlink(directory.path().join("one.stats"), directory.path().join("link")).unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let sums = read_dir(directory.path()).unwrap();
    let nonzero: Vec<_> =
        sums.iter().filter(|(_, value)| **value > 0).map(|(n, v)| (n.as_str(), *v)).collect();
    let expected =
        [("a", 1), ("event.reset", 19), ("reason.zip.compress.tripped", 8), ("zip.compress.requests", 14)];
    assert_eq!(nonzero, expected);
    assert!(!sums.contains_key("after.the.end"));
    assert_eq!(reader::files(directory.path()).unwrap().len(), 2);
}

#[test]
fn sums_do_not_overflow() {
    let directory = TempDir::new();
    directory.write("one", record(b"x", u64::MAX));
    directory.write("two", record(b"x", 2));
    assert_eq!(read_dir(directory.path()).unwrap()["x"], u64::MAX);
}

#[test]
fn a_file_cut_short_shows_the_shards_that_are_left() {
    let good = sample();
    let (whole, layout) = (parse(&good).unwrap(), with_gauges(&["model.x"]));
    let cut = parse(&good[..layout.shard(1)]).unwrap();
    assert_eq!(cut.totals.histograms["latency.device.hpre.rsa"].total(), 1);
    assert_eq!(cut.totals.counters, whole.totals.counters);
    for len in (0..layout.shard(0) + 8 * schema::WORDS).step_by(97) {
        assert!(parse(&good[..len]).is_none(), "{len}");
    }
}

#[test]
fn headers_that_make_no_sense_are_refused_and_entries_skipped() {
    let good = sample();
    for (offset, value) in [
        (word::VERSION, 2),
        (word::WORDS, u64::MAX / 4),
        (word::WORDS, 0),
        (word::STRIDE, 8),
        (word::SHARDS, u64::MAX - 7),
        (word::ENTRIES, u64::MAX / 32),
        (word::SCHEMA, u64::MAX),
        (word::GAUGE_WORDS, u64::MAX / 8),
    ] {
        let mut bad = good.clone();
        put(&mut bad, offset, value);
        assert!(parse(&bad).is_none(), "{offset}: {value}");
    }
    let mut endless = good.clone();
    put(&mut endless, word::SHARD_COUNT, u64::MAX);
    assert!(parse(&endless) == parse(&good), "as many shards as there are");
    let mut entry = good.clone();
    put(&mut entry, layout::HEADER + 56, u64::MAX);
    let content = parse(&entry).unwrap();
    assert!(!content.totals.counters.contains_key("device.zip.compress.requests"));
    assert!(content.totals.counters.contains_key("device.zip.compress.bytes"));
    let mut owner = good;
    put(&mut owner, word::BASELINE, u64::MAX - 3);
    assert!(parse(&owner).unwrap().owner.is_none());
}

#[test]
fn entries_that_share_words_do_not_multiply_the_work() {
    let mut bytes = sample();
    let words = schema::WORDS;
    let count = schema::entries(std::iter::empty()).len();
    for index in 0..count {
        let at = layout::HEADER + 64 * index;
        bytes[at + 48..at + 52].copy_from_slice(&[Kind::Histogram as u8, 0, 0, 3]);
        bytes[at + 52..at + 56].copy_from_slice(&(words as u32).to_le_bytes());
        put(&mut bytes, at + 56, 0);
    }
    let content = parse(&bytes).unwrap();
    assert_eq!(content.totals.histograms.len(), 1);
}

#[test]
fn programs_names_are_shown_without_control_characters() {
    assert_eq!(reader::text(b"py\x1b[31mthon\xff 3\0rest"), "py?[31mthon? 3");
}

proptest! {
    #[test]
    fn any_ledger_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for (name, _) in records(&bytes) {
            prop_assert!(!name.is_empty() && name.is_ascii());
        }
    }

    #[test]
    fn any_change_of_a_counter_file_is_read_without_harm(
        changes in prop::collection::vec((0_usize..20_000, any::<u8>()), 1..40),
        header in prop::collection::vec((1_usize..32, any::<u64>()), 0..4),
    ) {
        let mut bytes = sample();
        for (offset, value) in changes {
            bytes[offset] = value;
        }
        for (index, value) in header {
            // small values are the interesting ones
            put(&mut bytes, 8 * index, value >> (value % 64));
        }
        if let Some(content) = parse(&bytes) {
            for histogram in content.totals.histograms.values() {
                prop_assert_eq!(histogram.counts.len(), histogram.shape.buckets as usize);
                histogram.percentile(99, 100);
            }
        }
    }
}
