//! Kunpeng ZIP, SEC2 and HPRE accelerators in software, behind the uacce system interface.
//!
//! Preloaded into a program, the library answers the discovery, open, ioctl, mmap, poll and close calls that
//! reach a uacce device, traps its doorbells and executes its requests. It shares nothing with the driver under test.
//!
//! | module | what it does |
//! |---|---|
//! | [`engine`] | what a descriptor means, independent of any front |
//! | [`device`] | one accelerator function: rings, doorbells, the fetch-execute-complete step, fault plan, counts |
//! | [`front`] | the uacce interface: tree, nodes, queue memory, device threads, the state that processes share |
//! | [`virtual_time`] | another front, in-process: discrete events on virtual time |
//! | [`trap`] | turns a store to a doorbell page into an event |
//! | `interpose` | the libc symbols, exported from the shared object only |
//!
//! The exported symbols exist with the feature `preload` (on by default) and never in the crate's own unit
//! tests. An executable that links the rlib with that feature gets them too; they then pass everything
//! through, because they are active only inside a shared object (see `front::model`).

pub mod device;
pub mod engine;
pub mod front;
pub mod sys;
pub mod trap;
pub mod virtual_time;

#[cfg(all(feature = "preload", not(test)))]
mod interpose;
#[cfg(test)]
mod properties;
