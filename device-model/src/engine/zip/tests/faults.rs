//! What the fault plan can ask for.

use super::*;

fn run(mem: &Space, injection: Injection) -> (Back, Vec<u8>, Vec<u8>) {
    let data = text(3000);
    let ask = Ask::new(2, NEW | FINISH);
    let target = mem.put(&[0xEE; 3000]);
    let sent = ask.flat(mem.put(&data), data.len(), target, 3000);
    let back = back(&sent, sent.run_with(&Zip::PLAIN, mem, V3, 0, injection));
    let (_, good) = once(mem, &ask, 0, &data, 3000);
    (back, mem.get(target, 3000), good)
}

#[test]
fn an_injected_status_touches_no_memory() {
    let mem = Space::default();
    let (back, out, _) = run(&mem, Injection::Status(0x0B));
    assert_eq!((back.status, back.consumed, back.produced), (0x0B, 0, 0));
    assert_eq!(back.verdict.done(), Some((0, false)));
    assert!(out.iter().all(|b| *b == 0xEE));
}

#[test]
fn an_injected_partial_write_leaves_half_the_output_and_an_error() {
    let mem = Space::default();
    let (back, out, good) = run(&mem, Injection::Partial);
    assert_eq!((back.status, back.consumed, back.produced), (0x04, 0, 0));
    let half = good.len() / 2;
    assert_eq!(out[..half], good[..half]);
    assert!(out[half..].iter().all(|b| *b == 0xEE));
}

#[test]
fn an_injected_corruption_is_silent() {
    let mem = Space::default();
    let (back, out, good) = run(&mem, Injection::Corrupt);
    assert_eq!((back.status, back.produced), (0, good.len()));
    assert_ne!(out[..good.len()], good);
}

#[test]
fn a_descriptor_that_breaks_the_tables_is_refused_before_any_injection() {
    let mem = Space::default();
    let words = Ask::new(2, 0).flat(0, 0, 0, 0).set(10, 1);
    for injection in [Injection::Status(0), Injection::Partial, Injection::Corrupt] {
        let (_, verdict) = words.run_with(&Zip::PLAIN, &mem, V3, 0, injection);
        assert!(matches!(verdict, Verdict::Refused { .. }));
    }
}

#[test]
fn an_injected_truncation_reports_what_it_took_and_can_be_continued() {
    let mem = Space::default();
    let data = text(3000);
    for kind in [1, 2, 3] {
        // A stream goes on with the rest.
        let ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(kind, STATEFUL | NEW | FINISH) };
        let target = mem.put(&[0; 4000]);
        let sent = ask.flat(mem.put(&data), 3000, target, 4000);
        let cut = back(&sent, sent.run_with(&Zip::PLAIN, &mem, V3, 0, Injection::Truncate));
        assert_eq!((cut.status, cut.consumed), (0, 1500));
        let head = mem.get(target, cut.produced);
        let next = Ask { flags: STATEFUL | FINISH, words: cut.words, ..ask };
        let (rest, tail) = once(&mem, &next, 0, &data[1500..], 4000);
        assert_eq!((rest.status, rest.consumed), (0, 1500));
        let packed = [head, tail].concat();
        check_member(kind, &packed, &data);

        let ask = Ask { flags: STATEFUL | NEW, ..ask };
        let sent = ask.flat(mem.put(&packed), packed.len(), target, 4000);
        let cut = back(&sent, sent.run_with(&Zip::PLAIN, &mem, V3, 1, Injection::Truncate));
        assert_eq!((cut.status, cut.consumed, cut.words[0] & 15), (0, packed.len() / 2, 0));
        let head = mem.get(target, cut.produced);
        let next = Ask { flags: STATEFUL, words: cut.words, ..ask };
        let (rest, tail) = once(&mem, &next, 1, &packed[packed.len() / 2..], 4000);
        assert_eq!((rest.status, [head, tail].concat()), (0x113, data.clone()));

        // A single request succeeds with less than was asked.
        let sent = Ask::new(kind, 0).flat(mem.put(&data), 3000, target, 4000);
        let cut = back(&sent, sent.run_with(&Zip::PLAIN, &mem, V3, 0, Injection::Truncate));
        assert_eq!((cut.status, cut.consumed), (0, 1500));
        check_member(kind, &mem.get(target, cut.produced), &data[..1500]);
        let sent = Ask::new(kind, 0).flat(mem.put(&packed), packed.len(), target, 4000);
        let cut = back(&sent, sent.run_with(&Zip::PLAIN, &mem, V3, 1, Injection::Truncate));
        assert_eq!((cut.status, cut.consumed), (0, packed.len() / 2));
        assert_eq!(mem.get(target, cut.produced), data[..cut.produced]);
        // Nothing to take a part of.
        let sent = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(kind, STATEFUL | NEW) };
        let sent = sent.flat(mem.put(&packed), 1, target, 0);
        let cut = back(&sent, sent.run_with(&Zip::PLAIN, &mem, V3, 1, Injection::Truncate));
        assert_eq!((cut.status & 0xFF, cut.consumed, cut.produced), (0, 0, 0));
    }
}

#[test]
fn an_injected_stale_tag_spoils_the_tag_and_nothing_else() {
    let mem = Space::default();
    for (generation, at) in [(V2, 13), (V3, 26)] {
        let ask = Ask { generation, ..Ask::new(2, 0) };
        let target = mem.put(&[0; 300]);
        let sent = ask.flat(mem.put(b"tagged"), 6, target, 300);
        let (good, _) = sent.run(&Zip::PLAIN, &mem, generation, 0);
        let (got, verdict) = sent.run_with(&Zip::PLAIN, &mem, generation, 0, Injection::StaleTag);
        assert_eq!(verdict.done(), Some((6, true)));
        assert_eq!((good.0[at], got.0[at]), (0x1234, 0x1233));
        assert_eq!(got.set(at, 0x1234), good);
    }
}

#[test]
fn an_injected_status_hits_bypass_requests_too() {
    let mem = Space::default();
    let sent = Ask::new(2, STATEFUL).flat(0, 0, 0, 16);
    let back = back(&sent, sent.run_with(&Zip::PLAIN, &mem, V3, 0, Injection::Status(0x10)));
    assert_eq!((back.status, back.verdict.done()), (0x10, Some((0, false))));
}
