//! What all queues of one PCI function share: reset, isolation, removal, busy spells.
//!
//! The state is a few atomic words, so that processes which share them (or one process alone) see the same
//! function. Times are the front's monotonic milliseconds.

use std::sync::atomic::{AtomicU64, Ordering};

/// What happens to a whole function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceEvent {
    /// Controller reset: every queue dies by the reset words, and none can be had for this many milliseconds.
    Reset(u64),
    /// Isolated after hardware errors: every queue dies by the reset words, none can be had any more.
    Isolate,
    /// Hot removal: queues and mappings vanish, the reset words stay as they are.
    Remove,
    /// Others hold all queues for this many milliseconds; those that are open go on.
    Busy(u64),
}

/// Why no queue can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The function is gone.
    Removed,
    /// It stays stopped.
    Isolated,
    /// A reset is in progress.
    Resetting,
    /// All queues are taken.
    Busy,
}

/// Why a queue that was open is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The function is gone: the reset words are not touched.
    Removed,
    /// The function was isolated since the queue was opened.
    Isolated,
    /// The controller was reset since the queue was opened.
    Reset,
}

impl Lost {
    /// The reason, for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Lost::Removed => "the device was removed",
            Lost::Isolated => "the device was isolated",
            Lost::Reset => "controller reset",
        }
    }
}

/// The shared words of one function.
#[derive(Clone, Copy, Debug)]
pub struct Function<'a> {
    /// Queue number to try first at the next open.
    pub next_queue: &'a AtomicU64,
    resets: &'a AtomicU64,
    resetting_until: &'a AtomicU64,
    busy_until: &'a AtomicU64,
    isolated: &'a AtomicU64,
    removed: &'a AtomicU64,
}

impl<'a> Function<'a> {
    /// Words that a function needs; all start as 0.
    pub const WORDS: usize = 8;

    /// The function whose words these are (at least [`Function::WORDS`]).
    pub fn new(words: &'a [AtomicU64]) -> Function<'a> {
        Function {
            next_queue: &words[0],
            resets: &words[1],
            resetting_until: &words[2],
            busy_until: &words[3],
            isolated: &words[4],
            removed: &words[5],
        }
    }

    /// Resets so far; a queue remembers the number at its opening.
    pub fn resets(&self) -> u64 {
        self.resets.load(Ordering::SeqCst)
    }

    /// Carries out an event. What it does to queues is the fronts' duty, after this.
    pub fn apply(&self, event: DeviceEvent, now_ms: u64) {
        match event {
            DeviceEvent::Reset(ms) => {
                self.resetting_until.fetch_max(now_ms + ms, Ordering::SeqCst);
                self.resets.fetch_add(1, Ordering::SeqCst);
            }
            DeviceEvent::Isolate => self.isolated.store(1, Ordering::SeqCst),
            DeviceEvent::Remove => self.removed.store(1, Ordering::SeqCst),
            DeviceEvent::Busy(ms) => {
                self.busy_until.fetch_max(now_ms + ms, Ordering::SeqCst);
            }
        }
    }

    /// The function is put (back) in place, in working order. Queues that were open before stay lost.
    pub fn renew(&self) {
        self.resets.fetch_add(1, Ordering::SeqCst);
        for word in [self.resetting_until, self.busy_until, self.isolated, self.removed] {
            word.store(0, Ordering::SeqCst);
        }
    }

    /// The queue manager does not work: removed, or in a reset.
    pub fn stopped(&self, now_ms: u64) -> bool {
        matches!(self.closed(now_ms), Some(Closed::Removed | Closed::Resetting))
    }

    /// The `isolate` attribute.
    pub fn isolated(&self) -> bool {
        self.isolated.load(Ordering::SeqCst) != 0
    }

    /// The function is gone.
    pub fn removed(&self) -> bool {
        self.removed.load(Ordering::SeqCst) != 0
    }

    /// Others hold all queues.
    pub fn busy(&self, now_ms: u64) -> bool {
        now_ms < self.busy_until.load(Ordering::SeqCst)
    }

    /// Why no queue can be opened or started now, if so.
    pub fn closed(&self, now_ms: u64) -> Option<Closed> {
        if self.removed() {
            Some(Closed::Removed)
        } else if self.isolated() {
            Some(Closed::Isolated)
        } else if now_ms < self.resetting_until.load(Ordering::SeqCst) {
            Some(Closed::Resetting)
        } else if self.busy(now_ms) {
            Some(Closed::Busy)
        } else {
            None
        }
    }

    /// Why a queue that was opened after `resets` resets is lost, if so.
    pub fn lost(&self, resets: u64) -> Option<Lost> {
        if self.removed() {
            Some(Lost::Removed)
        } else if self.isolated() {
            Some(Lost::Isolated)
        } else {
            (self.resets() != resets).then_some(Lost::Reset)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Vec<AtomicU64> {
        (0..Function::WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_reset_passes_and_what_was_open_stays_lost() {
        let words = words();
        let function = Function::new(&words);
        let before = function.resets();
        assert_eq!((function.closed(100), function.lost(before)), (None, None));
        function.apply(DeviceEvent::Reset(20), 100);
        assert_eq!((function.closed(119), function.closed(120)), (Some(Closed::Resetting), None));
        assert_eq!((function.lost(before), function.lost(function.resets())), (Some(Lost::Reset), None));
    }

    #[test]
    fn a_busy_spell_costs_no_open_queue() {
        let words = words();
        let function = Function::new(&words);
        function.apply(DeviceEvent::Busy(5), 10);
        assert_eq!((function.closed(14), function.closed(15)), (Some(Closed::Busy), None));
        assert_eq!(function.lost(0), None);
    }

    #[test]
    fn isolation_and_removal_last() {
        let words = words();
        let function = Function::new(&words);
        function.apply(DeviceEvent::Isolate, 0);
        assert_eq!(
            (function.closed(u64::MAX), function.lost(0)),
            (Some(Closed::Isolated), Some(Lost::Isolated))
        );
        function.apply(DeviceEvent::Remove, 0);
        assert_eq!(
            (function.closed(u64::MAX), function.lost(0)),
            (Some(Closed::Removed), Some(Lost::Removed))
        );
    }
}
