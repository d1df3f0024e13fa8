use super::*;
use crate::engine::testing::{Space, Words};
use crate::engine::zip;
use std::sync::atomic::{AtomicU64, Ordering};

static PLAYED: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

/// A canned ZIP engine that counts in its own cell, and how often it played so far.
fn canned(cell: usize) -> (Canned, impl Fn() -> u64) {
    let engine = Canned::new(&zip::Zip::PLAIN, move || {
        PLAYED[cell].fetch_add(1, Ordering::Relaxed);
    });
    (engine, move || PLAYED[cell].load(Ordering::Relaxed))
}

fn request(source: u64, len: usize, target: u64, tag: u32) -> Words {
    Words::of(32, &[(4, len as u32), (7, 0x3000_0000), (9, 0x4002), (14, 4000), (26, tag)])
        .addr(18, source)
        .addr(20, target)
}

fn write(mem: &Space, addr: u64, bytes: &[u8]) {
    Memory::write(mem, addr, bytes).unwrap();
}

#[test]
fn the_same_request_is_played_back_with_its_own_tag() {
    let (engine, played) = canned(0);
    let mem = Space::default();
    let text = b"canned, canned and canned once more".repeat(20);
    let (source, target) = (mem.put(&text), mem.put(&[0; 4000]));
    let (first, verdict) = request(source, text.len(), target, 7).run(&engine, &mem, Generation::V3, 0);
    let out = mem.get(target, 4000);
    write(&mem, target, &[0xEE; 4000]);
    let (second, again) = request(source, text.len(), target, 8).run(&engine, &mem, Generation::V3, 0);
    assert_eq!((played(), &again), (1, &verdict));
    assert_eq!(second, first.clone().set(26, 8));
    let len = first.0[1] as usize;
    assert_eq!(mem.get(target, len), out[..len]);
    assert_eq!(mem.get(target + len as u64, 10), [0xEE; 10], "nothing more is written");
}

#[test]
fn another_input_descriptor_queue_or_generation_is_computed() {
    let (engine, played) = canned(1);
    let mem = Space::default();
    let text = b"first and second text".repeat(20);
    let (source, target) = (mem.put(&text), mem.put(&[0; 4000]));
    let words = request(source, text.len(), target, 0);
    let run = |words: &Words, generation, qc_type| {
        let (got, verdict) = words.run(&engine, &mem, generation, qc_type);
        let (want, plain) = words.run(&zip::Zip::PLAIN, &mem, generation, qc_type);
        assert_eq!((got, verdict), (want, plain));
    };
    run(&words, Generation::V3, 0);
    write(&mem, source + 11, b"!");
    run(&words, Generation::V3, 0);
    run(&words.clone().set(9, 0x4003), Generation::V3, 0);
    run(&words.clone().set(4, 100), Generation::V3, 0);
    run(&words, Generation::V3, 1);
    run(&words, Generation::V2, 0);
    assert_eq!(played(), 0);
    // What was changed back is known no longer: the later recording took its place.
    run(&words, Generation::V3, 0);
    assert_eq!(played(), 1);
}

#[test]
fn faults_by_plan_and_failures_are_not_canned() {
    let (engine, played) = canned(2);
    let mem = Space::default();
    let (source, target) = (mem.put(&[7; 900]), mem.put(&[0; 4000]));
    let words = request(source, 900, target, 0);
    for _ in 0..2 {
        let (got, _) = words.run_with(&engine, &mem, Generation::V3, 0, Injection::Status(0x0B));
        assert_eq!(got.0[3], 0x0B);
        let (got, _) = words.clone().set(14, 1).run(&engine, &mem, Generation::V3, 0);
        assert_eq!(got.0[3], 0x0E);
    }
    words.run(&engine, &mem, Generation::V3, 0);
    let (got, _) = words.run_with(&engine, &mem, Generation::V3, 0, Injection::Status(0x0B));
    assert_eq!((got.0[3], played()), (0x0B, 0));
}

#[test]
fn a_target_that_went_away_is_noticed() {
    let (engine, played) = canned(3);
    let mem = Space::default();
    let (source, target) = (mem.put(&[7; 900]), mem.put(&[0; 4000]));
    let words = request(source, 900, target, 0);
    words.run(&engine, &mem, Generation::V3, 0);
    mem.remove(target);
    let (_, verdict) = words.run(&engine, &mem, Generation::V3, 0);
    assert!(matches!(verdict, Verdict::Refused { .. }));
    assert_eq!(played(), 0);
}

#[test]
fn streams_are_right_because_their_context_is_input_too() {
    let (engine, played) = canned(4);
    let mem = Space::default();
    let text = b"abcdefgh".repeat(100);
    let (source, target, context) = (mem.put(&text), mem.put(&[0; 4000]), mem.put(&[0; 0x97C0]));
    let stream = |first: bool| {
        let flags = if first { 0x3C00_0000 } else { 0x3400_0000 };
        request(source, text.len(), target, 0).set(7, flags).addr(22, context)
    };
    let carried = |back: &Words, next: Words| {
        [15, 28, 29, 30, 31].iter().fold(next, |words, index| words.set(*index, back.0[*index]))
    };
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let (one, _) = stream(true).run(&engine, &mem, Generation::V3, 0);
        let head = mem.get(target, one.0[1] as usize);
        let (two, verdict) = carried(&one, stream(false)).run(&engine, &mem, Generation::V3, 0);
        assert!(matches!(verdict, Verdict::Done { ok: true, .. }), "{verdict:?}");
        rounds.push((head, mem.get(target, two.0[1] as usize), two));
    }
    assert!(rounds.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(played(), 4);
}

#[test]
fn the_oldest_recordings_make_room() {
    let (engine, played) = canned(5);
    let mem = Space::default();
    let target = mem.put(&[0; 100_000]);
    // Each of these keeps its 8 MiB of input, and 64 MiB is all there is.
    let sources: Vec<u64> = (0..9).map(|n| mem.put(&vec![n; 8 << 20])).collect();
    let run = |source: u64| {
        request(source, 8 << 20, target, 0).set(14, 100_000).run(&engine, &mem, Generation::V3, 0);
    };
    sources.iter().for_each(|source| run(*source));
    assert_eq!(played(), 0);
    run(sources[8]);
    assert_eq!(played(), 1);
    run(sources[0]);
    assert_eq!(played(), 1, "the first one had to go");
    assert!(engine.shelf.lock().unwrap().bytes <= MOST_BYTES);
}
