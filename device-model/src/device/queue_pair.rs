//! One queue pair: doorbells in, requests executed, completions out. See the module above for the order of steps.

use super::doorbell::{Doorbell, Ring};
use super::faults::Fault;
use super::page_fault::FaultyMemory;
use super::request::{ClassCounters, Fetched, Finished};
use super::rings::Rings;
use super::{CounterId, DeviceEvent, Host, Kind, Store, trace};
use crate::engine::{
    Buffers, Context, Description, Engine, Generation, Injection, Memory, Mode, Rule, Verdict,
};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The status put into an entry on which the engine panicked: in no engine's table.
const PANIC_STATUS: u32 = 0x7f;

/// What START_Q settles about a queue.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Name of the device, for messages.
    pub device: String,
    /// Kind of the device.
    pub kind: Kind,
    /// What executes the entries; [`Kind::engine`] unless somebody studies something else.
    pub engine: &'static dyn Engine,
    /// Generation of the device.
    pub generation: Generation,
    /// Queue number within the function.
    pub number: u16,
    /// Entries of each ring.
    pub depth: u16,
    /// Class of the queue in the SQ context.
    pub qc_type: u16,
    /// Each queue has its own doorbell window, so that another queue's number in it is an error.
    pub doorbell_isolation: bool,
}

/// What became of a doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rang {
    /// Taken.
    Here,
    /// Senseless: counted and logged.
    Refused,
    /// The queue is dead and deaf.
    Deaf,
    /// It names another queue of the function, whose page is the same: hand it on, or [`QueuePair::refuse`] it.
    Elsewhere(u16),
}

/// What [`QueuePair::fetch`] found.
#[derive(Debug)]
pub enum Next {
    /// Nothing is announced.
    Idle,
    /// A request to execute.
    Request(Fetched),
    /// A request whose completion never comes (fault plan).
    Lost,
    /// The request brought this upon the whole function and is lost with it (fault plan).
    Device(DeviceEvent),
}

/// What [`QueuePair::complete`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// So many completions were written: this one, and those that waited for it.
    Written(u16),
    /// An earlier request of the queue is unfinished; this one is written after it.
    Waiting,
    /// The queue is dead, by this or since earlier.
    Dead,
}

/// A started queue pair.
#[derive(Debug)]
pub struct QueuePair {
    setup: Setup,
    rings: Rings,
    armed: bool,
    dead: bool,
    sequence: u64,
    /// Fetched and not completed, in submission order; with what the engine made of them.
    in_flight: VecDeque<(u64, Option<Finished>)>,
    /// Classes of the completions that were written and not returned, oldest first.
    unreturned: VecDeque<CounterId>,
    counters: Vec<ClassCounters>,
}

impl std::fmt::Debug for dyn Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("engine")
    }
}

impl QueuePair {
    /// A queue as START_Q leaves it: rings empty, phase 1, armed.
    pub fn new(setup: Setup) -> QueuePair {
        QueuePair {
            rings: Rings::new(setup.depth),
            setup,
            armed: true,
            dead: false,
            sequence: 0,
            in_flight: VecDeque::new(),
            unreturned: VecDeque::new(),
            counters: Vec::new(),
        }
    }

    /// Announced entries that were not fetched yet.
    pub fn waiting(&self) -> u16 {
        self.rings.waiting()
    }

    /// The reset words are set; nothing is fetched or completed any more.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// What the entry asks for, in words.
    pub fn describe(&self, request: &Fetched) -> Description {
        let Setup { engine, generation, qc_type, .. } = self.setup;
        let described =
            catch_unwind(AssertUnwindSafe(|| engine.describe(&request.entry, generation, qc_type)));
        described.unwrap_or_else(|_| Description {
            operation: "unknown".to_owned(),
            buffers: Buffers::Flat,
            mode: Mode::OneShot,
        })
    }

    fn trace(&self, host: &Host<'_>, request: &Fetched, verdict: &str, finished: Option<&Finished>) {
        if !host.records.traces() {
            return;
        }
        let now = host.clock.now_ns();
        let line = trace::Line {
            device: &self.setup.device,
            queue: self.setup.number,
            slot: request.slot,
            class: &format!("{}.{}", self.setup.kind.name(), request.class()),
            description: &self.describe(request),
            sizes: finished.map_or((0, 0), Finished::sizes),
            status: finished.and_then(|f| match f.verdict {
                Verdict::Done { status, .. } => Some(status),
                Verdict::Refused { .. } => self.setup.engine.status(&f.entry),
            }),
            verdict,
            duration_ns: now.saturating_sub(request.fetched_ns),
            fault: request.fault,
        };
        host.records.trace(now, &line.to_string());
    }

    fn name(&self) -> String {
        format!("{} queue {}", self.setup.device, self.setup.number)
    }

    fn log(&self, host: &Host<'_>, text: &str) {
        host.records.log(&format!("{}: {text}", self.name()));
    }

    /// Counts and logs something that breaks the tables.
    pub fn refuse(&self, host: &Host<'_>, rule: Rule, what: &str) {
        host.records.log(&format!("REFUSED {} ({}): {what}", self.name(), rule.name()));
        host.records.count("refused");
        host.records.count(&format!("refused.{}", rule.name()));
    }

    /// Takes a store to the queue's MMIO region.
    pub fn doorbell(&mut self, host: &Host<'_>, store: Store) -> Rang {
        let bell = match Doorbell::decode(store) {
            Ok(bell) => bell,
            Err(what) => {
                self.refuse(host, Rule::Doorbell, &what);
                return Rang::Refused;
            }
        };
        let complain = |this: &Self, what: &str| {
            this.refuse(host, Rule::Doorbell, &format!("doorbell {:#018x}: {what}", store.value));
            Rang::Refused
        };
        if bell.queue != self.setup.number {
            if self.setup.doorbell_isolation {
                return complain(self, "another queue's number in this queue's window");
            }
            return Rang::Elsewhere(bell.queue);
        }
        if self.dead {
            return Rang::Deaf;
        }
        match bell.ring {
            Ring::Submission => {
                if let Err(bad) = self.rings.announce(bell.index) {
                    return complain(self, &bad.0);
                }
            }
            Ring::Completion { arm } => {
                let returned = match self.rings.give_back(bell.index) {
                    Ok(returned) => returned,
                    Err(bad) => return complain(self, &bad.0),
                };
                for reaped in self.unreturned.drain(..usize::from(returned)) {
                    host.records.add(reaped, 1);
                }
                self.armed = arm;
                if arm && self.rings.outstanding() == 0 {
                    host.interrupt.calm();
                }
            }
        }
        Rang::Here
    }

    fn class_counters(&mut self, host: &Host<'_>, class: &'static str) -> ClassCounters {
        if let Some(known) = self.counters.iter().find(|c| c.class == class) {
            return *known;
        }
        let counter =
            |what: &str| host.records.counter(&format!("{}.{class}.{what}", self.setup.kind.name()));
        // in this order, for a reader who goes through the file from its start while others count
        let counters = ClassCounters {
            class,
            reaped: counter("reaped"),
            requests: counter("requests"),
            bytes: counter("bytes"),
            executed: counter("executed"),
            accepted: counter("accepted"),
        };
        self.counters.push(counters);
        counters
    }

    /// Takes the next announced entry out of the ring.
    pub fn fetch(&mut self, host: &Host<'_>) -> Next {
        if self.dead {
            return Next::Idle;
        }
        let Some(slot) = self.rings.fetch() else { return Next::Idle };
        let kind = self.setup.kind;
        let mut entry = vec![0; kind.sqe_size()];
        if let Err(fault) = host.rings.read_sqe(slot, &mut entry) {
            self.die(host, &format!("submission slot {slot}: {fault}"));
            return Next::Idle;
        }
        let Setup { engine, generation, qc_type, .. } = self.setup;
        let class = catch_unwind(AssertUnwindSafe(|| engine.classify(&entry, generation, qc_type)))
            .unwrap_or("unknown");
        let counters = self.class_counters(host, class);
        host.records.add(counters.accepted, 1);

        let fetched_ns = host.clock.now_ns();
        let fault = host.faults.request(kind, class, fetched_ns / 1_000_000);
        if let Some(fault) = fault {
            let silent = if fault.is_silent() { "SILENT " } else { "" };
            host.records.log(&format!("{silent}fault {fault}: {} slot {slot} {class}", self.name()));
            host.records.count(&fault.counter());
        }
        let request = Fetched { sequence: self.sequence, slot, entry, counters, fault, fetched_ns };
        if fault == Some(Fault::Drop) {
            self.trace(host, &request, "lost", None);
            return Next::Lost;
        }
        if let Some(event) = fault.and_then(Fault::event) {
            self.trace(host, &request, "lost", None);
            return Next::Device(event);
        }
        self.sequence += 1;
        self.in_flight.push_back((request.sequence, None));
        Next::Request(request)
    }

    /// Lets the engine execute a request. `None` if the engine panicked and the queue had to die of it.
    pub fn execute(&mut self, host: &Host<'_>, request: Fetched) -> Option<Finished> {
        let injection = match request.fault {
            Some(Fault::Status(status)) => Injection::Status(status),
            Some(Fault::Partial) => Injection::Partial,
            Some(Fault::Truncate) => Injection::Truncate,
            Some(Fault::Corrupt) => Injection::Corrupt,
            Some(Fault::StaleTag) => Injection::StaleTag,
            _ => Injection::None,
        };
        let missing = match request.fault {
            Some(Fault::PageFault(access)) => access,
            _ => 0,
        };
        let memory = FaultyMemory::new(host.memory, missing);
        let mut entry = request.entry.clone();
        let what = format!("slot {} {}", request.slot, request.class());
        let verdict = match self.run(&memory, &mut entry, injection) {
            Ok(verdict) => verdict,
            Err(panic) => {
                host.records.count("panicked");
                self.log(host, &format!("{what}: THE MODEL'S ENGINE PANICKED: {panic}"));
                entry.clone_from(&request.entry);
                match self.run(&memory, &mut entry, Injection::Status(PANIC_STATUS)) {
                    Ok(Verdict::Done { ok: true, .. }) | Err(_) => {
                        self.trace(host, &request, "panicked", None);
                        self.die(host, "no status could be written after the panic");
                        return None;
                    }
                    Ok(verdict) => verdict,
                }
            }
        };
        // that an address was unreachable by plan is no mistake of the driver's
        let planned = memory.faulted();
        match &verdict {
            Verdict::Refused { rule, reason } if !planned => {
                self.refuse(host, *rule, &format!("{what}: {reason}"));
            }
            _ => {}
        }
        let refused = !planned && matches!(verdict, Verdict::Refused { .. });
        Some(Finished { request, entry, verdict, refused })
    }

    fn run(&self, memory: &dyn Memory, sqe: &mut [u8], injection: Injection) -> Result<Verdict, String> {
        let Setup { engine, generation, qc_type, .. } = self.setup;
        let work = || engine.execute(sqe, &mut Context { mem: memory, generation, qc_type, injection });
        catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
            let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
            text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
        })
    }

    /// Gives up a request that was fetched and will not be completed.
    pub fn abandon(&mut self, host: &Host<'_>, request: &Fetched, why: &str) {
        self.log(host, &format!("flushed, {why}: slot {} {}", request.slot, request.class()));
        self.trace(host, request, "flushed", None);
        self.in_flight.retain(|(sequence, _)| *sequence != request.sequence);
        self.write_completions(host);
    }

    /// Completes an executed request as soon as all earlier ones of the queue are.
    pub fn complete(&mut self, host: &Host<'_>, finished: Finished) -> Completion {
        if self.dead {
            self.trace(host, &finished.request, "flushed", None);
            return Completion::Dead;
        }
        let sequence = finished.request.sequence;
        if let Some((_, place)) = self.in_flight.iter_mut().find(|(number, _)| *number == sequence) {
            *place = Some(finished);
        }
        match self.write_completions(host) {
            _ if self.dead => Completion::Dead,
            0 => Completion::Waiting,
            written => Completion::Written(written),
        }
    }

    fn write_completions(&mut self, host: &Host<'_>) -> u16 {
        let mut written = 0;
        while !self.dead && self.in_flight.front().is_some_and(|(_, finished)| finished.is_some()) {
            let Some((_, Some(finished))) = self.in_flight.pop_front() else { break };
            if let Err(why) = self.write_completion(host, &finished) {
                self.trace(host, &finished.request, "flushed", None);
                self.die(host, &why);
                break;
            }
            written += 1;
        }
        written
    }

    /// Writes the entry back and completes it. It is counted and traced just before the completion becomes visible,
    /// so that nobody can have reaped what was not.
    fn write_completion(&mut self, host: &Host<'_>, finished: &Finished) -> Result<(), String> {
        let Finished { request, entry, .. } = finished;
        if request.fault == Some(Fault::CqOverflow) {
            return Err("completion ring overflow (fault plan)".to_owned());
        }
        let Ok((index, phase)) = self.rings.complete() else {
            let what = "completion ring overflow: consumed completions were not returned";
            self.refuse(host, Rule::Overflow, what);
            return Err("completion ring overflow".to_owned());
        };
        host.rings.write_sqe(request.slot, entry).map_err(|f| format!("slot {}: {f}", request.slot))?;
        let counters = &request.counters;
        host.records.add(counters.executed, 1);
        if !finished.refused {
            host.records.add(counters.bytes, finished.sizes().0);
            host.records.add(counters.requests, 1);
        }
        match &finished.verdict {
            Verdict::Refused { rule, .. } if finished.refused => {
                self.trace(host, request, &format!("refused:{}", rule.name()), None);
            }
            Verdict::Done { ok: true, .. } => self.trace(host, request, "ok", Some(finished)),
            _ => self.trace(host, request, "error", Some(finished)),
        }
        host.rings.write_cqe(index, phase, request.slot).map_err(|f| format!("completion {index}: {f}"))?;
        self.unreturned.push_back(counters.reaped);
        if std::mem::take(&mut self.armed) {
            host.interrupt.raise();
        }
        Ok(())
    }

    /// Drops what was announced and not fetched, as a stop does when it has waited long enough.
    pub fn discard(&mut self, host: &Host<'_>, why: &str) {
        let waiting = self.rings.waiting();
        if waiting > 0 {
            self.log(host, &format!("{waiting} announced requests discarded: {why}"));
            while self.rings.fetch().is_some() {}
        }
    }

    /// The queue is lost: TX word, work flushed, RX word (`qm.md` 7). Later doorbells and completions are ignored.
    pub fn die(&mut self, host: &Host<'_>, why: &str) {
        if self.dead {
            return;
        }
        host.rings.set_tx();
        self.vanish(host, why);
        host.rings.set_rx();
    }

    /// The queue is lost without a word, as by the function's removal. Later doorbells and completions are ignored.
    pub fn vanish(&mut self, host: &Host<'_>, why: &str) {
        if std::mem::replace(&mut self.dead, true) {
            return;
        }
        self.discard(host, why);
        for (_, finished) in std::mem::take(&mut self.in_flight) {
            if let Some(finished) = finished {
                self.trace(host, &finished.request, "flushed", None);
            }
        }
        self.log(host, &format!("dead: {why}"));
        trace::event(host, &self.setup.device, Some(self.setup.number), &format!("dead: {why}"));
    }
}

#[cfg(test)]
mod tests;
