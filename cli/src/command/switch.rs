//! `warpdrive off`, `on` and `status`: the switch that running programs obey.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::json;
use warpdrive_core::stats::switch::{self, State};

use super::print;
use crate::process::{Process, default_directory};

/// Whose programs are meant.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Directory of counter files [default: WARPDRIVE_STATS_DIR, else /run/warpdrive/stats]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The `warpdrive run` that this process belongs to.
    #[arg(long, value_name = "PID", conflicts_with = "directory")]
    pid: Option<u32>,
}

/// Why devices are not to be used.
#[derive(Debug, clap::Args)]
pub struct OffArguments {
    /// Shown by `status`, up to 224 bytes.
    reason: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// Nothing but the place.
#[derive(Debug, clap::Args)]
pub struct OnArguments {
    #[command(flatten)]
    place: Place,
}

/// How to print.
#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Place {
    fn directory(&self) -> Result<PathBuf> {
        match (&self.directory, self.pid) {
            (Some(directory), _) => Ok(directory.clone()),
            (None, Some(pid)) => Ok(Process::look(pid)?.directory),
            (None, None) => Ok(default_directory()),
        }
    }
}

/// Switches devices off.
pub fn off(arguments: &OffArguments) -> Result<ExitCode> {
    turn(&arguments.place, true, &arguments.reason.join(" "))
}

/// Switches them on again.
pub fn on(arguments: &OnArguments) -> Result<ExitCode> {
    turn(&arguments.place, false, "")
}

fn turn(place: &Place, off: bool, reason: &str) -> Result<ExitCode> {
    let directory = place.directory()?;
    let path = switch::own(&directory).with_context(|| format!("cannot look at {}", directory.display()))?;
    switch::turn(&path, off, reason).with_context(|| format!("cannot turn {}", path.display()))?;
    let (name, state) = (path.file_name().unwrap_or_default(), if off { "off" } else { "on" });
    print(&format!("devices are {state} for {}\n", whose(&name.to_string_lossy())))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints every switch; status 1 if one says off.
pub fn status(arguments: &StatusArguments) -> Result<ExitCode> {
    let directory = arguments.place.directory()?;
    // Without the directory there is no switch, and nothing to obey.
    let states = match switch::all(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        result => result.with_context(|| format!("cannot look at {}", directory.display()))?,
    };
    let off = states.iter().any(|(_, state)| state.off);
    if arguments.json {
        let entry = |(name, state): &(String, State)| {
            json!({
                "switch": name, "off": state.off, "since": state.since, "by": state.by, "reason": state.reason,
            })
        };
        let switches: Vec<_> = states.iter().map(entry).collect();
        print(&format!("{:#}\n", json!({"directory": directory, "off": off, "switches": switches})))?;
    } else {
        print(&lines(&states))?;
        if !off {
            print("devices are on\n")?;
        }
    }
    Ok(if off { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A line for every switch that says off.
pub fn lines(states: &[(String, State)]) -> String {
    let line = |(name, state): &(String, State)| {
        let reason = if state.reason.is_empty() { String::new() } else { format!(": {}", state.reason) };
        let ago = ago(state.since);
        format!("devices are OFF for {}, for {ago}, by user {}{reason}\n", whose(name), state.by)
    };
    states.iter().filter(|(_, state)| state.off).map(line).collect()
}

fn whose(name: &str) -> String {
    name.strip_prefix("switch-")
        .map_or_else(|| "all programs here".to_owned(), |user| format!("the programs of user {user}"))
}

/// How long ago, in its largest unit.
fn ago(since: u64) -> String {
    let then = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since));
    let seconds = then.and_then(|then| then.elapsed().ok()).map_or(0, |elapsed| elapsed.as_secs());
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let unit = units.iter().find(|(size, _)| seconds >= 2 * size);
    unit.map_or_else(|| format!("{seconds} seconds"), |(size, name)| format!("{} {name}", seconds / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_switches_that_say_off_are_listed() {
        let state = |off| State { off, since: u64::MAX, by: 7, reason: "resets".to_owned() };
        let text = lines(&[("switch".to_owned(), state(false)), ("switch-12".to_owned(), state(true))]);
        assert_eq!(text, "devices are OFF for the programs of user 12, for 0 seconds, by user 7: resets\n");
    }
}
