use crate::engine::Generation::{self, V2, V3};
use crate::engine::sec::tests::{refused, run, run_on};
use crate::engine::sec::{Sec, V2Ciphers};
use crate::engine::testing::{Space, Words, hex, seq};
use crate::engine::{Injection, Rule};

mod differential;
mod refusals;
mod suites;

/// c_mode, c_width, dw14 [26:25] on V3.
fn codes(mode: &str) -> (u32, u32, u32) {
    match mode {
        "ecb" => (0, 0, 0),
        "cbc" => (1, 0, 0),
        "cfb" => (2, 0, 0),
        "ofb" => (3, 0, 0),
        "ctr" => (4, 0, 2),
        "ctr32" => (4, 0, 0),
        "xts" => (7, 0, 0),
        "xtsgb" => (7, 0, 1),
        "cs1" => (9, 1, 0),
        "cs2" => (9, 2, 0),
        "cs3" => (9, 3, 0),
        other => panic!("{other}"),
    }
}

/// Every cipher with its key bits, and its modes.
const ALL: [(&str, usize, &[&str]); 8] = [
    ("des", 64, &["ecb", "cbc"]),
    ("3des", 128, &["ecb", "cbc"]),
    ("3des", 192, &["ecb", "cbc"]),
    ("aes", 128, &["ecb", "cbc", "cfb", "ofb", "ctr", "ctr32", "xts", "cs1", "cs2", "cs3"]),
    ("aes", 192, &["ecb", "cbc", "cfb", "ofb", "ctr", "ctr32", "cs1", "cs2", "cs3"]),
    ("aes", 256, &["ecb", "cbc", "cfb", "ofb", "ctr", "ctr32", "xts", "cs1", "cs2", "cs3"]),
    ("sm4", 128, &["ecb", "cbc", "cfb", "ofb", "ctr", "ctr32", "xts", "xtsgb", "cs1"]),
    ("sm4", 128, &["cs2", "cs3"]),
];

/// All of [`ALL`] as encryptions.
fn all(generation: Generation) -> impl Iterator<Item = Ask> {
    ALL.into_iter().flat_map(move |(cipher, bits, modes)| {
        modes.iter().map(move |mode| Ask { generation, cipher, bits, mode, encrypt: true, sgl: false })
    })
}

/// Addresses of one request.
#[derive(Clone, Copy)]
struct Places {
    source: u64,
    target: u64,
    key: u64,
    iv: u64,
}

/// A descriptor in UADK's manner (scene 1, de 1), from the catalogue's fields.
#[derive(Clone, Copy, Debug)]
struct Ask {
    generation: Generation,
    cipher: &'static str,
    bits: usize,
    mode: &'static str,
    encrypt: bool,
    sgl: bool,
}

impl Ask {
    fn aes128(generation: Generation, mode: &'static str) -> Self {
        Self { generation, cipher: "aes", bits: 128, mode, encrypt: true, sgl: false }
    }

    /// Whether a device without options has it.
    fn offered(&self) -> bool {
        match self.mode {
            "ecb" | "cbc" | "xts" => true,
            "ctr" => self.generation == V3 || self.cipher == "aes",
            _ => self.generation == V3,
        }
    }

    /// Whether a descriptor can ask for it.
    fn exists(&self) -> bool {
        self.generation == V3 || !matches!(self.mode, "xtsgb" | "ctr32")
    }

    /// Runs on a device that has it, by option if need be; gives dw28.
    fn run(&self, mem: &Space, words: &Words) -> u32 {
        let v2 = if self.offered() { V2Ciphers::AesCtr } else { V2Ciphers::All };
        let sec = Sec { v2, ..Sec::STANDARD };
        run_on(&sec, mem, words, self.generation, Injection::None).0
    }

    fn block(&self) -> usize {
        if self.cipher.ends_with("des") { 8 } else { 16 }
    }

    fn whole_blocks(&self) -> bool {
        matches!(self.mode, "ecb" | "cbc")
    }

    /// Bytes of the key, or both keys.
    fn key_len(&self) -> usize {
        self.bits / 8 * if self.mode.starts_with("xts") { 2 } else { 1 }
    }

    fn words(&self, len: usize, at: Places) -> Words {
        let (alg, key_len) = match (self.cipher, self.bits) {
            ("des", _) => (0, 1),
            ("3des", 128) => (1, 3),
            ("3des", _) => (1, 1),
            ("aes", bits) => (2, (bits as u32 - 128) / 64),
            _ => (3, 0),
        };
        let direction = if self.encrypt { 1 } else { 2 };
        let (mode, width, counter) = codes(self.mode);
        let words = Words::of(32, &[]);
        if self.generation == V2 {
            let sgl = if self.sgl { 0x0004_8000 } else { 0 };
            // UADK leaves the key length of DES in c_icv_len (14.2)
            let key_len = if alg == 0 { key_len } else { key_len << 9 };
            words
                .set(0, 2 | direction << 4 | 1 << 9 | 1 << 11 | sgl)
                .set(3, width << 6 | key_len | mode << 12 | alg << 16)
                .set(5, len as u32)
                .set(10, 0x123)
                .addr(20, at.iv)
                .addr(22, at.key)
                .addr(24, at.source)
                .addr(26, at.target)
        } else {
            let sgl = if self.sgl { 0x0000_4800 } else { 0 };
            words
                .set(0, 3 | 1 << 5 | 1 << 9 | sgl)
                .set(1, direction | width << 10 | key_len << 13 | mode << 16 | alg << 20)
                .addr(2, 0xFFFF_1234_5678_9ABC)
                .addr(4, at.source)
                .addr(12, at.key)
                .set(14, counter << 25 | if self.sgl { 0 } else { 1 << 27 })
                .set(18, len as u32)
                .addr(19, at.target)
                .addr(23, at.iv)
        }
    }
}

fn once(ask: &Ask, key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
    let mem = Space::default();
    let target = mem.put_odd(&vec![0xEE; data.len()], 7);
    let at =
        Places { source: mem.put_odd(data, 3), target, key: mem.put_odd(key, 1), iv: mem.put_odd(iv, 9) };
    assert_eq!(ask.run(&mem, &ask.words(data.len(), at)), 0x101);
    mem.get(target, data.len())
}

#[test]
fn descriptors_are_those_of_the_worked_examples() {
    let at = Places { source: 0x1_1000_0000, target: 0x1_2000_0000, key: 0x1_3000_0000, iv: 0x1_4000_0000 };
    let v2 = [
        (0, 0xA12),
        (3, 0x21400),
        (5, 0x40),
        (10, 0x123),
        (20, 0x4000_0000),
        (21, 1),
        (22, 0x3000_0000),
        (23, 1),
        (24, 0x1000_0000),
        (25, 1),
        (26, 0x2000_0000),
        (27, 1),
    ];
    let v3 = [
        (0, 0x223),
        (1, 0x0021_4001),
        (2, 0x123),
        (4, 0x1000_0000),
        (5, 1),
        (12, 0x3000_0000),
        (13, 1),
        (14, 0x0800_0000),
        (18, 0x40),
        (19, 0x2000_0000),
        (20, 1),
        (23, 0x4000_0000),
        (24, 1),
    ];
    // 16.2: AES-256-CBC, 64 bytes
    let ask = Ask { bits: 256, ..Ask::aes128(V2, "cbc") };
    assert_eq!(ask.words(64, at), Words::of(32, &v2));
    let ask = Ask { generation: V3, ..ask };
    assert_eq!(ask.words(64, at).addr(2, 0x123), Words::of(32, &v3));
    // 16.3: SM4-CTR, 40 bytes
    let ask = Ask { cipher: "sm4", ..Ask::aes128(V2, "ctr") };
    assert_eq!(ask.words(40, at), Words::of(32, &v2).set(3, 0x0003_4000).set(5, 0x28));
    let ask = Ask { generation: V3, ..ask };
    let expected = Words::of(32, &v3).set(1, 0x0034_0001).set(14, 0x0C00_0000).set(18, 0x28);
    assert_eq!(ask.words(40, at).addr(2, 0x123), expected);
    // 16.7: AES-256-CBC decrypt of lists
    let ask = Ask { bits: 256, encrypt: false, sgl: true, ..Ask::aes128(V2, "cbc") };
    assert_eq!(ask.words(64, at).0[0], 0x0004_8A22);
    let words = Ask { generation: V3, ..ask }.words(64, at);
    assert_eq!((words.0[0], words.0[1], words.0[14]), (0x4A23, 0x0021_4002, 0));
}

#[test]
fn the_catalogue_of_control_words_is_met() {
    // 16.7: cipher, bits, mode, V2 dw3, V3 dw1, V3 dw14
    for (cipher, bits, mode, v2, v3, dw14) in [
        ("aes", 128, "ecb", 0x0002_0000, 0x0020_0001, 0x0800_0000),
        ("aes", 128, "cbc", 0x0002_1000, 0x0021_0001, 0x0800_0000),
        ("aes", 128, "cfb", 0x0002_2000, 0x0022_0001, 0x0800_0000),
        ("aes", 128, "ofb", 0x0002_3000, 0x0023_0001, 0x0800_0000),
        ("aes", 128, "ctr", 0x0002_4000, 0x0024_0001, 0x0C00_0000),
        ("aes", 128, "cs1", 0x0002_9040, 0x0029_0401, 0x0800_0000),
        ("aes", 128, "cs2", 0x0002_9080, 0x0029_0801, 0x0800_0000),
        ("aes", 128, "cs3", 0x0002_90C0, 0x0029_0C01, 0x0800_0000),
        ("aes", 128, "xts", 0x0002_7000, 0x0027_0001, 0x0800_0000),
        ("aes", 192, "ecb", 0x0002_0200, 0x0020_2001, 0x0800_0000),
        ("aes", 192, "ctr", 0x0002_4200, 0x0024_2001, 0x0C00_0000),
        ("aes", 192, "cs3", 0x0002_92C0, 0x0029_2C01, 0x0800_0000),
        ("aes", 256, "cbc", 0x0002_1400, 0x0021_4001, 0x0800_0000),
        ("aes", 256, "cs2", 0x0002_9480, 0x0029_4801, 0x0800_0000),
        ("aes", 256, "xts", 0x0002_7400, 0x0027_4001, 0x0800_0000),
        ("sm4", 128, "ecb", 0x0003_0000, 0x0030_0001, 0x0800_0000),
        ("sm4", 128, "cfb", 0x0003_2000, 0x0032_0001, 0x0800_0000),
        ("sm4", 128, "ctr", 0x0003_4000, 0x0034_0001, 0x0C00_0000),
        ("sm4", 128, "cs1", 0x0003_9040, 0x0039_0401, 0x0800_0000),
        ("sm4", 128, "xts", 0x0003_7000, 0x0037_0001, 0x0800_0000),
        ("sm4", 128, "xtsgb", 0x0003_7000, 0x0037_0001, 0x0A00_0000),
        ("des", 64, "ecb", 0x0000_0001, 0x0000_2001, 0x0800_0000),
        ("des", 64, "cbc", 0x0000_1001, 0x0001_2001, 0x0800_0000),
        ("3des", 128, "ecb", 0x0001_0600, 0x0010_6001, 0x0800_0000),
        ("3des", 128, "cbc", 0x0001_1600, 0x0011_6001, 0x0800_0000),
        ("3des", 192, "ecb", 0x0001_0200, 0x0010_2001, 0x0800_0000),
        ("3des", 192, "cbc", 0x0001_1200, 0x0011_2001, 0x0800_0000),
    ] {
        let at = Places { source: 0, target: 0, key: 0, iv: 0 };
        let ask = Ask { generation: V2, cipher, bits, mode, encrypt: true, sgl: false };
        let words = ask.words(64, at);
        assert_eq!((words.0[0], words.0[3]), (0xA12, v2), "{ask:?}");
        let words = Ask { generation: V3, ..ask }.words(64, at);
        assert_eq!((words.0[0], words.0[1], words.0[14]), (0x223, v3, dw14), "{ask:?}");
    }
}

#[test]
fn linux_style_descriptors_work_in_place_without_a_destination() {
    // Scene 0, de 0; the address in the destination field is not used.
    let mem = Space::default();
    let at = Places {
        source: mem.put(&seq(0, 64)),
        target: 0x10,
        key: mem.put(&seq(0, 32)),
        iv: mem.put(&seq(0xA0, 16)),
    };
    let ask = Ask { bits: 256, ..Ask::aes128(V3, "cbc") };
    let expected = once(&ask, &seq(0, 32), &seq(0xA0, 16), &seq(0, 64));
    assert_eq!(run(&mem, &ask.words(64, at).set(0, 3).set(14, 2 << 25), V3, Injection::None).0, 0x101);
    assert_eq!(mem.get(at.source, 64), expected);
    assert_eq!(mem.get(at.iv, 16), seq(0xA0, 16), "the engine never writes the IV");
}

#[test]
fn every_cipher_works_in_place_in_both_directions() {
    for generation in [V2, V3] {
        for ask in all(generation).filter(Ask::exists) {
            let mem = Space::default();
            let len = if ask.whole_blocks() { 80 } else { 75 };
            let (key, iv, data) = (seq(1, ask.key_len()), seq(2, 16), seq(3, len));
            let secret = once(&ask, &key, &iv, &data);
            let source = mem.put_odd(&data, 3);
            let at = Places { source, target: source, key: mem.put(&key), iv: mem.put(&iv) };
            ask.run(&mem, &ask.words(len, at));
            assert_eq!(mem.get(source, len), secret, "{ask:?}");
            // and back without a destination
            let words = Ask { encrypt: false, ..ask }.words(len, Places { target: 0x10, ..at });
            let words = words.clone().set(0, words.0[0] & !(3 << 9));
            ask.run(&mem, &words);
            assert_eq!(mem.get(source, len), data, "{ask:?}");
        }
    }
}

#[test]
fn cipher_offset_applies_to_source_and_destination() {
    for generation in [V2, V3] {
        let mem = Space::default();
        let ask = Ask::aes128(generation, "ecb");
        let expected = once(&ask, &seq(1, 16), &[], &seq(50, 32));
        let (source, target) = (mem.put(&[seq(0, 20), seq(50, 32)].concat()), mem.put(&[0xEE; 52]));
        let at = Places { source, target, key: mem.put(&seq(1, 16)), iv: 0 };
        let index = if generation == V2 { 6 } else { 16 };
        run(&mem, &ask.words(32, at).set(index, 20 << 16), generation, Injection::None);
        assert_eq!(mem.get(target, 52), [vec![0xEE; 20], expected.clone()].concat());
        // the same over lists: the offset crosses entries
        let (source, _) = mem.chain(&[seq(0, 20), seq(50, 32)].concat(), &[7], 2);
        let (target, pieces) = mem.chain(&[0xEE; 60], &[9], 3);
        let at = Places { source, target, ..at };
        let words = Ask { sgl: true, ..ask }.words(32, at).set(index, 20 << 16);
        run(&mem, &words, generation, Injection::None);
        assert_eq!(mem.gather(&pieces), [vec![0xEE; 20], expected, vec![0xEE; 8]].concat());
    }
}

#[test]
fn every_cipher_takes_lists_on_both_sides_or_on_one() {
    for generation in [V2, V3] {
        for ask in all(generation).filter(Ask::exists) {
            for encrypt in [true, false] {
                let ask = Ask { encrypt, ..ask };
                let len = if ask.whole_blocks() { 320 } else { 317 };
                let (key, iv, data) = (seq(9, ask.key_len()), seq(2, 16), seq(3, len));
                let expected = once(&ask, &key, &iv, &data);
                for (from_list, to_list) in [(true, true), (true, false), (false, true)] {
                    let mem = Space::default();
                    let long = [data.clone(), vec![1; 40]].concat();
                    let source =
                        if from_list { mem.chain(&long, &[1, 15, 100], 2).0 } else { mem.put_odd(&data, 1) };
                    let (target, pieces) = if to_list {
                        mem.chain(&[0xEE; 400], &[33], 5)
                    } else {
                        let target = mem.put_odd(&[0xEE; 400], 1);
                        (target, vec![(target, 400)])
                    };
                    let at = Places { source, target, key: mem.put(&key), iv: mem.put(&iv) };
                    let words = ask.words(len, at);
                    let (source_bit, target_bit) = if generation == V2 { (15, 18) } else { (11, 14) };
                    let types = u32::from(from_list) << source_bit | u32::from(to_list) << target_bit;
                    let words = words.clone().set(0, words.0[0] | types);
                    assert_eq!(ask.run(&mem, &words), 0x101);
                    let whole = [expected.clone(), vec![0xEE; 400 - len]].concat();
                    assert_eq!(mem.gather(&pieces), whole, "{ask:?}");
                }
            }
        }
    }
}

#[test]
fn a_list_in_place_is_rewritten() {
    let mem = Space::default();
    let ask = Ask { sgl: true, ..Ask::aes128(V3, "cbc") };
    let expected = once(&Ask { sgl: false, ..ask }, &seq(1, 16), &seq(2, 16), &seq(3, 160));
    let (source, pieces) = mem.chain(&seq(3, 160), &[11, 50], 2);
    let at = Places { source, target: 0, key: mem.put(&seq(1, 16)), iv: mem.put(&seq(2, 16)) };
    let words = ask.words(160, at);
    run(&mem, &words.clone().set(0, words.0[0] & !(3 << 9)), V3, Injection::None);
    assert_eq!(mem.gather(&pieces), expected);
}

#[test]
fn des_takes_any_code_for_its_only_key_length() {
    let expected = hex("3fa40e8a984d48156a271787ab8883f9893d51ec4b563b53");
    for (generation, index, shift) in [(V2, 3, 9), (V3, 1, 13)] {
        let icv = if generation == V2 { 0 } else { 4 };
        for (code, icv_len) in [(0, 0), (1, 0), (7, 0), (0, 1), (1, 63)] {
            let mem = Space::default();
            let target = mem.put(&[0; 24]);
            let key = mem.put(&hex("0123456789abcdef"));
            let at = Places { source: mem.put(b"Now is the time for all "), target, key, iv: 0 };
            let ask = Ask { generation, cipher: "des", bits: 64, mode: "ecb", encrypt: true, sgl: false };
            let words = ask.words(24, at);
            let control = words.0[index] & !(7 << shift | 63 << icv) | code << shift | icv_len << icv;
            assert_eq!(run(&mem, &words.set(index, control), generation, Injection::None).0, 0x101);
            assert_eq!(mem.get(target, 24), expected);
        }
    }
}

#[test]
fn what_v2_has_beyond_ecb_cbc_and_xts_is_an_option() {
    let sec = |v2| Sec { v2, ..Sec::STANDARD };
    for ask in all(V2) {
        let mem = Space::default();
        let iv = [vec![0xFF; 15], vec![0]].concat();
        let places = |mem: &Space| Places {
            source: mem.put(&seq(0, 64)),
            target: mem.put(&[0; 64]),
            key: mem.put(&seq(0, 64)),
            iv: mem.put(&iv),
        };
        let attempt = |v2| {
            let words = ask.words(64, places(&mem));
            run_on(&sec(v2), &mem, &words, V2, Injection::None).0 == 0x101
        };
        assert_eq!(attempt(V2Ciphers::Plain), matches!(ask.mode, "ecb" | "cbc" | "xts" | "xtsgb"), "{ask:?}");
        if !matches!(ask.mode, "ctr" | "ctr32" | "xtsgb") {
            assert_eq!(attempt(V2Ciphers::AesCtr), ask.offered(), "{ask:?}");
        }
        assert!(attempt(V2Ciphers::All), "{ask:?}");
        if ask.mode != "xtsgb" && ask.mode != "ctr32" {
            // the same bytes as on V3, also when the counter wraps
            let at = places(&mem);
            let words = ask.words(64, at);
            run_on(&sec(V2Ciphers::All), &mem, &words, V2, Injection::None);
            let expected =
                once(&Ask { generation: V3, ..ask }, &seq(0, ask.key_len()), &iv[..ask.block()], &seq(0, 64));
            assert_eq!(mem.get(at.target, 64), expected, "{ask:?}");
        }
    }
}

#[test]
fn injections_show_as_asked() {
    let ask = Ask::aes128(V3, "ctr");
    let good = once(&ask, &seq(1, 16), &seq(2, 16), &seq(3, 100));
    let inject = |injection| {
        let mem = Space::default();
        let target = mem.put(&[0xEE; 100]);
        let at = Places {
            source: mem.put(&seq(3, 100)),
            target,
            key: mem.put(&seq(1, 16)),
            iv: mem.put(&seq(2, 16)),
        };
        let (dw28, verdict) = run(&mem, &ask.words(100, at), V3, injection);
        (dw28, verdict.done(), mem.get(target, 100))
    };
    let failed = Some((0, false));
    assert_eq!(inject(Injection::Status(0x0B)), (0x000B_0101, failed, vec![0xEE; 100]));
    assert_eq!(
        inject(Injection::Partial),
        (0x0008_0101, failed, [good[..50].to_vec(), vec![0xEE; 50]].concat())
    );
    let (dw28, done, out) = inject(Injection::Corrupt);
    assert_eq!((dw28, done), (0x101, Some((100, true))));
    assert_ne!(out, good);
}
