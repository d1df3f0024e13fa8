//! Proofs, rests, and what a fault of one kind of work means for the others.

use super::*;
use crate::qm::fake::Fate;

fn drop_next(house: &House, queue: usize) {
    house.queue(queue).lock().fates.push_back(Fate::Drop);
}

#[test]
fn first_user_proves_and_the_others_are_told_why_not() {
    let house = House::new(vec![zip("a", 0)]);
    let mut prover = house.lease(PACK, 4).unwrap();
    assert!(prover.needs_proof());
    assert_eq!(house.lease(PACK, 4).err(), Some(Why::Unproven));
    assert_eq!(house.pool.away(PACK), Some(Why::Unproven));
    assert!(house.lease(UNPACK, 4).unwrap().needs_proof(), "each kind of work on its own");
    prover.proved(Ok(()));
    assert!(!prover.needs_proof());
    assert!(!house.lease(PACK, 4).unwrap().needs_proof());
    assert_eq!(house.pool.away(PACK), None);
}

#[test]
fn device_that_was_proved_serves_while_another_is_being_proved() {
    let house = House::new(vec![zip("a", 0), zip("b", 0)]);
    let mut first = house.lease(PACK, 4).unwrap();
    first.proved(Ok(()));
    let second = house.lease(PACK, 4).unwrap();
    assert!(second.needs_proof() && second.device_index() != first.device_index());
    for _ in 0..3 {
        let third = house.lease(PACK, 4).unwrap();
        assert_eq!((third.needs_proof(), third.device_index()), (false, first.device_index()));
    }
}

#[test]
fn lease_that_ends_without_a_proof_leaves_it_to_the_next() {
    let house = House::new(vec![zip("a", 0)]);
    drop(house.lease(PACK, 4).unwrap());
    assert!(house.lease(PACK, 4).unwrap().needs_proof());
    let mut nothing_asked = house.lease(PACK, 4).unwrap();
    nothing_asked.succeeded();
    drop(nothing_asked);
    assert!(house.lease(PACK, 4).unwrap().needs_proof(), "no request, no proof");
    house.serve(PACK, 4).unwrap();
    assert!(!house.lease(PACK, 4).unwrap().needs_proof(), "a request that was served is one");
}

#[test]
fn bad_data_prove_nothing() {
    let house = House::new(vec![zip("a", 0)]);
    house.lease(UNPACK, 4).unwrap().failed(Fault::Data(1));
    assert!(house.lease(UNPACK, 4).unwrap().needs_proof());
}

#[test]
fn failed_proof_sends_the_work_to_rest_and_another_proof_ends_it() {
    let house = House::with(vec![zip("a", 0)], "breaker_cooldown_ms = 500");
    for rest in [500, 1000] {
        let mut lease = house.lease(PACK, 4).unwrap();
        assert!(lease.needs_proof());
        lease.proved(Err(Fault::Check));
        drop(lease);
        assert_eq!(house.pool.away(PACK), Some(Why::Tripped));
        assert_eq!(house.pool.away(UNPACK), None);
        house.pass(rest - 1);
        assert_eq!(house.lease(PACK, 4).err(), Some(Why::Tripped));
        house.pass(1);
    }
    house.serve(PACK, 4).unwrap();
    assert_eq!(house.kernel.lock().opens.len(), 1, "the queue was in good order all the time");
}

#[test]
fn faults_in_a_row_send_the_work_to_rest_on_that_device_alone() {
    let config = "breaker_faults = 3\nbreaker_cooldown_ms = 1000";
    let house = House::with(vec![zip("a", 0), zip("b", 0)], config);
    for _ in 0..3 {
        let mut lease = house.lease(PACK, 1).unwrap();
        assert_eq!(lease.device_name(), "a");
        lease.proved(Ok(()));
        lease.failed(Fault::Status(9));
    }
    house.serve(UNPACK, 1).unwrap();
    let lease = house.lease(PACK, 1).unwrap();
    assert_eq!((lease.device_name(), lease.needs_proof()), ("b", true));
}

#[test]
fn failed_queue_is_closed_and_its_work_rests() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    drop_next(&house, 0);
    assert_eq!(request(&mut house.lease(PACK, 4).unwrap(), SHORT), Err(Why::Failed(Fault::Timeout)));
    assert_eq!(house.lease(PACK, 4).err(), Some(Why::Tripped));
    assert_eq!(house.queue(0).lock().journal.last(), Some(&Crossing::Stop));
    assert_eq!(house.count(), 0);
    house.pass(100);
    assert!(house.lease(PACK, 1).unwrap().needs_proof(), "what has recovered is proved again");
    house.serve(PACK, 1).unwrap();
    assert_eq!(house.opened().len(), 2);
}

#[test]
fn lost_completion_in_one_direction_leaves_the_other_alone() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    house.serve(UNPACK, 4).unwrap();
    drop_next(&house, 1);
    assert_eq!(request(&mut house.lease(UNPACK, 4).unwrap(), SHORT), Err(Why::Failed(Fault::Timeout)));
    assert_eq!(house.lease(UNPACK, 4).err(), Some(Why::Tripped));
    let lease = house.lease(PACK, 4).unwrap();
    assert!(!lease.needs_proof());
}

#[test]
fn other_devices_serve_while_one_rests() {
    let here = node::current_numa_node();
    let house = House::new(vec![zip("near", here), zip("far", here + 1)]);
    house.serve(PACK, 4).unwrap();
    house.queue(0).lock().ring.set_send_stopped(1);
    let mut far = loop {
        match house.lease(PACK, 4) {
            Ok(lease) if lease.device_name() == "far" => break lease,
            Ok(mut lease) => lease.proved(Err(Fault::Check)),
            Err(why) => panic!("{why:?}"),
        }
    };
    request(&mut far, LONG).unwrap();
}

#[test]
fn reset_of_the_whole_device_is_noticed_on_its_other_queues() {
    let house = House::new(vec![zip("a", 0), zip("b", 0)]);
    house.serve(PACK, 8).unwrap();
    house.serve(UNPACK, 8).unwrap();
    let other = house.lease(PACK, 8).unwrap();
    let mut lease = house.lease(PACK, 8).unwrap();
    assert_eq!((lease.device_name(), other.device_name()), ("b", "a"));
    lease.proved(Ok(()));
    drop((lease, other));
    // Both queues of device a die; the request of one meets it.
    let mut lease = house.lease(UNPACK, 8).unwrap();
    house.queue(0).lock().ring.set_receive_stopped(1);
    house.queue(1).lock().ring.set_receive_stopped(1);
    assert_eq!(request(&mut lease, LONG), Err(Why::Failed(Fault::Reset)));
    drop(lease);
    assert_eq!(
        house.queue(0).lock().journal.last(),
        Some(&Crossing::Stop),
        "the idle one was closed as well"
    );
    assert_eq!((house.count(), house.kernel.lock().open(Some("b"))), (1, 1));
    let generation = house.pool.last().unwrap();
    assert_eq!(generation.trust(0, PACK).standing(|| 1), Standing::ToProve);
    assert_eq!(generation.trust(1, PACK).standing(|| 1), Standing::Trusted);
}

#[test]
fn reset_of_one_queue_alone_leaves_the_device_trusted() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 8).unwrap();
    house.serve(UNPACK, 8).unwrap();
    let mut lease = house.lease(UNPACK, 8).unwrap();
    house.queue(1).lock().ring.set_receive_stopped(1);
    assert!(request(&mut lease, LONG).is_err());
    drop(lease);
    assert_eq!(house.lease(UNPACK, 8).err(), Some(Why::Tripped));
    assert!(!house.lease(PACK, 8).unwrap().needs_proof());
}

#[test]
fn queue_that_died_while_idle_is_not_lent() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 1).unwrap();
    house.queue(0).lock().ring.set_receive_stopped(1);
    house.refuse("a", OpenError::Os(libc::EPERM));
    assert_eq!(house.lease(PACK, 1).err(), Some(Why::NoDevice), "resetting");
    assert_eq!(house.queue(0).lock().journal.last(), Some(&Crossing::Stop));
    assert_eq!(house.count(), 0);
    house.kernel.lock().refusals.clear();
    house.pass(100);
    let lease = house.lease(PACK, 1).unwrap();
    assert!(lease.needs_proof());
}

#[test]
fn panic_while_proving_leaves_the_proof_to_the_next() {
    let house = House::new(vec![zip("a", 0)]);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _lease = house.lease(PACK, 1).unwrap();
        std::panic::resume_unwind(Box::new("bug"));
    }));
    assert!(result.is_err());
    assert!(house.lease(PACK, 1).unwrap().needs_proof());
}
