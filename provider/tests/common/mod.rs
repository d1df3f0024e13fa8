//! Runs the unmodified `openssl` command and small C programs with the provider preferred, on the device model,
//! with faults, or without a device, and reads the counters that say who served.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What the program under test sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// No uacce class directory.
    Absent,
    /// The model of this profile, healthy.
    Model(&'static str),
    /// The model with a fault plan.
    Faulty(&'static str),
}

/// The model's profiles.
pub const HEALTHY: [Device; 2] = [Device::Model("kunpeng930"), Device::Model("kunpeng920")];

impl Device {
    /// The provider whose algorithms must be preferred.
    pub fn provider(self) -> &'static str {
        if self == Device::Absent { "default" } else { "warpdrive" }
    }
}

/// A scratch directory with its own configuration, statistics and model state.
pub struct Bench {
    pub dir: PathBuf,
    device: Device,
}

impl Bench {
    pub fn new(name: &str, device: Device) -> Bench {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        for sub in ["stats", "model"] {
            std::fs::create_dir_all(dir.join(sub)).expect("scratch directory");
        }
        let bench = Bench { dir, device };
        bench.configure("");
        bench
    }

    /// Writes openssl.cnf; `extra` goes into our section.
    pub fn configure(&self, extra: &str) {
        let module = libraries().join("libwarpdrive_provider.so");
        let text = format!(
            "openssl_conf = openssl_init\n[openssl_init]\nproviders = provider_sect\nalg_section = \
             evp_properties\nrandom = random_sect\n[provider_sect]\ndefault = default_sect\n\
             warpdrive = warpdrive_sect\n[default_sect]\nactivate = 1\n[warpdrive_sect]\nmodule = {}\n\
             activate = 1\n{extra}\n[evp_properties]\ndefault_properties = ?provider=warpdrive\n\
             [random_sect]\nproperties = provider=default\n[req]\ndistinguished_name = dn\n[dn]\n",
            module.display()
        );
        std::fs::write(self.dir.join("openssl.cnf"), text).expect("configuration");
    }

    /// A program with the provider preferred.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = plain(program);
        command.current_dir(&self.dir).env("OPENSSL_CONF", self.dir.join("openssl.cnf"));
        command.env("WARPDRIVE_STATS_DIR", self.dir.join("stats")).env("WARPDRIVE_MODE", "hw");
        command.env("WARPDRIVE_DEADLINE_MS", "30000");
        let (profile, plan) = match self.device {
            Device::Absent => return command,
            Device::Model(profile) => (profile, None),
            Device::Faulty(plan) => ("kunpeng930", Some(plan)),
        };
        command.env("LD_PRELOAD", libraries().join("libwarpdrive_device_model.so"));
        command.env("WARPDRIVE_MODEL", profile).env("WARPDRIVE_MODEL_DIR", self.dir.join("model"));
        if let Some(plan) = plan {
            command.env("WARPDRIVE_MODEL_FAULTS", plan);
            if plan.contains(":drop") {
                command.env("WARPDRIVE_DEADLINE_MS", "100");
            }
            // The point is that each fault is survived, not that the breaker spares us the next.
            command.env("WARPDRIVE_BREAKER_FAULTS", "1000").env("WARPDRIVE_KNOWN_ANSWER", "off");
        }
        command
    }

    /// `openssl` with the provider preferred; must succeed.
    pub fn ours(&self, line: &str) -> Vec<u8> {
        succeed(self.command("openssl").args(line.split_whitespace()), line)
    }

    /// `openssl` with nothing but its default provider; must succeed.
    pub fn unaided(&self, line: &str) -> Vec<u8> {
        let mut command = plain("openssl");
        command.current_dir(&self.dir).env("OPENSSL_CONF", self.bare_configuration());
        succeed(command.args(line.split_whitespace()), line)
    }

    fn bare_configuration(&self) -> PathBuf {
        let path = self.dir.join("bare.cnf");
        if !path.exists() {
            std::fs::write(&path, "[req]\ndistinguished_name = dn\n[dn]\n").expect("configuration");
        }
        path
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.dir.join(name), bytes).expect("scratch file");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(name)).expect("scratch file")
    }

    /// Compiles one of the programs beside this file.
    pub fn compile(&self, name: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
        let program = self.dir.join(name);
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-Wno-deprecated-declarations", "-g", "-o"])
            .arg(&program)
            .arg(source)
            .arg("-lcrypto");
        succeed(&mut cc, name);
        program
    }

    /// The core's counters, summed over the processes that ran here.
    pub fn counters(&self) -> Counters {
        Counters(warpdrive_core::stats::read_dir(&self.dir.join("stats")).expect("statistics"))
    }

    /// What the model says it executed; it must have refused nothing, whatever the fault plan.
    pub fn ledger(&self) -> Counters {
        let mut sums = BTreeMap::new();
        add(&mut sums, &std::fs::read(self.dir.join("model/ledger")).unwrap_or_default());
        let refused: Vec<_> =
            sums.iter().filter(|(name, value)| name.starts_with("refused") && **value > 0).collect();
        assert!(refused.is_empty(), "the device's tables were broken: {refused:?}");
        Counters(sums)
    }

    /// The counters of a healthy run, in which core and model agree on every request.
    pub fn agreed_counters(&self) -> Counters {
        let (counters, ledger) = (self.counters(), self.ledger());
        assert_eq!(counters.rsa(), ledger.of("hpre.rsa.requests"), "{counters:?}\n{ledger:?}");
        assert_eq!(counters.cipher(), ledger.of("sec.cipher.requests"), "{counters:?}\n{ledger:?}");
        counters
    }
}

/// Adds the records of the model's ledger (docs/statistics.md).
fn add(sums: &mut BTreeMap<String, u64>, file: &[u8]) {
    for record in file.chunks_exact(64).take_while(|record| record[0] != 0) {
        let name = record[..48].split(|byte| *byte == 0).next().unwrap_or_default();
        let value = u64::from_le_bytes(record[48..56].try_into().expect("eight bytes"));
        *sums.entry(String::from_utf8_lossy(name).into_owned()).or_insert(0) += value;
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Counter values by name.
#[derive(Debug)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub fn rsa(&self) -> u64 {
        self.of("device.hpre.rsa.requests")
    }

    pub fn cipher(&self) -> u64 {
        self.of("device.sec.cipher.requests")
    }
}

fn plain(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WARPDRIVE_") {
            command.env_remove(name);
        }
    }
    command.env_remove("LD_PRELOAD").env_remove("OPENSSL_MODULES").env("LC_ALL", "C");
    command
}

/// Runs to the end; the output must be a success.
pub fn succeed(command: &mut Command, what: &str) -> Vec<u8> {
    let output = run(command);
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// The directory with the provider and the device model, both built from the sources as they are.
pub fn libraries() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let test = std::env::current_exe().expect("own path");
        let directory = test.ancestors().nth(2).expect("target/<profile>/deps").to_owned();
        let target = directory.parent().expect("target directory");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "-q",
            "-p",
            "warpdrive-provider",
            "-p",
            "warpdrive-device-model",
            "--target-dir",
        ]);
        cargo.arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        match directory.file_name().and_then(OsStr::to_str) {
            None | Some("debug") => {}
            Some(profile) => {
                cargo.args(["--profile", profile]);
            }
        }
        succeed(&mut cargo, "building the libraries");
        directory
    })
}
