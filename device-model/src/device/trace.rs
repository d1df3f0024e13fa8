//! The trace: one line per request that left the ring, and one per event that is no request.
//!
//! Fields are separated by tabs, always sixteen, `-` where there is nothing to say:
//!
//! | field | request | event |
//! |---|---|---|
//! | 1 time | nanoseconds by the monotonic clock, when it was completed or lost | as left |
//! | 2 process | process id of the front | as left |
//! | 3 what | `request` | `event` |
//! | 4 device | `hisi_zip-4` | as left |
//! | 5 queue | number within the device | as left, or `-` for all of the device |
//! | 6 slot | submission slot | `-` |
//! | 7 class | `zip.compress` | `-` |
//! | 8 operation | in words, `AES-128-CBC encrypt` | what happened: `dead: controller reset`, `open refused: busy=20` |
//! | 9 buffers | `flat`, `sgl`, `mixed` | `-` |
//! | 10 mode | `one-shot`, `stream` | `-` |
//! | 11 input | bytes as the ledger counts them, 0 unless `ok` | `-` |
//! | 12 output | bytes written | `-` |
//! | 13 status | the engine's, hexadecimal; `-` without completion | `-` |
//! | 14 verdict | `ok`, `error`, `refused:RULE`, `lost` (by plan), `flushed` (queue stopped or dead), `panicked` | `-` |
//! | 15 duration | nanoseconds from fetch to this line | `-` |
//! | 16 fault | the rule that fired, `status=0xb`; a silent one with `silent:` before it | `-` |
//!
//! The front adds the first two.

use super::Host;
use super::faults::Fault;
use crate::engine::{Buffers, Description, Mode};
use std::fmt;

/// Fields 3 to 16 of a request's line.
pub(super) struct Line<'a> {
    pub(super) device: &'a str,
    pub(super) queue: u16,
    pub(super) slot: u16,
    pub(super) class: &'a str,
    pub(super) description: &'a Description,
    pub(super) sizes: (u64, u64),
    pub(super) status: Option<u32>,
    pub(super) verdict: &'a str,
    pub(super) duration_ns: u64,
    pub(super) fault: Option<Fault>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Description { operation, buffers, mode } = self.description;
        let buffers = match buffers {
            Buffers::Flat => "flat",
            Buffers::Sgl => "sgl",
            Buffers::Mixed => "mixed",
        };
        let mode = match mode {
            Mode::OneShot => "one-shot",
            Mode::Stream => "stream",
        };
        let (input, output) = self.sizes;
        write!(f, "request\t{}\t{}\t{}\t{}\t", self.device, self.queue, self.slot, self.class)?;
        write!(f, "{operation}\t{buffers}\t{mode}\t{input}\t{output}\t")?;
        match self.status {
            Some(status) => write!(f, "{status:#x}")?,
            None => f.write_str("-")?,
        }
        write!(f, "\t{}\t{}\t", self.verdict, self.duration_ns)?;
        match self.fault {
            Some(fault) if fault.is_silent() => write!(f, "silent:{fault}"),
            Some(fault) => write!(f, "{fault}"),
            None => f.write_str("-"),
        }
    }
}

/// Fields 3 to 16 of an event's line.
pub fn event_fields(device: &str, queue: Option<u16>, what: &str) -> String {
    let queue = queue.map_or_else(|| "-".to_owned(), |number| number.to_string());
    format!("event\t{device}\t{queue}\t-\t-\t{what}{}", "\t-".repeat(8))
}

/// Traces something that is no request.
pub(super) fn event(host: &Host<'_>, device: &str, queue: Option<u16>, what: &str) {
    if host.records.traces() {
        host.records.trace(host.clock.now_ns(), &event_fields(device, queue, what));
    }
}
