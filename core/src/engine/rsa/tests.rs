//! The engine against scripted write-backs.

use super::*;
use crate::engine::fake::{Fake, Play, golden};
use crate::qm::Version::{V2, V3};

const GOLDEN: &str = include_str!("../../../../test-vectors/sqe/hpre.txt");
const OPERANDS: &str = include_str!("../../../../test-vectors/sqe/rsa2048.txt");

fn operand(name: &str) -> Vec<u8> {
    OPERANDS
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.split_once(": "))
        .flat_map(|(_, hex)| {
            (0..hex.len() / 2).map(move |n| u8::from_str_radix(&hex[n * 2..n * 2 + 2], 16).unwrap())
        })
        .collect()
}

fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().addr() as u64
}

/// An odd number of exactly `bits` bits.
fn number(bits: usize) -> Vec<u8> {
    let mut value = vec![0x5A; bits / 8];
    value[0] = 0x80;
    value[bits / 8 - 1] = 1;
    value
}

fn crt_key(bits: usize) -> PrivateKey {
    let half = number(bits / 2);
    let crt = Crt { p: &half, q: &half, dp: &half, dq: &half, qinv: &half };
    PrivateKey::crt(&number(bits), crt).unwrap()
}

#[test]
fn golden_crt_image_puts_dq_dp_q_p_qinv_side_by_side() {
    let image = operand("crt");
    let slot = |n: usize| {
        // Leading zeros, as an importer may hand them over, change nothing.
        let mut padded = vec![0; 3];
        padded.extend(&image[n * 128..][..128]);
        padded
    };
    let (dq, dp, q, p, qinv) = (slot(0), slot(1), slot(2), slot(3), slot(4));
    let crt = Crt { p: &p, q: &q, dp: &dp, dq: &dq, qinv: &qinv };
    let key = PrivateKey::crt(&operand("n"), crt).unwrap();
    assert_eq!(*key.image, image);
    assert_eq!(key.len(), 256);
}

#[test]
fn golden_public_image_right_aligns_the_exponent() {
    let key = PublicKey::new(&operand("n"), &[1, 0, 1]).unwrap();
    let mut image = vec![0; 253];
    image.extend([1, 0, 1]);
    image.extend(operand("n"));
    assert_eq!(*key.image, image);
    assert_eq!(key.len(), 256);
}

#[test]
fn golden_descriptors_match_in_every_word() {
    for (name, case) in golden(GOLDEN) {
        let (size, kind) = name.strip_prefix("rsa-").unwrap().split_once(' ').unwrap();
        let bits: usize = size.parse().unwrap();
        for version in [V2, V3] {
            let mut ch = Fake::new(version, [case.play()]);
            let input = vec![1; bits / 8];
            let mut output = vec![0; bits / 8];
            let symbols = |image: &[u8], output: &[u8]| {
                [("KEY", address(image)), ("IN", address(&input)), ("OUT", address(output))]
            };
            let symbols = if kind == "public" {
                let key = PublicKey::new(&number(bits), &[3]).unwrap();
                public(&mut ch, &key, &input, &mut output).unwrap();
                symbols(&key.image, &output)
            } else {
                let key = match kind {
                    "crt" => crt_key(bits),
                    _ => PrivateKey::plain(&number(bits), &number(bits)).unwrap(),
                };
                private(&mut ch, &key, &input, &mut output).unwrap();
                symbols(&key.image, &output)
            };
            case.check(&ch.sent[0], &symbols);
            assert_eq!(ch.sent[0].len(), 16);
            assert_eq!(ch.records, [(bits as u64 / 8, true)]);
        }
    }
}

#[test]
fn done_and_both_error_fields_decide() {
    let alg = 1;
    for (word, good) in [
        (0xC000_0000u32, true),
        (0x4000_0000, false),
        (0x8000_0000, false),
        (0x0000_0000, false),
        (0xC000_0020, false),
        (0xC001_0000, false),
        (0xC020_0000, false),
    ] {
        let word = word | alg;
        let mut ch = Fake::replying(V3, &[(0, word), (1, 0x1F | 5 << 27)]);
        let mut output = vec![7; 256];
        let result = private(&mut ch, &crt_key(2048), &[1; 256], &mut output);
        if good {
            assert_eq!(result, Ok(()));
            assert_eq!((output, ch.records), (vec![7; 256], vec![(256, true)]));
        } else {
            assert_eq!(result, Err(Fault::Status(word)));
            assert_eq!((output, ch.records), (vec![0; 256], vec![(0, false)]));
        }
    }
}

#[test]
fn a_changed_input_word_is_inconsistent() {
    for index in 0..16 {
        let changed = if index == 0 { 0xC000_0003 } else { 0x07AD_BEEF };
        let mut reply = vec![(0, 0xC000_0001)];
        reply.push((index, changed));
        let mut ch = Fake::replying(V2, &reply);
        let mut output = vec![7; 256];
        let result = private(&mut ch, &crt_key(2048), &[1; 256], &mut output);
        assert_eq!(result, Err(Fault::Inconsistent), "dword {index}");
        assert_eq!(output, vec![0; 256]);
    }
}

#[test]
fn the_channels_fault_zeroes_the_output_and_is_not_counted() {
    let mut ch = Fake::new(V2, [Play::Fail(Fault::Timeout)]);
    let mut output = vec![7; 128];
    assert_eq!(private(&mut ch, &crt_key(1024), &[1; 128], &mut output), Err(Fault::Timeout));
    assert_eq!(output, vec![0; 128]);
    assert!(ch.records.is_empty());
}

#[test]
fn lengths_other_than_the_modulus_are_refused_before_submission() {
    let mut ch = Fake::new(V2, []);
    let key = crt_key(1024);
    let mut output = [7; 128];
    assert_eq!(private(&mut ch, &key, &[1; 127], &mut output), Err(Fault::Unsupported));
    assert_eq!(output, [0; 128]);
    assert_eq!(private(&mut ch, &key, &[1; 128], &mut [0; 129]), Err(Fault::Unsupported));
}

#[test]
fn keys_the_device_does_not_take_are_refused() {
    let half = number(1024);
    let n = number(2048);
    let crt = Crt { p: &half, q: &half, dp: &half, dq: &half, qinv: &half };
    assert!(PrivateKey::crt(&n, crt).is_some());
    let long = [&[1][..], &half].concat();
    for bad in [&long[..], &[0; 128], &[]] {
        for position in 0..5 {
            let mut crt = crt;
            *[&mut crt.p, &mut crt.q, &mut crt.dp, &mut crt.dq, &mut crt.qinv][position] = bad;
            assert!(PrivateKey::crt(&n, crt).is_none());
        }
    }
    assert!(PublicKey::new(&n, &[0]).is_none());
    assert!(PrivateKey::plain(&n, &[&[1][..], &n].concat()).is_none());
    let mut even = n.clone();
    even[255] = 2;
    let mut short = n.clone();
    short[0] = 0x7F;
    for bad in [&even[..], &short, &number(1536), &n[1..], &[]] {
        assert!(PublicKey::new(bad, &[3]).is_none());
        assert!(PrivateKey::crt(bad, crt).is_none());
    }
    for bits in SIZES {
        assert!(PublicKey::new(&[&[0, 0][..], &number(bits)].concat(), &[0, 1, 0, 1]).is_some());
    }
}

#[test]
fn debug_output_shows_no_key() {
    assert_eq!(format!("{:?}", crt_key(1024)), "PrivateKey { len: 128, .. }");
}
