//! The device thread of a started queue: takes doorbells, executes requests in ring order, writes completions.

use super::faults::Fault;
use super::ledger::ClassCounters;
use super::memory::ProcessMemory;
use super::model::{self, Model};
use super::nodes;
use super::ports::Store;
use super::profile::Kind;
use super::queue::{Queue, State};
use super::rings::Rings;
use crate::engine::{Context, Engine, Injection, Verdict, hpre, sec, zip};
use crate::sys;
use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Where the doorbell register lies in the MMIO region (V2 and later).
const DOORBELL: u32 = 0x1000;
/// How long a stop keeps executing what was announced before it discards the rest.
const DRAIN: Duration = Duration::from_millis(200);

/// The fields of a doorbell value (qm.md 4.1).
struct Doorbell {
    queue: u16,
    command: u8,
    random: u16,
    index: u16,
    arm: bool,
    reserved: u16,
}

impl Doorbell {
    fn split(value: u64) -> Doorbell {
        let field = |low: u32, bits: u32| (value >> low) & ((1 << bits) - 1);
        Doorbell {
            queue: field(0, 12) as u16,
            command: field(12, 4) as u8,
            random: field(16, 16) as u16,
            index: field(32, 16) as u16,
            arm: field(48, 1) == 1,
            reserved: field(49, 15) as u16,
        }
    }
}

struct Worker {
    queue: Arc<Queue>,
    model: &'static Model,
    memory: ProcessMemory,
    rings: Rings,
    /// As it was at START_Q: a later QM_SET_QP_CTX counts at the next one (uacce.md 3.3).
    qc_type: u16,
    armed: bool,
    dead: bool,
    counters: HashMap<&'static str, ClassCounters>,
}

/// Starts the device thread of a queue. It blocks all signals from its first instruction on.
pub fn start(queue: &Arc<Queue>, model: &'static Model) -> io::Result<()> {
    queue.stopping.store(false, Ordering::SeqCst);
    queue.port.listen();
    let worker = Worker {
        queue: Arc::clone(queue),
        model,
        memory: ProcessMemory::new(model::note),
        rings: Rings::new(queue.depth),
        qc_type: queue.qc_type(),
        armed: true,
        dead: false,
        counters: HashMap::new(),
    };
    let builder = std::thread::Builder::new().name(format!("wdm {}", queue.number));
    let started = sys::with_signals_blocked(|| builder.spawn(move || worker.run()));
    match started {
        Ok(thread) => {
            *queue.thread() = Some(thread);
            Ok(())
        }
        Err(error) => {
            queue.port.deafen();
            Err(error)
        }
    }
}

/// Stops the device thread and waits until it touches nothing any more.
pub fn stop(queue: &Queue) {
    queue.port.deafen();
    queue.stopping.store(true, Ordering::SeqCst);
    queue.port.wake();
    let thread = queue.thread().take();
    if let Some(thread) = thread {
        let _ = thread.join();
    }
}

impl Worker {
    fn run(mut self) {
        let mut drain_until = None;
        loop {
            let ticket = self.queue.port.ticket();
            while let Some(store) = self.queue.port.pop() {
                self.doorbell(store);
            }
            self.notice_reset();
            if self.queue.stopping.load(Ordering::SeqCst) {
                let until = *drain_until.get_or_insert_with(|| Instant::now() + DRAIN);
                if self.rings.waiting() == 0 || Instant::now() >= until {
                    self.discard("stopped");
                    return;
                }
            } else if self.queue.state() != State::Started {
                // put by a process that shares the queue with this one
                self.discard("put by another process");
                self.queue.port.sleep(ticket, Some(Duration::from_millis(100)));
                continue;
            }
            match self.rings.fetch() {
                Some(slot) => {
                    self.queue.set_busy(true);
                    self.serve(slot);
                    self.queue.set_busy(false);
                }
                None => self.queue.port.sleep(ticket, None),
            }
        }
    }

    fn refuse(&self, what: &str) {
        self.model.refuse(&format!("{} queue {}: {what}", self.queue.name, self.queue.number));
    }

    fn discard(&mut self, why: &str) {
        let waiting = self.rings.waiting();
        if waiting > 0 {
            self.model.dir.log(&format!(
                "{} queue {}: {waiting} announced requests discarded: {why}",
                self.queue.name, self.queue.number
            ));
            while self.rings.fetch().is_some() {}
        }
    }

    fn doorbell(&mut self, store: Store) {
        if store.offset != DOORBELL || store.width != 8 {
            return self.refuse(&format!(
                "a store of {} bytes at MMIO offset {:#x}: only 64-bit stores to {DOORBELL:#x} are defined",
                store.width, store.offset
            ));
        }
        let bell = Doorbell::split(store.value);
        let complain = |what: &str| self.refuse(&format!("doorbell {:#018x}: {what}", store.value));
        if bell.random != 0 {
            return complain("random data is not 0 (db random invalid)");
        }
        if bell.command > 1 {
            return complain("the command is neither SQ (0) nor CQ (1)");
        }
        if bell.reserved != 0 || (bell.command == 0 && bell.arm) {
            return complain("priority bits are not 0");
        }
        if bell.queue != self.queue.number {
            if self.model.profile.doorbell_isolation {
                return complain("another queue's number in this queue's window");
            }
            // all queues share the register: the number decides
            return match nodes::port_of(self.queue.device, bell.queue) {
                Some(port) => port.push(store),
                None => complain("no such queue is open in this process"),
            };
        }
        if self.dead {
            return;
        }
        let outcome = if bell.command == 0 {
            self.rings.announce(bell.index)
        } else {
            self.rings.give_back(bell.index)
        };
        if let Err(bad) = outcome {
            return self.refuse(&format!("doorbell {:#018x}: {}", store.value, bad.0));
        }
        if bell.command == 1 {
            self.armed = bell.arm;
            if bell.arm && self.rings.outstanding() == 0 {
                self.queue.calm();
            }
        }
    }

    fn notice_reset(&mut self) {
        let resets = self.model.device_words(self.queue.device).resets.load(Ordering::SeqCst);
        if resets != self.queue.resets_at_open && !self.dead {
            self.die("controller reset");
        }
    }

    /// The queue is lost: TX word, work flushed, RX word (qm.md 7).
    fn die(&mut self, why: &str) {
        self.queue.set_tx();
        self.dead = true;
        self.discard(why);
        self.queue.set_rx();
        self.model.dir.log(&format!("{} queue {}: dead: {why}", self.queue.name, self.queue.number));
    }

    fn reset_device(&mut self, ms: u64) {
        let words = self.model.device_words(self.queue.device);
        words.resetting_until.store(sys::monotonic_ms() + ms, Ordering::SeqCst);
        words.resets.fetch_add(1, Ordering::SeqCst);
        self.die("controller reset (fault plan)");
        nodes::wake_all(self.queue.device);
    }

    /// Sleeps for the fault plan; false if the queue was stopped meanwhile.
    fn delay(&self, ms: u64) -> bool {
        let until = Instant::now() + Duration::from_millis(ms);
        loop {
            let ticket = self.queue.port.ticket();
            if self.queue.stopping.load(Ordering::SeqCst) || self.queue.state() != State::Started {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            self.queue.port.sleep(ticket, Some(left));
        }
    }

    fn class_counters(&mut self, class: &'static str) -> Option<ClassCounters> {
        if let Some(counters) = self.counters.get(class) {
            return Some(*counters);
        }
        match self.model.ledger.class(self.queue.kind.name(), class) {
            Ok(counters) => Some(*self.counters.entry(class).or_insert(counters)),
            Err(error) => {
                self.refuse(&format!("cannot count {class}: {error}"));
                None
            }
        }
    }

    fn serve(&mut self, slot: u16) {
        let mut entry = [0u8; 128];
        let sqe = &mut entry[..self.queue.kind.sqe_size()];
        self.queue.read_sqe(slot, sqe);
        let engine: &dyn Engine = match self.queue.kind {
            Kind::Zip => &zip::Zip,
            Kind::Sec => &sec::Sec,
            Kind::Hpre => &hpre::Hpre,
        };
        let generation = self.model.profile.generation;
        let qc_type = self.qc_type;
        let class =
            catch_unwind(AssertUnwindSafe(|| engine.classify(sqe, generation, qc_type))).unwrap_or("unknown");
        let Some(counters) = self.class_counters(class) else { return };
        counters.accepted.add(1);

        let fault = self.model.plan.request(self.queue.kind, class, self.model.fault_counters);
        let request = format!("{} queue {} slot {slot} {class}", self.queue.name, self.queue.number);
        if let Some(fault) = fault {
            self.model.dir.log(&format!("fault {fault:?}: {request}"));
        }
        let injection = match fault {
            None => Injection::None,
            Some(Fault::Status(status)) => Injection::Status(status),
            Some(Fault::Partial) => Injection::Partial,
            Some(Fault::Corrupt) => Injection::Corrupt,
            Some(Fault::Drop) => return,
            Some(Fault::Delay(ms)) if self.delay(ms) => Injection::None,
            Some(Fault::Delay(_)) => {
                return self.model.dir.log(&format!("flushed, the queue was stopped: {request}"));
            }
            Some(Fault::Reset(ms)) => return self.reset_device(ms),
            Some(Fault::RefuseOpen(_)) => Injection::None, // never planned for a request
        };

        let verdict = catch_unwind(AssertUnwindSafe(|| {
            engine.execute(sqe, &mut Context { mem: &self.memory, generation, qc_type, injection })
        }));
        let (bytes, refused) = match verdict {
            Ok(Verdict::Done { bytes, ok }) => (if ok { bytes } else { 0 }, false),
            Ok(Verdict::Refused { reason }) => {
                self.model.refuse(&format!("{request}: {reason}"));
                (0, true)
            }
            Err(_) => return self.refuse(&format!("slot {slot} {class}: THE MODEL'S ENGINE PANICKED")),
        };
        self.complete(slot, sqe, || {
            if !refused {
                counters.bytes.add(bytes);
                counters.requests.add(1);
            }
        });
    }

    /// Writes the entry back and completes it. `count` runs just before the completion becomes visible, so
    /// that nobody can have reaped more than was counted.
    fn complete(&mut self, slot: u16, sqe: &[u8], count: impl FnOnce()) {
        while let Some(store) = self.queue.port.pop() {
            self.doorbell(store);
        }
        match self.rings.complete() {
            Ok((index, phase)) => {
                self.queue.write_sqe(slot, sqe);
                count();
                self.queue.write_cqe(index, phase, slot);
                if std::mem::take(&mut self.armed) {
                    self.queue.raise();
                }
            }
            Err(_) => {
                self.refuse("completion ring overflow: consumed completions were not returned");
                self.die("completion ring overflow");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doorbell_fields_are_where_the_table_says() {
        let bell = Doorbell::split(0x0001_0123_0000_13ff);
        assert_eq!((bell.queue, bell.command, bell.random, bell.index), (0x3ff, 1, 0, 0x123));
        assert!(bell.arm);
        let bell = Doorbell::split(0x8002_ffff_abcd_0fff);
        assert_eq!((bell.queue, bell.command, bell.random, bell.index), (0xfff, 0, 0xabcd, 0xffff));
        assert_eq!((bell.arm, bell.reserved), (false, 0x4001));
    }
}
