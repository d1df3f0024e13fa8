//! RSA exponentiation on HPRE queues (hpre.md 5.2). Padding, range checks and the check of the result are the
//! caller's work, as they are on the hardware.

use zeroize::Zeroizing;

use crate::Fault;
use crate::gate::{Job, Needs, Op};
use crate::qm::Channel;

/// Modulus sizes that HPRE serves, in bits.
pub const SIZES: [usize; 4] = [1024, 2048, 3072, 4096];

/// The gate's question for one exponentiation with a modulus of `bytes` bytes.
pub const fn job(bytes: usize) -> Job {
    Job { op: Op::HpreRsa, bytes, needs: Needs::always("rsa"), sticky: false }
}

/// A private key as the device reads it, built once at import.
pub struct PrivateKey {
    image: Zeroizing<Vec<u8>>,
}

/// A public key as the device reads it.
pub struct PublicKey {
    image: Vec<u8>,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("image_len", &self.image.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey").field("image_len", &self.image.len()).finish_non_exhaustive()
    }
}

/// The five CRT values, big-endian, any leading zeros.
#[derive(Debug, Clone, Copy)]
pub struct Crt<'a> {
    /// First prime.
    pub p: &'a [u8],
    /// Second prime.
    pub q: &'a [u8],
    /// d mod (p − 1).
    pub dp: &'a [u8],
    /// d mod (q − 1).
    pub dq: &'a [u8],
    /// q⁻¹ mod p.
    pub qinv: &'a [u8],
}

impl PrivateKey {
    /// Image for the CRT operation. `None` if the modulus is not exactly one of [`SIZES`] bits or a value
    /// does not fit its slot.
    pub fn crt(_n: &[u8], _crt: Crt<'_>) -> Option<Self> {
        None
    }
    /// Image for the plain operation d, n. `None` as for [`PrivateKey::crt`].
    pub fn plain(_n: &[u8], _d: &[u8]) -> Option<Self> {
        None
    }
    /// Modulus length in bytes.
    pub fn len(&self) -> usize {
        self.image.len()
    }
    /// Never true; for the lint.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PublicKey {
    /// Image e, n. `None` as for [`PrivateKey::crt`].
    pub fn new(_n: &[u8], _e: &[u8]) -> Option<Self> {
        None
    }
    /// Modulus length in bytes.
    pub fn len(&self) -> usize {
        self.image.len()
    }
    /// Never true; for the lint.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// input^d mod n. `input` and `output` are exactly the modulus length, big-endian; input < n is the caller's
/// duty. The result is *not yet checked*.
///
/// # Errors
/// Any [`Fault`]; `output` is then zeroed.
pub fn private<Ch: Channel>(
    _ch: &mut Ch,
    _key: &PrivateKey,
    _input: &[u8],
    _output: &mut [u8],
) -> Result<(), Fault> {
    Err(Fault::Unsupported)
}

/// input^e mod n; as [`private`].
///
/// # Errors
/// Any [`Fault`]; `output` is then zeroed.
pub fn public<Ch: Channel>(
    _ch: &mut Ch,
    _key: &PublicKey,
    _input: &[u8],
    _output: &mut [u8],
) -> Result<(), Fault> {
    Err(Fault::Unsupported)
}
