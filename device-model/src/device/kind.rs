//! The kinds of accelerator and what the queue manager must know about each.

use crate::engine::{Engine, hpre, sec, zip};

/// One kind of accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Compression, PCI function 0xa250.
    Zip,
    /// Ciphers and digests, PCI function 0xa255.
    Sec,
    /// Public-key arithmetic, PCI function 0xa258.
    Hpre,
}

impl Kind {
    /// All kinds, in the order in which a two-socket server numbers its devices.
    pub const ALL: [Kind; 3] = [Kind::Sec, Kind::Hpre, Kind::Zip];

    /// The name used by the ledger and the fault plan.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Zip => "zip",
            Kind::Sec => "sec",
            Kind::Hpre => "hpre",
        }
    }
    /// The kernel driver's name, first part of every device name.
    pub fn driver(self) -> &'static str {
        match self {
            Kind::Zip => "hisi_zip",
            Kind::Sec => "hisi_sec2",
            Kind::Hpre => "hisi_hpre",
        }
    }
    /// Bytes of one submission-queue entry (`qm.md` 2).
    pub fn sqe_size(self) -> usize {
        match self {
            Kind::Zip | Kind::Sec => 128,
            Kind::Hpre => 64,
        }
    }
    /// PCI device id of the physical function.
    pub fn pci_id(self) -> u16 {
        match self {
            Kind::Zip => 0xa250,
            Kind::Sec => 0xa255,
            Kind::Hpre => 0xa258,
        }
    }
    /// What executes its descriptors.
    pub fn engine(self) -> &'static dyn Engine {
        match self {
            Kind::Zip => &zip::Zip::PLAIN,
            Kind::Sec => &sec::Sec::STANDARD,
            Kind::Hpre => {
                static HPRE: hpre::Hpre = hpre::Hpre::STANDARD;
                &HPRE
            }
        }
    }
}
