//! RSA and DH.

use super::*;

/// Both generations; an image of e or d and n, or a CRT image.
fn modular(alg: u32, key: &[u8], input: &[u8], output: usize) -> Case {
    let width = if alg == 1 { key.len() / 5 * 2 } else { key.len() / 2 };
    Case::new(alg, width, key, input, output)
}

fn good(alg: u32, key: &[u8], input: &[u8], output: usize) -> Vec<u8> {
    let case = modular(alg, key, input, output);
    let out = case.good();
    assert_eq!(case.with(|case| case.generation = V2).good(), out);
    out
}

#[test]
fn key_completion_gives_the_key_of_the_worked_example() {
    let v = named();
    let key = [right(&[1, 0, 1], 256), v["rsa.p"].clone(), v["rsa.q"].clone()].concat();
    let short = good(2, &key, &[], 512);
    let full = good(3, &key, &[], 896);
    assert_eq!(full[..512], short);
    assert_eq!(full[256..512], v["rsa.n"]);
    assert_eq!(full[512..640], v["rsa.qinv"]);
    assert_eq!(full[640..768], v["rsa.dq"]);
    assert_eq!(full[768..], v["rsa.dp"]);
    // d undoes e, as the private operation without CRT key.
    let private = [&full[..256], &v["rsa.n"]].concat();
    assert_eq!(good(0, &private, &v["rsa.message"], 256), v["rsa.signature"]);
}

#[test]
fn published_keys_are_completed_and_work_in_both_forms() {
    let mut seen = Vec::new();
    for f in lines(include_str!("../../../../../test-vectors/model/hpre-rsa-keys.txt")) {
        let [e, p, q, n, d] = std::array::from_fn(|i| number(f[i + 1]));
        let w = n.bits() as usize / 8;
        let key = [slot(&e, w), slot(&p, w / 2), slot(&q, w / 2)].concat();
        let full = good(3, &key, &[], 7 * w / 2);
        assert_eq!(full[w..2 * w], slot(&n, w));
        // The published d is the least one, modulo lcm(p − 1, q − 1); the device's is modulo (p − 1)(q − 1).
        let (p1, q1) = (&p - 1u32, &q - 1u32);
        let order = &p1 * &q1;
        let mut gcd = (p1.clone(), q1.clone());
        while gcd.1.bits() > 0 {
            gcd = (gcd.1.clone(), &gcd.0 % &gcd.1);
        }
        let device_d = BigUint::from_bytes_be(&full[..w]);
        assert_eq!(&device_d * &e % &order, 1u32.into());
        assert_eq!(&device_d % (&order / &gcd.0), d);
        let message = slot(&(&n / 3u32), w);
        let crt = [
            &full[5 * w / 2..3 * w],
            &full[3 * w..],
            &key[3 * w / 2..],
            &key[w..3 * w / 2],
            &full[2 * w..5 * w / 2],
        ];
        let signature = good(1, &crt.concat(), &message, w);
        assert_eq!(good(0, &[slot(&d, w), slot(&n, w)].concat(), &message, w), signature);
        assert_eq!(good(0, &[slot(&e, w), slot(&n, w)].concat(), &signature, w), message);
        seen.push(8 * w);
    }
    assert_eq!(seen, [1024, 1024, 2048, 2048, 3072, 3072, 4096, 4096]);
}

#[test]
fn published_groups_agree_on_a_secret() {
    let mut seen = HashMap::new();
    for f in lines(include_str!("../../../../../test-vectors/model/hpre-dh.txt")) {
        let [p, g, xa, ya, yb, z] = std::array::from_fn(|i| number(f[i + 1]));
        let w = p.bits() as usize / 8;
        let key = [slot(&xa, w), slot(&p, w)].concat();
        if g == 2u32.into() {
            assert_eq!(good(4, &key, &[], w), slot(&ya, w), "{}", f[0]);
        }
        assert_eq!(good(5, &key, &slot(&g, w), w), slot(&ya, w), "{}", f[0]);
        assert_eq!(good(5, &key, &slot(&yb, w), w), slot(&z, w), "{}", f[0]);
        *seen.entry(8 * w).or_insert(0) += 1;
    }
    assert_eq!(seen, HashMap::from([(768, 1), (1024, 4), (1536, 1), (2048, 8), (3072, 2), (4096, 2)]));
}

#[test]
fn input_and_exponent_beyond_the_modulus_are_reduced() {
    let key = [right(&[200], 128), right(&[21], 128)].concat();
    let expected = BigUint::from(255u32).modpow(&200u32.into(), &21u32.into());
    assert_eq!(good(0, &key, &right(&[255], 128), 128), slot(&expected, 128));
    let zero = [vec![0; 128], right(&[21], 128)].concat();
    assert_eq!(good(0, &zero, &right(&[5], 128), 128), right(&[1], 128));
    assert_eq!(good(0, &key, &right(&[42], 128), 128), vec![0; 128]);
}

#[test]
fn moduli_shorter_than_the_slot_are_served() {
    // OP-TEE puts a 1000-bit modulus into a slot of 1024 bits.
    let p = (BigUint::from(1u32) << 521) - 1u32;
    let q = (BigUint::from(1u32) << 127) - 1u32;
    let n = &p * &q;
    let (e, input) = (BigUint::from(65_537u32), BigUint::from(0x1234_5678u32));
    let out = good(0, &[slot(&e, 128), slot(&n, 128)].concat(), &slot(&input, 128), 128);
    assert_eq!(out, slot(&input.modpow(&e, &n), 128));
    let dh = good(5, &[slot(&e, 96), slot(&q, 96)].concat(), &slot(&input, 96), 96);
    assert_eq!(dh, slot(&input.modpow(&e, &q), 96));
}

#[test]
fn keys_whose_parts_do_not_belong_together_are_computed_with() {
    // Section 11, item 11: m2 + q·((m1 − m2)·qinv mod p), whatever qinv is.
    let h = |value: u32| slot(&value.into(), 64);
    let key = [h(3), h(5), h(11), h(7), h(6)].concat(); // dq, dp, q, p, qinv
    // 2^5 mod 7 = 4, 2^3 mod 11 = 8, (4 − 8)·6 mod 7 = 4, 8 + 11·4 = 52.
    assert_eq!(good(1, &key, &right(&[2], 128), 128), right(&[52], 128));
}

#[test]
fn operands_without_a_result_end_with_an_error_status() {
    let w = |value: u8| right(&[value], 128);
    let h = |value: u8| right(&[value], 64);
    let crt = |q, p| [h(1), h(1), h(q), h(p), h(1)].concat();
    for (alg, key, input, out) in [
        (0, [w(3), w(20)].concat(), w(5), 128),
        (0, [w(3), w(0)].concat(), w(5), 128),
        (0, [w(3), w(1)].concat(), w(5), 128),
        (5, [w(3), w(20)].concat(), w(5), 128),
        (4, [w(3), w(0)].concat(), vec![], 128),
        (1, crt(7, 4), w(5), 128),
        (1, crt(0, 5), w(5), 128),
        (1, crt(5, 0), w(5), 128),
        (2, [w(3), h(7), h(11)].concat(), vec![], 256), // 3 divides 6
        (2, [w(0), h(7), h(11)].concat(), vec![], 256),
        (2, [w(7), h(0), h(11)].concat(), vec![], 256),
        (3, [w(7), h(11), h(11)].concat(), vec![], 448),
        (3, [w(7), h(1), h(11)].concat(), vec![], 448),
        (3, [w(7), h(11), h(8)].concat(), vec![], 448),
    ] {
        modular(alg, &key, &input, out).fails();
        modular(alg, &key, &input, out).with(|case| case.generation = V2).fails();
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(24))]
    /// CRT against plain exponentiation, over small primes in wide slots and any input.
    #[test]
    fn crt_agrees_with_plain_exponentiation(p in proptest::sample::select(vec![10_007u32, 65_537, 99_991]),
                                            q in proptest::sample::select(vec![10_009u32, 20_011, 99_989]),
                                            input in proptest::collection::vec(any::<u8>(), 256)) {
        let e = right(&[1, 0x10, 0x0F], 256); // 69647, prime
        let half = |value: u32| right(&value.to_be_bytes(), 128);
        let full = good(3, &[e.clone(), half(p), half(q)].concat(), &[], 896);
        let key = [&full[640..768], &full[768..], &half(q), &half(p), &full[512..640]].concat();
        let result = good(1, &key, &input, 256);
        prop_assert_eq!(&result, &good(0, &full[..512], &input, 256));
        let back = good(0, &[&e[..], &full[256..512]].concat(), &result, 256);
        let n = BigUint::from_bytes_be(&full[256..512]);
        prop_assert_eq!(BigUint::from_bytes_be(&back), BigUint::from_bytes_be(&input) % n);
    }
}
