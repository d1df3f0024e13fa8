//! Decoding of AArch64 stores: `str`, `stur`, `sttr`, `stlr`, `stlur`, `stp`, their vector forms, and `st1` of 64 bits.

use super::{Decoded, Effect, Source};

fn sign_extend(value: u32, bits: u32) -> i64 {
    let shift = 64 - bits;
    ((u64::from(value) << shift) as i64) >> shift
}

/// Decodes one instruction word, if it is a store that is understood.
pub fn decode(word: u32) -> Option<Decoded> {
    let (rt, rn) = ((word & 31) as u8, (word >> 5 & 31) as u8);
    let general = if rt == 31 { Source::Constant(0) } else { Source::General(rt) };
    let make = |width: u8, source: Source, effect: Effect| Some(Decoded { length: 4, width, source, effect });
    let size = 1u8 << (word >> 30);
    // store of one general or vector register: size:2 111 V 0x opc:2
    let vector = word >> 26 & 1 == 1;
    if word & 0x3a00_0000 == 0x3800_0000 {
        let opc = word >> 22 & 3;
        let (width, source) = match (vector, opc) {
            (false, 0) => (size, general),
            (true, 0) => (size, Source::VectorLow(rt)),
            (true, 2) if size == 1 => (16, Source::VectorLow(rt)),
            _ => return None, // a load or a prefetch
        };
        if word >> 24 & 1 == 1 {
            return make(width, source, Effect::Nothing); // unsigned offset
        }
        let index = sign_extend(word >> 12 & 0x1ff, 9);
        return match (word >> 21 & 1, word >> 10 & 3) {
            (0, 0) => make(width, source, Effect::Nothing), // stur
            (0, 2) if !vector => make(width, source, Effect::Nothing), // sttr, which is str in user mode
            (0, 1 | 3) => make(width, source, Effect::Add(rn, index)),
            (1, 2) => make(width, source, Effect::Nothing), // register offset
            _ => None,
        };
    }
    // stlr, stllr: size:2 001000 1 0 0 11111 o0 11111
    if word & 0x3fff_7c00 == 0x089f_7c00 {
        return make(size, general, Effect::Nothing);
    }
    // stlur: size:2 011001 00 0 imm9 00
    if word & 0x3fe0_0c00 == 0x1900_0000 {
        return make(size, general, Effect::Nothing);
    }
    // st1 of one 64-bit element: 0 Q 001101 P 0 0 Rm 100 0 01, and of one such register: 0 0 001100 P 0 0 Rm 0111 11.
    // P: the base grows, by 8 if Rm is 31 (a register's value otherwise, which no compiler emits for a doorbell)
    let (element, register) = (word & 0xbf60_fc00 == 0x0d00_8400, word & 0xff60_fc00 == 0x0c00_7c00);
    if element || register {
        let upper = element && word >> 30 & 1 == 1;
        let source = if upper { Source::VectorHigh(rt) } else { Source::VectorLow(rt) };
        return match (word >> 23 & 1, word >> 16 & 31) {
            (0, 0) => make(8, source, Effect::Nothing),
            (1, 31) => make(8, source, Effect::Add(rn, 8)),
            _ => None,
        };
    }
    // stp, stnp: opc:2 101 V 0 mode:2 L
    if word & 0x3a40_0000 == 0x2800_0000 {
        let (one, first) = match (vector, word >> 30) {
            (false, 0) => (4, general),
            (false, 2) => (8, general),
            (true, opc @ 0..=2) => (4 << opc, Source::VectorLow(rt)),
            _ => return None,
        };
        let index = sign_extend(word >> 15 & 0x7f, 7) * one;
        let effect = if word >> 23 & 1 == 1 { Effect::Add(rn, index) } else { Effect::Nothing };
        // mode 2 is the plain offset, which shares bit 23 with neither index form
        let effect = if word >> 23 & 3 == 2 { Effect::Nothing } else { effect };
        // two words are not one 64-bit store either
        return make((2 * one).max(16) as u8, first, effect);
    }
    None
}

#[cfg(test)]
mod tests;
