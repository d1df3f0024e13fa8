//! Stateless requests: one call, one complete stream (zip.md 3).

use super::request::{Reply, Request, exchange, longest, wire};
use super::{Direction, Format, Outcome, Progress, Stream, Window, ZLIB_TRAILER};
use crate::Fault;
use crate::qm::{Channel, Version};

/// Compresses a whole payload in one stateless request: deflate payload plus trailer. On V2 a raw request
/// needs room for the trailer that is then dropped.
///
/// # Errors
/// [`Fault::OutputFull`] if `output` is too small (below [`Stream::MIN_OUTPUT`] nothing is submitted);
/// [`Fault::Unsupported`] for more than [`Stream::MAX_INPUT`] bytes; otherwise as [`Stream::compress`].
pub fn compress<Ch: Channel>(
    ch: &mut Ch,
    format: Format,
    input: &[u8],
    output: &mut [u8],
) -> Result<Outcome, Fault> {
    let reply = run(ch, format, Direction::Compress, input, output)?;
    if reply.consumed != input.len() {
        return Err(Fault::Inconsistent);
    }
    let mut produced = reply.produced;
    if format == Format::Raw && ch.version() == Version::V2 {
        produced = produced.checked_sub(ZLIB_TRAILER).ok_or(Fault::Inconsistent)?;
    }
    let check = trailer_check(format, &output[..produced])?;
    Ok(Outcome {
        consumed: reply.consumed,
        produced,
        progress: Progress::End,
        check,
        isize: input.len() as u32,
    })
}

/// Decompresses a whole payload plus trailer in one stateless request. Bytes behind the trailer are not
/// consumed.
///
/// # Errors
/// As [`Stream::decompress`]; [`Fault::OutputFull`] if the data does not fit (below [`Stream::MIN_OUTPUT`]
/// nothing is submitted); [`Fault::Unsupported`] for more than [`Stream::MAX_INPUT`] bytes.
pub fn decompress<Ch: Channel>(
    ch: &mut Ch,
    format: Format,
    input: &[u8],
    output: &mut [u8],
) -> Result<Outcome, Fault> {
    let reply = run(ch, format, Direction::Decompress, input, output)?;
    let check = trailer_check(format, &input[..reply.consumed])?;
    Ok(Outcome {
        consumed: reply.consumed,
        produced: reply.produced,
        progress: Progress::End,
        check,
        isize: reply.produced as u32,
    })
}

fn run<Ch: Channel>(
    ch: &mut Ch,
    format: Format,
    direction: Direction,
    input: &[u8],
    output: &mut [u8],
) -> Result<Reply, Fault> {
    let wire = wire(ch.version(), format, direction)?;
    if input.len() > longest(ch) {
        return Err(Fault::Unsupported);
    }
    if output.len() < Stream::MIN_OUTPUT {
        return Err(Fault::OutputFull);
    }
    let room = output.len().min(longest(ch));
    exchange(
        ch,
        &Request { direction, wire, window: Window::K32, part: None },
        &mut [],
        input,
        &mut output[..room],
    )
}

/// The check value in the trailer that ends `stream`. Whether dw31 means anything in a stateless write-back
/// is unknown (zip.md 20); the trailer does.
fn trailer_check(format: Format, stream: &[u8]) -> Result<u32, Fault> {
    match format {
        Format::Raw => Some(0),
        Format::Zlib => stream.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes)),
        Format::Gzip => stream
            .last_chunk::<8>()
            .and_then(|bytes| bytes.first_chunk::<4>())
            .map(|bytes| u32::from_le_bytes(*bytes)),
    }
    .ok_or(Fault::Inconsistent)
}
