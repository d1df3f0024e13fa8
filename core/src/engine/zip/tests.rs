//! The engine against scripted write-backs.

use proptest::prelude::*;

use super::*;
use crate::engine::fake::{Fake, Golden, Play, golden};
use crate::qm::Version::{V2, V3};

const GOLDEN: &str = include_str!("../../../../test-vectors/sqe/zip.txt");

// Words of the write-back (zip.md 2).
const CONSUMED: usize = 0;
const PRODUCED: usize = 1;
const RESULT: usize = 3;
const CTX0: usize = 15;
const CTX1: usize = 28;
const CTX2: usize = 29;
const ISIZE: usize = 30;
const CHECKSUM: usize = 31;

fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().addr() as u64
}

fn context(stream: &Stream) -> u64 {
    address(&stream.context.0) + 0x40
}

fn compressor(format: Format) -> Stream {
    Stream::new(format, Direction::Compress)
}

fn decompressor(format: Format) -> Stream {
    Stream::new(format, Direction::Decompress)
}

fn cases(name: &str, count: usize) -> Vec<Golden> {
    let mut all = golden(GOLDEN);
    (1..=count)
        .map(|n| if count == 1 { name.to_owned() } else { format!("{name} {n}") })
        .map(|name| all.remove(&name).unwrap_or_else(|| panic!("no case {name}")))
        .collect()
}

#[test]
fn golden_gzip_compression_stream_carries_words_and_check_values() {
    let cases = cases("gzip compress v3", 5);
    let mut ch = Fake::new(V3, cases.iter().map(Golden::play));
    let data = vec![0u8; 20_000];
    let mut stream = compressor(Format::Gzip);
    let mut out = vec![0u8; 8192];
    let mut total = 10;
    for (n, piece) in data.chunks(4096).enumerate() {
        let head = if n == 0 { 10 } else { 0 };
        let last = n == 4;
        let outcome = stream.compress(&mut ch, piece, &mut out[head..], last).unwrap();
        cases[n].check(
            &ch.sent[n],
            &[("SRC", address(piece)), ("DST", address(&out[head..])), ("CTX", context(&stream))],
        );
        assert_eq!(outcome.consumed, piece.len());
        assert_eq!(outcome.progress, if last { Progress::End } else { Progress::NeedInput });
        total += outcome.produced;
    }
    assert_eq!(total, 9320);
    assert!(ch.played());
    assert_eq!(ch.records, [(4096, true), (4096, true), (4096, true), (4096, true), (3616, true)]);
}

#[test]
fn a_smaller_window_is_written_and_kept_from_v2() {
    for (bits, code) in [(12, 0), (13, 1), (14, 2), (15, 4)] {
        let window = Window::of_bits(bits).unwrap();
        let mut ch = Fake::new(V3, [Play::Fail(Fault::Timeout)]);
        let mut stream = Stream::with_window(Format::Zlib, window);
        let _ = stream.compress(&mut ch, &[0; 100], &mut vec![0; 500], true);
        assert_eq!(ch.sent[0][9] >> 12 & 0xf, code, "dw9 for {bits} bits");
    }
    let mut ch = Fake::new(V2, []);
    let mut stream = Stream::with_window(Format::Zlib, Window::K4);
    let refused = stream.compress(&mut ch, &[0; 100], &mut vec![0; 500], true);
    assert_eq!((refused, ch.sent.len()), (Err(Fault::Unsupported), 0));
    for bits in [8, 9, 11, 16] {
        assert_eq!(Window::of_bits(bits), None);
    }
}

#[test]
fn golden_gzip_decompression_stream_ends_with_0x113() {
    let cases = cases("gzip decompress v3", 3);
    let mut ch = Fake::new(V3, cases.iter().map(Golden::play));
    let member = vec![0u8; 9187];
    let mut stream = decompressor(Format::Gzip);
    let mut out = vec![0u8; 8192];
    let mut at = 10;
    let mut progress = vec![];
    for (n, given) in [4086, 4096, 1620].into_iter().enumerate() {
        let piece = &member[at..at + given];
        let outcome = stream.decompress(&mut ch, piece, &mut out).unwrap();
        cases[n].check(
            &ch.sent[n],
            &[("SRC", address(piece)), ("DST", address(&out)), ("CTX", context(&stream))],
        );
        at += outcome.consumed;
        progress.push(outcome.progress);
        assert_eq!(outcome.isize as usize, [8192, 16384, 20000][n]);
    }
    assert_eq!(at, member.len());
    assert_eq!(progress, [Progress::NeedOutput, Progress::NeedOutput, Progress::End]);
    assert_eq!(ch.records, [(3928, true), (3629, true), (1620, true)]);
}

#[test]
fn golden_stateless_requests_of_both_generations() {
    for (version, name) in [(V3, "zlib stateless compress v3"), (V2, "zlib stateless compress v2")] {
        let case = &cases(name, 1)[0];
        let mut ch = Fake::new(version, [case.play()]);
        let data = [7u8; 1024];
        let mut out = [0u8; 4096];
        out[2 + 0xFC..2 + 0x100].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
        let outcome = compress(&mut ch, Format::Zlib, &data, &mut out[2..]).unwrap();
        case.check(&ch.sent[0], &[("SRC", address(&data)), ("DST", address(&out[2..]))]);
        let expected = Outcome {
            consumed: 1024,
            produced: 256,
            progress: Progress::End,
            check: 0x1234_5678,
            isize: 1024,
        };
        assert_eq!(outcome, expected);
    }
    let case = &cases("zlib stateless decompress v3", 1)[0];
    let mut ch = Fake::new(V3, [case.play()]);
    let mut data = [0u8; 258];
    data[254..].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
    let mut out = [0u8; 4096];
    let outcome = decompress(&mut ch, Format::Zlib, &data[2..], &mut out).unwrap();
    case.check(&ch.sent[0], &[("SRC", address(&data[2..])), ("DST", address(&out))]);
    assert_eq!((outcome.consumed, outcome.produced, outcome.check), (256, 1024, 0x1234_5678));
}

#[test]
fn golden_whole_stream_in_one_stateful_request() {
    for (version, format, name, produced, check) in [
        (V2, Format::Zlib, "zlib first and last v2", 15, 0x091E_01DE),
        // V2 has no raw deflate: the same descriptor, the trailer dropped.
        (V2, Format::Raw, "zlib first and last v2", 11, 0),
        (V3, Format::Raw, "raw first and last v3", 11, 0),
    ] {
        let case = &cases(name, 1)[0];
        let mut ch = Fake::new(version, [case.play()]);
        let mut stream = compressor(format);
        let data = *b"123456789";
        let mut out = [0u8; 512];
        let outcome = stream.compress(&mut ch, &data, &mut out, true).unwrap();
        case.check(
            &ch.sent[0],
            &[("SRC", address(&data)), ("DST", address(&out)), ("CTX", context(&stream))],
        );
        let expected = Outcome { consumed: 9, produced, progress: Progress::End, check, isize: 9 };
        assert_eq!(outcome, expected, "{name}");
    }
}

#[test]
fn check_values_follow_the_table() {
    // zip.md 6.
    for (crc, word) in [(0, 0xFFFF_FFFF), (0xE8B7_BE43, 0x3D82_12E8), (0xCBF4_3926, 0x9B63_D02C)] {
        assert_eq!(crc32_of_device(word), crc);
    }
}

#[test]
fn the_check_value_is_reported_in_software_form() {
    let mut ch = Fake::replying(V3, &[(CONSUMED, 9), (PRODUCED, 20), (ISIZE, 9), (CHECKSUM, 0x9B63_D02C)]);
    let mut stream = compressor(Format::Gzip);
    let outcome = stream.compress(&mut ch, b"123456789", &mut [0; 512], false).unwrap();
    assert_eq!((outcome.check, outcome.isize), (0xCBF4_3926, 9));
}

fn decompress_once(version: crate::qm::Version, reply: &[(usize, u32)]) -> (Result<Outcome, Fault>, Fake) {
    let mut ch = Fake::replying(version, reply);
    let mut stream = decompressor(Format::Zlib);
    let result = stream.decompress(&mut ch, &[0; 100], &mut [0; 1000]);
    if result.is_err() {
        let again = stream.decompress(&mut ch, &[0; 100], &mut [0; 1000]);
        assert_eq!(again, Err(Fault::Unsupported), "a broken stream submits nothing");
    }
    (result, ch)
}

#[test]
fn decompression_statuses_map_to_faults() {
    for status in 0..=0xFFu32 {
        let (result, ch) = decompress_once(V3, &[(CONSUMED, 100), (PRODUCED, 10), (RESULT, status | 0x100)]);
        let expected = match status {
            0x00 | 0x0D => Ok(Progress::NeedInput),
            0x13 => Ok(Progress::End),
            0x0E => Err(Fault::OutputFull),
            0x0F | 0x12 => Err(Fault::Status(status)),
            _ => Err(Fault::Data(status)),
        };
        assert_eq!(result.map(|outcome| outcome.progress), expected, "status {status:#x}");
        let count = if expected.is_ok() { (100, true) } else { (0, false) };
        assert_eq!(ch.records, [count], "status {status:#x}");
    }
}

#[test]
fn compression_statuses_map_to_faults() {
    for status in 0..=0xFFu32 {
        let mut ch = Fake::replying(V2, &[(CONSUMED, 100), (PRODUCED, 90), (RESULT, status), (ISIZE, 100)]);
        let mut stream = compressor(Format::Zlib);
        let result = stream.compress(&mut ch, &[0; 100], &mut [0; 1000], true);
        let expected = match status {
            0x00 | 0x0D | 0x13 => Ok(Progress::End),
            0x0E => Err(Fault::OutputFull),
            _ => Err(Fault::Status(status)),
        };
        assert_eq!(result.map(|outcome| outcome.progress), expected, "status {status:#x}");
        assert_eq!(ch.records, [if expected.is_ok() { (100, true) } else { (0, false) }]);
    }
}

#[test]
fn reserved_bits_above_the_status_are_ignored() {
    let (result, _) = decompress_once(V3, &[(CONSUMED, 100), (PRODUCED, 10), (RESULT, 0xFFFF_FF13)]);
    assert_eq!(result.unwrap().progress, Progress::End);
}

#[test]
fn end_status_without_last_block_is_inconsistent() {
    let (result, _) = decompress_once(V3, &[(CONSUMED, 100), (PRODUCED, 10), (RESULT, 0x13)]);
    assert_eq!(result, Err(Fault::Inconsistent));
}

#[test]
fn each_stream_state_tells_what_is_needed_next() {
    use Progress::*;
    let final_block = 1 << 7;
    let cached = 5 << 10;
    // (ctx_dw0, ctx_dw1, consumed, produced) of 100 in and 1000 out.
    for (ctx0, ctx1, consumed, produced, expected) in [
        (0, 0, 100, 500, Ok(NeedInput)),
        (0, 0, 60, 500, Ok(NeedInput)),
        (0, 0, 100, 1000, Ok(NeedOutput)),
        (1, 0, 100, 1000, Ok(NeedOutput)),
        (1, 0, 100, 900, Ok(NeedOutput)),
        (2, 0, 60, 1000, Ok(NeedOutput)),
        (2, 0, 100, 1000, Ok(NeedOutput)),
        (2, 0, 100, 900, Ok(NeedInput)),
        (2 | final_block, 7, 100, 900, Ok(NeedOutput)),
        (2, 7, 100, 900, Ok(NeedInput)),
        (2 | final_block, 0, 100, 900, Ok(NeedInput)),
        (3, 0, 100, 900, Ok(NeedInput)),
        (3 | cached, 0, 100, 900, Ok(NeedOutput)),
        (4, 0, 100, 900, Ok(NeedTrailer)),
        (4, 0, 100, 1000, Ok(NeedTrailer)),
        (4, 0, 100, 0, Ok(NeedTrailer)),
        (5, 0, 100, 900, Err(Fault::Inconsistent)),
        (15, 0, 100, 900, Err(Fault::Inconsistent)),
        // No progress with input and space at hand.
        (0, 0, 0, 0, Err(Fault::Inconsistent)),
        (4, 0, 0, 0, Err(Fault::Inconsistent)),
    ] {
        let (result, _) =
            decompress_once(V3, &[(CONSUMED, consumed), (PRODUCED, produced), (CTX0, ctx0), (CTX1, ctx1)]);
        let name = format!("ctx0 {ctx0:#x} ctx1 {ctx1} consumed {consumed} produced {produced}");
        assert_eq!(result.map(|outcome| outcome.progress), expected, "{name}");
    }
}

#[test]
fn an_empty_request_that_moves_nothing_waits_for_input_unless_output_was_announced() {
    for (ctx0, expected) in [
        (0, Ok(Progress::NeedInput)),
        (2, Ok(Progress::NeedInput)),
        (3 | 5 << 10, Ok(Progress::NeedInput)),
        (4, Ok(Progress::NeedTrailer)),
        (1, Err(Fault::Inconsistent)),
    ] {
        let first = Play::Reply(vec![(CONSUMED, 100), (PRODUCED, 1000), (CTX0, 1)]);
        let mut ch = Fake::new(V3, [first, Play::Reply(vec![(CTX0, ctx0)])]);
        let mut stream = decompressor(Format::Raw);
        let outcome = stream.decompress(&mut ch, &[0; 100], &mut [0; 1000]).unwrap();
        assert_eq!(outcome.progress, Progress::NeedOutput);
        let mut out = [0; 1000];
        let result = stream.decompress(&mut ch, &[], &mut out);
        assert_eq!(result.map(|outcome| outcome.progress), expected, "ctx0 {ctx0:#x}");
        assert_eq!(ch.sent[1][4], 0);
        assert_eq!(ch.sent[1][18..20], ch.sent[1][20..22], "the source address is valid without input too");
        assert_eq!(u64::from(ch.sent[1][20]) | u64::from(ch.sent[1][21]) << 32, address(&out));
    }
}

#[test]
fn lengths_beyond_what_was_given_are_inconsistent() {
    for (consumed, produced) in [(101, 10), (10, 1001), (u32::MAX, 0), (0, u32::MAX)] {
        let (result, ch) = decompress_once(V3, &[(CONSUMED, consumed), (PRODUCED, produced)]);
        assert_eq!(result, Err(Fault::Inconsistent));
        assert_eq!(ch.records, [(0, false)]);
    }
}

#[test]
fn a_changed_input_word_is_inconsistent() {
    let written_back = [CONSUMED, PRODUCED, 2, RESULT, CTX0, CTX1, CTX2, ISIZE, CHECKSUM];
    for version in [V2, V3] {
        for index in (0..32).filter(|index| !written_back.contains(index)) {
            let good = [(CONSUMED, 100), (PRODUCED, 10)];
            let mut reply = good.to_vec();
            reply.push((index, 0xDEAD_BEEF));
            let (result, ch) = decompress_once(version, &reply);
            assert_eq!(result, Err(Fault::Inconsistent), "dw{index}");
            assert_eq!(ch.records, [(0, false)]);
            assert!(decompress_once(version, &good).0.is_ok());
        }
    }
}

#[test]
fn channel_faults_break_the_stream_until_reset() {
    let good = vec![(CONSUMED, 10), (PRODUCED, 20), (ISIZE, 10), (CHECKSUM, 77), (CTX1, 9), (CTX2, 8)];
    let mut ch = Fake::new(V3, [Play::Reply(good.clone()), Play::Fail(Fault::Timeout), Play::Reply(good)]);
    let mut stream = compressor(Format::Zlib);
    let mut out = [0; 512];
    stream.compress(&mut ch, &[0; 10], &mut out, false).unwrap();
    assert_eq!(stream.compress(&mut ch, &[0; 10], &mut out, false), Err(Fault::Timeout));
    assert_eq!(stream.compress(&mut ch, &[0; 10], &mut out, false), Err(Fault::Unsupported));
    assert_eq!(stream.compress(&mut ch, &[], &mut out, true), Err(Fault::Unsupported));
    stream.reset();
    stream.compress(&mut ch, &[0; 10], &mut out, false).unwrap();
    assert_eq!(ch.records, [(10, true), (10, true)], "a request without completion is not counted");
    // The words of the lost stream travelled once, and not into the new one.
    assert_eq!([ch.sent[1][28], ch.sent[1][29], ch.sent[1][30], ch.sent[1][31]], [9, 8, 10, 77]);
    assert_eq!([ch.sent[2][28], ch.sent[2][29], ch.sent[2][30], ch.sent[2][31]], [0; 4]);
    assert_eq!(ch.sent[2][7] >> 24, 0x3C);
}

#[test]
fn reset_clears_the_context() {
    let mut stream = decompressor(Format::Zlib);
    stream.context.0[0x500] = 1;
    stream.reset();
    assert!(stream.context.0.iter().all(|byte| *byte == 0));
    assert_eq!(address(&stream.context.0) % 4096, 0);
    assert_eq!(stream.context.0.len(), 0x10000);
}

#[test]
fn a_short_compression_is_reported_and_does_not_end_the_stream() {
    let mut ch = Fake::new(
        V2,
        [
            Play::Reply(vec![(CONSUMED, 60), (PRODUCED, 50), (ISIZE, 60)]),
            Play::Reply(vec![(CONSUMED, 40), (PRODUCED, 30), (ISIZE, 100)]),
        ],
    );
    let mut stream = compressor(Format::Raw);
    let mut out = [0; 512];
    let first = stream.compress(&mut ch, &[0; 100], &mut out, true).unwrap();
    assert_eq!((first.consumed, first.produced, first.progress), (60, 50, Progress::NeedOutput));
    let second = stream.compress(&mut ch, &[0; 40], &mut out, true).unwrap();
    assert_eq!((second.consumed, second.produced, second.progress), (40, 26, Progress::End));
    assert_eq!(second.isize, 100);
    assert_eq!([ch.sent[0][7], ch.sent[1][7]], [0x0E00_0000, 0x0600_0000]);
}

#[test]
fn a_compression_without_progress_or_with_a_wrong_length_count_is_inconsistent() {
    for reply in [vec![], vec![(PRODUCED, 5)], vec![(CONSUMED, 100), (PRODUCED, 50), (ISIZE, 99)]] {
        let mut ch = Fake::replying(V3, &reply);
        let mut stream = compressor(Format::Gzip);
        let result = stream.compress(&mut ch, &[0; 100], &mut [0; 512], false);
        assert_eq!(result, Err(Fault::Inconsistent));
    }
}

#[test]
fn too_little_output_space_is_refused_before_submission() {
    let mut ch = Fake::new(V3, []);
    let mut stream = compressor(Format::Zlib);
    let mut out = vec![0; Stream::compress_bound(100) - 1];
    assert_eq!(stream.compress(&mut ch, &[0; 100], &mut out, false), Err(Fault::OutputFull));
    assert_eq!(stream.state, State::Fresh);
    let mut stream = decompressor(Format::Zlib);
    assert_eq!(stream.decompress(&mut ch, &[0; 100], &mut [0; 255]), Err(Fault::OutputFull));
    assert_eq!(stream.state, State::Fresh);
    assert_eq!(compress(&mut ch, Format::Zlib, &[0; 9], &mut [0; 255]), Err(Fault::OutputFull));
    assert!(ch.sent.is_empty() && ch.records.is_empty());
}

#[test]
fn an_empty_last_call_closes_the_stream_without_the_device() {
    let closed = |format| {
        let mut ch = Fake::new(V3, []);
        let mut out = [0; 512];
        let mut stream = compressor(format);
        let outcome = stream.compress(&mut ch, &[], &mut out, true).unwrap();
        assert_eq!(outcome.progress, Progress::End);
        assert_eq!(stream.compress(&mut ch, &[], &mut out, true), Err(Fault::Unsupported));
        out[..outcome.produced].to_vec()
    };
    assert_eq!(closed(Format::Raw), [1, 0, 0, 255, 255]);
    assert_eq!(closed(Format::Zlib), [1, 0, 0, 255, 255, 0, 0, 0, 1]);
    assert_eq!(closed(Format::Gzip), [1, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]);

    let mut ch = Fake::replying(V3, &[(CONSUMED, 9), (PRODUCED, 20), (ISIZE, 9), (CHECKSUM, 0x9B63_D02C)]);
    let mut out = [0; 512];
    let mut stream = compressor(Format::Gzip);
    stream.compress(&mut ch, b"123456789", &mut out, false).unwrap();
    let outcome = stream.compress(&mut ch, &[], &mut out, true).unwrap();
    assert_eq!(out[..outcome.produced], [1, 0, 0, 255, 255, 0x26, 0x39, 0xF4, 0xCB, 9, 0, 0, 0]);
    assert_eq!(ch.sent.len(), 1);
}

#[test]
fn calls_with_nothing_to_do_submit_nothing() {
    let mut ch = Fake::new(V3, []);
    let mut out = [0; 512];
    let outcome = compressor(Format::Zlib).compress(&mut ch, &[], &mut out, false).unwrap();
    assert_eq!((outcome.produced, outcome.progress, outcome.check), (0, Progress::NeedInput, 1));
    let outcome = decompressor(Format::Gzip).decompress(&mut ch, &[], &mut out).unwrap();
    assert_eq!((outcome.produced, outcome.progress), (0, Progress::NeedInput));
}

#[test]
fn raw_decompression_is_refused_on_v2_and_served_on_v3() {
    let mut ch = Fake::new(V2, []);
    let mut out = [0; 512];
    let mut stream = decompressor(Format::Raw);
    assert_eq!(stream.decompress(&mut ch, &[0; 9], &mut out), Err(Fault::Unsupported));
    assert_eq!(decompress(&mut ch, Format::Raw, &[0; 9], &mut out), Err(Fault::Unsupported));
    assert!(!supported(V2, Format::Raw, Direction::Decompress));
    assert!(supported(V2, Format::Raw, Direction::Compress));
    let mut ch = Fake::replying(V3, &[(CONSUMED, 9), (PRODUCED, 9), (RESULT, 0x113)]);
    assert_eq!(stream.decompress(&mut ch, &[0; 9], &mut out).unwrap().progress, Progress::End);
}

#[test]
fn long_input_is_cut_and_last_is_kept_for_the_rest() {
    let data = vec![0; (8 << 20) + 5];
    let piece = 7u32 << 20;
    let mut ch = Fake::replying(V3, &[(CONSUMED, piece), (PRODUCED, 100), (ISIZE, piece)]);
    let mut out = vec![0; Stream::compress_bound(data.len())];
    let mut stream = compressor(Format::Zlib);
    let outcome = stream.compress(&mut ch, &data, &mut out, true).unwrap();
    assert_eq!((outcome.consumed, outcome.progress), (piece as usize, Progress::NeedOutput));
    assert_eq!((ch.sent[0][4], ch.sent[0][14], ch.sent[0][7]), (piece, 8 << 20, 0x3C00_0000));
    assert!(Stream::compress_bound(piece as usize) <= 8 << 20);

    let mut ch = Fake::replying(V3, &[(CONSUMED, 8 << 20), (PRODUCED, 100)]);
    let outcome = decompressor(Format::Zlib).decompress(&mut ch, &data, &mut out).unwrap();
    assert_eq!((outcome.consumed, outcome.progress), (8 << 20, Progress::NeedInput));
    let mut ch = Fake::new(V3, []);
    assert_eq!(compress(&mut ch, Format::Zlib, &data, &mut out), Err(Fault::Unsupported));
}

#[test]
fn a_stream_stays_on_its_generation() {
    let mut ch = Fake::replying(V3, &[(CONSUMED, 9), (PRODUCED, 20), (ISIZE, 9)]);
    let mut other = Fake::new(V2, []);
    let mut stream = compressor(Format::Zlib);
    let mut out = [0; 512];
    stream.compress(&mut ch, &[0; 9], &mut out, false).unwrap();
    assert_eq!(stream.compress(&mut other, &[0; 9], &mut out, false), Err(Fault::Unsupported));
}

#[test]
fn one_shot_answers_that_cannot_be_whole_are_inconsistent() {
    let mut out = [0; 512];
    let mut ch = Fake::replying(V3, &[(CONSUMED, 8), (PRODUCED, 20)]);
    assert_eq!(compress(&mut ch, Format::Zlib, &[0; 9], &mut out), Err(Fault::Inconsistent));
    let mut ch = Fake::replying(V3, &[(CONSUMED, 9), (PRODUCED, 3)]);
    assert_eq!(compress(&mut ch, Format::Zlib, &[0; 9], &mut out), Err(Fault::Inconsistent));
    let mut ch = Fake::replying(V2, &[(CONSUMED, 9), (PRODUCED, 3)]);
    assert_eq!(compress(&mut ch, Format::Raw, &[0; 9], &mut out), Err(Fault::Inconsistent));
    let mut ch = Fake::replying(V3, &[(CONSUMED, 7), (PRODUCED, 3)]);
    assert_eq!(decompress(&mut ch, Format::Gzip, &[0; 9], &mut out), Err(Fault::Inconsistent));
    let mut ch = Fake::replying(V2, &[(CONSUMED, 9), (PRODUCED, 15)]);
    assert_eq!(compress(&mut ch, Format::Raw, &[0; 9], &mut out).unwrap().produced, 11);
}

proptest! {
    /// Whatever a device writes back, the outcome stays within the buffers and the stream is either usable
    /// or refuses.
    #[test]
    fn no_write_back_leads_out_of_the_buffers(
        words in proptest::collection::vec((0usize..32, any::<u32>()), 0..6),
        small in proptest::collection::vec((0usize..4, 0u32..600), 0..4),
        compressing: bool, version in prop_oneof![Just(V2), Just(V3)],
    ) {
        let reply = words.into_iter().chain(small).collect();
        let mut ch = Fake::new(version, [Play::Reply(reply)]);
        let direction = if compressing { Direction::Compress } else { Direction::Decompress };
        let mut stream = Stream::new(Format::Zlib, direction);
        let mut out = [0; 512];
        let result = match direction {
            Direction::Compress => stream.compress(&mut ch, &[0; 100], &mut out, true),
            Direction::Decompress => stream.decompress(&mut ch, &[0; 100], &mut out),
        };
        match result {
            Ok(outcome) => {
                prop_assert!(outcome.consumed <= 100 && outcome.produced <= 512);
                prop_assert_eq!(&ch.records, &[(outcome.consumed as u64, true)]);
            }
            Err(_) => {
                prop_assert_eq!(stream.state, State::Broken);
                prop_assert_eq!(ch.records.len(), 1);
            }
        }
    }
}
