//! Streams made the way pigz makes and reads them: blocks of one raw stream from independent compressors, each
//! with the data before it as a preset dictionary, ended by `Z_BLOCK` and joined on byte boundaries by
//! `deflatePrime`; read back by `inflateBack`. In software, on the device model, and on a failing one.
#![allow(unsafe_code, missing_docs)]

mod common;

use common::{Api, Stream, cases, deflate_init, inflate_init, inflated, ours, sample, theirs};
use proptest::prelude::*;

const FINISH: i32 = 4;
const BLOCK: i32 = 5;

/// How a program cuts its data into blocks.
#[derive(Debug, Clone)]
struct Plan {
    kind: u8,
    length: usize,
    block: usize,
    level: i32,
    /// Output space given at a time.
    room: usize,
    /// The window before a block is its dictionary; without, a full flush ends each block.
    dictionary: bool,
}

/// Calls deflate until it has no more to write, as pigz does.
fn drive(api: &Api, s: &mut Stream, room: usize, out: &mut Vec<u8>, flush: i32) {
    loop {
        let mut space = vec![0; room];
        s.room(&mut space);
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (api.deflate)(s, flush) };
        assert!((0..=1).contains(&code) || code == -5, "{code} {}", s.message());
        out.extend_from_slice(&space[..room - s.avail_out as usize]);
        if s.avail_out != 0 {
            break;
        }
    }
    assert_eq!(s.avail_in, 0, "all input is taken");
}

fn bits(api: &Api, s: &mut Stream) -> i32 {
    let mut bits = -1;
    // SAFETY: an open stream.
    assert_eq!(unsafe { (api.deflatePending)(s, std::ptr::null_mut(), &mut bits) }, 0);
    bits
}

/// One raw stream of all of `data`.
fn joined(api: &Api, data: &[u8], plan: &Plan) -> Vec<u8> {
    let mut s = Stream::new();
    assert_eq!(deflate_init(api, &mut s, 6, -15, 8, 0), 0);
    let mut out = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let n = plan.block.min(data.len() - at);
        // SAFETY: an open stream; the dictionary is live.
        unsafe {
            assert_eq!((api.deflateReset)(&mut *s), 0);
            assert_eq!((api.deflateParams)(&mut *s, plan.level, 0), 0);
            if plan.dictionary && at > 0 {
                let window = &data[at.saturating_sub(32 << 10)..at];
                assert_eq!((api.deflateSetDictionary)(&mut *s, window.as_ptr(), window.len() as u32), 0);
            }
        }
        s.feed(&data[at..at + n]);
        at += n;
        if at == data.len() {
            drive(api, &mut s, plan.room, &mut out, FINISH);
            break;
        }
        drive(api, &mut s, plan.room, &mut out, BLOCK);
        let mut left = bits(api, &mut s);
        if left & 1 != 0 || !plan.dictionary {
            drive(api, &mut s, plan.room, &mut out, 2);
        } else if left != 0 {
            while left & 7 != 0 {
                // SAFETY: an open stream.
                assert_eq!(unsafe { (api.deflatePrime)(&mut *s, 10, 2) }, 0);
                left = bits(api, &mut s);
            }
            drive(api, &mut s, plan.room, &mut out, BLOCK);
        }
        if !plan.dictionary {
            drive(api, &mut s, plan.room, &mut out, 3);
        }
        assert_eq!(bits(api, &mut s), 0, "a block ends on a byte boundary");
    }
    // SAFETY: an open stream.
    unsafe { (api.deflateEnd)(&mut *s) };
    out
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        any::<u8>(),
        1usize..500_000,
        prop_oneof![500usize..5000, 60_000usize..70_000, Just(65_535), Just(65_536), Just(131_072)],
        0i32..=9,
        prop_oneof![1 => 8usize..2000, 2 => Just(172_032)],
        any::<bool>(),
    )
        .prop_map(|(kind, length, block, level, room, dictionary)| Plan {
            kind,
            length,
            block,
            level,
            room,
            dictionary,
        })
}

#[test]
fn blocks_join_to_one_stream() {
    cases(if common::on_the_model() { 60 } else { 150 })
        .run(&plan(), |plan| {
            let data = sample(plan.kind, plan.length, 31);
            let out = joined(ours(), &data, &plan);
            prop_assert!(inflated(&out, -15) == data, "reads back");
            Ok(())
        })
        .unwrap();
}

/// The system's core of the count: what the device did, against the model's own ledger.
fn counts_agree(counted: &common::Counters, class: &str) {
    for unit in ["requests", "bytes"] {
        let ours = counted.core.get(&format!("device.{class}.{unit}"));
        assert_eq!(ours, counted.model.get(&format!("{class}.{unit}")), "{class} {unit}");
    }
}

#[test]
fn blocks_join_on_the_device() {
    for profile in ["kunpeng920", "kunpeng930"] {
        let counted =
            common::again_on_the_model("blocks_join_to_one_stream", &[("WARPDRIVE_MODEL", profile)]);
        assert!(counted.core["device.zip.compress.requests"] > 50, "{:?}", counted.core);
        // Dictionaries before small blocks.
        assert!(counted.core["software.too_small"] > 50, "{:?}", counted.core);
        counts_agree(&counted, "zip.compress");
    }
}

#[test]
fn blocks_join_on_a_failing_device() {
    for faults in ["zip.compress:status=0x0b@%3", "zip.compress:partial@%2", "zip.compress:reset@%9"] {
        let env = [("WARPDRIVE_MODEL_FAULTS", faults), common::EVERY_FAULT];
        let counted = common::again_on_the_model("blocks_join_to_one_stream", &env);
        assert!(counted.core["software.failed"] > 0, "{faults}: {:?}", counted.core);
        assert!(counted.core["device.zip.compress.requests"] > 0, "{faults}: {:?}", counted.core);
    }
}

/// A stream with a preset dictionary, of which the data makes use.
#[derive(Debug, Clone)]
struct Preset {
    bits: i32,
    level: i32,
    dictionary: usize,
    /// Given in so many parts (raw only).
    parts: usize,
    length: usize,
    /// Input pieces, each with its flush value, and output space.
    pieces: Vec<(usize, i32)>,
    room: usize,
    copy: bool,
    ask: bool,
}

fn preset() -> impl Strategy<Value = Preset> {
    let around = || prop_oneof![1 => 0usize..3000, 3 => 65_000usize..66_000, 1 => 100_000usize..300_000];
    (
        prop_oneof![Just(15), Just(-15)],
        1i32..=9,
        prop_oneof![0usize..400, 0usize..40_000, Just(32_768)],
        1usize..3,
        around(),
        prop::collection::vec(
            (around(), prop_oneof![3 => Just(0), 1 => Just(2), 1 => Just(BLOCK), 1 => Just(3)]),
            1..4,
        ),
        prop_oneof![1 => 20usize..3000, 2 => Just(400_000)],
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(bits, level, dictionary, parts, length, pieces, room, copy, ask)| Preset {
            bits,
            level,
            dictionary,
            parts: if bits < 0 { parts } else { 1 },
            length,
            pieces,
            room,
            copy,
            ask,
        })
}

fn held(api: &Api, s: &mut Stream) -> Vec<u8> {
    let (mut window, mut n) = (vec![0; 32 << 10], 0);
    // SAFETY: an open stream, and room for a window.
    assert_eq!(unsafe { (api.deflateGetDictionary)(s, window.as_mut_ptr(), &mut n) }, 0);
    window.truncate(n as usize);
    window
}

/// What a program sees of the stream's making, and the stream.
fn made_with_preset(api: &Api, plan: &Preset, words: &[u8], data: &[u8]) -> (Vec<String>, Vec<u8>) {
    let (mut s, mut seen, mut out) = (Stream::new(), Vec::new(), Vec::new());
    assert_eq!(deflate_init(api, &mut s, plan.level, plan.bits, 8, 0), 0);
    for part in words.chunks(words.len().div_ceil(plan.parts).max(1)) {
        // SAFETY: an open stream and a live buffer.
        let code = unsafe { (api.deflateSetDictionary)(&mut *s, part.as_ptr(), part.len() as u32) };
        seen.push(format!("dictionary {code} {} {}", s.adler, s.total_in));
    }
    if plan.ask {
        let window = held(api, &mut s);
        assert!(window == words[words.len() - window.len()..], "the dictionary's end");
        seen.push(format!("holds {}", window.len()));
    }
    let (mut at, mut pieces) = (0, plan.pieces.iter().cycle());
    loop {
        let &(n, flush) = pieces.next().unwrap();
        let n = n.min(data.len() - at);
        let flush = if at + n == data.len() { FINISH } else { flush };
        if plan.copy {
            let mut copy = Stream::new();
            // SAFETY: open streams.
            unsafe {
                assert_eq!((api.deflateCopy)(&mut *copy, &mut *s), 0);
                (api.deflateEnd)(&mut *s);
            }
            s = copy;
        }
        s.feed(&data[at..at + n]);
        at += n;
        drive(api, &mut s, plan.room, &mut out, flush);
        // When the value of raw data changes, and to what, no zlib promises.
        let adler = if plan.bits > 0 { s.adler } else { 0 };
        seen.push(format!("{flush}: {} {adler} {}", s.total_in, s.message()));
        if flush == FINISH {
            break;
        }
        if plan.ask {
            let window = held(api, &mut s);
            let all = [words, &data[..at]].concat();
            assert!(window.len() <= 32 << 10 && (flush == 3 || window == all[all.len() - window.len()..]));
        }
    }
    // SAFETY: an open stream.
    seen.push(format!("end {}", unsafe { (api.deflateEnd)(&mut *s) }));
    (seen, out)
}

#[test]
fn preset_dictionaries_agree() {
    cases(if common::on_the_model() { 60 } else { 150 })
        .run(&preset(), |plan| {
            // The data repeats the dictionary's, so that a wrong history shows.
            let all = sample(0, plan.dictionary + plan.length, 13);
            let (words, rest) = all.split_at(plan.dictionary);
            let data = [&words[words.len() / 2..], rest].concat();
            let [ours, zlibs] = [ours(), theirs()].map(|api| made_with_preset(api, &plan, words, &data));
            prop_assert_eq!(&ours.0, &zlibs.0);
            prop_assert!(inflated_with(&ours.1, plan.bits, words) == data, "reads back");
            Ok(())
        })
        .unwrap();
}

#[test]
fn small_data_makes_use_of_its_dictionary() {
    let words = sample(1, 32 << 10, 8);
    for (bits, level, length) in [(15, 1, 30_000), (-15, 6, 30_000), (15, 9, 5000), (-15, 2, 5000)] {
        // Noise: nothing to gain but from the dictionary. The end in a call of its own, too.
        for pieces in [vec![(1 << 20, FINISH)], vec![(1000, 2), (2000, BLOCK), (1 << 20, 0)]] {
            let data = &words[words.len() - length..];
            let plan = Preset {
                bits,
                level,
                dictionary: words.len(),
                parts: 1,
                length,
                pieces,
                room: 1 << 20,
                copy: false,
                ask: true,
            };
            let (_, made) = made_with_preset(ours(), &plan, &words, data);
            assert!(inflated_with(&made, bits, &words) == data);
            assert!(made.len() < length / 10, "{} of {length} bytes", made.len());
        }
    }
}

#[test]
fn small_data_makes_use_of_its_dictionary_beside_a_device() {
    let counted = common::again_on_the_model("small_data_makes_use_of_its_dictionary", &[]);
    assert!(counted.core["software.too_small"] >= 8, "{:?}", counted.core);
    assert_eq!(counted.core["device.zip.compress.requests"], 0, "{:?}", counted.core);
}

/// Decompresses with the system's zlib, dictionary included.
fn inflated_with(data: &[u8], bits: i32, words: &[u8]) -> Vec<u8> {
    let (api, mut s) = (theirs(), Stream::new());
    assert_eq!(inflate_init(api, &mut s, bits), 0);
    // SAFETY: an open stream and live buffers.
    let set = |s: &mut Stream| unsafe {
        assert_eq!((api.inflateSetDictionary)(s, words.as_ptr(), words.len() as u32), 0, "its dictionary");
    };
    if bits < 0 {
        set(&mut s);
    }
    s.feed(data);
    let (mut all, mut out) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        s.room(&mut out);
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (api.inflate)(&mut *s, 0) };
        all.extend_from_slice(&out[..out.len() - s.avail_out as usize]);
        match code {
            0 => {}
            1 => break,
            2 => set(&mut s),
            code => panic!("zlib cannot read it back: {code} {}", s.message()),
        }
    }
    // SAFETY: an open stream.
    unsafe { (api.inflateEnd)(&mut *s) };
    all
}

#[test]
fn preset_dictionaries_on_the_device_agree() {
    for profile in ["kunpeng920", "kunpeng930"] {
        let counted =
            common::again_on_the_model("preset_dictionaries_agree", &[("WARPDRIVE_MODEL", profile)]);
        assert!(counted.core["device.zip.compress.requests"] > 30, "{:?}", counted.core);
        assert!(counted.core["software.too_small"] > 5, "{:?}", counted.core);
        counts_agree(&counted, "zip.compress");
    }
}

#[test]
fn preset_dictionaries_on_a_failing_device_agree() {
    for faults in ["zip.compress:status=0x0b@%2", "zip.compress:partial@%3"] {
        let env = [("WARPDRIVE_MODEL_FAULTS", faults), common::EVERY_FAULT];
        let counted = common::again_on_the_model("preset_dictionaries_agree", &env);
        assert!(counted.core["software.failed"] > 0, "{faults}: {:?}", counted.core);
    }
}
