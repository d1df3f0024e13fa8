//! What can go wrong between a request and its completion.

use thiserror::Error;

/// Why the device did not produce a usable result. Every variant ends in software serving the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The device judged the *data* bad (corrupt stream, wrong trailer). Not held against the device:
    /// software repeats the step so that the caller sees software's own error.
    #[error("device rejected the data, status {0:#x}")]
    Data(u32),
    /// The output buffer was too small for a one-shot request (ZIP status 0x0E). Not held against the device.
    #[error("output buffer too small for the device")]
    OutputFull,
    /// The device completed the request with an error status.
    #[error("device error status {0:#x}")]
    Status(u32),
    /// No completion before the deadline. The queue is retired: PUT_Q has returned before this is seen.
    #[error("no completion before the deadline")]
    Timeout,
    /// The TX or RX status word says that the queue is being reset or is dead. The queue is retired.
    #[error("queue reset by the device")]
    Reset,
    /// A system call on the queue failed; the number is the errno.
    #[error("system call failed, errno {0}")]
    Os(i32),
    /// The write-back contradicts the request (tag, lengths, slot index).
    #[error("device answer contradicts the request")]
    Inconsistent,
    /// The caller's own check of the result failed (RSA result, deflate check value).
    #[error("result failed its check")]
    Check,
    /// The memory that the queue shares with its device has no room for the request (devices without SVA).
    #[error("no room in the memory shared with the device")]
    Memory,
    /// This device generation cannot do the request.
    #[error("not supported by this device")]
    Unsupported,
}

impl Fault {
    /// Whether the fault counts against the device (circuit breaker) rather than against the data.
    pub const fn blames_device(self) -> bool {
        !matches!(self, Fault::Data(_) | Fault::OutputFull | Fault::Memory | Fault::Unsupported)
    }
}
