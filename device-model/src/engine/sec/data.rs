//! What a request reads and writes: flat memory or scatter/gather lists, and the fault plan's way with outputs.

use super::descriptor::Fields;
use super::refusal::{Failure, INJECTED};
use crate::engine::buffer::Buffer;
use crate::engine::{Context, Injection, Refusal, Rule};

/// Longest data of one request, bytes: 16 MiB − 512 (7.4, 8.2, 9.3).
pub(super) const LONGEST: u64 = 0xFF_FE00;

/// Where data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) addr: u64,
    pub(super) sgl: bool,
}

impl Side {
    fn new(name: &str, kind: u64, addr: u64) -> Result<Self, Refusal> {
        match kind {
            0 => Ok(Self { addr, sgl: false }),
            1 => Ok(Self { addr, sgl: true }),
            other => Err(Rule::Value.broken(format!("{name} is {other}, must be 0 (flat) or 1 (list)"))),
        }
    }

    /// The source of any request.
    pub(super) fn source(f: &Fields) -> Result<Self, Refusal> {
        Self::new("src_addr_type", f.src_addr_type, f.data_src_addr)
    }

    /// Where the result goes: the destination (`de` 1), or back to the source (`de` 0; the destination's fields then
    /// mean nothing, Linux fills them all the same).
    pub(super) fn target(f: &Fields) -> Result<Self, Refusal> {
        match f.de {
            0 => Self::source(f),
            1 => Self::new("dst_addr_type", f.dst_addr_type, f.data_dst_addr),
            other => Err(Rule::Value.broken(format!("de is {other}, must be 0 or 1"))),
        }
    }

    /// The bytes `offset .. offset + len`.
    pub(super) fn buffer(self, ctx: &Context<'_>, offset: u64, len: u64) -> Result<Buffer, Failure> {
        if self.sgl {
            Ok(Buffer::chain(ctx.mem, self.addr, offset, len)?)
        } else {
            Ok(Buffer::flat(self.addr.wrapping_add(offset), len))
        }
    }
}

/// All bytes of a buffer.
pub(super) fn read(ctx: &Context<'_>, buffer: &Buffer) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; buffer.len() as usize];
    buffer.read(ctx.mem, 0, &mut bytes)?;
    Ok(bytes)
}

/// `len` bytes of flat memory: keys, IVs, states, tags. Nothing is read for 0 bytes.
pub(super) fn read_flat(ctx: &Context<'_>, addr: u64, len: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; len];
    ctx.mem.read(addr, &mut bytes)?;
    Ok(bytes)
}

/// What the fault plan wants instead of any computation. To be asked first. A status up to 0xFF is the error_type;
/// a greater one is the first word of the write-back as a whole (done_flag, above it error_type), so that a plan can ask
/// for a wrong tag (0x185), for done 0 (0x180) or for another unit's flag (0x101).
pub(super) fn before(ctx: &Context<'_>) -> Result<(), Failure> {
    match ctx.injection {
        Injection::Status(status) => Err(match u8::try_from(status) {
            Ok(code) => Failure::Injected { flag: None, code, output: 0 },
            Err(_) => Failure::Injected { flag: Some(status as u16), code: (status >> 16) as u8, output: 0 },
        }),
        _ => Ok(()),
    }
}

/// Writes a request's outputs in order, after all input has been read, and gives the number of bytes. A planned partial
/// write stops after half of them; a planned corruption flips one bit in the middle of the first.
pub(super) fn write(ctx: &Context<'_>, outputs: &mut [(Buffer, Vec<u8>)]) -> Result<u64, Failure> {
    let total: u64 = outputs.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut room = total;
    match ctx.injection {
        Injection::Partial => room = total / 2,
        Injection::Corrupt => {
            if let Some((_, bytes)) = outputs.iter_mut().find(|(_, bytes)| !bytes.is_empty()) {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
        }
        _ => {}
    }
    let mut done = 0;
    for (buffer, bytes) in outputs.iter() {
        let now = (room - done).min(bytes.len() as u64);
        buffer.write(ctx.mem, 0, &bytes[..now as usize])?;
        done += now;
    }
    match ctx.injection {
        Injection::Partial => Err(Failure::Injected { flag: None, code: INJECTED, output: done }),
        _ => Ok(done),
    }
}
