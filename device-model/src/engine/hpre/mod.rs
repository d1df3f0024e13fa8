//! The HPRE engine: RSA and DH on queues of class 0. The elliptic-curve operations are refused by name.
//!
//! Section numbers are those of the HPRE reference. Where it is silent: a descriptor that breaks its tables and an
//! operand that has no result (zero or even modulus, no inverse) both end with etype 1, the first counted as
//! refused; an unreachable address sets etype1 bit 5 and a non-zero sva_status (section 11, item 10).

use super::entry::Entry;
use super::{Context, Engine, Fault, Generation, Injection, Verdict};
use number::{Slots, slot};
use rsa::NoResult;

mod number;
mod rsa;

const SIZE: usize = 64;
const DONE: u32 = 3;
const BAD_PARAMETER: u32 = 1;
const TRANSLATION: u32 = 1 << 5;

/// HPRE requests in software.
#[derive(Debug, Default)]
pub struct Hpre;

/// Operations of this model (section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// in^exponent mod n.
    Power,
    /// RSA private operation with a CRT key.
    Crt,
    /// (e, p, q) to (d, n), and with `crt` to (qinv, dq, dp) as well.
    KeyCompletion { crt: bool },
    /// base^x mod p, with base 2 or the input.
    DiffieHellman { base_two: bool },
}

/// A decoded descriptor.
#[derive(Clone, Copy, Debug)]
struct Request {
    operation: Operation,
    /// Slot width W, bytes.
    width: usize,
    key: u64,
    input: u64,
    output: u64,
}

/// Fields that RSA and DH leave 0 (section 1.1 and 10): (offset, high bit, low bit, name).
const ALWAYS_ZERO: [(usize, u32, u32, &str); 14] = [
    (0, 15, 5, "etype"),
    (0, 29, 16, "etype1"),
    (4, 15, 8, "task_len2"),
    (4, 23, 16, "mrttest_num"),
    (4, 24, 24, "uwkey_enb"),
    (4, 25, 25, "sm2_ksel"),
    (4, 26, 26, "sva_bypass"),
    (4, 30, 27, "sva_status"),
    (40, 31, 0, "sm2_mlen, uwkey_sel, wrap_num and reserved bits"),
    (44, 31, 0, "kek_key"),
    (48, 31, 0, "reserved dword 12"),
    (52, 31, 0, "reserved dword 13"),
    (56, 31, 0, "reserved dword 14"),
    (60, 31, 0, "reserved dword 15"),
];

impl Request {
    fn decode(e: &Entry<'_>, ctx: &Context<'_>) -> Result<Self, String> {
        let alg = e.bits(0, 4, 0);
        let operation = match alg {
            0 => Operation::Power,
            1 => Operation::Crt,
            2 | 3 => Operation::KeyCompletion { crt: alg == 3 },
            4 | 5 => Operation::DiffieHellman { base_two: alg == 4 },
            0x0D..=0x15 if ctx.generation >= Generation::V3 => {
                return Err(format!("alg {alg:#04x} (elliptic curves) is not modelled yet"));
            }
            _ => return Err(format!("alg {alg:#04x} is not offered on {:?}", ctx.generation)),
        };
        let done = e.bits(0, 31, 30);
        if done != 1 {
            return Err(format!("done is {done} at submission, must be 1"));
        }
        for (at, high, low, name) in ALWAYS_ZERO {
            e.must_be_zero(at, high, low, name)?;
        }
        if ctx.qc_type != 0 {
            return Err(format!("alg {alg:#04x} on a queue of class {}, must be 0", ctx.qc_type));
        }
        let width = 8 * (e.bits(4, 7, 0) as usize + 1);
        let widths: &[usize] = match operation {
            Operation::DiffieHellman { .. } => &[96, 128, 192, 256, 384, 512],
            _ => &[128, 256, 384, 512],
        };
        if !widths.contains(&width) {
            return Err(format!(
                "task_len1 {:#04x} (W = {width}) is no width of alg {alg:#04x}",
                width / 8 - 1
            ));
        }
        Ok(Self { operation, width, key: e.long(8), input: e.long(16), output: e.long(24) })
    }

    /// Bytes read at the key address, bytes read at the input address (section 5.6).
    fn operand_sizes(&self) -> (usize, usize) {
        let w = self.width;
        match self.operation {
            Operation::Power | Operation::DiffieHellman { base_two: false } => (2 * w, w),
            Operation::Crt => (5 * w / 2, w),
            Operation::KeyCompletion { .. } | Operation::DiffieHellman { base_two: true } => (2 * w, 0),
        }
    }

    /// The output image.
    fn compute(&self, key: &[u8], input: &[u8]) -> Result<Vec<u8>, NoResult> {
        let (w, h) = (self.width, self.width / 2);
        let mut out = Slots::default();
        match self.operation {
            Operation::Power => out.put(rsa::power(&slot(input), &slot(&key[..w]), &slot(&key[w..]))?, w),
            Operation::DiffieHellman { base_two } => {
                let base = if base_two { 2u32.into() } else { slot(input) };
                out.put(rsa::power(&base, &slot(&key[..w]), &slot(&key[w..]))?, w);
            }
            Operation::Crt => {
                let [dq, dp, q, p, qinv] = std::array::from_fn(|i| slot(&key[i * h..(i + 1) * h]));
                out.put(rsa::crt(&slot(input), &rsa::CrtKey { dq, dp, q, p, qinv })?, w);
            }
            Operation::KeyCompletion { crt } => {
                let full = rsa::complete(&slot(&key[..w]), &slot(&key[w..w + h]), &slot(&key[w + h..]))?;
                out.put(full.d, w);
                out.put(full.n, w);
                if crt {
                    out.put(full.qinv, h);
                    out.put(full.dq, h);
                    out.put(full.dp, h);
                }
            }
        }
        Ok(out.image())
    }
}

/// How a well-formed request failed.
enum Failure {
    Operand,
    Address(Fault),
    Injected,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Address(fault)
    }
}

fn perform(request: &Request, ctx: &Context<'_>) -> Result<(), Failure> {
    let (key_size, input_size) = request.operand_sizes();
    let (mut key, mut input) = (vec![0; key_size], vec![0; input_size]);
    ctx.mem.read(request.key, &mut key)?;
    ctx.mem.read(request.input, &mut input)?;
    let mut out = request.compute(&key, &input).map_err(|NoResult| Failure::Operand)?;
    match ctx.injection {
        Injection::Partial => {
            ctx.mem.write(request.output, &out[..out.len() / 2])?;
            return Err(Failure::Injected);
        }
        Injection::Corrupt => {
            let middle = out.len() / 2;
            out[middle] ^= 0x10;
        }
        Injection::None | Injection::Status(_) => {}
    }
    Ok(ctx.mem.write(request.output, &out)?)
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

    /// An injected status has etype in its low 11 bits, etype1 in bits 29:16 and, if not 0, the value of `done` in
    /// bits 31:30.
    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict {
        let mut entry = match Entry::new(sqe, SIZE) {
            Ok(entry) => entry,
            Err(reason) => return Verdict::Refused { reason },
        };
        let request = match Request::decode(&entry, ctx) {
            Ok(request) => request,
            Err(reason) => {
                finish(&mut entry, DONE, BAD_PARAMETER, 0, 0);
                return Verdict::Refused { reason };
            }
        };
        if let Injection::Status(code) = ctx.injection {
            let done = if code >> 30 == 0 { DONE } else { code >> 30 };
            finish(&mut entry, done, code, code >> 16, 0);
            let ok = done == DONE && code & 0x3FFF_07FF == 0;
            return Verdict::Done { bytes: if ok { request.width as u64 } else { 0 }, ok };
        }
        match perform(&request, ctx) {
            Ok(()) => {
                finish(&mut entry, DONE, 0, 0, 0);
                Verdict::Done { bytes: request.width as u64, ok: true }
            }
            Err(Failure::Operand | Failure::Injected) => {
                finish(&mut entry, DONE, BAD_PARAMETER, 0, 0);
                Verdict::Done { bytes: 0, ok: false }
            }
            Err(Failure::Address(fault)) => {
                finish(&mut entry, DONE, 0, TRANSLATION, 1);
                Verdict::Refused { reason: fault.to_string() }
            }
        }
    }
}

#[cfg(test)]
mod tests;
