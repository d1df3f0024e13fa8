//! One test per rule that a descriptor can break, and the error statuses of good descriptors.

use super::*;
use crate::engine::Memory;

/// A good stateless zlib compression, to be spoilt.
fn good(mem: &Space, generation: Generation) -> Words {
    let ask = Ask { generation, ..Ask::new(2, NEW | FINISH) };
    ask.flat(mem.put(b"hello, hello, hello"), 19, mem.put(&[0; 100]), 100)
}

fn refused(mem: &Space, words: &Words, generation: Generation, qc_type: u16, word: &str, code: u32) {
    let back = back(words, words.run(&Zip::PLAIN, mem, generation, qc_type));
    match &back.verdict {
        Verdict::Refused { reason, .. } => {
            assert!(reason.contains(word), "{reason:?} does not name {word:?}")
        }
        other => panic!("{word}: {other:?}"),
    }
    assert_eq!((back.status, back.consumed, back.produced), (code, 0, 0), "{word}");
}

#[test]
fn the_unspoilt_descriptor_is_good() {
    let mem = Space::default();
    for generation in [V2, V3] {
        let words = good(&mem, generation);
        assert_eq!(back(&words, words.run(&Zip::PLAIN, &mem, generation, 0)).status, 0);
    }
}

#[test]
fn fields_that_must_be_zero_are_checked() {
    let mem = Space::default();
    for generation in [V2, V3] {
        let always =
            [(2, 1), (5, 1), (6, 1), (7, 1 << 24), (8, 1 << 24), (8, 1 << 31), (9, 1 << 16), (10, 1)];
        let more = [(11, 1), (12, 1), (16, 1), (17, 1), (24, 1), (25, 1)];
        for (index, bit) in always.into_iter().chain(more) {
            let words = good(&mem, generation);
            let words = words.clone().set(index, words.0[index] | bit);
            refused(&mem, &words, generation, 0, "must be 0", 3);
        }
    }
    refused(&mem, &good(&mem, V3).set(13, 9), V3, 0, "literal buffer", 3);
    refused(&mem, &good(&mem, V2).set(26, 9), V2, 0, "XTS key 2 low", 3);
    refused(&mem, &good(&mem, V2).set(27, 9), V2, 0, "XTS key 2 high", 3);
}

#[test]
fn a_dirty_writeback_area_is_refused() {
    let mem = Space::default();
    for index in [0, 1, 3] {
        let words = good(&mem, V3).set(index, 0x55);
        let (got, verdict) = words.run(&Zip::PLAIN, &mem, V3, 0);
        assert!(matches!(verdict, Verdict::Refused { .. }));
        assert_eq!((got.0[0], got.0[1], got.0[3]), (0, 0, 3));
    }
}

#[test]
fn the_type_must_match_the_generation() {
    let mem = Space::default();
    refused(&mem, &good(&mem, V3), V2, 0, "sqe_type is 3", 3);
    refused(&mem, &good(&mem, V2), V3, 0, "sqe_type is 0", 3);
}

#[test]
fn unknown_queue_class_is_refused() {
    let mem = Space::default();
    refused(&mem, &good(&mem, V3), V3, 2, "queue class", 3);
}

#[test]
fn request_types_not_offered_are_refused() {
    let mem = Space::default();
    for kind in [0, 4, 0x10, 0x20, 0x30, 0x40, 0x41, 0x42, 0x43, 0xFF] {
        for generation in [V2, V3] {
            let words = good(&mem, generation).set(9, kind);
            refused(&mem, &words, generation, 0, "request_type", 3);
        }
    }
    refused(&mem, &good(&mem, V2).set(9, 1), V2, 0, "request_type 0x01", 3);
}

#[test]
fn buffer_type_and_window_have_bounds() {
    let mem = Space::default();
    refused(&mem, &good(&mem, V3).set(9, 0x202), V3, 0, "buffer_type 2", 3);
    refused(&mem, &good(&mem, V3).set(9, 0x5002), V3, 0, "window 5", 3);
    let packed = make_member(2, b"abc");
    let ask = Ask { window: 15, ..Ask::new(2, 0) };
    assert_eq!(once(&mem, &ask, 1, &packed, 3).0.status, 0x100, "no meaning when decompressing");
}

#[test]
fn offsets_belong_to_lists_only() {
    let mem = Space::default();
    let words = good(&mem, V3);
    refused(&mem, &words.clone().set(7, words.0[7] | 2), V3, 0, "SGL offsets", 3);
    refused(&mem, &words.set(8, 2), V3, 0, "SGL offsets", 3);
}

#[test]
fn flat_buffers_have_at_most_8_mib() {
    let mem = Space::default();
    refused(&mem, &good(&mem, V3).set(4, 0x80_0001), V3, 0, "input_data_length", 3);
    refused(&mem, &good(&mem, V3).set(14, 0x80_0001), V3, 0, "dest_avail_out", 3);
}

#[test]
fn context_addresses_are_checked_in_stateful_requests_only() {
    let mem = Space::default();
    let packed = make_member(2, b"abc");
    let (source, target) = (mem.put(&packed), mem.put(&[0; 100]));
    let ask = Ask::new(2, STATEFUL | NEW);
    refused(&mem, &ask.flat(source, packed.len(), target, 100), V3, 1, "stream_ctx_addr is 0", 3);
    let odd = Ask { context: 0x1008, ..ask };
    refused(&mem, &odd.flat(source, packed.len(), target, 100), V3, 1, "not 16-byte aligned", 3);
    let stateless = Ask { flags: 0, context: 0x1008, ..ask };
    assert_eq!(once(&mem, &stateless, 1, &packed, 3).0.status, 0x100);
    assert_eq!(once(&mem, &ask, 0, b"abc", 300).0.status, 0, "compression needs no context");
}

#[test]
fn unreachable_addresses_give_a_status() {
    let mem = Space::default();
    refused(&mem, &good(&mem, V3).addr(18, 0), V3, 0, "no access", 4);
    refused(&mem, &good(&mem, V3).addr(20, 0xFFFF_FFFF_FFFF_FFF0), V3, 0, "no access", 4);
    let packed = make_member(2, b"abc");
    let ask = Ask { context: 0x7000, ..Ask::new(2, STATEFUL | NEW) };
    let words = ask.flat(mem.put(&packed), packed.len() - 1, mem.put(&[0; 9]), 9);
    refused(&mem, &words, V3, 1, "no access", 4);
}

#[test]
fn broken_lists_are_refused() {
    let mem = Space::default();
    let (source, _) = mem.chain(&[1; 100], &[10], 5);
    let (target, _) = mem.chain(&[0; 200], &[200], 1);
    let sent = |source, len: u32| {
        let words = Ask::new(2, 0).flat(source, 0, target, 200);
        words.clone().set(9, words.0[9] | 0x100).set(4, len)
    };
    let words = sent(source, 100);
    assert_eq!(back(&words, words.run(&Zip::PLAIN, &mem, V3, 0)).status, 0);
    refused(&mem, &sent(source, 101), V3, 0, "list ends 1 bytes before", 5);
    refused(&mem, &sent(source + 8, 100), V3, 0, "not 64-byte aligned", 5);
    refused(&mem, &sent(0x1000, 100), V3, 0, "no access", 4);
    for (at, byte, what) in
        [(10, 0u8, "0 entries"), (12, 1, "capacity 1"), (80, 0, "entry 0 has 0 bytes"), (83, 1, "entry 0")]
    {
        let mut list = mem.get(source, 64 + 5 * 32);
        list[at] = byte;
        refused(&mem, &sent(mem.put(&list), 100), V3, 0, what, 5);
    }
    // A chain that bites its own tail ends after 256 lists.
    let mut ring = mem.get(source, 64 + 5 * 32);
    let at = mem.put(&ring);
    ring[..8].copy_from_slice(&at.to_le_bytes());
    Memory::write(&mem, at, &ring).unwrap();
    let longest = sent(at, 5 * 10 * 256);
    assert_eq!(back(&longest, longest.run(&Zip::PLAIN, &mem, V3, 0)).status, 0);
    refused(&mem, &sent(at, 5 * 10 * 256 + 1), V3, 0, "more than 256 lists", 5);
}

#[test]
fn words_that_are_not_carried_are_found_out() {
    let mem = Space::default();
    let data = text(4000);
    let packed = make_member(2, &data);
    for (qc_type, input) in [(0, &data), (1, &packed)] {
        let ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(2, STATEFUL | NEW) };
        let (back, _) = once(&mem, &ask, qc_type, &input[..500], 5000);
        for index in 0..5 {
            let mut words = back.words;
            words[index] ^= 1 << 20;
            let ask = Ask { flags: STATEFUL, words, ..ask };
            let words = ask.flat(mem.put(&input[500..]), input.len() - 500, mem.put(&[0; 5000]), 5000);
            refused(&mem, &words, V3, qc_type, "isize", 6);
        }
        let again = Ask { flags: STATEFUL, words: back.words, ..ask };
        let (back, _) = once(&mem, &again, qc_type, &input[500..], 5000);
        assert!(matches!(back.verdict, Verdict::Done { ok: true, .. }));
    }
}

#[test]
fn continuing_what_never_began_or_has_ended_is_refused() {
    let mem = Space::default();
    let packed = make_member(2, b"abc");
    let ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(2, STATEFUL) };
    let words = |ask: &Ask| ask.flat(mem.put(&packed), packed.len(), mem.put(&[0; 100]), 100);
    refused(&mem, &words(&ask), V3, 1, "no stream was started", 6);
    let (end, _) = once(&mem, &Ask { flags: STATEFUL | NEW, ..ask }, 1, &packed, 100);
    assert_eq!(end.status, 0x113);
    refused(&mem, &words(&Ask { words: end.words, ..ask }), V3, 1, "has ended", 6);
    let (begun, _) = once(&mem, &Ask { flags: STATEFUL | NEW, ..ask }, 1, &packed[..3], 100);
    let changed = Ask { words: begun.words, kind: 3, ..ask };
    refused(&mem, &words(&changed), V3, 1, "request_type changed", 6);
}

#[test]
fn error_statuses_of_good_descriptors() {
    let mem = Space::default();
    let data = text(1000);
    for kind in [1, 2, 3] {
        let packed = make_member(kind, &data);
        let stateless = Ask::new(kind, 0);
        let status = |qc_type, input: &[u8], space| {
            let (back, _) = once(&mem, &stateless, qc_type, input, space);
            assert_eq!((back.consumed, back.produced), (0, 0));
            assert_eq!(back.verdict.done(), Some((0, false)));
            back.status
        };
        assert_eq!(status(0, &data, 100), 0x0E);
        assert_eq!(status(0, &data, 0), 0x0E);
        assert_eq!(status(1, &packed, 999), 0x0E);
        assert_eq!(status(1, &packed[..packed.len() - 1], 1000), 0x02);
        assert_eq!(status(1, &[], 1000), 0x02);
        assert_eq!(status(1, &[7, 1, 2], 1000), 0x01);
    }
}

#[test]
fn a_wrong_trailer_is_status_10() {
    let mem = Space::default();
    let data = text(100);
    for kind in [2, 3] {
        let mut packed = make_member(kind, &data);
        for at in packed.len() - [4, 8][kind as usize - 2]..packed.len() {
            packed[at] ^= 1;
            let (back, _) = once(&mem, &Ask::new(kind, 0), 1, &packed, 100);
            assert_eq!((back.status, back.consumed), (0x110, packed.len()));
            let ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(kind, STATEFUL | NEW) };
            let (back, out) = once(&mem, &ask, 1, &packed, 100);
            assert_eq!((back.status, back.words[0], out), (0x110, 0, data.clone()));
            packed[at] ^= 1;
        }
    }
}

proptest! {
    /// Whatever the descriptor says, there is a verdict and, unless it is good, an error status.
    #[test]
    fn any_descriptor_gets_a_status(words in proptest::collection::vec(any::<u32>(), 32), keep in any::<u32>(),
                                    v3: bool, qc_type in 0u16..3, garbage in proptest::collection::vec(any::<u8>(), 0x97C0)) {
        let mem = Space::default();
        let generation = if v3 { V3 } else { V2 };
        let base = Ask { generation, context: mem.put(&garbage), ..Ask::new(2, STATEFUL) };
        let base = base.flat(mem.put(&garbage[..300]), 300, mem.put(&[0; 300]), 300);
        let mixed = (0..32).map(|i| if keep >> i & 1 == 1 { words[i] } else { base.0[i] }).collect();
        let (got, verdict) = Words(mixed).run(&Zip::PLAIN, &mem, generation, qc_type);
        if !matches!(verdict, Verdict::Done { ok: true, .. }) {
            prop_assert!(![0, 0x0D, 0x13].contains(&(got.0[3] & 0xFF)));
            prop_assert_ne!(got.0[15] & 15, 1);
        }
    }
}

#[test]
fn raw_deflate_is_refused_on_v2_in_every_form() {
    let mem = Space::default();
    let context = mem.put(&[0; 0x97C0]);
    for qc_type in [0, 1] {
        for buffers in [0, 0x100] {
            for flags in [0, STATEFUL | NEW] {
                let ask = Ask { generation: V2, context, ..Ask::new(1, flags) };
                let words = ask.flat(mem.put(b"abc"), 3, mem.put(&[0; 300]), 300);
                let words = words.clone().set(9, words.0[9] | buffers);
                refused(&mem, &words, V2, qc_type, "request_type 0x01", 3);
            }
        }
    }
}
