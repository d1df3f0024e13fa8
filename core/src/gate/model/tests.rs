//! What the model answers; how it follows a device that changes is in the studies (bench/).

use super::*;
use crate::job::{Needs, Op};

const KIB64: usize = 64 << 10;

fn job(effort: Effort, bytes: usize) -> Job {
    Job::new(effort.op(), bytes, Needs::always("x")).with_effort(effort)
}

fn model(policy: Policy) -> CostModel {
    CostModel::new(policy, 200)
}

fn teach(model: &CostModel, job: &Job, device: u64, software: u64) {
    for _ in 0..10 {
        model.device(job, 0, 0, device);
        model.software(job, software);
    }
}

#[test]
fn starts_from_the_assumptions_and_says_so() {
    let model = model(Policy::Latency);
    let deflate = job(Effort::DeflateUsual, KIB64);
    assert_eq!(model.software_cost(deflate.effort, KIB64), Expected { ns: 1_014_800, samples: 0 });
    assert_eq!(model.device_cost(deflate.effort, KIB64, 0, 0), Expected { ns: 30_960, samples: 0 });
    assert_eq!(model.decide(&deflate, 0, 0).software, None);
    let cipher = model.decide(&job(Effort::Cipher, 4096), 0, 0);
    assert_eq!((cipher.software, cipher.explored), (Some(Why::CheaperOnCpu), false));
}

#[test]
fn only_the_row_with_evidence_moves() {
    let model = model(Policy::Latency);
    teach(&model, &job(Effort::DeflateUsual, KIB64), 10_000_000, 1_000_000);
    let software = |effort, bytes| model.decide(&job(effort, bytes), 0, 0).software;
    assert_eq!(software(Effort::DeflateUsual, KIB64), Some(Why::CheaperOnCpu));
    assert_eq!(software(Effort::DeflateUsual, KIB64 + 1000), Some(Why::CheaperOnCpu), "the same class");
    assert_eq!(software(Effort::DeflateUsual, 2 * KIB64), None);
    assert_eq!(software(Effort::DeflateBest, KIB64), None);
    assert_eq!(software(Effort::Inflate, KIB64), None);
}

#[test]
fn policies_draw_the_line_where_they_say() {
    let table = [
        (Policy::Latency, [true, false, false, false]),
        (Policy::Throughput, [true, true, false, false]),
        (Policy::SaveCpu, [true, true, true, false]),
        (Policy::Device, [true; 4]),
        (Policy::Off, [false; 4]),
    ];
    for (policy, expected) in table {
        for (device, expected) in [900, 1_900, 7_900, 8_100].into_iter().zip(expected) {
            let (model, job) = (CostModel::new(policy, 0), job(Effort::RsaPublic, 256));
            teach(&model, &job, device, 1_000);
            assert_eq!(model.decide(&job, 0, 0).software.is_none(), expected, "{policy:?} {device}");
        }
    }
}

#[test]
fn streams_on_the_device_stay_unless_it_is_very_slow() {
    let table = [
        (Effort::Inflate, 7_000, true),
        (Effort::Inflate, 9_000, false),
        (Effort::DeflateUsual, 3_000, false),
    ];
    for (effort, device, stays) in table {
        let (model, job) = (model(Policy::Latency), job(effort, 4096));
        teach(&model, &job, device, 1_000);
        assert!(model.decide(&job, 0, 0).software.is_some());
        let decision = model.decide(&Job { sticky: true, ..job }, 0, 0);
        assert_eq!((decision.software.is_none(), decision.explored), (stays, false), "{effort:?} {device}");
    }
}

#[test]
fn deep_queues_send_a_part_to_software_and_say_so() {
    let (model, job) = (model(Policy::Latency), job(Effort::DeflateUsual, KIB64));
    teach(&model, &job, 100_000, 1_000_000);
    assert_eq!(model.decide(&job, 0, 8).software, None, "nine times as long, were they one after the other");
    assert_eq!(model.decide(&job, 0, 10).software, Some(Why::QueueDeep));
    for _ in 0..10 {
        model.device(&job, 0, 10, 150_000);
    }
    assert_eq!(model.decide(&job, 0, 10).software, None, "but they are not");
    let first = model.decide(&job, 0, 0);
    assert_eq!(model.still(&job, first, 0, 15).map(|decision| decision.expected), Ok(150_000));
    assert_eq!(model.still(&job, first, 0, 2000), Err(Why::QueueDeep));
}

#[test]
fn device_that_became_fast_is_fast_at_every_depth() {
    let (model, job) = (model(Policy::Latency), job(Effort::DeflateUsual, KIB64));
    for depth in [0, 1, 2, 4, 8] {
        for _ in 0..5 {
            model.device(&job, 0, depth, 10_000_000 * (u64::from(depth) + 1));
        }
    }
    model.device(&job, 0, 1, 90_000);
    model.device(&job, 0, 1, 90_000);
    assert_eq!(model.device_cost(job.effort, KIB64, 0, 0).ns, 90_000);
    assert_eq!(model.device_cost(job.effort, KIB64, 0, 3).ns, 180_000);
}

#[test]
fn devices_are_judged_apart() {
    let (model, job) = (model(Policy::Latency), job(Effort::DeflateUsual, KIB64));
    for _ in 0..5 {
        model.device(&job, 0, 0, 10_000_000);
        model.device(&job, 2, 0, 10_000);
    }
    assert_eq!(model.fastest(&job, [0, 1, 2].into_iter()), Some(2));
    let first = model.decide(&job, 2, 0);
    assert_eq!(first.software, None);
    assert_eq!(model.still(&job, first, 0, 0), Err(Why::CheaperOnCpu));
}

/// Requests until the side other than `usual` is tried, and its decision.
fn until_tried(model: &CostModel, job: &Job, usual: Option<Why>) -> (u32, Decision) {
    for n in 1..100_000 {
        let decision = model.decide(job, 0, 0);
        if decision.explored {
            return (n, decision);
        }
        assert_eq!(decision.software, usual);
    }
    panic!("never tried");
}

#[test]
fn tries_are_as_rare_as_the_share_says() {
    let (model, job) = (model(Policy::Latency), job(Effort::RsaPrivate, 256));
    teach(&model, &job, 3_700_000, 370_000);
    // Nine requests' time more, of which each pays in a fiftieth.
    for _ in 0..3 {
        let (n, decision) = until_tried(&model, &job, Some(Why::CheaperOnCpu));
        assert_eq!((n, decision.software, decision.expected), (450, None, 3_700_000));
        model.settle(&job, decision, 3_700_000);
    }
    let (_, decision) = until_tried(&model, &job, Some(Why::CheaperOnCpu));
    model.settle(&job, decision, 7_400_000);
    assert_eq!(
        until_tried(&model, &job, Some(Why::CheaperOnCpu)).0,
        950,
        "what it took beyond is paid back first"
    );
}

#[test]
fn software_is_tried_too_and_near_rivals_no_more_often_than_every_200th() {
    let (model, job) = (model(Policy::Latency), job(Effort::RsaPrivate, 256));
    teach(&model, &job, 300_000, 370_000);
    let (n, decision) = until_tried(&model, &job, None);
    assert_eq!((n, decision.software), (200, Some(Why::Explored)));
}

#[test]
fn side_without_evidence_is_tried_soon() {
    let (model, job) = (model(Policy::Latency), job(Effort::CipherChained, 16 << 10));
    for _ in 0..50 {
        model.software(&job, 15_000);
    }
    let (n, _) = until_tried(&model, &job, Some(Why::CheaperOnCpu));
    assert!(n < 20, "{n}");
    model.device(&job, 0, 0, 2_000);
    assert_eq!(model.decide(&job, 0, 0).software, None, "one good sample is enough to go on");
}

#[test]
fn second_look_follows_a_surprise_at_once() {
    let (model, job) = (model(Policy::Latency), job(Effort::DeflateUsual, KIB64));
    teach(&model, &job, 10_000_000, 1_000_000);
    let (_, decision) = until_tried(&model, &job, Some(Why::CheaperOnCpu));
    model.device(&job, 0, 0, 100_000);
    model.settle(&job, decision, 100_000);
    assert!(model.decide(&job, 0, 0).explored);
    assert!(!model.decide(&job, 0, 0).explored, "one caller takes it");
    model.device(&job, 0, 0, 100_000);
    assert_eq!(model.decide(&job, 0, 0).software, None);
}

#[test]
fn nothing_is_tried_without_a_share_or_where_the_policy_is_firm() {
    for (policy, share) in [(Policy::Latency, 0), (Policy::Device, 1000), (Policy::Off, 1000)] {
        let (model, job) = (CostModel::new(policy, share), job(Effort::RsaPrivate, 256));
        teach(&model, &job, 3_000, 2_000);
        assert!((0..10_000).all(|_| !model.decide(&job, 0, 0).explored), "{policy:?}");
    }
}

#[test]
fn extreme_figures_do_no_harm() {
    let model = model(Policy::Throughput);
    for op in Op::ALL {
        for bytes in [0, 1, usize::MAX] {
            let job = Job::new(op, bytes, Needs::always("x"));
            for took in [0, 1, u64::MAX] {
                for depth in [0, 1, u16::MAX] {
                    model.device(&job, usize::MAX, depth, took);
                    model.software(&job, took);
                    let decision = model.decide(&job, usize::MAX, depth);
                    model.settle(&job, decision, took);
                    let _ = model.still(&job, decision, 3, depth);
                }
            }
        }
    }
}
