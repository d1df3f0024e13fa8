//! Long hashes: a state in memory between the parts.

use super::super::digest::Running;
use super::*;

/// Sends `parts`, of which the last is the end, over one state buffer or over two in turn; gives the states and the
/// result.
fn parts(ask: &Ask, key: &[u8], parts: &[&[u8]], two_buffers: bool) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (digest, _) = Digest::by_code(u64::from(ask.a_alg)).unwrap();
    let mem = Space::default();
    let buffers = [mem.put_odd(&[0xEE; 72], 1), mem.put_odd(&[0xEE; 72], 2)];
    let at = |index: usize| if two_buffers { buffers[index % 2] } else { buffers[0] };
    let key_at = if key.is_empty() { 0 } else { mem.put(key) };
    let mut states = Vec::new();
    let total: usize = parts.iter().map(|part| part.len()).sum();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        // 8.3: what UADK writes in the first and middle parts
        let mac_len = match (last, ask.a_alg) {
            (true, _) => ask.mac_len,
            (false, 0x25) => 8,
            (false, 0..=7) => 0,
            (false, _) => digest.output_len() as u32 / 4,
        };
        let total = if last { 8 * total as u64 } else { 0 };
        let ask = Ask { no_pad: !last, ai_gen: u32::from(index > 0), total, mac_len, ..*ask };
        let state = if index > 0 { at(index + 1) } else { 0 };
        let places = Places { source: mem.put_odd(part, 3), key: key_at, state, mac: at(index) };
        let (dw28, verdict) = run(&mem, &ask.words(part.len(), places), ask.generation, Injection::None);
        assert_eq!(dw28, GOOD, "{verdict:?}");
        let len = if last { ask.mac_len as usize * 4 } else { digest.state_len() };
        let out = mem.get(at(index), 72);
        assert!(out[digest.state_len().max(len)..].iter().all(|byte| *byte == 0xEE));
        states.push(out[..len].to_vec());
    }
    let result = states.pop().unwrap();
    (states, result)
}

#[test]
fn states_and_digest_are_those_of_the_reference() {
    let data = seq(0, 266);
    let cut = [&data[..128], &data[128..256], &data[256..]];
    for generation in [V2, V3, crate::engine::Generation::V5] {
        for two in [false, true] {
            let (states, digest) = parts(&Ask::new(generation, 1, 0, 8), &[], &cut, two);
            assert_eq!(states[0], hex("593253adfb4cc018be611395485e47c15a5b271dfb8da14fe8f77fb4d05eacbc"));
            assert_eq!(states[1], hex("b3faf2c38d1c1b14d7d76b58dd2b0774d3396edf37b622694dbf154dc1d774d1"));
            assert_eq!(digest, hex("f70ecfb608dc7306770184f96c3ed4e7c051bec6f3614974c9b3eb7f89f746b9"));
            let (states, mac) = parts(&Ask::new(generation, 0x11, 32, 8), &seq(0, 32), &cut, two);
            assert_eq!(states[0], hex("c484870790f9c02f7596202a94d4a9edf4e5d4ba58d5b175861e7577f11af43a"));
            assert_eq!(mac, hex("5253cb5e6218276316a23ea4bb19e478da807a16ae4a66c7792b947fc1344afa"));
        }
    }
}

#[test]
fn descriptors_are_those_of_the_catalogue() {
    let word = |ask: Ask, len, index: usize| ask.words(len, Places::default()).0[index];
    let first = Ask { no_pad: true, ..Ask::new(V2, 1, 0, 0) };
    assert_eq!([0, 1, 2, 4].map(|index| word(first, 128, index)), [0x842, 0x400, 0x800, 0x80]);
    assert_eq!(word(Ask { ai_gen: 1, ..first }, 128, 1), 0x500);
    let end = Ask { ai_gen: 1, total: 0x850, ..Ask::new(V2, 1, 0, 8) };
    assert_eq!([0, 1, 2, 4, 12].map(|index| word(end, 10, index)), [0x842, 0x100, 0x808, 0xA, 0x850]);
    let first = Ask { generation: V3, ..first };
    assert_eq!([0, 14, 17, 27].map(|index| word(first, 128, index)), [0xE3, 0x0800_8001, 0x80, 1]);
    assert_eq!(word(Ask { ai_gen: 1, ..first }, 128, 14), 0x0800_8005);
    let end = Ask { generation: V3, ..end };
    assert_eq!([0, 14, 17, 25, 27].map(|index| word(end, 10, index)), [0xE3, 0x0800_8085, 0xA, 0x850, 0]);
    assert_eq!(word(Ask { no_pad: true, ..Ask::new(V2, 0x25, 0, 8) }, 128, 2), 0x0001_2808);
    assert_eq!(word(Ask { no_pad: true, ..Ask::new(V2, 0x14, 32, 12) }, 128, 2), 0x0000_A10C);
}

#[test]
fn an_empty_end_is_taken_by_both_types() {
    for (digest, code) in plain_codes() {
        let data = seq(5, 256);
        let words = digest.output_len() as u32 / 4;
        for generation in [V2, V3] {
            let (_, got) = parts(&Ask::new(generation, code, 0, words), &[], &[&data, &[]], false);
            assert_eq!(got, digest.once(None, &data), "{digest:?} {generation:?}");
        }
    }
}

#[test]
fn the_whole_state_is_written_whatever_mac_len_says() {
    let mem = Space::default();
    let data = mem.put(&seq(0, 128));
    for (code, lens) in [(3, &[0, 1, 7, 8][..]), (4, &[0, 1, 12, 16]), (0x25, &[1, 8])] {
        let (digest, _) = Digest::by_code(u64::from(code)).unwrap();
        let mut images = Vec::new();
        for mac_len in lens {
            let mac = mem.put(&[0xEE; 72]);
            let ask = Ask { no_pad: true, ..Ask::new(V3, code, 0, *mac_len) };
            let at = Places { source: data, mac, ..Places::default() };
            let (dw28, verdict) = run(&mem, &ask.words(128, at), V3, Injection::None);
            assert_eq!(dw28, GOOD);
            assert!(matches!(verdict, Verdict::Done { output, .. } if output == digest.state_len() as u64));
            images.push(mem.get(mac, 72));
        }
        assert!(images.iter().all(|image| image == &images[0]));
        let mut running = Running::start(digest, None);
        running.absorb(&seq(0, 128));
        assert_eq!(images[0], [running.image(), vec![0xEE; 72 - digest.state_len()]].concat());
    }
}

#[test]
fn the_end_may_be_a_list() {
    for generation in [V2, V3] {
        for (name, code) in &CODES[..18] {
            let (digest, hmac) = Digest::by_code(u64::from(*code)).unwrap();
            let (data, key) = (seq(1, 300), if hmac { seq(8, 16) } else { vec![] });
            let mem = Space::default();
            let mac = mem.put(&[0; 64]);
            let at = Places {
                source: mem.put(&data[..128]),
                mac,
                key: if hmac { mem.put(&key) } else { 0 },
                ..Places::default()
            };
            let ask = Ask::new(generation, *code, key.len(), digest.output_len() as u32 / 4);
            run(&mem, &Ask { no_pad: true, ..ask }.words(128, at), generation, Injection::None);
            let (source, _) = mem.chain(&data[128..], &[50, 7], 3);
            let ask = Ask { ai_gen: 1, total: 2400, sgl: true, ..ask };
            let words = ask.words(172, Places { source, state: mac, ..at });
            assert_eq!(run(&mem, &words, generation, Injection::None).0, GOOD, "{name}");
            assert_eq!(mem.get(mac, digest.output_len()), digest.once(hmac.then_some(&key[..]), &data));
        }
    }
}

#[test]
fn lengths_beyond_32_bits_reach_the_padding() {
    // The state of a fresh SHA-256 stands for 2^40 bytes; the padding must say so.
    let mem = Space::default();
    let mut running = Running::start(Digest::Sha256, None);
    let state = mem.put(&running.image());
    let mac = mem.put(&[0; 32]);
    let at = Places { source: mem.put(b"abc"), state, mac, ..Places::default() };
    let total = ((1u64 << 40) + 3) * 8;
    let ask = Ask { ai_gen: 1, total, ..Ask::new(V3, 1, 0, 8) };
    assert_eq!(run(&mem, &ask.words(3, at), V3, Injection::None).0, GOOD);
    let mut block = [0; 64];
    block[..4].copy_from_slice(b"abc\x80");
    block[56..].copy_from_slice(&total.to_be_bytes());
    running.absorb(&block);
    assert_eq!(mem.get(mac, 32), running.image());
}

proptest! {
    #![proptest_config(crate::properties::cases(128))]
    #[test]
    fn any_cut_gives_the_whole_result(which in 0usize..18, data in proptest::collection::vec(any::<u8>(), 128..1500),
                                      cuts in proptest::collection::vec(1usize..5, 1..4),
                                      key in proptest::collection::vec(any::<u8>(), 16), two: bool, v3: bool, short: bool) {
        let code = CODES[which].1;
        let (digest, hmac) = Digest::by_code(u64::from(code)).unwrap();
        let key = if hmac { &key[..] } else { &[] };
        let block = digest.block_len();
        let words = if short { 3 } else { digest.output_len() as u32 / 4 };
        let mut pieces = Vec::new();
        let mut rest = &data[..];
        for cut in cuts {
            let (head, tail) = rest.split_at((cut * block).min(rest.len() / block * block));
            if !head.is_empty() {
                pieces.push(head);
            }
            rest = tail;
        }
        pieces.push(rest);
        let ask = Ask::new(if v3 { V3 } else { V2 }, code, key.len(), words);
        let (_, got) = parts(&ask, key, &pieces, two);
        prop_assert_eq!(got, once(&ask, key, &[], &data));
    }
}
