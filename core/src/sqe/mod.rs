//! Descriptor layouts: words with explicit bit ranges, as the hardware tables give them. No unsafe code, and
//! no knowledge of queues.
#![forbid(unsafe_code)]

pub mod hpre;
pub mod sec;
pub mod word;
pub mod zip;

/// Descriptors are little-endian (zip.md, sec.md 1, hpre.md 1) and words are used as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"), "descriptor words assume a little-endian host");
