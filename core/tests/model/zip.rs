//! Deflate and inflate on the model.

use warpdrive_core::engine::zip::{self, Direction, Format, Outcome, Progress, Stream};
use warpdrive_core::qm::Version;
use warpdrive_core::{Fault, Why};

use crate::{check_healthy, device, software, version};

pub fn samples() -> Vec<Vec<u8>> {
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(60_000)
    .collect();
    let words = [&b"queue "[..], b"doorbell ", b"descriptor ", b"phase ", b"lease\n"];
    let text: Vec<u8> =
        noise.iter().take(20_000).flat_map(|byte| words[usize::from(byte % 5)].iter().copied()).collect();
    vec![b"a".to_vec(), b"123456789".to_vec(), vec![0; 70_000], noise, text]
}

/// Compresses a stream on the device in pieces; payload and trailer.
pub fn deflate(format: Format, data: &[u8], piece: usize) -> Vec<u8> {
    let mut stream = Stream::new(format, Direction::Compress);
    let (mut payload, mut at) = (Vec::new(), 0);
    loop {
        let input = &data[at..(at + piece).min(data.len())];
        let last = at + input.len() == data.len();
        let mut output = vec![0xEE; Stream::compress_bound(input.len())];
        let job = zip::job(format, Direction::Compress, input.len(), at > 0);
        let outcome = device(job, |ch| stream.compress(ch, input, &mut output, last)).unwrap();
        at += outcome.consumed;
        payload.extend(&output[..outcome.produced]);
        assert_eq!(outcome.isize as usize, at);
        assert_eq!(outcome.check, software::check(format, &data[..at]));
        if outcome.progress == Progress::End {
            return payload;
        }
        if piece == 5_000 {
            // What there is so far ends on a byte boundary: an empty final block makes a whole stream of it.
            let so_far = [&payload[..], &[1, 0, 0, 0xFF, 0xFF]].concat();
            assert_eq!(software::inflate(Format::Raw, &so_far), data[..at]);
        }
    }
}

/// Decompresses a stream on the device in pieces: the data, the input left over, the last outcome.
pub fn inflate(
    format: Format,
    payload: &[u8],
    piece: usize,
    room: usize,
) -> (Vec<u8>, usize, Result<Outcome, Why>) {
    let mut stream = Stream::new(format, Direction::Decompress);
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let input = &payload[at..(at + piece).min(payload.len())];
        let mut output = vec![0; room];
        let job = zip::job(format, Direction::Decompress, input.len(), at > 0);
        let outcome = match device(job, |ch| stream.decompress(ch, input, &mut output)) {
            Ok(outcome) => outcome,
            Err(why) => return (data, payload.len() - at, Err(why)),
        };
        at += outcome.consumed;
        data.extend(&output[..outcome.produced]);
        let wants_input = matches!(outcome.progress, Progress::NeedInput | Progress::NeedTrailer);
        if outcome.progress == Progress::End || (wants_input && at == payload.len()) {
            return (data, payload.len() - at, Ok(outcome));
        }
    }
}

#[test]
fn deflate_and_inflate_agree_with_software_on_both_generations() {
    check_healthy("zip::operations", &["zip.compress", "zip.decompress"]);
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn operations() {
    for format in [Format::Raw, Format::Zlib, Format::Gzip] {
        let inflates = zip::supported(version(), format, Direction::Decompress);
        assert_eq!(inflates, format != Format::Raw || version() != Version::V2);
        for data in samples() {
            compress(format, &data);
            if inflates {
                decompress(format, &data);
            }
        }
    }
    let raw = zip::job(Format::Raw, Direction::Decompress, 100, false);
    if version() == Version::V2 {
        assert!(matches!(device(raw, |_| Ok(())), Err(Why::Unsupported)));
    }
    // More than one flat request; and an empty stream, which needs none.
    let zeros = vec![0; (7 << 20) + 12_345];
    assert_eq!(software::inflate(Format::Raw, &deflate(Format::Raw, &zeros, zeros.len())), zeros);
    assert_eq!(software::inflate(Format::Gzip, &deflate(Format::Gzip, &[], 1)), []);
    damaged_streams();
}

fn compress(format: Format, data: &[u8]) {
    let mut output = vec![0; Stream::compress_bound(data.len())];
    let job = zip::job(format, Direction::Compress, data.len(), false);
    let outcome = device(job, |ch| zip::compress(ch, format, data, &mut output)).unwrap();
    assert_eq!(software::inflate(format, &output[..outcome.produced]), data, "{format:?}, one-shot");
    let expected = Outcome {
        consumed: data.len(),
        produced: outcome.produced,
        progress: Progress::End,
        check: software::check(format, data),
        isize: data.len() as u32,
    };
    assert_eq!(outcome, expected);
    for piece in [data.len(), data.len() / 3 + 1, 5_000] {
        let payload = deflate(format, data, piece);
        assert_eq!(software::inflate(format, &payload), data, "{format:?}, pieces of {piece}");
    }
}

fn decompress(format: Format, data: &[u8]) {
    let payload = software::deflate(format, data);
    let check = software::check(format, data);
    let mut output = vec![0; data.len().max(Stream::MIN_OUTPUT)];
    let job = zip::job(format, Direction::Decompress, payload.len(), false);
    let outcome = device(job, |ch| zip::decompress(ch, format, &payload, &mut output)).unwrap();
    assert_eq!((outcome.consumed, outcome.produced), (payload.len(), data.len()));
    assert_eq!((&output[..outcome.produced], outcome.check), (data, check));

    // What follows the stream is not the stream's.
    let followed = [&payload[..], b"next member"].concat();
    let mut ways = vec![(followed.len(), data.len() + 256), (1_000, 1_000), (4_096, 10_000)];
    if payload.len() < 500 {
        ways.extend([(1, 256), (followed.len(), 256)]);
    }
    for (piece, room) in ways {
        let (back, left, outcome) = inflate(format, &followed, piece, room);
        assert!(back == data, "{format:?}, pieces of {piece}, room for {room}: other data");
        assert_eq!(left, 11, "{format:?}, pieces of {piece}, room for {room}");
        let outcome = outcome.unwrap();
        assert_eq!(outcome.progress, Progress::End);
        assert_eq!((outcome.check, outcome.isize as usize), (check, data.len()));
    }
}

fn damaged_streams() {
    let data = samples().pop().expect("text");
    for format in [Format::Zlib, Format::Gzip] {
        let good = software::deflate(format, &data);
        let mut wrong_trailer = good.clone();
        let at = wrong_trailer.len() - if format == Format::Zlib { 1 } else { 5 };
        wrong_trailer[at] ^= 1;
        let mut wrong_block = good.clone();
        wrong_block[0] |= 6;
        for bad in [&wrong_trailer, &wrong_block] {
            let (_, _, outcome) = inflate(format, bad, 4_096, 4_096);
            assert!(matches!(outcome, Err(Why::Failed(Fault::Data(_)))), "{format:?}: {outcome:?}");
        }
        let (back, left, outcome) = inflate(format, &good[..good.len() - 2], 4_096, 4_096);
        let progress = outcome.unwrap().progress;
        assert_eq!((back.len(), left, progress), (data.len(), 0, Progress::NeedTrailer));
        let (_, left, outcome) = inflate(format, &good[..good.len() / 2], 4_096, 4_096);
        assert_eq!((left, outcome.unwrap().progress), (0, Progress::NeedInput));
        let job = zip::job(format, Direction::Decompress, good.len(), false);
        let mut small = vec![0; data.len() - 1];
        let result = device(job, |ch| zip::decompress(ch, format, &good, &mut small));
        assert!(matches!(result, Err(Why::Failed(Fault::OutputFull))), "{result:?}");
    }
}
