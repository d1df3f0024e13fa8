//! `warpdrive run`: one program with the accelerator, or with the device model.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use warpdrive_core::stats;

use crate::libraries::{Library, find};
use crate::{openssl_conf, report};

/// Deadline of a request on the healthy device model, in milliseconds.
const MODEL_DEADLINE_MS: &str = "60000";
/// How the device model's log marks settings that it does not understand.
const SETTINGS_REFUSED: &str = "SETTINGS REFUSED";
/// What is news in that log even under a fault plan: refused settings, descriptors, doorbells; mistakes of its own.
const NEWS: [&str; 2] = ["REFUSED", "PANICKED"];
/// Lines of the device model's log that are shown when the program has ended.
const LOG_LINES: usize = 20;

/// What to run, and on what.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Preload the device model: the accelerator in software, for trying out and for tests.
    #[arg(long, value_name = "PROFILE", num_args = 0..=1, require_equals = true, default_missing_value = "kunpeng930")]
    model: Option<String>,
    /// Fault plan of the device model (needs --model); see device-model/README.md.
    #[arg(long, value_name = "PLAN", requires = "model")]
    faults: Option<String>,
    /// Write what was served where, as JSON, when the program has ended.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write a line for every request of the device model (needs --model); see device-model/README.md.
    #[arg(long, value_name = "FILE", requires = "model")]
    trace: Option<PathBuf>,
    /// Program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Runs the program; its exit status becomes ours (128 + signal if one killed it).
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    for (what, file) in [("report", &arguments.report), ("trace", &arguments.trace)] {
        if let Some(file) = file {
            writable(file).with_context(|| format!("cannot write the {what} {}", file.display()))?;
        }
    }
    let scratch =
        tempfile::Builder::new().prefix("warpdrive-").tempdir().context("no temporary directory")?;
    let stats_dir = scratch.path().join("stats");
    let model_dir = scratch.path().join("model");
    std::fs::create_dir(&stats_dir)?;
    std::fs::create_dir(&model_dir)?;
    // There from the start, so that the program need not look for it again and again.
    stats::switch::turn(&stats::switch::own(&stats_dir)?, false, "")?;

    let mut command = Command::new(&arguments.program[0]);
    command.args(&arguments.program[1..]);
    command.env("WARPDRIVE_STATS_DIR", &stats_dir);
    let mut preload = Vec::new();
    if let Some(profile) = &arguments.model {
        // First in the list, so that it stands between every other library and the C library.
        preload.push(find(Library::DeviceModel)?);
        let trace = if arguments.trace.is_some() { ",trace=1" } else { "" };
        command.env("WARPDRIVE_MODEL", format!("{profile}{trace}")).env("WARPDRIVE_MODEL_DIR", &model_dir);
        // What the model takes is its software engines' time: nothing to choose a side by.
        if !["WARPDRIVE_POLICY", "WARPDRIVE_MODE"].iter().any(|name| std::env::var_os(name).is_some()) {
            command.env("WARPDRIVE_POLICY", "device");
        }
        match &arguments.faults {
            Some(plan) => {
                command.env("WARPDRIVE_MODEL_FAULTS", plan);
            }
            // The healthy model computes on the processors that the program itself uses: on a busy machine its
            // requests outlast a deadline meant for hardware.
            None if std::env::var_os("WARPDRIVE_DEADLINE_MS").is_none() => {
                command.env("WARPDRIVE_DEADLINE_MS", MODEL_DEADLINE_MS);
            }
            None => {}
        }
    }
    preload.push(find(Library::Zlib)?);
    command.env("LD_PRELOAD", preload_list(&preload, std::env::var_os("LD_PRELOAD").as_deref()));
    match write_openssl_conf(scratch.path())? {
        Some(path) => {
            command.env("OPENSSL_CONF", path);
        }
        None => eprintln!(
            "warpdrive: the OpenSSL configuration activates providers without `default`; it stays as it is, without ours"
        ),
    }

    let status = run_to_end(&mut command)
        .with_context(|| format!("cannot run {}", arguments.program[0].to_string_lossy()))?;
    if let Some(file) = &arguments.report {
        let core = stats::reader::totals(&stats_dir)?;
        let model = arguments.model.is_some().then(|| stats::read_dir(&model_dir)).transpose()?;
        let mut text = serde_json::to_string_pretty(&report::build(&core, model.as_ref()))?;
        text.push('\n');
        std::fs::write(file, text).with_context(|| format!("cannot write the report {}", file.display()))?;
    }
    if let Some(file) = &arguments.trace {
        // a program that used no device left none
        let trace = std::fs::read(model_dir.join("trace")).unwrap_or_default();
        std::fs::write(file, trace).with_context(|| format!("cannot write the trace {}", file.display()))?;
    }
    if arguments.model.is_some() {
        let log = std::fs::read_to_string(model_dir.join("model.log")).unwrap_or_default();
        // Planned faults are no news; whatever else the model complains of is.
        let news: Vec<&str> = log
            .lines()
            .filter(|line| arguments.faults.is_none() || NEWS.iter().any(|news| line.contains(news)))
            .collect();
        for line in news.iter().take(LOG_LINES) {
            eprintln!("warpdrive: device model: {line}");
        }
        if news.len() > LOG_LINES {
            eprintln!("warpdrive: device model: … and {} more lines", news.len() - LOG_LINES);
        }
        anyhow::ensure!(!log.contains(SETTINGS_REFUSED), "the device model did not take part");
    }
    Ok(exit_code(status))
}

/// Whether the report can be written, asked before the program runs: its work may not be repeatable.
fn writable(file: &Path) -> std::io::Result<()> {
    match std::fs::metadata(file) {
        // a pipe or a terminal is opened once, when there is something to say
        Ok(found) if !found.is_file() && !found.is_dir() => Ok(()),
        _ => std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(file).map(drop),
    }
}

fn write_openssl_conf(directory: &Path) -> Result<Option<PathBuf>> {
    let base = openssl_conf::base_file();
    let content =
        base.as_ref().map(std::fs::read).transpose().context("cannot read the OpenSSL configuration")?;
    let content = content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let module = find(Library::Provider)?;
    let Some(text) = openssl_conf::text(base.as_deref().zip(content.as_deref()), &module) else {
        return Ok(None);
    };
    let path = directory.join("openssl.cnf");
    std::fs::write(&path, text)?;
    Ok(Some(path))
}

fn preload_list(ours: &[PathBuf], inherited: Option<&OsStr>) -> OsString {
    let theirs = inherited.filter(|list| !list.is_empty()).map(OsStr::to_os_string);
    let parts: Vec<OsString> = ours.iter().map(|path| path.clone().into_os_string()).chain(theirs).collect();
    parts.join(OsStr::new(":"))
}

/// Starts the program and waits for it; signals that ask us to end go to the program instead.
fn run_to_end(command: &mut Command) -> Result<ExitStatus> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    let mut child: Child = command.spawn()?;
    let target = Pid::from_raw(child.id().cast_signed());
    let handle = signals.handle();
    let forwarder = std::thread::spawn(move || {
        for signal in &mut signals {
            // From a terminal the whole foreground group has it already; a second delivery could cut a
            // program's own orderly shutdown short.
            let from_terminal =
                matches!(signal, SIGINT | SIGQUIT) && std::io::IsTerminal::is_terminal(&std::io::stdin());
            if !from_terminal && let Ok(signal) = Signal::try_from(signal) {
                let _ = kill(target, signal);
            }
        }
    });
    let status = child.wait();
    handle.close();
    let _ = forwarder.join();
    Ok(status?)
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(125);
    ExitCode::from(u8::try_from(code & 0xFF).unwrap_or(125))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inherited_preloads_stay_behind_ours() {
        let ours = [PathBuf::from("/a.so"), PathBuf::from("/b.so")];
        assert_eq!(preload_list(&ours, None), "/a.so:/b.so");
        assert_eq!(preload_list(&ours, Some(OsStr::new(""))), "/a.so:/b.so");
        assert_eq!(preload_list(&ours, Some(OsStr::new("/c.so"))), "/a.so:/b.so:/c.so");
    }
}
