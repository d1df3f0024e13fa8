//! The border guard: a panic never leaves the library.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// Runs `f`; a panic becomes `None`. The first call makes this library's own panic hook silent, so that
/// nothing is written to the host's standard error.
pub fn catch<R>(f: impl FnOnce() -> R) -> Option<R> {
    static SILENT: Once = Once::new();
    SILENT.call_once(warpdrive_core::log::silence_panics);
    panic::catch_unwind(AssertUnwindSafe(f)).ok()
}

/// Runs `f`; a panic becomes `fail`, the call's own failure value.
pub fn guard<R>(fail: R, f: impl FnOnce() -> R) -> R {
    catch(f).unwrap_or(fail)
}
