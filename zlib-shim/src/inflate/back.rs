//! inflateBack: portion by portion as the program's `in()` yields them, never asking for one before it is needed,
//! and output in the pieces of the program's window that zlib gives to `out()`.
//!
//! What does not end well on the device is decided by software from the start of the stream: the earlier portions
//! are kept up to the bound of `inflate_replay_limit`, the present one is in the program's memory. The software
//! engine is inflate's, not zlib-rs's own inflateBack: that one takes distances that reach before the start of
//! the data, and panics with small windows. It always keeps 32 KiB of history, so that distances beyond a smaller
//! window, which zlib refuses, are decoded.

use std::ffi::c_char;

use warpdrive_core::engine::zip::{self, Direction, Format, Outcome, Progress};
use warpdrive_core::{Fault, Lease, Runtime, Why};
use zlib_rs::{InflateFlush, ReturnCode};

use super::device::{present, replay_limit};
use crate::soft::back::Program;
use crate::soft::inflate::SoftInflate;
use crate::soft::sample;
use crate::state::Alloc;

/// Output space of one device request: several windows, for portions that expand.
const ROOM: usize = 256 << 10;

/// The device's history (zip.md 2.2): decompression accepts any distance within it.
const WINDOW: usize = 32 << 10;

/// A step with less input than this is kept from the engine's fast path, which loses error messages, by little
/// output space; a larger one is done again from a copy of the engine's state if it finds an error.
const SMALL_INPUT: usize = 512;

/// Output space too small for the engine's fast path.
const SMALL_ROOM: usize = 256;

/// A stream opened by `inflateBackInit`.
pub struct Stream {
    soft: SoftInflate,
    device: Device,
}

/// How a call ended.
pub struct Ended {
    /// Return value.
    pub code: ReturnCode,
    /// The engine's message, a constant of its own, or null.
    pub message: *mut c_char,
    /// Bytes used of the program's last portion.
    pub used: usize,
}

impl Ended {
    fn with(code: ReturnCode, used: usize) -> Self {
        Ended { code, message: std::ptr::null_mut(), used }
    }
}

impl Stream {
    /// Opens a stream for a window of `1 << window_bits` bytes.
    ///
    /// # Errors
    /// `MemError`.
    pub fn new(window_bits: i32, alloc: Option<Alloc>) -> Result<Self, ReturnCode> {
        Ok(Stream { soft: SoftInflate::new(-window_bits, alloc)?, device: Device::default() })
    }

    /// See `inflateBack`.
    pub fn run(&mut self, program: &mut Program) -> Ended {
        match self.device.run(program) {
            End::Done { used, accepted: true } => Ended::with(ReturnCode::StreamEnd, used),
            End::Done { used, .. } => Ended::with(ReturnCode::BufError, used),
            End::Software(at) => self.in_software(program, at),
        }
    }

    /// Decodes the stream from its start: the kept portions, the present one, and what the program has.
    fn in_software(&mut self, program: &mut Program, mut at: Replay) -> Ended {
        let Stream { soft, device } = self;
        soft.reset(None, false);
        let size = program.window();
        let mut room = vec![0; size];
        let (mut used, mut filled, mut in_kept) = (0, 0, !device.kept.is_empty());
        // What the program holds is unused as long as the kept portions are read.
        let position = |in_kept: bool, used: usize| if in_kept { 0 } else { used };
        loop {
            let input = if in_kept { &device.kept[used..] } else { &program.portion()[used..] };
            let full = filled == size;
            let space = match size - filled {
                left if input.len() < SMALL_INPUT => left.min(SMALL_ROOM),
                left => left,
            };
            let (now, mut made, mut code) = step(soft, input, &mut room[..space]);
            used += now;
            let going = |code| matches!(code, ReturnCode::Ok | ReturnCode::BufError);
            // With a full window: does it wait for space or for input? With none left, one byte of space tells.
            let mut waits_for_space = full && going(code) && now < input.len();
            let no_input_left = now == input.len();
            if full && going(code) && no_input_left {
                (_, made, code) = step(soft, &[], &mut room[..1]);
                waits_for_space = made == 1;
            }
            if waits_for_space {
                if !at.deliver(program, size) {
                    return Ended::with(ReturnCode::BufError, position(in_kept, used));
                }
                filled = 0;
            }
            program.fill(filled, &room[..made]);
            filled += made;
            if !going(code) {
                let accepted = filled == 0 || at.deliver(program, filled);
                let used = position(in_kept, used);
                return match code {
                    ReturnCode::StreamEnd if accepted => Ended::with(code, used),
                    ReturnCode::StreamEnd => Ended::with(ReturnCode::BufError, used),
                    code => Ended { code, message: soft.message(), used },
                };
            }
            let waits_for_input = no_input_left && if full { made == 0 } else { made < space };
            if !waits_for_input {
                continue;
            }
            used = 0;
            if std::mem::replace(&mut in_kept, false) && !program.portion().is_empty() {
                continue;
            }
            if at.no_input || !program.pull() {
                if filled > 0 {
                    at.deliver(program, filled);
                }
                return Ended::with(ReturnCode::BufError, 0);
            }
        }
    }
}

/// One step of the engine: bytes used, bytes made, code; with the message, if it is an error.
fn step(soft: &mut SoftInflate, input: &[u8], room: &mut [u8]) -> (usize, usize, ReturnCode) {
    if input.len() < SMALL_INPUT || room.len() <= SMALL_ROOM {
        return soft.decode(input, room, InflateFlush::NoFlush);
    }
    let before = soft.copy();
    let first = soft.decode(input, room, InflateFlush::NoFlush);
    let (ReturnCode::DataError, Ok(before)) = (first.2, before) else { return first };
    *soft = before;
    let (mut used, mut made) = (0, 0);
    loop {
        let end = room.len().min(made + SMALL_ROOM);
        let (now, out, code) = soft.decode(&input[used..], &mut room[made..end], InflateFlush::NoFlush);
        used += now;
        made += out;
        if code != ReturnCode::Ok || now + out == 0 {
            return (used, made, code);
        }
    }
}

/// What a stream keeps for the device. Empty until the first request.
#[derive(Default)]
struct Device {
    engine: Option<zip::Stream>,
    room: Vec<u8>,
    /// The portions before the present one.
    kept: Vec<u8>,
    /// Output bytes so far.
    made: u64,
}

/// How the device's part ended.
#[derive(Debug)]
enum End {
    /// The final block is decoded and delivered. So many bytes of the present portion were used; `accepted`
    /// is false if the last `out()` failed.
    Done { used: usize, accepted: bool },
    /// Software is to decode the stream from its start.
    Software(Replay),
}

/// Where the device's part stopped.
#[derive(Debug, Default)]
struct Replay {
    /// Output bytes that the program has.
    delivered: u64,
    /// `in()` has failed, and is not asked again.
    no_input: bool,
    /// `out()` has failed behind the delivered bytes, and is not called again.
    no_output: bool,
}

impl Replay {
    /// Gives the first `n` bytes of the window to the program, unless it has them; false if it refuses.
    fn deliver(&mut self, program: &mut Program, n: usize) -> bool {
        // The device delivers at the same places, so that a piece is known whole or not at all.
        if self.delivered >= n as u64 {
            self.delivered -= n as u64;
            return true;
        }
        !self.no_output && program.deliver(n)
    }
}

impl Device {
    /// Decodes one raw stream from the program's portions, as far as the device can.
    fn run(&mut self, program: &mut Program) -> End {
        self.kept.clear();
        self.made = 0;
        let mut at = Replay::default();
        if program.portion().is_empty() && !program.pull() {
            at.no_input = true;
            return End::Software(at);
        }
        let gate = Runtime::get().gate();
        if program.window() < WINDOW {
            // The device would accept distances that reach behind a smaller window.
            gate.software(if present() { Why::Unsupported } else { Why::NoDevice });
            return End::Software(at);
        }
        if let Some(engine) = &mut self.engine {
            engine.reset();
        }
        let (mut used, mut filled, mut running, mut more) = (0, 0, false, false);
        loop {
            let left = program.portion().len() - used;
            if left == 0 && !more {
                // The engine counts what it is given at once in 32 bits.
                if self.kept.len() + program.portion().len() > replay_limit().min(u32::MAX as usize) {
                    gate.software(Why::Unsupported);
                    return End::Software(at);
                }
                self.kept.extend_from_slice(program.portion());
                used = 0;
                if !program.pull() {
                    at.no_input = true;
                    return End::Software(at);
                }
                continue;
            }
            let job = zip::job(Format::Raw, Direction::Decompress, left, running);
            let mut work = (&mut *self, program.portion());
            let outcome =
                gate.attempt(job, &mut work, |(device, portion), lease| device.request(lease, portion, used));
            let Ok(outcome) = outcome else { return End::Software(at) };
            running = true;
            used += outcome.consumed;
            more = outcome.progress == Progress::NeedOutput;
            let mut made = &self.room[..outcome.produced];
            while !made.is_empty() {
                // A full window goes out when there is more, as in zlib: `out()` may be the program's last word.
                if filled == program.window() {
                    if !program.deliver(filled) {
                        at.no_output = true;
                        return End::Software(at);
                    }
                    at.delivered += filled as u64;
                    filled = 0;
                }
                let (now, rest) = made.split_at(made.len().min(program.window() - filled));
                program.fill(filled, now);
                filled += now.len();
                made = rest;
            }
            if outcome.progress == Progress::End {
                return End::Done { used, accepted: filled == 0 || program.deliver(filled) };
            }
        }
    }

    /// One request: from the portion's bytes behind the `used` ones into `room`.
    fn request(&mut self, lease: &mut Lease<'_>, portion: &[u8], used: usize) -> Result<Outcome, Fault> {
        let input = &portion[used..];
        let engine = self.engine.get_or_insert_with(|| zip::Stream::new(Format::Raw, Direction::Decompress));
        self.room.resize(ROOM, 0);
        let outcome = engine.decompress(lease, input, &mut self.room)?;
        if outcome.consumed > input.len() || outcome.produced > ROOM {
            return Err(Fault::Inconsistent);
        }
        let (made, end) = (&self.room[..outcome.produced], outcome.progress == Progress::End);
        let inputs = [&self.kept[..], &portion[..used + outcome.consumed]];
        lease.check_sample(|| sample::inflated(Format::Raw, &inputs, self.made, made, end))?;
        self.made += outcome.produced as u64;
        Ok(outcome)
    }
}
