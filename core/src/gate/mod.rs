//! THE offload decision. One place says "software", and says why.

mod breaker;
pub mod model;

use std::time::Instant;

use once_cell::race::OnceBox;

use crate::config::Config;
use crate::pool::Pool;
use crate::{Fault, Lease, pool, qm, runtime, stats};

pub use crate::job::{Effort, Job, Needs, Op, Why};
use breaker::Breaker;

/// Decides between device and software. Obtained from [`crate::Runtime::gate`].
#[derive(Debug)]
pub struct Gate {
    /// Set once a class directory was seen; nothing is read before.
    config: OnceBox<Config>,
    defaults: Config,
    pub(crate) pool: Pool,
    breakers: [Breaker; Op::ALL.len()],
    clock: Instant,
    discovery: Option<runtime::Discovery>,
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
            breakers: Default::default(),
            clock: Instant::now(),
            discovery,
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
    /// `hw`, in software through `sw`, which is told why. Counts both. `hw` must leave `ctx` such that `sw`
    /// can still do the whole job when `hw` returned a [`Fault`].
    pub fn run<C: ?Sized, T>(
        &self,
        job: Job,
        ctx: &mut C,
        hw: impl FnOnce(&mut C, &mut Lease<'_>) -> Result<T, Fault>,
        sw: impl FnOnce(&mut C, Why) -> T,
    ) -> T {
        let why = match self.grant(&job) {
            Ok((mut lease, admission)) => {
                let breaker = &self.breakers[job.op.index()];
                let result = hw(ctx, &mut lease);
                let inherited = lease.is_inherited();
                match result {
                    Ok(value) => {
                        breaker.success();
                        lease.succeeded();
                        return value;
                    }
                    Err(_) if inherited => Why::Forked,
                    Err(fault) => {
                        if !fault.blames_device() {
                            // The device works; it is the request that it could not serve.
                            breaker.success();
                        } else if let Some(rest) = breaker.fault(admission, self.now(), self.config()) {
                            log::warn!("{}: software for {rest:?} after repeated faults", job.op.name());
                        }
                        lease.failed(fault);
                        let device = lease.device_name();
                        log::info!("{device}: {} of {} bytes to software: {fault}", job.op.name(), job.bytes);
                        Why::Failed(fault)
                    }
                }
            }
            Err(why) => why,
        };
        stats::software_for(job.op, why);
        self.pool.tidy();
        sw(ctx, why)
    }

    /// The decision, in this order: configuration, what this process is allowed, the breaker, the size, what
    /// devices can do, and whether a queue is free.
    fn grant(&self, job: &Job) -> Result<(Lease<'_>, breaker::Admission), Why> {
        let config = self.config();
        if !config.enabled(job.op) {
            return Err(Why::Disabled);
        }
        if !stats::enabled() {
            return Err(Why::SwitchedOff);
        }
        if let Some(why) = self.pool.refused(job.op.kind()) {
            return Err(why);
        }
        let breaker = &self.breakers[job.op.index()];
        if breaker.is_open(|| self.now()) {
            return Err(Why::Tripped);
        }
        if !job.sticky && job.bytes < config.minimum(job.op) {
            return Err(Why::TooSmall);
        }
        if let Err(why) = self.pool.suits(job.op, job.needs) {
            // A ZIP device may appear later; the provider's offer, on the other hand, is latched.
            let late = why == Why::NoDevice
                && matches!(job.op, Op::ZipCompress | Op::ZipDecompress)
                && self.discovery.as_ref().is_some_and(|discovery| discovery.look_again(self));
            if !late {
                return Err(why);
            }
            self.pool.suits(job.op, job.needs)?;
        }
        let lease = self.pool.lease(job, self.config().queues_per_process)?;
        let admission = breaker.admit(self.now()).ok_or(Why::Tripped)?;
        Ok((lease, admission))
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

    #[cfg(test)]
    pub(crate) fn discovery(&self) -> Option<&runtime::Discovery> {
        self.discovery.as_ref()
    }

    /// Milliseconds since the gate was made.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
