//! Tests of the engine through whole descriptors, over buffers of exactly the sizes of section 5.6 at odd addresses.

use super::*;
use crate::engine::Generation::{V2, V3};
use crate::engine::testing::{Space, Words, hex};
use num_bigint::BigUint;
use proptest::prelude::*;
use std::collections::HashMap;

mod differential;
mod ecc;
mod examples;
mod faults;
mod refusals;
mod rsa;
mod sm2;
mod wycheproof;
mod xdh;

static STRICT: Hpre = Hpre::STANDARD;
static LENIENT: Hpre = Hpre::new(Options { any_point: true, any_class: true, zero_digest: true, seed: None });
const TAG: [u32; 2] = [0x8000_4000, 0xFFFF];

/// The non-comment lines of a vector file, in fields.
fn lines(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect())
}

fn named() -> HashMap<&'static str, Vec<u8>> {
    include_str!("../../../../test-vectors/model/hpre.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| (name, hex(value)))
        .collect()
}

fn right(value: &[u8], width: usize) -> Vec<u8> {
    [vec![0; width - value.len()], value.to_vec()].concat()
}

/// `value` in a slot of `width` bytes.
fn slot(value: &BigUint, width: usize) -> Vec<u8> {
    right(&value.to_bytes_be(), width)
}

fn number(text: &str) -> BigUint {
    BigUint::parse_bytes(text.as_bytes(), 16).expect("hexadecimal")
}

/// One request.
#[derive(Clone)]
struct Case {
    alg: u32,
    width: usize,
    key: Vec<u8>,
    input: Vec<u8>,
    output: usize,
    /// Bits of dword 1 above the width.
    flags: u32,
    /// dword 10.
    message: u32,
    generation: Generation,
    injection: Injection,
    engine: &'static Hpre,
}

struct Reply {
    words: Words,
    verdict: Verdict,
    output: Vec<u8>,
}

impl Case {
    fn new(alg: u32, width: usize, key: &[u8], input: &[u8], output: usize) -> Self {
        Self {
            alg,
            width,
            key: key.to_vec(),
            input: input.to_vec(),
            output,
            flags: 0,
            message: 0,
            generation: V3,
            injection: Injection::None,
            engine: &STRICT,
        }
    }

    /// Executes on a queue of the operation's class. As in UADK, a verification's output address is its input's.
    fn run(&self) -> Reply {
        let mem = Space::default();
        let input_at = if self.input.is_empty() { 0 } else { mem.put_odd(&self.input, 3) };
        let out_at = if self.output == 0 { input_at } else { mem.put_odd(&vec![0xEE; self.output], 1) };
        let length = (self.width / 8 - 1) as u32;
        let sent = Words::of(16, &[(0, 1 << 30 | self.alg), (1, length | self.flags), (10, self.message)])
            .set(8, TAG[0])
            .set(9, TAG[1])
            .addr(2, mem.put_odd(&self.key, 5))
            .addr(4, input_at)
            .addr(6, out_at);
        let class = u16::from(self.alg > 5);
        let (words, verdict) = sent.run_with(self.engine, &mem, self.generation, class, self.injection);
        for (index, (got, sent)) in words.0.iter().zip(&sent.0).enumerate() {
            let may_change = match index {
                0 => true,
                1 => got & !(15 << 27) == sent & !(15 << 27),
                6 => self.output == 0,
                8 => self.injection == Injection::StaleTag,
                _ => false,
            };
            assert!(got == sent || may_change, "dword {index}: {sent:08x} became {got:08x}");
        }
        if !self.input.is_empty() {
            assert_eq!(mem.get(input_at, self.input.len()), self.input, "the input is only read");
        }
        let output = if self.output == 0 { Vec::new() } else { mem.get(out_at, self.output) };
        Reply { words, verdict, output }
    }

    /// The output of a request that succeeds.
    fn good(&self) -> Vec<u8> {
        let reply = self.run();
        assert_eq!(reply.words.0[0], 0xC000_0000 | self.alg);
        let expected =
            Verdict::Done { bytes: self.width as u64, output: self.output as u64, status: 0, ok: true };
        assert_eq!(reply.verdict, expected);
        reply.output
    }

    /// Whether the verified signature is valid.
    fn valid(&self) -> bool {
        let reply = self.run();
        assert_eq!(reply.words.0[0], 0xC000_0000 | self.alg);
        assert_eq!(reply.verdict, Verdict::Done { bytes: self.width as u64, output: 0, status: 0, ok: true });
        match reply.words.0[6] {
            0 => false,
            2 => true,
            other => panic!("verdict {other:#x}"),
        }
    }

    /// Demands etype 1 and that nothing is written.
    fn fails(&self) {
        let reply = self.run();
        assert_eq!(reply.words.0[0], 0xC000_0020 | self.alg);
        assert_eq!(reply.verdict, Verdict::Done { bytes: 0, output: 0, status: 1, ok: false });
        assert!(reply.output.iter().all(|byte| *byte == 0xEE), "nothing is written");
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn lenient(self) -> Self {
        self.with(|case| case.engine = &LENIENT)
    }
}

/// A curve of the vector file.
#[derive(Clone)]
struct Named {
    p: BigUint,
    a: BigUint,
    b: BigUint,
    n: BigUint,
    g: (BigUint, BigUint),
}

fn curves() -> HashMap<&'static str, Named> {
    lines(include_str!("../../../../test-vectors/model/hpre-curves.txt"))
        .map(|f| {
            let [p, a, b, n, x, y] = std::array::from_fn(|i| number(f[i + 1]));
            (f[0], Named { p, a, b, n, g: (x, y) })
        })
        .collect()
}

impl Named {
    /// Slot width by the rule of section 4.
    fn width(&self) -> usize {
        match self.p.bits().div_ceil(8) {
            0..=32 => 32,
            33..=48 => 48,
            _ => 72,
        }
    }

    fn image(&self, slots: &[&BigUint]) -> Vec<u8> {
        slots.iter().flat_map(|value| slot(value, self.width())).collect()
    }

    fn multiply(&self, k: &BigUint, (x, y): (&BigUint, &BigUint)) -> Case {
        let w = self.width();
        Case::new(0x0D, w, &self.image(&[&self.p, &self.a, k, &self.b]), &self.image(&[x, y]), 2 * w)
    }

    fn public_of(&self, d: &BigUint) -> (BigUint, BigUint) {
        let out = self.multiply(d, (&self.g.0, &self.g.1)).good();
        let (x, y) = out.split_at(self.width());
        (BigUint::from_bytes_be(x), BigUint::from_bytes_be(y))
    }

    fn private_image(&self, d: &BigUint) -> Vec<u8> {
        self.image(&[&self.p, &self.a, d, &self.b, &self.n, &self.g.0, &self.g.1])
    }

    fn public_image(&self, q: (&BigUint, &BigUint)) -> Vec<u8> {
        self.image(&[&self.p, &self.a, &self.b, &self.n, &self.g.0, &self.g.1, q.0, q.1])
    }

    /// 0x0E or 0x12 with a given k.
    fn sign(&self, alg: u32, d: &BigUint, e: &BigUint, k: &BigUint) -> Case {
        let w = self.width();
        Case::new(alg, w, &self.private_image(d), &self.image(&[e, k]), 2 * w)
    }

    /// 0x0F or 0x13.
    fn verify(&self, alg: u32, q: (&BigUint, &BigUint), e: &BigUint, r: &BigUint, s: &BigUint) -> Case {
        Case::new(alg, self.width(), &self.public_image(q), &self.image(&[e, s, r]), 0)
    }

    /// The leftmost bits of a digest, as many as the order has: the caller's part (section 5.4).
    fn cut(&self, digest: &[u8]) -> BigUint {
        let e = BigUint::from_bytes_be(digest);
        e >> (8 * digest.len() as u64).saturating_sub(self.n.bits())
    }
}

/// r and s, or x and y.
fn pair(output: &[u8]) -> (BigUint, BigUint) {
    let (left, right) = output.split_at(output.len() / 2);
    (BigUint::from_bytes_be(left), BigUint::from_bytes_be(right))
}
