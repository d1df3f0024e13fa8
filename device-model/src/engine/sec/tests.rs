//! What holds for every kind of request, and the helpers of the kinds' own tests.

use super::*;
use crate::engine::Generation::{V2, V3};
use crate::engine::testing::{Space, Words};
use proptest::prelude::*;

/// Runs and checks that only the write-back area changed; gives dw28 and the verdict.
pub(super) fn run(
    mem: &Space,
    words: &Words,
    generation: Generation,
    injection: Injection,
) -> (u32, Verdict) {
    run_on(&Sec::STANDARD, mem, words, generation, injection)
}

/// As [`run`], on a device with options.
pub(super) fn run_on(
    sec: &Sec,
    mem: &Space,
    words: &Words,
    generation: Generation,
    injection: Injection,
) -> (u32, Verdict) {
    let (got, verdict) = words.run_with(sec, mem, generation, 0, injection);
    assert_eq!(got.0[..28], words.0[..28]);
    assert_eq!(got.0[29..], [0, 0, 0]);
    if let Verdict::Done { status, ok, .. } = verdict {
        assert_eq!(status, got.0[28].rotate_left(16));
        assert_eq!(ok, got.0[28] >> 16 == 0 && got.0[28] & 0xE == 0);
    }
    (got.0[28], verdict)
}

/// Runs a descriptor that breaks `rule`; the refusal must name `word`.
pub(super) fn refused(mem: &Space, words: &Words, generation: Generation, word: &str, rule: Rule) {
    let (dw28, verdict) = run(mem, words, generation, Injection::None);
    match verdict {
        Verdict::Refused { rule: found, reason } => {
            assert!(reason.contains(word), "{reason:?} does not name {word:?}");
            assert_eq!(found, rule, "{reason}");
        }
        other => panic!("{word}: {other:?}"),
    }
    assert_eq!(dw28 & 1, 1, "{word}");
    assert_eq!(dw28 >> 16, u32::from(refusal::code(rule)), "{word}");
}

/// A descriptor of the worked examples, which only its frame is looked at here.
fn sample(generation: Generation) -> Words {
    match generation {
        V2 => Words::of(32, &[(0, 0xA12), (3, 0x21400), (5, 0x40)]),
        _ => Words::of(32, &[(0, 0x223), (1, 0x0021_4001), (18, 0x40)]),
    }
}

#[test]
fn the_type_must_match_the_generation() {
    let mem = Space::default();
    refused(&mem, &sample(V2), V3, "descriptor type 2", Rule::Type);
    refused(&mem, &sample(V3), V2, "descriptor type 3", Rule::Type);
    for kind in [0, 1, 4, 15] {
        refused(&mem, &Words::of(32, &[(0, kind)]), V3, "descriptor type", Rule::Type);
    }
}

#[test]
fn the_entry_has_128_bytes() {
    let mem = Space::default();
    for count in [0, 16, 31, 33] {
        let (_, verdict) = Words::of(count, &[]).run(&Sec::STANDARD, &mem, V3, 0);
        assert!(matches!(verdict, Verdict::Refused { rule: Rule::Size, .. }));
        assert_eq!(Sec::STANDARD.classify(&vec![0; count * 4], V3, 0), "unknown");
        assert_eq!(Sec::STANDARD.describe(&vec![0; count * 4], V3, 0).operation, "unknown");
    }
}

#[test]
fn the_queue_class_must_be_0() {
    let mem = Space::default();
    let (got, verdict) = sample(V3).run(&Sec::STANDARD, &mem, V3, 1);
    assert_eq!(got.0[28], 0x0007_0101);
    assert!(
        matches!(verdict, Verdict::Refused { rule: Rule::QueueClass, reason } if reason.contains("queue class"))
    );
}

#[test]
fn the_write_back_area_is_submitted_as_zero() {
    let mem = Space::default();
    for generation in [V2, V3] {
        for index in 28..32 {
            let words = sample(generation).set(index, 1);
            let (got, verdict) = words.run(&Sec::STANDARD, &mem, generation, 0);
            assert_eq!(got.0[28], 0x0007_0101);
            assert!(
                matches!(verdict, Verdict::Refused { rule: Rule::Reserved, reason } if reason.contains("writeback"))
            );
        }
    }
}

#[test]
fn the_invalid_bit_completes_and_touches_nothing() {
    let mem = Space::default();
    for (generation, word, bit) in [(V2, 1, 1 << 31), (V3, 0, 1 << 4)] {
        let words = sample(generation);
        let words = words.clone().set(word, words.0[word] | bit);
        let (dw28, verdict) = run(&mem, &words, generation, Injection::None);
        assert_eq!((dw28, verdict.done()), (1, Some((0, true))));
    }
}

#[test]
fn directions_other_than_encrypt_and_decrypt_are_refused() {
    let mem = Space::default();
    for value in [0, 3] {
        let words = sample(V3);
        refused(&mem, &words.clone().set(1, words.0[1] & !3 | value), V3, "cipher direction", Rule::Value);
        let words = sample(V2);
        refused(
            &mem,
            &words.clone().set(0, words.0[0] & !0x30 | value << 4),
            V2,
            "cipher direction",
            Rule::Value,
        );
    }
    // auth 2 (verify) without a cipher, auth 3
    refused(&mem, &Words::of(32, &[(0, 0xE3), (14, 2)]), V3, "auth 2", Rule::Value);
    refused(&mem, &Words::of(32, &[(0, 0xE3), (14, 3)]), V3, "auth 3", Rule::Value);
}

#[test]
fn classes_follow_the_dispatch_table() {
    let class = |words: &Words, generation| {
        let raw: Vec<u8> = words.0.iter().flat_map(|w| w.to_le_bytes()).collect();
        Sec::STANDARD.classify(&raw, generation, 0)
    };
    assert_eq!(class(&sample(V2), V2), "cipher");
    assert_eq!(class(&sample(V3), V3), "cipher");
    assert_eq!(class(&Words::of(32, &[(0, 0x223), (1, 0x4026_0102)]), V3), "aead");
    assert_eq!(class(&Words::of(32, &[(0, 0xA52), (3, 0x21000)]), V2), "aead");
    assert_eq!(class(&Words::of(32, &[(0, 0xE3), (14, 0x0800_8081)]), V3), "digest");
    assert_eq!(class(&Words::of(32, &[(0, 0x842), (2, 0x808)]), V2), "digest");
    // GMAC, and the first part of a GCM stream on both types
    assert_eq!(class(&Words::of(32, &[(0, 0x23), (14, 0x0811_0845)]), V3), "digest");
    assert_eq!(
        class(&Words::of(32, &[(0, 0x2E3), (1, 0x0006_0100), (14, 0x0011_0841), (27, 0x21)]), V3),
        "aead"
    );
    assert_eq!(class(&Words::of(32, &[(0, 0x3A42), (1, 0x400), (2, 0x0001_1084)]), V2), "aead");
}

#[test]
fn a_stale_tag_changes_the_tag_alone() {
    let mem = Space::default();
    for (generation, index, bit) in [(V2, 1, 1 << 31), (V3, 0, 1 << 4)] {
        let words = sample(generation);
        let words = words.clone().set(index, words.0[index] | bit);
        let at = if generation == V2 { 10 } else { 2 };
        let words = words.set(at, 0x123);
        let (got, verdict) = words.run_with(&Sec::STANDARD, &mem, generation, 0, Injection::StaleTag);
        assert_eq!(got, words.clone().set(at, 0x122).set(28, 1));
        assert!(matches!(verdict, Verdict::Done { ok: true, .. }));
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(2000))]
    #[test]
    fn any_descriptor_gets_a_status(noise in proptest::collection::vec(any::<u32>(), 32), keep: u32, v3: bool, qc_type in 0u16..2,
                                    base in proptest::sample::select(vec![0usize, 1, 2, 3])) {
        let mem = Space::default();
        let generation = if v3 { V3 } else { V2 };
        let mut words = match (base, generation) {
            (0, _) => sample(generation),
            (1, V2) => Words::of(32, &[(0, 0x842), (2, 0x808), (4, 64)]),
            (1, V3) => Words::of(32, &[(0, 0xE3), (14, 0x0800_8081), (17, 64)]),
            (2, V2) => Words::of(32, &[(0, 0xA12), (3, 0x26010), (4, 16), (5, 32), (6, 0x10_0000)]),
            (2, V3) => Words::of(32, &[(0, 0x223), (1, 0x4026_0102), (16, 0x10_0000), (17, 16), (18, 32)]),
            (_, V2) => Words::of(32, &[(0, 0xA52), (2, 0x8908), (3, 0x21000), (4, 40), (5, 32), (6, 0x8_0000)]),
            (_, _) => Words::of(32, &[(0, 0x223), (1, 0x21_0001), (14, 0x0808_9081), (16, 0x8_0000), (17, 40), (18, 32)]),
        };
        // Addresses that exist, for half of the words that may hold one.
        let place = mem.put(&vec![7; 4096]);
        for at in [4, 6, 8, 12, 14, 16, 18, 19, 20, 21, 22, 23, 24, 26] {
            if noise[at] & 3 == 0 && words.0[at] == 0 && words.0[at + 1] == 0 {
                words = words.addr(at, place);
            }
        }
        for (at, value) in noise.iter().enumerate().take(28) {
            if keep >> at & 1 == 0 && value & 0x30 == 0 {
                words.0[at] ^= 1 << (value >> 27);
            }
            if keep & 0x8000_0000 != 0 && value & 0x1F00 == 0 {
                words.0[at] = *value;
            }
        }
        let (got, verdict) = words.run(&Sec::STANDARD, &mem, generation, qc_type);
        prop_assert_eq!(got.0[28] & 1, 1);
        let good = got.0[28] >> 16 & 0xFF == 0 && got.0[28] & 0xE == 0;
        prop_assert_eq!(good, matches!(verdict, Verdict::Done { ok: true, .. }));
        let raw: Vec<u8> = words.0.iter().flat_map(|w| w.to_le_bytes()).collect();
        let description = Sec::STANDARD.describe(&raw, generation, qc_type);
        prop_assert!(!description.operation.is_empty());
    }
}
