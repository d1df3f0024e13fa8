//! Plain ciphers (reference section 7): AES and SM4 in ECB, CBC, CTR and XTS, on V3 also OFB, CFB-128, CBC-CS and the
//! XTS of GB/T 17964; DES and 3DES in ECB and CBC.

use super::block::{Algorithm, BLOCK, Cipher};
use super::data::{self, LONGEST, Side};
use super::descriptor::Fields;
use super::refusal::Failure;
use super::{Outcome, V2Ciphers};
use crate::engine::{Context, Generation, Refusal, Rule};
use modes::{Carry, Doubling, Stealing};

pub(super) mod modes;

/// Fields that a plain cipher uses; the destination's are filled in place too.
const USED: &[&str] = &[
    "cipher",
    "de",
    "src_addr_type",
    "dst_addr_type",
    "c_width",
    "c_key_len",
    "c_mode",
    "c_alg",
    "c_len",
    "cipher_src_offset",
    "ctr_count_mode",
    "c_ivin_addr",
    "c_key_addr",
    "data_src_addr",
    "data_dst_addr",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Ecb,
    Cbc,
    Cfb,
    Ofb,
    Ctr(Carry),
    Xts(Doubling),
    CbcCs(Stealing),
}

/// A plain cipher request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    algorithm: Algorithm,
    mode: Mode,
    encrypt: bool,
    /// Bytes of one key (XTS has two).
    key_len: usize,
    len: u64,
    key: u64,
    iv: u64,
    /// Bytes to skip at the start of source and target.
    offset: u64,
    source: Side,
    target: Side,
    /// Refuse a CTR request that is longer than the counter's low 32 bits allow.
    no_wrap: bool,
}

/// Decodes and checks. Dispatch has made sure that the direction is encrypt or decrypt.
pub(super) fn decode(f: &Fields, v2: V2Ciphers) -> Result<Request, Refusal> {
    let algorithm = Algorithm::read(f)?;
    let key_len = algorithm.key_len(f)?;
    let mode = mode(f, algorithm)?;
    offered(f, algorithm, mode, v2)?;
    // UADK's V2 driver leaves the key length of DES in c_icv_len (14.2).
    let icv: &[&str] = if algorithm == Algorithm::Des { &["c_icv_len"] } else { &[] };
    f.only(&[USED, icv])?;
    // Scenes 0 (Linux, OP-TEE) and 1 (UADK) are alike; the others belong to other operations.
    if f.scene > 1 {
        return Err(Rule::Value.broken(format!("scene is {} with a plain cipher, must be 0 or 1", f.scene)));
    }
    let block = algorithm.block_len() as u64;
    let (least, multiple) = match mode {
        Mode::Ecb | Mode::Cbc => (block, block),
        Mode::Xts(_) => (block, 1),
        Mode::CbcCs(_) if algorithm == Algorithm::Aes => (block + 1, 1),
        Mode::CbcCs(_) => (block, 1),
        Mode::Cfb | Mode::Ofb | Mode::Ctr(_) => (1, 1),
    };
    if f.c_len < least || f.c_len > LONGEST || !f.c_len.is_multiple_of(multiple) {
        return Err(Rule::Length.broken(format!(
            "c_len is {:#x} with {algorithm:?} {mode:?}, must be from {least} to {LONGEST:#x}, multiple of {multiple}",
            f.c_len
        )));
    }
    Ok(Request {
        algorithm,
        mode,
        encrypt: f.cipher == 1,
        key_len,
        len: f.c_len,
        key: f.c_key_addr,
        iv: f.c_ivin_addr,
        offset: f.cipher_src_offset,
        source: Side::source(f)?,
        target: Side::target(f)?,
        no_wrap: f.generation == Generation::V2 && v2 != V2Ciphers::All,
    })
}

/// c_mode with its qualifiers: c_width and ctr_count_mode.
fn mode(f: &Fields, algorithm: Algorithm) -> Result<Mode, Refusal> {
    // With SM4-XTS the field selects the standard, and 3 means IEEE like 0 and 2 (7.7); elsewhere 1 and 3 mean nothing.
    if matches!(f.ctr_count_mode, 1 | 3) && (f.c_mode, algorithm) != (7, Algorithm::Sm4) {
        return Err(Rule::Value
            .broken(format!("ctr_count_mode {} with c_mode {} is undefined", f.ctr_count_mode, f.c_mode)));
    }
    let mode = match (f.c_mode, f.c_width) {
        (9, 1) => Mode::CbcCs(Stealing::Cs1),
        (9, 2) => Mode::CbcCs(Stealing::Cs2),
        (9, 3) => Mode::CbcCs(Stealing::Cs3),
        (9, other) => {
            return Err(
                Rule::Value.broken(format!("c_width {other} with ciphertext stealing, must be 1 to 3"))
            );
        }
        (_, other) if other != 0 => {
            return Err(Rule::Value.broken(format!("c_width {other} without ciphertext stealing")));
        }
        (0, _) => Mode::Ecb,
        (1, _) => Mode::Cbc,
        (2, _) => Mode::Cfb,
        (3, _) => Mode::Ofb,
        // V2 has no selector (7.6).
        (4, _) if f.generation == Generation::V2 => Mode::Ctr(Carry::All128),
        (4, _) => Mode::Ctr(if f.ctr_count_mode == 0 { Carry::Low32 } else { Carry::All128 }),
        (7, _) => Mode::Xts(if f.ctr_count_mode == 1 { Doubling::Gb } else { Doubling::Ieee }),
        (other, _) => return Err(Rule::Value.broken(format!("c_mode {other} is unknown"))),
    };
    Ok(mode)
}

/// Whether the combination exists on this generation (7.2).
fn offered(f: &Fields, algorithm: Algorithm, mode: Mode, v2: V2Ciphers) -> Result<(), Refusal> {
    let refuse = |why: &str| {
        let text = format!("c_alg {} with c_mode {} ({algorithm:?} {mode:?}) {why}", f.c_alg, f.c_mode);
        Err(Rule::Unsupported.broken(text))
    };
    match (algorithm, mode) {
        (_, Mode::Ecb | Mode::Cbc) => return Ok(()),
        (Algorithm::Des | Algorithm::TripleDes, _) => return refuse("exists on no generation"),
        (Algorithm::Aes, Mode::Xts(_)) if f.c_key_len == 1 => {
            return Err(Rule::Key.broken("c_key_len 1 (192 bits) with XTS"));
        }
        _ => {}
    }
    if f.generation >= Generation::V3 {
        return Ok(());
    }
    match (algorithm, mode, v2) {
        (_, Mode::Xts(_), _) | (_, _, V2Ciphers::All) | (Algorithm::Aes, Mode::Ctr(_), V2Ciphers::AesCtr) => {
            Ok(())
        }
        _ => refuse("is not offered on V2"),
    }
}

/// Executes.
pub(super) fn perform(request: &Request, ctx: &Context<'_>) -> Result<Outcome, Failure> {
    data::before(ctx)?;
    let source = request.source.buffer(ctx, request.offset, request.len)?;
    let target = request.target.buffer(ctx, request.offset, request.len)?;

    // All input is read before any output is written, for exact in-place requests.
    let keys = if matches!(request.mode, Mode::Xts(_)) { 2 } else { 1 };
    let key = data::read_flat(ctx, request.key, keys * request.key_len)?;
    let iv_len = if request.mode == Mode::Ecb { 0 } else { request.algorithm.block_len() };
    let iv = data::read_flat(ctx, request.iv, iv_len)?;
    let mut bytes = data::read(ctx, &source)?;

    if let (Mode::Ctr(_), true) = (request.mode, request.no_wrap) {
        let low = u32::from_be_bytes([iv[12], iv[13], iv[14], iv[15]]);
        let more = request.len.div_ceil(BLOCK as u64) - 1;
        if u64::from(low) + more > u64::from(u32::MAX) {
            let text =
                format!("CTR on V2: the low 32 counter bits wrap ({low:#x}, {:#x} bytes)", request.len);
            return Err(Rule::Unsupported.broken(text).into());
        }
    }
    transform(request, &key, &iv, &mut bytes);
    let output = data::write(ctx, &mut [(target, bytes)])?;
    Ok(Outcome { bytes: request.len, output, mismatch: false })
}

fn transform(request: &Request, key: &[u8], iv: &[u8], data: &mut [u8]) {
    let new = |key: &[u8]| Cipher::new(request.algorithm, key).expect("key length was checked");
    let (first, second) = key.split_at(request.key_len);
    let cipher = new(first);
    let encrypt = request.encrypt;
    let block = || iv.try_into().expect("modes but ECB and CBC have 16-byte blocks");
    match request.mode {
        Mode::Ecb => modes::ecb(&cipher, encrypt, data),
        Mode::Cbc => modes::cbc(&cipher, encrypt, iv, data),
        Mode::Cfb => modes::cfb(&cipher, encrypt, block(), data),
        Mode::Ofb => modes::ofb(&cipher, block(), data),
        Mode::Ctr(carry) => modes::ctr(&cipher, carry, block(), data),
        Mode::Xts(doubling) => modes::xts((&cipher, &new(second)), encrypt, doubling, block(), data),
        Mode::CbcCs(variant) => modes::cbc_cs(&cipher, encrypt, variant, block(), data),
    }
}

/// What the request is, for the trace: `AES-128-CBC encrypt`.
pub(super) fn name(f: &Fields) -> String {
    let algorithm = match (f.c_alg, f.c_key_len) {
        (0, _) => "DES",
        (1, 3) => "3DES-128",
        (1, 1) => "3DES-192",
        (1, _) => "3DES",
        (2, 0) => "AES-128",
        (2, 1) => "AES-192",
        (2, 2) => "AES-256",
        (2, _) => "AES",
        (3, _) => "SM4",
        _ => "unknown cipher",
    };
    let mode = match (f.c_mode, f.c_width) {
        (0, _) => "ECB",
        (1, _) => "CBC",
        (2, _) => "CFB",
        (3, _) => "OFB",
        (4, _) => "CTR",
        (5, _) => "CCM",
        (6, _) => "GCM",
        (7, _) if f.c_alg == 3 && f.ctr_count_mode == 1 => "XTS-GB",
        (7, _) => "XTS",
        (9, 1) => "CBC-CS1",
        (9, 2) => "CBC-CS2",
        (9, 3) => "CBC-CS3",
        _ => "unknown mode",
    };
    let direction = match f.cipher {
        1 => "encrypt",
        2 => "decrypt",
        _ => "unknown direction",
    };
    format!("{algorithm}-{mode} {direction}")
}

#[cfg(test)]
mod tests;
