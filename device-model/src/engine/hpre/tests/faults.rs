//! What the fault plan asks for, and descriptions.

use super::*;

fn power() -> Case {
    let key = [right(&[3], 128), right(&[55], 128)].concat();
    Case::new(0, 128, &key, &right(&[2], 128), 128)
}

fn verification() -> Case {
    let curve = &curves()["secp256r1"];
    let (d, e, k) = (7u32.into(), 8u32.into(), 9u32.into());
    let (r, s) = pair(&curve.sign(0x0E, &d, &e, &k).good());
    let q = curve.public_of(&d);
    curve.verify(0x0F, (&q.0, &q.1), &e, &r, &s)
}

fn inject(case: Case, injection: Injection) -> Reply {
    case.with(|case| case.injection = injection).run()
}

#[test]
fn an_injected_status_shows_as_asked_and_writes_nothing() {
    for (code, word, ok) in [
        (7, 0xC000_00E0, false),
        (2 << 16, 0xC002_0000, false),
        (1 << 30, 0x4000_0000, false),
        (2 << 30, 0x8000_0000, false),
        (3 << 30, 0xC000_0000, true),
        (0, 0xC000_0000, true),
    ] {
        let reply = inject(power(), Injection::Status(code));
        assert_eq!((reply.words.0[0], reply.output), (word, vec![0xEE; 128]));
        let status = if code >> 30 == 3 { 0 } else { code };
        assert_eq!(reply.verdict, Verdict::Done { bytes: if ok { 128 } else { 0 }, output: 0, status, ok });
    }
}

#[test]
fn partial_writes_half_and_fails() {
    let reply = inject(power(), Injection::Partial);
    assert_eq!((reply.words.0[0], reply.output), (0xC000_0020, [vec![0; 64], vec![0xEE; 64]].concat()));
    assert_eq!(reply.verdict, Verdict::Done { bytes: 0, output: 64, status: 1, ok: false });
    let reply = inject(verification(), Injection::Partial);
    assert_eq!(reply.words.0[0], 0xC000_002F);
}

#[test]
fn corrupt_is_silent() {
    let reply = inject(power(), Injection::Corrupt);
    assert_eq!(reply.words.0[0], 0xC000_0000);
    assert_eq!(reply.verdict.done(), Some((128, true)));
    assert_ne!(reply.output, right(&[8], 128));
    assert!(verification().valid());
    let wrong = verification().with(|case| case.injection = Injection::Corrupt);
    assert!(!wrong.valid(), "the verdict is turned round");
}

#[test]
fn a_stale_tag_is_the_one_before() {
    let reply = inject(power(), Injection::StaleTag);
    assert_eq!(reply.words.0[8..10], [TAG[0] - 1, TAG[1]]);
    assert_eq!(reply.output, right(&[8], 128));
}

#[test]
fn truncation_is_not_for_this_engine() {
    let case = power().with(|case| case.injection = Injection::Truncate);
    assert_eq!(case.good(), right(&[8], 128));
}

#[test]
fn descriptions_and_classes_name_every_operation() {
    let describe = |alg: u32, width: u32, flags: u32| {
        let raw: Vec<u8> = Words::of(16, &[(0, 1 << 30 | alg), (1, (width / 8 - 1) | flags)])
            .0
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let description = STRICT.describe(&raw, V3, 0);
        assert_eq!((description.buffers, description.mode), (Buffers::Flat, Mode::OneShot));
        (STRICT.classify(&raw, V3, 0), description.operation)
    };
    for (alg, width, flags, class, text) in [
        (0x00, 256, 0, "rsa", "RSA-2048"),
        (0x01, 512, 0, "rsa", "RSA-4096 CRT"),
        (0x02, 128, 0, "rsa", "RSA-1024 key generation"),
        (0x03, 384, 0, "rsa", "RSA-3072 CRT key generation"),
        (0x04, 96, 0, "dh", "DH-768 base 2"),
        (0x05, 192, 0, "dh", "DH-1536"),
        (0x0D, 32, 0, "ecdh", "ECDH 256"),
        (0x0D, 72, 0, "ecdh", "ECDH 521"),
        (0x0E, 48, 0, "ecdsa", "ECDSA 384 sign"),
        (0x0F, 32, 0, "ecdsa", "ECDSA 256 verify"),
        (0x10, 32, 0, "xdh", "X25519"),
        (0x10, 72, 0, "xdh", "X448"),
        (0x11, 32, 0, "sm2", "SM2 key generation"),
        (0x12, 32, 0, "sm2", "SM2 sign"),
        (0x12, 32, 1 << 25, "sm2", "SM2 sign, device k"),
        (0x13, 32, 0, "sm2", "SM2 verify"),
        (0x14, 32, 0, "sm2", "SM2 encrypt"),
        (0x14, 32, 1 << 25, "sm2", "SM2 encrypt, device k"),
        (0x15, 32, 0, "sm2", "SM2 decrypt"),
        (0x06, 32, 0, "unknown", "alg 0x06"),
        (0x1F, 32, 0, "unknown", "alg 0x1f"),
    ] {
        assert_eq!(describe(alg, width, flags), (class, text.to_owned()));
    }
    assert_eq!(STRICT.describe(&[], V3, 0).operation, "unknown");
    assert_eq!(STRICT.classify(&[], V3, 0), "unknown");
}
