//! Queues open in this process, lent one request (or one short sequence) at a time.
//!
//! A process that forks leaves its queues to the parent: their mappings are not inherited. So queues belong to
//! a *generation*, and a generation to the process that made it; a child finds only strange generations in the
//! chain and appends its own. The chain is lock-free, because a fork may copy any lock in its locked state; for
//! the same reason a child only *tries* the parent's lock when it closes what it inherited. No lock is held
//! while a queue is opened, used or closed, and none is taken by a request that finds its queue open.
//!
//! | room | what it is |
//! |---|---|
//! | `search` | which queue a request gets |
//! | `occupancy`, `seats`, `local` | who uses which queue, the list of them, what each thread remembers |
//! | `distance` | how near devices are |
//! | `door` | how opening a device's queues goes |
//! | `trust` | what is believed of a device's work, by kind of work |
//! | `generation` | all of that, for one process |
//! | `lease` | what the borrower holds |

mod clock;
mod distance;
mod door;
mod generation;
mod lease;
mod local;
mod occupancy;
mod queue;
mod search;
mod seats;
mod trust;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Instant;

use once_cell::race::OnceBox;

use crate::Fault;
use crate::config::Config;
use crate::job::{Job, Needs, Op, Why};
use crate::qm::OpenError;
use crate::stats::{self, Event};
use crate::uacce::{Device, Kind, Unusable, node};
use clock::Clock;
use door::Obstacle;
use generation::Generation;
use search::{Found, Search, suits};
use seats::Seat;
use trust::{Limits, Standing};

pub use lease::Lease;
pub(crate) use lease::Waiting;
pub(crate) use queue::{Opener, hardware};

/// Looks for a queue before a request that others are always faster than gives up.
const LOOKS: usize = 64;

/// Every generation of this process and its ancestors.
pub(crate) struct Pool {
    first: OnceBox<Generation>,
    opener: Box<Opener>,
    clock: Clock,
    /// NUMA node of the thread that looked for devices: what counts until this process has opened a queue.
    first_node: AtomicI32,
    limits: OnceBox<Limits>,
    /// Unused for so many milliseconds, a queue is closed by whoever comes by.
    idle: AtomicU64,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("devices", &self.devices().map(|d| d.len())).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool without devices.
    pub(crate) fn new(opener: Box<Opener>) -> Self {
        Pool {
            first: OnceBox::new(),
            opener,
            clock: Clock::System(Instant::now()),
            first_node: AtomicI32::new(0),
            limits: OnceBox::new(),
            idle: AtomicU64::new(u64::MAX),
        }
    }

    /// Puts the settings of `config` in force, unless others are already.
    pub(crate) fn configure(&self, config: &Config) {
        if self.limits.set(Box::new(Limits::new(config))).is_ok() {
            let idle = u64::try_from(config.queue_idle.as_millis()).unwrap_or(u64::MAX);
            self.idle.store(idle, Ordering::Relaxed);
        }
    }

    fn limits(&self) -> Limits {
        self.limits.get().copied().unwrap_or_else(|| Limits::new(&Config::default()))
    }

    /// Makes `devices` the ones to use, in place of those known before (whose idle queues are closed).
    pub(crate) fn adopt(&self, devices: Vec<Device>) {
        self.first_node.store(node::current_numa_node(), Ordering::Relaxed);
        let last = self.current();
        let generation = Box::new(Generation::new(devices.into(), last, false));
        match last {
            None => drop(self.first.set(generation)),
            Some(last) => {
                // On a lost race another thread has found devices at the same time: as good.
                if last.next.set(generation).is_ok() {
                    last.close_all();
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
        if last.is_ours() {
            return Some(last);
        }
        let own = || Box::new(Generation::new(last.devices.clone(), Some(last), true));
        let child = last.next.get_or_init(own);
        last.let_go();
        Some(child)
    }

    /// What speaks against using device number `index` at the moment, for listings.
    pub(crate) fn obstacle(&self, index: usize) -> Option<Unusable> {
        let generation = self.current()?;
        let door = generation.doors.get(index)?;
        // The last failure stands until a queue is opened: that it may be tried again says nothing of the device.
        match door.obstacle()? {
            // Queues come free.
            Obstacle::Busy(_) if door.blocked(self.clock.now()).is_none() => None,
            // What it has is ours.
            Obstacle::Busy(_) if generation.seats.snapshot().1.iter().any(|seat| seat.device == index) => {
                None
            }
            Obstacle::Busy(_) => Some(Unusable::NoFreeQueue),
            Obstacle::Closed(errno) | Obstacle::Gone(errno) | Obstacle::Refused(errno) => {
                Some(Unusable::Open(errno))
            }
            Obstacle::Misfit => Some(Unusable::Geometry),
            Obstacle::Isolated => Some(Unusable::Isolated),
        }
    }

    /// Whether this process has been told, for good, that it may open no device of this kind; the reason. Takes
    /// no lock and makes no system call: this is asked before everything else, also for the smallest request.
    pub(crate) fn refused(&self, kind: Kind) -> Option<Why> {
        let generation = self.last()?;
        generation.is_refused(kind).then(|| generation.refusal())
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

    /// Why no device can be asked for `op` now, whatever the queues are; `None` if one can. Cheap: for the smallest
    /// request, too.
    pub(crate) fn away(&self, op: Op) -> Option<Why> {
        let generation = self.last()?;
        let mut away = None;
        for (index, _) in generation.devices.iter().enumerate().filter(|(_, device)| device.kind == op.kind())
        {
            match generation.trust(index, op).standing(|| self.clock.now()) {
                Standing::Away(why) => away = Some(why),
                Standing::Trusted | Standing::ToProve => return None,
            }
        }
        away
    }

    /// Closes queues that have been idle for long, if it is time to look. For whoever comes by: costs a load when
    /// no queue is open.
    pub(crate) fn tidy(&self) {
        if let Some(generation) = self.last()
            && generation.sweep_due() != u64::MAX
            && generation.is_ours()
        {
            self.sweep(generation, self.clock.now());
        }
    }

    fn sweep(&self, generation: &Generation, now: u64) {
        if now >= generation.sweep_due() {
            generation.sweep(now, self.idle.load(Ordering::Relaxed));
        }
    }

    /// Lends a queue for `job`; at most `cap` queues are open at a time.
    pub(crate) fn lease(&self, job: &Job, cap: usize) -> Result<Lease<'_>, Why> {
        let generation = self.current().ok_or(Why::NoDevice)?;
        let now = self.clock.now();
        let first_node = self.first_node.load(Ordering::Relaxed);
        let search = Search { generation, job, cap, now, first_node };
        for _ in 0..LOOKS {
            let (seat, others) = match local::with(generation, |local| search.look(local)) {
                Found::Seat(seat, others) => (seat, others),
                Found::Open { device, shareable } => match self.open(&search, device, shareable) {
                    Some(seat) => (seat, 0),
                    None => continue,
                },
                Found::Dead(seat) => {
                    if generation.close(&seat, Event::QueueRetired) {
                        generation.lost(&seat, Fault::Reset);
                    }
                    if seat.occupancy.leave() {
                        generation.dispose(&seat);
                    }
                    continue;
                }
                Found::Again => continue,
                Found::Nothing(why) => return Err(why),
            };
            if others > 0 {
                stats::event(Event::QueueShared);
            }
            let trust = generation.trust(seat.device, job.op);
            let proof = match trust.standing(|| now) {
                Standing::Trusted => None,
                _ => trust.begin(now),
            };
            let trusted = proof.is_some() || trust.standing(|| now) == Standing::Trusted;
            let lease = Lease::new(self, generation, job.op, seat, others, proof);
            if trusted {
                // Not before the lease's own queue is in use, or it might be the one that is closed.
                self.sweep(generation, now);
                return Ok(lease);
            }
            // Another thread proves.
        }
        Err(Why::AllBusy)
    }

    /// Opens a queue of `device`, which the caller has taken; `None` if it could not be, which the door then knows.
    fn open(&self, search: &Search<'_>, device: usize, shareable: bool) -> Option<Arc<Seat>> {
        let Search { generation, job, cap, now, .. } = *search;
        let class = job.op.qc_type();
        // A queue that nobody uses makes room, if it is of other use.
        let make_room = |fits: &dyn Fn(&Seat) -> bool| {
            let (_, list) = generation.seats.snapshot();
            let spare = search.spare(&list, shareable, fits).cloned();
            // Nothing of ours but the seat itself keeps the queue open when it is closed.
            drop(list);
            spare.is_some_and(|seat| generation.close_free(&seat, Event::QueueClosed))
        };
        let reserved = match generation.seats.reserve(cap) {
            Some(reserved) => reserved,
            None if make_room(&|_| true) => generation.seats.reserve(cap)?,
            None => return None,
        };
        let name = &generation.devices[device].name;
        let open = || (self.opener)(&generation.devices[device], class);
        let opened = match open() {
            Err(OpenError::Os(libc::EBUSY)) if make_room(&|seat| seat.device == device) => open(),
            other => other,
        };
        match opened {
            Ok(queue) => {
                log::debug!("{name}: queue of type {class} opened");
                let seat = Seat::taken(device, class, queue, reserved, now);
                let idle = self.idle.load(Ordering::Relaxed);
                generation.seat(seat.clone(), now.saturating_add(generation::interval(idle)));
                Some(seat)
            }
            Err(error) => {
                drop(reserved);
                let obstacle = Obstacle::of(error);
                if matches!(error, OpenError::Os(libc::EACCES | libc::EPERM)) {
                    crate::log::sandboxed();
                }
                generation.doors[device].failed(obstacle, now);
                match obstacle {
                    Obstacle::Refused(_) => generation.latch_refusal(generation.devices[device].kind),
                    Obstacle::Isolated => stats::event(Event::Isolated),
                    Obstacle::Gone(_) => stats::event(Event::Removed),
                    _ => {}
                }
                log::info!("{name}: no queue: {error:?}");
                None
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
