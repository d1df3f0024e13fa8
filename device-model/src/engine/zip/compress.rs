//! One compression request (reference sections 3, 5 and 8).
//!
//! Every response of a stream stands on a byte boundary behind a closed block and covers exactly the consumed input. The
//! history is kept in the context, if there is one; without a context address a stream is carried by its words alone.

use super::checkvalue::Tally;
use super::deflate::{self, Input};
use super::inflate::WINDOW;
use super::options::Options;
use super::request::Request;
use super::saved::{self, Packed};
use super::{Failure, Response, deliver, seal, status};
use crate::engine::buffer::Buffer;
use crate::engine::{Context, Injection, Rule};

/// What distinguishes the words behind the final block: nothing may follow.
const ENDED: u32 = 1 << 30;

/// The stream so far: its check value, and history from the context.
fn resume(request: &Request, ctx: &Context<'_>) -> Result<(Tally, Vec<u8>), Failure> {
    if !request.stateful || request.first {
        return Ok((Tally::start(request.format), Vec::new()));
    }
    let refuse = |text: String| Err(Failure::Refused(status::BAD_STREAM, Rule::Stream.broken(text)));
    if request.words[1] == seal(request.words) ^ ENDED {
        return refuse("the stream has ended; ctx_dw1 says so".into());
    }
    if request.words[1] != seal(request.words) {
        return refuse("ctx_dw0-2, isize or checksum are not those of the stream's previous response".into());
    }
    let tally = Tally::resume(request.format, request.words[4], request.words[3]);
    if request.context == 0 {
        return Ok((tally, Vec::new()));
    }
    match Packed::load(ctx.mem, request.context)? {
        Ok(packed) if packed.format != request.format => {
            refuse(format!("request_type changed from {:?} to {:?}", packed.format, request.format))
        }
        Ok(packed) if packed.words != request.words => {
            refuse(format!("the context at {:#x} is that of another response", request.context))
        }
        Ok(packed) => Ok((tally, packed.history)),
        Err(text) => refuse(format!("stream context at {:#x}: {text}", request.context)),
    }
}

pub(super) fn compress(
    request: &Request,
    ctx: &Context<'_>,
    options: &Options,
    source: &Buffer,
    target: &Buffer,
) -> Result<Response, Failure> {
    let (mut tally, mut all) = resume(request, ctx)?;
    let start = all.len();
    let given = request.source_len as usize;
    let take = match ctx.injection {
        Injection::Truncate => given / 2,
        _ if options.leave_input && request.stateful => given.div_ceil(2),
        _ => given,
    };
    all.resize(start + take, 0);
    source.read(ctx.mem, 0, &mut all[start..])?;
    let window = if options.wide_window { WINDOW } else { request.window };
    let input = Input { all: &all, start };
    let space = match options.portion {
        Some(portion) if request.stateful => request.target_len.min(portion) as usize,
        _ => request.target_len as usize,
    };
    // A one-shot request that is cut short by the fault plan still makes a complete stream of what it took.
    let mut last = !request.stateful || request.finish && take == given;

    let mut out = deflate::encode(input, window, last);
    let trailer = if last { request.format.trailer_len() } else { 0 };
    let mut used = take;
    if out.len() + trailer > space {
        if !request.stateful {
            return Err(Failure::Status(status::TOO_SMALL, 0));
        }
        // All input consumed means "finished" to drivers: without room for the end, a byte must stay.
        let most = take.saturating_sub(usize::from(last));
        (used, out) = deflate::encode_beginning(input.beginning(most), window, space);
        last = false;
    }
    tally.add(&all[start..start + used]);
    if last {
        out.extend(tally.trailer());
    }
    deliver(ctx, target, &out)?;

    let mut words = request.words;
    words[3] = tally.len;
    words[4] = tally.register();
    if request.stateful {
        let history = &all[(start + used).saturating_sub(WINDOW)..start + used];
        let history = if options.independent { &[] } else { history };
        words[0] = 0;
        words[2] = if request.context == 0 { 0 } else { history.len() as u32 };
        words[1] = seal(words);
        if last {
            words[1] ^= ENDED;
        }
        match request.context {
            0 => {}
            at if last => saved::erase(ctx.mem, at)?,
            at => Packed::store(ctx.mem, at, request.format, words, history)?,
        }
    }
    let negative = options.negative && out.len() >= used;
    Ok(Response {
        status: if negative { status::NEGATIVE } else { status::GOOD },
        last_block: last && options.last_block,
        consumed: used as u32,
        produced: out.len() as u32,
        words,
    })
}
