//! Deflate and inflate on ZIP queues (zip.md). The engine moves the deflate payload and, for zlib and gzip,
//! the trailer; headers are the caller's work, as they are on the hardware.

use crate::Fault;
use crate::gate::{Job, Needs, Op};
use crate::qm::{Channel, Version};

/// Container around the deflate payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// No container.
    Raw,
    /// RFC 1950: Adler-32 trailer.
    Zlib,
    /// RFC 1952: CRC-32 and ISIZE trailer.
    Gzip,
}

impl Format {
    /// The line of the device's `algorithms` attribute that the format needs in a direction. Raw deflate is
    /// compressed as zlib on V2 (and the trailer dropped); it cannot be decompressed there.
    pub const fn needs(self, direction: Direction) -> Needs {
        match (self, direction) {
            (Format::Raw, Direction::Compress) => Needs { v2: Some("zlib"), v3: Some("deflate") },
            (Format::Raw, Direction::Decompress) => Needs { v2: None, v3: Some("deflate") },
            (Format::Zlib, _) => Needs::always("zlib"),
            (Format::Gzip, _) => Needs::always("gzip"),
        }
    }
}

/// The gate's question for one request of `bytes` input bytes; `sticky` for a stream already on the device.
pub const fn job(format: Format, direction: Direction, bytes: usize, sticky: bool) -> Job {
    let op = match direction {
        Direction::Compress => Op::ZipCompress,
        Direction::Decompress => Op::ZipDecompress,
    };
    Job { op, bytes, needs: format.needs(direction), sticky }
}

/// Where a stream stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More input is welcome.
    NeedInput,
    /// Output space ran out; call again with more, even without input.
    NeedOutput,
    /// Payload finished, trailer incomplete: more input needed (decompression).
    NeedTrailer,
    /// The stream is complete, trailer included and verified.
    End,
}

/// What one request moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Input bytes used (trailer included, header excluded).
    pub consumed: usize,
    /// Output bytes written (trailer included, header excluded).
    pub produced: usize,
    /// Where the stream stands.
    pub progress: Progress,
    /// Check value of all uncompressed bytes of the stream so far, as software knows it: Adler-32 for zlib,
    /// CRC-32 (reflected, final complement applied) for gzip; 0 for raw.
    pub check: u32,
    /// Uncompressed bytes of the stream so far, modulo 2^32.
    pub isize: u32,
}

/// Direction of a stream, which is also the queue type it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Queue type 0.
    Compress,
    /// Queue type 1.
    Decompress,
}

/// Device-side state of one stream: the 64 KiB context and the words that travel with it (zip.md 7).
#[derive(Debug)]
pub struct Stream {}

impl Stream {
    /// Largest input of one flat request, 8 MiB (zip.md 2.5).
    pub const MAX_INPUT: usize = 8 << 20;

    /// A new stream; allocates and zeroes its context.
    pub fn new(_format: Format, _direction: Direction) -> Self {
        Stream {}
    }

    /// Starts over: the next request is the first of a new stream of the same format and direction.
    pub fn reset(&mut self) {}

    /// Output space that a compression request of `input` bytes may need at most, trailer included; the
    /// engine refuses to submit with less.
    pub const fn compress_bound(input: usize) -> usize {
        input + input / 8 + 1 + 256
    }

    /// Compresses `input` into `output` (at least [`Stream::compress_bound`] bytes). With `last` the final
    /// block and the trailer follow; without, the output ends on a byte boundary after a closed, non-final
    /// block (zip.md 8).
    ///
    /// # Errors
    /// Any [`Fault`]; the stream is then lost on the device and must be continued by software from
    /// everything up to the previous outcome.
    pub fn compress<Ch: Channel>(
        &mut self,
        _ch: &mut Ch,
        _input: &[u8],
        _output: &mut [u8],
        _last: bool,
    ) -> Result<Outcome, Fault> {
        Err(Fault::Unsupported)
    }

    /// Decompresses from `input` into `output` (at least 256 bytes). The first call must start right behind
    /// the container's header.
    ///
    /// # Errors
    /// [`Fault::Data`] for malformed streams and wrong trailers, any other [`Fault`] for the device's own;
    /// `output` may then hold garbage.
    pub fn decompress<Ch: Channel>(
        &mut self,
        _ch: &mut Ch,
        _input: &[u8],
        _output: &mut [u8],
    ) -> Result<Outcome, Fault> {
        Err(Fault::Unsupported)
    }
}

/// Whether a device of this generation can serve the format in this direction.
pub const fn supported(version: Version, format: Format, direction: Direction) -> bool {
    format.needs(direction).line(version).is_some()
}

/// Compresses a whole payload in one stateless request: deflate payload plus trailer.
///
/// # Errors
/// [`Fault::OutputFull`] if `output` is too small; otherwise as [`Stream::compress`].
pub fn compress<Ch: Channel>(
    _ch: &mut Ch,
    _format: Format,
    _input: &[u8],
    _output: &mut [u8],
) -> Result<Outcome, Fault> {
    Err(Fault::Unsupported)
}

/// Decompresses a whole payload plus trailer in one stateless request.
///
/// # Errors
/// As [`Stream::decompress`], and [`Fault::OutputFull`].
pub fn decompress<Ch: Channel>(
    _ch: &mut Ch,
    _format: Format,
    _input: &[u8],
    _output: &mut [u8],
) -> Result<Outcome, Fault> {
    Err(Fault::Unsupported)
}
