//! Queues lent to threads and processes, and devices that fail, go and come back while they are used.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use warpdrive_core::engine::zip::{self, Direction, Format, Stream};
use warpdrive_core::uacce::sysfs::{self, CLASS_DIRECTORY};
use warpdrive_core::{Job, Needs, Op, Runtime, Why};

use crate::{count, device, model_library, software, with_model};

/// No measure of anything: what takes longer will never happen.
const NEVER: Duration = Duration::from_secs(180);
const IDLE: (&str, &str) = ("WARPDRIVE_QUEUE_IDLE_MS", "200");

fn data(seed: usize) -> Vec<u8> {
    (0..6_000).map(|n| b"lease, seat, share, leave. "[(n * n / 5 + n + seed) % 27]).collect()
}

/// Compresses on a device, and checks what it made.
fn compress(seed: usize) -> Result<(), Why> {
    let data = data(seed);
    let mut output = vec![0; Stream::compress_bound(data.len())];
    let job = zip::job(Format::Zlib, Direction::Compress, data.len(), true);
    let outcome = device(job, |ch| zip::compress(ch, Format::Zlib, &data, &mut output))?;
    assert_eq!(software::inflate(Format::Zlib, &output[..outcome.produced]), data);
    Ok(())
}

fn decompress(seed: usize) -> Result<(), Why> {
    let data = data(seed);
    let payload = software::deflate(Format::Zlib, &data);
    let mut output = vec![0; data.len() + 64];
    let job = zip::job(Format::Zlib, Direction::Decompress, payload.len(), true);
    let outcome = device(job, |ch| zip::decompress(ch, Format::Zlib, &payload, &mut output))?;
    assert_eq!(output[..outcome.produced], data);
    Ok(())
}

/// Tries until a device serves.
fn until_served(what: &str, serve: impl Fn() -> Result<(), Why>) {
    let start = Instant::now();
    while let Err(why) = serve() {
        assert!(start.elapsed() < NEVER, "{what}: not served again: {why:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Tries until no device serves.
fn until_declined(what: &str) {
    let start = Instant::now();
    while compress(0).is_ok() {
        assert!(start.elapsed() < NEVER, "{what}: still served");
    }
}

/// Free queues of all devices, as the kernel counts them.
fn free() -> i64 {
    let entries = sysfs::scan(std::path::Path::new(CLASS_DIRECTORY)).unwrap();
    entries.iter().map(|entry| entry.available.unwrap()).sum()
}

/// A request that no device can serve: somebody comes by.
fn come_by() {
    let job = Job::new(Op::ZipCompress, 1 << 20, Needs::always("no such algorithm"));
    assert_eq!(device(job, |_| Ok(())), Err(Why::Unsupported));
}

/// Idle queues are closed some time after they were used, if anybody comes by.
fn until_free(expected: i64) {
    let start = Instant::now();
    while free() != expected {
        assert!(start.elapsed() < NEVER, "{} of {expected} queues are free", free());
        std::thread::sleep(Duration::from_millis(20));
        come_by();
    }
}

/// The administrator does something to a device of the run.
fn administrator(arguments: &[&str]) {
    let tool: PathBuf = model_library().with_file_name("warpdrive-device-model");
    let output = Command::new(tool).args(arguments).env_remove("LD_PRELOAD").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_weather(why: Why) -> bool {
    matches!(why, Why::Failed(_) | Why::Tripped | Why::Unproven | Why::AllBusy | Why::NoDevice)
}

#[test]
fn eight_threads_share_the_two_queues_of_a_device() {
    let (core, model) = with_model("pool::eight_threads", "scarce", &[]);
    for name in ["zip.compress.requests", "zip.decompress.requests"] {
        assert_eq!(count(&core, &format!("device.{name}")), count(&model, name), "{name}");
    }
    assert!(count(&core, "event.queue_shared") >= 6, "{core:?}");
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn eight_threads() {
    compress(0).unwrap();
    let arrived = AtomicUsize::new(0);
    let together = || {
        arrived.fetch_add(1, Ordering::SeqCst);
        let start = Instant::now();
        while arrived.load(Ordering::SeqCst) < 8 {
            assert!(start.elapsed() < NEVER, "{arrived:?} of 8 have a queue");
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let together = &together;
            scope.spawn(move || {
                let data = data(thread);
                let mut output = vec![0; Stream::compress_bound(data.len())];
                let job = zip::job(Format::Zlib, Direction::Compress, data.len(), true);
                let outcome = device(job, |ch| {
                    together();
                    zip::compress(ch, Format::Zlib, &data, &mut output)
                });
                let produced = outcome.unwrap().produced;
                assert_eq!(software::inflate(Format::Zlib, &output[..produced]), data);
                for round in 0..25 {
                    compress(thread + round).unwrap();
                }
            });
        }
    });
    // The two queues were those of compression; one makes room.
    until_served("decompression", || decompress(1));
}

#[test]
fn idle_queues_are_given_back() {
    with_model("pool::idle", "kunpeng930", &[IDLE]);
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn idle() {
    let all = free();
    compress(1).unwrap();
    decompress(2).unwrap();
    assert!(free() < all, "open");
    until_free(all);
    compress(3).unwrap();
}

#[test]
fn threads_and_children_use_queues_of_their_own() {
    with_model("pool::family", "kunpeng930,zip.queues=24", &[IDLE]);
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn family() {
    let all = free();
    compress(0).unwrap();
    let over = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let over = &over;
            scope.spawn(move || {
                while over.load(Ordering::SeqCst) == 0 {
                    if let Err(why) = compress(thread) {
                        assert!(is_weather(why), "{why:?}");
                    }
                }
            });
        }
        for child in 0..4 {
            assert!(crate::in_child(|| {
                // What is busy now may be free the next time.
                until_served("child", || compress(child));
                until_served("child", || decompress(child));
                true
            }));
            until_served("parent", || compress(child));
        }
        over.store(1, Ordering::SeqCst);
    });
    until_free(all);
    // A child that lives on keeps no queue of its parent's from being free.
    compress(1).unwrap();
    assert!(crate::in_child(|| {
        // The child has its own, which it closes; the parent waits here, with its own open.
        until_served("child", || compress(2));
        until_free(all - 1);
        true
    }));
    until_free(all);
}

#[test]
fn reset_device_serves_again() {
    // Every thread meets the reset of its queue; one device only, so nobody else serves meanwhile.
    let plan = [("WARPDRIVE_MODEL_FAULTS", "zip:reset=50@40"), IDLE];
    let (core, model) = with_model("pool::reset", "kunpeng930,zip.devices=1", &plan);
    assert_eq!(count(&model, "fault.reset"), 1);
    assert!(count(&core, "event.reset") >= 1, "{core:?}");
    assert!(count(&core, "event.proof_passed") >= 2, "proved again after the reset: {core:?}");
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn reset() {
    let all = free();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            scope.spawn(move || {
                let start = Instant::now();
                let mut served = 0;
                while served < 20 {
                    assert!(start.elapsed() < NEVER, "{served} served");
                    match compress(thread) {
                        Ok(()) => served += 1,
                        Err(why) => {
                            assert!(is_weather(why), "{why:?}");
                            std::thread::sleep(Duration::from_millis(5));
                        }
                    }
                }
            });
        }
    });
    until_free(all);
}

#[test]
fn removed_device_is_survived_and_found_again() {
    with_model("pool::removal", "kunpeng930,zip.devices=1", &[]);
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn removal() {
    let name = Runtime::get().devices().iter().find(|d| d.name.starts_with("hisi_zip")).unwrap().name.clone();
    for _ in 0..2 {
        std::thread::scope(|scope| {
            for thread in 0..3 {
                scope.spawn(move || until_served("before", || compress(thread)));
            }
        });
        administrator(&["remove", &name]);
        until_declined("removed");
        assert!(decompress(1).is_err());
        administrator(&["add", &name]);
        until_served("added", || compress(4));
        until_served("added", || decompress(5));
    }
}

#[test]
fn isolated_device_is_left_alone() {
    let (core, _) = with_model("pool::isolation", "kunpeng930,zip.devices=1", &[]);
    assert!(count(&core, "event.isolated") >= 1, "{core:?}");
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn isolation() {
    compress(0).unwrap();
    let entries = Runtime::get().devices();
    let name = &entries.iter().find(|d| d.name.starts_with("hisi_zip")).unwrap().name;
    administrator(&["isolate", name]);
    until_declined("isolated");
    for _ in 0..50 {
        assert!(compress(1).is_err());
    }
}

#[test]
fn random_faults_leave_no_queue_open() {
    let plan = "*:reset=5@p0.02,seed=7;zip.compress:status=0x0b@p0.05,seed=8;zip:cq-overflow@p0.02,seed=9";
    let settings = [
        ("WARPDRIVE_MODEL_FAULTS", plan),
        ("WARPDRIVE_BREAKER_COOLDOWN_MS", "20"),
        ("WARPDRIVE_BREAKER_COOLDOWN_MAX_MS", "40"),
        IDLE,
    ];
    let (core, model) = with_model("pool::leaks", "kunpeng930", &settings);
    assert!(count(&model, "fault.reset") > 0 && count(&model, "fault.cq_overflow") > 0, "{model:?}");
    assert!(count(&core, "event.queue_retired") > 0, "{core:?}");
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn leaks() {
    let all = free();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    // The counters' file and the model's own are there from the first request on.
    until_served("first", || compress(0));
    until_free(all);
    let before = descriptors();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for round in 0..150 {
                    let result = if round % 3 == 0 { decompress(round) } else { compress(thread * round) };
                    if let Err(why) = result {
                        assert!(is_weather(why), "{why:?}");
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            });
        }
    });
    until_free(all);
    assert!(descriptors() <= before, "{} descriptors, {before} before", descriptors());
}
