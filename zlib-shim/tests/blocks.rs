//! Streams made the way pigz makes and reads them: blocks of one raw stream from independent compressors, each
//! with the data before it as a preset dictionary, ended by `Z_BLOCK` and joined on byte boundaries by
//! `deflatePrime`; read back by `inflateBack`. In software, on the device model, and on a failing one.
#![allow(unsafe_code, missing_docs)]

mod common;

use common::{Api, Stream, deflate_init, inflated, ours, sample};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const FINISH: i32 = 4;
const BLOCK: i32 = 5;

fn cases(n: u32) -> TestRunner {
    TestRunner::new(Config { cases: n, failure_persistence: None, ..Config::default() })
}

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
