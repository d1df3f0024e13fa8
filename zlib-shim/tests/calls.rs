//! Random call sequences beside the system's zlib (see `sequences`): in software, on the device model of both
//! generations, and on devices that fail at random points. The seeds are fixed; `ZLIB_CALLS` and `ZLIB_SEED` in the
//! environment make it longer and other (`make zlib-differential`), `ZLIB_MODEL_CALLS` the runs on the model.
#![allow(unsafe_code, missing_docs)]

mod common;
mod sequences;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn calls_in_any_order_agree() {
    let calls = match common::on_the_model() {
        false => number("ZLIB_CALLS", 20_000),
        true => number("ZLIB_MODEL_CALLS", 2_500),
    };
    sequences::run(number("ZLIB_SEED", 1), calls);
}

#[test]
fn calls_in_any_order_on_the_device_agree() {
    for profile in ["kunpeng920", "kunpeng930"] {
        let counted = common::again_on_the_model("calls_in_any_order_agree", &[("WARPDRIVE_MODEL", profile)]);
        for op in ["compress", "decompress"] {
            let requests = counted.core[&format!("device.zip.{op}.requests")];
            assert!(requests > 20, "{profile}: {:?}", counted.core);
            assert_eq!(requests, counted.model[&format!("zip.{op}.requests")], "{profile}");
        }
    }
}

#[test]
fn calls_in_any_order_on_failing_devices_agree() {
    for (faults, seed) in [
        ("zip:status=0x0b@p0.2,seed=3", "5000"),
        ("zip:partial@p0.1,seed=4;zip:reset@p0.01,seed=5", "6000"),
        ("zip.compress:page-fault@p0.2,seed=6;zip.decompress:truncate@p0.2,seed=7", "7000"),
    ] {
        let env = [("WARPDRIVE_MODEL_FAULTS", faults), ("ZLIB_SEED", seed), common::EVERY_FAULT];
        let counted = common::again_on_the_model("calls_in_any_order_agree", &env);
        assert!(counted.core["software.failed"] > 0, "{faults}: {:?}", counted.core);
        assert!(counted.core["device.zip.compress.requests"] > 0, "{faults}: {:?}", counted.core);
    }
}

/// Lives that a fuzzer's bytes would choose: few decisions, then the same one over and over.
#[test]
fn calls_chosen_by_bytes_agree() {
    let noise = common::sample(1, 100_000, 9);
    for n in 0..400 {
        sequences::life(&mut sequences::Dice::Bytes(&noise[n * 200..][..n % 190]));
    }
}

/// Where, and in which words, bad data is found far behind a stream's start: decoded with much input and space at a
/// time, that is by the engines' fast paths, and with little.
#[test]
fn late_errors_are_zlibs_own() {
    // Letters in no order, and words: literals as well as matches, more than the 64 KiB that are kept of a stream.
    let mut data: Vec<u8> = common::sample(1, 200_000, 5).iter().map(|b| b'A' + b % 40).collect();
    data.extend(common::sample(0, 200_000, 5));
    let mut messages = std::collections::BTreeSet::new();
    for bits in [15, 31, -15] {
        // Fixed codes: unlike codes made for the data, they have words that mean nothing.
        let (api, mut s) = (common::theirs(), common::Stream::new());
        assert_eq!(common::deflate_init(api, &mut s, 6, bits, 8, 4), 0);
        let mut good = vec![0; data.len() * 2];
        s.feed(&data);
        s.room(&mut good);
        // SAFETY: an open stream and live buffers.
        unsafe {
            assert_eq!((api.deflate)(&mut *s, 4), 1);
            good.truncate(s.total_out as usize);
            (api.deflateEnd)(&mut *s);
        }
        for case in 0..12 {
            let mut bad = good.clone();
            let at = 80_000 + case * (good.len() - 80_100) / 12;
            bad[at] ^= 1 << (case % 8);
            for (piece, space) in [(bad.len(), data.len() + 1000), (30_000, 70_000), (700, 300)] {
                let ends = [common::ours(), common::theirs()].map(|api| end(api, &bad, bits, piece, space));
                assert_eq!(ends[0], ends[1], "{bits} {case} {piece} {space}: ours, zlib's");
                messages.insert(ends[1].1.clone());
            }
        }
    }
    assert!(messages.iter().any(|message| message.starts_with("invalid ")), "{messages:?}");
}

/// Code, message, and how far a reader came.
fn end(
    api: &common::Api,
    input: &[u8],
    bits: i32,
    piece: usize,
    space: usize,
) -> (i32, String, u64, u64, u64) {
    let mut s = common::Stream::new();
    assert_eq!(common::inflate_init(api, &mut s, bits), 0);
    let (mut out, mut fed) = (vec![0; space], 0);
    let code = loop {
        if s.avail_in == 0 && fed < input.len() {
            let n = piece.min(input.len() - fed);
            s.feed(&input[fed..fed + n]);
            fed += n;
        }
        s.room(&mut out);
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (api.inflate)(&mut *s, 0) };
        if code != 0 {
            break code;
        }
    };
    let end = (code, s.message(), s.total_in, s.total_out, s.adler);
    // SAFETY: an open stream.
    assert_eq!(unsafe { (api.inflateEnd)(&mut *s) }, 0);
    end
}

#[test]
fn late_errors_on_the_device_are_zlibs_own() {
    let counted = common::again_on_the_model("late_errors_are_zlibs_own", &[]);
    assert!(counted.core["device.zip.decompress.requests"] > 100, "{:?}", counted.core);
}
