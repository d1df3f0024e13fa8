//! The descriptors of the worked example (16.4), the catalogue (16.7), and what other drivers write.

use super::*;

fn example_places() -> Places {
    Places {
        source: 0x1_1000_0000,
        target: 0x1_2000_0000,
        key: 0x1_3000_0000,
        iv: 0x1_4000_0000,
        mac: 0x1_5000_0000,
        auth_iv: 0x1_6000_0000,
        auth_key: 0x1_7000_0000,
    }
}

fn block(rows: [[u32; 8]; 4]) -> Words {
    Words(rows.concat())
}

#[test]
fn worked_example_iii_on_v3_and_v2() {
    let ask = Ask::new(V3, Mode::Gcm, 16, 16);
    let expected = block([
        [0x223, 0x0026_0101, 0x123, 0, 0x1000_0000, 1, 0x7000_0000, 1],
        [0x6000_0000, 1, 0, 0, 0x3000_0000, 1, 0x0800_0000, 0],
        [0x0010_0000, 0x10, 0x20, 0x2000_0000, 1, 0x5000_0000, 1, 0x4000_0000],
        [1, 0, 0, 0, 0, 0, 0, 0],
    ]);
    assert_eq!(ask.words(16, 32, &example_places()), expected);
    let expected = block([
        [0xA12, 0, 0, 0x0002_6010, 0x10, 0x20, 0x0010_0000, 0],
        [0, 0, 0x123, 0, 0, 0, 0x6000_0000, 1],
        [0x7000_0000, 1, 0x5000_0000, 1, 0x4000_0000, 1, 0x3000_0000, 1],
        [0x1000_0000, 1, 0x2000_0000, 1, 0, 0, 0, 0],
    ]);
    assert_eq!(Ask { generation: V2, ..ask }.words(16, 32, &example_places()), expected);
    let input = Input {
        key: seq(0, 16),
        iv: seq(0xA0, 12),
        additional: seq(0x40, 16),
        text: seq(0x80, 32),
        ..Input::default()
    };
    let secret = hex("2a07ba38fa0cb58d02f13f8bca9f3eefc37fb19b1782ab38bd89eb00de101137");
    let tag = hex("5aed45d2d9cc8d0110df54b4d12be8bf");
    for generation in [V2, V3] {
        both_ways(&Ask { generation, ..ask }, &input, &secret, &tag);
    }
}

#[test]
fn control_words_are_those_of_the_catalogue() {
    let check = |ask: Ask, additional: usize, text: usize, expected: &[(usize, u32)]| {
        let words =
            ask.words(additional, text, &Places::default()).set(if ask.generation == V2 { 10 } else { 2 }, 0);
        assert_eq!(words, Words::of(32, expected), "{ask:?}");
    };
    let gcm = Ask::new(V2, Mode::Gcm, 16, 16);
    check(gcm, 16, 32, &[(0, 0xA12), (3, 0x26010), (4, 0x10), (5, 0x20), (6, 0x10_0000)]);
    check(
        Ask { generation: V3, encrypt: false, ..gcm },
        16,
        32,
        &[(0, 0x223), (1, 0x4026_0102), (14, 0x0800_0000), (16, 0x10_0000), (17, 0x10), (18, 0x20)],
    );
    let ccm = Ask::new(V2, Mode::Ccm, 16, 8);
    check(ccm, 16, 32, &[(0, 0xA12), (3, 0x25008), (4, 0x10), (5, 0x20), (6, 0x10_0000)]);
    check(
        Ask { generation: V3, ..ccm },
        16,
        32,
        &[(0, 0x223), (1, 0x0025_0081), (14, 0x0800_0000), (16, 0x10_0000), (17, 0x10), (18, 0x20)],
    );
    let etm = Ask::new(V2, Mode::Etm(0x11), 16, 32);
    let rest = [(2, 0x8908), (3, 0x21000), (4, 0x28), (5, 0x20), (6, 0x8_0000)];
    check(etm, 8, 32, &[&[(0, 0xA52)], &rest[..]].concat());
    check(Ask { encrypt: false, ..etm }, 8, 32, &[&[(0, 0xBA2)], &rest[..]].concat());
    let rest = [(0, 0x223), (16, 0x8_0000), (17, 0x28), (18, 0x20)];
    let etm = Ask { generation: V3, ..etm };
    check(etm, 8, 32, &[&[(1, 0x0021_0001), (14, 0x0808_9081)], &rest[..]].concat());
    check(
        Ask { encrypt: false, ..etm },
        8,
        32,
        &[&[(1, 0x4021_0002), (14, 0x0808_9082)], &rest[..]].concat(),
    );
}

#[test]
fn descriptors_in_the_manner_of_linux_work_in_place() {
    // Scene 0, de 0, the counter width of CTR in every descriptor; a_key_addr is c_key_addr.
    for generation in [V2, V3] {
        let mem = Space::default();
        let source = mem.put(&[seq(0x40, 16), seq(0x80, 32)].concat());
        let key = mem.put(&seq(0, 16));
        let (iv, mac) = (mem.put(&seq(0xA0, 12)), mem.put(&[0; 16]));
        let at = Places { source, target: source, key, iv, auth_key: key, auth_iv: 0, mac };
        let linux = |encrypt: bool| {
            let words = Ask { encrypt, ..Ask::new(generation, Mode::Gcm, 16, 16) }.words(16, 32, &at);
            match generation {
                V2 => words.clone().set(0, words.0[0] & !0xA00),
                _ => words.set(0, 3).set(14, 2 << 25),
            }
        };
        assert_eq!(linux(true).run(&Sec::STANDARD, &mem, generation, 0).0.0[28], GOOD);
        assert_eq!(
            mem.get(source, 48),
            [seq(0x40, 16), hex("2a07ba38fa0cb58d02f13f8bca9f3eefc37fb19b1782ab38bd89eb00de101137")].concat()
        );
        assert_eq!(mem.get(mac, 16), hex("5aed45d2d9cc8d0110df54b4d12be8bf"));
        assert_eq!(linux(false).run(&Sec::STANDARD, &mem, generation, 0).0.0[28], GOOD);
        assert_eq!(mem.get(source, 48), [seq(0x40, 16), seq(0x80, 32)].concat());
    }
}

#[test]
fn gcm_reads_the_nonce_and_the_key_from_the_cipher_fields_alone() {
    // a_ivin_addr 0 (OP-TEE), a_key_addr 0 (UADK without shared addresses): neither is read. 12 bytes at the nonce.
    let mem = Space::default();
    for generation in [V2, V3] {
        let at = Places {
            source: mem.put(&[0; 48]),
            target: mem.put(&[0; 48]),
            key: mem.put(&seq(0, 16)),
            iv: mem.put(&seq(0xA0, 12)),
            mac: mem.put(&[0; 16]),
            ..Places::default()
        };
        let words = Ask::new(generation, Mode::Gcm, 16, 16).words(16, 32, &at);
        assert_eq!(words.run(&Sec::STANDARD, &mem, generation, 0).0.0[28], GOOD);
    }
}

#[test]
fn additional_data_is_copied_to_the_destination_where_the_switch_says_so() {
    let copying = Sec { copies_additional: true, ..Sec::STANDARD };
    for mode in [Mode::Gcm, Mode::Ccm, Mode::Etm(0x11)] {
        let mem = Space::default();
        let (a1, b0) = ccm_blocks(&seq(0xA1, 13), 16, 32, 16);
        let at = Places {
            source: mem.put(&seq(7, 51)),
            target: mem.put(&[FILL; 51]),
            key: mem.put(&seq(0, 16)),
            iv: mem.put(&a1),
            auth_key: mem.put(&seq(0, 32)),
            auth_iv: mem.put(&b0),
            mac: mem.put(&[FILL; 16]),
        };
        let words = Ask { offset: 3, ..Ask::new(V3, mode, 16, 16) }.words(16, 32, &at);
        assert_eq!(words.run(&Sec::STANDARD, &mem, V3, 0).0.0[28], GOOD);
        let (plain, tag) = (mem.get(at.target, 51), mem.get(at.mac, 16));
        assert_eq!(plain[..19], [FILL; 19]);
        let (_, verdict) = words.run(&copying, &mem, V3, 0);
        assert!(matches!(verdict, Verdict::Done { ok: true, output: 64, .. }));
        assert_eq!(mem.get(at.target, 51), [vec![FILL; 3], seq(10, 16), plain[19..].to_vec()].concat());
        assert_eq!(mem.get(at.mac, 16), tag);
    }
}

#[test]
fn an_empty_hmac_key_is_not_read() {
    let mem = Space::default();
    for generation in [V2, V3] {
        let at = Places {
            source: mem.put(&[0; 40]),
            target: mem.put(&[0; 40]),
            key: mem.put(&seq(0, 16)),
            iv: mem.put(&seq(0xA0, 16)),
            mac: mem.put(&[0; 20]),
            ..Places::default()
        };
        let words = Ask { auth_key: 0, ..Ask::new(generation, Mode::Etm(0x10), 16, 20) }.words(8, 32, &at);
        assert_eq!(words.run(&Sec::STANDARD, &mem, generation, 0).0.0[28], GOOD);
        assert_ne!(mem.get(at.mac, 20), [0; 20]);
    }
}

#[test]
fn descriptions_and_classes_name_the_operation() {
    let describe = |ask: Ask| {
        let raw: Vec<u8> =
            ask.words(16, 32, &Places::default()).0.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(Sec::STANDARD.classify(&raw, ask.generation, 0), "aead");
        Sec::STANDARD.describe(&raw, ask.generation, 0).operation
    };
    for generation in [V2, V3] {
        assert_eq!(describe(Ask::new(generation, Mode::Gcm, 32, 16)), "AES-256-GCM encrypt");
        assert_eq!(
            describe(Ask { encrypt: false, ..Ask::new(generation, Mode::Ccm, 24, 16) }),
            "AES-192-CCM decrypt"
        );
        assert_eq!(
            describe(Ask::new(generation, Mode::Etm(0x15), 16, 64)),
            "AES-128-CBC-HMAC-SHA-512 encrypt"
        );
    }
    let sm4 = Ask { sm4: true, encrypt: false, ..Ask::new(V3, Mode::Etm(0x26), 16, 32) };
    assert_eq!(describe(sm4), "SM4-CBC-HMAC-SM3 decrypt");
}
