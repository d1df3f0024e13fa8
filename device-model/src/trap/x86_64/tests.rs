//! Stores in every form that compilers emit, as bytes.

use super::*;

fn check(code: &[u8], width: u8, source: Source) {
    let decoded = decode(code).unwrap_or_else(|_| panic!("{code:x?}"));
    assert_eq!((decoded.width, decoded.source), (width, source), "{code:x?}");
    assert_eq!(usize::from(decoded.length), code.len(), "{code:x?}");
    // bytes of the next instruction change nothing, missing ones are noticed
    let longer: Vec<u8> = code.iter().copied().chain([0x90; 8]).collect();
    assert_eq!(decode(&longer), Ok(decoded));
    assert_eq!(decode(&code[..code.len() - 1]), Err(NotAStore), "{code:x?}");
}

// encodings as GNU as 2.40 makes them
#[test]
fn less_common_integer_stores() {
    check(
        &[0x49, 0xc7, 0x84, 0x24, 0x00, 0x10, 0x00, 0x00, 0xfb, 0xff, 0xff, 0xff],
        8,
        Source::Constant(-5i64 as u64),
    ); // movq $-5,0x1000(%r12)
    check(&[0x48, 0x89, 0x84, 0xce, 0x00, 0x10, 0x00, 0x00], 8, Source::General(0)); // mov %rax,0x1000(%rsi,%rcx,8)
    check(&[0x4c, 0x0f, 0xc3, 0x8f, 0x00, 0x10, 0x00, 0x00], 8, Source::General(9)); // movnti %r9,0x1000(%rdi)
    check(&[0x48, 0x0f, 0x38, 0xf1, 0x07], 8, Source::Swapped(0)); // movbe %rax,(%rdi)
    check(&[0x44, 0x0f, 0x38, 0xf1, 0x17], 4, Source::Swapped(10)); // movbe %r10d,(%rdi)
    check(&[0x48, 0x0f, 0x38, 0xf9, 0x07], 8, Source::General(0)); // movdiri %rax,(%rdi)
    check(&[0x4d, 0x0f, 0x38, 0xf9, 0x48, 0x10], 8, Source::General(9)); // movdiri %r9,0x10(%r8)
    check(&[0x64, 0x48, 0x89, 0x04, 0x25, 0x10, 0x00, 0x00, 0x00], 8, Source::General(0)); // mov %rax,%fs:0x10
    check(&[0x67, 0x48, 0x89, 0x07], 8, Source::General(0)); // mov %rax,(%edi)
    for (code, width) in [(&[0x48, 0xab][..], 8), (&[0xab], 4), (&[0x66, 0xab], 2), (&[0xaa], 1)] {
        let decoded = decode(code).unwrap(); // stos
        assert_eq!((decoded.width, decoded.source), (width, Source::General(0)), "{code:x?}");
        assert_eq!(decoded.effect, Effect::Add(7, i64::from(width)));
    }
}

#[test]
fn integer_stores_of_64_bits() {
    check(&[0x48, 0x89, 0x07], 8, Source::General(0)); // mov %rax,(%rdi)
    check(&[0x48, 0x89, 0x37], 8, Source::General(6)); // mov %rsi,(%rdi)
    check(&[0x4c, 0x89, 0x08], 8, Source::General(9)); // mov %r9,(%rax)
    check(&[0x4d, 0x89, 0x7e, 0x10], 8, Source::General(15)); // mov %r15,0x10(%r14)
    check(&[0x48, 0x89, 0x96, 0x00, 0x10, 0x00, 0x00], 8, Source::General(2)); // mov %rdx,0x1000(%rsi)
    check(&[0x49, 0x89, 0x04, 0x24], 8, Source::General(0)); // mov %rax,(%r12)
    check(&[0x48, 0x89, 0x44, 0xc8, 0x08], 8, Source::General(0)); // mov %rax,0x8(%rax,%rcx,8)
    check(&[0x48, 0x89, 0x0c, 0x25, 0x00, 0x10, 0x00, 0x00], 8, Source::General(1)); // mov %rcx,0x1000
    check(&[0x48, 0x89, 0x05, 0x00, 0x00, 0x01, 0x00], 8, Source::General(0)); // mov %rax,0x10000(%rip)
    check(&[0x48, 0x0f, 0xc3, 0x07], 8, Source::General(0)); // movnti %rax,(%rdi)
    check(&[0x48, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8], 8, Source::General(0)); // movabs %rax,0x807060504030201
}

#[test]
fn constants_are_sign_extended() {
    check(&[0x48, 0xc7, 0x07, 0x34, 0x12, 0x00, 0x00], 8, Source::Constant(0x1234)); // movq $0x1234,(%rdi)
    check(&[0x48, 0xc7, 0x47, 0x08, 0xff, 0xff, 0xff, 0xff], 8, Source::Constant(u64::MAX)); // movq $-1,8(%rdi)
    check(&[0xc7, 0x07, 1, 0, 0, 0], 4, Source::Constant(1)); // movl $1,(%rdi)
    check(&[0x66, 0xc7, 0x07, 1, 0], 2, Source::Constant(1)); // movw $1,(%rdi)
    check(&[0xc6, 0x07, 1], 1, Source::Constant(1)); // movb $1,(%rdi)
}

#[test]
fn narrow_stores_show_their_width() {
    check(&[0x89, 0x07], 4, Source::General(0)); // mov %eax,(%rdi)
    check(&[0x66, 0x89, 0x07], 2, Source::General(0)); // mov %ax,(%rdi)
    check(&[0x88, 0x07], 1, Source::General(0)); // mov %al,(%rdi)
    check(&[0x88, 0x27], 1, Source::HighByte(0)); // mov %ah,(%rdi)
    check(&[0x40, 0x88, 0x37], 1, Source::General(6)); // mov %sil,(%rdi)
}

#[test]
fn vector_stores_of_64_bits() {
    check(&[0x66, 0x0f, 0xd6, 0x07], 8, Source::VectorLow(0)); // movq %xmm0,(%rdi)
    check(&[0x66, 0x44, 0x0f, 0xd6, 0x4f, 0x08], 8, Source::VectorLow(9)); // movq %xmm9,0x8(%rdi)
    check(&[0x66, 0x48, 0x0f, 0x7e, 0x07], 8, Source::VectorLow(0)); // movq %xmm0,(%rdi), long form
    check(&[0x0f, 0x13, 0x07], 8, Source::VectorLow(0)); // movlps %xmm0,(%rdi)
    check(&[0x0f, 0x17, 0x0f], 8, Source::VectorHigh(1)); // movhps %xmm1,(%rdi)
    check(&[0xf2, 0x0f, 0x11, 0x07], 8, Source::VectorLow(0)); // movsd %xmm0,(%rdi)
    check(&[0xc5, 0xf9, 0xd6, 0x07], 8, Source::VectorLow(0)); // vmovq %xmm0,(%rdi)
    check(&[0xc5, 0x79, 0xd6, 0x0f], 8, Source::VectorLow(9)); // vmovq %xmm9,(%rdi)
    check(&[0xc4, 0xc1, 0x79, 0xd6, 0x00], 8, Source::VectorLow(0)); // vmovq %xmm0,(%r8)
    check(&[0xc5, 0xfb, 0x11, 0x1f], 8, Source::VectorLow(3)); // vmovsd %xmm3,(%rdi)
    check(&[0xc5, 0xf8, 0x13, 0x1f], 8, Source::VectorLow(3)); // vmovlps %xmm3,(%rdi)
    check(&[0xc5, 0xf9, 0x17, 0x1f], 8, Source::VectorHigh(3)); // vmovhpd %xmm3,(%rdi)
    check(&[0x66, 0x0f, 0x13, 0x1f], 8, Source::VectorLow(3)); // movlpd %xmm3,(%rdi)
    check(&[0x66, 0x0f, 0x17, 0x1f], 8, Source::VectorHigh(3)); // movhpd %xmm3,(%rdi)
    check(&[0xf2, 0x0f, 0x2b, 0x0f], 8, Source::VectorLow(1)); // movntsd %xmm1,(%rdi)
    check(&[0x66, 0x48, 0x0f, 0x3a, 0x16, 0x17, 0x01], 8, Source::VectorHigh(2)); // pextrq $1,%xmm2,(%rdi)
    check(&[0x66, 0x4c, 0x0f, 0x3a, 0x16, 0x57, 0x08, 0x00], 8, Source::VectorLow(10)); // pextrq $0,%xmm10,8(%rdi)
    check(&[0xc4, 0xe3, 0xf9, 0x16, 0x17, 0x01], 8, Source::VectorHigh(2)); // vpextrq $1,%xmm2,(%rdi)
    check(&[0x62, 0xf1, 0xfd, 0x08, 0x7e, 0x9f, 0x00, 0x10, 0x00, 0x00], 8, Source::VectorLow(3)); // {evex} vmovq
    check(&[0x62, 0xf1, 0xff, 0x08, 0x11, 0x5f, 0x01], 8, Source::VectorLow(3)); // {evex} vmovsd %xmm3,8(%rdi)
    check(&[0x62, 0xf1, 0x7c, 0x08, 0x17, 0x1f], 8, Source::VectorHigh(3)); // {evex} vmovhps %xmm3,(%rdi)
    check(&[0xf3, 0x0f, 0x11, 0x1f], 4, Source::VectorLow(3)); // movss %xmm3,(%rdi)
    check(&[0xc5, 0xf9, 0x7e, 0x1f], 4, Source::VectorLow(3)); // vmovd %xmm3,(%rdi)
    check(&[0x66, 0x0f, 0xe7, 0x0f], 16, Source::VectorLow(1)); // movntdq %xmm1,(%rdi)
    check(&[0xc5, 0xfa, 0x7f, 0x1f], 16, Source::VectorLow(3)); // vmovdqu %xmm3,(%rdi)
    check(&[0xc5, 0xfe, 0x7f, 0x1f], 32, Source::VectorLow(3)); // vmovdqu %ymm3,(%rdi)
    check(&[0x0f, 0x11, 0x07], 16, Source::VectorLow(0)); // movups %xmm0,(%rdi)
}

#[test]
fn an_exchange_stores_and_reads_zero() {
    let decoded = decode(&[0x48, 0x87, 0x07]).unwrap(); // xchg %rax,(%rdi)
    assert_eq!((decoded.width, decoded.source, decoded.effect), (8, Source::General(0), Effect::Zero(0, 8)));
}

#[test]
fn other_instructions_are_not_guessed() {
    for code in [
        &[0x48, 0x8b, 0x07][..],               // mov (%rdi),%rax
        &[0x48, 0x01, 0x07],                   // add %rax,(%rdi)
        &[0x48, 0x89, 0xc3],                   // mov %rax,%rbx
        &[0xf0, 0x48, 0x0f, 0xb1, 0x0f],       // lock cmpxchg %rcx,(%rdi)
        &[0xf3, 0xa4],                         // rep movsb
        &[0x48, 0xa5],                         // movsq
        &[0xf3, 0x48, 0xab],                   // rep stos
        &[0x0f, 0x7f, 0x0f],                   // movq %mm1,(%rdi)
        &[0x0f, 0xe7, 0x0f],                   // movntq %mm1,(%rdi)
        &[0x8f, 0x07],                         // pop (%rdi)
        &[0x62, 0xe1, 0xfd, 0x08, 0x7e, 0x1f], // vmovq %xmm19,(%rdi)
        &[],
    ] {
        assert_eq!(decode(code), Err(NotAStore), "{code:x?}");
    }
}
