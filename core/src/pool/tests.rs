//! The pool over in-memory devices.

use std::collections::HashMap;

use super::health::{FULL_REST, LONGEST_REST, REST};
use super::*;
use crate::qm::fake::{self, Event, Fate};
use crate::testing::{device, in_child};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(2);

/// What the fake kernel has seen and shall answer.
#[derive(Default)]
struct Kernel {
    opens: Vec<(String, u16)>,
    queues: Vec<Arc<Mutex<fake::Device>>>,
    refusals: HashMap<String, OpenError>,
}

type Shared = Arc<Mutex<Kernel>>;

fn opener(kernel: &Shared) -> Box<Opener> {
    let kernel = kernel.clone();
    Box::new(move |device, qc_type| {
        let mut kernel = kernel.lock();
        kernel.opens.push((device.name.clone(), qc_type));
        if let Some(error) = kernel.refusals.get(&device.name) {
            return Err(*error);
        }
        let (queue, side) = fake::queue(8, device.kind.sqe_size());
        kernel.queues.push(side);
        Ok(Box::new(Mutex::new(queue)))
    })
}

fn pool(devices: Vec<Device>) -> (Pool, Shared) {
    let kernel = Shared::default();
    let pool = Pool::new(opener(&kernel));
    pool.adopt(devices);
    (pool, kernel)
}

fn zip(name: &str, node: i32) -> Device {
    device(name, Kind::Zip, node, &["zlib", "gzip"])
}

fn job(op: Op) -> Job {
    let line = match op.kind() {
        Kind::Zip => "zlib",
        Kind::Sec => "cipher",
        Kind::Hpre => "rsa",
    };
    Job::new(op, 1 << 20, Needs::always(line))
}

fn opened(kernel: &Shared) -> Vec<String> {
    kernel.lock().opens.iter().map(|(name, _)| name.clone()).collect()
}

fn refuse(kernel: &Shared, name: &str, error: OpenError) {
    kernel.lock().refusals.insert(name.to_owned(), error);
}

#[test]
fn nothing_is_opened_before_the_first_lease() {
    let (_pool, kernel) = pool(vec![zip("a", 0)]);
    assert_eq!(opened(&kernel), [""; 0]);
}

#[test]
fn idle_queue_is_used_again() {
    let (pool, kernel) = pool(vec![zip("a", 0)]);
    for round in 0..5_u8 {
        let mut lease = pool.lease(&job(Op::ZipCompress), 4).unwrap();
        let mut sqe = [round; 128];
        lease.execute(&mut sqe, LONG).unwrap();
        assert_eq!(sqe, [!round; 128]);
    }
    assert_eq!(kernel.lock().opens, [("a".to_owned(), 0)]);
}

#[test]
fn directions_have_queues_of_their_own_type() {
    let (pool, kernel) = pool(vec![zip("a", 0)]);
    drop(pool.lease(&job(Op::ZipCompress), 4).unwrap());
    drop(pool.lease(&job(Op::ZipDecompress), 4).unwrap());
    assert_eq!(kernel.lock().opens, [("a".to_owned(), 0), ("a".to_owned(), 1)]);
}

#[test]
fn nearest_device_comes_first() {
    let here = node::current_numa_node();
    let (pool, kernel) = pool(vec![zip("far", here + 1), zip("near", here)]);
    drop(pool.lease(&job(Op::ZipCompress), 4).unwrap());
    assert_eq!(opened(&kernel), ["near"]);
}

#[test]
fn concurrent_requests_spread_over_equally_near_devices() {
    let here = node::current_numa_node();
    let (pool, kernel) = pool(vec![zip("a", here), zip("b", here), zip("far", here + 1)]);
    let leases: Vec<_> = (0..4).map(|_| pool.lease(&job(Op::ZipCompress), 8).unwrap()).collect();
    let mut names: Vec<_> = leases.iter().map(Lease::device_name).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "a", "b", "b"]);
    drop(leases);
    drop(pool.lease(&job(Op::ZipCompress), 8).unwrap());
    assert_eq!(opened(&kernel).len(), 4, "idle ones are used again");
}

#[test]
fn full_device_is_passed_over_for_the_next() {
    let here = node::current_numa_node();
    let (pool, kernel) = pool(vec![zip("near", here), zip("far", here + 1)]);
    refuse(&kernel, "near", OpenError::Os(libc::EBUSY));
    let lease = pool.lease(&job(Op::ZipCompress), 4).unwrap();
    assert_eq!(lease.device_name(), "far");
    assert_eq!(opened(&kernel), ["near", "far"]);
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
        let (pool, kernel) = pool(vec![zip("a", 0)]);
        refuse(&kernel, "a", error);
        assert_eq!(pool.lease(&job(Op::ZipCompress), 4).err(), Some(why), "{error:?}");
        assert_eq!(pool.lease(&job(Op::ZipCompress), 4).err(), Some(why), "{error:?} again");
        assert_eq!(opened(&kernel).len(), 1, "{error:?}: the device is left alone for a while");
        assert!(pool.obstacle(0).is_some());
    }
}

#[test]
fn missing_permission_is_latched_and_other_failures_pass() {
    for (errno, latched) in [(libc::EACCES, true), (libc::EPERM, false), (libc::EBUSY, false)] {
        let (pool, kernel) = pool(vec![zip("a", 0)]);
        refuse(&kernel, "a", OpenError::Os(errno));
        assert!(pool.lease(&job(Op::ZipCompress), 4).is_err());
        kernel.lock().refusals.clear();
        // The rest is over.
        pool.last().unwrap().state.lock().devices[0].rest_until = Some(Instant::now());
        assert_eq!(pool.lease(&job(Op::ZipCompress), 4).is_err(), latched, "errno {errno}");
        assert_eq!(pool.refused(Kind::Zip).is_some(), latched);
    }
}

#[test]
fn devices_without_the_algorithm_are_no_candidates() {
    let (pool, _kernel) = pool(vec![zip("a", 0)]);
    let deflate = Needs { v2: Some("zlib"), v3: Some("deflate") };
    assert_eq!(pool.suits(Op::ZipCompress, deflate), Err(Why::Unsupported));
    assert_eq!(pool.suits(Op::ZipCompress, Needs::always("gzip")), Ok(()));
    assert_eq!(pool.suits(Op::ZipCompress, Needs { v2: Some("gzip"), v3: None }), Err(Why::Unsupported));
    assert_eq!(pool.suits(Op::SecCipher, Needs::always("cipher")), Err(Why::NoDevice));
}

#[test]
fn cap_holds_and_a_returned_queue_frees_it() {
    let (pool, kernel) = pool(vec![zip("a", 0), zip("b", 0)]);
    let one = pool.lease(&job(Op::ZipCompress), 2).unwrap();
    let _two = pool.lease(&job(Op::ZipCompress), 2).unwrap();
    assert_eq!(pool.lease(&job(Op::ZipCompress), 2).err(), Some(Why::AllBusy));
    drop(one);
    let _three = pool.lease(&job(Op::ZipCompress), 2).unwrap();
    assert_eq!(opened(&kernel).len(), 2);
}

#[test]
fn idle_queue_of_other_use_makes_room_under_the_cap() {
    let (pool, kernel) = pool(vec![zip("a", 0)]);
    drop(pool.lease(&job(Op::ZipCompress), 1).unwrap());
    drop(pool.lease(&job(Op::ZipDecompress), 1).unwrap());
    assert_eq!(kernel.lock().queues[0].lock().journal, [Event::Stop]);
    assert_eq!(kernel.lock().queues[1].lock().journal, []);
}

#[test]
fn failed_queue_is_closed_and_its_device_rests() {
    let (pool, kernel) = pool(vec![zip("a", 0)]);
    let mut lease = pool.lease(&job(Op::ZipCompress), 4).unwrap();
    kernel.lock().queues[0].lock().fates.push_back(Fate::Drop);
    assert_eq!(lease.execute(&mut [0; 128], SHORT), Err(Fault::Timeout));
    drop(lease);
    assert_eq!(pool.lease(&job(Op::ZipCompress), 4).err(), Some(Why::Tripped));
    assert_eq!(kernel.lock().queues[0].lock().journal.last(), Some(&Event::Stop));
    pool.last().unwrap().state.lock().devices[0].rest_until = Some(Instant::now());
    let mut lease = pool.lease(&job(Op::ZipCompress), 1).unwrap();
    lease.execute(&mut [0; 128], LONG).unwrap();
    drop(lease);
    assert_eq!(opened(&kernel).len(), 2);
    assert_eq!(
        pool.last().unwrap().state.lock().devices[0].rest,
        Duration::ZERO,
        "good work ends the doubling"
    );
}

#[test]
fn other_devices_serve_while_one_rests() {
    let here = node::current_numa_node();
    let (pool, kernel) = pool(vec![zip("near", here), zip("far", here + 1)]);
    let mut lease = pool.lease(&job(Op::ZipCompress), 4).unwrap();
    kernel.lock().queues[0].lock().ring.set_send_stopped(1);
    assert_eq!(lease.execute(&mut [0; 128], LONG), Err(Fault::Reset));
    drop(lease);
    assert_eq!(pool.lease(&job(Op::ZipCompress), 4).unwrap().device_name(), "far");
}

#[test]
fn queue_that_died_while_idle_is_not_lent() {
    let (pool, kernel) = pool(vec![zip("a", 0)]);
    drop(pool.lease(&job(Op::ZipCompress), 1).unwrap());
    kernel.lock().queues[0].lock().ring.set_receive_stopped(1);
    assert_eq!(pool.lease(&job(Op::ZipCompress), 1).err(), Some(Why::Tripped));
    assert_eq!(kernel.lock().queues[0].lock().journal, [Event::Stop]);
    assert_eq!(pool.last().unwrap().state.lock().count, 0);
}

#[test]
fn rest_doubles_up_to_its_limit() {
    let mut health = Health::default();
    let now = Instant::now();
    let rests: Vec<_> = (0..9)
        .map(|_| {
            health.failed(Obstacle::Faulty, now);
            health.rest_until.unwrap() - now
        })
        .collect();
    assert_eq!(rests[..3], [REST, REST * 2, REST * 4]);
    assert_eq!(rests[8], LONGEST_REST);
    health.failed(Obstacle::Busy, now);
    assert_eq!(health.rest_until, Some(now + FULL_REST));
}

#[test]
fn newly_found_devices_replace_the_old_and_lent_queues_finish() {
    let (pool, kernel) = pool(vec![zip("old", 0)]);
    drop(pool.lease(&job(Op::ZipDecompress), 4).unwrap());
    let mut lent = pool.lease(&job(Op::ZipCompress), 4).unwrap();
    pool.adopt(vec![zip("new", 0)]);
    assert_eq!(kernel.lock().queues[0].lock().journal, [Event::Stop], "idle ones are closed");
    lent.execute(&mut [0; 128], LONG).unwrap();
    drop(lent);
    assert_eq!(kernel.lock().queues[1].lock().journal.last(), Some(&Event::Stop));
    assert_eq!(pool.lease(&job(Op::ZipCompress), 4).unwrap().device_name(), "new");
}

#[test]
fn forked_child_opens_its_own_queues_and_leaves_the_parents_alone() {
    let (pool, kernel) = pool(vec![zip("a", 0)]);
    drop(pool.lease(&job(Op::ZipCompress), 4).unwrap());
    let child_is_right = in_child(|| {
        let mut lease = pool.lease(&job(Op::ZipCompress), 4).unwrap();
        let mut sqe = [1; 128];
        let served = lease.execute(&mut sqe, LONG).is_ok() && sqe == [!1; 128];
        drop(lease);
        let kernel = kernel.lock();
        served && kernel.opens.len() == 2 && kernel.queues[0].lock().journal == [Event::Abandon]
    });
    assert!(child_is_right);
    // The parent goes on with its own.
    pool.lease(&job(Op::ZipCompress), 4).unwrap().execute(&mut [0; 128], LONG).unwrap();
    assert_eq!(opened(&kernel).len(), 1);
}

#[test]
fn child_makes_no_system_call_but_open_before_its_first_queue() {
    let (pool, kernel) = pool(vec![zip("a", 0), zip("b", 0)]);
    drop(pool.lease(&job(Op::ZipCompress), 4).unwrap());
    assert!(pool.current().unwrap().opened.load(Ordering::Relaxed));
    refuse(&kernel, "a", OpenError::Os(libc::EACCES));
    refuse(&kernel, "b", OpenError::Os(libc::EACCES));
    assert!(in_child(|| {
        let refused = pool.lease(&job(Op::ZipCompress), 4).is_err();
        refused && !pool.current().unwrap().opened.load(Ordering::Relaxed)
    }));
}

#[test]
fn grandchild_opens_its_own_queues_too() {
    let (pool, _kernel) = pool(vec![zip("a", 0)]);
    let serve =
        |pool: &Pool| pool.lease(&job(Op::ZipCompress), 4).unwrap().execute(&mut [0; 128], LONG).is_ok();
    assert!(serve(&pool));
    assert!(in_child(|| serve(&pool) && in_child(|| serve(&pool)) && serve(&pool)));
    assert!(serve(&pool));
}

#[test]
fn lease_held_across_a_fork_does_no_harm_on_either_side() {
    let (pool, kernel) = pool(vec![zip("a", 0)]);
    let mut lease = Some(pool.lease(&job(Op::ZipCompress), 4).unwrap());
    // The queue's memory is not mapped in the child: a touch would kill it.
    assert!(in_child(|| {
        let mut lease = lease.take().unwrap();
        let refused = lease.execute(&mut [0; 128], LONG).is_err() && lease.is_inherited();
        drop(lease);
        refused && kernel.lock().queues[0].lock().journal == [Event::Abandon]
    }));
    assert!(in_child(|| {
        drop(lease.take());
        true
    }));
    lease.as_mut().unwrap().execute(&mut [0; 128], LONG).unwrap();
}

#[test]
fn fork_while_a_thread_holds_the_lock_does_not_hang_the_child() {
    let (pool, _kernel) = pool(vec![zip("a", 0)]);
    drop(pool.lease(&job(Op::ZipCompress), 4).unwrap());
    let guard = pool.last().unwrap().state.lock();
    assert!(in_child(|| pool.lease(&job(Op::ZipCompress), 4).is_ok()));
    drop(guard);
}

#[test]
fn child_without_permission_is_told_forked() {
    let (pool, kernel) = pool(vec![zip("a", 0)]);
    drop(pool.lease(&job(Op::ZipCompress), 4).unwrap());
    refuse(&kernel, "a", OpenError::Os(libc::EACCES));
    assert!(in_child(|| {
        pool.lease(&job(Op::ZipCompress), 4).err() == Some(Why::Forked)
            && pool.refused(Kind::Zip) == Some(Why::Forked)
    }));
}

#[test]
fn many_threads_share_the_queues_without_mixing_answers() {
    let (pool, kernel) = pool(vec![zip("a", 0), zip("b", 1)]);
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let pool = &pool;
            scope.spawn(move || {
                let mut served = 0;
                while served < 50 {
                    let Ok(mut lease) = pool.lease(&job(Op::ZipCompress), 3) else {
                        std::thread::yield_now();
                        continue;
                    };
                    let mut sqe = [thread; 128];
                    lease.execute(&mut sqe, LONG).unwrap();
                    assert_eq!(sqe, [!thread; 128]);
                    served += 1;
                }
            });
        }
    });
    assert!(opened(&kernel).len() <= 3);
    assert_eq!(pool.last().unwrap().state.lock().count, opened(&kernel).len());
}
