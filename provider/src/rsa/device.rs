//! The device's view of one key: its images, and the check of every private result.

use warpdrive_core::engine::rsa::{self, Crt, PrivateKey, PublicKey};
use warpdrive_core::{Fault, Lease};
use zeroize::Zeroize;

use super::key::KeyData;
use crate::ossl::handle::{Bn, BnCtx, LibCtx, Mont};
use crate::ossl::libcrypto::Libcrypto;

/// Images of a key that the device can take, and what the check needs.
pub(crate) struct DeviceKey {
    lib: &'static Libcrypto,
    size: usize,
    modulus: Vec<u8>,
    private: Option<PrivateKey>,
    // The CRT values fit together, so a wrong result is the device's doing.
    crt: bool,
    public: PublicKey,
    n: Bn,
    e: Bn,
    mont: Mont,
}

/// The two primes and what belongs to them.
struct CrtNumbers {
    p: Bn,
    q: Bn,
    dp: Bn,
    dq: Bn,
    qinv: Bn,
}

impl DeviceKey {
    /// `None`: a modulus size that the device does not have, a public exponent larger than the modulus, or no
    /// public exponent. A private part that the device cannot take, or whose CRT values contradict one
    /// another, leaves a key that only verifies on the device.
    pub(crate) fn new(lib: &'static Libcrypto, ctx: &LibCtx, key: &KeyData) -> Option<DeviceKey> {
        let n = key.number(c"n")?;
        if !rsa::SIZES.contains(&n.bits()) {
            return None;
        }
        let e = key.number(c"e")?;
        let mut scratch = ctx.bn_ctx()?;
        let mont = Mont::new(&n, &mut scratch)?;
        let modulus = n.to_minimal_bytes()?.to_vec();
        let public = PublicKey::new(&modulus, &e.to_minimal_bytes()?)?;
        let (private, crt) = match key.number(c"d").map(Bn::secret) {
            None => (None, false),
            Some(d) => private_image(key, &n, &e, &d, &modulus, &mut scratch),
        };
        Some(DeviceKey { lib, size: modulus.len(), modulus, private, crt, public, n, e, mont })
    }

    /// Modulus length in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The device can do the private operation.
    pub(crate) fn can_sign(&self) -> bool {
        self.private.is_some()
    }

    /// A number of modulus length that is smaller than the modulus.
    pub(crate) fn is_residue(&self, number: &[u8]) -> bool {
        number.len() == self.size && number < self.modulus.as_slice()
    }

    /// block^d mod n on the device, checked with one public power in software before it is handed out.
    pub(crate) fn private(
        &self,
        lease: &mut Lease<'_>,
        ctx: &LibCtx,
        block: &[u8],
        result: &mut [u8],
    ) -> Result<(), Fault> {
        let key = self.private.as_ref().ok_or(Fault::Unsupported)?;
        rsa::private(lease, key, block, result)?;
        if self.is_residue(result) && self.public_in_software(ctx, result).as_deref() == Some(block) {
            return Ok(());
        }
        result.zeroize();
        // Without CRT values a contradiction between d and e cannot be told from a wrong result.
        Err(if self.crt { Fault::Check } else { Fault::Data(0) })
    }

    /// signature^e mod n on the device.
    pub(crate) fn public(
        &self,
        lease: &mut Lease<'_>,
        signature: &[u8],
        block: &mut [u8],
    ) -> Result<(), Fault> {
        rsa::public(lease, &self.public, signature, block)
    }

    /// What the public operation must give; for telling a bad signature from a bad device.
    pub(crate) fn public_in_software(&self, ctx: &LibCtx, signature: &[u8]) -> Option<Vec<u8>> {
        let mut scratch = ctx.bn_ctx()?;
        let base = Bn::from_bytes(self.lib, signature)?;
        let power = self.mont.power(&base, &self.e, &self.n, &mut scratch)?;
        Some(power.to_bytes(self.size)?.to_vec())
    }
}

/// The private image and whether it is a CRT image that was found consistent.
fn private_image(
    key: &KeyData,
    n: &Bn,
    e: &Bn,
    d: &Bn,
    modulus: &[u8],
    scratch: &mut BnCtx,
) -> (Option<PrivateKey>, bool) {
    let numbers = || {
        Some(CrtNumbers {
            p: key.number(c"rsa-factor1")?.secret(),
            q: key.number(c"rsa-factor2")?.secret(),
            dp: key.number(c"rsa-exponent1")?.secret(),
            dq: key.number(c"rsa-exponent2")?.secret(),
            qinv: key.number(c"rsa-coefficient1")?.secret(),
        })
    };
    if key.number(c"rsa-factor3").is_some() {
        return (None, false);
    }
    match numbers() {
        Some(crt) => {
            let image =
                consistent(&crt, n, e, scratch).unwrap_or(false).then(|| crt_image(&crt, modulus)).flatten();
            let crt = image.is_some();
            (image, crt)
        }
        None => (d.to_minimal_bytes().and_then(|d| PrivateKey::plain(modulus, &d)), false),
    }
}

fn crt_image(crt: &CrtNumbers, modulus: &[u8]) -> Option<PrivateKey> {
    let (p, q) = (crt.p.to_minimal_bytes()?, crt.q.to_minimal_bytes()?);
    let (dp, dq, qinv) =
        (crt.dp.to_minimal_bytes()?, crt.dq.to_minimal_bytes()?, crt.qinv.to_minimal_bytes()?);
    PrivateKey::crt(modulus, Crt { p: &p, q: &q, dp: &dp, dq: &dq, qinv: &qinv })
}

/// p·q = n, e·dp = 1 mod (p − 1), e·dq = 1 mod (q − 1), q·qinv = 1 mod p: what a well-formed key fulfils, so
/// that a wrong result of the device is never the key's fault.
fn consistent(crt: &CrtNumbers, n: &Bn, e: &Bn, scratch: &mut BnCtx) -> Option<bool> {
    Some(
        crt.p.times(&crt.q, scratch)?.equals(n)
            && e.times_mod(&crt.dp, &crt.p.minus_one()?, scratch)?.is_one()
            && e.times_mod(&crt.dq, &crt.q.minus_one()?, scratch)?.is_one()
            && crt.q.times_mod(&crt.qinv, &crt.p, scratch)?.is_one(),
    )
}
