//! What was counted, by name, nested into the JSON of `run --report` and `stats --json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use warpdrive_core::stats::Histogram;
use warpdrive_core::stats::reader::Values;

/// Counter values by dotted name.
pub type Counters = BTreeMap<String, u64>;

/// Classes that a report always shows, served or not.
pub const CLASSES: [&str; 4] = ["zip.compress", "zip.decompress", "sec.cipher", "hpre.rsa"];

/// The percentiles that are shown, in percent.
pub const PERCENTILES: [u64; 3] = [50, 90, 99];

/// `{"zip": {"compress": {"requests": n, "bytes": n}, …}, …}` from the counters below `prefix`.
fn served(counters: &Counters, prefix: &str) -> Value {
    let mut root = Map::new();
    for class in CLASSES {
        for quantity in ["requests", "bytes"] {
            insert(&mut root, &format!("{class}.{quantity}"), json!(0));
        }
    }
    for (name, value) in counters {
        let Some(name) = name.strip_prefix(prefix) else { continue };
        if name.ends_with(".requests") || name.ends_with(".bytes") {
            insert(&mut root, name, json!(value));
        }
    }
    Value::Object(root)
}

fn insert(root: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            root.insert(name.to_owned(), value);
        }
        Some((head, rest)) => {
            let entry = root.entry(head).or_insert_with(|| json!({}));
            if let Value::Object(inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

/// `{name: n}` of the counters below `prefix`.
fn flat(counters: &Counters, prefix: &str) -> Value {
    let below = counters.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
    Value::Object(below.map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

/// `{engine: {kind: {"count": n, "p50": n, …}}}` of the histograms below `prefix` that have values.
fn percentiles(values: &Values, prefix: &str) -> Value {
    let mut root = Map::new();
    for (name, histogram) in &values.histograms {
        if let Some(name) = name.strip_prefix(prefix)
            && histogram.total() > 0
        {
            insert(&mut root, name, summary(histogram));
        }
    }
    Value::Object(root)
}

fn summary(histogram: &Histogram) -> Value {
    let mut summary = Map::from_iter([("count".to_owned(), json!(histogram.total()))]);
    for percent in PERCENTILES {
        summary.insert(format!("p{percent}"), json!(histogram.percentile(percent, 100)));
    }
    Value::Object(summary)
}

/// What was counted: by devices, by software and why, how long it took (nanoseconds) and how deep queues were.
pub fn values(values: &Values) -> Map<String, Value> {
    let mut reasons = Map::new();
    for (name, value) in &values.counters {
        if let Some(name) = name.strip_prefix("reason.")
            && *value > 0
        {
            insert(&mut reasons, name, json!(value));
        }
    }
    Map::from_iter([
        ("device".to_owned(), served(&values.counters, "device.")),
        ("software".to_owned(), flat(&values.counters, "software.")),
        ("reasons".to_owned(), Value::Object(reasons)),
        ("events".to_owned(), flat(&values.counters, "event.")),
        (
            "latency_ns".to_owned(),
            json!({
                "device": percentiles(values, "latency.device."),
                "software": percentiles(values, "latency.software."),
            }),
        ),
        ("depth".to_owned(), percentiles(values, "depth.")),
    ])
}

/// The report of one run. `model` holds the device model's own counters when one was preloaded.
pub fn build(core: &Values, model: Option<&Counters>) -> Value {
    let mut report = values(core);
    report.insert("model".to_owned(), json!(model.map(|counters| served(counters, ""))));
    let refused = model.and_then(|counters| counters.get("refused").copied()).unwrap_or(0);
    report.insert("refused".to_owned(), json!(refused));
    // which rules were broken, so that a report that shows a refusal says why
    let rules = model.map_or_else(|| json!({}), |counters| flat(counters, "refused."));
    report.insert("rules_broken".to_owned(), rules);
    Value::Object(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use warpdrive_core::stats::histogram::Shape;

    fn counters(pairs: &[(&str, u64)]) -> Counters {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_report_nests_names_and_shows_idle_classes() {
        let shape = Shape { shift: 0, digits: 3, buckets: 16 };
        let histogram = |counts: &[u64; 16]| Histogram { shape, counts: counts.to_vec() };
        let values = Values {
            counters: counters(&[
                ("device.zip.compress.requests", 3),
                ("device.zip.compress.bytes", 4096),
                ("software.no_device", 7),
                ("reason.zip.compress.no_device", 6),
                ("reason.sec.cipher.no_device", 0),
                ("event.reset", 2),
            ]),
            histograms: [
                ("latency.device.zip.compress", [0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                ("latency.software.hpre.rsa", [0; 16]),
                ("depth.zip.compress", [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ]
            .map(|(name, counts)| (name.to_owned(), histogram(&counts)))
            .into(),
        };
        let model = counters(&[
            ("zip.compress.requests", 3),
            ("zip.compress.accepted", 3),
            ("refused", 1),
            ("refused.type", 1),
        ]);
        let report = build(&values, Some(&model));
        assert_eq!(report["device"]["zip"]["compress"], json!({"requests": 3, "bytes": 4096}));
        assert_eq!(report["device"]["hpre"]["rsa"], json!({"requests": 0, "bytes": 0}));
        assert_eq!(report["model"]["zip"]["compress"], json!({"requests": 3, "bytes": 0}));
        assert_eq!(report["software"], json!({"no_device": 7}));
        assert_eq!(report["reasons"], json!({"zip": {"compress": {"no_device": 6}}}));
        assert_eq!(report["events"], json!({"reset": 2}));
        let compress = json!({"count": 10, "p50": 3, "p90": 3, "p99": 5});
        assert_eq!(report["latency_ns"], json!({"device": {"zip": {"compress": compress}}, "software": {}}));
        assert_eq!(report["depth"]["zip"]["compress"]["p99"], json!(0));
        assert_eq!((&report["refused"], &report["rules_broken"]), (&json!(1), &json!({"type": 1})));
    }

    #[test]
    fn without_a_model_the_report_claims_no_model_count() {
        let report = build(&Values::default(), None);
        assert_eq!(report["model"], Value::Null);
        assert_eq!(report["refused"], json!(0));
    }
}
