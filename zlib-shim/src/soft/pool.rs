//! States of the engines kept by each thread between streams: what a stream costs at its start is most of what a
//! short message costs.
//!
//! A thread keeps at most one of each kind ([`THREAD_MAX`] bytes), a process [`PROCESS_MAX`] bytes in all; what is
//! beyond is freed. Nothing is shared between threads, so a fork leaves the child its own thread's states whole. A
//! state is taken out while it is used: a signal handler that comes in meanwhile makes its own, and so does a thread
//! whose locals are gone already.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::deflate::DeflateEngine;
use super::inflate::InflateEngine;
use super::libdeflate::{Compressor, DECOMPRESSOR_BYTES, Decompressor, compressor_bytes};

/// Memory of a pooled deflate engine, bytes: window, hash chains and buffers of the default parameters.
pub const DEFLATE_BYTES: usize = 380 << 10;

/// Memory of a pooled inflate engine, bytes.
pub const INFLATE_BYTES: usize = 48 << 10;

/// Most memory that one thread's pool holds, bytes.
pub const THREAD_MAX: usize =
    compressor_bytes(1) + compressor_bytes(9) + DECOMPRESSOR_BYTES + DEFLATE_BYTES + INFLATE_BYTES;

/// Most memory that all pools of the process hold, bytes.
pub const PROCESS_MAX: usize = 64 << 20;

/// A thread needs less than two megabytes.
const _: () = assert!(THREAD_MAX < 2 << 20);

static HELD: AtomicUsize = AtomicUsize::new(0);

/// One state that waits, counted while it does.
struct Kept<T> {
    state: T,
    bytes: usize,
}

struct Slot<T>(Option<Kept<T>>);

impl<T> Slot<T> {
    fn take(&mut self) -> Option<T> {
        let kept = self.0.take()?;
        HELD.fetch_sub(kept.bytes, Ordering::Relaxed);
        Some(kept.state)
    }

    /// Keeps `state` if the slot is free and the process has room; gives it back otherwise.
    fn keep(&mut self, state: T, bytes: usize) -> Option<T> {
        if self.0.is_some() {
            return Some(state);
        }
        if HELD.fetch_add(bytes, Ordering::Relaxed) + bytes > PROCESS_MAX {
            HELD.fetch_sub(bytes, Ordering::Relaxed);
            return Some(state);
        }
        self.0 = Some(Kept { state, bytes });
        None
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        self.take();
    }
}

struct Pool {
    /// For level 1, and for the others.
    compressors: [Slot<Compressor>; 2],
    decompressor: Slot<Decompressor>,
    deflate: Slot<DeflateEngine>,
    inflate: Slot<InflateEngine>,
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            compressors: [Slot(None), Slot(None)],
            decompressor: Slot(None),
            deflate: Slot(None),
            inflate: Slot(None),
        })
    };
}

/// Runs `f` on this thread's pool; `None` if there is none any more, or it is being used.
fn pool<R>(f: impl FnOnce(&mut Pool) -> R) -> Option<R> {
    POOL.try_with(|pool| pool.try_borrow_mut().ok().map(|mut pool| f(&mut pool))).ok().flatten()
}

/// Gives `state` to the slot that `slot` names, or frees it.
fn give<T>(state: T, bytes: usize, slot: impl FnOnce(&mut Pool) -> &mut Slot<T>) {
    let mut state = Some(state);
    pool(|pool| {
        if let Some(given) = state.take() {
            state = slot(pool).keep(given, bytes);
        }
    });
    // freed here, outside of the borrow
    drop(state);
}

/// Runs `f` with a compressor of `level`; `None` without memory.
pub fn with_compressor<R>(level: i32, f: impl FnOnce(&mut Compressor) -> R) -> Option<R> {
    let which = usize::from(level > 1);
    let kept = pool(|pool| pool.compressors[which].take()).flatten();
    let mut compressor = match kept {
        Some(kept) if kept.level() == level => kept,
        // of another level: freed, for they cannot be changed
        _ => Compressor::new(level)?,
    };
    let result = f(&mut compressor);
    give(compressor, compressor_bytes(level), |pool| &mut pool.compressors[which]);
    Some(result)
}

/// Runs `f` with a decompressor; `None` without memory.
pub fn with_decompressor<R>(f: impl FnOnce(&mut Decompressor) -> R) -> Option<R> {
    let kept = pool(|pool| pool.decompressor.take()).flatten();
    let mut decompressor = match kept {
        Some(kept) => kept,
        None => Decompressor::new()?,
    };
    let result = f(&mut decompressor);
    give(decompressor, DECOMPRESSOR_BYTES, |pool| &mut pool.decompressor);
    Some(result)
}

/// A deflate engine of the default window and memory level that an earlier stream left.
pub fn deflate_engine() -> Option<DeflateEngine> {
    pool(|pool| pool.deflate.take()).flatten()
}

/// Keeps a deflate engine of the default window and memory level for the next stream.
pub fn keep_deflate_engine(engine: DeflateEngine) {
    give(engine, DEFLATE_BYTES, |pool| &mut pool.deflate);
}

/// An inflate engine that an earlier stream left.
pub fn inflate_engine() -> Option<InflateEngine> {
    pool(|pool| pool.inflate.take()).flatten()
}

/// Keeps an inflate engine for the next stream.
pub fn keep_inflate_engine(engine: InflateEngine) {
    give(engine, INFLATE_BYTES, |pool| &mut pool.inflate);
}
