//! Authenticated ciphers (reference section 9): GCM and CCM in one piece ([`combined`]), CBC with HMAC ([`etm`]), and
//! GCM as a stream of descriptors ([`stream`]).

use super::Outcome;
use super::block::{Algorithm, Cipher};
use super::cipher;
use super::data::{self, Side};
use super::descriptor::Fields;
use super::hash::digest::Digest;
use super::refusal::Failure;
use crate::engine::buffer::Buffer;
use crate::engine::{Context, Generation, Refusal, Rule};

mod ccm;
mod combined;
mod etm;
mod gcm;
mod stream;
#[cfg(test)]
mod tests;

/// c_mode.
const CBC: u64 = 1;
const CCM: u64 = 5;
const GCM: u64 = 6;
/// Scene of streams (5.2).
const STREAM: u64 = 7;

/// Fields of every authenticated request. The key for authentication is named even where nothing uses it.
const USED: &[&str] = &[
    "seq",
    "de",
    "src_addr_type",
    "dst_addr_type",
    "c_icv_len",
    "c_key_len",
    "c_mode",
    "c_alg",
    "ctr_count_mode",
    "a_ivin_addr",
    "a_key_addr",
    "mac_addr",
    "c_ivin_addr",
    "c_key_addr",
    "data_src_addr",
    "data_dst_addr",
];

/// An authenticated request.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Combined(combined::Request),
    Etm(etm::Request),
    Stream(stream::Request),
}

/// Decodes and checks. Dispatch has made sure that it is one of the combinations of 12.1.
pub(super) fn decode(f: &Fields) -> Result<Request, Refusal> {
    // Linux writes the counter width of CTR into every descriptor (7.6).
    if matches!(f.ctr_count_mode, 1 | 3) {
        return Err(Rule::Value
            .broken(format!("ctr_count_mode is {} with an AEAD, must be 0 or 2", f.ctr_count_mode)));
    }
    if f.scene == STREAM {
        return stream::decode(f).map(Request::Stream);
    }
    // Scenes 0 (Linux, OP-TEE) and 1 (UADK) are alike; the others belong to other operations.
    if f.scene > 1 {
        return Err(Rule::Value.broken(format!("scene is {} with an AEAD, must be 0, 1 or 7", f.scene)));
    }
    if f.auth == 0 { combined::decode(f).map(Request::Combined) } else { etm::decode(f).map(Request::Etm) }
}

/// Executes; `copies` as [`super::Sec::copies_additional`].
pub(super) fn perform(request: &Request, copies: bool, ctx: &Context<'_>) -> Result<Outcome, Failure> {
    data::before(ctx)?;
    match request {
        Request::Combined(request) => combined::perform(request, copies, ctx),
        Request::Etm(request) => etm::perform(request, copies, ctx),
        Request::Stream(request) => stream::perform(request, ctx),
    }
}

/// What the request is, for the trace: `AES-128-GCM encrypt`, `SM4-CBC-HMAC-SM3 decrypt`, `AES-256-GCM first`.
pub(super) fn name(f: &Fields) -> String {
    if f.cipher == 0 {
        return stream::name_of_first(f);
    }
    let plain = cipher::name(f);
    match (f.auth, plain.split_once(' ')) {
        (1 | 2, Some((algorithm, direction))) => {
            let digest = Digest::by_code(f.a_alg).map_or("unknown", |(digest, _)| digest.name());
            format!("{algorithm}-HMAC-{digest} {direction}")
        }
        _ => plain,
    }
}

/// The block cipher and the bytes of its key: AES, on V3 also SM4 (9.3).
fn algorithm(f: &Fields) -> Result<(Algorithm, usize), Refusal> {
    let algorithm = Algorithm::read(f)?;
    match algorithm {
        Algorithm::Aes => {}
        Algorithm::Sm4 if f.generation >= Generation::V3 => {}
        other => {
            let text = format!("c_alg is {} ({other:?}): no AEAD of it on {:?}", f.c_alg, f.generation);
            return Err(Rule::Unsupported.broken(text));
        }
    }
    Ok((algorithm, algorithm.key_len(f)?))
}

/// Whether it encrypts. `seq` follows the direction (9.2): cipher, then digest; or the digest first.
fn encrypts(f: &Fields) -> Result<bool, Refusal> {
    let expected = match f.cipher {
        1 => 0,
        2 => 1,
        other => return Err(Rule::Value.broken(format!("cipher is {other} with an AEAD, must be 1 or 2"))),
    };
    if f.seq == expected {
        Ok(f.cipher == 1)
    } else {
        Err(Rule::Value.broken(format!("seq is {} with cipher {}, must be {expected}", f.seq, f.cipher)))
    }
}

/// Bytes of a GCM tag (9.3).
fn gcm_tag(f: &Fields) -> Result<usize, Refusal> {
    match f.c_icv_len {
        bytes @ 8..=16 => Ok(bytes as usize),
        other => Err(Rule::Length.broken(format!("c_icv_len is {other} with GCM, must be 8 to 16"))),
    }
}

/// A keyed cipher from memory.
fn keyed(ctx: &Context<'_>, algorithm: Algorithm, addr: u64, len: usize) -> Result<Cipher, Failure> {
    let key = data::read_flat(ctx, addr, len)?;
    Ok(Cipher::new(algorithm, &key).expect("key length was checked"))
}

/// `N` bytes of flat memory.
fn array<const N: usize>(ctx: &Context<'_>, addr: u64) -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    ctx.mem.read(addr, &mut bytes)?;
    Ok(bytes)
}

/// Where the text goes, and what becomes of the tag.
struct Delivery {
    encrypt: bool,
    /// Output: the tag; or input: the expected one.
    mac: u64,
    /// Bytes of it.
    tag: usize,
    target: Side,
    /// First byte of the text in the target.
    offset: u64,
    /// What is copied to the target besides: first byte, bytes.
    copy: Option<(u64, Vec<u8>)>,
}

impl Delivery {
    /// Ends a request: writes `text`, then writes the tag, or compares it and writes nothing there. The text of a
    /// message with a wrong tag is delivered all the same (9.7).
    fn finish(&self, ctx: &Context<'_>, text: Vec<u8>, tag: &[u8]) -> Result<Outcome, Failure> {
        let bytes = text.len() as u64;
        let tag = &tag[..self.tag];
        let expected = if self.encrypt { None } else { Some(data::read_flat(ctx, self.mac, self.tag)?) };
        let mut outputs = vec![(self.target.buffer(ctx, self.offset, bytes)?, text)];
        if let Some((offset, copy)) = &self.copy {
            outputs.push((self.target.buffer(ctx, *offset, copy.len() as u64)?, copy.clone()));
        }
        if self.encrypt {
            outputs.push((Buffer::flat(self.mac, tag.len() as u64), tag.to_vec()));
        }
        let output = data::write(ctx, &mut outputs)?;
        Ok(Outcome { bytes, output, mismatch: expected.is_some_and(|expected| expected != tag) })
    }
}
