//! The core's queue path over the device model on virtual time: what finishes when, to the nanosecond, as computed by
//! hand. Neither crate knows the other.

mod link;

use std::rc::Rc;

use link::{OneQueue, open};
use warpdrive_core::engine::zip::{self, Format};
use warpdrive_core::qm::Version;
use warpdrive_device_model::device::Kind;
use warpdrive_device_model::device::service::{KUNPENG920, Work};
use warpdrive_device_model::engine::Generation;
use warpdrive_device_model::virtual_time::{DeviceSetup, Hollow, Machine, Speed, process_memory};

static HOLLOW: Hollow = Hollow::ZIP;

/// Two engines, 2 µs of each request, then 12 µs to the completion.
const WORK: Work = Work { engines: 2, latency_ns: 12_000, fixed_ns: 2_000, bytes_per_us: 0, cubic_ns: 0 };

fn machine(work: Work, devices: usize) -> Rc<Machine> {
    let setup =
        DeviceSetup { engine: &HOLLOW, work: [work; 2], ..DeviceSetup::new(Kind::Zip, Generation::V3) };
    Rc::new(Machine::new(vec![setup; devices], process_memory()))
}

/// A request of so many bytes; the hollow engine looks at nothing else.
fn request(bytes: u32) -> [u8; 128] {
    let mut sqe = [0; 128];
    sqe[0x10..0x14].copy_from_slice(&bytes.to_le_bytes());
    sqe
}

/// Sends `count` requests with at most `depth` in flight, the next as soon as one is done; gives the time it took.
fn closed_loop(machine: &Rc<Machine>, depth: u16, count: u32, bytes: u32) -> u64 {
    let start = machine.now_ns();
    let (mut queue, _) = open(machine, 0, 0);
    let (mut sent, mut done) = (0, 0);
    while done < count {
        while sent < count && queue.in_flight() < depth {
            queue.submit(&request(bytes)).expect("credit");
            sent += 1;
        }
        assert!(machine.step(), "something is in flight");
        while queue.reap(&mut [0; 128]).expect("a healthy queue").is_some() {
            done += 1;
        }
    }
    machine.now_ns() - start
}

#[test]
fn requests_finish_when_the_service_time_says() {
    // One at a time: 14 µs each. Two: both engines at once, in steps of 14 µs.
    assert_eq!(closed_loop(&machine(WORK, 1), 1, 100, 0), 100 * 14_000);
    assert_eq!(closed_loop(&machine(WORK, 1), 2, 100, 0), 50 * 14_000);
    // Four: two pairs, 2 µs apart, each coming round in 14 µs: the last pair starts 24 rounds after its first start.
    assert_eq!(closed_loop(&machine(WORK, 1), 4, 100, 0), 24 * 14_000 + 2_000 + 14_000);
    // Fourteen keep both engines busy always; more add nothing but waiting.
    let saturated = 50 * 2_000 + 12_000;
    for depth in [14, 15, 64, 100, 500] {
        assert_eq!(closed_loop(&machine(WORK, 1), depth, 100, 0), saturated, "depth {depth}");
    }
    let short_of_it = closed_loop(&machine(WORK, 1), 12, 100, 0);
    assert!(short_of_it > saturated, "{short_of_it}");
}

#[test]
fn all_at_once_fills_the_ring_and_many_queues_share_the_engines() {
    let machine = machine(WORK, 1);
    let (mut queue, _) = open(&machine, 0, 0);
    let mut sent = 0u64;
    while queue.submit(&request(0)).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 1023, "depth less one");
    machine.run_until_idle();
    assert_eq!(machine.now_ns(), 512 * 2_000 + 12_000);

    let mut queues: Vec<_> = (0..10).map(|_| open(&machine, 0, 0).0).collect();
    let start = machine.now_ns();
    for queue in &mut queues {
        for _ in 0..10 {
            queue.submit(&request(0)).unwrap();
        }
    }
    machine.run_until_idle();
    assert_eq!(machine.now_ns() - start, 50 * 2_000 + 12_000, "as one queue would take");
    for queue in &mut queues {
        let mut reaped = 0;
        while queue.reap(&mut [0; 128]).unwrap().is_some() {
            reaped += 1;
        }
        assert_eq!(reaped, 10);
    }
}

#[test]
fn the_published_depth_effect_comes_out_of_the_profile() {
    // UADK's docs/perf.rst, 8 KiB blocks on Kunpeng 920: 556 MB/s one at a time, 7.2 GB/s with 60 in flight.
    let rate = |depth| {
        let ns = closed_loop(&machine(KUNPENG920.zip[0], 1), depth, 2000, 8192);
        2000.0 * 8192.0 / ns as f64 * 1000.0
    };
    let (one, many) = (rate(1), rate(60));
    assert!((550.0..600.0).contains(&one), "{one} MB/s");
    assert!((7000.0..7300.0).contains(&many), "{many} MB/s");
}

#[test]
fn a_wait_of_the_core_lasts_exactly_as_long_as_the_request() {
    let machine = machine(WORK, 1);
    let (mut queue, rung) = open(&machine, 0, 0);
    for n in 1..=3u64 {
        let mut sqe = request(77);
        queue.execute(&mut sqe, std::time::Duration::from_secs(100)).unwrap();
        assert_eq!((machine.now_ns(), sqe), (n * 14_000, request(77)));
    }
    assert_eq!(rung.get().0, 3);
    assert_eq!(machine.records().value("zip.compress.bytes"), 3 * 77);
}

#[test]
fn a_device_that_changes_its_speed_every_ten_seconds_serves_accordingly() {
    let second = 1_000_000_000;
    let machine = machine(Work { engines: 1, fixed_ns: 1_000_000, ..Work::FREE }, 1);
    machine.set_speed(Speed::Steps { step_ns: 10 * second, factors: vec![0.1, 10.0] });
    let (mut queue, _) = open(&machine, 0, 0);
    let mut served = |until: u64| {
        let mut count = 0;
        while machine.now_ns() < until {
            if queue.in_flight() == 0 {
                queue.submit(&request(0)).unwrap();
            }
            // All events of that moment: engine free, completion written.
            machine.run_until(machine.next_event_ns().expect("one is in flight"));
            while queue.reap(&mut [0; 128]).unwrap().is_some() {
                count += 1;
            }
        }
        count
    };
    assert_eq!([served(10 * second), served(20 * second), served(30 * second)], [1000, 100_000, 1000]);
}

#[test]
fn real_requests_of_the_core_s_engine_compute_and_take_their_time() {
    let work = Work { engines: 1, latency_ns: 500, fixed_ns: 1_000, bytes_per_us: 1_000, cubic_ns: 0 };
    let setup = DeviceSetup { work: [work; 2], ..DeviceSetup::new(Kind::Zip, Generation::V3) };
    let machine = Rc::new(Machine::new(vec![setup], process_memory()));
    let mut compressor = OneQueue(open(&machine, 0, 0).0, Version::V3);
    let mut decompressor = OneQueue(open(&machine, 0, 1).0, Version::V3);
    let data = b"virtual time, real bytes. ".repeat(400);
    let mut packed = vec![0; 20_000];
    let outcome = zip::compress(&mut compressor, Format::Zlib, &data, &mut packed).unwrap();
    assert_eq!(machine.now_ns(), 1_000 + data.len() as u64 + 500);
    let mut plain = vec![0; data.len()];
    let packed = &packed[..outcome.produced];
    let start = machine.now_ns();
    let outcome = zip::decompress(&mut decompressor, Format::Zlib, packed, &mut plain).unwrap();
    assert_eq!((outcome.produced, &plain), (data.len(), &data));
    assert_eq!(
        machine.now_ns() - start,
        1_000 + data.len() as u64 + 500,
        "the larger of input and output counts"
    );
    assert_eq!(machine.records().value("refused"), 0);
}

#[test]
fn the_same_calls_give_the_same_times() {
    let run = || {
        let machine = machine(Work { bytes_per_us: 3_000, ..WORK }, 2);
        let mut queues = [open(&machine, 0, 0).0, open(&machine, 1, 0).0, open(&machine, 0, 1).0];
        let mut times = Vec::new();
        for n in 0..3_000u32 {
            let queue = &mut queues[n as usize % 3];
            if queue.submit(&request(n.wrapping_mul(2_654_435_761) % 100_000)).is_err() {
                machine.step();
            }
            for queue in &mut queues {
                while queue.reap(&mut [0; 128]).unwrap().is_some() {
                    times.push(machine.now_ns());
                }
            }
        }
        machine.run_until_idle();
        times.push(machine.now_ns());
        times
    };
    assert_eq!(run(), run());
}
