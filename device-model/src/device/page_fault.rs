//! Memory in which one page cannot be reached: the fault plan's `page-fault`.

use crate::engine::{Fault, Memory};
use std::cell::Cell;

/// Granule of the page that is missing, bytes.
const PAGE: u64 = 4096;

/// The memory of one request. The page of its `at`-th access (from 1) is missing from then on.
pub(super) struct FaultyMemory<'a> {
    memory: &'a dyn Memory,
    before: Cell<u64>,
    missing: Cell<Option<u64>>,
}

impl<'a> FaultyMemory<'a> {
    /// `at` 0 never faults.
    pub(super) fn new(memory: &'a dyn Memory, at: u64) -> FaultyMemory<'a> {
        FaultyMemory { memory, before: Cell::new(at), missing: Cell::new(None) }
    }

    /// The planned access took place.
    pub(super) fn faulted(&self) -> bool {
        self.missing.get().is_some()
    }

    fn check(&self, addr: u64, len: usize) -> Result<(), Fault> {
        if len == 0 {
            return Ok(());
        }
        let last = addr.saturating_add(len as u64 - 1);
        match self.before.get() {
            0 => {}
            1 => {
                self.before.set(0);
                self.missing.set(Some(last / PAGE));
            }
            n => self.before.set(n - 1),
        }
        match self.missing.get() {
            Some(page) if (addr / PAGE..=last / PAGE).contains(&page) => Err(Fault { addr, len }),
            _ => Ok(()),
        }
    }
}

impl Memory for FaultyMemory<'_> {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.check(addr, buf.len())?;
        self.memory.read(addr, buf)
    }
    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), Fault> {
        self.check(addr, buf.len())?;
        self.memory.write(addr, buf)
    }
    fn untouched(&self, addr: u64, len: usize) -> u64 {
        self.memory.untouched(addr, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::Space;

    #[test]
    fn the_page_of_the_counted_access_is_missing_from_then_on() {
        let space = Space::default();
        let (one, two) = (space.put(&[1; 16]), space.put(&[2; 16]));
        let memory = FaultyMemory::new(&space, 2);
        let read = |addr| memory.read(addr, &mut [0; 8]);
        assert_eq!(read(one), Ok(()));
        assert!(!memory.faulted());
        assert_eq!(memory.read(two, &mut []), Ok(()), "an access of nothing is none");
        assert_eq!(read(two), Err(Fault { addr: two, len: 8 }));
        assert!(memory.faulted());
        assert_eq!((read(one), read(two + 8)), (Ok(()), Err(Fault { addr: two + 8, len: 8 })));
        assert!(memory.write(two, &[0]).is_err());
    }
}
