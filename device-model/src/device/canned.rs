//! Canned results: a request that is byte for byte one executed before is answered without computing.
//!
//! For measurements in which the time of the model's own arithmetic would be the subject. A recording holds everything
//! that the engine read and wrote. It is played back only if the descriptor is the same (its tag aside) and all that was
//! read is there again, so a canned answer is never wrong; where an operation draws random numbers, the answer is one
//! that it gave before.

use crate::engine::{Context, Description, Engine, Fault, Generation, Injection, Memory, Verdict};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// Bytes kept in all recordings, and in one.
const MOST_BYTES: usize = 64 << 20;
const MOST_IN_ONE: usize = 16 << 20;
/// Writes after which a read is no longer checked for overlap: the request is then not recorded.
const MOST_WRITES: usize = 64;

/// An engine in front of another, which it asks only for what it has not seen.
pub struct Canned {
    engine: &'static dyn Engine,
    played: Box<dyn Fn() + Send + Sync>,
    shelf: Mutex<Shelf>,
}

/// Descriptor without its tag, generation, queue class.
type Key = (Vec<u8>, Generation, u16);

#[derive(Default)]
struct Shelf {
    recordings: HashMap<Key, Arc<Recording>>,
    oldest_first: VecDeque<Key>,
    bytes: usize,
}

struct Recording {
    reads: Vec<(u64, Vec<u8>)>,
    writes: Vec<(u64, Vec<u8>)>,
    entry: Vec<u8>,
    verdict: Verdict,
    bytes: usize,
}

impl Shelf {
    fn keep(&mut self, key: Key, recording: Recording) {
        self.bytes += recording.bytes;
        if let Some(old) = self.recordings.insert(key.clone(), Arc::new(recording)) {
            self.bytes -= old.bytes;
        } else {
            self.oldest_first.push_back(key);
        }
        while self.bytes > MOST_BYTES {
            let Some(old) = self.oldest_first.pop_front().and_then(|key| self.recordings.remove(&key)) else {
                break;
            };
            self.bytes -= old.bytes;
        }
    }
}

/// Memory that remembers what went through it.
struct Tape<'a> {
    mem: &'a dyn Memory,
    reads: RefCell<Vec<(u64, Vec<u8>)>>,
    writes: RefCell<Vec<(u64, Vec<u8>)>>,
    bytes: Cell<usize>,
    /// Something happened that cannot be played back: a fault, a read of what the request itself wrote, too much.
    spoilt: Cell<bool>,
}

impl Tape<'_> {
    fn log(&self, list: &RefCell<Vec<(u64, Vec<u8>)>>, addr: u64, bytes: &[u8]) {
        self.bytes.set(self.bytes.get() + bytes.len() + 64);
        if self.bytes.get() > MOST_IN_ONE {
            self.spoilt.set(true);
        }
        if !self.spoilt.get() {
            list.borrow_mut().push((addr, bytes.to_vec()));
        }
    }

    fn written(&self, addr: u64, len: usize) -> bool {
        let writes = self.writes.borrow();
        writes.len() > MOST_WRITES
            || writes.iter().any(|(at, bytes)| {
                addr < at.saturating_add(bytes.len() as u64) && *at < addr.saturating_add(len as u64)
            })
    }
}

impl Memory for Tape<'_> {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Fault> {
        let result = self.mem.read(addr, buf);
        if result.is_err() || self.written(addr, buf.len()) {
            self.spoilt.set(true);
        }
        self.log(&self.reads, addr, buf);
        result
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), Fault> {
        let result = self.mem.write(addr, buf);
        if result.is_err() {
            self.spoilt.set(true);
        }
        self.log(&self.writes, addr, buf);
        result
    }

    fn untouched(&self, addr: u64, len: usize) -> u64 {
        self.mem.untouched(addr, len)
    }
}

impl Recording {
    /// Does what the engine did; false, with no memory changed, if the inputs are not the same, or if the output can
    /// no longer be written.
    fn play(&self, mem: &dyn Memory) -> bool {
        let mut now = Vec::new();
        let same = self.reads.iter().all(|(addr, bytes)| {
            now.resize(bytes.len(), 0);
            mem.read(*addr, &mut now).is_ok() && now == *bytes
        });
        same && self.writes.iter().all(|(addr, bytes)| mem.write(*addr, bytes).is_ok())
    }
}

impl Canned {
    /// `played` is called for each request that was not computed.
    pub fn new(engine: &'static dyn Engine, played: impl Fn() + Send + Sync + 'static) -> Canned {
        Canned { engine, played: Box::new(played), shelf: Mutex::default() }
    }

    /// The key of an entry, and the range of its tag.
    fn key(&self, sqe: &[u8], ctx: &Context<'_>) -> (Key, std::ops::Range<usize>) {
        let tag = self.engine.tag(ctx.generation);
        let tag = tag.start.min(sqe.len())..tag.end.min(sqe.len());
        let mut entry = sqe.to_vec();
        entry[tag.clone()].fill(0);
        ((entry, ctx.generation, ctx.qc_type), tag)
    }
}

impl Engine for Canned {
    fn classify(&self, sqe: &[u8], generation: Generation, qc_type: u16) -> &'static str {
        self.engine.classify(sqe, generation, qc_type)
    }

    fn describe(&self, sqe: &[u8], generation: Generation, qc_type: u16) -> Description {
        self.engine.describe(sqe, generation, qc_type)
    }

    fn tag(&self, generation: Generation) -> std::ops::Range<usize> {
        self.engine.tag(generation)
    }

    fn status(&self, sqe: &[u8]) -> Option<u32> {
        self.engine.status(sqe)
    }

    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict {
        if ctx.injection != Injection::None {
            return self.engine.execute(sqe, ctx);
        }
        let (key, tag) = self.key(sqe, ctx);
        // Never waits for the lock: in a forked child it may be held by a thread that is not there.
        let found = self.shelf.try_lock().ok().and_then(|shelf| shelf.recordings.get(&key).cloned());
        if let Some(recording) = found
            && recording.play(ctx.mem)
        {
            sqe[..tag.start].copy_from_slice(&recording.entry[..tag.start]);
            sqe[tag.end..].copy_from_slice(&recording.entry[tag.end..]);
            (self.played)();
            return recording.verdict.clone();
        }
        let tape = Tape {
            mem: ctx.mem,
            reads: RefCell::default(),
            writes: RefCell::default(),
            bytes: Cell::new(0),
            spoilt: Cell::new(false),
        };
        let verdict = self.engine.execute(sqe, &mut Context { mem: &tape, ..*ctx });
        if !tape.spoilt.get() && matches!(verdict, Verdict::Done { ok: true, .. }) {
            let recording = Recording {
                reads: tape.reads.into_inner(),
                writes: tape.writes.into_inner(),
                entry: sqe.to_vec(),
                verdict: verdict.clone(),
                bytes: tape.bytes.get() + 2 * sqe.len(),
            };
            if let Ok(mut shelf) = self.shelf.try_lock() {
                shelf.keep(key, recording);
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
