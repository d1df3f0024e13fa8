//! Signature contexts. The twin's own context holds every parameter, so that rules, answers and errors are the
//! default provider's; the device takes the exponentiation where the encoding is one of ours.

use std::ffi::{CStr, CString, c_int};
use std::sync::Arc;

use warpdrive_core::engine::rsa as engine;
use warpdrive_core::{Fault, Gate, Lease, Why};
use zeroize::Zeroizing;

use super::device::DeviceKey;
use super::emsa::{self, Hash, PREFIXES, Prefix, Salt};
use super::key::KeyData;
use crate::ossl::error::{Reason, quietly, raise};
use crate::ossl::handle::{LibCtx, Md, MdCtx, Operation, PkeyCtx};
use crate::ossl::param::{self, Answers, OsslParam, Params};
use crate::provider::Provider;

/// OpenSSL's padding numbers that the device serves.
const PKCS1: i32 = 1;
const PSS: i32 = 6;

/// What one signature context is set to, as far as the device needs to know.
enum Scheme {
    /// PKCS#1 v1.5; with a digest set, the input must have its size.
    Pkcs1 { prefix: Prefix, digest: Option<usize> },
    /// PSS with these digests and this salt rule.
    Pss { hash: Md, mgf: Md, salt: Salt },
    /// Anything else: the twin alone.
    Software,
}

/// A signature, or the space one needs.
pub(crate) enum Signature {
    Length(usize),
    Bytes(Vec<u8>),
}

/// One signature context.
pub(crate) struct Signer {
    operation: Operation,
    twin: Option<PkeyCtx>,
    key: Option<Arc<KeyData>>,
    // Between a digest's init and its final call the digest may not change.
    streaming: bool,
    running: Option<MdCtx>,
    digest: Option<Md>,
    digest_name: Option<CString>,
    scheme: Option<Scheme>,
    // Dropped last: it may own the library context of all of the above.
    provider: Arc<Provider>,
}

impl Hash for Md {
    fn size(&self) -> usize {
        Md::size(self)
    }
    fn hash(&self, parts: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
        Md::hash(self, parts)
    }
}

impl Signer {
    pub(crate) fn new(provider: Arc<Provider>) -> Signer {
        Signer {
            provider,
            operation: Operation::Sign,
            twin: None,
            key: None,
            streaming: false,
            running: None,
            digest: None,
            digest_name: None,
            scheme: None,
        }
    }

    /// An independent context in the same state.
    pub(crate) fn duplicate(&self) -> Option<Signer> {
        fn each<T>(value: &Option<T>, copy: impl Fn(&T) -> Option<T>) -> Option<Option<T>> {
            value.as_ref().map_or(Some(None), |value| copy(value).map(Some))
        }
        Some(Signer {
            provider: Arc::clone(&self.provider),
            operation: self.operation,
            twin: each(&self.twin, PkeyCtx::duplicate)?,
            key: self.key.clone(),
            streaming: self.streaming,
            running: each(&self.running, MdCtx::duplicate)?,
            digest: each(&self.digest, Md::share)?,
            digest_name: self.digest_name.clone(),
            scheme: None,
        })
    }

    /// Starts an operation; without a key the previous one is kept.
    pub(crate) fn init(
        &mut self,
        operation: Operation,
        key: Option<Arc<KeyData>>,
        params: Params<'_>,
    ) -> bool {
        let Some(lib) = self.provider.lib() else { return false };
        match key {
            Some(key) => {
                let twin = self.provider.twin().and_then(|twin| twin.ctx().key_ctx(key.twin()));
                self.twin = twin;
                self.key = Some(key);
            }
            None if self.key.is_none() => {
                raise(lib, Reason::NoKeySet);
                return false;
            }
            None => {}
        }
        self.operation = operation;
        self.streaming = false;
        self.scheme = None;
        let started = self.twin.as_mut().is_some_and(|twin| twin.init(operation));
        started && (params.is_null() || self.set_params(params))
    }

    /// Starts a digest-and-sign or digest-and-verify operation.
    pub(crate) fn digest_init(
        &mut self,
        operation: Operation,
        name: Option<&CStr>,
        key: Option<Arc<KeyData>>,
        params: Params<'_>,
    ) -> bool {
        let Some(lib) = self.provider.lib() else { return false };
        let kept = if key.is_none() { self.digest_name.clone() } else { None };
        if !self.init(operation, key, params) {
            return false;
        }
        let wanted = name.map(CString::from).or(kept);
        if let Some(wanted) = wanted {
            let same =
                self.current_name().is_some_and(|now| now.to_bytes().eq_ignore_ascii_case(wanted.to_bytes()));
            if (wanted.is_empty() || !same) && !self.set_digest(&wanted) {
                return false;
            }
        }
        self.streaming = true;
        let digest = self.fetch_digest();
        let mut running = match self.running.take() {
            Some(running) => running,
            None => match MdCtx::new(lib) {
                Some(running) => running,
                None => return false,
            },
        };
        let started = running.init(digest.as_ref(), params);
        self.digest_name = self.current_name();
        self.digest = digest;
        self.running = started.then_some(running);
        started
    }

    pub(crate) fn digest_update(&mut self, data: &[u8]) -> bool {
        self.running.as_mut().is_some_and(|running| running.update(data))
    }

    /// Ends a digest-and-sign operation. Without a capacity only the length is asked, and nothing ends.
    pub(crate) fn digest_sign_final(&mut self, capacity: Option<usize>) -> Option<Signature> {
        self.streaming = false;
        let running = self.running.as_mut()?;
        let digest = match capacity {
            Some(_) => running.finish()?,
            None => Zeroizing::default(),
        };
        self.sign(capacity, &digest)
    }

    pub(crate) fn digest_verify_final(&mut self, signature: &[u8]) -> c_int {
        self.streaming = false;
        match self.running.as_mut().and_then(MdCtx::finish) {
            Some(digest) => self.verify(signature, &digest),
            None => 0,
        }
    }

    /// Signs `input` (a digest if one is set); `capacity` is the caller's space.
    pub(crate) fn sign(&mut self, capacity: Option<usize>, input: &[u8]) -> Option<Signature> {
        let size = self.key.as_ref()?.size();
        let Some(capacity) = capacity else { return Some(Signature::Length(size)) };
        self.learn_scheme();
        let Signer { provider, operation, twin: Some(twin), key: Some(key), scheme: Some(scheme), .. } = self
        else {
            return None;
        };
        let ctx = provider.twin()?.ctx();
        let device = key
            .device()
            .filter(|device| *operation == Operation::Sign && device.can_sign() && capacity >= size);
        let block = device.and_then(|_| scheme.encode(size, input, ctx));
        let mut work = Work { twin, signature: vec![0u8; size.min(capacity)], input };
        let done = match device.zip(block) {
            Some((device, block)) => provider.gate().run(
                engine::job(size),
                &mut work,
                |work, lease| device.private(lease, ctx, &block, &mut work.signature).map(|()| Some(size)),
                |work, _| work.in_software(),
            ),
            None => {
                provider.gate().software(Why::Unsupported);
                work.in_software()
            }
        };
        let len = done?;
        work.signature.truncate(len);
        Some(Signature::Bytes(work.signature))
    }

    /// libcrypto's verdict on a signature: 1 if good.
    pub(crate) fn verify(&mut self, signature: &[u8], input: &[u8]) -> c_int {
        self.learn_scheme();
        let Signer { provider, operation, twin: Some(twin), key: Some(key), scheme: Some(scheme), .. } = self
        else {
            return 0;
        };
        let Some(ctx) = provider.twin().map(|twin| twin.ctx()) else { return 0 };
        let device = key.device().filter(|device| {
            *operation == Operation::Verify && device.is_residue(signature) && scheme.checks(input)
        });
        match device {
            Some(device) => provider.gate().run(
                engine::public_job(device.size()),
                twin,
                |_, lease| verify_on_device(device, lease, ctx, scheme, signature, input),
                |twin, _| twin.verify(signature, input),
            ),
            None => software(provider.gate(), || twin.verify(signature, input)),
        }
    }

    /// Recovers what was signed. Without a capacity only the length is asked.
    pub(crate) fn verify_recover(&mut self, capacity: Option<usize>, signature: &[u8]) -> Option<Signature> {
        let size = self.key.as_ref()?.size();
        let Some(capacity) = capacity else { return Some(Signature::Length(size)) };
        let twin = self.twin.as_mut()?;
        // The function below writes up to the modulus length whatever it is told.
        let mut out = vec![0u8; size];
        let len = software(self.provider.gate(), || twin.verify_recover(&mut out, signature))?;
        if len > capacity {
            raise(self.provider.lib()?, Reason::OutputBufferTooSmall);
            return None;
        }
        out.truncate(len);
        Some(Signature::Bytes(out))
    }

    pub(crate) fn get_params(&mut self, answers: &mut Answers<'_>) -> bool {
        self.twin.as_mut().is_some_and(|twin| twin.get_params(answers))
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> bool {
        let names = [c"digest", c"mgf1-digest"];
        for name in names.iter().filter_map(|key| params.utf8(key).flatten()) {
            if let Ok(name) = CString::new(name) {
                self.make_known(&name);
            }
        }
        if self.streaming && params.has(c"digest") {
            // Releases differ: some refuse another digest now, some pass over it.
            if !self.takes_while_streaming(params) {
                return false;
            }
            let rest = params.without(&[c"digest", c"properties"]);
            return self.apply(Params::of(&rest));
        }
        if params.has(c"digest") {
            (self.running, self.digest) = (None, None);
        }
        self.apply(params)
    }

    fn apply(&mut self, params: Params<'_>) -> bool {
        self.scheme = None;
        self.twin.as_mut().is_some_and(|twin| twin.set_params(params))
    }

    fn set_digest(&mut self, name: &CStr) -> bool {
        let array = [param::utf8_string(c"digest", name.as_ptr().cast_mut(), name.count_bytes()), param::END];
        self.set_params(Params::of(&array))
    }

    /// Tables of what can be asked and set; libcrypto's own.
    pub(crate) fn gettable(&self) -> Option<*const OsslParam> {
        self.twin.as_ref().map(PkeyCtx::gettable)
    }

    pub(crate) fn settable(&self) -> Option<*const OsslParam> {
        self.twin.as_ref().filter(|_| !self.streaming).map(PkeyCtx::settable)
    }

    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming
    }

    pub(crate) fn running(&mut self) -> Option<&mut MdCtx> {
        self.running.as_mut()
    }

    pub(crate) fn digest(&self) -> Option<&Md> {
        self.digest.as_ref()
    }

    /// A digest that the application knows and the private context does not is one of the legacy provider's.
    fn make_known(&self, name: &CStr) {
        let (Some(lib), Some(twin)) = (self.provider.lib(), self.provider.twin()) else { return };
        let known =
            quietly(lib, || twin.ctx().digest(name).is_some() || !self.provider.app_knows_digest(name));
        if !known {
            twin.add_legacy();
        }
    }

    fn takes_while_streaming(&mut self, params: Params<'_>) -> bool {
        let (Some(name), Some(key)) = (self.current_name(), &self.key) else { return false };
        let Some(twin) = self.provider.twin() else { return false };
        let asked = params.only(&[c"digest", c"properties"]);
        twin.ctx().streaming_takes(key.twin(), self.operation, &name, Params::of(&asked))
    }

    fn current_name(&mut self) -> Option<CString> {
        let lib = self.provider.lib()?;
        let twin = self.twin.as_mut()?;
        quietly(lib, || twin.get_name(c"digest")).filter(|name| !name.is_empty())
    }

    fn fetch_digest(&mut self) -> Option<Md> {
        let name = self.current_name()?;
        let lib = self.provider.lib()?;
        quietly(lib, || self.provider.twin()?.ctx().digest(&name))
    }

    fn learn_scheme(&mut self) {
        if self.scheme.is_none() {
            self.scheme = Some(self.read_scheme().unwrap_or(Scheme::Software));
        }
    }

    fn read_scheme(&mut self) -> Option<Scheme> {
        let lib = self.provider.lib()?;
        quietly(lib, || {
            let digest = self.fetch_digest();
            let twin = self.twin.as_mut()?;
            match twin.get_int(c"pad-mode")? {
                PKCS1 => {
                    let prefix = match &digest {
                        Some(digest) => PREFIXES.iter().find(|(name, _)| digest.is_a(name))?.1,
                        None => Prefix::None,
                    };
                    Some(Scheme::Pkcs1 { prefix, digest: digest.map(|digest| digest.size()) })
                }
                PSS => {
                    let salt = Salt::from_number(twin.get_int(c"saltlen")?)?;
                    let mgf = twin.get_name(c"mgf1-digest").filter(|name| !name.is_empty());
                    let hash = digest?;
                    let mgf = match mgf {
                        Some(name) => self.provider.twin()?.ctx().digest(&name)?,
                        None => hash.share()?,
                    };
                    Some(Scheme::Pss { hash, mgf, salt })
                }
                _ => None,
            }
        })
    }
}

impl Scheme {
    /// Whether an input of this length can be right; if not, the twin says what is wrong.
    fn checks(&self, input: &[u8]) -> bool {
        match self {
            Scheme::Pkcs1 { digest: Some(size), .. } => input.len() == *size,
            Scheme::Pkcs1 { digest: None, .. } => !input.is_empty(),
            Scheme::Pss { hash, .. } => input.len() == hash.size(),
            Scheme::Software => false,
        }
    }

    /// The block to raise to d; `None` leaves the job to the twin.
    fn encode(&self, size: usize, input: &[u8], ctx: &LibCtx) -> Option<Vec<u8>> {
        if !self.checks(input) {
            return None;
        }
        match self {
            Scheme::Pkcs1 { prefix, .. } => emsa::pkcs1(size, *prefix, input),
            Scheme::Pss { hash, mgf, salt } => {
                let mut bytes = Zeroizing::new(vec![0u8; salt.to_sign(size, hash.size())?]);
                (bytes.is_empty() || ctx.random(&mut bytes)).then_some(())?;
                emsa::pss_encode(size, hash, mgf, input, &bytes)
            }
            Scheme::Software => None,
        }
    }

    /// Whether `block` is an encoding of `input`.
    fn accepts(&self, block: &[u8], input: &[u8]) -> bool {
        match self {
            Scheme::Pkcs1 { prefix, .. } => {
                emsa::pkcs1(block.len(), *prefix, input).is_some_and(|expected| expected == block)
            }
            Scheme::Pss { hash, mgf, salt } => {
                emsa::pss_verify(block, hash, mgf, input, *salt).unwrap_or(false)
            }
            Scheme::Software => false,
        }
    }
}

/// One signature in the making.
struct Work<'a> {
    twin: &'a mut PkeyCtx,
    signature: Vec<u8>,
    input: &'a [u8],
}

impl Work<'_> {
    fn in_software(&mut self) -> Option<usize> {
        self.twin.sign(&mut self.signature, self.input)
    }
}

/// Only a good signature is decided here. A bad one is software's to refuse, with software's own error; that
/// the device did not make it bad is checked first.
fn verify_on_device(
    device: &DeviceKey,
    lease: &mut Lease<'_>,
    ctx: &LibCtx,
    scheme: &Scheme,
    signature: &[u8],
    input: &[u8],
) -> Result<c_int, Fault> {
    let mut block = vec![0u8; device.size()];
    device.public(lease, signature, &mut block)?;
    if scheme.accepts(&block, input) {
        return Ok(1);
    }
    Err(if device.public_in_software(ctx, signature).as_ref() == Some(&block) {
        Fault::Data(0)
    } else {
        Fault::Check
    })
}

fn software<T>(gate: &Gate, work: impl FnOnce() -> T) -> T {
    gate.software(Why::Unsupported);
    work()
}
