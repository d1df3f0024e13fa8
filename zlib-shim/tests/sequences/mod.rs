//! Random sequences of zlib calls, made twice: by this library and by the system's zlib, with the same arguments.
//! What a program sees is compared after each. A life is one stream from its opening to its end.
//!
//! What a compressor may choose is not compared: the compressed bytes, and with them how far scarce output space
//! goes. So a call with little space is repeated on each side until all input is taken, as programs do.

pub mod compress;
pub mod expand;
pub mod plain;

use std::cell::RefCell;
use std::sync::OnceLock;

use crate::common::{Stream, inflate_init, sample, theirs};

/// Where decisions come from: a seed, or a fuzzer's bytes (zeros behind their end).
pub enum Dice<'a> {
    Seed(u64),
    Bytes(&'a [u8]),
}

impl Dice<'_> {
    /// A number below `n`, which is at most 2^24.
    pub fn below(&mut self, n: usize) -> usize {
        let drawn = match self {
            Dice::Seed(state) => {
                // splitmix64
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                (z ^ (z >> 31)) as usize
            }
            Dice::Bytes(bytes) => {
                let width = if n <= 256 { 1 } else { 3 };
                let (now, rest) = bytes.split_at(bytes.len().min(width));
                *bytes = rest;
                now.iter().fold(0, |all, &b| all << 8 | usize::from(b))
            }
        };
        drawn % n.max(1)
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A length: mostly small, seldom up to `most`.
    pub fn length(&mut self, most: usize) -> usize {
        let most = match self.below(8) {
            0 => 3,
            1..=3 => 64.min(most),
            4 | 5 => 2000.min(most),
            6 => 20_000.min(most),
            _ => most,
        };
        self.below(most + 1)
    }
}

/// Data of one of the four kinds, a megabyte each.
pub fn source(kind: usize) -> &'static [u8] {
    static ALL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    &ALL.get_or_init(|| (0..4).map(|kind| sample(kind, 1 << 20, 77)).collect())[kind % 4]
}

/// Words for dictionaries, which the text uses too.
pub fn words() -> &'static [u8] {
    &source(0)[..40_000]
}

thread_local! {
    static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Remembers a call of this life, for the report of a difference.
pub fn note(call: std::fmt::Arguments<'_>) {
    CALLS.with_borrow_mut(|calls| calls.push(call.to_string()));
}

/// One life, chosen by the dice. Returns the calls that were made on each side.
pub fn life(dice: &mut Dice<'_>) -> u64 {
    CALLS.with_borrow_mut(Vec::clear);
    match dice.below(16) {
        0..=6 => compress::life(dice),
        7..=13 => expand::life(dice),
        _ => plain::life(dice),
    }
}

/// Lives from seeds `first`, `first + 1`, … until `calls` calls are made; names the seed that fails.
pub fn run(first: u64, calls: u64) -> u64 {
    let (mut made, mut seed) = (0, first);
    while made < calls {
        let one = std::panic::AssertUnwindSafe(|| life(&mut Dice::Seed(seed)));
        made += std::panic::catch_unwind(one).unwrap_or_else(|cause| {
            println!("differs in the life of seed {seed}:\n{}", CALLS.with_borrow(|calls| calls.join("\n")));
            std::panic::resume_unwind(cause)
        });
        seed += 1;
        if seed.is_multiple_of(50_000) {
            println!("{made} calls agree, up to seed {seed}");
        }
    }
    println!("{made} calls on each side agree, seeds {first} to {}", seed - 1);
    made
}

/// Bits written in front of a raw stream, lowest first: how many (at most 16), and their values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Front {
    pub bits: usize,
    pub value: u32,
}

/// Reads a stream with the system's zlib: `front` bits are checked and skipped, the dictionary is given where one is
/// asked for (raw: at once).
pub fn read_back(packed: &[u8], bits: i32, front: Front, dictionary: &[u8]) -> Vec<u8> {
    let (api, mut s) = (theirs(), Stream::new());
    // A window of 8 bits is made 9 by every zlib, which a reader with 8 refuses.
    assert_eq!(inflate_init(api, &mut s, if bits < 0 { -15 } else { bits | 15 }), 0);
    let (whole, rest) = (front.bits / 8, front.bits % 8);
    let mut head = 0u32;
    for (i, &byte) in packed.iter().take(3).enumerate() {
        head |= u32::from(byte) << (8 * i);
    }
    assert_eq!(head & ((1 << front.bits) - 1), front.value, "the bits that deflatePrime put in front");
    // SAFETY: an open stream and live buffers throughout.
    unsafe {
        let set =
            |s: &mut Stream| (api.inflateSetDictionary)(s, dictionary.as_ptr(), dictionary.len() as u32);
        if bits < 0 && !dictionary.is_empty() {
            assert_eq!(set(&mut s), 0);
        }
        let mut skip = whole;
        if rest > 0 {
            let byte = i32::from(packed[whole]) >> rest;
            assert_eq!((api.inflatePrime)(&mut *s, 8 - rest as i32, byte), 0);
            skip += 1;
        }
        s.feed(&packed[skip..]);
        let (mut all, mut out) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            s.room(&mut out);
            let code = (api.inflate)(&mut *s, 0);
            all.extend_from_slice(&out[..out.len() - s.avail_out as usize]);
            match code {
                0 => {}
                1 => break,
                2 => assert_eq!(set(&mut s), 0, "the dictionary is the one asked for"),
                code => panic!("zlib cannot read it back: {code} {}", s.message()),
            }
        }
        assert_eq!(s.avail_in, 0, "all of the stream is used");
        (api.inflateEnd)(&mut *s);
        all
    }
}

/// `gz_header`.
#[repr(C)]
pub struct Head {
    pub text: i32,
    pub time: u64,
    pub xflags: i32,
    pub os: i32,
    pub extra: *mut u8,
    pub extra_len: u32,
    pub extra_max: u32,
    pub name: *mut u8,
    pub name_max: u32,
    pub comment: *mut u8,
    pub comm_max: u32,
    pub hcrc: i32,
    pub done: i32,
}

impl Head {
    /// With room for what is to be read, or with what is to be written, in `room`: 64 bytes a part.
    pub fn new(room: &mut [[u8; 64]; 3]) -> Head {
        let [extra, name, comment] = room;
        Head {
            text: 0,
            time: 0,
            xflags: 0,
            os: 3,
            extra: extra.as_mut_ptr(),
            extra_len: 0,
            extra_max: 64,
            name: name.as_mut_ptr(),
            name_max: 64,
            comment: comment.as_mut_ptr(),
            comm_max: 64,
            hcrc: 0,
            done: 0,
        }
    }
}
