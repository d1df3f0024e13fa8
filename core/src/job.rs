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

/// What software's price depends on beside kind and size: the level of a compressor, the cipher's mode, the half of
/// a key. The cost model keeps a table for each, so that one level is not judged by another's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effort {
    /// Deflate at level 1.
    DeflateFast,
    /// Deflate at levels 2 to 5.
    DeflateLight,
    /// Deflate at level 6 (zlib's own choice) or 7.
    DeflateUsual,
    /// Deflate at level 8 or 9.
    DeflateBest,
    /// Inflate.
    Inflate,
    /// A cipher whose blocks do not wait for one another: ECB, CTR, XTS, decryption of CBC.
    Cipher,
    /// A cipher whose blocks do: encryption of CBC.
    CipherChained,
    /// A cipher for which processors rarely have instructions: SM4, DES.
    CipherPlain,
    /// RSA with the private key.
    RsaPrivate,
    /// RSA with a public key of a short exponent.
    RsaPublic,
}

impl Effort {
    /// Every one, in the order of [`Effort::index`].
    pub const ALL: [Effort; 10] = [
        Effort::DeflateFast,
        Effort::DeflateLight,
        Effort::DeflateUsual,
        Effort::DeflateBest,
        Effort::Inflate,
        Effort::Cipher,
        Effort::CipherChained,
        Effort::CipherPlain,
        Effort::RsaPrivate,
        Effort::RsaPublic,
    ];

    /// Position in [`Effort::ALL`], for tables.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// That of zlib's compression level (-1 is its default, 6).
    pub const fn of_level(level: i32) -> Effort {
        match level {
            0 | 1 => Effort::DeflateFast,
            2..=5 => Effort::DeflateLight,
            8.. => Effort::DeflateBest,
            _ => Effort::DeflateUsual,
        }
    }

    /// What a request of this kind is taken for if nothing more is said.
    pub const fn usual(op: Op) -> Effort {
        match op {
            Op::ZipCompress => Effort::DeflateUsual,
            Op::ZipDecompress => Effort::Inflate,
            Op::SecCipher => Effort::Cipher,
            Op::HpreRsa => Effort::RsaPrivate,
        }
    }

    /// The kind of work.
    pub const fn op(self) -> Op {
        match self {
            Effort::DeflateFast | Effort::DeflateLight | Effort::DeflateUsual | Effort::DeflateBest => {
                Op::ZipCompress
            }
            Effort::Inflate => Op::ZipDecompress,
            Effort::Cipher | Effort::CipherChained | Effort::CipherPlain => Op::SecCipher,
            Effort::RsaPrivate | Effort::RsaPublic => Op::HpreRsa,
        }
    }

    /// Name in reports and gauges: lower case, unique.
    pub const fn name(self) -> &'static str {
        match self {
            Effort::DeflateFast => "deflate-1",
            Effort::DeflateLight => "deflate-2-5",
            Effort::DeflateUsual => "deflate-6-7",
            Effort::DeflateBest => "deflate-8-9",
            Effort::Inflate => "inflate",
            Effort::Cipher => "cipher",
            Effort::CipherChained => "cipher-chained",
            Effort::CipherPlain => "cipher-plain",
            Effort::RsaPrivate => "rsa-private",
            Effort::RsaPublic => "rsa-public",
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
    /// The stream is already on the device (a continuation): size thresholds do not apply, and it leaves only a
    /// device that has become much slower than software.
    pub sticky: bool,
    /// What software's price depends on beside the size; of the same kind as `op`.
    pub effort: Effort,
}

impl Job {
    /// A request that continues nothing, of the usual effort.
    pub const fn new(op: Op, bytes: usize, needs: Needs) -> Job {
        Job { op, bytes, needs, sticky: false, effort: Effort::usual(op) }
    }

    /// The same at another effort, which is of the same kind of work.
    pub const fn with_effort(mut self, effort: Effort) -> Job {
        debug_assert!(effort.op().index() == self.op.index());
        self.effort = effort;
        self
    }
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
    /// The device would be faster, but for the requests that are ahead in its queue.
    QueueDeep,
    /// The device is expected to be faster; software was tried to learn what it costs.
    Explored,
    /// The device has not been used for this kind of work yet, or not since it failed, and another thread is making
    /// sure of it.
    Unproven,
}

impl Why {
    /// Counter names in the order of [`Why::index`].
    pub const NAMES: [&'static str; 13] = [
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
        "queue_deep",
        "explored",
        "unproven",
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
            Why::QueueDeep => 10,
            Why::Explored => 11,
            Why::Unproven => 12,
        }
    }

    /// Name in counters and reports.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }
}
