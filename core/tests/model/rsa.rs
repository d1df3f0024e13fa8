//! RSA on the model.

use num_bigint::BigUint;
use warpdrive_core::engine::rsa::{self, Crt, PrivateKey, PublicKey};

use crate::{bytes, check_healthy, device};

/// Big-endian in exactly `len` bytes.
pub fn padded(value: &BigUint, len: usize) -> Vec<u8> {
    let bytes = value.to_bytes_be();
    [vec![0; len - bytes.len()], bytes].concat()
}

/// An odd number of exactly `bits` bits that depends on `seed`.
pub fn odd_number(bits: usize, seed: u8) -> BigUint {
    let mut bytes: Vec<u8> = (0..bits / 8).map(|n| (n as u8).wrapping_mul(37).wrapping_add(seed)).collect();
    bytes[0] |= 0xC0;
    bytes[bits / 8 - 1] |= 1;
    BigUint::from_bytes_be(&bytes)
}

#[test]
fn exponentiations_agree_with_software_on_both_generations() {
    check_healthy("rsa::operations", &["hpre.rsa"]);
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn operations() {
    worked_example();
    for bits in rsa::SIZES {
        arithmetic(bits);
    }
}

/// hpre.md 15.1 and 15.2.
fn worked_example() {
    let operands = include_str!("../../../test-vectors/sqe/rsa2048.txt");
    let operand = |name: &str| -> Vec<u8> {
        let lines = operands.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines.flat_map(|line| bytes(line.split_once(": ").unwrap().1)).collect()
    };
    let (image, n) = (operand("crt"), operand("n"));
    let slot = |index: usize| &image[index * 128..][..128];
    let crt = Crt { dq: slot(0), dp: slot(1), q: slot(2), p: slot(3), qinv: slot(4) };
    let private = PrivateKey::crt(&n, crt).unwrap();
    let public = PublicKey::new(&n, &[1, 0, 1]).unwrap();
    let (message, signature) = (operand("in"), operand("out"));
    let mut output = vec![0; 256];
    device(rsa::job(256), |ch| rsa::private(ch, &private, &message, &mut output)).unwrap();
    assert_eq!(output, signature);
    device(rsa::job(256), |ch| rsa::public(ch, &public, &signature, &mut output)).unwrap();
    assert_eq!(output, message);
}

/// The device computes with what it gets, so the factors need not be prime to compare the arithmetic.
fn arithmetic(bits: usize) {
    let (width, half) = (bits / 8, bits / 16);
    let (p, q) = (odd_number(bits / 2, 3), odd_number(bits / 2, 90));
    let n = &p * &q;
    let (dp, dq, qinv) = (odd_number(160, 1), odd_number(160, 2), odd_number(bits / 2 - 8, 5));
    let message = &n / 3u32;
    let input = padded(&message, width);
    let mut output = vec![0; width];

    let crt = Crt {
        p: &p.to_bytes_be(),
        q: &q.to_bytes_be(),
        dp: &dp.to_bytes_be(),
        dq: &padded(&dq, half),
        qinv: &qinv.to_bytes_be(),
    };
    let key = PrivateKey::crt(&n.to_bytes_be(), crt).unwrap();
    let (m1, m2) = (message.modpow(&dp, &p), message.modpow(&dq, &q));
    let expected = &m2 + &q * ((&m1 + &p - &m2 % &p) * &qinv % &p);
    device(rsa::job(width), |ch| rsa::private(ch, &key, &input, &mut output)).unwrap();
    assert_eq!(output, padded(&expected, width), "CRT, {bits} bits");

    let exponent = odd_number(128, 9);
    let expected = padded(&message.modpow(&exponent, &n), width);
    let key = PrivateKey::plain(&n.to_bytes_be(), &exponent.to_bytes_be()).unwrap();
    device(rsa::job(width), |ch| rsa::private(ch, &key, &input, &mut output)).unwrap();
    assert_eq!(output, expected, "plain, {bits} bits");
    let key = PublicKey::new(&n.to_bytes_be(), &exponent.to_bytes_be()).unwrap();
    device(rsa::job(width), |ch| rsa::public(ch, &key, &input, &mut output)).unwrap();
    assert_eq!(output, expected, "public, {bits} bits");
}
