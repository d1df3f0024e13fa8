//! The modelled machine of this process: made when a path of the program first leads to it.
//!
//! UNSAFE: a `pthread` mutex that an atfork handler can hold across the fork, and a pointer published once.
#![allow(unsafe_code)]

use super::faults::Plan;
use super::ledger::{Counter, Ledger};
use super::profile::{Device, Profile};
use super::shared::{SharedDir, SharedWords, fingerprint};
use super::{nodes, ports, tree};
use crate::sys;
use std::cell::UnsafeCell;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

/// Words that all processes share for each device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceWords {
    /// Queue number to try first at the next open.
    pub next_queue: &'static AtomicU64,
    /// Counts controller resets.
    pub resets: &'static AtomicU64,
    /// Monotonic time in milliseconds until which the device is resetting.
    pub resetting_until: &'static AtomicU64,
}

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
    /// The fault plan.
    pub plan: Plan,
    /// One counter per rule of the plan.
    pub fault_counters: &'static [AtomicU64],
    /// What was executed.
    pub ledger: Ledger,
    /// Descriptors and doorbells that break the tables.
    pub refused: Counter,
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

fn register_atfork() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::AcqRel) {
        extern "C" fn before() {
            raw_lock();
        }
        extern "C" fn parent() {
            raw_unlock();
        }
        extern "C" fn child() {
            PROCESS.store(sys::pid(), Ordering::Release);
            ports::forget_all();
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

/// Reads the settings now, for a program that changes its environment later.
pub fn read_settings() {
    SETTINGS.get_or_init(Settings::read);
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
        for device in &devices {
            std::fs::create_dir_all(dir.state(&tree::queue_dir(device)))?;
        }
        let fault_counters = SharedWords::open(
            &dir.state(&format!("faults-{}", fingerprint(&settings.faults))),
            plan.counters(),
        )?
        .words();
        let words = SharedWords::open(&dir.state("devices"), 64 * 3)?.words();
        let ledger = Ledger::open(&dir.path().join("ledger"), dir.state("ledger.lock"))?;
        let refused = ledger.counter("refused")?;
        Ok(Model {
            dir,
            profile,
            refused_settings,
            devices,
            root,
            plan,
            fault_counters,
            ledger,
            refused,
            words,
        })
    }

    /// The shared words of a device.
    pub fn device_words(&self, device: usize) -> DeviceWords {
        let words = &self.words[device * 3..device * 3 + 3];
        DeviceWords { next_queue: &words[0], resets: &words[1], resetting_until: &words[2] }
    }

    /// Logs something that breaks the rules, and counts it.
    pub fn refuse(&self, text: &str) {
        self.dir.log(&format!("REFUSED {text}"));
        self.refused.add(1);
    }
}

/// Writes a line to the log of the run, if there is one.
pub fn note(text: &str) {
    if let Some(model) = peek() {
        model.dir.log(text);
    }
}
