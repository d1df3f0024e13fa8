//! GCM in parts (9.8): the descriptors of the catalogue, the reference's stream, and any cut of any message.

use super::*;
use crate::engine::Generation::V5;
use proptest::prelude::*;

/// What a driver holds between the parts, and where the model's memory has it.
struct Stream {
    mem: Space,
    generation: Generation,
    sm4: bool,
    key: Vec<u8>,
    encrypt: bool,
    tag: usize,
    /// Addresses: key, counter block, state.
    at: (u64, u64, u64),
    nonce: Vec<u8>,
    additional: usize,
    text: usize,
}

impl Stream {
    fn new(generation: Generation, sm4: bool, key: &[u8], nonce: &[u8], encrypt: bool) -> Self {
        let mem = Space::default();
        let counter = [nonce, &[0; 4]].concat();
        let at = (mem.put_odd(key, 1), mem.put_odd(&counter, 3), mem.put_odd(&[FILL; 16], 5));
        let (key, nonce) = (key.to_vec(), nonce.to_vec());
        Self { mem, generation, sm4, key, encrypt, tag: 16, at, nonce, additional: 0, text: 0 }
    }

    fn codes(&self) -> (u32, u32, u32, u32, u32) {
        let key_code = (self.key.len() as u32 - 16) / 8;
        let (cipher, seq) = if self.encrypt { (1, 0) } else { (2, 1) };
        (key_code, 2 * key_code + 4, cipher, seq, if self.sm4 { 3 } else { 2 })
    }

    /// FIRST in UADK's manner; the destination is null.
    fn first_words(&self, source: u64, len: usize) -> Words {
        let (key_code, key_words, _, seq, _) = self.codes();
        let a_alg = if self.sm4 { 0x31 } else { 0x22 };
        let words = Words::of(32, &[]);
        match self.generation {
            V2 => words
                .set(0, 2 | 1 << 6 | seq << 8 | 1 << 9 | 7 << 11)
                .set(1, 0x400)
                .set(2, 4 | key_words << 5 | a_alg << 11)
                .set(4, len as u32)
                .set(6, (len as u32) << 16)
                .addr(16, self.at.0)
                .addr(18, self.at.2)
                .addr(20, self.at.1)
                .addr(24, source),
            _ => words
                .set(0, 0x2E3)
                .set(1, (self.tag as u32) << 4 | key_code << 13 | 6 << 16 | seq << 30)
                .addr(4, source)
                .addr(6, self.at.0)
                .set(14, 1 | 4 << 4 | key_words << 9 | a_alg << 15)
                .set(16, (len as u32) << 16)
                .set(17, len as u32)
                .addr(21, self.at.2)
                .addr(23, self.at.1)
                .set(27, 0x21),
        }
    }

    /// MIDDLE in UADK's manner.
    fn middle_words(&self, source: u64, target: u64, len: usize) -> Words {
        let (key_code, key_words, cipher, seq, algorithm) = self.codes();
        let words = Words::of(32, &[]);
        match self.generation {
            V2 => words
                .set(0, 2 | cipher << 4 | seq << 8 | 1 << 9 | 7 << 11)
                .set(1, 0x500)
                .set(2, key_words << 5)
                .set(3, self.tag as u32 | key_code << 9 | 6 << 12 | algorithm << 16)
                .set(5, len as u32)
                .addr(14, self.at.2)
                .addr(16, self.at.0)
                .addr(18, self.at.2)
                .addr(20, self.at.1)
                .addr(22, self.at.0)
                .addr(24, source)
                .addr(26, target),
            _ => words
                .set(0, 0x2E3)
                .set(
                    1,
                    cipher | (self.tag as u32) << 4 | key_code << 13 | 6 << 16 | algorithm << 20 | seq << 30,
                )
                .addr(4, source)
                .addr(6, self.at.0)
                .addr(8, self.at.2)
                .addr(12, self.at.0)
                .set(14, 1 << 2 | key_words << 9 | 1 << 27)
                .set(18, len as u32)
                .addr(19, target)
                .addr(21, self.at.2)
                .addr(23, self.at.1)
                .set(27, 0x21),
        }
    }

    /// END by the engine: state block and tag are elsewhere.
    fn end_words(&self, source: u64, target: u64, len: usize, state: u64, mac: u64) -> Words {
        let total = (self.text + len) as u64;
        self.middle_words(source, target, len)
            .addr(8, state)
            .addr(21, mac)
            .set(27, 0x20)
            .addr(25, self.additional as u64 | total << 24)
    }

    fn run(&self, words: &Words, bytes: usize, output: usize) {
        let (got, verdict) = words.run(&Sec::STANDARD, &self.mem, self.generation, 0);
        assert_eq!(got.0[..28], words.0[..28]);
        let good = Verdict::Done { bytes: bytes as u64, output: output as u64, status: GOOD << 16, ok: true };
        assert_eq!((got.0[28], verdict), (GOOD, good));
    }

    fn first(&mut self, additional: &[u8]) {
        let source = self.mem.put_odd(additional, 7);
        self.run(&self.first_words(source, additional.len()), 0, 16);
        self.additional = additional.len();
        self.set_counter(1);
    }

    fn set_counter(&self, low: u32) {
        self.mem_write(self.at.1, &[&self.nonce[..], &low.to_be_bytes()].concat());
    }

    fn mem_write(&self, addr: u64, bytes: &[u8]) {
        crate::engine::Memory::write(&self.mem, addr, bytes).unwrap();
    }

    fn state(&self) -> Vec<u8> {
        self.mem.get(self.at.2, 16)
    }

    fn middle(&mut self, text: &[u8]) -> Vec<u8> {
        let (source, target) = (self.mem.put_odd(text, 9), self.mem.put_odd(&vec![FILL; text.len()], 11));
        self.run(&self.middle_words(source, target, text.len()), text.len(), text.len() + 16);
        self.text += text.len();
        self.set_counter(self.text as u32 / 16 + 1);
        self.mem.get(target, text.len())
    }

    /// END by the engine: text and the memory at mac_addr, which holds `expected` before.
    fn end(&mut self, text: &[u8], expected: &[u8]) -> (Vec<u8>, Vec<u8>, u32) {
        let (source, target) = (self.mem.put_odd(text, 9), self.mem.put_odd(&vec![FILL; text.len()], 11));
        let state = [&self.nonce[..], &[0, 0, 0, 1], &[0; 16], &self.state(), &[0; 16]].concat();
        let (state, mac) = (self.mem.put(&state), self.mem.put(expected));
        let words = self.end_words(source, target, text.len(), state, mac);
        let (got, verdict) = words.run(&Sec::STANDARD, &self.mem, self.generation, 0);
        assert_eq!(got.0[..28], words.0[..28]);
        assert_eq!(matches!(verdict, Verdict::Done { ok: true, .. }), got.0[28] == GOOD, "{verdict:?}");
        self.text += text.len();
        (self.mem.get(target, text.len()), self.mem.get(mac, expected.len()), got.0[28])
    }
}

#[test]
fn control_words_are_those_of_the_catalogue() {
    let without_addresses =
        |words: Words, places: &[usize]| places.iter().fold(words, |words, index| words.addr(*index, 0));
    let v2 = Stream::new(V2, false, &seq(0, 16), &seq(0xA0, 12), true);
    assert_eq!(
        without_addresses(v2.first_words(0, 16), &[16, 18, 20]),
        Words::of(32, &[(0, 0x3A42), (1, 0x400), (2, 0x11084), (4, 0x10), (6, 0x10_0000)])
    );
    assert_eq!(
        without_addresses(v2.middle_words(0, 0, 64), &[14, 16, 18, 20, 22]),
        Words::of(32, &[(0, 0x3A12), (1, 0x500), (2, 0x80), (3, 0x26010), (5, 0x40)])
    );
    let mut v3 = Stream::new(V3, false, &seq(0, 16), &seq(0xA0, 12), true);
    assert_eq!(
        without_addresses(v3.first_words(0, 16), &[6, 21, 23]),
        Words::of(32, &[(0, 0x2E3), (1, 0x6_0100), (14, 0x11_0841), (16, 0x10_0000), (17, 0x10), (27, 0x21)])
    );
    let places = [6, 8, 12, 21, 23];
    assert_eq!(
        without_addresses(v3.middle_words(0, 0, 64), &places),
        Words::of(32, &[(0, 0x2E3), (1, 0x26_0101), (14, 0x800_0804), (18, 0x40), (27, 0x21)])
    );
    (v3.additional, v3.text) = (16, 64);
    assert_eq!(
        without_addresses(v3.end_words(0, 0, 10, 0, 0), &places),
        Words::of(
            32,
            &[(0, 0x2E3), (1, 0x26_0101), (14, 0x800_0804), (18, 0xA), (25, 0x4A00_0010), (27, 0x20)]
        )
    );
}

#[test]
fn the_reference_stream_comes_out_in_every_generation() {
    let secret = hex("2a07ba38fa0cb58d02f13f8bca9f3eefc37fb19b1782ab38bd89eb00de101137
         3a02e792ab4f4acad777486f0376a77f0ce5fefa8734205a3a8f347159d8bac2
         31f07111afb3570518da");
    let plain = seq(0x80, 74);
    let tag = hex("f6b205f602bfe3db9de2328cdac08ce9");
    for generation in [V2, V3, V5] {
        for encrypt in [true, false] {
            let (from, to) = if encrypt { (&plain, &secret) } else { (&secret, &plain) };
            let mut stream = Stream::new(generation, false, &seq(0, 16), &seq(0xA0, 12), encrypt);
            stream.first(&seq(0x40, 16));
            assert_eq!(stream.state(), hex("a74e2fced4d090ebfc86b48f53ae96c2"));
            assert_eq!(stream.middle(&from[..64]), to[..64]);
            assert_eq!(stream.state(), hex("c1969c138a002fef1866943e59896fbb"));
            if generation < V5 {
                continue;
            }
            let mut expected = if encrypt { vec![FILL; 16] } else { tag.clone() };
            assert_eq!(stream.end(&from[64..], &expected), (to[64..].to_vec(), tag.clone(), GOOD));
            if !encrypt {
                // The same end again, as if the tag had been another: delivered, and told.
                stream.text = 64;
                stream.set_counter(5);
                expected[15] ^= 1;
                assert_eq!(stream.end(&from[64..], &expected), (to[64..].to_vec(), expected, MISMATCH));
            }
        }
    }
}

#[test]
fn a_v2_middle_part_without_a_cipher_key_takes_the_authentication_key() {
    for (generation, accepted) in [(V2, true), (V3, false)] {
        let stream = Stream::new(generation, false, &seq(0, 16), &seq(0xA0, 12), true);
        let source = stream.mem.put(&[0; 32]);
        let words = stream.middle_words(source, source, 32).addr(if generation == V2 { 22 } else { 12 }, 0);
        let (_, verdict) = words.run(&Sec::STANDARD, &stream.mem, generation, 0);
        match verdict {
            Verdict::Done { ok: true, .. } => assert!(accepted),
            other => {
                assert!(
                    !accepted && matches!(other, Verdict::Refused { rule: Rule::Address, .. }),
                    "{other:?}"
                )
            }
        }
    }
}

#[test]
fn an_invalid_descriptor_of_a_streams_end_touches_nothing() {
    // As UADK leaves the fields (16.7), with addresses that nobody could read.
    let mem = Space::default();
    let v2 = [(0, 0x3A12), (1, 0x8000_0000), (3, 0x26010), (4, 0x10), (5, 0xA), (6, 0x10_0000), (24, 0x1234)];
    let v3 =
        [(0, 0x2F3), (1, 0x26_0101), (14, 0x800_0000), (16, 0x10_0000), (17, 0x10), (18, 0xA), (4, 0x1234)];
    for (generation, set) in [(V2, v2), (V3, v3)] {
        let words = Words::of(32, &set);
        let (got, verdict) = words.run(&Sec::STANDARD, &mem, generation, 0);
        assert_eq!((got.0[..28].to_vec(), got.0[28]), (words.0[..28].to_vec(), 1));
        assert!(matches!(verdict, Verdict::Done { ok: true, bytes: 0, output: 0, .. }));
    }
}

#[test]
fn parts_are_described_and_classed() {
    let describe = |stream: &Stream, words: Words| {
        let raw: Vec<u8> = words.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(Sec::STANDARD.classify(&raw, stream.generation, 0), "aead");
        let description = Sec::STANDARD.describe(&raw, stream.generation, 0);
        assert_eq!(description.mode, crate::engine::Mode::Stream);
        description.operation
    };
    for generation in [V2, V3, V5] {
        let stream = Stream::new(generation, false, &seq(0, 24), &seq(0, 12), false);
        assert_eq!(describe(&stream, stream.first_words(0, 5)), "AES-192-GCM first");
        assert_eq!(describe(&stream, stream.middle_words(0, 0, 16)), "AES-192-GCM decrypt");
    }
    let stream = Stream::new(V5, true, &seq(0, 16), &seq(0, 12), true);
    assert_eq!(describe(&stream, stream.first_words(0, 5)), "SM4-GCM first");
    assert_eq!(describe(&stream, stream.end_words(0, 0, 5, 0, 0)), "SM4-GCM encrypt");
}

/// The message in these pieces (bytes; whole blocks) and a rest equals the message in one piece. Whatever the generation
/// of the parts, V5 ends the stream: the state is the same.
fn equals_one_request(
    (generation, sm4, encrypt): (Generation, bool, bool),
    (key, nonce, additional): (&[u8], &[u8], &[u8]),
    pieces: &[usize],
    text: Vec<u8>,
) {
    let ask = Ask { sm4, encrypt, ..Ask::new(V5, Mode::Gcm, key.len(), 16) };
    let (iv, additional) = (nonce.to_vec(), additional.to_vec());
    let mut input = Input { key: key.to_vec(), iv, additional, text, ..Input::default() };
    let (mut expected, tag) = seal(&Ask { encrypt: true, ..ask }, &input);
    if !encrypt {
        std::mem::swap(&mut input.text, &mut expected);
    }
    let mut stream = Stream::new(generation, sm4, key, nonce, encrypt);
    stream.first(&input.additional);
    let mut got = Vec::new();
    for piece in pieces {
        got.extend(stream.middle(&input.text[got.len()..][..*piece]));
    }
    stream.generation = V5;
    let before = if encrypt { vec![FILL; 16] } else { tag.clone() };
    let (last, mac, dw28) = stream.end(&input.text[got.len()..], &before);
    got.extend(last);
    assert_eq!((got, mac, dw28), (expected, tag, GOOD));
}

#[test]
fn every_cipher_and_generation_has_streams_that_equal_one_request() {
    for (generation, sm4, key) in [V2, V3, V5].into_iter().flat_map(|generation| {
        [(generation, false, 16), (generation, false, 24), (generation, false, 32), (generation, true, 16)]
    }) {
        for encrypt in [true, false] {
            if generation == V2 && sm4 {
                let stream = Stream::new(V2, true, &seq(0, 16), &seq(0, 12), encrypt);
                for words in [stream.first_words(0, 16), stream.middle_words(0, 0, 16)] {
                    let (_, verdict) = words.run(&Sec::STANDARD, &stream.mem, V2, 0);
                    assert!(matches!(verdict, Verdict::Refused { rule: Rule::Unsupported, .. }));
                }
                continue;
            }
            let how = (generation, sm4, encrypt);
            equals_one_request(how, (&seq(5, key), &seq(6, 12), &seq(7, 33)), &[16, 64, 32], seq(8, 119));
        }
        // FIRST from a list
        let stream = Stream::new(generation, sm4, &seq(0, key), &seq(0, 12), true);
        let words = super::refusals::put(&stream.first_words(0, 16), generation, "src_addr_type", 1);
        let (_, verdict) = words.run(&Sec::STANDARD, &stream.mem, generation, 0);
        assert!(matches!(verdict, Verdict::Refused { rule: Rule::Unsupported, .. }));
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(96))]

    /// A message in random pieces equals the message in one piece, in both directions; END has at least one byte.
    #[test]
    fn a_stream_in_any_pieces_equals_one_request(
        sm4: bool, encrypt: bool, size in 0usize..3,
        key in proptest::collection::vec(any::<u8>(), 32), nonce in proptest::collection::vec(any::<u8>(), 12),
        additional in proptest::collection::vec(any::<u8>(), 1..70),
        parts in proptest::collection::vec(1usize..6, 0..5), rest in proptest::collection::vec(any::<u8>(), 1..40),
        seed: u8,
    ) {
        let key = if sm4 { &key[..16] } else { &key[..[16, 24, 32][size]] };
        let pieces: Vec<usize> = parts.iter().map(|blocks| blocks * 16).collect();
        let text = [seq(seed, pieces.iter().sum()), rest].concat();
        equals_one_request((V5, sm4, encrypt), (key, &nonce, &additional), &pieces, text);
    }
}
