//! The machine: events in the order of their time, engines, queues, arbitration.

use super::rings::{WordRings, Words};
use super::speed::Speed;
use crate::device::faults::{Faults, Plan};
use crate::device::local::{LocalClock, LocalInterrupt};
use crate::device::service::{Touching, Work, pool};
use crate::device::{
    Closed, DeviceEvent, Fetched, Finished, Function, Host, InMemory, Kind, Lost, Next, QueuePair, Rang,
    Setup, Store,
};
use crate::engine::{Engine, Generation, Memory, Rule};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

/// One accelerator function.
#[derive(Clone, Debug)]
pub struct DeviceSetup {
    /// What it is.
    pub kind: Kind,
    /// Its generation.
    pub generation: Generation,
    /// What executes its descriptors.
    pub engine: &'static dyn Engine,
    /// Entries of each ring of each queue.
    pub depth: u16,
    /// Queues, at most 1024.
    pub queues: u16,
    /// Cost of its requests, by queue class.
    pub work: [Work; 2],
    /// Cost of a page that the program has not touched, nanoseconds.
    pub page_fault_ns: u64,
}

impl DeviceSetup {
    /// A device of this kind and generation that computes, takes no time, and has 64 queues of 1024 entries.
    pub fn new(kind: Kind, generation: Generation) -> DeviceSetup {
        DeviceSetup {
            kind,
            generation,
            engine: kind.engine(),
            depth: 1024,
            queues: 64,
            work: [Work::FREE; 2],
            page_fault_ns: 0,
        }
    }
}

/// A queue that was opened: device and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId {
    /// Index in the machine's list.
    pub device: usize,
    /// Number within the device, which its doorbells carry.
    pub number: u16,
}

/// What will happen.
enum Event {
    /// An engine of a pool is free again.
    Free { device: usize, pool: usize },
    /// A request that the fault plan holds back may go on.
    Ready { queue: Rc<Queue>, request: Fetched },
    /// A completion is due.
    Done { queue: Rc<Queue>, finished: Finished },
}

struct Queue {
    id: QueueId,
    pool: usize,
    class: usize,
    rings: WordRings,
    interrupt: LocalInterrupt,
    pair: RefCell<QueuePair>,
    resets_at_open: u64,
}

struct Device {
    setup: DeviceSetup,
    words: Vec<AtomicU64>,
    queues: RefCell<Vec<Option<Rc<Queue>>>>,
    state: RefCell<Engines>,
}

/// By pool.
#[derive(Default)]
struct Engines {
    busy: [u16; 2],
    /// Queue number to be asked first.
    turn: [usize; 2],
    ready: [VecDeque<(Rc<Queue>, Fetched)>; 2],
}

/// Accelerators on virtual time. Not to be shared between threads: virtual time has one owner.
pub struct Machine {
    devices: Vec<Device>,
    clock: LocalClock,
    events: RefCell<BinaryHeap<Reverse<(u64, u64, usize)>>>,
    /// By the third number of `events`.
    what: RefCell<Vec<Option<Event>>>,
    unused: RefCell<Vec<usize>>,
    order: std::cell::Cell<u64>,
    speed: RefCell<Speed>,
    memory: Touching<Box<dyn Memory>>,
    records: InMemory,
    plan: Plan,
    counters: Vec<AtomicU64>,
}

impl Machine {
    /// Devices around this memory, at time 0.
    pub fn new(devices: Vec<DeviceSetup>, memory: Box<dyn Memory>) -> Machine {
        Machine::with_faults(devices, memory, Plan::default())
    }

    /// The same, with a plan of what goes wrong.
    pub fn with_faults(devices: Vec<DeviceSetup>, memory: Box<dyn Memory>, plan: Plan) -> Machine {
        let counts = devices.iter().any(|setup| setup.page_fault_ns > 0);
        let device = |setup: DeviceSetup| Device {
            words: (0..Function::WORDS).map(|_| AtomicU64::new(0)).collect(),
            queues: RefCell::new(vec![None; usize::from(setup.queues.min(1024))]),
            state: RefCell::default(),
            setup,
        };
        Machine {
            devices: devices.into_iter().map(device).collect(),
            clock: LocalClock::default(),
            events: RefCell::default(),
            what: RefCell::default(),
            unused: RefCell::default(),
            order: std::cell::Cell::new(0),
            speed: RefCell::default(),
            memory: Touching::new(memory, counts),
            records: InMemory::default(),
            counters: (0..plan.counters()).map(|_| AtomicU64::new(0)).collect(),
            plan,
        }
    }

    /// Virtual time since the beginning, nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.clock.now.get()
    }

    /// Counts and log of the run.
    pub fn records(&self) -> &InMemory {
        &self.records
    }

    /// Changes the speed of all engines for requests that begin from now on.
    ///
    /// # Panics
    /// A factor is not above 0, or there is none.
    pub fn set_speed(&self, speed: Speed) {
        assert!(speed.is_valid(), "{speed:?}");
        *self.speed.borrow_mut() = speed;
    }

    /// Opens and starts a queue of the class `qc_type` on a device, in this memory (`qm.md` 3: rings, then, at its
    /// end, the status words), whose completion ring and status words are cleared.
    ///
    /// # Errors
    /// Why the device has no queue: all are taken, it is being reset, isolated or gone.
    ///
    /// # Panics
    /// There is no such device, or the memory is too short.
    pub fn open(&self, device: usize, qc_type: u16, memory: Box<dyn Words>) -> Result<QueueId, Closed> {
        let Device { setup, words, queues, .. } = &self.devices[device];
        let function = Function::new(words);
        if let Some(closed) = function.closed(self.now_ns() / 1_000_000) {
            return Err(closed);
        }
        let free = queues.borrow().iter().position(Option::is_none).ok_or(Closed::Busy)?;
        let id = QueueId { device, number: free as u16 };
        let rings = WordRings::new(memory, setup.kind, setup.depth, id.number).expect("memory for the rings");
        rings.clear();
        let pair = QueuePair::new(Setup {
            device: format!("{}-{device}", setup.kind.driver()),
            kind: setup.kind,
            engine: setup.engine,
            generation: setup.generation,
            number: id.number,
            depth: setup.depth,
            qc_type,
            doorbell_isolation: setup.generation >= Generation::V3,
        });
        let (pool, class) = pool(setup.kind, qc_type);
        let queue = Queue {
            id,
            pool,
            class,
            rings,
            interrupt: LocalInterrupt::default(),
            pair: RefCell::new(pair),
            resets_at_open: function.resets(),
        };
        queues.borrow_mut()[free] = Some(Rc::new(queue));
        Ok(id)
    }

    /// Stops and closes a queue: what it has not completed is never completed. Its number may be given out again.
    pub fn close(&self, id: QueueId) {
        let queue = self.devices[id.device].queues.borrow_mut()[usize::from(id.number)].take();
        if let Some(queue) = queue {
            queue.pair.borrow_mut().vanish(&self.host(&queue), "closed");
        }
    }

    /// The program stores `value` to the doorbell register of a queue. Takes no time.
    pub fn doorbell(&self, id: QueueId, value: u64) {
        let Some(queue) = self.queue(id) else { return };
        let store = Store { offset: 0x1000, width: 8, value };
        let rang = queue.pair.borrow_mut().doorbell(&self.host(&queue), store);
        let rung = match rang {
            Rang::Elsewhere(number) => {
                let other = self.queue(QueueId { number, ..id });
                match &other {
                    Some(other) => drop(other.pair.borrow_mut().doorbell(&self.host(other), store)),
                    None => queue.pair.borrow().refuse(
                        &self.host(&queue),
                        Rule::Doorbell,
                        "no such queue is started",
                    ),
                }
                other
            }
            Rang::Here | Rang::Refused | Rang::Deaf => Some(queue),
        };
        if let Some(queue) = rung {
            self.dispatch(queue.id.device, queue.pool);
        }
    }

    /// Interrupts of a queue so far.
    pub fn interrupts(&self, id: QueueId) -> u64 {
        self.queue(id).map_or(0, |queue| queue.interrupt.raised.get())
    }

    /// Engines of a device that are at work, by pool.
    pub fn busy_engines(&self, device: usize) -> [u16; 2] {
        self.devices[device].state.borrow().busy
    }

    /// When the next event is, nanoseconds.
    pub fn next_event_ns(&self) -> Option<u64> {
        self.events.borrow().peek().map(|Reverse((time, ..))| *time)
    }

    /// Goes on to the next event and lets it happen; false if there is none.
    pub fn step(&self) -> bool {
        let Some(Reverse((time, _, place))) = self.events.borrow_mut().pop() else { return false };
        self.clock.now.set(time);
        let event = self.what.borrow_mut()[place].take();
        self.unused.borrow_mut().push(place);
        match event {
            Some(Event::Free { device, pool }) => {
                self.devices[device].state.borrow_mut().busy[pool] -= 1;
                self.dispatch(device, pool);
            }
            Some(Event::Ready { queue, request }) => {
                let (device, pool) = (queue.id.device, queue.pool);
                self.devices[device].state.borrow_mut().ready[pool].push_back((queue, request));
                self.dispatch(device, pool);
            }
            Some(Event::Done { queue, finished }) => {
                queue.pair.borrow_mut().complete(&self.host(&queue), finished);
            }
            None => {}
        }
        true
    }

    /// Lets everything happen up to this time, and the clock stand there.
    pub fn run_until(&self, time_ns: u64) {
        while self.next_event_ns().is_some_and(|next| next <= time_ns) {
            self.step();
        }
        self.clock.now.set(self.now_ns().max(time_ns));
    }

    /// Lets so much time pass: the program computes, or sleeps.
    pub fn advance(&self, ns: u64) {
        self.run_until(self.now_ns().saturating_add(ns));
    }

    /// Lets everything happen that will without further calls.
    pub fn run_until_idle(&self) {
        while self.step() {}
    }

    fn queue(&self, id: QueueId) -> Option<Rc<Queue>> {
        self.devices.get(id.device)?.queues.borrow().get(usize::from(id.number))?.clone()
    }

    fn host<'a>(&'a self, queue: &'a Queue) -> Host<'a> {
        Host {
            rings: &queue.rings,
            memory: &self.memory,
            interrupt: &queue.interrupt,
            clock: &self.clock,
            records: &self.records,
            faults: Faults { plan: &self.plan, counters: &self.counters },
        }
    }

    /// Events of the same time happen in the order in which they were planned.
    fn plan_event(&self, time_ns: u64, event: Event) {
        let mut what = self.what.borrow_mut();
        let place = self.unused.borrow_mut().pop().unwrap_or(what.len());
        if place == what.len() {
            what.push(None);
        }
        what[place] = Some(event);
        self.order.set(self.order.get() + 1);
        self.events.borrow_mut().push(Reverse((time_ns, self.order.get(), place)));
    }

    /// Gives requests to the free engines of a pool.
    fn dispatch(&self, device: usize, pool: usize) {
        let at = &self.devices[device];
        let engines = at.setup.work[pool].engines;
        while engines == 0 || at.state.borrow().busy[pool] < engines {
            let ready = at.state.borrow_mut().ready[pool].pop_front();
            let Some((queue, request)) = ready.or_else(|| self.next_request(device, pool)) else { return };
            self.begin(device, queue, request);
        }
    }

    /// The next announced request of the pool's queues, in turn.
    fn next_request(&self, device: usize, pool: usize) -> Option<(Rc<Queue>, Fetched)> {
        let at = &self.devices[device];
        loop {
            let queues = at.queues.borrow();
            let first = at.state.borrow().turn[pool];
            let order = (0..queues.len()).map(|n| (first + n) % queues.len());
            let waits = |queue: &&Rc<Queue>| queue.pool == pool && queue.pair.borrow().waiting() > 0;
            let queue = order.filter_map(|n| queues[n].as_ref()).find(waits).cloned()?;
            drop(queues);
            at.state.borrow_mut().turn[pool] = usize::from(queue.id.number) + 1;
            let next = queue.pair.borrow_mut().fetch(&self.host(&queue));
            match next {
                Next::Request(request) if request.hold_ms() > 0 => {
                    let until = self.now_ns().saturating_add(request.hold_ms().saturating_mul(1_000_000));
                    self.plan_event(until, Event::Ready { queue, request });
                }
                Next::Request(request) => return Some((queue, request)),
                Next::Device(event) => self.device_event(device, event),
                Next::Lost | Next::Idle => {}
            }
        }
    }

    /// An engine begins to serve a request.
    fn begin(&self, device: usize, queue: Rc<Queue>, request: Fetched) {
        let Device { setup, state, .. } = &self.devices[device];
        self.memory.take();
        let finished = queue.pair.borrow_mut().execute(&self.host(&queue), request);
        let Some(finished) = finished else { return };
        let (input, output) = finished.sizes();
        let work = &setup.work[queue.class];
        let faults = self.memory.take().saturating_mul(setup.page_fault_ns);
        let takes = work.occupancy_ns(input.max(output)).saturating_add(faults);
        let free = self.speed.borrow().end(self.now_ns(), takes);
        let done = self.speed.borrow().end(free, work.latency_ns);
        state.borrow_mut().busy[queue.pool] += 1;
        self.plan_event(free, Event::Free { device, pool: queue.pool });
        self.plan_event(done, Event::Done { queue, finished });
    }

    /// Something that the plan wants to happen to a whole device.
    fn device_event(&self, device: usize, event: DeviceEvent) {
        let Device { words, queues, .. } = &self.devices[device];
        let function = Function::new(words);
        function.apply(event, self.now_ns() / 1_000_000);
        let open: Vec<_> = queues.borrow().iter().flatten().cloned().collect();
        for queue in open {
            let mut pair = queue.pair.borrow_mut();
            match function.lost(queue.resets_at_open) {
                None => {}
                Some(lost @ Lost::Removed) => pair.vanish(&self.host(&queue), lost.reason()),
                Some(lost) => pair.die(&self.host(&queue), lost.reason()),
            }
        }
    }
}
