//! Authenticated requests from descriptor to memory, built here word by word and independently of the decoder.

use crate::engine::Generation::{self, V2, V3};
use crate::engine::sec::Sec;
use crate::engine::testing::{Space, Words, hex, seq};
use crate::engine::{Engine, Injection, Rule, Verdict};

mod differential;
mod every;
mod known;
mod refusals;
mod streams;
mod words;
mod wycheproof;

/// done_flag of an AEAD, and with a wrong tag (10.1).
const GOOD: u32 = 0x0181;
const MISMATCH: u32 = 0x0185;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Gcm,
    Ccm,
    /// CBC with HMAC: a_alg.
    Etm(u32),
}

/// Addresses of one request.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    source: u64,
    target: u64,
    key: u64,
    iv: u64,
    auth_key: u64,
    auth_iv: u64,
    mac: u64,
}

/// A descriptor in UADK's manner (scene 1, de 1).
#[derive(Clone, Copy, Debug)]
struct Ask {
    generation: Generation,
    sm4: bool,
    /// Bytes of the cipher key.
    key: usize,
    mode: Mode,
    encrypt: bool,
    /// Bytes.
    tag: usize,
    /// Words of the HMAC key.
    auth_key: u32,
    /// Source, destination as scatter/gather lists.
    lists: (bool, bool),
    /// The destination is the source.
    in_place: bool,
    /// auth_src_offset; the text follows the additional data.
    offset: u32,
}

impl Ask {
    fn new(generation: Generation, mode: Mode, key: usize, tag: usize) -> Self {
        let (sm4, encrypt, auth_key) = (false, true, 8);
        Self {
            generation,
            sm4,
            key,
            mode,
            encrypt,
            tag,
            auth_key,
            lists: (false, false),
            in_place: false,
            offset: 0,
        }
    }

    fn words(&self, additional: usize, text: usize, at: &Places) -> Words {
        let algorithm = if self.sm4 { 3 } else { 2 };
        let key = (self.key as u32 - 16) / 8;
        let (cipher, seq) = if self.encrypt { (1, 0) } else { (2, 1) };
        let (mode, icv) = match self.mode {
            Mode::Gcm => (6, self.tag as u32),
            Mode::Ccm => (5, self.tag as u32),
            Mode::Etm(_) => (1, 0),
        };
        let (auth, mac_words, a_key, a_alg, a_len) = match self.mode {
            Mode::Etm(a_alg) => (cipher, self.tag as u32 / 4, self.auth_key, a_alg, additional + text),
            _ => (0, 0, 0, 0, additional),
        };
        let lists = (u32::from(self.lists.0), u32::from(self.lists.1));
        let offsets = self.offset | (self.offset + additional as u32) << 16;
        let words = Words::of(32, &[]);
        if self.generation == V2 {
            words
                .set(0, 2 | cipher << 4 | auth << 6 | seq << 8 | 0xA00 | lists.0 << 15 | lists.1 << 18)
                .set(2, mac_words | a_key << 5 | a_alg << 11)
                .set(3, icv | key << 9 | mode << 12 | algorithm << 16)
                .set(4, a_len as u32)
                .set(5, text as u32)
                .set(6, offsets)
                .set(10, 0x123)
                .addr(14, at.auth_iv)
                .addr(16, at.auth_key)
                .addr(18, at.mac)
                .addr(20, at.iv)
                .addr(22, at.key)
                .addr(24, at.source)
                .addr(26, at.target)
        } else {
            words
                .set(0, 0x223 | lists.0 << 11 | lists.1 << 14)
                .set(1, cipher | icv << 4 | key << 13 | mode << 16 | algorithm << 20 | seq << 30)
                .set(2, 0x123)
                .addr(4, at.source)
                .addr(6, at.auth_key)
                .addr(8, at.auth_iv)
                .addr(12, at.key)
                .set(14, auth | mac_words << 4 | a_key << 9 | a_alg << 15 | 1 << 27)
                .set(16, offsets)
                .set(17, a_len as u32)
                .set(18, text as u32)
                .addr(19, at.target)
                .addr(21, at.mac)
                .addr(23, at.iv)
        }
    }
}

/// Inputs of one request. CCM: `iv` is A1 and `auth_iv` B0; else `auth_iv` is not read.
#[derive(Clone, Debug, Default)]
struct Input {
    key: Vec<u8>,
    iv: Vec<u8>,
    auth_iv: Vec<u8>,
    auth_key: Vec<u8>,
    additional: Vec<u8>,
    text: Vec<u8>,
    /// Expected tag, when decrypting.
    tag: Vec<u8>,
}

/// A1 and B0 for a nonce of 7 to 13 bytes, by SP 800-38C A.2 and A.3.
fn ccm_blocks(nonce: &[u8], additional: usize, text: usize, tag: usize) -> (Vec<u8>, Vec<u8>) {
    let width = 15 - nonce.len();
    let mut a1 = [&[width as u8 - 1], nonce, &vec![0; width]].concat();
    let mut b0 = a1.clone();
    a1[15] = 1;
    b0[0] |= ((tag - 2) / 2 * 8) as u8 | if additional > 0 { 0x40 } else { 0 };
    for (index, byte) in (text as u64).to_be_bytes().iter().rev().take(width).enumerate() {
        b0[15 - index] = *byte;
    }
    (a1, b0)
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
struct Output {
    dw28: u32,
    verdict: Verdict,
    /// The text area of the destination.
    text: Vec<u8>,
    /// The first `tag` bytes at mac_addr.
    tag: Vec<u8>,
}

const FILL: u8 = 0xEE;

/// Runs with buffers of exactly the stated sizes at odd addresses, and checks that nothing else changed: neither the
/// inputs, nor the destination before the text, nor memory behind the tag, nor the descriptor before its write-back.
fn run_with(ask: &Ask, input: &Input, injection: Injection) -> Output {
    let mem = Space::default();
    let lead = ask.offset as usize + input.additional.len();
    let source = [vec![0x5A; ask.offset as usize], input.additional.clone(), input.text.clone()].concat();
    let blank = vec![FILL; source.len()];
    let mac = if ask.encrypt { vec![FILL; ask.tag + 3] } else { [&input.tag[..], &[FILL; 3]].concat() };
    let (mut at, mut pieces) = (Places::default(), (Vec::new(), Vec::new()));
    let place = |list: bool, bytes: &[u8], sizes: &[usize], odd: u64| match list {
        true => mem.chain(bytes, sizes, 3),
        false => {
            let addr = mem.put_odd(bytes, odd);
            (addr, vec![(addr, bytes.len())])
        }
    };
    (at.source, pieces.0) = place(ask.lists.0, &source, &[7, 40, 1, 16], 3);
    (at.target, pieces.1) = match ask.in_place {
        true => (at.source, pieces.0.clone()),
        false => place(ask.lists.1, &blank, &[33, 2], 7),
    };
    let flat = [&input.key, &input.iv, &input.auth_key, &input.auth_iv, &mac];
    let addrs: Vec<u64> = flat.iter().zip([1, 9, 11, 13, 5]).map(|(b, odd)| mem.put_odd(b, odd)).collect();
    [at.key, at.iv, at.auth_key, at.auth_iv, at.mac] = addrs[..].try_into().unwrap();
    let words = ask.words(input.additional.len(), input.text.len(), &at);
    let (got, verdict) = words.run_with(&Sec::STANDARD, &mem, ask.generation, 0, injection);
    assert_eq!(got.0[..28], words.0[..28]);
    assert_eq!(got.0[29..], [0, 0, 0]);
    if !ask.in_place {
        assert_eq!(mem.gather(&pieces.0), source);
    }
    for (bytes, addr) in flat.iter().zip(&addrs).take(4) {
        assert_eq!(mem.get(*addr, bytes.len()), **bytes);
    }
    let mut target = mem.gather(&pieces.1);
    let text = target.split_off(lead);
    assert_eq!(
        target,
        if ask.in_place { &source[..lead] } else { &blank[..lead] },
        "the destination before the text is left alone"
    );
    let tag = mem.get(at.mac, mac.len());
    if !ask.encrypt {
        assert_eq!(tag, mac, "the expected tag is only read");
    }
    assert_eq!(tag[tag.len() - 3..], [FILL; 3]);
    Output { dw28: got.0[28], verdict, text, tag: tag[..tag.len() - 3].to_vec() }
}

fn run(ask: &Ask, input: &Input) -> Output {
    run_with(ask, input, Injection::None)
}

/// Encrypts, asserts success, gives text and tag.
fn seal(ask: &Ask, input: &Input) -> (Vec<u8>, Vec<u8>) {
    let out = run(ask, input);
    let len = input.text.len() as u64;
    let output = len + if ask.encrypt { ask.tag as u64 } else { 0 };
    let good = Verdict::Done { bytes: len, output, status: GOOD << 16, ok: true };
    assert_eq!((out.dw28, &out.verdict), (GOOD, &good), "{ask:?}");
    (out.text, out.tag)
}

/// Both directions: the text encrypts to `secret` and `tag`, and these decrypt to it; a flipped tag bit shows.
fn both_ways(ask: &Ask, input: &Input, secret: &[u8], tag: &[u8]) {
    assert_eq!(seal(ask, input), (secret.to_vec(), tag.to_vec()), "{ask:?}");
    let back = Ask { encrypt: false, ..*ask };
    let mut input = Input { tag: tag.to_vec(), text: secret.to_vec(), ..input.clone() };
    let plain = seal(&back, &input).0;
    for bit in [0, tag.len() * 8 - 1] {
        input.tag = tag.to_vec();
        input.tag[bit / 8] ^= 1 << (bit % 8);
        let out = run(&back, &input);
        let output = plain.len() as u64;
        let bad = Verdict::Done { bytes: 0, output, status: MISMATCH << 16, ok: false };
        assert_eq!((out.dw28, out.verdict), (MISMATCH, bad));
        assert_eq!(out.text, plain, "the text is delivered all the same");
    }
}
