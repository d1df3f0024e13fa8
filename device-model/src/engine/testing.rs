//! A small address space for the engines' tests: regions of exact size, everything else faults.

use super::{Context, Engine, Fault, Generation, Injection, Memory, Verdict};
use std::cell::RefCell;

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
        let mut ctx = Context { mem, generation, qc_type, injection };
        let verdict = engine.execute(&mut raw, &mut ctx);
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
