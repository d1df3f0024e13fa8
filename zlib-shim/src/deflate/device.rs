//! The device's part of a deflate stream: gathering input into chunks, one request a chunk, checks of what
//! comes back, and the way from the device to software and back at chunk boundaries.

use warpdrive_core::engine::zip::{self, Direction, Format, Window};
use warpdrive_core::{Effort, Fault, Job, Lease, Op, Runtime, Why};
use zlib_rs::{DeflateFlush, ReturnCode};

use super::{Deflater, Route, UNKNOWN, frame};
use crate::check::Check;
use crate::io::Io;
use crate::soft::sample;

/// Input gathered before a request is made, unless the program flushes: small enough to stay in the second
/// level cache, large enough to drown the cost of a request.
const STAGE: usize = 64 << 10;

/// Least first request of a stream with a preset dictionary. The device compresses without the dictionary,
/// whose use is in the first part of the data: of less than 64 KiB it may be most of the gain, of more, little.
const PRESET_MIN: usize = STAGE;

/// Largest chunk taken directly from the program's buffer: bounds the memory for output that does not fit.
const CHUNK: usize = 1 << 20;

/// Whether a stream of `format` and `window`, with `bytes` of input so far, is to be begun for the device. Where no
/// device was there when the process first looked, the gate may look again.
pub fn worth_asking(format: Format, window: Window, bytes: usize) -> bool {
    let job = job(format, window, bytes, false);
    present(format, window) || Runtime::get().gate().worth(job)
}

/// Whether a device that could serve such a stream was there when the process first looked.
pub fn present(format: Format, window: Window) -> bool {
    let gate = Runtime::get().gate();
    let needs = window.needs(format);
    [needs.v3, needs.v2].into_iter().flatten().any(|line| gate.offers(Op::ZipCompress, line))
}

fn job(format: Format, window: Window, bytes: usize, sticky: bool) -> Job {
    Job { needs: window.needs(format), ..zip::job(format, Direction::Compress, bytes, sticky) }
}

/// Length of a window, bytes.
const fn reach(window: Window) -> usize {
    match window {
        Window::K4 => 4 << 10,
        Window::K8 => 8 << 10,
        Window::K16 => 16 << 10,
        Window::K32 => 32 << 10,
    }
}

/// What a stream keeps for the device.
pub struct Device {
    format: Format,
    window: Window,
    /// The stream on the device, while it is in one piece; made at the first request.
    engine: Option<zip::Stream>,
    /// Requests of `engine` so far succeeded: the device holds state of this stream.
    running: bool,
    /// Check value, and then bytes sent, before and since `engine`'s first request.
    base: Check,
    sent: u64,
    /// Check value at the end of the last request.
    pub submitted: Check,
    /// Input taken from the program and not sent yet.
    pub stage: Vec<u8>,
    /// The window's length of input before the stage, for software to continue from.
    pub history: Vec<u8>,
    /// No request yet, and the history is a preset dictionary, which the device does not know.
    pub preset: bool,
}

impl Device {
    /// For a stream of `format` and `window` with no data yet. Allocates nothing.
    pub fn new(format: Format, window: Window) -> Self {
        let start = Check::new(format);
        Device {
            format,
            window,
            engine: None,
            running: false,
            base: start,
            sent: 0,
            submitted: start,
            stage: Vec::new(),
            history: Vec::new(),
            preset: false,
        }
    }

    /// Back to no data, keeping the memory.
    pub fn renew(mut self: Box<Self>) -> Box<Self> {
        let start = Check::new(self.format);
        self.restart(start);
        self.submitted = start;
        self.stage.clear();
        self.history.clear();
        self.preset = false;
        self
    }

    /// Takes a preset dictionary, or more of it, in front of the data.
    pub fn prepare(&mut self, dictionary: &[u8]) {
        self.remember(dictionary);
        self.preset = !self.history.is_empty();
    }

    /// What zlib's window holds: at most its length of the last input.
    pub fn held(&self) -> Vec<u8> {
        let all = [&self.history[..], &self.stage[..]].concat();
        all[all.len().saturating_sub(reach(self.window))..].to_vec()
    }

    /// For a copy of the stream: the same data so far, requests of its own.
    pub fn fork(&self) -> Self {
        Device {
            base: self.submitted,
            stage: self.stage.clone(),
            history: self.history.clone(),
            submitted: self.submitted,
            preset: self.preset,
            ..Device::new(self.format, self.window)
        }
    }

    /// The next request starts a new stream on the device, which knows no earlier data.
    pub fn restart(&mut self, at: Check) {
        if let Some(engine) = &mut self.engine {
            engine.reset();
        }
        (self.running, self.base, self.sent) = (false, at, 0);
    }

    fn remember(&mut self, chunk: &[u8]) {
        let window = reach(self.window);
        if chunk.len() >= window {
            self.history.clear();
            self.history.extend(&chunk[chunk.len() - window..]);
        } else {
            let over = (self.history.len() + chunk.len()).saturating_sub(window);
            self.history.drain(..over);
            self.history.extend(chunk);
        }
    }

    /// Compresses `chunk` into `out` (at least [`room_for`] it), without the container's trailer; returns the
    /// length. `total` is the check value up to the end of the chunk.
    fn request(
        &mut self,
        lease: &mut Lease<'_>,
        chunk: &[u8],
        last: bool,
        total: Check,
        out: &mut [u8],
    ) -> Result<usize, Fault> {
        let (format, window) = (self.format, self.window);
        let engine = self.engine.get_or_insert_with(|| zip::Stream::with_window(format, window));
        let (mut used, mut made) = (0, 0);
        let mut done = None;
        while used < chunk.len() {
            let outcome = engine.compress(lease, &chunk[used..], &mut out[made..], last)?;
            if outcome.consumed == 0
                || outcome.consumed > chunk.len() - used
                || outcome.produced > out.len() - made
            {
                return Err(Fault::Inconsistent);
            }
            used += outcome.consumed;
            made += outcome.produced;
            done = Some(outcome);
        }
        let outcome = done.ok_or(Fault::Inconsistent)?;
        // Our own check value of the same input: finds a device that saw other bytes than we sent.
        let sent = self.sent + chunk.len() as u64;
        if format != Format::Raw && self.base.followed_by(outcome.check, sent) != total {
            return Err(Fault::Check);
        }
        if last {
            made = made.checked_sub(frame::trailer_len(format)).ok_or(Fault::Inconsistent)?;
        }
        lease.check_sample(|| sample::deflated(&out[..made], &self.history, last, chunk))?;
        self.sent = sent;
        self.running = true;
        if made > frame::stored_len(chunk.len()) {
            made = frame::stored(chunk, last, out);
        }
        Ok(made)
    }
}

/// Output space for a request of `n` bytes: what the engine wants, and more if requests come back in parts.
fn room_for(n: usize) -> usize {
    (zip::Stream::compress_bound(n) + 1024).max(frame::stored_len(n))
}

/// What a request on the device works on.
struct Work<'a, 'b> {
    stream: &'a mut Deflater,
    device: &'a mut Device,
    io: &'a mut Io<'b>,
    /// The chunk is the first so many bytes of the program's input; 0: it is the stage.
    direct: usize,
    last: bool,
}

impl Work<'_, '_> {
    fn on_device(&mut self, lease: &mut Lease<'_>) -> Result<(), Fault> {
        // Taken out for the time of the request, which borrows the rest of the device's part.
        let stage = std::mem::take(&mut self.device.stage);
        let (input, output) = self.io.split();
        let chunk = if self.direct == 0 { &stage[..] } else { &input[..self.direct] };
        let need = room_for(chunk.len());
        let total = self.stream.check;
        let to_caller = output.len() >= need;
        let out = if to_caller { output } else { self.stream.pending.room(need) };
        let made = self.device.request(lease, chunk, self.last, total, out);
        self.device.stage = stage;
        let made = match made {
            Ok(made) => made,
            Err(fault) => {
                // What the device holds is lost; later requests start anew behind what software makes now.
                self.device.restart(total);
                return Err(fault);
            }
        };
        if to_caller {
            self.io.produce(made);
        } else {
            self.stream.pending.filled(made);
        }
        Ok(())
    }
}

impl Deflater {
    /// One call's work on the device route.
    pub(super) fn device_step(
        &mut self,
        io: &mut Io<'_>,
        flush: DeflateFlush,
        had_pending: bool,
    ) -> ReturnCode {
        loop {
            self.pending.drain(io);
            if io.avail_out() == 0 {
                return self.full();
            }
            let Route::Device(device) = &mut self.route else {
                // Software took over in the last round and may have input left.
                return if self.ended || io.avail_in() == 0 && flush == DeflateFlush::NoFlush {
                    self.settled(io)
                } else {
                    self.software_step(io, flush)
                };
            };
            let (staged, avail) = (device.stage.len(), io.avail_in());
            if avail == 0 && staged == 0 {
                break;
            }
            self.dirty = true;
            if flush == DeflateFlush::NoFlush && staged + avail < STAGE {
                self.stage(io, avail);
                return ReturnCode::Ok;
            }
            let direct = if staged == 0 { avail.min(CHUNK) } else { 0 };
            if direct == 0 {
                self.stage(io, avail.min(STAGE - staged));
            }
            let whole = if direct == 0 { avail <= STAGE - staged } else { avail == direct };
            let last = flush == DeflateFlush::Finish && whole;
            if let Some(code) = self.submit(io, direct, last) {
                return code;
            }
            if last && matches!(self.route, Route::Device(_)) {
                return self.finish(io);
            }
        }
        match flush {
            // What a request leaves is a closed block that ends on a byte boundary.
            DeflateFlush::NoFlush | DeflateFlush::Block => return ReturnCode::Ok,
            DeflateFlush::Finish => {
                self.pending.push(&frame::EMPTY_FINAL);
                return self.finish(io);
            }
            DeflateFlush::PartialFlush | DeflateFlush::SyncFlush | DeflateFlush::FullFlush => {}
        }
        if self.dirty || !had_pending {
            self.pending.push(&frame::SYNC_MARK);
        }
        self.dirty = false;
        if flush == DeflateFlush::FullFlush {
            let at = self.check;
            if let Route::Device(device) = &mut self.route {
                device.restart(at);
                device.history.clear();
            }
        }
        self.pending.drain(io);
        if io.avail_out() == 0 { self.full() } else { ReturnCode::Ok }
    }

    /// Return of a call whose last chunk software has made whole.
    fn settled(&mut self, io: &mut Io<'_>) -> ReturnCode {
        self.pending.drain(io);
        if self.ended && self.pending.is_empty() { ReturnCode::StreamEnd } else { ReturnCode::Ok }
    }

    /// Moves `n` bytes of input to the stage.
    fn stage(&mut self, io: &mut Io<'_>, n: usize) {
        let Route::Device(device) = &mut self.route else { return };
        let bytes = &io.input()[..n];
        device.stage.extend_from_slice(bytes);
        self.check.update(bytes);
        io.consume(n);
        if self.format != Format::Raw {
            io.set_adler(self.check.value());
        }
    }

    /// Has one chunk compressed, on the device or in software as the gate decides. Returns a code only if the
    /// call ends here.
    fn submit(&mut self, io: &mut Io<'_>, direct: usize, last: bool) -> Option<ReturnCode> {
        let Route::Device(mut device) = std::mem::replace(&mut self.route, Route::Fresh) else {
            return Some(io.error(ReturnCode::StreamError));
        };
        let size = if direct == 0 { device.stage.len() } else { direct };
        if direct != 0 {
            self.check.update(&io.input()[..direct]);
        }
        if io.data_type() == UNKNOWN {
            let sample = if direct == 0 { &device.stage[..] } else { &io.input()[..direct] };
            let kind = frame::data_type(&sample[..sample.len().min(reach(device.window))]);
            io.set_data_type(kind);
        }
        let job = job(self.format, device.window, size, device.running)
            .with_effort(Effort::of_level(self.params.level));
        let gate = Runtime::get().gate();
        let declined = if device.preset && size < PRESET_MIN {
            gate.software(Why::TooSmall);
            Err(None)
        } else {
            let mut work = Work { stream: self, device: &mut device, io, direct, last };
            gate.attempt(job, &mut work, |work, lease| work.on_device(lease)).map_err(Some)
        };
        let chunk_at_stage = direct == 0;
        let code = match declined {
            Ok(()) => {
                let total = self.check;
                device.submitted = total;
                device.preset = false;
                let stage = std::mem::take(&mut device.stage);
                device.remember(if chunk_at_stage { &stage } else { &io.input()[..direct] });
                device.stage = stage;
                device.stage.clear();
                self.route = Route::Device(device);
                None
            }
            Err(declined) => self.chunk_in_software(io, device, direct, last, declined),
        };
        io.consume(direct);
        if self.format != Format::Raw {
            io.set_adler(self.check.value());
        }
        code
    }
}
