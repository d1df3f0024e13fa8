//! The exported libc symbols. A call that is not about uacce goes to the next library untouched: no allocation,
//! no lock, `errno` preserved. One exception: signal masks and the masks of signal handlers lose SIGSEGV from the
//! start, because a thread that rings a doorbell with SIGSEGV blocked would be killed.

mod fds;
mod paths;
mod signals;
