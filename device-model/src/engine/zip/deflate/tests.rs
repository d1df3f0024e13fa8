use super::*;
use miniz_oxide::inflate::decompress_to_vec;
use proptest::prelude::*;

/// Closes an unfinished encoding with an empty final block and decodes it.
fn decode(mut encoded: Vec<u8>, last: bool) -> Vec<u8> {
    if !last {
        encoded.extend([1, 0, 0, 0xFF, 0xFF]);
    }
    decompress_to_vec(&encoded).expect("a valid deflate stream")
}

fn text(len: usize) -> Vec<u8> {
    let words = ["queue ", "doorbell ", "completion ", "engine ", "phase ", "slot\n", "of ", "the "];
    let mut state = 12345u32;
    let mut out = Vec::new();
    while out.len() < len {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
        out.extend(words[(state >> 16) as usize % words.len()].bytes());
    }
    out.truncate(len);
    out
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

#[test]
fn every_kind_of_data_decodes_to_itself() {
    for data in [text(300_000), noise(200_000), vec![7; 100_000], text(1), Vec::new(), noise(65_536)] {
        for last in [false, true] {
            for window in [4096, 32768] {
                let out = encode(Input::alone(&data), window, last);
                assert!(out.len() <= stored_len(data.len(), last));
                assert_eq!(decode(out, last), data);
            }
        }
    }
}

#[test]
fn text_is_compressed_and_runs_shrink_to_almost_nothing() {
    assert!(encode(Input::alone(&text(100_000)), 32768, true).len() < 30_000);
    assert!(encode(Input::alone(&vec![0; 100_000]), 32768, true).len() < 200);
}

#[test]
fn matches_stay_within_the_window() {
    // The same noise twice, 5000 bytes apart: out of reach of 4 KiB, within reach of 8 KiB.
    let data = noise(5000).repeat(2);
    assert!(encode(Input::alone(&data), 4096, true).len() > 9_900);
    assert!(encode(Input::alone(&data), 8192, true).len() < 5_200);
    // Exactly at the edge.
    let data = noise(4096).repeat(2);
    assert!(encode(Input::alone(&data), 4096, true).len() < 4_300);
    let data = noise(4097).repeat(2);
    assert!(encode(Input::alone(&data), 4096, true).len() > 8_100);
}

#[test]
fn expansion_stays_within_nine_eighths_for_what_drivers_send() {
    for len in (40..2000).chain([8191, 65_535, 65_536, 300_000]) {
        assert!(encode(Input::alone(&noise(len)), 4096, false).len() <= (len * 9).div_ceil(8), "{len}");
    }
    // With a gzip trailer from the least first request that UADK diverts (reference 11: 200 bytes into 226).
    assert!(encode(Input::alone(&noise(200)), 4096, true).len() + 8 <= 226);
    assert!(encode(Input::alone(&noise(208)), 4096, true).len() + 8 <= 234);
}

#[test]
fn a_beginning_uses_the_room_it_gets() {
    for data in [text(50_000), noise(50_000)] {
        for room in [6, 20, 100, 1000, 10_000] {
            let (used, out) = encode_beginning(Input::alone(&data), 32768, room);
            assert!(used > 0 && out.len() <= room, "{used} into {room}");
            assert_eq!(decode(out, false), data[..used]);
        }
    }
    let (used, out) = encode_beginning(Input::alone(&noise(100)), 32768, 5);
    assert_eq!((used, out.len()), (0, 0));
}

proptest! {
    #![proptest_config(crate::properties::cases(200))]
    #[test]
    fn any_data_round_trips(seed in proptest::collection::vec(any::<u8>(), 0..400), repeats in 1usize..40,
                            alphabet in 1u8..=255, last: bool, window in 1usize..=8) {
        let data: Vec<u8> = seed.iter().map(|b| b % alphabet).collect::<Vec<_>>().repeat(repeats);
        let out = encode(Input::alone(&data), window * 4096, last);
        prop_assert!(out.len() <= stored_len(data.len(), last));
        prop_assert_eq!(decode(out, last), data);
    }
}

#[test]
fn few_attempts_find_a_beginning_that_fits() {
    // The worst data: every beginning misses by one byte.
    let (most, room) = (64 << 20, 1 << 16);
    let (mut take, mut attempts, mut work) = (most, 0, 0);
    while take > room {
        work += take;
        take = shorter(take, room, room + 1, attempts);
        attempts += 1;
    }
    assert!(attempts < 20 && work < 8 * most, "{attempts} attempts, {work} bytes");
    // and a good guess is kept: nearly all of the room is used
    assert_eq!(shorter(1 << 20, 1000, 2000, 0), (1 << 19) / 32 * 31);
}
