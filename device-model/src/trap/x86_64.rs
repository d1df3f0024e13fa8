//! Decoding of x86-64 stores: `mov`, `movnti`, `xchg` and the vector moves that compilers use for 64-bit values.

use super::{Decoded, Effect, Source};

/// The instruction's mnemonic class is not a store that is understood, or `code` ends within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAStore;

struct Cursor<'a> {
    code: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn next(&mut self) -> Result<u8, NotAStore> {
        let byte = *self.code.get(self.at).ok_or(NotAStore)?;
        self.at += 1;
        Ok(byte)
    }
    fn peek(&self) -> Result<u8, NotAStore> {
        self.code.get(self.at).copied().ok_or(NotAStore)
    }
    fn signed(&mut self, bytes: usize) -> Result<i64, NotAStore> {
        let mut value = 0u64;
        for n in 0..bytes {
            value |= u64::from(self.next()?) << (8 * n);
        }
        let shift = 64 - 8 * bytes as u32;
        Ok(((value << shift) as i64) >> shift)
    }
    /// Steps over ModRM, SIB and displacement of a memory operand; its `reg` field.
    fn memory_operand(&mut self) -> Result<u8, NotAStore> {
        let modrm = self.next()?;
        let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
        let mut displacement = match mode {
            0 if rm == 5 => 4, // relative to rip
            1 => 1,
            2 => 4,
            0 => 0,
            _ => return Err(NotAStore), // a register
        };
        if rm == 4 && self.next()? & 7 == 5 && mode == 0 {
            displacement = 4; // no base
        }
        for _ in 0..displacement {
            self.next()?;
        }
        Ok(reg)
    }
}

/// Decodes the store at the start of `code` (up to 15 bytes).
pub fn decode(code: &[u8]) -> Result<Decoded, NotAStore> {
    let mut c = Cursor { code, at: 0 };
    let (mut word, mut repeat) = (false, false);
    loop {
        match c.peek()? {
            0x66 => word = true,
            0xf2 | 0xf3 => repeat = true,
            0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x67 | 0xf0 => {}
            _ => break,
        }
        c.next()?;
    }
    let mut rex = 0;
    if c.peek()? & 0xf0 == 0x40 {
        rex = c.next()?;
    }
    let wide = rex & 8 != 0;
    let extend = |reg: u8| reg | (rex & 4) << 1;
    let operand = if wide {
        8
    } else if word {
        2
    } else {
        4
    };
    let byte_register = |reg: u8| {
        if rex == 0 && (4..8).contains(&reg) {
            Source::HighByte(reg - 4)
        } else {
            Source::General(extend(reg))
        }
    };
    let opcode = c.next()?;
    let (width, source, effect) = match opcode {
        0x88 => {
            let reg = c.memory_operand()?;
            (1, byte_register(reg), Effect::Nothing)
        }
        0x89 => (operand, Source::General(extend(c.memory_operand()?)), Effect::Nothing),
        0x87 => {
            let reg = extend(c.memory_operand()?);
            (operand, Source::General(reg), Effect::Zero(reg, operand))
        }
        0xa3 => {
            c.signed(8)?;
            (operand, Source::General(0), Effect::Nothing)
        }
        0xc6 | 0xc7 => {
            if c.memory_operand()? != 0 {
                return Err(NotAStore);
            }
            let width = if opcode == 0xc6 { 1 } else { operand };
            let value = c.signed(usize::from(width.min(4)))?;
            (width, Source::Constant(value as u64), Effect::Nothing)
        }
        0x0f => match c.next()? {
            0xc3 if !word && !repeat => {
                (operand, Source::General(extend(c.memory_operand()?)), Effect::Nothing)
            }
            0xd6 if word => (8, Source::VectorLow(extend(c.memory_operand()?)), Effect::Nothing),
            0x7e if word => {
                let width = if wide { 8 } else { 4 };
                (width, Source::VectorLow(extend(c.memory_operand()?)), Effect::Nothing)
            }
            0x13 if !repeat => (8, Source::VectorLow(extend(c.memory_operand()?)), Effect::Nothing),
            0x17 if !repeat => (8, Source::VectorHigh(extend(c.memory_operand()?)), Effect::Nothing),
            0x11 if repeat && !word => {
                // movsd is f2, movss f3
                let single = code.iter().take(c.at).any(|b| *b == 0xf3);
                let width = if single { 4 } else { 8 };
                (width, Source::VectorLow(extend(c.memory_operand()?)), Effect::Nothing)
            }
            0x11 | 0x29 | 0x2b | 0x7f | 0xe7 => {
                (16, Source::VectorLow(extend(c.memory_operand()?)), Effect::Nothing)
            }
            _ => return Err(NotAStore),
        },
        0xc4 | 0xc5 if rex == 0 && !word && !repeat => {
            let first = c.next()?;
            let high = if first & 0x80 == 0 { 8 } else { 0 };
            let (map, last) = if opcode == 0xc5 { (1, first) } else { (first & 0x1f, c.next()?) };
            let wide = opcode == 0xc4 && last & 0x80 != 0;
            let prefix = last & 3; // 1: 66, 2: f3, 3: f2
            let code = c.next()?;
            let reg = c.memory_operand()? | high;
            let (width, source) = match (map, code, prefix) {
                (1, 0xd6, 1) | (1, 0x13, 0 | 1) | (1, 0x11, 3) => (8, Source::VectorLow(reg)),
                (1, 0x17, 0 | 1) => (8, Source::VectorHigh(reg)),
                (1, 0x7e, 1) => (if wide { 8 } else { 4 }, Source::VectorLow(reg)),
                (1, 0x11, 2) => (4, Source::VectorLow(reg)),
                (1, 0x11 | 0x29 | 0x2b | 0x7f | 0xe7, _) => (16, Source::VectorLow(reg)),
                _ => return Err(NotAStore),
            };
            (width, source, Effect::Nothing)
        }
        _ => return Err(NotAStore),
    };
    Ok(Decoded { length: c.at as u8, width, source, effect })
}

#[cfg(test)]
mod tests {
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
        check(&[0x0f, 0x11, 0x07], 16, Source::VectorLow(0)); // movups %xmm0,(%rdi)
    }

    #[test]
    fn an_exchange_stores_and_reads_zero() {
        let decoded = decode(&[0x48, 0x87, 0x07]).unwrap(); // xchg %rax,(%rdi)
        assert_eq!(
            (decoded.width, decoded.source, decoded.effect),
            (8, Source::General(0), Effect::Zero(0, 8))
        );
    }

    #[test]
    fn other_instructions_are_not_guessed() {
        for code in [
            &[0x48, 0x8b, 0x07][..],         // mov (%rdi),%rax
            &[0x48, 0x01, 0x07],             // add %rax,(%rdi)
            &[0x48, 0x89, 0xc3],             // mov %rax,%rbx
            &[0xf0, 0x48, 0x0f, 0xb1, 0x0f], // lock cmpxchg %rcx,(%rdi)
            &[0xf3, 0xa4],                   // rep movsb
            &[],
        ] {
            assert_eq!(decode(code), Err(NotAStore), "{code:x?}");
        }
    }
}
