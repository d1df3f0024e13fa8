//! Doorbells: what they say and how it is written (qm.md 4).

use crate::qm::mmio::Register;
use crate::uacce::Region;

/// What a doorbell announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// New submissions; the index is the new tail of the submission queue.
    Submission,
    /// Consumed completions; the index is the new head of the completion queue.
    Completion {
        /// Whether the next completion shall raise the interrupt that wakes poll (c_flag).
        arm: bool,
    },
}

/// Where doorbells go. Hardware is [`Mmio`]; tests and benches bring their own.
pub trait Doorbell {
    /// Announces `index`. The caller has put the store fence before it.
    fn ring(&self, kind: Kind, index: u16);
}

/// Offset of the doorbell in the doorbell region, V2 and later (qm.md 1).
const OFFSET: usize = 0x1000;

/// The V2 word (qm.md 4.1): \[9:0\] queue number, \[15:12\] command (0 submission, 1 completion), \[31:16\]
/// random data, 0, \[47:32\] index, \[48\] c_flag.
pub const fn encode(queue: u16, kind: Kind, index: u16) -> u64 {
    let (command, flag) = match kind {
        Kind::Submission => (0, 0),
        Kind::Completion { arm } => (1, arm as u64),
    };
    (queue & 0x3FF) as u64 | command << 12 | (index as u64) << 32 | flag << 48
}

/// The doorbell register of one hardware queue, V2 format.
#[derive(Debug)]
pub struct Mmio {
    register: Register,
    queue: u16,
}

impl Mmio {
    /// The doorbell of hardware queue number `queue` in its mapped doorbell region; `None` if the region is
    /// too short to have one.
    pub fn new(region: Region, queue: u16) -> Option<Mmio> {
        Some(Mmio { register: Register::new(region, OFFSET)?, queue })
    }

    /// From now on no doorbell reaches the device, of whatever thread.
    pub(crate) fn disconnect(&self) {
        self.register.disconnect();
    }
}

impl Doorbell for Mmio {
    #[inline]
    fn ring(&self, kind: Kind, index: u16) {
        self.register.store(encode(self.queue, kind, index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_the_table() {
        assert_eq!(encode(5, Kind::Submission, 7), 0x0000_0007_0000_0005);
        assert_eq!(encode(5, Kind::Completion { arm: false }, 0x3FF), 0x0000_03FF_0000_1005);
        assert_eq!(encode(0x3FF, Kind::Completion { arm: true }, 1), 0x0001_0001_0000_13FF);
        assert_eq!(encode(0xFFFF, Kind::Submission, 0), 0x3FF, "only ten bits of the queue number");
    }

    #[test]
    fn region_without_a_doorbell_is_refused() {
        assert!(Mmio::new(Region::anonymous(4096).unwrap(), 0).is_none());
        assert!(Mmio::new(Region::anonymous(8192).unwrap(), 0).is_some());
    }
}
