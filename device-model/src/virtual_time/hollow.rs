//! An engine that takes requests and computes nothing.

use crate::engine::{Buffers, Context, Description, Engine, Generation, Mode, Verdict};

/// Completes every request with a good status and touches no memory: for studies where only time matters. The
/// write-back says so in the fields that a queue path looks at, so drivers that check results will not believe it.
#[derive(Clone, Copy, Debug)]
pub struct Hollow {
    /// Operation class, for the counts.
    pub class: &'static str,
    /// Byte offset of the 32-bit word that holds a request's length in bytes: what its service time depends on.
    pub length_at: usize,
    /// What is written where: byte offset and 32-bit word.
    pub write_back: &'static [(usize, u32)],
}

impl Hollow {
    /// Compression and decompression: dw4 is the length, status 0.
    pub const ZIP: Hollow = Hollow { class: "compress", length_at: 0x10, write_back: &[(0x0C, 0)] };
}

impl Engine for Hollow {
    fn classify(&self, _sqe: &[u8], _generation: Generation, _qc_type: u16) -> &'static str {
        self.class
    }

    fn describe(&self, _sqe: &[u8], _generation: Generation, _qc_type: u16) -> Description {
        Description {
            operation: format!("hollow {}", self.class),
            buffers: Buffers::Flat,
            mode: Mode::OneShot,
        }
    }

    fn execute(&self, sqe: &mut [u8], _ctx: &mut Context<'_>) -> Verdict {
        let word = sqe.get(self.length_at..self.length_at + 4);
        let bytes =
            word.map_or(0, |word| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)));
        for (at, value) in self.write_back {
            if let Some(place) = sqe.get_mut(*at..at + 4) {
                place.copy_from_slice(&value.to_le_bytes());
            }
        }
        Verdict::Done { bytes, output: 0, status: 0, ok: true }
    }
}
