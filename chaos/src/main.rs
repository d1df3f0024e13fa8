//! Chaos: unmodified work on devices that fail in every way that shows, for ten minutes or as long as asked for.
//!
//! Eight threads and four forked processes compress, decompress, encrypt, sign and verify through zlib's and OpenSSL's
//! interfaces, on the preloaded device model. A fault plan breaks requests, queues and opens; a hand resets, isolates,
//! removes and returns whole devices. Silent faults are planned where a check exists: a foreign tag everywhere, wrong
//! results for RSA. Every result is compared with another implementation's. After each round of a few seconds no
//! descriptor and no queue may be left over, and the model's books must be in order, with nothing refused. At the
//! end each kind of fault must have been met, and the devices must have served a good share, or it proved nothing.
//!
//! `CHAOS_SECONDS` (600), `CHAOS_SEED` (of the clock, printed), `CHAOS_ROUND` (that round
//! alone) and `CHAOS_FAULTS` (that plan in all rounds, and no hand) in the environment. Data, work and plans follow from the seed; which thread meets which fault, and when
//! the hand strikes, is decided by the machine.
//!
//! The shared objects are those beside the program: `cargo build --workspace` makes them.

mod counts;
mod crypto;
mod descriptors;
mod dice;
mod forked;
mod hand;
mod plan;
mod supervisor;
mod worker;
mod zlib;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words {
        [] => supervise(),
        ["worker", seed, milliseconds, queues, library] => worker::run(&worker::Orders {
            seed: seed.parse()?,
            time: Duration::from_millis(milliseconds.parse()?),
            library: PathBuf::from(library),
            model: std::env::var("WARPDRIVE_MODEL_DIR").context("WARPDRIVE_MODEL_DIR")?,
            queues: queues.parse()?,
        }),
        _ => bail!("takes no arguments; see CHAOS_SECONDS, _SEED and _ROUND"),
    }
}

fn supervise() -> Result<()> {
    let number = |name: &str| -> Result<Option<u64>> {
        match std::env::var(name) {
            Ok(text) => Ok(Some(text.parse().with_context(|| format!("{name}={text}"))?)),
            Err(_) => Ok(None),
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_micros() as u64);
    let program = std::env::current_exe()?;
    supervisor::run(&supervisor::Settings {
        seed: number("CHAOS_SEED")?.unwrap_or(now),
        time: Duration::from_secs(number("CHAOS_SECONDS")?.unwrap_or(600)),
        round: number("CHAOS_ROUND")?,
        faults: std::env::var("CHAOS_FAULTS").ok(),
        build: program.parent().context("the program's directory")?.to_owned(),
    })
}
