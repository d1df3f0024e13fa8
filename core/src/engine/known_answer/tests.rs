//! The vectors against other implementations, and a device that answers right, wrong or not at all.

use std::io::Read;
use std::time::Duration;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use num_bigint::BigUint;

use super::*;
use crate::engine::fake::words;
use crate::qm::Version::{self, V2, V3};

#[test]
fn payload_and_check_values_are_those_of_the_sample() {
    let mut data = Vec::new();
    flate2::read::DeflateDecoder::new(&vectors::PAYLOAD[..]).read_to_end(&mut data).unwrap();
    assert_eq!(data, vectors::sample());
    let gzip = [&[31, 139, 8, 0, 0, 0, 0, 0, 0, 3], &vectors::PAYLOAD[..], &trailer(Format::Gzip)].concat();
    let zlib = [&[0x78, 0x9C], &vectors::PAYLOAD[..], &trailer(Format::Zlib)].concat();
    let length = |result: std::io::Result<usize>| result.unwrap();
    assert_eq!(length(flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut Vec::new())), vectors::SAMPLE);
    assert_eq!(
        length(flate2::read::ZlibDecoder::new(&zlib[..]).read_to_end(&mut Vec::new())),
        vectors::SAMPLE
    );
    assert_eq!(vectors::PAYLOAD[0] & 7, 0b100, "a dynamic block first");
}

#[test]
fn cipher_vectors_are_aes() {
    let aes = aes::Aes128::new(&vectors::KEY.into());
    let block = |bytes: [u8; 16]| {
        let mut block = bytes.into();
        aes.encrypt_block(&mut block);
        <[u8; 16]>::from(block)
    };
    let (mut chain, mut counter) = (vectors::CBC_IV, u128::from_be_bytes(vectors::CTR_IV));
    for n in 0..4 {
        let at = |bytes: &[u8; 64]| <[u8; 16]>::try_from(&bytes[n * 16..][..16]).unwrap();
        let plain = at(&vectors::PLAINTEXT);
        chain = block(std::array::from_fn(|n| plain[n] ^ chain[n]));
        assert_eq!(chain, at(&vectors::CBC_CIPHERTEXT));
        let stream = block(counter.to_be_bytes());
        assert_eq!(std::array::from_fn(|n| plain[n] ^ stream[n]), at(&vectors::CTR_CIPHERTEXT));
        counter += 1;
    }
    assert!(u32::MAX - (u128::from_be_bytes(vectors::CTR_IV) as u32) > 4, "V2 serves it");
}

#[test]
fn key_and_result_belong_together() {
    let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
    let (p, q, n) = (number(&vectors::P), number(&vectors::Q), number(&vectors::MODULUS));
    assert_eq!(&p * &q, n);
    assert_eq!(number(&vectors::QINV) * &q % &p, BigUint::from(1u32));
    let e = BigUint::from(65_537u32);
    for (part, prime) in [(&vectors::DP, &p), (&vectors::DQ, &q)] {
        assert_eq!(number(part) * &e % (prime - 1u32), BigUint::from(1u32));
    }
    assert_eq!(number(&vectors::RESULT).modpow(&e, &n), number(&vectors::INPUT));
}

#[test]
fn inflate_wants_whole_streams_and_nothing_behind() {
    let payload = &vectors::PAYLOAD[..];
    assert_eq!(inflate(payload).as_deref(), Some(&vectors::sample()[..]));
    assert_eq!(inflate(&payload[..payload.len() - 1]), None);
    assert_eq!(inflate(&[payload, &[0]].concat()), None);
    assert_eq!(inflate(&[6]), None);
    // A stored block of more than the sample.
    assert_eq!(inflate(&[&[1, 0x00, 0x10, 0xFF, 0xEF][..], &[0; 0x1000]].concat()), None);
}

/// A device that knows the answers, and gives them with one bit of byte `wrong` turned over, if any.
struct Oracle {
    version: Version,
    algorithms: &'static [&'static str],
    answers: Vec<Vec<u8>>,
    wrong: Option<usize>,
    /// What was lent for output: number of bytes.
    room: usize,
    asked: usize,
    /// The answer that `collect` gives.
    answer: Vec<u8>,
}

impl Oracle {
    fn new(op: Op, version: Version, algorithms: &'static [&'static str], format: Format) -> Oracle {
        let answers = match op {
            Op::ZipCompress => vec![[&vectors::PAYLOAD[..], &trailer(format)].concat()],
            Op::ZipDecompress => vec![vectors::sample().to_vec()],
            Op::SecCipher => vec![vectors::CBC_CIPHERTEXT.to_vec(), vectors::CTR_CIPHERTEXT.to_vec()],
            Op::HpreRsa => vec![vectors::RESULT.to_vec(), vectors::INPUT.to_vec()],
        };
        Oracle { version, algorithms, answers, wrong: None, room: 0, asked: 0, answer: Vec::new() }
    }

    fn kind(&self) -> usize {
        self.answers[0].len()
    }
}

impl Channel for Oracle {
    fn version(&self) -> Version {
        self.version
    }

    fn has(&self, line: &str) -> bool {
        self.algorithms.contains(&line)
    }

    fn lend_mut(&mut self, bytes: &mut [u8], _: usize) -> Result<u64, Fault> {
        self.room = bytes.len();
        Ok(0xABCD_0000)
    }

    fn execute(&mut self, sqe: &mut [u8], _: Duration) -> Result<(), Fault> {
        self.answer = self.answers[self.asked].clone();
        self.asked += 1;
        let sent = words(sqe);
        let mut set = |index: usize, value: u32| sqe[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
        if sent.len() == 16 {
            // RSA: done, both error fields zero (hpre.md 1.2).
            set(0, sent[0] & !0xC000_0000 | 0xC000_0000);
        } else if self.kind() == 64 {
            set(28, 0x101);
        } else {
            set(0, sent[4]);
            set(1, self.answer.len() as u32);
            set(30, vectors::SAMPLE as u32);
            if self.kind() == vectors::SAMPLE {
                set(3, 0x113);
            }
        }
        Ok(())
    }

    fn collect(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        if address == 0xABCD_0000 {
            bytes.copy_from_slice(&self.answer[..bytes.len()]);
            if let Some(wrong) = self.wrong {
                bytes[wrong % self.answer.len()] ^= 4;
            }
        }
        Ok(())
    }
}

const LINES: [(&[&str], Format); 3] =
    [(&["zlib", "gzip", "deflate"], Format::Zlib), (&["gzip"], Format::Gzip), (&["deflate"], Format::Raw)];

#[test]
fn right_answers_are_proof_and_wrong_ones_are_not() {
    for op in Op::ALL {
        for version in [V2, V3] {
            for (lines, format) in LINES {
                let zip = matches!(op, Op::ZipCompress | Op::ZipDecompress);
                if version == V2 && format == Format::Raw && zip {
                    continue;
                }
                let mut right = Oracle::new(op, version, lines, format);
                assert_eq!(prove(op, &mut right), Ok(()), "{op:?} {version:?} {format:?}");
                assert_eq!(right.asked, right.answers.len(), "{op:?}");
                let len = right.kind();
                for wrong in [0, 1, len / 3, len / 2, len - 1] {
                    let mut oracle = Oracle::new(op, version, lines, format);
                    oracle.wrong = Some(wrong);
                    assert_eq!(
                        prove(op, &mut oracle),
                        Err(Fault::Check),
                        "{op:?} {version:?} {format:?} {wrong}"
                    );
                }
            }
        }
    }
}

#[test]
fn device_without_a_format_is_not_asked() {
    for op in [Op::ZipCompress, Op::ZipDecompress] {
        let mut oracle = Oracle::new(op, V2, &["deflate"], Format::Raw);
        assert_eq!(prove(op, &mut oracle), Err(Fault::Unsupported));
        assert_eq!(oracle.asked, 0);
    }
}
