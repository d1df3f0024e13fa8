//! Members that are there whole, with space for all their data: decoded by libdeflate, which says only whether they
//! are good. What is not good, complete and short enough is decoded again by the stream engine, so that codes,
//! messages, positions and partial output are zlib's.
//!
//! Raw data is the stream engine's: libdeflate takes some codes that zlib refuses, and only a check value makes sure
//! that nobody meant those.

use warpdrive_core::engine::zip::Format;

use super::{pool, sums};
use crate::inflate::header::{self, Verdict};
use crate::io::Io;

/// Decodes the member at the start of the program's input, all of it; its format, or `None` if that is the stream
/// engine's work: nothing has happened then, but output space may be overwritten.
pub fn member(window_bits: i32, io: &mut Io<'_>) -> Option<Format> {
    let (input, output) = io.split();
    let (format, used, made) = decode(window_bits, input, output)?;
    io.consume(used);
    io.produce(made);
    Some(format)
}

/// Decodes the member at the start of `input` into `output`: its format, bytes used and bytes made.
pub fn decode(window_bits: i32, input: &[u8], output: &mut [u8]) -> Option<(Format, usize, usize)> {
    let Verdict::Data(format, start) = header::parse(window_bits, input) else { return None };
    let trailer = match format {
        Format::Raw => return None,
        Format::Zlib => 4,
        Format::Gzip => 8,
    };
    let data = input.get(start..)?;
    // What is surely too long is not tried: data shrinks, as a rule, and gzip says how long it was.
    if data.len() > output.len().saturating_add(output.len() >> 3).saturating_add(64) {
        return None;
    }
    if format == Format::Gzip {
        let length = input.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        // unless other data follows, whose end means nothing
        let plausible = length / 1100 <= input.len();
        if plausible && length > output.len() {
            return None;
        }
    }
    let (used, made) = pool::with_decompressor(|engine| engine.inflate(data, output)).flatten()?;
    let end = data.get(used..used + trailer)?;
    let (check, rest) = end.split_first_chunk::<4>()?;
    let good = match format {
        Format::Zlib => u32::from_be_bytes(*check) == sums::adler32(1, &output[..made]),
        _ => {
            u32::from_le_bytes(*check) == sums::crc32(0, &output[..made])
                && *rest == (made as u32).to_le_bytes()
        }
    };
    good.then_some((format, start + used + trailer, made))
}

/// The shortest stream of `format`: without data.
pub fn empty_stream(format: Format) -> &'static [u8] {
    match format {
        Format::Raw => &[3, 0],
        Format::Zlib => &[0x78, 0x9c, 3, 0, 0, 0, 0, 1],
        Format::Gzip => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    }
}
