//! The one process-wide instance that ties configuration, devices, pool, gate and statistics together.

use once_cell::sync::OnceCell;

use crate::gate::Gate;

/// Process-wide state, made at first need. Without the uacce class directory it is an empty shell: making it
/// costs one look at that directory, and no thread, file, mapping or handler remains.
#[derive(Debug)]
pub struct Runtime {
    gate: Gate,
}

impl Runtime {
    /// The process's runtime.
    pub fn get() -> &'static Runtime {
        static RUNTIME: OnceCell<Runtime> = OnceCell::new();
        RUNTIME.get_or_init(|| Runtime { gate: Gate::default() })
    }

    /// The decision maker.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}
