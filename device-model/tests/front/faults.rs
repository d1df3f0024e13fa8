//! The fault plan, the ledger and the trace as the processes of a run see them: the driver `faults.c`.

use super::{Run, compile};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("faults"))
}

fn scenario(run: &Run, name: &str) {
    let output = run.of(program(), &[name]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text == "ok\n", "{name}: {text}\n{}", run.log());
}

#[test]
fn isolation_reaches_all_queues_and_all_processes_and_lasts() {
    let run = Run::new("kunpeng930", "zip:isolate@2");
    scenario(&run, "isolate");
    scenario(&run, "isolated");
    assert_eq!((run.ledger()["fault.isolate"], run.ledger()["refused"]), (1, 0), "{}", run.log());
}

#[test]
fn a_busy_device_refuses_opens_for_a_while_and_serves_what_is_open() {
    let run = Run::new("kunpeng930", "zip:busy=3000@2");
    scenario(&run, "busy");
    assert_eq!(run.ledger()["fault.busy"], 1);
}

#[test]
fn a_planned_overflow_kills_one_queue_and_is_no_refusal() {
    let run = Run::new("kunpeng920", "zip:cq-overflow@1");
    scenario(&run, "overflow");
    let ledger = run.ledger();
    assert_eq!((ledger["fault.cq_overflow"], ledger.get("refused.overflow")), (1, None), "{}", run.log());
}

#[test]
fn a_planned_page_fault_ends_one_request_in_an_error_status() {
    let run = Run::new("kunpeng930", "zip:page-fault=2@1");
    scenario(&run, "page-fault");
    let ledger = run.ledger();
    assert_eq!((ledger["zip.compress.requests"], ledger["zip.compress.bytes"]), (2, 5000));
    assert_eq!((ledger["fault.page_fault"], ledger["refused"]), (1, 0), "{}", run.log());
}

#[track_caller]
fn consistent(ledger: &BTreeMap<String, u64>) {
    for (name, accepted) in ledger.iter().filter(|(name, _)| name.ends_with(".accepted")) {
        let of = |what: &str| ledger[&name.replace(".accepted", what)];
        let (executed, reaped) = (of(".executed"), of(".reaped"));
        assert!(*accepted >= executed && executed >= reaped && executed >= of(".requests"), "{ledger:?}");
    }
}

/// A child that does not outlive its test.
struct Mortal(Child);

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_ledger_is_consistent_at_every_moment_and_after_every_kill() {
    let run = Run::new("kunpeng930", "*:delay=1@p0.02,seed=4");
    for round in 0..6 {
        let before = if run.dir.join("ledger").is_file() { run.ledger() } else { Default::default() };
        let start = || {
            let child = run.of(program(), &["endless"]).stdout(Stdio::piped()).spawn().unwrap();
            let mut child = Mortal(child);
            let mut line = String::new();
            BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n", "{}", run.log());
            child
        };
        let mut children = vec![start(), start()];
        let grown = |ledger: &BTreeMap<String, u64>| {
            ["zip.compress.reaped", "hpre.unknown.reaped", "sec.unknown.reaped"].iter().all(|what| {
                let count = |ledger: &BTreeMap<String, u64>| ledger.get(*what).copied().unwrap_or(0);
                count(ledger) > count(&before)
            })
        };
        // looked at so often at least, and until all of it has been used
        for look in 0.. {
            let now = run.ledger();
            consistent(&now);
            if look >= 20 + round && grown(&now) {
                break;
            }
            let alive = |child: &mut Mortal| child.0.try_wait().unwrap().is_none();
            assert!(children.iter_mut().all(alive), "{}", run.log());
            std::thread::sleep(Duration::from_millis(3));
        }
        drop(children);
        consistent(&run.ledger());
    }
    // what was refused, by rule and in all; a process that dies between the two leaves the sum behind by one
    let ledger = run.ledger();
    let rules: u64 = ledger.iter().filter(|(n, _)| n.starts_with("refused.")).map(|(_, count)| count).sum();
    assert!(rules <= ledger["refused"] && ledger["refused"] - rules <= 4 * 2 * 6, "{ledger:?}");
}

/// Lines of the trace as their sixteen fields.
fn trace(run: &Run) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(run.dir.join("trace")).unwrap();
    let lines: Vec<Vec<String>> =
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    for line in &lines {
        assert_eq!(line.len(), 16, "{line:?}");
        assert!(line[0].parse::<u64>().unwrap() > 0 && line[1].parse::<u32>().unwrap() > 1, "{line:?}");
    }
    lines
}

#[test]
fn the_trace_has_a_line_for_each_request_of_each_process() {
    let run = Run::new("kunpeng930,trace=1", "");
    run.driver(&["zip"]);
    run.driver(&["zip"]);
    let lines = trace(&run);
    let column = |n: usize| lines.iter().map(|line| line[n].clone()).collect::<Vec<_>>();
    assert_eq!(lines.len(), 10);
    let class = |n| if n % 5 == 1 { "zip.decompress" } else { "zip.compress" };
    assert_eq!(column(6), (0..10).map(class).collect::<Vec<_>>());
    let verdicts = ["ok", "ok", "refused:address", "refused:address", "ok"];
    assert_eq!(column(13), [verdicts, verdicts].concat());
    let first = &lines[0];
    assert_eq!([2, 3, 5, 10].map(|n| first[n].as_str()), ["request", "hisi_zip-4", "0", "300000"]);
    assert_eq!([8, 9, 12, 15].map(|n| first[n].as_str()), ["flat", "one-shot", "0x0", "-"]);
    assert!(first[7].contains("compress") && first[11].parse::<u64>().unwrap() > 8, "{first:?}");
    assert_eq!(column(1)[..5], vec![column(1)[0].clone(); 5]);
    assert_ne!(column(1)[0], column(1)[9]);
    assert!(column(0).is_sorted_by_key(|time| time.parse::<u64>().unwrap()));
    let ledger = run.ledger();
    let (input, output) = (10, 11);
    let sum = |n: usize| column(n).iter().map(|bytes| bytes.parse::<u64>().unwrap()).sum::<u64>();
    assert_eq!(sum(input), ledger["zip.compress.bytes"] + ledger["zip.decompress.bytes"]);
    assert!(sum(output) > 600_000);
}

#[test]
fn the_trace_shows_faults_and_deaths() {
    let run = Run::new("kunpeng930,trace=1", "zip:drop@1;zip:reset=1@2;zip:refuse-open=EIO@3");
    assert_eq!(run.driver(&["faulty"]), "lost reset done");
    let lines = trace(&run);
    let told: Vec<_> = lines.iter().map(|line| [2, 7, 13, 15].map(|n| line[n].as_str())).collect();
    assert!(matches!(told[0], ["request", _, "lost", "drop"]), "{told:?}");
    assert!(matches!(told[1], ["request", _, "lost", "reset=1"]), "{told:?}");
    assert_eq!(told[2], ["event", "dead: controller reset", "-", "-"]);
    assert!(told.contains(&["event", "open refused: refuse-open=5", "-", "-"]), "{told:?}");
    assert!(told.last().unwrap()[2].starts_with("refused:"), "{told:?}");
    let ledger = run.ledger();
    assert_eq!(["drop", "reset", "refuse_open"].map(|kind| ledger[&format!("fault.{kind}")]), [1; 3]);
    // a run without the key writes none
    let quiet = Run::new("kunpeng930", "");
    quiet.driver(&["zip"]);
    assert!(!quiet.dir.join("trace").exists());
}
