//! GCM as a stream (reference 9.8): FIRST absorbs the additional data, each MIDDLE transforms whole blocks, END the rest.
//!
//! The state between them is the driver's: the counter block last used at c_ivin_addr, and the GHASH accumulator, 16
//! bytes at mac_addr. Up to V3 a driver ends the stream itself and sends a descriptor with the invalid bit; END by
//! the engine is refused there.

use super::{Delivery, GCM, STREAM, USED, gcm};
use crate::engine::buffer::Buffer;
use crate::engine::sec::Outcome;
use crate::engine::sec::block::{Algorithm, BLOCK, Block};
use crate::engine::sec::data::{self, LONGEST, Side};
use crate::engine::sec::descriptor::Fields;
use crate::engine::sec::ghash::{self, Ghash, NONCE};
use crate::engine::sec::refusal::Failure;
use crate::engine::{Context, Generation, Refusal, Rule};

/// a_alg of FIRST: AES-GMAC, SM4-GMAC (5.6).
pub(in crate::engine::sec) const AES_GMAC: u64 = 0x22;
pub(in crate::engine::sec) const SM4_GMAC: u64 = 0x31;

/// Longest additional data, bytes (9.1).
const LONGEST_ADDITIONAL: u64 = 0xFFFF;

const USED_BY_ALL: &[&str] = &["mac_sel", "a_pad", "a_key_len"];
const USED_BY_FIRST: &[&str] = &["auth", "a_alg", "mac_len", "a_len", "auth_src_offset", "cipher_src_offset"];
const USED_BY_MIDDLE: &[&str] = &["cipher", "ai_gen", "c_len"];
const USED_BY_END: &[&str] = &["long_a_data_len"];

/// A part of a stream.
#[derive(Clone, Debug)]
pub(in crate::engine::sec) struct Request {
    algorithm: Algorithm,
    key_len: usize,
    key: u64,
    source: Side,
    /// State out, tag out, or expected tag.
    mac: u64,
    part: Part,
}

#[derive(Clone, Debug)]
enum Part {
    /// Additional data: offset in the source, bytes.
    First {
        additional: (u64, u64),
    },
    Middle {
        text: Text,
    },
    End {
        text: Text,
        tag: usize,
        lengths: Lengths,
    },
}

#[derive(Clone, Copy, Debug)]
struct Text {
    encrypt: bool,
    len: u64,
    /// Address of the counter block last used.
    counter: u64,
    /// Address of the state; END: of four blocks with J0 and the state.
    state: u64,
    target: Side,
}

/// Of the whole message, bytes.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    additional: u64,
    text: u64,
}

/// Whether the engine computes the end of a stream: 9.8 says from the generation after V3.
fn ends_streams(generation: Generation) -> bool {
    generation > Generation::V3
}

pub(super) fn decode(f: &Fields) -> Result<Request, Refusal> {
    for (name, kind) in [("src_addr_type", f.src_addr_type), ("dst_addr_type", f.dst_addr_type)] {
        if kind != 0 {
            return Err(
                Rule::Unsupported.broken(format!("{name} is {kind}: GCM streams take flat buffers only"))
            );
        }
    }
    if f.cipher == 0 {
        return first(f);
    }
    let (algorithm, key_len) = super::algorithm(f)?;
    if f.auth != 0 || f.c_mode != GCM {
        let text = format!("scene {STREAM} with cipher {}, auth {}, c_mode {}", f.cipher, f.auth, f.c_mode);
        return Err(Rule::Value.broken(format!("{text}: only GCM has a stream")));
    }
    let end = match (f.a_pad, f.ai_gen) {
        (1, 1) => false,
        (0, 1) => true,
        (pad, gen_) => {
            return Err(Rule::Value.broken(format!("a_pad {pad} with ai_gen {gen_} in a GCM stream")));
        }
    };
    if end && !ends_streams(f.generation) {
        let text = format!("a_pad is 0: {:?} does not end a GCM stream", f.generation);
        return Err(Rule::Unsupported.broken(text));
    }
    f.only(&[USED, USED_BY_ALL, USED_BY_MIDDLE, if end { USED_BY_END } else { &[] }])?;
    key_words(f, key_len)?;
    let tag = super::gcm_tag(f)?;
    let text = Text {
        encrypt: super::encrypts(f)?,
        len: f.c_len,
        counter: f.c_ivin_addr,
        state: f.a_ivin_addr,
        target: Side::target(f)?,
    };
    let multiple = if end { 1 } else { BLOCK as u64 };
    if f.c_len == 0 || f.c_len > LONGEST || !f.c_len.is_multiple_of(multiple) {
        return Err(Rule::Length.broken(format!(
            "c_len is {:#x} in a GCM stream, must be from 1 to {LONGEST:#x}, multiple of {multiple}",
            f.c_len
        )));
    }
    let part = if end { Part::End { text, tag, lengths: lengths(f)? } } else { Part::Middle { text } };
    // On V2 without shared virtual addresses the driver gives the key only there (14.4).
    let key = match (f.generation, f.c_key_addr) {
        (Generation::V2, 0) => f.a_key_addr,
        (_, addr) => addr,
    };
    Ok(Request { algorithm, key_len, key, source: Side::source(f)?, mac: f.mac_addr, part })
}

fn first(f: &Fields) -> Result<Request, Refusal> {
    let algorithm = match f.a_alg {
        AES_GMAC => Algorithm::Aes,
        SM4_GMAC if f.generation >= Generation::V3 => Algorithm::Sm4,
        other => {
            let text = format!("a_alg is {other:#x} in the first part of a GCM stream on {:?}", f.generation);
            return Err(Rule::Unsupported.broken(text));
        }
    };
    f.only(&[USED, USED_BY_ALL, USED_BY_FIRST])?;
    let value = |name: &str, value: u64, expected: u64| match value == expected {
        true => Ok(()),
        false => Err(Rule::Value
            .broken(format!("{name} is {value} in the first part of a GCM stream, must be {expected}"))),
    };
    value("auth", f.auth, 1)?;
    value("a_pad", f.a_pad, 1)?;
    value("mac_len", f.mac_len, 4)?;
    let key_len = match (algorithm, f.a_key_len) {
        (Algorithm::Aes, words @ (4 | 6 | 8)) | (_, words @ 4) => words as usize * 4,
        (_, words) => return Err(Rule::Key.broken(format!("a_key_len is {words} words with {algorithm:?}"))),
    };
    // V3 drivers leave the mode and the key's length there (14.4).
    if f.c_mode == GCM {
        value("c_key_len", f.c_key_len, (key_len as u64 - 16) / 8)?;
    }
    if f.a_len == 0 || f.a_len > LONGEST_ADDITIONAL {
        let text = format!("a_len is {:#x}, must be from 1 to {LONGEST_ADDITIONAL:#x}", f.a_len);
        return Err(Rule::Length.broken(text));
    }
    // The destination is named, not used, and may be null.
    Side::target(f)?;
    Ok(Request {
        algorithm,
        key_len,
        key: f.a_key_addr,
        source: Side::source(f)?,
        mac: f.mac_addr,
        part: Part::First { additional: (f.auth_src_offset, f.a_len) },
    })
}

/// a_key_len says what c_key_len says.
fn key_words(f: &Fields, key_len: usize) -> Result<(), Refusal> {
    match f.a_key_len * 4 == key_len as u64 {
        true => Ok(()),
        false => {
            Err(Rule::Key
                .broken(format!("a_key_len is {} words, c_key_len says {key_len} bytes", f.a_key_len)))
        }
    }
}

/// long_a_data_len of END: bits [23:0] additional data, [63:24] the whole text, both in bytes.
fn lengths(f: &Fields) -> Result<Lengths, Refusal> {
    let lengths = Lengths { additional: f.long_a_data_len & 0xFF_FFFF, text: f.long_a_data_len >> 24 };
    let earlier = lengths.text.checked_sub(f.c_len);
    if lengths.additional == 0 || !earlier.is_some_and(|earlier| earlier.is_multiple_of(BLOCK as u64)) {
        return Err(Rule::Length.broken(format!(
            "long_a_data_len is {:#x}: {:#x} bytes of additional data, {:#x} of text with c_len {:#x}",
            f.long_a_data_len, lengths.additional, lengths.text, f.c_len
        )));
    }
    Ok(lengths)
}

pub(super) fn perform(request: &Request, ctx: &Context<'_>) -> Result<Outcome, Failure> {
    let cipher = super::keyed(ctx, request.algorithm, request.key, request.key_len)?;
    let state_out = || Buffer::flat(request.mac, BLOCK as u64);
    match request.part {
        Part::First { additional: (offset, len) } => {
            let additional = data::read(ctx, &request.source.buffer(ctx, offset, len)?)?;
            let mut hash = Ghash::new(&cipher);
            hash.absorb(&additional);
            let output = data::write(ctx, &mut [(state_out(), hash.state().to_vec())])?;
            Ok(Outcome { bytes: 0, output, mismatch: false })
        }
        Part::Middle { text } => {
            let mut bytes = data::read(ctx, &request.source.buffer(ctx, 0, text.len)?)?;
            let mut hash = Ghash::resume(&cipher, &super::array(ctx, text.state)?);
            let counter = super::array(ctx, text.counter)?;
            gcm::part(&cipher, &counter, text.encrypt, &mut hash, &mut bytes);
            let target = text.target.buffer(ctx, 0, text.len)?;
            let output = data::write(ctx, &mut [(target, bytes), (state_out(), hash.state().to_vec())])?;
            Ok(Outcome { bytes: text.len, output, mismatch: false })
        }
        Part::End { text, tag, lengths } => {
            let mut bytes = data::read(ctx, &request.source.buffer(ctx, 0, text.len)?)?;
            let state: [u8; 4 * BLOCK] = super::array(ctx, text.state)?;
            let counter = super::array(ctx, text.counter)?;
            let (first_counter, accumulator) = end_state(&state, &counter, lengths.text - text.len)?;
            let mut hash = Ghash::resume(&cipher, &accumulator);
            gcm::part(&cipher, &counter, text.encrypt, &mut hash, &mut bytes);
            hash.lengths(lengths.additional, lengths.text);
            let sealed = ghash::seal(&cipher, &first_counter, hash);
            let target = text.target;
            let delivery =
                Delivery { encrypt: text.encrypt, mac: request.mac, tag, target, offset: 0, copy: None };
            delivery.finish(ctx, bytes, &sealed)
        }
    }
}

/// J0 and the accumulator from END's four blocks: J0, zeros, Y, zeros. The strict rule: J0, the counter and the text so
/// far (bytes) belong together.
fn end_state(state: &[u8; 4 * BLOCK], counter: &Block, earlier: u64) -> Result<(Block, Block), Refusal> {
    let block = |index: usize| -> Block {
        state[index * BLOCK..][..BLOCK].try_into().expect("four blocks were read")
    };
    let refuse = |text: String| Err(Rule::Stream.broken(text));
    let nonce: [u8; NONCE] = state[..NONCE].try_into().expect("a nonce is shorter");
    let first_counter = ghash::first_counter(&nonce);
    if block(0) != first_counter || block(1) != [0; BLOCK] || block(3) != [0; BLOCK] {
        return refuse("authentication IV of a GCM stream's end is not J0, zeros, state, zeros".into());
    }
    let blocks = (earlier / BLOCK as u64) as u32;
    let expected = u128::from_be_bytes(first_counter) & !0xFFFF_FFFF | u128::from(blocks.wrapping_add(1));
    if u128::from_be_bytes(*counter) != expected {
        let found = u128::from_be_bytes(*counter);
        return refuse(format!(
            "counter last used is {found:#034x}, J0 and {earlier:#x} bytes give {expected:#034x}"
        ));
    }
    Ok((first_counter, block(2)))
}

/// `AES-128-GCM first`.
pub(super) fn name_of_first(f: &Fields) -> String {
    match f.a_alg {
        SM4_GMAC => "SM4-GCM first".into(),
        _ => format!("AES-{}-GCM first", f.a_key_len * 32),
    }
}
