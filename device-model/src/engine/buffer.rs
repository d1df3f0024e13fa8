//! Data buffers of a request: one flat range, or a chain of hardware scatter/gather lists.
//!
//! Layout and limits of the lists: queue-manager reference, section 8 (header 64 bytes, aligned to 64; entries of
//! 32 bytes; 1 to 255 entries in a list, 256 lists in a chain, 1 byte to 8 MiB in an entry). The lists are only read.

use super::{Fault, Memory};

/// Longest flat buffer and longest scatter/gather entry, bytes.
pub(crate) const LONGEST_PIECE: u64 = 8 << 20;
const MOST_LISTS: usize = 256;
const MOST_ENTRIES: u16 = 255;

/// Why a buffer could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// An address that the device cannot reach.
    Access(Fault),
    /// The list breaks its table; the text names the field.
    List(String),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Access(fault)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Access(fault) => fault.fmt(f),
            Self::List(text) => f.write_str(text),
        }
    }
}

/// A buffer of known length, as the pieces of memory that make it up.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// (offset in the buffer, address, length), in order and without gaps.
    pieces: Vec<(u64, u64, u64)>,
    len: u64,
}

impl Buffer {
    /// One contiguous range.
    pub(crate) fn flat(addr: u64, len: u64) -> Self {
        let pieces = if len == 0 { Vec::new() } else { vec![(0, addr, len)] };
        Self { pieces, len }
    }

    /// The bytes `skip .. skip + len` of the chain whose first header is at `addr`. Lists beyond that are not
    /// looked at; with `len` 0 none is.
    pub(crate) fn chain(mem: &dyn Memory, addr: u64, skip: u64, len: u64) -> Result<Self, Trouble> {
        let mut out = Self { pieces: Vec::new(), len };
        let (mut header_at, mut skip, mut missing) = (addr, skip, len);
        for _ in 0..MOST_LISTS {
            if missing == 0 {
                return Ok(out);
            }
            if header_at % 64 != 0 {
                return Err(Trouble::List(format!("list header at {header_at:#x} is not 64-byte aligned")));
            }
            let mut header = [0u8; 64];
            mem.read(header_at, &mut header)?;
            let used = u16::from_le_bytes([header[10], header[11]]);
            let capacity = u16::from_le_bytes([header[12], header[13]]);
            if used == 0 || used > MOST_ENTRIES || used > capacity {
                return Err(Trouble::List(format!(
                    "list at {header_at:#x}: {used} entries, capacity {capacity}"
                )));
            }
            let mut entries = vec![0u8; usize::from(used) * 32];
            mem.read(header_at.wrapping_add(64), &mut entries)?;
            for (index, entry) in entries.chunks_exact(32).enumerate() {
                let base = little(&entry[..8]);
                let size = little(&entry[16..20]);
                if size == 0 || size > LONGEST_PIECE {
                    return Err(Trouble::List(format!(
                        "list at {header_at:#x}: entry {index} has {size} bytes"
                    )));
                }
                let cut = skip.min(size);
                skip -= cut;
                let take = (size - cut).min(missing);
                if take > 0 {
                    out.pieces.push((len - missing, base.wrapping_add(cut), take));
                    missing -= take;
                }
                if missing == 0 {
                    return Ok(out);
                }
            }
            header_at = little(&header[..8]);
            if header_at == 0 {
                return Err(Trouble::List(format!("list ends {missing} bytes before the data does")));
            }
        }
        Err(Trouble::List(format!("chain of more than {MOST_LISTS} lists")))
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads `to.len()` bytes from offset `at`, which must lie within the buffer.
    pub(crate) fn read(&self, mem: &dyn Memory, at: u64, to: &mut [u8]) -> Result<(), Fault> {
        self.each(at, to.len(), |addr, from, len| mem.read(addr, &mut to[from..from + len]))
    }

    /// Writes `from` at offset `at`, which must lie within the buffer.
    pub(crate) fn write(&self, mem: &dyn Memory, at: u64, from: &[u8]) -> Result<(), Fault> {
        self.each(at, from.len(), |addr, start, len| mem.write(addr, &from[start..start + len]))
    }

    fn each(
        &self,
        at: u64,
        len: usize,
        mut visit: impl FnMut(u64, usize, usize) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        debug_assert!(at + len as u64 <= self.len);
        let mut done = 0;
        let first = self.pieces.partition_point(|(start, _, size)| start + size <= at);
        for &(start, addr, size) in &self.pieces[first..] {
            if done == len {
                break;
            }
            let inside = at + done as u64 - start;
            let now = (size - inside).min((len - done) as u64) as usize;
            visit(addr.wrapping_add(inside), done, now)?;
            done += now;
        }
        Ok(())
    }
}

fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
