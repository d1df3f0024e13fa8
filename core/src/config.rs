//! Configuration: one key table, from which parsing, the documentation and every listing derive. Defaults,
//! then `/etc/warpdrive.conf`, then `WARPDRIVE_<KEY>` from the environment. A bad key or value is reported and
//! ignored, never fatal. Over 500 lines because the keys, their fields, defaults and documentation, are half of it.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment;
use crate::job::Op;

mod program;
mod values;

use program::Names;
pub use program::names as program_names;
use values::*;

/// The system-wide file.
pub const FILE: &str = "/etc/warpdrive.conf";

/// Prefix of the environment names.
pub const ENVIRONMENT_PREFIX: &str = "WARPDRIVE_";

/// Beginnings of environment names with our prefix that are not configuration keys (ARCHITECTURE.md,
/// environment).
const RESERVED: [&str; 2] = ["WARPDRIVE_STATS_DIR", "WARPDRIVE_MODEL"];

/// Largest file that is read; anything longer is no configuration.
const LARGEST_FILE: u64 = 64 << 10;

/// When devices are used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Where the gate expects a gain.
    Auto,
    /// Wherever a device can, whatever the size.
    Hw,
    /// Never.
    Off,
}

/// By what the side is chosen in mode `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The side that is expected to be done first.
    Latency,
    /// The device, unless it is much slower; the caller sleeps meanwhile.
    SaveCpu,
    /// Both sides, for the most work in all.
    Throughput,
    /// The device wherever it can.
    Device,
    /// Software.
    Off,
}

impl Policy {
    /// Every one, in the order of their numbers in gauges.
    pub const ALL: [Policy; 5] =
        [Policy::Latency, Policy::SaveCpu, Policy::Throughput, Policy::Device, Policy::Off];

    /// How many times software's cost a device may take and still be preferred; `None`: whatever it takes.
    pub const fn factor(self) -> Option<u64> {
        match self {
            Policy::Latency => Some(1),
            Policy::Throughput => Some(2),
            Policy::SaveCpu => Some(8),
            Policy::Device => None,
            Policy::Off => Some(0),
        }
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Policy::Latency => "latency",
            Policy::SaveCpu => "save-cpu",
            Policy::Throughput => "throughput",
            Policy::Device => "device",
            Policy::Off => "off",
        }
    }
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSink {
    /// Nowhere.
    Off,
    /// The system log's socket.
    Syslog,
    /// Appended to a file.
    File(PathBuf),
}

/// Every setting, with its value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `mode`
    pub mode: Mode,
    /// `policy`; see [`Config::policy`]
    pub policy: Policy,
    /// `explore_share`, in ten-thousandths
    pub explore_share: u32,
    /// `zip`
    pub zip: bool,
    /// `cipher`
    pub cipher: bool,
    /// `rsa`
    pub rsa: bool,
    /// `zip_compress_min`, bytes
    pub zip_compress_min: usize,
    /// `zip_decompress_min`, bytes
    pub zip_decompress_min: usize,
    /// `cipher_min`, bytes
    pub cipher_min: usize,
    /// `rsa_min`, bytes
    pub rsa_min: usize,
    /// `queues_per_process`
    pub queues_per_process: usize,
    /// `queue_idle_ms`
    pub queue_idle: Duration,
    /// `reproducible`
    pub reproducible: bool,
    /// `inflate_replay_limit`, bytes
    pub inflate_replay_limit: usize,
    /// `deadline_ms`
    pub deadline: Duration,
    /// `known_answer`
    pub known_answer: bool,
    /// `sample`
    pub sample: u32,
    /// `breaker_faults`
    pub breaker_faults: u32,
    /// `breaker_cooldown_ms`
    pub breaker_cooldown: Duration,
    /// `breaker_cooldown_max_ms`
    pub breaker_cooldown_max: Duration,
    /// `log`
    pub log: LogSink,
    /// `log_level`
    pub log_level: log::LevelFilter,
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Config {
            mode: Mode::Auto,
            policy: Policy::Latency,
            explore_share: 0,
            zip: true,
            cipher: true,
            rsa: true,
            zip_compress_min: 0,
            zip_decompress_min: 0,
            cipher_min: 0,
            rsa_min: 0,
            queues_per_process: 0,
            queue_idle: Duration::ZERO,
            reproducible: false,
            inflate_replay_limit: 0,
            deadline: Duration::ZERO,
            known_answer: true,
            sample: 0,
            breaker_faults: 0,
            breaker_cooldown: Duration::ZERO,
            breaker_cooldown_max: Duration::ZERO,
            log: LogSink::Off,
            log_level: log::LevelFilter::Off,
        };
        for key in KEYS {
            let understood = (key.set)(&mut config, key.default);
            debug_assert!(understood.is_ok(), "default of {}", key.name);
        }
        config
    }
}

impl Config {
    /// Whether configuration lets a device serve `op`.
    pub const fn enabled(&self, op: Op) -> bool {
        let on = match op {
            // no two devices need make the same bytes of the same data
            Op::ZipCompress => self.zip && !self.reproducible,
            Op::ZipDecompress => self.zip,
            Op::SecCipher => self.cipher,
            Op::HpreRsa => self.rsa,
        };
        on && !matches!(self.policy(), Policy::Off)
    }

    /// The policy in force: mode `hw` is `device`, mode `off` is `off`.
    pub const fn policy(&self) -> Policy {
        match self.mode {
            Mode::Auto => self.policy,
            Mode::Hw => Policy::Device,
            Mode::Off => Policy::Off,
        }
    }

    /// Smallest request of `op`, in bytes, worth a descriptor; 0 in mode `hw`.
    pub const fn minimum(&self, op: Op) -> usize {
        if matches!(self.mode, Mode::Hw) {
            return 0;
        }
        match op {
            Op::ZipCompress => self.zip_compress_min,
            Op::ZipDecompress => self.zip_decompress_min,
            Op::SecCipher => self.cipher_min,
            Op::HpreRsa => self.rsa_min,
        }
    }
}

/// One row of the key table.
pub struct Key {
    /// Name in files; the environment name is [`Key::environment`].
    pub name: &'static str,
    /// What values it takes, for people.
    pub values: &'static str,
    /// Default value, as it would be written.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    set: fn(&mut Config, &str) -> Result<(), &'static str>,
    get: fn(&Config) -> String,
}

impl Key {
    /// Name of the environment variable.
    pub fn environment(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// The value in force, as it would be written.
    pub fn value(&self, config: &Config) -> String {
        (self.get)(config)
    }

    /// The row of `name`; `zlib` is another name of `zip`.
    pub fn find(name: &str) -> Option<&'static Key> {
        let name = if name == "zlib" { "zip" } else { name };
        KEYS.iter().find(|key| key.name == name)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

const ON_OFF: &str = "on, off";
const BYTES: &str = "bytes; suffixes K, M, G";
const MILLISECONDS: &str = "milliseconds, 1 to 3600000";

macro_rules! key {
    ($field:ident, $values:expr, $default:literal, $parse:path, $show:expr, $doc:literal) => {
        key!(stringify!($field), $field, $values, $default, $parse, $show, $doc)
    };
    ($name:expr, $field:ident, $values:expr, $default:literal, $parse:path, $show:expr, $doc:literal) => {
        Key {
            name: $name,
            values: $values,
            default: $default,
            doc: $doc,
            set: |config, text| {
                config.$field = $parse(text)?;
                Ok(())
            },
            get: |config| $show(&config.$field),
        }
    };
}

/// The key table.
pub const KEYS: &[Key] = &[
    key!(
        mode,
        "auto, hw, off",
        "auto",
        parse_mode,
        show_mode,
        "`auto` decides by `policy` and the smallest sizes below, `hw` uses a device wherever one can serve, whatever \
         the size, `off` never."
    ),
    key!(
        policy,
        "latency, save-cpu, throughput, device, off",
        "latency",
        parse_policy,
        show_policy,
        "`latency`: the side that is expected to be done first. `save-cpu`: a device unless it takes more than eight \
         times as long as software; the caller soon sleeps while it waits. `throughput`: both sides, a device up to \
         twice software's time, so that queues stay filled. `device`: a device whenever one can serve. `off`: software."
    ),
    key!(
        explore_share,
        "0% to 10%",
        "2%",
        parse_share,
        show_share,
        "Bound on the time spent on the side that is not preferred, to learn what it costs now. At 0 what was \
         measured once is believed for good."
    ),
    key!(zip, ON_OFF, "on", parse_switch, show_switch, "Compression and decompression on ZIP devices."),
    key!(cipher, ON_OFF, "on", parse_switch, show_switch, "Symmetric ciphers on SEC devices."),
    key!(rsa, ON_OFF, "on", parse_switch, show_switch, "RSA on HPRE devices."),
    key!(
        zip_compress_min,
        BYTES,
        "4K",
        parse_bytes,
        show_bytes,
        "Smallest input of one compression request that goes to a device. An assumption: no latencies are published."
    ),
    key!(
        zip_decompress_min,
        BYTES,
        "4K",
        parse_bytes,
        show_bytes,
        "Smallest compressed input of one decompression request that goes to a device. An assumption."
    ),
    key!(
        cipher_min,
        BYTES,
        "2K",
        parse_bytes,
        show_bytes,
        "Smallest cipher request that goes to a device. An assumption."
    ),
    key!(
        rsa_min,
        BYTES,
        "128",
        parse_bytes,
        show_bytes,
        "Smallest RSA modulus that goes to a device. An assumption: every size that the device takes."
    ),
    key!(
        queues_per_process,
        "1 to 1024",
        "32",
        parse_queues,
        ToString::to_string,
        "Most queues that one process keeps open, of all kinds together."
    ),
    key!(
        "queue_idle_ms",
        queue_idle,
        MILLISECONDS,
        "10000",
        parse_milliseconds,
        show_milliseconds,
        "A queue that was not used for so long is closed the next time that the process asks for anything."
    ),
    key!(
        reproducible,
        ON_OFF,
        "off",
        parse_switch,
        show_switch,
        "Compression in software, so that the same calls make the same bytes on every run and machine. On as well \
         where the environment has SOURCE_DATE_EPOCH, as builds that are to be repeated have."
    ),
    key!(
        inflate_replay_limit,
        BYTES,
        "1M",
        parse_bytes,
        show_bytes,
        "Compressed input that an inflate stream on the device keeps so that software can take over; a stream \
         that outgrows it continues in software."
    ),
    key!(
        "deadline_ms",
        deadline,
        MILLISECONDS,
        "1000",
        parse_milliseconds,
        show_milliseconds,
        "Time that the smallest request may take before its queue is given up; larger requests get more."
    ),
    key!(
        known_answer,
        ON_OFF,
        "on",
        parse_switch,
        show_switch,
        "Before a device first does a kind of work, and before it does so again after faults, it is asked for answers \
         that are known. Without, its first requests decide."
    ),
    key!(
        sample,
        "0 to 1000000",
        "0",
        parse_sample,
        ToString::to_string,
        "One in so many results of a device (deflate, inflate, ciphers) is computed by software too and compared; 1 \
         checks all, 0 none. A wrong one never reaches the program."
    ),
    key!(
        breaker_faults,
        "1 to 1000",
        "3",
        parse_faults,
        ToString::to_string,
        "Device faults in a row after which one kind of work stays in software for a while."
    ),
    key!(
        "breaker_cooldown_ms",
        breaker_cooldown,
        MILLISECONDS,
        "1000",
        parse_milliseconds,
        show_milliseconds,
        "First such while; doubles each time that the next attempt fails too."
    ),
    key!(
        "breaker_cooldown_max_ms",
        breaker_cooldown_max,
        MILLISECONDS,
        "60000",
        parse_milliseconds,
        show_milliseconds,
        "Longest such while."
    ),
    key!(
        log,
        "off, syslog, or an absolute path",
        "off",
        parse_sink,
        show_sink,
        "Where messages go. Never to standard error."
    ),
    key!(
        log_level,
        "off, error, warn, info, debug, trace",
        "warn",
        parse_level,
        show_level,
        "Least severe message that is written."
    ),
];

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A line of text, from 1.
    Line(usize),
    /// An environment variable.
    Environment(String),
    /// The host's own configuration: a key of our section in openssl.cnf.
    Section(String),
    /// A file that could not be read.
    File(PathBuf),
}

/// Something in the configuration that was ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub source: Source,
    /// What is wrong with it, in one line.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Line(line) => write!(f, "line {line}: {}", self.message),
            Source::Environment(name) => write!(f, "{name}: {}", self.message),
            Source::Section(key) => write!(f, "openssl.cnf, {key}: {}", self.message),
            Source::File(path) => write!(f, "{}: {}", path.display(), self.message),
        }
    }
}

/// Parses the text of a configuration file over the defaults, for a program without a name: `key = value` lines,
/// `#` comments, sections of single programs.
pub fn parse(text: &str) -> (Config, Vec<Problem>) {
    let mut config = Config::default();
    let mut problems = Vec::new();
    apply(&mut config, text, &Names::new(&Vec::new), &mut problems);
    (config, problems)
}

/// Whom the lines of a file concern.
enum Scope {
    /// This process.
    Us,
    /// Another program: lines are only checked.
    Other,
    /// Nobody knows: lines are passed over.
    Unknown,
}

fn apply(config: &mut Config, text: &str, names: &Names<'_>, problems: &mut Vec<Problem>) {
    let mut scope = Scope::Us;
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let result = if line.starts_with('[') {
            let (now, result) = match program::head(line) {
                Ok(name) if names.are(name) => (Scope::Us, Ok(())),
                Ok(_) => (Scope::Other, Ok(())),
                Err(expected) => {
                    (Scope::Unknown, Err(format!("{expected}, not {}; its lines are ignored", quote(line))))
                }
            };
            scope = now;
            result
        } else {
            match (line.split_once('='), &scope) {
                (_, Scope::Unknown) => Ok(()),
                (Some((key, value)), Scope::Us) => set(config, key.trim(), value.trim()),
                (Some((key, value)), Scope::Other) => set(&mut config.clone(), key.trim(), value.trim()),
                (None, _) => Err(format!("no '=' in {}", quote(line))),
            }
        };
        if let Err(message) = result {
            problems.push(Problem { source: Source::Line(index + 1), message });
        }
    }
}

/// Sets one key from text.
///
/// # Errors
/// What is wrong, in one line; `config` is unchanged.
pub fn set(config: &mut Config, key: &str, value: &str) -> Result<(), String> {
    let row = Key::find(key).ok_or_else(|| format!("unknown key {}", quote(key)))?;
    (row.set)(config, value).map_err(|expected| format!("{key} takes {expected}, not {}", quote(value)))
}

/// What the process runs with: defaults, then `file`, then the pairs of `section`, then `environment` (all of
/// it; other names are passed over). A missing file is no problem. `names` ([`program_names`]) is asked only if the
/// file has rules for programs.
pub fn load(
    file: &Path,
    names: &dyn Fn() -> Vec<String>,
    section: &[(String, String)],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Config, Vec<Problem>) {
    let mut config = Config::default();
    let mut problems = Vec::new();
    match read(file) {
        Ok(text) => apply(&mut config, &text, &Names::new(names), &mut problems),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            problems.push(Problem { source: Source::File(file.to_owned()), message: error.to_string() });
        }
    }
    for (key, value) in section {
        if let Err(message) = set(&mut config, key, value.trim()) {
            problems.push(Problem { source: Source::Section(key.clone()), message });
        }
    }
    let environment: Vec<_> = environment.into_iter().collect();
    // A build that is to be repeated; our own variable may still say otherwise.
    config.reproducible |= environment.iter().any(|(name, _)| name == environment::REPEATED_BUILD);
    for (name, value) in environment {
        let Some(name) = name.to_str() else { continue };
        let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        if RESERVED.iter().any(|reserved| name.starts_with(reserved)) {
            continue;
        }
        let result = match value.to_str() {
            Some(value) => set(&mut config, &key.to_ascii_lowercase(), value.trim()),
            None => Err("not text".to_owned()),
        };
        if let Err(message) = result {
            problems.push(Problem { source: Source::Environment(name.to_owned()), message });
        }
    }
    (config, problems)
}

fn read(file: &Path) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read};
    use std::os::unix::fs::OpenOptionsExt;
    // Whatever stands under this name, the program that loads us must not wait for it: opening a FIFO would.
    let file =
        std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(file)?;
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "not a regular file, ignored"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Error::new(ErrorKind::InvalidData, "longer than 64 KiB, ignored"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The manual page of the key table, in Markdown; `docs/configuration.md` is this text.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Generated from the key table in `core/src/config.rs`; a test keeps it current.\n\n\
         Settings are read once per process, and only where the kernel has uacce devices: first the defaults,\n\
         then `/etc/warpdrive.conf` (lines `key = value`, `#` starts a comment), then, for the OpenSSL provider,\n\
         the keys of its section in openssl.cnf, then the environment. A bad key\n\
         or value is reported (`warpdrive devices`, and the log) and ignored. Programs that run with more rights\n\
         than their user (set-id) use no device and read no environment.\n\n\
         A section of the file holds for one program, and stands behind the lines that hold for all:\n\n\
         \x20   policy = latency\n\
         \x20   [program \"git\"]\n\
         \x20   zlib = off\n\
         \x20   [program \"nginx\"]\n\
         \x20   policy = save-cpu\n\n\
         The name is that of the executable's file, or the one that the program was called by (`python3`, though the\n\
         file is `python3.11`); a script that was started by its `#!` line also has its own. Any key can stand there;\n\
         `zlib` is another word for `zip`. Names are looked up only if the file has such a section.\n\n\
         `warpdrive explain` shows what a request of each size would be served by under these settings, and why.\n\n\
         | key | environment | values | default | meaning |\n|---|---|---|---|---|\n",
    );
    for key in KEYS {
        let (name, environment) = (key.name, key.environment());
        text +=
            &format!("| `{name}` | `{environment}` | {} | `{}` | {} |\n", key.values, key.default, key.doc);
    }
    text
}

fn quote(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests;
