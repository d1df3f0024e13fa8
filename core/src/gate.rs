//! THE offload decision. One place says "software", and says why.

use crate::qm::Version;
use crate::{Fault, Lease};

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
    /// The circuit breaker is open after earlier faults.
    Tripped,
    /// A forked child that may not open a queue here.
    Forked,
}

/// Decides between device and software. Obtained from [`crate::Runtime::gate`].
#[derive(Debug, Default)]
pub struct Gate {}

impl Gate {
    /// Runs `job`: on the device through `hw` if the gate grants a lease, otherwise, or after a fault of
    /// `hw`, in software through `sw`, which is told why. Counts both. `hw` must leave `ctx` such that `sw`
    /// can still do the whole job when `hw` returned a [`Fault`].
    pub fn run<C: ?Sized, T>(
        &self,
        _job: Job,
        ctx: &mut C,
        hw: impl FnOnce(&mut C, &mut Lease<'_>) -> Result<T, Fault>,
        sw: impl FnOnce(&mut C, Why) -> T,
    ) -> T {
        let _ = hw;
        sw(ctx, Why::NoDevice)
    }

    /// Counts a job that the caller served in software without asking, because its own rules (a parameter
    /// the device does not know, a stream that must stay where it is) leave no choice.
    pub fn software(&self, _why: Why) {}

    /// Whether a device that could serve `op` with `algorithm` was present when the process first looked.
    /// Latched; no queue is opened. The provider offers algorithms by this.
    pub fn offers(&self, _op: Op, _algorithm: &str) -> bool {
        false
    }
}
