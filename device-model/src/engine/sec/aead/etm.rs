//! CBC with HMAC, encrypt-then-MAC (reference 9.6).

use super::{CBC, Delivery, USED};
use crate::engine::sec::Outcome;
use crate::engine::sec::block::{Algorithm, BLOCK};
use crate::engine::sec::cipher::modes;
use crate::engine::sec::data::{self, LONGEST, Side};
use crate::engine::sec::descriptor::Fields;
use crate::engine::sec::hash::digest::Digest;
use crate::engine::sec::refusal::Failure;
use crate::engine::{Context, Generation, Refusal, Rule};

/// What is used beside the fields of every AEAD.
const PARTS: &[&str] = &[
    "cipher",
    "auth",
    "mac_len",
    "a_key_len",
    "a_alg",
    "a_len",
    "c_len",
    "auth_src_offset",
    "cipher_src_offset",
];

/// The digest that authenticates a CBC text (9.2).
fn digest(f: &Fields) -> Result<Digest, Refusal> {
    match Digest::by_code(f.a_alg) {
        Some((digest @ (Digest::Sha1 | Digest::Sha256 | Digest::Sha512), true)) => Ok(digest),
        Some((Digest::Sm3, true)) if f.generation >= Generation::V3 => Ok(Digest::Sm3),
        _ => {
            let text = format!("a_alg is {:#x} with a cipher on {:?}", f.a_alg, f.generation);
            Err(Rule::Unsupported.broken(text))
        }
    }
}

/// A decoded request.
#[derive(Clone, Debug)]
pub(in crate::engine::sec) struct Request {
    algorithm: Algorithm,
    key_len: usize,
    key: u64,
    iv: u64,
    digest: Digest,
    auth_key: u64,
    /// Bytes of it.
    auth_key_len: usize,
    encrypt: bool,
    tag: usize,
    mac: u64,
    /// All that is authenticated, in the source: first byte and bytes. Its end is the text.
    authenticated: (u64, u64),
    /// Bytes of the text.
    text: u64,
    source: Side,
    target: Side,
}

pub(super) fn decode(f: &Fields) -> Result<Request, Refusal> {
    let (algorithm, key_len) = super::algorithm(f)?;
    if f.c_mode != CBC {
        return Err(Rule::Unsupported
            .broken(format!("c_mode is {} with auth {}: only CBC has a MAC", f.c_mode, f.auth)));
    }
    let digest = digest(f)?;
    f.only(&[USED, PARTS])?;
    if f.c_icv_len != 0 {
        return Err(
            Rule::Reserved.broken(format!("c_icv_len is {} with CBC and HMAC, must be 0", f.c_icv_len))
        );
    }
    let encrypt = super::encrypts(f)?;
    if f.auth != f.cipher {
        return Err(
            Rule::Value.broken(format!("auth is {} with cipher {}, must be the same", f.auth, f.cipher))
        );
    }
    lengths(f, digest)?;
    Ok(Request {
        algorithm,
        key_len,
        key: f.c_key_addr,
        iv: f.c_ivin_addr,
        digest,
        auth_key: f.a_key_addr,
        auth_key_len: f.a_key_len as usize * 4,
        encrypt,
        tag: f.mac_len as usize * 4,
        mac: f.mac_addr,
        authenticated: (f.auth_src_offset, f.a_len),
        text: f.c_len,
        source: Side::source(f)?,
        target: Side::target(f)?,
    })
}

/// Limits of 9.3, and the arrangement of 9.6: the authenticated bytes end where the text ends.
fn lengths(f: &Fields, digest: Digest) -> Result<(), Refusal> {
    // What a longer key would be is unknown (unknown 14).
    let (size, block) = (digest.output_len() as u64, digest.block_len() as u64);
    if f.a_key_len * 4 > block {
        let text = format!("a_key_len is {} words, at most {} with {digest:?}", f.a_key_len, block / 4);
        return Err(Rule::Key.broken(text));
    }
    let text = if f.mac_len == 0 || f.mac_len * 4 > size {
        format!("mac_len is {} words, must be from 1 to {} with {digest:?}", f.mac_len, size / 4)
    } else if f.c_len == 0 || !f.c_len.is_multiple_of(BLOCK as u64) {
        format!("c_len is {:#x} with CBC, must be a multiple of {BLOCK} and not 0", f.c_len)
    } else if f.a_len > LONGEST {
        format!("a_len is {:#x}, at most {LONGEST:#x}", f.a_len)
    } else if f.cipher_src_offset < f.auth_src_offset
        || f.auth_src_offset + f.a_len != f.cipher_src_offset + f.c_len
    {
        format!(
            "a_len {:#x} at auth_src_offset {:#x} does not end with c_len {:#x} at cipher_src_offset {:#x}",
            f.a_len, f.auth_src_offset, f.c_len, f.cipher_src_offset
        )
    } else {
        return Ok(());
    };
    Err(Rule::Length.broken(text))
}

pub(super) fn perform(request: &Request, copies: bool, ctx: &Context<'_>) -> Result<Outcome, Failure> {
    let (offset, len) = request.authenticated;
    let mut message = data::read(ctx, &request.source.buffer(ctx, offset, len)?)?;
    let cipher = super::keyed(ctx, request.algorithm, request.key, request.key_len)?;
    let auth_key = data::read_flat(ctx, request.auth_key, request.auth_key_len)?;
    let iv: [u8; BLOCK] = super::array(ctx, request.iv)?;
    let additional = (len - request.text) as usize;
    let mac = if request.encrypt {
        modes::cbc(&cipher, true, &iv, &mut message[additional..]);
        request.digest.once(Some(&auth_key), &message)
    } else {
        let mac = request.digest.once(Some(&auth_key), &message);
        modes::cbc(&cipher, false, &iv, &mut message[additional..]);
        mac
    };
    let delivery = Delivery {
        encrypt: request.encrypt,
        mac: request.mac,
        tag: request.tag,
        target: request.target,
        offset: offset + additional as u64,
        copy: copies.then(|| (offset, message[..additional].to_vec())),
    };
    delivery.finish(ctx, message.split_off(additional), &mac)
}
