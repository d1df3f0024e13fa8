//! The Sec engine.

use super::{Context, Engine, Generation, Verdict};

/// Sec requests in software.
#[derive(Debug, Default)]
pub struct Sec;

impl Engine for Sec {
    fn classify(&self, _sqe: &[u8], _generation: Generation, _qc_type: u16) -> &'static str {
        "unknown"
    }

    fn execute(&self, _sqe: &mut [u8], _ctx: &mut Context<'_>) -> Verdict {
        Verdict::Refused { reason: "this engine is not built yet".into() }
    }
}
