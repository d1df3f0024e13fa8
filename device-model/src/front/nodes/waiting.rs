//! `poll` (uacce.md 3.5): an edge, never a count; nothing after the queue was put or removed.

use super::super::{model, queue};
use super::{Found, find};
use libc::c_int;
use std::time::{Duration, Instant};

/// `poll` over descriptors of which at least one is a queue. `wait` is the real call: it takes the records and a
/// time-out (none: for ever) and returns what poll does.
pub fn poll(
    fds: &mut [libc::pollfd],
    timeout: Option<Duration>,
    mut wait: impl FnMut(&mut [libc::pollfd], Option<Duration>) -> c_int,
) -> c_int {
    let until = timeout.map(|t| Instant::now() + t);
    let kae = model::peek().is_some_and(|m| m.profile.kae());
    let queues: Vec<_> = fds.iter().map(|record| find(record.fd)).collect();
    // the kernel looks at the completion ring before it sleeps, whether or not an interrupt was raised
    let ready = |record: &libc::pollfd, queue: &Option<Found>| {
        let wanted = libc::POLLIN | libc::POLLRDNORM;
        queue.as_ref().is_some_and(|f| record.events & wanted != 0 && f.queue.take_ready(kae))
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
