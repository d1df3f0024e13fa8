//! An RSA key: its twin in the private context, and its device image, made once.

use std::ffi::{CStr, c_int};
use std::sync::{Arc, OnceLock};

use super::device::DeviceKey;
use crate::ossl::dispatch::select;
use crate::ossl::error::quietly;
use crate::ossl::handle::{Bn, Pkey};
use crate::ossl::param::{Answers, Params};
use crate::provider::Provider;

/// What libcrypto holds as "key data": empty until something is imported.
pub(crate) struct Key {
    data: Option<Arc<KeyData>>,
    provider: Arc<Provider>,
}

/// A key with its parts. Shared by duplicates of the handle and by running operations.
pub(crate) struct KeyData {
    device: OnceLock<Option<DeviceKey>>,
    twin: Pkey,
    // Dropped last: it may own the library context of the twin.
    provider: Arc<Provider>,
}

impl Key {
    pub(crate) fn empty(provider: Arc<Provider>) -> Key {
        Key { provider, data: None }
    }

    pub(crate) fn of(provider: Arc<Provider>, twin: Pkey) -> Key {
        let data = Arc::new(KeyData { provider: Arc::clone(&provider), device: OnceLock::new(), twin });
        Key { provider, data: Some(data) }
    }

    pub(crate) fn data(&self) -> Option<&Arc<KeyData>> {
        self.data.as_ref()
    }

    /// Fills the key from parameters; every key that the default provider accepts is accepted.
    pub(crate) fn import(&mut self, selection: c_int, params: Params<'_>) -> bool {
        if selection & select::POSSIBLE == 0 {
            return false;
        }
        if selection & select::KEYPAIR == 0 {
            return true;
        }
        let twin =
            self.provider.twin().and_then(|twin| twin.ctx().pkey_ctx(c"RSA")?.import(selection, params));
        match twin {
            Some(twin) => {
                *self = Key::of(Arc::clone(&self.provider), twin);
                true
            }
            None => false,
        }
    }

    /// Whether the selected parts are there. Other parameters always are.
    pub(crate) fn has(&self, selection: c_int) -> bool {
        if selection & select::POSSIBLE == 0 {
            return true;
        }
        let has = |name| self.data.as_ref().is_some_and(|data| data.number(name).is_some());
        (selection & select::KEYPAIR == 0 || has(c"n"))
            && (selection & select::PUBLIC == 0 || has(c"e"))
            && (selection & select::PRIVATE == 0 || has(c"d"))
    }

    pub(crate) fn get_params(&self, answers: &mut Answers<'_>) -> bool {
        match &self.data {
            Some(data) => data.twin.get_params(answers),
            // Nothing to say about sizes, but what does not depend on the numbers has an answer.
            None => {
                !answers.asks(&[c"bits", c"security-bits", c"max-size"])
                    && answers.utf8_static(c"default-digest", c"SHA256")
            }
        }
    }

    /// Compares as the default provider does: e always; then n, or d where n is not to be compared.
    pub(crate) fn matches(&self, other: &Key, selection: c_int) -> bool {
        let (Some(a), Some(b)) = (&self.data, &other.data) else { return false };
        let same = |name| Some(a.number(name)?.equals(&b.number(name)?));
        if same(c"e") != Some(true) {
            return false;
        }
        if selection & select::KEYPAIR == 0 {
            return true;
        }
        let public = (selection & select::PUBLIC != 0).then(|| same(c"n")).flatten();
        let private = || (selection & select::PRIVATE != 0).then(|| same(c"d")).flatten();
        public.or_else(private).unwrap_or(false)
    }

    pub(crate) fn validate(&self, selection: c_int, quick: bool) -> bool {
        if selection & select::KEYPAIR == 0 {
            return true;
        }
        let (Some(data), Some(twin)) = (&self.data, self.provider.twin()) else { return false };
        twin.ctx().key_ctx(&data.twin).is_some_and(|mut ctx| ctx.check(selection, quick))
    }

    /// An independent copy of the selected parts.
    pub(crate) fn duplicate(&self, selection: c_int) -> Option<Key> {
        // An empty key is not made by copying parameters only.
        if selection & select::KEYPAIR == 0 {
            return None;
        }
        let Some(data) = &self.data else { return Some(Key::empty(Arc::clone(&self.provider))) };
        let copy = if selection & select::KEYPAIR == select::KEYPAIR || !self.has(select::PRIVATE) {
            data.twin.duplicate()?
        } else {
            let mut ctx = self.provider.twin()?.ctx().pkey_ctx(c"RSA")?;
            data.twin.subset(&mut ctx, selection)?
        };
        Some(Key::of(Arc::clone(&self.provider), copy))
    }
}

impl KeyData {
    pub(crate) fn twin(&self) -> &Pkey {
        &self.twin
    }

    /// A number of the key; absent ones leave no error queued.
    pub(crate) fn number(&self, name: &CStr) -> Option<Bn> {
        quietly(self.provider.lib()?, || self.twin.number(name))
    }

    /// The key as the device reads it; `None` if the device cannot take it.
    pub(crate) fn device(&self) -> Option<&DeviceKey> {
        let make = || {
            let lib = self.provider.lib()?;
            quietly(lib, || DeviceKey::new(lib, self.provider.twin()?.ctx(), self))
        };
        self.device.get_or_init(make).as_ref()
    }

    /// Modulus length in bytes, 0 without a modulus.
    pub(crate) fn size(&self) -> usize {
        match self.device.get() {
            Some(Some(device)) => device.size(),
            _ => self.number(c"n").map_or(0, |n| n.bits().div_ceil(8)),
        }
    }
}
