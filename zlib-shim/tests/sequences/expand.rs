//! Lives of inflate streams.

use std::ffi::c_void;

use super::{Dice, Head, note, source, words};
use crate::common::{self, Api, Stream, deflate_init, inflate_init, ours, theirs};

/// What the stream is made of, and what it says.
struct Member {
    packed: Vec<u8>,
    data: Vec<u8>,
    bits: i32,
    /// Raw, or zlib with its mark in the header.
    dictionary: Option<usize>,
}

/// A stream of the system's zlib, with flush marks, perhaps a dictionary, a gzip header, what follows, and spoilt.
fn member(dice: &mut Dice<'_>) -> Member {
    let bits = dice.of(&[15, 15, 31, 31, -15, -15, 13, 9]);
    let api = theirs();
    let mut s = Stream::new();
    let level = dice.of(&[6, 6, 1, 9, 0, 4]);
    assert_eq!(deflate_init(api, &mut s, level, bits, 8, dice.of(&[0, 0, 0, 1, 2, 3, 4])), 0);
    let data = &source(dice.below(4))[dice.below(1000)..][..dice.length(100_000)];
    let mut out = vec![0; data.len() * 2 + 3000];
    s.room(&mut out);
    let mut room =
        [[b'e'; 64], *b"name\0___________________________________________________________", [0; 64]];
    let mut head = Head::new(&mut room);
    let dictionary = (bits < 16 && dice.one_in(5)).then(|| dice.length(30_000));
    // SAFETY: an open stream and live buffers.
    unsafe {
        if bits == 31 && dice.one_in(2) {
            (head.extra_len, head.hcrc) = (dice.below(60) as u32, dice.below(2) as i32);
            (api.deflateSetHeader)(&mut *s, (&raw mut head).cast());
        }
        if let Some(n) = dictionary {
            assert_eq!((api.deflateSetDictionary)(&mut *s, words().as_ptr(), n as u32), 0);
        }
        let pieces = 1 + dice.below(3);
        for piece in data.chunks(data.len().div_ceil(pieces).max(1)) {
            s.feed(piece);
            (api.deflate)(&mut *s, dice.of(&[0, 2, 3, 5]));
        }
        s.feed(&[]);
        assert_eq!((api.deflate)(&mut *s, 4), 1);
        out.truncate(s.total_out as usize);
        (api.deflateEnd)(&mut *s);
    }
    if dice.one_in(3) {
        out.extend_from_slice(&source(1)[..dice.length(3000)]);
    }
    match dice.below(6) {
        0 => {
            let at = dice.below(out.len());
            out[at] ^= 1 << dice.below(8);
        }
        1 => out.truncate(dice.below(out.len())),
        _ => {}
    }
    Member { packed: out, data: data.to_vec(), bits, dictionary }
}

struct Side {
    api: &'static Api,
    s: Box<Stream>,
    /// Input used, and output so far.
    at: usize,
    out: Vec<u8>,
}

impl Side {
    /// One call with the input up to `fed` and `space` bytes of space.
    fn inflate(&mut self, input: &[u8], fed: usize, space: usize, flush: i32) -> i32 {
        self.s.feed(&input[self.at..fed]);
        let filled = self.out.len();
        // One more: zlib refuses a null pointer, which an empty vector might give.
        self.out.resize(filled + space + 1, 0);
        self.s.next_out = self.out[filled..].as_mut_ptr();
        self.s.avail_out = space as u32;
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (self.api.inflate)(&mut *self.s, flush) };
        self.out.truncate(filled + space - self.s.avail_out as usize);
        self.at = fed - self.s.avail_in as usize;
        code
    }

    /// Reads on until nothing moves any more: the last code, the message, and all output.
    fn rest(mut self, input: &[u8]) -> (i32, String, Vec<u8>) {
        let code = loop {
            let before = (self.at, self.out.len());
            let code = self.inflate(input, input.len(), 70_000, 0);
            if code != 0 || before == (self.at, self.out.len()) {
                break code;
            }
        };
        let end = (code, self.s.message(), std::mem::take(&mut self.out));
        self.end();
        end
    }

    fn copy(&mut self) -> Side {
        let mut copy = Stream::new();
        // SAFETY: open streams.
        assert_eq!(unsafe { (self.api.inflateCopy)(&mut *copy, &mut *self.s) }, 0);
        Side { api: self.api, s: copy, at: self.at, out: self.out.clone() }
    }

    fn end(&mut self) {
        // SAFETY: an open stream.
        assert_eq!(unsafe { (self.api.inflateEnd)(&mut *self.s) }, 0);
    }
}

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

/// One life; the calls made on each side.
pub fn life(dice: &mut Dice<'_>) -> u64 {
    let made = member(dice);
    let input = &made.packed[..];
    let read = match made.bits {
        -15 => -15,
        bits => dice.of(&[bits, bits, bits | 15, 47, 47, 31, 0]),
    };
    note(format_args!("{} bytes made with {}, dictionary {:?}", made.data.len(), made.bits, made.dictionary));
    let device = common::on_the_model();
    let mut sides = [ours(), theirs()].map(|api| Side { api, s: Stream::new(), at: 0, out: Vec::new() });
    both(&mut sides, "init", |side| inflate_init(side.api, &mut side.s, read));
    let (mut fed, mut calls, mut bits) = (0, 1, read);
    let (mut begun, mut finishing, mut unchecked) = (false, false, false);
    let (mut heads, mut rooms) = ([const { None::<Head> }; 2], [[[0u8; 64]; 3]; 2]);
    for _ in 0..2 + dice.below(30) {
        calls += 1;
        let apart = sides[0].at != sides[1].at;
        let mut over = false;
        match dice.below(24) {
            0..=12 => {
                fed = (fed + dice.length(60_000)).min(input.len());
                let (space, flush) = (dice.length(90_000), dice.of(&[0, 0, 0, 0, 2, 2, 4, 5, 6]));
                let mut codes = sides.each_mut().map(|side| side.inflate(input, fed, space, flush));
                note(format_args!("inflate up to {fed} into {space}, flush {flush}: {codes:?}"));
                begun |= fed > 0;
                finishing |= flush == 4;
                // A device takes input ahead of the output's space: progress that zlib makes later.
                let ahead = device && codes.iter().all(|code| matches!(code, 0 | -5));
                if !ahead {
                    assert_eq!(codes[0], codes[1], "inflate {fed} {space} {flush}: ours, zlib's");
                }
                if codes == [2, 2] {
                    both(&mut sides, "the dictionary's identity", |side| side.s.adler);
                    let n = made.dictionary.unwrap_or(10) as u32;
                    codes = sides.each_mut().map(|side| {
                        // SAFETY: an open stream, a live buffer.
                        unsafe { (side.api.inflateSetDictionary)(&mut *side.s, words().as_ptr(), n) }
                    });
                    assert_eq!(codes[0], codes[1], "inflateSetDictionary");
                }
                let [a, b] = [&sides[0].out, &sides[1].out];
                assert!(a == b, "bytes of inflate {fed} {space} {flush}: {} {}", a.len(), b.len());
                finishing |= sides[1].out.len() == made.data.len();
                if matches!(flush, 5 | 6) && sides[0].at == sides[1].at && codes == [0, 0] {
                    both(&mut sides, "data_type", |side| side.s.data_type);
                }
                over = !matches!(codes[1], 0 | -5);
            }
            13 => {
                let mut copies = sides.each_mut().map(Side::copy);
                if dice.one_in(2) {
                    std::mem::swap(&mut copies, &mut sides);
                }
                // A search or a changed setting may be behind: only whole readers are read to their end.
                let [a, b] = copies.map(|copy| copy.rest(input));
                let (kept_a, kept_b) = (a.2.len(), b.2.len());
                assert!(a == b, "the copy: {:?} {kept_a}, zlib's {:?} {kept_b}", (a.0, &a.1), (b.0, &b.1));
            }
            14 => {
                let to = dice.of(&[None, None, Some(15), Some(31), Some(47), Some(-15)]);
                both(&mut sides, "inflateReset", |side| {
                    (side.at, side.out) = (0, Vec::new());
                    // SAFETY: an open stream.
                    unsafe {
                        match to {
                            None => (side.api.inflateReset)(&mut *side.s),
                            Some(bits) => (side.api.inflateReset2)(&mut *side.s, bits),
                        }
                    }
                });
                bits = to.unwrap_or(bits);
                (fed, begun, finishing) = (0, false, false);
                heads = [None, None];
            }
            15 => {
                // A device may leave a byte that zlib has taken, or the reverse: a search then begins elsewhere.
                if apart && device {
                    break;
                }
                let code = both(&mut sides, "inflateSync", |side| {
                    side.s.feed(&input[side.at..fed]);
                    // SAFETY: an open stream and live input.
                    let code = unsafe { (side.api.inflateSync)(&mut *side.s) };
                    side.at = fed - side.s.avail_in as usize;
                    code
                });
                over = code != -5;
            }
            16 => {
                let on = dice.one_in(2);
                // SAFETY: an open stream.
                both(&mut sides, "inflateValidate", |side| unsafe {
                    (side.api.inflateValidate)(&mut *side.s, on.into())
                });
                unchecked |= !on;
                over = on;
            }
            17 => {
                let held = sides.each_mut().map(|side| {
                    let (mut window, mut n) = (vec![0; 32 << 10], 0);
                    // SAFETY: an open stream, and room for a window.
                    let code =
                        unsafe { (side.api.inflateGetDictionary)(&mut *side.s, window.as_mut_ptr(), &mut n) };
                    window.truncate(n as usize);
                    (code, window)
                });
                // At the end of the data, and with Z_FINISH, zlib may leave its window as it was.
                if !finishing {
                    let lengths = [held[0].1.len(), held[1].1.len()];
                    assert!(held[0] == held[1], "inflateGetDictionary: {lengths:?}");
                }
            }
            18 if !apart => {
                // SAFETY: an open stream.
                both(&mut sides, "inflateSyncPoint", |side| unsafe {
                    (side.api.inflateSyncPoint)(&mut *side.s)
                });
            }
            19 if !apart => {
                // The upper half, bits since the code's start, is the engine's own count, and less than zlib's.
                both(&mut sides, "inflateMark", |side| {
                    // SAFETY: an open stream.
                    unsafe { (side.api.inflateMark)(&mut *side.s) & 0xffff }
                });
            }
            20 => {
                // SAFETY: an open stream.
                both(&mut sides, "inflateUndermine", |side| unsafe {
                    (side.api.inflateUndermine)(&mut *side.s, 1)
                });
            }
            21 if bits < 0 && !begun => {
                // Bits given beforehand are input too; a whole byte of it.
                let Some(&first) = input.first() else { continue };
                both(&mut sides, "inflatePrime", |side| {
                    // SAFETY: an open stream.
                    let code = unsafe { (side.api.inflatePrime)(&mut *side.s, 8, first.into()) };
                    side.at = 1;
                    code
                });
                (fed, begun) = (1, true);
                if let Some(n) = made.dictionary {
                    // SAFETY: an open stream, a live buffer.
                    both(&mut sides, "inflateSetDictionary", |side| unsafe {
                        (side.api.inflateSetDictionary)(&mut *side.s, words().as_ptr(), n as u32)
                    });
                }
            }
            21 => {
                // SAFETY: an open stream.
                both(&mut sides, "inflatePrime of 17", |side| unsafe {
                    (side.api.inflatePrime)(&mut *side.s, 17, 0)
                });
            }
            22 if !begun && heads[0].is_none() => {
                for (side, (head, room)) in sides.iter_mut().zip(heads.iter_mut().zip(&mut rooms)) {
                    let head = head.insert(Head::new(room));
                    // SAFETY: an open stream; the header and its room outlive it.
                    let code = unsafe {
                        (side.api.inflateGetHeader)(&mut *side.s, (&raw mut *head).cast::<c_void>())
                    };
                    assert_eq!(code, if bits < 0 || bits == 15 { -2 } else { code }, "inflateGetHeader");
                }
            }
            _ => {
                let seen = heads.each_ref().map(|head| {
                    head.as_ref().map(|h| (h.done, h.text, h.time, h.xflags, h.os, h.extra_len, h.hcrc))
                });
                if !(apart && device) {
                    assert_eq!(seen[0], seen[1], "what inflateGetHeader gave");
                    assert!(rooms[0] == rooms[1], "the header's texts");
                }
            }
        }
        if !unchecked {
            both(&mut sides, "check value", |side| side.s.adler);
        }
        both(&mut sides, "message", |side| side.s.message());
        if sides[0].at == sides[1].at {
            both(&mut sides, "total_in", |side| side.s.total_in);
        }
        // From an end, an error, a search, or other checking, the rest is each one's own.
        if over {
            break;
        }
    }
    sides.iter_mut().for_each(Side::end);
    calls + 1
}
