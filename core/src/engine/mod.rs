//! Requests as plain structs in, outcomes out; descriptors in between. Every function is generic over
//! [`Channel`], so that tests need no device.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::qm::Channel;

pub mod cipher;
pub mod known_answer;
pub mod rsa;
pub mod zip;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod loans;

/// The next descriptor tag. Tags identify nothing, the slot does; they are compared so that a descriptor of
/// somebody else's is noticed. Never 0.
fn next_tag() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).max(1)
}

/// A channel for the time of one request: ends its loans, however the request ends. The device is quiet then, as
/// every fault of a channel promises.
struct Loans<'a, Ch: Channel>(&'a mut Ch);

impl<Ch: Channel> Deref for Loans<'_, Ch> {
    type Target = Ch;
    fn deref(&self) -> &Ch {
        self.0
    }
}

impl<Ch: Channel> DerefMut for Loans<'_, Ch> {
    fn deref_mut(&mut self) -> &mut Ch {
        self.0
    }
}

impl<Ch: Channel> Drop for Loans<'_, Ch> {
    fn drop(&mut self) {
        self.0.settle();
    }
}
