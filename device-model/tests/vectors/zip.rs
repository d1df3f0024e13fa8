//! ZIP: the deflate streams of RFC 7692 in every form, with the trailers of RFC 1950 and 1952; and what V2 has not.
//! Compression has no public vectors: its output is decoded here by another implementation.

use crate::engine::testing::{Space, Words};
use crate::engine::zip::Zip;
use crate::engine::{Generation, Rule, Verdict};
use crate::files::vectors;
use crate::sec::{Buffer, EVERYWHERE, V2};

/// Queue classes.
const COMPRESS: u16 = 0;
const DECOMPRESS: u16 = 1;

/// request_type and the trailer for `data`.
fn format(name: &str, data: &[u8]) -> (u32, Vec<u8>) {
    match name {
        "deflate" => (1, vec![]),
        "zlib" => (2, adler2::adler32_slice(data).to_be_bytes().to_vec()),
        "gzip" => {
            let sums = [crc32fast::hash(data).to_le_bytes(), (data.len() as u32).to_le_bytes()];
            (3, sums.concat())
        }
        _ => panic!("{name}"),
    }
}

/// One request that is a whole stream, stateless or stateful; gives status, consumed and the output.
fn request(
    kind: u32,
    direction: u16,
    data: &[u8],
    space: usize,
    stateful: bool,
    (generation, list): (Generation, bool),
) -> Result<(u32, u32, Vec<u8>), Rule> {
    let mem = Space::default();
    let (src, dst) = (Buffer::new(&mem, data, list), Buffer::new(&mem, &vec![0; space], list));
    let layout = if generation == V2 { 0 } else { 3 };
    let context = if stateful { mem.put(&[0; 0x10000]) } else { 0 };
    // new, stateful or not, finish (`zip.md` 2.1)
    let flags = layout << 28 | 1 << 27 | u32::from(stateful) << 26 | 1 << 25;
    let words =
        Words::of(32, &[(4, data.len() as u32), (7, flags), (9, kind | u32::from(list) << 8 | 4 << 12)])
            .set(14, space as u32)
            .set(if generation == V2 { 13 } else { 26 }, 0x77)
            .addr(18, src.address)
            .addr(20, dst.address)
            .addr(22, context);
    let (back, verdict) = words.run(&Zip::PLAIN, &mem, generation, direction);
    match verdict {
        Verdict::Done { ok, .. } => {
            assert!(ok, "{verdict:?}");
            let bytes = dst.bytes(&mem);
            let (made, beyond) = bytes.split_at(back.0[1] as usize);
            assert!(beyond.iter().all(|b| *b == 0), "more was written than produced");
            Ok((back.0[3] & 0xFF, back.0[0], made.to_vec()))
        }
        Verdict::Refused { rule, .. } => Err(rule),
    }
}

/// V2 has no raw deflate.
fn on(generation: Generation, name: &str) -> bool {
    generation != V2 || name != "deflate"
}

#[test]
fn complete_streams_are_decoded_in_every_form() {
    for v in vectors("public/deflate.txt") {
        let [payload, plain] = &v.fields[..] else { panic!("{}", v.at) };
        for name in ["deflate", "zlib", "gzip"] {
            let (kind, trailer) = format(name, plain);
            let input = [&payload[..], &trailer, b"next"].concat();
            for device in EVERYWHERE {
                for stateful in [false, true] {
                    let result = request(kind, DECOMPRESS, &input, 64, stateful, device);
                    if !on(device.0, name) {
                        assert!(matches!(result, Err(Rule::Unsupported | Rule::Type)), "{name} {result:?}");
                        continue;
                    }
                    // the end of a stateful stream has a status of its own, and what follows is not consumed
                    let status = if stateful { 0x13 } else { 0 };
                    let consumed = (payload.len() + trailer.len()) as u32;
                    assert_eq!(result, Ok((status, consumed, plain.clone())), "{}: {name} {device:?}", v.at);
                    if !trailer.is_empty() {
                        let mut wrong = input.clone();
                        wrong[payload.len()] ^= 1;
                        check_value_error(kind, &wrong, stateful, device);
                    }
                }
            }
        }
    }
}

/// A wrong trailer is status 0x10 (`zip.md` 10).
fn check_value_error(kind: u32, data: &[u8], stateful: bool, (generation, list): (Generation, bool)) {
    let mem = Space::default();
    let (src, dst) = (Buffer::new(&mem, data, list), Buffer::new(&mem, &[0; 64], list));
    let layout = if generation == V2 { 0 } else { 3 };
    let flags = layout << 28 | 1 << 27 | u32::from(stateful) << 26;
    let words =
        Words::of(32, &[(4, data.len() as u32), (7, flags), (9, kind | u32::from(list) << 8), (14, 64)])
            .addr(18, src.address)
            .addr(20, dst.address)
            .addr(22, mem.put(&[0; 0x10000]));
    let (back, verdict) = words.run(&Zip::PLAIN, &mem, generation, DECOMPRESS);
    assert!(matches!(verdict, Verdict::Done { ok: false, status: 0x10, .. }), "{verdict:?}");
    assert_eq!(back.0[3] & 0xFF, 0x10);
}

#[test]
fn compressed_data_is_decoded_by_another_implementation() {
    let text: Vec<u8> = (0..9000u32).flat_map(|i| (i * i / 7 % 251).to_string().into_bytes()).collect();
    for name in ["deflate", "zlib", "gzip"] {
        for plain in [&b""[..], b"a", &text[..100], &text] {
            for device in EVERYWHERE {
                for stateful in [false, true] {
                    let (kind, trailer) = format(name, plain);
                    // empty stateless requests are never sent (`zip.md` 15), and there is no empty list
                    if plain.is_empty() && (!stateful || device.1) {
                        continue; // never sent stateless (`zip.md` 15), and there is no empty list
                    }
                    let result = request(kind, COMPRESS, plain, plain.len() * 9 / 8 + 64, stateful, device);
                    if !on(device.0, name) {
                        assert!(matches!(result, Err(Rule::Unsupported | Rule::Type)), "{name} {result:?}");
                        continue;
                    }
                    let (status, consumed, made) = result.unwrap();
                    assert_eq!((status, consumed as usize), (0, plain.len()), "{name} {device:?}");
                    let payload = made.strip_suffix(&trailer[..]).expect("the trailer");
                    let again = miniz_oxide::inflate::decompress_to_vec(payload).expect("a deflate stream");
                    assert!(again == plain, "{name} {device:?} stateful {stateful}");
                    assert!(
                        made.len() <= plain.len() * 9 / 8 + 16,
                        "{name}: {} from {}",
                        made.len(),
                        plain.len()
                    );
                }
            }
        }
    }
}
