//! One test per rule that a descriptor can break.

use super::*;

fn good(mem: &Space, generation: Generation, mode: &str) -> Words {
    let at = Places {
        source: mem.put(&seq(0, 64)),
        target: mem.put(&[0; 64]),
        key: mem.put(&seq(0, 32)),
        iv: mem.put(&seq(0, 16)),
    };
    Ask { generation, aes: true, bits: 128, mode: codes(mode), encrypt: true, sgl: false }.words(64, at)
}

fn refused(mem: &Space, words: &Words, generation: Generation, word: &str, code: u8) {
    let (dw28, verdict) = run(mem, words, generation, Injection::None);
    match verdict {
        Verdict::Refused { reason } => assert!(reason.contains(word), "{reason:?} does not name {word:?}"),
        other => panic!("{word}: {other:?}"),
    }
    assert_eq!(dw28, 0x101 | u32::from(code) << 16, "{word}");
}

#[test]
fn the_unspoilt_descriptor_is_good() {
    let mem = Space::default();
    for generation in [V2, V3] {
        assert_eq!(run(&mem, &good(&mem, generation, "cbc"), generation, Injection::None).0, 0x101);
    }
}

#[test]
fn the_type_must_match_the_generation() {
    let mem = Space::default();
    refused(&mem, &good(&mem, V2, "cbc"), V3, "descriptor type 2", 1);
    refused(&mem, &good(&mem, V3, "cbc"), V2, "descriptor type 3", 1);
}

#[test]
fn the_queue_class_must_be_0() {
    let mem = Space::default();
    let (got, verdict) = good(&mem, V3, "cbc").run(&Sec, &mem, V3, 1);
    assert_eq!(got.0[28], 0x0007_0101);
    assert!(matches!(verdict, Verdict::Refused { reason } if reason.contains("queue class")));
}

#[test]
fn reserved_and_unused_fields_are_checked() {
    let mem = Space::default();
    // (word, bit, part of the name)
    let v2 = [
        (0, 21, "mac_addr_type"),
        (0, 24, "byte 3"),
        (1, 0, "nonce_len"),
        (1, 4, "huk"),
        (1, 5, "key_s"),
        (1, 6, "ci_gen"),
        (1, 16, "rhf"),
        (1, 17, "c_key_type"),
        (1, 19, "a_key_type"),
        (1, 21, "write_frame_len"),
        (1, 24, "cal_iv_addr_en"),
        (1, 25, "tls_up"),
        (1, 26, "byte 7"),
        (3, 0, "c_icv_len"),
        (3, 20, "dw3"),
        (4, 24, "iv_offset_l"),
        (5, 24, "iv_offset_h"),
        (7, 0, "cs_ip"),
        (7, 16, "cs_udp"),
        (8, 0, "pass_word_len"),
        (9, 0, "salt"),
        (10, 16, "byte 42"),
        (11, 0, "c_pad"),
        (12, 0, "long_a_data_len low"),
        (13, 0, "long_a_data_len high"),
        (28, 0, "writeback"),
        (31, 0, "writeback"),
    ];
    let v3 = [
        (0, 17, "mac_addr_type"),
        (0, 20, "dw0"),
        (1, 2, "ci_gen"),
        (1, 4, "c_icv_len"),
        (1, 24, "nonce_len"),
        (1, 28, "huk"),
        (1, 29, "cal_iv_addr_en"),
        (1, 31, "byte 7"),
        (10, 0, "dword 10"),
        (11, 0, "dword 11"),
        (14, 21, "key_sel"),
        (14, 28, "key_wrap_num"),
        (14, 31, "update_key"),
        (15, 0, "salt"),
        (17, 24, "auth_key_offset"),
        (18, 24, "auth_ivin_offset"),
        (25, 0, "dword 25"),
        (26, 0, "dword 26"),
        (27, 0, "dword 27"),
        (29, 0, "writeback"),
        (30, 0, "writeback"),
    ];
    for (generation, list) in [(V2, &v2[..]), (V3, &v3[..])] {
        for (index, bit, name) in list {
            let words = good(&mem, generation, "cbc");
            let words = words.clone().set(*index, words.0[*index] | 1 << bit);
            let (got, verdict) = words.run(&Sec, &mem, generation, 0);
            assert_eq!(got.0[28], 0x0007_0101, "{name}");
            match verdict {
                Verdict::Refused { reason } => assert!(reason.contains(name), "{reason:?}: {name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn authentication_is_refused_and_its_fields_do_not_pass_with_a_cipher() {
    let mem = Space::default();
    refused(&mem, &Words::of(32, &[(0, 0x842), (2, 0x808)]), V2, "digest or MAC is not modelled", 2);
    refused(&mem, &Words::of(32, &[(0, 0xE3), (14, 0x0800_8081)]), V3, "digest or MAC is not modelled", 2);
    let words = good(&mem, V2, "cbc");
    refused(&mem, &words.clone().set(0, words.0[0] | 1 << 6), V2, "cipher with authentication", 2);
    for (index, bit, name) in [
        (0, 8, "seq"),
        (2, 0, "mac_len"),
        (2, 5, "a_key_len"),
        (2, 11, "a_alg"),
        (4, 0, "a_len"),
        (6, 0, "auth_src_offset"),
        (1, 8, "ai_gen"),
    ] {
        refused(&mem, &words.clone().set(index, words.0[index] | 1 << bit), V2, name, 7);
    }
    let words = good(&mem, V3, "cbc");
    for (index, bit, name) in [
        (1, 30, "seq"),
        (14, 2, "ai_gen"),
        (14, 4, "mac_len"),
        (14, 9, "a_key_len"),
        (14, 15, "a_alg"),
        (17, 0, "a_len"),
        (16, 0, "auth_src_offset"),
    ] {
        refused(&mem, &words.clone().set(index, words.0[index] | 1 << bit), V3, name, 7);
    }
}

#[test]
fn unknown_and_unmodelled_algorithms_and_modes_are_refused() {
    let mem = Space::default();
    for (generation, index, alg_at, mode_at) in [(V2, 3, 16, 12), (V3, 1, 20, 16)] {
        let words = good(&mem, generation, "ecb");
        let with = |at: u32, value: u32| words.clone().set(index, words.0[index] & !(15 << at) | value << at);
        for alg in 0..2 {
            refused(&mem, &with(alg_at, alg), generation, "DES", 2);
        }
        for alg in 4..16 {
            refused(&mem, &with(alg_at, alg), generation, "is unknown", 2);
        }
        for mode in [5, 6] {
            refused(&mem, &with(mode_at, mode), generation, "CCM, GCM", 2);
        }
        for mode in [8, 10, 15] {
            refused(&mem, &with(mode_at, mode), generation, "is unknown", 2);
        }
    }
    for mode in ["cfb", "ofb", "cs1"] {
        refused(&mem, &good(&mem, V2, mode), V2, "not offered on V2", 2);
    }
}

#[test]
fn directions_other_than_encrypt_and_decrypt_are_refused() {
    let mem = Space::default();
    for value in [0, 3] {
        let words = good(&mem, V3, "cbc");
        refused(&mem, &words.clone().set(1, words.0[1] & !3 | value), V3, "cipher direction", 7);
    }
}

#[test]
fn scene_de_and_address_types_have_bounds() {
    let mem = Space::default();
    let words = good(&mem, V3, "cbc");
    refused(&mem, &words.clone().set(0, words.0[0] | 7 << 5), V3, "scene 7", 7);
    refused(&mem, &words.clone().set(0, words.0[0] | 3 << 9), V3, "de is 3", 7);
    refused(&mem, &words.clone().set(0, words.0[0] | 2 << 11), V3, "source address type 2", 7);
    refused(&mem, &words.clone().set(0, words.0[0] | 2 << 14), V3, "destination address type 2", 7);
    let words = good(&mem, V2, "cbc");
    refused(&mem, &words.clone().set(0, words.0[0] | 4 << 15), V2, "source address type 4", 7);
    refused(&mem, &words.clone().set(0, words.0[0] | 2 << 11), V2, "scene 3", 7);
}

#[test]
fn key_length_codes_are_those_of_the_algorithm() {
    let mem = Space::default();
    let words = good(&mem, V3, "cbc");
    refused(&mem, &words.clone().set(1, words.0[1] | 3 << 13), V3, "c_key_len 3", 4);
    refused(&mem, &words.clone().set(1, words.0[1] | 1 << 20 | 1 << 13), V3, "c_key_len 1 with Sm4", 4);
    let words = good(&mem, V3, "xts");
    refused(&mem, &words.clone().set(1, words.0[1] | 1 << 13), V3, "192 bits", 4);
}

#[test]
fn lengths_are_those_of_the_mode() {
    let mem = Space::default();
    for (mode, bad) in [
        ("ecb", &[0, 8, 17, 0xFF_FE01, 0xFF_FE10][..]),
        ("cbc", &[0, 63, 0xFF_FFF0]),
        ("ctr", &[0, 0xFF_FE01]),
        ("cfb", &[0]),
        ("ofb", &[0]),
        ("xts", &[0, 15, 0xFF_FFFF]),
        ("cs1", &[0, 1, 16]),
        ("cs3", &[16]),
    ] {
        for len in bad {
            refused(&mem, &good(&mem, V3, mode).set(18, *len), V3, "c_len", 3);
            if codes(mode).3 {
                refused(&mem, &good(&mem, V2, mode).set(5, *len), V2, "c_len", 3);
            }
        }
    }
}

#[test]
fn stealing_variants_and_counter_selectors_have_their_modes() {
    let mem = Space::default();
    let words = good(&mem, V3, "cbc");
    refused(&mem, &words.clone().set(1, words.0[1] | 1 << 10), V3, "c_width 1 without", 7);
    let words = good(&mem, V3, "cs1");
    refused(&mem, &words.clone().set(1, words.0[1] & !(7 << 10)), V3, "c_width 0 with", 7);
    for (mode, counter) in [("ctr", 1), ("ctr", 3), ("cbc", 1), ("xts", 1), ("xts", 3)] {
        refused(&mem, &good(&mem, V3, mode).set(14, counter << 25), V3, "ctr_count_mode", 7);
    }
    // SM4-XTS: 3 selects IEEE, as 0 does
    let words = good(&mem, V3, "xts");
    let sm4 = words.clone().set(1, words.0[1] & !(15 << 20 | 7 << 13) | 3 << 20).set(14, 3 << 25);
    assert!(matches!(sm4.run_with(&Sec, &mem, V3, 0, Injection::None).1, Verdict::Done { ok: true, .. }));
}

#[test]
fn v2_counters_must_not_wrap_their_low_32_bits() {
    let mem = Space::default();
    for (low, blocks, wraps) in
        [(u32::MAX, 1, false), (u32::MAX, 2, true), (u32::MAX - 3, 4, false), (u32::MAX - 2, 4, true)]
    {
        let iv = mem.put(&[&seq(0, 12)[..], &low.to_be_bytes()].concat());
        let words = good(&mem, V2, "ctr").addr(20, iv).set(5, blocks * 16 - 5);
        if wraps {
            refused(&mem, &words, V2, "low 32 counter bits wrap", 2);
        } else {
            assert_eq!(run(&mem, &words, V2, Injection::None).0, 0x101);
        }
    }
}

#[test]
fn unreachable_addresses_and_broken_lists_give_a_status() {
    let mem = Space::default();
    for index in [4, 12, 19, 23] {
        refused(&mem, &good(&mem, V3, "cbc").addr(index, 0x2000), V3, "no access", 6);
    }
    for index in [20, 22, 24, 26] {
        refused(&mem, &good(&mem, V2, "cbc").addr(index, u64::MAX - 7), V2, "no access", 6);
    }
    assert_eq!(run(&mem, &good(&mem, V3, "ecb").addr(23, 1), V3, Injection::None).0, 0x101, "ECB has no IV");
    let (list, _) = mem.chain(&[0; 63], &[10], 3);
    let words = good(&mem, V3, "cbc");
    let words = words.clone().set(0, words.0[0] | 1 << 11);
    refused(&mem, &words.clone().addr(4, list), V3, "list ends 1 bytes before", 5);
    refused(&mem, &words.addr(4, list + 32), V3, "not 64-byte aligned", 5);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_descriptor_gets_a_status(noise in proptest::collection::vec(any::<u32>(), 32), keep: u32, v3: bool, qc_type in 0u16..2) {
        let mem = Space::default();
        let generation = if v3 { V3 } else { V2 };
        let base = good(&mem, generation, "ctr");
        let mixed = (0..32).map(|i| if keep >> i & 1 == 1 { noise[i] } else { base.0[i] }).collect();
        let (got, verdict) = Words(mixed).run(&Sec, &mem, generation, qc_type);
        prop_assert_eq!(got.0[28] & 1, 1);
        prop_assert_eq!(got.0[28] >> 16 & 0xFF == 0, matches!(verdict, Verdict::Done { ok: true, .. }));
    }
}
