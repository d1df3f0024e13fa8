//! A small address space for the engines' tests: regions of exact size, everything else faults. Requests run by
//! [`Words`] are recorded for the table of what the tests cover (`docs/model-coverage.md`).
//!
//! Knows its parent only, so that a test outside the crate can include it beside a `use` of the public engine seam.

use super::{Context, Description, Engine, Fault, Generation, Injection, Memory, Verdict};
use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write;
use std::sync::Mutex;

/// Regions at fixed addresses.
#[derive(Default)]
pub(crate) struct Space {
    regions: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl Space {
    /// Adds a region, 4 KiB aligned (plus `odd` bytes) and with a gap before the next; gives its address.
    pub(crate) fn put_odd(&self, bytes: &[u8], odd: u64) -> u64 {
        let mut regions = self.regions.borrow_mut();
        let end = regions.last().map_or(0xFFFF_8000_0000, |(base, bytes)| base + bytes.len() as u64);
        let base = (end / 4096 + 2) * 4096 + odd;
        regions.push((base, bytes.to_vec()));
        base
    }

    pub(crate) fn put(&self, bytes: &[u8]) -> u64 {
        self.put_odd(bytes, 0)
    }

    /// Adds a region at an address that no other region reaches.
    pub(crate) fn put_at(&self, addr: u64, bytes: &[u8]) {
        self.regions.borrow_mut().push((addr, bytes.to_vec()));
    }

    pub(crate) fn get(&self, addr: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.read(addr, &mut out).expect("readable");
        out
    }

    /// Takes `addr`'s whole region away.
    pub(crate) fn remove(&self, addr: u64) {
        self.regions.borrow_mut().retain(|(base, _)| *base != addr);
    }

    /// Puts `data` into memory as a chain of scatter/gather lists with entries of the given sizes, `per_list` to a
    /// list; gives the address of the first header and those of the pieces.
    pub(crate) fn chain(&self, data: &[u8], sizes: &[usize], per_list: usize) -> (u64, Vec<(u64, usize)>) {
        let mut pieces = Vec::new();
        let mut rest = data;
        for size in sizes.iter().cycle() {
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            pieces.push((self.put_odd(head, 5), head.len()));
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        let mut next = 0u64;
        for list in pieces.chunks(per_list).rev() {
            let mut raw = Vec::new();
            raw.extend(next.to_le_bytes());
            raw.extend(0xEEEEu16.to_le_bytes());
            raw.extend((list.len() as u16).to_le_bytes());
            raw.extend((list.len() as u16).to_le_bytes());
            raw.resize(64, 0xA5);
            for (addr, len) in list {
                raw.extend(addr.to_le_bytes());
                raw.extend([0xA5; 8]);
                raw.extend((*len as u32).to_le_bytes());
                raw.extend([0xA5; 12]);
            }
            next = self.put(&raw);
        }
        (next, pieces)
    }

    pub(crate) fn gather(&self, pieces: &[(u64, usize)]) -> Vec<u8> {
        pieces.iter().flat_map(|(addr, len)| self.get(*addr, *len)).collect()
    }
}

impl Memory for Space {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Fault> {
        if buf.is_empty() {
            return Ok(());
        }
        for (base, bytes) in self.regions.borrow().iter() {
            if let Some(part) =
                addr.checked_sub(*base).and_then(|at| bytes.get(at as usize..at as usize + buf.len()))
            {
                buf.copy_from_slice(part);
                return Ok(());
            }
        }
        Err(Fault { addr, len: buf.len() })
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), Fault> {
        if buf.is_empty() {
            return Ok(());
        }
        for (base, bytes) in self.regions.borrow_mut().iter_mut() {
            if let Some(part) =
                addr.checked_sub(*base).and_then(|at| bytes.get_mut(at as usize..at as usize + buf.len()))
            {
                part.copy_from_slice(buf);
                return Ok(());
            }
        }
        Err(Fault { addr, len: buf.len() })
    }
}

/// A descriptor under construction, by words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Vec<u32>);

impl Words {
    pub(crate) fn of(count: usize, set: &[(usize, u32)]) -> Self {
        let mut out = Self(vec![0; count]);
        for (index, word) in set {
            out.0[*index] = *word;
        }
        out
    }

    pub(crate) fn set(mut self, index: usize, word: u32) -> Self {
        self.0[index] = word;
        self
    }

    /// A 64-bit address in words `index` and `index + 1`.
    pub(crate) fn addr(self, index: usize, addr: u64) -> Self {
        self.set(index, addr as u32).set(index + 1, (addr >> 32) as u32)
    }

    /// Executes; gives the entry as written back and the verdict.
    pub(crate) fn run(
        &self,
        engine: &dyn Engine,
        mem: &Space,
        generation: Generation,
        qc_type: u16,
    ) -> (Words, Verdict) {
        self.run_with(engine, mem, generation, qc_type, Injection::None)
    }

    pub(crate) fn run_with(
        &self,
        engine: &dyn Engine,
        mem: &Space,
        generation: Generation,
        qc_type: u16,
        injection: Injection,
    ) -> (Words, Verdict) {
        let mut raw: Vec<u8> = self.0.iter().flat_map(|w| w.to_le_bytes()).collect();
        let description = engine.describe(&raw, generation, qc_type);
        let seed = Seed::of(&raw, generation, qc_type, mem);
        let mut ctx = Context { mem, generation, qc_type, injection };
        let verdict = engine.execute(&mut raw, &mut ctx);
        match &verdict {
            Verdict::Done { status, .. } => assert_eq!(engine.status(&raw), Some(*status)),
            Verdict::Refused { rule: super::Rule::Size, .. } => {}
            Verdict::Refused { reason, .. } => {
                assert!(engine.status(&raw).is_some_and(|status| status != 0), "{reason}");
            }
        }
        if injection == Injection::None {
            record(&description, generation, raw.len(), &verdict);
            if let (Some(seed), Verdict::Done { ok: true, .. }) = (seed, &verdict) {
                seed.save(&description);
            }
        }
        let words = raw.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
        (Words(words), verdict)
    }
}

/// Decodes a hexadecimal string, spaces and line ends ignored.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let value = |digit: u8| (digit as char).to_digit(16).expect("hexadecimal") as u8;
    digits.chunks_exact(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

/// `count` bytes that count up from `first`.
pub(crate) fn seq(first: u8, count: usize) -> Vec<u8> {
    (0..count).map(|i| first.wrapping_add(i as u8)).collect()
}

/// Appends what happened to one request to the file that `WARPDRIVE_MODEL_COVERAGE` names, each different line once
/// per process: engine, operation, generation, buffers, mode, and `ok` or the rule that was broken. Requests that
/// ended with an error status prove nothing and are left out.
pub(crate) fn record(description: &Description, generation: Generation, entry: usize, verdict: &Verdict) {
    static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let Some(path) = std::env::var_os("WARPDRIVE_MODEL_COVERAGE") else { return };
    let outcome = match verdict {
        Verdict::Done { ok: true, .. } => "ok",
        Verdict::Done { ok: false, .. } => return,
        Verdict::Refused { rule, .. } => rule.name(),
    };
    let engine = engine_of(description, entry);
    let Description { operation, buffers, mode } = description;
    let line = format!("{engine}\t{operation}\t{generation:?}\t{buffers:?}\t{mode:?}\t{outcome}\n");
    let mut seen = SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if seen.get_or_insert_default().insert(line.clone()) {
        // one write of a short line to a file opened for appending: processes do not mix theirs
        let file = std::fs::File::options().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the record of coverage is writable");
    }
}

fn engine_of(description: &Description, entry: usize) -> &'static str {
    match description.operation.split([' ', '-']).next() {
        Some("zlib" | "gzip" | "deflate") => "zip",
        _ if entry == 64 => "hpre",
        _ => "sec",
    }
}

/// A request before its execution, for the file that `tests/chaos` mutates: written, if it ends well, to the directory
/// that `WARPDRIVE_MODEL_SEEDS` names, the smallest of each description, generation and queue class.
struct Seed {
    directory: std::ffi::OsString,
    generation: Generation,
    qc_type: u16,
    entry: Vec<u8>,
    regions: Vec<(u64, Vec<u8>)>,
}

impl Seed {
    /// Most bytes of memory: what is larger is slow to execute as well.
    const MOST: usize = 1536;

    fn of(entry: &[u8], generation: Generation, qc_type: u16, mem: &Space) -> Option<Seed> {
        let directory = std::env::var_os("WARPDRIVE_MODEL_SEEDS")?;
        // only what the request can lead to: its own addresses, and those that stand in memory found so far
        let all = mem.regions.borrow();
        let mut regions: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut sources = vec![entry.to_vec()];
        let mut size = 0;
        while let Some(source) = sources.pop() {
            for at in (0..source.len().saturating_sub(7)).step_by(4) {
                let addr = u64::from_le_bytes(source[at..at + 8].try_into().expect("eight bytes"));
                let inside = |(base, bytes): &&(u64, Vec<u8>)| {
                    addr.checked_sub(*base).is_some_and(|offset| offset < bytes.len() as u64)
                };
                if size <= Self::MOST
                    && let Some((base, bytes)) = all.iter().find(inside)
                    && regions.iter().all(|(known, _)| known != base)
                {
                    size += bytes.len();
                    regions.push((*base, bytes.clone()));
                    sources.push(bytes.clone());
                }
            }
        }
        let entry = entry.to_vec();
        (size <= Self::MOST).then_some(Seed { directory, generation, qc_type, entry, regions })
    }

    /// Kind, generation, class, counts, entry; then address, length and bytes of each region. Little-endian.
    fn save(&self, description: &Description) {
        let engine = engine_of(description, self.entry.len());
        let mut out = vec![["zip", "sec", "hpre"].iter().position(|e| *e == engine).unwrap_or(0) as u8];
        out.push(match self.generation {
            Generation::V2 => 2,
            Generation::V3 => 3,
            Generation::V5 => 5,
        });
        out.extend(self.qc_type.to_le_bytes());
        out.extend((self.entry.len() as u16).to_le_bytes());
        out.extend((self.regions.len() as u16).to_le_bytes());
        out.extend(&self.entry);
        for (addr, bytes) in &self.regions {
            out.extend(addr.to_le_bytes());
            out.extend((bytes.len() as u32).to_le_bytes());
            out.extend(bytes);
        }
        let Description { operation, buffers, mode } = description;
        let generation = self.generation;
        let name = format!("{engine}-{operation}-{buffers:?}-{mode:?}-{generation:?}-{}", self.qc_type);
        let path = std::path::Path::new(&self.directory).join(name.replace([' ', '/'], "_"));
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // by size, then by content: the same file whatever runs first
        let better = std::fs::read(&path).is_ok_and(|old| (old.len(), &old) <= (out.len(), &out));
        if !better {
            std::fs::write(path, out).expect("the directory of seeds is writable");
        }
    }
}
