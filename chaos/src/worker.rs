//! The program that suffers: threads and forked children with mixed work, on whatever devices there are.
//!
//! A child may be forked while others are in the middle of a request of the zlib library. libcrypto's own locks, on the
//! other hand, must be free when a process forks, so work on it stands still for that moment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::crypto::Crypto;
use crate::descriptors::{Held, free_queues};
use crate::dice::Dice;
use crate::forked::{Child, fork};
use crate::zlib::Library;

const THREADS: u64 = 8;
const CHILDREN: u64 = 4;
/// How long the devices may look busy when the work is over.
const PATIENCE: Duration = Duration::from_secs(30);
/// Threads of a child.
const THREADS_OF_A_CHILD: u64 = 2;

/// How one worker is run.
#[derive(Debug, Clone)]
pub struct Orders {
    pub seed: u64,
    pub time: Duration,
    pub library: PathBuf,
    /// Directory of the model's state.
    pub model: String,
    /// Most queues that each of our two libraries may keep open.
    pub queues: usize,
}

struct Work<'a> {
    orders: &'a Orders,
    zlib: Library,
    crypto: Crypto,
    /// Held for reading by whoever is inside libcrypto.
    crypto_gate: RwLock<()>,
    failed: AtomicBool,
    until: Instant,
}

/// Works for the time ordered, checks every result, and finally what is left open.
pub fn run(orders: &Orders) -> Result<()> {
    let fresh = free_queues()?;
    let work = Work {
        orders,
        zlib: Library::open(&orders.library)?,
        crypto: Crypto::open()?,
        crypto_gate: RwLock::new(()),
        failed: AtomicBool::new(false),
        until: Instant::now() + orders.time,
    };
    let provider = work.crypto.provider()?;
    ensure!(provider == "warpdrive", "programs get AES-CTR of `{provider}`");
    // what is opened once and kept, such as counter files and the log, is open after this
    let mut dice = Dice::of(orders.seed, 0);
    for _ in 0..8 {
        work.zlib.job(&mut dice)?;
        work.crypto.ctr(&mut dice)?;
        work.crypto.rsa(&mut dice)?;
    }
    let before = Held::now(&orders.model)?;
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|label| {
                scope.spawn({
                    let work = &work;
                    move || work.until_the_end(label)
                })
            })
            .collect();
        let children: Result<Vec<Child>> = (1..=CHILDREN)
            .map(|number| {
                std::thread::sleep(orders.time / (CHILDREN as u32 + 2));
                // No thread is inside libcrypto; requests of the zlib library go on.
                let still = work.crypto_gate.write().expect("nobody panics with it");
                fork(|| {
                    drop(still);
                    work.in_a_child(number, &before)
                })
            })
            .collect();
        let children: Result<()> =
            children.and_then(|children| children.into_iter().try_for_each(Child::wait));
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        children
    });
    done?;
    let after = Held::now(&orders.model)?;
    after.check(&before, 2 * orders.queues)?;
    // A busy device shows no free queue for a moment.
    let end = Instant::now() + PATIENCE;
    loop {
        match nothing_taken_without_a_descriptor(&fresh, &after) {
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            found => return found,
        }
    }
}

/// A queue that is taken without a descriptor of ours would be a leaked mapping.
fn nothing_taken_without_a_descriptor(fresh: &BTreeMap<String, usize>, held: &Held) -> Result<()> {
    for (device, left) in free_queues()? {
        let taken = fresh.get(&device).with_context(|| format!("{device} is new"))?.saturating_sub(left);
        let ours = held.queues.get(&device).copied().unwrap_or(0);
        ensure!(taken <= ours, "{device}: {taken} queues are taken, {ours} descriptors are open");
    }
    Ok(())
}

impl Work<'_> {
    fn until_the_end(&self, label: u64) -> Result<()> {
        let mut dice = Dice::of(self.orders.seed, label);
        while Instant::now() < self.until && !self.failed.load(Ordering::Relaxed) {
            let result = match dice.below(8) {
                0..4 => self.zlib.job(&mut dice),
                4..6 => self.inside_crypto(|| self.crypto.ctr(&mut dice)),
                _ => self.inside_crypto(|| self.crypto.rsa(&mut dice)),
            };
            if let Err(error) = result {
                self.failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }

    fn inside_crypto(&self, job: impl FnOnce() -> Result<()>) -> Result<()> {
        let _gate: RwLockReadGuard<'_, ()> = self.crypto_gate.read().expect("nobody panics with it");
        job()
    }

    /// The life of a child, whose other threads are gone.
    fn in_a_child(&self, number: u64, before: &Held) -> Result<()> {
        let first = number * 100;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (first..first + THREADS_OF_A_CHILD)
                .map(|label| scope.spawn(move || self.until_the_end(label)))
                .collect();
            for thread in threads {
                match thread.join() {
                    Ok(done) => done?,
                    Err(_) => bail!("a thread panicked"),
                }
            }
            Ok(())
        })?;
        // What other threads were opening or giving up when the process was forked is nobody's here: of each thread
        // one of both, at most.
        let most = 2 * self.orders.queues + 2 * THREADS as usize;
        let held = Held::now(&self.orders.model)?;
        let open: usize = held.queues.values().sum();
        ensure!(open <= most, "{open} queues are open in a child: {:?}", held.queues);
        let more = held.others.len().saturating_sub(before.others.len());
        ensure!(more <= THREADS as usize, "descriptors were leaked in a child: {:?}", held.others);
        Ok(())
    }
}
