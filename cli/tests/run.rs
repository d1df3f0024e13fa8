//! `warpdrive run` itself: exit status, signals, environment, report.

mod common;

use std::os::unix::process::ExitStatusExt;

use common::{MODES, Mode, PYTHON, Running, build_dir, run, run_with, unaided, warpdrive_run};
use serde_json::Value;

#[test]
fn the_exit_status_of_the_program_becomes_ours() {
    for (script, expected) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 128 + 9), ("exit 255", 255)] {
        let run = run(Mode::NoDevice, &["sh", "-c", script]);
        assert_eq!(run.output.status.code(), Some(expected), "{script}");
    }
}

#[test]
fn a_program_that_does_not_exist_is_a_clear_error() {
    build_dir();
    let output =
        unaided(env!("CARGO_BIN_EXE_warpdrive")).args(["run", "--", "/no/such/program"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("/no/such/program"), "{message}");
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_program_runs() {
    let scratch = tempfile::tempdir().unwrap();
    for report in [scratch.path().join("no/such"), scratch.path().to_owned()] {
        let output = warpdrive_run(Mode::NoDevice, &report).args(["echo", "ran"]).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(125), &b""[..]), "{report:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the report"), "{report:?}");
    }
}

#[test]
fn the_machines_openssl_configuration_stays_in_force_however_it_is_written() {
    let scratch = tempfile::Builder::new().prefix("sp ace#$x").tempdir().unwrap();
    let (conf, part) = (scratch.path().join("openssl.cnf"), scratch.path().join("part.cnf"));
    let sections = "[prov]\ndefault = d\nlegacy = l\n[d]\nactivate = 1\n[l]\nactivate = 1\n";
    std::fs::write(&part, format!("openssl_conf = init\n[init]\nproviders = prov\n{sections}")).unwrap();
    let include = format!(".include \"{}\"\n", part.display());
    let both = ["default", "legacy", "warpdrive"].as_slice();
    for (text, expected) in [
        (format!("openssl_conf = init\n[ init ]\nproviders = \"prov\" # quoted\n{sections}"), both),
        (
            format!(
                "name = init\nopenssl_conf = $name\n[s]\np = prov\n[init]\nproviders = ${{s::p}}\n{sections}"
            ),
            both,
        ),
        (format!("openssl_conf = \\\n init\ninit::providers = prov\n{sections}"), both),
        (include, both),
        // whoever activates others and not `default` has a reason
        ("openssl_conf = i\n[i]\nproviders = p\n[p]\nbase = b\n[b]\nactivate = 1\n".into(), &["base"]),
    ] {
        std::fs::write(&conf, &text).unwrap();
        let run = run_with(Mode::NoDevice, &["openssl", "list", "-providers"], |command| {
            command.env("OPENSSL_CONF", &conf).env("TMPDIR", scratch.path());
        })
        .success();
        let found: Vec<String> = run
            .stdout()
            .lines()
            .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
            .map(|l| l.trim().into())
            .collect();
        assert_eq!(found, expected, "{text}{}", run.stderr());
    }
}

#[test]
fn arguments_that_look_like_options_reach_the_program() {
    let run = run(Mode::NoDevice, &["printf", "%s %s", "--report", "-x"]).success();
    assert_eq!(run.stdout(), "--report -x");
}

#[test]
fn a_termination_signal_reaches_the_program_and_the_report_is_still_written() {
    let scratch = tempfile::tempdir().unwrap();
    let report = scratch.path().join("report.json");
    let ready = scratch.path().join("ready");
    let script = format!("trap 'exit 7' TERM; : > {}; while :; do sleep 0.05; done", ready.display());
    let child = warpdrive_run(Mode::NoDevice, &report).args(["sh", "-c", &script]).spawn().unwrap();
    let mut child = Running(child);
    while !ready.exists() {
        assert!(child.0.try_wait().unwrap().is_none(), "ended before it was told to");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let status = child.terminate();
    assert_eq!(status.code(), Some(7), "signal {:?}", status.signal());
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["model"], Value::Null);
}

#[test]
fn a_report_sums_over_all_processes_of_the_run() {
    let one = "import zlib; zlib.decompress(zlib.compress(b'warpdrive ' * 100000))";
    let script = format!("{PYTHON} -c \"{one}\" && {PYTHON} -c \"{one}\" & {PYTHON} -c \"{one}\"; wait");
    for mode in MODES {
        let single = run(mode, &[PYTHON, "-c", one]).success().served(mode, &["zip.compress"]);
        let triple = run(mode, &["sh", "-c", &script]).success().served(mode, &["zip.compress"]);
        if mode.healthy() {
            let count = single.requests("device", "zip.compress");
            assert_eq!(triple.requests("device", "zip.compress"), 3 * count);
        }
    }
}

#[test]
fn a_trace_has_a_line_for_every_request_of_the_run() {
    let scratch = tempfile::tempdir().unwrap();
    let (report, trace) = (scratch.path().join("report.json"), scratch.path().join("trace"));
    let output = unaided(env!("CARGO_BIN_EXE_warpdrive"))
        .args(["run", "--model=kunpeng920", "--report"])
        .arg(&report)
        .arg("--trace")
        .arg(&trace)
        // random digits, so that the compressed form too is worth a request
        .args([
            "--",
            PYTHON,
            "-c",
            "import os, zlib; zlib.decompress(zlib.compress(os.urandom(200000).hex().encode()))",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let trace = std::fs::read_to_string(trace).unwrap();
    for class in ["compress", "decompress"] {
        let counted = report["model"]["zip"][class]["requests"].as_u64().unwrap();
        let traced = trace.lines().filter(|line| line.contains(&format!("\tzip.{class}\t"))).count();
        assert!(counted > 0 && counted == traced as u64, "{class}: {report:#}\n{trace}");
    }
}

#[test]
fn an_unknown_profile_and_a_bad_fault_plan_are_loud() {
    let script = "import zlib; assert zlib.decompress(zlib.compress(bytes(10**6))) == bytes(10**6)";
    let run = run_with(Mode::NoDevice, &[PYTHON, "-c", script], |command| {
        command.env("WARPDRIVE_NO_SUCH_KEY", "1").env("WARPDRIVE_MODE", "sideways");
    });
    run.success();
    build_dir();
    for arguments in [["--model=kunpeng1", "--"], ["--faults=zip:nonsense", "--model"]] {
        let output = unaided(env!("CARGO_BIN_EXE_warpdrive"))
            .arg("run")
            .args(arguments)
            .args(["ls", "/sys/class/uacce"])
            .output()
            .unwrap();
        assert_eq!(output.status.code().map(|code| code != 0), Some(true), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn explain_shows_what_a_running_process_has_measured() {
    let script = "import zlib, os, subprocess, sys\n\
                  for i in range(20): zlib.compress(bytes(range(256)) * 256)\n\
                  explain = [sys.argv[1], 'explain', '--pid', str(os.getpid()), 'deflate', '64K']\n\
                  print(subprocess.run(explain, check=True, capture_output=True, text=True).stdout)";
    let report = tempfile::tempdir().unwrap();
    let output = warpdrive_run(Mode::Model("kunpeng930"), &report.path().join("report.json"))
        .args([PYTHON, "-c", script, env!("CARGO_BIN_EXE_warpdrive")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|line| line.contains("policy device")), "{text}");
    let row: Vec<_> = lines.nth(1).unwrap_or_default().split_whitespace().collect();
    // Policy device, which is the rule on the model: never software, whatever it takes.
    // How often depends on the machine's load: an average that was replaced counts anew.
    assert_eq!((&row[..2], row[3]), (&["deflate-6-7", "65536"][..], "measured"), "{text}");
    assert_eq!(row.last(), Some(&"device"), "{text}");
}
