//! Deflate streams: the frame (headers, trailers, check values, zlib's rules for calls) around raw deflate data
//! that the device or the software engine makes, changing sides at request boundaries.

pub mod device;
pub mod frame;

use warpdrive_core::engine::zip::Format;
use warpdrive_core::{Runtime, Why};
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

/// Software input after which the device is asked again though the program does not flush.
const ASK_AGAIN: u64 = 1 << 20;

/// State behind a deflate stream.
pub struct Deflater {
    params: Params,
    format: Format,
    alloc: Option<Alloc>,
    soft: Option<RawDeflate>,
    /// The engine has seen a call since its last reset.
    soft_used: bool,
    route: Route,
    /// What the device needed for the stream before the last reset.
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

/// `Z_BLOCK`.
const BLOCK: i32 = 5;

/// Which of zlib's compressors serves a level.
fn compressor(level: i32) -> u8 {
    match level {
        0 => 0,
        1..=3 => 1,
        _ => 2,
    }
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
        if alloc.is_some() || !made.eligible() || !device::present(format) {
            made.soft = Some(RawDeflate::new(params, alloc)?);
        }
        Ok(made)
    }

    /// Whether the device can serve streams with these parameters. It has no level, no strategy, and only its
    /// full window.
    fn eligible(&self) -> bool {
        self.params.level != 0 && self.params.strategy == Strategy::Default && self.params.window_bits == 15
    }

    fn soft(&mut self) -> Result<&mut RawDeflate, ReturnCode> {
        if self.soft.is_none() {
            self.soft = Some(RawDeflate::new(self.params, self.alloc)?);
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
        if let Route::Device(device) | Route::Software { back: Some(device), .. } =
            std::mem::replace(&mut self.route, Route::Fresh)
        {
            self.spare = Some(device.renew());
        }
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
            self.decide(io, flush);
        }
        if flush == DeflateFlush::Block && !matches!(self.route, Route::Software { .. }) {
            if let Err(code) = self.leave_device() {
                return io.error(code);
            }
            self.pending.drain(io);
            if !self.pending.is_empty() || io.avail_out() == 0 {
                return self.full();
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
    fn decide(&mut self, io: &Io<'_>, flush: DeflateFlush) {
        let eligible =
            self.eligible() && self.dictionary.is_none() && !self.soft_used && flush != DeflateFlush::Block;
        self.route = if !eligible {
            let why = if device::present(self.format) { Why::Unsupported } else { Why::NoDevice };
            Runtime::get().gate().software(why);
            Route::Software { back: None, bytes: 0 }
        } else if !device::worth_asking(self.format, io.avail_in()) {
            Route::Software { back: None, bytes: 0 }
        } else {
            let device = self.spare.take().unwrap_or_else(|| Box::new(Device::new(self.format)));
            if io.avail_in() == 0 {
                // Nothing to send yet: the engine writes the mark or the empty stream.
                Route::Software { back: Some(device), bytes: 0 }
            } else {
                Route::Device(device)
            }
        };
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

    /// Ends in software what is on the device, at the last request's boundary: the engine gets the history and
    /// what was gathered; its output, if any, is queued.
    fn leave_device(&mut self) -> Result<&mut RawDeflate, ReturnCode> {
        match std::mem::replace(&mut self.route, Route::Software { back: None, bytes: 0 }) {
            Route::Software { .. } => {}
            Route::Fresh if !device::present(self.format) => Runtime::get().gate().software(Why::NoDevice),
            Route::Fresh => Runtime::get().gate().software(Why::Unsupported),
            Route::Device(device) => {
                Runtime::get().gate().software(Why::Unsupported);
                self.take_over(&device, &device.stage, DeflateFlush::NoFlush)?;
            }
        }
        self.soft()
    }

    /// The software engine continues behind the device's last request with `chunk`; its output is queued.
    fn take_over(
        &mut self,
        device: &Device,
        chunk: &[u8],
        flush: DeflateFlush,
    ) -> Result<ReturnCode, ReturnCode> {
        let used = self.soft_used;
        let soft = self.soft()?;
        if used {
            soft.reset(false);
        }
        if !device.history.is_empty() {
            soft.set_dictionary(&device.history);
        }
        let mut made = Vec::new();
        let code = soft.append(chunk, flush, &mut made);
        self.soft_used = true;
        self.pending.push(&made);
        Ok(code)
    }

    /// See `deflateParams`.
    pub fn params(&mut self, io: &mut Io<'_>, level: i32, strategy: i32) -> ReturnCode {
        let level = if level == -1 { 6 } else { level };
        let Ok(strategy) = Strategy::try_from(strategy) else { return ReturnCode::StreamError };
        if !(0..=9).contains(&level) {
            return ReturnCode::StreamError;
        }
        let new = Params { level, strategy, ..self.params };
        // Where zlib changes its compressor it ends the block by a call of deflate, which leaves a trace.
        let traced = self.last_flush != -2
            && (strategy != self.params.strategy || compressor(level) != compressor(self.params.level));
        let repeated = io.avail_in() == 0 && self.waiting().0 == 0 && rank(BLOCK) <= rank(self.last_flush);
        let code = self.change(io, new);
        if traced && code == ReturnCode::Ok {
            self.last_flush = BLOCK;
            if repeated {
                io.error(ReturnCode::BufError);
            }
        }
        code
    }

    fn change(&mut self, io: &mut Io<'_>, new: Params) -> ReturnCode {
        let Params { level, strategy, .. } = new;
        if let Route::Device(_) = self.route {
            let old = std::mem::replace(&mut self.params, new);
            if self.eligible() {
                // The device knows no level; software that may follow starts with the new one.
                self.soft = None;
                return ReturnCode::Ok;
            }
            self.params = old;
            if let Err(code) = self.leave_device() {
                return io.error(code);
            }
        }
        self.pending.drain(io);
        if !self.pending.is_empty() {
            return ReturnCode::BufError;
        }
        if let Some(soft) = &mut self.soft {
            let (mark, message) = (io.mark(), io.raw().msg);
            let code = soft.params(io, level, strategy);
            io.raw().msg = message;
            self.check.update(io.taken_since(mark));
            if self.started && self.format != Format::Raw {
                io.set_adler(self.check.value());
            }
            if code != ReturnCode::Ok {
                return code;
            }
        }
        if let Route::Software { back, .. } = &mut self.route {
            *back = None;
        }
        self.params = new;
        ReturnCode::Ok
    }

    /// See `deflateSetDictionary`.
    pub fn set_dictionary(&mut self, io: &mut Io<'_>, dictionary: &[u8]) -> ReturnCode {
        if self.format == Format::Gzip || (self.format == Format::Zlib && self.started) {
            return ReturnCode::StreamError;
        }
        let soft = match self.leave_device() {
            Ok(soft) => soft,
            Err(code) => return code,
        };
        let code = soft.set_dictionary(dictionary);
        if code == ReturnCode::Ok {
            // zlib reads the dictionary as it reads input, and counts it.
            let window = 1 << self.params.window_bits;
            io.count_in(dictionary.len().min(window));
        }
        if code == ReturnCode::Ok && self.format == Format::Zlib && !dictionary.is_empty() {
            let id = zlib_rs::adler32::adler32(self.dictionary.unwrap_or(1), dictionary);
            self.dictionary = Some(id);
            io.set_adler(id);
        }
        code
    }

    /// The software engine, to be asked or told something the device does not know; `None` without memory.
    pub fn engine(&mut self) -> Option<&mut RawDeflate> {
        self.leave_device().ok()
    }

    /// See `deflatePending`: bytes, bits.
    pub fn waiting(&mut self) -> (usize, u8) {
        let (bytes, bits) = self.soft.as_mut().map_or((0, 0), RawDeflate::pending);
        (self.pending.len() + bytes, bits)
    }

    /// See `deflateUsed`.
    pub fn bits_used(&mut self) -> u8 {
        self.soft.as_mut().map_or(0, RawDeflate::bits_used)
    }

    /// See `deflateSetHeader`.
    pub fn set_header(&mut self, head: Head) -> ReturnCode {
        if self.format != Format::Gzip {
            return ReturnCode::StreamError;
        }
        self.head = head;
        ReturnCode::Ok
    }

    /// See `deflateBound`.
    pub fn bound(&self, n: u64) -> u64 {
        let wrapper = match self.format {
            Format::Raw => 0,
            // zlib counts a dictionary's identity once its window holds anything.
            Format::Zlib => {
                6 + if self.dictionary.is_some() || self.check != Check::new(self.format) { 4 } else { 0 }
            }
            Format::Gzip => 18 + self.head.extra_bytes(),
        };
        frame::deflate_bound(n, Some((self.params, wrapper)))
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
            spare: None,
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
