use super::*;
use crate::device::service::Work;
use crate::device::{Closed, Kind, faults::Plan};
use crate::engine::testing::Space;
use crate::engine::{Engine, Generation};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

static HOLLOW: Hollow = Hollow::ZIP;
const DEPTH: u16 = 16;

/// A device with hollow requests that take what is said.
fn setup(work: Work) -> DeviceSetup {
    let engine: &'static dyn Engine = &HOLLOW;
    DeviceSetup {
        engine,
        depth: DEPTH,
        queues: 4,
        work: [work; 2],
        ..DeviceSetup::new(Kind::Zip, Generation::V3)
    }
}

const WORK: Work = Work { engines: 1, fixed_ns: 100, ..Work::FREE };

/// A driver's side of a queue, as simple as it can be.
struct Driver<'a> {
    machine: &'a Machine,
    id: QueueId,
    words: Rc<[AtomicU64]>,
    tail: u16,
    head: u16,
    phase: u64,
}

impl<'a> Driver<'a> {
    fn open(machine: &'a Machine, device: usize, qc_type: u16) -> Result<Driver<'a>, Closed> {
        let words: Rc<[AtomicU64]> =
            (0..usize::from(DEPTH) * 18 + 512).map(|_| AtomicU64::new(u64::MAX)).collect();
        let id = machine.open(device, qc_type, Box::new(Rc::clone(&words)))?;
        Ok(Driver { machine, id, words, tail: 0, head: 0, phase: 1 })
    }

    /// One request of so many bytes.
    fn submit(&mut self, bytes: u32) {
        let first = usize::from(self.tail) * 16;
        (0..16).for_each(|n| self.words[first + n].store(0, Ordering::Relaxed));
        self.words[first + 2].store(u64::from(bytes), Ordering::Relaxed);
        self.tail = (self.tail + 1) % DEPTH;
        self.machine.doorbell(self.id, u64::from(self.id.number) | u64::from(self.tail) << 32);
    }

    /// Submission slots of the completions since the last call.
    fn reap(&mut self) -> Vec<u16> {
        let mut slots = Vec::new();
        loop {
            let word =
                self.words[usize::from(DEPTH) * 16 + usize::from(self.head) * 2 + 1].load(Ordering::Acquire);
            if word >> 48 != self.phase {
                break;
            }
            assert_eq!(word >> 16 & 0xFFFF, u64::from(self.id.number));
            slots.push(word as u16);
            self.head = (self.head + 1) % DEPTH;
            self.phase ^= u64::from(self.head == 0);
        }
        let arm = 1 << 48;
        self.machine
            .doorbell(self.id, u64::from(self.id.number) | 1 << 12 | u64::from(self.head) << 32 | arm);
        slots
    }

    fn status(&self) -> u64 {
        self.words[self.words.len() - 1].load(Ordering::Acquire)
    }
}

fn machine(work: Work) -> Machine {
    Machine::new(vec![setup(work)], Box::new(Space::default()))
}

#[test]
fn one_engine_serves_one_after_the_other() {
    let machine = machine(WORK);
    let mut driver = Driver::open(&machine, 0, 0).unwrap();
    (0..5).for_each(|_| driver.submit(0));
    assert_eq!(machine.next_event_ns(), Some(100));
    for n in 1..=5u64 {
        machine.run_until(100 * n - 1);
        assert_eq!(driver.reap(), Vec::<u16>::new());
        machine.run_until(100 * n);
        assert_eq!(driver.reap(), [n as u16 - 1]);
    }
    assert!(!machine.step());
    assert_eq!(machine.now_ns(), 500);
    assert_eq!(machine.records().value("zip.compress.requests"), 5);
}

#[test]
fn engines_work_side_by_side_and_latency_keeps_none_busy() {
    // Two engines, 100 ns each and 1000 ns to the completion: 6 requests end at 1100, 1100, 1200, 1200, 1300, 1300.
    let machine = machine(Work { engines: 2, latency_ns: 1000, ..WORK });
    let mut driver = Driver::open(&machine, 0, 0).unwrap();
    (0..6).for_each(|_| driver.submit(0));
    assert_eq!(machine.busy_engines(0), [2, 0]);
    for (time, slots) in [(1099, &[][..]), (1100, &[0, 1]), (1200, &[2, 3]), (1300, &[4, 5])] {
        machine.run_until(time);
        assert_eq!(driver.reap(), slots, "at {time}");
    }
    assert_eq!(machine.busy_engines(0), [0, 0]);
}

#[test]
fn time_depends_on_size_and_completions_keep_their_order() {
    // 1000 bytes a microsecond: the long first request (5 µs) holds the completions of the short ones back.
    let machine = machine(Work { engines: 2, bytes_per_us: 1000, ..WORK });
    let mut driver = Driver::open(&machine, 0, 0).unwrap();
    driver.submit(5000);
    driver.submit(100);
    driver.submit(100);
    machine.run_until(5099);
    assert_eq!(driver.reap(), Vec::<u16>::new());
    machine.run_until(5100);
    assert_eq!(driver.reap(), [0, 1, 2]);
    assert_eq!(machine.next_event_ns(), None);
}

#[test]
fn queues_of_a_device_are_served_in_turn() {
    let machine = machine(WORK);
    let mut queues: Vec<_> = (0..3).map(|_| Driver::open(&machine, 0, 0).unwrap()).collect();
    // The first queue is far ahead; the others still get every third engine slot.
    (0..6).for_each(|_| queues[0].submit(0));
    (0..2).for_each(|_| queues[1].submit(0));
    (0..2).for_each(|_| queues[2].submit(0));
    let mut order = Vec::new();
    while machine.step() {
        for (n, queue) in queues.iter_mut().enumerate() {
            order.extend(queue.reap().iter().map(|_| n));
        }
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 2, 0, 0, 0, 0]);
    assert_eq!(machine.now_ns(), 1000);
}

#[test]
fn compression_and_decompression_have_engines_of_their_own() {
    let machine = machine(WORK);
    let mut one = Driver::open(&machine, 0, 0).unwrap();
    let mut two = Driver::open(&machine, 0, 1).unwrap();
    (0..3).for_each(|_| one.submit(0));
    (0..3).for_each(|_| two.submit(0));
    machine.run_until_idle();
    assert_eq!((one.reap().len(), two.reap().len(), machine.now_ns()), (3, 3, 300));
}

#[test]
fn devices_do_not_wait_for_one_another() {
    let machine = Machine::new(vec![setup(WORK); 2], Box::new(Space::default()));
    let mut drivers: Vec<_> = (0..2).map(|device| Driver::open(&machine, device, 0).unwrap()).collect();
    drivers.iter_mut().for_each(|driver| (0..4).for_each(|_| driver.submit(0)));
    machine.run_until_idle();
    assert_eq!(machine.now_ns(), 400);
}

#[test]
fn a_ring_goes_round_many_times() {
    let machine = machine(WORK);
    let mut driver = Driver::open(&machine, 0, 0).unwrap();
    for round in 0..100u64 {
        (0..7).for_each(|_| driver.submit(0));
        machine.advance(700);
        assert_eq!(driver.reap().len(), 7, "round {round}");
    }
    assert_eq!((machine.now_ns(), machine.records().value("refused")), (70_000, 0));
}

#[test]
fn interrupts_come_only_when_armed() {
    let machine = machine(WORK);
    let mut driver = Driver::open(&machine, 0, 0).unwrap();
    driver.submit(0);
    driver.submit(0);
    machine.run_until_idle();
    assert_eq!(machine.interrupts(driver.id), 1, "armed at the start, once");
    driver.reap();
    driver.submit(0);
    machine.run_until_idle();
    assert_eq!(machine.interrupts(driver.id), 2, "armed again by the completion doorbell");
}

#[test]
fn a_device_may_change_its_speed_every_ten_seconds() {
    let second = 1_000_000_000;
    // 10 ms a request: ten times slower for ten seconds, then ten times faster, and so on.
    let machine = machine(Work { fixed_ns: 10_000_000, ..WORK });
    machine.set_speed(Speed::Steps { step_ns: 10 * second, factors: vec![0.1, 10.0] });
    let mut driver = Driver::open(&machine, 0, 0).unwrap();
    let mut done = |until: u64| {
        let mut count = 0;
        while machine.now_ns() < until {
            driver.submit(0);
            machine.step();
            machine.step();
            count += driver.reap().len();
        }
        count
    };
    assert_eq!(done(10 * second), 100);
    assert_eq!(done(20 * second), 10_000);
    assert_eq!(done(30 * second), 100);
}

#[test]
fn the_fault_plan_works_here_too() {
    let plan = Plan::parse("zip:drop@1;zip:delay=3@2;zip:reset=5@4").unwrap();
    let machine = Machine::with_faults(vec![setup(WORK)], Box::new(Space::default()), plan);
    let mut driver = Driver::open(&machine, 0, 0).unwrap();
    (0..3).for_each(|_| driver.submit(0));
    machine.run_until(3_000_099);
    assert_eq!(driver.reap(), Vec::<u16>::new());
    machine.run_until(3_000_100);
    assert_eq!(driver.reap(), [1, 2], "the first never comes, the second is late and holds the third");
    driver.submit(0);
    assert_eq!(driver.status(), 1 << 32 | 1, "TX and RX");
    assert!(matches!(Driver::open(&machine, 0, 0).map(|_| ()), Err(Closed::Resetting)));
    machine.advance(5_000_000);
    let mut again = Driver::open(&machine, 0, 0).unwrap();
    again.submit(0);
    machine.run_until_idle();
    assert_eq!((again.reap(), again.status()), (vec![0], 0));
}

#[test]
fn queues_run_out_and_come_back() {
    let machine = machine(WORK);
    let mut open: Vec<_> = (0..4).map(|_| Driver::open(&machine, 0, 0).unwrap()).collect();
    assert!(matches!(Driver::open(&machine, 0, 0).map(|_| ()), Err(Closed::Busy)));
    let mut last = open.pop().unwrap();
    last.submit(0);
    machine.close(last.id);
    machine.run_until_idle();
    assert_eq!(last.reap(), Vec::<u16>::new(), "closed before it was done");
    let again = Driver::open(&machine, 0, 0).unwrap();
    assert_eq!(again.id, last.id);
}

#[test]
fn untouched_pages_cost_time() {
    struct Cold(Space);
    impl crate::engine::Memory for Cold {
        fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), crate::engine::Fault> {
            self.0.read(addr, buf)
        }
        fn write(&self, addr: u64, buf: &[u8]) -> Result<(), crate::engine::Fault> {
            self.0.write(addr, buf)
        }
        fn untouched(&self, _: u64, len: usize) -> u64 {
            u64::from(len > 0)
        }
    }
    let space = Space::default();
    let source = space.put(b"two accesses: one to read, one to write");
    let target = space.put(&[0; 100]);
    let device = DeviceSetup { engine: Kind::Zip.engine(), page_fault_ns: 7000, ..setup(WORK) };
    let machine = Machine::new(vec![device], Box::new(Cold(space)));
    let mut driver = Driver::open(&machine, 0, 0).unwrap();
    // A zlib compression of 39 bytes.
    for (word, value) in
        [(2, 39), (3, 0x3000_0000 << 32), (4, 0x4002 << 32), (7, 100), (9, source), (10, target)]
    {
        driver.words[word].store(value, Ordering::Relaxed);
    }
    (0..16)
        .filter(|n| ![2, 3, 4, 7, 9, 10].contains(n))
        .for_each(|n| driver.words[n].store(0, Ordering::Relaxed));
    driver.tail = 1;
    machine.doorbell(driver.id, 1 << 32);
    machine.run_until_idle();
    assert_eq!((driver.reap(), machine.now_ns()), (vec![0], 100 + 2 * 7000));
    assert_eq!(machine.records().value("zip.compress.bytes"), 39);
}

#[test]
fn a_foreign_or_senseless_doorbell_is_counted() {
    let machine = machine(WORK);
    let driver = Driver::open(&machine, 0, 0).unwrap();
    machine.doorbell(driver.id, 9 | 1 << 32);
    machine.doorbell(driver.id, 0xFFFF << 32);
    assert_eq!(machine.records().value("refused.doorbell"), 2);
    // On V2 all queues share the page, and the number decides.
    let device = DeviceSetup { generation: Generation::V2, ..setup(WORK) };
    let machine = Machine::new(vec![device], Box::new(Space::default()));
    let one = Driver::open(&machine, 0, 0).unwrap();
    let mut two = Driver::open(&machine, 0, 0).unwrap();
    (0..16).for_each(|n| two.words[n].store(0, Ordering::Relaxed));
    machine.doorbell(one.id, 1 | 1 << 32);
    machine.run_until_idle();
    assert_eq!(two.reap(), [0]);
    machine.doorbell(one.id, 3 | 1 << 32);
    assert_eq!(machine.records().value("refused.doorbell"), 1);
}
