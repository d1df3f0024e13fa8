//! Streams and single requests in every combination of version, format, buffers, window, pieces and spaces.

use super::*;
use crate::engine::zip::saved::Saved;

/// How a request's data lies in memory: flat, or as a chain with these entry sizes, so many to a list.
#[derive(Clone, Debug)]
enum Layout {
    Flat,
    Chain(Vec<usize>, usize),
}

fn layout() -> impl Strategy<Value = Layout> {
    prop_oneof![
        Just(Layout::Flat),
        (proptest::collection::vec(1usize..700, 1..4), 1usize..6)
            .prop_map(|(sizes, per)| Layout::Chain(sizes, per)),
    ]
}

/// Entries to a list with which `len` bytes in entries of these sizes stay within the 256 lists of a chain
/// (queue-manager reference, section 8): at least as many as asked for.
fn entries_per_list(len: usize, sizes: &[usize], asked: usize) -> usize {
    let round: usize = sizes.iter().sum();
    let entries = (len / round + 1) * sizes.len();
    asked.max(entries.div_ceil(256))
}

/// Runs one request with the given layouts; a chain begins with `skip` foreign bytes, as if a header stood there.
fn request(
    mem: &Space,
    ask: &Ask,
    qc_type: u16,
    input: &[u8],
    space: usize,
    layouts: (&Layout, &Layout),
    skip: usize,
) -> (Back, Vec<u8>) {
    let (Layout::Chain(ins, per), Layout::Chain(outs, outs_per)) = layouts else {
        return once(mem, ask, qc_type, input, space);
    };
    let before = vec![0xDD; skip];
    let per = entries_per_list(skip + input.len(), ins, *per);
    let outs_per = entries_per_list(skip + space, outs, *outs_per);
    let (source, _) = mem.chain(&[&before, input].concat(), ins, per);
    let (target, pieces) = mem.chain(&[&before[..], &vec![0xEE; space]].concat(), outs, outs_per);
    let sent = ask.flat(source, input.len(), target, space);
    let sent = sent.clone().set(9, sent.0[9] | 0x100).set(7, sent.0[7] | skip as u32).set(8, skip as u32);
    let back = back(&sent, sent.run(&Zip::PLAIN, mem, ask.generation, qc_type));
    let all = mem.gather(&pieces);
    assert_eq!(all[..skip], before);
    assert!(all[skip + back.produced..].iter().all(|b| *b == 0xEE), "bytes behind `produced` were written");
    let out = all[skip..skip + back.produced].to_vec();
    (back, out)
}

/// A whole stream, as a driver that follows section 18 would send it.
fn pack(
    mem: &Space,
    ask: Ask,
    data: &[u8],
    pieces: &[(usize, usize)],
    layouts: (&Layout, &Layout),
) -> Vec<u8> {
    let mut ask = Ask { flags: STATEFUL | NEW, ..ask };
    let (mut done, mut out) = (0, Vec::new());
    for (piece, space) in pieces.iter().cycle() {
        let end = (done + piece).min(data.len());
        let finish = end == data.len();
        ask.flags = ask.flags & !FINISH | if finish { FINISH } else { 0 };
        let skip = if ask.flags & NEW != 0 { 10 } else { 0 };
        let (back, made) = request(mem, &ask, 0, &data[done..end], *space, layouts, skip);
        assert_eq!(back.status, 0, "{back:?}");
        assert!(back.consumed <= end - done);
        done += back.consumed;
        out.extend(made);
        if finish && back.consumed == end - (done - back.consumed) {
            return out;
        }
        ask = Ask { flags: STATEFUL, words: back.words, ..ask };
    }
    unreachable!()
}

fn unpack(
    mem: &Space,
    ask: Ask,
    packed: &[u8],
    pieces: &[(usize, usize)],
    layouts: (&Layout, &Layout),
) -> Vec<u8> {
    let mut ask = Ask { flags: STATEFUL | NEW, ..ask };
    let (mut done, mut out, mut state) = (0, Vec::new(), 0);
    for (piece, space) in pieces.iter().cycle() {
        // Only a pending output is fetched without input.
        let end = if state == 1 { done } else { (done + piece).min(packed.len()) };
        let skip = if ask.flags & NEW != 0 { 2 } else { 0 };
        let (back, made) = request(mem, &ask, 1, &packed[done..end], *space, layouts, skip);
        done += back.consumed;
        out.extend(made);
        if back.status == 0x113 {
            assert_eq!(done, packed.len());
            return out;
        }
        assert_eq!(back.status, 0, "{back:?}");
        state = back.words[0] & 15;
        assert!(back.consumed + back.produced > 0 || end == done, "no progress");
        assert!(end > done || state == 1 || done < packed.len(), "the stream never ends");
        ask = Ask { flags: STATEFUL, words: back.words, ..ask };
    }
    unreachable!()
}

#[test]
fn every_cell_of_version_format_buffers_and_mode() {
    let mem = Space::default();
    let data = text(9000);
    let chain = Layout::Chain(vec![1, 500, 33, 4096], 3);
    for (generation, kinds) in [(V2, &[2u32, 3][..]), (V3, &[1, 2, 3])] {
        for kind in kinds {
            for layout in [&Layout::Flat, &chain] {
                for window in 0..5 {
                    let ask = Ask { generation, window, ..Ask::new(*kind, 0) };
                    let (back, packed) = request(&mem, &ask, 0, &data, 9100, (layout, layout), 10);
                    assert_eq!((back.status, back.consumed), (0, 9000));
                    check_member(*kind, &packed, &data);
                    let (back, plain) = request(&mem, &ask, 1, &packed, 9000, (layout, layout), 2);
                    assert_eq!((back.status, back.consumed), (0x100, packed.len()));
                    assert_eq!(plain, data);
                    let ask = Ask { context: mem.put(&[0x99; 0x97C0]), ..ask };
                    let packed = pack(&mem, ask, &data, &[(2000, 3000), (1, 300)], (layout, layout));
                    check_member(*kind, &packed, &data);
                    let plain = unpack(&mem, ask, &packed, &[(1000, 3000), (77, 300)], (layout, layout));
                    assert_eq!(plain, data);
                }
            }
        }
    }
}

#[test]
fn the_uncompressed_length_counts_modulo_two_to_the_32() {
    let mem = Space::default();
    let data = text(64);
    // Compression, carried by its words: 16 bytes before the wrap.
    let mut words = [0, 0, 0, 0xFFFF_FFF0, 0x1234_5678];
    words[1] = seal(words);
    let ask = Ask { words, ..Ask::new(3, STATEFUL | FINISH) };
    let (back, out) = once(&mem, &ask, 0, &data, 300);
    assert_eq!((back.status, back.words[3]), (0, 48));
    assert_eq!(out[out.len() - 4..], 48u32.to_le_bytes());
    // Decompression: the same place in a stream that is under way.
    let ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(3, STATEFUL | NEW) };
    let (begun, _) = once(&mem, &ask, 1, &[], 300);
    assert_eq!(begun.status, 0);
    let mut saved = Saved::load(&mem, ask.context).unwrap().unwrap();
    saved.words[3] = 0xFFFF_FFF0;
    saved.words[1] = seal(saved.words);
    saved.store(&mem, ask.context, false).unwrap();
    let mut packed = make_member(3, &data);
    let at = packed.len() - 4;
    packed[at..].copy_from_slice(&48u32.to_le_bytes());
    let ask = Ask { flags: STATEFUL, words: saved.words, ..ask };
    let (back, out) = once(&mem, &ask, 1, &packed, 300);
    assert_eq!((back.status, back.words[3], out), (0x113, 48, data));
}

#[test]
fn flat_pieces_of_8_mib_are_taken_and_more_only_as_a_chain() {
    let mem = Space::default();
    let eight = 8 << 20;
    let data = vec![0x41; eight];
    let ask = Ask::new(3, 0);
    let (back, packed) = once(&mem, &ask, 0, &data, 100_000);
    assert_eq!((back.status, back.consumed), (0, eight));
    let (back, plain) = once(&mem, &ask, 1, &packed, eight);
    assert_eq!((back.status, back.produced), (0x100, eight));
    assert!(plain == data);
    let more = vec![0x42; eight + 5000];
    let layout = Layout::Chain(vec![eight], 2);
    let (back, packed) = request(&mem, &ask, 0, &more, 100_000, (&layout, &layout), 0);
    assert_eq!((back.status, back.consumed), (0, more.len()));
    let (back, plain) = request(&mem, &ask, 1, &packed, more.len(), (&layout, &layout), 0);
    assert_eq!((back.status, back.produced), (0x100, more.len()));
    assert!(plain == more);
}

#[test]
fn streams_over_chains_of_single_bytes() {
    // One entry to a list where 256 lists are enough, more where they are not.
    let mem = Space::default();
    let single = Layout::Chain(vec![1], 1);
    let data = text(1500);
    for (input, space) in [(&data[..200], 250), (&data[..], 1700)] {
        let ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(3, 0) };
        let packed = pack(&mem, ask, input, &[(input.len(), space)], (&single, &single));
        check_member(3, &packed, input);
        let plain = unpack(&mem, ask, &packed, &[(packed.len(), input.len())], (&single, &single));
        assert_eq!(plain, input);
    }
}

#[test]
fn a_context_is_used_within_0x97c0_bytes_and_not_at_all_without_a_stream() {
    let mem = Space::default();
    let data = text(80_000);
    let packed = make_member(2, &data);
    for (qc_type, input) in [(0, &data), (1, &packed)] {
        // The region ends where the device's part does: any access beyond is a fault.
        let context = mem.put(&[0; 0x97C0]);
        let ask = Ask { context, ..Ask::new(2, STATEFUL | NEW) };
        let (back, _) = once(&mem, &ask, qc_type, &input[..input.len() - 1], 90_000);
        assert_eq!(back.status, 0);
        let before = mem.get(context, 0x97C0);
        assert!(before.iter().any(|b| *b != 0));
        let stateless = Ask { flags: 0, ..ask };
        once(&mem, &stateless, qc_type, input, 90_000);
        assert_eq!(mem.get(context, 0x97C0), before);
    }
}

#[test]
fn an_ended_or_foreign_compression_stream_cannot_be_continued() {
    let mem = Space::default();
    let refused = |ask: &Ask, word: &str| match once(&mem, ask, 0, b"more", 300).0.verdict {
        Verdict::Refused { rule: Rule::Stream, reason } => assert!(reason.contains(word), "{reason}"),
        other => panic!("{word}: {other:?}"),
    };
    for context in [0, mem.put(&[0; 0x97C0])] {
        let ask = Ask { context, ..Ask::new(2, STATEFUL | NEW | FINISH) };
        let (end, _) = once(&mem, &ask, 0, b"all", 300);
        refused(&Ask { flags: STATEFUL, words: end.words, ..ask }, "has ended");
    }
    let ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(2, STATEFUL | NEW) };
    let (begun, _) = once(&mem, &ask, 0, b"some", 300);
    let next = Ask { flags: STATEFUL, words: begun.words, ..ask };
    refused(&Ask { kind: 3, ..next }, "request_type changed");
    refused(&Ask { context: mem.put(&[0; 0x97C0]), ..next }, "no stream was started");
    let (_, _) = once(&mem, &ask, 0, b"another", 300);
    refused(&next, "that of another response");
}

proptest! {
    #![proptest_config(crate::properties::cases(60))]
    /// Both directions against the independent coder, in random pieces, spaces, layouts and windows.
    #[test]
    fn any_stream_in_any_shape(seed in proptest::collection::vec(any::<u8>(), 1..500), repeats in 1usize..25,
                               alphabet in 1u8..=255, kind in 1u32..=3, v3: bool, window in 0u32..5, level in 0u8..=9,
                               with_context: bool, source in layout(), target in layout(),
                               ins in proptest::collection::vec((1usize..2000, 20usize..3000), 1..4),
                               outs in proptest::collection::vec((1usize..600, 17usize..900), 1..4)) {
        let mem = Space::default();
        let data: Vec<u8> = seed.iter().map(|b| b % alphabet).collect::<Vec<_>>().repeat(repeats);
        let (generation, kind) = if v3 { (V3, kind) } else { (V2, kind.max(2)) };
        // Source and destination always share the type.
        let layouts = match (&source, &target) {
            (Layout::Chain(..), Layout::Chain(..)) => (&source, &target),
            _ => (&Layout::Flat, &Layout::Flat),
        };
        let ask = Ask { generation, window, ..Ask::new(kind, 0) };
        let context = mem.put(&[0xC3; 0x97C0]);
        let packing = Ask { context: if with_context { context } else { 0 }, ..ask };
        let packed = pack(&mem, packing, &data, &ins, layouts);
        check_member(kind, &packed, &data);
        let unpacking = Ask { context, ..ask };
        prop_assert_eq!(unpack(&mem, unpacking, &packed, &outs, layouts), data.clone());
        let mut foreign = miniz_oxide::deflate::compress_to_vec(&data, level);
        let usual = miniz_oxide::deflate::compress_to_vec(&data, 6).len();
        foreign.extend(&make_member(kind, &data)[usual..]);
        prop_assert_eq!(unpack(&mem, unpacking, &foreign, &outs, layouts), data);
    }
}
