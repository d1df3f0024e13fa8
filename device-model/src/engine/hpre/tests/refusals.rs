//! One test per rule that a descriptor can break.

use super::*;

fn words(mem: &Space, alg: u32, width: usize) -> Words {
    Words::of(16, &[(0, 1 << 30 | alg), (1, (width / 8 - 1) as u32)])
        .addr(2, mem.put(&vec![1; 5 * width / 2]))
        .addr(4, mem.put(&vec![1; width]))
        .addr(6, mem.put(&vec![0; 4 * width]))
}

fn refused(mem: &Space, words: &Words, generation: Generation, qc_type: u16, word: &str) {
    let (got, verdict) = words.run(&Hpre, mem, generation, qc_type);
    match verdict {
        Verdict::Refused { reason } => assert!(reason.contains(word), "{reason:?} does not name {word:?}"),
        other => panic!("{word}: {other:?}"),
    }
    assert_eq!(got.0[0], 0xC000_0020 | words.0[0] & 31, "{word}");
}

#[test]
fn the_unspoilt_descriptor_is_good() {
    let mem = Space::default();
    for (alg, width) in [(0, 128), (1, 512), (4, 96), (5, 192)] {
        assert_eq!(words(&mem, alg, width).run(&Hpre, &mem, V3, 0).0.0[0], 0xC000_0000 | alg);
    }
}

#[test]
fn unknown_and_unmodelled_operations_are_refused() {
    let mem = Space::default();
    for alg in (6..0x0D).chain(0x16..0x20) {
        refused(&mem, &words(&mem, alg, 128), V3, 0, "not offered");
    }
    for alg in 0x0D..0x16 {
        refused(&mem, &words(&mem, alg, 32), V3, 1, "not modelled yet");
        refused(&mem, &words(&mem, alg, 32), V2, 1, "not offered");
    }
}

#[test]
fn done_must_be_1_at_submission() {
    let mem = Space::default();
    for done in [0, 2, 3] {
        refused(&mem, &words(&mem, 0, 128).set(0, done << 30), V3, 0, "done is");
    }
}

#[test]
fn fields_that_must_be_zero_are_checked() {
    let mem = Space::default();
    for (index, bit, name) in [
        (0, 5, "etype"),
        (0, 29, "etype1"),
        (1, 8, "task_len2"),
        (1, 16, "mrttest_num"),
        (1, 24, "uwkey_enb"),
        (1, 25, "sm2_ksel"),
        (1, 26, "sva_bypass"),
        (10, 0, "sm2_mlen"),
        (10, 16, "uwkey_sel"),
        (11, 3, "kek_key"),
        (12, 0, "dword 12"),
        (13, 0, "dword 13"),
        (14, 0, "dword 14"),
        (15, 31, "dword 15"),
    ] {
        let words = words(&mem, 0, 128);
        refused(&mem, &words.clone().set(index, words.0[index] | 1 << bit), V3, 0, name);
    }
    let dirty = words(&mem, 0, 128).set(1, 15 | 1 << 27);
    assert!(matches!(dirty.run(&Hpre, &mem, V3, 0).1, Verdict::Refused { .. }));
}

#[test]
fn the_scheduling_bit_has_no_effect() {
    let mem = Space::default();
    let words = words(&mem, 0, 128).set(1, 15 | 1 << 31);
    assert_eq!(words.run(&Hpre, &mem, V3, 0).0.0[..2], [0xC000_0000, 15 | 1 << 31]);
}

#[test]
fn widths_are_those_of_the_operation() {
    let mem = Space::default();
    for width in [8, 64, 96, 136, 192, 520, 2048] {
        refused(&mem, &words(&mem, 0, width), V3, 0, "task_len1");
        refused(&mem, &words(&mem, 1, width), V3, 0, "task_len1");
        refused(&mem, &words(&mem, 3, width), V3, 0, "task_len1");
    }
    for width in [8, 64, 136, 520, 2048] {
        refused(&mem, &words(&mem, 5, width), V3, 0, "task_len1");
    }
}

#[test]
fn the_queue_class_must_be_that_of_the_operation() {
    let mem = Space::default();
    refused(&mem, &words(&mem, 0, 128), V3, 1, "class 1");
}

#[test]
fn unreachable_addresses_set_etype1_bit_5() {
    let mem = Space::default();
    for (index, alg) in [(2, 0), (4, 0), (6, 0), (6, 4)] {
        let words = words(&mem, alg, 128).addr(index, 0xFFFF_FFFF_FFFF_FFC0);
        let (got, verdict) = words.run(&Hpre, &mem, V3, 0);
        assert_eq!((got.0[0], got.0[1] >> 27), (0xC020_0000 | alg, 1));
        assert!(matches!(verdict, Verdict::Refused { reason } if reason.contains("no access")));
    }
}

#[test]
fn buffers_end_where_the_table_says() {
    let mem = Space::default();
    // One byte less than the least each operation reads or writes must fault, exactly that much must not.
    for (alg, key, input, out) in [
        (0, 256, 128, 128),
        (1, 320, 128, 128),
        (2, 256, 0, 256),
        (3, 256, 0, 448),
        (4, 256, 0, 128),
        (5, 256, 128, 128),
    ] {
        for short in [None, Some(0), Some(1), Some(2)] {
            let sizes: [usize; 3] = std::array::from_fn(|i| {
                let full: usize = [key, input, out][i];
                if short == Some(i) { full.saturating_sub(1) } else { full }
            });
            // Odd moduli for powers; e = 7, p = 7, q = 11 for key completion.
            let values: &[(usize, u8)] = match alg {
                2 | 3 => &[(128, 7), (192, 7), (256, 11)],
                _ => &[(64, 3), (128, 3), (192, 5), (256, 7), (320, 1)],
            };
            let mut image = vec![0; key];
            for (end, value) in values.iter().filter(|(end, _)| *end <= key) {
                image[end - 1] = *value;
            }
            let sent = Words::of(16, &[(0, 1 << 30 | alg), (1, 15)])
                .addr(2, mem.put(&image[..sizes[0]]))
                .addr(4, if input == 0 { 0 } else { mem.put(&vec![1; sizes[1]]) })
                .addr(6, mem.put(&vec![0; sizes[2]]));
            let (got, _) = sent.run(&Hpre, &mem, V3, 0);
            let faults = short.is_some_and(|i| [key, input, out][i] > 0);
            assert_eq!(got.0[0] >> 21 & 1 == 1, faults, "alg {alg}, short {short:?}, {:08x}", got.0[0]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_descriptor_gets_a_status(noise in proptest::collection::vec(any::<u32>(), 16), keep: u16, alg in 0u32..32,
                                    v3: bool, qc_type in 0u16..2) {
        let mem = Space::default();
        let base = words(&mem, alg, 128);
        let mixed = (0..16).map(|i| if keep >> i & 1 == 1 { noise[i] } else { base.0[i] }).collect();
        let (got, verdict) = Words(mixed).run(&Hpre, &mem, if v3 { V3 } else { V2 }, qc_type);
        prop_assert_eq!(got.0[0] >> 30, 3);
        let clean = got.0[0] & 0x3FFF_FFE0 == 0;
        prop_assert_eq!(clean, matches!(verdict, Verdict::Done { ok: true, .. }));
    }
}
