//! Points of y² = x³ + a·x + b over any prime field, in Jacobian coordinates (x/z², y/z³; infinity has z = 0).
//!
//! The curve comes with each descriptor (reference section 8: hardware has no curve table), so a is general.

use super::field::{Element, Field};
use num_bigint::BigUint;

/// A curve over integers of at most L limbs.
#[derive(Debug)]
pub(super) struct Curve<const L: usize> {
    field: Field<L>,
    a: Element<L>,
    b: Element<L>,
}

/// A point, or infinity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<const L: usize> {
    x: Element<L>,
    y: Element<L>,
    z: Element<L>,
}

/// Scalars are cut into digits of so many bits.
const WINDOW: u64 = 4;

impl<const L: usize> Curve<L> {
    /// None if p is no odd modulus. a and b are reduced.
    pub(super) fn new(p: &BigUint, a: &BigUint, b: &BigUint) -> Option<Self> {
        let field = Field::new(p)?;
        let (a, b) = (field.enter(a), field.enter(b));
        Some(Self { field, a, b })
    }

    /// The point with these coordinates. None if one is not below p or, where `check` asks for it, if the equation
    /// with b does not hold.
    pub(super) fn point(&self, x: &BigUint, y: &BigUint, check: bool) -> Option<Point<L>> {
        let f = &self.field;
        if x >= f.modulus() || y >= f.modulus() {
            return None;
        }
        let point = Point { x: f.enter(x), y: f.enter(y), z: f.one() };
        let right = f.add(&f.mul(&f.add(&f.square(&point.x), &self.a), &point.x), &self.b);
        (!check || f.square(&point.y) == right).then_some(point)
    }

    fn infinity(&self) -> Point<L> {
        Point { x: self.field.one(), y: self.field.one(), z: Element::ZERO }
    }

    /// The affine coordinates; None at infinity.
    pub(super) fn affine(&self, point: &Point<L>) -> Option<(BigUint, BigUint)> {
        let f = &self.field;
        let inverse = f.invert(&point.z)?;
        let square = f.square(&inverse);
        let x = f.mul(&point.x, &square);
        let y = f.mul(&point.y, &f.mul(&square, &inverse));
        Some((f.leave(&x), f.leave(&y)))
    }

    fn double(&self, p: &Point<L>) -> Point<L> {
        let f = &self.field;
        let y2 = f.square(&p.y);
        let s = f.double(&f.double(&f.mul(&p.x, &y2)));
        let x2 = f.square(&p.x);
        let mut m = f.add(&f.double(&x2), &x2);
        if !self.a.is_zero() {
            m = f.add(&m, &f.mul(&self.a, &f.square(&f.square(&p.z))));
        }
        let x = f.sub(&f.square(&m), &f.double(&s));
        let y4 = f.square(&f.double(&y2));
        let y = f.sub(&f.mul(&m, &f.sub(&s, &x)), &f.double(&y4));
        Point { x, y, z: f.double(&f.mul(&p.y, &p.z)) }
    }

    fn add(&self, p: &Point<L>, q: &Point<L>) -> Point<L> {
        if p.z.is_zero() {
            return *q;
        }
        if q.z.is_zero() {
            return *p;
        }
        let f = &self.field;
        let (pz2, qz2) = (f.square(&p.z), f.square(&q.z));
        let (pu, qu) = (f.mul(&p.x, &qz2), f.mul(&q.x, &pz2));
        let (ps, qs) = (f.mul(&p.y, &f.mul(&qz2, &q.z)), f.mul(&q.y, &f.mul(&pz2, &p.z)));
        let (h, r) = (f.sub(&qu, &pu), f.sub(&qs, &ps));
        if h.is_zero() {
            return if r.is_zero() { self.double(p) } else { self.infinity() };
        }
        let h2 = f.square(&h);
        let h3 = f.mul(&h2, &h);
        let v = f.mul(&pu, &h2);
        let x = f.sub(&f.sub(&f.square(&r), &h3), &f.double(&v));
        let y = f.sub(&f.mul(&r, &f.sub(&v, &x)), &f.mul(&ps, &h3));
        Point { x, y, z: f.mul(&f.mul(&p.z, &q.z), &h) }
    }

    /// k·P.
    pub(super) fn multiply(&self, k: &BigUint, p: &Point<L>) -> Point<L> {
        self.sum(&[(k, p)])
    }

    /// Σ k·P, with one chain of doublings for all terms.
    pub(super) fn sum(&self, terms: &[(&BigUint, &Point<L>)]) -> Point<L> {
        let digits = terms.iter().map(|(k, _)| k.bits().div_ceil(WINDOW)).max().unwrap_or(0);
        let tables: Vec<_> = terms.iter().map(|(_, p)| self.multiples(p)).collect();
        let mut out = self.infinity();
        for place in (0..digits).rev() {
            for _ in 0..WINDOW {
                out = self.double(&out);
            }
            for ((k, _), table) in terms.iter().zip(&tables) {
                let digit =
                    (0..WINDOW).fold(0, |value, i| value | usize::from(k.bit(place * WINDOW + i)) << i);
                if digit > 0 {
                    out = self.add(&out, &table[digit]);
                }
            }
        }
        out
    }

    fn multiples(&self, p: &Point<L>) -> [Point<L>; 1 << WINDOW] {
        let mut table = [self.infinity(); 1 << WINDOW];
        for i in 1..table.len() {
            table[i] = self.add(&table[i - 1], p);
        }
        table
    }
}
