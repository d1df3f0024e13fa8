//! UNSAFE: what runs when the library is loaded. It remembers our variables and does nothing else: no system call, no
//! look at a device (that is the first stream's).
#![expect(unsafe_code)]

use crate::guard;

extern "C" fn load() {
    guard::guard((), warpdrive_core::environment::remember);
}

// SAFETY: the dynamic loader calls the functions of this section once each, after the C library's own; extra arguments
// that it passes are ignored by the C calling convention.
#[used]
#[unsafe(link_section = ".init_array")]
static LOAD: extern "C" fn() = load;
