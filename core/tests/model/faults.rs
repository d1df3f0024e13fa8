//! One fault, then health: the request comes back intact, and the next one is served.

use num_bigint::BigUint;
use warpdrive_core::engine::cipher::{self, Algorithm, Data, Mode, Request};
use warpdrive_core::engine::rsa::{self, PublicKey};
use warpdrive_core::engine::zip::{self, Direction, Format, Stream};
use warpdrive_core::{Fault, Job, Lease, Why};

use crate::rsa::{odd_number, padded};
use crate::{count, device, software, with_model};

#[test]
fn a_fault_hands_the_request_back_intact_and_the_device_is_used_again() {
    for (plan, expected) in [
        ("zip.compress:status=0x0b@1", "status"),
        ("zip.compress:partial@1", "status"),
        ("zip.compress:drop@1", "timeout"),
        ("zip.compress:reset@1", "reset"),
        ("zip.decompress:status=0x0b@1", "data"),
        ("zip.decompress:drop@1", "timeout"),
        ("sec.cipher:status=0x03@1", "status"),
        ("sec.cipher:partial@1", "status"),
        ("sec.cipher:drop@1", "timeout"),
        ("sec.cipher:reset@1", "reset"),
        ("hpre.rsa:status=0x01@1", "status"),
        ("hpre.rsa:partial@1", "status"),
        ("hpre.rsa:drop@1", "timeout"),
        ("hpre.rsa:reset@1", "reset"),
    ] {
        // Only a dropped request may meet its deadline, and the one after it not even on a busy machine.
        let deadline = if expected == "timeout" { "3000" } else { "30000" };
        let settings = [
            ("WARPDRIVE_MODEL_FAULTS", plan),
            ("EXPECTED_FAULT", expected),
            ("WARPDRIVE_DEADLINE_MS", deadline),
            // the first request is the test's own
            ("WARPDRIVE_KNOWN_ANSWER", "off"),
        ];
        let (core, _) = with_model("faults::one_fault", "kunpeng930", &settings);
        assert_eq!(count(&core, "software.failed"), 1, "{plan}: {core:?}");
    }
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn one_fault() {
    let plan = std::env::var("WARPDRIVE_MODEL_FAULTS").unwrap();
    let expected = std::env::var("EXPECTED_FAULT").unwrap();
    let why = match plan.split(':').next().unwrap() {
        "zip.compress" => compress(),
        "zip.decompress" => decompress(),
        "sec.cipher" => encrypt(),
        "hpre.rsa" => exponentiate(),
        other => panic!("{other}"),
    };
    let Why::Failed(fault) = why else { panic!("{why:?}") };
    let as_expected = match expected.as_str() {
        "status" => matches!(fault, Fault::Status(_)),
        "data" => matches!(fault, Fault::Data(_)),
        "timeout" => fault == Fault::Timeout,
        "reset" => fault == Fault::Reset,
        other => panic!("{other}"),
    };
    assert!(as_expected, "{plan}: {fault:?}");
}

fn compress() -> Why {
    let data = [7; 5_000];
    let mut output = vec![0; Stream::compress_bound(data.len())];
    let mut stream = Stream::new(Format::Zlib, Direction::Compress);
    let job = zip::job(Format::Zlib, Direction::Compress, data.len(), false);
    let why = device(job, |ch| stream.compress(ch, &data, &mut output, true)).unwrap_err();
    stream.reset();
    let outcome = device(job, |ch| stream.compress(ch, &data, &mut output, true)).unwrap();
    assert_eq!(software::inflate(Format::Zlib, &output[..outcome.produced]), data);
    why
}

fn decompress() -> Why {
    let data = [7; 5_000];
    let payload = software::deflate(Format::Zlib, &data);
    let (back, left, outcome) = crate::zip::inflate(Format::Zlib, &payload, 4_096, 8_192);
    assert_eq!((back.len(), left), (0, payload.len()));
    let (back, ..) = crate::zip::inflate(Format::Zlib, &payload, 4_096, 8_192);
    assert_eq!(back, data);
    outcome.unwrap_err()
}

fn encrypt() -> Why {
    let mut buffer = vec![7; 4_096];
    let mut iv = [9; 16];
    let encrypt = |buffer: &mut [u8], iv: &mut [u8; 16]| {
        let request = Request {
            algorithm: Algorithm::Aes128,
            mode: Mode::Cbc,
            direction: cipher::Direction::Encrypt,
            key: &[1; 16],
            iv,
            data: Data::InPlace(buffer),
        };
        device(request.job(), |ch| cipher::run(ch, request))
    };
    let why = encrypt(&mut buffer, &mut iv).unwrap_err();
    assert_eq!((&buffer, iv), (&vec![7; 4_096], [9; 16]), "the input survives");
    encrypt(&mut buffer, &mut iv).unwrap();
    let software = software::encrypt(Algorithm::Aes128, Mode::Cbc, &[1; 16], [9; 16], &[7; 4_096]);
    assert_eq!(buffer, software);
    why
}

fn exponentiate() -> Why {
    let n = odd_number(1_024, 1);
    let key = PublicKey::new(&n.to_bytes_be(), &[1, 0, 1]).unwrap();
    let message = BigUint::from(5u32);
    let input = padded(&message, 128);
    let mut output = vec![7; 128];
    let power = |ch: &mut Lease<'_>, output: &mut [u8]| rsa::public(ch, &key, &input, output);
    let job: Job = rsa::job(128);
    let why = device(job, |ch| power(ch, &mut output)).unwrap_err();
    assert_eq!(output, [0; 128], "nothing of a failed result is shown");
    device(job, |ch| power(ch, &mut output)).unwrap();
    assert_eq!(output, padded(&message.modpow(&BigUint::from(65_537u32), &n), 128));
    why
}
