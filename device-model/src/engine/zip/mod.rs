//! The ZIP engine: zlib, gzip and (V3) raw deflate, stateless and stateful, both directions.
//!
//! Section numbers are those of the ZIP reference. Error status values are this model's own, since the hardware's
//! are not published (section 10); they avoid every listed one.

use super::buffer::{Buffer, Trouble};
use super::entry::Entry;
use super::{Context, Engine, Generation, Injection, Verdict};
use checkvalue::Tally;
use inflate::{Inflater, Output, Stop};
use request::Request;
use saved::Saved;

mod checkvalue;
mod deflate;
mod huffman;
mod inflate;
mod request;
mod saved;

/// Status values of dw3[7:0].
mod status {
    pub(super) const GOOD: u8 = 0x00;
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
}

/// Largest output space with which an empty stateful request is a bypass request (section 11).
const BYPASS: u32 = 0x10;
/// Input taken from memory at a time, bytes.
const PIECE: usize = 64 * 1024;

/// ZIP requests in software. A stream lives in its context (section 7.2) and nowhere else, so that it follows the
/// context through any queue and any copy of it, as the hardware's must.
#[derive(Debug, Default)]
pub struct Zip;

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
    Refused(u8, String),
    /// An error status in the ordinary course of things.
    Status(u8),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Access(_) => Self::Refused(status::BUS, trouble.to_string()),
            Trouble::List(_) => Self::Refused(status::BAD_LIST, trouble.to_string()),
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
        match qc_type {
            0 => "compress",
            1 => "decompress",
            _ => "unknown",
        }
    }

    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict {
        let mut entry = match Entry::new(sqe, request::SIZE) {
            Ok(entry) => entry,
            Err(reason) => return Verdict::Refused { reason },
        };
        let result = Request::decode(&entry, ctx.generation, ctx.qc_type)
            .map_err(|reason| Failure::Refused(status::BAD_ENTRY, reason))
            .and_then(|request| perform(&request, ctx));
        match result {
            Ok(response) => {
                let ok = matches!(response.status, status::GOOD | status::STREAM_END);
                entry.put_word(request::CONSUMED, response.consumed);
                entry.put_word(request::PRODUCED, response.produced);
                entry.put_word(
                    request::STATUS,
                    u32::from(response.status) | u32::from(response.last_block) << 8,
                );
                let places = [request::CTX0, request::CTX1, request::CTX2, request::ISIZE, request::CHECKSUM];
                for (at, word) in places.into_iter().zip(response.words) {
                    entry.put_word(at, word);
                }
                Verdict::Done { bytes: if ok { u64::from(response.consumed) } else { 0 }, ok }
            }
            Err(failure) => {
                let (code, verdict) = match failure {
                    Failure::Refused(code, reason) => (code, Verdict::Refused { reason }),
                    Failure::Status(code) => {
                        let ok = matches!(code, status::GOOD | status::STREAM_END);
                        (code, Verdict::Done { bytes: 0, ok })
                    }
                };
                entry.clear(request::CONSUMED, 8);
                entry.put_word(request::STATUS, u32::from(code));
                // A context state of 1 ("try again") beside an error would make drivers loop (section 10).
                entry.put_word(request::CTX0, entry.word(request::CTX0) & !0xF);
                verdict
            }
        }
    }
}

fn perform(request: &Request, ctx: &mut Context<'_>) -> Result<Response, Failure> {
    if request.stateful && request.source_len == 0 && request.target_len <= BYPASS {
        return Ok(Response {
            status: status::GOOD,
            last_block: false,
            consumed: 0,
            produced: 0,
            words: request.words,
        });
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
        return Err(Failure::Status(code as u8));
    }
    if request.compress {
        compress(request, ctx, &source, &target)
    } else {
        decompress(request, ctx, &source, &target)
    }
}

/// Writes the output of a request, as the fault plan wants it.
fn deliver(ctx: &Context<'_>, target: &Buffer, data: &[u8]) -> Result<(), Failure> {
    match ctx.injection {
        Injection::Partial => {
            target.write(ctx.mem, 0, &data[..data.len() / 2])?;
            Err(Failure::Status(status::BUS))
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

fn compress(
    request: &Request,
    ctx: &Context<'_>,
    source: &Buffer,
    target: &Buffer,
) -> Result<Response, Failure> {
    let fresh = !request.stateful || request.first;
    let mut tally = if fresh {
        Tally::start(request.format)
    } else {
        if request.words[1] != seal(request.words) {
            let text = "ctx_dw0-2, isize or checksum are not those of the stream's previous response";
            return Err(Failure::Refused(status::BAD_STREAM, text.into()));
        }
        Tally::resume(request.format, request.words[4], request.words[3])
    };
    let mut data = vec![0; request.source_len as usize];
    source.read(ctx.mem, 0, &mut data)?;
    let space = request.target_len as usize;
    let last = !request.stateful || request.finish;

    let mut out = deflate::encode(&data, request.window, last);
    let trailer = if last { request.format.trailer_len() } else { 0 };
    let mut used = data.len();
    if out.len() + trailer <= space {
        tally.add(&data);
        if last {
            out.extend(tally.trailer());
        }
    } else if request.stateful {
        // All input consumed means "finished" to drivers: without room for the end, a byte must stay.
        let most = data.len().saturating_sub(usize::from(last));
        (used, out) = deflate::encode_beginning(&data[..most], request.window, space);
        tally.add(&data[..used]);
    } else {
        return Err(Failure::Status(status::TOO_SMALL));
    }
    deliver(ctx, target, &out)?;

    let mut words = request.words;
    words[3] = tally.len;
    words[4] = tally.register();
    if request.stateful {
        words[0] = 0;
        words[2] = 0;
        words[1] = seal(words);
    }
    Ok(Response {
        status: status::GOOD,
        last_block: false,
        consumed: used as u32,
        produced: out.len() as u32,
        words,
    })
}

/// What the words of the previous response must be, or a new stream.
fn resume(request: &Request, ctx: &Context<'_>) -> Result<Saved, Failure> {
    if !request.stateful || request.first {
        let inflater = Inflater::default();
        let (format, words) = (request.format, request.words);
        return Ok(Saved { format, inflater, trailer: Vec::new(), words, history: Vec::new() });
    }
    let refuse = |text: String| Err(Failure::Refused(status::BAD_STREAM, text));
    let saved = match Saved::load(ctx.mem, request.context)? {
        Ok(saved) => saved,
        Err(text) => return refuse(format!("stream context at {:#x}: {text}", request.context)),
    };
    if saved.format != request.format {
        return refuse(format!("request_type changed from {:?} to {:?}", saved.format, request.format));
    }
    if saved.words != request.words {
        return refuse(format!(
            "ctx_dw0-2, isize, checksum are {:08x?}, the previous response had {:08x?}",
            request.words, saved.words
        ));
    }
    Ok(saved)
}

fn decompress(
    request: &Request,
    ctx: &Context<'_>,
    source: &Buffer,
    target: &Buffer,
) -> Result<Response, Failure> {
    let mut stream = resume(request, ctx)?;
    let mut tally = if !request.stateful || request.first {
        Tally::start(request.format)
    } else {
        Tally::resume(request.format, request.words[4], request.words[3])
    };
    let mut out = Output::new(std::mem::take(&mut stream.history), request.target_len as usize);
    let mut piece = vec![0; PIECE.min(request.source_len as usize)];
    let (mut taken, mut left) = (0u64, 0);
    let wanted = request.format.trailer_len();
    let stop = loop {
        // `piece` ends in `left` bytes not yet used; get more only when it is empty.
        let at = piece.len() - left;
        let mut input = &piece[at..];
        let stop =
            stream.inflater.run(&mut input, &mut out).map_err(|_| Failure::Status(status::MALFORMED))?;
        if stop == Stop::End {
            let missing = (wanted - stream.trailer.len()).min(input.len());
            stream.trailer.extend_from_slice(&input[..missing]);
            input = &input[missing..];
        }
        left = input.len();
        let complete = stop == Stop::End && stream.trailer.len() == wanted;
        if complete || stop == Stop::Space || taken == source.len() && left == 0 {
            break stop;
        }
        let next = PIECE.min((source.len() - taken) as usize);
        piece.truncate(next);
        source.read(ctx.mem, taken, &mut piece)?;
        taken += next as u64;
        left = next;
    };
    let consumed = (taken - left as u64) as u32;
    tally.add(out.fresh());
    let complete = stop == Stop::End && stream.trailer.len() == wanted;
    let input_left = consumed < request.source_len;

    let (status, state) = match stop {
        _ if complete && stream.trailer != tally.trailer() => (status::CHECK_VALUE, 0),
        _ if complete && request.stateful => (status::STREAM_END, 0),
        _ if complete => (status::GOOD, 0),
        Stop::Space if !request.stateful => return Err(Failure::Status(status::TOO_SMALL)),
        _ if !request.stateful => return Err(Failure::Status(status::TRUNCATED)),
        Stop::Space if input_left => (status::GOOD, 2),
        Stop::Space => (status::GOOD, 1),
        Stop::End => (status::GOOD, 4),
        Stop::Input => (status::GOOD, 0),
    };
    deliver(ctx, target, out.fresh())?;

    let mut words = request.words;
    words[3] = tally.len;
    words[4] = tally.register();
    if request.stateful {
        words[0] = state;
        words[2] = out.tail().len() as u32;
        words[1] = seal(words);
        if complete {
            Saved::erase(ctx.mem, request.context)?;
        } else {
            stream.history = out.tail().to_vec();
            stream.words = words;
            stream.store(ctx.mem, request.context)?;
        }
    }
    Ok(Response { status, last_block: complete, consumed, produced: out.fresh().len() as u32, words })
}

#[cfg(test)]
mod tests;
