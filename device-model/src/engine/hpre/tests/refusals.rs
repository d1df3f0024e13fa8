//! One test per rule that a descriptor can break.

use super::*;

/// Every operation, with widths.
const OPERATIONS: [(u32, usize); 24] = [
    (0, 128),
    (0, 512),
    (1, 256),
    (2, 128),
    (3, 384),
    (4, 96),
    (5, 192),
    (5, 512),
    (0x0D, 32),
    (0x0D, 48),
    (0x0D, 72),
    (0x0E, 32),
    (0x0E, 48),
    (0x0E, 72),
    (0x0F, 32),
    (0x0F, 48),
    (0x0F, 72),
    (0x10, 32),
    (0x10, 72),
    (0x11, 32),
    (0x12, 32),
    (0x13, 32),
    (0x14, 32),
    (0x15, 32),
];

/// A descriptor over large buffers.
fn words(mem: &Space, alg: u32, width: usize) -> Words {
    Words::of(16, &[(0, 1 << 30 | alg), (1, (width / 8 - 1) as u32)])
        .addr(2, mem.put(&vec![1; 8 * width]))
        .addr(4, mem.put(&vec![1; 4 * width + 512]))
        .addr(6, mem.put(&vec![0; 4 * width + 512]))
}

fn class(alg: u32) -> u16 {
    u16::from(alg > 5)
}

fn refused(mem: &Space, words: &Words, generation: Generation, qc_type: u16, rule: Rule, word: &str) {
    let (got, verdict) = words.run(&STRICT, mem, generation, qc_type);
    match verdict {
        Verdict::Refused { reason, rule: broken } => {
            assert_eq!(broken, rule, "{reason}");
            assert!(reason.contains(word), "{reason:?} does not name {word:?}");
        }
        other => panic!("{word}: {other:?}"),
    }
    assert_eq!(got.0[0], 0xC000_0020 | words.0[0] & 31, "{word}");
}

fn executed(mem: &Space, words: &Words, generation: Generation, qc_type: u16) {
    let (got, verdict) = words.run(&STRICT, mem, generation, qc_type);
    assert!(matches!(verdict, Verdict::Done { .. }), "{:08x}: {verdict:?}", words.0[0]);
    assert_eq!(got.0[0] >> 30, 3);
}

#[test]
fn the_unspoilt_descriptors_are_executed() {
    let mem = Space::default();
    for (alg, width) in OPERATIONS {
        executed(&mem, &words(&mem, alg, width), V3, class(alg));
        if alg <= 5 {
            executed(&mem, &words(&mem, alg, width), V2, 0);
        }
    }
}

#[test]
fn operations_without_a_layout_are_refused() {
    let mem = Space::default();
    for alg in 6..0x0D {
        for generation in [V2, V3] {
            refused(&mem, &words(&mem, alg, 128), generation, 0, Rule::Unsupported, "not offered");
        }
    }
    for alg in 0x16..0x20 {
        refused(&mem, &words(&mem, alg, 128), V3, 0, Rule::Type, "not offered");
    }
}

#[test]
fn version_2_has_no_elliptic_curves() {
    let mem = Space::default();
    for alg in 0x0D..0x16 {
        refused(&mem, &words(&mem, alg, 32), V2, 1, Rule::Unsupported, "not offered on V2");
    }
}

#[test]
fn done_must_be_1_at_submission() {
    let mem = Space::default();
    for (alg, width) in OPERATIONS {
        for done in [0, 2, 3] {
            let words = words(&mem, alg, width).set(0, done << 30 | alg);
            refused(&mem, &words, V3, class(alg), Rule::Value, "done is");
        }
    }
}

#[test]
fn every_reserved_bit_is_checked() {
    let mem = Space::default();
    for (alg, width) in OPERATIONS {
        let base = words(&mem, alg, width);
        for (index, bits, name) in [
            (0, 5..16, "etype"),
            (0, 16..30, "etype1"),
            (1, 8..16, "task_len2"),
            (1, 16..24, "mrttest_num"),
            (1, 24..25, "uwkey_enb"),
            (1, 26..27, "sva_bypass"),
            (1, 27..31, "sva_status"),
            (10, 9..16, "sm2_mlen"),
            (10, 16..20, "uwkey_sel"),
            (10, 20..32, "wrap_num"),
            (11, 0..32, "kek_key"),
            (12, 0..32, "dword 12"),
            (13, 0..32, "dword 13"),
            (14, 0..32, "dword 14"),
            (15, 0..32, "dword 15"),
        ] {
            for bit in bits {
                let spoilt = base.clone().set(index, base.0[index] | 1 << bit);
                refused(&mem, &spoilt, V3, class(alg), Rule::Reserved, name);
            }
        }
    }
}

#[test]
fn fields_of_single_operations_are_reserved_in_the_others() {
    let mem = Space::default();
    for (alg, width) in OPERATIONS {
        let base = words(&mem, alg, width);
        let drawn = base.clone().set(1, base.0[1] | 1 << 25);
        match alg {
            0x12 | 0x14 => executed(&mem, &drawn, V3, 1),
            _ => refused(&mem, &drawn, V3, class(alg), Rule::Reserved, "sm2_ksel"),
        }
        for message in [1, 0x0E, 0x0F, 0x1FF] {
            let message = base.clone().set(10, message);
            match alg {
                0x0D | 0x14 | 0x15 => executed(&mem, &message, V3, 1),
                _ => refused(&mem, &message, V3, class(alg), Rule::Reserved, "sm2_mlen"),
            }
        }
    }
}

#[test]
fn the_scheduling_bit_has_no_effect() {
    let curve = &curves()["secp256r1"];
    for case in [
        Case::new(0, 128, &[right(&[3], 128), right(&[55], 128)].concat(), &right(&[2], 128), 128),
        curve.multiply(&5u32.into(), (&curve.g.0, &curve.g.1)),
    ] {
        let plain = case.good();
        assert_eq!(case.with(|case| case.flags = 1 << 31).good(), plain);
    }
}

#[test]
fn widths_are_those_of_the_operation() {
    let mem = Space::default();
    for alg in (0..6).chain(0x0D..0x16) {
        let good: Vec<usize> =
            OPERATIONS.iter().filter(|(of, _)| *of == alg).map(|(_, width)| *width).collect();
        let all: &[usize] = match alg {
            0..=3 => &[128, 256, 384, 512],
            4 | 5 => &[96, 128, 192, 256, 384, 512],
            _ => &good,
        };
        for width in (1..=256).map(|units| 8 * units) {
            let words = words(&mem, alg, 8).set(1, (width / 8 - 1) as u32);
            let generation = V3;
            if all.contains(&width) {
                let (_, verdict) = words.run(&STRICT, &mem, generation, class(alg));
                assert!(!matches!(verdict, Verdict::Refused { rule: Rule::Length, .. }), "{alg:#x} {width}");
            } else {
                refused(&mem, &words, generation, class(alg), Rule::Length, "task_len1");
            }
        }
    }
}

#[test]
fn the_queue_class_must_be_that_of_the_operation_where_the_check_is_on() {
    let mem = Space::default();
    for (alg, width) in OPERATIONS {
        let words = words(&mem, alg, width);
        for other in [1 - class(alg), 2] {
            refused(&mem, &words, V3, other, Rule::QueueClass, &format!("class {other}"));
            assert!(matches!(words.run(&LENIENT, &mem, V3, other).1, Verdict::Done { .. }));
        }
    }
}

#[test]
fn entries_of_another_size_are_refused() {
    let mem = Space::default();
    for size in [0, 63, 65, 128] {
        let mut raw = vec![0; size];
        let mut ctx = Context { mem: &mem, generation: V3, qc_type: 0, injection: Injection::None };
        let verdict = STRICT.execute(&mut raw, &mut ctx);
        assert!(matches!(verdict, Verdict::Refused { rule: Rule::Size, .. }));
    }
}

/// Requests that succeed, over exactly the memory of section 5.6.
fn exact() -> Vec<Case> {
    let w = |value: u8| right(&[value], 128);
    let h = |value: u8| right(&[value], 64);
    let curve = curves()["sm2p256v1"].clone();
    let (d, e, k) = (&BigUint::from(5u32), &BigUint::from(6u32), &BigUint::from(7u32));
    let g = (&curve.g.0, &curve.g.1);
    let q = curve.public_of(d);
    let q = (&q.0, &q.1);
    let message = crate::engine::testing::seq(0, 77);
    let encrypt = Case::new(0x14, 32, &curve.public_image(q), &[slot(k, 32), message].concat(), 96 + 77)
        .with(|case| case.message = 76);
    let text = encrypt.good();
    let four = curve.image(&[&curve.p, &curve.a, d, &curve.b]);
    let domain = curve.image(&[&curve.p, &curve.a, &curve.b, &curve.n]);
    let (r, s) = pair(&curve.sign(0x0E, d, e, k).good());
    let ladder =
        [slot(&((BigUint::from(1u32) << 255) - 19u32), 32), slot(&121_665u32.into(), 32), slot(d, 32)];
    vec![
        Case::new(0, 128, &[w(3), w(55)].concat(), &w(2), 128),
        Case::new(1, 128, &[h(3), h(3), h(5), h(7), h(3)].concat(), &w(2), 128),
        Case::new(2, 128, &[w(7), h(7), h(11)].concat(), &[], 256),
        Case::new(3, 128, &[w(7), h(7), h(11)].concat(), &[], 448),
        Case::new(4, 128, &[w(7), w(11)].concat(), &[], 128),
        Case::new(5, 128, &[w(7), w(11)].concat(), &w(3), 128),
        curve.multiply(k, g),
        curve.sign(0x0E, d, e, k),
        curve.verify(0x0F, q, e, &r, &s),
        Case::new(0x10, 32, &ladder.concat(), &slot(e, 32), 32),
        Case::new(0x11, 32, &domain, &curve.image(&[g.0, g.1]), 96),
        curve.sign(0x12, d, e, k),
        Case::new(0x12, 32, &curve.private_image(d), &slot(e, 32), 64).with(|case| case.flags = 1 << 25),
        curve.verify(0x13, q, e, &r, &s),
        encrypt,
        Case::new(0x15, 32, &four, &text, 77).with(|case| case.message = 76),
    ]
}

#[test]
fn memory_is_touched_up_to_the_table_and_no_further() {
    for case in exact() {
        let name = format!("alg {:#x}", case.alg);
        assert_eq!(case.run().words.0[0], 0xC000_0000 | case.alg, "{name}");
        let mem = Space::default();
        let sizes = [case.key.len(), case.input.len(), case.output];
        for short in [0, 1, 2] {
            if sizes[short] == 0 {
                continue;
            }
            let cut = |index: usize| usize::from(index == short);
            let words =
                Words::of(16, &[(0, 1 << 30 | case.alg), (1, (case.width / 8 - 1) as u32 | case.flags)])
                    .set(10, case.message)
                    .addr(2, mem.put(&case.key[cut(0)..]))
                    .addr(4, mem.put(&case.input[..sizes[1].saturating_sub(cut(1))]))
                    .addr(6, mem.put(&vec![0; sizes[2].saturating_sub(cut(2))]));
            let (got, verdict) = words.run(&STRICT, &mem, V3, class(case.alg));
            assert_eq!((got.0[0], got.0[1] >> 27 & 15), (0xC020_0000 | case.alg, 1), "{name}, short {short}");
            assert!(
                matches!(verdict, Verdict::Refused { rule: Rule::Address, reason } if reason.contains("no access"))
            );
        }
    }
}

#[test]
fn addresses_outside_and_round_the_end_of_the_address_space_are_refused() {
    let mem = Space::default();
    for (index, alg, width) in [(2, 0, 128), (4, 0, 128), (6, 4, 128), (2, 0x0D, 32), (4, 0x10, 32)] {
        for addr in [0, 8, 0xFFFF_FFFF_FFFF_FFC0, u64::MAX] {
            let words = words(&mem, alg, width).addr(index, addr);
            let (got, verdict) = words.run(&STRICT, &mem, V3, class(alg));
            assert_eq!((got.0[0], got.0[1] >> 27), (0xC020_0000 | alg, 1));
            assert!(matches!(verdict, Verdict::Refused { rule: Rule::Address, .. }));
        }
    }
}

#[test]
fn addresses_that_are_not_used_are_not_touched() {
    for case in exact() {
        let mem = Space::default();
        let nowhere = 0xDEAD_0000_0000;
        let words = Words::of(16, &[(0, 1 << 30 | case.alg), (1, (case.width / 8 - 1) as u32 | case.flags)])
            .set(10, case.message)
            .addr(2, mem.put(&case.key))
            .addr(4, if case.input.is_empty() { nowhere } else { mem.put(&case.input) })
            .addr(6, if case.output == 0 { nowhere } else { mem.put(&vec![0; case.output]) });
        let (got, _) = words.run(&STRICT, &mem, V3, class(case.alg));
        assert_eq!(got.0[0], 0xC000_0000 | case.alg);
        if case.output == 0 {
            assert_eq!(got.0[7], words.0[7], "the upper half stays after a verification");
        }
    }
}

#[test]
fn input_and_output_may_be_the_same_buffer() {
    for case in exact() {
        if case.output == 0 || case.input.is_empty() || [0x11, 0x12].contains(&case.alg) {
            continue;
        }
        let mem = Space::default();
        let mut room = case.input.clone();
        room.resize(case.input.len().max(case.output), 0);
        let at = mem.put_odd(&room, 7);
        let words = Words::of(16, &[(0, 1 << 30 | case.alg), (1, (case.width / 8 - 1) as u32)])
            .set(10, case.message)
            .addr(2, mem.put(&case.key))
            .addr(4, at)
            .addr(6, at);
        let (got, _) = words.run(&STRICT, &mem, V3, class(case.alg));
        assert_eq!(got.0[0], 0xC000_0000 | case.alg);
        assert_eq!(mem.get(at, case.output), case.good());
    }
}

/// The operations but RSA, which has its own tests and takes its time.
fn quick() -> Vec<(u32, usize)> {
    OPERATIONS.into_iter().filter(|(_, width)| *width <= 96).collect()
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_descriptor_gets_a_status(noise in proptest::collection::vec(any::<u32>(), 16), keep: u16, pick in 0usize..24,
                                    v3: bool, qc_type in 0u16..3) {
        let mem = Space::default();
        let (alg, width) = OPERATIONS[pick];
        let base = words(&mem, alg, width);
        let mixed = Words((0..16).map(|i| if keep >> i & 1 == 1 { noise[i] } else { base.0[i] }).collect());
        let generation = if v3 { V3 } else { V2 };
        for engine in [&STRICT, &LENIENT] {
            let (got, verdict) = mixed.run(engine, &mem, generation, qc_type);
            prop_assert_eq!(got.0[0] >> 30, 3);
            let clean = got.0[0] & 0x3FFF_FFE0 == 0;
            prop_assert_eq!(clean, matches!(verdict, Verdict::Done { ok: true, .. }));
        }
        let raw: Vec<u8> = mixed.0.iter().flat_map(|w| w.to_le_bytes()).collect();
        STRICT.describe(&raw, generation, qc_type);
        STRICT.classify(&raw, generation, qc_type);
    }

    /// Operands of noise, of small numbers and of ones, in well-formed descriptors.
    #[test]
    fn any_operands_get_a_status((alg, width) in proptest::sample::select(quick()), shape in 0u8..4, seed: u64, drawn: bool, length in 0u32..512) {
        let mem = Space::default();
        let mut state = seed | 1;
        let mut fill = |count: usize| -> Vec<u8> {
            (0..count).map(|at| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let byte = (state >> 56) as u8;
                match shape {
                    0 => byte,
                    1 => if at % width == width - 1 { byte & 15 } else { 0 },
                    2 => if at % width == 0 { byte } else { 0xFF },
                    _ => if byte & 0x40 == 0 { 0 } else { byte },
                }
            }).collect()
        };
        let flags = if drawn && [0x12, 0x14].contains(&alg) { 1 << 25 } else { 0 };
        let message = if [0x14, 0x15].contains(&alg) { length } else { 0 };
        let words = Words::of(16, &[(0, 1 << 30 | alg), (1, (width / 8 - 1) as u32 | flags), (10, message)])
            .addr(2, mem.put(&fill(8 * width)))
            .addr(4, mem.put(&fill(3 * width + 512)))
            .addr(6, mem.put(&vec![0; 4 * width + 512]));
        for engine in [&STRICT, &LENIENT] {
            let (got, verdict) = words.run(engine, &mem, V3, class(alg));
            prop_assert!(verdict.done().is_some());
            prop_assert_eq!(got.0[0] >> 30, 3);
        }
    }
}
