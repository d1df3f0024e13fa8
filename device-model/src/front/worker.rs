//! The device thread of a started queue: a thin loop that drives the queue pair of [`crate::device`].

use super::memory::ProcessMemory;
use super::model::{self, Model};
use super::pace::{self, Pace};
use super::queue::{Queue, State};
use super::slots::SLOT_WORDS;
use super::ss::QueueMemory;
use crate::device::service::Touching;
use crate::device::{Clock, Host, Interrupt, Lost, Next, QueuePair, Rang, Records, RingMemory, Setup, Store};
use crate::engine::{Fault, Memory, Rule};
use crate::sys;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a stop keeps executing what was announced before it discards the rest.
const DRAIN: Duration = Duration::from_millis(200);

struct Monotonic;

impl Clock for Monotonic {
    fn now_ns(&self) -> u64 {
        sys::monotonic_ns()
    }
}

impl RingMemory for Queue {
    fn read_sqe(&self, slot: u16, sqe: &mut [u8]) -> Result<(), Fault> {
        self.copy_sqe_out(slot, sqe);
        Ok(())
    }
    fn write_sqe(&self, slot: u16, sqe: &[u8]) -> Result<(), Fault> {
        self.copy_sqe_in(slot, sqe);
        Ok(())
    }
    fn write_cqe(&self, index: u16, phase: bool, slot: u16) -> Result<(), Fault> {
        self.put_cqe(index, phase, slot);
        Ok(())
    }
    fn set_tx(&self) {
        self.write_tx();
    }
    fn set_rx(&self) {
        self.write_rx();
    }
}

impl Interrupt for Queue {
    fn raise(&self) {
        self.ring_bell();
    }
    fn calm(&self) {
        self.calm_bell();
    }
}

/// What the queue pair needs around it, for as long as the thread runs.
struct Around {
    queue: Arc<Queue>,
    model: &'static Model,
    memory: Touching<Box<dyn Memory + Send>>,
}

impl Around {
    fn host(&self) -> Host<'_> {
        Host {
            rings: &*self.queue,
            memory: &self.memory,
            interrupt: &*self.queue,
            clock: &Monotonic,
            records: self.model,
            faults: self.model.faults(),
        }
    }
}

/// What the device thread does next.
enum Turn {
    Again,
    Sleep,
    /// Until this time, or until something happens.
    Until(u64),
    End,
}

struct Worker {
    around: Around,
    pair: QueuePair,
    pace: Option<Pace>,
}

/// Starts the device thread of a queue. It blocks all signals from its first instruction on.
pub fn start(queue: &Arc<Queue>, model: &'static Model) -> io::Result<()> {
    stop(queue); // one that another process has put has ended by itself
    queue.stopping.store(false, Ordering::SeqCst);
    queue.slot.listen();
    let pair = QueuePair::new(Setup {
        device: queue.name.clone(),
        kind: queue.kind,
        engine: model.engine(queue.kind),
        generation: model.profile.generation,
        number: queue.number,
        depth: queue.depth,
        // as it is now: a later QM_SET_QP_CTX counts at the next START_Q (uacce.md 3.3)
        qc_type: queue.slot.qc_type(),
        doorbell_isolation: model.profile.doorbell_isolation,
    });
    let memory: Box<dyn Memory + Send> = if model.profile.sva() {
        Box::new(ProcessMemory::new(model::note))
    } else {
        Box::new(QueueMemory::new(Arc::clone(queue), model.profile.ss.whole_device, model::note))
    };
    let memory = Touching::new(memory, model.profile.page_fault_ns > 0);
    let pace = model.pace(queue.kind, queue.device, queue.slot.qc_type());
    let worker = Worker { around: Around { queue: Arc::clone(queue), model, memory }, pair, pace };
    let builder = std::thread::Builder::new().name(format!("wdm {}", queue.number));
    let started = sys::with_signals_blocked(|| builder.spawn(move || worker.run()));
    match started {
        Ok(thread) => {
            *queue.thread() = Some(thread);
            Ok(())
        }
        Err(error) => {
            queue.slot.deafen();
            Err(error)
        }
    }
}

/// Stops the device thread and waits until it touches nothing any more.
pub fn stop(queue: &Queue) {
    if queue.slot.epoch() == queue.epoch {
        queue.slot.deafen(); // a later opening of the number is somebody else's
    }
    queue.stopping.store(true, Ordering::SeqCst);
    queue.slot.wake();
    let thread = queue.thread().take();
    if let Some(thread) = thread {
        let _ = thread.join();
    }
}

impl Worker {
    fn run(mut self) {
        let queue = Arc::clone(&self.around.queue);
        let mut drain_until = None;
        loop {
            let ticket = queue.slot.ticket();
            // busy first, then the state: who takes the memory away changes the state and then waits for this
            queue.slot.set_busy(true);
            let turn = self.turn(&mut drain_until);
            queue.slot.set_busy(false);
            match turn {
                Turn::Again => {}
                Turn::Sleep => queue.slot.sleep(ticket, None),
                Turn::Until(due) => pace::wait_until(due, &queue.slot, ticket),
                Turn::End => return,
            }
        }
    }

    fn turn(&mut self, drain_until: &mut Option<Instant>) -> Turn {
        let queue = Arc::clone(&self.around.queue);
        if queue.state() != State::Started {
            let Around { model, .. } = &self.around;
            if model.function(queue.device).removed() {
                // its memory may be gone: nothing is written any more
                self.pair.vanish(&self.around.host(), Lost::Removed.reason());
            } else {
                self.flush("put by another process");
            }
            return Turn::End;
        }
        self.take_doorbells();
        self.notice_events();
        if queue.stopping.load(Ordering::SeqCst) {
            let until = *drain_until.get_or_insert_with(|| Instant::now() + DRAIN);
            let idle = self.pair.waiting() == 0 && self.pace.as_ref().is_none_or(|p| p.next_due().is_none());
            if idle || Instant::now() >= until {
                self.flush("stopped");
                return Turn::End;
            }
        }
        self.complete_due();
        let next_due = self.pace.as_ref().and_then(Pace::next_due);
        match next_due {
            Some(due) if self.pace.as_ref().is_some_and(Pace::full) => Turn::Until(due),
            _ if self.step() => Turn::Again,
            Some(due) => Turn::Until(due),
            None => Turn::Sleep,
        }
    }

    /// Nothing more is done for what the queue still has.
    fn flush(&mut self, why: &str) {
        let host = self.around.host();
        for finished in self.pace.iter_mut().flat_map(Pace::drain) {
            self.pair.abandon(&host, finished.request(), why);
        }
        self.pair.discard(&host, why);
    }

    fn complete_due(&mut self) {
        while let Some(finished) = self.pace.as_mut().and_then(Pace::due) {
            self.take_doorbells();
            self.pair.complete(&self.around.host(), finished);
        }
    }

    fn take_doorbells(&mut self) {
        while let Some(store) = self.around.queue.slot.pop() {
            self.doorbell(store);
        }
    }

    fn doorbell(&mut self, store: Store) {
        let host = self.around.host();
        if let Rang::Elsewhere(number) = self.pair.doorbell(&host, store) {
            // all queues share the register: the number decides, and it was not served when the store was made
            let Around { queue, model, .. } = &self.around;
            let queues = model.slots[queue.device].len() / SLOT_WORDS;
            let slot = Some(number).filter(|n| usize::from(*n) < queues).map(|n| model.slot(queue.device, n));
            match slot.filter(|slot| slot.listens()) {
                Some(slot) => slot.push(store),
                None => {
                    let what = format!("doorbell {:#018x}: no such queue is started", store.value);
                    self.pair.refuse(&host, Rule::Doorbell, &what);
                }
            }
        }
    }

    fn notice_events(&mut self) {
        let Around { queue, model, .. } = &self.around;
        match model.function(queue.device).lost(queue.slot.resets_at_open()) {
            None => {}
            Some(lost @ Lost::Removed) => self.pair.vanish(&self.around.host(), lost.reason()),
            Some(lost) => self.pair.die(&self.around.host(), lost.reason()),
        }
    }

    /// One request from the ring to its completion; false if there is none.
    fn step(&mut self) -> bool {
        match self.pair.fetch(&self.around.host()) {
            Next::Idle => return false,
            Next::Lost => {}
            Next::Device(event) => {
                let Around { queue, model, .. } = &self.around;
                // removal waits for all that are busy, and must not wait for itself
                queue.slot.set_busy(false);
                model.device_event(queue.device, event);
                queue.slot.set_busy(true);
                if queue.state() == State::Started {
                    self.notice_events();
                }
            }
            Next::Request(request) => {
                if !self.hold(request.hold_ms()) {
                    self.pair.abandon(&self.around.host(), &request, "the queue was stopped");
                } else if let Some(finished) = self.pair.execute(&self.around.host(), request) {
                    let untouched = self.around.memory.take();
                    if untouched > 0 {
                        let model = self.around.model;
                        Records::add(model, model.counter("page_faults"), untouched);
                    }
                    if let Some(pace) = &mut self.pace {
                        pace.push(finished, untouched);
                        return true;
                    }
                    // completions that the program returned meanwhile make room
                    self.take_doorbells();
                    self.pair.complete(&self.around.host(), finished);
                }
            }
        }
        true
    }

    /// Sleeps for the fault plan; false if the queue was stopped meanwhile.
    fn hold(&mut self, ms: u64) -> bool {
        if ms == 0 {
            return true;
        }
        let queue = Arc::clone(&self.around.queue);
        let until = Instant::now() + Duration::from_millis(ms);
        loop {
            let ticket = queue.slot.ticket();
            if queue.stopping.load(Ordering::SeqCst) || queue.state() != State::Started {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            self.complete_due();
            let due = self.pace.as_ref().and_then(Pace::next_due).unwrap_or(u64::MAX);
            let due = Duration::from_nanos(due.saturating_sub(sys::monotonic_ns()));
            queue.slot.sleep(ticket, Some(left.min(due)));
        }
    }
}
