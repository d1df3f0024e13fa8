//! The ZIP engine: zlib, gzip and (V3) raw deflate, stateless and stateful, both directions.
//!
//! Section numbers are those of the ZIP reference. Error status values are this model's own, since the hardware's
//! are not published (section 10); they avoid every listed one.

use super::buffer::{Buffer, Trouble};
use super::entry::Entry;
use super::{Buffers, Context, Description, Engine, Generation, Injection, Mode, Refusal, Rule, Verdict};
pub use options::Options;
use request::Request;

mod checkvalue;
mod compress;
mod decompress;
mod deflate;
mod huffman;
mod inflate;
mod options;
mod request;
mod saved;

/// Status values of dw3[7:0].
mod status {
    pub(super) const GOOD: u8 = 0x00;
    /// Compression did not make the data smaller; as good as 0x00.
    pub(super) const NEGATIVE: u8 = 0x0D;
    pub(super) const TOO_SMALL: u8 = 0x0E;
    pub(super) const CHECK_VALUE: u8 = 0x10;
    pub(super) const STREAM_END: u8 = 0x13;
    /// The data is not a deflate stream.
    pub(super) const MALFORMED: u8 = 0x01;
    /// A stateless decompression ended before the stream did.
    pub(super) const TRUNCATED: u8 = 0x02;
    /// A field breaks its table.
    pub(super) const BAD_ENTRY: u8 = 0x03;
    /// An address cannot be reached.
    pub(super) const BUS: u8 = 0x04;
    /// A scatter/gather list breaks its table.
    pub(super) const BAD_LIST: u8 = 0x05;
    /// No such stream, or the words to be carried were not.
    pub(super) const BAD_STREAM: u8 = 0x06;

    pub(super) fn good(code: u8) -> bool {
        matches!(code, GOOD | NEGATIVE | STREAM_END)
    }
}

/// Largest output space with which an empty stateful request is a bypass request (section 11).
const BYPASS: u32 = 0x10;
/// Least output space that [`Options::least_output`] accepts.
const LEAST_OUTPUT: u32 = 200;

/// ZIP requests in software. A stream lives in its context (section 7.2) and nowhere else, so that it follows the
/// context through any queue and any copy of it, as the hardware's must.
#[derive(Debug, Default)]
pub struct Zip(pub Options);

impl Zip {
    /// The engine without any option.
    pub const PLAIN: Zip = Zip(Options::NONE);
}

/// Everything that is written back.
struct Response {
    status: u8,
    last_block: bool,
    consumed: u32,
    produced: u32,
    /// dw15, dw28, dw29, dw30, dw31.
    words: [u32; 5],
}

/// Why a request has no response of its own.
enum Failure {
    /// The entry, a list or the stream's words break the tables.
    Refused(u8, Refusal),
    /// An error status in the ordinary course of things, and the bytes of output that were written nevertheless.
    Status(u8, u64),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Access(_) => Self::Refused(status::BUS, Rule::Address.broken(trouble.to_string())),
            Trouble::List(_) => Self::Refused(status::BAD_LIST, Rule::List.broken(trouble.to_string())),
        }
    }
}

impl From<super::Fault> for Failure {
    fn from(fault: super::Fault) -> Self {
        Trouble::from(fault).into()
    }
}

impl Engine for Zip {
    fn classify(&self, _sqe: &[u8], _generation: Generation, qc_type: u16) -> &'static str {
        classify(qc_type)
    }

    fn describe(&self, sqe: &[u8], _generation: Generation, qc_type: u16) -> Description {
        describe(sqe, qc_type)
    }

    fn tag(&self, generation: Generation) -> std::ops::Range<usize> {
        tag(generation)
    }

    fn status(&self, sqe: &[u8]) -> Option<u32> {
        status_of(sqe)
    }

    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict {
        execute(sqe, ctx, &self.0)
    }
}

fn status_of(sqe: &[u8]) -> Option<u32> {
    sqe.get(request::STATUS).map(|code| u32::from(*code))
}

fn tag(generation: Generation) -> std::ops::Range<usize> {
    let at = if generation == Generation::V2 { request::TAG_V2 } else { request::TAG_V3 };
    at..at + 4
}

fn classify(qc_type: u16) -> &'static str {
    match qc_type {
        0 => "compress",
        1 => "decompress",
        _ => "unknown",
    }
}

fn describe(sqe: &[u8], qc_type: u16) -> Description {
    let byte = |at: usize| sqe.get(at).copied().unwrap_or(0);
    let format = match byte(0x24) {
        1 => Some("deflate"),
        2 => Some("zlib"),
        3 => Some("gzip"),
        _ => None,
    };
    let operation = match (format, qc_type) {
        (Some(format), 0) => format!("{format} compress"),
        (Some(format), 1) => format!("{format} decompress"),
        _ => "unknown".to_owned(),
    };
    let buffers = if byte(0x25) & 15 == 1 { Buffers::Sgl } else { Buffers::Flat };
    let mode = if byte(0x1F) & 4 != 0 { Mode::Stream } else { Mode::OneShot };
    Description { operation, buffers, mode }
}

fn execute(sqe: &mut [u8], ctx: &mut Context<'_>, options: &Options) -> Verdict {
    let mut entry = match Entry::new(sqe, request::SIZE) {
        Ok(entry) => entry,
        Err(refusal) => return refusal.into(),
    };
    let result = Request::decode(&entry, ctx.generation, ctx.qc_type)
        .map_err(|refusal| Failure::Refused(status::BAD_ENTRY, refusal))
        .and_then(|request| perform(&request, ctx, options));
    let verdict = match result {
        Ok(response) => {
            let ok = status::good(response.status);
            entry.put_word(request::CONSUMED, response.consumed);
            entry.put_word(request::PRODUCED, response.produced);
            entry.put_word(request::STATUS, u32::from(response.status) | u32::from(response.last_block) << 8);
            let places = [request::CTX0, request::CTX1, request::CTX2, request::ISIZE, request::CHECKSUM];
            for (at, word) in places.into_iter().zip(response.words) {
                entry.put_word(at, word);
            }
            Verdict::Done {
                bytes: if ok { u64::from(response.consumed) } else { 0 },
                output: u64::from(response.produced),
                status: u32::from(response.status),
                ok,
            }
        }
        Err(failure) => {
            let (code, verdict) = match failure {
                Failure::Refused(code, refusal) => (code, refusal.into()),
                Failure::Status(code, output) => {
                    let ok = status::good(code);
                    (code, Verdict::Done { bytes: 0, output, status: u32::from(code), ok })
                }
            };
            entry.clear(request::CONSUMED, 8);
            entry.put_word(request::STATUS, u32::from(code));
            // A context state of 1 ("try again") beside an error would make drivers loop (section 10).
            entry.put_word(request::CTX0, entry.word(request::CTX0) & !0xF);
            verdict
        }
    };
    if ctx.injection == Injection::StaleTag && matches!(verdict, Verdict::Done { .. }) {
        let at = tag(ctx.generation).start;
        entry.put_word(at, entry.word(at).wrapping_sub(1));
    }
    verdict
}

fn perform(request: &Request, ctx: &Context<'_>, options: &Options) -> Result<Response, Failure> {
    if request.stateful && request.source_len == 0 && request.target_len <= BYPASS {
        if let Injection::Status(code) = ctx.injection {
            return Err(Failure::Status(code as u8, 0));
        }
        return Ok(Response {
            status: status::GOOD,
            last_block: false,
            consumed: 0,
            produced: 0,
            words: request.words,
        });
    }
    let narrow = request.stateful && request.target_len < LEAST_OUTPUT && ctx.generation >= Generation::V3;
    if options.least_output && narrow {
        let text = format!("dest_avail_out is {}, a stream needs {LEAST_OUTPUT}", request.target_len);
        return Err(Failure::Refused(status::BAD_ENTRY, Rule::Length.broken(text)));
    }
    let buffer = |addr, skip, len: u32| {
        if request.sgl {
            Buffer::chain(ctx.mem, addr, skip, u64::from(len))
        } else {
            Ok(Buffer::flat(addr, u64::from(len)))
        }
    };
    let source = buffer(request.source, request.source_skip, request.source_len)?;
    let target = buffer(request.target, request.target_skip, request.target_len)?;
    if let Injection::Status(code) = ctx.injection {
        return Err(Failure::Status(code as u8, 0));
    }
    if request.compress {
        compress::compress(request, ctx, options, &source, &target)
    } else {
        decompress::decompress(request, ctx, options, &source, &target)
    }
}

/// Writes the output of a request, as the fault plan wants it.
fn deliver(ctx: &Context<'_>, target: &Buffer, data: &[u8]) -> Result<(), Failure> {
    match ctx.injection {
        Injection::Partial => {
            let half = &data[..data.len() / 2];
            target.write(ctx.mem, 0, half)?;
            Err(Failure::Status(status::BUS, half.len() as u64))
        }
        Injection::Corrupt if !data.is_empty() => {
            let mut wrong = data.to_vec();
            wrong[data.len() / 2] ^= 0x10;
            Ok(target.write(ctx.mem, 0, &wrong)?)
        }
        _ => Ok(target.write(ctx.mem, 0, data)?),
    }
}

/// A value for the bits of ctx_dw1 that drivers do not interpret ([31:19], section 7.1). It depends on the other
/// words, so that a driver which does not carry all of them exactly is found out.
fn seal(words: [u32; 5]) -> u32 {
    let mixed = [words[0], words[2], words[3], words[4]].into_iter().fold(0x811C_9DC5u32, |sum, word| {
        let product = (sum ^ word).wrapping_mul(0x9E37_79B1);
        (product ^ product >> 15).wrapping_mul(0x85EB_CA77).rotate_left(11)
    });
    (mixed | 1 << 31) & 0xFFF8_0000
}

#[cfg(test)]
mod tests;
