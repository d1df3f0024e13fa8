//! Memory for a device without SVA: the SS region of a queue (uacce.md 4.1, KAE kernel).
//!
//! A program maps the region to get memory, and asks with GET_SS_DMA where the device sees it: in slices, at
//! addresses of the device's own. Nothing else of the program can be reached from the queue.
//!
//! | module | what it does |
//! |---|---|
//! | [`slices`] | where the slices lie, and which part of the region a device address means |
//! | [`region`] | the memory itself, mapped once more for the device |
//! | [`calls`] | the system calls about it |

pub mod calls;
pub mod region;
pub mod slices;

pub use region::{Attached, QueueMemory, Region};
pub use slices::{Miss, Slice, Slices};
