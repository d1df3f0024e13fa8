//! Memory of a device without SVA: the SS region of its queue (uacce.md 4.1).

use super::{Memory, Own, Slices};
use crate::uacce::abi::{GetSsDma, RegionKind};
use crate::uacce::{Kind, Node};

/// Smallest region worth having; also what the kernel rounds a length up to without an IOMMU.
const LEAST: usize = 64 << 10;
/// More slices than a region of ours can have: an end for a kernel that always names another.
const MOST_SLICES: u64 = 1024;

/// Bytes asked for. Such memory is pinned and scarce (one block of 4 MiB is what the kernel's allocator has at most), so
/// it is the least that serves a few requests of a useful size at a time: ZIP buffers are lent in pieces of up to
/// 512 KiB, ciphers of up to 256 KiB; the largest RSA request needs 4 KiB.
const fn wanted(kind: Kind) -> usize {
    match kind {
        Kind::Zip => 4 << 20,
        Kind::Sec => 2 << 20,
        Kind::Hpre => 256 << 10,
    }
}

/// Smallest region that a queue of this kind can work with: a ZIP stream needs its context beside its data.
const fn least(kind: Kind) -> usize {
    match kind {
        Kind::Zip => 512 << 10,
        Kind::Sec | Kind::Hpre => LEAST,
    }
}

/// Maps and asks for the memory of a queue. `iommu` is bit 7 of the device's `flags`.
///
/// # Errors
/// The errno: ENOMEM if there is no such memory left, ENODEV for a kernel whose answers make no sense.
pub(crate) fn pinned(node: &Node, kind: Kind, iommu: bool) -> Result<Memory, i32> {
    let mut len = wanted(kind);
    let region = loop {
        match node.map(RegionKind::Ss, len) {
            Err(libc::ENOMEM) if len / 2 >= least(kind) => len /= 2,
            other => break other?,
        }
    };
    let mut answers = Vec::new();
    for index in 0..MOST_SLICES {
        let mut answer = index;
        let left = node.ask::<GetSsDma>(&mut answer)?;
        answers.push(answer);
        if left == 0 {
            break;
        }
    }
    let slices = Slices::parse(&answers, len, iommu).ok_or(libc::ENODEV)?;
    Ok(Memory::new(false, kind, Some(Own::new(region, slices))))
}
