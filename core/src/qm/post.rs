//! Requests that nobody waits for in their slots: what they carry, and whom to tell.

use std::any::Any;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Fault;
use crate::uacce::node::Wakeup;

/// What stays alive until the device is done with it.
pub type Keep = Box<dyn Any + Send>;

/// The parcels of one queue, by slot.
#[derive(Debug, Default)]
pub(crate) struct Post {
    /// Empty until the first posted request.
    parcels: Mutex<Vec<Option<Arc<Parcel>>>>,
    /// Parcels in flight whose owner watches a descriptor.
    watchers: AtomicU32,
    /// Somebody was told to look while another led, who may have had its last look before: it has to look again.
    asked: AtomicBool,
}

/// One posted request. It is held by the post until the device is done, and by the ticket as long as that lives.
pub(crate) struct Parcel {
    inside: Mutex<Inside>,
    /// Set when `inside.outcome` is.
    done: AtomicBool,
}

struct Inside {
    /// The descriptor, then its write-back.
    sqe: Vec<u8>,
    keep: Option<Keep>,
    outcome: Option<Result<(), Fault>>,
    wakeup: Option<Wakeup>,
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parcel").field("done", &self.done).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Parcel {
    pub(crate) fn new(sqe: &[u8], keep: Keep) -> Parcel {
        let inside = Inside { sqe: sqe.to_vec(), keep: Some(keep), outcome: None, wakeup: None };
        Parcel { inside: Mutex::new(inside), done: AtomicBool::new(false) }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Acquire)
    }

    /// The outcome, once: the write-back into `sqe`, and what was kept. `None` while the device works.
    pub(crate) fn take(&self, sqe: &mut [u8]) -> Option<Result<Keep, Fault>> {
        let mut inside = lock(&self.inside);
        let outcome = inside.outcome?;
        let keep = inside.keep.take();
        Some(match (outcome, keep) {
            (Ok(()), Some(keep)) if sqe.len() == inside.sqe.len() => {
                sqe.copy_from_slice(&inside.sqe);
                Ok(keep)
            }
            (Ok(()), _) => Err(Fault::Unsupported),
            (Err(fault), _) => Err(fault),
        })
    }

    /// Ends the request; whether a descriptor was signalled.
    fn end(&self, outcome: Result<(), Fault>, write_back: impl FnOnce(&mut [u8])) -> bool {
        let mut inside = lock(&self.inside);
        write_back(&mut inside.sqe);
        inside.outcome = Some(outcome);
        self.done.store(true, Release);
        inside.wakeup.as_ref().inspect(|wakeup| wakeup.signal()).is_some()
    }
}

impl Post {
    /// Takes charge of the request that is about to be announced in `slot` of `depth`.
    pub(crate) fn accept(&self, slot: u16, depth: u16, parcel: Arc<Parcel>) {
        let mut parcels = lock(&self.parcels);
        if parcels.is_empty() {
            parcels.resize_with(depth.into(), || None);
        }
        parcels[usize::from(slot)] = Some(parcel);
    }

    /// The request in `slot` has completed; `read` copies its write-back out of the ring. A request whose ticket is
    /// gone ends here with everything it kept.
    #[cold]
    pub(crate) fn deliver(&self, slot: u16, read: impl FnOnce(&mut [u8])) {
        let parcel = lock(&self.parcels).get_mut(usize::from(slot)).and_then(Option::take);
        if let Some(parcel) = parcel {
            self.end(&parcel, Ok(()), read);
        }
    }

    fn end(&self, parcel: &Parcel, outcome: Result<(), Fault>, read: impl FnOnce(&mut [u8])) {
        if parcel.end(outcome, read) {
            self.watchers.fetch_sub(1, AcqRel);
        }
    }

    /// Every request in flight ends with `fault`: the device is quiet.
    pub(crate) fn fail(&self, fault: Fault) {
        let parcels = std::mem::take(&mut *lock(&self.parcels));
        for parcel in parcels.iter().flatten() {
            self.end(parcel, Err(fault), |_| ());
        }
    }

    /// Whether somebody watches a descriptor for a request in flight.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Relaxed) != 0
    }

    /// Asks the leader to look again; to be followed by an attempt to lead that is sure.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Relaxed);
    }

    /// The leader is about to look.
    pub(crate) fn answer(&self) {
        self.asked.store(false, Relaxed);
    }

    /// Whether somebody has asked since.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// A descriptor that becomes readable when `parcel` is done, or when `queue` (the queue's own) does; made at the
    /// first call. `Ok(true)` with it: the caller has to make sure that the interrupt is armed.
    ///
    /// # Errors
    /// The errno of what could not be made.
    pub(crate) fn watch(&self, parcel: &Parcel, queue: Option<RawFd>) -> Result<(RawFd, bool), i32> {
        let mut inside = lock(&parcel.inside);
        if let Some(wakeup) = &inside.wakeup {
            return Ok((wakeup.descriptor(), false));
        }
        let wakeup = Wakeup::new(queue)?;
        let descriptor = wakeup.descriptor();
        let pending = inside.outcome.is_none();
        if pending {
            self.watchers.fetch_add(1, AcqRel);
        } else {
            wakeup.signal();
        }
        inside.wakeup = Some(wakeup);
        Ok((descriptor, pending))
    }
}
