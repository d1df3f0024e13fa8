//! One decompression request (reference sections 3, 5, 9 and 10).

use super::checkvalue::Tally;
use super::inflate::{Output, Phase, Stop};
use super::options::{CACHE, Options};
use super::request::Request;
use super::saved::{self, Saved};
use super::{Failure, Response, deliver, seal, status};
use crate::engine::buffer::Buffer;
use crate::engine::{Context, Injection, Memory, Rule};

/// Input taken from memory at a time, bytes.
const PIECE: usize = 64 * 1024;

fn bad_stream(text: String) -> Failure {
    Failure::Refused(status::BAD_STREAM, Rule::Stream.broken(text))
}

/// The stream that the request continues, or a new one.
fn resume(request: &Request, ctx: &Context<'_>) -> Result<Saved, Failure> {
    if !request.stateful || request.first {
        return Ok(Saved::new(request.format));
    }
    let saved = Saved::load(ctx.mem, request.context)?
        .map_err(|text| bad_stream(format!("stream context at {:#x}: {text}", request.context)))?;
    if saved.format != request.format {
        let text = format!("request_type changed from {:?} to {:?}", saved.format, request.format);
        return Err(bad_stream(text));
    }
    if saved.words != request.words {
        return Err(bad_stream(format!(
            "ctx_dw0-2, isize, checksum are {:08x?}, the previous response had {:08x?}",
            request.words, saved.words
        )));
    }
    Ok(saved)
}

/// The request's input, read from memory piece by piece.
struct Feed<'a> {
    mem: &'a dyn Memory,
    source: &'a Buffer,
    /// Bytes that may be used, and bytes taken from memory so far.
    end: u64,
    taken: u64,
    piece: Vec<u8>,
    /// Bytes of `piece` used.
    used: usize,
}

impl<'a> Feed<'a> {
    fn new(mem: &'a dyn Memory, source: &'a Buffer, end: u64) -> Self {
        Self { mem, source, end, taken: 0, piece: Vec::new(), used: 0 }
    }

    /// Bytes used.
    fn consumed(&self) -> u64 {
        self.taken - (self.piece.len() - self.used) as u64
    }

    /// What comes next, empty at the end.
    fn next(&mut self) -> Result<&[u8], Failure> {
        if self.used == self.piece.len() && self.taken < self.end {
            self.piece.resize(PIECE.min((self.end - self.taken) as usize), 0);
            self.source.read(self.mem, self.taken, &mut self.piece)?;
            self.taken += self.piece.len() as u64;
            self.used = 0;
        }
        Ok(&self.piece[self.used..])
    }

    fn advance(&mut self, count: usize) {
        self.used += count;
    }

    /// Takes the byte used last back, if this request used any.
    fn back(&mut self) -> Option<u8> {
        self.used = self.used.checked_sub(1)?;
        self.piece.get(self.used).copied()
    }
}

/// Decodes until something is missing; `None` if the data is malformed. Bytes that an earlier request took beyond its output come first.
fn run(
    stream: &mut Saved,
    feed: &mut Feed<'_>,
    out: &mut Output,
    wanted: usize,
) -> Result<Option<Stop>, Failure> {
    let mut cached = &stream.cache[..];
    if !cached.is_empty() {
        let stop = stream.inflater.run(&mut cached, out);
        stream.cache = cached.to_vec();
        match stop {
            Err(_) => return Ok(None),
            Ok(Stop::Space) => return Ok(Some(Stop::Space)),
            Ok(Stop::Input | Stop::End) => {}
        }
    }
    loop {
        let piece = feed.next()?;
        let mut input = piece;
        let Ok(stop) = stream.inflater.run(&mut input, out) else { return Ok(None) };
        if stop == Stop::End {
            let missing = (wanted - stream.trailer.len()).min(input.len());
            stream.trailer.extend_from_slice(&input[..missing]);
            input = &input[missing..];
        }
        let (used, left) = (piece.len() - input.len(), input.len());
        feed.advance(used);
        let complete = stop == Stop::End && stream.trailer.len() == wanted;
        if complete || stop == Stop::Space || left == 0 && feed.taken == feed.end {
            return Ok(Some(stop));
        }
    }
}

pub(super) fn decompress(
    request: &Request,
    ctx: &Context<'_>,
    options: &Options,
    source: &Buffer,
    target: &Buffer,
) -> Result<Response, Failure> {
    let mut stream = resume(request, ctx)?;
    let mut tally = if !request.stateful || request.first {
        Tally::start(request.format)
    } else {
        Tally::resume(request.format, request.words[4], request.words[3])
    };
    let given = source.len();
    let end = match ctx.injection {
        Injection::Truncate => given / 2,
        _ if options.leave_input && request.stateful => given.div_ceil(2),
        _ => given,
    };
    let space = match options.portion {
        Some(portion) if request.stateful => request.target_len.min(portion),
        _ => request.target_len,
    };
    let mut feed = Feed::new(ctx.mem, source, end);
    if let (Some(owed), Some(first)) = (stream.owed, feed.next()?.first().copied()) {
        if owed != first {
            let text = format!("unconsumed input came back as {first:#04x}, it was {owed:#04x}");
            return Err(bad_stream(text));
        }
        stream.owed = None;
        feed.advance(1);
    }
    let mut out = Output::new(std::mem::take(&mut stream.history), space as usize);
    let wanted = request.format.trailer_len();
    let Some(stop) = run(&mut stream, &mut feed, &mut out, wanted)? else {
        if request.stateful {
            // Nothing can follow: what the decoder holds is not the data's state.
            saved::erase(ctx.mem, request.context)?;
        }
        return Err(Failure::Status(status::MALFORMED, 0));
    };
    tally.add(out.fresh());
    let complete = stop == Stop::End && stream.trailer.len() == wanted;
    let cut = ctx.injection == Injection::Truncate;

    let (status, state) = match stop {
        _ if complete && stream.trailer != tally.trailer() => (status::CHECK_VALUE, 0),
        _ if complete && request.stateful => (status::STREAM_END, 0),
        _ if complete => (status::GOOD, 0),
        Stop::Space if !request.stateful => return Err(Failure::Status(status::TOO_SMALL, 0)),
        _ if !request.stateful && cut => (status::GOOD, 0),
        _ if !request.stateful => return Err(Failure::Status(status::TRUNCATED, 0)),
        Stop::Space => (status::GOOD, full(&mut stream, &mut feed, given, options)?),
        Stop::End => (status::GOOD, 4),
        Stop::Input if options.cached_bits && stream.inflater.between_blocks() => (status::GOOD, 3),
        Stop::Input => (status::GOOD, 0),
    };
    let consumed = feed.consumed() as u32;
    deliver(ctx, target, out.fresh())?;

    let mut words = request.words;
    words[3] = tally.len;
    words[4] = tally.register();
    if request.stateful {
        stream.history = out.tail().to_vec();
        words[0] = state;
        words[1] = 0;
        words[2] = stream.history.len() as u32;
        match (state, stream.inflater.phase) {
            (2, Phase::Stored { left }) if options.cached_input => {
                words[0] |= u32::from(stream.inflater.block.last) << 7;
                words[1] = u32::from(left);
            }
            (3, _) => words[0] |= stream.inflater.count << 10,
            _ => {}
        }
        words[1] |= seal(words);
        if complete {
            saved::erase(ctx.mem, request.context)?;
        } else {
            stream.words = words;
            stream.store(ctx.mem, request.context, state == 3)?;
        }
    }
    Ok(Response {
        status,
        last_block: complete || state == 4 && options.last_block,
        consumed,
        produced: out.fresh().len() as u32,
        words,
    })
}

/// The context state where output is full. May take more input into the cache, or leave the last byte to be sent
/// again: drivers that never send empty requests would otherwise not fetch what is pending (reference 17).
fn full(stream: &mut Saved, feed: &mut Feed<'_>, given: u64, options: &Options) -> Result<u32, Failure> {
    let mut inside_final_stored = false;
    if let (true, Phase::Stored { left }) = (options.cached_input, stream.inflater.phase) {
        let wanted = CACHE.min(usize::from(left)) - stream.cache.len();
        let piece = feed.next()?;
        let now = wanted.min(piece.len());
        let more = piece[..now].to_vec();
        stream.cache.extend(more);
        feed.advance(now);
        inside_final_stored = stream.inflater.block.last;
    }
    Ok(if feed.consumed() < given || inside_final_stored && !stream.cache.is_empty() {
        2
    } else if options.pending_output || !stream.cache.is_empty() || given == 0 {
        1
    } else {
        stream.owed = feed.back();
        2
    })
}
