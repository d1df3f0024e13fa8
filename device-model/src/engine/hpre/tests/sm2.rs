//! SM2 with the numbers of GB/T 32918.5 (reference 15.6 and 15.7), with drawn scalars, and what fails.

use super::*;

const D: &str = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";
const K: &str = "59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21";
const QX: &str = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020";
const QY: &str = "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
const E: &str = "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640";
const R: &str = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3";
const S: &str = "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa";
const DRAWN: u32 = 1 << 25;

fn curve() -> Named {
    curves()["sm2p256v1"].clone()
}

fn q() -> (BigUint, BigUint) {
    (number(QX), number(QY))
}

fn encrypt(curve: &Named, q: (&BigUint, &BigUint), k: &BigUint, message: &[u8]) -> Case {
    let input = [slot(k, 32), message.to_vec()].concat();
    Case::new(0x14, 32, &curve.public_image(q), &input, 96 + message.len())
        .with(|case| case.message = message.len() as u32 - 1)
}

/// The key has only the four slots that are read.
fn decrypt(curve: &Named, d: &BigUint, text: &[u8]) -> Case {
    let key = curve.image(&[&curve.p, &curve.a, d, &curve.b]);
    Case::new(0x15, 32, &key, text, text.len() - 96).with(|case| case.message = text.len() as u32 - 97)
}

fn sign_drawn(curve: &Named, d: &BigUint, e: &BigUint) -> Case {
    Case::new(0x12, 32, &curve.private_image(d), &slot(e, 32), 64).with(|case| case.flags = DRAWN)
}

fn generate(curve: &Named) -> Case {
    let key = curve.image(&[&curve.p, &curve.a, &curve.b, &curve.n]);
    Case::new(0x11, 32, &key, &curve.image(&[&curve.g.0, &curve.g.1]), 96)
}

#[test]
fn the_published_key_and_signature_belong_together() {
    let curve = curve();
    assert_eq!(curve.public_of(&number(D)), q());
    let signed = curve.sign(0x12, &number(D), &number(E), &number(K)).good();
    assert_eq!(pair(&signed), (number(R), number(S)));
    let q = q();
    let q = (&q.0, &q.1);
    assert!(curve.verify(0x13, q, &number(E), &number(R), &number(S)).valid());
    for bit in [0, 7, 100, 255] {
        let flip = |value: &str| number(value) ^ (BigUint::from(1u32) << bit);
        for (e, r, s) in [
            (flip(E), number(R), number(S)),
            (number(E), flip(R), number(S)),
            (number(E), number(R), flip(S)),
        ] {
            assert!(!curve.verify(0x13, q, &e, &r, &s).valid());
        }
    }
    // r and s change places: ECDSA is not SM2 either.
    assert!(!curve.verify(0x13, q, &number(E), &number(S), &number(R)).valid());
    assert!(!curve.verify(0x0F, q, &number(E), &number(R), &number(S)).valid());
}

#[test]
fn drawn_scalars_sign_encrypt_and_differ() {
    let curve = curve();
    let (d, e, q) = (number(D), number(E), q());
    let first = sign_drawn(&curve, &d, &e).good();
    assert_ne!(first, sign_drawn(&curve, &d, &e).good());
    let (r, s) = pair(&first);
    assert!(curve.verify(0x13, (&q.0, &q.1), &e, &r, &s).valid());
    let message = b"drawn by the device";
    let case = encrypt(&curve, (&q.0, &q.1), &0u32.into(), message).with(|case| case.flags = DRAWN);
    let text = case.good();
    assert_ne!(text, case.good());
    assert_eq!(decrypt(&curve, &d, &text).good(), message);
}

#[test]
fn a_k_slot_beside_a_drawn_scalar_is_ignored() {
    let curve = curve();
    let case = curve.sign(0x12, &number(D), &number(E), &number(K)).with(|case| case.flags = DRAWN);
    assert_ne!(pair(&case.good()), (number(R), number(S)));
}

#[test]
fn generated_keys_are_valid_and_differ() {
    let curve = curve();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..8 {
        let out = generate(&curve).good();
        let d = BigUint::from_bytes_be(&out[64..]);
        assert!(d > 1u32.into() && d < &curve.n - 1u32);
        assert_eq!(curve.public_of(&d), pair(&out[..64]));
        assert!(seen.insert(d));
    }
}

#[test]
fn a_seed_makes_a_device_reproducible() {
    static A: Hpre = Hpre::new(Options { seed: Some(7), ..Options::NONE });
    static B: Hpre = Hpre::new(Options { seed: Some(7), ..Options::NONE });
    static C: Hpre = Hpre::new(Options { seed: Some(8), ..Options::NONE });
    let draw = |engine| {
        let curve = curve();
        let key = generate(&curve).with(|case| case.engine = engine).good();
        let signature = sign_drawn(&curve, &number(D), &number(E)).with(|case| case.engine = engine).good();
        (key, signature)
    };
    let first = draw(&A);
    assert_eq!(first, draw(&B));
    assert_ne!(first, draw(&A), "the sequence goes on");
    assert_ne!(first, draw(&C));
}

#[test]
fn ciphertexts_of_every_kind_of_length_return() {
    let curve = curve();
    let (d, q) = (number(D), q());
    for length in [1, 2, 31, 32, 33, 63, 64, 65, 255, 511, 512] {
        let message = crate::engine::testing::seq(1, length);
        // A short key stream may be zero: then another k is called for.
        let text = (0u32..8)
            .find_map(|more| {
                let reply = encrypt(&curve, (&q.0, &q.1), &(number(K) + more), &message).run();
                (reply.words.0[0] == 0xC000_0014).then_some(reply.output)
            })
            .expect("one of eight");
        assert_eq!(decrypt(&curve, &d, &text).good(), message, "{length}");
    }
}

#[test]
fn a_damaged_ciphertext_gives_no_plaintext() {
    let curve = curve();
    let (d, q) = (number(D), q());
    let text = encrypt(&curve, (&q.0, &q.1), &number(K), b"encryption standard").good();
    for at in [0, 31, 63, 64, 82, 83, 114] {
        let mut damaged = text.clone();
        damaged[at] ^= 4;
        decrypt(&curve, &d, &damaged).fails();
        decrypt(&curve, &d, &damaged).lenient().fails();
    }
    decrypt(&curve, &(&d + 1u32), &text).fails();
    decrypt(&curve, &0u32.into(), &text).fails();
}

#[test]
fn operands_without_a_result_fail() {
    let curve = curve();
    let (d, e, k, q) = (&number(D), &number(E), &number(K), q());
    let one = BigUint::from(1u32);
    let last = &curve.n - 1u32;
    curve.sign(0x12, &last, e, k).fails(); // 1 + d has no inverse
    curve.sign(0x12, &0u32.into(), e, k).fails();
    curve.sign(0x12, &curve.n, e, k).fails();
    curve.sign(0x12, d, e, &0u32.into()).fails();
    curve.sign(0x12, d, e, &curve.n).fails();
    curve.sign(0x12, d, &0u32.into(), k).fails();
    // r = 0, and r + k = n.
    let x = &curve.public_of(k).0 % &curve.n;
    curve.sign(0x12, d, &(&curve.n - &x), k).fails();
    curve.sign(0x12, d, &((2u32 * &curve.n - &x - k) % &curve.n), k).fails();
    // s = 0: k = r·d.
    let r = k * d.modinv(&curve.n).unwrap() % &curve.n;
    curve.sign(0x12, d, &((r + &curve.n - &x) % &curve.n), k).fails();
    let public = (&q.0, &q.1);
    for bad in [&BigUint::default(), &curve.n] {
        curve.verify(0x13, public, e, bad, &one).fails();
        curve.verify(0x13, public, e, &one, bad).fails();
        encrypt(&curve, public, bad, b"m").fails();
    }
    assert!(!curve.verify(0x13, public, e, &one, &last).valid(), "t = 0");
    encrypt(&curve, (&q.1, &q.0), k, b"m").fails();
    for n in [0u32, 1, 2, 3] {
        generate(&Named { n: n.into(), ..curve.clone() }).fails();
    }
}

#[test]
fn a_key_stream_of_zero_is_not_used() {
    // With one byte, one k in 256 has one: the software k fails, the device draws again.
    let curve = curve();
    let q = q();
    let public = (&q.0, &q.1);
    let mut failed = 0;
    for k in 1u32..=1024 {
        let reply = encrypt(&curve, public, &k.into(), b"x").run();
        match reply.words.0[0] {
            0xC000_0014 => assert_ne!(reply.output[64], b'x'),
            other => {
                assert_eq!(other, 0xC000_0034);
                failed += 1;
            }
        }
    }
    assert!((1..20).contains(&failed), "{failed}");
    let drawn = encrypt(&curve, public, &0u32.into(), b"x").with(|case| case.flags = DRAWN);
    for _ in 0..1024 {
        assert_ne!(drawn.good()[64], b'x');
    }
}

#[test]
fn senseless_parameters_do_not_hang_a_drawing_device() {
    let curve = curve();
    for n in [0u32, 1, 2, 3, 6] {
        let broken = Named { n: n.into(), ..curve.clone() };
        sign_drawn(&broken, &1u32.into(), &number(E)).run();
        let q = q();
        encrypt(&broken, (&q.0, &q.1), &0u32.into(), b"m").with(|case| case.flags = DRAWN).run();
    }
}
