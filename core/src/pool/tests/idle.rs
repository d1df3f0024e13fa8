//! Queues that nobody uses.

use super::*;

const CONFIG: &str = "queue_idle_ms = 1000";

#[test]
fn idle_queues_are_closed_by_whoever_comes_by() {
    let house = House::with(vec![zip("a", 0)], CONFIG);
    house.serve(PACK, 4).unwrap();
    house.serve(UNPACK, 4).unwrap();
    house.pass(999);
    house.serve(PACK, 4).unwrap();
    assert_eq!(house.kernel.lock().open(None), 2);
    house.pass(600);
    house.serve(PACK, 4).unwrap();
    assert_eq!(house.kernel.lock().open(None), 1, "the other one");
    assert_eq!(house.opened().len(), 2, "the one in use stayed");
    house.pass(5000);
    house.pool.tidy();
    assert_eq!((house.kernel.lock().open(None), house.count()), (0, 0));
    house.serve(UNPACK, 4).unwrap();
    assert_eq!(house.opened().len(), 3);
}

#[test]
fn queue_in_use_is_not_idle_however_long_it_takes() {
    let house = House::with(vec![zip("a", 0)], CONFIG);
    let mut lease = house.lease(PACK, 4).unwrap();
    house.pass(100_000);
    house.pool.tidy();
    request(&mut lease, LONG).unwrap();
}

#[test]
fn request_after_a_long_pause_finds_its_queue() {
    let house = House::with(vec![zip("a", 0)], CONFIG);
    for _ in 0..3 {
        house.serve(PACK, 4).unwrap();
        house.pass(100_000);
    }
    assert_eq!(house.opened().len(), 1);
}

#[test]
fn looking_costs_nothing_while_no_queue_is_open() {
    let house = House::with(vec![zip("a", 0)], CONFIG);
    assert_eq!(house.pool.last().unwrap().sweep_due(), u64::MAX);
    house.serve(PACK, 4).unwrap();
    assert_ne!(house.pool.last().unwrap().sweep_due(), u64::MAX);
    house.pass(100_000);
    house.pool.tidy();
    assert_eq!(house.pool.last().unwrap().sweep_due(), u64::MAX);
}

#[test]
fn queue_that_died_is_closed_by_the_way() {
    let house = House::with(vec![zip("a", 0)], CONFIG);
    house.serve(PACK, 4).unwrap();
    house.serve(UNPACK, 4).unwrap();
    house.queue(0).lock().ring.set_receive_stopped(1);
    house.pass(900);
    house.serve(UNPACK, 4).unwrap();
    assert_eq!((house.kernel.lock().open(None), house.count()), (1, 1));
}
