//! The exported libc symbols. A call that is not about uacce goes to the next library untouched: no allocation,
//! no lock, `errno` preserved.

mod fds;
mod paths;
mod signals;
