//! The device nodes' system calls: open, ioctl, mmap, munmap, poll, dup and close, as uacce.md section 3 says.
//!
//! Functions return what the system call would, with `Err(errno)` for a failure.
//!
//! A descriptor is a FIFO of the shared directory, opened for the program: its open file description holds the
//! lock that makes the queue taken, so that dup, fork, exec, exit and kill release it exactly as the kernel
//! would; and its bytes make it readable for poll, select and epoll.
//!
//! UNSAFE: system calls on descriptors and mappings of the program.
#![allow(unsafe_code)]

use super::memory::ProcessMemory;
use super::model::{self, Model};
use super::ports::{self, Port};
use super::profile::PutQ;
use super::queue::{self, Queue, Region, Setup, State};
use super::{ownership, worker};
use crate::engine::Memory as _;
use crate::sys::{self, FdSet, HiddenFd, next};
use libc::{c_int, c_void};
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A result with an errno.
pub type Sys<T> = Result<T, c_int>;

const START_Q: u64 = 0x5700;
const PUT_Q: u64 = 0x5701;
const SET_QP_CTX: u64 = 0xC004_480A;
const SET_QP_INFO: u64 = 0xC010_480B;

/// Numbers that refer to queues: the quick question of every interposed call.
pub static DEVICE_FDS: FdSet = FdSet::new();
/// Mapped regions in this process.
static REGIONS: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Entry {
    /// Not dropped in a forked child, where neither its mappings nor its thread exist.
    queue: ManuallyDrop<Arc<Queue>>,
    inherited: bool,
    /// All descriptors of the program are closed, but its mappings keep the file open, as in the kernel: then the
    /// entry has a negative number, and this is the reference.
    kept: Option<HiddenFd>,
}

/// The queues behind descriptor numbers, guarded by the structural lock.
struct Table(std::cell::UnsafeCell<Option<HashMap<c_int, Entry>>>);

// SAFETY: only `with_table` looks inside, with the structural lock held.
unsafe impl Sync for Table {}

static TABLE: Table = Table(std::cell::UnsafeCell::new(None));

fn with_table<R>(f: impl FnOnce(&mut HashMap<c_int, Entry>) -> R) -> R {
    let _guard = model::lock();
    // SAFETY: the lock makes this the only reference; `f` never comes back here.
    f(unsafe { &mut *TABLE.0.get() }.get_or_insert_with(HashMap::new))
}

pub(super) fn last_errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn errno_of(error: &std::io::Error) -> c_int {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn identity(fd: c_int) -> Option<(libc::dev_t, libc::ino_t)> {
    // SAFETY: the buffer has the kernel's layout on 64-bit targets.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::syscall(libc::SYS_fstat, fd, &mut stat) == 0).then_some((stat.st_dev, stat.st_ino))
    }
}

/// A queue as seen from a descriptor.
#[derive(Clone, Debug)]
pub struct Found {
    /// The queue.
    pub queue: Arc<Queue>,
    /// It came through fork: regions and device thread belong to another process.
    pub inherited: bool,
}

/// The queue behind `fd`. A number that the program has meanwhile given to something else is forgotten.
pub fn find(fd: c_int) -> Option<Found> {
    if !DEVICE_FDS.contains(fd) {
        return None;
    }
    let found = with_table(|table| {
        table.get(&fd).map(|e| Found { queue: Arc::clone(&e.queue), inherited: e.inherited })
    })?;
    if identity(fd) == Some(found.queue.identity) {
        return Some(found);
    }
    drop(found);
    forget(fd);
    None
}

/// Runs in a forked child with the structural lock held: what the table holds belongs to the parent.
pub fn inherit() {
    REGIONS.store(0, Ordering::SeqCst);
    // SAFETY: the atfork handler holds the lock and the child has one thread.
    if let Some(table) = unsafe { &mut *TABLE.0.get() } {
        table.values_mut().for_each(|entry| entry.inherited = true);
    }
    sys::close_hidden();
}

/// The port of queue `number` of a device, if this process has it open.
pub fn port_of(device: usize, number: u16) -> Option<&'static Port> {
    with_table(|table| {
        let mut own = table.values().filter(|e| !e.inherited);
        own.find(|e| e.queue.device == device && e.queue.number == number).map(|e| e.queue.port)
    })
}

/// Wakes the device threads of all queues of a device in this process.
pub fn wake_all(device: usize) {
    with_table(|table| {
        table.values().filter(|e| !e.inherited && e.queue.device == device).for_each(|e| e.queue.port.wake());
    });
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
    if let Some(error) = &model.refused_settings {
        model.dir.log(&format!("open of {} refused: {error}", what.name));
        return Err(libc::EINVAL);
    }
    if !may_open(kind.node_mode, flags) {
        return Err(libc::EACCES);
    }
    if let Some(errno) = model.plan.open(what.kind, model.fault_counters) {
        model.dir.log(&format!("fault RefuseOpen({errno}): {}", what.name));
        return Err(errno);
    }
    let words = model.device_words(device);
    if sys::monotonic_ms() < words.resetting_until.load(Ordering::SeqCst) {
        return Err(libc::EPERM);
    }
    let resets_at_open = words.resets.load(Ordering::SeqCst);
    let (fd, number) = ownership::reserve(model, device, flags)?;
    let opened = (|| {
        let identity = identity(fd).ok_or(libc::EIO)?;
        let bell = ownership::open_again(model, device, number)?;
        let bell = HiddenFd::adopt(bell).map_err(|e| errno_of(&e))?;
        let guard = model::lock();
        let port = ports::claim().ok_or(libc::ENOMEM)?;
        drop(guard);
        let made = Queue::new(Setup {
            device,
            name: what.name.clone(),
            kind: what.kind,
            number,
            depth: model.profile.depth,
            dus_size: model.profile.dus_size(what.kind, sys::page_size()),
            identity,
            port,
            resets_at_open,
            bell,
        });
        made.map_err(|e| {
            port.release();
            errno_of(&e)
        })
    })();
    match opened {
        Ok(queue) if DEVICE_FDS.insert(fd) => {
            let entry = Entry { queue: ManuallyDrop::new(Arc::new(queue)), inherited: false, kept: None };
            let stale = with_table(|table| table.insert(fd, entry));
            if let Some(stale) = stale {
                release(stale);
            }
            Ok(fd)
        }
        other => {
            // SAFETY: the descriptor was opened above and given to nobody.
            unsafe { next::close(fd) };
            Err(other.err().unwrap_or(libc::EMFILE))
        }
    }
}

/// Stops the queue if this was the last descriptor of this process that refers to it.
fn release(entry: Entry) {
    if entry.inherited {
        return; // the parent's; its Arc stays alive for ever in this copy of memory
    }
    let Entry { queue, kept, .. } = entry;
    let queue = ManuallyDrop::into_inner(queue);
    if queue.references.fetch_sub(1, Ordering::SeqCst) == 1 {
        worker::stop(&queue);
        if !queue.change_state(State::Started, State::Zombie) {
            queue.change_state(State::Init, State::Zombie);
        }
    }
    drop(kept); // after the device is quiet: others may have the queue now
}

/// Takes `fd` out of the table, because it is about to be closed or is something else by now.
pub fn forget(fd: c_int) {
    DEVICE_FDS.remove(fd);
    if let Some(mut entry) = with_table(|table| table.remove(&fd)) {
        if mapped(&entry) && entry.queue.references.load(Ordering::SeqCst) == 1 {
            entry.kept = keep_open(fd, entry.queue.identity);
        }
        match &entry.kept {
            Some(kept) => {
                let number = -1 - kept.number();
                with_table(|table| table.insert(number, entry));
            }
            None => release(entry),
        }
    }
}

fn mapped(entry: &Entry) -> bool {
    !entry.inherited && (entry.queue.port.mmio.exists() || entry.queue.port.dus.exists())
}

/// One more reference to the queue's file, if that is what `fd` still is.
fn keep_open(fd: c_int, queue: (libc::dev_t, libc::ino_t)) -> Option<HiddenFd> {
    if identity(fd) != Some(queue) {
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
        let entry = Entry { queue, inherited: entry.inherited, kept: None };
        table.insert(copy, entry)
    });
    if let Some(stale) = stale {
        release(stale);
    }
}

fn user_memory() -> ProcessMemory {
    ProcessMemory::new(model::note)
}

/// `ioctl` on a queue.
pub fn ioctl(found: &Found, request: u64, arg: u64) -> Sys<c_int> {
    let queue = &found.queue;
    if queue.state() == State::Zombie {
        return Err(libc::ENXIO);
    }
    // the kernel takes an unsigned int
    match request & 0xffff_ffff {
        START_Q => start_q(found),
        PUT_Q => put_q(found),
        SET_QP_CTX => {
            let mut structure = [0u8; 4];
            user_memory().read(arg, &mut structure).map_err(|_| libc::EFAULT)?;
            let qc_type = u16::from_le_bytes([structure[2], structure[3]]);
            if qc_type > 2 {
                return Err(libc::EINVAL);
            }
            structure[..2].copy_from_slice(&queue.number.to_le_bytes());
            user_memory().write(arg, &structure).map_err(|_| libc::EFAULT)?;
            queue.set_qc_type(qc_type);
            Ok(0)
        }
        SET_QP_INFO if model::peek().is_some_and(|m| m.profile.qp_info) => {
            let mut structure = [0u8; 16];
            user_memory().read(arg, &mut structure).map_err(|_| libc::EFAULT)?;
            structure[..4].copy_from_slice(&(queue.kind.sqe_size() as u32).to_le_bytes());
            structure[4..6].copy_from_slice(&queue.depth.to_le_bytes());
            structure[6..8].copy_from_slice(&queue.depth.to_le_bytes());
            user_memory().write(arg, &structure).map_err(|_| libc::EFAULT)?;
            Ok(0)
        }
        _ => Err(libc::EINVAL),
    }
}

fn start_q(found: &Found) -> Sys<c_int> {
    let queue = &found.queue;
    let model = model::peek().ok_or(libc::ENXIO)?;
    if queue.state() == State::Started {
        return Err(libc::EINVAL);
    }
    if found.inherited {
        model.dir.log(&format!("{}: START_Q of a queue that came through fork is not modelled", queue.name));
        return Err(libc::EPERM);
    }
    let words = model.device_words(queue.device);
    let resetting = sys::monotonic_ms() < words.resetting_until.load(Ordering::SeqCst);
    if resetting || words.resets.load(Ordering::SeqCst) != queue.resets_at_open {
        return Err(libc::EPERM);
    }
    if !queue.change_state(State::Init, State::Started) {
        return Err(libc::EINVAL);
    }
    worker::start(queue, model).map(|()| 0).map_err(|error| {
        queue.change_state(State::Started, State::Init);
        model.dir.log(&format!("{}: no device thread: {error}", queue.name));
        libc::EBUSY
    })
}

fn put_q(found: &Found) -> Sys<c_int> {
    let queue = &found.queue;
    let zombie = model::peek().is_some_and(|m| m.profile.put_q == PutQ::Zombie);
    let after = if zombie { State::Zombie } else { State::Init };
    if found.inherited {
        // the device thread is another process's: it sees the state, and is waited for
        if queue.change_state(State::Started, after) {
            let until = Instant::now() + Duration::from_secs(1);
            while queue.busy() && Instant::now() < until {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        return Ok(0);
    }
    if queue.state() == State::Started {
        // the thread drains while the state still says started, then nothing runs any more
        worker::stop(queue);
        queue.change_state(State::Started, after);
    } else if zombie {
        queue.change_state(State::Init, State::Zombie);
    }
    Ok(0)
}

/// `mmap` of a region; `offset` selects it, `addr` is a wish (an order with `MAP_FIXED`).
pub fn mmap(
    found: &Found,
    addr: usize,
    len: usize,
    prot: c_int,
    flags: c_int,
    offset: i64,
) -> Sys<*mut c_void> {
    let queue = &found.queue;
    let model = model::peek().ok_or(libc::ENXIO)?;
    if queue.state() == State::Zombie {
        return Err(libc::ENXIO);
    }
    let page = sys::page_size();
    let region = match usize::try_from(offset) {
        Ok(0) => Region::Mmio,
        Ok(o) if o == page => Region::Dus,
        _ => return Err(libc::EINVAL),
    };
    let rounded = len.div_ceil(page) * page;
    let fits = match region {
        Region::Mmio => len > 0 && rounded <= model.profile.mmio_size(page),
        Region::Dus => rounded == queue.dus_size(),
    };
    if !fits || flags & libc::MAP_TYPE == libc::MAP_PRIVATE {
        return Err(libc::EINVAL);
    }
    if !queue.mark_mapped(region) {
        return Err(libc::EEXIST);
    }
    if found.inherited {
        queue.mark_unmapped(region);
        model.dir.log(&format!("{}: mmap of a queue that came through fork is not modelled", queue.name));
        return Err(libc::EINVAL);
    }
    let placed = flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE);
    // SAFETY: the program's own mmap call, with the memory behind it replaced by ours.
    let at = unsafe {
        match region {
            Region::Mmio => {
                let flags = placed | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                next::mmap(addr as *mut c_void, rounded, libc::PROT_READ, flags, -1, 0)
            }
            Region::Dus => {
                next::mmap(addr as *mut c_void, rounded, prot, placed | libc::MAP_SHARED, queue.dus_fd(), 0)
            }
        }
    };
    if at == libc::MAP_FAILED {
        let error = last_errno();
        queue.mark_unmapped(region);
        return Err(error);
    }
    // SAFETY: exactly the new mapping.
    unsafe { libc::madvise(at, rounded, libc::MADV_DONTFORK) };
    match region {
        Region::Mmio => {
            crate::trap::signals::install();
            queue.port.mmio.set(at as usize, rounded);
        }
        Region::Dus => queue.port.dus.set(at as usize, rounded),
    }
    REGIONS.fetch_add(1, Ordering::SeqCst);
    Ok(at)
}

/// Called before the program unmaps a range: regions inside it can be mapped again.
pub fn unmapping(addr: usize, len: usize) {
    if REGIONS.load(Ordering::Relaxed) == 0 || !ports::any_within(addr, len) || model::in_vfork_child() {
        return;
    }
    let done = with_table(|table| {
        for entry in table.values().filter(|entry| !entry.inherited) {
            for (region, range) in
                [(Region::Mmio, &entry.queue.port.mmio), (Region::Dus, &entry.queue.port.dus)]
            {
                if range.lies_in(addr, len) {
                    range.clear();
                    entry.queue.mark_unmapped(region);
                    REGIONS.fetch_sub(1, Ordering::SeqCst);
                }
            }
        }
        let last = |(_, entry): &(&c_int, &Entry)| entry.kept.is_some() && !entry.inherited && !mapped(entry);
        let numbers: Vec<c_int> = table.iter().filter(last).map(|(number, _)| *number).collect();
        numbers.iter().filter_map(|number| table.remove(number)).collect::<Vec<_>>()
    });
    done.into_iter().for_each(release);
}

/// `poll` over descriptors of which at least one is a queue. `wait` is the real call: it takes the records and a
/// time-out in milliseconds (negative: none) and returns what poll does.
pub fn poll(
    fds: &mut [libc::pollfd],
    timeout: Option<Duration>,
    mut wait: impl FnMut(&mut [libc::pollfd], Option<Duration>) -> c_int,
) -> c_int {
    let until = timeout.map(|t| Instant::now() + t);
    let queues: Vec<_> = fds.iter().map(|record| find(record.fd)).collect();
    // the kernel looks at the completion ring before it sleeps, whether or not an interrupt was raised
    let ready = |record: &libc::pollfd, queue: &Option<Found>| {
        let wanted = libc::POLLIN | libc::POLLRDNORM;
        queue.as_ref().is_some_and(|f| record.events & wanted != 0 && !f.inherited && f.queue.take_ready())
    };
    let mut at_once: Vec<bool> =
        fds.iter().zip(&queues).map(|(record, queue)| ready(record, queue)).collect();
    loop {
        let any = at_once.iter().any(|r| *r);
        let left = until.map(|u| u.saturating_duration_since(Instant::now()));
        let result = wait(fds, if any { Some(Duration::ZERO) } else { left });
        if result < 0 {
            return result;
        }
        let mut count = 0;
        for ((record, queue), early) in fds.iter_mut().zip(&queues).zip(&mut at_once) {
            if queue.is_some() {
                if record.revents & libc::POLLIN != 0 {
                    queue::drain(record.fd);
                }
                *early = *early || (record.revents & libc::POLLIN != 0 && ready(record, queue));
                record.revents = if *early { record.events & (libc::POLLIN | libc::POLLRDNORM) } else { 0 };
            }
            count += c_int::from(record.revents != 0);
        }
        let expired = until.is_some_and(|u| Instant::now() >= u);
        if count > 0 || expired {
            return count;
        }
    }
}
