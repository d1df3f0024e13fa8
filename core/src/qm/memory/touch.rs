//! Making pages ready for a device: under SVA a page that the process has not touched costs the device a page fault,
//! which takes it many times as long as the process (a minor fault, some tenths of a microsecond).
//!
//! Every request touches its pages. Remembering which were touched lately would spare little (one
//! load and store for a page that is there) and be wrong where it matters: memory that was freed and mapped again has
//! the same address and none of its pages.

use std::hint::black_box;

/// The smallest page of any system. On larger pages most touches are superfluous, and cheap.
const PAGE: usize = 4096;

/// Reads a byte of every page.
pub(super) fn read(bytes: &[u8]) {
    for first in firsts(bytes.as_ptr().addr(), bytes.len()) {
        black_box(bytes[first]);
    }
}

/// Writes a byte of every page back as it is.
///
/// The bytes are borrowed alone, so nobody else can write them in between. That the compiler must not leave the store
/// out is `black_box`'s promise as far as it makes any; if it did, the device would meet page faults, no more.
pub(super) fn write(bytes: &mut [u8]) {
    for first in firsts(bytes.as_ptr().addr(), bytes.len()) {
        bytes[first] = black_box(bytes[first]);
    }
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
        write(&mut bytes[7..19_000]);
        read(&bytes);
        assert_eq!(bytes, before);
    }
}
