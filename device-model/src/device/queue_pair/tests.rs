//! A queue pair driven by hand: an engine that does what its entry says, and a plan.

use super::*;
use crate::device::InMemory;
use crate::device::faults::{Faults, Plan};
use crate::device::local::{Cqe, LocalClock, LocalInterrupt, LocalRings};
use crate::engine::testing::Space;
use std::sync::atomic::AtomicU64;

const DEPTH: u16 = 8;

/// Byte 0 of the entry says what happens; byte 1 becomes the status; bytes 8 to 15 are an address that is read.
struct Scripted;

const GOOD: u8 = 0;
const REFUSED: u8 = 1;
const PANIC: u8 = 2;
const ALWAYS_PANIC: u8 = 3;
const READ: u8 = 4;

impl Engine for Scripted {
    fn classify(&self, sqe: &[u8], _: Generation, _: u16) -> &'static str {
        if sqe[2] == 0 { "compress" } else { "decompress" }
    }

    fn describe(&self, sqe: &[u8], _: Generation, _: u16) -> Description {
        Description { operation: format!("script {}", sqe[0]), buffers: Buffers::Sgl, mode: Mode::Stream }
    }

    fn execute(&self, sqe: &mut [u8], ctx: &mut Context<'_>) -> Verdict {
        let failed = |status| Verdict::Done { bytes: 9, output: 0, status, ok: false };
        let good = Verdict::Done { bytes: 10, output: 20, status: 0, ok: true };
        if let (Injection::Status(status), true) = (ctx.injection, sqe[0] != ALWAYS_PANIC) {
            sqe[1] = status as u8;
            return failed(status);
        }
        let verdict = match sqe[0] {
            GOOD => good,
            REFUSED => Rule::Reserved.broken("a field").into(),
            READ => {
                let addr = u64::from_le_bytes(sqe[8..16].try_into().unwrap());
                ctx.mem
                    .read(addr, &mut [0; 4])
                    .map_or_else(|f| Rule::Address.broken(f.to_string()).into(), |()| good)
            }
            _ => {
                sqe.fill(0xEE);
                panic!("scripted")
            }
        };
        sqe[1] = 0x80;
        verdict
    }
}

struct Rig {
    rings: LocalRings,
    interrupt: LocalInterrupt,
    clock: LocalClock,
    records: InMemory,
    memory: Space,
    plan: Plan,
    counters: Vec<AtomicU64>,
    pair: QueuePair,
    tail: u16,
}

impl Rig {
    fn new(plan: &str) -> Rig {
        let plan = Plan::parse(plan).unwrap();
        Rig {
            rings: LocalRings::new(Kind::Zip, DEPTH, 5),
            interrupt: LocalInterrupt::default(),
            clock: LocalClock::default(),
            records: InMemory::tracing(),
            memory: Space::default(),
            counters: (0..plan.counters()).map(|_| AtomicU64::new(0)).collect(),
            plan,
            pair: QueuePair::new(Setup {
                device: "hisi_zip-0".to_owned(),
                kind: Kind::Zip,
                engine: &Scripted,
                generation: Generation::V3,
                number: 5,
                depth: DEPTH,
                qc_type: 0,
                doorbell_isolation: false,
            }),
            tail: 0,
        }
    }

    fn with<R>(&mut self, f: impl FnOnce(&mut QueuePair, &Host<'_>) -> R) -> R {
        let host = Host {
            rings: &self.rings,
            memory: &self.memory,
            interrupt: &self.interrupt,
            clock: &self.clock,
            records: &self.records,
            faults: Faults { plan: &self.plan, counters: &self.counters },
        };
        f(&mut self.pair, &host)
    }

    fn ring(&mut self, value: u64) -> Rang {
        self.with(|pair, host| pair.doorbell(host, Store { offset: 0x1000, width: 8, value }))
    }

    /// Announces one entry whose first byte is `script`, and whose class and address are as given.
    fn submit_to(&mut self, script: u8, class: u8, addr: u64) -> u16 {
        let slot = self.tail;
        let mut sqe = [0; 128];
        (sqe[0], sqe[2]) = (script, class);
        sqe[8..16].copy_from_slice(&addr.to_le_bytes());
        self.rings.submit(slot, &sqe);
        self.tail = (slot + 1) % DEPTH;
        assert_eq!(self.ring(5 | u64::from(self.tail) << 32), Rang::Here);
        slot
    }

    fn submit(&mut self, script: u8) -> u16 {
        self.submit_to(script, 0, 0)
    }

    fn give_back(&mut self, head: u16, arm: bool) -> Rang {
        self.ring(5 | 1 << 12 | u64::from(head) << 32 | u64::from(arm) << 48)
    }

    fn fetch(&mut self) -> Next {
        self.with(|pair, host| pair.fetch(host))
    }

    fn fetched(&mut self) -> Fetched {
        match self.fetch() {
            Next::Request(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn execute(&mut self, request: Fetched) -> Option<Finished> {
        self.with(|pair, host| pair.execute(host, request))
    }

    fn complete(&mut self, finished: Finished) -> Completion {
        self.with(|pair, host| pair.complete(host, finished))
    }

    /// One request through all steps.
    fn serve(&mut self) -> Completion {
        let request = self.fetched();
        match self.execute(request) {
            Some(finished) => self.complete(finished),
            None => Completion::Dead,
        }
    }

    fn counts(&self) -> [u64; 3] {
        ["accepted", "executed", "reaped"]
            .map(|what| self.records.sum(|name| name.ends_with(&format!(".{what}"))))
    }

    /// Field 16 and field 14 of the last request's trace line.
    fn last_traced(&self) -> (String, String) {
        let line = self.records.trace_lines().into_iter().rfind(|line| line.starts_with("request")).unwrap();
        let fields: Vec<_> = line.split('\t').collect();
        assert_eq!(fields.len(), 14, "{line}");
        (fields[13].to_owned(), fields[11].to_owned())
    }
}

#[test]
fn a_request_is_accepted_executed_and_reaped_in_turn() {
    let mut rig = Rig::new("");
    rig.submit(GOOD);
    assert_eq!(rig.counts(), [0, 0, 0]);
    let request = rig.fetched();
    assert_eq!(rig.counts(), [1, 0, 0]);
    let finished = rig.execute(request).unwrap();
    assert_eq!((rig.counts(), rig.rings.cqe(0).phase), ([1, 0, 0], false));
    assert_eq!(rig.rings.sqe(0)[1], 0, "nothing is written back before the completion");
    assert_eq!(rig.complete(finished), Completion::Written(1));
    assert_eq!((rig.counts(), rig.rings.cqe(0)), ([1, 1, 0], Cqe { slot: 0, queue: 5, phase: true }));
    assert_eq!(rig.rings.sqe(0)[1], 0x80);
    assert_eq!(rig.give_back(1, false), Rang::Here);
    assert_eq!(rig.counts(), [1, 1, 1]);
    assert_eq!(
        (rig.records.value("zip.compress.requests"), rig.records.value("zip.compress.bytes")),
        (1, 10)
    );
    assert!(matches!(rig.fetch(), Next::Idle));
}

#[test]
fn completions_keep_the_order_of_submission_whatever_finishes_first() {
    let mut rig = Rig::new("");
    for _ in 0..3 {
        rig.submit(GOOD);
    }
    let requests = [rig.fetched(), rig.fetched(), rig.fetched()];
    let [first, second, third] = requests.map(|request| rig.execute(request).unwrap());
    assert_eq!(rig.complete(third), Completion::Waiting);
    assert_eq!(rig.complete(second), Completion::Waiting);
    assert_eq!(rig.counts(), [3, 0, 0]);
    assert_eq!(rig.complete(first), Completion::Written(3));
    assert_eq!([0, 1, 2].map(|index| rig.rings.cqe(index).slot), [0, 1, 2]);
}

#[test]
fn an_abandoned_request_holds_nobody_up() {
    let mut rig = Rig::new("");
    for _ in 0..2 {
        rig.submit(GOOD);
    }
    let (first, second) = (rig.fetched(), rig.fetched());
    let second = rig.execute(second).unwrap();
    assert_eq!(rig.complete(second), Completion::Waiting);
    rig.with(|pair, host| pair.abandon(host, &first, "for the test"));
    assert_eq!((rig.rings.cqe(0).slot, rig.counts()), (1, [2, 1, 0]));
}

#[test]
fn only_an_armed_ring_interrupts_and_once() {
    let mut rig = Rig::new("");
    for _ in 0..4 {
        rig.submit(GOOD);
    }
    rig.serve();
    rig.serve();
    assert_eq!(rig.interrupt.raised.get(), 1, "START_Q arms");
    rig.give_back(1, true);
    rig.serve();
    assert_eq!(rig.interrupt.raised.get(), 2);
    rig.give_back(2, false);
    rig.serve();
    assert_eq!(rig.interrupt.raised.get(), 2);
}

#[test]
fn completions_that_nobody_returns_end_in_overflow_and_are_never_overwritten() {
    let mut rig = Rig::new("");
    for n in 0..DEPTH - 1 {
        rig.submit(GOOD);
        assert_eq!(rig.serve(), Completion::Written(1), "{n}");
    }
    rig.submit(GOOD);
    assert_eq!(rig.serve(), Completion::Dead);
    assert!(rig.rings.tx() && rig.rings.rx() && rig.pair.is_dead());
    assert_eq!((rig.records.value("refused.overflow"), rig.records.value("refused")), (1, 1));
    assert_eq!(rig.counts(), [8, 7, 0]);
    // deaf from now on
    assert_eq!(rig.give_back(3, true), Rang::Deaf);
    assert!(matches!(rig.fetch(), Next::Idle));
}

#[test]
fn refusals_are_counted_by_rule_and_in_all() {
    let mut rig = Rig::new("");
    rig.submit(REFUSED);
    rig.submit_to(READ, 1, 0x1000);
    rig.serve();
    rig.serve();
    for bad in [5 | 2 << 12, 5 | 1 << 16, 5 | 100 << 32, 5 | 1 << 12 | 7 << 32] {
        assert_eq!(rig.ring(bad), Rang::Refused);
    }
    assert_eq!(rig.ring(6), Rang::Elsewhere(6));
    let value = |name: &str| rig.records.value(name);
    assert_eq!([value("refused.reserved"), value("refused.address"), value("refused.doorbell")], [1, 1, 4]);
    assert_eq!(rig.records.sum(|name| name.starts_with("refused.")), value("refused"));
    // refused descriptors are completed and can be reaped, but are no requests
    assert_eq!((rig.counts(), value("zip.compress.requests")), ([2, 2, 0], 0));
    assert!(
        rig.records.log_text().contains("(reserved): slot 0 compress: a field"),
        "{}",
        rig.records.log_text()
    );
}

#[test]
fn a_panic_becomes_an_error_status() {
    let mut rig = Rig::new("");
    rig.submit(PANIC);
    assert_eq!(rig.serve(), Completion::Written(1));
    let entry = rig.rings.sqe(0);
    assert_eq!((entry[0], u32::from(entry[1]), entry[2]), (PANIC, PANIC_STATUS, 0), "the input stays");
    assert_eq!((rig.records.value("panicked"), rig.records.value("refused")), (1, 0));
    assert!(rig.records.log_text().contains("PANICKED: scripted"));
    assert_eq!(rig.last_traced().1, "error");
    rig.submit(GOOD);
    assert_eq!(rig.serve(), Completion::Written(1), "the queue lives");
}

#[test]
fn a_panic_that_leaves_no_status_kills_the_queue() {
    let mut rig = Rig::new("");
    rig.submit(ALWAYS_PANIC);
    rig.submit(GOOD);
    assert_eq!(rig.serve(), Completion::Dead);
    assert!(rig.rings.tx() && rig.rings.rx());
    assert_eq!((rig.records.value("panicked"), rig.last_traced().1), (1, "panicked".to_owned()));
    assert_eq!(rig.counts(), [1, 0, 0]);
}

#[test]
fn faults_of_a_request_do_what_they_say_and_are_counted() {
    for (plan, counter, verdict) in [
        ("zip:status=0x0b@1", "fault.status", "error"),
        ("zip:partial@1", "fault.partial", "ok"), // the scripted engine knows nothing of these three
        ("zip:truncate@1", "fault.truncate", "ok"),
        ("zip:corrupt@1", "fault.corrupt", "ok"),
        ("zip:stale-tag@1", "fault.stale_tag", "ok"),
        ("zip:delay=3@1", "fault.delay", "ok"),
    ] {
        let mut rig = Rig::new(plan);
        rig.submit(GOOD);
        let request = rig.fetched();
        assert_eq!(request.hold_ms(), if plan.contains("delay") { 3 } else { 0 });
        let finished = rig.execute(request).unwrap();
        rig.complete(finished);
        let (fault, traced) = rig.last_traced();
        assert_eq!((rig.records.value(counter), traced.as_str()), (1, verdict), "{plan}");
        let silent = counter == "fault.corrupt" || counter == "fault.stale_tag";
        assert_eq!(
            (fault.starts_with("silent:"), rig.records.log_text().contains("SILENT")),
            (silent, silent)
        );
        assert_eq!(rig.rings.sqe(0)[1], if verdict == "error" { 0x0b } else { 0x80 });
    }
}

#[test]
fn a_dropped_request_is_accepted_and_never_executed() {
    let mut rig = Rig::new("zip:drop@1");
    rig.submit(GOOD);
    rig.submit(GOOD);
    assert!(matches!(rig.fetch(), Next::Lost));
    assert_eq!(rig.serve(), Completion::Written(1));
    assert_eq!((rig.rings.cqe(0).slot, rig.counts()), (1, [2, 1, 0]));
    assert!(rig.records.trace_lines()[0].contains("\tlost\t"));
}

#[test]
fn what_befalls_the_device_is_handed_to_the_front() {
    for (plan, event) in [
        ("zip:reset=7@1", DeviceEvent::Reset(7)),
        ("zip:isolate@1", DeviceEvent::Isolate),
        ("zip:remove@1", DeviceEvent::Remove),
    ] {
        let mut rig = Rig::new(plan);
        rig.submit(GOOD);
        rig.submit(GOOD);
        match rig.fetch() {
            Next::Device(found) => assert_eq!(found, event),
            other => panic!("{other:?}"),
        }
        let removed = event == DeviceEvent::Remove;
        rig.with(|pair, host| if removed { pair.vanish(host, "gone") } else { pair.die(host, "reset") });
        assert_eq!((rig.rings.tx(), rig.rings.rx()), (!removed, !removed));
        assert!(matches!(rig.fetch(), Next::Idle));
        assert!(rig.records.log_text().contains("1 announced requests discarded"));
        let event = rig.records.trace_lines().into_iter().rfind(|line| line.starts_with("event")).unwrap();
        assert_eq!(event.split('\t').count(), 14, "{event}");
        assert_eq!(rig.counts(), [1, 0, 0]);
    }
}

#[test]
fn a_planned_overflow_is_no_refusal() {
    let mut rig = Rig::new("zip:cq-overflow@1");
    rig.submit(GOOD);
    assert_eq!(rig.serve(), Completion::Dead);
    assert!(rig.rings.tx() && rig.rings.rx());
    assert_eq!((rig.records.value("refused"), rig.records.value("fault.cq_overflow")), (0, 1));
    assert_eq!(rig.counts(), [1, 0, 0]);
}

#[test]
fn a_planned_page_fault_is_no_refusal_but_an_unreachable_address_is() {
    for (plan, refused) in [("zip:page-fault@1", 0), ("zip:page-fault=2@1", 0), ("zip:drop@2", 1)] {
        let mut rig = Rig::new(plan);
        let addr = if refused == 1 { 0x1000 } else { rig.memory.put(&[1; 64]) };
        rig.submit_to(READ, 0, addr);
        assert_eq!(rig.serve(), Completion::Written(1));
        let hit = plan == "zip:page-fault@1";
        let verdict = ["ok", "error", "refused:address"][usize::from(hit) + 2 * refused as usize];
        assert_eq!((rig.records.value("refused"), rig.last_traced().1.as_str()), (refused, verdict));
        assert_eq!(rig.records.value("zip.compress.requests"), 1 - refused);
        assert_eq!(rig.records.value("zip.compress.bytes"), if verdict == "ok" { 10 } else { 0 });
    }
}

#[test]
fn a_trace_line_says_what_was_done() {
    let mut rig = Rig::new("zip:delay=1@1");
    rig.clock.now.set(1_000);
    rig.submit_to(GOOD, 1, 0);
    let request = rig.fetched();
    rig.clock.now.set(1_250);
    let finished = rig.execute(request).unwrap();
    rig.clock.now.set(1_500);
    rig.complete(finished);
    let expected =
        "request\thisi_zip-0\t5\t0\tzip.decompress\tscript 0\tsgl\tstream\t10\t20\t0x0\tok\t500\tdelay=1";
    assert_eq!(rig.records.trace_lines(), [expected]);
}
