//! One test per rule that a descriptor can break.

use super::*;

fn good(mem: &Space, generation: Generation, mode: &'static str) -> Words {
    let at = Places {
        source: mem.put(&seq(0, 64)),
        target: mem.put(&[0; 64]),
        key: mem.put(&seq(0, 32)),
        iv: mem.put(&seq(0, 16)),
    };
    Ask::aes128(generation, mode).words(64, at)
}

#[test]
fn the_unspoilt_descriptor_is_good() {
    let mem = Space::default();
    for generation in [V2, V3] {
        assert_eq!(run(&mem, &good(&mem, generation, "cbc"), generation, Injection::None).0, 0x101);
    }
}

#[test]
fn reserved_and_unused_fields_are_checked() {
    let mem = Space::default();
    // (word, bit, part of the name)
    let v2 = [
        (0, 21, "mac_addr_type"),
        (0, 24, "reserved_dw0"),
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
        (1, 26, "reserved_byte7"),
        (3, 0, "c_icv_len"),
        (3, 20, "reserved_dw3"),
        (4, 24, "iv_offset_l"),
        (5, 24, "iv_offset_h"),
        (7, 0, "cs_ip_header_offset"),
        (7, 16, "cs_udp_header_offset"),
        (8, 0, "pass_word_len"),
        (9, 0, "salt"),
        (10, 16, "reserved_byte42"),
        (11, 0, "c_pad"),
        (12, 0, "long_a_data_len"),
        (13, 0, "long_a_data_len"),
        (14, 0, "a_ivin_addr"),
        (16, 0, "a_key_addr"),
        (18, 0, "mac_addr"),
        (0, 8, "seq"),
        (1, 8, "ai_gen"),
        (1, 10, "a_pad"),
        (1, 12, "c_s"),
        (1, 14, "reserved_byte5"),
        (2, 0, "mac_len"),
        (2, 5, "a_key_len"),
        (2, 11, "a_alg"),
        (2, 17, "reserved_dw2"),
        (4, 0, "a_len"),
        (6, 0, "auth_src_offset"),
        (8, 16, "dk_len"),
        (11, 18, "reserved_dw11"),
    ];
    let v3 = [
        (0, 17, "mac_addr_type"),
        (0, 20, "reserved_dw0"),
        (1, 2, "ci_gen"),
        (1, 4, "c_icv_len"),
        (1, 24, "nonce_len"),
        (1, 28, "huk"),
        (1, 29, "cal_iv_addr_en"),
        (1, 31, "reserved_byte7"),
        (1, 30, "seq"),
        (6, 0, "a_key_addr"),
        (8, 0, "a_ivin_addr"),
        (10, 0, "reserved_dw10"),
        (11, 0, "reserved_dw10"),
        (14, 2, "ai_gen"),
        (14, 4, "mac_len"),
        (14, 9, "a_key_len"),
        (14, 15, "a_alg"),
        (17, 0, "a_len"),
        (16, 0, "auth_src_offset"),
        (21, 0, "mac_addr"),
        (14, 21, "key_sel"),
        (14, 28, "key_wrap_num"),
        (14, 31, "update_key"),
        (15, 0, "salt"),
        (17, 24, "auth_key_offset"),
        (18, 24, "auth_ivin_offset"),
        (25, 0, "long_a_data_len"),
        (26, 0, "long_a_data_len"),
        (27, 0, "a_pad"),
        (27, 2, "stream_protocol"),
        (27, 5, "mac_sel"),
        (27, 6, "reserved_byte108"),
        (27, 8, "plaintext_type"),
        (27, 16, "pad_len_1p3"),
    ];
    for (generation, list) in [(V2, &v2[..]), (V3, &v3[..])] {
        for (index, bit, name) in list {
            let words = good(&mem, generation, "cbc");
            refused(
                &mem,
                &words.clone().set(*index, words.0[*index] | 1 << bit),
                generation,
                name,
                Rule::Reserved,
            );
        }
    }
}

#[test]
fn unknown_algorithms_and_modes_are_refused() {
    let mem = Space::default();
    for (generation, index, alg_at, mode_at) in [(V2, 3, 16, 12), (V3, 1, 20, 16)] {
        let words = good(&mem, generation, "ecb");
        let with = |at: u32, value: u32| words.clone().set(index, words.0[index] & !(15 << at) | value << at);
        for alg in 4..16 {
            refused(&mem, &with(alg_at, alg), generation, "c_alg", Rule::Value);
        }
        for mode in [8, 10, 15] {
            refused(&mem, &with(mode_at, mode), generation, "c_mode", Rule::Value);
        }
    }
    for mode in ["cfb", "ofb", "cs1"] {
        refused(&mem, &good(&mem, V2, mode), V2, "not offered on V2", Rule::Unsupported);
    }
}

#[test]
fn scene_de_and_address_types_have_bounds() {
    let mem = Space::default();
    let words = good(&mem, V3, "cbc");
    refused(&mem, &words.clone().set(0, words.0[0] | 7 << 5), V3, "scene is 7", Rule::Value);
    refused(&mem, &words.clone().set(0, words.0[0] | 3 << 9), V3, "de is 3", Rule::Value);
    refused(&mem, &words.clone().set(0, words.0[0] | 2 << 11), V3, "src_addr_type", Rule::Value);
    refused(&mem, &words.clone().set(0, words.0[0] | 2 << 14), V3, "dst_addr_type", Rule::Value);
    let words = good(&mem, V2, "cbc");
    refused(&mem, &words.clone().set(0, words.0[0] | 4 << 15), V2, "src_addr_type", Rule::Value);
    refused(&mem, &words.clone().set(0, words.0[0] | 2 << 11), V2, "scene is 3", Rule::Value);
}

#[test]
fn key_length_codes_are_those_of_the_algorithm() {
    let mem = Space::default();
    let words = good(&mem, V3, "cbc");
    refused(&mem, &words.clone().set(1, words.0[1] | 3 << 13), V3, "c_key_len 3", Rule::Key);
    refused(
        &mem,
        &words.clone().set(1, words.0[1] | 1 << 20 | 1 << 13),
        V3,
        "c_key_len 1 with Sm4",
        Rule::Key,
    );
    let words = good(&mem, V3, "xts");
    refused(&mem, &words.clone().set(1, words.0[1] | 1 << 13), V3, "192 bits", Rule::Key);
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
            refused(&mem, &good(&mem, V3, mode).set(18, *len), V3, "c_len", Rule::Length);
            if Ask::aes128(V2, mode).offered() {
                refused(&mem, &good(&mem, V2, mode).set(5, *len), V2, "c_len", Rule::Length);
            }
        }
    }
}

#[test]
fn stealing_variants_and_counter_selectors_have_their_modes() {
    let mem = Space::default();
    let words = good(&mem, V3, "cbc");
    refused(&mem, &words.clone().set(1, words.0[1] | 1 << 10), V3, "c_width 1 without", Rule::Value);
    let words = good(&mem, V3, "cs1");
    refused(&mem, &words.clone().set(1, words.0[1] & !(7 << 10)), V3, "c_width 0 with", Rule::Value);
    for (mode, counter) in [("ctr", 1), ("ctr", 3), ("cbc", 1), ("xts", 1), ("xts", 3)] {
        refused(&mem, &good(&mem, V3, mode).set(14, counter << 25), V3, "ctr_count_mode", Rule::Value);
    }
    // SM4-XTS: 3 selects IEEE, as 0 does
    let words = good(&mem, V3, "xts");
    let sm4 = words.clone().set(1, words.0[1] & !(15 << 20 | 7 << 13) | 3 << 20).set(14, 3 << 25);
    assert_eq!(run(&mem, &sm4, V3, Injection::None).0, 0x101);
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
            refused(&mem, &words, V2, "low 32 counter bits wrap", Rule::Unsupported);
        } else {
            assert_eq!(run(&mem, &words, V2, Injection::None).0, 0x101);
        }
    }
}

#[test]
fn unreachable_addresses_and_broken_lists_give_a_status() {
    let mem = Space::default();
    for index in [4, 12, 19, 23] {
        refused(&mem, &good(&mem, V3, "cbc").addr(index, 0x2000), V3, "no access", Rule::Address);
    }
    for index in [20, 22, 24, 26] {
        refused(&mem, &good(&mem, V2, "cbc").addr(index, u64::MAX - 7), V2, "no access", Rule::Address);
    }
    assert_eq!(run(&mem, &good(&mem, V3, "ecb").addr(23, 1), V3, Injection::None).0, 0x101, "ECB has no IV");
    let (list, _) = mem.chain(&[0; 63], &[10], 3);
    let words = good(&mem, V3, "cbc");
    let words = words.clone().set(0, words.0[0] | 1 << 11);
    refused(&mem, &words.clone().addr(4, list), V3, "list ends 1 bytes before", Rule::List);
    refused(&mem, &words.addr(4, list + 32), V3, "not 64-byte aligned", Rule::List);
}
