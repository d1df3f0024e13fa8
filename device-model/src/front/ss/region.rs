//! The memory behind an SS region: pinned, mapped once for the program and once for the device.
//!
//! UNSAFE: copies between the device's mapping and the engine's buffers.
#![allow(unsafe_code)]

use super::super::nodes;
use super::super::queue::{Mapping, Queue};
use super::slices::{Miss, Slices};
use crate::engine::{Fault, Memory};
use crate::sys::{self, HiddenFd};
use std::io;
use std::sync::{Arc, Weak};

/// Zeroed memory that the device can reach, at the addresses of its slices.
#[derive(Debug)]
pub struct Region {
    slices: Slices,
    mapping: Mapping,
    file: HiddenFd,
}

impl Region {
    /// Takes `len` bytes (a multiple of the page size) and lays `slices` over them.
    pub fn new(len: usize, slices: Slices) -> io::Result<Region> {
        let file = sys::memory_file(c"warpdrive-model-ss", len)?;
        let mapping = Mapping::new(len, file.number(), false)?;
        Ok(Region { slices, mapping, file })
    }

    /// The file that holds the memory, for the program's mapping.
    pub fn fd(&self) -> libc::c_int {
        self.file.number()
    }

    /// Where the device sees it.
    pub fn slices(&self) -> &Slices {
        &self.slices
    }

    /// A pointer to `len` bytes at the device's `addr`.
    fn at(&self, addr: u64, len: usize) -> Result<*mut u8, Miss> {
        let offset = self.slices.locate(addr, len as u64)? as usize;
        assert!(offset + len <= self.mapping.len());
        // SAFETY: within the mapping (checked above).
        Ok(unsafe { self.mapping.base().add(offset) })
    }
}

/// What a queue has as its SS region.
#[derive(Clone, Debug)]
pub enum Attached {
    /// Mapped from this queue.
    Own(Arc<Region>),
    /// Another queue's, by SHARE_SVAS: gone when its owner unmaps it.
    Shared(Weak<Region>),
}

impl Attached {
    fn region(&self) -> Option<Arc<Region>> {
        match self {
            Attached::Own(region) => Some(Arc::clone(region)),
            Attached::Shared(region) => region.upgrade(),
        }
    }
}

/// What a queue without SVA reaches: its SS region, by device addresses, and nothing else.
pub struct QueueMemory {
    queue: Arc<Queue>,
    whole_device: bool,
    note: fn(&str),
}

impl QueueMemory {
    /// Access for the device thread of `queue`; `note` receives a line for each address that leads nowhere.
    pub fn new(queue: Arc<Queue>, whole_device: bool, note: fn(&str)) -> QueueMemory {
        QueueMemory { queue, whole_device, note }
    }

    /// The region of another queue of the device in which these bytes lie.
    fn elsewhere(&self, addr: u64, len: usize) -> Option<Arc<Region>> {
        if !self.whole_device {
            return None;
        }
        let regions = nodes::of_device(self.queue.device).into_iter().filter_map(|queue| {
            let region = queue.ss().as_ref().and_then(Attached::region);
            region.filter(|region| region.at(addr, len).is_ok())
        });
        regions.last()
    }

    /// Lets `copy` have the bytes at `addr`. The region stays while it runs.
    fn with(&self, addr: u64, len: usize, copy: impl FnOnce(*mut u8)) -> Result<(), Fault> {
        if len == 0 {
            return Ok(());
        }
        let own = self.queue.ss().as_ref().and_then(Attached::region);
        let reached = own.as_ref().is_some_and(|region| region.at(addr, len).is_ok());
        let region = if reached { own } else { self.elsewhere(addr, len).or(own) };
        let outcome = match &region {
            Some(region) => region.at(addr, len).map(copy).map_err(|miss| miss.to_string()),
            None => Err("the queue has no SS region".to_owned()),
        };
        outcome.map_err(|why| {
            let Queue { name, number, .. } = &*self.queue;
            (self.note)(&format!("{name} queue {number}: DMA of {len} bytes at {addr:#x}: {why}"));
            Fault { addr, len }
        })
    }
}

impl Memory for QueueMemory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Fault> {
        // SAFETY: `with` gives a pointer to as many bytes of the region, which no reference covers. The program may
        // write at the same time; then what is read is its own affair, as on hardware.
        self.with(addr, buf.len(), |from| unsafe {
            std::ptr::copy_nonoverlapping(from, buf.as_mut_ptr(), buf.len());
        })
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), Fault> {
        // SAFETY: as in `read`; the mapping is writable.
        self.with(addr, buf.len(), |to| unsafe {
            std::ptr::copy_nonoverlapping(buf.as_ptr(), to, buf.len());
        })
    }
}
