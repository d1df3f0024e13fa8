//! Memory of one request: its seed's regions, each between guards that a correct request never touches.

use std::cell::RefCell;
use warpdrive_device_model::engine::{Fault, Memory};

/// Bytes of guard on either side of a region. Seeds have at least a page between theirs.
const GUARD: usize = 64;
const PATTERN: u8 = 0x5a;

/// Regions with guards; everything else is unreachable.
#[derive(Debug, Default)]
pub struct Arena(RefCell<Vec<(u64, Vec<u8>)>>);

impl Arena {
    pub fn new(regions: &[(u64, Vec<u8>)]) -> Arena {
        let guarded = regions.iter().map(|(base, bytes)| {
            let guard = [PATTERN; GUARD];
            (base.wrapping_sub(GUARD as u64), [&guard[..], bytes, &guard].concat())
        });
        Arena(RefCell::new(guarded.collect()))
    }

    /// Whether nobody wrote into a guard.
    pub fn guards_hold(&self) -> bool {
        let whole = |part: &[u8]| part.iter().all(|byte| *byte == PATTERN);
        self.0.borrow().iter().all(|(_, bytes)| {
            let (before, rest) = bytes.split_at(GUARD);
            whole(before) && whole(&rest[rest.len() - GUARD..])
        })
    }

    /// The regions without their guards.
    pub fn content(&self) -> Vec<Vec<u8>> {
        self.0.borrow().iter().map(|(_, bytes)| bytes[GUARD..bytes.len() - GUARD].to_vec()).collect()
    }

    fn with<R>(&self, addr: u64, len: usize, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, Fault> {
        for (base, bytes) in self.0.borrow_mut().iter_mut() {
            let at = addr.wrapping_sub(*base);
            let part = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at..at.checked_add(len)?));
            if let Some(part) = part {
                return Ok(f(part));
            }
        }
        Err(Fault { addr, len })
    }
}

impl Memory for Arena {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Fault> {
        if buf.is_empty() { Ok(()) } else { self.with(addr, buf.len(), |part| buf.copy_from_slice(part)) }
    }
    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), Fault> {
        if buf.is_empty() { Ok(()) } else { self.with(addr, buf.len(), |part| part.copy_from_slice(buf)) }
    }
}
