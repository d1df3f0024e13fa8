//! `warpdrive devices`: what is there, and why something is not usable.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use comfy_table::Table;
use serde_json::{Value, json};
use warpdrive_core::Runtime;
use warpdrive_core::uacce::sysfs::{CLASS_DIRECTORY, Entry, Reach, scan};

use super::print;

/// How to print.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Lists; status 0 if at least one device is usable, 1 if none is.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let class = Path::new(CLASS_DIRECTORY);
    let (entries, absent) = match scan(class) {
        Ok(entries) => (entries, false),
        Err(error) if error.kind() == ErrorKind::NotFound => (Vec::new(), true),
        Err(error) => return Err(error).with_context(|| format!("cannot list {CLASS_DIRECTORY}")),
    };
    let problems: Vec<String> = Runtime::get().problems().iter().map(ToString::to_string).collect();
    let usable = entries.iter().any(|entry| entry.unusable.is_empty());
    if arguments.json {
        let devices: Vec<Value> = entries.iter().map(as_json).collect();
        print(&format!("{:#}\n", json!({"devices": devices, "configuration_problems": problems})))?;
    } else {
        print(&as_text(&entries, absent))?;
        for problem in problems {
            print(&format!("configuration: {problem} (ignored)\n"))?;
        }
    }
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_text(entries: &[Entry], absent: bool) -> String {
    if absent {
        return format!(
            "no accelerators: {CLASS_DIRECTORY} does not exist (is the uacce module loaded, and are the hisi_zip, \
             hisi_sec2 and hisi_hpre drivers loaded with uacce_mode=1, or 2 without an IOMMU?)\n"
        );
    }
    if entries.is_empty() {
        return "no accelerators: no driver has registered a device with uacce (hisi_zip, hisi_sec2 and hisi_hpre need \
                uacce_mode=1, or 2 without an IOMMU)\n"
            .to_owned();
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["device", "interface", "NUMA", "queues free", "algorithms", "state"]);
    let number = |value: Option<i64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
    for entry in entries {
        table.add_row([
            entry.name.clone(),
            entry.api.clone().unwrap_or_else(|| "?".to_owned()),
            entry.numa_node.to_string(),
            number(entry.available),
            entry.algorithms.join(" "),
            state(entry),
        ]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

fn state(entry: &Entry) -> String {
    if entry.unusable.is_empty() {
        return match entry.reach() {
            Some(Reach::Pinned { .. }) => "usable (no SVA: data is copied through pinned memory)",
            _ => "usable",
        }
        .to_owned();
    }
    let reasons: Vec<String> = entry.unusable.iter().map(ToString::to_string).collect();
    format!("not usable: {}", reasons.join("; "))
}

fn as_json(entry: &Entry) -> Value {
    json!({
        "name": entry.name,
        "node": entry.node,
        "kind": entry.kind.map(|kind| kind.name()),
        "api": entry.api,
        "numa_node": entry.numa_node,
        "queues_free": entry.available,
        "algorithms": entry.algorithms,
        "isolated": entry.isolated,
        "sva": entry.reach().map(|reach| reach == Reach::Process),
        "usable": entry.unusable.is_empty(),
        "unusable": entry.unusable.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_class_directory_is_told_with_a_remedy() {
        let text = as_text(&[], true);
        assert!(text.contains(CLASS_DIRECTORY) && text.contains("uacce_mode=1"), "{text}");
    }
}
