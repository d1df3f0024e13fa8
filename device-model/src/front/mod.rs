//! The system interface of the accelerators: discovery tree, device nodes, queues, the device thread.

pub mod faults;
pub mod ledger;
pub mod memory;
pub mod model;
pub mod nodes;
pub mod ownership;
pub mod ports;
pub mod profile;
pub mod queue;
pub mod rings;
pub mod shared;
pub mod tree;
pub mod worker;
