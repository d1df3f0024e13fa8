//! The Zip engine.

use super::{Context, Engine, Generation, Verdict};

/// Stream contexts of one process, keyed by the context address of the entry.
#[derive(Debug, Default)]
pub struct StreamTable {}

/// Zip requests in software.
#[derive(Debug, Default)]
pub struct Zip;

impl Engine for Zip {
    fn classify(&self, _sqe: &[u8], _generation: Generation, _qc_type: u16) -> &'static str {
        "unknown"
    }

    fn execute(&self, _sqe: &mut [u8], _ctx: &mut Context<'_>) -> Verdict {
        Verdict::Refused { reason: "this engine is not built yet".into() }
    }
}
