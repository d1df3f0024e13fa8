//! Decoding of AArch64 stores: `str`, `stur`, `stlr`, `stp` and their vector forms.

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
mod tests {
    use super::*;

    fn check(word: u32, width: u8, source: Source, effect: Effect) {
        assert_eq!(decode(word), Some(Decoded { length: 4, width, source, effect }), "{word:#010x}");
    }

    // encodings as GNU as 2.40 makes them
    #[test]
    fn stores_of_64_bits() {
        check(0xf900_0020, 8, Source::General(0), Effect::Nothing); // str x0, [x1]
        check(0xf908_0020, 8, Source::General(0), Effect::Nothing); // str x0, [x1, #0x1000]
        check(0xf900_001f, 8, Source::Constant(0), Effect::Nothing); // str xzr, [x0]
        check(0xf81f_8022, 8, Source::General(2), Effect::Nothing); // stur x2, [x1, #-8]
        check(0xf822_6820, 8, Source::General(0), Effect::Nothing); // str x0, [x1, x2]
        check(0xc89f_fc20, 8, Source::General(0), Effect::Nothing); // stlr x0, [x1]
        check(0xd900_0020, 8, Source::General(0), Effect::Nothing); // stlur x0, [x1]
        check(0xfd00_0020, 8, Source::VectorLow(0), Effect::Nothing); // str d0, [x1]
        check(0xfc00_8020, 8, Source::VectorLow(0), Effect::Nothing); // stur d0, [x1, #8]
    }

    #[test]
    fn index_forms_change_the_base() {
        check(0xf800_8420, 8, Source::General(0), Effect::Add(1, 8)); // str x0, [x1], #8
        check(0xf81f_8c20, 8, Source::General(0), Effect::Add(1, -8)); // str x0, [x1, #-8]!
        check(0xa881_0820, 16, Source::General(0), Effect::Add(1, 16)); // stp x0, x2, [x1], #16
        check(0xa981_0820, 16, Source::General(0), Effect::Add(1, 16)); // stp x0, x2, [x1, #16]!
    }

    #[test]
    fn other_widths_show() {
        check(0xb900_0020, 4, Source::General(0), Effect::Nothing); // str w0, [x1]
        check(0x7900_0020, 2, Source::General(0), Effect::Nothing); // strh w0, [x1]
        check(0x3900_0020, 1, Source::General(0), Effect::Nothing); // strb w0, [x1]
        check(0xa900_0820, 16, Source::General(0), Effect::Nothing); // stp x0, x2, [x1]
        check(0x2900_0820, 16, Source::General(0), Effect::Nothing); // stp w0, w2, [x1]: not one 64-bit store
        check(0x3d80_0020, 16, Source::VectorLow(0), Effect::Nothing); // str q0, [x1]
        check(0xad00_0820, 32, Source::VectorLow(0), Effect::Nothing); // stp q0, q2, [x1]
    }

    #[test]
    fn other_instructions_are_not_guessed() {
        for word in
            [0xf940_0020, 0xf840_0020, 0xa940_0820, 0xc8df_fc20, 0xd503_201f, 0xf820_8020, 0xf980_0020, 0]
        {
            assert_eq!(decode(word), None, "{word:#010x}");
        }
    }
}
