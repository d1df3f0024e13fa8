//! SEC descriptors of both generations, written by the names of the hardware reference (`sec.md`, sections 3 and 4).

use crate::engine::sec::Sec;
use crate::engine::testing::{Space, Words};
use crate::engine::{Generation, Rule, Verdict};

pub use Generation::{V2, V3};

/// Both generations with flat buffers and with lists.
pub const EVERYWHERE: [(Generation, bool); 4] = [(V2, false), (V2, true), (V3, false), (V3, true)];

/// (word, low bit, width) of a field in descriptor types 2 and 3.
fn place(name: &str, generation: Generation) -> (usize, u32, u32) {
    let (two, three) = match name {
        "cipher" => ((0, 4, 2), (1, 0, 2)),
        "auth" => ((0, 6, 2), (14, 0, 2)),
        "seq" => ((0, 8, 1), (1, 30, 1)),
        "de" => ((0, 9, 2), (0, 9, 2)),
        "scene" => ((0, 11, 4), (0, 5, 4)),
        "src_addr_type" => ((0, 15, 3), (0, 11, 3)),
        "dst_addr_type" => ((0, 18, 3), (0, 14, 3)),
        "ai_gen" => ((1, 8, 2), (14, 2, 2)),
        "a_pad" => ((1, 10, 2), (27, 0, 2)),
        "mac_len" => ((2, 0, 5), (14, 4, 5)),
        "a_key_len" => ((2, 5, 6), (14, 9, 6)),
        "a_alg" => ((2, 11, 6), (14, 15, 6)),
        "c_icv_len" => ((3, 0, 6), (1, 4, 6)),
        "c_width" => ((3, 6, 3), (1, 10, 3)),
        "c_key_len" => ((3, 9, 3), (1, 13, 3)),
        "c_mode" => ((3, 12, 4), (1, 16, 4)),
        "c_alg" => ((3, 16, 4), (1, 20, 4)),
        "a_len" => ((4, 0, 24), (17, 0, 24)),
        "c_len" => ((5, 0, 24), (18, 0, 24)),
        "cipher_src_offset" => ((6, 16, 16), (16, 16, 16)),
        // V2 has none; a value there is left out
        "ctr_count_mode" => ((6, 0, 0), (14, 25, 2)),
        "mac_sel" => ((6, 0, 0), (27, 5, 1)),
        _ => panic!("{name} is no field"),
    };
    if generation == V2 { two } else { three }
}

/// First word of an address or another 64-bit field.
fn word(name: &str, generation: Generation) -> usize {
    let (two, three) = match name {
        "long_a_data_len" => (12, 25),
        "a_ivin" => (14, 8),
        "a_key" => (16, 6),
        "mac" => (18, 21),
        "c_ivin" => (20, 23),
        "c_key" => (22, 12),
        "src" => (24, 4),
        "dst" => (26, 19),
        _ => panic!("{name} is no address"),
    };
    if generation == V2 { two } else { three }
}

/// A descriptor under construction.
pub struct Descriptor {
    words: Words,
    generation: Generation,
}

/// How a descriptor ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// done, no error; `true` if a tag was compared and differs.
    Done(bool),
    /// Refused by this rule.
    Refused(Rule),
}

impl Descriptor {
    /// An empty descriptor of the generation's type, tag 0x123.
    pub fn new(generation: Generation) -> Self {
        let (kind, tag) = if generation == V2 { (2, 10) } else { (3, 2) };
        Self { words: Words::of(32, &[(0, kind), (tag, 0x123)]), generation }
    }

    /// Fields by name.
    pub fn set(mut self, fields: &[(&str, u32)]) -> Self {
        for (name, value) in fields {
            let (at, low, width) = place(name, self.generation);
            if width > 0 {
                assert!(*value < 1 << width, "{name} {value}");
                let old = self.words.0[at];
                self.words = self.words.set(at, old | value << low);
            }
        }
        self
    }

    /// Addresses by name.
    pub fn at(mut self, addresses: &[(&str, u64)]) -> Self {
        for (name, address) in addresses {
            self.words = self.words.addr(word(name, self.generation), *address);
        }
        self
    }

    /// Executes; only the write-back words may have changed.
    pub fn run(self, mem: &Space) -> End {
        self.run_on(&Sec::STANDARD, mem)
    }

    /// The same on an engine with other switches.
    pub fn run_on(self, engine: &Sec, mem: &Space) -> End {
        let (back, verdict) = self.words.run(engine, mem, self.generation, 0);
        assert_eq!(back.0[..28], self.words.0[..28]);
        let flag = back.0[28];
        match verdict {
            Verdict::Done { .. } => {
                assert_eq!((flag & 1, flag >> 16 & 0xFF), (1, 0), "{verdict:?}");
                End::Done(flag >> 1 & 7 == 2)
            }
            Verdict::Refused { rule, .. } => {
                assert_ne!(flag >> 16 & 0xFF, 0, "{verdict:?}");
                End::Refused(rule)
            }
        }
    }
}

/// A data buffer, flat or as a list of uneven pieces.
pub struct Buffer {
    /// For the descriptor.
    pub address: u64,
    pieces: Vec<(u64, usize)>,
}

impl Buffer {
    /// Puts `data` into memory.
    pub fn new(mem: &Space, data: &[u8], list: bool) -> Self {
        if list {
            let (sizes, per_list) =
                if data.len() < 2000 { ([7, 16, 1, 40, 5], 3) } else { ([700, 1600, 1, 4000, 50], 7) };
            let (address, pieces) = mem.chain(data, &sizes, per_list);
            Self { address, pieces }
        } else {
            let address = mem.put_odd(data, 3);
            Self { address, pieces: vec![(address, data.len())] }
        }
    }

    /// What is in it now.
    pub fn bytes(&self, mem: &Space) -> Vec<u8> {
        mem.gather(&self.pieces)
    }
}
