//! Several requests at a time.

use std::sync::Barrier;

use super::*;
use crate::pool::search::MOST_USERS;

/// Trust in every device, which then are equal.
fn trusted(devices: Vec<Device>) -> House {
    let house = House::new(devices);
    let generation = house.pool.last().unwrap();
    for device in 0..generation.devices.len() {
        for op in Op::ALL {
            let trust = generation.trust(device, op);
            assert!(trust.proved(trust.begin(1).unwrap()));
        }
    }
    house
}

#[test]
fn requests_spread_over_equally_near_devices() {
    let here = node::current_numa_node();
    let house = trusted(vec![zip("a", here), zip("b", here), zip("far", here + 1)]);
    let leases: Vec<_> = (0..4).map(|_| house.lease(PACK, 8).unwrap()).collect();
    let mut names: Vec<_> = leases.iter().map(Lease::device_name).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "a", "b", "b"]);
    drop(leases);
    drop(house.lease(PACK, 8).unwrap());
    assert_eq!(house.opened().len(), 4, "idle ones are used again");
}

#[test]
fn budget_holds_and_then_queues_are_shared_the_least_deep_first() {
    let house = trusted(vec![zip("a", 0), zip("b", 0)]);
    let leases: Vec<_> = (0..6).map(|_| house.lease(PACK, 2).unwrap()).collect();
    let depths: Vec<_> = leases.iter().map(Lease::depth).collect();
    assert_eq!(depths, [0, 0, 1, 1, 2, 2]);
    let users = |index| leases.iter().filter(|lease| lease.device_index() == index).count();
    assert_eq!((users(0), users(1)), (3, 3));
    assert_eq!((house.opened().len(), house.count()), (2, 2));
}

#[test]
fn freed_queue_is_taken_before_one_is_shared() {
    let house = trusted(vec![zip("a", 0)]);
    let one = house.lease(PACK, 2).unwrap();
    let _two = house.lease(PACK, 2).unwrap();
    assert_eq!(house.lease(PACK, 2).unwrap().depth(), 1);
    drop(one);
    assert_eq!(house.lease(PACK, 2).unwrap().depth(), 0);
}

#[test]
fn depth_is_bounded() {
    let house = trusted(vec![zip("a", 0)]);
    let mut leases: Vec<_> = (0..MOST_USERS).map(|_| house.lease(PACK, 1).unwrap()).collect();
    assert_eq!(house.lease(PACK, 1).err(), Some(Why::AllBusy));
    leases.pop();
    assert_eq!(u32::from(house.lease(PACK, 1).unwrap().depth()), MOST_USERS - 1);
}

#[test]
fn full_device_is_shared() {
    let house = trusted(vec![zip("a", 0)]);
    house.kernel.lock().scarce.insert("a".to_owned(), 1);
    let _one = house.lease(PACK, 8).unwrap();
    assert_eq!(house.lease(PACK, 8).unwrap().depth(), 1);
    assert_eq!(house.opened().len(), 2, "the second was refused");
    assert_eq!(house.lease(PACK, 8).unwrap().depth(), 1);
    assert_eq!(house.opened().len(), 2, "and is not asked for at once again");
}

#[test]
fn threads_share_the_queues_without_mixing_answers() {
    let house = trusted(vec![zip("a", 0), zip("b", 1)]);
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let house = &house;
            scope.spawn(move || {
                for _ in 0..50 {
                    let mut lease = house.lease(PACK, 3).unwrap();
                    let mut sqe = [thread; 128];
                    lease.execute(&mut sqe, LONG).unwrap();
                    assert_eq!(sqe, [!thread; 128]);
                }
            });
        }
    });
    assert!(house.opened().len() <= 3);
    assert_eq!(house.count(), house.opened().len());
}

#[test]
fn thread_stays_on_its_queue_while_it_is_free() {
    let house = trusted(vec![zip("a", 0)]);
    let gate = Barrier::new(2);
    let mine = house.lease(PACK, 4).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let number = |lease: &Lease<'_>| Arc::as_ptr(lease.seat.as_ref().unwrap());
            let lease = house.lease(PACK, 4).unwrap();
            let own = number(&lease);
            drop(lease);
            gate.wait();
            gate.wait();
            for _ in 0..5 {
                assert_eq!(
                    number(&house.lease(PACK, 4).unwrap()),
                    own,
                    "although the first of the list is free"
                );
            }
        });
        gate.wait();
        drop(mine);
        gate.wait();
    });
}

/// Everybody on a queue that dies gets his fault after the queue was stopped, and goes on in software.
#[test]
fn every_thread_on_a_queue_that_dies_is_told() {
    let house = trusted(vec![zip("a", 0)]);
    let start = Barrier::new(6);
    let leases: Vec<_> = (0..6).map(|_| house.lease(PACK, 1).unwrap()).collect();
    house.queue(0).lock().ring.set_receive_stopped(1);
    std::thread::scope(|scope| {
        for mut lease in leases {
            let (start, house) = (&start, &house);
            scope.spawn(move || {
                start.wait();
                assert_eq!(request(&mut lease, LONG), Err(Why::Failed(Fault::Reset)));
                assert!(
                    house.queue(0).lock().journal.contains(&Crossing::Stop),
                    "stopped before anybody saw it"
                );
            });
        }
    });
    assert_eq!((house.count(), house.kernel.lock().open(None)), (0, 0));
    let stops = house.queue(0).lock().journal.iter().filter(|crossing| **crossing == Crossing::Stop).count();
    assert_eq!(stops, 1);
    assert_eq!(house.lease(PACK, 1).err(), Some(Why::Tripped));
    house.pass(100);
    house.serve(PACK, 1).unwrap();
}

/// Late reports of a queue's death say nothing new: they neither end a trust that was earned since, nor count.
#[test]
fn death_of_a_queue_counts_once_however_late_the_others_learn_of_it() {
    let house = trusted(vec![zip("a", 0)]);
    let mut late: Vec<_> = (0..5).map(|_| house.lease(PACK, 1).unwrap()).collect();
    let mut first = late.pop().unwrap();
    house.queue(0).lock().ring.set_receive_stopped(1);
    assert!(request(&mut first, LONG).is_err());
    drop(first);
    house.pass(100);
    house.serve(PACK, 2).unwrap();
    for lease in &mut late {
        assert_eq!(request(lease, LONG), Err(Why::Failed(Fault::Reset)));
    }
    drop(late);
    assert!(!house.lease(PACK, 2).unwrap().needs_proof());
    house.lease(PACK, 2).unwrap().failed(Fault::Status(9));
    assert!(house.lease(PACK, 2).is_ok(), "the first fault since");
}

#[test]
fn queue_is_closed_when_its_last_user_leaves() {
    let house = trusted(vec![zip("a", 0)]);
    let mut one = house.lease(PACK, 1).unwrap();
    let two = house.lease(PACK, 1).unwrap();
    house.queue(0).lock().ring.set_receive_stopped(1);
    assert!(request(&mut one, LONG).is_err());
    drop(one);
    assert_eq!(house.count(), 1, "somebody is left on it, and it takes its place in the budget");
    drop(two);
    assert_eq!(house.count(), 0);
}
