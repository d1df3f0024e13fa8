//! Round after round, each in a run of the model of its own; then the judgement over all of them.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::counts::Counts;
use crate::dice::Dice;
use crate::hand::Hand;
use crate::plan::{CORRUPT, KINDS, Round};

/// How long a round works.
const ROUND: Duration = Duration::from_secs(6);
/// A round that lasts so much longer hangs.
const PATIENCE: Duration = Duration::from_secs(240);
/// A run goes on so many times longer than asked for, if that is needed to meet every kind of fault: on a slow
/// machine less happens in the same time.
const EXTENSION: u32 = 10;
/// Of all decisions, the least share of the devices.
const LEAST_SHARE: f64 = 0.1;

/// Where things are, and how long it lasts.
#[derive(Debug)]
pub struct Settings {
    pub seed: u64,
    pub time: Duration,
    /// Play this round alone.
    pub round: Option<u64>,
    /// This plan in all rounds, and no hand: for finding out which fault it was.
    pub faults: Option<String>,
    /// Directory of the build.
    pub build: PathBuf,
}

/// What all rounds came to.
#[derive(Debug, Default)]
struct Sum {
    rounds: u64,
    model: Counts,
    core: Counts,
    by_hand: Counts,
}

impl Sum {
    fn served(&self) -> u64 {
        self.core.sum("device.", ".requests")
    }

    fn share(&self) -> f64 {
        let reason = |name: &str| name.strip_prefix("software.").is_some_and(|why| !why.contains('.'));
        let reasons: u64 = self.core.0.iter().filter(|(name, _)| reason(name)).map(|(_, count)| count).sum();
        self.served() as f64 / (self.served() + reasons).max(1) as f64
    }

    /// What has not happened yet.
    fn missing(&self) -> Vec<String> {
        let kinds = KINDS.iter().chain([&CORRUPT]);
        let mut missing: Vec<String> = kinds
            .filter(|kind| self.model.of(&format!("fault.{kind}")) == 0)
            .map(|kind| format!("fault {kind}"))
            .collect();
        missing.extend(
            ["reset", "isolate", "remove"]
                .iter()
                .filter(|act| self.by_hand.of(act) == 0)
                .map(|a| format!("{a} by hand")),
        );
        missing.extend(
            ["zip.compress", "zip.decompress", "sec.cipher", "hpre.rsa"]
                .iter()
                .filter(|class| self.core.of(&format!("device.{class}.requests")) < 100)
                .map(|class| format!("100 requests of {class}")),
        );
        if self.share() < LEAST_SHARE {
            missing.push(format!("a share of {LEAST_SHARE} for the devices ({:.3})", self.share()));
        }
        missing
    }
}

pub fn run(settings: &Settings) -> Result<()> {
    println!("seed {}: CHAOS_SEED={} plays it again", settings.seed, settings.seed);
    let start = Instant::now();
    let mut sum = Sum::default();
    if let Some(number) = settings.round {
        play(settings, number, &mut sum)?;
        println!("{sum:?}");
        return Ok(());
    }
    loop {
        let number = sum.rounds;
        play(settings, number, &mut sum)
            .with_context(|| format!("seed {}, round {number} (CHAOS_ROUND={number})", settings.seed))?;
        let (missing, elapsed) = (sum.missing(), start.elapsed());
        if elapsed >= settings.time && missing.is_empty() {
            break;
        }
        if elapsed >= settings.time {
            println!(
                "after {} rounds and {:.0} s there was no {missing:?}",
                sum.rounds,
                elapsed.as_secs_f64()
            );
        }
        ensure!(
            elapsed < settings.time * EXTENSION,
            "after {} rounds there was no {missing:?}\n{sum:?}",
            sum.rounds
        );
    }
    report(&sum, start.elapsed());
    Ok(())
}

fn report(sum: &Sum, elapsed: Duration) {
    println!(
        "{} rounds in {:.0} s: {} requests on devices ({:.0} % of all decisions), no wrong byte, no error, no leak",
        sum.rounds,
        elapsed.as_secs_f64(),
        sum.served(),
        100.0 * sum.share()
    );
    for (title, counts, start) in [
        ("model", &sum.model, "fault."),
        ("core", &sum.core, "device."),
        ("core", &sum.core, "software."),
        ("hand", &sum.by_hand, ""),
    ] {
        let shown = counts.0.iter().filter(|(name, value)| name.starts_with(start) && **value > 0);
        let shown: Vec<String> =
            shown.filter(|(n, _)| !n.contains(".latency")).map(|(n, v)| format!("{n} {v}")).collect();
        println!("{title}: {}", shown.join(", "));
    }
}

/// One round. Its directory is left behind if it fails.
fn play(settings: &Settings, number: u64, sum: &mut Sum) -> Result<()> {
    let mut round = Round::new(settings.seed, number);
    if let Some(faults) = &settings.faults {
        round = Round { faults: faults.clone(), hand: false, ..round };
    }
    let directory = tempfile::Builder::new().prefix("warpdrive-chaos-").tempdir()?;
    let kept = directory.path().to_owned();
    let result = in_directory(settings, &round, &kept, sum);
    if result.is_err() {
        let _ = directory.keep();
        return result.with_context(|| format!("{round:?}\nwhat is left of it is in {}", kept.display()));
    }
    sum.rounds += 1;
    Ok(())
}

fn in_directory(settings: &Settings, round: &Round, directory: &Path, sum: &mut Sum) -> Result<()> {
    let (model, stats, log) = (directory.join("model"), directory.join("stats"), directory.join("log"));
    for new in [&model, &stats] {
        std::fs::create_dir(new)?;
    }
    let configuration = directory.join("openssl.cnf");
    std::fs::write(&configuration, openssl(&settings.build.join("libwarpdrive_provider.so")))?;
    let tool = settings.build.join("warpdrive-device-model");
    let hand = Hand { tool: &tool, profile: round.profile, model: &model };
    let all: Vec<(String, usize)> =
        hand.list()?.into_iter().map(|device| (device.name, device.free)).collect();

    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("worker")
        .args([round.seed.to_string(), ROUND.as_millis().to_string(), round.queues.to_string()])
        .arg(settings.build.join("libwarpdrive_z.so"))
        .env("LD_PRELOAD", settings.build.join("libwarpdrive_device_model.so"))
        .env("WARPDRIVE_MODEL", round.profile)
        .env("WARPDRIVE_MODEL_DIR", &model)
        .env("WARPDRIVE_MODEL_FAULTS", &round.faults)
        .env("WARPDRIVE_STATS_DIR", &stats)
        .env("WARPDRIVE_LOG", &log)
        .env("WARPDRIVE_LOG_LEVEL", "info")
        .env("WARPDRIVE_MODE", "hw")
        .env("WARPDRIVE_DEADLINE_MS", "1000")
        .env("WARPDRIVE_QUEUES_PER_PROCESS", round.queues.to_string())
        .env("WARPDRIVE_QUEUE_IDLE_MS", round.idle_ms.to_string())
        // so that devices are tried again within a round
        .env("WARPDRIVE_BREAKER_COOLDOWN_MS", "20")
        .env("WARPDRIVE_BREAKER_COOLDOWN_MAX_MS", "200")
        .env("OPENSSL_CONF", &configuration);
    let stop = AtomicBool::new(false);
    let mut dice = Dice::of(round.seed, u64::MAX);
    let (status, done) = std::thread::scope(|scope| {
        let reaching = scope.spawn(|| hand.reach_in(&mut dice, round.hand, &stop));
        let status = run_for(&mut command, ROUND + PATIENCE);
        stop.store(true, Ordering::Relaxed);
        (status, reaching.join())
    });
    let done = done.map_err(|_| anyhow::anyhow!("the hand panicked"))??;
    let status = status?;
    ensure!(status.success(), "the worker ended with {status}");

    hand.heal()?;
    let left: Vec<(String, usize)> =
        hand.list()?.into_iter().map(|device| (device.name, device.free)).collect();
    ensure!(left == all, "queues were leaked: {left:?} are free, at first {all:?}");
    let (mut ledger, mut core) = (Counts::default(), Counts::default());
    ledger.add_file(&model.join("ledger"))?;
    core.add_directory(&stats)?;
    agree(&ledger, &core).with_context(|| format!("{ledger:?}\n{core:?}"))?;
    sum.model.add(&ledger);
    sum.core.add(&core);
    for (act, count) in done {
        *sum.by_hand.0.entry(act.to_owned()).or_default() += count;
    }
    Ok(())
}

/// The model's books in themselves, and beside those of the core.
fn agree(ledger: &Counts, core: &Counts) -> Result<()> {
    for (name, accepted) in ledger.0.iter().filter(|(name, _)| name.ends_with(".accepted")) {
        let class = name.trim_end_matches(".accepted");
        let of = |what: &str| ledger.of(&format!("{class}.{what}"));
        ensure!(*accepted >= of("executed"), "{class}: more executed than accepted");
        ensure!(of("executed") >= of("reaped"), "{class}: more reaped than executed");
        ensure!(of("executed") >= of("requests"), "{class}: more requests than executed");
        let ours = core.of(&format!("device.{class}.requests"));
        ensure!(
            ours <= of("requests"),
            "{class}: the core counts {ours} requests, the model {}",
            of("requests")
        );
    }
    let refused = ledger.sum("refused", "");
    ensure!(refused == 0, "the device's tables were broken {refused} times");
    ensure!(ledger.of("panicked") == 0, "the model panicked");
    Ok(())
}

/// Runs to the end, which must come within `most`.
fn run_for(command: &mut Command, most: Duration) -> Result<ExitStatus> {
    let mut child = command.spawn()?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > most {
            let stacks = threads(child.id());
            child.kill()?;
            child.wait()?;
            bail!("the worker hangs:\n{stacks}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What each thread of a process waits for in the kernel.
fn threads(process: u32) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let read = |path: &Path, name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
    let line = |path: PathBuf| {
        format!("{} {} {}\n", path.display(), read(&path, "comm").trim(), read(&path, "wchan").trim())
    };
    tasks.map(|task| line(task.path())).collect()
}

fn openssl(provider: &Path) -> String {
    format!(
        "openssl_conf = init\n[init]\nproviders = providers\nalg_section = properties\nrandom = random\n\
         [providers]\ndefault = theirs\nwarpdrive = ours\n[theirs]\nactivate = 1\n\
         [ours]\nmodule = {}\nactivate = 1\n\
         [properties]\ndefault_properties = ?provider=warpdrive\n[random]\nproperties = provider=default\n",
        provider.display()
    )
}
