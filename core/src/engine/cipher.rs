//! Symmetric ciphers on SEC queues (sec.md 7).

use zerocopy::IntoBytes;
use zeroize::Zeroize;

use crate::Fault;
use crate::engine::Loans;
use crate::gate::{Effort, Job, Needs, Op};
use crate::qm::{self, Channel, Version};
use crate::sqe::sec::{
    self, Auth3, Bd2, Bd3, Cipher2, Cipher3, CipherAction, CipherAlg, CipherMode, Head2, Head3, KeyLength,
    Length, Tag2,
};
use crate::sqe::word::Pair;

#[cfg(test)]
mod tests;

/// Block size of AES and SM4.
const BLOCK: usize = 16;

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

impl Algorithm {
    /// Bytes of one key.
    pub const fn key_len(self) -> usize {
        match self {
            Algorithm::Aes128 | Algorithm::Sm4 => 16,
            Algorithm::Aes192 => 24,
            Algorithm::Aes256 => 32,
        }
    }
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

/// What the cipher needs of a device (sec.md 7.2). XTS with 192-bit keys exists nowhere; SM4-CTR on V2 may
/// be refused by the engine's descriptor check, and a refused descriptor can reset the device for everybody.
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
    let effort = match algorithm {
        Algorithm::Sm4 => Effort::CipherPlain,
        _ => Effort::Cipher,
    };
    Job::new(Op::SecCipher, bytes, needs(algorithm, mode)).with_effort(effort)
}

impl Request<'_> {
    /// Bytes of data.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Separate { input, .. } => input.len(),
            Data::InPlace(buffer) => buffer.len(),
        }
    }

    /// Whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The gate's question for this request. Unlike [`job`] it knows the direction, and the counter: a CTR request
    /// whose lower 32 bits would wrap is no work for V2.
    pub fn job(&self) -> Job {
        let mut job = job(self.algorithm, self.mode, self.len());
        let chained = self.mode == Mode::Cbc && self.direction == Direction::Encrypt;
        if chained && job.effort == Effort::Cipher {
            job.effort = Effort::CipherChained;
        }
        if self.mode == Mode::Ctr && counter_wraps(self.iv, self.len()) {
            job.needs.v2 = None;
        }
        job
    }

    fn check<Ch: Channel>(&self, ch: &Ch) -> Result<(), Fault> {
        let version = ch.version();
        let key_len = match (self.algorithm, self.mode) {
            (algorithm, Mode::Xts) => 2 * algorithm.key_len(),
            (algorithm, _) => algorithm.key_len(),
        };
        let len = self.len();
        let len_fits = match self.mode {
            Mode::Ecb | Mode::Cbc => len.is_multiple_of(BLOCK),
            Mode::Ctr => true,
            Mode::Xts => (BLOCK..=MAX_LEN).contains(&len),
        };
        let room = match &self.data {
            Data::Separate { output, .. } => output.len() >= len,
            Data::InPlace(_) => true,
        };
        // A data unit is one request, so one that is longer than a loan stays in software.
        let whole = self.mode != Mode::Xts || len <= longest_piece(ch);
        let wraps = version == Version::V2 && self.mode == Mode::Ctr && counter_wraps(self.iv, len);
        let fits = supported(version, self.algorithm, self.mode)
            && self.key.len() == key_len
            && len_fits
            && room
            && whole
            && !wraps;
        if fits { Ok(()) } else { Err(Fault::Unsupported) }
    }
}

/// Runs one request of any length the mode allows; longer data is cut into several descriptors. XTS data is
/// one unit and cannot be cut: at most [`MAX_LEN`]. No data at all is done at once, except in XTS.
///
/// What the tables forbid is refused before anything is submitted, for a bad descriptor can make the device
/// reset the engine for all users (sec.md 13, item 2).
///
/// # Errors
/// Any [`Fault`]. `iv` and, for [`Data::InPlace`], the buffer are then unchanged; a separate output may hold
/// garbage. [`Fault::Unsupported`] for a length, key or mode that the device does not take, and for a CTR
/// request on V2 whose 32-bit counter would wrap: the roll-over selector exists on V3 only (sec.md 7.6).
pub fn run<Ch: Channel>(ch: &mut Ch, request: Request<'_>) -> Result<(), Fault> {
    request.check(ch)?;
    let Request { algorithm, mode, direction, key, iv, data } = request;
    let shape = Shape { algorithm, mode, direction };
    let next_iv = match data {
        Data::Separate { input, output } => shape.pieces(ch, key, *iv, input, &mut output[..input.len()])?,
        Data::InPlace(buffer) => {
            let mut stage = Stage::new(buffer.len(), direction)?;
            let next_iv = shape.pieces(ch, key, *iv, buffer, &mut stage.bytes)?;
            buffer.copy_from_slice(&stage.bytes);
            next_iv
        }
    };
    *iv = next_iv;
    Ok(())
}

/// Longest data of one descriptor: what its length field holds, and what the device can reach at a time.
fn longest_piece<Ch: Channel>(ch: &Ch) -> usize {
    MAX_LEN.min(ch.longest_loan() / BLOCK * BLOCK).max(BLOCK)
}

/// Whether the low 32 bits of a counter block roll over before the last block of `len` bytes is served.
fn counter_wraps(iv: &[u8; 16], len: usize) -> bool {
    let low = u128::from_be_bytes(*iv) as u32;
    len.div_ceil(BLOCK).saturating_sub(1) > (u32::MAX - low) as usize
}

/// Output of an in-place request until the device has succeeded. Plaintext is wiped.
struct Stage {
    bytes: Vec<u8>,
    secret: bool,
}

impl Stage {
    fn new(len: usize, direction: Direction) -> Result<Self, Fault> {
        let mut bytes = Vec::new();
        // Software needs no second buffer, so want of memory must not end the process.
        bytes.try_reserve_exact(len).map_err(|_| Fault::Unsupported)?;
        bytes.resize(len, 0);
        Ok(Stage { bytes, secret: direction == Direction::Decrypt })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.secret {
            self.bytes.zeroize();
        }
    }
}

/// The buffers of one descriptor by the addresses that the device knows.
struct Lent {
    key: u64,
    iv: u64,
    input: u64,
    output: u64,
    len: u32,
    /// Whether the device may fetch translations in advance (SVA only).
    prefetch: bool,
}

/// A request without its buffers.
#[derive(Debug, Clone, Copy)]
struct Shape {
    algorithm: Algorithm,
    mode: Mode,
    direction: Direction,
}

impl Shape {
    /// Cuts at [`longest_piece`], which is a multiple of the block, and returns the chain value behind the last
    /// piece. The engine never writes an IV (sec.md 7.4).
    fn pieces<Ch: Channel>(
        self,
        ch: &mut Ch,
        key: &[u8],
        mut iv: [u8; 16],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<[u8; 16], Fault> {
        let longest = longest_piece(ch);
        for (input, output) in input.chunks(longest).zip(output.chunks_mut(longest)) {
            self.piece(ch, key, &iv, input, output)?;
            let last_block = match self.direction {
                Direction::Encrypt => output.last_chunk::<BLOCK>(),
                Direction::Decrypt => input.last_chunk::<BLOCK>(),
            };
            iv = match (self.mode, last_block) {
                (Mode::Cbc, Some(block)) => *block,
                (Mode::Ctr, _) => {
                    let blocks = input.len().div_ceil(BLOCK) as u128;
                    u128::from_be_bytes(iv).wrapping_add(blocks).to_be_bytes()
                }
                _ => iv,
            };
        }
        Ok(iv)
    }

    fn piece<Ch: Channel>(
        self,
        ch: &mut Ch,
        key: &[u8],
        iv: &[u8; 16],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(), Fault> {
        let deadline = qm::deadline(Op::SecCipher, input.len());
        let mut ch = Loans(ch);
        let lent = Lent {
            key: ch.lend(key)?,
            iv: ch.lend(iv)?,
            input: ch.lend(input)?,
            output: ch.lend_mut(output, output.len())?,
            len: input.len() as u32,
            prefetch: ch.shares_addresses() && input.len() <= sec::PREFETCH_MAX as usize,
        };
        let (done, answers) = match ch.version() {
            Version::V2 => {
                let sent = self.bd2(&lent);
                let mut bd = sent;
                ch.execute(bd.as_mut_bytes(), deadline)?;
                (bd.done, bd.answers(&sent))
            }
            Version::V3 => {
                let sent = self.bd3(&lent);
                let mut bd = sent;
                ch.execute(bd.as_mut_bytes(), deadline)?;
                (bd.done, bd.answers(&sent))
            }
        };
        let result = if !answers {
            Err(Fault::Inconsistent)
        } else if !done.cipher_succeeded() {
            Err(Fault::Status(done.0))
        } else {
            ch.collect(lent.output, output)
        };
        ch.record(result.map_or(0, |()| input.len() as u64), result.is_ok());
        result
    }

    fn bd2(self, lent: &Lent) -> Bd2 {
        Bd2 {
            head: Head2::default()
                .with(Head2::TYPE, sec::TYPE_V2)
                .with(Head2::CIPHER, self.action().0)
                .with(Head2::DE, sec::DESTINATION_USED)
                .with(Head2::SCENE, sec::SCENE_CIPHER),
            cipher: Cipher2::default()
                .with(Cipher2::C_KEY_LEN, self.key_length().0)
                .with(Cipher2::C_MODE, self.cipher_mode().0)
                .with(Cipher2::C_ALG, self.cipher_alg().0),
            c_len: Length::default().with(Length::BYTES, lent.len),
            // 16 bits; 0 is left out so that an empty descriptor cannot pass for an answer.
            tag: Tag2::default().with(Tag2::TAG, (crate::engine::next_tag() & 0xFFFF).max(1)),
            c_ivin_addr: Pair::new(lent.iv),
            c_key_addr: Pair::new(lent.key),
            data_src_addr: Pair::new(lent.input),
            data_dst_addr: Pair::new(lent.output),
            ..Bd2::default()
        }
    }

    fn bd3(self, lent: &Lent) -> Bd3 {
        let counter = if self.mode == Mode::Ctr { sec::COUNTER_128 } else { 0 };
        Bd3 {
            head: Head3::default()
                .with(Head3::TYPE, sec::TYPE_V3)
                .with(Head3::SCENE, sec::SCENE_CIPHER)
                .with(Head3::DE, sec::DESTINATION_USED),
            cipher: Cipher3::default()
                .with(Cipher3::CIPHER, self.action().0)
                .with(Cipher3::C_KEY_LEN, self.key_length().0)
                .with(Cipher3::C_MODE, self.cipher_mode().0)
                .with(Cipher3::C_ALG, self.cipher_alg().0),
            tag: Pair::new(crate::engine::next_tag().into()),
            data_src_addr: Pair::new(lent.input),
            c_key_addr: Pair::new(lent.key),
            auth: Auth3::default()
                .with(Auth3::CTR_COUNT_MODE, counter)
                .with(Auth3::SVA_PREFETCH, lent.prefetch.into()),
            c_len: Length::default().with(Length::BYTES, lent.len),
            data_dst_addr: Pair::new(lent.output),
            c_ivin_addr: Pair::new(lent.iv),
            ..Bd3::default()
        }
    }

    fn action(self) -> CipherAction {
        match self.direction {
            Direction::Encrypt => CipherAction::ENCRYPT,
            Direction::Decrypt => CipherAction::DECRYPT,
        }
    }

    fn cipher_alg(self) -> CipherAlg {
        match self.algorithm {
            Algorithm::Sm4 => CipherAlg::SM4,
            _ => CipherAlg::AES,
        }
    }

    fn cipher_mode(self) -> CipherMode {
        match self.mode {
            Mode::Ecb => CipherMode::ECB,
            Mode::Cbc => CipherMode::CBC,
            Mode::Ctr => CipherMode::CTR,
            Mode::Xts => CipherMode::XTS,
        }
    }

    fn key_length(self) -> KeyLength {
        match self.algorithm {
            Algorithm::Aes128 | Algorithm::Sm4 => KeyLength::BITS_128,
            Algorithm::Aes192 => KeyLength::BITS_192,
            Algorithm::Aes256 => KeyLength::BITS_256,
        }
    }
}
