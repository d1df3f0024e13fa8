//! A deflate stream's way from the device to software and back, at chunk boundaries.

use warpdrive_core::{Declined, Runtime, Why};
use zlib_rs::{DeflateFlush, ReturnCode};

use super::device::Device;
use super::{Deflater, Route, frame};
use crate::io::Io;
use crate::soft::deflate::RawDeflate;

/// Software input after which the device is asked again though the program does not flush.
const ASK_AGAIN: u64 = 1 << 20;

impl Deflater {
    /// Ends in software what is on the device, at the last request's boundary: the engine gets the history and
    /// what was gathered; its output, if any, is queued.
    pub(super) fn leave_device(&mut self) -> Result<&mut RawDeflate, ReturnCode> {
        match std::mem::replace(&mut self.route, Route::Software { back: None, bytes: 0 }) {
            Route::Software { .. } => {}
            Route::Fresh => {
                let why = if self.present() { Why::Unsupported } else { Why::NoDevice };
                Runtime::get().gate().software(why);
                if let Some(device) = self.spare.take() {
                    if device.preset {
                        self.take_over(&device, &[], DeflateFlush::NoFlush)?;
                    }
                    self.spare = Some(device.renew());
                }
            }
            Route::Device(device) => {
                Runtime::get().gate().software(Why::Unsupported);
                self.take_over(&device, &device.stage, DeflateFlush::NoFlush)?;
            }
        }
        self.soft()
    }

    /// The software engine continues behind the device's last request with `chunk`; its output is queued.
    pub(super) fn take_over(
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
        self.soft_used = true;
        if chunk.is_empty() && !self.started {
            // Only a dictionary yet: the engine, too, has not begun.
            return Ok(ReturnCode::Ok);
        }
        let mut made = Vec::new();
        let code = self.soft()?.append(chunk, flush, &mut made);
        self.pending.push(&made);
        Ok(code)
    }

    /// Has the software engine make of a chunk what the device did not, and whatever follows until the device
    /// is asked again. `declined` is the gate's word; none if it was not asked, the chunk being too small.
    pub(super) fn chunk_in_software(
        &mut self,
        io: &mut Io<'_>,
        mut device: Box<Device>,
        direct: usize,
        last: bool,
        declined: Option<Declined>,
    ) -> Option<ReturnCode> {
        let stage = std::mem::take(&mut device.stage);
        let chunk = if direct == 0 { &stage[..] } else { &io.input()[..direct] };
        let flush = if last { DeflateFlush::Finish } else { DeflateFlush::NoFlush };
        let why = declined.map_or(Why::TooSmall, |declined| declined.why);
        let mut work = || self.take_over(&device, chunk, flush);
        let code = match declined {
            Some(declined) => Runtime::get().gate().measured(declined, work),
            None => work(),
        };
        let code = match code {
            Ok(code) => code,
            Err(code) => return Some(io.error(code)),
        };
        let forever = matches!(why, Why::NoDevice | Why::Disabled | Why::Unsupported);
        // A dictionary is worth more than the device to a stream of small pieces.
        let small = device.preset && why == Why::TooSmall;
        let bytes = chunk.len() as u64;
        let back = if small {
            self.spare = Some(device.renew());
            None
        } else {
            (!forever).then_some(device)
        };
        self.route = Route::Software { back, bytes };
        if code == ReturnCode::StreamEnd {
            let total_in = io.total_in() + direct as u64;
            self.pending.push(&frame::trailer(self.format, self.check.value(), total_in));
            self.ended = true;
        }
        None
    }

    /// After a software step of `taken` bytes: back to the device if this is a boundary at which it may be
    /// asked again. A completed sync flush is one, and a block's end that falls on a byte boundary; without any,
    /// one is made after [`ASK_AGAIN`] bytes.
    pub(super) fn maybe_return(&mut self, io: &mut Io<'_>, flush: DeflateFlush, taken: u64) {
        let Route::Software { back, bytes } = &mut self.route else { return };
        *bytes += taken;
        if back.is_none() || io.avail_out() == 0 {
            return;
        }
        let long = *bytes >= ASK_AGAIN && flush == DeflateFlush::NoFlush;
        let Some(soft) = self.soft.as_mut() else { return };
        let flushed = match flush {
            DeflateFlush::SyncFlush | DeflateFlush::FullFlush => true,
            DeflateFlush::Block => soft.pending() == (0, 0),
            _ => false,
        };
        if !long && !flushed {
            return;
        }
        let Some(mut device) = back.take() else { return };
        if long {
            device.preset = false;
            let mut made = Vec::new();
            soft.append(&[], DeflateFlush::SyncFlush, &mut made);
            self.pending.push(&made);
            self.pending.drain(io);
        }
        device.history.clear();
        if flush != DeflateFlush::FullFlush {
            device.history = soft.history();
        }
        device.submitted = self.check;
        device.restart(self.check);
        // The end of a block is no mark.
        self.dirty = flush == DeflateFlush::Block;
        self.route = Route::Device(device);
    }
}
