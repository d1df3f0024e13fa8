//! START_Q of a queue that another process serves: after a fork, each side may start it, and the device thread must
//! run where the queue was opened. A thread of that process attends to such wishes; it exists only after a fork.

use super::super::model::{self, Model};
use super::super::queue::Queue;
use super::{PATIENCE, Sys, served, serves, start};
use crate::sys;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const NONE: u64 = 0;
const WANTED: u64 = 1;
/// Answers are errno plus this.
const ANSWER: u64 = 2;

static RUNNING: AtomicBool = AtomicBool::new(false);

/// In a forked child there is no attendant.
pub(super) fn inherit() {
    RUNNING.store(false, Ordering::SeqCst);
}

/// After a fork, in the parent: a child may want to start what this process serves.
pub fn after_fork() {
    let Some(model) = model::peek() else { return };
    if !serves() || RUNNING.swap(true, Ordering::SeqCst) {
        return;
    }
    let builder = std::thread::Builder::new().name("wdm attendant".to_owned());
    let begun = sys::with_signals_blocked(|| builder.spawn(move || attend(model)));
    if let Err(error) = begun {
        RUNNING.store(false, Ordering::SeqCst);
        model.dir.log(&format!("no attendant for forked queues: {error}"));
    }
}

fn attend(model: &'static Model) {
    loop {
        let seen = model.machine.wishes().load(Ordering::SeqCst);
        for queue in served() {
            let wish = queue.slot.start_wanted();
            if queue.slot.epoch() == queue.epoch && wish.load(Ordering::SeqCst) == WANTED {
                let errno = start(&queue, model).err().unwrap_or(0);
                wish.store(ANSWER + errno as u64, Ordering::SeqCst);
            }
        }
        sys::futex_wait_shared(model.machine.wishes(), seen, None);
    }
}

/// Lets the process that serves the queue start it.
pub(super) fn ask(queue: &Arc<Queue>, model: &'static Model) -> Sys<()> {
    let wish = queue.slot.start_wanted();
    wish.store(WANTED, Ordering::SeqCst);
    model.machine.wishes().fetch_add(1, Ordering::SeqCst);
    sys::futex_wake_shared(model.machine.wishes());
    let until = Instant::now() + PATIENCE;
    loop {
        match wish.load(Ordering::SeqCst) {
            WANTED if Instant::now() < until => std::thread::sleep(Duration::from_micros(100)),
            ANSWER => return Ok(()),
            answer if answer > ANSWER => return Err((answer - ANSWER) as libc::c_int),
            _ => {
                wish.store(NONE, Ordering::SeqCst);
                model.dir.log(&format!(
                    "{} queue {}: the process that opened it does not answer START_Q",
                    queue.name, queue.number
                ));
                return Err(libc::EBUSY);
            }
        }
    }
}
