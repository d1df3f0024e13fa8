//! One test per rule that an authenticated request can break.

use super::*;
use crate::engine::Generation::V5;
use crate::engine::sec::refusal::code;
use proptest::prelude::*;

/// Word, lowest bit and width.
type Place = (usize, u32, u32);

/// Places of a field: type 2, type 3.
const FIELDS: &[(&str, Place, Place)] = &[
    ("scene", (0, 11, 4), (0, 5, 4)),
    ("cipher", (0, 4, 2), (1, 0, 2)),
    ("auth", (0, 6, 2), (14, 0, 2)),
    ("seq", (0, 8, 1), (1, 30, 1)),
    ("de", (0, 9, 2), (0, 9, 2)),
    ("src_addr_type", (0, 15, 3), (0, 11, 3)),
    ("dst_addr_type", (0, 18, 3), (0, 14, 3)),
    ("ai_gen", (1, 8, 2), (14, 2, 2)),
    ("a_pad", (1, 10, 2), (27, 0, 2)),
    ("mac_len", (2, 0, 5), (14, 4, 5)),
    ("a_key_len", (2, 5, 6), (14, 9, 6)),
    ("a_alg", (2, 11, 6), (14, 15, 6)),
    ("c_icv_len", (3, 0, 6), (1, 4, 6)),
    ("c_width", (3, 6, 3), (1, 10, 3)),
    ("c_key_len", (3, 9, 3), (1, 13, 3)),
    ("c_mode", (3, 12, 4), (1, 16, 4)),
    ("c_alg", (3, 16, 4), (1, 20, 4)),
    ("a_len", (4, 0, 24), (17, 0, 24)),
    ("c_len", (5, 0, 24), (18, 0, 24)),
    ("auth_src_offset", (6, 0, 16), (16, 0, 16)),
    ("cipher_src_offset", (6, 16, 16), (16, 16, 16)),
];

pub(super) fn put(words: &Words, generation: Generation, name: &str, value: u32) -> Words {
    let (_, v2, v3) = FIELDS.iter().find(|(known, ..)| *known == name).expect("a field of the table");
    let (word, low, width) = if generation == V2 { *v2 } else { *v3 };
    let mask = ((1u64 << width) - 1) as u32;
    assert!(value <= mask, "{name}");
    words.clone().set(word, words.0[word] & !(mask << low) | value << low)
}

/// A good request, in memory.
struct Good {
    mem: Space,
    generation: Generation,
    words: Words,
    at: Places,
}

/// 16 bytes of additional data, 32 of text.
fn good(generation: Generation, mode: Mode) -> Good {
    let mem = Space::default();
    let tag = if mode == Mode::Ccm { 8 } else { 16 };
    let (a1, b0) = ccm_blocks(&seq(0xA1, 13), 16, 32, 8);
    let at = Places {
        source: mem.put(&seq(0, 48)),
        target: mem.put(&[FILL; 48]),
        key: mem.put(&seq(0, 16)),
        iv: mem.put(&a1),
        auth_key: mem.put(&seq(0, 32)),
        auth_iv: mem.put(&b0),
        mac: mem.put(&[FILL; 16]),
    };
    let words = Ask::new(generation, mode, 16, tag).words(16, 32, &at);
    Good { mem, generation, words, at }
}

/// Refused by `rule`, with a reason that names `word`, and without any output.
fn refused(good: &Good, words: &Words, rule: Rule, word: &str) {
    let (got, verdict) = words.run(&Sec::STANDARD, &good.mem, good.generation, 0);
    match verdict {
        Verdict::Refused { rule: found, reason } => {
            assert_eq!(found, rule, "{word}: {reason}");
            assert!(reason.contains(word), "{reason:?} does not name {word:?}");
        }
        other => panic!("{word}: {other:?}"),
    }
    assert_eq!(got.0[28], GOOD | u32::from(code(rule)) << 16, "{word}");
    assert_eq!(good.mem.get(good.at.target, 48), [FILL; 48], "{word}");
    assert_eq!(good.mem.get(good.at.mac, 16), [FILL; 16], "{word}");
}

/// Each field with each value, in the given generations.
fn each(generations: &[Generation], mode: Mode, cases: &[(&str, &[u32], Rule)]) {
    for generation in generations {
        let good = good(*generation, mode);
        for (name, values, rule) in cases {
            for value in *values {
                refused(&good, &put(&good.words, *generation, name, *value), *rule, name);
            }
        }
    }
}

const BOTH: &[Generation] = &[V2, V3];

#[test]
fn the_unspoilt_descriptors_are_good() {
    for generation in BOTH {
        for mode in [Mode::Gcm, Mode::Ccm, Mode::Etm(0x11)] {
            let good = good(*generation, mode);
            assert_eq!(good.words.run(&Sec::STANDARD, &good.mem, *generation, 0).0.0[28], GOOD);
        }
    }
}

#[test]
fn fields_of_gcm_and_ccm_have_their_values() {
    for mode in [Mode::Gcm, Mode::Ccm] {
        each(
            BOTH,
            mode,
            &[
                ("scene", &[2, 3, 9, 15], Rule::Value),
                ("seq", &[1], Rule::Value),
                ("de", &[2, 3], Rule::Value),
                ("src_addr_type", &[2, 7], Rule::Value),
                ("dst_addr_type", &[2, 7], Rule::Value),
                ("c_alg", &[0, 1], Rule::Unsupported),
                ("c_alg", &[4, 15], Rule::Value),
                ("c_key_len", &[3, 7], Rule::Key),
                ("c_width", &[1], Rule::Reserved),
                ("ai_gen", &[1], Rule::Reserved),
                ("a_pad", &[1], Rule::Reserved),
                ("mac_len", &[4], Rule::Reserved),
                ("a_key_len", &[4], Rule::Reserved),
                ("a_alg", &[0x10], Rule::Reserved),
                ("c_len", &[0xFF_FDF1, 0xFF_FFFF], Rule::Length),
                ("cipher_src_offset", &[15, 0], Rule::Value),
                ("auth_src_offset", &[1, 47], Rule::Value),
            ],
        );
        each(&[V2], mode, &[("c_alg", &[3], Rule::Unsupported), ("c_len", &[0], Rule::Length)]);
    }
    each(
        BOTH,
        Mode::Gcm,
        &[("c_icv_len", &[0, 4, 7, 17, 63], Rule::Length), ("a_len", &[0x1_0000, 0xFF_FFFF], Rule::Length)],
    );
    each(
        BOTH,
        Mode::Ccm,
        &[("c_icv_len", &[0, 2, 5, 15, 18, 63], Rule::Length), ("a_len", &[0xFF00, 0xFF_FFFF], Rule::Length)],
    );
    let good = good(V3, Mode::Gcm);
    let sm4 = put(&good.words, V3, "c_alg", 3);
    refused(&good, &put(&sm4, V3, "c_key_len", 1), Rule::Key, "c_key_len 1 with Sm4");
    for counter in [1, 3] {
        let words = good.words.clone().set(14, counter << 25);
        refused(&good, &words, Rule::Value, "ctr_count_mode");
    }
    let empty = put(&put(&good.words, V3, "c_len", 0), V3, "a_len", 0);
    refused(&good, &empty, Rule::Length, "c_len and a_len are 0");
}

#[test]
fn the_stream_layout_belongs_to_the_stream_scene() {
    let good = good(V3, Mode::Gcm);
    for (word, bit, name) in [(25, 0, "long_a_data_len"), (26, 5, "long_a_data_len"), (27, 5, "mac_sel")] {
        refused(&good, &good.words.clone().set(word, 1 << bit), Rule::Reserved, name);
    }
}

#[test]
fn fields_of_cbc_with_hmac_have_their_values() {
    each(
        BOTH,
        Mode::Etm(0x11),
        &[
            ("scene", &[3], Rule::Value),
            ("seq", &[1], Rule::Value),
            ("auth", &[2], Rule::Value),
            ("c_mode", &[0, 4, 5, 6, 7], Rule::Unsupported),
            ("c_alg", &[0, 1], Rule::Unsupported),
            ("c_key_len", &[4], Rule::Key),
            ("a_alg", &[0, 1, 0x12, 0x13, 0x14, 0x16, 0x20, 0x22, 0x25, 0x3F], Rule::Unsupported),
            ("c_icv_len", &[16], Rule::Reserved),
            ("c_width", &[1], Rule::Reserved),
            ("ai_gen", &[1], Rule::Reserved),
            ("mac_len", &[0, 9, 31], Rule::Length),
            ("a_key_len", &[17, 63], Rule::Key),
            ("c_len", &[0, 8, 31, 48], Rule::Length),
            ("a_len", &[0, 32, 47, 49, 0xFF_FFFF], Rule::Length),
            ("cipher_src_offset", &[0, 15, 17], Rule::Length),
            ("auth_src_offset", &[1, 17], Rule::Length),
        ],
    );
    each(
        &[V2],
        Mode::Etm(0x11),
        &[("a_alg", &[0x26], Rule::Unsupported), ("c_alg", &[3], Rule::Unsupported)],
    );
    each(BOTH, Mode::Etm(0x10), &[("mac_len", &[6], Rule::Length)]);
    each(BOTH, Mode::Etm(0x15), &[("mac_len", &[17], Rule::Length), ("a_key_len", &[33], Rule::Key)]);
}

#[test]
fn ccm_blocks_must_describe_the_message() {
    for generation in BOTH {
        let good = good(*generation, Mode::Ccm);
        let (b0, a1) = (good.mem.get(good.at.auth_iv, 16), good.mem.get(good.at.iv, 16));
        let with = |addr: u64, bytes: &[u8], index: usize, xor: u8, word: &str| {
            let mut bytes = bytes.to_vec();
            bytes[index] ^= xor;
            crate::engine::Memory::write(&good.mem, addr, &bytes).unwrap();
            refused(&good, &good.words, Rule::Value, word);
            bytes[index] ^= xor;
            crate::engine::Memory::write(&good.mem, addr, &bytes).unwrap();
        };
        with(good.at.auth_iv, &b0, 0, 0x08, "B0 flags");
        with(good.at.auth_iv, &b0, 0, 0x40, "B0 flags");
        with(good.at.auth_iv, &b0, 0, 0x80, "B0 flags");
        with(good.at.auth_iv, &b0, 0, 0x03, "B0 flags");
        with(good.at.auth_iv, &b0, 15, 0x01, "B0 length");
        with(good.at.auth_iv, &b0, 14, 0x01, "B0 length");
        with(good.at.auth_iv, &b0, 7, 0x01, "nonce");
        with(good.at.iv, &a1, 7, 0x01, "nonce");
        with(good.at.iv, &a1, 15, 0x01, "A1 counter");
        with(good.at.iv, &a1, 14, 0x80, "A1 counter");
        assert_eq!(good.words.run(&Sec::STANDARD, &good.mem, *generation, 0).0.0[28], GOOD);
    }
}

/// What UADK leaves to its caller: the upper bytes of a length field of more than two.
#[test]
fn upper_bytes_of_the_ccm_length_count_where_the_text_needs_them() {
    let verdict = |text: usize, upper: u8| {
        let (mut iv, mut auth_iv) = ccm_blocks(&seq(0xA1, 12), 16, text, 8);
        iv[13] = upper;
        auth_iv[13] = if upper == 0 { (text >> 16) as u8 } else { upper };
        let (key, additional) = (seq(0, 16), seq(0, 16));
        let input = Input { key, iv, auth_iv, additional, text: vec![5; text], ..Input::default() };
        run(&Ask::new(V3, Mode::Ccm, 16, 8), &input).verdict
    };
    for (text, upper, good) in
        [(0xFFFF, 0, true), (0xFFFF, 0xAA, true), (0x1_0000, 0, true), (0x1_0000, 0xAA, false)]
    {
        match verdict(text, upper) {
            Verdict::Done { ok, .. } => assert!(ok && good, "{text:#x} {upper:#x}"),
            Verdict::Refused { rule, reason } => {
                assert!(!good && rule == Rule::Value && reason.contains("B0 length is 0xaa0000"), "{reason}");
            }
        }
    }
}

#[test]
fn addresses_must_be_reachable_and_lists_long_enough() {
    for generation in BOTH {
        for (mode, also) in [(Mode::Gcm, None), (Mode::Ccm, Some((14, 8))), (Mode::Etm(0x11), Some((16, 6)))]
        {
            // source, destination, key, IV, tag; then what only the mode reads
            let places = [(24, 4), (26, 19), (22, 12), (20, 23), (18, 21)];
            for (v2, v3) in places.into_iter().chain(also) {
                let mut good = good(*generation, mode);
                let words = good.words.clone().addr(if *generation == V2 { v2 } else { v3 }, 0x2000);
                if v3 == 21 {
                    // The text is written first: a tag that cannot be written leaves it there.
                    good.at.target = good.mem.put(&[FILL; 48]);
                }
                refused(&good, &words, Rule::Address, "no access to");
            }
        }
        let good = good(*generation, Mode::Gcm);
        let (list, _) = good.mem.chain(&[0; 47], &[20], 2);
        let words = put(&good.words, *generation, "src_addr_type", 1);
        let words = words.addr(if *generation == V2 { 24 } else { 4 }, list);
        refused(&good, &words, Rule::List, "list ends 1 bytes before");
    }
}

#[test]
fn parts_of_streams_have_their_values() {
    for generation in [V2, V3] {
        let mut good = good(generation, Mode::Gcm);
        let v2 = generation == V2;
        // FIRST: auth 1 with the digest of GMAC, a_pad 1, mac_len 4, the key's words.
        let first = [
            ("cipher", 0),
            ("auth", 1),
            ("scene", 7),
            ("a_alg", 0x22),
            ("mac_len", 4),
            ("a_key_len", 4),
            ("a_pad", 1),
            ("c_len", 0),
        ];
        let first = first
            .iter()
            .fold(good.words.clone(), |words, (name, value)| put(&words, generation, name, *value));
        let spoilt = |good: &Good, base: &Words, name: &str, value: u32, rule: Rule, word: &str| {
            refused(good, &put(base, generation, name, value), rule, word);
        };
        spoilt(&good, &first, "a_len", 0, Rule::Length, "a_len");
        spoilt(&good, &first, "a_len", 0x1_0000, Rule::Length, "a_len");
        spoilt(&good, &first, "c_len", 16, Rule::Reserved, "c_len");
        spoilt(&good, &first, "mac_len", 3, Rule::Value, "mac_len");
        spoilt(&good, &first, "a_key_len", 5, Rule::Key, "a_key_len");
        spoilt(&good, &first, "a_key_len", 6, Rule::Value, "c_key_len");
        spoilt(&good, &first, "ai_gen", 1, Rule::Reserved, "ai_gen");
        spoilt(&good, &first, "src_addr_type", 1, Rule::Unsupported, "src_addr_type");
        spoilt(&good, &first, "dst_addr_type", 1, Rule::Unsupported, "dst_addr_type");
        if v2 {
            spoilt(&good, &first, "a_alg", 0x31, Rule::Unsupported, "a_alg");
        } else {
            let key_24 = put(&first, generation, "a_key_len", 6);
            let sm4 = put(&put(&key_24, generation, "c_mode", 0), generation, "a_alg", 0x31);
            refused(&good, &sm4, Rule::Key, "a_key_len");
        }
        // MIDDLE
        good.at.mac = good.mem.put(&[FILL; 16]);
        let middle = [
            ("scene", 7),
            ("a_pad", 1),
            ("ai_gen", 1),
            ("a_key_len", 4),
            ("a_len", 0),
            ("cipher_src_offset", 0),
        ];
        let middle = middle
            .iter()
            .fold(good.words.clone(), |words, (name, value)| put(&words, generation, name, *value));
        for (name, values, rule) in [
            ("c_len", &[0, 8, 33, 0xFF_FFF0][..], Rule::Length),
            ("c_icv_len", &[7, 17], Rule::Length),
            ("a_key_len", &[0, 5, 6], Rule::Key),
            ("a_len", &[16], Rule::Reserved),
            ("cipher_src_offset", &[16], Rule::Reserved),
            ("auth_src_offset", &[16], Rule::Reserved),
            ("mac_len", &[4], Rule::Reserved),
            ("a_alg", &[0x22], Rule::Reserved),
            ("ai_gen", &[0, 2], Rule::Value),
            ("a_pad", &[2, 3], Rule::Value),
            ("a_pad", &[0], Rule::Unsupported),
            ("seq", &[1], Rule::Value),
            ("auth", &[1, 2], Rule::Value),
            ("c_mode", &[5], Rule::Value),
            ("src_addr_type", &[1], Rule::Unsupported),
            ("dst_addr_type", &[1], Rule::Unsupported),
        ] {
            for value in values {
                spoilt(&good, &middle, name, *value, rule, name);
            }
        }
    }
}

#[test]
fn the_end_of_a_stream_must_follow_from_the_parts_before() {
    let mut good = good(V5, Mode::Gcm);
    let nonce = seq(0xA0, 12);
    let state = [&nonce[..], &[0, 0, 0, 1], &[0; 16], &[7; 16], &[0; 16]].concat();
    let counter = |low: u32| [&nonce[..], &low.to_be_bytes()].concat();
    let end = [
        ("scene", 7),
        ("ai_gen", 1),
        ("a_key_len", 4),
        ("a_len", 0),
        ("cipher_src_offset", 0),
        ("c_len", 10),
    ];
    let end = end.iter().fold(good.words.clone(), |words, (name, value)| put(&words, V5, name, *value));
    // 16 bytes of additional data; 64 bytes of text before, 10 now.
    let end = end.addr(8, good.mem.put(&state)).addr(23, good.mem.put(&counter(5))).set(27, 0x20);
    let lengths = |additional: u64, text: u64| end.clone().addr(25, additional | text << 24);
    for (additional, text) in [(0, 74), (16, 0), (16, 9), (16, 73), (16, 75)] {
        refused(&good, &lengths(additional, text), Rule::Length, "long_a_data_len");
    }
    let words = lengths(16, 74);
    refused(&good, &words.clone().addr(23, good.mem.put(&counter(4))), Rule::Stream, "counter last used");
    refused(&good, &lengths(16, 90), Rule::Stream, "counter last used");
    for at in [0, 15, 16, 31, 48, 63] {
        let mut state = state.clone();
        state[at] ^= 0x80;
        let word = if at == 0 { "counter last used" } else { "J0, zeros, state, zeros" };
        refused(&good, &words.clone().addr(8, good.mem.put(&state)), Rule::Stream, word);
    }
    assert_eq!(words.run(&Sec::STANDARD, &good.mem, V5, 0).0.0[28], GOOD);
    good.generation = V3;
    good.at.target = good.mem.put(&[FILL; 48]);
    good.at.mac = good.mem.put(&[FILL; 16]);
    refused(&good, &words, Rule::Unsupported, "does not end a GCM stream");
}

#[test]
fn injections_show_as_asked() {
    let ask = Ask::new(V3, Mode::Gcm, 16, 16);
    let mut input = Input {
        key: seq(0, 16),
        iv: seq(1, 12),
        additional: seq(2, 20),
        text: seq(3, 100),
        ..Input::default()
    };
    for encrypt in [true, false] {
        let ask = Ask { encrypt, ..ask };
        let (text, tag) =
            if encrypt { seal(&ask, &input) } else { (seal(&ask, &input).0, input.tag.clone()) };
        let total = if encrypt { 116 } else { 100 };
        let untouched = if encrypt { vec![FILL; 16] } else { tag.clone() };
        let out = run_with(&ask, &input, Injection::Status(0x0B));
        let failed =
            |code: u32, output| Verdict::Done { bytes: 0, output, status: GOOD << 16 | code, ok: false };
        assert_eq!((out.dw28, out.verdict), (0xB_0181, failed(0x0B, 0)));
        assert_eq!((out.text, out.tag), (vec![FILL; 100], untouched.clone()));
        // A status above 0xFF is the whole word: a wrong tag, done 0, the flag of a cipher, an error_type beside a flag.
        for word in [0x185u32, 0x180, 0x101, 0x0C_0181] {
            let out = run_with(&ask, &input, Injection::Status(word));
            let status = word.rotate_left(16);
            assert_eq!(out.verdict, Verdict::Done { bytes: 0, output: 0, status, ok: false });
            assert_eq!((out.dw28, out.text), (word, vec![FILL; 100]));
        }
        let out = run_with(&ask, &input, Injection::Partial);
        let half = total as usize / 2;
        assert_eq!((out.dw28, out.verdict), (0x8_0181, failed(8, total / 2)));
        assert_eq!((out.text, out.tag), ([&text[..half], &vec![FILL; 100 - half]].concat(), untouched));
        let out = run_with(&ask, &input, Injection::Corrupt);
        let good = Verdict::Done { bytes: 100, output: total, status: GOOD << 16, ok: true };
        assert_eq!((out.dw28, out.verdict, &out.tag), (GOOD, good, &tag));
        assert_eq!(out.text.iter().zip(&text).filter(|(a, b)| a != b).count(), 1);
        (input.text, input.tag) = (text, tag);
    }
}

#[test]
fn a_stale_tag_is_in_the_descriptor_alone() {
    for (generation, word) in [(V2, 10), (V3, 2)] {
        let good = good(generation, Mode::Gcm);
        let (got, verdict) =
            good.words.run_with(&Sec::STANDARD, &good.mem, generation, 0, Injection::StaleTag);
        assert!(matches!(verdict, Verdict::Done { ok: true, .. }));
        assert_ne!(got.0[word], good.words.0[word]);
        assert_eq!(got.0[28], GOOD);
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(3000))]

    /// Noise in any word of a request or a part of a stream: never a panic, and a status that fits the verdict.
    #[test]
    fn any_spoilt_descriptor_gets_a_status(
        generation in proptest::sample::select(vec![V2, V3, V5]), mode in proptest::sample::select(vec![Mode::Gcm, Mode::Ccm, Mode::Etm(0x11)]),
        part in 0usize..4, noise in proptest::collection::vec((0usize..28, any::<u32>(), any::<u32>()), 0..4),
    ) {
        let good = good(generation, mode);
        let set = |fields: &[(&str, u32)]| {
            fields.iter().fold(good.words.clone(), |words, (name, value)| put(&words, generation, name, *value))
        };
        let mut words = match part {
            0 => good.words.clone(),
            1 => set(&[("cipher", 0), ("auth", 1), ("scene", 7), ("a_alg", 0x22), ("mac_len", 4), ("a_key_len", 4), ("a_pad", 1), ("c_len", 0)]),
            2 => set(&[("scene", 7), ("a_pad", 1), ("ai_gen", 1), ("a_key_len", 4), ("a_len", 0), ("cipher_src_offset", 0)]),
            _ => set(&[("scene", 7), ("a_pad", 0), ("ai_gen", 1), ("a_key_len", 4), ("a_len", 0), ("cipher_src_offset", 0)])
                .addr(25, 16 | 32 << 24),
        };
        for (index, bits, mask) in noise {
            // Sparse bits: most of the descriptor stays good.
            words = words.clone().set(index, words.0[index] ^ bits & mask & mask.rotate_left(7) & bits.rotate_left(3));
        }
        let (got, verdict) = words.run(&Sec::STANDARD, &good.mem, generation, 0);
        prop_assert_eq!(&got.0[..28], &words.0[..28]);
        prop_assert_eq!(got.0[28] & 1, 1);
        prop_assert_eq!(got.0[28] >> 16 & 0xFF != 0, matches!(verdict, Verdict::Refused { .. }));
    }
}
