//! The device's part of an inflate stream. The hardware shows no usable bit position, so the member's
//! compressed input is kept up to a bound; after a fault, at the bound, or for a question only software can
//! answer, the software engine decodes it from the start, drops what was delivered, and goes on.

use warpdrive_core::engine::zip::{self, Direction, Format, Progress};
use warpdrive_core::{Fault, Lease, Op, Runtime, Why};
use zlib_rs::{InflateFlush, ReturnCode};

use super::kept::Kept;
use super::trees::Stored;
use super::{Inflater, Route};
use crate::check::Check;
use crate::io::Io;
use crate::pending::Pending;
use crate::soft::inflate::SoftInflate;
use crate::soft::sample;

/// Bounce buffer for requests when the program offers less than the engine needs.
const BOUNCE: usize = 4 << 10;

/// Check value and length.
const GZIP_TRAILER: usize = 8;

/// Largest output of one request, the device's limit (zip.md 2.5).
const MAX_OUTPUT: usize = 8 << 20;

/// Whether a stream of `format`, with `bytes` of input so far, is to be begun for the device. Where no device
/// was there when the process first looked, the gate may look again.
pub fn worth_asking(format: Format, bytes: usize) -> bool {
    let job = zip::job(format, Direction::Decompress, bytes, false);
    present() || Runtime::get().gate().worth(job)
}

/// Whether a device that could serve inflate was there when the process first looked.
pub fn present() -> bool {
    let gate = Runtime::get().gate();
    ["zlib", "gzip", "deflate"].into_iter().any(|line| gate.offers(Op::ZipDecompress, line))
}

/// Most compressed input kept of a stream, bytes.
pub fn replay_limit() -> usize {
    Runtime::get().gate().config().inflate_replay_limit
}

/// What a stream keeps for the device.
pub struct Device {
    format: Format,
    engine: zip::Stream,
    /// Header bytes in front of the first request's data; 0 once that succeeded.
    header: usize,
    /// A request succeeded: the device holds state of this stream.
    running: bool,
    /// All input the device has used since the member's start, header included.
    replay: Vec<u8>,
    /// Output made but not delivered.
    bounce: Pending,
    /// Output bytes delivered to the program.
    delivered: u64,
    /// Bytes at the start of the program's input that the device has used already.
    held: usize,
    /// The device said that it has more output than it had space for.
    more_output: bool,
    /// The device saw the end of the member, trailer verified.
    ended: bool,
    /// The payload is decoded, and the trailer has not arrived whole.
    in_trailer: bool,
    /// Check values of all output made, and of the output delivered.
    made: Check,
    delivered_check: Check,
}

impl Device {
    /// For a member of `format` whose data begins behind `header` bytes of the present input.
    pub fn begin(spare: Option<Box<Device>>, format: Format, header: usize) -> Box<Device> {
        let start = Check::new(format);
        let (engine, mut replay, mut bounce) = match spare {
            Some(old) if old.format == format => {
                let mut engine = old.engine;
                engine.reset();
                (engine, old.replay, old.bounce)
            }
            _ => (zip::Stream::new(format, Direction::Decompress), Vec::new(), Pending::default()),
        };
        replay.clear();
        bounce.clear();
        Box::new(Device {
            format,
            engine,
            header,
            running: false,
            replay,
            bounce,
            delivered: 0,
            held: 0,
            more_output: false,
            ended: false,
            in_trailer: false,
            made: start,
            delivered_check: start,
        })
    }

    /// Output waits for the program to make space.
    fn output_waits(&self) -> bool {
        !self.bounce.is_empty() || self.more_output
    }

    /// Delivers from the bounce buffer.
    fn drain(&mut self, io: &mut Io<'_>) {
        let n = self.bounce.len().min(io.avail_out());
        self.delivered_check.update(&self.bounce.bytes()[..n]);
        self.delivered += n as u64;
        self.bounce.drain(io);
    }

    /// One request: from the program's input behind what is held, into its output or the bounce buffer.
    fn request(&mut self, lease: &mut Lease<'_>, io: &mut Io<'_>) -> Result<(), Fault> {
        let before = self.delivered + self.bounce.len() as u64;
        let (input, output) = io.split();
        let new = input.get(self.held..).unwrap_or(&[]);
        let data = new.get(self.header..).ok_or(Fault::Inconsistent)?;
        let data = &data[..data.len().min(zip::Stream::MAX_INPUT).min(self.space())];
        let direct = output.len() >= zip::Stream::MIN_OUTPUT;
        let room = if direct {
            let n = output.len().min(MAX_OUTPUT);
            &mut output[..n]
        } else {
            self.bounce.room(BOUNCE)
        };
        let outcome = self.engine.decompress(lease, data, room)?;
        let (used, made) = (outcome.consumed, outcome.produced);
        let end = outcome.progress == Progress::End;
        if used > data.len() || made > room.len() {
            return Err(Fault::Inconsistent);
        }
        let mut total = self.made;
        total.update(&room[..made]);
        if self.format != Format::Raw && total.value() != outcome.check {
            // The device's own sum of what it wrote is not the sum of what arrived.
            return Err(Fault::Check);
        }
        let inputs = [&self.replay[..], &new[..self.header + used]];
        lease.check_sample(|| sample::inflated(self.format, &inputs, before, &room[..made], end))?;
        self.made = total;
        self.replay.extend_from_slice(&new[..self.header + used]);
        self.held += self.header + used;
        self.header = 0;
        self.running = true;
        self.ended = end;
        self.in_trailer = outcome.progress == Progress::NeedTrailer;
        self.more_output = outcome.progress == Progress::NeedOutput;
        if direct {
            self.delivered += made as u64;
            self.delivered_check = total;
            io.produce(made);
        } else {
            self.bounce.filled(made);
        }
        Ok(())
    }

    /// Whether zlib may see an error where the device sees none yet: zlib compares a gzip trailer's check value as soon
    /// as its four bytes are there, the device the whole trailer. How many bytes of it have arrived is not shown; only if
    /// they are known to be good there is no doubt.
    fn in_doubt(&self) -> bool {
        if self.format != Format::Gzip || !self.in_trailer {
            return false;
        }
        let [check, length] = [self.made.value(), self.delivered as u32].map(u32::to_le_bytes);
        let good = [check, length].concat();
        !(4..good.len()).any(|n| self.replay.ends_with(&good[..n]))
    }

    /// Input that may still be kept.
    fn space(&self) -> usize {
        replay_limit().saturating_sub(self.replay.len() + self.header)
    }
}

impl Inflater {
    /// One call's work on the device route.
    pub(super) fn device_step(&mut self, io: &mut Io<'_>, flush: InflateFlush) -> ReturnCode {
        let (before_in, before_out) = (io.avail_in(), io.avail_out());
        // Software's work on a stream that begins there, for the gate to time; one that leaves the device first
        // repeats what was done.
        let mut fresh = None;
        while let Route::Device(device) = &mut self.route {
            device.drain(io);
            if device.ended && device.bounce.is_empty() {
                return self.device_end(io);
            }
            if device.bounce.is_empty() && device.in_doubt() {
                Runtime::get().gate().software(Why::Unsupported);
                if let Err(code) = self.leave_device(io) {
                    return io.error(code);
                }
                break;
            }
            let new = io.avail_in().saturating_sub(device.held);
            // Without output space there may still be a trailer to read; its request goes to the bounce buffer.
            let blocked = io.avail_out() == 0 && (device.output_waits() || new == 0);
            if blocked || (new == 0 && !device.more_output) {
                break;
            }
            if new > 0 && device.space() == 0 {
                Runtime::get().gate().software(Why::Unsupported);
                if let Err(code) = self.leave_device(io) {
                    return io.error(code);
                }
                break;
            }
            let job = zip::job(device.format, Direction::Decompress, new, device.running);
            let mut work = (&mut **device, &mut *io);
            let served = Runtime::get()
                .gate()
                .attempt(job, &mut work, |(device, io), lease| device.request(lease, io));
            if let Err(declined) = served {
                fresh = (!device.running).then_some(declined);
                if let Err(code) = self.leave_device(io) {
                    return io.error(code);
                }
            }
        }
        let Route::Device(device) = &mut self.route else {
            // Software finishes the call; what the device did in it counts as progress.
            let progress = (io.avail_in(), io.avail_out()) != (before_in, before_out);
            let input = io.avail_in();
            let mut step = || {
                let code = self.software_step(io, flush);
                (code, input - io.avail_in())
            };
            let code = match fresh {
                Some(declined) => Runtime::get().gate().measured_part(declined, step),
                None => step().0,
            };
            return match code {
                ReturnCode::BufError if progress && flush != InflateFlush::Finish => ReturnCode::Ok,
                code => code,
            };
        };
        // While output waits, the program is shown a byte of input left, as it would be by zlib: many loops
        // end when there is none. Of gzip as much as may be trailer, which zlib would not have read yet.
        let waits = device.output_waits() && io.avail_in() == device.held;
        let most = if device.format == Format::Gzip { GZIP_TRAILER } else { 1 };
        let keep = if waits { device.held.min(most) } else { 0 };
        io.consume(device.held - keep);
        device.held = keep;
        let check = device.delivered_check;
        io.set_data_type(0);
        if check_is_shown(device.format) {
            io.set_adler(check.value());
        }
        let progress = (io.avail_in(), io.avail_out()) != (before_in, before_out);
        if progress && flush != InflateFlush::Finish { ReturnCode::Ok } else { ReturnCode::BufError }
    }

    /// The member is complete and delivered.
    fn device_end(&mut self, io: &mut Io<'_>) -> ReturnCode {
        let Route::Device(device) = &mut self.route else { return ReturnCode::StreamError };
        io.consume(device.held);
        device.held = 0;
        // zlib's value in its final state: the last block was the final one.
        io.set_data_type(64);
        if check_is_shown(device.format) {
            io.set_adler(device.delivered_check.value());
        }
        ReturnCode::StreamEnd
    }

    /// Leaves the device by replay: afterwards the software engine stands where the program's output stands.
    ///
    /// # Errors
    /// `MemError`.
    pub(super) fn leave_device(&mut self, io: &mut Io<'_>) -> Result<(), ReturnCode> {
        let Route::Device(device) = std::mem::replace(&mut self.route, Route::Software) else {
            return Ok(());
        };
        let window_bits = self.window_bits;
        let soft = self.soft()?;
        soft.reset(Some(window_bits), false);
        let mut scratch = vec![0; 32 << 10];
        let (mut at, mut left, mut bad) = (0, device.delivered, None);
        while left > 0 {
            let room = scratch.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let (used, made, code) =
                soft.decode(&device.replay[at..], &mut scratch[..room], InflateFlush::NoFlush);
            at += used;
            left -= made as u64;
            if !matches!(code, ReturnCode::Ok) {
                bad = (code == ReturnCode::DataError).then(|| {
                    if soft.lost_message() {
                        SoftInflate::message_for(window_bits, &device.replay)
                    } else {
                        soft.message()
                    }
                });
                break;
            }
        }
        // On to where zlib stands that was given this input and has no more space: the next call may be one that
        // looks at the position.
        if bad.is_none() {
            let given = device.replay.len().saturating_sub(device.held);
            while at < given {
                let (used, _, code) =
                    soft.decode(&device.replay[at..given], &mut scratch[..0], InflateFlush::NoFlush);
                at += used;
                if used == 0 || code != ReturnCode::Ok {
                    break;
                }
            }
        }
        self.stored = Stored::default();
        self.stored.took(&device.replay[..at]);
        // The tail of the kept input that the program still holds is read from there.
        let kept = &device.replay[at..];
        if kept.len() >= device.held {
            self.carry = kept[..kept.len() - device.held].to_vec();
            self.skip = 0;
        } else {
            self.carry = Vec::new();
            self.skip = device.held - kept.len();
        }
        self.carried = 0;
        self.bad = bad;
        self.surplus = if bad.is_none() { left } else { 0 };
        self.catch_up(io);
        if self.shown.is_some() {
            self.shown = Some(device.delivered_check);
        }
        // What the device has delivered in this call is to be shown even if software finds an error first.
        if device.delivered > 0 && check_is_shown(device.format) {
            io.set_adler(device.delivered_check.value());
        }
        let mut spare = device;
        let mut kept = std::mem::take(&mut spare.replay);
        kept.truncate(kept.len() - spare.held.min(kept.len()));
        self.kept = Some(Kept::from_start(kept));
        self.spare = Some(spare);
        Ok(())
    }

    /// Makes the output that the program has already, from input that it still holds.
    pub(super) fn catch_up(&mut self, io: &Io<'_>) {
        let Some(soft) = &mut self.soft else { return };
        let mut scratch = [0; 4 << 10];
        let mut more = false;
        while self.surplus > 0 && self.bad.is_none() {
            let next = if more { Some(&[][..]) } else { io.input().get(self.skip..self.skip + 1) };
            let Some(next) = next else { return };
            let room = scratch.len().min(usize::try_from(self.surplus).unwrap_or(usize::MAX));
            let (used, made, code) = soft.decode(next, &mut scratch[..room], InflateFlush::NoFlush);
            if used + made == 0 && !more {
                return;
            }
            more = made == room;
            self.skip += used;
            self.surplus -= made as u64;
            match code {
                ReturnCode::Ok | ReturnCode::BufError => {}
                ReturnCode::DataError => self.bad = Some(soft.message()),
                // the stream ends before what the device made of it: nothing more will come
                _ => self.surplus = 0,
            }
        }
    }
}

/// Whether the program sees the check value: zlib leaves `adler` alone in raw streams.
fn check_is_shown(format: Format) -> bool {
    format != Format::Raw
}
