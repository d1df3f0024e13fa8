use super::*;
use crate::engine::Generation::{V2, V3};
use crate::engine::testing::{Space, Words, hex};
use num_bigint::BigUint;
use proptest::prelude::*;
use std::collections::HashMap;

mod refusals;

fn vectors() -> HashMap<&'static str, Vec<u8>> {
    include_str!("../../../../test-vectors/model/hpre.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| (name, hex(value)))
        .collect()
}

fn right(value: &[u8], width: usize) -> Vec<u8> {
    [vec![0; width - value.len()], value.to_vec()].concat()
}

/// A request over exact buffers at odd addresses; gives what was written back, the verdict and the output.
fn ask(
    mem: &Space,
    generation: Generation,
    alg: u32,
    key: &[u8],
    input: &[u8],
    out: usize,
    injection: Injection,
) -> (Words, Verdict, Vec<u8>) {
    let w = match alg {
        1 => key.len() / 5 * 2,
        _ => key.len() / 2,
    };
    let input_at = if input.is_empty() { 0 } else { mem.put_odd(input, 3) };
    let out_at = mem.put_odd(&vec![0xEE; out], 1);
    let sent = Words::of(16, &[(0, 1 << 30 | alg), (1, (w / 8 - 1) as u32), (8, 0x8000_4000), (9, 0xFFFF)])
        .addr(2, mem.put_odd(key, 5))
        .addr(4, input_at)
        .addr(6, out_at);
    let (got, verdict) = sent.run_with(&Hpre, mem, generation, 0, injection);
    assert_eq!(got.0[2..], sent.0[2..], "only dwords 0 and 1 may change");
    assert_eq!(got.0[1] & !(15 << 27), sent.0[1]);
    (got, verdict, mem.get(out_at, out))
}

fn good(alg: u32, key: &[u8], input: &[u8], out: usize) -> Vec<u8> {
    let mem = Space::default();
    let results = [V2, V3].map(|generation| {
        let (got, verdict, out) = ask(&mem, generation, alg, key, input, out, Injection::None);
        assert_eq!(got.0[0], 0xC000_0000 | alg);
        assert!(matches!(verdict, Verdict::Done { ok: true, .. }));
        out
    });
    assert_eq!(results[0], results[1]);
    results[0].clone()
}

#[test]
fn worked_example_rsa_2048_crt() {
    let v = vectors();
    let key = ["rsa.dq", "rsa.dp", "rsa.q", "rsa.p", "rsa.qinv"].map(|name| v[name].clone()).concat();
    assert_eq!(key.len(), 640);
    assert_eq!(good(1, &key, &v["rsa.message"], 256), v["rsa.signature"]);
}

#[test]
fn worked_example_rsa_2048_public_keeps_the_leading_zero_byte() {
    let v = vectors();
    let key = [right(&[1, 0, 1], 256), v["rsa.n"].clone()].concat();
    let out = good(0, &key, &v["rsa.signature"], 256);
    assert_eq!(out, v["rsa.message"]);
    assert_eq!(out[0], 0);
}

#[test]
fn key_completion_gives_the_key_of_the_worked_example() {
    let v = vectors();
    let key = [right(&[1, 0, 1], 256), v["rsa.p"].clone(), v["rsa.q"].clone()].concat();
    let short = good(2, &key, &[], 512);
    let full = good(3, &key, &[], 896);
    assert_eq!(full[..512], short);
    assert_eq!(full[256..512], v["rsa.n"]);
    assert_eq!(full[512..640], v["rsa.qinv"]);
    assert_eq!(full[640..768], v["rsa.dq"]);
    assert_eq!(full[768..], v["rsa.dp"]);
    // d undoes e, as the private operation without CRT key.
    let private = [&full[..256], &v["rsa.n"]].concat();
    assert_eq!(good(0, &private, &v["rsa.message"], 256), v["rsa.signature"]);
}

#[test]
fn worked_example_dh_2048() {
    let v = vectors();
    let key = |x: &str| [right(&v[x], 256), v["dh.p"].clone()].concat();
    assert_eq!(good(4, &key("dh.xa"), &[], 256), v["dh.ya"]);
    assert_eq!(good(5, &key("dh.xa"), &right(&[2], 256), 256), v["dh.ya"]);
    assert_eq!(good(5, &key("dh.xa"), &v["dh.yb"], 256), v["dh.z"]);
    assert_eq!(good(5, &key("dh.xb"), &v["dh.ya"], 256), v["dh.z"]);
}

#[test]
fn verdict_counts_the_slot_width() {
    let mem = Space::default();
    let key = [right(&[3], 128), right(&[55], 128)].concat();
    let (_, verdict, out) = ask(&mem, V3, 0, &key, &right(&[2], 128), 128, Injection::None);
    assert_eq!((verdict, out), (Verdict::Done { bytes: 128, ok: true }, right(&[8], 128)));
}

#[test]
fn input_and_exponent_beyond_the_modulus_are_reduced() {
    let key = [right(&[200], 128), right(&[21], 128)].concat();
    let expected = BigUint::from(255u32).modpow(&200u32.into(), &21u32.into());
    assert_eq!(good(0, &key, &right(&[255], 128), 128), right(&expected.to_bytes_be(), 128));
    let zero = [vec![0; 128], right(&[21], 128)].concat();
    assert_eq!(good(0, &zero, &right(&[5], 128), 128), right(&[1], 128));
}

#[test]
fn operands_without_a_result_end_with_an_error_status() {
    let mem = Space::default();
    let w = |value: u8| right(&[value], 128);
    let h = |value: u8| right(&[value], 64);
    let even = [w(3), w(20)].concat();
    let zero = [w(3), w(0)].concat();
    let one = [w(3), w(1)].concat();
    let crt = [h(1), h(1), h(7), h(4), h(1)].concat();
    let crt_zero = [h(1), h(1), h(0), h(5), h(1)].concat();
    let no_inverse = [w(3), h(7), h(11)].concat(); // 3 divides 6
    let same = [w(7), h(11), h(11)].concat();
    for (alg, key, input, out) in [
        (0, &even, &w(5)[..], 128),
        (0, &zero, &w(5), 128),
        (0, &one, &w(5), 128),
        (5, &even, &w(5), 128),
        (4, &zero, &[], 128),
        (1, &crt, &w(5), 128),
        (1, &crt_zero, &w(5), 128),
        (2, &no_inverse, &[], 256),
        (3, &same, &[], 448),
    ] {
        let (got, verdict, out) = ask(&mem, V3, alg, key, input, out, Injection::None);
        assert_eq!(got.0[0], 0xC000_0020 | alg);
        assert_eq!(verdict, Verdict::Done { bytes: 0, ok: false });
        assert!(out.iter().all(|b| *b == 0xEE), "nothing is written");
    }
}

#[test]
fn injections_show_as_asked() {
    let mem = Space::default();
    let key = [right(&[3], 128), right(&[55], 128)].concat();
    let run = |injection| ask(&mem, V3, 0, &key, &right(&[2], 128), 128, injection);
    let (got, verdict, out) = run(Injection::Status(7));
    assert_eq!((got.0[0], out), (0xC000_00E0, vec![0xEE; 128]));
    assert_eq!(verdict, Verdict::Done { bytes: 0, ok: false });
    assert_eq!(run(Injection::Status(2 << 16)).0.0[0], 0xC002_0000);
    assert_eq!(run(Injection::Status(1 << 30)).0.0[0], 0x4000_0000);
    let (got, verdict, out) = run(Injection::Partial);
    assert_eq!((got.0[0], out), (0xC000_0020, [vec![0; 64], vec![0xEE; 64]].concat()));
    assert_eq!(verdict, Verdict::Done { bytes: 0, ok: false });
    let (got, verdict, out) = run(Injection::Corrupt);
    assert_eq!(got.0[0], 0xC000_0000);
    assert!(matches!(verdict, Verdict::Done { ok: true, .. }));
    assert_ne!(out, right(&[8], 128));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// CRT against plain exponentiation, over small primes in wide slots and any input.
    #[test]
    fn crt_agrees_with_plain_exponentiation(p in proptest::sample::select(vec![10_007u32, 65_537, 99_991]),
                                            q in proptest::sample::select(vec![10_009u32, 20_011, 99_989]),
                                            input in proptest::collection::vec(any::<u8>(), 256)) {
        let e = right(&[1, 0x10, 0x0F], 256); // 69647, prime
        let half = |value: u32| right(&value.to_be_bytes(), 128);
        let full = good(3, &[e.clone(), half(p), half(q)].concat(), &[], 896);
        let key = [&full[640..768], &full[768..], &half(q), &half(p), &full[512..640]].concat();
        let result = good(1, &key, &input, 256);
        prop_assert_eq!(&result, &good(0, &full[..512], &input, 256));
        let back = good(0, &[&e[..], &full[256..512]].concat(), &result, 256);
        let n = slot(&full[256..512]);
        prop_assert_eq!(slot(&back), slot(&input) % n);
    }
}
