//! The same calls to this library and to the system's zlib: return codes, counts, check values, messages and
//! decompressed bytes agree. In software, on the device model, and on a failing one.
#![allow(unsafe_code, missing_docs)]

mod common;

use common::{Api, Stream, cases, deflate_init, inflate_init, inflated, ours, sample, theirs};
use proptest::prelude::*;

/// One step on a deflate stream.
#[derive(Debug, Clone)]
enum Step {
    /// So much input with this flush value.
    Write(usize, i32),
    Params(i32, i32),
    Copy,
    Dictionary(usize),
    Tune,
    Pending,
    Bound(u64),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (prop_oneof![0usize..40, 0usize..5000, 0usize..90_000], prop_oneof![4 => Just(0), 1 => Just(1), 2 => Just(2), 1 => Just(3), 1 => Just(5)])
            .prop_map(|(n, flush)| Step::Write(n, flush)),
        1 => (-1i32..=10, 0i32..=5).prop_map(|(l, s)| Step::Params(l, s)),
        1 => Just(Step::Copy),
        1 => (0usize..40_000).prop_map(Step::Dictionary),
        1 => Just(Step::Tune),
        1 => Just(Step::Pending),
        1 => (0u64..1 << 40).prop_map(Step::Bound),
        1 => Just(Step::Reset),
    ]
}

/// What a program sees of a deflate stream that must not depend on the compressor.
fn seen(s: &Stream, code: i32, bits: i32) -> (i32, u64, u32, Option<u64>) {
    (code, s.total_in, s.avail_in, (bits > 0).then_some(s.adler))
}

struct Side {
    api: &'static Api,
    s: Box<Stream>,
    out: Vec<u8>,
}

impl Side {
    /// Calls deflate with ample space, all output kept.
    fn write(&mut self, data: &[u8], flush: i32) -> i32 {
        let mut room = vec![0; data.len() * 2 + 100_000];
        self.s.feed(data);
        self.s.room(&mut room);
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (self.api.deflate)(&mut *self.s, flush) };
        self.out.extend_from_slice(&room[..room.len() - self.s.avail_out as usize]);
        code
    }
}

fn deflate_agrees(
    (level, bits, mem, strategy): (i32, i32, i32, i32),
    kind: u8,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let mut sides = [ours(), theirs()].map(|api| Side { api, s: Stream::new(), out: Vec::new() });
    let codes = [0, 1].map(|i| deflate_init(sides[i].api, &mut sides[i].s, level, bits, mem, strategy));
    prop_assert_eq!(codes[0], codes[1], "init");
    if codes[1] != 0 {
        return Ok(());
    }
    let source = sample(kind, 1 << 20, 77);
    let (mut at, mut expected, mut dictionary) = (0usize, Vec::new(), Vec::new());
    for step in steps {
        match *step {
            Step::Write(n, flush) => {
                let n = n.min(source.len() - at);
                let codes = [0, 1].map(|i| sides[i].write(&source[at..at + n], flush));
                for side in &sides {
                    prop_assert_eq!(side.s.avail_in, 0, "ample space takes all input");
                }
                prop_assert_eq!(
                    seen(&sides[0].s, codes[0], bits),
                    seen(&sides[1].s, codes[1], bits),
                    "{:?} at {}",
                    step,
                    at
                );
                prop_assert_eq!(sides[0].s.message(), sides[1].s.message());
                expected.extend_from_slice(&source[at..at + n]);
                at += n;
            }
            Step::Params(level, strategy) => {
                let codes = sides.each_mut().map(|side| {
                    let mut room = vec![0; 200_000];
                    side.s.feed(&[]);
                    side.s.room(&mut room);
                    // SAFETY: an open stream and live buffers.
                    let code = unsafe { (side.api.deflateParams)(&mut *side.s, level, strategy) };
                    side.out.extend_from_slice(&room[..room.len() - side.s.avail_out as usize]);
                    code
                });
                prop_assert_eq!(codes[0], codes[1], "{:?}", step);
            }
            Step::Copy => {
                for side in &mut sides {
                    let mut copy = Stream::new();
                    // SAFETY: open streams.
                    unsafe {
                        prop_assert_eq!((side.api.deflateCopy)(&mut *copy, &mut *side.s), 0);
                        (side.api.deflateEnd)(&mut *side.s);
                    }
                    side.s = copy;
                }
            }
            Step::Dictionary(n) => {
                let words = sample(0, n, 5);
                // SAFETY: open streams, live buffer.
                let codes = sides.each_mut().map(|side| unsafe {
                    (side.api.deflateSetDictionary)(&mut *side.s, words.as_ptr(), n as u32)
                });
                // In the middle of a raw stream it depends on whether the compressor has data left.
                if at == 0 && expected.is_empty() {
                    prop_assert_eq!(codes[0], codes[1], "{:?}", step);
                    if codes[0] == 0 {
                        prop_assert_eq!(sides[0].s.adler, sides[1].s.adler);
                        dictionary.extend_from_slice(&words);
                    }
                } else {
                    return end(sides, bits, &expected, &dictionary, codes != [-2, -2]);
                }
            }
            Step::Tune => {
                // SAFETY: open streams.
                let codes = sides
                    .each_mut()
                    .map(|side| unsafe { (side.api.deflateTune)(&mut *side.s, 8, 16, 128, 64) });
                prop_assert_eq!(codes, [0, 0]);
            }
            Step::Pending => {
                // SAFETY: open streams; null results are allowed.
                let codes = sides.each_mut().map(|side| unsafe {
                    (side.api.deflatePending)(&mut *side.s, std::ptr::null_mut(), std::ptr::null_mut())
                });
                prop_assert_eq!(codes, [0, 0]);
            }
            Step::Bound(n) => {
                // SAFETY: open streams.
                let bounds = sides.each_mut().map(|side| unsafe { (side.api.deflateBound)(&mut *side.s, n) });
                prop_assert!(bounds[0] >= bounds[1], "{:?}", bounds);
                // Whether the window holds anything yet, which zlib adds 4 for, is the compressor's affair.
                prop_assert!(bounds[0] <= bounds[1] + 4 || level == 0, "{:?}", bounds);
            }
            Step::Reset => {
                for side in &mut sides {
                    // SAFETY: open streams.
                    prop_assert_eq!(unsafe { (side.api.deflateReset)(&mut *side.s) }, 0);
                    side.out.clear();
                }
                (expected, dictionary) = (Vec::new(), Vec::new());
                prop_assert_eq!(seen(&sides[0].s, 0, 1), seen(&sides[1].s, 0, 1));
            }
        }
    }
    end(sides, bits, &expected, &dictionary, false)
}

/// Finishes both, reads both back; or abandons both and compares what that gives.
fn end(
    mut sides: [Side; 2],
    bits: i32,
    expected: &[u8],
    dictionary: &[u8],
    abandon: bool,
) -> Result<(), TestCaseError> {
    if !abandon {
        let codes = sides.each_mut().map(|side| side.write(&[], 4));
        prop_assert_eq!(seen(&sides[0].s, codes[0], bits), seen(&sides[1].s, codes[1], bits), "finish");
        prop_assert_eq!(codes, [1, 1]);
        let codes = sides.each_mut().map(|side| side.write(&[], 4));
        prop_assert_eq!(codes[0], codes[1], "finish once more");
        for side in &sides {
            if dictionary.is_empty() {
                // Read with the full window: 8 is made 9 by every zlib, which a reader with 8 refuses.
                let reader = if bits < 0 { -15 } else { bits | 15 };
                prop_assert!(inflated(&side.out, reader) == expected, "reads back");
            }
        }
    }
    // SAFETY: open streams.
    let codes = sides.each_mut().map(|side| unsafe { (side.api.deflateEnd)(&mut *side.s) });
    if !abandon {
        prop_assert_eq!(codes[0], codes[1]);
    }
    Ok(())
}

#[test]
fn deflate_calls_agree() {
    let arguments = (
        prop_oneof![Just(-1), 0i32..=10],
        prop_oneof![4 => Just(15), 3 => Just(31), 3 => Just(-15), 1 => Just(9), 1 => Just(-8), 1 => Just(24), 1 => -16i32..=48],
        prop_oneof![3 => Just(8), 1 => 0i32..=10],
        prop_oneof![4 => Just(0), 1 => -1i32..=5],
    );
    let steps = prop::collection::vec(step(), 1..12);
    cases(if common::on_the_model() { 150 } else { 400 })
        .run(&(arguments, any::<u8>(), steps), |(arguments, kind, steps)| {
            deflate_agrees(arguments, kind, &steps)
        })
        .unwrap();
}

/// An inflate stream's life: what it is fed, in which pieces, into how much space.
#[derive(Debug, Clone)]
struct Reading {
    kind: u8,
    length: usize,
    level: i32,
    made: i32,
    read: i32,
    pieces: Vec<usize>,
    spaces: Vec<usize>,
    flush: i32,
    /// Byte to spoil, and how.
    spoil: Option<(usize, u8)>,
    cut: Option<usize>,
}

fn reading() -> impl Strategy<Value = Reading> {
    let sizes =
        || prop::collection::vec(prop_oneof![1 => 1usize..3, 2 => 1usize..600, 3 => 1usize..100_000], 1..6);
    (
        (any::<u8>(), prop_oneof![0usize..300, 0usize..300_000], 0i32..=9),
        prop_oneof![
            Just((15, 15)),
            Just((31, 31)),
            Just((-15, -15)),
            Just((15, 47)),
            Just((31, 47)),
            Just((31, 15)),
            Just((15, 31)),
            Just((15, 0)),
            Just((9, 15)),
            Just((15, 9))
        ],
        sizes(),
        sizes(),
        prop_oneof![4 => Just(0), 2 => Just(2), 1 => Just(4), 1 => Just(5)],
        prop::option::weighted(0.4, (any::<usize>(), 1u8..)),
        prop::option::weighted(0.2, any::<usize>()),
    )
        .prop_map(|((kind, length, level), (made, read), pieces, spaces, flush, spoil, cut)| Reading {
            kind,
            length,
            level,
            made,
            read,
            pieces,
            spaces,
            flush,
            spoil,
            cut,
        })
}

/// How a reading ended, and all that a program can hold against it afterwards.
#[derive(Debug, PartialEq)]
struct End {
    code: i32,
    message: String,
    total_in: u64,
    total_out: u64,
    adler: u64,
    output: Vec<u8>,
    reset: i32,
}

fn read_all(api: &Api, plan: &Reading, input: &[u8]) -> End {
    let mut s = Stream::new();
    assert_eq!(inflate_init(api, &mut s, plan.read), 0);
    let (mut output, mut fed, mut idle) = (Vec::new(), 0usize, 0);
    let (mut pieces, mut spaces) = (plan.pieces.iter().cycle(), plan.spaces.iter().cycle());
    s.feed(&[]);
    let code = loop {
        if s.avail_in == 0 && fed < input.len() {
            let n = (*pieces.next().unwrap()).min(input.len() - fed);
            s.feed(&input[fed..fed + n]);
            fed += n;
        }
        let mut room = vec![0; *spaces.next().unwrap()];
        s.room(&mut room);
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (api.inflate)(&mut *s, plan.flush) };
        let made = room.len() - s.avail_out as usize;
        output.extend_from_slice(&room[..made]);
        match code {
            0 | -5 => {
                // At the end of the input, no output in two calls means that there is none left.
                idle = if s.avail_in == 0 && fed == input.len() && made == 0 { idle + 1 } else { 0 };
                if idle > 1 {
                    break code;
                }
            }
            code => break code,
        }
    };
    let end = End {
        code,
        message: s.message(),
        total_in: s.total_in,
        total_out: s.total_out,
        adler: s.adler,
        output,
        // SAFETY: an open stream.
        reset: unsafe { (api.inflateReset)(&mut *s) },
    };
    // SAFETY: an open stream.
    assert_eq!(unsafe { (api.inflateEnd)(&mut *s) }, 0);
    end
}

fn inflate_agrees(plan: &Reading) -> Result<(), TestCaseError> {
    let data = sample(plan.kind, plan.length, 3);
    let mut input = common::deflated(theirs(), &data, plan.level, plan.made);
    input.extend(b"what follows the stream");
    if let Some((at, bits)) = plan.spoil {
        let n = input.len();
        input[at % n] ^= bits;
    }
    if let Some(at) = plan.cut {
        input.truncate(at % input.len());
    }
    let (a, b) = (read_all(ours(), plan, &input), read_all(theirs(), plan, &input));
    prop_assert_eq!(
        a.output.len(),
        b.output.len(),
        "bytes delivered; ours {:?} {:?}, zlib {:?} {:?}",
        a.code,
        a.message,
        b.code,
        b.message
    );
    prop_assert!(a.output == b.output, "bytes differ");
    // While a gzip header is being read under automatic detection, zlib still shows the value of a zlib stream.
    let in_header = plan.read == 47 && b.total_out == 0;
    let strip = |end: End| End { output: Vec::new(), adler: if in_header { 0 } else { end.adler }, ..end };
    prop_assert_eq!(strip(a), strip(b));
    Ok(())
}

#[test]
fn inflate_calls_agree() {
    cases(if common::on_the_model() { 200 } else { 1000 })
        .run(&reading(), |plan| inflate_agrees(&plan))
        .unwrap();
}

#[test]
fn a_gzip_trailer_that_is_cut_agrees() {
    // With nothing to eight bytes of it there, its check value good or spoilt, in one piece or in many.
    let data = sample(0, 5000, 3);
    let whole = common::deflated(theirs(), &data, 6, 31);
    let payload = whole.len() - 8;
    for cut in payload..=whole.len() {
        for spoilt in [None, Some(payload), Some(payload + 3), Some(payload + 4), Some(payload + 7)] {
            for pieces in [vec![whole.len()], vec![payload, 1], vec![payload - 1, 1], vec![11]] {
                for spaces in [vec![data.len()], vec![10_000], vec![1000, 7]] {
                    let plan = Reading {
                        kind: 0,
                        length: data.len(),
                        level: 6,
                        made: 31,
                        read: 31,
                        pieces: pieces.clone(),
                        spaces,
                        flush: 0,
                        spoil: spoilt.map(|at| (at, 0x40)),
                        cut: Some(cut),
                    };
                    inflate_agrees(&plan).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
                }
            }
        }
    }
}

#[test]
fn a_gzip_trailer_that_is_cut_agrees_on_the_device() {
    let counted = common::again_on_the_model("a_gzip_trailer_that_is_cut_agrees", HEALTHY);
    assert!(counted.core["device.zip.decompress.requests"] > 100, "{:?}", counted.core);
}

#[test]
fn one_call_functions_agree() {
    cases(200)
        .run(
            &(any::<u8>(), prop_oneof![0usize..40, 0usize..200_000], -1i32..=10, any::<u16>(), any::<u16>()),
            |(kind, length, level, short, spoil)| {
                let data = sample(kind, length, 9);
                // SAFETY: live buffers of the stated lengths.
                unsafe {
                    let bounds = [ours(), theirs()].map(|api| (api.compressBound)(data.len() as u64));
                    prop_assert_eq!(bounds[0], bounds[1]);
                    let made = [ours(), theirs()].map(|api| {
                        let mut out = vec![0; bounds[0] as usize];
                        let mut n = bounds[0];
                        let code = (api.compress2)(
                            out.as_mut_ptr(),
                            &mut n,
                            data.as_ptr(),
                            data.len() as u64,
                            level,
                        );
                        out.truncate(n as usize);
                        (code, out)
                    });
                    prop_assert_eq!(made[0].0, made[1].0);
                    if made[1].0 != 0 {
                        return Ok(());
                    }
                    prop_assert!(inflated(&made[0].1, 15) == data);
                    // Ours read by both: whole, too little space, spoiled.
                    let mut input = made[1].1.clone();
                    for (space, spoiled) in
                        [(length, false), (usize::from(short) % (length + 1), false), (length, true)]
                    {
                        if spoiled {
                            let n = input.len();
                            input[usize::from(spoil) % n] ^= 0x11;
                        }
                        let read = [ours(), theirs()].map(|api| {
                            let mut out = vec![0u8; space + 1];
                            let (mut n, mut used) = (space as u64, input.len() as u64);
                            let code = (api.uncompress2)(out.as_mut_ptr(), &mut n, input.as_ptr(), &mut used);
                            out.truncate(n as usize);
                            // With too little space, how far the input was read is the engine's affair.
                            (code, if code == 0 { used } else { 0 }, out)
                        });
                        prop_assert!(
                            read[0] == read[1],
                            "{:?} / {:?}",
                            (read[0].0, read[0].1, read[0].2.len()),
                            (read[1].0, read[1].1, read[1].2.len())
                        );
                    }
                }
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn check_value_functions_agree() {
    cases(300)
        .run(
            &(prop::collection::vec(any::<u8>(), 0..3000), any::<u32>(), any::<u32>(), 0i64..1 << 40),
            |(data, x, y, n)| {
                let (x, y) = (u64::from(x) % 65_521, u64::from(y) % 65_521);
                // SAFETY: live buffers of the stated lengths.
                let all = [ours(), theirs()].map(|api| unsafe {
                    let length = data.len() as u32;
                    (
                        (api.crc32)(x, data.as_ptr(), length),
                        (api.adler32)(x, data.as_ptr(), length),
                        (api.crc32_combine)(x, y, n),
                        (api.adler32_combine)(x, y, n),
                        (api.crc32_combine_gen)(n),
                        (api.crc32_combine_op)(x, y, (api.crc32_combine_gen)(n)),
                        (api.crc32)(x, std::ptr::null(), 0),
                        (api.adler32)(x, std::ptr::null(), 0),
                        (api.adler32_combine)(x, y, -1),
                        (api.zlibCompileFlags)(),
                    )
                });
                prop_assert_eq!(all[0], all[1]);
                Ok(())
            },
        )
        .unwrap();
    // SAFETY: the table has 256 entries; messages are C strings.
    unsafe {
        let tables = [ours(), theirs()].map(|api| std::slice::from_raw_parts((api.get_crc_table)(), 256));
        assert_eq!(tables[0], tables[1]);
        for code in -6..=2 {
            let texts = [ours(), theirs()].map(|api| std::ffi::CStr::from_ptr((api.zError)(code)));
            assert_eq!(texts[0], texts[1]);
        }
    }
}

/// One call beside `inflate` in an inflate stream's life.
#[derive(Debug, Clone)]
enum Aside {
    /// Feeds up to so much, into so much space, with this flush value.
    Inflate(usize, usize, i32),
    Copy,
    Reset(Option<i32>),
    Sync,
    Validate(bool),
    Window,
    SyncPoint,
}

fn aside() -> impl Strategy<Value = Aside> {
    let amount = || prop_oneof![0usize..4, 0usize..600, 0usize..100_000];
    prop_oneof![
        10 => (amount(), amount(), prop_oneof![4 => Just(0), 2 => Just(2), 1 => Just(4), 2 => Just(5)])
            .prop_map(|(fed, space, flush)| Aside::Inflate(fed, space, flush)),
        1 => Just(Aside::Copy),
        1 => prop::option::of(prop_oneof![Just(15), Just(31), Just(-15)]).prop_map(Aside::Reset),
        1 => Just(Aside::Sync),
        1 => any::<bool>().prop_map(Aside::Validate),
        1 => Just(Aside::Window),
        1 => Just(Aside::SyncPoint),
    ]
}

/// A reader that is asked other things in between; ends where the two may differ from then on.
fn asides_agree(
    bits: i32,
    kind: u8,
    length: usize,
    words: bool,
    steps: &[Aside],
) -> Result<(), TestCaseError> {
    let (data, dictionary) = (sample(kind, length, 3), sample(0, 3000, 8));
    let input = made_with_flushes(&data, bits, (words && bits == 15).then_some(&dictionary));
    let apis = [ours(), theirs()];
    let mut streams = apis.map(|_| Stream::new());
    let (mut fed, mut at, mut output) = (0usize, [0usize; 2], [const { Vec::<u8>::new() }; 2]);
    for i in 0..2 {
        assert_eq!(inflate_init(apis[i], &mut streams[i], bits), 0);
    }
    let mut finishing = false;
    'steps: for step in steps {
        let mut codes = [0; 2];
        let mut extra = [const { Vec::new() }; 2];
        let apart = at[0] != at[1];
        for i in 0..2 {
            let (api, s) = (apis[i], &mut streams[i]);
            // SAFETY: open streams and live buffers throughout.
            codes[i] = unsafe {
                match *step {
                    Aside::Inflate(n, space, flush) => {
                        let upto = if i == 0 { (fed + n).min(input.len()) } else { fed };
                        fed = upto;
                        s.feed(&input[at[i]..upto]);
                        let mut room = vec![0; space];
                        s.next_out = room.as_mut_ptr();
                        s.avail_out = space as u32;
                        let mut code = (api.inflate)(&mut **s, flush);
                        output[i].extend_from_slice(&room[..space - s.avail_out as usize]);
                        at[i] = upto - s.avail_in as usize;
                        if code == 2 {
                            let id = s.adler;
                            code = (api.inflateSetDictionary)(&mut **s, dictionary.as_ptr(), 3000) * 10 + 2;
                            extra[i] = id.to_ne_bytes().to_vec();
                        }
                        code
                    }
                    Aside::Copy => {
                        let mut copy = Stream::new();
                        let code = (api.inflateCopy)(&mut *copy, &mut **s);
                        (api.inflateEnd)(&mut **s);
                        *s = copy;
                        code
                    }
                    Aside::Reset(bits) => {
                        (fed, at[i]) = (0, 0);
                        output[i].clear();
                        match bits {
                            None => (api.inflateReset)(&mut **s),
                            Some(bits) => (api.inflateReset2)(&mut **s, bits),
                        }
                    }
                    Aside::Sync => {
                        s.feed(&input[at[i]..fed]);
                        let code = (api.inflateSync)(&mut **s);
                        at[i] = fed - s.avail_in as usize;
                        code
                    }
                    Aside::Validate(on) => (api.inflateValidate)(&mut **s, on.into()),
                    Aside::Window => {
                        let (mut window, mut n) = (vec![0; 32 << 10], 0);
                        let code = (api.inflateGetDictionary)(&mut **s, window.as_mut_ptr(), &mut n);
                        window.truncate(n as usize);
                        extra[i] = window;
                        code
                    }
                    Aside::SyncPoint => (api.inflateSyncPoint)(&mut **s),
                }
            };
        }
        let unequal = at[0] != at[1];
        if matches!(step, Aside::SyncPoint) && unequal {
            continue;
        }
        // A device may leave a byte that zlib has taken, or the reverse: a search then begins elsewhere.
        if matches!(step, Aside::Sync) && apart && common::on_the_model() {
            break;
        }
        // A device takes input ahead of the output's space: progress that zlib makes later.
        let ahead = common::on_the_model()
            && matches!(step, Aside::Inflate(..))
            && codes.iter().all(|c| matches!(c, 0 | -5));
        prop_assert!(ahead || codes[0] == codes[1], "{:?}: {:?}", step, codes);
        prop_assert!(
            output[0] == output[1],
            "bytes after {:?}: {} {}",
            step,
            output[0].len(),
            output[1].len()
        );
        // At the end of the data, and with Z_FINISH, zlib may leave its window as it was.
        finishing |= matches!(step, Aside::Inflate(_, _, 4)) || output[1].len() == data.len();
        if !(finishing && matches!(step, Aside::Window)) {
            prop_assert!(extra[0] == extra[1], "{:?}: {} {}", step, extra[0].len(), extra[1].len());
        }
        prop_assert_eq!(streams[0].adler, streams[1].adler, "check value after {:?}", step);
        prop_assert_eq!(streams[0].message(), streams[1].message(), "{:?}", step);
        if !unequal {
            prop_assert_eq!(streams[0].total_in, streams[1].total_in, "{:?}", step);
        }
        // From an end, an error, a search, or other checking, the rest is each one's own.
        let over = match step {
            Aside::Inflate(..) => !matches!(codes[1], 0 | 2 | -5),
            Aside::Sync => codes[1] != -5,
            Aside::Validate(on) => *on,
            _ => false,
        };
        if over {
            break 'steps;
        }
    }
    for i in 0..2 {
        // SAFETY: open streams.
        assert_eq!(unsafe { (apis[i].inflateEnd)(&mut *streams[i]) }, 0);
    }
    Ok(())
}

/// A stream of zlib's with a sync mark in its middle.
fn made_with_flushes(data: &[u8], bits: i32, dictionary: Option<&[u8]>) -> Vec<u8> {
    let (api, mut s) = (theirs(), Stream::new());
    assert_eq!(deflate_init(api, &mut s, 6, bits, 8, 0), 0);
    let mut out = vec![0; data.len() + data.len() / 8 + 1000];
    s.room(&mut out);
    // SAFETY: an open stream and live buffers.
    unsafe {
        if let Some(words) = dictionary {
            assert_eq!((api.deflateSetDictionary)(&mut *s, words.as_ptr(), words.len() as u32), 0);
        }
        let (head, tail) = data.split_at(data.len() / 2);
        s.feed(head);
        (api.deflate)(&mut *s, 2);
        s.feed(tail);
        assert_eq!((api.deflate)(&mut *s, 4), 1);
        out.truncate(s.total_out as usize);
        (api.deflateEnd)(&mut *s);
    }
    out
}

#[test]
fn inflate_calls_with_others_between_agree() {
    let bits = prop_oneof![3 => Just(15), 2 => Just(31), 1 => Just(-15)];
    let steps = prop::collection::vec(aside(), 1..20);
    cases(if common::on_the_model() { 300 } else { 3000 })
        .run(
            &(bits, any::<u8>(), prop_oneof![0usize..300, 0usize..100_000], any::<bool>(), steps),
            |(bits, kind, length, words, steps)| asides_agree(bits, kind, length, words, &steps),
        )
        .unwrap();
}

#[test]
fn inflate_with_others_between_on_the_device_agrees() {
    let counted = common::again_on_the_model("inflate_calls_with_others_between_agree", HEALTHY);
    assert!(counted.core["device.zip.decompress.requests"] > 100, "{:?}", counted.core);
}

#[test]
fn window_given_is_never_larger_than_the_windows_size() {
    let data = sample(0, 5000, 3);
    let input = common::deflated(theirs(), &data, 6, -9);
    for api in [ours(), theirs()] {
        let mut s = Stream::new();
        assert_eq!(inflate_init(api, &mut s, -9), 0);
        s.feed(&input);
        let (mut out, mut window, mut n) = (vec![0; 4000], vec![0; 32 << 10], 0);
        s.room(&mut out);
        // SAFETY: an open stream and live buffers.
        unsafe {
            assert_eq!((api.inflate)(&mut *s, 0), 0);
            assert_eq!((api.inflateGetDictionary)(&mut *s, window.as_mut_ptr(), &mut n), 0);
            assert_eq!(n, 512);
            assert!(window[..512] == data[4000 - 512..4000]);
            (api.inflateEnd)(&mut *s);
        }
    }
}

#[test]
fn version_is_numbers_and_dots() {
    // Python's own tests, among others, take it apart.
    // SAFETY: no precondition; a C string comes back.
    let text = unsafe { std::ffi::CStr::from_ptr((ours().zlibVersion)()) }.to_str().expect("ASCII");
    assert!(text.split('.').all(|part| part.parse::<u32>().is_ok()), "{text}");
}

const HEALTHY: &[(&str, &str)] = &[];

#[test]
fn deflate_on_the_device_agrees() {
    let counted = common::again_on_the_model("deflate_calls_agree", HEALTHY);
    assert!(counted.core["device.zip.compress.requests"] > 30, "{:?}", counted.core);
    assert_eq!(counted.core["device.zip.compress.requests"], counted.model["zip.compress.requests"]);
}

#[test]
fn inflate_on_the_device_agrees() {
    let counted = common::again_on_the_model("inflate_calls_agree", HEALTHY);
    assert!(counted.core["device.zip.decompress.requests"] > 100, "{:?}", counted.core);
}

#[test]
fn one_call_functions_on_the_device_agree() {
    for profile in ["kunpeng920", "kunpeng930"] {
        let counted = common::again_on_the_model("one_call_functions_agree", &[("WARPDRIVE_MODEL", profile)]);
        assert!(counted.core["device.zip.compress.requests"] > 100, "{:?}", counted.core);
        assert!(counted.core["device.zip.decompress.requests"] > 100, "{:?}", counted.core);
    }
}

#[test]
fn deflate_on_a_failing_device_agrees() {
    for faults in ["zip.compress:status=0x0b@%3", "zip.compress:partial@%2", "zip.compress:reset@%9"] {
        let env = [("WARPDRIVE_MODEL_FAULTS", faults), common::EVERY_FAULT];
        let counted = common::again_on_the_model("deflate_calls_agree", &env);
        assert!(counted.core["software.failed"] > 0, "{faults}: {:?}", counted.core);
        assert!(counted.core["device.zip.compress.requests"] > 0, "{faults}: {:?}", counted.core);
    }
}

#[test]
fn inflate_on_a_failing_device_agrees() {
    for faults in ["zip.decompress:status=0x0b@%3", "zip.decompress:partial@%2", "zip.decompress:reset@%20"] {
        let env = [("WARPDRIVE_MODEL_FAULTS", faults), common::EVERY_FAULT];
        let counted = common::again_on_the_model("inflate_calls_agree", &env);
        assert!(counted.core["software.failed"] > 0, "{faults}: {:?}", counted.core);
    }
}

#[test]
fn inflate_beyond_the_replay_limit_agrees() {
    let counted =
        common::again_on_the_model("inflate_calls_agree", &[("WARPDRIVE_INFLATE_REPLAY_LIMIT", "3K")]);
    assert!(counted.core["software.unsupported"] > 10, "{:?}", counted.core);
}
