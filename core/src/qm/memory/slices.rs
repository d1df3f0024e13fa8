//! Memory that a device knows by other addresses than the process: slices (uacce.md 4.1).

use std::ops::Range;

/// Bytes that one unit of a slice's size code stands for.
const CODE_UNIT: usize = 64 << 10;
/// Bits of an answer that hold the size code.
const CODE: u64 = 0xFFF;

/// Bytes that are contiguous for the process and for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    /// Byte offset in the region.
    offset: usize,
    len: usize,
    /// Where the device sees its first byte.
    device: u64,
}

/// The slices of a region, by rising offset; neighbours without a gap are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slices(Vec<Slice>);

impl Slices {
    /// A region that the device sees in one piece, from address `device` on.
    pub(super) fn whole(len: usize, device: u64) -> Self {
        Slices(vec![Slice { offset: 0, len, device }])
    }

    /// From the answers of GET_SS_DMA for a region of `len` bytes, in their order. With `whole` (an IOMMU) the first
    /// answer's address is that of the whole region and its size means nothing. `None` for answers that make no
    /// sense: a slice without size, or one that wraps the address space. Slices beyond the region are cut off.
    pub(super) fn parse(answers: &[u64], len: usize, whole: bool) -> Option<Self> {
        if whole {
            let device = answers.first()? & !CODE;
            device.checked_add(len as u64)?;
            return Some(Self::whole(len, device));
        }
        let mut slices: Vec<Slice> = Vec::new();
        let mut offset = 0;
        for answer in answers {
            let (device, size) = (answer & !CODE, (answer & CODE) as usize * CODE_UNIT);
            if size == 0 || device.checked_add(size as u64).is_none() {
                return None;
            }
            let size = size.min(len - offset);
            if size == 0 {
                break;
            }
            match slices.last_mut() {
                Some(last) if last.device + last.len as u64 == device => last.len += size,
                _ => slices.push(Slice { offset, len: size, device }),
            }
            offset += size;
        }
        (offset > 0).then_some(Slices(slices))
    }

    /// Byte offsets of each slice.
    pub(super) fn segments(&self) -> impl Iterator<Item = Range<usize>> {
        self.0.iter().map(|slice| slice.offset..slice.offset + slice.len)
    }

    /// The device's address of byte `offset`; `None` outside of every slice.
    pub(super) fn device(&self, offset: usize) -> Option<u64> {
        let slice = self.0.iter().find(|slice| (slice.offset..slice.offset + slice.len).contains(&offset))?;
        Some(slice.device + (offset - slice.offset) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K64: usize = 64 << 10;

    #[test]
    fn answers_become_slices_and_neighbours_are_merged() {
        let answers = [0x10_0000_0000_0002, 0x10_0000_0002_0001, 0x10_0000_0100_0003];
        let slices = Slices::parse(&answers, 6 * K64, false).unwrap();
        assert_eq!(slices.segments().collect::<Vec<_>>(), [0..3 * K64, 3 * K64..6 * K64]);
        assert_eq!(slices.device(0), Some(0x10_0000_0000_0000));
        assert_eq!(slices.device(3 * K64 - 1), Some(0x10_0000_0002_FFFF));
        assert_eq!(slices.device(3 * K64), Some(0x10_0000_0100_0000));
        assert_eq!(slices.device(6 * K64), None);
    }

    #[test]
    fn slices_that_only_follow_in_the_region_stay_apart() {
        let slices = Slices::parse(&[0x5_0000_0001, 0x4_FFFF_0001], 2 * K64, false).unwrap();
        assert_eq!(slices.segments().count(), 2, "falling addresses");
    }

    #[test]
    fn with_an_iommu_the_whole_region_is_one_slice_whatever_the_size_code() {
        let slices = Slices::parse(&[0x7_0000_0007], 10 * K64, true).unwrap();
        assert!(slices.segments().eq(std::iter::once(0..10 * K64)));
        assert_eq!(slices.device(10 * K64 - 1), Some(0x7_0000_0000 + 10 * K64 as u64 - 1));
    }

    #[test]
    fn what_lies_beyond_the_region_is_cut_off() {
        let slices = Slices::parse(&[0x1_0000_0004, 0x9_0000_0001], 3 * K64, false).unwrap();
        assert_eq!(slices.segments().map(|s| s.len()).sum::<usize>(), 3 * K64);
        assert_eq!(slices.device(3 * K64), None);
    }

    #[test]
    fn senseless_answers_are_refused() {
        assert_eq!(Slices::parse(&[], K64, false), None);
        assert_eq!(Slices::parse(&[], K64, true), None);
        assert_eq!(Slices::parse(&[0x1_0000_0000], K64, false), None, "no size");
        assert_eq!(Slices::parse(&[0xFFFF_FFFF_FFFF_F001], K64, false), None, "wraps");
        assert_eq!(Slices::parse(&[0xFFFF_FFFF_FFFF_F000], K64, true), None, "wraps");
    }
}
