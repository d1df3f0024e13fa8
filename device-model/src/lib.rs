//! Kunpeng ZIP, SEC2 and HPRE accelerators in software, behind the uacce system interface.
//!
//! Preloaded into a program, the library answers the discovery, open, ioctl, mmap, poll and close calls that
//! reach a uacce device, traps its doorbells and executes its requests. It shares nothing with the driver under test.

pub mod engine;
