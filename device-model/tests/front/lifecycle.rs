//! Devices that go, come, are reset and isolated while programs use them: the driver `lifecycle.c` and the crate's
//! command.

use super::{Run, compile};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const TOOL: &str = env!("CARGO_BIN_EXE_warpdrive-device-model");

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("lifecycle"))
}

fn scenario(run: &Run, name: &str) {
    let output = run.of(program(), &[name]).env("TOOL", TOOL).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.ends_with("ok\n"), "{name}: {text}{errors}\n{}", run.log());
}

#[test]
fn removal_reaches_every_process_at_once_and_the_device_can_come_back() {
    for profile in super::BOTH {
        scenario(&Run::new(profile, ""), "removal");
    }
    scenario(&Run::new("kunpeng930,kernel=new", ""), "removal");
    scenario(&Run::new("kunpeng930,kernel=old,qp_info=1", ""), "removal-old");
}

#[test]
fn a_node_that_stays_behind_leads_nowhere() {
    scenario(&Run::new("kunpeng930", ""), "static-node");
}

#[test]
fn a_planned_removal_is_a_removal() {
    scenario(&Run::new("kunpeng930", "zip:remove@2"), "planned");
}

#[test]
fn devices_appear_late() {
    scenario(&Run::new("kunpeng930,zip.late=400", ""), "late");
    scenario(&Run::new("kunpeng930,zip.late=3600000", ""), "late-by-command");
}

#[test]
fn a_reset_shows_at_once_in_every_queue() {
    scenario(&Run::new("kunpeng930", ""), "reset");
}

#[test]
fn errors_isolate_by_the_strategy_that_was_written() {
    scenario(&Run::new("kunpeng930", ""), "strategy");
    scenario(&Run::new("kunpeng930,flags=129", ""), "strategy-kae");
}

#[test]
fn the_command_says_what_is_wrong_with_it() {
    let run = Run::new("kunpeng930", "");
    let tool = |words: &[&str], dir: &Path| {
        let mut command = Command::new(TOOL);
        command.args(words).env("WARPDRIVE_MODEL_DIR", dir).env("WARPDRIVE_MODEL", "kunpeng930");
        command.output().unwrap()
    };
    for (words, complaint) in [
        (&["remove", "hisi_zip-9"][..], "no device hisi_zip-9"),
        (&["reset", "hisi_zip-4", "soon"], "no number of milliseconds"),
        (&["destroy", "hisi_zip-4"], "wants"),
        (&[], "wants"),
    ] {
        let output = tool(words, &run.dir);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(complaint), "{words:?}");
    }
    assert!(!tool(&["list"], Path::new("")).status.success());
    assert!(tool(&["remove", "hisi_hpre-2"], &run.dir).status.success());
    let list = String::from_utf8(tool(&["list"], &run.dir).stdout).unwrap();
    assert!(list.contains("hisi_hpre-2\tabsent\t") && list.contains("hisi_sec2-0\tpresent\t256"), "{list}");
}
