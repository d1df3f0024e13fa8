//! The SM2 operations (reference 5.4, GB/T 32918): 256-bit curves, SM3 throughout.

use super::NoResult;
use super::Options;
use super::curve::Curve;
use super::ecc::{Domain, digest};
use super::number::{Image, Slots, slot};
use super::random::{ATTEMPTS, Source};
use num_bigint::BigUint;
use sm3::{Digest, Sm3};
use zeroize::Zeroizing;

/// Slot width, bytes; also the length of an SM3 digest.
pub(super) const WIDTH: usize = 32;
const LIMBS: usize = WIDTH / 8;

/// Where k of a signature or ciphertext comes from.
pub(super) enum Scalar<'a> {
    /// The input buffer. A value with which the standard says to draw again has no result.
    Given(BigUint),
    /// The device, which draws again.
    Drawn(&'a Source),
}

impl Scalar<'_> {
    fn attempt<T>(
        &self,
        n: &BigUint,
        mut with: impl FnMut(&BigUint) -> Result<T, NoResult>,
    ) -> Result<T, NoResult> {
        match self {
            Self::Given(k) => with(k),
            Self::Drawn(source) => {
                let mut last = Err(NoResult);
                for _ in 0..ATTEMPTS {
                    last = with(&source.between(1, n)?);
                    if last.is_ok() {
                        break;
                    }
                }
                last
            }
        }
    }
}

/// Key p, a, b, n; input G; output Qx, Qy, d with d in 2 … n − 2: the standard excludes n − 1, UADK refuses 1.
pub(super) fn generate(
    key: Image<'_>,
    input: Image<'_>,
    options: Options,
    source: &Source,
) -> Result<Slots, NoResult> {
    let curve = Curve::<LIMBS>::new(&key.slot(0), &key.slot(1), &key.slot(2)).ok_or(NoResult)?;
    let g = curve.point(&input.slot(0), &input.slot(1), !options.any_point).ok_or(NoResult)?;
    let d = source.between(2, &key.slot(3))?;
    let (x, y) = curve.affine(&curve.multiply(&d, &g)).ok_or(NoResult)?;
    let mut out = Slots::new();
    for value in [&x, &y, &d] {
        out.put(value, WIDTH);
    }
    Ok(out)
}

/// Input e (and k); output r, s. d = n − 1 has no result: 1 + d is not invertible.
pub(super) fn sign(
    key: Image<'_>,
    input: Image<'_>,
    options: Options,
    k: &Scalar<'_>,
) -> Result<Slots, NoResult> {
    let (domain, d) = Domain::<LIMBS>::private(key, options)?;
    let n = &domain.n;
    let e = digest(input, options)?;
    domain.check(&d)?;
    let inverse = (&d + 1u32).modinv(n).ok_or(NoResult)?;
    let (r, s) = k.attempt(n, |k| {
        domain.check(k)?;
        let r = (&e + domain.abscissa(k)?) % n;
        domain.check(&r)?;
        if &r + k == *n {
            return Err(NoResult);
        }
        let s = &inverse * (k + n * &d - &r * &d) % n;
        domain.check(&s)?;
        Ok((r, s))
    })?;
    let mut out = Slots::new();
    out.put(&r, WIDTH);
    out.put(&s, WIDTH);
    Ok(out)
}

/// Input e, s, r.
pub(super) fn verify(key: Image<'_>, input: Image<'_>, options: Options) -> Result<bool, NoResult> {
    let (domain, q) = Domain::<LIMBS>::public(key, options)?;
    let (e, s, r) = (digest(input, options)?, input.slot(1), input.slot(2));
    domain.check(&s)?;
    domain.check(&r)?;
    let t = (&r + &s) % &domain.n;
    if t.bits() == 0 {
        return Ok(false);
    }
    let sum = domain.curve.sum(&[(&s, &domain.g), (&t, &q)]);
    Ok(domain.curve.affine(&sum).is_some_and(|(x, _)| (e + x) % &domain.n == r))
}

/// The shared point as the two strings that key derivation and C3 are made from.
struct Shared {
    x: Zeroizing<Vec<u8>>,
    y: Zeroizing<Vec<u8>>,
}

impl Shared {
    fn new((x, y): &(BigUint, BigUint)) -> Self {
        let string = |value: &BigUint| {
            let mut slots = Slots::new();
            slots.put(value, WIDTH);
            slots.image()
        };
        Self { x: string(x), y: string(y) }
    }

    /// `data` XOR the key stream. None if the stream is zero throughout, which the standard rules out.
    fn mask(&self, data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(data.to_vec());
        let mut any = 0;
        for (count, part) in (1u32..).zip(out.chunks_mut(WIDTH)) {
            let block =
                Sm3::new().chain_update(&*self.x).chain_update(&*self.y).chain_update(count.to_be_bytes());
            for (byte, stream) in part.iter_mut().zip(block.finalize()) {
                *byte ^= stream;
                any |= stream;
            }
        }
        (any != 0).then_some(out)
    }

    fn check_value(&self, message: &[u8]) -> [u8; WIDTH] {
        Sm3::new().chain_update(&*self.x).chain_update(message).chain_update(&*self.y).finalize().into()
    }
}

/// Input k (slot 0) and the message behind it; output C1x, C1y, C2, C3.
pub(super) fn encrypt(
    key: Image<'_>,
    message: &[u8],
    options: Options,
    k: &Scalar<'_>,
) -> Result<Slots, NoResult> {
    let (domain, q) = Domain::<LIMBS>::public(key, options)?;
    let curve = &domain.curve;
    k.attempt(&domain.n, |k| {
        domain.check(k)?;
        let c1 = curve.affine(&curve.multiply(k, &domain.g)).ok_or(NoResult)?;
        let shared = Shared::new(&curve.affine(&curve.multiply(k, &q)).ok_or(NoResult)?);
        let c2 = shared.mask(message).ok_or(NoResult)?;
        let mut out = Slots::new();
        out.put(&c1.0, WIDTH);
        out.put(&c1.1, WIDTH);
        out.bytes(&c2);
        out.bytes(&shared.check_value(message));
        Ok(out)
    })
}

/// Key p, a, d, b; input C1x, C1y, C2, C3; output the message, if C3 is right.
pub(super) fn decrypt(key: Image<'_>, input: &[u8], options: Options) -> Result<Slots, NoResult> {
    let curve = Curve::<LIMBS>::new(&key.slot(0), &key.slot(1), &key.slot(3)).ok_or(NoResult)?;
    let (c1, rest) = input.split_at(2 * WIDTH);
    let (c2, c3) = rest.split_at(rest.len() - WIDTH);
    let c1 = curve.point(&slot(&c1[..WIDTH]), &slot(&c1[WIDTH..]), !options.any_point).ok_or(NoResult)?;
    let shared = Shared::new(&curve.affine(&curve.multiply(&key.slot(2), &c1)).ok_or(NoResult)?);
    let message = shared.mask(c2).ok_or(NoResult)?;
    if shared.check_value(&message) != c3 {
        return Err(NoResult);
    }
    let mut out = Slots::new();
    out.bytes(&message);
    Ok(out)
}
