//! The device nodes' descriptors: open, dup, fork, exec, close, as uacce.md section 3 says.
//!
//! Functions return what the system call would, with `Err(errno)` for a failure.
//!
//! A descriptor is a FIFO of the shared directory, opened for the program: its open file description holds the
//! lock that makes the queue taken, so that dup, fork, exec, exit and kill release it exactly as the kernel
//! would; and its bytes make it readable for poll, select and epoll.
//!
//! The device thread runs in the process that opened the queue, as the queue is bound to its address space. Others
//! that have the descriptor (through fork, exec or a socket) reach it through the queue's slot.
//!
//! UNSAFE: system calls on descriptors of the program.
#![allow(unsafe_code)]

mod attendant;
mod ioctl;
mod regions;
mod waiting;

pub use attendant::after_fork;
pub use ioctl::ioctl;
pub use regions::{Moved, mmap, moving, protecting, unmapping};
pub use waiting::poll;

use super::model::{self, Model};
use super::ports::{self, Way};
use super::queue::{Queue, Region, Served, Setup, State};
use super::{ownership, worker};
use crate::device::faults::Fault;
use crate::device::trace::event_fields;
use crate::device::{Closed, Records as _};
use crate::sys::{self, FdSet, HiddenFd, next};
use libc::c_int;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// A result with an errno.
pub type Sys<T> = Result<T, c_int>;

/// Numbers that refer to queues: the quick question of every interposed call.
pub static DEVICE_FDS: FdSet = FdSet::new();

/// How long another process is given to come to rest.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Entry {
    /// Not dropped in a forked child, where neither its mappings nor its thread exist.
    queue: ManuallyDrop<Arc<Queue>>,
    inherited: bool,
    /// All descriptors of the program are closed, but its mappings keep the file open, as in the kernel: then the
    /// entry has a negative number, and this is the reference.
    kept: Option<HiddenFd>,
    /// This process has closed it, and others that it served live on with it: then the entry has a number that no
    /// descriptor has.
    orphaned: bool,
}

/// The queues behind descriptor numbers, guarded by the structural lock.
struct Table(std::cell::UnsafeCell<Option<HashMap<c_int, Entry>>>);

// SAFETY: only `with_table` looks inside, with the structural lock held.
unsafe impl Sync for Table {}

static TABLE: Table = Table(std::cell::UnsafeCell::new(None));

/// The queues of a device that this process opened itself.
pub fn of_device(device: usize) -> Vec<Arc<Queue>> {
    with_table(|table| {
        let own = table.values().filter(|e| !e.inherited && e.queue.device == device);
        own.map(|e| Arc::clone(&e.queue)).collect()
    })
}

fn with_table<R>(f: impl FnOnce(&mut HashMap<c_int, Entry>) -> R) -> R {
    let _guard = model::lock();
    // SAFETY: the lock makes this the only reference; `f` never comes back here.
    f(unsafe { &mut *TABLE.0.get() }.get_or_insert_with(HashMap::new))
}

pub(super) fn last_errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn errno_of(error: &std::io::Error) -> c_int {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => libc::ENOMEM, // what is memory there is a file here
        errno => errno.unwrap_or(libc::EIO),
    }
}

/// A queue as seen from a descriptor.
#[derive(Clone, Debug)]
pub struct Found {
    /// The descriptor.
    pub fd: c_int,
    /// The queue.
    pub queue: Arc<Queue>,
    /// It came from another process (fork, exec, a socket): its device thread is there.
    pub inherited: bool,
}

/// The queue behind `fd`. A number that the program has meanwhile given to something else is forgotten.
pub fn find(fd: c_int) -> Option<Found> {
    if !DEVICE_FDS.contains(fd) {
        return None;
    }
    let found = with_table(|table| {
        table.get(&fd).map(|e| Found { fd, queue: Arc::clone(&e.queue), inherited: e.inherited })
    })?;
    if ownership::identity(fd) == Some(found.queue.identity) {
        return Some(found);
    }
    drop(found);
    // somebody closed it behind our back, and the number is something else now, which must not be closed
    finish(fd, || 0);
    None
}

/// Runs before a fork with the structural lock held: the child has every descriptor from its first moment on.
pub fn forking() {
    // SAFETY: the atfork handler holds the lock.
    if let Some(table) = unsafe { &*TABLE.0.get() } {
        let mut known: Vec<*const Queue> = Vec::new();
        for entry in table.values().filter(|entry| entry.kept.is_none() && !entry.orphaned) {
            let queue = Arc::as_ptr(&entry.queue);
            if !known.contains(&queue) {
                known.push(queue);
                entry.queue.slot.join();
            }
        }
    }
}

/// Runs in a forked child with the structural lock held: what the table holds is served by the parent.
pub fn inherit() {
    regions::forget();
    // SAFETY: the atfork handler holds the lock and the child has one thread.
    if let Some(table) = unsafe { &mut *TABLE.0.get() } {
        // references that were kept for mappings alone, or for other processes, do not exist here
        let kept = table.extract_if(|_, entry| entry.kept.is_some() || entry.orphaned);
        kept.for_each(|(_, entry)| std::mem::forget(entry));
        table.values_mut().for_each(|entry| entry.inherited = true);
    }
    attendant::inherit();
    sys::close_hidden();
}

/// Whether this process serves queues that a forked child may want to start.
fn serves() -> bool {
    with_table(|table| table.values().any(|entry| !entry.inherited))
}

/// Queues that this process serves.
fn served() -> Vec<Arc<Queue>> {
    with_table(|table| table.values().filter(|e| !e.inherited).map(|e| Arc::clone(&e.queue)).collect())
}

/// The kernel's errno for a device of which no queue can be had (uacce.md 3.1).
fn closed_errno(closed: Closed) -> c_int {
    match closed {
        Closed::Removed => libc::ENODEV,
        Closed::Isolated | Closed::Resetting => libc::EPERM,
        Closed::Busy => libc::EBUSY,
    }
}

/// What the fault plan has against this open.
fn planned_refusal(model: &Model, device: usize) -> Sys<()> {
    let what = &model.devices[device];
    let now = sys::monotonic_ns();
    let Some(fault) = model.faults().open(what.kind, now / 1_000_000) else { return Ok(()) };
    model.dir.log(&format!("fault {fault}: open of {}", what.name));
    model.count(&fault.counter());
    if model.traces() {
        model.trace(now, &event_fields(&what.name, None, &format!("open refused: {fault}")));
    }
    if let Some(event) = fault.event() {
        model.device_event(device, event); // then the open fails by itself
    }
    match fault {
        Fault::RefuseOpen(errno) => Err(errno),
        _ => Ok(()),
    }
}

fn may_open(mode: u32, flags: c_int) -> bool {
    let (read, write) = (mode & 0o444 != 0, mode & 0o222 != 0);
    match flags & libc::O_ACCMODE {
        libc::O_RDONLY => read,
        libc::O_WRONLY => write,
        _ => read && write,
    }
}

/// `open` of a device node.
pub fn open(model: &'static Model, device: usize, flags: c_int) -> Sys<c_int> {
    let what = &model.devices[device];
    let kind = model.profile.kind(what.kind);
    if flags & libc::O_DIRECTORY != 0 {
        return Err(libc::ENOTDIR);
    }
    if flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL {
        return Err(libc::EEXIST);
    }
    if !model.present(device) {
        return Err(libc::ENODEV);
    }
    if let Some(error) = &model.refused_settings {
        model.dir.log(&format!("open of {} refused: {error}", what.name));
        return Err(libc::EINVAL);
    }
    if !may_open(kind.node_mode, flags) {
        return Err(libc::EACCES);
    }
    let function = model.function(device);
    planned_refusal(model, device)?;
    if let Some(closed) = function.closed(sys::monotonic_ms()) {
        return Err(closed_errno(closed));
    }
    sweep();
    let resets_at_open = function.resets();
    let (fd, number) = ownership::reserve(model, device, flags)?;
    let opened = (|| {
        let bell = ownership::open_again(model, device, number)?;
        let bell = HiddenFd::adopt(bell).map_err(|e| errno_of(&e))?;
        let memory = ownership::clean_memory(model, device, number).map_err(|e| errno_of(&e))?;
        let access = (flags & (libc::O_ACCMODE | libc::O_NONBLOCK)) as u64;
        let epoch = model.slot(device, number).begin(model::me(), access, resets_at_open);
        attach(model, fd, device, number, epoch, Some(Served { memory: memory.as_raw_fd(), bell }))
    })();
    match opened {
        Ok(queue) => enter(fd, queue, false).map(|()| fd),
        Err(errno) => Err(errno),
    }
    .inspect_err(|_| {
        model.slot(device, number).end();
        // SAFETY: the descriptor was opened above and given to nobody.
        unsafe { next::close(fd) };
    })
}

fn attach(
    model: &'static Model,
    fd: c_int,
    device: usize,
    number: u16,
    epoch: u64,
    served: Option<Served>,
) -> Sys<Queue> {
    let what = &model.devices[device];
    let identity = ownership::identity(fd).ok_or(libc::EIO)?;
    let slots = model.slots[device];
    let way = Way { device: slots, number, epoch, isolated: model.profile.doorbell_isolation };
    let guard = model::lock();
    let port = ports::claim(way).ok_or(libc::ENOMEM)?;
    drop(guard);
    let setup = Setup {
        device,
        name: what.name.clone(),
        kind: what.kind,
        number,
        depth: model.profile.depth,
        dus_size: model.profile.dus_size(what.kind, sys::page_size()),
        identity,
        slot: model.slot(device, number),
        epoch,
        port,
    };
    Queue::new(setup, served).map_err(|e| {
        port.release();
        errno_of(&e)
    })
}

fn enter(fd: c_int, queue: Queue, inherited: bool) -> Sys<()> {
    if !DEVICE_FDS.insert(fd) {
        return Err(libc::EMFILE);
    }
    let entry = Entry { queue: ManuallyDrop::new(Arc::new(queue)), inherited, kept: None, orphaned: false };
    if let Some(stale) = with_table(|table| table.insert(fd, entry)) {
        leave(stale, || 0);
    }
    Ok(())
}

/// Looks at a descriptor that came through exec or a socket: if it is a queue's, it is known from now on.
pub fn adopt(model: &'static Model, fd: c_int) -> bool {
    if DEVICE_FDS.contains(fd) {
        return true;
    }
    let Some((device, number)) = ownership::recognise(model, fd) else { return false };
    let slot = model.slot(device, number);
    for region in [Region::Mmio, Region::Dus, Region::Ss] {
        // exec has taken the mappings away
        if slot.owner() != model::me() && slot.mapper(region) == sys::pid() as u64 {
            slot.mark_unmapped(region, false);
        }
    }
    let adopted = attach(model, fd, device, number, slot.epoch(), None);
    let entered = adopted.and_then(|queue| enter(fd, queue, true));
    if entered.is_ok() {
        slot.join();
    }
    entered.is_ok()
}

/// Stops a queue for good, wherever it is served.
fn stop(queue: &Queue, inherited: bool) {
    if !inherited {
        worker::stop(queue);
        return queue.end();
    }
    if queue.slot.epoch() == queue.epoch {
        queue.slot.deafen();
        queue.slot.end();
        queue.slot.wake();
        await_rest(queue);
    }
}

/// Waits until the device thread, which is another process's, touches nothing any more.
fn await_rest(queue: &Queue) {
    let until = Instant::now() + PATIENCE;
    while queue.slot.busy() && model::alive(queue.slot.owner()) && Instant::now() < until {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// One reference less to a queue; `close` is the system call that takes it away. The queue stops before its lock
/// goes with the last reference of all processes.
fn leave(entry: Entry, close: impl FnOnce() -> c_int) -> c_int {
    let Entry { queue, inherited, .. } = entry;
    let last = queue.references.fetch_sub(1, Ordering::SeqCst) == 1;
    let result = if !last {
        close()
    } else if queue.slot.epoch() != queue.epoch || !queue.slot.leave() {
        stop(&queue, inherited);
        close()
    } else {
        let result = close();
        // the others may have died without saying so: then the lock is free
        if let Some(lock) = ownership::take_back(&queue) {
            stop(&queue, inherited);
            drop(lock);
        } else if !inherited {
            let number = ORPHANS.fetch_add(1, Ordering::SeqCst);
            with_table(|table| table.insert(number, Entry { queue, inherited, kept: None, orphaned: true }));
            return result;
        }
        result
    };
    if !inherited {
        drop(ManuallyDrop::into_inner(queue));
    }
    result
}

/// Where the next orphaned entry goes: below all numbers that descriptors, or references for mappings, lead to.
static ORPHANS: AtomicI32 = AtomicI32::new(c_int::MIN);

/// Stops the queues served here whose last other holder has gone: nobody tells when a process dies.
fn sweep() {
    let orphans: Vec<(c_int, Arc<Queue>)> = with_table(|table| {
        let orphans = table.iter().filter(|(_, entry)| entry.orphaned);
        orphans.map(|(number, entry)| (*number, Arc::clone(&entry.queue))).collect()
    });
    for (number, queue) in orphans {
        let lock = ownership::take_back(&queue);
        if lock.is_none() && queue.state() != State::Zombie {
            continue;
        }
        if let Some(entry) = with_table(|table| table.remove(&number)) {
            stop(&queue, false);
            drop(ManuallyDrop::into_inner(entry.queue));
        }
        drop(lock);
    }
}

fn finish(fd: c_int, close: impl FnOnce() -> c_int) -> c_int {
    DEVICE_FDS.remove(fd);
    let Some(mut entry) = with_table(|table| table.remove(&fd)) else { return close() };
    if mapped(&entry) && entry.queue.references.load(Ordering::SeqCst) == 1 {
        entry.kept = keep_open(fd, entry.queue.identity);
    }
    match &entry.kept {
        Some(kept) => {
            let number = -1 - kept.number();
            with_table(|table| table.insert(number, entry));
            close()
        }
        None => leave(entry, close),
    }
}

/// `close` of a descriptor that is a queue's.
pub fn close(fd: c_int) -> c_int {
    // SAFETY: the program's descriptor.
    let result = finish(fd, || unsafe { next::close(fd) });
    sweep();
    result
}

fn mapped(entry: &Entry) -> bool {
    regions::of(entry.queue.port).iter().any(|(_, range)| range.exists())
}

/// One more reference to the queue's file, if that is what `fd` still is.
fn keep_open(fd: c_int, queue: (libc::dev_t, libc::ino_t)) -> Option<HiddenFd> {
    if ownership::identity(fd) != Some(queue) {
        return None;
    }
    // SAFETY: duplicates a descriptor; the copy is handed on at once.
    let copy = unsafe { next::fcntl(fd, libc::F_DUPFD_CLOEXEC, 700) };
    if copy < 0 { None } else { HiddenFd::adopt(copy).ok() }
}

/// `copy` was made from `fd` by dup or fcntl.
pub fn alias(fd: c_int, copy: c_int) {
    if fd == copy || !DEVICE_FDS.insert(copy) {
        return;
    }
    let stale = with_table(|table| {
        let entry = table.get(&fd)?;
        entry.queue.references.fetch_add(1, Ordering::SeqCst);
        let queue = ManuallyDrop::new(Arc::clone(&entry.queue));
        let entry = Entry { queue, inherited: entry.inherited, kept: None, orphaned: false };
        table.insert(copy, entry)
    });
    if let Some(stale) = stale {
        leave(stale, || 0);
    }
}

/// START_Q on behalf of whoever asks, in the process that serves the queue.
fn start(queue: &Arc<Queue>, model: &'static Model) -> Sys<()> {
    let function = model.function(queue.device);
    match function.closed(sys::monotonic_ms()) {
        None | Some(Closed::Busy) => {} // its queue it has already
        Some(Closed::Removed) => return Err(libc::ENXIO),
        Some(closed) => return Err(closed_errno(closed)),
    }
    if function.lost(queue.slot.resets_at_open()).is_some() {
        return Err(libc::EPERM);
    }
    if !queue.change_state(State::Init, State::Started) {
        return Err(libc::EINVAL);
    }
    worker::start(queue, model).map_err(|error| {
        queue.change_state(State::Started, State::Init);
        model.dir.log(&format!("{}: no device thread: {error}", queue.name));
        libc::EBUSY
    })
}
