//! Arithmetic modulo an odd number, in Montgomery form: what the elliptic-curve operations are made of.
//!
//! A descriptor brings its own prime, so no crate's fixed field fits. L is the number of 64-bit limbs of a slot. Running
//! time depends on the values: it is a model, and nobody measures its secrets.

use num_bigint::BigUint;

/// The integers modulo an odd modulus below 2^(64·L).
#[derive(Debug)]
pub(super) struct Field<const L: usize> {
    big: BigUint,
    modulus: [u64; L],
    /// −modulus⁻¹ mod 2⁶⁴.
    inverse: u64,
    /// R² mod modulus, R = 2^(64·L).
    r_squared: Element<L>,
    one: Element<L>,
}

/// A residue times R, fully reduced: equal residues have equal limbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<const L: usize>([u64; L]);

fn limbs<const L: usize>(value: &BigUint) -> [u64; L] {
    let mut out = [0; L];
    for (to, from) in out.iter_mut().zip(value.iter_u64_digits()) {
        *to = from;
    }
    out
}

impl<const L: usize> Field<L> {
    /// None for a modulus that is even, one, or longer than L limbs.
    pub(super) fn new(modulus: &BigUint) -> Option<Self> {
        if !modulus.bit(0) || modulus.bits() < 2 || modulus.bits() > 64 * L as u64 {
            return None;
        }
        let limb = limbs::<L>(modulus);
        // Newton's iteration doubles the correct low bits: 3, 6, … 96.
        let mut inverse = limb[0];
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(limb[0].wrapping_mul(inverse)));
        }
        let power = |bits: usize| Element(limbs(&((BigUint::from(1u32) << bits) % modulus)));
        Some(Self {
            big: modulus.clone(),
            modulus: limb,
            inverse: inverse.wrapping_neg(),
            r_squared: power(128 * L),
            one: power(64 * L),
        })
    }

    pub(super) fn modulus(&self) -> &BigUint {
        &self.big
    }

    pub(super) fn one(&self) -> Element<L> {
        self.one
    }

    /// The residue of any integer.
    pub(super) fn enter(&self, value: &BigUint) -> Element<L> {
        self.mul(&Element(limbs(&(value % &self.big))), &self.r_squared)
    }

    /// The integer in 0 … modulus − 1.
    pub(super) fn leave(&self, element: &Element<L>) -> BigUint {
        let mut unit = [0; L];
        unit[0] = 1;
        let plain = self.mul(element, &Element(unit));
        let bytes: Vec<u8> = plain.0.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        BigUint::from_bytes_le(&bytes)
    }

    /// value + 2^(64·L)·top, known to be below twice the modulus.
    fn reduced(&self, mut value: [u64; L], top: bool) -> Element<L> {
        if top || !value.iter().rev().lt(self.modulus.iter().rev()) {
            let mut borrow = false;
            for (limb, sub) in value.iter_mut().zip(&self.modulus) {
                (*limb, borrow) = limb.borrowing_sub(*sub, borrow);
            }
        }
        Element(value)
    }

    pub(super) fn add(&self, a: &Element<L>, b: &Element<L>) -> Element<L> {
        let (mut out, mut carry) = (a.0, false);
        for (limb, other) in out.iter_mut().zip(&b.0) {
            (*limb, carry) = limb.carrying_add(*other, carry);
        }
        self.reduced(out, carry)
    }

    pub(super) fn sub(&self, a: &Element<L>, b: &Element<L>) -> Element<L> {
        let (mut out, mut borrow) = (a.0, false);
        for (limb, other) in out.iter_mut().zip(&b.0) {
            (*limb, borrow) = limb.borrowing_sub(*other, borrow);
        }
        if borrow {
            let mut carry = false;
            for (limb, modulus) in out.iter_mut().zip(&self.modulus) {
                (*limb, carry) = limb.carrying_add(*modulus, carry);
            }
        }
        Element(out)
    }

    pub(super) fn double(&self, a: &Element<L>) -> Element<L> {
        self.add(a, a)
    }

    pub(super) fn square(&self, a: &Element<L>) -> Element<L> {
        self.mul(a, a)
    }

    /// Montgomery's product a·b/R, one limb of b at a time.
    pub(super) fn mul(&self, a: &Element<L>, b: &Element<L>) -> Element<L> {
        let (mut t, mut top) = ([0u64; L], 0u64);
        for &digit in &b.0 {
            let mut carry = 0;
            for (limb, x) in t.iter_mut().zip(&a.0) {
                (*limb, carry) = x.carrying_mul_add(digit, *limb, carry);
            }
            let (above, overflow) = top.overflowing_add(carry);
            let factor = t[0].wrapping_mul(self.inverse);
            (_, carry) = factor.carrying_mul_add(self.modulus[0], t[0], 0);
            for j in 1..L {
                (t[j - 1], carry) = factor.carrying_mul_add(self.modulus[j], t[j], carry);
            }
            let (last, again) = above.overflowing_add(carry);
            t[L - 1] = last;
            top = u64::from(overflow) + u64::from(again);
        }
        self.reduced(t, top != 0)
    }

    /// None where there is none: for zero and, under a modulus that is not prime, for its divisors.
    pub(super) fn invert(&self, a: &Element<L>) -> Option<Element<L>> {
        self.leave(a).modinv(&self.big).map(|inverse| self.enter(&inverse))
    }
}

impl<const L: usize> Element<L> {
    pub(super) const ZERO: Self = Self([0; L]);

    pub(super) fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

#[cfg(test)]
mod tests;
