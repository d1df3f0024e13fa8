//! The ZIP descriptor: 128 bytes, offsets and bits of reference section 2; everything a driver must leave 0 is checked.

use super::checkvalue::Format;
use crate::engine::entry::Entry;
use crate::engine::{Generation, Refusal, Rule};

/// Bytes of a descriptor.
pub(super) const SIZE: usize = 128;

// Written back.
pub(super) const CONSUMED: usize = 0x00;
pub(super) const PRODUCED: usize = 0x04;
pub(super) const STATUS: usize = 0x0C;
pub(super) const CTX0: usize = 0x3C;
pub(super) const CTX1: usize = 0x70;
pub(super) const CTX2: usize = 0x74;
pub(super) const ISIZE: usize = 0x78;
pub(super) const CHECKSUM: usize = 0x7C;

/// The request's tag, by generation.
pub(super) const TAG_V2: usize = 0x34;
pub(super) const TAG_V3: usize = 0x68;

/// A decoded descriptor.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) compress: bool,
    pub(super) format: Format,
    pub(super) stateful: bool,
    /// First request of a stream (stateful).
    pub(super) first: bool,
    /// This request ends the stream (stateful compression).
    pub(super) finish: bool,
    /// Greatest distance of a match, bytes.
    pub(super) window: usize,
    pub(super) sgl: bool,
    pub(super) source: u64,
    pub(super) source_skip: u64,
    pub(super) source_len: u32,
    pub(super) target: u64,
    pub(super) target_skip: u64,
    pub(super) target_len: u32,
    pub(super) context: u64,
    /// dw15, dw28, dw29, dw30, dw31.
    pub(super) words: [u32; 5],
}

/// Fields that no request of the deflate family may set: (offset, high bit, low bit, name).
const ALWAYS_ZERO: [(usize, u32, u32, &str); 16] = [
    (0x00, 31, 0, "consumed"),
    (0x04, 31, 0, "produced"),
    (0x08, 31, 0, "comp_data_length"),
    (0x0C, 31, 0, "status word"),
    (0x14, 31, 0, "lba_l"),
    (0x18, 31, 0, "lba_h"),
    (0x1C, 24, 24, "dw7 reserved bit"),
    (0x20, 31, 24, "dw8 reserved bits"),
    (0x24, 31, 16, "align_size"),
    (0x28, 31, 0, "DIF control"),
    (0x2C, 31, 0, "priv_info"),
    (0x30, 31, 0, "DIF control 2"),
    (0x40, 31, 0, "comp_head_addr_l"),
    (0x44, 31, 0, "comp_head_addr_h"),
    (0x60, 31, 0, "literals_addr_l"),
    (0x64, 31, 0, "literals_addr_h"),
];

impl Request {
    /// Decodes and checks; the error names the field.
    pub(super) fn decode(e: &Entry<'_>, generation: Generation, qc_type: u16) -> Result<Self, Refusal> {
        let compress = match qc_type {
            0 => true,
            1 => false,
            other => return Err(Rule::QueueClass.broken(format!("queue class {other}, must be 0 or 1"))),
        };
        let kind = e.bits(0x1C, 31, 28);
        let expected = if generation == Generation::V2 { 0 } else { 3 };
        if kind != expected {
            return Err(Rule::Type.broken(format!("sqe_type is {kind}, {generation:?} takes {expected}")));
        }
        for (at, high, low, name) in ALWAYS_ZERO {
            e.must_be_zero(at, high, low, name)?;
        }
        if kind == 0 {
            e.must_be_zero(0x68, 31, 0, "XTS key 2 low")?;
            e.must_be_zero(0x6C, 31, 0, "XTS key 2 high")?;
        } else {
            e.must_be_zero(0x34, 31, 0, "literal buffer capacity")?;
        }
        let format = match e.bits(0x24, 7, 0) {
            1 if generation >= Generation::V3 => Format::Raw,
            2 => Format::Zlib,
            3 => Format::Gzip,
            other => {
                let rule = match other {
                    0x01 | 0x04 | 0x10 | 0x20 | 0x30 | 0x40..=0x43 => Rule::Unsupported,
                    _ => Rule::Value,
                };
                let text = format!("request_type {other:#04x} is not offered on {generation:?}");
                return Err(rule.broken(text));
            }
        };
        let sgl = match e.bits(0x24, 11, 8) {
            0 => false,
            1 => true,
            other => return Err(Rule::Value.broken(format!("buffer_type {other}, must be 0 or 1"))),
        };
        // Drivers fill the window for decompression too, unchecked; it has no meaning there. Whether V2 looks at the
        // field is unknown (reference 20): here it does, and the kernel's 0 means 4 KiB.
        let window = match e.bits(0x24, 15, 12) {
            _ if !compress => 0,
            0 => 4,
            1 => 8,
            2 => 16,
            3 => 24,
            4 => 32,
            other => return Err(Rule::Value.broken(format!("window {other}, must be 0 to 4"))),
        };
        let out = Self {
            compress,
            format,
            stateful: e.bits(0x1C, 26, 26) == 1,
            first: e.bits(0x1C, 27, 27) == 1,
            finish: e.bits(0x1C, 25, 25) == 1,
            window: window * 1024,
            sgl,
            source: e.long(0x48),
            source_skip: u64::from(e.bits(0x1C, 23, 0)),
            source_len: e.word(0x10),
            target: e.long(0x50),
            target_skip: u64::from(e.bits(0x20, 23, 0)),
            target_len: e.word(0x38),
            context: e.long(0x58),
            words: [CTX0, CTX1, CTX2, ISIZE, CHECKSUM].map(|at| e.word(at)),
        };
        if !sgl && (out.source_skip, out.target_skip) != (0, 0) {
            return Err(Rule::Value.broken(format!(
                "SGL offsets {:#x} and {:#x} with flat buffers",
                out.source_skip, out.target_skip
            )));
        }
        let most = crate::engine::buffer::LONGEST_PIECE;
        for (name, len) in [("input_data_length", out.source_len), ("dest_avail_out", out.target_len)] {
            if !sgl && u64::from(len) > most {
                let text = format!("{name} is {len:#x}, a flat buffer has at most {most:#x}");
                return Err(Rule::Length.broken(text));
            }
            if u64::from(len) > MOST_IN_CHAIN {
                let text = format!("{name} is {len:#x}, this model takes at most {MOST_IN_CHAIN:#x}");
                return Err(Rule::Length.broken(text));
            }
        }
        if out.stateful && !compress && out.context == 0 {
            return Err(Rule::Value.broken("stream_ctx_addr is 0 in a stateful decompression"));
        }
        if out.stateful && !out.context.is_multiple_of(16) {
            let text = format!("stream_ctx_addr {:#x} is not 16-byte aligned", out.context);
            return Err(Rule::Alignment.broken(text));
        }
        Ok(out)
    }
}

/// Bound on one request's data. The hardware's own is unknown; this one protects the memory of the model's host, since
/// a list that leads to itself makes much of little.
const MOST_IN_CHAIN: u64 = 1 << 26;
