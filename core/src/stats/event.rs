//! What happens beside requests: to queues, to devices, to what is believed of them. One counter each.

/// Generates the enum, its names and its size from one list.
macro_rules! events {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// Something worth counting that is no request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Event {
            /// Counter names, behind `event.`, in the order of [`Event::index`].
            pub const NAMES: &'static [&'static str] = &[$($name,)+];

            /// Position in [`Event::NAMES`].
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

events! {
    /// A queue was opened.
    QueueOpened => "queue_opened",
    /// A queue was closed in good health.
    QueueClosed => "queue_closed",
    /// A queue was closed because nobody had used it for a while.
    IdleClosed => "idle_closed",
    /// A thread was seated on a queue that another thread uses too.
    QueueShared => "queue_shared",
    /// A queue was stopped after a fault.
    QueueRetired => "queue_retired",
    /// The device reset the queue.
    Reset => "reset",
    /// A request had no completion before its deadline.
    Timeout => "timeout",
    /// A completion contradicted its request.
    Inconsistent => "inconsistent",
    /// A completion had an error status that accuses the device.
    BadStatus => "bad_status",
    /// A result failed its caller's check.
    CheckFailed => "check_failed",
    /// A system call on a queue failed.
    SystemCall => "system_call",
    /// A device was found isolated.
    Isolated => "isolated",
    /// A device is gone.
    Removed => "removed",
    /// A device and operation passed its known-answer test.
    ProofPassed => "proof_passed",
    /// A device and operation failed its known-answer test.
    ProofFailed => "proof_failed",
    /// A result was computed again in software and agreed.
    SamplePassed => "sample_passed",
    /// A result was computed again in software and differed.
    SampleFailed => "sample_failed",
    /// The breaker of a device and operation opened.
    BreakerOpened => "breaker_opened",
    /// The breaker of a device and operation closed again.
    BreakerClosed => "breaker_closed",
    /// A request went against the cost model's advice, to keep its figures fresh.
    Explored => "explored",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_positions_of_distinct_names() {
        assert_eq!(Event::NAMES[Event::QueueOpened.index()], "queue_opened");
        assert_eq!(Event::NAMES[Event::Explored.index()], "explored");
        let distinct: std::collections::BTreeSet<_> = Event::NAMES.iter().collect();
        assert_eq!(distinct.len(), Event::NAMES.len());
    }
}
