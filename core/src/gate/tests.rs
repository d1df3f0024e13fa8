//! The decision, step by step, over in-memory devices.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::qm::fake::{self, Event, Fate};
use crate::qm::{Channel, OpenError};
use crate::testing::device;
use crate::uacce::Kind;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(2);

struct House {
    gate: Gate,
    queues: Arc<Mutex<Vec<Arc<Mutex<fake::Device>>>>>,
}

/// A gate over one ZIP and one HPRE device that open queues, or fail to with `refusal`.
fn house(config: &str, refusal: Option<OpenError>) -> House {
    let queues: Arc<Mutex<Vec<Arc<Mutex<fake::Device>>>>> = Arc::default();
    let opened = queues.clone();
    let pool = Pool::new(Box::new(move |device, _| {
        if let Some(error) = refusal {
            return Err(error);
        }
        let (queue, side) = fake::shared(8, device.kind.sqe_size());
        opened.lock().push(side);
        Ok(Box::new(queue))
    }));
    pool.adopt(vec![
        device("hisi_zip-0", Kind::Zip, 0, &["zlib", "gzip"]),
        device("hisi_hpre-1", Kind::Hpre, 0, &["rsa", "dh"]),
    ]);
    let gate = Gate { prove: |_, _| Ok(()), ..Gate::new(pool, None) };
    let (config, problems) = crate::config::parse(config);
    assert_eq!(problems, []);
    gate.configure(config);
    House { gate, queues }
}

fn zip(bytes: usize) -> Job {
    Job::new(Op::ZipCompress, bytes, Needs::always("zlib"))
}

/// Who served: `None` for the device.
fn route(gate: &Gate, job: Job, deadline: Duration) -> Option<Why> {
    gate.run(
        job,
        &mut (),
        |(), lease| {
            let mut sqe = vec![0; job.op.kind().sqe_size()];
            lease.execute(&mut sqe, deadline).map(|()| None)
        },
        |(), why| Some(why),
    )
}

#[test]
fn decision_table() {
    let big = 1 << 20;
    let busy = Some(OpenError::Os(libc::EBUSY));
    let denied = Some(OpenError::Os(libc::EACCES));
    let lz4 = Job { needs: Needs::always("lz4"), ..zip(big) };
    let cipher = Job::new(Op::SecCipher, big, Needs::always("cipher"));
    let rsa = |bytes| Job::new(Op::HpreRsa, bytes, Needs::always("rsa"));
    let table: [(&str, Option<OpenError>, Job, Option<Why>); 23] = [
        ("", None, zip(big), None),
        ("", None, zip(4096), None),
        ("", None, zip(4095), Some(Why::TooSmall)),
        ("", None, Job { sticky: true, ..zip(1) }, None),
        ("", None, rsa(256), None),
        ("", None, rsa(64), Some(Why::TooSmall)),
        ("rsa_min = 512", None, rsa(256), Some(Why::TooSmall)),
        ("mode = hw", None, zip(0), None),
        ("zip_compress_min = 0", None, zip(0), Some(Why::CheaperOnCpu)),
        ("zip_compress_min = 0\npolicy = device", None, zip(0), None),
        ("policy = device", None, zip(1), Some(Why::TooSmall)),
        ("policy = off", None, zip(big), Some(Why::Disabled)),
        ("mode = hw\npolicy = off", None, zip(1), None),
        ("mode = off", None, zip(big), Some(Why::Disabled)),
        ("zip = off", None, zip(big), Some(Why::Disabled)),
        ("zip = off", None, rsa(256), None),
        ("", None, lz4, Some(Why::Unsupported)),
        ("", None, cipher, Some(Why::NoDevice)),
        ("", busy, zip(big), Some(Why::AllBusy)),
        ("", denied, zip(big), Some(Why::NoDevice)),
        // Order: configuration before size, size before algorithm, algorithm before the pool.
        ("mode = off", None, zip(1), Some(Why::Disabled)),
        ("", None, Job { bytes: 1, ..lz4 }, Some(Why::TooSmall)),
        ("", busy, lz4, Some(Why::Unsupported)),
    ];
    for (config, refusal, job, expected) in table {
        let house = house(config, refusal);
        assert_eq!(route(&house.gate, job, LONG), expected, "{config:?} {refusal:?} {job:?}");
    }
}

#[test]
fn refused_process_is_told_so_before_the_size_counts() {
    let house = house("", Some(OpenError::Os(libc::EACCES)));
    assert_eq!(route(&house.gate, zip(1), LONG), Some(Why::TooSmall));
    assert_eq!(route(&house.gate, zip(1 << 20), LONG), Some(Why::NoDevice));
    assert_eq!(route(&house.gate, zip(1), LONG), Some(Why::NoDevice));
}

#[test]
fn gate_without_devices_serves_everything_in_software() {
    let gate = Gate::default();
    assert_eq!(route(&gate, zip(1 << 20), LONG), Some(Why::NoDevice));
    assert!(!gate.offers(Op::ZipCompress, "zlib"));
}

#[test]
fn offers_follow_devices_and_configuration() {
    let house1 = house("", None);
    assert!(house1.gate.offers(Op::HpreRsa, "rsa") && house1.gate.offers(Op::ZipDecompress, "gzip"));
    assert!(!house1.gate.offers(Op::HpreRsa, "rs") && !house1.gate.offers(Op::SecCipher, "cipher"));
    assert!(house1.queues.lock().is_empty(), "no queue is opened");
    assert!(!house("rsa = off", None).gate.offers(Op::HpreRsa, "rsa"));
}

#[test]
fn fault_ends_in_software_with_its_reason() {
    let house = house("", None);
    assert_eq!(route(&house.gate, zip(4096), LONG), None);
    house.queues.lock()[0].lock().fates.push_back(Fate::Drop);
    assert_eq!(route(&house.gate, zip(4096), SHORT), Some(Why::Failed(Fault::Timeout)));
}

#[test]
fn faults_in_a_row_trip_and_data_faults_do_not() {
    let config = "policy = device\nbreaker_cooldown_ms = 3600000\nbreaker_cooldown_max_ms = 3600000";
    let house = house(config, None);
    let fail = |fault| house.gate.run(zip(4096), &mut (), |(), _| Err(fault), |(), why| Some(why));
    let data = Fault::Data(0x12);
    for _ in 0..10 {
        assert_eq!(fail(data), Some(Why::Failed(data)));
    }
    let status = Fault::Status(0x0D);
    for fault in [status, status, data, status, Fault::Check, status] {
        assert_eq!(fail(fault), Some(Why::Failed(fault)));
    }
    assert_eq!(fail(status), Some(Why::Tripped));
    assert_eq!(route(&house.gate, zip(1), LONG), Some(Why::Tripped), "before the size");
    let rsa = Job::new(Op::HpreRsa, 256, Needs::always("rsa"));
    assert_eq!(route(&house.gate, rsa, LONG), None, "other kinds of work go on");
}

#[test]
fn panic_in_the_hardware_closure_returns_the_queue() {
    let house = house("queues_per_process = 1", None);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        house.gate.run(
            zip(4096),
            &mut (),
            |(), lease| -> Result<(), Fault> {
                lease.execute(&mut [0; 128], LONG)?;
                std::panic::resume_unwind(Box::new("bug"))
            },
            |(), _| (),
        );
    }));
    assert!(result.is_err());
    assert_eq!(route(&house.gate, zip(4096), LONG), None, "the only queue is free again");
    assert!(!house.queues.lock()[0].lock().journal.contains(&Event::Stop));
}

#[test]
fn context_reaches_both_sides_in_order() {
    let house = house("", None);
    let mut steps = Vec::new();
    let result = house.gate.run(
        zip(4096),
        &mut steps,
        |steps, _| {
            steps.push("hardware");
            Err(Fault::Check)
        },
        |steps, _| {
            steps.push("software");
            7
        },
    );
    assert_eq!((result, steps), (7, vec!["hardware", "software"]));
}

/// Serves `job` after telling the model what both sides take, in milliseconds; who served.
fn taught(config: &str, job: Job, device: u64, software: u64) -> (House, Option<Why>) {
    let house = house(config, None);
    for _ in 0..5 {
        house.gate.model().device(&job, 0, 0, device * 1_000_000);
        house.gate.model().software(&job, software * 1_000_000);
    }
    let served = route(&house.gate, job, LONG);
    (house, served)
}

#[test]
fn slower_side_is_left_alone_and_no_queue_is_opened_for_it() {
    let (house, served) = taught("explore_share = 0", zip(65536), 10, 1);
    assert_eq!(served, Some(Why::CheaperOnCpu));
    assert!(house.queues.lock().is_empty());
    assert_eq!(route(&house.gate, zip(1 << 20), LONG), None, "another size is another matter");
    assert_eq!(taught("explore_share = 0", zip(65536), 1, 10).1, None);
    assert_eq!(taught("policy = save-cpu", zip(65536), 7, 1).1, None);
    assert_eq!(taught("policy = device", zip(65536), 1000, 1).1, None);
}

#[test]
fn software_that_a_caller_does_elsewhere_is_timed_only_there() {
    let (house, _) = taught("explore_share = 0", zip(65536), 10, 1);
    let known = || house.gate.model().software_cost(Effort::DeflateUsual, 65536);
    let before = known();
    let declined = house.gate.attempt(zip(65536), &mut (), |(), _| Ok(())).unwrap_err();
    assert_eq!((declined.why, known()), (Why::CheaperOnCpu, before));
    assert_eq!(house.gate.measured(declined, || 7), 7);
    assert_ne!(known(), before);
}

#[test]
fn device_is_timed_only_if_it_was_asked() {
    let house = house("", None);
    let samples = || house.gate.model().device_cost(Effort::DeflateUsual, 65536, 0, 0).samples;
    house.gate.attempt(zip(65536), &mut (), |(), _| Ok(())).unwrap();
    assert!(house.gate.worth(zip(65536)));
    assert_eq!(samples(), 0);
    assert_eq!(route(&house.gate, zip(65536), LONG), None);
    assert_eq!(samples(), 1);
}

#[test]
fn nothing_is_timed_without_a_device() {
    let gate = Gate::default();
    let declined = gate.attempt(zip(65536), &mut (), |(), _| Ok(())).unwrap_err();
    gate.measured(declined, || ());
    assert!(gate.model.get().is_none());
}

#[test]
fn device_with_a_long_average_gets_the_time_it_needs() {
    // Half a second on average: no time at all, which is what this request asks for, would be its death.
    let (house, _) = taught("policy = device", zip(65536), 500, 1);
    house.queues.lock()[0].lock().fates.push_back(Fate::CompleteInSleep);
    assert_eq!(route(&house.gate, zip(65536), Duration::ZERO), None);
}

#[test]
fn device_that_fails_its_proof_gets_no_work_and_no_second_chance_at_once() {
    let house = house("policy = device", None);
    let gate = Gate { prove: |_, _| Err(Fault::Check), ..house.gate };
    assert_eq!(route(&gate, zip(4096), LONG), Some(Why::Failed(Fault::Check)));
    assert_eq!(route(&gate, zip(4096), LONG), Some(Why::Tripped));
}

#[test]
fn one_in_so_many_results_is_checked_and_a_wrong_one_becomes_softwares() {
    for (config, sampled) in
        [("", 0), ("sample = 0", 0), ("sample = 1", 12), ("sample = 4", 3), ("sample = 5", 3)]
    {
        let house = house(&format!("{config}\npolicy = device\nbreaker_faults = 1000"), None);
        let mut checked = 0;
        for _ in 0..12 {
            let why = house.gate.run(
                zip(1 << 20),
                &mut checked,
                |checked, lease| {
                    lease.execute(&mut [0; 128], LONG)?;
                    let expected = lease.is_sampled();
                    let before = *checked;
                    let result = lease.check_sample(|| {
                        *checked += 1;
                        false
                    });
                    assert_eq!(
                        (*checked > before, result),
                        (expected, if expected { Err(Fault::Check) } else { Ok(()) })
                    );
                    result.map(|()| None)
                },
                |_, why| Some(why),
            );
            assert!(matches!(why, None | Some(Why::Failed(Fault::Check))), "{why:?}");
        }
        assert_eq!(checked, sampled, "{config}");
    }
}

#[test]
fn right_sample_is_served_by_the_device_and_its_check_is_not_the_devices_time() {
    let house = house("sample = 1", None);
    let slow = Duration::from_millis(200);
    let route = house.gate.run(
        zip(1 << 20),
        &mut (),
        |(), lease| {
            lease.execute(&mut [0; 128], LONG)?;
            lease.check_sample(|| {
                std::thread::sleep(slow);
                true
            })?;
            assert!(lease.checking() >= slow);
            Ok(None)
        },
        |(), why| Some(why),
    );
    assert_eq!(route, None);
}

#[test]
fn requests_on_other_queues_of_the_device_are_ahead_too() {
    let house = house("policy = device", None);
    let ahead = |lease: &Lease<'_>| (lease.ahead(), lease.depth());
    let outer = house.gate.attempt(zip(65536), &mut (), |(), lease| {
        let inner = house.gate.attempt(zip(65536), &mut (), |(), inner| Ok(ahead(inner)));
        Ok((ahead(lease), inner.unwrap()))
    });
    assert_eq!(outer.unwrap(), ((0, 0), (1, 0)), "a queue of its own");
    assert_eq!(house.queues.lock().len(), 2);
    assert_eq!(house.gate.attempt(zip(65536), &mut (), |(), lease| Ok(ahead(lease))).unwrap(), (0, 0));
}
