//! The worked examples of the reference (section 16), word by word. Lengths of compressed data depend on the encoder
//! and are checked by decoding; check values are computed from the data.

use super::*;

/// Source, destination and context as the examples' addresses.
fn addresses(words: Words, source: u64, target: u64, context: u64) -> Words {
    words.addr(18, source).addr(20, target).addr(22, context)
}

/// Runs, and checks that nothing but the listed words has changed.
fn run(mem: &Space, sent: &Words, qc_type: u16, changed: &[(usize, u32)]) -> Words {
    let (got, verdict) = sent.run(&Zip::PLAIN, mem, V3, qc_type);
    assert!(matches!(verdict, Verdict::Done { ok: true, .. }), "{verdict:?}");
    let mut want = sent.clone();
    for (index, word) in changed {
        want = want.set(*index, *word);
    }
    // Words 28 and 29 are opaque context words.
    for index in (0..32).filter(|i| ![28, 29].contains(i) && changed.iter().all(|(j, _)| i != j)) {
        assert_eq!(got.0[index], want.0[index], "dw{index}");
    }
    for (index, word) in changed.iter().filter(|(_, word)| *word != ANY) {
        assert_eq!(got.0[*index], *word, "dw{index}");
    }
    got
}

/// Stands for "written back, value depends on the encoder".
const ANY: u32 = 0xFFFF_FFFE;

#[test]
fn check_words_of_the_gzip_register() {
    let mem = Space::default();
    for (data, register) in [("a", 0x3D82_12E8), ("123456789", 0x9B63_D02C), ("", 0xFFFF_FFFF)] {
        let sent = addresses(
            Words::of(32, &[(4, data.len() as u32), (7, 0x3E00_0000), (9, 0x4003), (14, 200)]),
            mem.put(data.as_bytes()),
            mem.put(&[0; 200]),
            0,
        );
        run(&mem, &sent, 0, &[(0, data.len() as u32), (1, ANY), (30, data.len() as u32), (31, register)]);
    }
}

#[test]
fn gzip_stream_in_chunks_of_4096() {
    let mem = Space::default();
    let data = text(20_000);
    let (source, target) = (mem.put(&data), mem.put(&vec![0; 5 * 8192]));
    let context = mem.put(&[0; 0x97C0]);
    let (mut at, mut out, mut carried) = (0u32, Vec::new(), [0u32; 5]);
    for (dw7, dw4, dw14) in [
        (0x3C00_0000, 4096, 8182),
        (0x3400_0000, 4096, 8192),
        (0x3400_0000, 4096, 8192),
        (0x3400_0000, 4096, 8192),
        (0x3600_0000, 3616, 8192),
    ] {
        let sent = Words::of(32, &[(4, dw4), (7, dw7), (9, 0x4003), (14, dw14), (26, 0x7A61_0001)])
            .set(15, carried[0])
            .set(28, carried[1])
            .set(29, carried[2])
            .set(30, carried[3])
            .set(31, carried[4]);
        let sent = addresses(sent, source + u64::from(at), target, context);
        at += dw4;
        let register = !crc32fast::hash(&data[..at as usize]).reverse_bits();
        let got = run(&mem, &sent, 0, &[(0, dw4), (1, ANY), (3, 0), (15, 0), (30, at), (31, register)]);
        out.extend(mem.get(target, got.0[1] as usize));
        carried = [got.0[15], got.0[28], got.0[29], got.0[30], got.0[31]];
    }
    check_member(3, &out, &data);
    // The example's encoder made 9320 - 10 bytes of its text; ours is of the same kind.
    assert!(out.len() < 20_000 / 2, "{}", out.len());
}

#[test]
fn gzip_stream_is_decompressed_in_three_requests() {
    let mem = Space::default();
    let data = text(20_000);
    let member = make_member(3, &data);
    let (source, target, context) = (mem.put(&member), mem.put(&vec![0; 20_000]), mem.put(&[0x33; 0x97C0]));
    let (mut at, mut carried) = (0, [0u32; 5]);
    for (index, (dw7, space)) in
        [(0x3C00_0000, 8192), (0x3400_0000, 8192), (0x3400_0000, 8192)].into_iter().enumerate()
    {
        let dw4 = (member.len() - at) as u32;
        let dw15 = [0, 2, 2][index];
        assert_eq!(carried[0], dw15);
        let sent = Words::of(32, &[(4, dw4), (7, dw7), (9, 0x0003), (14, space), (26, 0x7A61_0002)])
            .set(15, carried[0])
            .set(28, carried[1])
            .set(29, carried[2])
            .set(30, carried[3])
            .set(31, carried[4]);
        let sent = addresses(sent, source + at as u64, target + 8192 * index as u64, context);
        let total = [8192, 16384, 20000][index];
        let produced = [8192, 8192, 3616][index];
        let (dw3, dw15) = [(0, 2), (0, 2), (0x113, 0)][index];
        let register = !crc32fast::hash(&data[..total]).reverse_bits();
        let got = run(
            &mem,
            &sent,
            1,
            &[(0, ANY), (1, produced), (3, dw3), (15, dw15), (30, total as u32), (31, register)],
        );
        at += got.0[0] as usize;
        carried = [got.0[15], got.0[28], got.0[29], got.0[30], got.0[31]];
    }
    assert_eq!(at, member.len());
    assert_eq!(mem.get(target, 20_000), data);
}

#[test]
fn stateless_zlib_of_1024_bytes_and_back() {
    let mem = Space::default();
    let data = text(1024);
    let (source, target) = (mem.put(&data), mem.put(&[0; 4096]));
    let sent = Words::of(32, &[(4, 1024), (7, 0x3A00_0000), (9, 0x0000_0002), (14, 4094), (26, 0x1234_5678)]);
    let sent = addresses(sent, source, target + 2, 0);
    let adler = adler2::adler32_slice(&data);
    let got = run(&mem, &sent, 0, &[(0, 1024), (1, ANY), (3, 0), (30, 1024), (31, adler)]);
    let member = mem.get(target + 2, got.0[1] as usize);
    check_member(2, &member, &data);

    let back = mem.put(&[0; 1024]);
    let total = member.len() as u32 + 2;
    let sent = Words::of(32, &[(4, total - 2), (7, 0x3A00_0000), (9, 0x0000_0002), (14, 1024), (26, 9)]);
    let sent = addresses(sent, target + 2, back, 0);
    run(&mem, &sent, 1, &[(0, total - 2), (1, 1024), (3, 0x100), (30, 1024), (31, adler)]);
    assert_eq!(mem.get(back, 1024), data);
}

#[test]
fn example_values_of_dw7_and_dw9_on_both_generations() {
    let mem = Space::default();
    let data = text(500);
    for (generation, kind) in [(V2, 0u32), (V3, 0x3000_0000)] {
        for (dw7, stateful) in [
            (0x0A00_0000u32, false),
            (0, false),
            (0x0800_0000, false),
            (0x0C00_0000, true),
            (0x0E00_0000, true),
        ] {
            for dw9 in [0x0002, 0x4003, 0x0003, 0x4002] {
                let target = mem.put(&[0; 1000]);
                let sent = Words::of(32, &[(4, 500), (7, kind | dw7), (9, dw9), (14, 1000)]);
                let sent = addresses(sent, mem.put(&data), target, 0);
                let (got, verdict) = sent.run(&Zip::PLAIN, &mem, generation, 0);
                assert!(matches!(verdict, Verdict::Done { ok: true, .. }), "{verdict:?}");
                assert_eq!((got.0[0], got.0[3] & 0xFF), (500, 0));
                let mut out = mem.get(target, got.0[1] as usize);
                if stateful && dw7 & FINISH == 0 {
                    // A driver ends such a stream itself (section 8).
                    out.extend([1, 0, 0, 0xFF, 0xFF]);
                    match dw9 & 0xFF {
                        2 => out.extend(got.0[31].to_be_bytes()),
                        _ => {
                            out.extend((!got.0[31]).reverse_bits().to_le_bytes());
                            out.extend(got.0[30].to_le_bytes());
                        }
                    }
                }
                check_member(dw9 & 0xFF, &out, &data);
            }
        }
    }
}

#[test]
fn small_output_of_236_bytes_always_takes_what_drivers_send() {
    // Sections 11 and 16: 64-byte chunks into 234 bytes; at most 208 bytes into 236 (226 behind a gzip header).
    let mem = Space::default();
    let noise = noise(208);
    for (kind, len, space) in
        [(2, 64, 234), (2, 64, 236), (2, 208, 234), (3, 200, 226), (1, 208, 236), (3, 208, 236)]
    {
        for flags in [STATEFUL | NEW, STATEFUL | NEW | FINISH] {
            let (back, _) = once(&mem, &Ask::new(kind, flags), 0, &noise[..len], space);
            assert_eq!((back.status, back.consumed), (0, len));
        }
    }
}

#[test]
fn expansion_never_exceeds_what_drivers_reserve() {
    // Section 8: input is lowered to (capacity * 8 / 9) rounded down to 4; capacity above 200, or 236 as lowered.
    let noise = noise(400_000);
    let mem = Space::default();
    for capacity in (201..400usize).chain([1000, 8192, 65_535, 73_728, 73_740, 147_500, 300_000]) {
        let len = capacity * 8 / 9 / 4 * 4;
        for kind in [1, 2, 3] {
            for finish in [0, FINISH] {
                let (back, _) =
                    once(&mem, &Ask::new(kind, STATEFUL | NEW | finish), 0, &noise[..len], capacity);
                assert_eq!((back.status, back.consumed), (0, len), "{len} into {capacity}, type {kind}");
            }
        }
    }
}
