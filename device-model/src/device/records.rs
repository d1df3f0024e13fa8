//! Where a device writes what happened: counters, log lines, trace lines.

use std::cell::RefCell;

/// A counter of [`Records`], looked up once by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterId(pub u32);

/// Counts and lines of a run. Counters only grow; a line is one event, without a newline.
pub trait Records {
    /// The counter of this name (at most 47 bytes), made if it is new. Where nothing more fits, one that
    /// counts nothing.
    fn counter(&self, name: &str) -> CounterId;
    /// Adds `n`.
    fn add(&self, counter: CounterId, n: u64);
    /// Adds one to the counter of this name.
    fn count(&self, name: &str) {
        self.add(self.counter(name), 1);
    }
    /// Appends a line to the log.
    fn log(&self, line: &str);
    /// Whether anybody reads the trace.
    fn traces(&self) -> bool {
        false
    }
    /// Appends a line to the trace: what happened at this time, the fields of [`super::trace`] after the process.
    fn trace(&self, _now_ns: u64, _fields: &str) {}
}

/// Records kept in this process, for fronts without a shared directory and for tests.
#[derive(Debug, Default)]
pub struct InMemory {
    counters: RefCell<Vec<(String, u64)>>,
    log: RefCell<Vec<String>>,
    trace: RefCell<Option<Vec<String>>>,
}

impl InMemory {
    /// Records that keep a trace as well.
    pub fn tracing() -> InMemory {
        InMemory { trace: RefCell::new(Some(Vec::new())), ..InMemory::default() }
    }
    /// The trace so far, without times and processes.
    pub fn trace_lines(&self) -> Vec<String> {
        self.trace.borrow().clone().unwrap_or_default()
    }
    /// The value of a counter; 0 if nobody asked for it.
    pub fn value(&self, name: &str) -> u64 {
        self.counters.borrow().iter().find(|(n, _)| n == name).map_or(0, |(_, value)| *value)
    }
    /// The sum of all counters whose name the condition holds for.
    pub fn sum(&self, of: impl Fn(&str) -> bool) -> u64 {
        self.counters.borrow().iter().filter(|(name, _)| of(name)).map(|(_, value)| value).sum()
    }
    /// The log so far, one line per event.
    pub fn log_text(&self) -> String {
        self.log.borrow().join("\n")
    }
}

impl Records for InMemory {
    fn counter(&self, name: &str) -> CounterId {
        let mut counters = self.counters.borrow_mut();
        let found = counters.iter().position(|(n, _)| n == name);
        let index = found.unwrap_or_else(|| {
            counters.push((name.to_owned(), 0));
            counters.len() - 1
        });
        CounterId(index as u32)
    }

    fn add(&self, counter: CounterId, n: u64) {
        if let Some((_, value)) = self.counters.borrow_mut().get_mut(counter.0 as usize) {
            *value += n;
        }
    }

    fn log(&self, line: &str) {
        self.log.borrow_mut().push(line.to_owned());
    }

    fn traces(&self) -> bool {
        self.trace.borrow().is_some()
    }

    fn trace(&self, _now_ns: u64, fields: &str) {
        if let Some(lines) = &mut *self.trace.borrow_mut() {
            lines.push(fields.to_owned());
        }
    }
}
