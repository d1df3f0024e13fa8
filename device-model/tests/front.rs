//! The model as a program sees it: a driver in C, written to the kernel's interface, runs under LD_PRELOAD.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

#[path = "front/faults.rs"]
mod faults;
#[path = "front/kernel.rs"]
mod kernel;
#[path = "front/lifecycle.rs"]
mod lifecycle;
#[path = "front/names.rs"]
mod names;
#[path = "front/nosva.rs"]
mod nosva;

/// The shared object lies beside the test's own executable.
fn model() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let path = deps.join("libwarpdrive_device_model.so");
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

fn compile(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/driver/{name}.c"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(&program)
        .arg(&source)
        .output()
        .expect("a C compiler");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    program
}

/// The compiled driver.
fn driver() -> &'static Path {
    static DRIVER: OnceLock<PathBuf> = OnceLock::new();
    DRIVER.get_or_init(|| compile("driver"))
}

/// One run of the model: a directory of its own.
struct Run {
    dir: PathBuf,
    profile: &'static str,
    faults: &'static str,
}

impl Run {
    fn new(profile: &'static str, faults: &'static str) -> Run {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("run-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Run { dir, profile, faults }
    }

    fn command(&self, args: &[&str]) -> Command {
        self.of(driver(), args)
    }

    /// A program under this run's model.
    fn of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("LD_PRELOAD", model())
            .env("WARPDRIVE_MODEL_DIR", &self.dir)
            .env("WARPDRIVE_MODEL", self.profile)
            .env("WARPDRIVE_MODEL_FAULTS", self.faults);
        command
    }

    fn try_driver(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs the scenario; what it printed before "ok".
    fn driver(&self, args: &[&str]) -> String {
        let output = self.try_driver(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {text}{errors}\n{}", self.log());
        text.strip_suffix("ok\n").expect("an ok at the end").trim().to_owned()
    }

    /// Starts a scenario that holds a queue, and waits until it does.
    fn holder(&self, scenario: &str) -> Child {
        let mut child = self.command(&[scenario]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{}", self.log());
        child
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("model.log")).unwrap_or_default()
    }

    /// The ledger, read from its published format.
    fn ledger(&self) -> BTreeMap<String, u64> {
        let bytes = std::fs::read(self.dir.join("ledger")).unwrap();
        let records = bytes.chunks_exact(64).take_while(|record| record[0] != 0);
        records
            .map(|record| {
                let name = record[..48].split(|b| *b == 0).next().unwrap();
                let value = u64::from_le_bytes(record[48..56].try_into().unwrap());
                (String::from_utf8(name.to_vec()).unwrap(), value)
            })
            .collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

const BOTH: [&str; 2] = ["kunpeng920", "kunpeng930"];

#[test]
fn discovery_shows_what_the_kernel_shows() {
    for profile in BOTH {
        Run::new(profile, "").driver(&["discover"]);
    }
}

#[test]
fn a_queue_goes_through_its_states_with_the_kernels_errors() {
    for profile in BOTH {
        for device in ["hisi_zip-4", "hisi_sec2-0", "hisi_hpre-3"] {
            Run::new(profile, "").driver(&["states", device]);
        }
    }
    Run::new("kunpeng930,put_q=zombie-new", "").driver(&["zombie"]);
}

#[test]
fn completions_follow_submissions_round_the_rings() {
    for profile in ["kunpeng920", "kunpeng930,depth=256"] {
        for device in ["hisi_zip-4", "hisi_hpre-2"] {
            let run = Run::new(profile, "");
            run.driver(&["rounds", device]);
            assert!(run.ledger()["refused"] >= 3 * 256);
        }
    }
}

#[test]
fn unreturned_completions_end_in_overflow_and_not_in_overwriting() {
    let run = Run::new("kunpeng930,depth=64", "");
    run.driver(&["overflow"]);
    assert!(run.log().contains("completion ring overflow"), "{}", run.log());
}

#[test]
fn bad_doorbells_are_named_counted_and_harmless() {
    for profile in BOTH {
        let run = Run::new(profile, "");
        run.driver(&["doorbells"]);
        // seven doorbells, and the senseless entry itself
        assert_eq!(run.ledger()["refused"], 8, "{}", run.log());
        for what in ["index 1024", "command", "random data", "beyond the last completion", "offset 0x1008"] {
            assert!(run.log().contains(what), "{what} in\n{}", run.log());
        }
    }
}

#[test]
fn poll_and_epoll_wake_when_armed() {
    Run::new("kunpeng930", "").driver(&["poll"]);
}

#[test]
fn queues_run_out_and_come_back() {
    let run = Run::new("kunpeng930,queues=5", "");
    run.driver(&["exhaustion"]);
    run.driver(&["exhaustion"]);
}

#[test]
fn a_killed_process_gives_its_queue_back_and_its_counts_stay() {
    let run = Run::new("kunpeng930,queues=2", "");
    let mut holders = [run.holder("hold"), run.holder("hold")];
    run.driver(&["open", "hisi_zip-4", &libc_errno::EBUSY.to_string()]);
    run.driver(&["count", "hisi_zip-4", "0"]);
    for (n, holder) in holders.iter_mut().enumerate() {
        holder.kill().unwrap();
        holder.wait().unwrap();
        run.driver(&["count", "hisi_zip-4", &(n + 1).to_string()]);
    }
    assert_eq!(run.ledger()["refused"], 2, "{:?}", run.ledger());
}

#[test]
fn a_request_that_was_accepted_and_never_finished_shows_in_the_ledger() {
    let run = Run::new("kunpeng930,queues=1", "zip:delay=3600000@1+");
    let mut stuck = run.holder("stuck");
    while run.ledger().get("zip.compress.accepted") != Some(&1) {
        assert!(stuck.try_wait().unwrap().is_none(), "{}", run.log());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    stuck.kill().unwrap();
    stuck.wait().unwrap();
    let ledger = run.ledger();
    assert_eq!((ledger["zip.compress.accepted"], ledger["zip.compress.requests"]), (1, 0));
    // the queue is free again; and a driver need not wait for what never comes
    run.driver(&["retire"]);
    assert!(run.log().contains("flushed") || run.log().contains("discarded"), "{}", run.log());
}

#[test]
fn fork_shares_the_descriptor_and_not_the_mappings() {
    for profile in BOTH {
        Run::new(profile, "").driver(&["fork"]);
    }
}

#[test]
fn exec_closes_the_queue() {
    Run::new("kunpeng930", "").driver(&["exec"]);
}

#[test]
fn the_programs_own_fault_handlers_and_masks_keep_working() {
    Run::new("kunpeng930", "").driver(&["handlers"]);
}

#[test]
fn a_store_that_cannot_be_decoded_ends_the_program_and_is_named() {
    let run = Run::new("kunpeng930", "");
    let output = run.try_driver(&["undecodable"]);
    assert!(!output.status.success() && output.stdout == b"ok\n");
    assert!(run.log().contains("cannot decode the store to a doorbell page: "), "{}", run.log());
}

#[test]
fn a_program_that_closes_all_numbers_does_not_hit_the_model() {
    Run::new("kunpeng930", "").driver(&["closing"]);
}

#[test]
fn zip_requests_are_executed_and_counted() {
    for profile in BOTH {
        let run = Run::new(profile, "");
        run.driver(&["zip"]);
        let ledger = run.ledger();
        // two of the four compressions name memory that nobody has
        assert_eq!(ledger["refused"], 2, "{}", run.log());
        assert_eq!((ledger["zip.compress.accepted"], ledger["zip.compress.requests"]), (4, 2));
        assert_eq!((ledger["zip.compress.bytes"], ledger["zip.decompress.requests"]), (600_000, 1));
        assert!(ledger["zip.decompress.bytes"] > 0);
    }
}

#[test]
fn hostile_descriptors_lists_and_doorbells_are_all_answered_and_hurt_nobody() {
    let hostile = compile("hostile");
    for profile in BOTH {
        for (device, class) in
            [("zip-4", "0"), ("zip-4", "1"), ("zip-5", "2"), ("sec2-0", "0"), ("hpre-2", "0")]
        {
            let run = Run::new(profile, "");
            let device = format!("hisi_{device}");
            let output = run.of(&hostile, &[&device, class, "150", "20"]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && text == "ok\n",
                "{profile} {device} {class}: {text}{}",
                run.log()
            );
            assert!(!run.log().contains("PANICKED"), "{}", run.log());
            let ledger = run.ledger();
            let sum = |what: &str| {
                ledger.iter().filter(|(name, _)| name.ends_with(what)).map(|(_, n)| n).sum::<u64>()
            };
            // executed ones among them, so that the engines themselves were reached
            assert!(sum("accepted") > 1000 && ledger["refused"] > 100, "{ledger:?}");
            assert!(class == "2" || sum(".requests") > 100, "{ledger:?}");
        }
    }
}

#[test]
fn a_mapped_queue_outlives_its_descriptor() {
    for profile in BOTH {
        Run::new(profile, "").driver(&["outlive"]);
    }
}

#[test]
fn a_kernel_too_old_for_the_queue_information_says_so() {
    Run::new("kunpeng930,qp_info=0", "").driver(&["no-info"]);
}

#[test]
fn faults_hit_the_planned_request_and_nothing_else() {
    for (plan, outcome) in [
        ("", "done done done"),
        ("zip:drop@2", "done lost done"),
        ("zip.compress:drop@3;sec:drop@1+", "done done lost"),
        ("*:reset@2", "done reset done"),
        ("zip:delay=1@1+", "done done done"),
        ("zip.decompress:drop@1+", "done done done"),
    ] {
        assert_eq!(Run::new("kunpeng930", plan).driver(&["faulty"]), outcome, "{plan}");
    }
}

#[test]
fn the_plan_counts_over_all_processes_of_a_run() {
    let run = Run::new("kunpeng930", "zip:drop@5");
    assert_eq!(run.driver(&["faulty"]), "done done done");
    assert_eq!(run.driver(&["faulty"]), "done lost done");
    assert_eq!(run.driver(&["faulty"]), "done done done");
}

#[test]
fn refused_opens_have_the_errno_of_their_reason() {
    for (profile, plan, errno) in [
        ("kunpeng930", "zip:refuse-open=EPERM@1+", libc_errno::EPERM),
        ("kunpeng930,zip.node_mode=000", "", libc_errno::EACCES),
        ("kunpeng930,zip.node_mode=444", "", libc_errno::EACCES),
        ("kunpeng930,colour=blue", "", libc_errno::EINVAL),
        ("kunpeng931", "", libc_errno::EINVAL),
        ("kunpeng930", "zip:explode@1", libc_errno::EINVAL),
    ] {
        let run = Run::new(profile, plan);
        run.driver(&["open", "hisi_zip-4", &errno.to_string()]);
        if errno == libc_errno::EINVAL {
            assert!(run.log().contains("SETTINGS REFUSED"), "{}", run.log());
        }
        if !plan.contains("explode") && errno != libc_errno::EINVAL {
            run.driver(&["states", "hisi_sec2-0"]);
        }
    }
}

#[test]
fn without_a_directory_the_model_keeps_its_own_and_removes_it() {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("private-{}", std::process::id()));
    std::fs::create_dir_all(&tmp).unwrap();
    let run = Run::new("kunpeng930", "");
    let output =
        run.command(&["discover"]).env_remove("WARPDRIVE_MODEL_DIR").env("TMPDIR", &tmp).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let left = std::fs::read_dir(&tmp).unwrap().count();
    std::fs::remove_dir_all(&tmp).unwrap();
    assert_eq!(left, 0);
}

/// errno values of Linux, so that this test needs no crate.
mod libc_errno {
    pub const EPERM: i32 = 1;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const EINVAL: i32 = 22;
}
