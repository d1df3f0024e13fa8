//! The SEC engine: ciphers, digests, MACs and authenticated ciphers. Section numbers are those of the SEC reference.
//!
//! | module | what |
//! |---|---|
//! | `descriptor` | both descriptor types as one record of raw fields; what a request does not use must be 0 |
//! | `cipher` | plain ciphers (section 7) |
//! | `hash` | digests, HMAC and AES MACs (section 8) |
//! | `aead` | GCM, CCM, CBC with HMAC, stream GCM (section 9) |
//! | `block`, `ghash` | the primitives that several of them use |
//! | `data` | reading inputs, writing outputs, the fault plan's way with them |
//!
//! Each kind of request has a `decode`, which sees the fields alone, and a `perform`, which sees the memory.

use super::entry::Entry;
use super::{Buffers, Context, Description, Engine, Generation, Injection, Mode, Refusal, Rule, Verdict};
use descriptor::{Fields, WRITEBACK};
use refusal::Failure;

mod aead;
mod block;
mod cipher;
mod data;
mod descriptor;
mod ghash;
mod hash;
mod refusal;

/// Ciphers that V2 hardware has beyond ECB, CBC and XTS. Drivers disagree (7.2), and no document decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum V2Ciphers {
    /// None, as UADK and Linux have it.
    Plain,
    /// CTR with AES, but no request in which the low 32 counter bits would wrap: nobody knows how wide the counter of
    /// that generation is (unknown 10), so a driver must not depend on it. SM4-CTR stays refused, as by the
    /// descriptor check that the secure world has to relax first.
    #[default]
    AesCtr,
    /// CTR (128-bit roll-over), OFB, CFB and CBC-CS with AES and SM4.
    All,
}

/// SEC requests in software.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sec {
    /// What a V2 device takes.
    pub v2: V2Ciphers,
    /// AEAD: the additional data is copied to the destination, in front of the text. No driver's code depends on it,
    /// and no document decides (unknown 6); but UADK's benchmark can decrypt what it has encrypted only if it is so.
    pub copies_additional: bool,
}

impl Sec {
    /// With the default ciphers on V2.
    pub const STANDARD: Sec = Sec { v2: V2Ciphers::AesCtr, copies_additional: false };
}

/// The kinds of requests (12.1, step 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cipher,
    Hash,
    Aead,
}

/// Digest code of GHASH in the first part of a GCM stream: AES, SM4 (5.6).
const STREAM_GHASH: [u64; 2] = [0x22, 0x31];
/// The scene that selects the stream layout (5.2).
const STREAM: u64 = 7;

impl Kind {
    fn of(f: &Fields) -> Option<Self> {
        Some(match (f.cipher, f.auth) {
            (1 | 2, 0) if !matches!(f.c_mode, 5 | 6) => Self::Cipher,
            (1 | 2, 0..=2) => Self::Aead,
            (0, 1) if f.scene == STREAM && f.a_pad == 1 && STREAM_GHASH.contains(&f.a_alg) => Self::Aead,
            (0, 1) => Self::Hash,
            _ => return None,
        })
    }

    fn class(self) -> &'static str {
        match self {
            Self::Cipher => "cipher",
            Self::Hash => "digest",
            Self::Aead => "aead",
        }
    }

    /// done_flag: done, and the flag that tells which units have finished (10.1).
    fn done_flag(self) -> u16 {
        match self {
            Self::Cipher => 0x0101,
            Self::Hash => 0x0081,
            Self::Aead => 0x0181,
        }
    }
}

/// done_flag of an invalid descriptor, and of one that asks for nothing known.
const DONE: u16 = 0x0001;
/// icv 2: the tag is another (10.1).
const MISMATCH: u16 = 2 << 1;

/// How a request ended.
struct Outcome {
    /// Bytes for the ledger.
    bytes: u64,
    /// Bytes written to memory.
    output: u64,
    /// Verification found another tag.
    mismatch: bool,
}

impl Engine for Sec {
    fn classify(&self, sqe: &[u8], generation: Generation, _qc_type: u16) -> &'static str {
        fields(sqe, generation).and_then(|f| Kind::of(&f)).map_or("unknown", Kind::class)
    }

    fn describe(&self, sqe: &[u8], generation: Generation, _qc_type: u16) -> Description {
        let unknown =
            Description { operation: "unknown".into(), buffers: Buffers::Flat, mode: Mode::OneShot };
        fields(sqe, generation).map_or(unknown, |f| describe(&f))
    }

    fn tag(&self, generation: Generation) -> std::ops::Range<usize> {
        if generation == Generation::V2 { 40..42 } else { 8..16 }
    }

    fn status(&self, sqe: &[u8]) -> Option<u32> {
        let at = |index: usize| sqe.get(index).map(|byte| u32::from(*byte));
        Some((at(112)? | at(113)? << 8) << 16 | at(114)?)
    }

    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict {
        let mut entry = match Entry::new(sqe, descriptor::SIZE) {
            Ok(entry) => entry,
            Err(refusal) => return refusal.into(),
        };
        let f = Fields::read(&entry, ctx.generation);
        let good = if f.invalid == 1 { DONE } else { Kind::of(&f).map_or(DONE, Kind::done_flag) };
        let (flag, code, verdict) = match self.run(&entry, &f, ctx) {
            Ok(outcome) => {
                let flag = if outcome.mismatch { good | MISMATCH } else { good };
                (flag, 0, done(flag, 0, &outcome))
            }
            Err(Failure::Injected { flag, code, output }) => {
                let flag = flag.unwrap_or(good);
                let mut verdict = done(flag, code, &Outcome { bytes: 0, output, mismatch: false });
                if let Verdict::Done { ok, .. } = &mut verdict {
                    *ok &= flag == good;
                }
                (flag, code, verdict)
            }
            Err(Failure::Refused(refusal)) => (good, refusal::code(refusal.rule), refusal.into()),
        };
        entry.clear(WRITEBACK, 16);
        entry.put_half(WRITEBACK, flag);
        entry.put_byte(WRITEBACK + 2, code);
        if ctx.injection == Injection::StaleTag {
            let at = if ctx.generation == Generation::V2 { 40 } else { 8 };
            entry.put_half(at, entry.half(at).wrapping_sub(1));
        }
        verdict
    }
}

impl Sec {
    fn run(&self, entry: &Entry<'_>, f: &Fields, ctx: &Context<'_>) -> Result<Outcome, Failure> {
        if ctx.qc_type != 0 {
            let text = format!("queue class {}, must be 0", ctx.qc_type);
            return Err(Rule::QueueClass.broken(text).into());
        }
        f.check_frame(entry)?;
        if f.invalid == 1 {
            data::before(ctx)?;
            return Ok(Outcome { bytes: 0, output: 0, mismatch: false });
        }
        match Kind::of(f) {
            Some(Kind::Cipher) => cipher::perform(&cipher::decode(f, self.v2)?, ctx),
            Some(Kind::Hash) => hash::perform(&hash::decode(f)?, ctx),
            Some(Kind::Aead) => aead::perform(&aead::decode(f)?, self.copies_additional, ctx),
            None => Err(unknown(f).into()),
        }
    }
}

fn unknown(f: &Fields) -> Refusal {
    Rule::Value.broken(format!(
        "cipher direction {} with auth {} is no operation: cipher must be 1 or 2, or 0 with auth 1",
        f.cipher, f.auth
    ))
}

fn done(flag: u16, code: u8, outcome: &Outcome) -> Verdict {
    let ok = code == 0 && !outcome.mismatch;
    Verdict::Done {
        bytes: if ok { outcome.bytes } else { 0 },
        output: outcome.output,
        status: u32::from(flag) << 16 | u32::from(code),
        ok,
    }
}

/// The fields of an entry of the right size.
fn fields(sqe: &[u8], generation: Generation) -> Option<Fields> {
    let mut copy = sqe.to_vec();
    Entry::new(&mut copy, descriptor::SIZE).ok().map(|entry| Fields::read(&entry, generation))
}

fn describe(f: &Fields) -> Description {
    let (operation, stream) = match Kind::of(f) {
        _ if f.invalid == 1 => ("nothing (invalid descriptor)".into(), false),
        Some(Kind::Cipher) => (cipher::name(f), false),
        Some(Kind::Hash) => (hash::name(f), hash::is_part(f)),
        Some(Kind::Aead) => (aead::name(f), f.scene == STREAM),
        None => ("unknown".into(), false),
    };
    let target = if f.de == 0 { f.src_addr_type } else { f.dst_addr_type };
    let buffers = match (f.src_addr_type == 1, target == 1) {
        (false, false) => Buffers::Flat,
        (true, true) => Buffers::Sgl,
        _ => Buffers::Mixed,
    };
    Description { operation, buffers, mode: if stream { Mode::Stream } else { Mode::OneShot } }
}

#[cfg(test)]
mod tests;
