//! The arithmetic of RSA and DH (reference 5.2, 5.3). Nothing is blinded and no result is checked, as in the device;
//! inputs are reduced modulo n and inconsistent keys are computed with as they are (section 11, items 11 and 12).

use super::NoResult;
use num_bigint::BigUint;

/// A private key in CRT form, in the order of its image.
pub(super) struct CrtKey {
    pub(super) dq: BigUint,
    pub(super) dp: BigUint,
    pub(super) q: BigUint,
    pub(super) p: BigUint,
    pub(super) qinv: BigUint,
}

/// What key completion gives.
pub(super) struct FullKey {
    pub(super) d: BigUint,
    pub(super) n: BigUint,
    pub(super) qinv: BigUint,
    pub(super) dq: BigUint,
    pub(super) dp: BigUint,
}

/// `base`^`exponent` mod `modulus`. Silicon's answer to an even modulus is unknown; its arithmetic is presumably
/// Montgomery's, which has none.
pub(super) fn power(base: &BigUint, exponent: &BigUint, modulus: &BigUint) -> Result<BigUint, NoResult> {
    if !modulus.bit(0) || *modulus == 1u32.into() {
        return Err(NoResult);
    }
    Ok((base % modulus).modpow(exponent, modulus))
}

pub(super) fn crt(input: &BigUint, key: &CrtKey) -> Result<BigUint, NoResult> {
    let m1 = power(input, &key.dp, &key.p)?;
    let m2 = power(input, &key.dq, &key.q)?;
    let difference = m1 + &key.p - &m2 % &key.p;
    Ok(m2 + &key.q * (difference * &key.qinv % &key.p))
}

/// d is the inverse of e modulo (p − 1)(q − 1).
pub(super) fn complete(e: &BigUint, p: &BigUint, q: &BigUint) -> Result<FullKey, NoResult> {
    let one = BigUint::from(1u32);
    if !p.bit(0) || !q.bit(0) || *p == one || *q == one {
        return Err(NoResult);
    }
    let (p1, q1) = (p - &one, q - &one);
    let d = e.modinv(&(&p1 * &q1)).ok_or(NoResult)?;
    let qinv = q.modinv(p).ok_or(NoResult)?;
    Ok(FullKey { dq: &d % &q1, dp: &d % &p1, n: p * q, qinv, d })
}
