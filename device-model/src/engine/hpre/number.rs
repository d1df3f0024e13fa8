//! Operand images: big-endian integers, right-aligned in adjacent slots of fixed width (reference section 5.1).

use num_bigint::BigUint;
use zeroize::Zeroizing;

/// The integer of one slot.
pub(super) fn slot(bytes: &[u8]) -> BigUint {
    BigUint::from_bytes_be(bytes)
}

/// A buffer of whole slots.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) bytes: &'a [u8],
    /// Slot width, bytes.
    pub(super) width: usize,
}

impl Image<'_> {
    /// Slot number `index`, which the operation's sizes hold.
    pub(super) fn slot(&self, index: usize) -> BigUint {
        slot(&self.bytes[index * self.width..(index + 1) * self.width])
    }
}

/// An output image under construction; wiped when dropped, as it may hold a private key.
#[derive(Debug)]
pub(super) struct Slots(Zeroizing<Vec<u8>>);

/// The longest output: completion of an RSA-4096 key with its CRT values. Growing would leave copies behind.
const LONGEST: usize = 1792;

impl Slots {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(LONGEST)))
    }

    /// Appends a slot of `width` bytes; the value fits by the operation's arithmetic.
    pub(super) fn put(&mut self, value: &BigUint, width: usize) {
        let bytes = Zeroizing::new(value.to_bytes_be());
        let bytes = &bytes[bytes.len().saturating_sub(width)..];
        let padded = self.0.len() + width - bytes.len();
        self.0.resize(padded, 0);
        self.0.extend_from_slice(bytes);
    }

    /// Appends bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn image(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}
