//! The compressor's character: no levels, a window that limits, a ratio like zlib's between its levels 1 and 6, history
//! across the requests of a stream.

use super::*;
use miniz_oxide::deflate::compress_to_vec;

/// Real prose and source, larger than the largest window.
fn prose() -> Vec<u8> {
    [
        include_str!("../../../../../ARCHITECTURE.md"),
        include_str!("../inflate.rs"),
        include_str!("../deflate.rs"),
        include_str!("../../../../README.md"),
    ]
    .concat()
    .into_bytes()
}

fn packed_len(data: &[u8], window: u32) -> usize {
    let mem = Space::default();
    let ask = Ask { window, ..Ask::new(1, 0) };
    let (back, out) = once(&mem, &ask, 0, data, data.len() + 100);
    assert_eq!(back.status, 0);
    assert_eq!(decompress_to_vec(&out).unwrap(), data);
    out.len()
}

#[test]
fn ratio_lies_between_the_fast_and_the_default_level_of_software() {
    // miniz at 1 and 6 stands for zlib; 3 % are granted at either end.
    for data in [prose(), text(100_000)] {
        let ours = packed_len(&data, 4);
        let (fast, usual) = (compress_to_vec(&data, 1).len(), compress_to_vec(&data, 6).len());
        assert!(ours <= fast * 103 / 100, "{ours} bytes, level 1 makes {fast}");
        assert!(ours >= usual * 97 / 100, "{ours} bytes, level 6 makes {usual}");
    }
}

#[test]
fn a_wider_window_never_costs_and_does_reach_further() {
    let data = prose();
    let sizes: Vec<usize> = (0..5).map(|window| packed_len(&data, window)).collect();
    assert!(sizes.windows(2).all(|pair| pair[1] < pair[0]), "{sizes:?}");
    // The same noise at every distance around each limit.
    for (window, reach) in [(0u32, 4096usize), (1, 8192), (2, 16_384), (3, 24_576), (4, 32_768)] {
        let at = packed_len(&noise(reach).repeat(2), window);
        let beyond = packed_len(&noise(reach + 1).repeat(2), window);
        assert!(at < reach + reach / 8, "{window}: {at}");
        assert!(beyond > 2 * reach - reach / 8, "{window}: {beyond}");
    }
}

#[test]
fn each_form_of_block_is_used_where_it_is_shortest() {
    let mem = Space::default();
    let first = |data: &[u8]| {
        let (_, out) = once(&mem, &Ask::new(1, 0), 0, data, data.len() + 100);
        out[0] >> 1 & 3
    };
    assert_eq!(first(&noise(1000)), 0, "stored");
    assert_eq!(first(b"hello"), 1, "fixed");
    assert_eq!(first(&text(5000)), 2, "dynamic");
}

#[test]
fn later_requests_refer_to_earlier_data_if_there_is_a_context() {
    let mem = Space::default();
    let data = noise(4000);
    for generation in [V2, V3] {
        let second = |context: u64| {
            let mut ask = Ask { generation, context, ..Ask::new(2, STATEFUL | NEW) };
            let (back, head) = once(&mem, &ask, 0, &data, 5000);
            ask = Ask { flags: STATEFUL | FINISH, words: back.words, ..ask };
            let (back, tail) = once(&mem, &ask, 0, &data, 5000);
            assert_eq!((back.status, back.consumed), (0, 4000));
            check_member(2, &[head, tail.clone()].concat(), &data.repeat(2));
            tail.len()
        };
        assert!(second(mem.put(&[0x77; 0x97C0])) < 100);
        assert!(second(0) > 3900, "carried by its words alone");
    }
}

#[test]
fn history_is_limited_by_the_window_and_by_what_was_sent() {
    let mem = Space::default();
    for (window, reach) in [(0u32, 4096usize), (4, 32_768)] {
        for (gap, found) in [(reach - 3000, true), (reach, false)] {
            let (once_more, between) = (noise(3000), vec![b'-'; gap]);
            let mut ask = Ask { window, context: mem.put(&[0; 0x97C0]), ..Ask::new(1, STATEFUL | NEW) };
            let mut sizes = Vec::new();
            for part in [&once_more, &between, &once_more] {
                let (back, out) = once(&mem, &ask, 0, part, 40_000);
                ask = Ask { flags: STATEFUL, words: back.words, ..ask };
                sizes.push(out.len());
            }
            assert_eq!(sizes[2] < 300, found, "{window} {gap}: {sizes:?}");
        }
    }
    // A new stream in the same context knows nothing of the old one.
    let mut ask = Ask { context: mem.put(&[0; 0x97C0]), ..Ask::new(1, STATEFUL | NEW) };
    for _ in 0..2 {
        let (back, out) = once(&mem, &ask, 0, &noise(3000), 5000);
        assert!(out.len() > 2900);
        ask.words = back.words;
    }
}
