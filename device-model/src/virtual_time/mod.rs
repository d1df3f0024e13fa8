//! The in-process front: discrete events on virtual time, for studies of scheduling.
//!
//! A [`Machine`] has accelerator functions, queues in ordinary memory, and a clock that stands still until it is told
//! to go on. Nothing is preloaded: the program under study opens queues by a call, writes its rings, and rings by a call
//! ([`Machine::doorbell`]), which is what a driver's own doorbell seam can be pointed at. Between events nothing happens, so
//! that the same calls give the same times, to the nanosecond, on any computer.
//!
//! A request is executed when an engine takes it, and its completion is written when its service time is over; an engine
//! that does not compute ([`Hollow`]), or canned results, keep the study independent of the model's speed. Queues of a
//! device are served in turn, one request at a time.
//!
//! The service times are assumptions (see [`crate::device::service`]).

mod hollow;
mod machine;
mod rings;
mod speed;

pub use hollow::Hollow;
pub use machine::{DeviceSetup, Machine, QueueId};
pub use rings::Words;
pub use speed::Speed;

use crate::engine::Memory;
use crate::front::memory::ProcessMemory;

/// This process's own memory: descriptors then hold its addresses, and a bad one becomes a status.
pub fn process_memory() -> Box<dyn Memory> {
    Box::new(ProcessMemory::new(|_| ()))
}

#[cfg(test)]
mod tests;
