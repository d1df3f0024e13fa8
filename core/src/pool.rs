//! Queues open in this process, lent one request (or one short sequence) at a time.

use std::marker::PhantomData;
use std::time::Duration;

use crate::Fault;
use crate::qm::{Channel, Version};

/// A queue on loan; returned to the pool on drop, or retired if a request on it failed.
#[derive(Debug)]
pub struct Lease<'a> {
    pool: PhantomData<&'a ()>,
}

impl Channel for Lease<'_> {
    fn version(&self) -> Version {
        Version::V3
    }
    fn execute(&mut self, _sqe: &mut [u8], _deadline: Duration) -> Result<(), Fault> {
        Err(Fault::Os(libc::ENODEV))
    }
}
