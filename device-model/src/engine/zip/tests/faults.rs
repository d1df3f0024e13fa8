//! What the fault plan can ask for.

use super::*;

fn run(mem: &Space, injection: Injection) -> (Back, Vec<u8>, Vec<u8>) {
    let data = text(3000);
    let ask = Ask::new(2, NEW | FINISH);
    let target = mem.put(&[0xEE; 3000]);
    let sent = ask.flat(mem.put(&data), data.len(), target, 3000);
    let back = back(&sent, sent.run_with(&Zip, mem, V3, 0, injection));
    let (_, good) = once(mem, &ask, 0, &data, 3000);
    (back, mem.get(target, 3000), good)
}

#[test]
fn an_injected_status_touches_no_memory() {
    let mem = Space::default();
    let (back, out, _) = run(&mem, Injection::Status(0x0B));
    assert_eq!((back.status, back.consumed, back.produced), (0x0B, 0, 0));
    assert_eq!(back.verdict, Verdict::Done { bytes: 0, ok: false });
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
        let (_, verdict) = words.run_with(&Zip, &mem, V3, 0, injection);
        assert!(matches!(verdict, Verdict::Refused { .. }));
    }
}
