//! The off switch and the statistics, from outside: unmodified programs on the model, looked at and switched while they
//! run. Nothing here measures time: what must happen within a second is waited for as long as a loaded machine may need.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{Mode, PYTHON, Running, run, unaided, warpdrive_run};
use serde_json::Value;

const MODEL: Mode = Mode::Model("kunpeng930");
const PATIENCE: Duration = Duration::from_secs(300);

fn warpdrive(arguments: &[&str]) -> std::process::Output {
    unaided(env!("CARGO_BIN_EXE_warpdrive")).args(arguments).output().unwrap()
}

#[track_caller]
fn succeed(arguments: &[&str]) -> String {
    let output = warpdrive(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What `warpdrive stats` says of a process; nothing before its first count.
fn stats(pid: &str) -> Value {
    let output = warpdrive(&["stats", "--pid", pid, "--json"]);
    if output.status.success() { serde_json::from_slice(&output.stdout).unwrap() } else { Value::Null }
}

/// Asks until there is an answer.
#[track_caller]
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts `line` on the model, wherever the device can; the running command and the program's process id.
fn start(line: &str, scratch: &Path) -> (Running, String) {
    let pid = scratch.join("pid");
    let script = format!("echo $$ > {0}.new && mv {0}.new {0} && exec {line}", pid.display());
    let child = warpdrive_run(MODEL, &scratch.join("report.json"))
        .args(["sh", "-c", &script])
        .env("WARPDRIVE_MODE", "hw")
        .stdout(std::process::Stdio::null())
        .spawn();
    let running = Running(child.unwrap());
    let pid = eventually("the start", || std::fs::read_to_string(&pid).ok());
    (running, pid.trim().to_owned())
}

/// Switches an endless program off and on; the counters of `class` must follow.
fn follows_the_switch(line: &str, class: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let (mut running, pid) = start(line, scratch.path());
    let (engine, kind) = class.split_once('.').unwrap();
    let device = |stats: &Value| stats["device"][engine][kind]["requests"].as_u64().unwrap_or(0);
    let refused = |stats: &Value| stats["reasons"][engine][kind]["switched_off"].as_u64().unwrap_or(0);

    eventually("a request on the device", || (device(&stats(&pid)) > 0).then_some(()));
    assert!(succeed(&["status", "--pid", &pid]).contains("devices are on"));

    succeed(&["off", "--pid", &pid, "under", "test"]);
    let before = eventually("the switch being seen", || Some(stats(&pid)).filter(|now| refused(now) > 0));
    let after = eventually("software going on", || {
        Some(stats(&pid)).filter(|now| refused(now) > refused(&before) + 5)
    });
    assert_eq!(device(&after), device(&before), "one thread: no request after the first refused one");
    assert_eq!(after["off"], true);
    let status = warpdrive(&["status", "--pid", &pid]);
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.code() == Some(1) && text.contains("OFF") && text.contains("under test"), "{text}");

    succeed(&["on", "--pid", &pid]);
    eventually("the device being used again", || (device(&stats(&pid)) > device(&after)).then_some(()));
    running.terminate();
}

#[test]
fn a_python_program_is_switched_off_and_on_while_it_compresses() {
    let script = "import zlib\nd = bytes(range(256)) * 1000\nwhile True: zlib.compress(d)";
    follows_the_switch(&format!("{PYTHON} -c '{script}'"), "zip.compress");
}

#[test]
fn openssl_is_switched_off_and_on_while_it_encrypts() {
    let key = "000102030405060708090a0b0c0d0e0f";
    let line =
        format!("openssl enc -aes-128-ctr -K {key} -iv {key} -bufsize 65536 -in /dev/zero -out /dev/null");
    follows_the_switch(&line, "sec.cipher");
}

#[test]
fn a_switch_in_the_system_stops_programs_that_start_later() {
    let scratch = tempfile::tempdir().unwrap();
    let place = scratch.path().display().to_string();
    assert!(succeed(&["status", "--directory", &place]).contains("devices are on"));
    succeed(&["off", "--directory", &place]);
    let script = "import zlib; d = bytes(range(256)) * 1000; assert zlib.decompress(zlib.compress(d)) == d";
    // The directory of `warpdrive run` is its own; here the program is told to use ours.
    let inner = format!("WARPDRIVE_STATS_DIR={place} exec {PYTHON} -c '{script}'");
    let output = warpdrive_run(MODEL, &scratch.path().join("report.json"))
        .args(["sh", "-c", &inner])
        .env("WARPDRIVE_MODE", "hw")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stats: Value = serde_json::from_str(&succeed(&["stats", &place, "--json"])).unwrap();
    assert_eq!(stats["device"]["zip"]["compress"]["requests"], 0);
    assert_eq!(stats["software"]["switched_off"], 2, "{stats:#}");
    let text = succeed(&["stats", &place]);
    assert!(text.contains("OFF") && text.contains("switched_off"), "{text}");
}

#[test]
fn what_a_killed_program_counted_is_in_the_report() {
    let script = "import os, zlib\nd = bytes(range(256)) * 1000\nfor _ in range(7): zlib.compress(d)\n\
                  os.kill(os.getpid(), 9)";
    let run = common::run_with(MODEL, &[PYTHON, "-c", script], |command| {
        command.env("WARPDRIVE_MODE", "hw");
    });
    assert_eq!(run.output.status.code(), Some(128 + 9), "{}", run.stderr());
    assert_eq!(run.requests("device", "zip.compress"), run.requests("model", "zip.compress"));
    assert!(run.requests("device", "zip.compress") >= 7);
}

#[test]
fn a_child_that_uses_the_device_has_a_file_of_its_own_and_a_later_process_takes_one_over() {
    let own = env!("CARGO_BIN_EXE_warpdrive");
    let one = "import os, sys, zlib\nd = bytes(range(256)) * 1000\nzlib.compress(d)\n\
               pid = os.fork()\nzlib.compress(d); zlib.compress(d)\n\
               if pid == 0: os._exit(0)\n\
               sys.exit(os.waitpid(pid, 0)[1])";
    let script =
        format!("{PYTHON} -c \"$0\" && ls $WARPDRIVE_STATS_DIR/*.stats | wc -l && {own} stats --json");
    let run = run_in_shell(&script, one);
    let text = run.stdout();
    let (files, json) = text.split_once('\n').unwrap();
    let stats: Value = serde_json::from_str(json).unwrap();
    let processes = stats["processes"].as_array().unwrap();
    let requests: Vec<_> =
        processes.iter().filter_map(|p| p["device"]["zip"]["compress"]["requests"].as_u64()).collect();
    assert_eq!((files.trim(), requests.len()), ("2", 2), "{stats:#}");
    assert!(requests.iter().all(|requests| *requests >= 2), "{stats:#}");
    assert!(processes.iter().all(|process| process["alive"] == false), "{stats:#}");
    // [`run_in_shell`] has compared the sum with the model's.
    assert_eq!(stats["device"]["zip"]["compress"]["requests"], requests.iter().sum::<u64>());

    // Forty processes one after the other, at most eight files.
    let one = "import zlib; zlib.compress(bytes(range(256)) * 1000)";
    let script = format!(
        "for i in $(seq 40); do {PYTHON} -c \"$0\" || exit; done; ls $WARPDRIVE_STATS_DIR/*.stats | wc -l"
    );
    let run = run_in_shell(&script, one);
    assert!(run.stdout().trim().parse::<u32>().unwrap() <= 8, "{}", run.stdout());
    assert!(run.requests("device", "zip.compress") >= 40);
}

fn run_in_shell(script: &str, argument: &str) -> common::Run {
    common::run_with(MODEL, &["sh", "-c", script, argument], |command| {
        command.env("WARPDRIVE_MODE", "hw");
    })
    .success()
    .served(MODEL, &["zip.compress"])
}

#[test]
fn percentiles_of_what_ran_are_shown_and_in_order() {
    let own = env!("CARGO_BIN_EXE_warpdrive");
    let one = "import zlib\nfor i in range(50): zlib.compress(bytes(range(256)) * 100 * (1 + i))";
    let run = run_in_shell(&format!("{PYTHON} -c \"$0\" && {own} stats"), one);
    let latency = &run.report["latency_ns"]["device"]["zip"]["compress"];
    let [count, p50, p90, p99] = ["count", "p50", "p90", "p99"].map(|name| latency[name].as_u64().unwrap());
    assert!(count >= 50 && 0 < p50 && p50 <= p90 && p90 <= p99, "{latency}");
    assert!(run.stdout().contains("zip.compress") && run.stdout().contains("p99"), "{}", run.stdout());
}

#[test]
fn without_counters_the_view_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    let place = scratch.path().display().to_string();
    assert_eq!(succeed(&["stats", &place]), "nothing counted yet\n");
    let output = warpdrive(&["stats", &format!("{place}/none")]);
    assert_eq!(output.status.code(), Some(125));
    assert!(succeed(&["status", "--directory", &format!("{place}/none")]).contains("devices are on"));
    // Nobody's: no directory, no switch.
    assert_eq!(warpdrive(&["off", "--directory", &format!("{place}/none")]).status.code(), Some(125));
    let run = run(Mode::NoDevice, &["true"]).success();
    assert_eq!(run.report["latency_ns"]["device"], serde_json::json!({}));
}
