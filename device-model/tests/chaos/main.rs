//! Random requests with random faults at the device layer: no preload, no thread, no clock but our own.
//!
//! Requests are the engines' own test cases, most of them spoiled somewhere; a plan breaks some on the way; drivers
//! ring nonsense, forget to return completions, and finish what they fetched in any order. After every step the counts
//! must agree with what the driver saw, and a request that was left alone must end exactly as it does alone.
//!
//! `WARPDRIVE_CHAOS_REQUESTS` (20000) and `WARPDRIVE_CHAOS_SEED` (1) change the length and the dice; `make
//! model-chaos` runs a million.

mod arena;
mod lane;
mod mutate;
mod seeds;

use arena::Arena;
use lane::{DEPTH, Job, Lane};
use mutate::Random;
use seeds::Seed;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicU64;
use warpdrive_device_model::device::faults::{Fault, Faults, Plan};
use warpdrive_device_model::device::local::LocalClock;
use warpdrive_device_model::device::{
    Completion, CounterId, DeviceEvent, Function, Host, InMemory, Kind, Next, Rang, Records,
};
use warpdrive_device_model::engine::{Context, Injection, Verdict};

const PLAN: &str = "*:status=0x0b@p0.02,seed=1;*:partial@p0.02,seed=2;*:corrupt@p0.02,seed=3;\
    *:stale-tag@p0.02,seed=4;zip:truncate@p0.05,seed=5;*:page-fault@p0.01,seed=6;*:page-fault=3@p0.01,seed=7;\
    *:drop@p0.01,seed=8;*:delay=3@p0.01,seed=9;*:cq-overflow@p0.001,seed=10;*:reset=2@p0.001,seed=11;\
    *:isolate@p0.0003,seed=12;*:remove@p0.0003,seed=13";

/// Counts like a ledger; keeps the last lines of the log for the report, and looks at every line of the trace.
#[derive(Default)]
struct Ledger {
    counts: InMemory,
    last: RefCell<VecDeque<String>>,
    traced: Cell<u64>,
}

impl Records for Ledger {
    fn counter(&self, name: &str) -> CounterId {
        self.counts.counter(name)
    }
    fn add(&self, counter: CounterId, n: u64) {
        self.counts.add(counter, n);
    }
    fn log(&self, line: &str) {
        assert!(!line.contains("PANICKED"), "{line}");
        let mut last = self.last.borrow_mut();
        last.push_back(line.to_owned());
        if last.len() > 30 {
            last.pop_front();
        }
    }
    fn traces(&self) -> bool {
        true
    }
    fn trace(&self, _: u64, fields: &str) {
        assert_eq!(fields.split('\t').count(), 14, "{fields}");
        self.traced.set(self.traced.get() + u64::from(fields.starts_with("request\t")));
    }
}

/// What the drivers saw, to be compared with what the device counted.
#[derive(Debug, Default)]
struct Seen {
    accepted: u64,
    executed: u64,
    reaped: u64,
    /// Accepted and never completed: by plan, or with their queue.
    lost: u64,
    faults: u64,
    bad_doorbells: u64,
    deaths: u64,
    verified: u64,
}

/// How a seed ends when nobody disturbs it; `None` if it ends differently each time.
type Alone = Option<(Vec<u8>, Vec<Vec<u8>>)>;

/// `None` if the engine no longer takes the request.
fn alone(seed: &Seed) -> Option<Alone> {
    let run = || {
        let memory = Arena::new(&seed.regions);
        let mut entry = seed.entry.clone();
        let Seed { generation, qc_type, .. } = *seed;
        let mut ctx = Context { mem: &memory, generation, qc_type, injection: Injection::None };
        let verdict = seed.kind.engine().execute(&mut entry, &mut ctx);
        let good = matches!(verdict, Verdict::Done { ok: true, .. });
        assert!(memory.guards_hold(), "a seed that writes outside its buffers: {seed:?}");
        good.then(|| (entry, memory.content()))
    };
    let first = run()?;
    Some((run().as_ref() == Some(&first)).then_some(first))
}

struct Chaos {
    random: Random,
    seeds: Vec<Seed>,
    alone: Vec<Alone>,
    lanes: Vec<Lane>,
    plan: Plan,
    plan_words: Vec<AtomicU64>,
    /// Of the functions, one for each lane.
    words: Vec<Vec<AtomicU64>>,
    records: Ledger,
    clock: LocalClock,
    seen: Seen,
}

/// The host of one lane, with the memory of one request.
macro_rules! host {
    ($chaos:expr, $lane:expr, $memory:expr) => {
        Host {
            rings: &$lane.rings,
            memory: $memory,
            interrupt: &$lane.interrupt,
            clock: &$chaos.clock,
            records: &$chaos.records,
            faults: Faults { plan: &$chaos.plan, counters: &$chaos.plan_words },
        }
    };
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let all = seeds::all();
        let total = all.len();
        let (seeds, alone): (Vec<_>, Vec<_>) =
            all.into_iter().filter_map(|seed| alone(&seed).map(|alone| (seed, alone))).unzip();
        assert!(seeds.len() * 10 > total * 9, "{} of {total} seeds are good: make them anew", seeds.len());
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, seed) in seeds.iter().enumerate() {
            let group = format!("{:?} {:?} {}", seed.kind, seed.generation, seed.qc_type);
            groups.entry(group).or_default().push(index);
        }
        let lanes: Vec<Lane> = groups.into_values().map(|group| Lane::new(&seeds[group[0]], group)).collect();
        let plan = Plan::parse(PLAN).unwrap();
        let zeros = |n: usize| (0..n).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        Chaos {
            random: Random(seed),
            alone,
            seeds,
            words: lanes.iter().map(|_| zeros(Function::WORDS)).collect(),
            lanes,
            plan_words: zeros(plan.counters()),
            plan,
            records: Ledger::default(),
            clock: LocalClock::default(),
            seen: Seen::default(),
        }
    }

    fn nothing() -> Arena {
        Arena::default()
    }

    /// A lane; those of big numbers less often.
    fn choose(&mut self) -> usize {
        loop {
            let lane = self.random.below(self.lanes.len());
            if self.lanes[lane].kind != Kind::Hpre || self.random.one_in(4) {
                return lane;
            }
        }
    }

    fn submit(&mut self, at: usize) {
        let burst = (1 + self.random.below(8)).min(self.lanes[at].credit());
        for _ in 0..burst {
            let own = &self.lanes[at].seeds;
            let stranger = self.random.one_in(40);
            let index = loop {
                let index = if stranger {
                    self.random.below(self.seeds.len())
                } else {
                    own[self.random.below(own.len())]
                };
                if !self.seeds[index].is_slow() || self.random.one_in(50) {
                    break index;
                }
            };
            let mut seed = self.seeds[index].clone();
            let clean = mutate::perhaps(&mut self.random, &mut seed) && !stranger;
            seed.entry.resize(self.lanes[at].kind.sqe_size(), 0);
            let lane = &mut self.lanes[at];
            lane.rings.submit(lane.tail, &seed.entry);
            let memory = Arena::new(&seed.regions);
            let clean = clean.then_some(index);
            let job = Job { memory, sent: seed.entry, clean, fault: None, executed: false };
            lane.announced.push_back((lane.tail, job));
            lane.tail = (lane.tail + 1) % DEPTH;
        }
        let lane = &mut self.lanes[at];
        let store = lane.sq_doorbell();
        let memory = Self::nothing();
        assert_eq!(lane.pair.doorbell(&host!(self, lane, &memory), store), Rang::Here);
    }

    fn ring_nonsense(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        let memory = Self::nothing();
        let store = lane.bad_doorbell(&mut self.random);
        assert_eq!(lane.pair.doorbell(&host!(self, lane, &memory), store), Rang::Refused, "{store:?}");
        self.seen.bad_doorbells += 1;
    }

    fn fetch(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        let memory = Self::nothing();
        let next = lane.pair.fetch(&host!(self, lane, &memory));
        if matches!(next, Next::Idle) {
            assert!(lane.announced.is_empty(), "announced requests that are not fetched");
            return;
        }
        let (slot, mut job) = lane.announced.pop_front().expect("fetched more than was announced");
        self.seen.accepted += 1;
        match next {
            Next::Idle => {}
            Next::Request(request) => {
                assert_eq!((request.slot(), request.entry()), (slot, &job.sent[..]));
                job.fault = request.fault();
                self.seen.faults += u64::from(job.fault.is_some());
                lane.in_flight.push_back((slot, job));
                lane.fetched.push(request);
            }
            Next::Lost => {
                self.seen.faults += 1;
                self.seen.lost += 1;
            }
            Next::Device(event) => {
                self.seen.faults += 1;
                self.seen.lost += 1;
                self.device_event(at, event);
            }
        }
    }

    fn device_event(&mut self, at: usize, event: DeviceEvent) {
        let now = self.clock.now.get() / 1_000_000;
        let function = Function::new(&self.words[at]);
        let before = function.resets();
        function.apply(event, now);
        let lost = function.lost(before).expect("such an event loses the queues");
        assert!(function.closed(now).is_some(), "{event:?}");
        let lane = &mut self.lanes[at];
        let memory = Self::nothing();
        let host = host!(self, lane, &memory);
        if event == DeviceEvent::Remove {
            lane.pair.vanish(&host, lost.reason());
            assert!(!lane.rings.tx() && !lane.rings.rx());
        } else {
            lane.pair.die(&host, lost.reason());
        }
        self.bury(at);
        // another device takes its place
        self.words[at] = (0..Function::WORDS).map(|_| AtomicU64::new(0)).collect();
    }

    /// The queue is dead: nothing of it may complete any more, and the driver opens another.
    fn bury(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        let memory = Self::nothing();
        let host = host!(self, lane, &memory);
        assert!(lane.pair.is_dead() && matches!(lane.pair.fetch(&host), Next::Idle));
        let arm = lane.cq_doorbell(true);
        assert_eq!(lane.pair.doorbell(&host, arm), Rang::Deaf);
        for finished in std::mem::take(&mut lane.finished) {
            assert_eq!(lane.pair.complete(&host, finished), Completion::Dead);
        }
        assert_ne!(lane.rings.cqe(lane.head).phase, lane.phase, "a dead queue completed something");
        self.seen.lost += lane.in_flight.len() as u64;
        self.seen.deaths += 1;
        lane.reopen(&mut self.random);
    }

    fn execute(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        if lane.fetched.is_empty() {
            return;
        }
        let request = lane.fetched.swap_remove(self.random.below(lane.fetched.len()));
        let slot = request.slot();
        if self.random.one_in(200) {
            let memory = Self::nothing();
            lane.pair.abandon(&host!(self, lane, &memory), &request, "for the test");
            lane.in_flight.retain(|(other, _)| *other != slot);
            self.seen.lost += 1;
            // what waited for it may complete now, or meet an overflow
            self.look(at);
            if self.lanes[at].pair.is_dead() {
                self.bury(at);
            }
            return;
        }
        let place = lane.in_flight.iter().position(|(other, _)| *other == slot).expect("in flight");
        let job = &mut lane.in_flight[place].1;
        job.executed = true;
        let memory = std::mem::take(&mut job.memory);
        let host = host!(self, lane, &memory);
        let finished = lane.pair.execute(&host, request).expect("no engine panics");
        lane.in_flight[place].1.memory = memory;
        lane.finished.push(finished);
    }

    fn complete(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        if lane.finished.is_empty() {
            return;
        }
        let finished = lane.finished.swap_remove(self.random.below(lane.finished.len()));
        let memory = Self::nothing();
        let done = lane.pair.complete(&host!(self, lane, &memory), finished);
        self.look(at);
        let lane = &self.lanes[at];
        match done {
            Completion::Dead => {
                assert!(lane.rings.tx() && lane.rings.rx());
                self.bury(at);
            }
            Completion::Waiting => {
                assert!(lane.in_flight.front().is_some(), "it waits for nobody");
            }
            Completion::Written(n) => assert!(n > 0),
        }
    }

    /// The driver looks at its completion ring and judges what arrived.
    fn look(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        loop {
            let cqe = lane.rings.cqe(lane.head);
            if cqe.phase != lane.phase {
                break;
            }
            let (slot, job) = lane.in_flight.pop_front().expect("a completion of nothing");
            assert_eq!((cqe.slot, cqe.queue, job.executed), (slot, lane::NUMBER, true), "out of order");
            lane.head = (lane.head + 1) % DEPTH;
            lane.phase ^= lane.head == 0;
            self.seen.executed += 1;
            let back = lane.rings.sqe(slot);
            if job.fault != Some(Fault::StaleTag) {
                for (n, (now, sent)) in back.iter().zip(&job.sent).enumerate() {
                    assert!(now == sent || lane.written_back(n), "input byte {n:#x} was changed: {back:x?}");
                }
            }
            if let Some(index) = job.clean {
                assert!(job.memory.guards_hold(), "{:?} {:?}", job.fault, self.seeds[index]);
                let undisturbed = matches!(job.fault, None | Some(Fault::Delay(_)));
                if let (Some((entry, content)), true) = (&self.alone[index], undisturbed) {
                    assert_eq!((&back, &job.memory.content()), (entry, content), "{:?}", self.seeds[index]);
                    self.seen.verified += 1;
                }
            }
        }
    }

    fn reap(&mut self, at: usize) {
        let arm = self.random.one_in(2);
        let lane = &mut self.lanes[at];
        let memory = Self::nothing();
        self.seen.reaped += u64::from((lane.head + DEPTH - lane.returned) % DEPTH);
        lane.returned = lane.head;
        let store = lane.cq_doorbell(arm);
        assert_eq!(lane.pair.doorbell(&host!(self, lane, &memory), store), Rang::Here);
    }

    fn turn(&mut self) {
        let at = self.choose();
        self.clock.now.set(self.clock.now.get() + self.random.below(2_000_000) as u64);
        match self.random.below(20) {
            0..=2 => self.submit(at),
            3 => self.ring_nonsense(at),
            4..=8 => self.fetch(at),
            9..=13 => self.execute(at),
            14..=18 => self.complete(at),
            _ => self.reap(at),
        }
    }

    fn check(&self) {
        let counts = &self.records.counts;
        let ends = |what: &'static str| counts.sum(|name| name.ends_with(what));
        let seen = &self.seen;
        assert_eq!(ends(".accepted"), seen.accepted, "{seen:?}");
        assert_eq!(ends(".executed"), seen.executed, "{seen:?}");
        assert_eq!(ends(".reaped"), seen.reaped, "{seen:?}");
        let open: usize = self.lanes.iter().map(|lane| lane.in_flight.len()).sum();
        assert_eq!(seen.accepted, seen.executed + seen.lost + open as u64, "{seen:?}");
        assert_eq!(counts.sum(|name| name.starts_with("fault.")), seen.faults, "{seen:?}");
        let refused = counts.value("refused");
        assert_eq!(counts.sum(|name| name.starts_with("refused.")), refused);
        assert_eq!(counts.value("refused.doorbell"), seen.bad_doorbells);
        let descriptors = refused - seen.bad_doorbells - counts.value("refused.overflow");
        assert!(seen.executed - ends(".requests") <= descriptors, "{seen:?}");
        assert_eq!(counts.value("panicked"), 0);
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[test]
fn random_requests_with_random_faults_leave_the_model_standing_and_the_counts_consistent() {
    if let Some(directory) = std::env::var_os("WARPDRIVE_MODEL_SEEDS") {
        return seeds::pack(directory.as_ref());
    }
    let (requests, seed) = (setting("WARPDRIVE_CHAOS_REQUESTS", 20_000), setting("WARPDRIVE_CHAOS_SEED", 1));
    println!("{requests} requests from seed {seed}");
    let mut chaos = Chaos::new(seed);
    let mut turns = 0u64;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        while chaos.seen.accepted < requests {
            chaos.turn();
            turns += 1;
            if turns.is_multiple_of(500) {
                chaos.check();
            }
        }
        chaos.check();
    }));
    if let Err(panic) = outcome {
        eprintln!("seed {seed}, turn {turns}: {:?}", chaos.seen);
        chaos.records.last.borrow().iter().for_each(|line| eprintln!("  {line}"));
        std::panic::resume_unwind(panic);
    }
    let counts = &chaos.records.counts;
    let sum = |end: &'static str| counts.sum(|name| name.ends_with(end));
    println!("{:?}, {} refused, {} traced", chaos.seen, counts.value("refused"), chaos.records.traced.get());
    // the dice were not loaded: everything that can happen did, given time
    if requests < 20_000 {
        return;
    }
    assert!(chaos.seen.verified > requests / 20 && chaos.seen.deaths > requests / 2000, "{:?}", chaos.seen);
    assert!(sum(".requests") > requests / 5 && counts.value("refused") > requests / 5);
    let common = ["type", "reserved", "value", "unsupported", "length", "list", "address", "doorbell"];
    let rare: &[&str] = if requests < 200_000 { &[] } else { &["queue_class", "overflow", "alignment"] };
    for rule in common.iter().chain(rare) {
        assert!(counts.value(&format!("refused.{rule}")) > 0, "no descriptor broke {rule}");
    }
    let common =
        ["status", "partial", "corrupt", "stale_tag", "truncate", "page_fault", "drop", "delay", "reset"];
    let rare: &[&str] = if requests < 200_000 { &[] } else { &["isolate", "remove", "cq_overflow"] };
    for kind in common.iter().chain(rare) {
        assert!(counts.value(&format!("fault.{kind}")) > 0, "no fault {kind}");
    }
    assert!(chaos.records.traced.get() >= chaos.seen.executed);
}
