//! The one process-wide instance that ties configuration, devices, pool, gate and statistics together.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use once_cell::race::OnceBox;

use crate::config::{self, Problem};
use crate::gate::Gate;
use crate::pool::{self, Pool};
use crate::uacce::sysfs::{CLASS_DIRECTORY, Entry, scan};
use crate::uacce::{Unusable, node};
use crate::{log as sink, stats};

/// Process-wide state, made at first need. Without the uacce class directory it is an empty shell: making it
/// costs one look at that directory, and no thread, file, mapping or handler remains.
#[derive(Debug)]
pub struct Runtime {
    gate: Gate,
    entries: Vec<Entry>,
    problems: Vec<Problem>,
}

impl Runtime {
    /// The process's runtime. Lock-free: threads that come first together may each look, one of them wins.
    pub fn get() -> &'static Runtime {
        Runtime::get_with(&[])
    }

    /// As [`Runtime::get`]; the configuration keys of `section` apply if this call is the first.
    pub fn get_with(section: &[(String, String)]) -> &'static Runtime {
        static RUNTIME: OnceBox<Runtime> = OnceBox::new();
        let secure = node::secure_execution;
        RUNTIME.get_or_init(|| Box::new(Runtime::look(Path::new(CLASS_DIRECTORY), secure(), section)))
    }

    fn look(root: &Path, secure: bool, section: &[(String, String)]) -> Runtime {
        if secure {
            return Runtime { gate: Gate::default(), entries: Vec::new(), problems: Vec::new() };
        }
        if let Some(directory) = std::env::var_os(stats::DIRECTORY_VARIABLE).filter(|name| !name.is_empty()) {
            stats::use_directory(directory.into());
        }
        let discovery = Discovery::new(root.to_owned());
        let gate = Gate::new(Pool::new(Box::new(pool::hardware)), Some(discovery));
        let found = match scan(root) {
            Ok(entries) => Some(entries),
            Err(error) => {
                if let Some(discovery) = gate.discovery() {
                    discovery.failed(&error);
                }
                None
            }
        };
        let problems =
            found.as_ref().map(|entries| take_up(&gate, root, entries, section)).unwrap_or_default();
        Runtime { gate, entries: found.unwrap_or_default(), problems }
    }

    /// The decision maker.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The class entries as this process found them, with every reason against each, failures to open its
    /// queues included. For a fresh look see [`crate::uacce::sysfs::scan`].
    pub fn devices(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        for (index, device) in self.gate.pool.devices().unwrap_or_default().iter().enumerate() {
            let entry = entries.iter_mut().find(|entry| entry.name == device.name);
            if let (Some(entry), Some(reason)) = (entry, self.gate.pool.obstacle(index))
                && !entry.unusable.contains(&reason)
            {
                entry.unusable.push(reason);
            }
        }
        entries
    }

    /// What was ignored in the configuration.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// Puts configuration, log, statistics and the usable ones of `entries` in force.
fn take_up(gate: &Gate, root: &Path, entries: &[Entry], section: &[(String, String)]) -> Vec<Problem> {
    let (config, problems) = config::load(Path::new(config::FILE), section, std::env::vars_os());
    sink::install(&config);
    gate.configure(config);
    stats::use_directory(PathBuf::from(stats::DEFAULT_DIRECTORY));
    for problem in &problems {
        log::warn!("configuration ignored: {problem}");
    }
    for entry in entries {
        for reason in &entry.unusable {
            log::info!("{}: {reason}", entry.name);
        }
    }
    let devices: Vec<_> = entries.iter().filter_map(|entry| entry.device(root)).collect();
    if !devices.is_empty() {
        gate.pool.adopt(devices);
    }
    problems
}

/// Milliseconds between two looks for devices that appear late.
const INTERVAL: u64 = 10_000;

/// Looking for devices again, rarely. The open of the directory is the first call: a sandbox refuses it, and
/// then there is no further look.
#[derive(Debug)]
pub(crate) struct Discovery {
    root: PathBuf,
    due: AtomicU64,
    over: AtomicBool,
}

impl Discovery {
    pub(crate) fn new(root: PathBuf) -> Self {
        Discovery { root, due: AtomicU64::new(INTERVAL), over: AtomicBool::new(false) }
    }

    /// Looks if it is time to; whether usable devices were found and are in force.
    pub(crate) fn look_again(&self, gate: &Gate) -> bool {
        let (now, due) = (gate.now(), self.due.load(Ordering::Relaxed));
        if now < due || self.over.load(Ordering::Relaxed) {
            return false;
        }
        // One thread looks, the others go on in software.
        if self.due.compare_exchange(due, now + INTERVAL, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        match scan(&self.root) {
            Ok(entries) => {
                let usable = entries.iter().any(|entry| entry.unusable.iter().all(Unusable::passes));
                if usable {
                    take_up(gate, &self.root, &entries, &[]);
                }
                usable
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    /// Notes that the directory could not be opened.
    pub(crate) fn failed(&self, error: &std::io::Error) {
        if error.kind() == ErrorKind::PermissionDenied {
            self.over.store(true, Ordering::Relaxed);
        }
    }
}
