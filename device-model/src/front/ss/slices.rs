//! Slices of an SS region: pure arithmetic, no memory.
//!
//! The kernel takes the region in pieces of at most one slice size, in an order that nobody controls, sorts them by
//! device address and puts them one after the other into the mapping. So the short piece may come first, and
//! neighbours in the mapping may or may not be neighbours for the device.

use super::super::profile::{GRAIN, Gaps, IOMMU, SsProfile};
use std::fmt;

/// Device addresses begin here: above what a process can have on x86-64 (47 bits) and aarch64 (48 bits; more only
/// where a program asks for it), so that a confusion of the two kinds of address cannot go unnoticed.
const FIRST: u64 = 1 << 51;
/// Every queue of the machine has a window of its own: 10 bits of queue number and 6 of device above this.
const WINDOW_BITS: u32 = 35;
/// All gaps of a region together, bytes.
const GAPS: u64 = 16 << 30;
/// The region begins in this first part of the window, bytes.
const START: u64 = 8 << 30;
/// Bits of a GET_SS_DMA answer that hold the size.
const CODE_MASK: u64 = 0xfff;
/// Device addresses are multiples of this, as the size shares a word with them.
const PAGE: u64 = 4096;

/// One piece of memory that is contiguous for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Where it begins in the region, bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u64,
    /// Where the device sees it.
    pub dma: u64,
}

impl Slice {
    /// What GET_SS_DMA answers: the address, and the size in units of 64 KiB modulo 4096 below it.
    pub fn word(&self) -> u64 {
        self.dma | (self.size / GRAIN) & CODE_MASK
    }
}

/// Why a device address leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Such addresses belong to processes; the device does not know them.
    ProcessAddress,
    /// It begins in a slice and ends behind it, where nothing follows.
    CrossesGap,
    /// A device address that no slice of this queue has.
    NoSlice,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Miss::ProcessAddress => "a process address, not a DMA address",
            Miss::CrossesGap => "runs over the end of a slice into a gap",
            Miss::NoSlice => "a DMA address in no slice of this queue",
        })
    }
}

/// The slices of one region, by rising device address and rising offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices(Vec<Slice>);

/// Which region it is: all that the addresses depend on, beside the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Minor number of the device, below 64.
    pub device: usize,
    /// Queue number, below 1024.
    pub queue: u16,
    /// How many regions the queue had before.
    pub turn: u64,
}

/// SplitMix64: a short generator whose whole state is the seed.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

impl Slices {
    /// Lays out a region of `len` bytes (a multiple of the page size, at most 4 GiB).
    pub fn new(settings: &SsProfile, flags: u8, place: Place, len: u64) -> Slices {
        let mut machine = Draw(settings.seed);
        // a permutation of devices and queues for each seed: windows are distinct and cannot be guessed
        let device = (place.device as u64 ^ machine.below(64)) & 63;
        let queue = (u64::from(place.queue) ^ machine.below(1024)) & 1023;
        let window = FIRST | (device << 10 | queue) << WINDOW_BITS;
        let mut draw = Draw(machine.next() ^ window ^ place.turn.wrapping_mul(0xd134_2543_de82_ef95));

        let longest = if flags & IOMMU != 0 { len } else { settings.slice };
        let count = len.div_ceil(longest).max(1);
        let short = len - (count - 1) * longest;
        let short_at = draw.below(count);
        let widest = (GAPS / count).min(16 << 20) / PAGE;
        let mut dma = window + draw.below(START / PAGE) * PAGE;
        let mut offset = 0;
        let mut slices = Vec::with_capacity(count as usize);
        for n in 0..count {
            let size = if n == short_at { short } else { longest };
            slices.push(Slice { offset, size, dma });
            let gap = match settings.gaps {
                Gaps::None => false,
                Gaps::All => true,
                Gaps::Some => draw.below(4) > 0,
            };
            let width = if gap { (1 + draw.below(widest)) * PAGE } else { 0 };
            dma += size + width;
            offset += size;
        }
        Slices(slices)
    }

    /// How many there are; never 0.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Slice `index` in the order of GET_SS_DMA.
    pub fn get(&self, index: u64) -> Option<&Slice> {
        self.0.get(usize::try_from(index).ok()?)
    }

    /// The offset in the region of the `len` bytes that the device sees at `addr`, if it can reach all of them.
    pub fn locate(&self, addr: u64, len: u64) -> Result<u64, Miss> {
        let mut found = None;
        let mut wanted = addr;
        for slice in &self.0 {
            let Some(inside) = wanted.checked_sub(slice.dma).filter(|inside| *inside < slice.size) else {
                continue;
            };
            let at = *found.get_or_insert(slice.offset + inside);
            // in the region the next slice follows without a gap: what is contiguous for the device is so here
            wanted = slice.dma + slice.size;
            if slice.offset + slice.size - at >= len {
                return Ok(at);
            }
        }
        Err(match found {
            Some(_) => Miss::CrossesGap,
            None if addr < FIRST => Miss::ProcessAddress,
            None => Miss::NoSlice,
        })
    }
}

#[cfg(test)]
mod tests;
