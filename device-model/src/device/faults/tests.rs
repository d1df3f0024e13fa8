//! The plan's grammar and its decisions.

use super::*;

fn counters(plan: &Plan) -> Vec<AtomicU64> {
    (0..plan.counters()).map(|_| AtomicU64::new(0)).collect()
}

fn run(plan: &str, requests: &[(Kind, &str)]) -> Vec<Option<Fault>> {
    let plan = Plan::parse(plan).unwrap();
    let counters = counters(&plan);
    let faults = Faults { plan: &plan, counters: &counters };
    requests.iter().map(|(kind, class)| faults.request(*kind, class, 0)).collect()
}

#[test]
fn the_nth_request_of_the_scope_is_hit() {
    let zip = (Kind::Zip, "compress");
    let other = (Kind::Zip, "decompress");
    let hits = run("zip.compress:status=0x0b@2", &[zip, other, zip, zip]);
    assert_eq!(hits, [None, None, Some(Fault::Status(11)), None]);
}

#[test]
fn from_every_and_wildcard() {
    let requests = [(Kind::Sec, "cipher"); 5];
    let fired = |plan: &str| run(plan, &requests).iter().map(Option::is_some).collect::<Vec<_>>();
    assert_eq!(fired("*:drop@4+"), [false, false, false, true, true]);
    assert_eq!(fired("sec:partial@%2"), [false, true, false, true, false]);
    assert_eq!(fired("hpre:drop@1+"), [false; 5]);
}

#[test]
fn the_first_rule_that_fires_decides_and_all_rules_count() {
    let hits = run("zip:drop@2;zip:delay=5@%2", &[(Kind::Zip, "compress"); 4]);
    assert_eq!(hits, [None, Some(Fault::Drop), None, Some(Fault::Delay(5))]);
}

#[test]
fn chance_is_reproducible_from_the_seed_and_near_its_probability() {
    let requests = vec![(Kind::Hpre, "rsa"); 4000];
    let hits = |plan: &str| run(plan, &requests);
    let first = hits("hpre:reset@p0.25,seed=7");
    assert_eq!(first, hits("hpre:reset@p0.25,seed=7"));
    assert_ne!(first, hits("hpre:reset@p0.25,seed=8"));
    let fired = first.iter().flatten().count();
    assert!((850..1150).contains(&fired), "{fired}");
    assert!(hits("hpre:drop@p0").iter().all(Option::is_none));
    assert!(hits("hpre:drop@p1").iter().all(Option::is_some));
}

#[test]
fn opens_and_requests_count_apart() {
    let plan = Plan::parse("zip:refuse-open=EBUSY@2;*:drop@1;zip:busy=7@3").unwrap();
    let counters = counters(&plan);
    let faults = Faults { plan: &plan, counters: &counters };
    assert_eq!(faults.open(Kind::Zip, 0), None);
    assert_eq!(faults.request(Kind::Zip, "compress", 0), Some(Fault::Drop));
    assert_eq!(faults.open(Kind::Zip, 0), Some(Fault::RefuseOpen(16)));
    assert_eq!(faults.open(Kind::Hpre, 0), None);
    assert_eq!(faults.open(Kind::Zip, 0), Some(Fault::Busy(7)));
}

#[test]
fn every_kind_is_read_and_written_alike() {
    let kinds = [
        ("status=0xb", Fault::Status(11)),
        ("drop", Fault::Drop),
        ("delay=5", Fault::Delay(5)),
        ("partial", Fault::Partial),
        ("truncate", Fault::Truncate),
        ("page-fault=2", Fault::PageFault(2)),
        ("cq-overflow", Fault::CqOverflow),
        ("reset=9", Fault::Reset(9)),
        ("isolate", Fault::Isolate),
        ("remove", Fault::Remove),
        ("corrupt", Fault::Corrupt),
        ("stale-tag", Fault::StaleTag),
    ];
    for (text, fault) in kinds {
        let hits = run(&format!("zip:{text}@1"), &[(Kind::Zip, "compress")]);
        assert_eq!((hits[0], fault.to_string()), (Some(fault), text.to_owned()));
        assert_eq!(fault.is_silent(), ["corrupt", "stale-tag"].contains(&text));
    }
    let defaults = run("zip:reset@1;zip:page-fault@2", &[(Kind::Zip, "compress"); 2]);
    assert_eq!(defaults, [Some(Fault::Reset(20)), Some(Fault::PageFault(1))]);
    assert_eq!(Fault::CqOverflow.counter(), "fault.cq_overflow");
}

#[test]
fn a_window_opens_and_closes_by_the_clock_from_the_first_decision() {
    let plan = Plan::parse("sec:drop@t10-20").unwrap();
    let counters = counters(&plan);
    let faults = Faults { plan: &plan, counters: &counters };
    let hit = |at| faults.request(Kind::Sec, "cipher", at).is_some();
    let start = 5_000;
    assert!(!hit(start));
    assert_eq!([9, 10, 19, 20].map(|ms| hit(start + ms)), [false, true, true, false]);
}

#[test]
fn a_broken_rule_is_named() {
    for rule in [
        "zip",
        "zip:drop",
        "zap:drop@1",
        "zip:fly@1",
        "zip:drop@0",
        "zip:drop@x",
        "zip:status@1",
        "zip:drop=3@1",
        "zip.:drop@1",
        "zip:drop@p2",
        "zip:drop@p0.1,sead=3",
        "zip:refuse-open=EWHAT@1",
        "zip:status=0x1ffffffff@1",
        "zip:drop@%0",
        "zip.compress:refuse-open=EBUSY@1",
        "zip.compress:busy@1",
        "sec:truncate@1",
        "*:truncate@1",
        "zip:page-fault=0@1",
        "zip:isolate=1@1",
        "zip:drop@t5-5",
        "zip:drop@t5",
    ] {
        let error = Plan::parse(&format!("sec:drop@1;{rule}")).unwrap_err();
        assert!(error.contains(rule), "{error}");
    }
    assert_eq!(Plan::parse(" ; ").unwrap(), Plan::default());
}
