//! Decoding of x86-64 stores: `mov`, `movnti`, `movdiri`, `movbe`, `stos`, `xchg`, and the vector moves that compilers
//! use for 64-bit values, in their SSE, VEX and EVEX forms.

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

/// Prefixes of an instruction.
#[derive(Default)]
struct Prefixes {
    /// 66: 16-bit operand, or part of a vector opcode.
    word: bool,
    /// f2 or f3, whichever came last; 0 if neither.
    repeat: u8,
    /// 67: 32-bit address.
    short_address: bool,
    rex: u8,
}

impl Prefixes {
    fn read(c: &mut Cursor<'_>) -> Result<Prefixes, NotAStore> {
        let mut found = Prefixes::default();
        loop {
            match c.peek()? {
                0x66 => found.word = true,
                0xf2 | 0xf3 => found.repeat = c.peek()?,
                0x67 => found.short_address = true,
                0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0xf0 => {}
                byte if byte & 0xf0 == 0x40 => {
                    found.rex = c.next()?;
                    return Ok(found);
                }
                _ => return Ok(found),
            }
            c.next()?;
        }
    }

    fn wide(&self) -> bool {
        self.rex & 8 != 0
    }

    /// Bytes of a general operand.
    fn operand(&self) -> u8 {
        match (self.wide(), self.word) {
            (true, _) => 8,
            (false, true) => 2,
            (false, false) => 4,
        }
    }

    fn extend(&self, reg: u8) -> u8 {
        reg | (self.rex & 4) << 1
    }

    /// Neither 66 nor f2 nor f3.
    fn none(&self) -> bool {
        !self.word && self.repeat == 0
    }
}

type Store = (u8, Source, Effect);

fn plain(width: u8, source: Source) -> Result<Store, NotAStore> {
    Ok((width, source, Effect::Nothing))
}

fn half(register: u8, selector: u8) -> Source {
    if selector & 1 == 0 { Source::VectorLow(register) } else { Source::VectorHigh(register) }
}

/// Decodes the store at the start of `code` (up to 15 bytes).
pub fn decode(code: &[u8]) -> Result<Decoded, NotAStore> {
    let mut c = Cursor { code, at: 0 };
    let p = Prefixes::read(&mut c)?;
    let opcode = c.next()?;
    let (width, source, effect) = match opcode {
        0x0f => two_bytes(&mut c, &p)?,
        0xc4 | 0xc5 if p.rex == 0 && p.none() => vex(&mut c, opcode)?,
        0x62 if p.rex == 0 && p.none() => evex(&mut c)?,
        _ => one_byte(&mut c, &p, opcode)?,
    };
    Ok(Decoded { length: c.at as u8, width, source, effect })
}

fn one_byte(c: &mut Cursor<'_>, p: &Prefixes, opcode: u8) -> Result<Store, NotAStore> {
    let operand = p.operand();
    match opcode {
        0x88 => {
            let reg = c.memory_operand()?;
            let high = p.rex == 0 && (4..8).contains(&reg);
            plain(1, if high { Source::HighByte(reg - 4) } else { Source::General(p.extend(reg)) })
        }
        0x89 => plain(operand, Source::General(p.extend(c.memory_operand()?))),
        0x87 => {
            let reg = p.extend(c.memory_operand()?);
            Ok((operand, Source::General(reg), Effect::Zero(reg, operand)))
        }
        0xa3 => {
            c.signed(if p.short_address { 4 } else { 8 })?;
            plain(operand, Source::General(0))
        }
        0xc6 | 0xc7 => {
            if c.memory_operand()? != 0 {
                return Err(NotAStore);
            }
            let width = if opcode == 0xc6 { 1 } else { operand };
            plain(width, Source::Constant(c.signed(usize::from(width.min(4)))? as u64))
        }
        // stos without rep; the direction flag is clear wherever C code runs
        0xaa | 0xab if p.repeat == 0 => {
            let width = if opcode == 0xaa { 1 } else { operand };
            Ok((width, Source::General(0), Effect::Add(7, i64::from(width))))
        }
        _ => Err(NotAStore),
    }
}

fn two_bytes(c: &mut Cursor<'_>, p: &Prefixes) -> Result<Store, NotAStore> {
    let second = c.next()?;
    match (second, p.word, p.repeat) {
        (0x38, ..) => match (c.next()?, p.repeat) {
            (0xf1, 0) => plain(p.operand(), Source::Swapped(p.extend(c.memory_operand()?))), // movbe
            (0xf9, 0) if !p.word => plain(p.operand(), Source::General(p.extend(c.memory_operand()?))), // movdiri
            _ => Err(NotAStore),
        },
        (0x3a, true, 0) => {
            if c.next()? != 0x16 {
                return Err(NotAStore);
            }
            let reg = p.extend(c.memory_operand()?);
            let selector = c.next()?;
            // pextrq; pextrd takes a quarter, which is no doorbell
            if p.wide() { plain(8, half(reg, selector)) } else { Err(NotAStore) }
        }
        (0xc3, false, 0) => plain(p.operand(), Source::General(p.extend(c.memory_operand()?))), // movnti
        _ => {
            let prefix = match (p.repeat, p.word) {
                (0xf2, _) => 3,
                (0xf3, _) => 2,
                (_, word) => u8::from(word),
            };
            let reg = p.extend(c.memory_operand()?);
            vector(second, prefix, p.wide(), reg, 16)
        }
    }
}

/// Vector stores of opcode map 1; `prefix` is 0 (none), 1 (66), 2 (f3) or 3 (f2).
fn vector(opcode: u8, prefix: u8, wide: bool, reg: u8, whole: u8) -> Result<Store, NotAStore> {
    let low = Source::VectorLow(reg);
    match (opcode, prefix) {
        (0xd6, 1) | (0x13, 0 | 1) | (0x11 | 0x2b, 3) => plain(8, low), // movq, movlps/d, movsd, movntsd
        (0x17, 0 | 1) => plain(8, Source::VectorHigh(reg)),            // movhps/d
        (0x7e, 1) => plain(if wide { 8 } else { 4 }, low),             // movq, movd
        (0x11 | 0x2b, 2) => plain(4, low),                             // movss, movntss
        (0x11 | 0x29 | 0x2b, 0 | 1) | (0x7f, 1 | 2) | (0xe7, 1) => plain(whole, low),
        _ => Err(NotAStore), // MMX among them
    }
}

fn vex(c: &mut Cursor<'_>, opcode: u8) -> Result<Store, NotAStore> {
    let first = c.next()?;
    let high = if first & 0x80 == 0 { 8 } else { 0 };
    let (map, last) = if opcode == 0xc5 { (1, first) } else { (first & 0x1f, c.next()?) };
    let wide = opcode == 0xc4 && last & 0x80 != 0;
    let whole = if last & 4 == 0 { 16 } else { 32 };
    let prefix = last & 3;
    let code = c.next()?;
    let reg = c.memory_operand()? | high;
    match map {
        1 => vector(code, prefix, wide, reg, whole),
        // vpextrq
        3 if code == 0x16 && prefix == 1 && wide => plain(8, half(reg, c.next()?)),
        _ => Err(NotAStore),
    }
}

/// The 64-bit stores of the low sixteen registers; the others are not in the frame that a signal handler sees.
fn evex(c: &mut Cursor<'_>) -> Result<Store, NotAStore> {
    let (first, second, third) = (c.next()?, c.next()?, c.next()?);
    let code = c.next()?;
    let reg = c.memory_operand()? | if first & 0x80 == 0 { 8 } else { 0 };
    let low_register = first & 0x10 != 0;
    let wide = second & 0x80 != 0;
    // map 1, no mask, no zeroing, 128 bits
    if first & 7 != 1 || third & 0xe7 != 0 || !low_register {
        return Err(NotAStore);
    }
    match (code, second & 3, wide) {
        (0x11, 2, false) | (0x13 | 0x17, 0, false) | (0x11, 3, true) => {}
        (0x13 | 0x17 | 0x7e | 0xd6, 1, true) => {}
        _ => return Err(NotAStore),
    }
    vector(code, second & 3, wide, reg, 16)
}

#[cfg(test)]
mod tests;
