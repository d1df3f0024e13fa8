//! Inflate streams: on the device from the member's start as long as all goes well, else in software. The
//! software engine reads headers and trailers itself; a stream leaves the device by replay.

pub mod back;
pub mod device;
pub mod header;
mod kept;
mod trees;

use std::ffi::c_char;

use warpdrive_core::engine::zip::Format;
use warpdrive_core::{Runtime, Why};
use zlib_rs::{InflateFlush, ReturnCode};

use self::device::Device;
use self::header::Verdict;
use self::kept::Kept;
use self::trees::Stored;
use crate::check::Check;
use crate::io::Io;
use crate::soft::inflate::SoftInflate;
use crate::state::{Alloc, FAMILY, Kind};

/// Who decodes the stream.
enum Route {
    /// No input seen.
    Fresh,
    /// The device, until the member ends or something goes wrong.
    Device(Box<Device>),
    /// The software engine, for the rest of the member.
    Software,
}

/// State behind an inflate stream.
pub struct Inflater {
    window_bits: i32,
    alloc: Option<Alloc>,
    soft: Option<SoftInflate>,
    route: Route,
    spare: Option<Box<Device>>,
    /// Input that the program has given already and that the software engine reads first.
    carry: Vec<u8>,
    carried: usize,
    /// Input that the program still holds and that the software engine has read already.
    skip: usize,
    /// Output that the program has from the device, and that the software engine is still to make: a device may have
    /// used bits of a byte that it says it has not consumed.
    surplus: u64,
    /// Check value of the delivered output, as zlib shows it: the engine shows it late, or not at all for gzip.
    /// None for raw data and where checking is switched off.
    shown: Option<Check>,
    /// The data was found bad, with this message: nothing but a reset or a search for a sync mark helps.
    bad: Option<*mut c_char>,
    /// To find out again what the engine's fast path found. None where the engine's state has changed otherwise than by
    /// input, until the next step.
    kept: Option<Kept>,
    /// The first byte of the member was seen: automatic detection is settled.
    detected: bool,
    /// `inflateValidate` has switched checking off, which outlives `inflateReset`.
    unchecked: bool,
    /// The program was shown the identity of a dictionary.
    asked: bool,
    /// What the engine forgets of stored blocks.
    stored: Stored,
    /// The window's size as the first byte says it: it counts where the program leaves it to the header.
    header_bits: u8,
}

/// What `data_type` shows behind a block, and behind a block's header.
const BEHIND_BLOCK: i32 = 128;
const BEHIND_HEADER: i32 = 256;

impl Kind for Inflater {
    const MAGIC: u64 = FAMILY << 16 | 2;
}

/// Whether `inflateInit2` takes these window bits.
fn valid(window_bits: i32) -> bool {
    let size = match window_bits {
        i32::MIN..-15 => return false,
        -15..0 => -window_bits,
        0..48 => window_bits & 15,
        _ => return false,
    };
    size == 0 && window_bits >= 0 || (8..=15).contains(&size)
}

impl Inflater {
    /// Opens a stream with `inflateInit2`'s window bits.
    ///
    /// # Errors
    /// `StreamError` for window bits out of range, `MemError`.
    pub fn new(window_bits: i32, alloc: Option<Alloc>) -> Result<Self, ReturnCode> {
        if !valid(window_bits) {
            return Err(ReturnCode::StreamError);
        }
        let mut made = Inflater {
            window_bits,
            alloc,
            soft: None,
            route: Route::Fresh,
            spare: None,
            carry: Vec::new(),
            carried: 0,
            skip: 0,
            surplus: 0,
            shown: None,
            bad: None,
            kept: Some(Kept::default()),
            detected: false,
            unchecked: false,
            asked: false,
            stored: Stored::default(),
            header_bits: 15,
        };
        // Where lack of memory can be reported, unless the device is likely to serve the stream.
        if alloc.is_some() || !device::present() {
            made.soft = Some(SoftInflate::new(window_bits, alloc)?);
        }
        Ok(made)
    }

    fn soft(&mut self) -> Result<&mut SoftInflate, ReturnCode> {
        if self.soft.is_none() {
            self.soft = Some(SoftInflate::new(self.window_bits, self.alloc)?);
        }
        self.soft.as_mut().ok_or(ReturnCode::MemError)
    }

    /// What every reset and the opening leave in the program's stream.
    pub fn reset_io(&self, io: &mut Io<'_>) {
        io.reset_counts();
        self.start_adler(io);
    }

    fn start_adler(&self, io: &mut Io<'_>) {
        if self.window_bits >= 0 {
            let zlib_allowed = !(16..32).contains(&self.window_bits);
            io.set_adler(zlib_allowed.into());
        }
    }

    /// See `inflateReset2`; without `window_bits`, `inflateReset`; with `keep`, `inflateResetKeep`.
    pub fn reset(&mut self, io: &mut Io<'_>, window_bits: Option<i32>, keep: bool) -> ReturnCode {
        if window_bits.is_some_and(|bits| !valid(bits)) {
            return ReturnCode::StreamError;
        }
        if keep && matches!(self.route, Route::Device(_)) {
            // The window outlives this reset: it has to be in the software engine.
            if let Err(code) = self.leave_device(io) {
                return code;
            }
        }
        if let Some(soft) = &mut self.soft {
            soft.reset(window_bits, keep);
        }
        self.unchecked &= window_bits.is_none();
        self.asked = false;
        self.window_bits = window_bits.unwrap_or(self.window_bits);
        if let Route::Device(device) = std::mem::replace(&mut self.route, Route::Fresh) {
            self.spare = Some(device);
        }
        if keep && self.soft.is_some() {
            self.route = Route::Software;
        }
        self.carry.clear();
        self.surplus = 0;
        (self.carried, self.skip, self.shown, self.bad, self.detected) = (0, 0, None, None, false);
        self.stored = Stored::default();
        self.kept = (!keep).then(Kept::default);
        self.reset_io(io);
        ReturnCode::Ok
    }

    /// See `inflate`.
    pub fn inflate(&mut self, io: &mut Io<'_>, flush: i32) -> ReturnCode {
        if io.unusable() {
            return ReturnCode::StreamError;
        }
        let flush = InflateFlush::try_from(flush).unwrap_or_default();
        if !self.detected && io.avail_in() > 0 {
            self.detected = true;
            self.header_bits = io.input().first().map_or(15, |cmf| 8 + (cmf >> 4).min(7));
            let format = match self.window_bits {
                i32::MIN..0 => None,
                16..32 => Some(Format::Gzip),
                32.. if matches!(io.input(), [0x1f] | [0x1f, 0x8b, ..]) => Some(Format::Gzip),
                _ => Some(Format::Zlib),
            };
            self.shown = format.filter(|_| !self.unchecked).map(Check::new);
        }
        if matches!(self.route, Route::Fresh) && io.avail_in() > 0 {
            self.decide(io, flush);
        }
        let by_block = matches!(flush, InflateFlush::Block | InflateFlush::Trees);
        if by_block && matches!(self.route, Route::Device(_)) {
            Runtime::get().gate().software(Why::Unsupported);
            if let Err(code) = self.leave_device(io) {
                return code;
            }
        }
        match self.route {
            Route::Device(_) => self.device_step(io, flush),
            // Nothing given yet: zlib makes no progress either.
            Route::Fresh if self.soft.is_none() => ReturnCode::BufError,
            _ => self.software_step(io, flush),
        }
    }

    /// First input of a member: device or software. Whether the device gets this request is the gate's word.
    fn decide(&mut self, io: &Io<'_>, flush: InflateFlush) {
        let why = if self.unchecked || matches!(flush, InflateFlush::Block | InflateFlush::Trees) {
            Why::Unsupported
        } else {
            match header::parse(self.window_bits, io.input()) {
                Verdict::Data(format, at) if at < io.avail_in() => {
                    if device::worth_asking(format, io.avail_in()) {
                        let spare = self.spare.take();
                        self.route = Route::Device(Device::begin(spare, format, at));
                    } else {
                        self.route = Route::Software;
                    }
                    return;
                }
                Verdict::Data(..) | Verdict::More => Why::TooSmall,
                Verdict::Software => Why::Unsupported,
            }
        };
        let why = if device::present() { why } else { Why::NoDevice };
        Runtime::get().gate().software(why);
        self.route = Route::Software;
    }

    fn software_step(&mut self, io: &mut Io<'_>, flush: InflateFlush) -> ReturnCode {
        let mark = io.mark();
        self.catch_up(io);
        if self.skip > 0 {
            let now = self.skip.min(io.avail_in());
            io.consume(now);
            self.skip -= now;
        }
        if let Some(message) = self.bad {
            io.raw().msg = message;
            return ReturnCode::DataError;
        }
        let (before, total_before) = (io.avail_out(), io.total_in());
        let out_mark = io.out_mark();
        let Inflater { soft, carry, carried, bad, kept, stored, .. } = self;
        let soft = match soft {
            Some(soft) => soft,
            None => match SoftInflate::new(self.window_bits, self.alloc) {
                Ok(made) => soft.insert(made),
                Err(code) => return io.error(code),
            },
        };
        let mut code = ReturnCode::Ok;
        // A program that asks for block boundaries gets those in the carried input as well.
        let trees = flush == InflateFlush::Trees;
        let by_block = trees || flush == InflateFlush::Block;
        // With a program's own allocator no more memory is asked for than zlib asks for.
        if kept.is_none() && self.alloc.is_none() {
            *kept = Kept::from_here(soft);
        }
        if stored.remind(soft) && by_block {
            io.set_data_type(soft.data_type());
            return ReturnCode::BufError;
        }
        let mut at_boundary = false;
        let mut data_type = None;
        while *carried < carry.len() && code == ReturnCode::Ok && !at_boundary {
            let rest = &carry[*carried..];
            let (used, made, now) = if trees {
                let (used, made, now, seen) = stored.decode(soft, rest, io.split().1);
                at_boundary = now == ReturnCode::Ok && seen & (BEHIND_BLOCK | BEHIND_HEADER) != 0;
                data_type = Some(seen);
                (used, made, now)
            } else {
                let carry_flush = if by_block { flush } else { InflateFlush::NoFlush };
                let (used, made, now) = soft.decode(rest, io.split().1, carry_flush);
                stored.took(&rest[..used]);
                at_boundary = by_block && now == ReturnCode::Ok && soft.data_type() & BEHIND_BLOCK != 0;
                (used, made, now)
            };
            io.produce(made);
            *carried += used;
            code = now;
            if used == 0 && made == 0 {
                break;
            }
        }
        let progress = io.avail_out() != before;
        if matches!(code, ReturnCode::Ok | ReturnCode::BufError) {
            if at_boundary {
                code = ReturnCode::Ok;
            } else if *carried >= carry.len() {
                if trees {
                    let (now, seen) = stored.step(soft, io);
                    (code, data_type) = (now, Some(seen));
                } else {
                    let mark = io.mark();
                    code = soft.step(io, flush);
                    stored.took(io.taken_since(mark));
                }
                if code == ReturnCode::BufError && progress && flush != InflateFlush::Finish {
                    code = ReturnCode::Ok;
                }
            } else {
                code = if progress && flush != InflateFlush::Finish {
                    ReturnCode::Ok
                } else {
                    ReturnCode::BufError
                };
            }
        }
        if *carried >= carry.len() && !carry.is_empty() {
            (*carry, *carried) = (Vec::new(), 0);
        }
        if !matches!(code, ReturnCode::StreamError | ReturnCode::NeedDict) {
            // The engine shows a header's end in the middle of a stored block as well.
            io.set_data_type(data_type.unwrap_or_else(|| soft.data_type() & !BEHIND_HEADER));
        }
        let new = io.taken_since(mark);
        // Under automatic detection zlib shows the value of an empty zlib stream until a gzip header is complete.
        let in_header = self.window_bits >= 32
            && self.shown == Some(Check::new(Format::Gzip))
            && kept.as_ref().and_then(Kept::start).is_some_and(|start| {
                let header = [start, new].concat();
                !matches!(header::parse(self.window_bits, &header), Verdict::Data(..))
            });
        if code == ReturnCode::DataError {
            let mut message = soft.message();
            if soft.lost_message() {
                message = match kept.take() {
                    Some(kept) => kept.message(self.window_bits, new, io.input()),
                    None => ReturnCode::DataError.error_message().cast_mut(),
                };
            }
            *bad = Some(message);
            io.raw().msg = message;
            *kept = None;
        } else {
            *kept = kept.take().and_then(|kept| kept.with(new));
        }
        if let Some(check) = &mut self.shown {
            let made = io.made_since(out_mark);
            check.update(made);
            io.set_adler(if in_header && made.is_empty() { 1 } else { check.value() });
        }
        if code == ReturnCode::NeedDict {
            // What a program needs to find the dictionary is shown instead of a check value. The header's
            // bytes are not in total_in: zlib leaves by a shorter way here.
            self.asked = true;
            io.set_adler(soft.adler());
            io.set_total_in(total_before);
        } else if std::mem::take(&mut self.asked) && self.shown.is_none() {
            // The dictionary came; unchecked, the value of no data stays.
            io.set_adler(1);
        }
        code
    }

    /// The software engine, to be told something: what is on the device is replayed first.
    ///
    /// # Errors
    /// `MemError`.
    pub fn engine(&mut self, io: &mut Io<'_>) -> Result<&mut SoftInflate, ReturnCode> {
        // From here on the input does not tell all about the stream.
        self.kept = None;
        self.asked(io)
    }

    /// As [`Inflater::engine`], for a question that leaves the stream as it is.
    ///
    /// # Errors
    /// `MemError`.
    pub fn asked(&mut self, io: &mut Io<'_>) -> Result<&mut SoftInflate, ReturnCode> {
        match self.route {
            Route::Device(_) => {
                Runtime::get().gate().software(Why::Unsupported);
                self.leave_device(io)?;
            }
            Route::Fresh => {
                self.route = Route::Software;
                let why = if device::present() { Why::Unsupported } else { Why::NoDevice };
                Runtime::get().gate().software(why);
            }
            Route::Software => {}
        }
        self.soft()
    }

    /// Bytes that `inflateGetDictionary` may give: the engine keeps more than a small window.
    pub fn window(&self) -> usize {
        match self.window_bits.unsigned_abs() & 15 {
            0 => 1 << self.header_bits,
            bits => 1 << bits,
        }
    }

    /// See `inflateSync`.
    pub fn sync(&mut self, io: &mut Io<'_>) -> ReturnCode {
        // Without input there is no search.
        let idle = io.avail_in() == 0 && self.carry.is_empty();
        if let Err(code) = if idle { self.asked(io) } else { self.engine(io) } {
            return code;
        }
        let Inflater { soft, carry, carried, stored, .. } = self;
        let Some(soft) = soft else { return ReturnCode::StreamError };
        stored.remind(soft);
        let mut code = ReturnCode::BufError;
        if *carried < carry.len() {
            let (used, found) = soft.sync_in(&carry[*carried..]);
            *carried += used;
            code = found;
        }
        if code != ReturnCode::Ok {
            code = soft.sync(io);
        }
        // Without input there was no search, and the stream stays what it was.
        if code != ReturnCode::BufError {
            (self.shown, self.bad) = (None, None);
        }
        if code == ReturnCode::Ok && self.detected {
            self.start_adler(io);
        }
        code
    }

    /// See `inflateSyncPoint`.
    ///
    /// # Errors
    /// `MemError`.
    pub fn sync_point(&mut self, io: &mut Io<'_>) -> Result<bool, ReturnCode> {
        let behind = self.stored.is_behind_header();
        Ok(self.asked(io)?.sync_point() && !behind)
    }

    /// See `inflateValidate`.
    pub fn validate(&mut self, io: &mut Io<'_>, check: bool) -> ReturnCode {
        self.unchecked = !check;
        if !check {
            self.shown = None;
        }
        let engine = if check { self.asked(io) } else { self.engine(io) };
        engine.map_or_else(|code| code, |engine| engine.validate(check))
    }

    /// See `inflateCopy`: a stream on the device goes to software first.
    ///
    /// # Errors
    /// `MemError`.
    pub fn copy(&mut self, io: &mut Io<'_>) -> Result<Self, ReturnCode> {
        if matches!(self.route, Route::Device(_)) {
            self.asked(io)?;
        }
        Ok(Inflater {
            window_bits: self.window_bits,
            alloc: self.alloc,
            soft: self.soft.as_mut().map(SoftInflate::copy).transpose()?,
            route: if matches!(self.route, Route::Fresh) { Route::Fresh } else { Route::Software },
            spare: None,
            carry: self.carry.clone(),
            carried: self.carried,
            skip: self.skip,
            surplus: self.surplus,
            shown: self.shown,
            bad: self.bad,
            kept: self.kept.as_mut().and_then(Kept::copy),
            detected: self.detected,
            unchecked: self.unchecked,
            asked: self.asked,
            stored: self.stored,
            header_bits: self.header_bits,
        })
    }
}
