//! Point multiplication and ECDSA on named curves, and what happens to senseless operands.

use super::*;

const P256: &str = "secp256r1";

#[test]
fn published_point_multiplications_come_out() {
    let curves = curves();
    let mut seen = HashMap::new();
    for f in lines(include_str!("../../../../../test-vectors/model/hpre-ecdh.txt")) {
        let curve = &curves[f[1]];
        let [k, x, y, z] = std::array::from_fn(|i| number(f[i + 2]));
        let (rx, ry) = pair(&curve.multiply(&k, (&x, &y)).good());
        assert_eq!(rx, z, "{f:?}");
        assert!(f[6] == "-" || ry == number(f[6]), "{f:?}");
        *seen.entry(f[0]).or_insert(0) += 1;
    }
    assert_eq!(seen, HashMap::from([("CAVP-KAS", 20), ("RFC7027", 12), ("RFC5903", 12)]));
}

#[test]
fn published_ecdsa_signatures_come_out_and_verify() {
    let curves = curves();
    let mut seen = HashMap::new();
    for f in lines(include_str!("../../../../../test-vectors/model/hpre-ecdsa.txt")) {
        let curve = &curves[f[1]];
        let [d, k, r, s] = [2, 4, 5, 6].map(|i| number(f[i]));
        let e = curve.cut(&hex(f[3]));
        assert_eq!(pair(&curve.sign(0x0E, &d, &e, &k).good()), (r.clone(), s.clone()), "{f:?}");
        let q = curve.public_of(&d);
        let q = (&q.0, &q.1);
        assert!(curve.verify(0x0F, q, &e, &r, &s).valid(), "{f:?}");
        assert!(!curve.verify(0x0F, q, &(e + 1u32), &r, &s).valid());
        *seen.entry((f[0], f[1])).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 10);
    assert!(seen.values().all(|count| *count == 10), "{seen:?}");
}

#[test]
fn every_curve_of_any_width_closes_on_its_order() {
    // a = 0, a = −3 and general a; 128 to 521 bits in slots of 32, 48 and 72 bytes.
    let curves = curves();
    assert_eq!(curves.len(), 28);
    for (name, curve) in &curves {
        let last = &curve.n - 1u32;
        let (x, y) = curve.public_of(&last);
        assert_eq!((x, y), (curve.g.0.clone(), &curve.p - &curve.g.1), "{name}: (n − 1)·G = −G");
        curve.multiply(&curve.n, (&curve.g.0, &curve.g.1)).fails();
        // The multiplier is no residue: n + 1 is 1.
        assert_eq!(curve.public_of(&(&curve.n + 1u32)), curve.g, "{name}");
        // 2·G and 3·G by the affine formulas.
        let f = |value: BigUint| value % &curve.p;
        let (x, y) = &curve.g;
        let slope = (3u32 * x * x + &curve.a) * (2u32 * y).modinv(&curve.p).unwrap() % &curve.p;
        let x2 = f(&slope * &slope + 2u32 * (&curve.p - x));
        let y2 = f(slope * (x + &curve.p - &x2) + &curve.p - y);
        assert_eq!(curve.public_of(&2u32.into()), (x2.clone(), y2.clone()), "{name}: 2·G");
        let slope = (&y2 + &curve.p - y) * (&x2 + &curve.p - x).modinv(&curve.p).unwrap() % &curve.p;
        let x3 = f(&slope * &slope + 2u32 * &curve.p - x - x2);
        assert_eq!(curve.public_of(&3u32.into()).0, x3, "{name}: 3·G");
    }
}

#[test]
fn narrow_curves_work_in_wider_slots() {
    let curve = &curves()["secp224r1"];
    let (k, w) = (number("1234567890abcdef"), 72);
    let image = |slots: &[&BigUint]| slots.iter().flat_map(|v| slot(v, w)).collect::<Vec<u8>>();
    let key = image(&[&curve.p, &curve.a, &k, &curve.b]);
    let out = Case::new(0x0D, w, &key, &image(&[&curve.g.0, &curve.g.1]), 144).good();
    assert_eq!(pair(&out), curve.public_of(&k));
}

#[test]
fn coefficients_beyond_p_are_reduced() {
    let curve = &curves()["secp224r1"];
    let beyond = Named { a: &curve.a + &curve.p, b: &curve.b + &curve.p, ..curve.clone() };
    assert_eq!(beyond.public_of(&7u32.into()), curve.public_of(&7u32.into()));
}

#[test]
fn multiplications_without_a_result_fail() {
    let curve = &curves()[P256];
    let (x, y) = (&curve.g.0, &curve.g.1);
    let k = &BigUint::from(5u32);
    curve.multiply(&0u32.into(), (x, y)).fails();
    for p in [BigUint::default(), 1u32.into(), 4u32.into(), &curve.p - 1u32] {
        let broken = Named { p, ..curve.clone() };
        broken.multiply(k, (&0u32.into(), &0u32.into())).fails();
    }
    // Coordinates not below p are none.
    let small = Named { p: 23u32.into(), a: 1u32.into(), b: 1u32.into(), ..curve.clone() };
    let (x, y) = (BigUint::from(3u32), BigUint::from(10u32)); // 100 = 27 + 3 + 1 mod 23
    assert_eq!(pair(&small.multiply(&2u32.into(), (&x, &y)).good()), (7u32.into(), 12u32.into()));
    small.multiply(k, (&(x + 23u32), &y)).fails();
    // (4, 0) has order 2.
    small.multiply(&2u32.into(), (&4u32.into(), &0u32.into())).fails();
    assert_eq!(pair(&small.multiply(&3u32.into(), (&4u32.into(), &0u32.into())).good()).0, 4u32.into());
}

#[test]
fn points_off_the_curve_fail_where_the_check_is_on() {
    let curve = &curves()[P256];
    let q = curve.public_of(&9u32.into());
    let off = &q.1 + 1u32;
    let k = BigUint::from(3u32);
    let case = curve.multiply(&k, (&q.0, &off));
    case.fails();
    // Without it, the formulas see a point of another curve: that with the b that fits.
    let b = (&off * &off + (&curve.p - &q.0) * (&q.0 * &q.0 + &curve.a)) % &curve.p;
    let other = Named { b, ..curve.clone() };
    assert_eq!(case.lenient().good(), other.multiply(&k, (&q.0, &off)).good());
    curve.multiply(&k, (&0u32.into(), &0u32.into())).fails();
    let (r, s) = pair(&curve.sign(0x0E, &9u32.into(), &1u32.into(), &k).good());
    curve.verify(0x0F, (&q.0, &off), &1u32.into(), &r, &s).fails();
    assert!(!curve.verify(0x0F, (&q.0, &off), &1u32.into(), &r, &s).lenient().valid());
    let broken = Named { g: (q.0, off), ..curve.clone() };
    broken.sign(0x0E, &9u32.into(), &1u32.into(), &k).fails();
}

#[test]
fn scalars_and_signatures_out_of_range_fail() {
    let curve = &curves()[P256];
    let (one, zero) = (&BigUint::from(1u32), &BigUint::default());
    let (d, e) = (&BigUint::from(77u32), &BigUint::from(1234u32));
    for bad in [zero, &curve.n, &(&curve.n + 5u32)] {
        curve.sign(0x0E, bad, e, one).fails();
        curve.sign(0x0E, d, e, bad).fails();
        let q = curve.public_of(d);
        curve.verify(0x0F, (&q.0, &q.1), e, bad, one).fails();
        curve.verify(0x0F, (&q.0, &q.1), e, one, bad).fails();
    }
    // s = 0: e + r·d = 0 mod n.
    let r = &curve.g.0 % &curve.n;
    curve.sign(0x0E, d, &(&curve.n - r * d % &curve.n), one).fails();
    // Orders without inverses, or none at all.
    for n in [BigUint::default(), 1u32.into(), 2u32.into(), 100u32.into()] {
        let broken = Named { n, ..curve.clone() };
        broken.sign(0x0E, &2u32.into(), e, &2u32.into()).fails();
    }
}

#[test]
fn a_digest_of_zero_fails_where_the_check_is_on_and_a_long_one_is_reduced() {
    let curve = &curves()[P256];
    let (d, k) = (&BigUint::from(77u32), &BigUint::from(99u32));
    let zero = BigUint::default();
    curve.sign(0x0E, d, &zero, k).fails();
    let (r, s) = pair(&curve.sign(0x0E, d, &zero, k).lenient().good());
    let q = curve.public_of(d);
    let q = (&q.0, &q.1);
    curve.verify(0x0F, q, &zero, &r, &s).fails();
    assert!(curve.verify(0x0F, q, &zero, &r, &s).lenient().valid());
    assert_eq!(pair(&curve.sign(0x0E, d, &curve.n, k).good()), (r.clone(), s.clone()));
    assert!(curve.verify(0x0F, q, &curve.n, &r, &s).valid());
}

#[test]
fn verification_at_infinity_is_a_verdict() {
    // u1·G + u2·Q = infinity: with Q = G, e = −r.
    let curve = &curves()[P256];
    let r = BigUint::from(5u32);
    let case = curve.verify(0x0F, (&curve.g.0, &curve.g.1), &(&curve.n - &r), &r, &3u32.into());
    assert!(!case.valid());
}
