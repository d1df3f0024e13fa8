//! The system interface of the accelerators: discovery tree, device nodes, queues, the device thread.

pub mod ledger;
pub mod lifecycle;
pub mod memory;
pub mod model;
pub mod nodes;
pub mod ownership;
pub mod pace;
pub mod ports;
pub mod profile;
pub mod queue;
pub mod shared;
pub mod slots;
pub mod ss;
pub mod tree;
pub mod worker;
