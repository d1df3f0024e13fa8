use super::digest::Digest;
use crate::engine::Generation::{self, V2, V3};
use crate::engine::sec::tests::run;
use crate::engine::testing::{Space, Words, hex, seq};
use crate::engine::{Injection, Verdict};
use proptest::prelude::*;

mod long;
mod refusals;
mod suites;

/// done and flag 1, "authentication unit finished".
const GOOD: u32 = 0x81;

/// A descriptor in UADK's manner: scene 1 on V2, 7 on V3 (GMAC 1).
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) generation: Generation,
    pub(super) a_alg: u32,
    /// Bytes.
    pub(super) key_len: usize,
    /// Words.
    pub(super) mac_len: u32,
    pub(super) sgl: bool,
    pub(super) no_pad: bool,
    pub(super) ai_gen: u32,
    /// long_a_data_len, bits.
    pub(super) total: u64,
}

/// Addresses of one request.
#[derive(Clone, Copy, Default)]
pub(super) struct Places {
    pub(super) source: u64,
    pub(super) key: u64,
    pub(super) state: u64,
    pub(super) mac: u64,
}

impl Ask {
    pub(super) fn new(generation: Generation, a_alg: u32, key_len: usize, mac_len: u32) -> Self {
        let ai_gen = u32::from(a_alg == 0x22);
        Self { generation, a_alg, key_len, mac_len, sgl: false, no_pad: false, ai_gen, total: 0 }
    }

    pub(super) fn words(&self, len: usize, at: Places) -> Words {
        let control = |mac_len_at: u32, key_at: u32, alg_at: u32| {
            self.mac_len << mac_len_at | (self.key_len as u32 / 4) << key_at | self.a_alg << alg_at
        };
        let sgl = u32::from(self.sgl);
        let no_pad = u32::from(self.no_pad);
        let words = Words::of(32, &[]);
        match self.generation {
            V2 => words
                .set(0, 0x842 | sgl << 15)
                .set(1, self.ai_gen << 8 | no_pad << 10)
                .set(2, control(0, 5, 11))
                .set(4, len as u32)
                .set(10, 0x123)
                .addr(12, self.total)
                .addr(14, at.state)
                .addr(16, at.key)
                .addr(18, at.mac)
                .addr(24, at.source),
            _ => words
                .set(0, if self.a_alg == 0x22 { 0x23 } else { 0xE3 } | sgl << 11)
                .set(2, 0x123)
                .addr(4, at.source)
                .addr(6, at.key)
                .addr(8, at.state)
                .set(14, 1 | self.ai_gen << 2 | control(4, 9, 15) | if self.sgl { 0 } else { 1 << 27 })
                .set(17, len as u32)
                .addr(21, at.mac)
                .addr(25, self.total)
                .set(27, no_pad),
        }
    }
}

/// One single-shot request; gives mac_len words. The bytes behind them must stay as they are.
pub(super) fn once(ask: &Ask, key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
    let mem = Space::default();
    let mac = mem.put_odd(&[0xEE; 80], 3);
    let keyed = if key.is_empty() { 0 } else { mem.put_odd(key, 1) };
    let state = if iv.is_empty() { 0 } else { mem.put_odd(iv, 7) };
    let at = Places { source: mem.put_odd(data, 5), key: keyed, state, mac };
    let (dw28, verdict) = run(&mem, &ask.words(data.len(), at), ask.generation, Injection::None);
    let len = ask.mac_len as usize * 4;
    assert_eq!(dw28, GOOD, "{verdict:?}");
    assert!(
        matches!(verdict, Verdict::Done { bytes, output, .. } if bytes == data.len() as u64 && output == len as u64)
    );
    let out = mem.get(mac, 80);
    assert!(out[len..].iter().all(|byte| *byte == 0xEE));
    out[..len].to_vec()
}

/// Codes by the names of the standards.
pub(super) const CODES: [(&str, u32); 21] = [
    ("SHA-1", 0x00),
    ("SHA-256", 0x01),
    ("MD5", 0x02),
    ("SHA-224", 0x03),
    ("SHA-384", 0x04),
    ("SHA-512", 0x05),
    ("SHA-512/224", 0x06),
    ("SHA-512/256", 0x07),
    ("SM3", 0x25),
    ("HMAC-SHA-1", 0x10),
    ("HMAC-SHA-256", 0x11),
    ("HMAC-MD5", 0x12),
    ("HMAC-SHA-224", 0x13),
    ("HMAC-SHA-384", 0x14),
    ("HMAC-SHA-512", 0x15),
    ("HMAC-SHA-512/224", 0x16),
    ("HMAC-SHA-512/256", 0x17),
    ("HMAC-SM3", 0x26),
    ("AES-XCBC-MAC", 0x20),
    ("AES-CMAC", 0x21),
    ("AES-128-GMAC", 0x22),
];

/// The hash functions with their plain codes.
fn plain_codes() -> impl Iterator<Item = (Digest, u32)> {
    CODES.iter().take(9).map(|(_, code)| (Digest::by_code(u64::from(*code)).unwrap().0, *code))
}

#[test]
fn the_catalogue_of_control_words_is_met() {
    // 16.7: plain V2 dw2, plain V3 dw14, HMAC with a 32-byte key V2 dw2, V3 dw14
    for (name, words) in [
        ("MD5", [0x0000_1004, 0x0801_0041, 0x0000_9104, 0x0809_1041]),
        ("SHA-1", [0x0000_0005, 0x0800_0051, 0x0000_8105, 0x0808_1051]),
        ("SHA-224", [0x0000_1807, 0x0801_8071, 0x0000_9907, 0x0809_9071]),
        ("SHA-256", [0x0000_0808, 0x0800_8081, 0x0000_8908, 0x0808_9081]),
        ("SHA-384", [0x0000_200C, 0x0802_00C1, 0x0000_A10C, 0x080A_10C1]),
        ("SHA-512", [0x0000_2810, 0x0802_8101, 0x0000_A910, 0x080A_9101]),
        ("SHA-512/224", [0x0000_3007, 0x0803_0071, 0x0000_B107, 0x080B_1071]),
        ("SHA-512/256", [0x0000_3808, 0x0803_8081, 0x0000_B908, 0x080B_9081]),
        ("SM3", [0x0001_2808, 0x0812_8081, 0x0001_3108, 0x0813_1081]),
    ] {
        let code = |name: &str| CODES.iter().find(|(known, _)| *known == name).unwrap().1;
        let (plain, hmac) = (code(name), code(&format!("HMAC-{name}")));
        let len = Digest::by_code(u64::from(plain)).unwrap().0.output_len() as u32 / 4;
        let word = |generation, alg, key, index| {
            Ask::new(generation, alg, key, len).words(64, Places::default()).0[index]
        };
        let built =
            [word(V2, plain, 0, 2), word(V3, plain, 0, 14), word(V2, hmac, 32, 2), word(V3, hmac, 32, 14)];
        assert_eq!(built, words, "{name}");
    }
    for (alg, key, len, dw14) in
        [(0x21, 16, 4, 0x0810_8841), (0x20, 16, 3, 0x0810_0831), (0x22, 16, 4, 0x0811_0845)]
    {
        assert_eq!(Ask::new(V3, alg, key, len).words(40, Places::default()).0[14], dw14);
    }
}

#[test]
fn the_worked_examples_word_by_word() {
    let at = Places { source: 0x1_1000_0000, mac: 0x1_5000_0000, ..Places::default() };
    // 16.5: SHA-256, single, 3 bytes
    let v2 = Words::of(
        32,
        &[
            (0, 0x842),
            (2, 0x808),
            (4, 3),
            (10, 0x123),
            (18, 0x5000_0000),
            (19, 1),
            (24, 0x1000_0000),
            (25, 1),
        ],
    );
    assert_eq!(Ask::new(V2, 1, 0, 8).words(3, at), v2);
    let v3 = Words::of(
        32,
        &[
            (0, 0xE3),
            (2, 0x123),
            (4, 0x1000_0000),
            (5, 1),
            (14, 0x0800_8081),
            (17, 3),
            (21, 0x5000_0000),
            (22, 1),
        ],
    );
    assert_eq!(Ask::new(V3, 1, 0, 8).words(3, at), v3);
    // 16.6: HMAC-SM3, key 32, 64 bytes
    let at = Places { key: 0x1_7000_0000, ..at };
    let v2 = v2.set(2, 0x0001_3108).set(4, 0x40).addr(16, 0x1_7000_0000);
    assert_eq!(Ask::new(V2, 0x26, 32, 8).words(64, at), v2);
    let v3 = v3.set(14, 0x0813_1081).set(17, 0x40).addr(6, 0x1_7000_0000);
    assert_eq!(Ask::new(V3, 0x26, 32, 8).words(64, at), v3);
    // 16.7: SHA-256 of a list
    let list = Ask { sgl: true, ..Ask::new(V3, 1, 0, 8) }.words(64, at);
    assert_eq!((list.0[0], list.0[14], list.0[17]), (0x8E3, 0x8081, 0x40));
}

#[test]
fn a_list_and_an_offset_are_followed() {
    let data = seq(3, 500);
    for (generation, offset_at) in [(V2, 6), (V3, 16)] {
        let keyed = |code| if code >= 0x10 && code != 0x25 { 16 } else { 0 };
        let functions = CODES.map(|(name, code)| (name, code, keyed(code)));
        let more = [("AES-192-GMAC", 0x22, 24), ("AES-256-GMAC", 0x22, 32)];
        for (name, code, key_len) in functions.into_iter().chain(more) {
            if generation == V2 && matches!(code, 0x20..=0x22) {
                continue;
            }
            let key = seq(9, key_len);
            let iv = if code == 0x22 { seq(1, 16) } else { vec![] };
            let ask = Ask::new(generation, code, key.len(), 3);
            let expected = once(&ask, &key, &iv, &data[100..450]);
            for sgl in [false, true] {
                let mem = Space::default();
                let source =
                    if sgl { mem.chain(&data, &[1, 15, 64, 200], 2).0 } else { mem.put_odd(&data, 9) };
                let mac = mem.put(&[0; 12]);
                let at = Places {
                    source,
                    key: if key.is_empty() { 0 } else { mem.put(&key) },
                    state: if iv.is_empty() { 0 } else { mem.put(&iv) },
                    mac,
                };
                let words = Ask { sgl, ..ask }.words(350, at).set(offset_at, 100);
                assert_eq!(run(&mem, &words, generation, Injection::None).0, GOOD, "{name} {sgl}");
                assert_eq!(mem.get(mac, 12), expected, "{name} {sgl}");
            }
        }
    }
}

#[test]
fn the_empty_message_on_v3_reads_nothing() {
    for (digest, code) in plain_codes() {
        let words = digest.output_len() as u32 / 4;
        let mem = Space::default();
        let mac = mem.put(&[0; 64]);
        // UADK gives the output's address as the source (8.5); an address of nothing is as good.
        for source in [mac, 0, 0x30] {
            let at = Places { source, mac, ..Places::default() };
            assert_eq!(run(&mem, &Ask::new(V3, code, 0, words).words(0, at), V3, Injection::None).0, GOOD);
            assert_eq!(mem.get(mac, digest.output_len()), digest.once(None, &[]));
        }
    }
    // HMAC with an empty key: the key's address is not looked at
    let mem = Space::default();
    let mac = mem.put(&[0; 32]);
    let at = Places { mac, key: 0x77, ..Places::default() };
    assert_eq!(run(&mem, &Ask::new(V3, 0x11, 0, 8).words(0, at), V3, Injection::None).0, GOOD);
    // HMAC-SHA-256 of nothing under a key of nothing
    assert_eq!(mem.get(mac, 32), hex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
}

#[test]
fn scenes_of_other_drivers_give_the_same_digest() {
    let mem = Space::default();
    let mac = mem.put(&[0; 32]);
    let at = Places { source: mem.put(b"abc"), mac, ..Places::default() };
    let expected = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (generation, scene, shift) in [(V2, 0, 11), (V2, 1, 11), (V3, 0, 5), (V3, 1, 5), (V3, 7, 5)] {
        let words = Ask::new(generation, 1, 0, 8).words(3, at);
        let words = words.clone().set(0, words.0[0] & !(15 << shift) | scene << shift);
        assert_eq!(run(&mem, &words, generation, Injection::None).0, GOOD);
        assert_eq!(mem.get(mac, 32), expected);
    }
}

#[test]
fn injections_show_as_asked() {
    let inject = |injection| {
        let mem = Space::default();
        let mac = mem.put(&[0xEE; 32]);
        let at = Places { source: mem.put(b"abc"), mac, ..Places::default() };
        let words = Ask::new(V3, 1, 0, 8).words(3, at);
        let (got, verdict) = words.run_with(&crate::engine::sec::Sec::STANDARD, &mem, V3, 0, injection);
        (got.0[28], got.0[2], verdict.done(), mem.get(mac, 32))
    };
    let good = Digest::Sha256.once(None, b"abc");
    assert_eq!(inject(Injection::None), (GOOD, 0x123, Some((3, true)), good.clone()));
    assert_eq!(inject(Injection::Status(5)), (GOOD | 5 << 16, 0x123, Some((0, false)), vec![0xEE; 32]));
    let half = [&good[..16], &[0xEE; 16]].concat();
    assert_eq!(inject(Injection::Partial), (GOOD | 8 << 16, 0x123, Some((0, false)), half));
    let (dw28, _, verdict, out) = inject(Injection::Corrupt);
    assert_eq!((dw28, verdict), (GOOD, Some((3, true))));
    assert_eq!(out.iter().zip(&good).filter(|(a, b)| a != b).count(), 1);
    assert_eq!(inject(Injection::StaleTag), (GOOD, 0x122, Some((3, true)), good));
}

proptest! {
    #![proptest_config(crate::properties::cases(128))]
    /// Against the crate's own CMAC.
    #[test]
    fn cmac_agrees_with_the_crate(key: [u8; 16], data in proptest::collection::vec(any::<u8>(), 1..200), words in 1u32..=4) {
        use cmac::{KeyInit, Mac};
        let mac = cmac::Cmac::<aes::Aes128>::new(&key.into()).chain_update(&data).finalize().into_bytes();
        prop_assert_eq!(&once(&Ask::new(V3, 0x21, 16, words), &key, &[], &data)[..], &mac[..words as usize * 4]);
    }

    /// XCBC is a CMAC whose subkeys come from elsewhere: the crate's CBC-MAC step by step.
    #[test]
    fn xcbc_follows_its_definition(key: [u8; 16], data in proptest::collection::vec(any::<u8>(), 1..100)) {
        use aes::cipher::{BlockCipherEncrypt, KeyInit};
        let sealed = |key: &[u8; 16], block: [u8; 16]| {
            let mut block = block.into();
            aes::Aes128::new(key.into()).encrypt_block(&mut block);
            <[u8; 16]>::from(block)
        };
        let (k1, k2, k3) = (sealed(&key, [1; 16]), sealed(&key, [2; 16]), sealed(&key, [3; 16]));
        let mut padded = data.clone();
        let mask = if data.len() % 16 == 0 { k2 } else { k3 };
        if data.len() % 16 != 0 {
            padded.push(0x80);
            padded.resize(padded.len().next_multiple_of(16), 0);
        }
        let last = padded.len() - 16;
        padded[last..].iter_mut().zip(mask).for_each(|(a, b)| *a ^= b);
        let mut state = [0; 16];
        for block in padded.chunks(16) {
            let mixed: Vec<u8> = state.iter().zip(block).map(|(a, b)| a ^ b).collect();
            state = sealed(&k1, mixed.try_into().unwrap());
        }
        prop_assert_eq!(once(&Ask::new(V3, 0x20, 16, 3), &key, &[], &data), &state[..12]);
    }
}
