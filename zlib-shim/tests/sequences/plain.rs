//! Calls without a stream, or with one that lives for one call.

use super::{Dice, source};
use crate::common::{self, Stream, deflate_init, inflated, ours, theirs};

/// One life; the calls made on each side.
pub fn life(dice: &mut Dice<'_>) -> u64 {
    let data = &source(dice.below(4))[dice.below(1000)..][..dice.length(30_000)];
    match dice.below(3) {
        0 => sums(dice, data),
        1 => one_call(dice, data),
        _ => bound(dice, data),
    }
}

fn sums(dice: &mut Dice<'_>, data: &[u8]) -> u64 {
    let (x, y) = (dice.below(65_521) as u64, dice.below(65_521) as u64);
    let n = dice.below(1 << 24) as i64 * dice.of(&[1, 1, 40_000]);
    // SAFETY: live buffers of the stated lengths.
    let [a, b] = [ours(), theirs()].map(|api| unsafe {
        let length = data.len() as u32;
        [
            (api.crc32)(x, data.as_ptr(), length),
            (api.adler32)(x, data.as_ptr(), length),
            (api.crc32_combine)(x, y, n),
            (api.adler32_combine)(x, y, n),
            (api.crc32_combine_gen)(n),
            (api.crc32_combine_op)(x, y, (api.crc32_combine_gen)(n)),
        ]
    });
    assert_eq!(a, b, "sums of {} bytes, {x} {y} {n}", data.len());
    7
}

fn one_call(dice: &mut Dice<'_>, data: &[u8]) -> u64 {
    let level = dice.below(12) as i32 - 1;
    let apis = [ours(), theirs()];
    // SAFETY: live buffers of the stated lengths.
    unsafe {
        let [a, b] = apis.map(|api| (api.compressBound)(data.len() as u64));
        assert_eq!(a, b, "compressBound");
        let made = apis.map(|api| {
            let (mut out, mut n) = (vec![0; a as usize], a);
            let code = (api.compress2)(out.as_mut_ptr(), &mut n, data.as_ptr(), data.len() as u64, level);
            out.truncate(n as usize);
            (code, out)
        });
        assert_eq!(made[0].0, made[1].0, "compress2");
        if made[0].0 != 0 {
            return 2;
        }
        assert!(inflated(&made[0].1, 15) == data);
        let mut input = made[1].1.clone();
        let space = if dice.one_in(3) { dice.below(data.len() + 1) } else { data.len() };
        if dice.one_in(4) {
            let at = dice.below(input.len());
            input[at] ^= 1 << dice.below(8);
        } else if dice.one_in(4) {
            input.truncate(dice.below(input.len()));
        }
        let [a, b] = apis.map(|api| {
            let (mut out, mut n, mut used) = (vec![0u8; space + 1], space as u64, input.len() as u64);
            let code = (api.uncompress2)(out.as_mut_ptr(), &mut n, input.as_ptr(), &mut used);
            out.truncate(n as usize);
            // With too little space, how far the input was read is the engine's affair.
            (code, if code == 0 { used } else { 0 }, out)
        });
        assert!(a == b, "uncompress2: {:?}, zlib's {:?}", (a.0, a.1, a.2.len()), (b.0, b.1, b.2.len()));
    }
    3
}

/// `deflateBound` of a stream without data is zlib's, and one call stays within it.
fn bound(dice: &mut Dice<'_>, data: &[u8]) -> u64 {
    let bits = dice.of(&[15, 31, -15, 14, -13, 28, 9, -9]);
    let (level, mem) = (dice.below(10) as i32, 1 + dice.below(9) as i32);
    let strategy = dice.below(5) as i32;
    let bounds = [ours(), theirs()].map(|api| {
        let mut s = Stream::new();
        assert_eq!(deflate_init(api, &mut s, level, bits, mem, strategy), 0);
        // SAFETY: an open stream and live buffers.
        unsafe {
            let bound = (api.deflateBound)(&mut *s, data.len() as u64);
            if std::ptr::eq(api, ours()) {
                let mut out = vec![0; bound as usize];
                s.feed(data);
                s.room(&mut out);
                assert_eq!((api.deflate)(&mut *s, 4), 1, "{level} {bits} {mem} {strategy}: within {bound}");
                out.truncate(s.total_out as usize);
                assert!(common::inflated(&out, bits) == data);
            }
            (api.deflateEnd)(&mut *s);
            bound
        }
    });
    // zlib's is too small for tiny inputs at level 0.
    let more = if level == 0 { 6 } else { 0 };
    assert!(
        (bounds[1]..=bounds[1] + more).contains(&bounds[0]),
        "{level} {bits} {mem} {strategy}: {bounds:?}"
    );
    3
}
