//! The exported libc symbols. A call that is not about uacce goes to the next library untouched: no allocation,
//! no lock, `errno` preserved. One exception: signal masks and the masks of signal handlers lose SIGSEGV from the
//! start, because a thread that rings a doorbell with SIGSEGV blocked would be killed.

#![expect(unsafe_code)]

mod fds;
mod listing;
mod memory;
mod paths;
mod signals;
mod sockets;
mod stat;
mod waiting;

extern "C" fn load() {
    // A panic in reading the environment would have nowhere to go; the settings are then read at first use.
    let _ = std::panic::catch_unwind(crate::front::model::loaded);
}

// SAFETY: the dynamic loader calls the functions of this section once each, after the C library's own; extra arguments
// that it passes are ignored by the C calling convention.
#[used]
#[unsafe(link_section = ".init_array")]
static LOAD: extern "C" fn() = load;
