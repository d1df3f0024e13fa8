//! The vocabulary of the offload decision: what a request is, and why software served it. Shared by the gate,
//! the pool and the counters; re-exported by [`crate::gate`].

use crate::Fault;
use crate::qm::Version;
use crate::uacce::Kind;

/// The kinds of work that queues serve, one counter family each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Deflate on a ZIP queue of type 0.
    ZipCompress,
    /// Inflate on a ZIP queue of type 1.
    ZipDecompress,
    /// A symmetric cipher on a SEC queue.
    SecCipher,
    /// RSA exponentiation on an HPRE queue of type 0.
    HpreRsa,
}

impl Op {
    /// Every kind of work, in the order of [`Op::index`].
    pub const ALL: [Op; 4] = [Op::ZipCompress, Op::ZipDecompress, Op::SecCipher, Op::HpreRsa];

    /// Position in [`Op::ALL`], for tables.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name in counters and messages (ARCHITECTURE.md, counter files).
    pub const fn name(self) -> &'static str {
        match self {
            Op::ZipCompress => "zip.compress",
            Op::ZipDecompress => "zip.decompress",
            Op::SecCipher => "sec.cipher",
            Op::HpreRsa => "hpre.rsa",
        }
    }

    /// The kind of device that serves it.
    pub const fn kind(self) -> Kind {
        match self {
            Op::ZipCompress | Op::ZipDecompress => Kind::Zip,
            Op::SecCipher => Kind::Sec,
            Op::HpreRsa => Kind::Hpre,
        }
    }

    /// Algorithm class of the queue, written into its context (qm.md 2).
    pub const fn qc_type(self) -> u16 {
        match self {
            Op::ZipDecompress => 1,
            Op::ZipCompress | Op::SecCipher | Op::HpreRsa => 0,
        }
    }
}

/// Which whole line of a device's `algorithms` attribute a job needs, by generation; `None` where that
/// generation cannot do the job at all. Filled by the engines' `job` functions, so that no caller writes a
/// line or knows a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Needs {
    /// Line for Kunpeng 920.
    pub v2: Option<&'static str>,
    /// Line for Kunpeng 930 and later.
    pub v3: Option<&'static str>,
}

impl Needs {
    /// The same line on every generation.
    pub const fn always(line: &'static str) -> Self {
        Needs { v2: Some(line), v3: Some(line) }
    }

    /// The line that a device of generation `version` must have, `None` if it cannot serve the job.
    pub const fn line(self, version: Version) -> Option<&'static str> {
        match version {
            Version::V2 => self.v2,
            Version::V3 => self.v3,
        }
    }
}

/// One request as the gate sees it: what, how large, and what it needs of a device.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Kind of work.
    pub op: Op,
    /// Size in bytes: input length (ZIP, SEC) or modulus length (HPRE).
    pub bytes: usize,
    /// Line of the device's `algorithms` attribute that must be present.
    pub needs: Needs,
    /// The stream is already on the device (a continuation): size thresholds do not apply.
    pub sticky: bool,
}

/// Why a request is served by software. Each variant is a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Configuration says software.
    Disabled,
    /// Below the smallest size worth a descriptor.
    TooSmall,
    /// The cost model expects the processor to be faster.
    CheaperOnCpu,
    /// Parameters that the device cannot serve.
    Unsupported,
    /// No uacce device of this kind, or no permission.
    NoDevice,
    /// Every queue is taken.
    AllBusy,
    /// The device was tried and failed; software redid the work.
    Failed(Fault),
    /// The circuit breaker is open, or the device rests, after earlier faults.
    Tripped,
    /// A forked child that may not open a queue here.
    Forked,
    /// An administrator has switched devices off for the time being (`warpdrive off`).
    SwitchedOff,
}

impl Why {
    /// Counter names in the order of [`Why::index`].
    pub const NAMES: [&'static str; 10] = [
        "disabled",
        "too_small",
        "cheaper_on_cpu",
        "unsupported",
        "no_device",
        "all_busy",
        "failed",
        "tripped",
        "forked",
        "switched_off",
    ];

    /// Position in [`Why::NAMES`].
    pub const fn index(self) -> usize {
        match self {
            Why::Disabled => 0,
            Why::TooSmall => 1,
            Why::CheaperOnCpu => 2,
            Why::Unsupported => 3,
            Why::NoDevice => 4,
            Why::AllBusy => 5,
            Why::Failed(_) => 6,
            Why::Tripped => 7,
            Why::Forked => 8,
            Why::SwitchedOff => 9,
        }
    }

    /// Name in counters and reports.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }
}
