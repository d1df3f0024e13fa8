//! The other side of a queue, in memory, for unit tests: executes a request at the doorbell or when told to,
//! and keeps a journal of everything that crosses the boundary.

use std::collections::VecDeque;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use crate::qm::doorbell::{Doorbell, Kind};
use crate::qm::link::Link;
use crate::qm::ring::{Geometry, Ring};
use crate::qm::{QueuePair, Shared};
use crate::uacce::Region;

/// What crossed the boundary, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Ring(Kind, u16),
    Sleep,
    Stop,
    Abandon,
}

/// What happens to the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Done at the doorbell.
    Complete,
    /// Done when the driver first sleeps.
    CompleteInSleep,
    /// Never done.
    Drop,
    /// Never done; the RX word is set at the doorbell.
    ReceiveStops,
    /// The completion names this slot.
    Slot(u16),
    /// Done during PUT_Q, when the driver has given it up.
    CompleteInStop,
    /// The doorbell panics (in the calling thread).
    PanicAtDoorbell,
    /// Done at the driver's arming doorbell, as if the interrupt had been lost between look and sleep.
    CompleteAtArming,
}

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) ring: Ring,
    pub(crate) journal: Vec<Event>,
    pub(crate) fates: VecDeque<Fate>,
    head: u16,
    cq_index: u16,
    phase: bool,
    /// Completions written and not returned.
    pub(crate) outstanding: u16,
    cq_returned: u16,
    waiting: VecDeque<(u16, Fate)>,
    /// Largest number of completions that stood unreturned at a time.
    pub(crate) most_outstanding: u16,
    pub(crate) accepted: u32,
    /// PUT_Q fails.
    pub(crate) stop_fails: bool,
    /// The next completion is hinted at (c_flag); a started queue is armed.
    armed: bool,
    /// Where hints go, once somebody has asked for the descriptor.
    hint: Option<PipeWriter>,
    hints: u32,
}

impl Device {
    fn submission(&mut self, tail: u16) {
        let depth = self.ring.geometry().sq_depth;
        assert!(tail < depth, "tail beyond the ring");
        while self.head != tail {
            let slot = self.head;
            self.head = (self.head + 1) % depth;
            self.accepted += 1;
            match self.fates.pop_front().unwrap_or(Fate::Complete) {
                Fate::Complete => self.complete(slot, slot),
                Fate::Slot(named) => self.complete(slot, named),
                Fate::ReceiveStops => self.ring.set_receive_stopped(1),
                Fate::PanicAtDoorbell => std::panic::resume_unwind(Box::new("planned")),
                fate => self.waiting.push_back((slot, fate)),
            }
        }
    }

    fn completion(&mut self, head: u16) {
        let depth = self.ring.geometry().cq_depth;
        let returned = (head + depth - self.cq_returned) % depth;
        self.cq_returned = head;
        self.outstanding = self.outstanding.checked_sub(returned).expect("returned more than was written");
    }

    /// Writes back (every byte of the descriptor inverted) and completes.
    fn complete(&mut self, slot: u16, named: u16) {
        let geometry = self.ring.geometry();
        assert!(self.outstanding < geometry.cq_depth, "completion queue overflow");
        let mut sqe = vec![0; geometry.sqe_size];
        self.ring.read_sqe(slot, &mut sqe);
        sqe.iter_mut().for_each(|byte| *byte = !*byte);
        self.ring.write_sqe(slot, &sqe);
        self.ring.complete(self.cq_index, named, self.phase);
        self.cq_index = (self.cq_index + 1) % geometry.cq_depth;
        if self.cq_index == 0 {
            self.phase = !self.phase;
        }
        if std::mem::take(&mut self.armed)
            && let Some(hint) = &mut self.hint
        {
            hint.write_all(b"!").expect("a pipe with a reader");
            self.hints += 1;
        }
        self.outstanding += 1;
        self.most_outstanding = self.most_outstanding.max(self.outstanding);
    }

    /// Completes waiting requests of a fate, oldest first.
    pub(crate) fn release(&mut self, fate: Fate) {
        let (now, later) = self.waiting.iter().partition::<Vec<_>, _>(|(_, f)| *f == fate);
        self.waiting = later.into();
        for (slot, _) in now {
            self.complete(slot, slot);
        }
    }

    /// Another poller of the queue's descriptor takes the hints that are there.
    pub(crate) fn take_hints(&mut self, queue: &Shared<FakeLink>) {
        queue.link().take_hints(std::mem::take(&mut self.hints));
    }

    /// Completes the oldest waiting request, if there is one.
    pub(crate) fn release_one(&mut self) -> bool {
        let waiting = self.waiting.pop_front();
        waiting.inspect(|&(slot, _)| self.complete(slot, slot)).is_some()
    }

    /// Completes the waiting requests in the opposite order.
    pub(crate) fn release_reversed(&mut self) {
        while let Some((slot, _)) = self.waiting.pop_back() {
            self.complete(slot, slot);
        }
    }
}

#[derive(Debug)]
pub(crate) struct FakeLink {
    device: Arc<Mutex<Device>>,
    hints: OnceLock<PipeReader>,
}

impl Doorbell for FakeLink {
    fn ring(&self, kind: Kind, index: u16) {
        let mut device = self.device.lock();
        device.journal.push(Event::Ring(kind, index));
        match kind {
            Kind::Submission => device.submission(index),
            Kind::Completion { arm } => {
                device.completion(index);
                device.armed = arm;
                if arm {
                    device.release(Fate::CompleteAtArming);
                }
            }
        }
    }
}

impl FakeLink {
    /// Takes the hints away, as the kernel does for the first who polls.
    fn take_hints(&self, hints: u32) {
        if let Some(mut reader) = self.hints.get() {
            reader.read_exact(&mut vec![0; hints as usize]).expect("as many as were written");
        }
    }
}

impl Link for FakeLink {
    fn sleep(&self, _timeout: Duration) {
        let mut device = self.device.lock();
        device.journal.push(Event::Sleep);
        device.release(Fate::CompleteInSleep);
    }
    fn stop(&self) -> Result<(), i32> {
        let mut device = self.device.lock();
        device.journal.push(Event::Stop);
        device.release(Fate::CompleteInStop);
        if device.stop_fails { Err(libc::EBADF) } else { Ok(()) }
    }
    fn let_go(&self) {
        // In a child, which may have been made while the journal was being written.
        if let Some(mut device) = self.device.try_lock() {
            device.journal.push(Event::Abandon);
        }
    }
    fn descriptor(&self) -> Option<RawFd> {
        let reader = self.hints.get_or_init(|| {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            self.device.lock().hint = Some(writer);
            reader
        });
        Some(reader.as_raw_fd())
    }
    fn abandon(self) {
        self.device.lock().journal.push(Event::Abandon);
    }
}

/// A started queue of one owner, of the given depth, and the device behind it.
pub(crate) fn queue(depth: u16, sqe_size: usize) -> (QueuePair<FakeLink>, Arc<Mutex<Device>>) {
    let (ring, link, device) = parts(depth, sqe_size);
    (QueuePair::new(ring, link), device)
}

/// As [`queue`], for several threads.
pub(crate) fn shared(depth: u16, sqe_size: usize) -> (Shared<FakeLink>, Arc<Mutex<Device>>) {
    let (ring, link, device) = parts(depth, sqe_size);
    (Shared::new(ring, link), device)
}

fn parts(depth: u16, sqe_size: usize) -> (Ring, FakeLink, Arc<Mutex<Device>>) {
    let geometry = Geometry { sqe_size, sq_depth: depth, cq_depth: depth };
    let len = (sqe_size + 16) * usize::from(depth) + 4096;
    let memory = Arc::new(Region::not_inherited(len.next_multiple_of(4096)).unwrap());
    let device = Arc::new(Mutex::new(Device {
        ring: Ring::new(memory.clone(), geometry).unwrap(),
        journal: Vec::new(),
        fates: VecDeque::new(),
        head: 0,
        cq_index: 0,
        phase: true,
        outstanding: 0,
        cq_returned: 0,
        waiting: VecDeque::new(),
        most_outstanding: 0,
        accepted: 0,
        stop_fails: false,
        armed: true,
        hint: None,
        hints: 0,
    }));
    (
        Ring::new(memory, geometry).unwrap(),
        FakeLink { device: device.clone(), hints: OnceLock::new() },
        device,
    )
}
