//! `Z_TREES` for the software engine, which forgets that it has read a stored block's header when it stops behind
//! one: given more, it would read the data as a header. Where the engine stopped there, that header is read to it
//! again before anything else.

use zlib_rs::{InflateFlush, ReturnCode};

use crate::io::Io;
use crate::soft::inflate::SoftInflate;

/// What `data_type` shows behind a block's header.
const BEHIND_HEADER: i32 = 256;

/// The low bits of `data_type`: bits of the last byte not used yet.
const BITS: i32 = 63;

/// Where the engine stands with the header of a stored block.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stored {
    /// The last bytes that the engine took.
    recent: [u8; 4],
    /// It took some: what it shows is not of an earlier stream.
    begun: bool,
    /// It stopped behind this header.
    head: Option<[u8; 4]>,
}

impl Stored {
    /// The engine has taken `bytes`.
    pub fn took(&mut self, bytes: &[u8]) {
        for &byte in &bytes[bytes.len().saturating_sub(4)..] {
            self.recent.rotate_left(1);
            self.recent[3] = byte;
            self.begun = true;
        }
    }

    /// Whether the engine stands behind a stored block's header, though it does not know.
    pub fn is_behind_header(self) -> bool {
        self.head.is_some()
    }

    /// Before the engine is given anything: the header once more, if it forgot one. True if that was all of the
    /// block: the engine stands behind it.
    pub fn remind(&mut self, soft: &mut SoftInflate) -> bool {
        let Some(head) = self.head.take() else { return false };
        soft.decode(&head, &mut [], InflateFlush::Block);
        soft.data_type() & super::BEHIND_BLOCK != 0
    }

    /// Decodes from `input` up to a block's end or header: bytes used, made, the code and `data_type`. The input is
    /// given byte by byte, so that a stored block's header is seen to end.
    pub fn decode(
        &mut self,
        soft: &mut SoftInflate,
        input: &[u8],
        output: &mut [u8],
    ) -> (usize, usize, ReturnCode, i32) {
        let (mut used, mut made) = (0, 0);
        loop {
            let bits = if self.begun { soft.data_type() & BITS } else { 0 };
            let piece = &input[used..input.len().min(used + 1)];
            let (now, out, code) = soft.decode(piece, &mut output[made..], InflateFlush::Trees);
            self.took(&piece[..now]);
            used += now;
            made += out;
            let shown = soft.data_type();
            // Three bytes of the header were there, and the fourth has emptied the hold: the engine stopped behind it.
            if code == ReturnCode::Ok && bits == 24 && now == 1 && shown & BITS == 0 && soft.sync_point() {
                self.head = Some(self.recent);
                return (used, made, ReturnCode::Ok, shown | BEHIND_HEADER);
            }
            // The engine shows a header's end in the middle of a stored block as well.
            let inside = soft.mark() & 0xffff != 0;
            let shown = if inside { shown & !BEHIND_HEADER } else { shown };
            let stopped = code != ReturnCode::Ok || shown & (BEHIND_HEADER | super::BEHIND_BLOCK) != 0;
            if stopped || (now == 0 && out == 0) || (used == input.len() && made == output.len()) {
                let code =
                    if code == ReturnCode::BufError && used + made > 0 { ReturnCode::Ok } else { code };
                return (used, made, code, shown);
            }
        }
    }

    /// As [`Stored::decode`], on the program's buffers.
    pub fn step(&mut self, soft: &mut SoftInflate, io: &mut Io<'_>) -> (ReturnCode, i32) {
        let (input, output) = io.split();
        let (used, made, code, shown) = self.decode(soft, input, output);
        io.consume(used);
        io.produce(made);
        (code, shown)
    }
}
