//! One ZIP request: descriptor out, write-back in and judged.

use zerocopy::IntoBytes;

use super::{Direction, Format, Window};
use crate::Fault;
use crate::engine::Loans;
use crate::qm::{self, Channel, Version};
use crate::sqe::word::Pair;
use crate::sqe::zip::{
    Completion, Context0, Context1, Context2, Control, Kind, RequestType, Sqe, Status, TYPE_V2, TYPE_V3,
};

/// Largest input or output of one flat request, 8 MiB (zip.md 2.5).
pub(super) const FLAT_MAX: usize = 8 << 20;

/// Largest input or output of one request on this channel.
pub(super) fn longest<Ch: Channel>(ch: &Ch) -> usize {
    FLAT_MAX.min(ch.longest_loan())
}

/// The words that travel from a stream's write-back into its next request (zip.md 6, 7.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub ctx0: Context0,
    pub ctx1: Context1,
    pub ctx2: Context2,
    pub isize: u32,
    pub checksum: u32,
}

/// What makes a request stateful.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub first: bool,
    /// Compression: this request ends the stream.
    pub last: bool,
    pub carried: Carried,
}

/// A request without its buffers. `part` is `None` for a stateless one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub direction: Direction,
    pub wire: RequestType,
    /// Compression: the longest distance back.
    pub window: Window,
    pub part: Option<Part>,
}

/// A write-back with a good status, lengths checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reply {
    pub consumed: usize,
    pub produced: usize,
    pub status: Status,
    pub last_block: bool,
    pub carried: Carried,
}

/// The request type that carries a format. V2 has no raw deflate: it compresses as zlib, and the caller
/// drops the trailer.
pub(super) fn wire(version: Version, format: Format, direction: Direction) -> Result<RequestType, Fault> {
    match (version, format, direction) {
        (Version::V2, Format::Raw, Direction::Compress) | (_, Format::Zlib, _) => Ok(RequestType::ZLIB),
        (Version::V2, Format::Raw, Direction::Decompress) => Err(Fault::Unsupported),
        (Version::V3, Format::Raw, _) => Ok(RequestType::RAW),
        (_, Format::Gzip, _) => Ok(RequestType::GZIP),
    }
}

fn fill(version: Version, tag: u32, request: &Request, lent: &Lent) -> Sqe {
    let mut control = Control::default();
    let mut sqe = Sqe::default();
    match &request.part {
        // Bits 25 and 27 mean nothing here; UADK sets both (zip.md 2.1).
        None => control = control.with(Control::FLUSH, 1).with(Control::STREAM_NEW, 1),
        Some(part) => {
            control = control
                .with(Control::STREAM_MODE, 1)
                .with(Control::STREAM_NEW, part.first.into())
                .with(Control::FLUSH, part.last.into());
            sqe.stream_ctx = lent.context;
            sqe.ctx0 = part.carried.ctx0;
            sqe.ctx1 = part.carried.ctx1;
            sqe.ctx2 = part.carried.ctx2;
            sqe.isize = part.carried.isize;
            sqe.checksum = part.carried.checksum;
        }
    }
    sqe.control = match version {
        Version::V2 => {
            sqe.tag_v2 = tag;
            control.with(Control::SQE_TYPE, TYPE_V2)
        }
        Version::V3 => {
            sqe.tag_v3 = tag;
            control.with(Control::SQE_TYPE, TYPE_V3)
        }
    };
    let window = if request.direction == Direction::Compress { request.window.code() } else { 0 };
    sqe.kind = Kind::default().with(Kind::REQUEST_TYPE, request.wire.0).with(Kind::WINDOW, window);
    sqe.input_data_length = lent.given;
    sqe.dest_avail_out = lent.room;
    sqe.dest = lent.dest;
    sqe.source = lent.source;
    sqe
}

/// The buffers of a request by the addresses that the device knows.
#[derive(Debug, Default)]
struct Lent {
    source: Pair,
    given: u32,
    dest: Pair,
    room: u32,
    context: Pair,
}

/// Most bytes of output that are expected of a request, so that their pages are made ready: compression gives
/// hardly more than it takes, decompression seldom more than 32 times as much. What comes beyond is as good, but may
/// cost the device a page fault. A page made ready in vain costs a fraction of a microsecond, a fault of the device is
/// assumed to cost some: pages are worth it if one in ten is used.
fn likely(direction: Direction, given: usize) -> usize {
    match direction {
        Direction::Compress => given.saturating_add(1024),
        Direction::Decompress => given.saturating_mul(32).saturating_add(4096),
    }
}

/// Runs one request; both buffers are at most [`longest`] bytes long. `context` is the hardware area of a stateful
/// request's context, empty otherwise.
///
/// Statuses (zip.md 10): 0x00, 0x0D and 0x13 are good; 0x0E is the caller's space; the DIF codes cannot
/// follow from what is asked here and are the device's. Codes for malformed data are not published, so in
/// decompression every other status accuses the data, in compression, which has no bad data, the device.
pub(super) fn exchange<Ch: Channel>(
    ch: &mut Ch,
    request: &Request,
    context: &mut [u8],
    input: &[u8],
    output: &mut [u8],
) -> Result<Reply, Fault> {
    let mut ch = Loans(ch);
    let mut lent = Lent { given: input.len() as u32, room: output.len() as u32, ..Lent::default() };
    let dest = ch.lend_mut(output, likely(request.direction, input.len()))?;
    lent.dest = Pair::new(dest);
    // The address must be valid even when there is nothing to read (zip.md 2.5).
    lent.source = if input.is_empty() { lent.dest } else { Pair::new(ch.lend(input)?) };
    let state = if request.part.is_some() { Some(ch.lend_state(context)?) } else { None };
    lent.context = state.map(Pair::new).unwrap_or_default();
    let sent = fill(ch.version(), crate::engine::next_tag(), request, &lent);
    let mut sqe = sent;
    ch.execute(sqe.as_mut_bytes(), qm::deadline(request.direction.op(), input.len().max(output.len())))?;
    let reply = judge(request.direction, &sent, &sqe).and_then(|reply| {
        ch.collect(dest, &mut output[..reply.produced])?;
        if let Some(state) = state {
            ch.collect(state, context)?;
        }
        Ok(reply)
    });
    ch.record(reply.map_or(0, |reply| reply.consumed as u64), reply.is_ok());
    reply
}

fn judge(direction: Direction, sent: &Sqe, sqe: &Sqe) -> Result<Reply, Fault> {
    if !sqe.answers(sent) {
        return Err(Fault::Inconsistent);
    }
    let status = sqe.status();
    match (status, direction) {
        (Status::SUCCESS | Status::NEGATIVE_COMPRESSION | Status::STREAM_END, _) => {}
        (Status::OUTPUT_FULL, _) => return Err(Fault::OutputFull),
        (Status::SOURCE_DIF | Status::TARGET_DIF, _) | (_, Direction::Compress) => {
            return Err(Fault::Status(status.0));
        }
        (_, Direction::Decompress) => return Err(Fault::Data(status.0)),
    }
    if sqe.consumed > sent.input_data_length || sqe.produced > sent.dest_avail_out {
        return Err(Fault::Inconsistent);
    }
    Ok(Reply {
        consumed: sqe.consumed as usize,
        produced: sqe.produced as usize,
        status,
        last_block: sqe.result.get(Completion::LAST_BLOCK) == 1,
        carried: Carried {
            ctx0: sqe.ctx0,
            ctx1: sqe.ctx1,
            ctx2: sqe.ctx2,
            isize: sqe.isize,
            checksum: sqe.checksum,
        },
    })
}
