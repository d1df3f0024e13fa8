//! Against independent crates, on random operands.

use super::*;
use ::sm2::dsa::signature::hazmat::PrehashVerifier;
use p256::elliptic_curve::ff::PrimeField;
use p256::elliptic_curve::point::AffineCoordinates;

fn bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), len)
}

/// k·(t·G) and k·G + e·Q of a crate's curve, with scalars cut to be below the order.
macro_rules! against {
    ($test:ident, $krate:ident, $name:literal, $len:literal) => {
        proptest! {
            #![proptest_config(crate::properties::cases(24))]
            #[test]
            fn $test(mut k in bytes($len), mut t in bytes($len), mut d in bytes($len), e in bytes($len)) {
                for scalar in [&mut k, &mut t, &mut d] {
                    scalar[..2].fill(0);
                    scalar[$len - 1] |= 1;
                }
                let curve = &curves()[$name];
                let theirs = |value: &[u8]| {
                    $krate::Scalar::from_repr($krate::FieldBytes::try_from(value).unwrap()).unwrap()
                };
                let ours = |value: &[u8]| BigUint::from_bytes_be(value);
                let affine = |point: $krate::ProjectivePoint| {
                    let point = point.to_affine();
                    (ours(point.x().as_ref()), ours(point.y().as_ref()))
                };
                let g = $krate::ProjectivePoint::GENERATOR;
                let peer = curve.public_of(&ours(&t));
                prop_assert_eq!(&peer, &affine(g * theirs(&t)));
                let product = pair(&curve.multiply(&ours(&k), (&peer.0, &peer.1)).good());
                prop_assert_eq!(product, affine(g * theirs(&t) * theirs(&k)));
                // ECDSA by its definition over their group.
                let e = ours(&e);
                let (r, s) = pair(&curve.sign(0x0E, &ours(&d), &e, &ours(&k)).good());
                prop_assert_eq!(&r, &(affine(g * theirs(&k)).0 % &curve.n));
                prop_assert_eq!(s * ours(&k) % &curve.n, (e + r * ours(&d)) % &curve.n);
            }
        }
    };
}

against!(p256_agrees, p256, "secp256r1", 32);
against!(p384_agrees, p384, "secp384r1", 48);
against!(k256_agrees, k256, "secp256k1", 32);

proptest! {
    #![proptest_config(crate::properties::cases(24))]

    #[test]
    fn p521_agrees(mut k in bytes(66), mut t in bytes(66)) {
        for scalar in [&mut k, &mut t] {
            scalar[..2].fill(0);
            scalar[65] |= 1;
        }
        let curve = &curves()["secp521r1"];
        let theirs = |value: &[u8]| p521::Scalar::from_repr(p521::FieldBytes::try_from(value).unwrap()).unwrap();
        let ours = |value: &[u8]| BigUint::from_bytes_be(value);
        let peer = curve.public_of(&ours(&t));
        let product = pair(&curve.multiply(&ours(&k), (&peer.0, &peer.1)).good());
        let point = (p521::ProjectivePoint::GENERATOR * theirs(&t) * theirs(&k)).to_affine();
        prop_assert_eq!(product, (ours(point.x().as_ref()), ours(point.y().as_ref())));
    }

    #[test]
    fn x25519_agrees(k in bytes(32), u in bytes(32)) {
        let array = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap();
        let theirs = x25519_dalek::x25519(array(&k), array(&u));
        prop_assert_eq!(super::xdh::Ladder::x25519().agree(&k, &u), theirs);
    }

    #[test]
    fn sm2_signatures_and_ciphertexts_are_good_elsewhere(mut d in bytes(32), e in bytes(32), text in bytes(77), len in 8usize..77) {
        d[0] = 0;
        d[31] |= 1;
        let curve = &curves()["sm2p256v1"];
        let private = BigUint::from_bytes_be(&d);
        let q = curve.public_of(&private);
        let point = [vec![4], slot(&q.0, 32), slot(&q.1, 32)].concat();
        let signature = Case::new(0x12, 32, &curve.private_image(&private), &e, 64)
            .with(|case| case.flags = 1 << 25)
            .good();
        let verifier = ::sm2::dsa::VerifyingKey::from_sec1_bytes("anybody", &point).unwrap();
        let theirs = ::sm2::dsa::Signature::from_slice(&signature).unwrap();
        prop_assert!(verifier.verify_prehash(&e, &theirs).is_ok());
        let input = [vec![0; 32], text[..len].to_vec()].concat();
        let sealed = Case::new(0x14, 32, &curve.public_image((&q.0, &q.1)), &input, 96 + len)
            .with(|case| (case.flags, case.message) = (1 << 25, len as u32 - 1))
            .good();
        // C1 with its tag, C2, C3.
        let secret = ::sm2::SecretKey::from_slice(&d).unwrap();
        let opener = ::sm2::pke::DecryptingKey::new_with_mode(secret.to_nonzero_scalar(), ::sm2::pke::Mode::C1C2C3);
        prop_assert_eq!(opener.decrypt(&[vec![4], sealed].concat()).unwrap(), &text[..len]);
    }
}
