//! What a queue lends to its device: the caller's own buffers, or copies of them in memory that belongs to the queue.
//!
//! With SVA a device knows the process's addresses. Long buffers are lent as they are, their pages touched first;
//! short ones are copied into a few pages that are always there, so that a short request meets no page fault at all.
//! Without SVA everything the device reads or writes is copied: it knows the queue's own memory only.
//!
//! Memory is lent in runs of granules (`granules`), and small buffers of one request share a granule. Queues of
//! ciphers and keys overwrite what they have lent with zeros.

use crate::Fault;
use crate::uacce::{Kind, Region, process};

mod granules;
mod pinned;
mod slices;
mod touch;

use granules::{Granules, Run};
pub(crate) use pinned::pinned;
use slices::Slices;

/// Longest buffer that is copied where it need not be. Two copies of so much cost less than a tenth of a microsecond,
/// and a page fault of the device several (assumed; nobody has published the figure).
const SHORT: usize = 2048;
/// Bytes that the short buffers of a queue with SVA share: room for four to sixteen requests at a time.
const STAGING: usize = 64 << 10;
/// Data structures of the hardware are aligned to this (qm.md 8.1).
const ALIGNMENT: usize = 64;
/// Buffers and runs of one request; no engine needs more than four.
const MOST: usize = 8;

/// Long buffers that find room in a queue's memory at a time: those of two to four requests.
const AT_A_TIME: usize = 8;

/// The process's own address of bytes that the device reads.
pub(crate) fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().expose_provenance() as u64
}

/// The process's own address of bytes that the device writes.
pub(crate) fn address_mut(bytes: &mut [u8]) -> u64 {
    bytes.as_mut_ptr().expose_provenance() as u64
}

/// The memory of one queue. Threads share it; each request has its [`Loans`].
#[derive(Debug)]
pub struct Memory {
    /// Whether the device knows the process's addresses.
    sva: bool,
    /// Whether what was lent is overwritten afterwards.
    secret: bool,
    own: Option<Own>,
    /// A forked child inherits neither the mapping nor the right to unmap what is there by now.
    owner: u64,
}

#[derive(Debug)]
struct Own {
    region: Region,
    slices: Slices,
    granules: Granules,
}

impl Memory {
    /// The memory of a queue with SVA: staging for short buffers, or none if there is no memory to be had.
    pub(crate) fn shared(kind: Kind) -> Memory {
        let region = Region::not_inherited(STAGING).ok();
        let own = region.map(|region| {
            // The pages are there from now on.
            region.wipe(0, region.len());
            let slices = Slices::whole(region.len(), region.as_ptr().expose_provenance() as u64);
            Own::new(region, slices)
        });
        Memory::new(true, kind, own)
    }

    fn new(sva: bool, kind: Kind, own: Option<Own>) -> Memory {
        Memory { sva, secret: kind != Kind::Zip, own, owner: process::identity() }
    }

    /// As [`crate::qm::Channel::shares_addresses`].
    pub(crate) fn shares_addresses(&self) -> bool {
        self.sva
    }

    /// As [`crate::qm::Channel::longest_loan`].
    pub(crate) fn longest_loan(&self) -> usize {
        match &self.own {
            _ if self.sva => usize::MAX,
            Some(own) => own.granules.longest(AT_A_TIME),
            None => 0,
        }
    }

    /// As [`crate::qm::Channel::lend`].
    pub(crate) fn lend(&self, loans: &mut Loans, bytes: &[u8]) -> Result<u64, Fault> {
        if let Some((address, offset, own)) = self.stage(loans, bytes.len())? {
            own.region.copy_in(offset, bytes);
            return Ok(address);
        }
        touch::read(bytes);
        Ok(address(bytes))
    }

    /// As [`crate::qm::Channel::lend_mut`].
    pub(crate) fn lend_mut(&self, loans: &mut Loans, bytes: &mut [u8], likely: usize) -> Result<u64, Fault> {
        if let Some((address, ..)) = self.stage(loans, bytes.len())? {
            return Ok(address);
        }
        let likely = likely.min(bytes.len());
        touch::write(&mut bytes[..likely]);
        Ok(address_mut(bytes))
    }

    /// As [`crate::qm::Channel::lend_state`].
    pub(crate) fn lend_state(&self, loans: &mut Loans, bytes: &mut [u8]) -> Result<u64, Fault> {
        if let Some((address, offset, own)) = self.stage(loans, bytes.len())? {
            own.region.copy_in(offset, bytes);
            return Ok(address);
        }
        touch::write(bytes);
        Ok(address_mut(bytes))
    }

    /// As [`crate::qm::Channel::collect`].
    pub(crate) fn collect(&self, loans: &Loans, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        let lent = loans.pieces.iter().flatten().find(|piece| piece.address == address);
        let (Some(piece), Some(own)) = (lent, &self.own) else { return Ok(()) };
        if bytes.len() > piece.len || !self.is_ours() {
            return Err(Fault::Reset);
        }
        own.region.copy_out(piece.offset, bytes);
        // What came from a mapping without a device behind it is nothing.
        if own.region.vanished() { Err(Fault::Reset) } else { Ok(()) }
    }

    /// As [`crate::qm::Channel::settle`].
    pub(crate) fn settle(&self, loans: &mut Loans) {
        let Some(own) = &self.own else { return };
        if loans.pieces[0].is_none() && loans.runs[0].is_none() {
            // Nothing but the caller's own buffers.
            return;
        }
        if self.secret && self.is_ours() {
            for piece in loans.pieces.iter().flatten() {
                own.region.wipe(piece.offset, piece.len);
            }
        }
        for run in loans.runs.iter().flatten() {
            own.granules.give(*run);
        }
        *loans = Loans::default();
    }

    fn is_ours(&self) -> bool {
        self.owner == process::identity()
    }

    /// Room for `len` bytes in the queue's own memory: address for the device, offset, and the memory. `None` if the
    /// device takes the buffer where it is.
    fn stage(&self, loans: &mut Loans, len: usize) -> Result<Option<(u64, usize, &Own)>, Fault> {
        if self.sva && len > SHORT {
            return Ok(None);
        }
        let placed = match &self.own {
            Some(own) if self.is_ours() => {
                own.place(loans, len).map(|piece| (piece.address, piece.offset, own))
            }
            _ => None,
        };
        if placed.is_none() && !self.sva { Err(Fault::Memory) } else { Ok(placed) }
    }
}

impl Own {
    fn new(region: Region, slices: Slices) -> Self {
        let granules = Granules::new(slices.segments());
        Own { region, slices, granules }
    }

    /// Finds room: behind the last small buffer of the request, or in a new run.
    fn place(&self, loans: &mut Loans, len: usize) -> Option<Piece> {
        let vacant = loans.pieces.iter().position(Option::is_none)?;
        let taken = len.max(1).checked_next_multiple_of(ALIGNMENT)?;
        if loans.free.1 - loans.free.0 < taken {
            let slot = loans.runs.iter_mut().find(|run| run.is_none())?;
            let run = self.granules.take(taken)?;
            *slot = Some(run);
            // The larger rest is worth keeping.
            if run.len() - taken >= loans.free.1 - loans.free.0 {
                loans.free = (run.offset(), run.offset() + run.len());
            } else {
                return self.piece(loans, vacant, run.offset(), len);
            }
        }
        let offset = loans.free.0;
        loans.free.0 += taken;
        self.piece(loans, vacant, offset, len)
    }

    fn piece(&self, loans: &mut Loans, vacant: usize, offset: usize, len: usize) -> Option<Piece> {
        let piece = Piece { address: self.slices.device(offset)?, offset, len };
        loans.pieces[vacant] = Some(piece);
        Some(piece)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if !self.is_ours() {
            std::mem::forget(self.own.take());
        }
    }
}

/// What one request has on loan. Has to be settled by its memory; what is not stays on loan until the queue goes.
#[derive(Debug, Default)]
pub(crate) struct Loans {
    runs: [Option<Run>; MOST],
    pieces: [Option<Piece>; MOST],
    /// Offsets between which the last run has room left.
    free: (usize, usize),
}

/// One buffer's place in the queue's memory.
#[derive(Debug, Clone, Copy)]
struct Piece {
    address: u64,
    offset: usize,
    len: usize,
}

#[cfg(test)]
mod tests;
