//! Key generation: the twin generates, the result becomes one of our keys.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use super::key::Key;
use crate::ossl::dispatch::{Callback, select};
use crate::ossl::handle::PkeyCtx;
use crate::ossl::param::Params;
use crate::provider::Provider;

/// A generation in preparation.
pub(crate) struct Generation {
    provider: Arc<Provider>,
    ctx: PkeyCtx,
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

    /// # Safety
    /// `progress` accepts `argument`.
    #[allow(unsafe_code, reason = "passes a C callback on to the handle that calls it")]
    pub(crate) unsafe fn run(&mut self, progress: Option<Callback>, argument: *mut c_void) -> Option<Key> {
        // SAFETY: by the caller's contract.
        let twin = unsafe { self.ctx.generate(progress, argument) }?;
        Some(Key::of(Arc::clone(&self.provider), twin))
    }
}
