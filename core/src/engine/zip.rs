//! Deflate and inflate on ZIP queues (zip.md). The engine moves the deflate payload and, for zlib and gzip,
//! the trailer; headers are the caller's work, as they are on the hardware.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::Fault;
use crate::gate::{Job, Needs, Op};
use crate::qm::{Channel, Version};
use crate::sqe::zip::{
    CONTEXT_AREA, CONTEXT_OFFSET, CONTEXT_SIZE, Context0, Context1, Status, StreamState, WINDOW_4K,
    WINDOW_8K, WINDOW_16K, WINDOW_32K,
};

mod oneshot;
mod request;
#[cfg(test)]
mod tests;

pub use oneshot::{compress, decompress};
use request::{Carried, FLAT_MAX, Part, Reply, Request, exchange, longest, wire};

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

/// How far back a compressor may reach (zip.md 2.2). Decompression takes every distance up to 32 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// 4 KiB.
    K4,
    /// 8 KiB.
    K8,
    /// 16 KiB.
    K16,
    /// 32 KiB, deflate's own limit.
    K32,
}

impl Window {
    /// The window of `1 << bits` bytes, if the hardware has it.
    pub const fn of_bits(bits: u32) -> Option<Window> {
        match bits {
            12 => Some(Window::K4),
            13 => Some(Window::K8),
            14 => Some(Window::K16),
            15 => Some(Window::K32),
            _ => None,
        }
    }

    const fn code(self) -> u32 {
        match self {
            Window::K4 => WINDOW_4K,
            Window::K8 => WINDOW_8K,
            Window::K16 => WINDOW_16K,
            Window::K32 => WINDOW_32K,
        }
    }

    /// What a compression with this window needs of a device. Whether V2 keeps to a smaller one than 32 KiB is
    /// not known (zip.md 20), and a distance too far would make the stream unreadable.
    pub const fn needs(self, format: Format) -> Needs {
        let needs = format.needs(Direction::Compress);
        match self {
            Window::K32 => needs,
            _ => Needs { v2: None, ..needs },
        }
    }
}

/// The gate's question for one request of `bytes` input bytes; `sticky` for a stream already on the device.
pub const fn job(format: Format, direction: Direction, bytes: usize, sticky: bool) -> Job {
    Job { sticky, ..Job::new(direction.op(), bytes, format.needs(direction)) }
}

/// Whether a device of this generation can serve the format in this direction.
pub const fn supported(version: Version, format: Format, direction: Direction) -> bool {
    format.needs(direction).line(version).is_some()
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

impl Direction {
    /// The kind of work, which knows its queue type.
    pub const fn op(self) -> Op {
        match self {
            Direction::Compress => Op::ZipCompress,
            Direction::Decompress => Op::ZipDecompress,
        }
    }
}

/// Length of the zlib trailer that a V2 raw stream drops.
const ZLIB_TRAILER: usize = 4;

/// Device-side memory of a stream (zip.md 7.2). Drivers promise 16-byte alignment; a page boundary keeps the
/// hardware area inside as few pages as possible.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C, align(4096))]
struct Context([u8; CONTEXT_SIZE]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next request is the first.
    Fresh,
    /// Between requests; the generation whose descriptors the stream uses.
    Running(Version),
    /// Complete.
    Ended,
    /// A request failed; what the device holds is unknown.
    Broken,
}

/// Device-side state of one stream: the 64 KiB context and the words that travel with it (zip.md 7).
///
/// After a fault from the device, and after [`Progress::End`], every call returns [`Fault::Unsupported`]
/// until [`Stream::reset`]; nothing is submitted. A call refused before submission (too little output, a
/// generation that cannot do it) leaves the stream as it was.
pub struct Stream {
    format: Format,
    direction: Direction,
    state: State,
    context: Box<Context>,
    carried: Carried,
    window: Window,
    /// Uncompressed bytes so far, modulo 2^32, by our own count.
    uncompressed: u32,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("format", &self.format)
            .field("direction", &self.direction)
            .field("state", &self.state)
            .field("carried", &self.carried)
            .field("uncompressed", &self.uncompressed)
            .finish_non_exhaustive()
    }
}

impl Stream {
    /// Largest input of one flat request, 8 MiB (zip.md 2.5). More is cut: [`Outcome::consumed`] tells.
    pub const MAX_INPUT: usize = FLAT_MAX;

    /// Least output space of a request. V3 needs 200 bytes (zip.md 2.5); 256 leaves a margin.
    pub const MIN_OUTPUT: usize = 256;

    /// A new stream; allocates and zeroes its context.
    pub fn new(format: Format, direction: Direction) -> Self {
        // An allocation failure of 64 KiB ends as every other one in Rust does.
        let context =
            Context::new_box_zeroed().unwrap_or_else(|_| std::alloc::handle_alloc_error(CONTEXT_LAYOUT));
        Stream {
            format,
            direction,
            state: State::Fresh,
            context,
            carried: Carried::default(),
            window: Window::K32,
            uncompressed: 0,
        }
    }

    /// A new compression stream with a window of its own.
    pub fn with_window(format: Format, window: Window) -> Self {
        Stream { window, ..Stream::new(format, Direction::Compress) }
    }

    /// Starts over: the next request is the first of a new stream of the same format and direction.
    pub fn reset(&mut self) {
        self.context.zero();
        self.carried = Carried::default();
        self.uncompressed = 0;
        self.state = State::Fresh;
    }

    /// Output space that a compression request of `input` bytes may need at most, trailer included; the
    /// engine refuses to submit with less.
    pub const fn compress_bound(input: usize) -> usize {
        input + input / 8 + 1 + 256
    }

    /// Compresses `input` into `output` (at least [`Stream::compress_bound`] bytes). With `last` the final
    /// block and the trailer follow; without, the output ends on a byte boundary after a closed, non-final
    /// block (zip.md 8).
    ///
    /// The device may use less than `input`, and more than 7 MiB is cut here: call again with the rest, and
    /// with `last` again, while `consumed` falls short. [`Progress::End`] comes only when all of the `last`
    /// input is used. Without input nothing is submitted: a final call then writes an empty stored block and
    /// the trailer itself, as the other drivers do, and any other call does nothing.
    ///
    /// # Errors
    /// Any [`Fault`]; the stream is then lost on the device and must be continued by software from
    /// everything up to the previous outcome. [`Fault::OutputFull`] if `output` is below the bound.
    pub fn compress<Ch: Channel>(
        &mut self,
        ch: &mut Ch,
        input: &[u8],
        output: &mut [u8],
        last: bool,
    ) -> Result<Outcome, Fault> {
        let longest = longest_compression(ch);
        let request = self.request(ch, Direction::Compress, last && input.len() <= longest)?;
        let piece = &input[..input.len().min(longest)];
        if output.len() < Self::compress_bound(piece.len()) {
            return Err(Fault::OutputFull);
        }
        if input.is_empty() {
            let produced = if last { self.close(output) } else { 0 };
            return Ok(self.outcome(0, produced, if last { Progress::End } else { Progress::NeedInput }));
        }
        let reply = self.submit(ch, &request, piece, output)?;
        let mut produced = reply.produced;
        let progress = if reply.consumed < input.len() {
            Progress::NeedOutput
        } else if last {
            if self.drops_trailer(ch.version()) {
                produced = produced.checked_sub(ZLIB_TRAILER).ok_or(Fault::Inconsistent)?;
            }
            Progress::End
        } else {
            Progress::NeedInput
        };
        // With the space that was there something must have been used, or the caller would ask for ever.
        if reply.consumed == 0 {
            return Err(Fault::Inconsistent);
        }
        self.uncompressed = self.uncompressed.wrapping_add(reply.consumed as u32);
        // The trailer is built from this count, by the device or by `close`; a wrong one spoils the stream.
        // Its meaning for raw requests is not known (zip.md 6).
        if self.format != Format::Raw && reply.carried.isize != self.uncompressed {
            return Err(Fault::Inconsistent);
        }
        self.advance(ch.version(), &reply, progress);
        Ok(self.outcome(reply.consumed, produced, progress))
    }

    /// Decompresses from `input` into `output` (at least [`Stream::MIN_OUTPUT`] bytes). The first call must
    /// start right behind the container's header. More than [`Stream::MAX_INPUT`] bytes of either are cut.
    /// After [`Progress::End`] the input behind `consumed` belongs to whatever follows the stream.
    ///
    /// # Errors
    /// [`Fault::Data`] for malformed streams and wrong trailers, any other [`Fault`] for the device's own;
    /// `output` may then hold garbage. [`Fault::OutputFull`] if `output` is too small.
    pub fn decompress<Ch: Channel>(
        &mut self,
        ch: &mut Ch,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Outcome, Fault> {
        let request = self.request(ch, Direction::Decompress, false)?;
        if output.len() < Self::MIN_OUTPUT {
            return Err(Fault::OutputFull);
        }
        if input.is_empty() && self.state == State::Fresh {
            return Ok(self.outcome(0, 0, Progress::NeedInput));
        }
        let input = &input[..input.len().min(longest(ch))];
        let reply = self.submit(ch, &request, input, output)?;
        let full = reply.produced == output.len().min(longest(ch));
        let progress = inflate_progress(&reply, input.len(), full)?;
        self.uncompressed = self.uncompressed.wrapping_add(reply.produced as u32);
        self.advance(ch.version(), &reply, progress);
        Ok(self.outcome(reply.consumed, reply.produced, progress))
    }

    /// The next request of this stream, or why there cannot be one.
    fn request<Ch: Channel>(&mut self, ch: &Ch, direction: Direction, last: bool) -> Result<Request, Fault> {
        let version = ch.version();
        let first = match self.state {
            State::Fresh => true,
            State::Running(begun) if begun == version => false,
            _ => return Err(Fault::Unsupported),
        };
        if direction != self.direction {
            return Err(Fault::Unsupported);
        }
        if self.window != Window::K32 && self.window.needs(self.format).line(version).is_none() {
            return Err(Fault::Unsupported);
        }
        let wire = wire(version, self.format, direction)?;
        Ok(Request {
            direction,
            wire,
            window: self.window,
            part: Some(Part { first, last, carried: self.carried }),
        })
    }

    /// Runs a request. Until its outcome has been accepted the stream counts as broken.
    fn submit<Ch: Channel>(
        &mut self,
        ch: &mut Ch,
        request: &Request,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Fault> {
        self.state = State::Broken;
        let room = output.len().min(longest(ch));
        let area = &mut self.context.0[CONTEXT_OFFSET..][..CONTEXT_AREA];
        exchange(ch, request, area, input, &mut output[..room])
    }

    fn advance(&mut self, version: Version, reply: &Reply, progress: Progress) {
        self.carried = reply.carried;
        self.state = if progress == Progress::End { State::Ended } else { State::Running(version) };
    }

    fn drops_trailer(&self, version: Version) -> bool {
        self.format == Format::Raw && version == Version::V2
    }

    /// Ends a compression without data: 01 00 00 FF FF and the trailer (zip.md 8), at most 13 bytes.
    fn close(&mut self, output: &mut [u8]) -> usize {
        let mut tail = vec![0x01, 0x00, 0x00, 0xFF, 0xFF];
        match self.format {
            Format::Raw => {}
            Format::Zlib => tail.extend(self.check().to_be_bytes()),
            Format::Gzip => {
                tail.extend(self.check().to_le_bytes());
                tail.extend(self.uncompressed.to_le_bytes());
            }
        }
        self.state = State::Ended;
        output[..tail.len()].copy_from_slice(&tail);
        tail.len()
    }

    /// The check value so far, in software's form (zip.md 6).
    fn check(&self) -> u32 {
        // Before the first request dw31 holds no value: that of empty data is ours to know.
        let fresh = self.uncompressed == 0 && self.carried == Carried::default();
        match self.format {
            Format::Raw => 0,
            Format::Zlib if fresh => 1,
            Format::Gzip if fresh => 0,
            Format::Zlib => self.carried.checksum,
            Format::Gzip => crc32_of_device(self.carried.checksum),
        }
    }

    fn outcome(&self, consumed: usize, produced: usize, progress: Progress) -> Outcome {
        Outcome { consumed, produced, progress, check: self.check(), isize: self.uncompressed }
    }
}

/// Largest input of one compression request, so that its worst output stays within what one request takes: 7 MiB,
/// or seven eighths of the longest loan.
fn longest_compression<Ch: Channel>(ch: &Ch) -> usize {
    longest(ch) / 8 * 7
}

const CONTEXT_LAYOUT: std::alloc::Layout = std::alloc::Layout::new::<Context>();

/// CRC-32 from dw31 of a gzip request: the bit-reverse of its complement (zip.md 6).
const fn crc32_of_device(checksum: u32) -> u32 {
    (!checksum).reverse_bits()
}

/// Where a decompression stands (zip.md 7.1, 9, 10). `given` is the input length, `full` whether the output
/// space was used up.
fn inflate_progress(reply: &Reply, given: usize, full: bool) -> Result<Progress, Fault> {
    if reply.status == Status::STREAM_END {
        return if reply.last_block { Ok(Progress::End) } else { Err(Fault::Inconsistent) };
    }
    let ctx0 = reply.carried.ctx0;
    let state = StreamState(ctx0.get(Context0::STATE));
    if reply.consumed == 0 && reply.produced == 0 {
        // Input and space were there, or output was announced as pending: no progress is an error.
        return match state {
            _ if given > 0 => Err(Fault::Inconsistent),
            StreamState::OUTPUT_PENDING => Err(Fault::Inconsistent),
            StreamState::TRAILER_INCOMPLETE => Ok(Progress::NeedTrailer),
            _ => Ok(Progress::NeedInput),
        };
    }
    let all_consumed = reply.consumed == given;
    let inside_final_stored_block =
        ctx0.get(Context0::FINAL_BLOCK) == 1 && reply.carried.ctx1.get(Context1::STORED_LEFT) != 0;
    // A full output may hide more even where the state does not say so; asking again without input is legal
    // and, with nothing pending, answered by zero bytes.
    let again = full
        || match state {
            StreamState::OUTPUT_PENDING => true,
            StreamState::OUTPUT_RAN_OUT => !all_consumed || inside_final_stored_block,
            // The other drivers decode the cached bits to see whether a whole block is in them (zip.md 7.3);
            // asking the device to go on answers the same question.
            StreamState::BLOCK_NOT_STARTED => ctx0.get(Context0::CACHED_BITS) != 0,
            _ => false,
        };
    match state {
        StreamState::TRAILER_INCOMPLETE => Ok(Progress::NeedTrailer),
        StreamState(0..=3) if again => Ok(Progress::NeedOutput),
        StreamState(0..=3) => Ok(Progress::NeedInput),
        _ => Err(Fault::Inconsistent),
    }
}
