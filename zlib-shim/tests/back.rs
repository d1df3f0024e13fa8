//! inflateBack beside the system's zlib: the same portions in, the same pieces out, the same ends. In software,
//! on the device model, and on a failing one.
#![allow(unsafe_code, missing_docs)]

mod common;

use std::ffi::{c_int, c_uint, c_void};

use common::{Api, Stream, cases, ours, sample, theirs};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Plan {
    kind: u8,
    length: usize,
    level: i32,
    window_bits: i32,
    /// Bytes given with the call, and then by each `in()`.
    first: usize,
    portions: Vec<usize>,
    spoil: Option<(usize, u8)>,
    cut: Option<usize>,
    /// The `out()` call that fails.
    refuse: Option<usize>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let size = || prop_oneof![1 => 1usize..3, 2 => 1usize..600, 3 => 1usize..40_000];
    (
        (any::<u8>(), prop_oneof![1 => 0usize..300, 3 => 0usize..400_000], 0i32..=9),
        prop_oneof![4 => Just(15), 1 => 8i32..15],
        prop_oneof![1 => Just(0), 2 => size()],
        prop::collection::vec(size(), 1..6),
        prop::option::weighted(0.3, (any::<usize>(), 1u8..)),
        prop::option::weighted(0.2, any::<usize>()),
        prop::option::weighted(0.2, 0usize..12),
    )
        .prop_map(|((kind, length, level), window_bits, first, portions, spoil, cut, refuse)| Plan {
            kind,
            // A portion is a request: bytes one by one are for short streams.
            length: if portions.iter().all(|&n| n < 100) { length.min(20_000) } else { length },
            level,
            window_bits,
            first,
            portions,
            spoil,
            cut,
            refuse,
        })
}

/// The program: what its callbacks saw and gave.
struct Program<'a> {
    input: &'a [u8],
    portions: Vec<usize>,
    given: usize,
    pulls: usize,
    /// The portion given last: of its own memory, which is overwritten by the next.
    portion: Vec<u8>,
    output: Vec<u8>,
    pieces: Vec<usize>,
    refuse: Option<usize>,
    window: (*const u8, usize),
}

impl Program<'_> {
    fn next(&mut self) -> usize {
        let n = self.portions[self.pulls % self.portions.len()].min(self.input.len() - self.given);
        self.portion.fill(0xAA);
        self.portion = self.input[self.given..self.given + n].to_vec();
        self.given += n;
        self.pulls += 1;
        n
    }
}

unsafe extern "C" fn pull(context: *mut c_void, next: *mut *const u8) -> c_uint {
    // SAFETY: the test passes its Program.
    let program = unsafe { &mut *context.cast::<Program<'_>>() };
    let n = program.next();
    // SAFETY: the library's own variable.
    unsafe { next.write(program.portion.as_ptr()) };
    n as c_uint
}

unsafe extern "C" fn push(context: *mut c_void, bytes: *mut u8, n: c_uint) -> c_int {
    // SAFETY: the test passes its Program.
    let program = unsafe { &mut *context.cast::<Program<'_>>() };
    let n = n as usize;
    let offset = (bytes as usize).wrapping_sub(program.window.0 as usize);
    assert!(n > 0 && offset + n <= program.window.1, "output lies in the window");
    // SAFETY: checked to lie in the window.
    program.output.extend_from_slice(unsafe { std::slice::from_raw_parts(bytes, n) });
    program.pieces.push(n);
    c_int::from(program.refuse == Some(program.pieces.len() - 1))
}

/// All that a program can see of one call.
#[derive(Debug, PartialEq)]
struct End {
    code: i32,
    message: String,
    no_input: bool,
    /// Bytes of input used.
    used: usize,
    pulls: usize,
    pieces: Vec<usize>,
    output: Vec<u8>,
}

/// Decodes `input` twice with one stream; both must end alike.
fn read(api: &Api, plan: &Plan, input: &[u8]) -> End {
    let mut window = vec![0x55; 1 << plan.window_bits];
    let mut s = Stream::new();
    // SAFETY: a zeroed stream, and a window that outlives it.
    unsafe {
        let code = (api.inflateBackInit_)(
            &mut *s,
            plan.window_bits,
            window.as_mut_ptr(),
            c"1.2.11".as_ptr(),
            size_of::<Stream>() as c_int,
        );
        assert_eq!(code, 0);
    }
    let mut end = None;
    for _ in 0..2 {
        let first = plan.first.min(input.len());
        let mut program = Program {
            input,
            portions: plan.portions.clone(),
            given: first,
            pulls: 0,
            portion: Vec::new(),
            output: Vec::new(),
            pieces: Vec::new(),
            refuse: plan.refuse,
            window: (window.as_ptr(), window.len()),
        };
        s.feed(&input[..first]);
        if first == 0 {
            s.next_in = std::ptr::null();
        }
        let context = (&raw mut program).cast::<c_void>();
        // SAFETY: an open stream; the callbacks' context is live.
        let code = unsafe { (api.inflateBack)(&mut *s, Some(pull), context, Some(push), context) };
        let left = s.avail_in as usize;
        if left > 0 {
            // SAFETY: the promise under test: unused input lies in the last portion.
            let rest = unsafe { std::slice::from_raw_parts(s.next_in, left) };
            assert!(rest == &input[program.given - left..program.given], "unused input is the input's");
        }
        let now = End {
            code,
            message: s.message(),
            no_input: s.next_in.is_null(),
            used: program.given - left,
            pulls: program.pulls,
            pieces: program.pieces,
            output: program.output,
        };
        if let Some(before) = &end {
            assert!(*before == now || std::ptr::eq(api, theirs()), "the second call ends as the first");
        }
        end = Some(now);
    }
    // SAFETY: an open stream.
    assert_eq!(unsafe { (api.inflateBackEnd)(&mut *s) }, 0);
    end.unwrap()
}

/// What zlib's inflate says and gives of raw data.
fn inflated_until_the_end(input: &[u8]) -> (String, Vec<u8>) {
    let (api, mut s) = (theirs(), Stream::new());
    assert_eq!(common::inflate_init(api, &mut s, -15), 0);
    s.feed(input);
    let (mut all, mut out) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        s.room(&mut out);
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (api.inflate)(&mut *s, 0) };
        all.extend_from_slice(&out[..out.len() - s.avail_out as usize]);
        if code != 0 {
            break;
        }
    }
    let message = s.message();
    // SAFETY: an open stream.
    unsafe { (api.inflateEnd)(&mut *s) };
    (message, all)
}

fn agrees(plan: &Plan) -> Result<(), TestCaseError> {
    let data = sample(plan.kind, plan.length, 3);
    // zlib's bound falls short of stored blocks with a small window.
    let level = if plan.window_bits < 15 { plan.level.max(1) } else { plan.level };
    let mut input = common::deflated(theirs(), &data, level, -plan.window_bits.max(9));
    input.extend(b"what follows the stream");
    if let Some((at, bits)) = plan.spoil {
        let n = input.len();
        input[at % n] ^= bits;
    }
    if let Some(at) = plan.cut {
        input.truncate(at % input.len());
    }
    let b = read(theirs(), plan, &input);
    let a = read(ours(), plan, &input);
    let too_far = "invalid distance too far back";
    let further = b.message != too_far || b.output.len() > a.output.len();
    if plan.spoil.is_some() && a.message == too_far && further {
        // zlib's fast path takes distances of up to twice the data so far, and puts out what its window held
        // before; the end may then be another one, or the same at a later distance. Its inflate does not.
        prop_assert!(b.output.starts_with(&a.output));
        let (message, output) = inflated_until_the_end(&input);
        prop_assert_eq!(&a.message, &message);
        prop_assert!(a.output == output, "bytes differ from those of inflate");
        return Ok(());
    }
    if plan.window_bits < 15 && b.message == too_far {
        // The software engine's window has 32 KiB whatever the program's has, and it may accept the distance.
        return Ok(());
    }
    prop_assert_eq!(a.code, b.code, "ours {:?}, zlib's {:?}", a.message, b.message);
    prop_assert_eq!(&a.message, &b.message);
    prop_assert_eq!(a.no_input, b.no_input);
    prop_assert_eq!(&a.pieces, &b.pieces);
    prop_assert!(a.output == b.output, "bytes differ");
    prop_assert_eq!(a.pulls, b.pulls);
    prop_assert_eq!(a.used, b.used);
    if plan.spoil.is_none() && plan.cut.is_none() && plan.refuse.is_none() && plan.window_bits == 15 {
        prop_assert_eq!(a.code, 1);
        prop_assert!(a.output == data);
    }
    Ok(())
}

#[test]
fn inflate_back_agrees() {
    cases(if common::on_the_model() { 50 } else { 600 }).run(&plan(), |plan| agrees(&plan)).unwrap();
}

#[test]
fn a_second_distance_too_far_is_met_by_zlib_alone() {
    // Spoilt so that two distances reach before the data: zlib's fast path takes the first, and stops at the second.
    let plan = |portions: &[usize]| Plan {
        kind: 2,
        length: 275,
        level: 4,
        window_bits: 15,
        first: 0,
        portions: portions.to_vec(),
        spoil: Some((3, 0x17)),
        cut: None,
        refuse: None,
    };
    for portions in [&[1, 8][..], &[1], &[100]] {
        agrees(&plan(portions)).unwrap();
    }
}

#[test]
fn inflate_back_on_the_device_agrees() {
    let counted = common::again_on_the_model("inflate_back_agrees", &[]);
    assert!(counted.core["device.zip.decompress.requests"] > 200, "{:?}", counted.core);
    for unit in ["requests", "bytes"] {
        let ours = counted.core.get(&format!("device.zip.decompress.{unit}"));
        assert_eq!(ours, counted.model.get(&format!("zip.decompress.{unit}")), "{unit}");
    }
}

#[test]
fn inflate_back_beside_a_device_without_raw_inflate_agrees() {
    let counted = common::again_on_the_model("inflate_back_agrees", &[("WARPDRIVE_MODEL", "kunpeng920")]);
    assert_eq!(counted.core["device.zip.decompress.requests"], 0, "{:?}", counted.core);
    assert!(counted.core["software.unsupported"] > 50, "{:?}", counted.core);
}

#[test]
fn inflate_back_on_a_failing_device_agrees() {
    for faults in ["zip.decompress:status=0x0b@%3", "zip.decompress:partial@%2", "zip.decompress:reset@%20"] {
        let env = [("WARPDRIVE_MODEL_FAULTS", faults), common::EVERY_FAULT];
        let counted = common::again_on_the_model("inflate_back_agrees", &env);
        assert!(counted.core["software.failed"] > 0, "{faults}: {:?}", counted.core);
    }
}

#[test]
fn inflate_back_beyond_the_replay_limit_agrees() {
    let counted =
        common::again_on_the_model("inflate_back_agrees", &[("WARPDRIVE_INFLATE_REPLAY_LIMIT", "3K")]);
    assert!(counted.core["software.unsupported"] > 10, "{:?}", counted.core);
}
