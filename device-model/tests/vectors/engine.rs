//! The public seam of the engines, with the address space and recorder that the crate's own tests use.

pub use warpdrive_device_model::engine::*;

#[allow(dead_code)] // half of it serves the crate's own tests
#[path = "../../src/engine/testing.rs"]
pub mod testing;
