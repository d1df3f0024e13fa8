//! HPRE descriptors and their memory images, by `hpre.md` sections 1, 4 and 5.

use crate::engine::hpre::Hpre;
use crate::engine::testing::{Space, Words};
use crate::engine::{Generation, Rule, Verdict};

/// What a descriptor asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Task<'a> {
    /// Operation code.
    pub alg: u32,
    /// Slot width in bytes.
    pub width: usize,
    /// Images, slots concatenated.
    pub key: &'a [u8],
    /// `None`: no input, address 0.
    pub input: Option<&'a [u8]>,
    /// Bytes of output; 0 for a verification.
    pub output: usize,
    /// dword 1 beyond the width: sm2_ksel (bit 25), bit 31.
    pub flags: u32,
    /// SM2 message length - 1.
    pub message: u32,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Output.
    Bytes(Vec<u8>),
    /// Verdict of a verification.
    Valid(bool),
    /// Finished with an error, or refused by a rule.
    Error(Option<Rule>),
}

impl Task<'_> {
    /// Executes on a device of the generation, on the queue class that the operation belongs to.
    pub fn run(&self, generation: Generation) -> Answer {
        let mem = Space::default();
        let verify = matches!(self.alg, 0xF | 0x13);
        let out = mem.put_odd(&vec![0xEE; self.output], 5);
        let input = self.input.map_or(0, |bytes| mem.put_odd(bytes, 3));
        // a driver leaves the input's address in the output's place of a verification
        let words = Words::of(16, &[(0, 1 << 30 | self.alg), (1, (self.width as u32 / 8 - 1) | self.flags)])
            .set(10, self.message)
            .addr(2, mem.put_odd(self.key, 1))
            .addr(4, input)
            .addr(6, if verify { input } else { out })
            .addr(8, 0xFFFF_8000_4000);
        let (back, verdict) = words.run(&Hpre::STANDARD, &mem, generation, u32::from(self.alg >= 0xB) as u16);
        let unchanged = |at: usize| back.0[at] == words.0[at];
        assert!(
            (1..16).all(|at| unchanged(at)
                || at == 1 && back.0[1] & !(15 << 27) == words.0[1]
                || verify && (at == 6 || at == 7)),
            "{self:?}"
        );
        match verdict {
            Verdict::Done { ok: true, .. } => {
                assert_eq!(back.0[0], 3 << 30 | self.alg, "{self:?}");
                if verify {
                    Answer::Valid(back.0[6] & 2 != 0)
                } else {
                    Answer::Bytes(mem.get(out, self.output))
                }
            }
            Verdict::Done { .. } => {
                assert_ne!(back.0[0] & 0x3FFF_FFE0, 0, "{self:?}");
                Answer::Error(None)
            }
            Verdict::Refused { rule, .. } => {
                assert_ne!(back.0[0] & 0x3FFF_FFE0, 0, "{self:?}");
                Answer::Error(Some(rule))
            }
        }
    }

    /// The output, which must be good.
    pub fn bytes(&self, generation: Generation, at: &str) -> Vec<u8> {
        match self.run(generation) {
            Answer::Bytes(bytes) => bytes,
            other => panic!("{at}: {other:?}"),
        }
    }
}

/// A number in a slot: right-aligned, leading zeros dropped if the slot is shorter.
pub fn slot(number: &[u8], width: usize) -> Vec<u8> {
    let first = number.iter().position(|b| *b != 0).unwrap_or(number.len());
    let digits = &number[first..];
    assert!(digits.len() <= width, "{} bytes in a slot of {width}", digits.len());
    [&vec![0; width - digits.len()][..], digits].concat()
}

/// Several numbers in slots of one width.
pub fn slots(numbers: &[&[u8]], width: usize) -> Vec<u8> {
    numbers.iter().flat_map(|number| slot(number, width)).collect()
}
