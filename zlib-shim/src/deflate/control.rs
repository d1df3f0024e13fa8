//! Everything that a program may ask or tell a deflate stream besides data.

use warpdrive_core::engine::zip::Format;
use zlib_rs::ReturnCode;
use zlib_rs::deflate::Strategy;

use super::device::Device;
use super::{Deflater, Route, frame, rank};
use crate::check::Check;
use crate::gzhead::Head;
use crate::io::Io;
use crate::soft::deflate::{Params, RawDeflate};

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
            if self.window().is_some() {
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
        let early = matches!(self.route, Route::Fresh) && !self.soft_used;
        let code = if let Some(window) = self.window().filter(|_| early && self.present()) {
            // Where it goes is decided with the first data. To the device a dictionary is history that need not
            // be used; software that takes over has it.
            let format = self.format;
            self.spare.get_or_insert_with(|| Box::new(Device::new(format, window))).prepare(dictionary);
            ReturnCode::Ok
        } else {
            match self.leave_device() {
                Ok(soft) => soft.set_dictionary(dictionary),
                Err(code) => code,
            }
        };
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

    /// See `deflateGetDictionary`; `None` without memory.
    pub fn dictionary(&mut self) -> Option<Vec<u8>> {
        match (&self.route, &self.spare) {
            (Route::Device(device), _) => Some(device.held()),
            (Route::Fresh, Some(device)) if device.preset => Some(device.held()),
            (Route::Fresh, _) if self.soft.is_none() => Some(Vec::new()),
            _ => self.soft().ok().map(RawDeflate::history),
        }
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
}
