//! `warpdrive stats`: what is served where, how fast, and why not.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use comfy_table::Table;
use serde_json::{Value, json};
use warpdrive_core::stats::reader::{self, CounterFile, Owner, Values};
use warpdrive_core::stats::{Histogram, switch};

use super::print;
use super::switch::lines;
use crate::process::{Process, default_directory};
use crate::report::{self, CLASSES, PERCENTILES};

/// Where the counters are, and how to print them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory of counter files [default: WARPDRIVE_STATS_DIR, else /run/warpdrive/stats]
    directory: Option<PathBuf>,
    /// This process alone (with the children that count in its file).
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads, sums and prints.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let process = arguments.pid.map(Process::look).transpose()?;
    let directory = arguments
        .directory
        .clone()
        .unwrap_or_else(|| process.as_ref().map_or_else(default_directory, |found| found.directory.clone()));
    // Programs keep them only where the drivers are loaded and the directory exists.
    let mut files =
        reader::files(&directory).with_context(|| format!("no counters in {}", directory.display()))?;
    let mut values = Values::default();
    match (arguments.pid, &process) {
        (Some(pid), Some(process)) => {
            files.retain(|file| belongs(file, pid, process));
            anyhow::ensure!(!files.is_empty(), "process {pid} has no counters in {}", directory.display());
            files.iter().filter_map(|file| file.content.owner.as_ref()).for_each(|o| values.merge(&o.values));
        }
        _ => files.iter().for_each(|file| values.merge(&file.content.totals)),
    }
    let switches = switch::all(&directory).unwrap_or_default();
    if arguments.json {
        let mut json = report::build(&values, None);
        json["off"] = json!(switches.iter().any(|(_, state)| state.off));
        json["processes"] = files.iter().filter_map(process_json).collect();
        print(&format!("{json:#}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&lines(&switches))?;
    print(&text(&values, &files))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a file is the process's: it maps it, or, when it maps none any more, was the last to have it.
pub(super) fn belongs(file: &CounterFile, pid: u32, process: &Process) -> bool {
    if process.maps_any() {
        return process.maps(file.inode, &file.path);
    }
    file.content.owner.as_ref().is_some_and(|owner| owner.pid == u64::from(pid))
}

fn process_json(file: &CounterFile) -> Option<Value> {
    let owner = file.content.owner.as_ref()?;
    let mut process = report::values(&owner.values);
    process.extend([
        ("pid".to_owned(), json!(owner.pid)),
        ("alive".to_owned(), json!(file.alive)),
        ("program".to_owned(), json!(owner.program)),
        ("uid".to_owned(), json!(owner.uid)),
        ("started".to_owned(), json!(owner.started)),
        ("gauges".to_owned(), json!(owner.gauges)),
    ]);
    Some(Value::Object(process))
}

fn text(values: &Values, files: &[CounterFile]) -> String {
    if !values.any() {
        return "nothing counted yet\n".to_owned();
    }
    let mut parts = vec![served(values), reasons(values), events(values)];
    let owners: Vec<_> = files.iter().filter_map(|f| Some((f.alive, f.content.owner.as_ref()?))).collect();
    parts.push(processes(&owners));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
    table.add_rows(rows);
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A line for every operation and side that has served or been timed.
fn served(values: &Values) -> String {
    let mut rows = Vec::new();
    for class in CLASSES {
        let counter = |name: String| values.counters.get(&name).copied().unwrap_or(0);
        for side in ["device", "software"] {
            let timed = values.histograms.get(&format!("latency.{side}.{class}"));
            let count = timed.map_or(0, Histogram::total);
            let (requests, bytes) = match side {
                "device" => (
                    counter(format!("device.{class}.requests")),
                    amount(counter(format!("device.{class}.bytes"))),
                ),
                _ => {
                    let reasons = format!("reason.{class}.");
                    let of_class = values.counters.iter().filter(|(name, _)| name.starts_with(&reasons));
                    (of_class.map(|(_, value)| value).sum(), "-".to_owned())
                }
            };
            if requests == 0 && count == 0 {
                continue;
            }
            let mut row = vec![class.to_owned(), side.to_owned(), requests.to_string(), bytes];
            let percentile = |percent| timed.and_then(|histogram| histogram.percentile(percent, 100));
            row.extend(
                PERCENTILES.map(|percent| percentile(percent).map_or_else(|| "-".to_owned(), duration)),
            );
            let depth = values.histograms.get(&format!("depth.{class}")).filter(|_| side == "device");
            row.push(
                depth.and_then(|d| d.percentile(99, 100)).map_or_else(|| "-".to_owned(), |d| d.to_string()),
            );
            rows.push(row);
        }
    }
    table(&["operation", "side", "requests", "bytes", "p50", "p90", "p99", "depth p99"], rows)
}

/// A line for every reason why software served, by operation where that is known.
fn reasons(values: &Values) -> String {
    let mut rows = Vec::new();
    for (name, total) in &values.counters {
        let Some(why) = name.strip_prefix("software.") else { continue };
        let mut rest = *total;
        for class in CLASSES {
            let count = values.counters.get(&format!("reason.{class}.{why}")).copied().unwrap_or(0);
            rest = rest.saturating_sub(count);
            if count > 0 {
                rows.push(vec![why.to_owned(), class.to_owned(), count.to_string()]);
            }
        }
        if rest > 0 {
            rows.push(vec![why.to_owned(), "before the decision".to_owned(), rest.to_string()]);
        }
    }
    table(&["software because", "operation", "requests"], rows)
}

fn events(values: &Values) -> String {
    let events = values.counters.iter().filter(|(_, value)| **value > 0);
    let row = |(name, value): (&String, &u64)| {
        Some(vec![name.strip_prefix("event.")?.to_owned(), value.to_string()])
    };
    table(&["event", "count"], events.filter_map(row).collect())
}

fn processes(owners: &[(bool, &Owner)]) -> String {
    let row = |(alive, owner): &(bool, &Owner)| {
        let sum = |begin: &str, end: &str| -> u64 {
            let chosen =
                owner.values.counters.iter().filter(|(n, _)| n.starts_with(begin) && n.ends_with(end));
            chosen.map(|(_, value)| value).sum()
        };
        vec![
            owner.pid.to_string(),
            if *alive { "running" } else { "ended" }.to_owned(),
            owner.uid.to_string(),
            owner.program.clone(),
            sum("device.", ".requests").to_string(),
            sum("software.", "").to_string(),
        ]
    };
    table(&["process", "", "user", "program", "device", "software"], owners.iter().map(row).collect())
}

/// Nanoseconds with three digits.
fn duration(ns: u64) -> String {
    scaled(ns, &[(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")], "ns")
}

/// Bytes with three digits.
fn amount(bytes: u64) -> String {
    scaled(bytes, &[(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")], "B")
}

fn scaled(value: u64, units: &[(u64, &str)], one: &str) -> String {
    let Some((size, name)) = units.iter().find(|(size, _)| value >= *size) else {
        return format!("{value} {one}");
    };
    let digits = match value / size {
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    format!("{:.digits$} {name}", value as f64 / *size as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits_and_their_unit() {
        let shown = [0, 999, 1_234, 12_345, 123_456, 9_999_999_999].map(duration);
        assert_eq!(shown, ["0 ns", "999 ns", "1.23 µs", "12.3 µs", "123 µs", "10.00 s"]);
        assert_eq!(amount(4_096), "4.10 kB");
    }

    #[test]
    fn reasons_that_no_operation_claims_are_shown_too() {
        let counters = [
            ("software.too_small", 5),
            ("reason.zip.compress.too_small", 3),
            ("reason.hpre.rsa.too_small", 1),
            ("software.failed", 0),
        ];
        let counters = counters.map(|(name, value)| (name.to_owned(), value)).into();
        let text = reasons(&Values { counters, ..Values::default() });
        let lines: Vec<Vec<&str>> = text.lines().skip(1).map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["too_small", "zip.compress", "3"]);
        assert_eq!(lines[1], ["too_small", "hpre.rsa", "1"]);
        assert_eq!(lines[2], ["too_small", "before", "the", "decision", "1"]);
        assert_eq!(lines.len(), 3);
    }
}
