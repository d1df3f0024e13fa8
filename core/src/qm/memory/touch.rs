//! Making pages ready for a device: under SVA a page that the process has not touched costs the device a page fault,
//! which takes it many times as long as the process (a minor fault, some tenths of a microsecond).

use std::cell::Cell;
use std::hint::black_box;
use std::thread::LocalKey;

/// The smallest page of any system. On larger pages most touches are superfluous, and cheap.
const PAGE: usize = 4096;

/// Requests in a row for which a touched range is taken to be still there. It may go (freed, copied by a fork, paged
/// out), which then costs the device faults and nobody anything else.
const TRUST: u8 = 64;

/// The range that a thread touched last, and for how many requests it is believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recent {
    start: usize,
    end: usize,
    trust: u8,
}

impl Recent {
    const NONE: Recent = Recent { start: 0, end: 0, trust: 0 };
}

thread_local! {
    /// Output buffers: a program that reads a file piece by piece uses the same one again and again.
    pub(super) static OUTPUT: Cell<Recent> = const { Cell::new(Recent::NONE) };
    /// Contexts of streams, which take turns with output buffers.
    pub(super) static STATE: Cell<Recent> = const { Cell::new(Recent::NONE) };
}

/// Reads a byte of every page.
pub(super) fn read(bytes: &[u8]) {
    for first in firsts(bytes.as_ptr().addr(), bytes.len()) {
        black_box(bytes[first]);
    }
}

/// Writes a byte of every page back as it is, unless this thread has just done so. Answers whether it did.
///
/// The bytes are borrowed alone, so nobody else can write them in between. That the compiler must not leave the store
/// out is `black_box`'s promise as far as it makes any; if it did, the device would meet page faults, no more.
pub(super) fn write(bytes: &mut [u8], recent: &'static LocalKey<Cell<Recent>>) -> bool {
    let (start, end) = (bytes.as_ptr().addr(), bytes.as_ptr().addr() + bytes.len());
    let known = recent.try_with(Cell::get).unwrap_or(Recent::NONE);
    if known.trust > 0 && known.start <= start && end <= known.end {
        let _ = recent.try_with(|cell| cell.set(Recent { trust: known.trust - 1, ..known }));
        return false;
    }
    for first in firsts(start, bytes.len()) {
        bytes[first] = black_box(bytes[first]);
    }
    let _ = recent.try_with(|cell| cell.set(Recent { start, end, trust: TRUST }));
    true
}

/// Index of the first byte of each page among `len` bytes at `address`.
fn firsts(address: usize, len: usize) -> impl Iterator<Item = usize> {
    let second = PAGE - address % PAGE;
    (len > 0).then_some(0).into_iter().chain((second..len).step_by(PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_one_byte_touched() {
        assert_eq!(firsts(0x1000, 0x2001).collect::<Vec<_>>(), [0, 0x1000, 0x2000]);
        assert_eq!(firsts(0x1FFF, 0x1002).collect::<Vec<_>>(), [0, 1, 0x1001]);
        assert_eq!(firsts(0x1FFF, 1).collect::<Vec<_>>(), [0]);
        assert_eq!(firsts(0x1000, 0).count(), 0);
    }

    #[test]
    fn touching_changes_no_byte() {
        let mut bytes: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
        let before = bytes.clone();
        assert!(write(&mut bytes[7..19_000], &OUTPUT));
        read(&bytes);
        assert_eq!(bytes, before);
    }

    #[test]
    fn range_just_touched_is_left_alone_for_a_while() {
        let mut bytes = vec![0; 40_000];
        assert!(write(&mut bytes[100..30_000], &STATE));
        assert!(!write(&mut bytes[100..30_000], &STATE));
        assert!(!write(&mut bytes[5_000..6_000], &STATE));
        assert!(write(&mut bytes[5_000..30_001], &STATE), "a byte more");
        let again = (0..200).filter(|_| write(&mut bytes[5_000..30_001], &STATE)).count();
        assert_eq!(again, 3, "every 65th time");
    }
}
