//! The seam between the front (the system interface) and the engines (what a descriptor means).
//!
//! An engine is handed one submission-queue entry at a time, in ring order, on the device thread. It reads and
//! writes user buffers only through [`Memory`], writes its results back into the entry, and says in a
//! [`Verdict`] what happened. It knows no queue, no file descriptor and no system call, so that another front
//! (a PCI device for a virtual machine) can drive it unchanged.

use std::fmt;

mod buffer;
mod entry;
pub mod hpre;
pub mod sec;
#[cfg(test)]
mod testing;
pub mod zip;

/// A range of the program's memory that the device could not reach: the bus error of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// First byte of the access that failed.
    pub addr: u64,
    /// Length in bytes of the whole access.
    pub len: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no access to {} bytes at {:#x}", self.len, self.addr)
    }
}

/// The device's view of the program's address space.
pub trait Memory {
    /// Reads `buf.len()` bytes at `addr`. An access of zero bytes succeeds whatever the address.
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Fault>;
    /// Writes `buf` at `addr`; a part may have been written when it fails.
    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), Fault>;
}

/// Hardware generation, as far as request formats differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// Kunpeng 920, `hisi_qm_v2`.
    V2,
    /// Kunpeng 930, `hisi_qm_v3`.
    V3,
}

/// What the fault plan asks the engine to do to this request (the front does the other kinds itself).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Injection {
    /// Nothing: execute as the tables say.
    #[default]
    None,
    /// Write this status (the engine's own status field) and no output.
    Status(u32),
    /// Write a part of the output, then an error status of the engine's choice.
    Partial,
    /// Silent: execute, report success, but flip something in the output.
    Corrupt,
}

/// Everything an engine may use besides the entry itself.
pub struct Context<'a> {
    /// The program's memory.
    pub mem: &'a dyn Memory,
    /// Generation of this device.
    pub generation: Generation,
    /// Class of the queue, from `QM_SET_QP_CTX` (zip: 0 compress, 1 decompress; hpre: 0 RSA and DH, 1 ECC).
    pub qc_type: u16,
    /// What the fault plan asks for.
    pub injection: Injection,
}

/// What became of one entry. In every case the entry holds its status and the front writes a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A well-formed request was finished, with a good status (`ok`) or an error status.
    Done {
        /// Bytes for the ledger: zip, input consumed; sec, cipher length; hpre, slot width W; 0 if not `ok`.
        bytes: u64,
        /// The status is the engine's "success" (or a status that still counts as progress).
        ok: bool,
    },
    /// The entry breaks the tables: an error status is set; counted as `refused` and logged with the field.
    Refused {
        /// Names the field and its value, for `model.log`.
        reason: String,
    },
}

/// One kind of accelerator.
pub trait Engine: Sync {
    /// Operation class for the ledger and the fault plan, without the engine's name: `compress`,
    /// `decompress`, `cipher`, `rsa`, … Total: an entry that makes no sense is classed `unknown`.
    fn classify(&self, sqe: &[u8], generation: Generation, qc_type: u16) -> &'static str;

    /// Executes one entry (128 bytes for zip and sec, 64 for hpre) and writes its results back into it.
    /// Input fields stay unchanged. Never panics, whatever the bytes are.
    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict;
}
