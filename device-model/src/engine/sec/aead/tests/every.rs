//! Every combination once, so that the table of what is tested does not depend on chance.

use super::differential::{cbc_oracle, ccm_oracle, gcm_oracle, hmac_oracle};
use super::refusals::put;
use super::*;
use crate::engine::Generation::V5;

/// SM4, bytes of the key.
const CIPHERS: [(bool, usize); 4] = [(false, 16), (false, 24), (false, 32), (true, 16)];
const MODES: [Mode; 6] =
    [Mode::Gcm, Mode::Ccm, Mode::Etm(0x10), Mode::Etm(0x11), Mode::Etm(0x15), Mode::Etm(0x26)];

fn every(mut check: impl FnMut(Ask)) {
    for generation in [V2, V3, V5] {
        for (sm4, key) in CIPHERS {
            for (mode, lists) in
                MODES.into_iter().flat_map(|mode| [false, true].map(|list| (mode, (list, list))))
            {
                check(Ask { sm4, lists, ..Ask::new(generation, mode, key, 16) });
            }
        }
    }
}

fn exists(ask: &Ask) -> bool {
    ask.generation != V2 || !ask.sm4 && ask.mode != Mode::Etm(0x26)
}

fn refused(words: &Words, generation: Generation, rule: Rule) {
    let (_, verdict) = words.run(&Sec::STANDARD, &Space::default(), generation, 0);
    assert!(matches!(&verdict, Verdict::Refused { rule: found, .. } if *found == rule), "{verdict:?}");
}

#[test]
fn every_cipher_mode_and_kind_of_buffer_equals_the_crates() {
    every(|ask| {
        let iv = if ask.mode == Mode::Gcm { seq(1, 12) } else { seq(1, 16) };
        let mut input = Input {
            key: seq(7, ask.key),
            iv,
            auth_key: seq(9, 32),
            additional: seq(2, 21),
            text: seq(3, 80),
            ..Input::default()
        };
        if !exists(&ask) {
            for encrypt in [true, false] {
                let words = Ask { encrypt, ..ask }.words(21, 80, &Places::default());
                refused(&words, ask.generation, Rule::Unsupported);
            }
            return;
        }
        let sealed = match ask.mode {
            Mode::Gcm => gcm_oracle(ask.sm4, &input),
            Mode::Ccm => {
                (input.iv, input.auth_iv) = ccm_blocks(&seq(4, 13), 21, 80, 16);
                ccm_oracle(ask.sm4, &input, &seq(4, 13), 16)
            }
            Mode::Etm(a_alg) => {
                let secret = cbc_oracle(ask.sm4, &input.key, &input.iv, &input.text);
                let mac = hmac_oracle(a_alg, &input.auth_key, &[&input.additional[..], &secret].concat());
                [secret, mac].concat()
            }
        };
        both_ways(&ask, &input, &sealed[..80], &sealed[80..96]);
    });
}

#[test]
fn only_gcm_with_flat_buffers_has_a_stream() {
    every(|ask| {
        for encrypt in [true, false] {
            let words = Ask { encrypt, ..ask }.words(0, 80, &Places::default());
            let words = put(&words, ask.generation, "scene", 7);
            let missing = ask.lists.0 || ask.generation == V2 && ask.sm4;
            match (ask.mode, missing) {
                (Mode::Gcm, false) => {}
                (_, true) => refused(&words, ask.generation, Rule::Unsupported),
                (_, false) => refused(&words, ask.generation, Rule::Value),
            }
        }
    });
}
