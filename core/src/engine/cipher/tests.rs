//! The engine against scripted write-backs.

use proptest::prelude::*;

use super::*;
use crate::engine::fake::{Fake, Play, golden};
use crate::qm::Version::{V2, V3};

const GOLDEN: &str = include_str!("../../../../test-vectors/sqe/sec.txt");
const CATALOGUE: &str = include_str!("../../../../test-vectors/sqe/sec-catalogue.txt");

const DONE: usize = 28;
const GOOD: u32 = 0x101;

fn good(count: usize) -> Vec<Play> {
    (0..count).map(|_| Play::Reply(vec![(DONE, GOOD)])).collect()
}

fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().addr() as u64
}

struct Case {
    algorithm: Algorithm,
    mode: Mode,
    direction: Direction,
}

/// Runs `case` with separate buffers; the output starts as 0xC5 everywhere.
fn separate(ch: &mut Fake, case: Case, iv: &mut [u8; 16], input: &[u8]) -> Result<Vec<u8>, Fault> {
    let Case { algorithm, mode, direction } = case;
    let mut output = vec![0xC5; input.len()];
    let factor = if mode == Mode::Xts { 2 } else { 1 };
    let key = vec![1; algorithm.key_len() * factor];
    let data = Data::Separate { input, output: &mut output };
    run(ch, Request { algorithm, mode, direction, key: &key, iv, data })?;
    Ok(output)
}

const CBC_ENCRYPT: Case =
    Case { algorithm: Algorithm::Aes256, mode: Mode::Cbc, direction: Direction::Encrypt };

fn named(cipher: &str) -> (Algorithm, Mode) {
    let (algorithm, mode) = cipher.rsplit_once('-').unwrap();
    let algorithm = match algorithm {
        "aes-128" => Algorithm::Aes128,
        "aes-192" => Algorithm::Aes192,
        "aes-256" => Algorithm::Aes256,
        "sm4" => Algorithm::Sm4,
        other => panic!("{other}"),
    };
    let mode = match mode {
        "ecb" => Mode::Ecb,
        "cbc" => Mode::Cbc,
        "ctr" => Mode::Ctr,
        "xts" => Mode::Xts,
        other => panic!("{other}"),
    };
    (algorithm, mode)
}

#[test]
fn golden_descriptors_match_in_every_word() {
    for (name, case) in golden(GOLDEN) {
        let [cipher, direction, version] = name.split(' ').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let (algorithm, mode) = named(cipher);
        let direction = if direction == "encrypt" { Direction::Encrypt } else { Direction::Decrypt };
        let mut ch = Fake::new(if version == "v2" { V2 } else { V3 }, [case.play()]);
        let key = vec![0x11; algorithm.key_len()];
        let len = if mode == Mode::Ctr { 40 } else { 64 };
        let input: Vec<u8> = (0..len).collect();
        let mut output = vec![0; input.len()];
        let mut iv = [0xA0; 16];
        let symbols = [("KEY", address(&key)), ("SRC", address(&input)), ("DST", address(&output))];
        let data = Data::Separate { input: &input, output: &mut output };
        run(&mut ch, Request { algorithm, mode, direction, key: &key, iv: &mut iv, data }).unwrap();
        case.check(&ch.sent[0], &symbols);
        assert_eq!(ch.records, [(input.len() as u64, true)]);
    }
}

#[test]
fn control_words_match_the_catalogue() {
    let mut count = 0;
    for line in CATALOGUE.lines().filter(|line| !line.starts_with('#')) {
        let [cipher, words @ ..] = &line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (algorithm, mode) = named(cipher);
        let words: Vec<u32> = words.iter().map(|word| u32::from_str_radix(word, 16).unwrap()).collect();
        for direction in [Direction::Encrypt, Direction::Decrypt] {
            let decrypt = u32::from(direction == Direction::Decrypt);
            let mut ch = Fake::new(V3, good(1));
            separate(&mut ch, Case { algorithm, mode, direction }, &mut [0; 16], &[0; 48]).unwrap();
            let sent = &ch.sent[0];
            assert_eq!([sent[0], sent[1], sent[14]], [0x223, words[1] + decrypt, words[2]], "{cipher}");
            if supported(V2, algorithm, mode) {
                let mut ch = Fake::new(V2, good(1));
                separate(&mut ch, Case { algorithm, mode, direction }, &mut [0; 16], &[0; 48]).unwrap();
                let sent = &ch.sent[0];
                assert_eq!([sent[0], sent[3]], [0xA12 + 0x10 * decrypt, words[0]], "{cipher}");
            }
        }
        count += 1;
    }
    assert_eq!(count, 15);
}

#[test]
fn the_prefetch_hint_ends_at_0x6000_bytes() {
    for (len, hint) in [(0x6000, 1), (0x6010, 0)] {
        let mut ch = Fake::new(V3, good(1));
        separate(&mut ch, CBC_ENCRYPT, &mut [0; 16], &vec![0; len]).unwrap();
        assert_eq!(ch.sent[0][14] >> 27 & 1, hint);
    }
}

#[test]
fn every_failing_write_back_is_a_fault_and_leaves_iv_and_buffer() {
    for version in [V2, V3] {
        for (reply, expected) in [
            (vec![(DONE, GOOD)], Ok(())),
            (vec![(DONE, GOOD | 1 << 24)], Ok(())),
            (vec![], Err(Fault::Status(0))),
            (vec![(DONE, 0x100)], Err(Fault::Status(0x100))),
            (vec![(DONE, GOOD | 3 << 16)], Err(Fault::Status(GOOD | 3 << 16))),
            (vec![(DONE, 0x001)], Err(Fault::Status(0x001))),
            (vec![(DONE, 0x081)], Err(Fault::Status(0x081))),
            (vec![(DONE, 0x181)], Err(Fault::Status(0x181))),
        ] {
            let mut ch = Fake::new(version, [Play::Reply(reply)]);
            let mut iv = [9; 16];
            let mut buffer = [7u8; 64];
            let request = Request {
                algorithm: Algorithm::Aes128,
                mode: Mode::Cbc,
                direction: Direction::Decrypt,
                key: &[1; 16],
                iv: &mut iv,
                data: Data::InPlace(&mut buffer),
            };
            assert_eq!(run(&mut ch, request), expected);
            if expected.is_ok() {
                // The stage, which nobody filled here, has replaced the input; the chain value was read first.
                assert_eq!((iv, buffer), ([7; 16], [0; 64]));
                assert_eq!(ch.records, [(64, true)]);
            } else {
                assert_eq!((iv, buffer), ([9; 16], [7; 64]));
                assert_eq!(ch.records, [(0, false)]);
            }
        }
    }
}

#[test]
fn a_changed_input_word_is_inconsistent() {
    for version in [V2, V3] {
        for index in 0..28 {
            let mut ch = Fake::replying(version, &[(DONE, GOOD), (index, 0xDEAD_BEEF)]);
            let result = separate(&mut ch, CBC_ENCRYPT, &mut [0; 16], &[0; 64]);
            assert_eq!(result, Err(Fault::Inconsistent), "dw{index}");
            assert_eq!(ch.records, [(0, false)]);
        }
    }
}

#[test]
fn the_channels_fault_is_passed_on_and_not_counted() {
    let mut ch = Fake::new(V3, [Play::Fail(Fault::Reset)]);
    assert_eq!(separate(&mut ch, CBC_ENCRYPT, &mut [0; 16], &[0; 64]), Err(Fault::Reset));
    assert!(ch.records.is_empty());
}

#[test]
fn iv_becomes_the_chain_value_of_each_mode() {
    let input: Vec<u8> = (0..48).collect();
    for (mode, direction, expected) in [
        // The output was never written here: 0xC5.
        (Mode::Cbc, Direction::Encrypt, [0xC5; 16]),
        (Mode::Cbc, Direction::Decrypt, std::array::from_fn(|n| 32 + n as u8)),
        (Mode::Ecb, Direction::Encrypt, [0xFF; 16]),
        (Mode::Xts, Direction::Encrypt, [0xFF; 16]),
        (Mode::Ctr, Direction::Encrypt, 2u128.to_be_bytes()),
    ] {
        let mut ch = Fake::new(V3, good(1));
        let mut iv = [0xFF; 16];
        separate(&mut ch, Case { algorithm: Algorithm::Sm4, mode, direction }, &mut iv, &input).unwrap();
        assert_eq!(iv, expected, "{mode:?} {direction:?}");
    }
    // A partial block counts.
    let mut iv = [0; 16];
    let mut ch = Fake::new(V3, good(1));
    let case = Case { algorithm: Algorithm::Aes192, mode: Mode::Ctr, direction: Direction::Encrypt };
    separate(&mut ch, case, &mut iv, &input[..17]).unwrap();
    assert_eq!(iv, 2u128.to_be_bytes());
}

#[test]
fn long_data_is_cut_at_block_boundaries_and_chained() {
    let input = vec![0; MAX_LEN + 17];
    let mut ch = Fake::new(V3, good(2));
    let mut iv = [0; 16];
    let case = Case { algorithm: Algorithm::Aes128, mode: Mode::Ctr, direction: Direction::Encrypt };
    separate(&mut ch, case, &mut iv, &input).unwrap();
    assert_eq!([ch.sent[0][18], ch.sent[1][18]], [MAX_LEN as u32, 17]);
    let source = |n: usize| u64::from(ch.sent[n][4]) | u64::from(ch.sent[n][5]) << 32;
    assert_eq!([source(0), source(1)], [address(&input), address(&input) + MAX_LEN as u64]);
    assert_eq!(u128::from_be_bytes(iv), MAX_LEN as u128 / 16 + 2);
    assert_eq!(ch.records, [(MAX_LEN as u64, true), (17, true)]);
}

#[test]
fn a_fault_in_the_second_piece_leaves_iv_and_buffer() {
    let mut plays = good(1);
    plays.push(Play::Fail(Fault::Timeout));
    let mut ch = Fake::new(V2, plays);
    let mut iv = [3; 16];
    let mut buffer = vec![7u8; MAX_LEN + 16];
    let request = Request {
        algorithm: Algorithm::Aes128,
        mode: Mode::Ecb,
        direction: Direction::Encrypt,
        key: &[1; 16],
        iv: &mut iv,
        data: Data::InPlace(&mut buffer),
    };
    assert_eq!(run(&mut ch, request), Err(Fault::Timeout));
    assert!(buffer.iter().all(|byte| *byte == 7));
    assert_eq!(iv, [3; 16]);
    assert_eq!(ch.records, [(MAX_LEN as u64, true)]);
}

#[test]
fn what_the_device_does_not_take_is_refused_before_submission() {
    let too_long = vec![0; MAX_LEN + 16];
    let ctr = Mode::Ctr;
    for (version, algorithm, mode, key, input) in [
        (V3, Algorithm::Aes128, Mode::Cbc, 16, &[0; 17][..]),
        (V3, Algorithm::Aes128, Mode::Ecb, 16, &[0; 15]),
        (V3, Algorithm::Aes128, Mode::Cbc, 15, &[0; 16]),
        (V3, Algorithm::Aes256, Mode::Xts, 32, &[0; 16]),
        (V3, Algorithm::Aes256, Mode::Xts, 64, &[0; 15]),
        (V3, Algorithm::Aes256, Mode::Xts, 64, &[]),
        (V3, Algorithm::Aes256, Mode::Xts, 64, &too_long),
        (V3, Algorithm::Aes192, Mode::Xts, 48, &[0; 16]),
        (V2, Algorithm::Sm4, ctr, 16, &[0; 16]),
    ] {
        let mut ch = Fake::new(version, []);
        let mut output = vec![0; input.len()];
        let data = Data::Separate { input, output: &mut output };
        let key = vec![0; key];
        let direction = Direction::Encrypt;
        let request = Request { algorithm, mode, direction, key: &key, iv: &mut [0; 16], data };
        assert_eq!(run(&mut ch, request), Err(Fault::Unsupported), "{algorithm:?} {mode:?}");
    }
    let data = Data::Separate { input: &[0; 32], output: &mut [0; 31] };
    let (algorithm, direction) = (Algorithm::Aes128, Direction::Encrypt);
    let request = Request { algorithm, mode: ctr, direction, key: &[0; 16], iv: &mut [0; 16], data };
    assert_eq!(run(&mut Fake::new(V3, []), request), Err(Fault::Unsupported));
}

#[test]
fn no_data_needs_no_device() {
    let mut iv = [5; 16];
    assert_eq!(separate(&mut Fake::new(V3, []), CBC_ENCRYPT, &mut iv, &[]), Ok(vec![]));
    assert_eq!(iv, [5; 16]);
}

#[test]
fn a_counter_that_wraps_goes_to_v3_only() {
    let mut iv = [0; 16];
    iv[12..].copy_from_slice(&0xFFFF_FFFEu32.to_be_bytes());
    for (len, wraps) in [(32, false), (33, true)] {
        let input = vec![0; len];
        let mut output = vec![0; len];
        let data = Data::Separate { input: &input, output: &mut output };
        let (algorithm, mode, direction) = (Algorithm::Aes128, Mode::Ctr, Direction::Encrypt);
        let mut chain = iv;
        let request = Request { algorithm, mode, direction, key: &[0; 16], iv: &mut chain, data };
        let needs = request.job().needs;
        assert_eq!((needs.v2.is_none(), needs.v3), (wraps, Some("cipher")));
        let mut ch = Fake::new(V2, good(1));
        let expected = if wraps { Err(Fault::Unsupported) } else { Ok(()) };
        assert_eq!(run(&mut ch, request), expected);
        let case = Case { algorithm, mode, direction };
        let mut chain = iv;
        separate(&mut Fake::new(V3, good(1)), case, &mut chain, &input).unwrap();
        // sec.md 16.3: the carry goes through all 128 bits on V3.
        assert_eq!(chain[11], 1);
    }
}

proptest! {
    #[test]
    fn counter_wrap_agrees_with_stepping(low in any::<u32>(), blocks in 0usize..40, tail in 0usize..16) {
        let low = if blocks % 2 == 0 { low | 0xFFFF_FFE0 } else { low };
        let mut iv = [0xEE; 16];
        iv[12..].copy_from_slice(&low.to_be_bytes());
        let len = blocks * 16 + tail;
        let mut wrapped = false;
        let mut counter = low;
        for _ in 1..len.div_ceil(16) {
            counter = counter.wrapping_add(1);
            wrapped |= counter == 0;
        }
        prop_assert_eq!(counter_wraps(&iv, len), wrapped);
    }

    #[test]
    fn no_write_back_changes_an_in_place_buffer_unless_it_is_a_success(
        words in proptest::collection::vec((0usize..32, any::<u32>()), 0..4),
        done: bool, version in prop_oneof![Just(V2), Just(V3)],
    ) {
        let mut reply = words;
        if done {
            reply.push((DONE, GOOD));
        }
        let mut ch = Fake::replying(version, &reply);
        let mut iv = [9; 16];
        let mut buffer = [7u8; 64];
        let request = Request {
            algorithm: Algorithm::Aes128,
            mode: Mode::Ecb,
            direction: Direction::Encrypt,
            key: &[1; 16],
            iv: &mut iv,
            data: Data::InPlace(&mut buffer),
        };
        match run(&mut ch, request) {
            Ok(()) => prop_assert_eq!(buffer, [0; 64]),
            Err(_) => prop_assert_eq!(buffer, [7; 64]),
        }
    }
}
