//! Digests and HMAC, whole or in parts, and the AES MACs of V3 (reference section 8).

use super::block::{Algorithm, Block, Cipher};
use super::data::{self, LONGEST, Side};
use super::descriptor::Fields;
use super::refusal::Failure;
use super::{Outcome, STREAM, ghash};
use crate::engine::buffer::Buffer;
use crate::engine::{Context, Generation, Refusal, Rule};
use digest::{Digest, Running};

pub(super) mod digest;
mod mac;

/// Fields of every digest and MAC. There is no destination, and the cipher's fields are 0.
const USED: &[&str] = &[
    "auth",
    "src_addr_type",
    "mac_len",
    "a_alg",
    "a_len",
    "auth_src_offset",
    "ctr_count_mode",
    "mac_addr",
    "data_src_addr",
];
const KEYED: &[&str] = &["a_key_len", "a_key_addr"];
const STATE_IN: &[&str] = &["ai_gen", "a_ivin_addr"];
const NO_PAD: &[&str] = &["a_pad"];
const TOTAL: &[&str] = &["long_a_data_len"];

/// Part of a message, by where the state comes from and goes to (8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Single,
    First,
    Middle,
    /// With the bits of the whole message.
    End(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Hash { digest: Digest, hmac: bool, part: Part },
    Xcbc,
    Cmac,
    Gmac,
}

/// A digest or MAC request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    function: Function,
    source: Side,
    /// Bytes to skip at the start of the source.
    offset: u64,
    len: u64,
    key: u64,
    key_len: usize,
    /// State or nonce.
    iv: u64,
    mac: u64,
    mac_len: usize,
}

/// Decodes and checks. Dispatch has made sure of auth 1 without a cipher.
pub(super) fn decode(f: &Fields) -> Result<Request, Refusal> {
    let function = match f.a_alg {
        0x20..=0x22 => aes_mac(f)?,
        _ => hash(f)?,
    };
    // Linux sets 2 in every descriptor (7.6).
    if matches!(f.ctr_count_mode, 1 | 3) {
        return Err(Rule::Value.broken(format!("ctr_count_mode {} with a digest", f.ctr_count_mode)));
    }
    if f.a_len > LONGEST {
        return Err(Rule::Length.broken(format!("a_len is {:#x}, at most {LONGEST:#x}", f.a_len)));
    }
    Ok(Request {
        function,
        source: Side::source(f)?,
        offset: f.auth_src_offset,
        len: f.a_len,
        key: f.a_key_addr,
        key_len: f.a_key_len as usize * 4,
        iv: f.a_ivin_addr,
        mac: f.mac_addr,
        mac_len: f.mac_len as usize * 4,
    })
}

/// Scenes of digests (5.2): 0 and 1 everywhere, on V3 the stream scene too, which alone has the fields of long hashes.
fn check_scene(f: &Fields) -> Result<(), Refusal> {
    match f.scene {
        0 | 1 => Ok(()),
        STREAM if f.generation != Generation::V2 => Ok(()),
        other => Err(Rule::Value.broken(format!("scene {other} with a digest on {:?}", f.generation))),
    }
}

fn hash(f: &Fields) -> Result<Function, Refusal> {
    let Some((digest, hmac)) = Digest::by_code(f.a_alg) else {
        return Err(Rule::Value.broken(format!("a_alg is {:#x}, no digest or MAC", f.a_alg)));
    };
    check_scene(f)?;
    let name = name(f);
    let part = match (f.a_pad, f.ai_gen) {
        (0, 0) => Part::Single,
        (1, 0) => Part::First,
        (1, 1) => Part::Middle,
        (0, 1) => Part::End(f.long_a_data_len),
        (0 | 1, other) => return Err(Rule::Value.broken(format!("ai_gen is {other}, must be 0 or 1"))),
        (other, _) => return Err(Rule::Value.broken(format!("a_pad is {other}, must be 0 or 1"))),
    };
    let keyed = if hmac { KEYED } else { &[] };
    match part {
        Part::Single => f.only(&[USED, keyed])?,
        Part::First => f.only(&[USED, keyed, NO_PAD])?,
        Part::Middle => f.only(&[USED, keyed, NO_PAD, STATE_IN])?,
        Part::End(_) => f.only(&[USED, keyed, STATE_IN, TOTAL])?,
    }
    if part != Part::Single && f.generation != Generation::V2 && f.scene != STREAM {
        return Err(Rule::Value.broken(format!("scene is {} in a long hash, must be {STREAM}", f.scene)));
    }
    if f.a_key_len * 4 > digest.block_len() as u64 {
        let text = format!("a_key_len is {} words with {name}, more than a block", f.a_key_len);
        return Err(Rule::Key.broken(text));
    }
    check_lengths(f, digest, hmac, part)?;
    Ok(Function::Hash { digest, hmac, part })
}

/// Lengths of data and result (8.2 to 8.5).
fn check_lengths(f: &Fields, digest: Digest, hmac: bool, part: Part) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Rule::Length.broken(format!("{text} with {} ({part:?})", name(f))));
    let block = digest.block_len() as u64;
    let words = match part {
        Part::Single | Part::End(_) => digest.output_len() / 4,
        // Drivers write all sorts of things (8.3): the engine writes the whole state.
        Part::First | Part::Middle => digest.state_len() / 4,
    } as u64;
    let whole = matches!(part, Part::First | Part::Middle) && !hmac && digest != Digest::Sm3;
    if f.mac_len > words || f.mac_len == 0 && !whole {
        return refuse(format!("mac_len is {} words, must be {} to {words}", f.mac_len, u8::from(!whole)));
    }
    match part {
        Part::Single if f.a_len == 0 && f.generation == Generation::V2 => {
            refuse("a_len is 0, which V2 does not take".into())
        }
        Part::First | Part::Middle if f.a_len == 0 || !f.a_len.is_multiple_of(block) => {
            refuse(format!("a_len is {:#x}, must be a multiple of {block}", f.a_len))
        }
        Part::First | Part::Middle if f.src_addr_type != 0 => {
            // No driver sends it (6.2); the end may be a list.
            Err(Rule::Value.broken(format!("src_addr_type is {} in a long hash, must be 0", f.src_addr_type)))
        }
        Part::End(bits) => {
            let before = (bits / 8).checked_sub(f.a_len).filter(|_| bits.is_multiple_of(8));
            match before {
                Some(bytes) if bytes > 0 && bytes.is_multiple_of(block) => Ok(()),
                _ => refuse(format!(
                    "long_a_data_len is {bits:#x} bits with a_len {:#x}: what came before is no multiple of {block} bytes",
                    f.a_len
                )),
            }
        }
        _ => Ok(()),
    }
}

fn aes_mac(f: &Fields) -> Result<Function, Refusal> {
    let name = name(f);
    if f.generation == Generation::V2 {
        return Err(Rule::Unsupported.broken(format!("a_alg {:#x} ({name}) is not offered on V2", f.a_alg)));
    }
    check_scene(f)?;
    if is_part(f) {
        let text = format!("a_pad {} and ai_gen {}: {name} has no long mode", f.a_pad, f.ai_gen);
        return Err(Rule::Unsupported.broken(text));
    }
    let (function, state_in, keys): (_, &[&str], &[u64]) = match f.a_alg {
        0x20 => (Function::Xcbc, &[], &[4]),
        0x21 => (Function::Cmac, &[], &[4]),
        _ => (Function::Gmac, STATE_IN, &[4, 6, 8]),
    };
    if function == Function::Gmac && (f.scene == STREAM || f.ai_gen != 1) {
        let text = format!("scene {} and ai_gen {} with {name}, must be 0 or 1, and 1", f.scene, f.ai_gen);
        return Err(Rule::Value.broken(text));
    }
    f.only(&[USED, KEYED, state_in])?;
    if !keys.contains(&f.a_key_len) {
        return Err(
            Rule::Key.broken(format!("a_key_len is {} words with {name}, one of {keys:?}", f.a_key_len))
        );
    }
    if !(1..=4).contains(&f.mac_len) {
        return Err(
            Rule::Length.broken(format!("mac_len is {} words with {name}, must be 1 to 4", f.mac_len))
        );
    }
    if f.a_len == 0 && function != Function::Gmac {
        return Err(Rule::Length.broken(format!("a_len is 0 with {name}")));
    }
    Ok(function)
}

/// Executes.
pub(super) fn perform(request: &Request, ctx: &Context<'_>) -> Result<Outcome, Failure> {
    data::before(ctx)?;
    // All input is read before anything is written: the state may come from where it goes to.
    let source = request.source.buffer(ctx, request.offset, request.len)?;
    let data = data::read(ctx, &source)?;
    let key = data::read_flat(ctx, request.key, request.key_len)?;
    let aes = |key: &[u8]| Cipher::new(Algorithm::Aes, key).expect("key length was checked");
    let mut out = match request.function {
        Function::Hash { digest, hmac, part } => {
            let key = hmac.then_some(&key[..]);
            let resume = || -> Result<Running, Failure> {
                Ok(Running::resume(digest, &data::read_flat(ctx, request.iv, digest.state_len())?))
            };
            let state = |mut running: Running| {
                running.absorb(&data);
                running.image()
            };
            match part {
                Part::Single => digest.once(key, &data),
                Part::First => state(Running::start(digest, key)),
                Part::Middle => state(resume()?),
                Part::End(bits) => resume()?.finish(key, &data, u128::from(bits)),
            }
        }
        Function::Xcbc => {
            let key: &Block = key[..].try_into().expect("key length was checked");
            mac::xcbc(|key| aes(key), key, &data).to_vec()
        }
        Function::Cmac => mac::cmac(&aes(&key), &data).to_vec(),
        Function::Gmac => {
            // The rest of the 16-byte IV does not count (unknown 7).
            let nonce = data::read_flat(ctx, request.iv, ghash::NONCE)?;
            let nonce = nonce[..].try_into().expect("as many bytes as were read");
            ghash::gmac(&aes(&key), nonce, &data).to_vec()
        }
    };
    let partial = matches!(request.function, Function::Hash { part: Part::First | Part::Middle, .. });
    if !partial {
        out.truncate(request.mac_len);
    }
    let target = Buffer::flat(request.mac, out.len() as u64);
    let output = data::write(ctx, &mut [(target, out)])?;
    Ok(Outcome { bytes: request.len, output, mismatch: false })
}

/// Whether the request is a part of a long hash, for the trace.
pub(super) fn is_part(f: &Fields) -> bool {
    f.a_pad != 0 || f.ai_gen != 0 && f.a_alg != 0x22
}

/// What the request is, for the trace: `SHA-256`, `HMAC-SM3`, `AES-128-GMAC`.
pub(super) fn name(f: &Fields) -> String {
    match (f.a_alg, f.a_key_len) {
        (0x20, _) => "AES-XCBC-MAC".into(),
        (0x21, _) => "AES-CMAC".into(),
        (0x22, 4 | 6 | 8) => format!("AES-{}-GMAC", f.a_key_len * 32),
        (0x22, _) => "AES-GMAC".into(),
        (code, _) => match Digest::by_code(code) {
            Some((digest, false)) => digest.name().into(),
            Some((digest, true)) => format!("HMAC-{}", digest.name()),
            None => "unknown digest".into(),
        },
    }
}

#[cfg(test)]
mod tests;
