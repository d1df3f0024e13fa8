//! `warpdrive stats`: the counters of all processes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use comfy_table::Table;
use warpdrive_core::stats;

use super::print;
use crate::report;

/// Where the counters are, and how to print them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory of counter files [default: WARPDRIVE_STATS_DIR, else /run/warpdrive/stats]
    directory: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Sums and prints.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let directory = arguments
        .directory
        .clone()
        .or_else(|| std::env::var_os("WARPDRIVE_STATS_DIR").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(stats::DEFAULT_DIRECTORY));
    // Programs keep them only where the drivers are loaded and the directory exists.
    let counters =
        stats::read_dir(&directory).with_context(|| format!("no counters in {}", directory.display()))?;
    if arguments.json {
        print(&format!("{:#}\n", report::build(&counters, None)))?;
        return Ok(ExitCode::SUCCESS);
    }
    if counters.is_empty() {
        print("nothing counted yet\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["counter", "value"]);
    for (name, value) in counters.iter().filter(|(_, value)| **value > 0) {
        table.add_row([name.clone(), value.to_string()]);
    }
    print(&format!("{table}\n"))?;
    Ok(ExitCode::SUCCESS)
}
