//! Doorbell ports: the lock-free way from a trapped store to the device thread.
//!
//! A port is claimed by an open queue and recycled after its close, never freed, because a fault handler in
//! another thread may be looking at it. Everything a handler calls here is async-signal-safe: atomics, `futex`,
//! `nanosleep`.

use crate::sys;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A store to the MMIO region, as decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Bytes from the start of the region.
    pub offset: u32,
    /// Bytes stored.
    pub width: u8,
    /// Value stored, zero-extended.
    pub value: u64,
}

const RING: usize = 256;
const PORTS: usize = 4096;

#[derive(Debug, Default)]
struct Cell {
    sequence: AtomicUsize,
    value: AtomicU64,
    place: AtomicU64,
}

/// An address range; length 0 when there is none.
#[derive(Debug, Default)]
pub struct Range {
    base: AtomicUsize,
    len: AtomicUsize,
}

impl Range {
    /// Publishes the range.
    pub fn set(&self, base: usize, len: usize) {
        self.len.store(0, Ordering::SeqCst);
        self.base.store(base, Ordering::SeqCst);
        self.len.store(len, Ordering::SeqCst);
    }
    /// Forgets the range.
    pub fn clear(&self) {
        self.len.store(0, Ordering::SeqCst);
    }
    /// Whether there is one.
    pub fn exists(&self) -> bool {
        self.len.load(Ordering::SeqCst) > 0
    }
    /// Offset of `addr` in the range, if it lies inside.
    pub fn offset_of(&self, addr: usize) -> Option<usize> {
        let len = self.len.load(Ordering::SeqCst);
        addr.checked_sub(self.base.load(Ordering::SeqCst)).filter(|offset| *offset < len)
    }
    /// Whether the range exists and lies within `addr..addr + len`.
    pub fn lies_in(&self, addr: usize, len: usize) -> bool {
        let (base, own) = (self.base.load(Ordering::SeqCst), self.len.load(Ordering::SeqCst));
        own > 0 && base >= addr && base + own <= addr.saturating_add(len)
    }
}

/// One queue's doorbell.
#[derive(Debug)]
pub struct Port {
    claimed: AtomicBool,
    listening: AtomicBool,
    /// The program's mapping of the MMIO region.
    pub mmio: Range,
    /// The program's mapping of the DUS region.
    pub dus: Range,
    signal: AtomicU32,
    sleeping: AtomicBool,
    head: AtomicUsize,
    tail: AtomicUsize,
    cells: [Cell; RING],
}

static TABLE: [AtomicPtr<Port>; PORTS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; PORTS];
static USED: AtomicUsize = AtomicUsize::new(0);

fn all() -> impl Iterator<Item = &'static Port> {
    let used = USED.load(Ordering::Acquire).min(PORTS);
    // SAFETY: a published pointer comes from Box::leak and is never freed.
    #[allow(unsafe_code)]
    TABLE[..used].iter().filter_map(|p| unsafe { p.load(Ordering::Acquire).as_ref() })
}

/// The port whose doorbell page holds `addr`, and the offset there. Async-signal-safe.
pub fn find(addr: usize) -> Option<(&'static Port, usize)> {
    all().find_map(|port| port.mmio.offset_of(addr).map(|offset| (port, offset)))
}

/// Whether any region of a queue lies in this address range.
pub fn any_within(addr: usize, len: usize) -> bool {
    all().any(|port| port.mmio.lies_in(addr, len) || port.dus.lies_in(addr, len))
}

/// Claims a port; `None` if there are too many open queues. Callers hold the structural lock.
pub fn claim() -> Option<&'static Port> {
    let port = match all().find(|port| !port.claimed.load(Ordering::Acquire)) {
        Some(port) => port,
        None => {
            let index = USED.load(Ordering::Acquire);
            let cell = TABLE.get(index)?;
            let port: &'static Port = Box::leak(Box::new(Port::new()));
            cell.store(std::ptr::from_ref(port).cast_mut(), Ordering::Release);
            USED.store(index + 1, Ordering::Release);
            port
        }
    };
    port.reset();
    port.claimed.store(true, Ordering::Release);
    Some(port)
}

/// Forgets all claims: in a forked child neither the mappings nor the device threads exist.
pub fn forget_all() {
    for port in all() {
        port.mmio.clear();
        port.dus.clear();
        port.listening.store(false, Ordering::Release);
        port.claimed.store(false, Ordering::Release);
    }
}

impl Port {
    fn new() -> Port {
        Port {
            claimed: AtomicBool::new(false),
            listening: AtomicBool::new(false),
            mmio: Range::default(),
            dus: Range::default(),
            signal: AtomicU32::new(0),
            sleeping: AtomicBool::new(false),
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            cells: std::array::from_fn(|_| Cell::default()),
        }
    }

    fn reset(&self) {
        self.mmio.clear();
        self.dus.clear();
        self.listening.store(false, Ordering::SeqCst);
        for (n, cell) in self.cells.iter().enumerate() {
            cell.sequence.store(n, Ordering::SeqCst);
        }
        self.head.store(0, Ordering::SeqCst);
        self.tail.store(0, Ordering::SeqCst);
    }

    /// Accepts stores from now on. What an earlier life of the queue left behind is discarded.
    pub fn listen(&self) {
        while self.pop().is_some() {}
        self.listening.store(true, Ordering::SeqCst);
    }

    /// Drops stores from now on; those already accepted stay.
    pub fn deafen(&self) {
        self.listening.store(false, Ordering::SeqCst);
    }

    /// Gives the port back.
    pub fn release(&self) {
        self.deafen();
        self.mmio.clear();
        self.dus.clear();
        self.claimed.store(false, Ordering::Release);
    }

    /// Hands a store to the device thread; waits while the ring is full, drops it if nobody listens.
    pub fn push(&self, store: Store) {
        let mut position = self.tail.load(Ordering::Relaxed);
        loop {
            if !self.listening.load(Ordering::SeqCst) {
                return;
            }
            let cell = &self.cells[position % RING];
            let sequence = cell.sequence.load(Ordering::Acquire);
            if sequence == position {
                let next = position.wrapping_add(1);
                match self.tail.compare_exchange_weak(position, next, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => {
                        cell.value.store(store.value, Ordering::Relaxed);
                        let place = u64::from(store.offset) | u64::from(store.width) << 32;
                        cell.place.store(place, Ordering::Relaxed);
                        cell.sequence.store(next, Ordering::Release);
                        break;
                    }
                    Err(now) => position = now,
                }
            } else if sequence < position {
                // full: the device is busy; the program's store takes as long as that
                std::thread::sleep(Duration::from_micros(50));
                position = self.tail.load(Ordering::Relaxed);
            } else {
                position = self.tail.load(Ordering::Relaxed);
            }
        }
        self.wake();
    }

    /// Takes the oldest store. Device thread only.
    pub fn pop(&self) -> Option<Store> {
        let position = self.head.load(Ordering::Relaxed);
        let cell = &self.cells[position % RING];
        if cell.sequence.load(Ordering::Acquire) != position.wrapping_add(1) {
            return None;
        }
        let value = cell.value.load(Ordering::Relaxed);
        let place = cell.place.load(Ordering::Relaxed);
        cell.sequence.store(position.wrapping_add(RING), Ordering::Release);
        self.head.store(position.wrapping_add(1), Ordering::Relaxed);
        Some(Store { offset: place as u32, width: (place >> 32) as u8, value })
    }

    /// Makes the device thread look around.
    pub fn wake(&self) {
        self.signal.fetch_add(1, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) {
            sys::futex_wake(&self.signal);
        }
    }

    /// A ticket for [`Port::sleep`]; take it before looking for work.
    pub fn ticket(&self) -> u32 {
        self.signal.load(Ordering::SeqCst)
    }

    /// Sleeps until something happened since the ticket was taken, or the time is up. Device thread only.
    pub fn sleep(&self, ticket: u32, limit: Option<Duration>) {
        self.sleeping.store(true, Ordering::SeqCst);
        if self.ticket() == ticket {
            sys::futex_wait(&self.signal, ticket, limit);
        }
        self.sleeping.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(value: u64) -> Store {
        Store { offset: 0x1000, width: 8, value }
    }

    #[test]
    fn every_store_arrives_once_and_in_its_writers_order() {
        let port: &'static Port = Box::leak(Box::new(Port::new()));
        port.reset();
        port.listen();
        let writers: Vec<_> = (0..3u64)
            .map(|w| std::thread::spawn(move || (0..2000).for_each(|n| port.push(store(w << 32 | n)))))
            .collect();
        let mut next = [0u64; 3];
        while next != [2000; 3] {
            let ticket = port.ticket();
            match port.pop() {
                Some(Store { value, offset: 0x1000, width: 8 }) => {
                    let writer = (value >> 32) as usize;
                    assert_eq!(value & 0xffff_ffff, next[writer]);
                    next[writer] += 1;
                }
                Some(other) => panic!("{other:?}"),
                None => port.sleep(ticket, None),
            }
        }
        writers.into_iter().for_each(|w| w.join().unwrap());
        assert_eq!(port.pop(), None);
    }

    #[test]
    fn a_port_that_does_not_listen_drops_stores() {
        let port = Port::new();
        port.reset();
        port.push(store(1));
        port.listen();
        port.push(store(2));
        port.deafen();
        port.push(store(3));
        assert_eq!((port.pop(), port.pop()), (Some(store(2)), None));
    }

    #[test]
    fn a_range_knows_its_inside() {
        let range = Range::default();
        assert_eq!(range.offset_of(0), None);
        range.set(0x5000, 0x2000);
        assert_eq!((range.offset_of(0x5000), range.offset_of(0x6fff)), (Some(0), Some(0x1fff)));
        assert_eq!((range.offset_of(0x4fff), range.offset_of(0x7000)), (None, None));
        assert!(range.lies_in(0x4000, 0x9000) && !range.lies_in(0x5000, 0x1000));
    }
}
