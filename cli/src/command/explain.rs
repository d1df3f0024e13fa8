//! `warpdrive explain`: what a request would be served by, and why.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use comfy_table::Table;
use warpdrive_core::gate::model::{Expected, Place};
use warpdrive_core::gate::table::{self, Line, Rules};
use warpdrive_core::stats::reader;
use warpdrive_core::uacce::sysfs::{CLASS_DIRECTORY, scan};
use warpdrive_core::{Effort, Op, config};

use super::print;
use super::stats::belongs;
use crate::process::Process;

/// Sizes that are shown if none are named, bytes.
const SIZES: [usize; 6] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// The same of RSA moduli.
const MODULI: [usize; 4] = [128, 256, 384, 512];

/// What to explain.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The table of a running process: what it has measured.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Where that process keeps its counters, if it has ended or hides it
    #[arg(long, value_name = "DIR", requires = "pid")]
    directory: Option<PathBuf>,
    /// With the rules that the configuration has for this program.
    #[arg(long, value_name = "NAME", conflicts_with = "pid")]
    program: Option<String>,
    /// Kind of work, or the beginning of its name: deflate, inflate, cipher, rsa, zip.compress, …
    operation: Option<String>,
    /// Sizes in bytes, with K, M or G behind if wanted; of RSA, the modulus.
    #[arg(value_parser = bytes)]
    sizes: Vec<usize>,
}

fn bytes(text: &str) -> Result<usize, String> {
    let (mut config, key) = (config::Config::default(), "zip_compress_min");
    config::set(&mut config, key, text).map_err(|_| "not a number of bytes".to_owned())?;
    Ok(config.zip_compress_min)
}

/// Prints the table.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let efforts = efforts(arguments.operation.as_deref())?;
    let text = match arguments.pid {
        Some(pid) => of_process(pid, arguments, &efforts)?,
        None => of_configuration(arguments, &efforts),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The efforts that a word names.
fn efforts(operation: Option<&str>) -> Result<Vec<Effort>> {
    let Some(operation) = operation else { return Ok(Effort::ALL.to_vec()) };
    let meant =
        |effort: &Effort| effort.name().starts_with(operation) || effort.op().name().starts_with(operation);
    let efforts: Vec<_> = Effort::ALL.into_iter().filter(meant).collect();
    if efforts.is_empty() {
        let names: Vec<_> = Effort::ALL.iter().map(|effort| effort.name()).collect();
        bail!(
            "no such operation: {operation}; there are {}, and their kinds such as zip.compress",
            names.join(", ")
        );
    }
    Ok(efforts)
}

fn of_process(pid: u32, arguments: &Arguments, efforts: &[Effort]) -> Result<String> {
    let process = Process::look(pid)?;
    let directory = arguments.directory.as_ref().unwrap_or(&process.directory);
    let mut files =
        reader::files(directory).with_context(|| format!("no counters in {}", directory.display()))?;
    files.retain(|file| belongs(file, pid, &process));
    // Each of our libraries in a process has a table of its own.
    let owners: Vec<_> = files.into_iter().filter_map(|file| file.content.owner).collect();
    let program = owners.first().map(|owner| owner.program.clone());
    let program =
        program.with_context(|| format!("process {pid} has no counters in {}", directory.display()))?;
    let tables: Vec<_> = owners.iter().filter_map(|owner| table::of_gauges(&owner.gauges)).collect();
    let Some((rules, _)) = tables.first() else {
        bail!("process {pid} ({program}) shows no table: there was no device when it looked");
    };
    let mut text = format!("process {pid} ({program}), policy {}\n", rules.policy.name());
    let lines = tables.iter().flat_map(|(_, lines)| lines).filter(|line| efforts.contains(&line.effort));
    let lines: Vec<_> = lines
        .filter(|line| arguments.sizes.is_empty() || arguments.sizes.iter().any(|size| in_row(line, *size)))
        .copied()
        .collect();
    if lines.is_empty() {
        text += "nothing of the kind has been measured there\n";
    } else {
        text += &as_text(&lines, &[]);
    }
    Ok(text)
}

/// Whether a size belongs to a line's class.
fn in_row(line: &Line, size: usize) -> bool {
    Place::of(line.effort, size) == Place::of(line.effort, line.bytes)
}

fn of_configuration(arguments: &Arguments, efforts: &[Effort]) -> String {
    let names = || match &arguments.program {
        Some(name) => vec![name.clone()],
        None => config::program_names(),
    };
    let (config, problems) = config::load(Path::new(config::FILE), &names, &[], std::env::vars_os());
    let rules = Rules::of(&config);
    let lines: Vec<Line> = efforts
        .iter()
        .flat_map(|effort| {
            let usual = if effort.op() == Op::HpreRsa { &MODULI[..] } else { &SIZES[..] };
            let sizes = if arguments.sizes.is_empty() { usual } else { &arguments.sizes };
            sizes.iter().map(|size| table::assumed(&rules, *effort, *size))
        })
        .collect();
    let entries = scan(Path::new(CLASS_DIRECTORY)).unwrap_or_default();
    let usable =
        |op: Op| entries.iter().any(|entry| entry.kind == Some(op.kind()) && entry.unusable.is_empty());
    let absent: Vec<Op> = Op::ALL.into_iter().filter(|op| !usable(*op)).collect();
    let mut text = format!(
        "policy {}; a process starts from this table and replaces what it measures\n",
        rules.policy.name()
    );
    for problem in problems {
        text += &format!("configuration: {problem} (ignored)\n");
    }
    text + &as_text(&lines, &absent)
}

/// The table; `absent` are the kinds of work for which there is no usable device here.
fn as_text(lines: &[Line], absent: &[Op]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["work", "bytes", "device µs", "", "software µs", "", "served by", "reason"]);
    for line in lines {
        let here = !absent.contains(&line.effort.op());
        let (by, reason) = match (line.why, here) {
            (_, false) => ("software", "no_device"),
            (Some(why), true) => ("software", why.name()),
            (None, true) => ("device", ""),
        };
        table.add_row([
            line.effort.name().to_owned(),
            line.bytes.to_string(),
            microseconds(line.device),
            origin(line.device),
            microseconds(line.software),
            origin(line.software),
            by.to_owned(),
            reason.to_owned(),
        ]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

fn microseconds(cost: Expected) -> String {
    format!("{:.1}", cost.ns as f64 / 1000.0)
}

fn origin(cost: Expected) -> String {
    match cost.samples {
        0 => "assumed".to_owned(),
        1 => "measured once".to_owned(),
        samples => format!("measured {samples} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_by_kind_or_effort() {
        assert_eq!(efforts(None).unwrap().len(), Effort::ALL.len());
        assert_eq!(efforts(Some("inflate")).unwrap(), [Effort::Inflate]);
        assert_eq!(efforts(Some("zip.compress")).unwrap().len(), 4);
        assert_eq!(efforts(Some("rsa")).unwrap(), [Effort::RsaPrivate, Effort::RsaPublic]);
        assert!(efforts(Some("sha")).is_err());
    }

    #[test]
    fn lines_say_cost_origin_side_and_reason() {
        let rules = Rules::of(&config::Config::default());
        let lines = [4096, 64].map(|size| table::assumed(&rules, Effort::DeflateUsual, size));
        let text = as_text(&lines, &[]);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["deflate-6-7", "4096", "13.6", "assumed", "72.8", "assumed", "device"]);
        assert_eq!(rows[2][6..], ["software", "too_small"]);
        assert!(as_text(&lines, &[Op::ZipCompress]).contains("no_device"));
    }

    #[test]
    fn sizes_are_bytes_with_suffixes() {
        assert_eq!((bytes("64K"), bytes("100")), (Ok(65536), Ok(100)));
        assert!(bytes("many").is_err());
    }
}
