use super::*;
use proptest::prelude::*;

fn check<const L: usize>(modulus: &[u8], a: &[u8], b: &[u8]) -> Result<(), TestCaseError> {
    let big = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
    let mut p = big(&modulus[..modulus.len().min(8 * L)]);
    p.set_bit(0, true);
    let Some(f) = Field::<L>::new(&p) else {
        prop_assert_eq!(p, BigUint::from(1u32));
        return Ok(());
    };
    let (a, b) = (big(a), big(b));
    let (x, y) = (f.enter(&a), f.enter(&b));
    let (a, b) = (a % &p, b % &p);
    prop_assert_eq!(f.leave(&x), a.clone());
    prop_assert_eq!(f.leave(&f.mul(&x, &y)), &a * &b % &p);
    prop_assert_eq!(f.leave(&f.square(&x)), &a * &a % &p);
    prop_assert_eq!(f.leave(&f.add(&x, &y)), (&a + &b) % &p);
    prop_assert_eq!(f.leave(&f.double(&x)), (&a + &a) % &p);
    prop_assert_eq!(f.leave(&f.sub(&x, &y)), (&a + &p - &b) % &p);
    prop_assert_eq!(f.leave(&f.one()), BigUint::from(1u32));
    prop_assert_eq!(x == y, a == b);
    prop_assert_eq!(x.is_zero(), a == BigUint::default());
    prop_assert_eq!(f.invert(&x).map(|i| f.leave(&i)), a.modinv(&p));
    Ok(())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..80),
        // Long carries and borrows.
        (1usize..80, any::<u8>()).prop_map(|(len, last)| {
            let mut all = vec![0xFF; len];
            all[len - 1] = last;
            all
        }),
        (1usize..80).prop_map(|len| vec![0; len]),
    ]
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn agrees_with_plain_integers(modulus in bytes(), a in bytes(), b in bytes()) {
        check::<4>(&modulus, &a, &b)?;
        check::<6>(&modulus, &a, &b)?;
        check::<9>(&modulus, &a, &b)?;
    }
}

#[test]
fn moduli_without_montgomery_form_are_turned_away() {
    for bad in
        [BigUint::from(0u32), 1u32.into(), 2u32.into(), 100u32.into(), (BigUint::from(1u32) << 256) + 1u32]
    {
        assert!(Field::<4>::new(&bad).is_none(), "{bad}");
    }
    assert!(Field::<4>::new(&3u32.into()).is_some());
}
