//! What each thread remembers, so that its requests ask nobody: the queue that it used last for each kind of work,
//! the list of queues, and the NUMA node that it runs on.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::generation::Generation;
use super::seats::{List, Seat};
use crate::job::Op;
use crate::uacce::node;

/// Leases between two looks at where the thread runs. Then it chooses its queue afresh, too: a nearer one may have
/// become free.
const LEASES_PER_LOOK: u32 = 4096;

/// One thread's memory, of one generation of one pool. It keeps no queue open.
pub(super) struct Local {
    generation: u64,
    version: u64,
    list: Weak<[Arc<Seat>]>,
    last: [Option<Weak<Seat>>; Op::ALL.len()],
    node: i32,
    leases: u32,
}

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local::new()) };
}

/// Lets `work` use this thread's memory for `generation`, once; where there is none (any more, or in a signal handler
/// that has interrupted its use) a fresh one that is forgotten.
pub(super) fn with<R>(generation: &Generation, mut work: impl FnMut(&mut Local) -> R) -> R {
    let mut run = |local: &mut Local| {
        if local.generation != generation.id {
            *local = Local { generation: generation.id, ..Local::new() };
        }
        work(local)
    };
    let remembered = LOCAL.try_with(|local| local.try_borrow_mut().ok().map(|mut local| run(&mut local)));
    remembered.ok().flatten().unwrap_or_else(|| run(&mut Local::new()))
}

impl Local {
    const fn new() -> Self {
        Local {
            generation: 0,
            version: 0,
            list: Weak::<[Arc<Seat>; 0]>::new(),
            last: [const { None }; Op::ALL.len()],
            node: 0,
            leases: 0,
        }
    }

    /// The queue that this thread used last for `op`.
    pub(super) fn last(&self, op: Op) -> Option<Arc<Seat>> {
        self.last[op.index()].as_ref()?.upgrade()
    }

    /// Remembers a queue for the thread's next request.
    pub(super) fn remember(&mut self, op: Op, seat: &Arc<Seat>) {
        let last = &mut self.last[op.index()];
        if last.as_ref().is_none_or(|last| last.as_ptr() != Arc::as_ptr(seat)) {
            *last = Some(Arc::downgrade(seat));
        }
    }

    /// The list as it is now.
    pub(super) fn list(&mut self, generation: &Generation) -> List {
        if self.version == generation.seats.version()
            && let Some(list) = self.list.upgrade()
        {
            return list;
        }
        let (version, list) = generation.seats.snapshot();
        self.version = version;
        self.list = Arc::downgrade(&list);
        list
    }

    /// Where this thread runs, as far as that matters; looked up rarely. `at_first` counts until the process has
    /// opened a queue: a sandbox that allows none may kill for getcpu.
    pub(super) fn node(&mut self, generation: &Generation, at_first: i32) -> i32 {
        if !generation.distances.matter() || !generation.has_opened() {
            return at_first;
        }
        if self.leases.is_multiple_of(LEASES_PER_LOOK) {
            self.node = node::current_numa_node();
            if self.leases > 0 || self.node != at_first {
                self.last = [const { None }; Op::ALL.len()];
            }
        }
        self.leases = self.leases.wrapping_add(1);
        self.node
    }
}
