//! WarpDrive's core: finds uacce devices, drives their queues, builds descriptors, and decides call by call
//! between the device and software. The provider and the zlib library are its only callers; neither ever
//! sees a descriptor. See ARCHITECTURE.md for the rooms and their invariants.

pub mod config;
pub mod engine;
pub mod environment;
pub mod error;
pub mod gate;
pub mod job;
pub mod log;
pub mod pool;
pub mod qm;
pub mod runtime;
pub mod sqe;
pub mod stats;
mod sync;
pub mod uacce;

#[cfg(test)]
mod testing;

pub use error::Fault;
pub use gate::{Declined, Effort, Gate, Job, Needs, Op, Why};
pub use pool::Lease;
pub use runtime::Runtime;
