//! One test per rule that a digest's descriptor can break.

use super::*;
use crate::engine::Rule;
use crate::engine::sec::tests::refused;

fn places(mem: &Space) -> Places {
    Places { source: mem.put(&seq(0, 256)), key: 0, state: 0, mac: mem.put(&[0; 64]) }
}

/// A plain hash, single, 64 bytes.
fn good(mem: &Space, generation: Generation, code: u32) -> Words {
    Ask::new(generation, code, 0, 4).words(64, places(mem))
}

/// CMAC, XCBC or GMAC of 64 bytes under a 16-byte key.
fn good_mac(mem: &Space, code: u32) -> Words {
    let state = if code == 0x22 { mem.put(&[5; 16]) } else { 0 };
    let at = Places { key: mem.put(&[7; 32]), state, ..places(mem) };
    Ask::new(V3, code, 16, 3).words(64, at)
}

#[test]
fn the_unspoilt_descriptors_are_good() {
    let mem = Space::default();
    for generation in [V2, V3] {
        assert_eq!(run(&mem, &good(&mem, generation, 1), generation, Injection::None).0, GOOD);
    }
    for code in 0x20..0x23 {
        assert_eq!(run(&mem, &good_mac(&mem, code), V3, Injection::None).0, GOOD);
    }
}

#[test]
fn unused_fields_are_zero() {
    let mem = Space::default();
    let v2 = [
        (0, 8, "seq"),
        (0, 9, "de"),
        (0, 18, "dst_addr_type"),
        (0, 21, "mac_addr_type"),
        (1, 12, "c_s"),
        (1, 19, "a_key_type"),
        (2, 5, "a_key_len"),
        (3, 0, "c_icv_len"),
        (3, 12, "c_mode"),
        (5, 0, "c_len"),
        (6, 16, "cipher_src_offset"),
        (12, 3, "long_a_data_len"),
        (14, 0, "a_ivin_addr"),
        (16, 0, "a_key_addr"),
        (20, 0, "c_ivin_addr"),
        (22, 0, "c_key_addr"),
        (26, 0, "data_dst_addr"),
    ];
    let v3 = [
        (0, 9, "de"),
        (0, 14, "dst_addr_type"),
        (0, 17, "mac_addr_type"),
        (1, 16, "c_mode"),
        (1, 30, "seq"),
        (6, 0, "a_key_addr"),
        (8, 0, "a_ivin_addr"),
        (12, 0, "c_key_addr"),
        (14, 9, "a_key_len"),
        (14, 21, "key_sel"),
        (16, 16, "cipher_src_offset"),
        (18, 0, "c_len"),
        (19, 0, "data_dst_addr"),
        (23, 0, "c_ivin_addr"),
        (25, 3, "long_a_data_len"),
        (27, 2, "stream_protocol"),
        (27, 5, "mac_sel"),
    ];
    for (generation, list) in [(V2, &v2[..]), (V3, &v3[..])] {
        for (index, bit, name) in list {
            let words = good(&mem, generation, 1);
            let words = words.clone().set(*index, words.0[*index] | 1 << bit);
            refused(&mem, &words, generation, name, Rule::Reserved);
        }
    }
    for code in [0x20, 0x21] {
        refused(&mem, &good_mac(&mem, code).set(8, 64), V3, "a_ivin_addr", Rule::Reserved);
    }
}

#[test]
fn unknown_digests_are_refused() {
    let mem = Space::default();
    for (generation, index, shift) in [(V2, 2, 11), (V3, 14, 15)] {
        let words = good(&mem, generation, 0);
        for code in (0x08..0x10).chain(0x18..0x20).chain([0x23, 0x24]).chain(0x27..0x40) {
            let words = words.clone().set(index, words.0[index] | code << shift);
            refused(&mem, &words, generation, "a_alg", Rule::Value);
        }
    }
}

#[test]
fn aes_macs_exist_on_v3_only_and_have_no_parts() {
    let mem = Space::default();
    let at = Places { key: mem.put(&[7; 32]), state: mem.put(&[5; 16]), ..places(&mem) };
    for (code, key) in [(0x20, 16), (0x21, 16), (0x22, 16), (0x22, 24), (0x22, 32)] {
        for sgl in [false, true] {
            let ask = Ask { sgl, ..Ask::new(V2, code, key, 3) };
            refused(&mem, &ask.words(64, at), V2, "not offered on V2", Rule::Unsupported);
            let ask = Ask { no_pad: true, ..ask };
            refused(&mem, &ask.words(64, at), V2, "not offered on V2", Rule::Unsupported);
            let ask = Ask { generation: V3, ..ask };
            refused(&mem, &ask.words(64, at), V3, "has no long mode", Rule::Unsupported);
            if code != 0x22 {
                let ask = Ask { no_pad: false, ai_gen: 1, ..ask };
                refused(&mem, &ask.words(64, at), V3, "has no long mode", Rule::Unsupported);
            }
        }
    }
}

#[test]
fn scenes_belong_to_their_requests() {
    let mem = Space::default();
    let words = good(&mem, V2, 1);
    for scene in [2, 3, 5, 7, 8] {
        refused(&mem, &words.clone().set(0, words.0[0] & !0x7800 | scene << 11), V2, "scene", Rule::Value);
    }
    let words = good(&mem, V3, 1);
    for scene in [2, 4, 5, 6, 8, 9] {
        refused(&mem, &words.clone().set(0, words.0[0] & !0x1E0 | scene << 5), V3, "scene", Rule::Value);
    }
    // long hashes need the stream layout, GMAC must not have it
    let first = Ask { no_pad: true, ..Ask::new(V3, 1, 0, 8) }.words(64, places(&mem));
    refused(&mem, &first.clone().set(0, 0x23), V3, "scene is 1 in a long hash", Rule::Value);
    let gmac = good_mac(&mem, 0x22);
    refused(&mem, &gmac.clone().set(0, 0xE3), V3, "scene 7", Rule::Value);
    refused(&mem, &gmac.clone().set(14, gmac.0[14] & !4), V3, "ai_gen 0", Rule::Value);
}

#[test]
fn state_sources_pads_and_counters_have_bounds() {
    let mem = Space::default();
    for (generation, index, shift) in [(V2, 1, 8), (V3, 14, 2)] {
        let words = good(&mem, generation, 1);
        for value in [2, 3] {
            let words = words.clone().set(index, words.0[index] | value << shift);
            refused(&mem, &words, generation, "ai_gen", Rule::Value);
        }
    }
    refused(&mem, &good(&mem, V2, 1).set(1, 2 << 10), V2, "a_pad is 2", Rule::Value);
    refused(&mem, &good(&mem, V3, 1).set(27, 3), V3, "a_pad is 3", Rule::Value);
    let words = good(&mem, V3, 1);
    for value in [1, 3] {
        refused(&mem, &words.clone().set(14, words.0[14] | value << 25), V3, "ctr_count_mode", Rule::Value);
    }
    let linux = words.clone().set(14, words.0[14] | 2 << 25);
    assert_eq!(run(&mem, &linux, V3, Injection::None).0, GOOD, "Linux sets 2 everywhere");
    refused(&mem, &words.clone().set(0, words.0[0] | 2 << 11), V3, "src_addr_type", Rule::Value);
}

#[test]
fn result_lengths_are_at_most_those_of_the_digest() {
    let mem = Space::default();
    for (digest, code) in plain_codes() {
        for generation in [V2, V3] {
            for words in [0, digest.output_len() as u32 / 4 + 1, 31] {
                let words = Ask::new(generation, code, 0, words).words(64, places(&mem));
                refused(&mem, &words, generation, "mac_len", Rule::Length);
            }
            // one word behind the state
            let ask =
                Ask { no_pad: true, ..Ask::new(generation, code, 0, digest.state_len() as u32 / 4 + 1) };
            refused(&mem, &ask.words(128, places(&mem)), generation, "mac_len", Rule::Length);
        }
    }
    // 0 stands for the whole state, but not with SM3, nor with HMAC
    for (code, key) in [(0x25, 0), (0x11, 32)] {
        let at = Places { key: if key > 0 { mem.put(&[1; 32]) } else { 0 }, ..places(&mem) };
        let ask = Ask { no_pad: true, ..Ask::new(V3, code, key, 0) };
        refused(&mem, &ask.words(128, at), V3, "mac_len", Rule::Length);
    }
    for words in [0, 5] {
        let mac = good_mac(&mem, 0x21);
        refused(&mem, &mac.clone().set(14, mac.0[14] & !0x1F0 | words << 4), V3, "mac_len", Rule::Length);
    }
}

#[test]
fn keys_have_the_sizes_of_their_function() {
    let mem = Space::default();
    let at = Places { key: mem.put(&[1; 256]), ..places(&mem) };
    for (name, code) in CODES.iter().filter(|(name, _)| name.starts_with("HMAC")) {
        let (digest, _) = Digest::by_code(u64::from(*code)).unwrap();
        for generation in [V2, V3] {
            let most = Ask::new(generation, *code, digest.block_len(), 4).words(64, at);
            assert_eq!(run(&mem, &most, generation, Injection::None).0, GOOD, "{name}");
            let more = Ask::new(generation, *code, digest.block_len() + 4, 4).words(64, at);
            refused(&mem, &more, generation, "a_key_len", Rule::Key);
        }
    }
    for (code, bad) in [(0x20, &[0, 12, 20, 24, 32][..]), (0x21, &[0, 24, 32]), (0x22, &[0, 12, 20, 28, 36])]
    {
        for len in bad {
            let at = Places { state: if code == 0x22 { mem.put(&[5; 16]) } else { 0 }, ..at };
            refused(&mem, &Ask::new(V3, code, *len, 3).words(64, at), V3, "a_key_len", Rule::Key);
        }
    }
}

#[test]
fn data_lengths_follow_the_part_of_the_message() {
    let mem = Space::default();
    let at = places(&mem);
    refused(&mem, &Ask::new(V2, 1, 0, 8).words(0, at), V2, "a_len is 0", Rule::Length);
    for generation in [V2, V3] {
        let single = Ask::new(generation, 1, 0, 8);
        refused(&mem, &single.words(0xFF_FE01, at), generation, "a_len", Rule::Length);
        for (code, block) in [(1, 64), (5, 128)] {
            let end = Ask { ai_gen: 1, ..Ask::new(generation, code, 0, 8) };
            let resumed = Places { state: at.mac, ..at };
            for (ai_gen, at) in [(0, at), (1, resumed)] {
                let part = Ask { no_pad: true, ai_gen, ..end };
                for len in [0, 1, 63, block - 1, block + 1, block + block / 2] {
                    refused(&mem, &part.words(len, at), generation, "a_len", Rule::Length);
                }
            }
            // total bits with 10 bytes in the end: none, fewer than 10 bytes, nothing before, no multiple of the block
            let block = block as u64;
            for total in [0, 72, 80, 8 * (10 + block) + 1, 8 * (11 + block), 8 * (10 + block / 2)] {
                let words = Ask { total, ..end }.words(10, resumed);
                refused(&mem, &words, generation, "long_a_data_len", Rule::Length);
            }
        }
    }
    for code in [0x20, 0x21] {
        refused(&mem, &good_mac(&mem, code).set(17, 0), V3, "a_len is 0", Rule::Length);
    }
    assert_eq!(run(&mem, &good_mac(&mem, 0x22).set(17, 0), V3, Injection::None).0, GOOD, "GMAC of nothing");
}

#[test]
fn long_hashes_are_flat() {
    let mem = Space::default();
    for generation in [V2, V3] {
        let (source, _) = mem.chain(&seq(0, 128), &[64], 2);
        let at = Places { source, ..places(&mem) };
        for ai_gen in [0, 1] {
            let ask = Ask { no_pad: true, ai_gen, sgl: true, ..Ask::new(generation, 1, 0, 8) };
            let at = Places { state: if ai_gen == 1 { at.mac } else { 0 }, ..at };
            refused(&mem, &ask.words(128, at), generation, "src_addr_type", Rule::Value);
        }
    }
}

#[test]
fn unreachable_addresses_and_broken_lists_give_a_status() {
    let mem = Space::default();
    let gmac = good_mac(&mem, 0x22);
    for index in [4, 6, 8, 21] {
        refused(&mem, &gmac.clone().addr(index, 0x2000), V3, "no access", Rule::Address);
    }
    let (list, _) = mem.chain(&[0; 63], &[10], 3);
    let words = good(&mem, V3, 1);
    let words = words.clone().set(0, words.0[0] | 1 << 11);
    refused(&mem, &words.addr(4, list), V3, "list ends 1 bytes before", Rule::List);
}
