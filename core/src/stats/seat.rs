//! Which counters a thread writes: chosen at its first count, given back when it ends.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::page::Page;

/// Counters of a process without a file.
pub(super) const LOCAL_SHARDS: usize = 8;
/// Attempts of a thread to get a shard of its own.
const MOST_TRIES: u8 = 3;

struct Seat {
    /// Address of the page that the other values are about.
    page: Cell<usize>,
    shard: Cell<usize>,
    /// The shard is this thread's alone.
    own: Cell<bool>,
    tries: Cell<u8>,
    /// 1 + the shard of the counters without a file, 0 before the first count there.
    local: Cell<usize>,
}

thread_local! {
    static SEAT: Seat = const {
        Seat { page: Cell::new(0), shard: Cell::new(0), own: Cell::new(false), tries: Cell::new(0), local: Cell::new(0) }
    };
}

/// The calling thread's shard of `page`. With `again`, a thread that shares asks once more for one of its own.
pub(super) fn shard(page: &Page, again: bool) -> usize {
    // A thread at its end counts with the first one.
    SEAT.try_with(|seat| seat.on(page, again)).unwrap_or(0)
}

/// The calling thread's shard of the counters without a file.
pub(super) fn local() -> usize {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let choose = |seat: &Seat| {
        if seat.local.get() == 0 {
            seat.local.set(1 + TURN.fetch_add(1, Ordering::Relaxed) % LOCAL_SHARDS);
        }
        seat.local.get() - 1
    };
    SEAT.try_with(choose).unwrap_or(0)
}

impl Seat {
    fn on(&self, page: &Page, again: bool) -> usize {
        let here = self.page.get() == address(page);
        if here && (self.own.get() || !again || self.tries.get() == MOST_TRIES) {
            return self.shard.get();
        }
        self.tries.set(if here { self.tries.get() + 1 } else { 0 });
        let (shard, own) = page.take_shard();
        self.page.set(address(page));
        self.shard.set(shard);
        self.own.set(own);
        shard
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The shard of an inherited page that is no longer counted in needs no return.
        if self.own.get()
            && let Some(page) = super::known_page()
            && address(page) == self.page.get()
        {
            page.give_back(self.shard.get());
        }
    }
}

fn address(page: &Page) -> usize {
    std::ptr::from_ref(page).addr()
}
