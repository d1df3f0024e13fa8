//! One loaded instance: what it offers, its configuration section, and its software twin.

use std::ffi::{CStr, CString};
use std::sync::OnceLock;

use warpdrive_core::{Gate, Op, Runtime, config};

use crate::ossl::libcrypto::{Libcrypto, Unresolved};
use crate::ossl::twin::Twin;
use crate::ossl::upcall::Core;

/// State of one `OSSL_provider_init`, shared by every object made from it.
pub(crate) struct Provider {
    core: Core,
    lib: Result<&'static Libcrypto, Unresolved>,
    offers_rsa: bool,
    offers_ctr: bool,
    twin: OnceLock<Option<Twin>>,
}

impl Provider {
    /// Looks at the configuration section and at what devices there are. Opens nothing.
    pub(crate) fn new(core: Core) -> Provider {
        let lib = core.anchor().map_or(Err(Unresolved::NoObject), Libcrypto::containing);
        if let Err(why) = lib {
            log::warn!("libcrypto's functions cannot be found ({why:?}); nothing is offered");
        }
        let gate = Runtime::get_with(&section(&core)).gate();
        Provider {
            offers_rsa: lib.is_ok() && gate.offers(Op::HpreRsa, "rsa"),
            offers_ctr: lib.is_ok() && gate.offers(Op::SecCipher, "cipher"),
            core,
            lib,
            twin: OnceLock::new(),
        }
    }

    /// RSA keys and signatures are named. Latched at load.
    pub(crate) fn offers_rsa(&self) -> bool {
        self.offers_rsa
    }

    /// AES-CTR is named. Latched at load.
    pub(crate) fn offers_ctr(&self) -> bool {
        self.offers_ctr
    }

    /// The function table; `None` only if nothing is offered.
    pub(crate) fn lib(&self) -> Option<&'static Libcrypto> {
        self.lib.ok()
    }

    /// The software twin, made at first need.
    pub(crate) fn twin(&self) -> Option<&Twin> {
        let lib = self.lib()?;
        self.twin.get_or_init(|| Twin::new(lib)).as_ref()
    }

    /// Whether the application's own library context has a digest of this name.
    pub(crate) fn app_knows_digest(&self, name: &CStr) -> bool {
        self.lib().is_some_and(|lib| self.core.app_knows_digest(lib, name))
    }

    /// The offload decision.
    pub(crate) fn gate(&self) -> &'static Gate {
        Runtime::get().gate()
    }

    /// One line about this instance, for the provider's build information.
    pub(crate) fn build_info(&self) -> &'static CStr {
        match (self.lib, self.offers_rsa, self.offers_ctr) {
            (Err(_), _, _) => c"nothing offered: libcrypto's functions cannot be found",
            (Ok(_), false, false) => c"nothing offered: no device, or switched off",
            (Ok(_), true, false) => c"offers RSA",
            (Ok(_), false, true) => c"offers AES-CTR",
            (Ok(_), true, true) => c"offers RSA, AES-CTR",
        }
    }
}

/// The configuration keys that our section of openssl.cnf sets; each may be absent. The core reports what is
/// malformed and goes on without it.
fn section(core: &Core) -> Vec<(String, String)> {
    let value = |key: &config::Key| Some((key.name.to_owned(), core.setting(&CString::new(key.name).ok()?)?));
    config::KEYS.iter().filter_map(value).collect()
}
