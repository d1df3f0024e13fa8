use super::*;
use crate::engine::Generation::{V2, V3};
use crate::engine::testing::{Space, Words, hex};
use miniz_oxide::inflate::{decompress_to_vec, decompress_to_vec_zlib};
use proptest::prelude::*;

mod faults;
mod golden;
mod malformed;
mod options;
mod ratio;
mod refusals;
mod streams;

const FINISH: u32 = 1 << 25;
const STATEFUL: u32 = 1 << 26;
const NEW: u32 = 1 << 27;

/// One request in the driver's terms.
#[derive(Clone, Copy)]
struct Ask {
    generation: Generation,
    /// request_type: 1 raw, 2 zlib, 3 gzip.
    kind: u32,
    window: u32,
    flags: u32,
    context: u64,
    words: [u32; 5],
}

impl Ask {
    fn new(kind: u32, flags: u32) -> Self {
        Self { generation: V3, kind, window: 4, flags, context: 0, words: [0; 5] }
    }

    fn flat(&self, source: u64, source_len: usize, target: u64, space: usize) -> Words {
        let kind = if self.generation == V2 { 0 } else { 3 << 28 };
        Words::of(32, &[])
            .set(4, source_len as u32)
            .set(7, kind | self.flags)
            .set(9, self.kind | self.window << 12)
            .set(14, space as u32)
            .set(15, self.words[0])
            .addr(18, source)
            .addr(20, target)
            .addr(22, self.context)
            .set(28, self.words[1])
            .set(29, self.words[2])
            .set(30, self.words[3])
            .set(31, self.words[4])
            .set(if kind == 0 { 13 } else { 26 }, 0x1234)
    }
}

/// What came back.
#[derive(Debug)]
struct Back {
    consumed: usize,
    produced: usize,
    /// dw3.
    status: u32,
    words: [u32; 5],
    verdict: Verdict,
}

fn back(sent: &Words, (got, verdict): (Words, Verdict)) -> Back {
    for (index, (before, after)) in sent.0.iter().zip(&got.0).enumerate() {
        let written = [0, 1, 3, 15, 28, 29, 30, 31].contains(&index);
        assert!(written || before == after, "dw{index} was changed");
    }
    let w = &got.0;
    Back {
        consumed: w[0] as usize,
        produced: w[1] as usize,
        status: w[3],
        words: [w[15], w[28], w[29], w[30], w[31]],
        verdict,
    }
}

/// Runs one flat request over fresh buffers of exactly the stated sizes.
fn once(mem: &Space, ask: &Ask, qc_type: u16, input: &[u8], space: usize) -> (Back, Vec<u8>) {
    once_by(&Zip::PLAIN, mem, ask, qc_type, input, space)
}

/// The same with a chosen engine.
fn once_by(
    engine: &dyn Engine,
    mem: &Space,
    ask: &Ask,
    qc_type: u16,
    input: &[u8],
    space: usize,
) -> (Back, Vec<u8>) {
    let source = mem.put_odd(input, 3);
    let target = mem.put_odd(&vec![0xEE; space], 1);
    let sent = ask.flat(source, input.len(), target, space);
    let back = back(&sent, sent.run(engine, mem, ask.generation, qc_type));
    let out = mem.get(target, space);
    assert!(out[back.produced..].iter().all(|b| *b == 0xEE), "bytes behind `produced` were written");
    let out = out[..back.produced].to_vec();
    mem.remove(source);
    mem.remove(target);
    (back, out)
}

/// Checks payload and trailer with an independent decoder.
fn check_member(kind: u32, out: &[u8], data: &[u8]) {
    match kind {
        1 => assert_eq!(decompress_to_vec(out).unwrap(), data),
        2 => assert_eq!(decompress_to_vec_zlib(&[&[0x78, 0x9C], out].concat()).unwrap(), data),
        _ => {
            let (payload, trailer) = out.split_at(out.len() - 8);
            assert_eq!(decompress_to_vec(payload).unwrap(), data);
            let crc = crc32fast::hash(data);
            assert_eq!(trailer, [crc.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat());
        }
    }
}

/// Payload and trailer made by an independent encoder.
fn make_member(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut out = miniz_oxide::deflate::compress_to_vec(data, 6);
    match kind {
        1 => {}
        2 => out.extend(adler2::adler32_slice(data).to_be_bytes()),
        _ => {
            out.extend(crc32fast::hash(data).to_le_bytes());
            out.extend((data.len() as u32).to_le_bytes());
        }
    }
    out
}

fn text(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut out = Vec::new();
    while out.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        out.extend(format!("item {} of {:x}; ", state >> 24, state >> 20).bytes());
    }
    out.truncate(len);
    out
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(step).collect()
}

/// Compresses a stream in pieces as a driver does: what was not consumed is sent again. Checks every response.
fn compress_stream(
    mem: &Space,
    kind: u32,
    generation: Generation,
    data: &[u8],
    pieces: &[(usize, usize)],
) -> Vec<u8> {
    let mut ask = Ask { generation, ..Ask::new(kind, STATEFUL | NEW) };
    ask.words = [0xDEAD, 0xBEEF, 3, 0x77, 0x88]; // stale words of another stream
    let (mut result, mut done) = (Vec::new(), 0);
    for (piece, space) in pieces.iter().cycle() {
        let end = (done + piece).min(data.len());
        ask.flags = ask.flags & !FINISH | if end == data.len() { FINISH } else { 0 };
        let (back, out) = once(mem, &ask, 0, &data[done..end], *space);
        assert_eq!(back.status, 0, "{back:?}");
        done += back.consumed;
        result.extend(out);
        let over = ask.flags & FINISH != 0 && done == data.len();
        if !over {
            // Everything consumed is decodable, on a byte boundary, without a final block.
            let closed = [&result[..], &[1, 0, 0, 0xFF, 0xFF]].concat();
            assert!(decompress_to_vec(&closed).is_ok_and(|d| d == data[..done]));
        }
        assert_eq!(back.words[3] as usize, done);
        assert_eq!(back.words[0] & 0xF, 0);
        ask.words = back.words;
        ask.flags &= !NEW;
        if over {
            return result;
        }
    }
    unreachable!()
}

/// Decompresses in pieces; `tail` follows the stream and must stay unconsumed.
fn decompress_stream(
    mem: &Space,
    kind: u32,
    packed: &[u8],
    tail: &[u8],
    pieces: &[(usize, usize)],
) -> Vec<u8> {
    let input = [packed, tail].concat();
    let mut ask = Ask { context: mem.put(&[0x5A; 0x97C0]), ..Ask::new(kind, STATEFUL | NEW) };
    ask.words = [0xDEAD, 0xBEEF, 3, 0x77, 0x88];
    let (mut result, mut done, mut idle) = (Vec::new(), 0, 0);
    for (piece, space) in pieces.iter().cycle() {
        let end = (done + piece).min(input.len());
        // Without input, 16 bytes or less would make it a bypass request.
        let space = if end == done { 17.max(*space) } else { *space };
        let (back, out) = once(mem, &ask, 1, &input[done..end], space);
        let sent = end - done;
        done += back.consumed;
        result.extend(out);
        assert_eq!(back.words[3] as usize, result.len());
        match (back.status, back.words[0] & 0xF) {
            (0x113, 0) => break,
            (0, 0) => assert_eq!(back.consumed, sent),
            (0, 1) => assert!(back.consumed == sent && back.produced == space),
            (0, 2) => assert!(back.consumed < sent && back.produced == space),
            (0, 4) => assert_eq!(back.consumed, sent),
            other => panic!("{other:?} {back:?}"),
        }
        idle = if back.consumed + back.produced == 0 { idle + 1 } else { 0 };
        assert!(idle < 3, "no progress");
        ask.words = back.words;
        ask.flags &= !NEW;
    }
    assert_eq!(done, packed.len(), "stops at the last trailer byte");
    result
}

#[test]
fn stateless_requests_of_every_format_round_trip() {
    let mem = Space::default();
    for (generation, kinds) in [(V2, &[2u32, 3][..]), (V3, &[1, 2, 3])] {
        for kind in kinds {
            for data in [text(50_000), Vec::new(), b"x".to_vec(), text(70)] {
                for flags in [0, NEW | FINISH, NEW, FINISH] {
                    let ask = Ask { generation, context: 0x40, ..Ask::new(*kind, flags) };
                    let (back, out) = once(&mem, &ask, 0, &data, data.len() + 100);
                    assert_eq!((back.status, back.consumed), (0, data.len()));
                    assert_eq!(back.verdict.done(), Some((data.len() as u64, true)));
                    check_member(*kind, &out, &data);
                    let (back, plain) = once(&mem, &ask, 1, &out, data.len());
                    assert_eq!((back.status, back.consumed), (0x100, out.len()));
                    assert_eq!(plain, data);
                }
            }
        }
    }
}

#[test]
fn a_stream_that_does_not_fit_is_cut_and_continues() {
    let mem = Space::default();
    for data in [text(30_000), noise(30_000)] {
        for kind in [1, 2, 3] {
            let out = compress_stream(&mem, kind, V3, &data, &[(10_000, 700), (5_000, 20)]);
            check_member(kind, &out, &data);
        }
    }
}

#[test]
fn a_finish_that_does_not_fit_leaves_input_for_the_next_request() {
    // Stored, 100 bytes take 105; the final block and trailer take 113. In between, nothing may look like the end.
    let mem = Space::default();
    let noise = noise(100);
    for space in 105..113 {
        let (back, _) = once(&mem, &Ask::new(3, STATEFUL | NEW | FINISH), 0, &noise, space);
        assert_eq!(back.status, 0);
        assert!((90..100).contains(&back.consumed), "{space}: {}", back.consumed);
    }
    let (back, _) = once(&mem, &Ask::new(3, STATEFUL | NEW | FINISH), 0, &noise, 113);
    assert_eq!((back.consumed, back.produced), (100, 113));
}

#[test]
fn finish_without_data_gives_an_empty_final_block_and_the_trailer() {
    let mem = Space::default();
    for (kind, trailer) in [(1, ""), (2, "00000001"), (3, "0000000000000000")] {
        let (back, out) = once(&mem, &Ask::new(kind, STATEFUL | NEW | FINISH), 0, &[], 200);
        assert_eq!(back.status, 0);
        assert_eq!(out, [hex("0300"), hex(trailer)].concat());
    }
}

#[test]
fn a_driver_may_close_the_stream_itself() {
    // Reference 8: 01 00 00 FF FF and a trailer built from dw30 and dw31.
    let mem = Space::default();
    let data = text(5000);
    let (back, mut out) = once(&mem, &Ask::new(3, STATEFUL | NEW), 0, &data, 8000);
    out.extend([1, 0, 0, 0xFF, 0xFF]);
    out.extend((!back.words[4]).reverse_bits().to_le_bytes());
    out.extend(back.words[3].to_le_bytes());
    check_member(3, &out, &data);
}

#[test]
fn bypass_request_does_nothing() {
    let mem = Space::default();
    for qc_type in [0, 1] {
        for space in [0x10, 1, 0] {
            let mut ask = Ask { context: 0x1000, ..Ask::new(2, STATEFUL | FINISH) };
            ask.words = [1, 2, 3, 4, 5];
            let (back, _) = once(&mem, &ask, qc_type, &[], space);
            assert_eq!((back.status, back.consumed, back.produced, back.words), (0, 0, 0, [1, 2, 3, 4, 5]));
        }
    }
}

#[test]
fn trailer_is_read_even_with_no_output_space_left() {
    let mem = Space::default();
    let packed = make_member(3, b"abc");
    let mut ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(3, STATEFUL | NEW) };
    let payload = packed.len() - 8;
    let (back, out) = once(&mem, &ask, 1, &packed[..payload], 3);
    assert_eq!((back.status, back.words[0] & 15, &out[..]), (0, 4, &b"abc"[..]));
    for at in payload..packed.len() {
        ask = Ask { flags: STATEFUL, words: back.words, ..ask };
        if at > payload {
            break;
        }
        let (back, _) = once(&mem, &ask, 1, &packed[at..at + 1], 0);
        assert_eq!((back.status, back.consumed, back.words[0] & 15), (0, 1, 4));
        ask.words = back.words;
        let (back, _) = once(&mem, &ask, 1, &packed[at + 1..], 1);
        assert_eq!((back.status, back.consumed), (0x113, 7));
    }
}

#[test]
fn pending_output_is_delivered_without_input() {
    let mem = Space::default();
    let packed = make_member(1, &[b'z'; 1000]);
    let mut ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(1, STATEFUL | NEW) };
    // All but the last two bytes: the matches that make up most of the data are known by then.
    let cut = packed.len() - 2;
    // The last byte was used, and is to be sent again so that nobody forgets to ask.
    let (back, _) = once(&mem, &ask, 1, &packed[..cut], 300);
    assert_eq!((back.status, back.consumed, back.words[0] & 15), (0, cut - 1, 2));
    ask = Ask { flags: STATEFUL, words: back.words, ..ask };
    let (back, out) = once(&mem, &ask, 1, &[], 200);
    assert_eq!((back.words[0] & 15, out.len()), (1, 200));
    ask.words = back.words;
    let (back, out) = once(&mem, &ask, 1, &packed[cut - 1..], 600);
    assert_eq!((back.status, out.len(), back.consumed), (0x113, 500, packed.len() - cut + 1));
}

#[test]
fn unconsumed_input_must_come_back_as_it_was() {
    let mem = Space::default();
    let packed = make_member(1, &[b'z'; 1000]);
    let mut ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(1, STATEFUL | NEW) };
    let cut = packed.len() - 2;
    let (back, _) = once(&mem, &ask, 1, &packed[..cut], 300);
    ask = Ask { flags: STATEFUL, words: back.words, ..ask };
    let (back, _) = once(&mem, &ask, 1, &packed[cut..], 700);
    assert!(matches!(back.verdict, Verdict::Refused { rule: Rule::Stream, .. }), "{back:?}");
}

#[test]
fn a_new_stream_ignores_everything_remembered() {
    let mem = Space::default();
    let context = mem.put(&[0; 0x97C0]);
    let data = text(3000);
    let packed = make_member(2, &data);
    let mut ask = Ask { context, ..Ask::new(2, STATEFUL | NEW) };
    let (back, _) = once(&mem, &ask, 1, &packed[..500], 4000);
    assert_eq!(back.status, 0);
    ask.words = back.words;
    let (back, out) = once(&mem, &ask, 1, &packed, 4000);
    assert_eq!((back.status, out), (0x113, data));
}

#[test]
fn a_stream_follows_its_context_to_another_address() {
    let mem = Space::default();
    let data = text(60_000);
    let packed = make_member(2, &data);
    let mut ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(2, STATEFUL | NEW) };
    let (first, head) = once(&mem, &ask, 1, &packed[..9000], 100_000);
    let moved = mem.put(&mem.get(ask.context, 0x97C0));
    mem.remove(ask.context);
    ask = Ask { flags: STATEFUL, words: first.words, context: moved, ..ask };
    let (back, rest) = once(&mem, &ask, 1, &packed[9000..], 100_000);
    assert_eq!(back.status, 0x113);
    assert_eq!([head, rest].concat(), data);
}

#[test]
fn sgl_and_flat_requests_agree() {
    let mem = Space::default();
    let data = text(20_000);
    for kind in [1, 2, 3] {
        let ask = Ask::new(kind, 0);
        let (flat, packed) = once(&mem, &ask, 0, &data, 20_000);
        // The header's bytes stand at the front of the destination chain, and are skipped by the offset.
        let skip = [0, 0, 2, 10][kind as usize];
        let (source, _) = mem.chain(&data, &[1, 500, 33, 4096], 3);
        let (target, pieces) = mem.chain(&vec![0xEE; 20_000], &[17, 1, 900], 255);
        let sent = ask.flat(source, data.len(), target, 20_000 - skip).set(8, skip as u32);
        let sent = sent.clone().set(9, sent.0[9] | 0x100);
        let chained = back(&sent, sent.run(&Zip::PLAIN, &mem, V3, 0));
        assert_eq!((chained.status, chained.produced), (0, flat.produced));
        let out = mem.gather(&pieces);
        assert_eq!(out[..skip], vec![0xEE; skip]);
        assert_eq!(out[skip..skip + packed.len()], packed);
        assert!(out[skip + packed.len()..].iter().all(|b| *b == 0xEE));

        let (source, _) = mem.chain(&out, &[100, 7], 2);
        let (target, pieces) = mem.chain(&vec![0; data.len()], &[64], 100);
        let sent = ask.flat(source, packed.len(), target, data.len());
        let sent = sent.clone().set(9, sent.0[9] | 0x100).set(7, sent.0[7] | skip as u32);
        let chained = back(&sent, sent.run(&Zip::PLAIN, &mem, V3, 1));
        assert_eq!((chained.status, chained.consumed), (0x100, packed.len()));
        assert_eq!(mem.gather(&pieces), data);
    }
}

#[test]
fn gzip_members_may_follow_each_other() {
    let mem = Space::default();
    let (a, b) = (text(900), text(10));
    let both = [make_member(3, &a), make_member(3, &b)].concat();
    let ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(3, STATEFUL | NEW) };
    let (first, out) = once(&mem, &ask, 1, &both, 5000);
    assert_eq!((first.status, &out), (0x113, &a));
    let (second, out) = once(&mem, &ask, 1, &both[first.consumed..], 5000);
    assert_eq!((second.status, &out), (0x113, &b));
}

proptest! {
    #![proptest_config(crate::properties::cases(48))]
    #[test]
    fn streams_round_trip_in_any_pieces(seed in proptest::collection::vec(any::<u8>(), 0..500), repeats in 1usize..20,
                                        alphabet in 1u8..=255, kind in 1u32..=3,
                                        ins in proptest::collection::vec((1usize..800, 20usize..900), 1..4),
                                        outs in proptest::collection::vec((0usize..60, 0usize..300), 1..4),
                                        tail in proptest::collection::vec(any::<u8>(), 0..12)) {
        let mem = Space::default();
        let data: Vec<u8> = seed.iter().map(|b| b % alphabet).collect::<Vec<_>>().repeat(repeats);
        let packed = compress_stream(&mem, kind, V3, &data, &ins);
        check_member(kind, &packed, &data);
        let outs: Vec<_> = outs.into_iter().chain([(7, 40)]).collect();
        prop_assert_eq!(decompress_stream(&mem, kind, &packed, &tail, &outs), data.clone());
        prop_assert_eq!(decompress_stream(&mem, kind, &make_member(kind, &data), &tail, &[(1, 1), (1, 0)]), data);
    }
}
