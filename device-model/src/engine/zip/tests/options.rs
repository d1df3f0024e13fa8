//! Each option does what it says, and a driver that follows reference section 18 gets through all of them.

use super::*;
use crate::engine::zip::Options;

fn configured(text: &str) -> Zip {
    Zip(Options::parse(text).unwrap())
}

/// Compresses as section 18 asks; gives the payload with trailer and the number of requests.
fn pack(engine: &dyn Engine, mem: &Space, kind: u32, data: &[u8], piece: usize) -> (Vec<u8>, usize) {
    let mut ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(kind, STATEFUL | NEW) };
    let (mut done, mut out) = (0, Vec::new());
    for round in 1..100_000 {
        let end = (done + piece).min(data.len());
        let finish = if end == data.len() { FINISH } else { 0 };
        ask.flags |= finish;
        let (back, made) = once_by(engine, mem, &ask, 0, &data[done..end], (end - done) * 9 / 8 + 256);
        assert!([0, 0x0D].contains(&(back.status & 0xFF)), "{back:?}");
        let all = back.consumed == end - done;
        done += back.consumed;
        out.extend(made);
        if finish != 0 && all {
            return (out, round);
        }
        assert!(back.consumed > 0, "no progress");
        ask = Ask { flags: STATEFUL, words: back.words, ..ask };
    }
    panic!("no end");
}

/// What a decompression met besides its data.
#[derive(Default, Debug)]
struct Met {
    states: std::collections::BTreeSet<u32>,
    empty_requests: usize,
    left_with_space: usize,
    short_output: usize,
    rule_four: usize,
    last_blocks: usize,
}

/// Decompresses as section 18 asks, with rule 4 of section 9.
fn unpack(
    engine: &dyn Engine,
    mem: &Space,
    kind: u32,
    packed: &[u8],
    piece: usize,
    space: usize,
) -> (Vec<u8>, Met) {
    let mut ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(kind, STATEFUL | NEW) };
    let (mut done, mut out, mut met, mut again) = (0, Vec::new(), Met::default(), false);
    for _ in 0..100_000 {
        let end = if again { done } else { (done + piece).min(packed.len()) };
        met.empty_requests += usize::from(end == done);
        let (back, made) = once_by(engine, mem, &ask, 1, &packed[done..end], space);
        assert!([0, 0x100, 0x113].contains(&back.status), "{back:?}");
        let all = back.consumed == end - done;
        done += back.consumed;
        out.extend(&made);
        if back.status & 0xFF == 0x13 {
            assert_eq!(done, packed.len());
            return (out, met);
        }
        met.last_blocks += usize::from(back.status == 0x100);
        assert!(back.consumed + back.produced > 0, "no progress: {back:?}");
        let state = back.words[0] & 15;
        met.states.insert(state);
        met.left_with_space += usize::from(!all && back.produced < space);
        met.short_output += usize::from([1, 2].contains(&state) && back.produced < space);
        let rule_four = state == 2 && all && back.words[0] & 0x80 != 0 && back.words[1] & 0x7_FFFF != 0;
        met.rule_four += usize::from(rule_four);
        again = state == 1 || rule_four;
        assert!(again || done < packed.len(), "truncated? {back:?}");
        ask = Ask { flags: STATEFUL, words: back.words, ..ask };
    }
    panic!("no end");
}

#[test]
fn a_careful_driver_gets_through_every_option() {
    let mem = Space::default();
    let everything = "leave-input+portion:64+pending-output+cached-input+cached-bits+negative+last-block";
    let singles = everything.split('+').chain(["", "wide-window", "independent", "least-output", everything]);
    let noise = noise(6000);
    for name in singles {
        let engine = configured(name);
        for kind in [1, 2, 3] {
            for data in [&text(6000), &noise, &vec![b'q'; 6000], &b"x".to_vec()] {
                let (packed, _) = pack(&engine, &mem, kind, data, 1000);
                check_member(kind, &packed, data);
                for (piece, space) in [(100, 300), (1, 200), (5000, 250), (3, 8000)] {
                    let (plain, _) = unpack(&engine, &mem, kind, &make_member(kind, data), piece, space);
                    assert!(plain == *data, "{name}: type {kind}, {piece} into {space}");
                }
                let (plain, _) = unpack(&engine, &mem, kind, &packed, 777, 555);
                assert!(plain == *data, "{name}: type {kind}");
            }
        }
    }
}

#[test]
fn input_is_left_although_there_is_space() {
    let mem = Space::default();
    let data = text(4000);
    let engine = configured("leave-input");
    let (_, plain_rounds) = pack(&Zip::PLAIN, &mem, 2, &data, 1000);
    let (_, rounds) = pack(&engine, &mem, 2, &data, 1000);
    assert!(rounds > plain_rounds + 4, "{rounds}");
    let (_, met) = unpack(&engine, &mem, 2, &make_member(2, &data), 500, 8000);
    assert!(met.left_with_space > 3, "{met:?}");
    // One-shot requests are whole.
    let (back, _) = once_by(&engine, &mem, &Ask::new(2, 0), 0, &data, 5000);
    assert_eq!((back.status, back.consumed), (0, 4000));
}

#[test]
fn output_comes_in_portions() {
    let mem = Space::default();
    let data = text(4000);
    let engine = configured("portion:50");
    let (_, met) = unpack(&engine, &mem, 2, &make_member(2, &data), 500, 8000);
    assert!(met.short_output >= 4000 / 50 - 1, "{met:?}");
    let (back, out) = once_by(&engine, &mem, &Ask::new(2, STATEFUL | NEW), 0, &data, 5000);
    assert!(back.consumed > 0 && back.consumed < 4000 && out.len() <= 50);
}

#[test]
fn pending_output_is_announced_with_state_1_only_if_wanted() {
    let mem = Space::default();
    let packed = make_member(1, &[b'z'; 5000]);
    let (_, met) = unpack(&Zip::PLAIN, &mem, 1, &packed, 1, 300);
    assert!(!met.states.contains(&1) && met.empty_requests == 0, "{met:?}");
    let (_, met) = unpack(&configured("pending-output"), &mem, 1, &packed, 1, 300);
    assert!(met.states.contains(&1) && met.empty_requests > 5, "{met:?}");
}

#[test]
fn cached_input_of_a_final_stored_block_is_told_by_bit_7_and_the_length() {
    let mem = Space::default();
    let data = noise(600);
    let stored = |last: u8, part: &[u8]| {
        let len = part.len() as u16;
        [&[last][..], &len.to_le_bytes(), &(!len).to_le_bytes(), part].concat()
    };
    let packed = [stored(0, &data[..300]), stored(1, &data[300..])].concat();
    let engine = configured("cached-input");
    let (plain, met) = unpack(&engine, &mem, 1, &packed, 350, 280);
    assert_eq!(plain, data);
    assert!(met.states.contains(&1) || met.rule_four > 0, "{met:?}");
    let (plain, met) = unpack(&engine, &mem, 1, &stored(1, &data), 605, 560);
    assert_eq!((plain, met.rule_four, met.empty_requests), (data, 1, 1));
}

#[test]
fn cached_bits_are_where_drivers_look_for_them() {
    let mem = Space::default();
    let engine = configured("cached-bits");
    // A fixed block with "a" and end of block takes 18 bits; the next block's header begins in the third byte.
    let context = mem.put(&[0; 0x97C0]);
    let ask = Ask { context, ..Ask::new(1, STATEFUL | NEW) };
    let (back, out) = once_by(&engine, &mem, &ask, 1, &[0x4A, 0x04, 0x00], 300);
    assert_eq!((back.status, back.consumed, out), (0, 3, b"a".to_vec()));
    let (state, count, history) = (back.words[0] & 15, back.words[0] >> 10 & 63, back.words[2] & 0xFFFF);
    assert_eq!((state, count, history), (3, 6, 1));
    let at = context + 0xC00 + u64::from(history).next_multiple_of(16);
    assert_eq!(mem.get(at, 8), [0; 8], "six zero bits: a stored block, not complete");
    let ask = Ask { flags: STATEFUL, words: back.words, ..ask };
    let (back, out) = once_by(&engine, &mem, &ask, 1, &[0, 0, 0xFF, 0xFF, 0x03, 0x00], 300);
    assert_eq!((back.status, out.len()), (0x113, 0));
}

#[test]
fn negative_compression_is_status_0d_with_good_output() {
    let mem = Space::default();
    let engine = configured("negative");
    for (data, status) in [(text(3000), 0), (b"\x01\xF3\x88".to_vec(), 0x0D)] {
        for flags in [0, STATEFUL | NEW | FINISH] {
            let (back, out) = once_by(&engine, &mem, &Ask::new(3, flags), 0, &data, 4000);
            assert_eq!(back.status, status);
            assert_eq!(back.verdict.done(), Some((data.len() as u64, true)));
            check_member(3, &out, &data);
        }
    }
}

#[test]
fn last_block_may_be_reported_early() {
    let mem = Space::default();
    let engine = configured("last-block");
    let packed = make_member(3, b"abc");
    let (_, met) = unpack(&engine, &mem, 3, &packed, packed.len() - 3, 300);
    assert_eq!(met.last_blocks, 1);
    let (_, met) = unpack(&Zip::PLAIN, &mem, 3, &packed, packed.len() - 3, 300);
    assert_eq!(met.last_blocks, 0);
    let (back, _) = once_by(&engine, &mem, &Ask::new(3, 0), 0, b"abc", 300);
    assert_eq!(back.status, 0x100);
}

#[test]
fn the_window_field_may_be_ignored_and_history_left_unused() {
    let mem = Space::default();
    let noise = noise(9000);
    let twice = noise.repeat(2);
    let size = |name: &str| {
        let ask = Ask { window: 0, ..Ask::new(1, 0) };
        once_by(&configured(name), &mem, &ask, 0, &twice, 20_000).1.len()
    };
    assert!(size("") > 17_000 && size("wide-window") < 10_000);
    let (with, _) = pack(&Zip::PLAIN, &mem, 1, &noise[..1000].repeat(2), 1000);
    let (without, _) = pack(&configured("independent"), &mem, 1, &noise[..1000].repeat(2), 1000);
    assert!(with.len() < 1200 && without.len() > 1900);
}

#[test]
fn least_output_refuses_small_spaces_of_v3_streams_but_no_bypass() {
    let mem = Space::default();
    let engine = configured("least-output");
    let ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(2, STATEFUL | NEW) };
    for qc_type in [0, 1] {
        let (back, _) = once_by(&engine, &mem, &ask, qc_type, b"\x03", 199);
        assert!(matches!(back.verdict, Verdict::Refused { rule: Rule::Length, .. }));
        for (ask, input, space) in [
            (ask, &b"\x03"[..], 200),
            (ask, &b""[..], 0x10),
            (Ask { generation: V2, ..ask }, &b"\x03"[..], 100),
            (Ask { flags: 0, ..ask }, &b"\x03\x00\x00\x00\x00\x01"[..], 100),
        ] {
            let (back, _) = once_by(&engine, &mem, &ask, qc_type, input, space);
            assert!(matches!(back.verdict, Verdict::Done { ok: true, .. }), "{back:?}");
        }
    }
}
