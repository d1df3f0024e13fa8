//! Opening: which device, what its errors mean, how many.

use super::*;

#[test]
fn nothing_is_opened_before_the_first_lease() {
    let house = House::new(vec![zip("a", 0)]);
    assert_eq!(house.opened(), [""; 0]);
}

#[test]
fn idle_queue_is_used_again() {
    let house = House::new(vec![zip("a", 0)]);
    for _ in 0..5 {
        house.serve(PACK, 4).unwrap();
    }
    assert_eq!(house.kernel.lock().opens, [("a".to_owned(), 0)]);
}

#[test]
fn directions_have_queues_of_their_own_type() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    house.serve(UNPACK, 4).unwrap();
    assert_eq!(house.kernel.lock().opens, [("a".to_owned(), 0), ("a".to_owned(), 1)]);
}

#[test]
fn nearest_device_comes_first() {
    let here = node::current_numa_node();
    let house = House::new(vec![zip("far", here + 1), zip("near", here)]);
    house.serve(PACK, 4).unwrap();
    assert_eq!(house.opened(), ["near"]);
}

#[test]
fn near_device_is_opened_before_a_far_queue_is_used() {
    let here = node::current_numa_node();
    let house = House::new(vec![zip("far", here + 1), zip("near", here)]);
    house.refuse("near", OpenError::Os(libc::EPERM));
    assert_eq!(house.lease(PACK, 4).unwrap().device_name(), "far");
    house.kernel.lock().refusals.clear();
    house.pass(100);
    let far = house.lease(PACK, 4).unwrap();
    assert_eq!(far.device_name(), "far", "the thread's own queue first");
    assert_eq!(house.lease(PACK, 4).unwrap().device_name(), "near");
}

#[test]
fn full_device_is_passed_over_for_the_next() {
    let here = node::current_numa_node();
    let house = House::new(vec![zip("near", here), zip("far", here + 1)]);
    house.refuse("near", OpenError::Os(libc::EBUSY));
    assert_eq!(house.lease(PACK, 4).unwrap().device_name(), "far");
    assert_eq!(house.opened(), ["near", "far"]);
}

#[test]
fn reasons_for_having_no_queue_are_told_apart() {
    for (error, why) in [
        (OpenError::Os(libc::EBUSY), Why::AllBusy),
        (OpenError::Os(libc::EMFILE), Why::AllBusy),
        (OpenError::Os(libc::EPERM), Why::NoDevice),
        (OpenError::Os(libc::ENODEV), Why::NoDevice),
        (OpenError::Os(libc::EACCES), Why::NoDevice),
        (OpenError::Geometry, Why::NoDevice),
        (OpenError::Isolated, Why::NoDevice),
    ] {
        let house = House::new(vec![zip("a", 0)]);
        house.refuse("a", error);
        assert_eq!(house.lease(PACK, 4).err(), Some(why), "{error:?}");
        assert_eq!(house.lease(PACK, 4).err(), Some(why), "{error:?} again");
        assert_eq!(house.opened().len(), 1, "{error:?}: the device is left alone for a while");
        assert!(house.pool.obstacle(0).is_some());
        assert_eq!(house.count(), 0, "{error:?}");
    }
}

#[test]
fn missing_permission_is_latched_and_other_failures_pass() {
    let errnos =
        [libc::EACCES, libc::EPERM, libc::EBUSY, libc::ENODEV, libc::ENXIO, libc::ENOENT, libc::ENOMEM];
    for errno in errnos {
        let latched = errno == libc::EACCES;
        let house = House::new(vec![zip("a", 0)]);
        house.refuse("a", OpenError::Os(errno));
        assert!(house.lease(PACK, 4).is_err());
        house.kernel.lock().refusals.clear();
        house.pass(100);
        assert_eq!(house.lease(PACK, 4).is_err(), latched, "errno {errno}");
        assert_eq!(house.pool.refused(Kind::Zip).is_some(), latched);
    }
}

#[test]
fn isolated_device_is_asked_about_rarely() {
    let house = House::new(vec![zip("a", 0)]);
    house.refuse("a", OpenError::Isolated);
    for _ in 0..3600 {
        assert_eq!(house.lease(PACK, 4).err(), Some(Why::NoDevice));
        house.pass(1000);
    }
    assert!(house.opened().len() < 70, "{} looks in an hour", house.opened().len());
    house.kernel.lock().refusals.clear();
    house.pass(60_000);
    house.serve(PACK, 4).unwrap();
}

#[test]
fn devices_without_the_algorithm_are_no_candidates() {
    let pool = House::new(vec![zip("a", 0)]).pool;
    let deflate = Needs { v2: Some("zlib"), v3: Some("deflate") };
    assert_eq!(pool.suits(PACK, deflate), Err(Why::Unsupported));
    assert_eq!(pool.suits(PACK, Needs::always("gzip")), Ok(()));
    assert_eq!(pool.suits(PACK, Needs { v2: Some("gzip"), v3: None }), Err(Why::Unsupported));
    assert_eq!(pool.suits(Op::SecCipher, Needs::always("cipher")), Err(Why::NoDevice));
}

#[test]
fn queue_of_a_device_without_the_algorithm_is_not_lent_although_it_was_used_last() {
    let raw = device("raw", Kind::Zip, 0, &["zlib", "deflate"]);
    let house = House::new(vec![zip("a", 0), raw]);
    house.serve(PACK, 4).unwrap();
    let deflate = Job { needs: Needs::always("deflate"), ..job(PACK) };
    assert_eq!(house.pool.lease(&deflate, 4).unwrap().device_name(), "raw");
}

#[test]
fn idle_queue_of_other_use_makes_room_under_the_cap() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 1).unwrap();
    house.serve(UNPACK, 1).unwrap();
    assert_eq!(house.queue(0).lock().journal.last(), Some(&Crossing::Stop));
    assert!(!house.queue(1).lock().journal.contains(&Crossing::Stop));
    assert_eq!(house.count(), 1);
}

#[test]
fn idle_queue_of_other_use_makes_room_on_a_full_device() {
    let house = House::new(vec![zip("a", 0)]);
    house.kernel.lock().scarce.insert("a".to_owned(), 1);
    house.serve(PACK, 8).unwrap();
    house.serve(UNPACK, 8).unwrap();
    assert_eq!(house.opened().len(), 3, "the second open failed, the third did not");
    let busy = house.lease(UNPACK, 8).unwrap();
    assert_eq!(house.lease(PACK, 8).err(), Some(Why::AllBusy), "a queue in use makes room for nobody");
    drop(busy);
    house.pass(20);
    house.serve(PACK, 8).unwrap();
}

#[test]
fn newly_found_devices_replace_the_old_and_lent_queues_finish() {
    let house = House::new(vec![zip("old", 0)]);
    house.serve(UNPACK, 4).unwrap();
    let mut lent = house.lease(PACK, 4).unwrap();
    house.pool.adopt(vec![zip("new", 0)]);
    assert_eq!(house.queue(0).lock().journal.last(), Some(&Crossing::Stop), "idle ones are closed");
    request(&mut lent, LONG).unwrap();
    drop(lent);
    assert_eq!(house.queue(1).lock().journal.last(), Some(&Crossing::Stop));
    assert_eq!(house.lease(PACK, 4).unwrap().device_name(), "new");
}

#[test]
fn what_was_found_out_about_a_device_outlives_a_new_look() {
    let house = House::new(vec![zip("a", 0)]);
    house.serve(PACK, 4).unwrap();
    house.pool.adopt(vec![zip("b", 0), zip("a", 0)]);
    let leases = [house.lease(PACK, 4).unwrap(), house.lease(PACK, 4).unwrap()];
    for lease in &leases {
        assert_eq!(lease.needs_proof(), lease.device_name() == "b");
    }
}
