//! Deflate streams: the frame (headers, trailers, check values, zlib's rules for calls) around raw deflate data
//! that the device or the software engine makes, changing sides at request boundaries.

mod control;
pub mod device;
pub mod frame;
mod handover;

use warpdrive_core::engine::zip::{Format, Window};
use zlib_rs::deflate::Strategy;
use zlib_rs::{DeflateFlush, ReturnCode};

use self::device::Device;
use crate::check::Check;
use crate::gzhead::Head;
use crate::io::Io;
use crate::pending::Pending;
use crate::soft::deflate::{Params, RawDeflate};
use crate::state::{Alloc, FAMILY, Kind};

/// `Z_UNKNOWN`.
const UNKNOWN: i32 = 2;

/// Who makes the next part of the stream.
enum Route {
    /// Nobody yet: no data seen.
    Fresh,
    /// Chunks are gathered and offered to the device.
    Device(Box<Device>),
    /// The software engine, directly on the program's buffers. With a device kept, it is asked again at a
    /// boundary.
    Software { back: Option<Box<Device>>, bytes: u64 },
}

/// State behind a deflate stream.
pub struct Deflater {
    params: Params,
    format: Format,
    alloc: Option<Alloc>,
    soft: Option<RawDeflate>,
    /// The engine has seen a call since its last reset.
    soft_used: bool,
    route: Route,
    /// What the device needed for the stream before the last reset; or a preset dictionary, before any data.
    spare: Option<Box<Device>>,
    /// The header is queued.
    started: bool,
    /// The trailer is queued.
    ended: bool,
    /// Data came since the last flush mark.
    dirty: bool,
    /// Flush value of the last call; -2 before the first, -1 if that one ran out of output space.
    last_flush: i32,
    pending: Pending,
    /// Check value of all input taken so far.
    check: Check,
    dictionary: Option<u32>,
    head: Head,
}

impl Kind for Deflater {
    const MAGIC: u64 = FAMILY << 16 | 1;
}

/// zlib's order of flush values: a repeated or weaker flush without data is an error.
fn rank(flush: i32) -> i32 {
    flush * 2 - if flush > 4 { 9 } else { 0 }
}

impl Deflater {
    /// Opens a stream with `deflateInit2`'s arguments.
    ///
    /// # Errors
    /// `StreamError` for arguments out of range, `MemError`.
    pub fn new(
        level: i32,
        method: i32,
        window_bits: i32,
        mem_level: i32,
        strategy: i32,
        alloc: Option<Alloc>,
    ) -> Result<Self, ReturnCode> {
        let level = if level == -1 { 6 } else { level };
        let (format, window_bits) = match window_bits {
            i32::MIN..-15 => return Err(ReturnCode::StreamError),
            -15..0 => (Format::Raw, -window_bits),
            16.. => (Format::Gzip, window_bits - 16),
            _ => (Format::Zlib, window_bits),
        };
        let strategy = Strategy::try_from(strategy).map_err(|_| ReturnCode::StreamError)?;
        let in_range = (1..=9).contains(&mem_level)
            && method == 8
            && (8..=15).contains(&window_bits)
            && (0..=9).contains(&level)
            && (window_bits != 8 || format == Format::Zlib);
        if !in_range {
            return Err(ReturnCode::StreamError);
        }
        // 8 means 9, as in zlib.
        let params = Params { level, strategy, window_bits: window_bits.max(9), mem_level };
        let mut made = Deflater {
            params,
            format,
            alloc,
            soft: None,
            soft_used: false,
            route: Route::Fresh,
            spare: None,
            started: false,
            ended: false,
            dirty: false,
            last_flush: -2,
            pending: Pending::default(),
            check: Check::new(format),
            dictionary: None,
            head: Head::NONE,
        };
        // A program's allocator expects to be called now; and what will be software anyway is made now, where
        // lack of memory can be reported.
        if alloc.is_some() || !made.present() {
            made.soft = Some(RawDeflate::new(params, alloc));
        }
        Ok(made)
    }

    /// The device's window for streams with these parameters, if it can serve them: it has no level, no other strategy,
    /// and windows from 4 KiB on.
    fn window(&self) -> Option<Window> {
        // Z_FILTERED, libpng's choice, is a hint at what data to expect.
        let plain =
            self.params.level != 0 && matches!(self.params.strategy, Strategy::Default | Strategy::Filtered);
        Window::of_bits(self.params.window_bits.unsigned_abs()).filter(|_| plain)
    }

    /// Whether a device that can serve this stream was there when the process first looked.
    fn present(&self) -> bool {
        self.window().is_some_and(|window| device::present(self.format, window))
    }

    fn soft(&mut self) -> Result<&mut RawDeflate, ReturnCode> {
        if self.soft.is_none() {
            self.soft = Some(RawDeflate::new(self.params, self.alloc));
            self.soft_used = false;
        }
        self.soft.as_mut().ok_or(ReturnCode::MemError)
    }

    /// What every reset and the opening leave in the program's stream.
    pub fn reset_io(&self, io: &mut Io<'_>) {
        io.reset_counts();
        io.set_data_type(UNKNOWN);
        io.set_adler(if self.format == Format::Gzip { 0 } else { 1 });
    }

    /// See `deflateReset`; with `keep`, `deflateResetKeep`.
    pub fn reset(&mut self, io: &mut Io<'_>, keep: bool) -> ReturnCode {
        if let Some(soft) = &mut self.soft {
            soft.reset(keep);
        }
        self.soft_used = false;
        let used = match std::mem::replace(&mut self.route, Route::Fresh) {
            Route::Device(device) | Route::Software { back: Some(device), .. } => Some(device),
            _ => self.spare.take(),
        };
        self.spare = used.map(Device::renew);
        (self.started, self.ended, self.dirty, self.last_flush) = (false, false, false, -2);
        self.pending.clear();
        self.check = Check::new(self.format);
        self.dictionary = None;
        self.reset_io(io);
        ReturnCode::Ok
    }

    /// See `deflate`.
    pub fn deflate(&mut self, io: &mut Io<'_>, flush: i32) -> ReturnCode {
        let Ok(flush) = DeflateFlush::try_from(flush) else { return ReturnCode::StreamError };
        if io.unusable() || (self.ended && flush != DeflateFlush::Finish) {
            return io.error(ReturnCode::StreamError);
        }
        if io.avail_out() == 0 {
            return io.error(ReturnCode::BufError);
        }
        let old_flush = std::mem::replace(&mut self.last_flush, flush as i32);
        // Bytes that deflatePrime left in the engine count, as in zlib: they alone are reason for a call.
        let had_pending = self.waiting().0 != 0;
        if had_pending {
            self.pending.drain(io);
            if io.avail_out() == 0 {
                return self.full();
            }
        } else if io.avail_in() == 0 && rank(flush as i32) <= rank(old_flush) && flush != DeflateFlush::Finish
        {
            return io.error(ReturnCode::BufError);
        }
        if self.ended {
            return match io.avail_in() {
                0 if self.pending.is_empty() => ReturnCode::StreamEnd,
                0 => ReturnCode::Ok,
                _ => io.error(ReturnCode::BufError),
            };
        }
        if !self.started {
            self.start(io);
            if !self.pending.is_empty() || io.avail_out() == 0 {
                return self.full();
            }
        }
        if matches!(self.route, Route::Fresh) {
            if io.avail_in() == 0 && flush == DeflateFlush::NoFlush {
                return ReturnCode::Ok;
            }
            if let Err(code) = self.decide(io) {
                return io.error(code);
            }
        }
        match self.route {
            Route::Device(_) => self.device_step(io, flush, had_pending),
            _ => self.software_step(io, flush),
        }
    }

    /// Output space ran out: the next call may come without input and still has something to do.
    fn full(&mut self) -> ReturnCode {
        self.last_flush = -1;
        ReturnCode::Ok
    }

    fn start(&mut self, io: &mut Io<'_>) {
        self.started = true;
        match self.format {
            Format::Raw => {}
            Format::Zlib => {
                self.pending.push(&frame::zlib_header(self.params, self.dictionary));
                io.set_adler(1);
            }
            Format::Gzip => {
                self.pending.push(&self.head.bytes(frame::xfl(self.params)));
                io.set_adler(0);
            }
        }
        self.pending.drain(io);
    }

    /// First data: whether to gather for the device at all.
    fn decide(&mut self, io: &Io<'_>) -> Result<(), ReturnCode> {
        let Some(window) = self.window().filter(|_| !self.soft_used) else {
            self.leave_device()?;
            return Ok(());
        };
        let preset = self.spare.as_ref().is_some_and(|device| device.preset);
        if !preset && !device::worth_asking(self.format, window, io.avail_in()) {
            self.route = Route::Software { back: None, bytes: 0 };
            return Ok(());
        }
        let device = self.spare.take().unwrap_or_else(|| Box::new(Device::new(self.format, window)));
        self.route = if io.avail_in() == 0 {
            // Nothing to send yet: the engine writes the mark or the empty stream.
            if preset {
                self.take_over(&device, &[], DeflateFlush::NoFlush)?;
            }
            Route::Software { back: Some(device), bytes: 0 }
        } else {
            Route::Device(device)
        };
        Ok(())
    }

    fn software_step(&mut self, io: &mut Io<'_>, flush: DeflateFlush) -> ReturnCode {
        let mark = io.mark();
        let old_message = io.raw().msg;
        let code = match self.soft() {
            Ok(soft) => soft.step(io, flush),
            Err(code) => return io.error(code),
        };
        self.soft_used = true;
        self.check.update(io.taken_since(mark));
        if self.format != Format::Raw {
            io.set_adler(self.check.value());
        }
        if io.avail_out() == 0 {
            self.last_flush = -1;
        }
        match code {
            ReturnCode::StreamEnd => self.finish(io),
            // The frame has checked that there was something to do; the engine did not know of all of it.
            ReturnCode::BufError if io.avail_out() != 0 && io.avail_in() == 0 => {
                io.raw().msg = old_message;
                ReturnCode::Ok
            }
            ReturnCode::Ok => {
                let taken = (mark.avail() - io.avail_in()) as u64;
                self.maybe_return(io, flush, taken);
                ReturnCode::Ok
            }
            other => other,
        }
    }

    /// Queues the trailer and delivers what fits.
    fn finish(&mut self, io: &mut Io<'_>) -> ReturnCode {
        self.pending.push(&frame::trailer(self.format, self.check.value(), io.total_in()));
        self.ended = true;
        self.pending.drain(io);
        if self.pending.is_empty() { ReturnCode::StreamEnd } else { ReturnCode::Ok }
    }

    /// See `deflateCopy`. A stream on the device goes on there with requests of its own.
    ///
    /// # Errors
    /// `MemError`.
    pub fn copy(&mut self) -> Result<Self, ReturnCode> {
        let soft = self.soft.as_mut().map(RawDeflate::copy).transpose()?;
        let route = match &self.route {
            Route::Fresh => Route::Fresh,
            Route::Device(device) => Route::Device(Box::new(device.fork())),
            Route::Software { back, bytes } => {
                Route::Software { back: back.as_ref().map(|d| Box::new(d.fork())), bytes: *bytes }
            }
        };
        Ok(Deflater {
            params: self.params,
            format: self.format,
            alloc: self.alloc,
            soft,
            soft_used: self.soft_used,
            route,
            spare: self.spare.as_ref().filter(|device| device.preset).map(|device| Box::new(device.fork())),
            started: self.started,
            ended: self.ended,
            dirty: self.dirty,
            last_flush: self.last_flush,
            pending: self.pending.clone(),
            check: self.check,
            dictionary: self.dictionary,
            head: self.head,
        })
    }

    /// Closes the stream: `DataError` if it was abandoned between its header and its last block.
    pub fn end(self) -> ReturnCode {
        let finishing = self.soft_used && self.soft.is_some_and(RawDeflate::end);
        let busy = self.started && !self.ended && !finishing;
        if busy { ReturnCode::DataError } else { ReturnCode::Ok }
    }
}
