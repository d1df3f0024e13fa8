//! THE offload decision. One place says "software", and says why.

pub mod model;
pub mod table;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use once_cell::race::OnceBox;

use crate::config::{Config, Policy};
use crate::engine::known_answer;
use crate::pool::{Pool, Waiting};
use crate::stats::{Event, Side};
use crate::{Fault, Lease, pool, qm, runtime, stats};

pub use crate::job::{Effort, Job, Needs, Op, Why};
use model::{CostModel, Decision};

/// A request is given up after this many times what the cost model expects, but not before `qm::deadline`: a device
/// whose average is long is not dead.
const PATIENCE: u32 = 16;

/// Decides between device and software. Obtained from [`crate::Runtime::gate`].
#[derive(Debug)]
pub struct Gate {
    /// Set once a class directory was seen; nothing is read before.
    config: OnceBox<Config>,
    defaults: Config,
    pub(crate) pool: Pool,
    model: OnceBox<CostModel>,
    clock: Instant,
    discovery: Option<runtime::Discovery>,
    /// Leases given, to tell which of them are samples; counted only if there are any.
    granted: AtomicU32,
    /// Known answers; tests have devices that compute nothing.
    prove: fn(Op, &mut Lease<'_>) -> Result<(), Fault>,
}

/// A job that software serves.
#[derive(Debug, Clone, Copy)]
pub struct Declined {
    /// Why.
    pub why: Why,
    job: Job,
    decision: Option<Decision>,
}

/// Why there is no lease, and the cost model's word if it was asked.
struct Denied {
    why: Why,
    decision: Option<Decision>,
}

impl From<Why> for Denied {
    fn from(why: Why) -> Self {
        Denied { why, decision: None }
    }
}

/// Leave to use a device.
struct Granted<'a> {
    lease: Lease<'a>,
    decision: Decision,
}

impl Default for Gate {
    /// A gate that knows no device and looks for none: software serves everything.
    fn default() -> Self {
        Gate::new(Pool::new(Box::new(pool::hardware)), None)
    }
}

impl Gate {
    pub(crate) fn new(pool: Pool, discovery: Option<runtime::Discovery>) -> Self {
        Gate {
            config: OnceBox::new(),
            defaults: Config::default(),
            pool,
            model: OnceBox::new(),
            clock: Instant::now(),
            discovery,
            granted: AtomicU32::new(0),
            prove: |op, lease| known_answer::prove(op, lease),
        }
    }

    /// The configuration in force; the defaults where there is no class directory.
    pub fn config(&self) -> &Config {
        self.config.get().unwrap_or(&self.defaults)
    }

    /// Puts `config` in force, unless another is already.
    pub(crate) fn configure(&self, config: Config) {
        if self.config.set(Box::new(config)).is_ok() {
            self.pool.configure(self.config());
            let deadline = self.config().deadline.as_millis();
            qm::set_deadline_floor(u64::try_from(deadline).unwrap_or(u64::MAX));
        }
    }

    /// Runs `job`: on the device through `hw` if the gate grants a lease, otherwise, or after a fault of
    /// `hw`, in software through `sw`, which is told why. Counts and times both. `hw` must leave `ctx` such that
    /// `sw` can still do the whole job when `hw` returned a [`Fault`], and `sw` must do it before it returns: a
    /// caller that does its software's work elsewhere calls [`Gate::attempt`].
    pub fn run<C: ?Sized, T>(
        &self,
        job: Job,
        ctx: &mut C,
        hw: impl FnOnce(&mut C, &mut Lease<'_>) -> Result<T, Fault>,
        sw: impl FnOnce(&mut C, Why) -> T,
    ) -> T {
        match self.attempt(job, ctx, hw) {
            Ok(value) => value,
            Err(declined) => self.measured(declined, || sw(ctx, declined.why)),
        }
    }

    /// The device's half of [`Gate::run`]. Software's reason is counted; its work is timed if the caller does it
    /// in [`Gate::measured`].
    ///
    /// # Errors
    /// Why software serves the job.
    pub fn attempt<C: ?Sized, T>(
        &self,
        job: Job,
        ctx: &mut C,
        hw: impl FnOnce(&mut C, &mut Lease<'_>) -> Result<T, Fault>,
    ) -> Result<T, Declined> {
        let served = self.grant(&job).and_then(|granted| Ok(self.on_device(&job, granted, ctx, hw)?));
        served.map_err(|Denied { why, decision }| {
            stats::software_for(job.op, why);
            self.pool.tidy();
            Declined { why, job, decision }
        })
    }

    fn on_device<C: ?Sized, T>(
        &self,
        job: &Job,
        granted: Granted<'_>,
        ctx: &mut C,
        hw: impl FnOnce(&mut C, &mut Lease<'_>) -> Result<T, Fault>,
    ) -> Result<T, Why> {
        let Granted { mut lease, decision } = granted;
        let (device, ahead) = (lease.device_index(), lease.ahead());
        let start = Instant::now();
        let result = hw(ctx, &mut lease);
        let took = nanoseconds(start.elapsed().saturating_sub(lease.checking()));
        if lease.is_inherited() {
            return result.map_err(|_| Why::Forked);
        }
        match result {
            Ok(value) => {
                lease.succeeded();
                // A closure may find that there is nothing to ask of the device.
                if lease.worked() {
                    stats::latency(job.op, Side::Device, took);
                    stats::depth(job.op, lease.depth());
                    let model = self.model();
                    model.device(job, device, ahead, took);
                    model.settle(job, decision, took);
                    table::show_device(model, job, device);
                }
                Ok(value)
            }
            Err(fault) => {
                lease.failed(fault);
                self.model().settle(job, decision, took);
                let device = lease.device_name();
                log::info!("{device}: {} of {} bytes to software: {fault}", job.op.name(), job.bytes);
                Err(Why::Failed(fault))
            }
        }
    }

    /// Does software's work for a declined job, and takes in how long it took. Without a device nothing is timed.
    pub fn measured<T>(&self, declined: Declined, work: impl FnOnce() -> T) -> T {
        self.measured_part(declined, || (work(), declined.job.bytes))
    }

    /// As [`Gate::measured`] for work that says, in bytes as in [`Job::bytes`], how much of the job it has done.
    pub fn measured_part<T>(&self, declined: Declined, work: impl FnOnce() -> (T, usize)) -> T {
        let Some(model) = self.model.get() else { return work().0 };
        let start = Instant::now();
        let (value, bytes) = work();
        let took = nanoseconds(start.elapsed());
        stats::latency(declined.job.op, Side::Software, took);
        if let Some(decision) = declined.decision {
            model.settle(&declined.job, decision, took);
        }
        // A small part says nothing about the whole: it may be a header, or the rest of a stream.
        if bytes >= declined.job.bytes / 2 {
            let job = Job { bytes, ..declined.job };
            model.software(&job, took);
            table::show_software(model, &job);
        }
        value
    }

    /// The decision, in this order: configuration, the administrator's switch, what this process is allowed, what is
    /// believed of the devices, the size, what devices can do, what each side is expected to take, whether a queue is free,
    /// what the device is expected to take behind the requests that are ahead in it, and whether it answers rightly.
    fn grant(&self, job: &Job) -> Result<Granted<'_>, Denied> {
        let config = self.config();
        if !config.enabled(job.op) {
            return Err(Why::Disabled.into());
        }
        if !stats::enabled() {
            return Err(Why::SwitchedOff.into());
        }
        if let Some(why) = self.pool.refused(job.op.kind()) {
            return Err(why.into());
        }
        if let Some(why) = self.pool.away(job.op) {
            return Err(why.into());
        }
        if !job.sticky && job.bytes < config.minimum(job.op) {
            return Err(Why::TooSmall.into());
        }
        if let Err(why) = self.pool.suits(job.op, job.needs) {
            // A device may appear later; the provider's offer, on the other hand, is latched.
            let late = why == Why::NoDevice && self.look_again();
            if !late {
                return Err(why.into());
            }
            self.pool.suits(job.op, job.needs)?;
        }
        let config = self.config();
        let model = self.model();
        let first = model.decide(job, self.fastest(model, job), 0);
        if let Some(why) = first.software {
            return Err(Denied { why, decision: Some(first) });
        }
        let mut lease = match self.pool.lease(job, config.queues_per_process) {
            Err(Why::NoDevice | Why::AllBusy) if self.look_again() => {
                self.pool.lease(job, config.queues_per_process)?
            }
            other => other?,
        };
        let decision = model.still(job, first, lease.device_index(), lease.ahead())?;
        if config.known_answer && lease.needs_proof() {
            let outcome = (self.prove)(job.op, &mut lease);
            lease.proved(outcome);
            lease.begin_work();
            if let Err(fault) = outcome {
                log::warn!("{}: {} fails its known-answer test: {fault}", lease.device_name(), job.op.name());
                return Err(Why::Failed(fault).into());
            }
        }
        if decision.explored {
            stats::event(Event::Explored);
        }
        if config.sample > 0 && self.granted.fetch_add(1, Ordering::Relaxed).is_multiple_of(config.sample) {
            lease.sample();
        }
        lease.wait_as(Waiting {
            least: Duration::from_nanos(decision.expected).saturating_mul(PATIENCE),
            sleep_early: config.policy() == Policy::SaveCpu,
        });
        Ok(Granted { lease, decision })
    }

    /// Whether `job` would be granted a lease now; counts why not.
    pub fn worth(&self, job: Job) -> bool {
        self.grant(&job).map_err(|denied| stats::software_for(job.op, denied.why)).is_ok()
    }

    /// Of the devices of the job's kind the one that is expected to be fastest.
    fn fastest(&self, model: &CostModel, job: &Job) -> usize {
        let devices = self.pool.devices().unwrap_or_default().iter().enumerate();
        let kind = devices.filter(|(_, device)| device.kind == job.op.kind());
        model.fastest(job, kind.map(|(index, _)| index)).unwrap_or(0)
    }

    /// What requests cost, made when a device could serve one for the first time.
    fn model(&self) -> &CostModel {
        self.model.get_or_init(|| {
            let config = self.config();
            Box::new(CostModel::new(config.policy(), config.explore_share))
        })
    }

    /// Counts a job that the caller served in software without asking, because its own rules (a parameter
    /// the device does not know, a stream that must stay where it is) leave no choice.
    pub fn software(&self, why: Why) {
        stats::software(why);
    }

    /// Whether a device that could serve `op` with `algorithm` was present when the process first looked, and
    /// configuration allows it. Latched; no queue is opened. The provider offers algorithms by this.
    pub fn offers(&self, op: Op, algorithm: &str) -> bool {
        let present = |device: &crate::uacce::Device| device.kind == op.kind() && device.has(algorithm);
        self.config().enabled(op) && self.pool.devices().is_some_and(|devices| devices.iter().any(present))
    }

    /// Looks for other devices, if it is time to; whether there are any.
    fn look_again(&self) -> bool {
        self.discovery.as_ref().is_some_and(|discovery| discovery.look_again(self))
    }

    #[cfg(test)]
    pub(crate) fn discovery(&self) -> Option<&runtime::Discovery> {
        self.discovery.as_ref()
    }

    /// Milliseconds since the gate was made.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
