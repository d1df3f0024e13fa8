//! What all processes of a run see of one queue: its state, its numbers, and the way of its doorbells.
//!
//! A slot is 8 KiB of a file that every process maps for life, so that a signal handler may use it, and so that
//! removal, reset, fork, exec and a doorbell rung by another process reach the queue wherever it is served.
//! An opening of the queue has an *epoch*: what an older opening still refers to is a ZOMBIE.

use crate::device::Store;
use crate::sys;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// 64-bit words of a slot.
pub const SLOT_WORDS: usize = 1024;

/// Doorbells that wait for the device thread, at most.
const RING: usize = 256;
/// First word of the doorbells, three words each.
const CELLS: usize = 64;
/// In `mapped`: mapped once, which old kernels remember until the descriptor is closed.
const FOR_GOOD: u64 = u64::MAX;

const _: () = assert!(CELLS + 3 * RING <= SLOT_WORDS);

/// States of uacce.md 3.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Opened, not started.
    Init = 0,
    /// The data path is open.
    Started = 1,
    /// Put, closed, or removed with its device.
    Zombie = 2,
}

/// Which region of a queue a mapping shows; the file offset in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Doorbells.
    Mmio = 0,
    /// Queue memory.
    Dus = 1,
    /// DMA memory, without SVA.
    Ss = 2,
}

#[derive(Clone, Copy)]
enum Word {
    Epoch,
    State,
    QcType,
    Owner,
    Access,
    Mapped,
    MappedDus,
    MappedSs,
    Written,
    Polled,
    Events,
    Resets,
    Busy,
    SsLen,
    SsTurn,
    Holders,
    Gone,
    StartWanted,
    Starts,
    Listening,
    Signal,
    Sleeping,
    Head,
    Tail,
}

const _: () = assert!(Word::MappedDus as usize == Word::Mapped as usize + Region::Dus as usize);
const _: () = assert!(Word::MappedSs as usize == Word::Mapped as usize + Region::Ss as usize);

/// One queue's shared words.
#[derive(Clone, Copy, Debug)]
pub struct Slot(&'static [AtomicU64]);

impl Slot {
    /// The slot of queue `number` in the words of a device.
    pub fn of(device: &'static [AtomicU64], number: u16) -> Slot {
        Slot(&device[usize::from(number) * SLOT_WORDS..][..SLOT_WORDS])
    }

    /// The words, for keeping where only a pointer fits.
    pub fn words(self) -> &'static [AtomicU64] {
        self.0
    }

    /// The slot whose words these are.
    pub fn from_words(words: &'static [AtomicU64]) -> Slot {
        Slot(&words[..SLOT_WORDS])
    }

    fn word(self, word: Word) -> &'static AtomicU64 {
        &self.0[word as usize]
    }

    fn get(self, word: Word) -> u64 {
        self.word(word).load(Ordering::SeqCst)
    }

    fn set(self, word: Word, value: u64) {
        self.word(word).store(value, Ordering::SeqCst);
    }

    /// Begins a new life of the queue, state INIT; its epoch. Only the holder of the queue's lock may.
    pub fn begin(self, owner: u64, access: u64, resets: u64) -> u64 {
        self.deafen();
        let epoch = self.get(Word::Epoch) + 1;
        // from here on older openings see a ZOMBIE
        self.set(Word::Epoch, epoch);
        for (word, value) in [
            (Word::QcType, 0),
            (Word::Owner, owner),
            (Word::Access, access),
            (Word::Mapped, 0),
            (Word::MappedDus, 0),
            (Word::MappedSs, 0),
            (Word::Written, 0),
            (Word::Polled, 0),
            (Word::Events, 0),
            (Word::Resets, resets),
            (Word::Busy, 0),
            (Word::SsLen, 0),
            (Word::Holders, 1),
            (Word::StartWanted, 0),
            (Word::Sleeping, 0),
            (Word::Head, 0),
            (Word::Tail, 0),
            (Word::State, State::Init as u64),
        ] {
            self.set(word, value);
        }
        for n in 0..RING {
            self.cell(n)[0].store(n as u64, Ordering::SeqCst);
        }
        self.wake(); // a device thread of an older opening ends
        epoch
    }

    /// The present opening.
    pub fn epoch(self) -> u64 {
        self.get(Word::Epoch)
    }

    /// The present state.
    pub fn state(self) -> State {
        match self.get(Word::State) {
            0 => State::Init,
            1 => State::Started,
            _ => State::Zombie,
        }
    }

    /// Changes the state from `from` to `to`; false if it is not `from`.
    pub fn change_state(self, from: State, to: State) -> bool {
        let (from, to) = (from as u64, to as u64);
        self.word(Word::State).compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// ZOMBIE from now on, whatever it was; the state before.
    pub fn end(self) -> State {
        let before = self.state();
        self.set(Word::State, State::Zombie as u64);
        before
    }

    /// Ends the present opening because the device is removed: its mappings are to fail.
    pub fn remove(self) -> State {
        self.set(Word::Gone, self.epoch());
        self.end()
    }

    /// Whether the opening's device was removed.
    pub fn gone(self, epoch: u64) -> bool {
        self.get(Word::Gone) >= epoch
    }

    /// Process whose address space the queue is bound to; see `model::me`.
    pub fn owner(self) -> u64 {
        self.get(Word::Owner)
    }

    /// The program's F_SETFL: O_NONBLOCK or nothing.
    pub fn set_nonblocking(self, nonblocking: i32) {
        let access = self.access() & !(libc::O_NONBLOCK as u64) | nonblocking as u64;
        self.set(Word::Access, access);
    }

    /// Access mode, and O_NONBLOCK, of the open that made the queue.
    pub fn access(self) -> u64 {
        self.get(Word::Access)
    }

    /// Queue class for the SQ context.
    pub fn qc_type(self) -> u16 {
        self.get(Word::QcType) as u16
    }

    /// Stores the queue class.
    pub fn set_qc_type(self, qc_type: u16) {
        self.set(Word::QcType, u64::from(qc_type));
    }

    /// Resets of the device before the queue was opened.
    pub fn resets_at_open(self) -> u64 {
        self.get(Word::Resets)
    }

    fn mapped(self, region: Region) -> &'static AtomicU64 {
        &self.0[Word::Mapped as usize + region as usize]
    }

    /// Who has mapped the region: a process id, or 0.
    pub fn mapper(self, region: Region) -> u64 {
        self.mapped(region).load(Ordering::SeqCst)
    }

    /// Marks the region as mapped by process `pid`, unless it is mapped. `alive` says whether another process that
    /// mapped it still exists.
    pub fn mark_mapped(self, region: Region, pid: u64, alive: impl Fn(u64) -> bool) -> bool {
        let word = self.mapped(region);
        match word.compare_exchange(0, pid, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(other) if other == FOR_GOOD || alive(other) => false,
            Err(dead) => word.compare_exchange(dead, pid, Ordering::SeqCst, Ordering::SeqCst).is_ok(),
        }
    }

    /// Marks the region as not mapped; `remembered`: old kernels do not let it be mapped again.
    pub fn mark_unmapped(self, region: Region, remembered: bool) {
        self.mapped(region).store(if remembered { FOR_GOOD } else { 0 }, Ordering::SeqCst);
    }

    /// Tells other processes whether a request is being executed.
    pub fn set_busy(self, busy: bool) {
        self.set(Word::Busy, u64::from(busy));
    }

    /// Whether a request is being executed.
    pub fn busy(self) -> bool {
        self.get(Word::Busy) != 0
    }

    /// Counts a completion that was written.
    pub fn wrote(self) {
        self.word(Word::Written).fetch_add(1, Ordering::SeqCst);
    }

    /// Counts an interrupt.
    pub fn interrupted(self) {
        self.word(Word::Events).fetch_add(1, Ordering::SeqCst);
    }

    /// Mainline's answer to poll: whether completions were written since the last positive answer, which a positive
    /// answer consumes.
    pub fn take_written(self) -> bool {
        let written = self.get(Word::Written);
        self.word(Word::Polled).swap(written, Ordering::SeqCst) != written
    }

    /// KAE's answer to poll: one positive answer for each interrupt.
    pub fn take_event(self) -> bool {
        let less = |events: u64| events.checked_sub(1);
        self.word(Word::Events).fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }

    /// Tells all processes how long the SS region is, and the how manyth.
    pub fn share_ss(self, len: u64, turn: u64) {
        self.set(Word::SsTurn, turn);
        self.set(Word::SsLen, len);
    }

    /// Length (0: none) and number of the SS region.
    pub fn shared_ss(self) -> (u64, u64) {
        (self.get(Word::SsLen), self.get(Word::SsTurn))
    }

    /// One more process has the queue's descriptor.
    pub fn join(self) {
        self.word(Word::Holders).fetch_add(1, Ordering::SeqCst);
    }

    /// A process has closed its last descriptor; whether there may be others.
    pub fn leave(self) -> bool {
        self.word(Word::Holders).fetch_sub(1, Ordering::SeqCst) > 1
    }

    /// Another process's START_Q: 0 none, 1 wanted, otherwise 2 + errno as the answer.
    pub fn start_wanted(self) -> &'static AtomicU64 {
        self.word(Word::StartWanted)
    }

    fn cell(self, position: usize) -> &'static [AtomicU64] {
        &self.0[CELLS + 3 * (position % RING)..][..3]
    }

    /// Accepts stores from now on. What an earlier start left behind is discarded. Only while no thread pops.
    pub fn listen(self) {
        while self.pop().is_some() {}
        let start = self.get(Word::Starts) % 0xffff + 1;
        self.set(Word::Starts, start);
        self.set(Word::Listening, start);
    }

    /// Drops stores from now on; those already accepted stay.
    pub fn deafen(self) {
        self.set(Word::Listening, 0);
    }

    /// Whether stores are accepted.
    pub fn listens(self) -> bool {
        self.get(Word::Listening) != 0
    }

    /// Hands a store to the device thread; waits while the ring is full, drops it if nobody listens.
    /// Async-signal-safe.
    pub fn push(self, store: Store) {
        let tail = self.word(Word::Tail);
        loop {
            let start = self.get(Word::Listening);
            if start == 0 {
                return;
            }
            let position = tail.load(Ordering::SeqCst);
            let [sequence, value, place] = self.cell(position as usize) else { return };
            let seen = sequence.load(Ordering::Acquire);
            if seen == position {
                let next = position.wrapping_add(1);
                if tail.compare_exchange_weak(position, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    value.store(store.value, Ordering::Relaxed);
                    let packed = u64::from(store.offset) | u64::from(store.width) << 32 | start << 48;
                    place.store(packed, Ordering::Relaxed);
                    sequence.store(next, Ordering::Release);
                    break;
                }
            } else if seen < position {
                // full: the device is busy; the program's store takes as long as that
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        self.wake();
    }

    /// Takes the oldest store. Device thread only.
    pub fn pop(self) -> Option<Store> {
        loop {
            let position = self.get(Word::Head);
            let [sequence, value, place] = self.cell(position as usize) else { return None };
            if sequence.load(Ordering::Acquire) != position.wrapping_add(1) {
                return None;
            }
            let (value, place) = (value.load(Ordering::Relaxed), place.load(Ordering::Relaxed));
            sequence.store(position.wrapping_add(RING as u64), Ordering::Release);
            self.set(Word::Head, position.wrapping_add(1));
            // a store that was on its way when the queue was stopped belongs to no later start
            if place >> 48 == self.get(Word::Starts) {
                return Some(Store { offset: place as u32, width: (place >> 32) as u8, value });
            }
        }
    }

    /// Makes the device thread look around, in whichever process it runs. Async-signal-safe.
    pub fn wake(self) {
        let signal = self.word(Word::Signal);
        signal.fetch_add(1, Ordering::SeqCst);
        if self.get(Word::Sleeping) != 0 {
            sys::futex_wake_shared(signal);
        }
    }

    /// A ticket for [`Slot::sleep`]; take it before looking for work.
    pub fn ticket(self) -> u64 {
        self.get(Word::Signal)
    }

    /// Sleeps until something happened since the ticket was taken, or the time is up. Device thread only.
    pub fn sleep(self, ticket: u64, limit: Option<Duration>) {
        self.set(Word::Sleeping, 1);
        let signal = self.word(Word::Signal);
        if self.ticket() == ticket {
            sys::futex_wait_shared(signal, ticket, limit);
        }
        self.set(Word::Sleeping, 0);
    }
}

#[cfg(test)]
mod tests;
