//! GCM and CCM of a whole message (reference 9.4 and 9.5).

use super::{CCM, Delivery, GCM, USED, ccm, gcm};
use crate::engine::sec::Outcome;
use crate::engine::sec::block::Algorithm;
use crate::engine::sec::data::{self, LONGEST, Side};
use crate::engine::sec::descriptor::Fields;
use crate::engine::sec::refusal::Failure;
use crate::engine::{Context, Generation, Refusal, Rule};

/// Longest additional data, bytes (9.1, 9.3).
const LONGEST_ADDITIONAL: u64 = 0xFFFF;

/// What is used beside the fields of every AEAD.
const LENGTHS: &[&str] = &["cipher", "a_len", "c_len", "auth_src_offset", "cipher_src_offset"];

/// The mode, with the addresses of what only it reads.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Gcm { nonce: u64 },
    Ccm { b0: u64, a1: u64 },
}

/// A decoded request.
#[derive(Clone, Debug)]
pub(in crate::engine::sec) struct Request {
    mode: Mode,
    algorithm: Algorithm,
    key_len: usize,
    key: u64,
    encrypt: bool,
    tag: usize,
    mac: u64,
    /// Additional data in the source: first byte and bytes.
    additional: (u64, u64),
    /// Text in the source and in the target.
    text: (u64, u64),
    source: Side,
    target: Side,
}

pub(super) fn decode(f: &Fields) -> Result<Request, Refusal> {
    let (algorithm, key_len) = super::algorithm(f)?;
    let mode = match f.c_mode {
        GCM => Mode::Gcm { nonce: f.c_ivin_addr },
        CCM => Mode::Ccm { b0: f.a_ivin_addr, a1: f.c_ivin_addr },
        other => {
            return Err(
                Rule::Value.broken(format!("c_mode is {other}, an AEAD without auth is 5 (CCM) or 6 (GCM)"))
            );
        }
    };
    f.only(&[USED, LENGTHS])?;
    let encrypt = super::encrypts(f)?;
    let tag = match (mode, f.c_icv_len) {
        (Mode::Gcm { .. }, _) => super::gcm_tag(f)?,
        (Mode::Ccm { .. }, bytes @ (4 | 6 | 8 | 10 | 12 | 14 | 16)) => bytes as usize,
        (Mode::Ccm { .. }, other) => {
            return Err(Rule::Length.broken(format!("c_icv_len is {other} with CCM, must be 4, 6 … 16")));
        }
    };
    lengths(f, mode)?;
    let request = Request {
        mode,
        algorithm,
        key_len,
        key: f.c_key_addr,
        encrypt,
        tag,
        mac: f.mac_addr,
        additional: (f.auth_src_offset, f.a_len),
        text: (f.cipher_src_offset, f.c_len),
        source: Side::source(f)?,
        target: Side::target(f)?,
    };
    let end = |(start, len)| start + len;
    let (a, t) = (request.additional, request.text);
    if a.1 > 0 && t.1 > 0 && a.0 < end(t) && t.0 < end(a) {
        return Err(Rule::Value.broken(format!(
            "cipher_src_offset {:#x} with c_len {:#x} meets auth_src_offset {:#x} with a_len {:#x}",
            t.0, t.1, a.0, a.1
        )));
    }
    Ok(request)
}

/// Limits of 9.3.
fn lengths(f: &Fields, mode: Mode) -> Result<(), Refusal> {
    let longest = match mode {
        Mode::Gcm { .. } => LONGEST_ADDITIONAL,
        Mode::Ccm { .. } => ccm::LONGEST_ADDITIONAL,
    };
    let text = if f.a_len > longest {
        format!("a_len is {:#x}, at most {longest:#x}", f.a_len)
    } else if f.a_len + f.c_len > LONGEST {
        format!("a_len {:#x} and c_len {:#x} are more than {LONGEST:#x}", f.a_len, f.c_len)
    } else if f.a_len + f.c_len == 0 {
        "c_len and a_len are 0".into()
    } else if f.c_len == 0 && f.generation == Generation::V2 {
        "c_len is 0: V2 has no AEAD of an empty text".into()
    } else {
        return Ok(());
    };
    Err(Rule::Length.broken(text))
}

pub(super) fn perform(request: &Request, copies: bool, ctx: &Context<'_>) -> Result<Outcome, Failure> {
    let additional = request.source.buffer(ctx, request.additional.0, request.additional.1)?;
    let additional = data::read(ctx, &additional)?;
    let mut text = data::read(ctx, &request.source.buffer(ctx, request.text.0, request.text.1)?)?;
    let cipher = super::keyed(ctx, request.algorithm, request.key, request.key_len)?;
    let tag = match request.mode {
        Mode::Gcm { nonce } => {
            gcm::whole(&cipher, &super::array(ctx, nonce)?, request.encrypt, &additional, &mut text)
        }
        Mode::Ccm { b0, a1 } => {
            let blocks = ccm::Blocks { b0: super::array(ctx, b0)?, a1: super::array(ctx, a1)? };
            blocks
                .check(request.additional.1, request.text.1, request.tag)
                .map_err(|text| Rule::Value.broken(text))?;
            blocks.whole(&cipher, request.encrypt, &additional, &mut text)
        }
    };
    let delivery = Delivery {
        encrypt: request.encrypt,
        mac: request.mac,
        tag: request.tag,
        target: request.target,
        offset: request.text.0,
        copy: copies.then_some((request.additional.0, additional)),
    };
    delivery.finish(ctx, text, &tag)
}
