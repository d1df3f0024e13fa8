//! The atomics and locks of what a model checker examines (`ci/loom`): loom's under `cfg(loom)`, otherwise the standard ones.

#[cfg(all(test, loom))]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Condvar, Mutex};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Condvar, Mutex};

/// Checks every interleaving of up to three preemptions (or `LOOM_MAX_PREEMPTIONS`), which finds nearly all that more
/// would, in bearable time.
#[cfg(all(test, loom))]
pub(crate) fn check(actors: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(actors);
}
