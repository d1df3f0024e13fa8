//! A machine without SVA: the driver `nosva.c` takes all memory from SS regions.

use super::{Run, compile};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn nosva() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("nosva"))
}

/// Runs a scenario; what it printed before "ok".
fn scenario(run: &Run, name: &str) -> String {
    let output = run.of(nosva(), &[name]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{} {name}: {text}\n{}", run.profile, run.log());
    text.strip_suffix("ok\n").expect("an ok at the end").trim().to_owned()
}

/// With and without an IOMMU, both generations; slices small enough to have many.
const MACHINES: [&str; 4] = [
    "kunpeng920-nosva,ss_slice=128K",
    "kunpeng930-nosva,ss_slice=64K,ss_seed=3",
    "kunpeng920-nosva,flags=128",
    "kunpeng930-nosva,flags=128,ss_seed=7",
];

#[test]
fn requests_work_in_every_slice_of_the_queues_memory() {
    for (machine, slices) in MACHINES.into_iter().zip(["12", "24", "1", "1"]) {
        let run = Run::new(machine, "");
        assert_eq!(scenario(&run, "slices"), slices);
        let ledger = run.ledger();
        let count: u64 = slices.parse().unwrap();
        assert_eq!((ledger["zip.compress.requests"], ledger["zip.decompress.requests"]), (count, count));
        assert_eq!(ledger["refused"], 0, "{}", run.log());
    }
    assert_eq!(scenario(&Run::new("kunpeng930-nosva", ""), "slices"), "1");
}

#[test]
fn a_buffer_over_a_gap_is_refused_and_one_over_contiguous_slices_is_not() {
    for (gaps, expected) in [("all", "39 0"), ("none", "0 39")] {
        let machine = if gaps == "all" {
            "kunpeng930-nosva,ss_slice=64K,ss_gaps=all"
        } else {
            "kunpeng930-nosva,ss_slice=64K,ss_gaps=none"
        };
        let run = Run::new(machine, "");
        assert_eq!(scenario(&run, "gaps"), expected);
        let gap = run.log().contains("runs over the end of a slice into a gap");
        let refused = run.ledger().contains_key("refused.address");
        assert_eq!((gap, refused), (gaps == "all", gaps == "all"));
    }
    let run = Run::new("kunpeng920-nosva,ss_slice=64K", "");
    let mixed = scenario(&run, "gaps");
    let (apart, together) = mixed.split_once(' ').unwrap();
    assert!(apart.parse::<u32>().unwrap() > 5 && together.parse::<u32>().unwrap() > 2, "{mixed}");
}

#[test]
fn process_addresses_and_other_queues_slices_are_refused() {
    for machine in MACHINES {
        let run = Run::new(machine, "");
        scenario(&run, "strangers");
        assert_eq!(run.ledger()["refused.address"], 2 * 9 + 1, "{}", run.log());
        for why in ["a process address, not a DMA address", "a DMA address in no slice of this queue"] {
            assert!(run.log().contains(why), "{why} in\n{}", run.log());
        }
    }
}

#[test]
fn the_calls_about_memory_have_the_kernels_errors() {
    for machine in MACHINES {
        scenario(&Run::new(machine, ""), "errors");
    }
    for mainline in ["kunpeng920", "kunpeng930"] {
        scenario(&Run::new(mainline, ""), "mainline");
    }
}

#[test]
fn memory_goes_with_its_mapping_and_stops_its_queue() {
    for machine in MACHINES {
        scenario(&Run::new(machine, ""), "unmapping");
    }
}

#[test]
fn a_forked_child_has_the_descriptor_and_none_of_the_memory() {
    for machine in MACHINES {
        scenario(&Run::new(machine, ""), "fork");
    }
}

#[test]
fn a_shared_region_is_reached_by_both_queues_until_its_owner_unmaps_it() {
    for machine in MACHINES {
        scenario(&Run::new(machine, ""), "sharing");
    }
}

#[test]
fn kae_with_sva_takes_process_addresses_and_has_the_region_too() {
    scenario(&Run::new("kunpeng930-nosva,uacce_mode=1", ""), "both");
}

#[test]
fn memory_of_one_queue_serves_its_whole_device_where_the_profile_says_so() {
    let run = Run::new("kunpeng930-nosva,ss_reach=device", "");
    scenario(&run, "device");
    assert_eq!(run.ledger()["refused.address"], 2, "{}", run.log());
}
