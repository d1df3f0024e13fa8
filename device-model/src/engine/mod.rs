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
pub(crate) mod testing;
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
    /// Pages of the range that nobody has touched yet, so that the device's access is a page fault; for the service
    /// time only. 0 where that is not known.
    fn untouched(&self, _addr: u64, _len: usize) -> u64 {
        0
    }
}

impl<M: Memory + ?Sized> Memory for Box<M> {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Fault> {
        (**self).read(addr, buf)
    }
    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), Fault> {
        (**self).write(addr, buf)
    }
    fn untouched(&self, addr: u64, len: usize) -> u64 {
        (**self).untouched(addr, len)
    }
}

/// Hardware generation, as far as request formats differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// Kunpeng 920, `hisi_qm_v2`.
    V2,
    /// Kunpeng 930, `hisi_qm_v3`.
    V3,
    /// Later, `hisi_qm_v5`: the requests of V3; SEC ends GCM streams itself.
    V5,
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
    /// ZIP only: good status, but only a part of the input is consumed.
    Truncate,
    /// Silent: execute, but return another tag than the request's.
    StaleTag,
}

/// The rule that a refused descriptor or doorbell broke: what the ledger counts as `refused.<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The entry has another size than the engine's descriptors.
    Size,
    /// Descriptor type of another generation.
    Type,
    /// Operation that does not belong on a queue of this class.
    QueueClass,
    /// A field that must be 0 is not.
    Reserved,
    /// A field has a value outside its table.
    Value,
    /// An algorithm or mode that this generation does not have.
    Unsupported,
    /// A length or width outside its bounds.
    Length,
    /// A key length that the algorithm does not have.
    Key,
    /// A scatter/gather list breaks its table.
    List,
    /// The device cannot reach an address.
    Address,
    /// An address breaks its alignment.
    Alignment,
    /// A request of a stream does not follow from the stream's previous response.
    Stream,
    /// A doorbell that makes no sense.
    Doorbell,
    /// The completion ring overflowed.
    Overflow,
}

impl Rule {
    /// All rules.
    pub const ALL: [Rule; 14] = [
        Rule::Size,
        Rule::Type,
        Rule::QueueClass,
        Rule::Reserved,
        Rule::Value,
        Rule::Unsupported,
        Rule::Length,
        Rule::Key,
        Rule::List,
        Rule::Address,
        Rule::Alignment,
        Rule::Stream,
        Rule::Doorbell,
        Rule::Overflow,
    ];

    /// The name in counters and logs.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Size => "size",
            Rule::Type => "type",
            Rule::QueueClass => "queue_class",
            Rule::Reserved => "reserved",
            Rule::Value => "value",
            Rule::Unsupported => "unsupported",
            Rule::Length => "length",
            Rule::Key => "key",
            Rule::List => "list",
            Rule::Address => "address",
            Rule::Alignment => "alignment",
            Rule::Stream => "stream",
            Rule::Doorbell => "doorbell",
            Rule::Overflow => "overflow",
        }
    }
}

/// A rule and the text that names field and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was broken.
    pub rule: Rule,
    /// Names the field and its value, for the log.
    pub reason: String,
}

impl Rule {
    /// A refusal for this rule.
    pub fn broken(self, reason: impl Into<String>) -> Refusal {
        Refusal { rule: self, reason: reason.into() }
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Verdict::Refused { rule: refusal.rule, reason: refusal.reason }
    }
}

/// How a request names its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Buffers {
    /// Contiguous ranges.
    Flat,
    /// Scatter/gather lists.
    Sgl,
    /// One of each.
    Mixed,
}

/// Whether a request stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Complete in itself.
    OneShot,
    /// One of several that carry a state.
    Stream,
}

/// What a descriptor asks for, in words: for the trace and the table of what the tests cover.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Description {
    /// The operation with its variant, such as `zlib compress` or `AES-128-CBC encrypt`; `unknown` if it makes no sense.
    pub operation: String,
    /// How it names its data.
    pub buffers: Buffers,
    /// Whether it stands alone.
    pub mode: Mode,
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
        /// Bytes of output written to the program's memory.
        output: u64,
        /// The engine's status as written back: zip, dw3[7:0]; sec, error_type with done_flag above bit 16; hpre,
        /// etype with etype1 above bit 16.
        status: u32,
        /// The status is the engine's "success" (or a status that still counts as progress).
        ok: bool,
    },
    /// The entry breaks the tables: an error status is set; counted as `refused` and logged with the field.
    Refused {
        /// What was broken.
        rule: Rule,
        /// Names the field and its value, for `model.log`.
        reason: String,
    },
}

impl Verdict {
    /// Ledger bytes and goodness of a request that was not refused.
    pub fn done(&self) -> Option<(u64, bool)> {
        match self {
            Verdict::Done { bytes, ok, .. } => Some((*bytes, *ok)),
            Verdict::Refused { .. } => None,
        }
    }
}

/// One kind of accelerator.
pub trait Engine: Sync {
    /// Operation class for the ledger and the fault plan, without the engine's name: `compress`,
    /// `decompress`, `cipher`, `rsa`, … Total: an entry that makes no sense is classed `unknown`.
    fn classify(&self, sqe: &[u8], generation: Generation, qc_type: u16) -> &'static str;

    /// Says what the entry asks for, from its bytes alone. Total, as `classify`.
    fn describe(&self, sqe: &[u8], generation: Generation, qc_type: u16) -> Description;

    /// The bytes of an entry that are the driver's own tag, without meaning to the device.
    fn tag(&self, _generation: Generation) -> std::ops::Range<usize> {
        0..0
    }

    /// The status in an entry that was written back, in the form of [`Verdict::Done`]: refused requests have one too.
    /// `None` if the bytes are no entry of this engine.
    fn status(&self, _sqe: &[u8]) -> Option<u32> {
        None
    }

    /// Executes one entry (128 bytes for zip and sec, 64 for hpre) and writes its results back into it.
    /// Input fields stay unchanged. Never panics, whatever the bytes are.
    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict;
}
