//! Every engine operation through the gate and a real queue, against software references: a copy of this
//! program runs with the device model preloaded, and afterwards the core's counts must be the model's.
//!
//! The tests marked `ignore` are what the copies run; by hand they would have no device.

mod cipher;
mod faults;
mod known_answer;
mod memory;
mod pool;
mod rsa;
mod software;
mod tickets;
mod zip;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use warpdrive_core::qm::Version;
use warpdrive_core::{Fault, Job, Lease, Runtime, Why, stats};

/// The model's library of this build; built now, so that it is never yesterday's.
fn model_library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let program = std::env::current_exe().unwrap();
        let profile = program.parent().and_then(Path::parent).expect("…/<profile>/deps/<program>");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "warpdrive-device-model", "--target-dir"]).arg(target);
        if !profile.ends_with("debug") {
            build.arg("--profile").arg(profile.file_name().expect("a profile"));
        }
        let above = profile.parent().expect("target directory");
        if above != target {
            build.arg("--target").arg(above.file_name().expect("a target triple"));
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        let library = profile.join("libwarpdrive_device_model.so");
        assert!(status.success() && library.exists(), "no {}", library.display());
        library
    })
}

/// Counters of one run, by name.
type Counts = BTreeMap<String, u64>;

/// Runs the ignored test `test` in a copy with the model preloaded; the core's counts, then the model's.
fn with_model(test: &str, profile: &str, settings: &[(&str, &str)]) -> (Counts, Counts) {
    static RUN: AtomicU32 = AtomicU32::new(0);
    let unique = format!("model-{}-{}", std::process::id(), RUN.fetch_add(1, Ordering::Relaxed));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
    let (stats_dir, model_dir) = (directory.join("stats"), directory.join("model"));
    // of a process of the same number that was killed
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&stats_dir).unwrap();
    std::fs::create_dir_all(&model_dir).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test, "--test-threads=1", "--nocapture"])
        .env("LD_PRELOAD", model_library())
        .env("WARPDRIVE_MODEL", profile)
        .env("WARPDRIVE_MODEL_DIR", &model_dir)
        .env("WARPDRIVE_STATS_DIR", &stats_dir)
        .env("WARPDRIVE_MODE", "hw")
        .env("WARPDRIVE_DEADLINE_MS", "30000")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}, {profile}, {settings:?}: {}\n{text}\n{errors}", output.status);
    assert!(text.contains("1 passed"), "{test} was not found:\n{text}");
    let core = stats::read_dir(&stats_dir).unwrap();
    let mut model = Counts::new();
    for (name, value) in stats::records(&std::fs::read(model_dir.join("ledger")).unwrap()) {
        *model.entry(name).or_default() += value;
    }
    let refused: Vec<_> =
        model.iter().filter(|(name, value)| name.starts_with("refused") && **value > 0).collect();
    let log = std::fs::read_to_string(model_dir.join("model.log")).unwrap_or_default();
    assert!(refused.is_empty(), "{test}, {profile}, {settings:?}: tables were broken: {refused:?}\n{log}");
    std::fs::remove_dir_all(directory).unwrap();
    (core, model)
}

fn count(counts: &Counts, name: &str) -> u64 {
    counts.get(name).copied().unwrap_or(0)
}

/// Both generations, with SVA and without: without, in one piece, in pieces with gaps between all of them, and in as
/// many as there can be with some of them side by side.
const PROFILES: [&str; 6] = [
    "kunpeng920",
    "kunpeng930",
    "kunpeng920-nosva",
    "kunpeng930-nosva,flags=128",
    "kunpeng930-nosva,ss_slice=512K,ss_gaps=all",
    "kunpeng920-nosva,ss_slice=256K,ss_seed=5",
];

/// Runs `test` in a healthy copy on each profile; what the core counted of `classes` must be what the model
/// counted.
fn check_healthy(test: &str, classes: &[&str]) {
    for profile in PROFILES {
        let (core, model) = with_model(test, profile, &[]);
        for class in classes {
            for what in ["requests", "bytes"] {
                let name = format!("{class}.{what}");
                let served = count(&core, &format!("device.{name}"));
                assert!(served > 0, "{profile}, {name}: nothing reached the device");
                assert_eq!(served, count(&model, &name), "{profile}, {name}: core and model disagree");
            }
        }
    }
}

/// Asks the gate; a refusal or a fault comes back as the gate's reason.
fn device<T>(job: Job, work: impl FnOnce(&mut Lease<'_>) -> Result<T, Fault>) -> Result<T, Why> {
    Runtime::get().gate().run(job, &mut (), |(), lease| work(lease).map(Ok), |(), why| Err(why))
}

/// Generation of the model's profile.
fn version() -> Version {
    match std::env::var("WARPDRIVE_MODEL").as_deref() {
        Ok(profile) if profile.starts_with("kunpeng920") => Version::V2,
        _ => Version::V3,
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[n * 2..n * 2 + 2], 16).unwrap()).collect()
}

/// Runs `child` in a forked child and answers whether it returned true.
#[expect(unsafe_code)]
fn in_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `child` and leaves by _exit; glibc keeps malloc usable in it.
    unsafe {
        match libc::fork() {
            0 => {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
                libc::_exit(if matches!(result, Ok(true)) { 0 } else { 1 })
            }
            pid => {
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
                libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
            }
        }
    }
}
