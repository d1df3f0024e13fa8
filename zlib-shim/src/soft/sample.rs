//! Whether software comes to the same result: checks of single results of a device (the setting `sample`).

use warpdrive_core::engine::zip::Format;
use zlib_rs::{InflateFlush, ReturnCode};

use super::inflate::SoftInflate;

/// Piece of output that is looked at at a time.
const PIECE: usize = 32 << 10;

/// Decodes inputs that follow one another.
struct Decoder<'a> {
    soft: SoftInflate,
    /// What is left of the input in work, and the inputs behind it.
    input: &'a [u8],
    more: std::slice::Iter<'a, &'a [u8]>,
    ended: bool,
}

impl<'a> Decoder<'a> {
    /// `window_bits` as in `inflateInit2`, without a dictionary if `history` is empty.
    fn new(window_bits: i32, history: &[u8], inputs: &'a [&'a [u8]]) -> Option<Self> {
        let mut soft = SoftInflate::new(window_bits, None).ok()?;
        if !history.is_empty() && soft.set_dictionary(history) != ReturnCode::Ok {
            return None;
        }
        Some(Decoder { soft, input: &[], more: inputs.iter(), ended: false })
    }

    /// Fills `output` as far as the input reaches; `None` for malformed data.
    fn fill(&mut self, output: &mut [u8]) -> Option<usize> {
        let mut made = 0;
        while !self.ended && made < output.len() {
            let (used, now, code) = self.soft.decode(self.input, &mut output[made..], InflateFlush::NoFlush);
            (self.input, made) = (&self.input[used..], made + now);
            match code {
                ReturnCode::StreamEnd => self.ended = true,
                ReturnCode::Ok | ReturnCode::BufError if used + now > 0 => {}
                ReturnCode::Ok | ReturnCode::BufError => match self.more.next() {
                    Some(next) => self.input = next,
                    None => break,
                },
                _ => return None,
            }
        }
        Some(made)
    }

    /// Whether the next output is `expected`.
    fn yields(&mut self, expected: &[u8]) -> Option<bool> {
        let mut piece = vec![0; PIECE.min(expected.len())];
        for expected in expected.chunks(PIECE) {
            let piece = &mut piece[..expected.len()];
            if self.fill(piece)? != expected.len() || piece != expected {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Whether all input is used and there is no further output; with `end` also whether the stream is complete.
    fn finished(&mut self, end: bool) -> Option<bool> {
        let nothing_left = self.fill(&mut [0])? == 0 && self.input.is_empty() && self.more.len() == 0;
        Some(nothing_left && self.ended == end)
    }
}

/// Whether `payload`, raw deflate data behind `history`, holds exactly `data`; `last` if it ends the stream.
pub fn deflated(payload: &[u8], history: &[u8], last: bool, data: &[u8]) -> bool {
    let check = || {
        let inputs = [payload];
        let mut decoder = Decoder::new(-15, history, &inputs)?;
        Some(decoder.yields(data)? && decoder.finished(last)?)
    };
    check().unwrap_or(false)
}

/// Whether the stream that `inputs` are (header included, from its start) yields `made` behind its first `before`
/// bytes of output; with `end` also whether it ends there and has no further input.
pub fn inflated(format: Format, inputs: &[&[u8]], before: u64, made: &[u8], end: bool) -> bool {
    let window_bits = match format {
        Format::Raw => -15,
        Format::Zlib => 15,
        Format::Gzip => 31,
    };
    let check = || {
        let mut decoder = Decoder::new(window_bits, &[], inputs)?;
        let (mut left, mut skipped) = (before, vec![0; PIECE]);
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            if decoder.fill(&mut skipped[..piece])? != piece {
                return Some(false);
            }
            left -= piece as u64;
        }
        Some(decoder.yields(made)? && (!end || decoder.finished(true)?))
    };
    check().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn data() -> Vec<u8> {
        (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 26) as u8 & 31).collect()
    }

    fn raw(data: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// Closed blocks that end on a byte boundary.
    fn part(data: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.flush().unwrap();
        encoder.get_ref().clone()
    }

    #[test]
    fn deflated_data_is_right_or_wrong_in_every_respect() {
        let (data, whole, open) = (data(), raw(&data()), part(&data()));
        assert!(deflated(&whole, &[], true, &data) && deflated(&open, &[], false, &data));
        assert!(!deflated(&whole, &[], false, &data), "ends too early");
        assert!(!deflated(&open, &[], true, &data), "does not end");
        assert!(!deflated(&whole, &[], true, &data[1..]));
        assert!(!deflated(&whole, &[], true, &data[..data.len() - 1]));
        assert!(!deflated(&whole, &[], true, &[&data[..], &[0]].concat()));
        assert!(!deflated(&[&whole[..], &[0]].concat(), &[], true, &data), "something behind");
        assert!(!deflated(&whole[..whole.len() - 1], &[], true, &data));
        for at in [0, 10, whole.len() / 2, whole.len() - 2] {
            let mut wrong = whole.clone();
            wrong[at] ^= 0x10;
            assert!(!deflated(&wrong, &[], true, &data), "bit {at}");
        }
        assert!(deflated(&[], &[], false, &[]) && !deflated(&[], &[], true, &[]));
    }

    #[test]
    fn references_to_history_are_followed() {
        let data = data();
        let (history, rest) = data.split_at(30_000);
        // A stored block would need no history: the rest is made of the history's bytes.
        let again = &history[5_000..25_000];
        let mut compress = flate2::Compress::new(Compression::default(), false);
        compress.set_dictionary(history).unwrap();
        let mut payload = Vec::with_capacity(100_000);
        compress.compress_vec(again, &mut payload, flate2::FlushCompress::Finish).unwrap();
        assert!(payload.len() < 2_000);
        assert!(deflated(&payload, history, true, again));
        assert!(!deflated(&payload, &[], true, again));
        assert!(!deflated(&payload, &rest[..30_000], true, again));
    }

    #[test]
    fn inflated_data_is_compared_where_it_lies() {
        let data = data();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&data).unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&data).unwrap();
        let streams = [
            (Format::Raw, raw(&data)),
            (Format::Zlib, zlib.finish().unwrap()),
            (Format::Gzip, gzip.finish().unwrap()),
        ];
        for (format, stream) in streams {
            let (first, second) = stream.split_at(stream.len() / 3);
            let inputs = [first, second];
            for (before, made) in [(0, 100_000), (0, 50_000), (40_000, 60_000), (70_001, 1_000), (100_000, 0)]
            {
                let end = before + made == data.len();
                let expected = &data[before..before + made];
                assert!(
                    inflated(format, &inputs, before as u64, expected, end),
                    "{format:?} {before} {made}"
                );
                if made > 0 {
                    let mut wrong = expected.to_vec();
                    wrong[made / 2] ^= 1;
                    assert!(
                        !inflated(format, &inputs, before as u64, &wrong, end),
                        "{format:?} {before} {made}"
                    );
                }
            }
            assert!(!inflated(format, &inputs, 50_000, &data[50_000..60_000], true), "no end there");
            assert!(!inflated(format, &[first], 0, &data, true), "not all there");
            assert!(!inflated(format, &inputs, 0, &[&data[..], &[1]].concat(), false), "more than there is");
            let behind = [&stream[..], &[0]];
            assert!(!inflated(format, &behind, 0, &data, true), "something behind");
        }
    }
}
