//! Which queue a request gets: the one that this thread used last if it is free, else a free one, else a new one, else
//! one that others use. Nearer devices come first, and of equally near ones the less used.
//!
//! No lock, no allocation, no system call but a rare getcpu: see `local`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::door::Reason;
use super::generation::Generation;
use super::local::Local;
use super::seats::Seat;
use super::trust::Standing;
use crate::job::{Job, Needs, Op, Why};
use crate::qm::Version;
use crate::uacce::Device;

/// Most requests at a time on one queue, far below the depth of a ring (1024; 64 on the smallest known).
pub(super) const MOST_USERS: u32 = 32;
/// A queue that was used within so many milliseconds is not closed to make room for other work, as long as that has a
/// queue to share.
const FRESH: u64 = 10;

/// What the search came to.
pub(super) enum Found {
    /// A seat, taken, beside so many others.
    Seat(Arc<Seat>, u32),
    /// A seat, taken, whose queue has died.
    Dead(Arc<Seat>),
    /// A queue of this device is to be opened. `shareable`: there is one to share otherwise.
    Open {
        device: usize,
        shareable: bool,
    },
    /// Another thread has changed what was seen.
    Again,
    Nothing(Why),
}

/// What is searched for.
pub(super) struct Search<'a> {
    pub(super) generation: &'a Generation,
    pub(super) job: &'a Job,
    /// Most queues of this process.
    pub(super) cap: usize,
    pub(super) now: u64,
    /// NUMA node that counts until a queue was opened.
    pub(super) first_node: i32,
}

/// The best so far by a key, of which the smallest wins.
struct Best<K, T>(Option<(K, T)>);

impl<K: PartialOrd, T> Best<K, T> {
    fn offer(&mut self, key: K, value: T) {
        if self.0.as_ref().is_none_or(|(best, _)| key < *best) {
            self.0 = Some((key, value));
        }
    }
}

/// Whether the device has what the job needs.
pub(super) fn suits(device: &Device, op: Op, needs: Needs) -> bool {
    device.kind == op.kind()
        && needs.line(Version::from_generation(device.generation)).is_some_and(|line| device.has(line))
}

impl Search<'_> {
    /// One look. A seat in the answer is taken.
    pub(super) fn look(&self, local: &mut Local) -> Found {
        let Search { generation, job, now, .. } = *self;
        let here = local.node(generation, self.first_node);
        if let Some(seat) = local.last(job.op) {
            let standing = generation.trust(seat.device, job.op).standing(|| now);
            let usable = suits(&generation.devices[seat.device], job.op, job.needs)
                && !matches!(standing, Standing::Away(_));
            if usable && seat.occupancy.take() {
                return self.taken(seat, 0);
            }
        }

        let list = local.list(generation);
        let mut of_device = list.iter().peekable();
        let mut reason = Reason::default();
        let (mut free, mut shared, mut door) = (Best(None), Best(None), Best(None));
        let class = job.op.qc_type();
        for (index, device) in generation.devices.iter().enumerate() {
            let mut load = 0;
            let (mut idle, mut least) = (None, Best(None));
            while let Some(seat) = of_device.next_if(|seat| seat.device == index) {
                let Some(users) = seat.occupancy.users() else { continue };
                load += users;
                match users {
                    _ if seat.class != class => {}
                    // Always the first, so that the last ones become idle.
                    0 => idle = idle.or(Some(seat)),
                    _ => least.offer(users, seat),
                }
            }
            if !suits(device, job.op, job.needs) {
                continue;
            }
            if let Standing::Away(why) = generation.trust(index, job.op).standing(|| now) {
                reason.note(why);
                continue;
            }
            let distance = generation.distances.from(index, device, here);
            if let Some(seat) = idle {
                free.offer((distance, load), seat);
            }
            if let Some((users, seat)) = least.0 {
                shared.offer((users, distance), seat);
            }
            match generation.doors[index].blocked(now) {
                None => door.offer((distance, load), index),
                Some(obstacle) => reason.met(obstacle, generation.refusal()),
            }
        }

        let open = |device| Found::Open { device, shareable: shared.0.is_some() };
        let room = generation.seats.count() < self.cap;
        match (&free.0, &door.0) {
            (None, Some((_, device))) if room => open(*device),
            (Some(((far, _), _)), Some(((near, _), device))) if room && near < far => open(*device),
            (Some((_, seat)), _) => {
                if seat.occupancy.take() {
                    self.taken(Arc::clone(seat), 0)
                } else {
                    Found::Again
                }
            }
            (None, Some((_, device))) if self.spare(&list, shared.0.is_some(), |_| true).is_some() => {
                open(*device)
            }
            _ => match &shared.0 {
                Some((_, seat)) => match seat.occupancy.share(MOST_USERS) {
                    Some(others) => self.taken(Arc::clone(seat), others),
                    None if seat.occupancy.users().is_none_or(|users| users < MOST_USERS) => Found::Again,
                    None => Found::Nothing(Why::AllBusy),
                },
                // Nothing suitable is open, and all that this process may open is in other use.
                None if door.0.is_some() => Found::Nothing(Why::AllBusy),
                None => Found::Nothing(reason.why()),
            },
        }
    }

    fn taken(&self, seat: Arc<Seat>, others: u32) -> Found {
        if !seat.queue.is_alive() {
            return Found::Dead(seat);
        }
        seat.used.store(self.now, Ordering::Relaxed);
        Found::Seat(seat, others)
    }

    /// A free seat of other use that may be closed to make room for this search's.
    pub(super) fn spare<'s>(
        &self,
        list: &'s [Arc<Seat>],
        shareable: bool,
        fits: impl Fn(&Seat) -> bool,
    ) -> Option<&'s Arc<Seat>> {
        let Search { generation, job, .. } = self;
        let rest = if shareable { FRESH } else { 0 };
        list.iter().find(|seat| {
            let other =
                generation.devices[seat.device].kind != job.op.kind() || seat.class != job.op.qc_type();
            other && fits(seat) && seat.idle(self.now, rest)
        })
    }
}
