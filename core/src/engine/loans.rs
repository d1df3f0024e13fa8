//! What engines borrow they give back, and they stay within what a channel can lend.

use super::cipher::{self, Algorithm, Data, Direction, Mode};
use super::fake::{Fake, Play};
use super::zip::{self, Format, Progress, Stream};
use super::{rsa, zip::Direction as Way};
use crate::Fault;
use crate::qm::Version::{self, V2, V3};

/// Bytes that a test's channel lends at a time.
const LOAN: usize = 32 << 10;

/// Encrypts `len` bytes; the chain value after `iv`.
fn encrypt(ch: &mut Fake, mode: Mode, iv: u128, len: usize) -> Result<u128, Fault> {
    let mut iv = iv.to_be_bytes();
    let (input, mut output) = (vec![1; len], vec![2; len]);
    let data = Data::Separate { input: &input, output: &mut output };
    let key = [3; 32];
    let key = if mode == Mode::Xts { &key[..] } else { &key[..16] };
    let direction = Direction::Encrypt;
    cipher::run(
        ch,
        cipher::Request { algorithm: Algorithm::Aes128, mode, direction, key, iv: &mut iv, data },
    )?;
    Ok(u128::from_be_bytes(iv))
}

fn done() -> Play {
    Play::Reply(vec![(28, 0x101)])
}

type Ask = fn(&mut Fake) -> Result<(), Fault>;

/// One request of each engine, with whatever script.
fn requests() -> [Ask; 5] {
    [
        |ch| encrypt(ch, Mode::Cbc, 0, 64).map(drop),
        |ch| {
            let key = rsa::PublicKey::new(&[&[0x80; 127][..], &[1]].concat(), &[3]).expect("a key");
            rsa::public(ch, &key, &[1; 128], &mut [0; 128])
        },
        |ch| Stream::new(Format::Zlib, Way::Compress).compress(ch, &[1; 100], &mut [0; 600], true).map(drop),
        |ch| Stream::new(Format::Zlib, Way::Decompress).decompress(ch, &[1; 100], &mut [0; 600]).map(drop),
        |ch| zip::decompress(ch, Format::Zlib, &[1; 100], &mut [0; 600]).map(drop),
    ]
}

#[test]
fn every_loan_is_settled_however_the_request_ends() {
    for request in requests() {
        for version in [V2, V3] {
            let mut failing = Fake::new(version, [Play::Fail(Fault::Timeout)]);
            assert_eq!(request(&mut failing), Err(Fault::Timeout));
            assert_eq!(failing.lent, 0);
            // An untouched descriptor is no answer of any engine, or one that nothing was done.
            let mut silent = Fake::new(version, [Play::Reply(vec![])]);
            let _ = request(&mut silent);
            assert!(silent.played());
            assert_eq!(silent.lent, 0);
        }
    }
}

#[test]
fn without_room_nothing_is_submitted_and_nothing_stays_lent() {
    for request in requests() {
        for refused in 0..2 {
            let mut ch = Fake::new(V3, []);
            ch.refuse_loan = refused;
            assert_eq!(request(&mut ch), Err(Fault::Memory));
            assert_eq!((ch.lent, ch.sent.len()), (0, 0));
        }
    }
}

#[test]
fn ciphers_are_cut_into_chained_pieces_of_a_loan() {
    for (mode, blocks) in [(Mode::Ctr, 3 * LOAN / 16), (Mode::Ecb, 0)] {
        let mut ch = Fake::new(V3, (0..3).map(|_| done()));
        // Not a multiple of the block.
        ch.longest_loan = LOAN + 5;
        let before = u128::MAX << 8;
        let after = encrypt(&mut ch, mode, before, 3 * LOAN).expect("served");
        assert!(ch.played());
        assert_eq!(after, before.wrapping_add(blocks as u128));
    }
}

#[test]
fn data_unit_longer_than_a_loan_is_left_to_software() {
    let mut ch = Fake::new(V3, [done()]);
    ch.longest_loan = LOAN;
    assert_eq!(encrypt(&mut ch, Mode::Xts, 0, LOAN + 16), Err(Fault::Unsupported));
    assert!(encrypt(&mut ch, Mode::Xts, 0, LOAN).is_ok());
}

/// A device that uses all input, and says so in the words of `version`.
fn used(len: usize, produced: usize, isize: usize) -> Play {
    Play::Reply(vec![(0, len as u32), (1, produced as u32), (30, isize as u32)])
}

#[test]
fn compression_is_cut_so_that_its_worst_output_fits_a_loan() {
    let piece = LOAN / 8 * 7;
    let data = vec![7; 2 * piece + 100];
    let mut output = vec![0; Stream::compress_bound(data.len())];
    let script = [used(piece, 50, piece), used(piece, 50, 2 * piece), used(100, 60, data.len())];
    let mut ch = Fake::new(V3, script);
    ch.longest_loan = LOAN;
    let mut stream = Stream::new(Format::Zlib, Way::Compress);
    let mut at = 0;
    for progress in [Progress::NeedOutput, Progress::NeedOutput, Progress::End] {
        let outcome = stream.compress(&mut ch, &data[at..], &mut output, true).expect("served");
        at += outcome.consumed;
        assert_eq!(outcome.progress, progress);
    }
    assert_eq!(at, data.len());
    // Only the last piece ends the stream (dw7 bit 25).
    let ends: Vec<u32> = ch.sent.iter().map(|sqe| sqe[7] >> 25 & 1).collect();
    assert_eq!(ends, [0, 0, 1]);
}

#[test]
fn decompression_asks_again_where_a_loan_and_not_the_buffer_is_full() {
    let mut output = vec![0; 3 * LOAN];
    let mut ch = Fake::new(V3, [used(100, LOAN, LOAN)]);
    ch.longest_loan = LOAN;
    let mut stream = Stream::new(Format::Zlib, Way::Decompress);
    let outcome = stream.decompress(&mut ch, &[1; 100], &mut output).expect("served");
    assert_eq!((outcome.produced, outcome.progress), (LOAN, Progress::NeedOutput));
    assert_eq!(ch.sent[0][14] as usize, LOAN, "the space that the device is told of");
}

#[test]
fn prefetching_is_for_shared_addresses_only() {
    struct Pinned(Fake);
    impl crate::qm::Channel for Pinned {
        fn version(&self) -> Version {
            self.0.version()
        }
        fn execute(&mut self, sqe: &mut [u8], deadline: std::time::Duration) -> Result<(), Fault> {
            self.0.execute(sqe, deadline)
        }
        fn shares_addresses(&self) -> bool {
            false
        }
    }
    let request = |ch: &mut Pinned| {
        let (input, mut output) = ([1; 32], [0; 32]);
        let data = Data::Separate { input: &input, output: &mut output };
        let (algorithm, mode, direction) = (Algorithm::Aes128, Mode::Ecb, Direction::Encrypt);
        cipher::run(ch, cipher::Request { algorithm, mode, direction, key: &[3; 16], iv: &mut [0; 16], data })
    };
    let mut pinned = Pinned(Fake::new(V3, [done()]));
    request(&mut pinned).expect("served");
    assert_eq!(pinned.0.sent[0][14] >> 27 & 1, 0);
}
