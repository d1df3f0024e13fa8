//! The `warpdrive` command: what is there, one program with the accelerator, what was served where.
#![forbid(unsafe_code)]

mod command;
mod libraries;
mod openssl_conf;
mod process;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Kunpeng accelerators for unmodified programs.
#[derive(Debug, Parser)]
#[command(name = "warpdrive", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the accelerators: queues free, algorithms, NUMA node, and why one is not usable.
    Devices(command::devices::Arguments),
    /// Say what a request would be served by, and why: expected costs of both sides, assumed or measured.
    Explain(command::explain::Arguments),
    /// Run one program with the zlib library preloaded and the OpenSSL provider configured.
    Run(command::run::Arguments),
    /// Print what was served where, how fast, and why not, summed over all processes that keep counters.
    Stats(command::stats::Arguments),
    /// Switch devices off for running programs (root: for all; others: for their own).
    Off(command::switch::OffArguments),
    /// Switch devices on again.
    On(command::switch::OnArguments),
    /// Print whether devices are switched off, since when and why; status 1 if they are.
    Status(command::switch::StatusArguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Devices(arguments) => command::devices::execute(&arguments),
        Command::Explain(arguments) => command::explain::execute(&arguments),
        Command::Run(arguments) => command::run::execute(&arguments),
        Command::Stats(arguments) => command::stats::execute(&arguments),
        Command::Off(arguments) => command::switch::off(&arguments),
        Command::On(arguments) => command::switch::on(&arguments),
        Command::Status(arguments) => command::switch::status(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("warpdrive: {error:#}");
        ExitCode::from(125)
    })
}
