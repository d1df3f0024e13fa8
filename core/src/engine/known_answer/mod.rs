//! Questions with known answers: does a device compute what it should? Asked before a device is first trusted with an
//! operation, and before it is trusted again after faults.
//!
//! Answers are judged without the engines' help: what a device has compressed is decompressed by another
//! implementation of deflate, everything else is compared with values computed elsewhere (test-vectors/README.md).
//! Each proof is one to three small requests.

use crate::Fault;
use crate::engine::cipher::{self, Algorithm, Data, Direction, Mode};
use crate::engine::rsa::{self, Crt, PrivateKey, PublicKey};
use crate::engine::zip::{self, Format, Progress, Stream};
use crate::job::Op;
use crate::qm::Channel;

#[cfg(test)]
mod tests;
mod vectors;

/// Asks the device behind `ch` for answers to `op` that are known.
///
/// # Errors
/// [`Fault::Check`] for a wrong answer; any other [`Fault`] of the requests themselves. [`Fault::Unsupported`] if the
/// device has nothing of the kind.
pub fn prove<Ch: Channel>(op: Op, ch: &mut Ch) -> Result<(), Fault> {
    match op {
        Op::ZipCompress => compress(ch),
        Op::ZipDecompress => decompress(ch),
        Op::SecCipher => encrypt(ch),
        Op::HpreRsa => exponentiate(ch),
    }
}

fn check(right: bool) -> Result<(), Fault> {
    if right { Ok(()) } else { Err(Fault::Check) }
}

/// A format that the device has.
fn format<Ch: Channel>(ch: &Ch, direction: zip::Direction) -> Result<Format, Fault> {
    let has = |format: &Format| format.needs(direction).line(ch.version()).is_some_and(|line| ch.has(line));
    [Format::Zlib, Format::Gzip, Format::Raw].into_iter().find(has).ok_or(Fault::Unsupported)
}

/// What follows the deflate data of the sample.
fn trailer(format: Format) -> Vec<u8> {
    match format {
        Format::Raw => Vec::new(),
        Format::Zlib => vectors::ADLER32.to_be_bytes().to_vec(),
        Format::Gzip => [vectors::CRC32.to_le_bytes(), (vectors::SAMPLE as u32).to_le_bytes()].concat(),
    }
}

fn compress<Ch: Channel>(ch: &mut Ch) -> Result<(), Fault> {
    let sample = vectors::sample();
    let direction = zip::Direction::Compress;
    let format = format(ch, direction)?;
    let mut output = [0; Stream::compress_bound(vectors::SAMPLE)];
    let outcome = Stream::new(format, direction).compress(ch, &sample, &mut output, true)?;
    check(outcome.progress == Progress::End)?;
    let trailer = trailer(format);
    let payload = output[..outcome.produced].strip_suffix(&trailer[..]).ok_or(Fault::Check)?;
    check(inflate(payload).as_deref() == Some(&sample[..]))
}

fn decompress<Ch: Channel>(ch: &mut Ch) -> Result<(), Fault> {
    let direction = zip::Direction::Decompress;
    let format = format(ch, direction)?;
    let input = [&vectors::PAYLOAD[..], &trailer(format)].concat();
    let mut output = [0; vectors::SAMPLE + Stream::MIN_OUTPUT];
    let outcome = Stream::new(format, direction).decompress(ch, &input, &mut output)?;
    let whole = (outcome.progress, outcome.consumed) == (Progress::End, input.len());
    check(whole && output[..outcome.produced] == vectors::sample())
}

/// CBC and, where the device has it, CTR.
fn encrypt<Ch: Channel>(ch: &mut Ch) -> Result<(), Fault> {
    let cases = [
        (Mode::Cbc, vectors::CBC_IV, vectors::CBC_CIPHERTEXT),
        (Mode::Ctr, vectors::CTR_IV, vectors::CTR_CIPHERTEXT),
    ];
    let algorithm = Algorithm::Aes128;
    for (mode, mut iv, expected) in cases {
        if !cipher::supported(ch.version(), algorithm, mode) {
            continue;
        }
        let mut output = [0; vectors::PLAINTEXT.len()];
        let data = Data::Separate { input: &vectors::PLAINTEXT, output: &mut output };
        let direction = Direction::Encrypt;
        cipher::run(
            ch,
            cipher::Request { algorithm, mode, direction, key: &vectors::KEY, iv: &mut iv, data },
        )?;
        check(output == expected)?;
    }
    Ok(())
}

/// There by the private key, back by the public one.
fn exponentiate<Ch: Channel>(ch: &mut Ch) -> Result<(), Fault> {
    use vectors::{DP, DQ, INPUT, MODULUS, P, Q, QINV, RESULT};
    let crt = Crt { p: &P, q: &Q, dp: &DP, dq: &DQ, qinv: &QINV };
    let private = PrivateKey::crt(&MODULUS, crt).ok_or(Fault::Unsupported)?;
    let public = PublicKey::new(&MODULUS, &[1, 0, 1]).ok_or(Fault::Unsupported)?;
    let mut output = [0; MODULUS.len()];
    rsa::private(ch, &private, &INPUT, &mut output)?;
    check(output == RESULT)?;
    rsa::public(ch, &public, &RESULT, &mut output)?;
    check(output == INPUT)
}

/// Raw deflate data decoded; `None` if it is none, has no end, is followed by something, or is longer than the sample.
fn inflate(payload: &[u8]) -> Option<Vec<u8>> {
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
    let mut output = vec![0; vectors::SAMPLE + 1];
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, read, written) = decompress(&mut DecompressorOxide::new(), payload, &mut output, 0, flags);
    output.truncate(written);
    (status == TINFLStatus::Done && read == payload.len()).then_some(output)
}
