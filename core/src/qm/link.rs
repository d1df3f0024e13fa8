//! What a queue needs besides its ring memory.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::qm::doorbell::Doorbell;

/// Doorbells, and the kernel's services to one queue.
pub trait Link: Doorbell {
    /// Sleeps until a completion is hinted at, at most `timeout`. May return early for no reason.
    fn sleep(&self, timeout: Duration);

    /// Stops the queue (PUT_Q), whatever other threads are doing: no doorbell of theirs reaches the device any more.
    /// When this has returned `Ok`, the device is quiet.
    ///
    /// # Errors
    /// The errno if the kernel did not confirm it. The device is then quiet when the queue's memory is gone too.
    fn stop(&self) -> Result<(), i32>;

    /// Lets go in a forked child: closes what the child inherited and touches no mapping.
    fn abandon(self);

    /// As [`Link::abandon`], of a link that stays: threads that the child does not have may have been using it.
    fn let_go(&self) {}

    /// A descriptor that becomes readable when an armed queue has a completion; `None` if there is none (any more).
    fn descriptor(&self) -> Option<RawFd> {
        None
    }
}
