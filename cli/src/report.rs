//! Counters by name, nested into the JSON of `run --report` and `stats --json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Counter values by dotted name, as the counter files hold them.
pub type Counters = BTreeMap<String, u64>;

/// Classes that a report always shows, served or not.
const CLASSES: [&str; 4] = ["zip.compress", "zip.decompress", "sec.cipher", "hpre.rsa"];

/// `{"zip": {"compress": {"requests": n, "bytes": n}, …}, …}` from the counters below `prefix`.
fn served(counters: &Counters, prefix: &str) -> Value {
    let mut root = Map::new();
    for class in CLASSES {
        for quantity in ["requests", "bytes"] {
            insert(&mut root, &format!("{class}.{quantity}"), 0);
        }
    }
    for (name, value) in counters {
        let Some(name) = name.strip_prefix(prefix) else { continue };
        if name.ends_with(".requests") || name.ends_with(".bytes") {
            insert(&mut root, name, *value);
        }
    }
    Value::Object(root)
}

fn insert(root: &mut Map<String, Value>, name: &str, value: u64) {
    match name.split_once('.') {
        None => {
            root.insert(name.to_owned(), json!(value));
        }
        Some((head, rest)) => {
            let entry = root.entry(head).or_insert_with(|| json!({}));
            if let Value::Object(inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

/// The report of one run. `model` holds the device model's own counters when one was preloaded.
pub fn build(core: &Counters, model: Option<&Counters>) -> Value {
    let software: Map<String, Value> = core
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("software.")?.to_owned(), json!(value))))
        .collect();
    // which rules were broken, so that a report that shows a refusal says why
    let rules: Map<String, Value> = model
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.strip_prefix("refused.")?.to_owned(), json!(value))))
        .collect();
    json!({
        "device": served(core, "device."),
        "software": software,
        "model": model.map(|counters| served(counters, "")),
        "refused": model.and_then(|counters| counters.get("refused").copied()).unwrap_or(0),
        "rules_broken": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(pairs: &[(&str, u64)]) -> Counters {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_report_nests_names_and_shows_idle_classes() {
        let core = counters(&[
            ("device.zip.compress.requests", 3),
            ("device.zip.compress.bytes", 4096),
            ("software.no_device", 7),
        ]);
        let model = counters(&[
            ("zip.compress.requests", 3),
            ("zip.compress.accepted", 3),
            ("refused", 1),
            ("refused.type", 1),
        ]);
        let report = build(&core, Some(&model));
        assert_eq!(report["device"]["zip"]["compress"], json!({"requests": 3, "bytes": 4096}));
        assert_eq!(report["device"]["hpre"]["rsa"], json!({"requests": 0, "bytes": 0}));
        assert_eq!(report["model"]["zip"]["compress"], json!({"requests": 3, "bytes": 0}));
        assert_eq!(report["software"], json!({"no_device": 7}));
        assert_eq!((&report["refused"], &report["rules_broken"]), (&json!(1), &json!({"type": 1})));
    }

    #[test]
    fn without_a_model_the_report_claims_no_model_count() {
        let report = build(&Counters::new(), None);
        assert_eq!(report["model"], Value::Null);
        assert_eq!(report["refused"], json!(0));
    }
}
