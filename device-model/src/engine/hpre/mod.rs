//! The HPRE engine: RSA and DH on queues of class 0, elliptic curves on queues of class 1 of version 3 devices.
//!
//! Section numbers are those of the HPRE reference. Where it is silent (section 14), this model says:
//! * A descriptor that breaks its tables and operands without a result both end with etype 1; the first is refused,
//!   the second a finished request with an error. An unreachable address is refused with etype1 bit 5 and a non-zero
//!   sva_status (section 11, item 10).
//! * These have no result: a modulus that is zero, one or even; a missing inverse; a point off its curve or with a
//!   coordinate not below p; a result at infinity; a scalar or half a signature that is zero or not below n (alg 0x0D,
//!   0x10 and 0x15, which read no n: that is zero); X25519 and X448 with u not below p; an SM2 ciphertext with a wrong
//!   C3; a given k with which the standard says to draw again.
//! * Nothing is written where there is no result.
//! * A wrong signature is a good completion with verdict 0 (section 11, item 6); dword 7 keeps its value.

use super::entry::Entry;
use super::{Buffers, Context, Description, Engine, Fault, Generation, Injection, Mode, Rule, Verdict};
use compute::{Answer, compute};
pub use options::Options;
use random::Source;
use request::Request;
use std::sync::atomic::AtomicU64;
use zeroize::Zeroizing;

mod compute;
mod curve;
mod ecc;
mod field;
mod montgomery;
mod number;
mod options;
mod random;
mod request;
mod rsa;
mod sm2;

const SIZE: usize = 64;
const DONE: u32 = 3;
const BAD_PARAMETER: u32 = 1;
const TRANSLATION: u32 = 1 << 5;

/// The operands have no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NoResult;

/// HPRE requests in software.
#[derive(Debug)]
pub struct Hpre {
    options: Options,
    source: Source,
}

impl Hpre {
    /// The engine without any option.
    pub const STANDARD: Self = Self::new(Options::NONE);

    /// An engine with options.
    pub const fn new(options: Options) -> Self {
        let source = match options.seed {
            None => Source::System,
            Some(seed) => Source::Seeded { seed, used: AtomicU64::new(0) },
        };
        Self { options, source }
    }

    fn perform(&self, request: &Request, ctx: &Context<'_>) -> Result<Outcome, Failure> {
        let sizes = request.operation.sizes(request.width);
        let mut key = Zeroizing::new(vec![0; sizes.key]);
        let mut input = Zeroizing::new(vec![0; sizes.input]);
        ctx.mem.read(request.key, &mut key)?;
        ctx.mem.read(request.input, &mut input)?;
        let answer = compute(request, &key, &input, self.options, &self.source)
            .map_err(|NoResult| Failure::Status { written: 0 })?;
        let out = match answer {
            Answer::Verdict(_) if ctx.injection == Injection::Partial => {
                return Err(Failure::Status { written: 0 });
            }
            Answer::Verdict(valid) => {
                let verdict = Some(valid != (ctx.injection == Injection::Corrupt));
                return Ok(Outcome { written: 0, verdict });
            }
            Answer::Output(out) => out,
        };
        let mut out = out.image();
        match ctx.injection {
            Injection::Partial => {
                let half = out.len() / 2;
                out.truncate(half);
                ctx.mem.write(request.output, &out)?;
                return Err(Failure::Status { written: out.len() });
            }
            Injection::Corrupt => {
                let middle = out.len() / 2;
                out[middle] ^= 0x10;
            }
            _ => {}
        }
        ctx.mem.write(request.output, &out)?;
        Ok(Outcome { written: out.len(), verdict: None })
    }
}

/// What a good request did.
struct Outcome {
    /// Bytes written to memory.
    written: usize,
    /// Of a signature.
    verdict: Option<bool>,
}

/// How a well-formed request failed.
enum Failure {
    /// With etype, after so many bytes were written.
    Status {
        written: usize,
    },
    Address(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Address(fault)
    }
}

/// The status fields of an entry: etype in bits 10:0, etype1 in bits 29:16 and, if it is not 3, done in bits 31:30.
fn status(entry: &Entry<'_>) -> u32 {
    let done = entry.bits(0, 31, 30);
    entry.bits(0, 15, 5) | entry.bits(0, 29, 16) << 16 | if done == DONE { 0 } else { done << 30 }
}

fn finish(entry: &mut Entry<'_>, done: u32, etype: u32, etype1: u32, sva_status: u32) {
    let alg = entry.bits(0, 4, 0);
    entry.put_word(0, alg | (etype & 0x7FF) << 5 | (etype1 & 0x3FFF) << 16 | done << 30);
    entry.put_word(4, entry.word(4) & !(15 << 27) | sva_status << 27);
}

impl Engine for Hpre {
    fn classify(&self, sqe: &[u8], _generation: Generation, _qc_type: u16) -> &'static str {
        match sqe.first().map(|byte| byte & 31) {
            Some(0..=3) => "rsa",
            Some(4 | 5) => "dh",
            Some(0x0D) => "ecdh",
            Some(0x0E | 0x0F) => "ecdsa",
            Some(0x10) => "xdh",
            Some(0x11..=0x15) => "sm2",
            _ => "unknown",
        }
    }

    fn describe(&self, sqe: &[u8], _generation: Generation, _qc_type: u16) -> Description {
        let operation = match Entry::new(&mut sqe.to_vec(), SIZE).map(|entry| request::look(&entry)) {
            Ok((_, width, Some(operation))) => operation.name(width),
            Ok((alg, _, None)) => format!("alg {alg:#04x}"),
            Err(_) => "unknown".into(),
        };
        Description { operation, buffers: Buffers::Flat, mode: Mode::OneShot }
    }

    fn tag(&self, _generation: Generation) -> std::ops::Range<usize> {
        32..40
    }

    fn status(&self, sqe: &[u8]) -> Option<u32> {
        Entry::new(&mut sqe.to_vec(), SIZE).ok().map(|entry| status(&entry))
    }

    /// An injected status has etype in its low 11 bits, etype1 in bits 29:16 and, if not 0, the value of `done` in
    /// bits 31:30; the verdict reports the status fields in the same form.
    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict {
        let mut entry = match Entry::new(sqe, SIZE) {
            Ok(entry) => entry,
            Err(refusal) => return refusal.into(),
        };
        let request = match Request::decode(&entry, ctx, self.options) {
            Ok(request) => request,
            Err(refusal) => {
                finish(&mut entry, DONE, BAD_PARAMETER, 0, 0);
                return refusal.into();
            }
        };
        if let Injection::Status(code) = ctx.injection {
            let done = if code >> 30 == 0 { DONE } else { code >> 30 };
            finish(&mut entry, done, code, code >> 16, 0);
            let status = status(&entry);
            let bytes = if status == 0 { request.width as u64 } else { 0 };
            return Verdict::Done { bytes, output: 0, status, ok: status == 0 };
        }
        let (bytes, written) = match self.perform(&request, ctx) {
            Ok(outcome) => {
                finish(&mut entry, DONE, 0, 0, 0);
                if let Some(valid) = outcome.verdict {
                    entry.put_word(24, if valid { 2 } else { 0 });
                }
                (request.width as u64, outcome.written)
            }
            Err(Failure::Status { written }) => {
                finish(&mut entry, DONE, BAD_PARAMETER, 0, 0);
                (0, written)
            }
            Err(Failure::Address(fault)) => {
                finish(&mut entry, DONE, 0, TRANSLATION, 1);
                return Rule::Address.broken(fault.to_string()).into();
            }
        };
        if ctx.injection == Injection::StaleTag {
            // As if it were the tag of the request before: many drivers count.
            entry.put_word(32, entry.word(32).wrapping_sub(1));
        }
        let status = status(&entry);
        Verdict::Done { bytes, output: written as u64, status, ok: status == 0 }
    }
}

#[cfg(test)]
mod tests;
