//! Where the deflate data of a member begins: zlib and gzip headers, read as far as the device path needs.
//! What is unusual or wrong is left to the software engine, whose errors are zlib's.

use warpdrive_core::engine::zip::Format;
use zlib_rs::crc32::crc32;

/// What the start of a member says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Deflate data of this format begins behind so many bytes.
    Data(Format, usize),
    /// The header is not complete.
    More,
    /// For the software engine: wrong, unusual, or with a preset dictionary.
    Software,
}

/// Reads the header at the start of `input` for a stream opened with `window_bits` (`inflateInit2`).
pub fn parse(window_bits: i32, input: &[u8]) -> Verdict {
    // The device always allows distances of 32 KiB; a smaller window would have to be enforced.
    match window_bits {
        -15 => Verdict::Data(Format::Raw, 0),
        0 if input.first().is_some_and(|cmf| cmf >> 4 != 7) => Verdict::Software,
        0 | 15 => zlib(input),
        16 | 31 => gzip(input),
        32 | 47 => match input {
            [] | [0x1f] => Verdict::More,
            [0x1f, 0x8b, ..] => gzip(input),
            _ => zlib(input),
        },
        _ => Verdict::Software,
    }
}

fn zlib(input: &[u8]) -> Verdict {
    let [cmf, flg, ..] = *input else { return Verdict::More };
    let dictionary = flg & 0x20 != 0;
    let valid = (u16::from(cmf) << 8 | u16::from(flg)).is_multiple_of(31) && cmf & 0x0f == 8 && cmf >> 4 <= 7;
    if valid && !dictionary { Verdict::Data(Format::Zlib, 2) } else { Verdict::Software }
}

fn gzip(input: &[u8]) -> Verdict {
    const HCRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    let Some((fixed, _)) = input.split_at_checked(10) else { return Verdict::More };
    let flags = fixed[3];
    if fixed[..3] != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
        return Verdict::Software;
    }
    let mut at = 10;
    if flags & EXTRA != 0 {
        let Some(length) = input.get(at..at + 2) else { return Verdict::More };
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for part in [NAME, COMMENT] {
        if flags & part != 0 {
            let Some(length) = input.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0)) else {
                return Verdict::More;
            };
            at += length + 1;
        }
    }
    if flags & HCRC != 0 {
        let Some(found) = input.get(at..at + 2) else { return Verdict::More };
        if found != (crc32(0, &input[..at]) as u16).to_le_bytes() {
            return Verdict::Software;
        }
        at += 2;
    }
    if at > input.len() { Verdict::More } else { Verdict::Data(Format::Gzip, at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full_header() -> Vec<u8> {
        let mut head = vec![0x1f, 0x8b, 8, 31, 1, 2, 3, 4, 2, 3, 5, 0];
        head.extend(b"extraname\0comment\0");
        let check = crc32(0, &head) as u16;
        head.extend(check.to_le_bytes());
        head
    }

    #[test]
    fn full_gzip_header_is_measured_exactly() {
        let head = full_header();
        let mut stream = head.clone();
        stream.extend([3, 0]);
        assert_eq!(parse(31, &stream), Verdict::Data(Format::Gzip, head.len()));
        assert_eq!(parse(47, &stream), Verdict::Data(Format::Gzip, head.len()));
    }

    #[test]
    fn every_shorter_piece_of_a_gzip_header_asks_for_more() {
        let head = full_header();
        for n in 0..head.len() {
            assert_eq!(parse(31, &head[..n]), Verdict::More, "{n} bytes");
        }
    }

    #[test]
    fn wrong_or_unusual_headers_go_to_software() {
        let mut broken = full_header();
        let last = broken.len() - 1;
        broken[last] ^= 1;
        assert_eq!(parse(31, &broken), Verdict::Software);
        assert_eq!(parse(15, &[0x78, 0x9d, 0]), Verdict::Software);
        assert_eq!(parse(15, &[0x78, 0xbb, 0]), Verdict::Software, "preset dictionary");
        assert_eq!(parse(15, &[0x88, 0x1c, 0]), Verdict::Software, "window of 64 KiB");
        assert_eq!(
            parse(31, &[0x78, 0x9c, 3, 0, 0, 0, 0, 1, 0, 0]),
            Verdict::Software,
            "zlib where gzip is due"
        );
        assert_eq!(parse(31, &[0x1f, 0x8b, 8, 0x20, 0, 0, 0, 0, 0, 3]), Verdict::Software, "reserved flag");
        assert_eq!(parse(-12, &[3, 0]), Verdict::Software, "small window");
        assert_eq!(parse(0, &[0x48, 0x89, 3, 0]), Verdict::Software, "small window, by the header's word");
        assert_eq!(parse(0, &[0x78, 0x9c, 3, 0]), Verdict::Data(Format::Zlib, 2));
    }

    #[test]
    fn zlib_and_raw_are_recognised() {
        assert_eq!(parse(15, &[0x78, 0x9c, 3]), Verdict::Data(Format::Zlib, 2));
        assert_eq!(parse(47, &[0x78, 0x01]), Verdict::Data(Format::Zlib, 2));
        assert_eq!(parse(-15, &[]), Verdict::Data(Format::Raw, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_verdict_within_the_input(
            bits in prop::sample::select(vec![-15, -9, 0, 9, 15, 16, 31, 32, 47]),
            gzip_like: bool,
            mut input in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if gzip_like && input.len() > 3 {
                input[..3].copy_from_slice(&[0x1f, 0x8b, 8]);
                input[3] &= 0x1f;
            }
            if let Verdict::Data(_, at) = parse(bits, &input) {
                prop_assert!(at <= input.len());
            }
        }
    }
}
