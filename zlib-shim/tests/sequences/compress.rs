//! Lives of deflate streams.

use std::ffi::c_void;

use super::{Dice, Front, Head, note, read_back, source, words};
use crate::common::{Api, Stream, deflate_init, ours, theirs};

const FINISH: i32 = 4;
const BLOCK: i32 = 5;

struct Side {
    api: &'static Api,
    s: Box<Stream>,
    out: Vec<u8>,
}

impl Side {
    /// Calls deflate with `room` bytes at a time until all input is taken and space is left; the last code.
    fn drive(&mut self, data: &[u8], flush: i32, room: usize) -> i32 {
        self.s.feed(data);
        loop {
            let filled = self.out.len();
            self.out.resize(filled + room, 0);
            self.s.room(&mut self.out[filled..]);
            // SAFETY: an open stream and live buffers.
            let code = unsafe { (self.api.deflate)(&mut *self.s, flush) };
            let left = self.s.avail_out as usize;
            self.out.truncate(filled + room - left);
            if left != 0 || !matches!(code, 0) {
                return code;
            }
        }
    }

    fn held(&mut self) -> Vec<u8> {
        let (mut window, mut n) = (vec![0; 32 << 10], 0);
        // SAFETY: an open stream, and room for a window.
        let code = unsafe { (self.api.deflateGetDictionary)(&mut *self.s, window.as_mut_ptr(), &mut n) };
        assert_eq!(code, 0);
        window.truncate(n as usize);
        window
    }

    fn copy(&mut self) -> Side {
        let mut copy = Stream::new();
        // SAFETY: open streams.
        assert_eq!(unsafe { (self.api.deflateCopy)(&mut *copy, &mut *self.s) }, 0);
        Side { api: self.api, s: copy, out: self.out.clone() }
    }

    fn end(&mut self) -> i32 {
        // SAFETY: an open stream.
        unsafe { (self.api.deflateEnd)(&mut *self.s) }
    }
}

/// Runs `f` on both sides, the codes or whatever it gives must be equal.
fn both<T: PartialEq + std::fmt::Debug>(
    sides: &mut [Side; 2],
    what: &str,
    f: impl FnMut(&mut Side) -> T,
) -> T {
    let [ours, theirs] = sides.each_mut().map(f);
    note(format_args!("{what}: {theirs:?}"));
    assert_eq!(ours, theirs, "{what}: ours, zlib's");
    ours
}

/// What has been given to the streams since their last reset.
#[derive(Clone, Default)]
struct Told {
    data: Vec<u8>,
    dictionary: Vec<u8>,
    front: Front,
    /// The last call ended a block and left nothing waiting.
    at_block_end: bool,
    /// A call of deflate was made.
    begun: bool,
    gzip_name: bool,
}

fn finish(sides: &mut [Side; 2], told: &Told, bits: i32, room: usize) {
    both(sides, "finish", |side| (side.drive(&[], FINISH, room), side.s.total_in));
    if bits > 0 {
        both(sides, "check value at the end", |side| side.s.adler);
    }
    both(sides, "finish once more", |side| side.drive(&[], FINISH, 100));
    for side in sides {
        let back = read_back(&side.out, bits, told.front, &told.dictionary);
        assert!(back == told.data, "reads back: {} of {} bytes", back.len(), told.data.len());
        assert_eq!(bits > 15 && side.out[3] & 8 != 0, told.gzip_name, "a name in the header");
        assert_eq!(side.end(), 0);
    }
}

/// One life; the calls made on each side.
pub fn life(dice: &mut Dice<'_>) -> u64 {
    let bits = dice.of(&[15, 15, 31, -15, -15, 12, -12, 28, 13, -14, 9, -9, 8, 24, 25, -8, 0, 48]);
    let level = dice.of(&[-1, 6, 6, 1, 1, 9, 3, 0, 2, 5, 10]);
    let mem = if dice.one_in(4) { dice.below(11) as i32 } else { 8 };
    let strategy = if dice.one_in(4) { dice.below(6) as i32 } else { 0 };
    let mut sides = [ours(), theirs()].map(|api| Side { api, s: Stream::new(), out: Vec::new() });
    let mut calls = 1;
    note(format_args!("level {level}, window bits {bits}, memory {mem}, strategy {strategy}"));
    if both(&mut sides, "init", |side| deflate_init(side.api, &mut side.s, level, bits, mem, strategy)) != 0 {
        return calls;
    }
    let source = source(dice.below(4));
    let (mut at, mut told) = (0, Told::default());
    for _ in 0..dice.below(24) {
        calls += 1;
        match dice.below(24) {
            0..=9 => {
                let n = dice.length(90_000).min(source.len() - at);
                let data = &source[at..at + n];
                let flush = dice.of(&[0, 0, 0, 0, 0, 0, 1, 2, 2, 3, BLOCK]);
                // Less than this and any zlib writes one mark after another.
                let scarce = dice.one_in(3).then(|| 24 + dice.length(5000));
                let room = scarce.unwrap_or(n * 2 + 70_000);
                let codes = sides.each_mut().map(|side| side.drive(data, flush, room));
                note(format_args!("deflate {n} bytes, {room} of space, flush {flush}: {codes:?}"));
                for side in &mut sides {
                    assert_eq!(side.s.avail_in, 0, "all input is taken");
                    if scarce.is_some() {
                        // Whether the last call had anything left to do is the compressor's affair.
                        side.s.msg = std::ptr::null();
                    }
                }
                if scarce.is_none() {
                    assert_eq!(codes[0], codes[1], "{n} bytes, flush {flush}: ours, zlib's");
                    both(&mut sides, "message", |side| side.s.message());
                }
                both(&mut sides, "total_in", |side| side.s.total_in);
                if bits > 0 {
                    both(&mut sides, "check value", |side| side.s.adler);
                }
                told.data.extend_from_slice(data);
                told.begun = true;
                told.at_block_end = matches!(flush, 2 | 3);
                at += n;
            }
            10 => {
                let (level, strategy) = (dice.below(12) as i32 - 1, dice.below(6) as i32);
                both(&mut sides, "deflateParams", |side| {
                    side.s.feed(&[]);
                    let filled = side.out.len();
                    side.out.resize(filled + 200_000, 0);
                    side.s.room(&mut side.out[filled..]);
                    // SAFETY: an open stream and live buffers.
                    let code = unsafe { (side.api.deflateParams)(&mut *side.s, level, strategy) };
                    let left = side.s.avail_out as usize;
                    side.out.truncate(filled + 200_000 - left);
                    code
                });
                told.at_block_end = false;
            }
            11 => {
                for side in &mut sides {
                    let copy = side.copy();
                    side.end();
                    *side = copy;
                }
            }
            12 => {
                // Two streams from here on; the copy ends now.
                let mut copies = sides.each_mut().map(Side::copy);
                finish(&mut copies, &told, bits, dice.of(&[100, 2_000_000]));
            }
            13 | 14 if !told.begun && told.dictionary.is_empty() && told.front.bits == 0 => {
                let n = dice.length(40_000);
                let code = both(&mut sides, "deflateSetDictionary", |side| {
                    // SAFETY: an open stream, a live buffer.
                    let code =
                        unsafe { (side.api.deflateSetDictionary)(&mut *side.s, words().as_ptr(), n as u32) };
                    (code, side.s.total_in, if bits > 0 { side.s.adler } else { 0 })
                });
                if code.0 == 0 {
                    told.dictionary = words()[..n].to_vec();
                }
            }
            13..=15 => {
                let held = sides.each_mut().map(Side::held);
                let all = [&told.dictionary[..], &told.data[..]].concat();
                for window in &held {
                    assert!(all.ends_with(window), "deflateGetDictionary gives the last of the data");
                }
            }
            16 if bits < 0 && !told.begun && told.front.bits == 0 => {
                let n = dice.below(17);
                let value = dice.below(1 << n) as u32;
                both(&mut sides, "deflatePrime", |side| {
                    // SAFETY: an open stream.
                    unsafe { (side.api.deflatePrime)(&mut *side.s, n as i32, value as i32) }
                });
                told.front = Front { bits: n, value };
            }
            16 if bits < 0 && told.at_block_end => {
                // An empty block of fixed codes, as pigz puts in.
                // SAFETY: an open stream.
                both(&mut sides, "deflatePrime", |side| unsafe {
                    (side.api.deflatePrime)(&mut *side.s, 10, 2)
                });
            }
            16 => {
                // SAFETY: an open stream.
                both(&mut sides, "deflatePrime of 17", |side| unsafe {
                    (side.api.deflatePrime)(&mut *side.s, 17, 0)
                });
            }
            17 => {
                let knobs =
                    [dice.below(300), dice.below(300), dice.below(300), dice.below(5000)].map(|n| n as i32);
                // SAFETY: an open stream.
                both(&mut sides, "deflateTune", |side| unsafe {
                    (side.api.deflateTune)(&mut *side.s, knobs[0], knobs[1], knobs[2], knobs[3])
                });
            }
            18 => {
                both(&mut sides, "deflatePending", |side| {
                    let (mut bytes, mut bits) = (0, 0);
                    // SAFETY: an open stream.
                    let code = unsafe { (side.api.deflatePending)(&mut *side.s, &mut bytes, &mut bits) };
                    // All space that was asked for was there.
                    (code, bytes / 8 * u32::from(side.s.avail_out != 0))
                });
            }
            19 => {
                let n = dice.length(1 << 20) as u64;
                // SAFETY: an open stream.
                let bounds = sides.each_mut().map(|side| unsafe { (side.api.deflateBound)(&mut *side.s, n) });
                // Whether the window holds anything yet, which zlib adds 4 for, is the compressor's affair; and ours
                // is enough for an empty stream at level 0.
                assert!((bounds[1]..=bounds[1] + 6).contains(&bounds[0]), "deflateBound({n}): {bounds:?}");
            }
            20 => {
                let keep = dice.one_in(3);
                // SAFETY: an open stream.
                both(&mut sides, "deflateReset", |side| unsafe {
                    side.out.clear();
                    let reset = if keep { side.api.deflateResetKeep } else { side.api.deflateReset };
                    (reset(&mut *side.s), side.s.total_in, side.s.total_out, side.s.adler, side.s.data_type)
                });
                if keep {
                    // What the window still holds is then allowed as history, which no reader has.
                    for side in &mut sides {
                        side.end();
                    }
                    return calls;
                }
                told = Told::default();
            }
            21 if !told.begun => {
                let mut room = [
                    [b'e'; 64],
                    *b"name\0___________________________________________________________",
                    [0; 64],
                ];
                let mut head = Head::new(&mut room);
                head.extra_len = dice.below(60) as u32;
                head.hcrc = dice.below(2) as i32;
                head.time = 77;
                let code = both(&mut sides, "deflateSetHeader", |side| {
                    // SAFETY: an open stream; the header lives until its bytes are written, below.
                    unsafe { (side.api.deflateSetHeader)(&mut *side.s, (&raw mut head).cast::<c_void>()) }
                });
                if code == 0 {
                    both(&mut sides, "a call that writes the header", |side| side.drive(&[], 0, 1000));
                    both(&mut sides, "the header's bytes", |side| {
                        // The level's and the system's mark are zlib's too.
                        side.out.clone()
                    });
                    told.begun = true;
                    told.gzip_name = true;
                    // SAFETY: an open stream. Later resets write a plain header again.
                    both(&mut sides, "deflateSetHeader of none", |side| unsafe {
                        (side.api.deflateSetHeader)(&mut *side.s, std::ptr::null_mut())
                    });
                }
            }
            21 => {
                both(&mut sides, "misuse", |side| {
                    side.s.feed(&[1]);
                    side.s.next_in = std::ptr::null();
                    let mut out = [0; 8];
                    side.s.room(&mut out);
                    // SAFETY: an open stream; input without a buffer and unknown flush values are refused.
                    let codes = unsafe {
                        let first = (side.api.deflate)(&mut *side.s, 0);
                        side.s.feed(&[]);
                        (first, (side.api.deflate)(&mut *side.s, 6), (side.api.deflate)(&mut *side.s, -1))
                    };
                    side.s.msg = std::ptr::null();
                    codes
                });
            }
            22 if dice.one_in(3) => {
                both(&mut sides, "deflateEnd in between", Side::end);
                return calls;
            }
            _ => {}
        }
    }
    let room = if dice.one_in(3) { 1 + dice.length(300) } else { 2_200_000 };
    finish(&mut sides, &told, bits, room);
    calls + 3
}
