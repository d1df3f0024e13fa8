//! Operand images: big-endian integers, right-aligned in adjacent slots of fixed width (reference section 5.1).

use num_bigint::BigUint;

/// The integer of one slot.
pub(super) fn slot(bytes: &[u8]) -> BigUint {
    BigUint::from_bytes_be(bytes)
}

/// An output image under construction.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<u8>);

impl Slots {
    /// Appends a slot of `width` bytes; the value fits by the operation's arithmetic.
    pub(super) fn put(&mut self, value: BigUint, width: usize) {
        let bytes = value.to_bytes_be();
        let bytes = &bytes[bytes.len().saturating_sub(width)..];
        self.0.resize(self.0.len() + width - bytes.len(), 0);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn image(self) -> Vec<u8> {
        self.0
    }
}
