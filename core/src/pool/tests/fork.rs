//! Children: their own queues, none of their parent's.

use super::*;
use crate::testing::in_child;

#[test]
fn forked_child_opens_its_own_queues_and_leaves_the_parents_alone() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    let before = house.queue(0).lock().journal.len();
    assert!(in_child(|| {
        let served = house.serve(PACK, 4).is_ok();
        let crossed = house.queue(0).lock().journal[before..].to_vec();
        served && house.opened().len() == 2 && crossed == [Crossing::Abandon]
    }));
    // The parent goes on with its own.
    house.serve(PACK, 4).unwrap();
    assert_eq!(house.opened().len(), 1);
}

#[test]
fn child_closes_what_it_inherited_from_other_threads_too() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    let _lent = [house.lease(PACK, 4).unwrap(), house.lease(PACK, 4).unwrap()];
    assert!(in_child(|| {
        house.serve(PACK, 4).is_ok()
            && (0..2).all(|queue| house.queue(queue).lock().journal.contains(&Crossing::Abandon))
    }));
}

#[test]
fn child_makes_no_system_call_but_open_before_its_first_queue() {
    let house = House::new(vec![zip("a", 0), zip("b", 1)]);
    house.serve(PACK, 4).unwrap();
    assert!(house.pool.current().unwrap().has_opened());
    house.refuse("a", OpenError::Os(libc::EACCES));
    house.refuse("b", OpenError::Os(libc::EACCES));
    assert!(in_child(|| house.serve(PACK, 4).is_err() && !house.pool.current().unwrap().has_opened()));
}

#[test]
fn grandchild_opens_its_own_queues_too() {
    let house = House::new(vec![zip("a", 0)]);
    let serve = || house.serve(PACK, 4).is_ok();
    assert!(serve());
    assert!(in_child(|| serve() && in_child(serve) && serve()));
    assert!(serve());
}

#[test]
fn lease_held_across_a_fork_does_no_harm_on_either_side() {
    let house = House::new(vec![zip("a", 0)]);
    let mut lease = Some(house.lease(PACK, 4).unwrap());
    // The queue's memory is not mapped in the child: a touch would kill it.
    assert!(in_child(|| {
        let mut lease = lease.take().unwrap();
        let refused = lease.execute(&mut [0; 128], LONG).is_err() && lease.is_inherited();
        drop(lease);
        refused && house.queue(0).lock().journal.is_empty()
    }));
    assert!(in_child(|| {
        drop(lease.take());
        house.serve(PACK, 4).is_ok() && house.queue(0).lock().journal == [Crossing::Abandon]
    }));
    request(lease.as_mut().unwrap(), LONG).unwrap();
}

#[test]
fn fork_while_a_thread_changes_the_list_does_not_hang_the_child() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    let guard = house.pool.last().unwrap().seats.lock_for_test();
    assert!(in_child(|| house.serve(PACK, 4).is_ok()));
    drop(guard);
}

#[test]
fn child_without_permission_is_told_forked() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    house.refuse("a", OpenError::Os(libc::EACCES));
    assert!(in_child(|| {
        house.lease(PACK, 4).err() == Some(Why::Forked) && house.pool.refused(Kind::Zip) == Some(Why::Forked)
    }));
}

#[test]
fn child_trusts_what_its_parent_has_proved() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    let _proving = house.lease(UNPACK, 4).unwrap();
    assert!(in_child(|| {
        !house.lease(PACK, 4).unwrap().needs_proof() && house.lease(UNPACK, 4).unwrap().needs_proof()
    }));
}

#[test]
fn threads_of_a_child_agree_on_its_queues() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    assert!(in_child(|| {
        std::thread::scope(|scope| {
            let serve = || (0..20).all(|_| house.serve(PACK, 2).is_ok());
            let team: Vec<_> = (0..3).map(|_| scope.spawn(serve)).collect();
            team.into_iter().all(|thread| thread.join().unwrap())
        }) && house.count() <= 2
    }));
}
