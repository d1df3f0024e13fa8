//! Which memory the device meets: pages that are there, and slices with gaps.

use warpdrive_core::engine::cipher::{self, Algorithm, Data, MAX_LEN, Mode, Request};
use warpdrive_core::engine::zip::{self, Direction, Format, Stream};
use warpdrive_core::{Fault, Why};

use crate::zip::{deflate, inflate, samples};
use crate::{count, device, software, with_model};

/// Slices as short as there are, none beside another for the device: every buffer is cut to fit.
const SHREDS: [&str; 2] =
    ["kunpeng920-nosva,ss_slice=64K,ss_gaps=all", "kunpeng930-nosva,ss_slice=64K,ss_gaps=all,ss_seed=9"];

#[test]
fn data_of_any_length_is_served_in_the_shortest_slices() {
    for profile in SHREDS {
        let (core, model) = with_model("memory::in_shreds", profile, &[]);
        for class in ["zip.compress", "zip.decompress", "sec.cipher"] {
            let (ours, theirs) = (
                count(&core, &format!("device.{class}.requests")),
                count(&model, &format!("{class}.requests")),
            );
            assert!(ours > 10 && ours == theirs, "{profile}, {class}: {ours} and {theirs}");
        }
    }
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn in_shreds() {
    for data in samples() {
        for format in [Format::Zlib, Format::Gzip] {
            let payload = deflate(format, &data, data.len());
            assert_eq!(software::inflate(format, &payload), data);
            let (back, left, outcome) = inflate(format, &payload, payload.len(), data.len() + 256);
            outcome.unwrap();
            assert!(back == data && left == 0);
        }
    }
    // One stateless request and one XTS data unit cannot be cut.
    let long = vec![1; 70_000];
    let job = zip::job(Format::Zlib, Direction::Compress, long.len(), false);
    let mut output = vec![0; Stream::compress_bound(long.len())];
    let refused = device(job, |ch| zip::compress(ch, Format::Zlib, &long, &mut output));
    assert!(matches!(refused, Err(Why::Failed(Fault::Unsupported))), "{refused:?}");

    let plain: Vec<u8> = (0..700_000u32).map(|n| (n * 7 + n / 256) as u8).collect();
    for (mode, served) in [(Mode::Cbc, true), (Mode::Ecb, true), (Mode::Ctr, true), (Mode::Xts, false)] {
        let (algorithm, key, iv) = (Algorithm::Aes256, [5; 64], [6; 16]);
        let key = if mode == Mode::Xts { &key[..] } else { &key[..32] };
        let mut buffer = plain.clone();
        let direction = cipher::Direction::Encrypt;
        let data = Data::InPlace(&mut buffer);
        let request = Request { algorithm, mode, direction, key, iv: &mut iv.clone(), data };
        let result = device(request.job(), |ch| cipher::run(ch, request));
        assert_eq!(result.is_ok(), served, "{mode:?}: {result:?}");
        if served {
            assert!(buffer == software::encrypt(algorithm, mode, key, iv, &plain), "{mode:?}");
        }
    }
    assert!(plain.len() < MAX_LEN);
}

/// Every page of a buffer that the process has not touched is counted.
const COUNTING: &str = "kunpeng930,page_fault_ns=1";

#[test]
fn cold_buffers_cost_the_device_no_page_fault() {
    for (test, classes) in [
        ("memory::cold_buffers", ["zip.compress", "zip.decompress", "sec.cipher"]),
        ("memory::cold_short_requests", ["zip.compress", "zip.decompress", "sec.cipher"]),
    ] {
        let (core, model) = with_model(test, COUNTING, &[]);
        for class in classes {
            assert!(count(&model, &format!("{class}.requests")) > 0, "{test}: {class}");
        }
        assert_eq!(count(&core, "software.failed"), 0);
        assert_eq!(count(&model, "page_faults"), 0, "{test}");
    }
    // The counter counts: what inflates to far more than is likely meets pages that nobody has touched.
    let (_, model) = with_model("memory::unlikely_growth", COUNTING, &[]);
    assert!(count(&model, "page_faults") > 100, "{model:?}");
}

/// Memory that nobody has touched: fresh from the kernel, so large that no allocator keeps it.
fn cold(len: usize) -> Vec<u8> {
    assert!(len >= 1 << 20);
    vec![0; len]
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn cold_buffers() {
    let data = samples().pop().expect("text");
    for format in [Format::Zlib, Format::Gzip] {
        let mut packed = cold(2 << 20);
        let mut stream = Stream::new(format, Direction::Compress);
        let job = zip::job(format, Direction::Compress, data.len(), false);
        let outcome = device(job, |ch| stream.compress(ch, &data, &mut packed, true)).unwrap();
        let mut back = cold(2 << 20);
        let mut stream = Stream::new(format, Direction::Decompress);
        let payload = &packed[..outcome.produced];
        let job = zip::job(format, Direction::Decompress, payload.len(), false);
        let outcome = device(job, |ch| stream.decompress(ch, payload, &mut back)).unwrap();
        assert!(back[..outcome.produced] == data);
    }
    // Neither side was touched.
    encrypt(&cold(2 << 20), &mut cold(2 << 20));
}

fn encrypt(input: &[u8], output: &mut [u8]) {
    let request = Request {
        algorithm: Algorithm::Aes128,
        mode: Mode::Cbc,
        direction: cipher::Direction::Encrypt,
        key: &[1; 16],
        iv: &mut [2; 16],
        data: Data::Separate { input, output },
    };
    device(request.job(), |ch| cipher::run(ch, request)).unwrap();
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn cold_short_requests() {
    let (input, mut output) = (cold(2 << 20), cold(2 << 20));
    for (n, place) in output.chunks_mut(64 << 10).enumerate() {
        let len = [16, 512, 2048, 4096][n % 4];
        encrypt(&input[n * (64 << 10)..][..len], &mut place[..len]);
    }
    let data = b"a short text, a short text, a short text";
    let mut packed = cold(1 << 20);
    let mut stream = Stream::new(Format::Zlib, Direction::Compress);
    let job = zip::job(Format::Zlib, Direction::Compress, data.len(), false);
    let outcome = device(job, |ch| stream.compress(ch, data, &mut packed[..1000], true)).unwrap();
    let mut stream = Stream::new(Format::Zlib, Direction::Decompress);
    let job = zip::job(Format::Zlib, Direction::Decompress, outcome.produced, false);
    let (payload, room) = packed.split_at_mut(outcome.produced);
    let outcome = device(job, |ch| stream.decompress(ch, payload, &mut room[500_000..500_600])).unwrap();
    assert_eq!(room[500_000..][..outcome.produced], data[..]);
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn unlikely_growth() {
    let zeros = vec![0; 4 << 20];
    let payload = software::deflate(Format::Zlib, &zeros);
    let mut back = cold(4 << 20);
    let mut stream = Stream::new(Format::Zlib, Direction::Decompress);
    let job = zip::job(Format::Zlib, Direction::Decompress, payload.len(), false);
    device(job, |ch| stream.decompress(ch, &payload, &mut back)).unwrap();
    assert!(back == zeros);
}

#[test]
fn no_pinned_memory_is_software_and_a_little_is_enough() {
    // 64 KiB: no room for a ZIP stream, one for an RSA or cipher request; 600 KiB: half a MiB for ZIP.
    for (limit, zip) in [("64K", false), ("600K", true)] {
        let profile = format!("kunpeng930-nosva,ss_limit={limit}");
        let (core, model) = with_model("memory::with_little", &profile, &[]);
        assert_eq!(count(&model, "zip.compress.requests") > 0, zip, "{limit}");
        assert_eq!(count(&model, "sec.cipher.requests"), count(&core, "device.sec.cipher.requests"));
        assert!(count(&model, "sec.cipher.requests") > 0);
    }
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn with_little() {
    let data = samples().pop().expect("text");
    let mut stream = Stream::new(Format::Zlib, Direction::Compress);
    let mut output = vec![0; Stream::compress_bound(data.len())];
    let job = zip::job(Format::Zlib, Direction::Compress, data.len(), false);
    match device(job, |ch| stream.compress(ch, &data, &mut output, false)) {
        Ok(outcome) => assert!(outcome.consumed > 0),
        Err(why) => assert!(matches!(why, Why::AllBusy | Why::NoDevice | Why::Tripped), "{why:?}"),
    }
    let mut buffer = vec![0; 50_000];
    let request = Request {
        algorithm: Algorithm::Aes128,
        mode: Mode::Ctr,
        direction: cipher::Direction::Encrypt,
        key: &[1; 16],
        iv: &mut [2; 16],
        data: Data::InPlace(&mut buffer),
    };
    let _ = device(request.job(), |ch| cipher::run(ch, request));
}
