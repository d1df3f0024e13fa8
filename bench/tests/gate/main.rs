//! The gate on virtual time against the better of always-device and always-software: the studies of `make bench-gate`, as
//! short as still says the same. Nothing here depends on the machine or its load.

// Used in part by each of the programs that share them.
#[allow(dead_code)]
#[path = "../virtual_time/link.rs"]
mod link;
#[allow(dead_code)]
#[path = "../../benches/gate/study.rs"]
mod study;
#[path = "../../benches/gate/world.rs"]
mod world;

use study::{FAST, SLOW, changing, changing_at, constant};
use world::{SECOND, TASKS};

/// So many requests in software, and no fewer than the price of a few tries: what "the first second" is here.
fn requests(software_ns: u64, count: u64) -> u64 {
    software_ns * count
}

#[test]
fn steady_devices_are_used_as_well_as_by_the_better_of_both_who_never_think() {
    for task in TASKS {
        for callers in [1, 4] {
            for factor in [SLOW, FAST] {
                // A warm-up of 1000 requests in software, then four times as long.
                let comparison = constant(task, callers, factor, requests(task.software_ns, 5000), 5);
                let ratios = comparison.ratios(1, 5);
                assert!(
                    ratios.throughput >= 0.95 && ratios.p99 >= 0.95,
                    "{}, {callers} callers, device of speed {factor}: {ratios:?}",
                    task.name
                );
            }
        }
    }
}

#[test]
fn device_that_changes_is_followed() {
    for task in TASKS {
        // A step of 10 000 requests in software is ten seconds of deflate.
        let step = requests(task.software_ns, 10_000);
        let comparison = changing(task, 1, step, 4);
        let whole = comparison.ratios(0, 4);
        assert!(whole.throughput >= 0.85, "{}: {whole:?}", task.name);
        for part in 0..4 {
            let ratios = comparison.ratios(part, part + 1);
            assert!(
                ratios.throughput >= 0.85 && ratios.p99 >= 0.85,
                "{}, step {part}: {ratios:?}",
                task.name
            );
        }
    }
}

/// Who asks when the last request is done asks ten times as often while the device is fast, so that over all of them
/// the slow times hardly count; under a load that does not change they do.
#[test]
fn device_that_changes_is_followed_under_a_steady_load() {
    for task in TASKS {
        let step = requests(task.software_ns, 10_000);
        // Eight callers, who together have a request every two software times.
        let ratios = changing_at(task, 8, 16 * task.software_ns, step, 1).ratios(0, 1);
        assert!(ratios.throughput >= 0.85 && ratios.p99 >= 0.85, "{}: {ratios:?}", task.name);
    }
}

#[test]
fn more_callers_than_the_device_can_serve_are_shared_out() {
    use warpdrive_core::config::Policy;
    use warpdrive_device_model::virtual_time::Speed;
    // One engine, ten times as fast: ten callers are its fill, the others' software adds to it.
    let study = world::Study {
        task: TASKS[0],
        callers: 16,
        engines: 1,
        speed: Speed::Constant(FAST),
        interval: 0,
        length: 4 * SECOND,
        parts: 4,
    };
    let [gate, device, software] =
        [world::Strategy::Model(Policy::Latency), world::Strategy::Device, world::Strategy::Software]
            .map(|who| world::Part::sum(&world::run(&study, who)[1..]).requests);
    assert!(gate as f64 >= 0.95 * device.max(software) as f64, "{gate} {device} {software}");
}

#[test]
fn same_study_gives_the_same_figures() {
    let figures = || {
        let comparison = changing(TASKS[2], 4, requests(TASKS[2].software_ns, 500), 8);
        comparison.gate.iter().map(|part| (part.requests, part.p99())).collect::<Vec<_>>()
    };
    assert_eq!(figures(), figures());
}
