//! What was executed, counted in a file that all processes of a run map and that survives their death.
//!
//! The file is a sequence of 64-byte records: a name of 48 bytes padded with NUL, a little-endian 64-bit value,
//! 8 reserved bytes. A record whose name starts with NUL ends the file. Values only grow.

use super::shared::{FileLock, SharedWords};
use crate::device::CounterId;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const RECORD_WORDS: usize = 8;
const NAME_WORDS: usize = 6;
const RECORDS: usize = 512;

/// The counters of a run.
#[derive(Debug)]
pub struct Ledger {
    words: &'static [AtomicU64],
    lock: PathBuf,
}

fn encode(name: &str) -> [u64; NAME_WORDS] {
    let mut bytes = [0u8; NAME_WORDS * 8];
    let n = name.len().min(bytes.len() - 1);
    bytes[..n].copy_from_slice(&name.as_bytes()[..n]);
    std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|b| bytes[i * 8 + b])))
}

impl Ledger {
    /// Opens or makes the ledger at `path`. `lock` is the file that serialises the adding of names.
    pub fn open(path: &Path, lock: PathBuf) -> io::Result<Ledger> {
        // one record more than is ever used: the terminator
        let words = SharedWords::open(path, RECORDS * RECORD_WORDS)?.words();
        Ok(Ledger { words, lock })
    }

    fn find(&self, name: &[u64; NAME_WORDS]) -> Result<CounterId, Option<usize>> {
        for (index, record) in self.words.chunks_exact(RECORD_WORDS).enumerate().take(RECORDS - 1) {
            if record[0].load(Ordering::Acquire).to_le_bytes()[0] == 0 {
                return Err(Some(index));
            }
            if record.iter().zip(name).all(|(word, want)| word.load(Ordering::Acquire) == *want) {
                return Ok(CounterId(index as u32));
            }
        }
        Err(None)
    }

    /// Adds `n` to a counter of this ledger; an id of no counter counts nothing.
    pub fn add(&self, counter: CounterId, n: u64) {
        let at = (counter.0 as usize).saturating_mul(RECORD_WORDS).saturating_add(NAME_WORDS);
        if let Some(value) = self.words.get(at) {
            value.fetch_add(n, Ordering::AcqRel);
        }
    }

    /// The counter called `name` (at most 47 bytes), added if it is new.
    pub fn counter(&self, name: &str) -> io::Result<CounterId> {
        let name = encode(name);
        if let Ok(counter) = self.find(&name) {
            return Ok(counter);
        }
        let _adding = FileLock::take(&self.lock)?;
        match self.find(&name) {
            Ok(counter) => Ok(counter),
            Err(None) => Err(io::Error::other("the ledger is full")),
            Err(Some(index)) => {
                let record = &self.words[index * RECORD_WORDS..(index + 1) * RECORD_WORDS];
                // the first word last: it makes the record visible
                for (word, value) in record.iter().zip(&name).skip(1) {
                    word.store(*value, Ordering::Relaxed);
                }
                record[0].store(name[0], Ordering::Release);
                Ok(CounterId(index as u32))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_published_layout_and_are_shared_between_openers() {
        let dir = std::env::temp_dir().join(format!("wd-ledger-test-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("ledger");
        let open = || Ledger::open(&path, dir.join("lock")).unwrap();
        let (a, b) = (open(), open());
        a.counter("zip.compress.accepted").unwrap();
        a.add(a.counter("zip.compress.requests").unwrap(), 3);
        b.add(b.counter("zip.compress.requests").unwrap(), 4);
        b.add(b.counter("refused").unwrap(), 1);
        b.add(CounterId(u32::MAX), 1);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let mut records = Vec::new();
        for record in bytes.chunks_exact(64).take_while(|r| r[0] != 0) {
            let end = record.iter().position(|b| *b == 0).unwrap();
            let value = u64::from_le_bytes(record[48..56].try_into().unwrap());
            records.push((String::from_utf8(record[..end].to_vec()).unwrap(), value));
            assert_eq!(record[56..64], [0; 8]);
        }
        let expected = [("zip.compress.accepted", 0), ("zip.compress.requests", 7), ("refused", 1)];
        assert_eq!(records, expected.map(|(n, v)| (n.to_owned(), v)));
    }
}
