//! `make bench-zlib`: the zlib library in software against Debian's zlib, zlib-ng, zlib-rs and libdeflate, by class of
//! data, level and way of use.
//!
//! Every round times all contenders one right after the other, in turning order, by the thread's own CPU time, since
//! the machine is shared; only ratios within a round count. A cell is its median ratio, and the lower bound of a 95 %
//! interval of that median. Outputs are decoded by Debian's zlib before anything is timed.
//!
//!     warpdrive-bench-zlib OUR-LIBRARY DEBIAN'S-LIBRARY [--rounds N] [--bytes N] [--only WORD]

mod abi;
mod cells;
mod contender;
mod corpus;
mod report;

use anyhow::{Context, Result, bail};

use crate::contender::Contender;

/// What the command line asks for.
struct Options {
    ours: String,
    theirs: String,
    rounds: usize,
    bytes: usize,
    only: Option<String>,
}

fn options() -> Result<Options> {
    let mut words = std::env::args().skip(1);
    let usage =
        "usage: warpdrive-bench-zlib OUR-LIBRARY THEIR-LIBRARY [--rounds N] [--bytes N] [--only WORD]";
    let mut options = Options {
        ours: words.next().context(usage)?,
        theirs: words.next().context(usage)?,
        rounds: 15,
        bytes: 512 << 10,
        only: None,
    };
    while let Some(word) = words.next() {
        let value = words.next().context(usage)?;
        match word.as_str() {
            "--rounds" => options.rounds = value.parse().context("--rounds")?,
            "--bytes" => options.bytes = value.parse().context("--bytes")?,
            "--only" => options.only = Some(value),
            _ => bail!("{usage}"),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    let options = options()?;
    // Our library first, Debian's second: the report compares with the second.
    let contenders = [
        Some(Contender::library("ours", &options.ours)?),
        Some(Contender::library("zlib", &options.theirs)?),
        contender::zlib_ng(),
        Some(contender::zlib_rs()),
        Some(Contender::libdeflate()),
    ];
    let contenders: Vec<Contender> = contenders.into_iter().flatten().collect();
    for contender in &contenders {
        println!("{:10} {}", contender.name, contender.version);
    }
    let corpus = corpus::make(options.bytes)?;
    for (class, data) in &corpus {
        println!("{class:14} {} bytes", data.len());
    }
    let wanted = |name: &str| options.only.as_ref().is_none_or(|word| name.contains(word));
    let mut measured = Vec::new();
    for cell in cells::all(&corpus).into_iter().filter(|cell| wanted(&cell.name())) {
        let row = cell.measure(&contenders, options.rounds)?;
        report::print(&row, &contenders);
        measured.push(row);
    }
    report::summary(&measured, &contenders);
    Ok(())
}
