//! Requests as plain structs in, outcomes out; descriptors in between. Every function is generic over
//! [`Channel`](crate::qm::Channel), so that tests need no device.

use std::sync::atomic::{AtomicU32, Ordering};

pub mod cipher;
pub mod rsa;
pub mod zip;

#[cfg(test)]
mod fake;

/// The next descriptor tag. Tags identify nothing, the slot does; they are compared so that a descriptor of
/// somebody else's is noticed. Never 0.
fn next_tag() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).max(1)
}
