use super::*;
use miniz_oxide::deflate::compress_to_vec;
use proptest::prelude::*;

/// Decodes with the given piece sizes; gives the data, the number of input bytes used and how it ended.
fn decode(input: &[u8], pieces: &[usize], spaces: &[usize]) -> Result<(Vec<u8>, usize, Stop), Malformed> {
    let mut inflater = Inflater::default();
    let (mut result, mut used, mut history) = (Vec::new(), 0, Vec::new());
    let (mut pieces, mut spaces) = (pieces.iter().cycle(), spaces.iter().cycle());
    loop {
        let end = (used + pieces.next().unwrap()).min(input.len());
        let mut piece = &input[used..end];
        let mut out = Output::new(history, *spaces.next().unwrap());
        let stop = inflater.run(&mut piece, &mut out)?;
        used = end - piece.len();
        result.extend_from_slice(out.fresh());
        history = out.tail().to_vec();
        // Every request is resumed from what would be saved.
        let Inflater { phase, held, count, block, .. } = inflater;
        inflater = Inflater::restore(phase, held, count, block).expect("its own state");
        if stop == Stop::End || stop == Stop::Input && used == input.len() {
            return Ok((result, used, stop));
        }
    }
}

#[test]
fn handmade_streams_decode() {
    // "Wikipedia"-style fixed block for "hello", a stored block, an empty fixed block.
    let hello = [0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(decode(&hello, &[1], &[1]).unwrap(), (b"hello".to_vec(), 7, Stop::End));
    let stored = [1, 3, 0, 0xFC, 0xFF, b'a', b'b', b'c', 0xEE];
    assert_eq!(decode(&stored, &[100], &[100]).unwrap(), (b"abc".to_vec(), 8, Stop::End));
    assert_eq!(decode(&[3, 0, 9], &[100], &[1]).unwrap(), (vec![], 2, Stop::End));
}

#[test]
fn malformed_streams_are_refused() {
    for (bytes, what) in [
        (&[0x07u8][..], "block type 3"),
        (&[0x01, 1, 0, 0, 0], "stored block length"),
        (&[0x03, 0x02, 0x00], "distance reaches"),
        (&[0xFD, 0xFF, 0xFF], "too many length or distance symbols"),
        (&[0x05, 0, 0, 0, 0], "code-length code"),
    ] {
        let error = decode(bytes, &[1], &[10]).expect_err(what);
        assert!(error.0.contains(what), "{what}: {error:?}");
        // The same with ample input and space, where the faster loop runs.
        let error = decode(&[bytes, &[0; 30]].concat(), &[100], &[1000]).expect_err(what);
        assert!(error.0.contains(what), "{what}: {error:?}");
    }
}

#[test]
fn a_match_may_reach_back_through_the_whole_window() {
    let mut data: Vec<u8> = (0..40_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let copy = data[40_000 - WINDOW..].to_vec();
    data.extend(copy);
    let packed = compress_to_vec(&data, 9);
    assert_eq!(decode(&packed, &[777], &[1000]).unwrap().0, data);
}

#[test]
fn restore_refuses_states_that_cannot_be() {
    let block = Block::default;
    assert!(Inflater::restore(Phase::BlockStart, 4, 2, block()).is_none(), "bits beyond the count");
    assert!(Inflater::restore(Phase::BlockStart, 0, 64, block()).is_none());
    assert!(Inflater::restore(Phase::HeaderOrder { done: 4 }, 0, 0, block()).is_none());
    assert!(Inflater::restore(Phase::Copy { length: 0, distance: 1 }, 0, 0, block()).is_none());
    assert!(Inflater::restore(Phase::Copy { length: 9, distance: 40_000 }, 0, 0, block()).is_none());
    let dynamic = Block { dynamic: true, literal_count: 300, ..block() };
    assert!(Inflater::restore(Phase::Symbols, 0, 0, dynamic).is_none());
}

proptest! {
    #![proptest_config(crate::properties::cases(150))]
    #[test]
    fn any_stream_decodes_in_any_pieces(seed in proptest::collection::vec(any::<u8>(), 0..600), repeats in 1usize..60,
                                        alphabet in 1u8..=255, level in 0u8..=9,
                                        pieces in proptest::collection::vec(1usize..40, 1..5),
                                        spaces in proptest::collection::vec(1usize..400, 1..5),
                                        tail in proptest::collection::vec(any::<u8>(), 0..20)) {
        let data: Vec<u8> = seed.iter().map(|b| b % alphabet).collect::<Vec<_>>().repeat(repeats);
        let packed = compress_to_vec(&data, level);
        let input = [&packed[..], &tail].concat();
        let (result, used, stop) = decode(&input, &pieces, &spaces).unwrap();
        prop_assert_eq!(stop, Stop::End);
        prop_assert_eq!(used, packed.len());
        prop_assert_eq!(&result, &data);
        let (result, used, _) = decode(&input, &[usize::MAX / 2], &[1 << 20]).unwrap();
        prop_assert_eq!(used, packed.len());
        prop_assert_eq!(&result, &data);
    }

    #[test]
    fn random_bytes_end_in_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
        let ours = decode(&bytes, &[piece], &[1 << 16]);
        if let Ok((data, _, Stop::End)) = &ours {
            prop_assert_eq!(&miniz_oxide::inflate::decompress_to_vec(&bytes).unwrap(), data);
        }
    }

    #[test]
    fn a_flipped_bit_is_never_worse_than_wrong_data(seed in proptest::collection::vec(0u8..20, 50..500),
                                                    at in any::<proptest::sample::Index>(), bit in 0u8..8) {
        let mut packed = compress_to_vec(&seed, 6);
        let at = at.index(packed.len());
        packed[at] ^= 1 << bit;
        let whole = decode(&packed, &[1 << 20], &[1 << 20]);
        let pieces = decode(&packed, &[3], &[5]);
        prop_assert_eq!(whole.is_ok(), pieces.is_ok());
        if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
            prop_assert_eq!(whole, pieces);
        }
    }
}

#[test]
fn the_codes_of_fixed_blocks_are_made_once() {
    // A request of 8 MiB can hold millions of such blocks.
    let codes = || {
        let mut inflater = Inflater::default();
        let mut out = Output::new(Vec::new(), 9);
        assert_eq!(inflater.run(&mut &[0x02, 0x08][..], &mut out), Ok(Stop::Input));
        inflater.codes.expect("a block was begun")
    };
    assert!(Arc::ptr_eq(&codes(), &codes()));
}
