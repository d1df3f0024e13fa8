//! Several threads on one queue: answers never mixed up, no ring overrun, faults seen by all and only after the stop.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::qm::fake::Device;

const THREADS: u32 = 6;

fn entry(thread: u32, number: u32) -> [u8; 64] {
    let mut sqe = [0x33; 64];
    sqe[..4].copy_from_slice(&thread.to_le_bytes());
    sqe[4..8].copy_from_slice(&number.to_le_bytes());
    sqe
}

fn inverted(sqe: &[u8]) -> Vec<u8> {
    sqe.iter().map(|byte| !byte).collect()
}

/// Runs `each` requests in each thread, some of them in batches, and compares every answer.
fn hammer(queue: &Shared<crate::qm::fake::FakeLink>, each: u32, patience: &Patience) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut number = 0;
                while number < each {
                    let batch = if number % 7 == 3 { 3 } else { 1 };
                    let sent: Vec<u8> = (0..batch).flat_map(|n| entry(thread, number + n)).collect();
                    let mut sqes = sent.clone();
                    queue.execute_all(&mut sqes, patience).unwrap();
                    assert_eq!(sqes, inverted(&sent));
                    number += batch;
                }
            });
        }
    });
    assert_eq!(queue.in_flight(), 0);
}

#[test]
fn threads_get_their_own_answers_on_rings_of_any_size() {
    for depth in [2, 3, 5, 64] {
        let (queue, device) = shared(depth, 64);
        hammer(&queue, 200, &LONG);
        assert!(device.lock().accepted >= THREADS * 200);
        assert!(device.lock().most_outstanding < depth);
        assert!(!device.lock().journal.contains(&Event::Stop));
    }
}

/// Completes one request after the other, from a thread of its own, while `work` runs.
fn with_slow_device(device: &Mutex<Device>, work: impl FnOnce()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let worked = {
                    let mut device = device.lock();
                    // Everything that comes waits, to be released here.
                    while device.fates.len() < 64 {
                        device.fates.push_back(Fate::Drop);
                    }
                    device.release_one()
                };
                if worked {
                    thread::yield_now();
                } else {
                    thread::sleep(Duration::from_micros(50));
                }
            }
        });
        work();
        over.store(true, Ordering::Relaxed);
    });
}

use parking_lot::Mutex;

#[test]
fn threads_wait_for_a_slow_device_in_every_manner() {
    for spin in [Spin::Learned, Spin::Short] {
        for depth in [4, 32] {
            let (queue, device) = shared(depth, 64);
            device.lock().fates.extend([Fate::Drop; 64]);
            with_slow_device(&device, || hammer(&queue, 60, &Patience { spin, ..LONG }));
        }
    }
}

#[test]
fn threads_that_meet_share_doorbells() {
    // The first doorbell waits until all have written their descriptors: one more announces them all.
    let (queue, device) = shared(64, 64);
    let held = device.lock();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let queue = &queue;
            scope.spawn(move || {
                let mut sqe = entry(thread, 0);
                queue.execute(&mut sqe, &LONG).unwrap();
            });
        }
        while queue.in_flight() < THREADS as u16 {
            thread::yield_now();
        }
        // Claimed is not yet written; what is late rings for itself, at worst as often as without sharing.
        drop(held);
    });
    let rung = device.lock().journal.iter().filter(|e| matches!(e, Event::Ring(Kind::Submission, _))).count();
    assert!((1..=THREADS as usize).contains(&rung), "{rung} doorbells");
    assert_eq!(device.lock().accepted, THREADS);
}

/// All threads work until the device does `fate` to the n-th request: everyone gets a fault, nobody before the stop.
fn all_fail_after_the_stop(fate: Fate, patience: &Patience, expected: &[Fault]) {
    let (queue, device) = shared(16, 64);
    {
        let mut device = device.lock();
        device.fates.extend([Fate::Complete; 40]);
        device.fates.push_back(fate);
        device.fates.extend([Fate::Drop; 200]);
    }
    let (failed, panicked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (queue, device, failed, panicked) = (&queue, &device, &failed, &panicked);
            scope.spawn(move || {
                let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    for number in 0.. {
                        let mut sqe = entry(thread, number);
                        if let Err(fault) = queue.execute(&mut sqe, patience) {
                            assert!(device.lock().journal.contains(&Event::Stop), "{fault} before the stop");
                            assert!(expected.contains(&fault), "{fault}");
                            failed.fetch_add(1, Ordering::Relaxed);
                            return;
                        }
                        assert_eq!(sqe[..], inverted(&entry(thread, number)));
                    }
                }));
                if worked.is_err() {
                    panicked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let planned = usize::from(fate == Fate::PanicAtDoorbell);
    assert_eq!(panicked.into_inner(), planned, "{fate:?}");
    assert_eq!(failed.into_inner(), THREADS as usize - planned, "{fate:?}");
    let stops = device.lock().journal.iter().filter(|event| **event == Event::Stop).count();
    assert_eq!(stops, 1, "{fate:?}");
    assert!(!queue.is_alive());
}

#[test]
fn fault_of_one_request_reaches_all_threads_after_the_stop() {
    let soon = Patience::learned(Duration::from_millis(200));
    all_fail_after_the_stop(Fate::Drop, &soon, &[Fault::Timeout]);
    all_fail_after_the_stop(Fate::ReceiveStops, &LONG, &[Fault::Reset]);
    all_fail_after_the_stop(Fate::Slot(16), &LONG, &[Fault::Inconsistent]);
    all_fail_after_the_stop(Fate::PanicAtDoorbell, &LONG, &[Fault::Reset]);
}

#[test]
fn retire_from_outside_reaches_those_who_sleep() {
    let (queue, device) = shared(16, 64);
    device.lock().fates.extend([Fate::Drop; 16]);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..THREADS)
            .map(|thread| {
                let queue = &queue;
                scope.spawn(move || queue.execute(&mut entry(thread, 0), &LONG))
            })
            .collect();
        while device.lock().accepted < THREADS {
            thread::yield_now();
        }
        assert_eq!(queue.retire(Fault::Check), Fault::Check);
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Err(Fault::Check));
        }
    });
}
