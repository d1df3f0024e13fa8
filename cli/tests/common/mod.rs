//! What the outer tests share: running a program under `warpdrive run` in one of the three modes, with its report.
//!
//! The shared objects must be built first (`cargo build --workspace`, as ci/test does); a missing one fails the
//! test, it is never skipped.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The programs under test are the distribution's own.
pub const PYTHON: &str = "/usr/bin/python3";

/// Where the program's work should be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The device model, healthy, as this profile.
    Model(&'static str),
    /// The device model with this fault plan.
    Faults(&'static str),
    /// The device model as this profile, with this fault plan.
    FaultsOn(&'static str, &'static str),
    /// Our libraries, no device.
    NoDevice,
}

/// Every mode an outer test runs in; the plan breaks each engine in several ways.
pub const MODES: [Mode; 4] = [
    Mode::Model("kunpeng930"),
    Mode::Model("kunpeng920"),
    Mode::Faults("zip.compress:status=0x0b@%3;zip.decompress:partial@%2;sec:status=1@%2;hpre:corrupt@%2"),
    Mode::NoDevice,
];

/// The same on machines whose devices know only memory of their own, in pieces with gaps between them.
pub const WITHOUT_SVA: [Mode; 3] = [
    Mode::Model("kunpeng930-nosva"),
    Mode::Model("kunpeng920-nosva,ss_slice=256K,ss_gaps=all"),
    Mode::FaultsOn(
        "kunpeng930-nosva,ss_slice=1M",
        "zip.compress:status=0x0b@%3;zip.decompress:partial@%2;sec:status=1@%2;hpre:corrupt@%2",
    ),
];

impl Mode {
    pub fn healthy(self) -> bool {
        matches!(self, Mode::Model(_))
    }
}

pub struct Run {
    pub output: Output,
    pub report: Value,
}

impl Run {
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(
            self.output.status.success(),
            "{:?}\nstdout: {}\nstderr: {}",
            self.output.status,
            String::from_utf8_lossy(&self.output.stdout),
            self.stderr()
        );
        self
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    pub fn requests(&self, side: &str, class: &str) -> u64 {
        let (engine, kind) = class.split_once('.').unwrap();
        self.report[side][engine][kind]["requests"].as_u64().unwrap_or(0)
    }

    pub fn software(&self, why: &str) -> u64 {
        self.report["software"][why].as_u64().unwrap_or(0)
    }

    /// What the report must say of `mode`: with a healthy model the device served each of `classes` and our counts
    /// are the model's; without a device it served nothing.
    #[track_caller]
    pub fn served(self, mode: Mode, classes: &[&str]) -> Self {
        for class in ["zip.compress", "zip.decompress", "sec.cipher", "hpre.rsa"] {
            let ours = self.requests("device", class);
            match mode {
                Mode::Model(_) => {
                    assert_eq!(ours, self.requests("model", class), "{class}: {:#}", self.report);
                    let ours = &self.report["device"][class.split('.').next().unwrap()];
                    let model = &self.report["model"][class.split('.').next().unwrap()];
                    assert_eq!(ours, model, "requests and bytes: {:#}", self.report);
                }
                Mode::NoDevice => assert_eq!(ours, 0, "{class}: {:#}", self.report),
                Mode::Faults(_) | Mode::FaultsOn(..) => {}
            }
        }
        // a planned fault is no refusal either: what was refused is our mistake in every mode
        assert_eq!(self.report["refused"], 0, "{mode:?}: {:#}\n{}", self.report, self.stderr());
        if mode != Mode::NoDevice {
            for class in classes {
                assert!(self.requests("model", class) > 0, "{mode:?}: {class} not served: {:#}", self.report);
            }
        }
        self
    }
}

/// Directory of the build under test.
pub fn build_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_BIN_EXE_warpdrive")).parent().unwrap().to_path_buf();
    for library in ["libwarpdrive_z.so", "libwarpdrive_provider.so", "libwarpdrive_device_model.so"] {
        assert!(dir.join(library).exists(), "{library} is not built: run `cargo build --workspace` first");
    }
    dir
}

/// A command in a clean environment, unaided.
pub fn unaided<S: AsRef<OsStr>>(program: S) -> Command {
    let mut command = Command::new(program);
    clean(&mut command);
    command
}

fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| name.starts_with("WARPDRIVE_"));
        if ours || name == "LD_PRELOAD" || name == "OPENSSL_CONF" {
            command.env_remove(name);
        }
    }
}

/// `warpdrive run` in `mode`, up to and including `--`.
pub fn warpdrive_run(mode: Mode, report: &Path) -> Command {
    build_dir();
    let mut command = Command::new(env!("CARGO_BIN_EXE_warpdrive"));
    clean(&mut command);
    command.arg("run").arg("--report").arg(report);
    // No plan drops a request: a deadline could only strike because the machine is busy.
    command.env("WARPDRIVE_DEADLINE_MS", "30000");
    match mode {
        Mode::Model(profile) => command.arg(format!("--model={profile}")),
        // Faulty requests must not trip the breaker: the test wants each of them to meet the device.
        Mode::Faults(plan) => command
            .arg("--model")
            .arg("--faults")
            .arg(plan)
            .env("WARPDRIVE_BREAKER_FAULTS", "1000")
            .env("WARPDRIVE_KNOWN_ANSWER", "off"),
        Mode::FaultsOn(profile, plan) => command
            .arg(format!("--model={profile}"))
            .arg("--faults")
            .arg(plan)
            .env("WARPDRIVE_BREAKER_FAULTS", "1000"),
        Mode::NoDevice => &mut command,
    };
    command.arg("--");
    command
}

/// Runs `program` in `mode` and reads the report.
pub fn run<S: AsRef<OsStr>>(mode: Mode, program: &[S]) -> Run {
    run_with(mode, program, |_| {})
}

/// As [`run`], with a last touch to the command (environment, directory, input).
pub fn run_with<S: AsRef<OsStr>>(mode: Mode, program: &[S], prepare: impl FnOnce(&mut Command)) -> Run {
    let scratch = tempfile::tempdir().unwrap();
    let report = scratch.path().join("report.json");
    let mut command = warpdrive_run(mode, &report);
    command.args(program);
    prepare(&mut command);
    let output = command.output().expect("warpdrive starts");
    let text = std::fs::read_to_string(&report)
        .unwrap_or_else(|error| panic!("no report ({error}): {}", String::from_utf8_lossy(&output.stderr)));
    Run { output, report: serde_json::from_str(&text).expect("the report is JSON") }
}

/// Compiles a C program of tests/programs against the system's headers.
pub fn compile(source: &str, libraries: &[&str], scratch: &Path) -> PathBuf {
    let binary = scratch.join(source.trim_end_matches(".c"));
    let status = unaided("cc")
        .args(["-O1", "-Wall", "-Werror", "-o"])
        .arg(&binary)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source))
        .args(libraries)
        .status()
        .expect("cc runs");
    assert!(status.success(), "cannot compile {source}");
    binary
}

/// A child that does not outlive its test, even a failing one.
pub struct Running(pub std::process::Child);

impl Running {
    /// Asks the child to end and waits until it has.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("the child is there");
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            // Not SIGKILL: `warpdrive run` passes this one on to its program.
            self.terminate();
        }
    }
}
