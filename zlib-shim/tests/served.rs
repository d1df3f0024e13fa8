//! What share of the bytes the device serves: of streams that it can do, all but a hundredth at most, whatever the
//! format, window, chunks and flushes; with small windows, only the generation that is known to keep to them.
#![allow(unsafe_code, missing_docs)]

mod common;

use std::ffi::CString;

use common::{Stream, again_on_the_model, deflate_init, inflate_init, inflated, ours, sample, theirs};

/// Bytes of each stream.
const LENGTH: usize = 700_001;
/// Input given at a time, and the flush value of each fifth piece.
const CHUNKS: [(usize, i32); 4] = [(LENGTH, 0), (4096, 0), (65_536, 2), (100_000, 3)];
const FULL: [i32; 3] = [15, 31, -15];
const SMALL: [i32; 9] = [14, 13, 12, 30, 29, 28, -14, -13, -12];

/// Text that repeats what it said some kilobytes before, so that a distance too far for a small window pays.
fn data(kind: u8) -> Vec<u8> {
    let page = sample(kind, 7000, 5);
    let mut all = sample(kind, LENGTH, 11);
    for at in (14_000..LENGTH - 7000).step_by(14_000) {
        all[at..at + 7000].copy_from_slice(&page);
    }
    all
}

fn deflated(data: &[u8], bits: i32, (chunk, flush): (usize, i32)) -> Vec<u8> {
    let (api, mut s) = (ours(), Stream::new());
    assert_eq!(deflate_init(api, &mut s, 6, bits, 8, 0), 0);
    let mut out = vec![0; data.len() * 2 + 10_000];
    s.room(&mut out);
    let pieces = data.len().div_ceil(chunk);
    for (n, piece) in data.chunks(chunk).enumerate() {
        let flush = if n + 1 == pieces { 4 } else { i32::from(n % 5 == 4) * flush };
        s.feed(piece);
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (api.deflate)(&mut *s, flush) };
        assert_eq!(code, i32::from(flush == 4), "{}", s.message());
    }
    out.truncate(s.total_out as usize);
    // SAFETY: an open stream.
    assert_eq!(unsafe { (api.deflateEnd)(&mut *s) }, 0);
    out
}

fn deflate_all(windows: &[i32]) {
    for &bits in windows {
        for (n, &chunks) in CHUNKS.iter().enumerate() {
            let data = data(if n == 1 { 3 } else { 0 });
            // zlib reads with the very window: a distance beyond it is an error.
            assert!(inflated(&deflated(&data, bits, chunks), bits) == data, "{bits} {chunks:?}");
        }
    }
}

#[test]
fn deflate_streams_of_any_chunking() {
    deflate_all(&FULL);
}

#[test]
fn deflate_streams_with_small_windows() {
    deflate_all(&SMALL);
}

/// Compressed input of a reader.
fn packed(bits: i32) -> Vec<u8> {
    common::deflated(theirs(), &data(0), 6, bits)
}

#[test]
fn inflate_streams_within_the_replay_limit() {
    for bits in FULL {
        let input = packed(bits);
        for (step, space) in [(input.len(), LENGTH), (1000, 5000), (65_536, 100_000)] {
            let (api, mut s) = (ours(), Stream::new());
            assert_eq!(inflate_init(api, &mut s, if bits > 0 { 47 } else { bits }), 0);
            let (mut out, mut made, mut fed) = (vec![0; LENGTH + 1], 0, 0);
            loop {
                if s.avail_in == 0 {
                    let n = step.min(input.len() - fed);
                    s.feed(&input[fed..fed + n]);
                    fed += n;
                }
                let room = space.min(out.len() - made);
                s.room(&mut out[made..made + room]);
                // SAFETY: an open stream and live buffers.
                let code = unsafe { (api.inflate)(&mut *s, 0) };
                made = s.total_out as usize;
                match code {
                    0 => {}
                    1 => break,
                    code => panic!("{code} {}", s.message()),
                }
            }
            assert!(out[..made] == data(0), "{bits} {step} {space}");
            // SAFETY: an open stream.
            assert_eq!(unsafe { (api.inflateEnd)(&mut *s) }, 0);
        }
    }
}

#[test]
fn one_call_and_files() {
    let (api, data) = (ours(), data(0));
    let room = common::Room::new();
    let path = CString::new(room.0.join("file.gz").to_str().expect("UTF-8 path")).unwrap();
    // SAFETY: live buffers of the stated lengths, an open handle.
    unsafe {
        let mut made = (api.compressBound)(LENGTH as u64);
        let mut out = vec![0; made as usize];
        assert_eq!((api.compress2)(out.as_mut_ptr(), &mut made, data.as_ptr(), LENGTH as u64, 6), 0);
        let (mut back, mut n, mut used) = (vec![0; LENGTH], LENGTH as u64, made);
        assert_eq!((api.uncompress2)(back.as_mut_ptr(), &mut n, out.as_ptr(), &mut used), 0);
        assert!(back == data && used == made);
        let file = (api.gzopen)(path.as_ptr(), c"wb".as_ptr());
        assert_eq!((api.gzwrite)(file, data.as_ptr(), LENGTH as u32), LENGTH as i32);
        assert_eq!((api.gzclose)(file), 0);
        let file = (api.gzopen)(path.as_ptr(), c"rb".as_ptr());
        back.fill(0);
        assert_eq!((api.gzread)(file, back.as_mut_ptr(), LENGTH as u32), LENGTH as i32);
        assert_eq!((api.gzclose)(file), 0);
        assert!(back == data);
    }
}

/// At least 99 % of `total` bytes; what the device was given is never more than there was. (The refusals, none, are
/// looked at by every run on the model.)
fn nearly_all(served: u64, total: usize) {
    let total = total as u64;
    assert!(served * 100 > total * 99 && served <= total, "{served} of {total}");
}

#[test]
fn the_device_serves_deflate_streams_whole() {
    for profile in ["kunpeng920", "kunpeng930"] {
        let counted = again_on_the_model("deflate_streams_of_any_chunking", &[("WARPDRIVE_MODEL", profile)]);
        nearly_all(counted.core["device.zip.compress.bytes"], FULL.len() * CHUNKS.len() * LENGTH);
        assert_eq!(counted.core["device.zip.compress.bytes"], counted.model["zip.compress.bytes"]);
    }
}

#[test]
fn the_device_serves_small_windows_where_it_keeps_to_them() {
    let test = "deflate_streams_with_small_windows";
    let counted = again_on_the_model(test, &[]);
    nearly_all(counted.core["device.zip.compress.bytes"], SMALL.len() * CHUNKS.len() * LENGTH);
    // Which other generations do is not known: there they are software's.
    let counted = again_on_the_model(test, &[("WARPDRIVE_MODEL", "kunpeng920")]);
    assert_eq!(counted.core["device.zip.compress.requests"], 0, "{:?}", counted.core);
    // A failing device's streams go on in software, with the same window.
    let faults = [("WARPDRIVE_MODEL_FAULTS", "zip.compress:status=0x0b@%3"), common::EVERY_FAULT];
    let counted = again_on_the_model(test, &faults);
    assert!(counted.core["software.failed"] > 0, "{:?}", counted.core);
}

#[test]
fn the_device_serves_inflate_streams_whole() {
    let counted = again_on_the_model("inflate_streams_within_the_replay_limit", &[]);
    let total: usize = FULL.iter().map(|&bits| 3 * packed(bits).len()).sum();
    nearly_all(counted.core["device.zip.decompress.bytes"], total);
    assert_eq!(counted.core["device.zip.decompress.bytes"], counted.model["zip.decompress.bytes"]);
}

#[test]
fn the_device_serves_one_call_functions_and_files_whole() {
    let counted = again_on_the_model("one_call_and_files", &[]);
    nearly_all(counted.core["device.zip.compress.bytes"], 2 * LENGTH);
    assert!(counted.core["device.zip.decompress.bytes"] > 0, "{:?}", counted.core);
}
