//! Queues open in this process, lent one request (or one short sequence) at a time.
//!
//! A process that forks leaves its queues to the parent: their mappings are not inherited. So queues belong to
//! a *generation*, and a generation to the process that made it; a child finds only strange generations in the
//! chain and appends its own. The chain is lock-free, because a fork may copy any lock in its locked state; for
//! the same reason a child only *tries* the parent's lock when it closes what it inherited. No lock is held
//! while a queue is opened, used or closed.

mod health;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use once_cell::race::OnceBox;
use parking_lot::Mutex;

use crate::job::{Job, Needs, Op, Why};
use crate::qm::memory::{Loans, Memory, address, address_mut};
use crate::qm::{Channel, OpenError, QueuePair, Version};
use crate::uacce::{Device, Kind, Unusable, node, process};
use crate::{Fault, stats};
use health::{Health, Obstacle, worse};

/// What the pool lends: a queue of any make, which several threads may use at a time.
pub(crate) trait Queue: Send + Sync {
    /// As [`Channel::execute`].
    fn execute(&self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault>;
    /// Whether it can take requests.
    fn is_alive(&self) -> bool;
    /// Stops it for good, and closes it when the last thread inside has left. In a forked child: lets go of what is
    /// the parent's.
    fn retire(&self, fault: Fault);
    /// What it lends to its device; `None` for a queue whose buffers stay where they are.
    fn memory(&self) -> Option<&Memory> {
        None
    }
}

/// A queue and the memory it lends, which goes after it.
struct Equipped<Q> {
    queue: Q,
    memory: Memory,
}

impl<Q: Queue> Queue for Equipped<Q> {
    fn execute(&self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault> {
        self.queue.execute(sqe, deadline)
    }
    fn is_alive(&self) -> bool {
        self.queue.is_alive()
    }
    fn retire(&self, fault: Fault) {
        self.queue.retire(fault);
    }
    fn memory(&self) -> Option<&Memory> {
        Some(&self.memory)
    }
}

/// A queue pair has one owner: those who share it wait for one another.
impl<L: crate::qm::queue_pair::Link + Send> Queue for Mutex<QueuePair<L>> {
    fn execute(&self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault> {
        self.lock().execute(sqe, deadline)
    }
    fn is_alive(&self) -> bool {
        self.try_lock().is_none_or(|queue| queue.is_alive())
    }
    fn retire(&self, fault: Fault) {
        // A fork may have copied the lock locked; then its owner was the parent's thread, and so is the queue.
        if let Some(mut queue) = self.try_lock() {
            queue.retire(fault);
        }
    }
}

/// Opens queues: the kernel, or a fake in tests.
pub(crate) type Opener = dyn Fn(&Device, u16) -> Result<Box<dyn Queue>, OpenError> + Send + Sync;

/// Opens queues of real devices.
pub(crate) fn hardware(device: &Device, qc_type: u16) -> Result<Box<dyn Queue>, OpenError> {
    if device.isolated_now() {
        return Err(OpenError::Isolated);
    }
    let (queue, memory) = crate::qm::open(device, qc_type)?;
    Ok(Box::new(Equipped { queue: Mutex::new(queue), memory }))
}

/// Every generation of this process and its ancestors.
pub(crate) struct Pool {
    first: OnceBox<Generation>,
    opener: Box<Opener>,
    /// NUMA node of the thread that looked for devices: what counts until this process has opened a queue.
    first_node: AtomicI32,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("devices", &self.devices().map(|d| d.len())).finish_non_exhaustive()
    }
}

/// The devices as one process sees them, and its queues.
struct Generation {
    owner: u64,
    /// Made by a child that found its parent's.
    forked: bool,
    devices: Arc<[Device]>,
    state: Mutex<State>,
    /// Per kind: every device of it has refused this process for lack of permission.
    refused: [AtomicBool; Kind::ALL.len()],
    /// The process has opened a queue, so no sandbox keeps it from the system calls that go with one. A child
    /// may have entered a sandbox, whatever its parent did before.
    opened: AtomicBool,
    /// Per device: queues on loan at the moment.
    lent: Box<[AtomicUsize]>,
    next: OnceBox<Generation>,
}

struct State {
    idle: Vec<Parked>,
    /// Queues lent, idle, or being opened.
    count: usize,
    devices: Vec<Health>,
}

struct Parked {
    device: usize,
    qc_type: u16,
    queue: Box<dyn Queue>,
}

impl Pool {
    /// A pool without devices.
    pub(crate) fn new(opener: Box<Opener>) -> Self {
        Pool { first: OnceBox::new(), opener, first_node: AtomicI32::new(0) }
    }

    /// Makes `devices` the ones to use, in place of those known before (whose idle queues are closed).
    pub(crate) fn adopt(&self, devices: Vec<Device>) {
        self.first_node.store(node::current_numa_node(), Ordering::Relaxed);
        let generation = Box::new(Generation::new(devices.into(), false));
        match self.last() {
            None => drop(self.first.set(generation)),
            Some(last) => {
                // On a lost race another thread has found devices at the same time: as good.
                if last.next.set(generation).is_ok() {
                    last.close_idle();
                }
            }
        }
    }

    /// The devices in use; `None` before any was found.
    pub(crate) fn devices(&self) -> Option<&[Device]> {
        self.last().map(|generation| &*generation.devices)
    }

    fn last(&self) -> Option<&Generation> {
        let mut generation = self.first.get()?;
        while let Some(next) = generation.next.get() {
            generation = next;
        }
        Some(generation)
    }

    /// This process's generation, made now in a child that has none yet.
    fn current(&self) -> Option<&Generation> {
        let last = self.last()?;
        if last.owner == process::identity() {
            return Some(last);
        }
        let child = last.next.get_or_init(|| Box::new(Generation::new(last.devices.clone(), true)));
        last.close_idle();
        Some(child)
    }

    /// What speaks against using device number `index` at the moment, for listings.
    pub(crate) fn obstacle(&self, index: usize) -> Option<Unusable> {
        let obstacle = self.current()?.state.lock().devices.get(index)?.blocked(Instant::now())?;
        match obstacle {
            Obstacle::Busy => Some(Unusable::NoFreeQueue),
            Obstacle::Faulty => None,
            Obstacle::Closed(errno) | Obstacle::Refused(errno) => Some(Unusable::Open(errno)),
            Obstacle::Misfit => Some(Unusable::Geometry),
            Obstacle::Isolated => Some(Unusable::Isolated),
        }
    }

    /// Whether this process has been told, for good, that it may open no device of this kind; the reason. Takes
    /// no lock and makes no system call: this is asked before everything else, also for the smallest request.
    pub(crate) fn refused(&self, kind: Kind) -> Option<Why> {
        let generation = self.last()?;
        generation.refused[kind.index()].load(Ordering::Relaxed).then(|| generation.refusal())
    }

    /// Whether some device has what the job needs; otherwise why not.
    pub(crate) fn suits(&self, op: Op, needs: Needs) -> Result<(), Why> {
        let devices = self.devices().unwrap_or_default();
        if devices.iter().any(|device| suits(device, op, needs)) {
            Ok(())
        } else if devices.iter().any(|device| device.kind == op.kind()) {
            Err(Why::Unsupported)
        } else {
            Err(Why::NoDevice)
        }
    }

    /// Lends a queue for `job`: idle or new, on the nearest device first; at most `cap` queues are open at a
    /// time.
    pub(crate) fn lease(&self, job: &Job, cap: usize) -> Result<Lease<'_>, Why> {
        let generation = self.current().ok_or(Why::NoDevice)?;
        let candidates = self.candidates(generation, job);
        let mut reason = None;
        for &index in &candidates {
            match self.queue_of(generation, index, job.op, cap) {
                Ok(queue) => {
                    let version = Version::from_generation(generation.devices[index].generation);
                    generation.lent[index].fetch_add(1, Ordering::Relaxed);
                    return Ok(Lease {
                        generation,
                        device: index,
                        op: job.op,
                        version,
                        queue: Some(queue),
                        worked: false,
                        waiting: Waiting::default(),
                        loans: Loans::default(),
                    });
                }
                Err(obstacle) => reason = worse(reason, obstacle),
            }
        }
        Err(match reason {
            None | Some(Obstacle::Closed(_) | Obstacle::Misfit | Obstacle::Isolated) => Why::NoDevice,
            Some(Obstacle::Busy) => Why::AllBusy,
            Some(Obstacle::Faulty) => Why::Tripped,
            Some(Obstacle::Refused(_)) => generation.refusal(),
        })
    }

    /// Devices that suit the job, nearest first; of equally near ones the least used.
    fn candidates(&self, generation: &Generation, job: &Job) -> Vec<usize> {
        let devices = &generation.devices;
        let mut suitable: Vec<usize> =
            (0..devices.len()).filter(|&index| suits(&devices[index], job.op, job.needs)).collect();
        if suitable.len() > 1 {
            // A sandbox that allows no queue may kill for getcpu, so the first open is by the node seen at load.
            let here = if generation.opened.load(Ordering::Relaxed) {
                node::current_numa_node()
            } else {
                self.first_node.load(Ordering::Relaxed)
            };
            suitable.sort_by_key(|&index| {
                (devices[index].numa_node != here, generation.lent[index].load(Ordering::Relaxed))
            });
        }
        suitable
    }

    fn queue_of(
        &self,
        generation: &Generation,
        index: usize,
        op: Op,
        cap: usize,
    ) -> Result<Box<dyn Queue>, Obstacle> {
        let qc_type = op.qc_type();
        // Queues found dead or given up for room; closed after the lock is released.
        let mut discarded = Vec::new();
        let found = {
            let mut state = generation.state.lock();
            state.take_idle(index, qc_type, &mut discarded).map_or_else(
                || state.reserve(index, qc_type, &generation.devices, cap, &mut discarded).map(|()| None),
                |queue| Ok(Some(queue)),
            )
        };
        drop(discarded);
        if let Some(queue) = found? {
            return Ok(queue);
        }
        let device = &generation.devices[index];
        match (self.opener)(device, qc_type) {
            Ok(queue) => {
                generation.opened.store(true, Ordering::Relaxed);
                log::debug!("{}: queue of type {qc_type} opened", device.name);
                Ok(queue)
            }
            Err(error) => {
                let obstacle = Obstacle::of(error);
                if matches!(error, OpenError::Os(libc::EACCES | libc::EPERM)) {
                    crate::log::sandboxed();
                }
                let mut state = generation.state.lock();
                state.count -= 1;
                state.devices[index].failed(obstacle, Instant::now());
                if matches!(obstacle, Obstacle::Refused(_)) {
                    generation.latch_refusal(device.kind, &state);
                }
                drop(state);
                log::info!("{}: no queue: {error:?}", device.name);
                Err(obstacle)
            }
        }
    }
}

fn suits(device: &Device, op: Op, needs: Needs) -> bool {
    device.kind == op.kind()
        && needs.line(Version::from_generation(device.generation)).is_some_and(|line| device.has(line))
}

impl State {
    /// An idle queue of the device, still alive; dead ones on the way are discarded.
    fn take_idle(
        &mut self,
        device: usize,
        qc_type: u16,
        discarded: &mut Vec<Parked>,
    ) -> Option<Box<dyn Queue>> {
        while let Some(at) = self.idle.iter().rposition(|p| p.device == device && p.qc_type == qc_type) {
            let parked = self.idle.swap_remove(at);
            if parked.queue.is_alive() {
                return Some(parked.queue);
            }
            // Dead while idle: the function was reset, and needs a while.
            self.count -= 1;
            self.devices[device].failed(Obstacle::Faulty, Instant::now());
            discarded.push(parked);
        }
        None
    }

    /// Counts a queue that is about to be opened, if the device is not to be left alone and the cap allows;
    /// an idle queue of other use makes room.
    fn reserve(
        &mut self,
        device: usize,
        qc_type: u16,
        devices: &[Device],
        cap: usize,
        discarded: &mut Vec<Parked>,
    ) -> Result<(), Obstacle> {
        if let Some(obstacle) = self.devices[device].blocked(Instant::now()) {
            return Err(obstacle);
        }
        if self.count >= cap {
            let other = |p: &Parked| devices[p.device].kind != devices[device].kind || p.qc_type != qc_type;
            let Some(at) = self.idle.iter().position(other) else { return Err(Obstacle::Busy) };
            discarded.push(self.idle.swap_remove(at));
            self.count -= 1;
        }
        self.count += 1;
        Ok(())
    }
}

impl Generation {
    fn new(devices: Arc<[Device]>, forked: bool) -> Self {
        let lent = devices.iter().map(|_| AtomicUsize::new(0)).collect();
        let state = State { idle: Vec::new(), count: 0, devices: vec![Health::default(); devices.len()] };
        Generation {
            owner: process::identity(),
            forked,
            devices,
            state: Mutex::new(state),
            refused: Default::default(),
            opened: AtomicBool::new(false),
            lent,
            next: OnceBox::new(),
        }
    }

    const fn refusal(&self) -> Why {
        if self.forked { Why::Forked } else { Why::NoDevice }
    }

    /// Latches that no device of `kind` may be opened, if it is so.
    fn latch_refusal(&self, kind: Kind, state: &State) {
        let of_kind = self.devices.iter().zip(&state.devices).filter(|(device, _)| device.kind == kind);
        let mut healths = of_kind.map(|(_, health)| health);
        if healths.all(|health| matches!(health.obstacle, Some(Obstacle::Refused(_)))) {
            self.refused[kind.index()].store(true, Ordering::Relaxed);
        }
    }

    /// Closes the idle queues of a generation that is not used any more. In a forked child this closes only
    /// the inherited descriptors, and only if no thread held the lock when the process was copied.
    fn close_idle(&self) {
        let idle = self.state.try_lock().map(|mut state| {
            state.count -= state.idle.len();
            std::mem::take(&mut state.idle)
        });
        for parked in idle.iter().flatten() {
            parked.queue.retire(Fault::Reset);
        }
    }
}

/// A queue on loan; returned to the pool on drop, or closed if a request on it failed.
pub struct Lease<'a> {
    generation: &'a Generation,
    device: usize,
    op: Op,
    version: Version,
    /// `None` only while dropping.
    queue: Option<Box<dyn Queue>>,
    /// A request was completed.
    worked: bool,
    waiting: Waiting,
    /// What the request has borrowed of the queue's memory.
    loans: Loans,
}

/// How requests on a lease are waited for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waiting {
    /// The deadline is not below this: what the cost model expects, with a generous factor.
    pub(crate) least: Duration,
    /// Sleep early instead of spinning as long as the device usually needs.
    pub(crate) sleep_early: bool,
}

impl fmt::Debug for Lease<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("device", &self.device_name())
            .field("op", &self.op)
            .finish_non_exhaustive()
    }
}

impl Lease<'_> {
    /// Class entry of the device behind the queue.
    pub fn device_name(&self) -> &str {
        &self.generation.devices[self.device].name
    }

    /// Number of the device behind the queue, in the order of [`Pool::devices`].
    pub fn device_index(&self) -> usize {
        self.device
    }

    /// From now on requests are waited for like this.
    pub(crate) fn wait_as(&mut self, waiting: Waiting) {
        self.waiting = waiting;
    }

    /// Whether a request was completed on this lease.
    pub(crate) fn worked(&self) -> bool {
        self.worked
    }

    /// Requests of others in flight on the queue when it was lent.
    pub fn depth(&self) -> u16 {
        0
    }

    /// Whether this lease is to prove that the device answers rightly, before anything else is asked of it.
    pub fn needs_proof(&self) -> bool {
        false
    }

    /// The outcome of the proof. After a failed one the device does no work of this kind for a while.
    pub fn proved(&mut self, outcome: Result<(), Fault>) {
        let _ = outcome;
    }

    /// The request was served, or the device showed by its refusal that it works.
    pub fn succeeded(&mut self) {}

    /// The request ended in `fault`, which counts against the device's work of this kind if it blames the device.
    pub fn failed(&mut self, fault: Fault) {
        let _ = fault;
    }

    /// Whether this process is a child of the one that took the lease: the queue is out of reach.
    pub fn is_inherited(&self) -> bool {
        self.generation.owner != process::identity()
    }
}

impl Channel for Lease<'_> {
    fn version(&self) -> Version {
        self.version
    }

    fn execute(&mut self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault> {
        let queue = self.queue.as_ref().ok_or(Fault::Reset)?;
        let result = queue.execute(sqe, deadline.max(self.waiting.least));
        self.worked |= result.is_ok();
        result
    }

    fn lend(&mut self, bytes: &[u8]) -> Result<u64, Fault> {
        match self.queue.as_ref().and_then(|queue| queue.memory()) {
            Some(memory) => memory.lend(&mut self.loans, bytes),
            None => Ok(address(bytes)),
        }
    }

    fn lend_mut(&mut self, bytes: &mut [u8], likely: usize) -> Result<u64, Fault> {
        match self.queue.as_ref().and_then(|queue| queue.memory()) {
            Some(memory) => memory.lend_mut(&mut self.loans, bytes, likely),
            None => Ok(address_mut(bytes)),
        }
    }

    fn lend_state(&mut self, bytes: &mut [u8]) -> Result<u64, Fault> {
        match self.queue.as_ref().and_then(|queue| queue.memory()) {
            Some(memory) => memory.lend_state(&mut self.loans, bytes),
            None => Ok(address_mut(bytes)),
        }
    }

    fn collect(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        match self.queue.as_ref().and_then(|queue| queue.memory()) {
            Some(memory) => memory.collect(&self.loans, address, bytes),
            None => Ok(()),
        }
    }

    fn settle(&mut self) {
        if let Some(memory) = self.queue.as_ref().and_then(|queue| queue.memory()) {
            memory.settle(&mut self.loans);
        }
    }

    fn shares_addresses(&self) -> bool {
        self.queue.as_ref().and_then(|queue| queue.memory()).is_none_or(Memory::shares_addresses)
    }

    fn longest_loan(&self) -> usize {
        self.queue.as_ref().and_then(|queue| queue.memory()).map_or(usize::MAX, Memory::longest_loan)
    }

    fn record(&mut self, bytes: u64, ok: bool) {
        stats::device(self.op, bytes, ok);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else { return };
        if self.is_inherited() {
            // The queue lets go of the parent's queue by itself; the parent's bookkeeping is the parent's.
            return;
        }
        self.generation.lent[self.device].fetch_sub(1, Ordering::Relaxed);
        let alive = queue.is_alive();
        let superseded = self.generation.next.get().is_some();
        let mut state = self.generation.state.lock();
        if alive && !superseded {
            if self.worked {
                state.devices[self.device].worked();
            }
            state.idle.push(Parked { device: self.device, qc_type: self.op.qc_type(), queue });
            return;
        }
        state.count -= 1;
        if !alive {
            state.devices[self.device].failed(Obstacle::Faulty, Instant::now());
            drop(state);
            log::warn!("{}: queue given up after a fault", self.device_name());
        } else {
            drop(state);
        }
        drop(queue);
    }
}

#[cfg(test)]
mod tests;
