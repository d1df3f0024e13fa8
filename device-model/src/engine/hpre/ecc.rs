//! Point multiplication and ECDSA (reference 5.4). Scalars out of range, points off the curve and results at infinity
//! have no result; silicon's answer to them is unknown (section 14, item 5).

use super::NoResult;
use super::Options;
use super::curve::{Curve, Point};
use super::number::{Image, Slots};
use num_bigint::BigUint;

/// Curve, generator and order of one descriptor.
pub(super) struct Domain<const L: usize> {
    pub(super) curve: Curve<L>,
    pub(super) n: BigUint,
    pub(super) g: Point<L>,
}

impl<const L: usize> Domain<L> {
    /// From the slots of p, a, b, n, Gx and Gy.
    fn new(image: Image<'_>, [p, a, b, n, gx, gy]: [usize; 6], options: Options) -> Result<Self, NoResult> {
        let curve = Curve::new(&image.slot(p), &image.slot(a), &image.slot(b)).ok_or(NoResult)?;
        let g = curve.point(&image.slot(gx), &image.slot(gy), !options.any_point).ok_or(NoResult)?;
        Ok(Self { curve, n: image.slot(n), g })
    }

    /// From a private image p, a, d, b, n, Gx, Gy; gives d as well.
    pub(super) fn private(image: Image<'_>, options: Options) -> Result<(Self, BigUint), NoResult> {
        Ok((Self::new(image, [0, 1, 3, 4, 5, 6], options)?, image.slot(2)))
    }

    /// From a public image p, a, b, n, Gx, Gy, Qx, Qy; gives Q as well.
    pub(super) fn public(image: Image<'_>, options: Options) -> Result<(Self, Point<L>), NoResult> {
        let domain = Self::new(image, [0, 1, 2, 3, 4, 5], options)?;
        let q = domain.curve.point(&image.slot(6), &image.slot(7), !options.any_point).ok_or(NoResult)?;
        Ok((domain, q))
    }

    /// 1 ≤ value < n.
    pub(super) fn check(&self, value: &BigUint) -> Result<(), NoResult> {
        if value.bits() > 0 && *value < self.n { Ok(()) } else { Err(NoResult) }
    }

    /// x of k·G modulo n.
    pub(super) fn abscissa(&self, k: &BigUint) -> Result<BigUint, NoResult> {
        let (x, _) = self.curve.affine(&self.curve.multiply(k, &self.g)).ok_or(NoResult)?;
        Ok(x % &self.n)
    }
}

/// The digest, which no driver sends as zero (section 9).
pub(super) fn digest(input: Image<'_>, options: Options) -> Result<BigUint, NoResult> {
    let e = input.slot(0);
    if e.bits() == 0 && !options.zero_digest { Err(NoResult) } else { Ok(e) }
}

/// k·P: key p, a, k, b; input and output x, y.
pub(super) fn multiply<const L: usize>(
    key: Image<'_>,
    input: Image<'_>,
    options: Options,
) -> Result<Slots, NoResult> {
    let curve = Curve::<L>::new(&key.slot(0), &key.slot(1), &key.slot(3)).ok_or(NoResult)?;
    let point = curve.point(&input.slot(0), &input.slot(1), !options.any_point).ok_or(NoResult)?;
    let (x, y) = curve.affine(&curve.multiply(&key.slot(2), &point)).ok_or(NoResult)?;
    let mut out = Slots::new();
    out.put(&x, key.width);
    out.put(&y, key.width);
    Ok(out)
}

/// Input e, k; output r, s.
pub(super) fn sign<const L: usize>(
    key: Image<'_>,
    input: Image<'_>,
    options: Options,
) -> Result<Slots, NoResult> {
    let (domain, d) = Domain::<L>::private(key, options)?;
    let (e, k) = (digest(input, options)?, input.slot(1));
    domain.check(&d)?;
    domain.check(&k)?;
    let r = domain.abscissa(&k)?;
    let s = k.modinv(&domain.n).ok_or(NoResult)? * (e + &r * &d) % &domain.n;
    domain.check(&r)?;
    domain.check(&s)?;
    let mut out = Slots::new();
    out.put(&r, key.width);
    out.put(&s, key.width);
    Ok(out)
}

/// Input e, s, r.
pub(super) fn verify<const L: usize>(
    key: Image<'_>,
    input: Image<'_>,
    options: Options,
) -> Result<bool, NoResult> {
    let (domain, q) = Domain::<L>::public(key, options)?;
    let (e, s, r) = (digest(input, options)?, input.slot(1), input.slot(2));
    domain.check(&s)?;
    domain.check(&r)?;
    let w = s.modinv(&domain.n).ok_or(NoResult)?;
    let (u1, u2) = (e * &w % &domain.n, &r * &w % &domain.n);
    let sum = domain.curve.sum(&[(&u1, &domain.g), (&u2, &q)]);
    Ok(domain.curve.affine(&sum).is_some_and(|(x, _)| x % &domain.n == r))
}
