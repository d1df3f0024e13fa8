//! Doorbell trapping: the doorbell page is mapped read-only, and the fault of each store is decoded.

pub mod aarch64;
pub mod signals;
pub mod x86_64;

/// Where an instruction takes the value that it stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// General register by its number in the instruction set (x86-64: rax = 0, rcx = 1, …, r15 = 15).
    General(u8),
    /// General register, bytes reversed over the width of the store (x86-64 `movbe`).
    Swapped(u8),
    /// Bits 8..16 of a general register (x86-64 `ah`, `ch`, `dh`, `bh`).
    HighByte(u8),
    /// Low half of a vector register.
    VectorLow(u8),
    /// High half of a vector register.
    VectorHigh(u8),
    /// A constant.
    Constant(u64),
}

/// A register that the instruction changes besides its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// None.
    Nothing,
    /// General register gets `old + delta` (aarch64 pre- and post-index addressing, x86-64 `stos`).
    Add(u8, i64),
    /// General register of the given width in bytes gets what memory held: zero (exchange).
    Zero(u8, u8),
}

/// A decoded store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Instruction length in bytes.
    pub length: u8,
    /// Bytes stored (16: a register pair or whole vector, which no doorbell is).
    pub width: u8,
    /// The value's origin.
    pub source: Source,
    /// What else happens.
    pub effect: Effect,
}
