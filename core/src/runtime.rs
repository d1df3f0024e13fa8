//! The one process-wide instance that ties configuration, devices, pool, gate and statistics together.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use once_cell::race::OnceBox;

use crate::config::{self, Problem};
use crate::environment;
use crate::gate::{Gate, table};
use crate::pool::{self, Pool};
use crate::uacce::node;
use crate::uacce::sysfs::{CLASS_DIRECTORY, DEVICE_DIRECTORY, Entry, scan_with};
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
        RUNTIME.get_or_init(|| Box::new(Runtime::look(Places::default(), secure(), section)))
    }

    fn look(places: Places, secure: bool, section: &[(String, String)]) -> Runtime {
        if secure {
            return Runtime { gate: Gate::default(), entries: Vec::new(), problems: Vec::new() };
        }
        let named = environment::variables().into_iter().find(|(name, _)| name == stats::DIRECTORY_VARIABLE);
        if let Some((_, directory)) = named.filter(|(_, directory)| !directory.is_empty()) {
            stats::use_directory(directory.into());
        }
        let found = places.scan();
        let discovery = Discovery::new(places.clone(), found.as_ref().err());
        let gate = Gate::new(Pool::new(Box::new(pool::hardware)), Some(discovery));
        let entries = found.ok();
        let problems = entries.as_ref().map(|entries| take_up(&gate, &places, entries, section));
        Runtime { gate, entries: entries.unwrap_or_default(), problems: problems.unwrap_or_default() }
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

/// Where the system keeps what is looked at; elsewhere only in tests.
#[derive(Debug, Clone)]
struct Places {
    class: PathBuf,
    nodes: PathBuf,
    config: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Places { class: CLASS_DIRECTORY.into(), nodes: DEVICE_DIRECTORY.into(), config: config::FILE.into() }
    }
}

impl Places {
    fn scan(&self) -> io::Result<Vec<Entry>> {
        scan_with(&self.class, &self.nodes)
    }
}

/// Puts configuration, log, statistics and the usable ones of `entries` in force.
fn take_up(gate: &Gate, places: &Places, entries: &[Entry], section: &[(String, String)]) -> Vec<Problem> {
    let (config, problems) =
        config::load(&places.config, &config::program_names, section, environment::variables());
    sink::install(&config);
    gate.configure(config);
    stats::use_directory(PathBuf::from(stats::DEFAULT_DIRECTORY));
    table::announce(gate.config());
    for problem in &problems {
        log::warn!("configuration ignored: {problem}");
    }
    for entry in entries {
        for reason in &entry.unusable {
            log::info!("{}: {reason}", entry.name);
        }
    }
    let devices: Vec<_> = entries.iter().filter_map(|entry| entry.device(&places.class)).collect();
    if !devices.is_empty() {
        gate.pool.adopt(devices);
    }
    problems
}

/// Milliseconds between two looks for devices that appear late.
const INTERVAL: u64 = 10_000;

/// Looking for devices again, rarely, when those that are known could not serve: others may have appeared, or one that
/// was removed has come back as another. The open of the directory is the first call: a sandbox refuses it, and then
/// there is no further look.
#[derive(Debug)]
pub(crate) struct Discovery {
    places: Places,
    due: AtomicU64,
    over: AtomicBool,
}

impl Discovery {
    fn new(places: Places, error: Option<&io::Error>) -> Self {
        let over = error.is_some_and(refused);
        Discovery { places, due: AtomicU64::new(INTERVAL), over: AtomicBool::new(over) }
    }

    /// Looks if it is time to; whether the usable devices are others than before, and in force.
    pub(crate) fn look_again(&self, gate: &Gate) -> bool {
        if self.over.load(Ordering::Relaxed) {
            return false;
        }
        let (now, due) = (gate.now(), self.due.load(Ordering::Relaxed));
        // One thread looks, the others go on in software.
        if now < due
            || self.due.compare_exchange(due, now + INTERVAL, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return false;
        }
        match self.places.scan() {
            Ok(entries) => {
                let usable: Vec<_> =
                    entries.iter().filter_map(|entry| entry.device(&self.places.class)).collect();
                let new = !usable.is_empty() && gate.pool.devices() != Some(&usable[..]);
                if new {
                    take_up(gate, &self.places, &entries, &[]);
                }
                new
            }
            Err(error) => {
                self.over.store(refused(&error), Ordering::Relaxed);
                false
            }
        }
    }
}

fn refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Needs, Op, Why};
    use crate::testing::{TempDir, class_entry};
    use crate::uacce::Unusable;

    fn places(directory: &TempDir) -> Places {
        let path = |name| directory.path().join(name);
        Places { class: path("class"), nodes: path("dev"), config: path("warpdrive.conf") }
    }

    fn served(runtime: &Runtime) -> Option<Why> {
        let job = crate::Job::new(Op::ZipCompress, 1 << 20, Needs::always("zlib"));
        runtime.gate.run(job, &mut (), |(), _| Ok(None), |(), why| Some(why))
    }

    #[test]
    fn without_class_directory_no_configuration_is_read() {
        let directory = TempDir::new();
        directory.write("warpdrive.conf", "nonsense\n");
        let runtime = Runtime::look(places(&directory), false, &[]);
        assert_eq!(runtime.problems(), []);
        assert_eq!(runtime.devices(), []);
        assert_eq!(served(&runtime), Some(Why::NoDevice));
    }

    #[test]
    fn devices_and_problems_are_kept_for_listings() {
        let directory = TempDir::new();
        class_entry(&directory, "hisi_zip-4");
        class_entry(&directory, "hisi_zip-5");
        directory.write("class/hisi_zip-5/flags", "some\n");
        directory.write("warpdrive.conf", "nonsense\nzip_compress_min = 64K\n");
        let runtime = Runtime::look(places(&directory), false, &[]);
        assert_eq!(runtime.problems().len(), 1);
        assert_eq!(runtime.gate.config().zip_compress_min, 65536);
        let reasons: Vec<_> = runtime.devices().into_iter().map(|entry| entry.unusable).collect();
        assert_eq!(reasons, [vec![], vec![Unusable::Unparsable("flags", "some".into())]]);
        assert!(runtime.gate.offers(Op::ZipCompress, "zlib"));
        // The node is an ordinary file: its queue cannot be opened, which the listing then says.
        assert_eq!(served(&runtime), Some(Why::NoDevice));
        assert!(matches!(runtime.devices()[0].unusable[..], [Unusable::Open(_)]));
    }

    #[test]
    fn secure_execution_looks_at_nothing() {
        let directory = TempDir::new();
        class_entry(&directory, "hisi_zip-4");
        directory.write("warpdrive.conf", "nonsense\n");
        let runtime = Runtime::look(places(&directory), true, &[]);
        assert_eq!((runtime.devices(), runtime.problems().len()), (vec![], 0));
        assert!(!runtime.gate.offers(Op::ZipCompress, "zlib"));
    }

    #[test]
    fn late_device_is_found_when_a_look_is_due_and_not_before() {
        let directory = TempDir::new();
        let runtime = Runtime::look(places(&directory), false, &[]);
        class_entry(&directory, "hisi_zip-4");
        let devices = || runtime.gate.pool.devices().map_or(0, <[_]>::len);
        served(&runtime);
        assert_eq!(devices(), 0, "not due");
        runtime.gate.discovery().unwrap().due.store(0, Ordering::Relaxed);
        served(&runtime);
        assert_eq!(devices(), 1);
    }

    #[test]
    fn look_that_finds_nothing_new_leaves_the_pool_as_it_is_and_the_search_goes_on() {
        let directory = TempDir::new();
        class_entry(&directory, "hisi_sec2-1");
        let runtime = Runtime::look(places(&directory), false, &[]);
        let before = runtime.gate.pool.devices().map(<[_]>::as_ptr);
        let look = || {
            runtime.gate.discovery().unwrap().due.store(0, Ordering::Relaxed);
            served(&runtime);
        };
        look();
        assert_eq!(runtime.gate.pool.devices().map(<[_]>::as_ptr), before);
        class_entry(&directory, "hisi_zip-4");
        look();
        assert_eq!(runtime.gate.pool.devices().map(<[_]>::len), Some(2));
    }

    #[test]
    fn further_device_is_found_when_the_known_one_cannot_serve() {
        let directory = TempDir::new();
        directory.write("warpdrive.conf", "mode = hw\n");
        class_entry(&directory, "hisi_zip-4");
        let runtime = Runtime::look(places(&directory), false, &[]);
        class_entry(&directory, "hisi_zip-5");
        let look = || {
            runtime.gate.discovery().unwrap().due.store(0, Ordering::Relaxed);
            // The nodes are ordinary files, whose queues cannot be opened.
            assert_eq!(served(&runtime), Some(Why::NoDevice));
            runtime.gate.pool.devices().unwrap().iter().map(|device| device.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(look(), ["hisi_zip-4", "hisi_zip-5"]);
        std::fs::remove_dir_all(directory.path().join("class/hisi_zip-4")).unwrap();
        assert_eq!(look(), ["hisi_zip-5"]);
        std::fs::remove_dir_all(directory.path().join("class/hisi_zip-5")).unwrap();
        assert_eq!(look(), ["hisi_zip-5"], "no device is no better than one that may come back");
    }

    #[test]
    fn refused_look_is_the_last() {
        let directory = TempDir::new();
        let discovery = Discovery::new(places(&directory), Some(&io::ErrorKind::PermissionDenied.into()));
        class_entry(&directory, "hisi_zip-4");
        discovery.due.store(0, Ordering::Relaxed);
        assert!(!discovery.look_again(&Gate::default()));
    }
}
