//! Which engine makes what, as `make bench-zlib` measured it.

use zlib_rs::deflate::Strategy;

use super::deflate::Params;

/// Most input compressed whole where the output has to wait for the program, bytes: it bounds what a stream keeps.
pub const WAITING_MAX: usize = 1 << 20;

/// libdeflate's level for all of a stream, `n` bytes, in one piece; `None` if that is the stream engine's work.
pub fn whole(params: Params, input: &[u8]) -> Option<i32> {
    // libdeflate knows no strategies, and its distances are as long as a window of 32 KiB allows.
    let fits = params.window_bits == 15 || input.len() <= 1 << params.window_bits;
    let asked = params.strategy == Strategy::Default && params.level > 0;
    // libdeflate's eighth level makes less output than zlib's ninth, and its ninth is slower than zlib's on data full of
    // long matches.
    (asked && fits && !mostly_runs(input)).then_some(params.level.min(8))
}

/// Whether most of `input` is one byte repeated, as in sparse files and empty pages: the stream engine steps over
/// such runs several times as fast. Looks at some places only.
fn mostly_runs(input: &[u8]) -> bool {
    const PLACES: usize = 32;
    const LENGTH: usize = 64;
    if input.len() < PLACES * LENGTH {
        return false;
    }
    let step = (input.len() - LENGTH) / (PLACES - 1);
    let runs = (0..PLACES)
        .filter(|place| {
            let piece = &input[place * step..place * step + LENGTH];
            piece.iter().all(|&byte| byte == piece[0])
        })
        .count();
    runs > PLACES / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(level: i32, window_bits: i32, strategy: Strategy) -> Params {
        Params { level, strategy, window_bits, mem_level: 8 }
    }

    #[test]
    fn what_libdeflate_cannot_do_is_the_stream_engines() {
        let data: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(whole(params(6, 15, Strategy::Default), &data), Some(6));
        assert_eq!(whole(params(0, 15, Strategy::Default), &data), None);
        assert_eq!(whole(params(6, 15, Strategy::Rle), &data), None);
        assert_eq!(whole(params(6, 9, Strategy::Default), &data), None, "distances beyond the window");
        assert_eq!(whole(params(6, 9, Strategy::Default), &data[..512]), Some(6));
    }

    #[test]
    fn runs_are_recognised_by_their_share() {
        let mut data = vec![0; 64 << 10];
        assert!(mostly_runs(&data));
        for i in (0..data.len()).step_by(32) {
            data[i] = i as u8 | 1;
        }
        assert!(!mostly_runs(&data));
        assert!(!mostly_runs(&[0; 100]), "too short to be worth it");
        assert!(!mostly_runs(&[]));
    }
}
