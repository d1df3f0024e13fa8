//! The operation of X25519 and X448: u(k·P) on a Montgomery curve given by its prime and a24 (reference 5.5).

use super::NoResult;
use super::field::{Element, Field};
use num_bigint::BigUint;

/// u of k times the point with coordinate u, or 0 where that is infinity (a point of low order), as RFC 7748 has it.
///
/// The scalar is taken as it is: clamping is the driver's. The engine deals only with u < p (a vendor's statement), so
/// another u has no result here, and neither has k = 0, which no clamped scalar is.
pub(super) fn ladder<const L: usize>(
    p: &BigUint,
    a24: &BigUint,
    k: &BigUint,
    u: &BigUint,
) -> Result<BigUint, NoResult> {
    let f = Field::<L>::new(p).ok_or(NoResult)?;
    if u >= p || k.bits() == 0 {
        return Err(NoResult);
    }
    let (base, a24) = (f.enter(u), f.enter(a24));
    let (mut x, mut z) = (f.one(), Element::ZERO);
    let (mut x_next, mut z_next) = (base, f.one());
    for place in (0..k.bits()).rev() {
        let bit = k.bit(place);
        if bit {
            std::mem::swap(&mut x, &mut x_next);
            std::mem::swap(&mut z, &mut z_next);
        }
        let (sum, difference) = (f.add(&x, &z), f.sub(&x, &z));
        let (sum2, difference2) = (f.square(&sum), f.square(&difference));
        let left = f.mul(&f.sub(&x_next, &z_next), &sum);
        let right = f.mul(&f.add(&x_next, &z_next), &difference);
        x_next = f.square(&f.add(&left, &right));
        z_next = f.mul(&base, &f.square(&f.sub(&left, &right)));
        x = f.mul(&sum2, &difference2);
        let e = f.sub(&sum2, &difference2);
        z = f.mul(&e, &f.add(&sum2, &f.mul(&a24, &e)));
        if bit {
            std::mem::swap(&mut x, &mut x_next);
            std::mem::swap(&mut z, &mut z_next);
        }
    }
    Ok(f.invert(&z).map_or_else(BigUint::default, |inverse| f.leave(&f.mul(&x, &inverse))))
}
