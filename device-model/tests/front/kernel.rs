//! The kernel's rules for states, mappings, descriptors and processes: the driver `kernel.c`.

use super::{Run, compile};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("kernel"))
}

fn scenario(profile: &'static str, name: &str, kernel: &str) -> Run {
    let run = Run::new(profile, "");
    let output = run.of(program(), &[name, kernel, "hisi_zip-4"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.ends_with("ok\n"), "{profile} {name}: {text}\n{}", run.log());
    run
}

#[test]
fn every_kernel_has_its_own_state_machine() {
    for (profile, kernel) in [
        ("kunpeng930,kernel=newest", "newest"),
        ("kunpeng920,kernel=new", "new"),
        ("kunpeng930,put_q=zombie-new", "new"),
        ("kunpeng930,kernel=old", "old"),
    ] {
        scenario(profile, "machine", kernel);
    }
    scenario("kunpeng920,put_q=zombie", "old-zombie", "old");
}

#[test]
fn a_put_queue_is_handed_on_with_its_old_entries_while_its_descriptor_lives() {
    scenario("kunpeng930,queues=1,kernel=new", "handed-on", "new");
}

#[test]
fn queue_numbers_go_round() {
    scenario("kunpeng930,queues=5", "numbers", "newest");
}

#[test]
fn descriptors_have_the_modes_that_they_were_opened_with() {
    scenario("kunpeng930", "access", "newest");
}

#[test]
fn doorbells_keep_ringing_whatever_the_pages_protection() {
    for profile in super::BOTH {
        scenario(profile, "protection", "newest");
    }
}

#[test]
fn a_forked_queue_can_be_started_rung_put_and_closed_by_either_side() {
    for profile in super::BOTH {
        scenario(profile, "forks", "newest");
    }
}

#[test]
fn a_descriptor_that_survives_exec_is_a_queue_without_an_address_space() {
    let run = scenario("kunpeng930", "execute", "newest");
    assert!(run.log().contains("its address space is gone"), "{}", run.log());
}

#[test]
fn spawned_programs_leave_the_queue_alone() {
    scenario("kunpeng930", "spawns", "newest");
}

#[test]
fn every_way_to_duplicate_a_descriptor_keeps_the_queue() {
    scenario("kunpeng930", "duplicates", "newest");
}

#[test]
fn calls_that_fail_or_are_the_kernels_own_leave_the_queue_alone() {
    scenario("kunpeng930", "bystanders", "newest");
}

#[test]
fn queues_that_outlive_their_server_in_a_child_leave_nothing_behind_when_it_dies() {
    scenario("kunpeng930", "orphans", "newest");
}

#[test]
fn a_late_close_leaves_the_numbers_next_opening_alone() {
    for profile in ["kunpeng920,queues=1,kernel=new", "kunpeng930,queues=1,kernel=new"] {
        scenario(profile, "late-close", "new");
    }
}

#[test]
fn a_private_directory_that_was_left_behind_goes_with_the_next_process() {
    let run = Run::new("kunpeng930", "");
    let program_in = |what: &str| {
        let mut command = run.of(Path::new("/bin/sh"), &["-c", what]);
        command.env_remove("WARPDRIVE_MODEL_DIR").env("TMPDIR", &run.dir);
        assert!(command.status().unwrap().success());
        std::fs::read_dir(&run.dir).unwrap().count()
    };
    assert_eq!(
        program_in("test -d /sys/class/uacce && exec true"),
        1,
        "it could have found its queues there"
    );
    assert_eq!(program_in("exec ls -d /sys/class/uacce"), 0);
}
