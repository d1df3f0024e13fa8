//! Doorbell ports: which addresses of this process belong to which queue.
//!
//! A port is claimed by an open queue and recycled after its close, never freed, because a fault handler in
//! another thread may be looking at it. Everything a handler calls here is async-signal-safe: atomics, `futex`,
//! `nanosleep`, `mprotect`.
//!
//! UNSAFE: published pointers that are never freed; opens a removed device's doorbell page for its own fault.
#![allow(unsafe_code)]

use super::slots::{SLOT_WORDS, Slot};
pub use crate::device::Store;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

const PORTS: usize = 4096;
/// Where the doorbell register lies in the MMIO region.
const REGISTER: u32 = 0x1000;

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
    /// Base and length of the part within `addr..addr + len`, if there is one.
    pub fn overlap(&self, addr: usize, len: usize) -> Option<(usize, usize)> {
        let (base, own) = (self.base.load(Ordering::SeqCst), self.len.load(Ordering::SeqCst));
        let (first, end) = (base.max(addr), (base + own).min(addr.saturating_add(len)));
        (own > 0 && first < end).then(|| (first, end - first))
    }
}

/// The queue behind a port, and its neighbours.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The slots of the device's queues.
    pub device: &'static [AtomicU64],
    /// Which of them is the port's own.
    pub number: u16,
    /// The opening that the port belongs to.
    pub epoch: u64,
    /// Every queue has a doorbell window of its own; otherwise the number in the value decides.
    pub isolated: bool,
}

/// One queue's addresses in this process.
#[derive(Debug)]
pub struct Port {
    claimed: AtomicBool,
    /// The program's mapping of the MMIO region.
    pub mmio: Range,
    /// The program's mapping of the DUS region.
    pub dus: Range,
    /// The program's mapping of the SS region.
    pub ss: Range,
    /// The program may store to the MMIO region.
    pub writable: AtomicBool,
    slots: AtomicPtr<AtomicU64>,
    count: AtomicUsize,
    number: AtomicUsize,
    epoch: AtomicU64,
    isolated: AtomicBool,
}

static TABLE: [AtomicPtr<Port>; PORTS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; PORTS];
static USED: AtomicUsize = AtomicUsize::new(0);

fn all() -> impl Iterator<Item = &'static Port> {
    let used = USED.load(Ordering::Acquire).min(PORTS);
    // SAFETY: a published pointer comes from Box::leak and is never freed.
    TABLE[..used].iter().filter_map(|p| unsafe { p.load(Ordering::Acquire).as_ref() })
}

/// The port whose doorbell page holds `addr`, and the offset there. Async-signal-safe.
pub fn find(addr: usize) -> Option<(&'static Port, usize)> {
    all().find_map(|port| port.mmio.offset_of(addr).map(|offset| (port, offset)))
}

/// Whether any region of a queue lies in this address range.
pub fn any_within(addr: usize, len: usize) -> bool {
    all().any(|port| [&port.mmio, &port.dus, &port.ss].iter().any(|range| range.lies_in(addr, len)))
}

/// The ports whose doorbell page has bytes in this address range.
pub fn doorbells_in(addr: usize, len: usize) -> impl Iterator<Item = (&'static Port, (usize, usize))> {
    all().filter_map(move |port| port.mmio.overlap(addr, len).map(|part| (port, part)))
}

/// Claims a port; `None` if there are too many open queues. Callers hold the structural lock.
pub fn claim(way: Way) -> Option<&'static Port> {
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
    port.clear();
    port.slots.store(way.device.as_ptr().cast_mut(), Ordering::SeqCst);
    port.count.store(way.device.len() / SLOT_WORDS, Ordering::SeqCst);
    port.number.store(usize::from(way.number), Ordering::SeqCst);
    port.epoch.store(way.epoch, Ordering::SeqCst);
    port.isolated.store(way.isolated, Ordering::SeqCst);
    port.claimed.store(true, Ordering::Release);
    Some(port)
}

/// Forgets all mappings, which do not exist in a forked child.
pub fn forget_mappings() {
    all().for_each(Port::clear);
}

impl Port {
    fn new() -> Port {
        Port {
            claimed: AtomicBool::new(false),
            mmio: Range::default(),
            dus: Range::default(),
            ss: Range::default(),
            writable: AtomicBool::new(false),
            slots: AtomicPtr::new(std::ptr::null_mut()),
            count: AtomicUsize::new(0),
            number: AtomicUsize::new(0),
            epoch: AtomicU64::new(0),
            isolated: AtomicBool::new(false),
        }
    }

    fn clear(&self) {
        self.mmio.clear();
        self.dus.clear();
        self.ss.clear();
    }

    /// Gives the port back.
    pub fn release(&self) {
        self.clear();
        self.claimed.store(false, Ordering::Release);
    }

    fn slot(&self, number: usize) -> Option<Slot> {
        let slots = self.slots.load(Ordering::SeqCst);
        if slots.is_null() || number >= self.count.load(Ordering::SeqCst) {
            return None;
        }
        // SAFETY: the pointer came from a 'static slice of `count` slots (see `claim`).
        let words = unsafe { std::slice::from_raw_parts(slots.add(number * SLOT_WORDS), SLOT_WORDS) };
        Some(Slot::from_words(words))
    }

    /// A store to the doorbell page: goes to the queue that it means, or to its own, which then complains.
    /// Async-signal-safe.
    pub fn push(&self, store: Store) {
        let own = self.number.load(Ordering::SeqCst);
        let mut number = own;
        if !self.isolated.load(Ordering::SeqCst) && store.offset == REGISTER && store.width == 8 {
            number = (store.value & 0xfff) as usize;
        }
        if let Some(slot) = self.slot(number).filter(|slot| slot.listens()).or_else(|| self.slot(own)) {
            slot.push(store);
        }
    }

    /// Whether the device was removed since the queue was opened. Async-signal-safe.
    pub fn gone(&self) -> bool {
        let number = self.number.load(Ordering::SeqCst);
        self.slot(number).is_some_and(|slot| slot.gone(self.epoch.load(Ordering::SeqCst)))
    }

    /// Opens the page for stores, so that one to a removed device faults at the file's end: SIGBUS.
    /// Async-signal-safe.
    pub fn let_stores_through(&self) -> bool {
        let (base, len) = (self.mmio.base.load(Ordering::SeqCst), self.mmio.len.load(Ordering::SeqCst));
        // SAFETY: the program's mapping of a file that has no bytes any more. The system call itself, as the C
        // library's function is interposed to keep stores out.
        unsafe { libc::syscall(libc::SYS_mprotect, base, len, libc::PROT_READ | libc::PROT_WRITE) == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_knows_its_inside() {
        let range = Range::default();
        assert_eq!(range.offset_of(0), None);
        range.set(0x5000, 0x2000);
        assert_eq!((range.offset_of(0x5000), range.offset_of(0x6fff)), (Some(0), Some(0x1fff)));
        assert_eq!((range.offset_of(0x4fff), range.offset_of(0x7000)), (None, None));
        assert!(range.lies_in(0x4000, 0x9000) && !range.lies_in(0x5000, 0x1000));
        assert_eq!(range.overlap(0x4000, 0x1800), Some((0x5000, 0x800)));
        assert_eq!((range.overlap(0x6000, 0x9000), range.overlap(0x7000, 1)), (Some((0x6000, 0x1000)), None));
    }

    #[test]
    fn a_shared_page_rings_the_queue_that_the_value_names_and_a_window_its_own() {
        let device: &'static [AtomicU64] =
            Vec::leak((0..3 * SLOT_WORDS).map(|_| AtomicU64::new(0)).collect());
        let slots = [0, 1, 2].map(|n| Slot::of(device, n));
        for slot in &slots[..2] {
            slot.begin(1, 2, 0);
            slot.listen();
        }
        let store = |value| Store { offset: REGISTER, width: 8, value };
        for isolated in [false, true] {
            let port = claim(Way { device, number: 0, epoch: 1, isolated }).unwrap();
            port.push(store(1));
            port.push(store(2)); // not listening
            port.push(store(900)); // no such queue
            let own: Vec<_> = std::iter::from_fn(|| slots[0].pop()).map(|s| s.value).collect();
            let other: Vec<_> = std::iter::from_fn(|| slots[1].pop()).map(|s| s.value).collect();
            if isolated {
                assert_eq!((own, other), (vec![1, 2, 900], vec![]));
            } else {
                assert_eq!((own, other), (vec![2, 900], vec![1]));
            }
            assert!(!port.gone());
            port.release();
        }
    }
}
