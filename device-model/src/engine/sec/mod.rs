//! The SEC engine: plain ciphers, AES and SM4 in ECB, CBC and CTR and XTS, on V3 also OFB, CFB-128 and CBC-CS.
//!
//! Section numbers are those of the SEC reference. DES, digests, MACs and AEAD are refused by name, never
//! silently passed. On V2 a CTR request whose low 32 counter bits would wrap is refused: nobody knows how wide the
//! counter of that generation is (unknown 10), so a driver must not depend on it.

use super::buffer::{Buffer, Trouble};
use super::entry::Entry;
use super::{Context, Engine, Fault, Generation, Injection, Verdict};
use block::{BLOCK, Block, Cipher};
use request::{Algorithm, Mode, Refusal, Request, Task, error};

mod block;
mod modes;
mod request;

/// done and flag 2, "cipher unit finished" (10.1).
const CIPHER_DONE: u16 = 0x0101;
const DONE: u16 = 0x0001;

/// SEC requests in software.
#[derive(Debug, Default)]
pub struct Sec;

/// How a well-formed request failed.
enum Failure {
    Refused(Refusal),
    Injected(u8),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let code = match trouble {
            Trouble::Access(_) => error::ADDRESS,
            Trouble::List(_) => error::LIST,
        };
        Self::Refused((code, trouble.to_string()))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Trouble::from(fault).into()
    }
}

impl Engine for Sec {
    fn classify(&self, sqe: &[u8], generation: Generation, _qc_type: u16) -> &'static str {
        let bits = |at: usize, shift: u32| sqe.get(at).map_or(0, |byte| byte >> shift & 3);
        let (cipher, auth, mode) = match generation {
            Generation::V2 => (bits(0, 4), bits(0, 6), sqe.get(13).map_or(0, |b| b >> 4)),
            Generation::V3 => (bits(4, 0), bits(56, 0), sqe.get(6).map_or(0, |b| b & 15)),
        };
        match (cipher, auth, mode) {
            (1 | 2, 0, 5 | 6) | (1 | 2, 1 | 2, _) => "aead",
            (1 | 2, 0, _) => "cipher",
            (0, 1, _) => "digest",
            _ => "unknown",
        }
    }

    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict {
        let mut entry = match Entry::new(sqe, request::SIZE) {
            Ok(entry) => entry,
            Err(reason) => return Verdict::Refused { reason },
        };
        let (flags, code, verdict) = match decode(&entry, ctx) {
            Ok(Task::Nothing) => (DONE, 0, Verdict::Done { bytes: 0, ok: true }),
            Ok(Task::Cipher(request)) => match perform(&request, ctx) {
                Ok(()) => (CIPHER_DONE, 0, Verdict::Done { bytes: u64::from(request.len), ok: true }),
                Err(Failure::Injected(code)) => {
                    let ok = code == 0;
                    let bytes = if ok { u64::from(request.len) } else { 0 };
                    (CIPHER_DONE, code, Verdict::Done { bytes, ok })
                }
                Err(Failure::Refused((code, reason))) => (CIPHER_DONE, code, Verdict::Refused { reason }),
            },
            // What happens to `flag` when a task fails is unknown (15, unknown 4): it keeps the success value.
            Err((code, reason)) => (CIPHER_DONE, code, Verdict::Refused { reason }),
        };
        entry.clear(112, 16);
        entry.put_half(112, flags);
        entry.put_byte(114, code);
        verdict
    }
}

fn decode(entry: &Entry<'_>, ctx: &Context<'_>) -> Result<Task, Refusal> {
    if ctx.qc_type != 0 {
        return Err((error::FIELD, format!("queue class {}, must be 0", ctx.qc_type)));
    }
    Task::decode(entry, ctx.generation)
}

fn perform(request: &Request, ctx: &Context<'_>) -> Result<(), Failure> {
    if let Injection::Status(code) = ctx.injection {
        return Err(Failure::Injected(code as u8));
    }
    let len = u64::from(request.len);
    let buffer = |side: request::Side| {
        if side.sgl {
            Buffer::chain(ctx.mem, side.addr, request.offset, len)
        } else {
            Ok(Buffer::flat(side.addr.wrapping_add(request.offset), len))
        }
    };
    let (source, target) = (buffer(request.source)?, buffer(request.target)?);

    // All input is read before any output is written, for exact in-place requests.
    let keys = if matches!(request.mode, Mode::Xts(_)) { 2 } else { 1 };
    let mut key = vec![0; keys * request.key_len];
    ctx.mem.read(request.key, &mut key)?;
    let mut iv = [0; BLOCK];
    if request.mode != Mode::Ecb {
        ctx.mem.read(request.iv, &mut iv)?;
    }
    let mut data = vec![0; request.len as usize];
    source.read(ctx.mem, 0, &mut data)?;

    if let (Mode::Ctr(_), Generation::V2) = (request.mode, ctx.generation) {
        let low = u32::from_be_bytes([iv[12], iv[13], iv[14], iv[15]]);
        if low.checked_add(request.len.div_ceil(BLOCK as u32) - 1).is_none() {
            let text =
                format!("CTR on V2: the low 32 counter bits wrap ({low:#x}, {:#x} bytes)", request.len);
            return Err(Failure::Refused((error::UNSUPPORTED, text)));
        }
    }
    transform(request, &key, &iv, &mut data);

    match ctx.injection {
        Injection::Partial => {
            target.write(ctx.mem, 0, &data[..data.len() / 2])?;
            return Err(Failure::Injected(error::INJECTED));
        }
        Injection::Corrupt => {
            let middle = data.len() / 2;
            data[middle] ^= 0x10;
        }
        Injection::None | Injection::Status(_) => {}
    }
    Ok(target.write(ctx.mem, 0, &data)?)
}

fn transform(request: &Request, key: &[u8], iv: &Block, data: &mut [u8]) {
    let new = |key: &[u8]| match request.algorithm {
        Algorithm::Aes => Cipher::aes(key),
        Algorithm::Sm4 => Cipher::sm4(key),
    };
    let (first, second) = key.split_at(request.key_len);
    let cipher = new(first).expect("key length was checked");
    let encrypt = request.encrypt;
    match request.mode {
        Mode::Ecb => modes::ecb(&cipher, encrypt, data),
        Mode::Cbc => modes::cbc(&cipher, encrypt, iv, data),
        Mode::Cfb => modes::cfb(&cipher, encrypt, iv, data),
        Mode::Ofb => modes::ofb(&cipher, iv, data),
        Mode::Ctr(carry) => modes::ctr(&cipher, carry, iv, data),
        Mode::Xts(doubling) => {
            let tweak = new(second).expect("key length was checked");
            modes::xts((&cipher, &tweak), encrypt, doubling, iv, data);
        }
        Mode::CbcCs(variant) => modes::cbc_cs(&cipher, encrypt, variant, iv, data),
    }
}

#[cfg(test)]
mod tests;
