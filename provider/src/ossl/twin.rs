//! The software twin: a private library context with nothing but OpenSSL's own providers, made when it is
//! first needed. It never reads the configuration, so it can never contain this provider.

use std::ffi::CStr;
use std::sync::OnceLock;

use super::error::quietly;
use super::handle::{Cipher, LibCtx, Loaded};
use super::libcrypto::Libcrypto;

/// The private context and what is fetched from it once.
pub(crate) struct Twin {
    lib: &'static Libcrypto,
    ciphers: [OnceLock<Option<Cipher>>; 3],
    legacy: OnceLock<Option<Loaded>>,
    _default: Loaded,
    // Dropped last: everything above belongs to it.
    ctx: LibCtx,
}

impl Twin {
    /// `None` if the default provider cannot be loaded.
    pub(crate) fn new(lib: &'static Libcrypto) -> Option<Twin> {
        let ctx = LibCtx::new(lib)?;
        let _default = ctx.load(c"default")?;
        Some(Twin { lib, ciphers: [const { OnceLock::new() }; 3], legacy: OnceLock::new(), _default, ctx })
    }

    pub(crate) fn ctx(&self) -> &LibCtx {
        &self.ctx
    }

    /// Adds OpenSSL's "legacy" provider, whose digests an application may have loaded for itself. Whether it
    /// is there.
    pub(crate) fn add_legacy(&self) -> bool {
        self.legacy.get_or_init(|| quietly(self.lib, || self.ctx.load(c"legacy"))).is_some()
    }

    /// The default provider's cipher; `index` is the caller's own numbering of up to three names.
    pub(crate) fn cipher(&self, index: usize, name: &'static CStr) -> Option<&Cipher> {
        self.ciphers[index].get_or_init(|| self.ctx.cipher(name)).as_ref()
    }
}
