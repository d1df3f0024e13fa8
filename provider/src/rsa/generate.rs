//! Key generation: the twin generates, the result becomes one of our keys.

use std::ffi::c_int;
use std::sync::Arc;

use super::key::Key;
use crate::ossl::dispatch::select;
use crate::ossl::handle::{PkeyCtx, Progress};
use crate::ossl::param::Params;
use crate::provider::Provider;

/// A generation in preparation.
pub(crate) struct Generation {
    ctx: PkeyCtx,
    // Dropped last: it may own the library context.
    provider: Arc<Provider>,
}

impl Generation {
    pub(crate) fn new(provider: Arc<Provider>, selection: c_int, params: Params<'_>) -> Option<Generation> {
        if selection & select::KEYPAIR == 0 {
            return None;
        }
        let mut ctx = provider.twin()?.ctx().pkey_ctx(c"RSA")?;
        if !ctx.keygen_init() {
            return None;
        }
        let mut generation = Generation { provider, ctx };
        generation.set_params(params).then_some(generation)
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> bool {
        params.is_null() || self.ctx.set_params(params)
    }

    pub(crate) fn run(&mut self, progress: Progress) -> Option<Key> {
        let twin = self.ctx.generate(progress)?;
        Some(Key::of(Arc::clone(&self.provider), twin))
    }
}
