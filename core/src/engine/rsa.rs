//! RSA exponentiation on HPRE queues (hpre.md 5.2). Padding, range checks and the check of the result are the
//! caller's work, as they are on the hardware.

use zerocopy::IntoBytes;
use zeroize::{Zeroize, Zeroizing};

use crate::Fault;
use crate::engine::Loans;
use crate::gate::{Effort, Job, Needs, Op};
use crate::qm::{self, Channel};
use crate::sqe::hpre::{DONE_SUBMITTED, Opcode, Sizes, Sqe, Task};
use crate::sqe::word::Pair;

#[cfg(test)]
mod tests;

/// Modulus sizes that HPRE serves, in bits.
pub const SIZES: [usize; 4] = [1024, 2048, 3072, 4096];

/// The gate's question for one private exponentiation with a modulus of `bytes` bytes.
pub const fn job(bytes: usize) -> Job {
    Job::new(Op::HpreRsa, bytes, Needs::always("rsa"))
}

/// The same for a public one, whose short exponent makes it some twenty times as cheap.
pub const fn public_job(bytes: usize) -> Job {
    job(bytes).with_effort(Effort::RsaPublic)
}

/// A private key as the device reads it, built once at import.
pub struct PrivateKey {
    image: Zeroizing<Vec<u8>>,
    width: usize,
    opcode: Opcode,
}

/// A public key as the device reads it.
pub struct PublicKey {
    image: Zeroizing<Vec<u8>>,
    width: usize,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("len", &self.width).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey").field("len", &self.width).finish_non_exhaustive()
    }
}

/// The five CRT values, big-endian, any leading zeros.
#[derive(Clone, Copy)]
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
    /// Image for the CRT operation: dq, dp, q, p, qinv, each half the modulus (hpre.md 5.2). `None` if the
    /// modulus is not an odd number of exactly one of [`SIZES`] bits, or a value is zero or does not fit its
    /// slot.
    pub fn crt(n: &[u8], crt: Crt<'_>) -> Option<Self> {
        let width = modulus(n)?.len();
        let image = image(width / 2, &[crt.dq, crt.dp, crt.q, crt.p, crt.qinv])?;
        Some(PrivateKey { image, width, opcode: Opcode::NC_CRT })
    }
    /// Image for the plain operation: d, n. `None` as for [`PrivateKey::crt`].
    pub fn plain(n: &[u8], d: &[u8]) -> Option<Self> {
        let width = modulus(n)?.len();
        Some(PrivateKey { image: image(width, &[d, n])?, width, opcode: Opcode::NC_NCRT })
    }
    /// Modulus length in bytes.
    pub fn len(&self) -> usize {
        self.width
    }
    /// Never true; for the lint.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PublicKey {
    /// Image e, n. `None` as for [`PrivateKey::crt`].
    pub fn new(n: &[u8], e: &[u8]) -> Option<Self> {
        let width = modulus(n)?.len();
        Some(PublicKey { image: image(width, &[e, n])?, width })
    }
    /// Modulus length in bytes.
    pub fn len(&self) -> usize {
        self.width
    }
    /// Never true; for the lint.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `n` without leading zeros, if HPRE serves it.
fn modulus(n: &[u8]) -> Option<&[u8]> {
    let n = significant(n);
    let odd = n.last().is_some_and(|byte| byte & 1 == 1);
    let exact = n.first().is_some_and(|byte| byte & 0x80 != 0);
    (odd && exact && SIZES.contains(&(n.len() * 8))).then_some(n)
}

fn significant(value: &[u8]) -> &[u8] {
    let zeros = value.iter().take_while(|byte| **byte == 0).count();
    &value[zeros..]
}

/// Slots of `width` bytes, big-endian and right-aligned, side by side (hpre.md 5.1). `None` if a value is
/// zero or too long.
fn image(width: usize, values: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
    // Made at its full size: a growing vector would leave copies behind.
    let mut image = Zeroizing::new(vec![0; width * values.len()]);
    for (slot, value) in image.chunks_exact_mut(width).zip(values) {
        let value = significant(value);
        let start = width.checked_sub(value.len()).filter(|_| !value.is_empty())?;
        slot[start..].copy_from_slice(value);
    }
    Some(image)
}

/// input^d mod n. `input` and `output` are exactly the modulus length, big-endian; input < n is the caller's
/// duty. The result is *not yet checked*.
///
/// # Errors
/// Any [`Fault`]; `output` is then zeroed. [`Fault::Unsupported`] if a length is not that of the modulus.
/// [`Fault::Status`] carries dword 0 of the write-back.
pub fn private<Ch: Channel>(
    ch: &mut Ch,
    key: &PrivateKey,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Fault> {
    power(ch, key.opcode, key.width, &key.image, input, output)
}

/// input^e mod n; as [`private`].
///
/// # Errors
/// Any [`Fault`]; `output` is then zeroed.
pub fn public<Ch: Channel>(
    ch: &mut Ch,
    key: &PublicKey,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Fault> {
    power(ch, Opcode::NC_NCRT, key.width, &key.image, input, output)
}

fn power<Ch: Channel>(
    ch: &mut Ch,
    opcode: Opcode,
    width: usize,
    image: &[u8],
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Fault> {
    let result = if input.len() == width && output.len() == width {
        exchange(ch, opcode, width, image, input, output)
    } else {
        Err(Fault::Unsupported)
    };
    if result.is_err() {
        output.zeroize();
    }
    result
}

fn exchange<Ch: Channel>(
    ch: &mut Ch,
    opcode: Opcode,
    width: usize,
    image: &[u8],
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Fault> {
    let mut ch = Loans(ch);
    let to = ch.lend_mut(output, width)?;
    let sent = Sqe {
        task: Task::default().with(Task::ALG, opcode.0).with(Task::DONE, DONE_SUBMITTED),
        sizes: Sizes::default().with(Sizes::TASK_LEN1, (width / 8 - 1) as u32),
        key: Pair::new(ch.lend(image)?),
        input: Pair::new(ch.lend(input)?),
        output: Pair::new(to),
        tag: Pair::new(crate::engine::next_tag().into()),
        ..Sqe::default()
    };
    let mut sqe = sent;
    ch.execute(sqe.as_mut_bytes(), qm::deadline(Op::HpreRsa, width))?;
    // Completed with etype = etype1 = 0, or not: no other value is published (hpre.md 1.2).
    let result = if !sqe.answers(&sent) {
        Err(Fault::Inconsistent)
    } else if !sqe.succeeded() {
        Err(Fault::Status(sqe.task.0))
    } else {
        ch.collect(to, output)
    };
    ch.record(result.map_or(0, |()| width as u64), result.is_ok());
    result
}
