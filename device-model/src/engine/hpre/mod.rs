//! The Hpre engine.

use super::{Context, Engine, Generation, Verdict};

/// Hpre requests in software.
#[derive(Debug, Default)]
pub struct Hpre;

impl Engine for Hpre {
    fn classify(&self, _sqe: &[u8], _generation: Generation, _qc_type: u16) -> &'static str {
        "unknown"
    }

    fn execute(&self, _sqe: &mut [u8], _ctx: &mut Context<'_>) -> Verdict {
        Verdict::Refused { reason: "this engine is not built yet".into() }
    }
}
