//! Digests, HMAC and AES MACs: NIST CAVP and SP 800-38B, RFC 1321, 2202, 3566 and 4231, GB/T 32905.

use crate::engine::testing::Space;
use crate::engine::{Generation, Rule};
use crate::files::vectors;
use crate::sec::{Buffer, Descriptor, EVERYWHERE, End, V2};

/// a_alg, block and full state in bytes (`sec.md` 5.6, 8.2); a block of 0 for what has no long mode.
pub fn algorithm(name: &str) -> (u32, usize, usize) {
    if let Some(hash) = name.strip_prefix("hmac-") {
        let (code, block, state) = algorithm(hash);
        return (if hash == "sm3" { 0x26 } else { code + 0x10 }, block, state);
    }
    match name {
        "sha-1" => (0, 64, 20),
        "sha-256" => (1, 64, 32),
        "md5" => (2, 64, 16),
        "sha-224" => (3, 64, 32),
        "sha-384" => (4, 128, 64),
        "sha-512" => (5, 128, 64),
        "sha-512/224" => (6, 128, 64),
        "sha-512/256" => (7, 128, 64),
        "sm3" => (0x25, 64, 32),
        "aes-xcbc-mac" => (0x20, 0, 0),
        "aes-cmac" => (0x21, 0, 0),
        "aes-gmac" => (0x22, 0, 0),
        _ => panic!("{name}"),
    }
}

/// A part of a message, as `sec.md` 8.4 tells them apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Single,
    First,
    Middle,
    End,
}

/// One descriptor; `state` is where the state is and where the output goes.
#[allow(clippy::too_many_arguments)] // the fields of a descriptor
fn part(
    name: &str,
    mem: &Space,
    (generation, list): (Generation, bool),
    part: Part,
    data: &[u8],
    key: &[u8],
    (state, words): (u64, u32),
    total: usize,
) -> End {
    let (code, _, _) = algorithm(name);
    let source = (!data.is_empty()).then(|| Buffer::new(mem, data, list));
    let more = matches!(part, Part::First | Part::Middle);
    let continues = matches!(part, Part::Middle | Part::End);
    let long = if part == Part::End { total as u64 * 8 } else { 0 };
    Descriptor::new(generation)
        .set(&[("auth", 1), ("a_alg", code), ("a_len", data.len() as u32), ("mac_len", words)])
        .set(&[
            ("scene", if generation == V2 { 1 } else { 7 }),
            ("src_addr_type", u32::from(list && source.is_some())),
        ])
        .set(&[
            ("a_key_len", key.len() as u32 / 4),
            ("a_pad", u32::from(more)),
            ("ai_gen", u32::from(continues)),
        ])
        .at(&[("src", source.map_or(0, |s| s.address)), ("mac", state), ("long_a_data_len", long)])
        .at(&[("a_key", if key.is_empty() { 0 } else { mem.put_odd(key, 1) })])
        .at(&[("a_ivin", if continues { state } else { 0 })])
        .run(mem)
}

/// In one piece.
pub fn whole(
    name: &str,
    (key, data, length): (&[u8], &[u8], usize),
    device: (Generation, bool),
) -> Result<Vec<u8>, Rule> {
    let mem = Space::default();
    let out = mem.put(&vec![0; length]);
    match part(name, &mem, device, Part::Single, data, key, (out, length as u32 / 4), 0) {
        End::Done(false) => Ok(mem.get(out, length)),
        End::Refused(rule) => Err(rule),
        other => panic!("{name}: {other:?}"),
    }
}

/// In pieces of one and two blocks; the last piece may be empty. Only that
/// one may be a list (6.2).
pub fn pieces(name: &str, (key, data, length): (&[u8], &[u8], usize), device: (Generation, bool)) -> Vec<u8> {
    let (_, block, state) = algorithm(name);
    let mem = Space::default();
    let at = mem.put(&vec![0; state]);
    // mac_len of the parts before the last: what UADK writes (8.3), of no effect
    let words = if name == "sm3" {
        8
    } else if name.starts_with("hmac-") {
        length as u32 / 4
    } else {
        0
    };
    let (mut rest, mut first, mut size) = (data, true, block);
    while rest.len() >= size {
        let (now, later) = rest.split_at(size);
        let which = if first { Part::First } else { Part::Middle };
        assert_eq!(
            part(name, &mem, (device.0, false), which, now, key, (at, words), 0),
            End::Done(false),
            "{name}"
        );
        (rest, first, size) = (later, false, 3 * block - size);
    }
    let which = if first { Part::Single } else { Part::End };
    let end = part(name, &mem, device, which, rest, key, (at, length as u32 / 4), data.len());
    assert_eq!(end, End::Done(false), "{name}");
    mem.get(at, length)
}

/// A key as a descriptor takes it: whole words, no longer than a block; filled up with zeros, as HMAC itself does.
/// `None` if the caller would have to hash it first.
pub fn padded(key: &[u8], block: usize) -> Option<Vec<u8>> {
    let mut key = key.to_vec();
    key.resize(key.len().next_multiple_of(4), 0);
    (key.len() <= block).then_some(key)
}

/// One vector everywhere, whole and in pieces.
pub fn check(name: &str, key: &[u8], data: &[u8], expected: &[u8], at: &str) {
    let (_, block, _) = algorithm(name);
    let mac = name.starts_with("aes");
    for (generation, list) in EVERYWHERE {
        let result = whole(name, (key, data, expected.len()), (generation, list));
        // V2 has no AES MAC and no empty single request (8.2, 8.5)
        if generation == V2 && mac {
            assert_eq!(result, Err(Rule::Unsupported), "{at}: {name}");
        } else if data.is_empty() && generation == V2 {
            assert!(result.is_err(), "{at}: {name}: {result:?}");
        } else {
            assert!(
                result.as_deref() == Ok(expected),
                "{at}: {name} {generation:?} list {list}: {result:02x?}"
            );
            if !mac && data.len() >= block {
                assert!(
                    pieces(name, (key, data, expected.len()), (generation, list)) == expected,
                    "{at}: {name} in pieces"
                );
            }
        }
    }
}

#[test]
fn digest_and_mac_vectors() {
    let mut too_long = 0;
    for v in vectors("public/digest.txt") {
        match &v.fields[..] {
            [data, digest] => check(&v.name, &[], data, digest, &v.at),
            [key, data, mac] => match padded(key, algorithm(&v.name).1.max(16)) {
                Some(key) => check(&v.name, &key, data, mac, &v.at),
                None => too_long += 1,
            },
            _ => panic!("{}", v.at),
        }
    }
    // RFC 2202 and 4231 have two keys each beyond the block, which a driver hashes first
    assert_eq!(too_long, 12);
}

/// GMAC: a one-shot request with the nonce in a buffer of 16 bytes, of which 12 count (`sec.md` 15, 7).
pub fn gmac(
    (key, nonce, data): (&[u8], &[u8], &[u8]),
    length: usize,
    (generation, list): (Generation, bool),
) -> Result<Vec<u8>, Rule> {
    let mem = Space::default();
    let out = mem.put(&vec![0; length]);
    let src = Buffer::new(&mem, data, list);
    let end = Descriptor::new(generation)
        .set(&[("auth", 1), ("a_alg", algorithm("aes-gmac").0), ("scene", 1), ("ai_gen", 1)])
        .set(&[
            ("mac_len", length as u32 / 4),
            ("a_key_len", key.len() as u32 / 4),
            ("a_len", data.len() as u32),
        ])
        .set(&[("src_addr_type", u32::from(list))])
        .at(&[("src", src.address), ("mac", out), ("a_key", mem.put(key))])
        .at(&[("a_ivin", mem.put(&[nonce, &[0xA5; 4]].concat()))])
        .run(&mem);
    match end {
        End::Done(false) => Ok(mem.get(out, length)),
        End::Refused(rule) => Err(rule),
        other => panic!("{other:?}"),
    }
}

/// AES MACs have no long mode (8.2): a first or middle part is refused, by whatever rule.
#[test]
fn aes_macs_do_not_come_in_parts() {
    for name in ["aes-xcbc-mac", "aes-cmac"] {
        for device in EVERYWHERE {
            for which in [Part::First, Part::Middle] {
                let mem = Space::default();
                let state = mem.put(&[0; 16]);
                let end = part(name, &mem, device, which, &[9; 32], &[7; 16], (state, 4), 0);
                assert!(matches!(end, End::Refused(_)), "{name} {device:?}: {end:?}");
            }
        }
    }
}

/// The parts of a long hash before the last are flat (6.2).
#[test]
fn lists_in_the_middle_of_a_long_hash_are_refused() {
    for generation in [V2, crate::sec::V3] {
        let mem = Space::default();
        let state = mem.put(&[0; 32]);
        let end = part("sha-256", &mem, (generation, true), Part::First, &[9; 64], &[], (state, 0), 0);
        assert!(matches!(end, End::Refused(_)), "{end:?}");
    }
}
