//! Stores in every form that compilers emit, as instruction words.

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
fn less_common_stores_of_64_bits() {
    check(0xf822_7823, 8, Source::General(3), Effect::Nothing); // str x3, [x1, x2, lsl #3]
    check(0xf822_d823, 8, Source::General(3), Effect::Nothing); // str x3, [x1, w2, sxtw #3]
    check(0xf800_8823, 8, Source::General(3), Effect::Nothing); // sttr x3, [x1, #8]
    check(0xc89f_7c23, 8, Source::General(3), Effect::Nothing); // stllr x3, [x1]
    check(0xd91f_0023, 8, Source::General(3), Effect::Nothing); // stlur x3, [x1, #-16]
    check(0xfc22_6823, 8, Source::VectorLow(3), Effect::Nothing); // str d3, [x1, x2]
    check(0xfc00_8423, 8, Source::VectorLow(3), Effect::Add(1, 8)); // str d3, [x1], #8
    check(0x0d00_8423, 8, Source::VectorLow(3), Effect::Nothing); // st1 {v3.d}[0], [x1]
    check(0x4d00_8423, 8, Source::VectorHigh(3), Effect::Nothing); // st1 {v3.d}[1], [x1]
    check(0x4d9f_8423, 8, Source::VectorHigh(3), Effect::Add(1, 8)); // st1 {v3.d}[1], [x1], #8
    check(0x0c00_7c23, 8, Source::VectorLow(3), Effect::Nothing); // st1 {v3.1d}, [x1]
    check(0x0c9f_7c23, 8, Source::VectorLow(3), Effect::Add(1, 8)); // st1 {v3.1d}, [x1], #8
    check(0xf81f_0fe3, 8, Source::General(3), Effect::Add(31, -16)); // str x3, [sp, #-16]!
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
    check(0x6d00_1023, 16, Source::VectorLow(3), Effect::Nothing); // stp d3, d4, [x1]
    check(0x089f_fc23, 1, Source::General(3), Effect::Nothing); // stlrb w3, [x1]
    check(0x3c80_8023, 16, Source::VectorLow(3), Effect::Nothing); // stur q3, [x1, #8]
    check(0x3d80_0020, 16, Source::VectorLow(0), Effect::Nothing); // str q0, [x1]
    check(0xad00_0820, 32, Source::VectorLow(0), Effect::Nothing); // stp q0, q2, [x1]
}

#[test]
fn other_instructions_are_not_guessed() {
    for word in [
        0x4d82_8423,
        0x4c00_7c23,
        0x0d00_9023,
        0xc800_7c23,
        0xf820_8022,
        0xf940_0020,
        0xf840_0020,
        0xa940_0820,
        0xc8df_fc20,
        0xd503_201f,
        0xf820_8020,
        0xf980_0020,
        0,
    ] {
        assert_eq!(decode(word), None, "{word:#010x}");
    }
}
