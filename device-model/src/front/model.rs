//! The modelled machine of this process: made when a path of the program first leads to it.
//!
//! UNSAFE: a `pthread` mutex that an atfork handler can hold across the fork, and a pointer published once.
#![allow(unsafe_code)]

use super::ledger::Ledger;
use super::lifecycle::{MACHINE_WORDS, Machine};
use super::pace::Pace;
use super::profile::{Device, Profile};
use super::shared::{SharedDir, SharedWords, fingerprint};
use super::slots::{SLOT_WORDS, Slot};
use super::{nodes, ports, tree};
use crate::device::faults::{Faults, Plan};
use crate::device::service;
use crate::device::{CounterId, Function, Kind, Records};
use crate::engine::Engine;
use crate::sys;
use std::cell::UnsafeCell;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

/// Everything about the machine.
#[derive(Debug)]
pub struct Model {
    /// Where the processes of the run meet.
    pub dir: SharedDir,
    /// The machine.
    pub profile: Profile,
    /// What is wrong with the settings, if anything: then no device can be opened.
    pub refused_settings: Option<String>,
    /// Devices by minor number.
    pub devices: Vec<Device>,
    /// Root of the discovery tree.
    pub root: PathBuf,
    plan: Plan,
    fault_counters: &'static [AtomicU64],
    /// What was executed.
    pub ledger: Ledger,
    engines: [(Kind, &'static dyn Engine); 3],
    /// When each engine of each pool of each device is free again.
    service: &'static [AtomicU64],
    /// What all processes see of the queues, by device.
    pub slots: Vec<&'static [AtomicU64]>,
    /// What all processes see of the machine.
    pub machine: Machine,
    words: &'static [AtomicU64],
}

static MODEL: AtomicPtr<Model> = AtomicPtr::new(std::ptr::null_mut());
static FAILED: AtomicBool = AtomicBool::new(false);
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// The structural lock: initialisation and the table of queues. Never held while waiting for the device.
pub struct Lock(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a pthread mutex is made to be shared between threads.
unsafe impl Sync for Lock {}

/// Holds the structural lock.
pub struct Guard(());

static LOCK: Lock = Lock(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));

/// Takes the structural lock.
pub fn lock() -> Guard {
    register_atfork();
    raw_lock();
    Guard(())
}

impl Drop for Guard {
    fn drop(&mut self) {
        raw_unlock();
    }
}

fn raw_lock() {
    // SAFETY: statically initialised, never destroyed.
    unsafe { libc::pthread_mutex_lock(LOCK.0.get()) };
}

fn raw_unlock() {
    // SAFETY: called by the holder only (guard or atfork handler).
    unsafe { libc::pthread_mutex_unlock(LOCK.0.get()) };
}

/// What threads share under the structural lock, so that no other thread is in the middle of it when one forks: a
/// child would wait for that thread for ever.
pub struct Forkable<T>(UnsafeCell<T>);

// SAFETY: only `with` looks inside, with the structural lock held.
unsafe impl<T: Send> Sync for Forkable<T> {}

impl<T> Forkable<T> {
    /// Holds `value`.
    pub const fn new(value: T) -> Self {
        Forkable(UnsafeCell::new(value))
    }

    /// `f` must not come back to the structural lock.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let _guard = lock();
        // SAFETY: the lock makes this the only reference, and it is not taken twice.
        f(unsafe { &mut *self.0.get() })
    }
}

fn register_atfork() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::AcqRel) {
        extern "C" fn before() {
            raw_lock();
            nodes::forking();
        }
        extern "C" fn parent() {
            raw_unlock();
            // a panic must not cross into the C library; without the thread a child's START_Q is refused
            let _ = std::panic::catch_unwind(nodes::after_fork);
        }
        extern "C" fn child() {
            PROCESS.store(sys::pid(), Ordering::Release);
            ports::forget_mappings();
            nodes::inherit();
            raw_unlock();
        }
        // SAFETY: the handlers live in this library, which is never unloaded (preloaded).
        unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
    }
}

/// Whether this thread runs in a `vfork` child: it shares the parent's memory, which it must not change.
pub fn in_vfork_child() -> bool {
    let process = PROCESS.load(Ordering::Acquire);
    process != 0 && process != sys::pid()
}

/// This program in this process: its number, and a mark that tells it from what ran here before an exec.
pub fn me() -> u64 {
    static MARK: OnceLock<u32> = OnceLock::new();
    (sys::pid() as u64) << 32 | u64::from(*MARK.get_or_init(|| sys::monotonic_ns() as u32))
}

/// Whether the program that [`me`] named still runs.
pub fn alive(owner: u64) -> bool {
    let pid = owner >> 32;
    if pid == sys::pid() as u64 { owner == me() } else { sys::process_exists(pid) }
}

/// The model, if it was made already.
pub fn peek() -> Option<&'static Model> {
    // SAFETY: null or a leaked box.
    unsafe { MODEL.load(Ordering::Acquire).as_ref() }
}

/// The model, made now if need be. `None` if it cannot be made, or if this code is part of an executable
/// and not of a preloaded object.
pub fn get() -> Option<&'static Model> {
    if let Some(model) = peek() {
        return Some(model);
    }
    if FAILED.load(Ordering::Acquire) {
        return None;
    }
    let _guard = lock();
    if let Some(model) = peek() {
        return Some(model);
    }
    if part_of_the_executable() {
        FAILED.store(true, Ordering::Release);
        return None;
    }
    match Model::new() {
        Ok(model) => {
            PROCESS.store(sys::pid(), Ordering::Release);
            // a mistake of the model's is not the program's output
            std::panic::set_hook(Box::new(|panic| note(&format!("PANIC in the model: {panic}"))));
            if model.dir.private {
                // SAFETY: the handler lives in this library, which is never unloaded.
                unsafe { libc::atexit(remove_private_dir) };
            }
            let model = Box::leak(Box::new(model));
            MODEL.store(model, Ordering::Release);
            Some(model)
        }
        Err(error) => {
            FAILED.store(true, Ordering::Release);
            let text = format!("warpdrive device model: no state directory: {error}\n");
            // SAFETY: a write of an initialised slice.
            unsafe { libc::syscall(libc::SYS_write, 2, text.as_ptr(), text.len()) };
            None
        }
    }
}

extern "C" fn remove_private_dir() {
    if let Some(model) = peek()
        && PROCESS.load(Ordering::Acquire) == sys::pid()
        && model.dir.path().ends_with(format!("warpdrive-model-{}", sys::pid()))
    {
        let _ = std::fs::remove_dir_all(model.dir.path());
    }
}

/// The exported symbols also reach executables that link the rlib; there they must do nothing.
fn part_of_the_executable() -> bool {
    struct Search {
        addr: usize,
        found: bool,
    }
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _: usize,
        data: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: the loader passes a valid record, whose headers it keeps mapped; `data` is our `Search`.
        let (info, search) = unsafe { (&*info, &mut *data.cast::<Search>()) };
        // SAFETY: as above.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        search.found = headers.iter().filter(|h| h.p_type == libc::PT_LOAD).any(|h| {
            let start = (info.dlpi_addr as usize).wrapping_add(h.p_vaddr as usize);
            search.addr.wrapping_sub(start) < h.p_memsz as usize
        });
        1 // the first object is the executable: no need to see the others
    }
    let mut search = Search { addr: part_of_the_executable as *const () as usize, found: false };
    // SAFETY: the callback matches the expected signature and `search` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut search).cast()) };
    search.found
}

/// What the environment says.
#[derive(Debug)]
struct Settings {
    profile: String,
    directory: Option<OsString>,
    faults: String,
}

/// Read when the library is loaded, as servers clear their environment before they first touch a device.
static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// When the library is loaded: reads the settings, for a program that changes its environment later, and looks for
/// queues among the descriptors that came through exec.
pub fn loaded() {
    SETTINGS.get_or_init(Settings::read);
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let queue = |name: &OsString| {
        let target = std::fs::read_link(Path::new("/proc/self/fd").join(name));
        target.is_ok_and(|target| target.to_string_lossy().contains("/state/queues/hisi_"))
    };
    let found: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).filter(queue).collect();
    let numbers = found.iter().filter_map(|name| name.to_str()?.parse().ok());
    for fd in numbers.collect::<Vec<libc::c_int>>() {
        let Some(model) = get() else { return };
        nodes::adopt(model, fd);
    }
}

impl Settings {
    fn read() -> Settings {
        let text =
            |name: &str| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned()).unwrap_or_default();
        Settings {
            profile: text("WARPDRIVE_MODEL"),
            directory: std::env::var_os("WARPDRIVE_MODEL_DIR"),
            faults: text("WARPDRIVE_MODEL_FAULTS"),
        }
    }
}

impl Model {
    fn new() -> io::Result<Model> {
        let settings = SETTINGS.get_or_init(Settings::read);
        let dir = match settings.directory.as_ref().filter(|d| !d.is_empty()) {
            Some(path) => SharedDir::named(Path::new(path))?,
            None => SharedDir::private()?,
        };
        let mut complaints = Vec::new();
        let profile = Profile::parse(&settings.profile).unwrap_or_else(|error| {
            complaints.push(format!("WARPDRIVE_MODEL: {error}"));
            super::profile::KUNPENG930
        });
        let plan = Plan::parse(&settings.faults).unwrap_or_else(|error| {
            complaints.push(format!("WARPDRIVE_MODEL_FAULTS: {error}"));
            Plan::default()
        });
        let refused_settings = (!complaints.is_empty()).then(|| complaints.join("; "));
        if let Some(error) = &refused_settings {
            dir.log(&format!("SETTINGS REFUSED, no device can be opened: {error}"));
        }
        let devices = profile.devices();
        let root = tree::materialise(&dir.state(""), &profile)?;
        let mut slots = Vec::new();
        for device in &devices {
            std::fs::create_dir_all(dir.state(&tree::queue_dir(device)))?;
            let queues = usize::from(profile.kind(device.kind).queues);
            let path = dir.state(&format!("slots-{}", device.name));
            slots.push(SharedWords::open(&path, queues * SLOT_WORDS)?.words());
        }
        let machine = Machine::new(SharedWords::open(&dir.state("machine"), MACHINE_WORDS)?.words());
        let fault_counters = SharedWords::open(
            &dir.state(&format!("faults-{}", fingerprint(&settings.faults))),
            plan.counters(),
        )?
        .words();
        let words = SharedWords::open(&dir.state("devices"), 64 * Function::WORDS)?.words();
        let ledger = Ledger::open(&dir.path().join("ledger"), dir.state("ledger.lock"))?;
        ledger.counter("refused")?;
        let engines = Kind::ALL.map(|kind| (kind, profile.engine(kind, played)));
        let service = if profile.takes_time() { 64 * 2 * usize::from(service::MOST_ENGINES) } else { 0 };
        let service = SharedWords::open(&dir.state("service"), service)?.words();
        let model = Model {
            dir,
            profile,
            refused_settings,
            devices,
            root,
            plan,
            fault_counters,
            ledger,
            engines,
            service,
            slots,
            machine,
            words,
        };
        model.sync_tree();
        Ok(model)
    }

    /// The machine of the directory and profile that the environment names, for a tool that is no preloaded object.
    pub fn for_tool() -> io::Result<Model> {
        if SETTINGS.get_or_init(Settings::read).directory.as_ref().is_none_or(|d| d.is_empty()) {
            return Err(io::Error::other("WARPDRIVE_MODEL_DIR does not say which run is meant"));
        }
        Model::new()
    }

    /// What all processes see of a queue.
    pub fn slot(&self, device: usize, number: u16) -> Slot {
        Slot::of(self.slots[device], number)
    }

    /// Makes the device threads of all queues of a device look around, in all processes.
    pub fn wake_all(&self, device: usize) {
        self.slots[device].chunks_exact(SLOT_WORDS).for_each(|words| Slot::from_words(words).wake());
    }

    /// The fault plan.
    pub fn faults(&self) -> Faults<'_> {
        Faults { plan: &self.plan, counters: self.fault_counters }
    }

    /// What executes the descriptors of a kind.
    pub fn engine(&self, kind: Kind) -> &'static dyn Engine {
        self.engines.iter().find(|(of, _)| *of == kind).map_or(kind.engine(), |(_, engine)| *engine)
    }

    /// What makes the requests of a queue take their time; nothing if they take none.
    pub fn pace(&self, kind: Kind, device: usize, qc_type: u16) -> Option<Pace> {
        if !self.profile.takes_time() {
            return None;
        }
        let work = &self.profile.kind(kind).work;
        let (pool, class) = service::pool(kind, qc_type);
        let most = usize::from(service::MOST_ENGINES);
        let engines = &self.service[(device * 2 + pool) * most..][..usize::from(work[pool].engines)];
        Some(Pace::new(work[class], engines, self.profile.page_fault_ns))
    }

    /// What the queues of a device share.
    pub fn function(&self, device: usize) -> Function<'static> {
        Function::new(&self.words[device * Function::WORDS..][..Function::WORDS])
    }
}

impl Records for Model {
    fn counter(&self, name: &str) -> CounterId {
        self.ledger.counter(name).unwrap_or_else(|error| {
            self.dir.log(&format!("cannot count {name}: {error}"));
            CounterId(u32::MAX)
        })
    }
    fn add(&self, counter: CounterId, n: u64) {
        self.ledger.add(counter, n);
    }
    fn log(&self, line: &str) {
        self.dir.log(line);
    }
    fn traces(&self) -> bool {
        self.profile.trace
    }
    fn trace(&self, now_ns: u64, fields: &str) {
        self.dir.trace(&format!("{now_ns}\t{}\t{fields}\n", sys::pid()));
    }
}

/// Counts a canned answer.
fn played() {
    if let Some(model) = peek() {
        model.count("canned");
    }
}

/// Writes a line to the log of the run, if there is one.
pub fn note(text: &str) {
    if let Some(model) = peek() {
        model.dir.log(text);
    }
}
