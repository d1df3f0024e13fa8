//! The bodies of the fuzz targets, so that `cargo test` can replay their seeds. Each plays a device that
//! writes back whatever the input says and checks what the engine promises its callers in return.
#![forbid(unsafe_code)]

use std::time::Duration;

use warpdrive_core::Fault;
use warpdrive_core::config::{KEYS, parse, set};
use warpdrive_core::engine::cipher::{self, Algorithm, Data, Mode, Request};
use warpdrive_core::engine::rsa::{self, Crt, PrivateKey, PublicKey};
use warpdrive_core::engine::zip::{Direction, Format, Progress, Stream};
use warpdrive_core::engine::{cipher::Direction as CipherDirection, zip};
use warpdrive_core::qm::{Channel, Version};
use warpdrive_core::stats::{reader::parse as parse_counters, records};

// The zlib library is a shared object; its parser is compiled here again.
#[path = "../../zlib-shim/src/inflate/header.rs"]
mod member;

/// Reads the input; zeros behind its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    fn version(&mut self) -> Version {
        if self.byte() & 1 == 0 { Version::V2 } else { Version::V3 }
    }
}

/// A device that answers each descriptor by changes read from the input.
struct Device<'a> {
    version: Version,
    input: Input<'a>,
    /// Makes a good answer of a descriptor; the input's changes come on top.
    answer: fn(&mut [u8], &mut Input<'_>),
    completions: usize,
    records: usize,
}

impl Channel for Device<'_> {
    fn version(&self) -> Version {
        self.version
    }

    fn execute(&mut self, sqe: &mut [u8], _deadline: Duration) -> Result<(), Fault> {
        let order = self.input.byte();
        if order >= 0xF0 {
            return Err([Fault::Timeout, Fault::Reset, Fault::Os(5)][order as usize % 3]);
        }
        if order & 0x80 == 0 {
            (self.answer)(sqe, &mut self.input);
        }
        for _ in 0..order & 3 {
            let index = usize::from(self.input.byte()) % (sqe.len() / 4);
            let value = self.input.word();
            put(sqe, index, value);
        }
        self.completions += 1;
        Ok(())
    }

    fn record(&mut self, bytes: u64, ok: bool) {
        assert!(ok || bytes == 0);
        self.records += 1;
    }
}

fn put(sqe: &mut [u8], index: usize, value: u32) {
    sqe[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
}

fn get(sqe: &[u8], index: usize) -> u32 {
    u32::from_le_bytes([sqe[index * 4], sqe[index * 4 + 1], sqe[index * 4 + 2], sqe[index * 4 + 3]])
}

/// ZIP: amounts within the request, a length count that fits, a stream state, perhaps the end.
fn zip_answer(sqe: &mut [u8], input: &mut Input<'_>) {
    let consumed = get(sqe, 4) * u32::from(input.byte()) / 255;
    let produced = get(sqe, 14) * u32::from(input.byte()) / 255;
    let state = input.byte();
    put(sqe, 0, consumed);
    put(sqe, 1, produced);
    put(sqe, 30, get(sqe, 30).wrapping_add(consumed));
    put(sqe, 15, u32::from(state & 7) | u32::from(state & 8) << 4 | u32::from(state >> 4) << 10);
    if state == 0xFF {
        put(sqe, 3, 0x113);
    }
}

/// A stream, driven by its own progress, and a one-shot request.
pub fn zip(data: &[u8]) {
    let mut input = Input(data);
    let version = input.version();
    let order = input.byte();
    let format = [Format::Raw, Format::Zlib, Format::Gzip][usize::from(order) % 3];
    let direction = if order & 0x80 == 0 { Direction::Compress } else { Direction::Decompress };
    let mut device = Device { version, input, answer: zip_answer, completions: 0, records: 0 };
    let payload = [0x5A; 4096];
    let mut output = vec![0; Stream::compress_bound(payload.len())];
    let mut stream = Stream::new(format, direction);
    let mut at = 0;
    for _ in 0..32 {
        let space = output.len();
        let (rest, refused) = (&payload[at..], device.completions);
        let result = match direction {
            Direction::Compress => stream.compress(&mut device, rest, &mut output, true),
            Direction::Decompress => stream.decompress(&mut device, rest, &mut output),
        };
        assert_eq!(device.completions, device.records, "every completion is counted once");
        match result {
            Ok(outcome) => {
                assert!(outcome.consumed <= payload.len() - at && outcome.produced <= space);
                at += outcome.consumed;
                if direction == Direction::Compress && outcome.progress == Progress::End {
                    assert_eq!(at, payload.len(), "a compression ends with all of its input");
                }
                if outcome.progress == Progress::End {
                    break;
                }
            }
            Err(fault) => {
                let again = match direction {
                    Direction::Compress => stream.compress(&mut device, rest, &mut output, true),
                    Direction::Decompress => stream.decompress(&mut device, rest, &mut output),
                };
                assert_eq!(again, Err(Fault::Unsupported), "after {fault} nothing is submitted");
                assert!(device.completions <= refused + 1);
                stream.reset();
                at = 0;
            }
        }
    }
    let result = match direction {
        Direction::Compress => zip::compress(&mut device, format, &payload, &mut output),
        Direction::Decompress => zip::decompress(&mut device, format, &payload, &mut output),
    };
    if let Ok(outcome) = result {
        assert!(outcome.consumed <= payload.len() && outcome.produced <= output.len());
        assert_eq!(outcome.progress, Progress::End);
    }
}

/// One cipher request of each mode, in place.
pub fn cipher(data: &[u8]) {
    let mut input = Input(data);
    let version = input.version();
    let answer = |sqe: &mut [u8], _: &mut Input<'_>| put(sqe, 28, 0x101);
    let mut device = Device { version, input, answer, completions: 0, records: 0 };
    for mode in [Mode::Ecb, Mode::Cbc, Mode::Ctr, Mode::Xts] {
        let (mut buffer, mut iv) = ([7u8; 64], [9; 16]);
        let request = Request {
            algorithm: Algorithm::Aes128,
            mode,
            direction: CipherDirection::Decrypt,
            key: &[1; 32][..if mode == Mode::Xts { 32 } else { 16 }],
            iv: &mut iv,
            data: Data::InPlace(&mut buffer),
        };
        match cipher::run(&mut device, request) {
            Ok(()) => assert_eq!(buffer, [0; 64], "the stage, which nobody filled"),
            Err(_) => assert_eq!((buffer, iv), ([7; 64], [9; 16]), "nothing visible is half done"),
        }
        assert_eq!(device.completions, device.records);
    }
}

/// A private and a public exponentiation; and key images from arbitrary numbers.
pub fn rsa(data: &[u8]) {
    let mut input = Input(data);
    let version = input.version();
    let answer = |sqe: &mut [u8], _: &mut Input<'_>| {
        let task = get(sqe, 0);
        put(sqe, 0, task | 3 << 30);
    };
    let mut device = Device { version, input, answer, completions: 0, records: 0 };
    let mut n = [0xFF; 128];
    n[0] = 0x80;
    let half = [0x55; 64];
    let crt = Crt { p: &half, q: &half, dp: &half, dq: &half, qinv: &half };
    let private = PrivateKey::crt(&n, crt).expect("a well-formed key");
    let public = PublicKey::new(&n, &[1, 0, 1]).expect("a well-formed key");
    for turn in 0..4 {
        let mut output = [7; 128];
        let result = match turn & 1 {
            0 => rsa::private(&mut device, &private, &[1; 128], &mut output),
            _ => rsa::public(&mut device, &public, &[1; 128], &mut output),
        };
        let expected = if result.is_ok() { 7 } else { 0 };
        assert_eq!(output, [expected; 128]);
        assert_eq!(device.completions, device.records);
    }
    let (modulus, exponent) = data.split_at(data.len() / 2);
    if let Some(key) = PublicKey::new(modulus, exponent) {
        assert!(rsa::SIZES.contains(&(key.len() * 8)));
    }
}

/// A configuration file.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (config, problems) = parse(&text);
    assert!(problems.len() <= text.lines().count());
    for key in KEYS {
        let value = key.value(&config);
        let mut again = config.clone();
        assert_eq!(set(&mut again, key.name, &value), Ok(()), "{} = {value}", key.name);
        assert_eq!(key.value(&again), value, "{}", key.name);
    }
}

/// The start of a zlib, gzip or raw member; the first byte chooses the window bits.
pub fn header(data: &[u8]) {
    let Some((&choice, input)) = data.split_first() else { return };
    let bits = [-15, -9, 0, 9, 15, 16, 24, 31, 32, 40, 47][usize::from(choice) % 11];
    let verdict = member::parse(bits, input);
    if let member::Verdict::Data(format, at) = verdict {
        assert!(at <= input.len());
        assert_eq!(at == 0, format == Format::Raw);
    }
    // As the bytes come in one by one, it asks for more until it is sure, and is of one opinion from then on.
    let mut before = member::Verdict::More;
    for n in 0..=input.len() {
        let now = member::parse(bits, &input[..n]);
        assert!(before == member::Verdict::More || now == before, "{before:?}, with a byte more {now:?}");
        before = now;
    }
    assert_eq!(before, verdict);
}

/// A counter file that somebody else wrote, and a good one with the input's changes.
pub fn stats(data: &[u8]) {
    const GOOD: &[u8] = include_bytes!("../seeds/stats/good");
    let mut changed = GOOD.to_vec();
    for change in data.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % changed.len();
        changed[at] = change[2];
    }
    for bytes in [data, &changed] {
        for (name, _) in records(bytes) {
            assert!(!name.is_empty() && name.is_ascii());
        }
        let Some(content) = parse_counters(bytes) else { continue };
        let owner = content.owner.into_iter();
        let program_is_printable = |c: char| c.is_ascii_graphic() || c == ' ';
        for values in
            owner.inspect(|o| assert!(o.program.chars().all(program_is_printable))).map(|o| o.values)
        {
            assert!(values.counters.keys().eq(content.totals.counters.keys()));
            assert!(values.histograms.keys().eq(content.totals.histograms.keys()));
        }
        // No more can come out than went in.
        let buckets: usize = content.totals.histograms.values().map(|h| h.counts.len()).sum();
        assert!((buckets + content.totals.counters.len()) * 8 <= bytes.len());
        for histogram in content.totals.histograms.values() {
            let [low, high] = [50, 99].map(|percent| histogram.percentile(percent, 100));
            assert!(low <= high && low.is_some() == (histogram.total() > 0));
        }
    }
}
