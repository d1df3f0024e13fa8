//! UNSAFE: our zlib library through its C interface, and jobs that check themselves against another implementation.
#![expect(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::dice::Dice;

const OK: c_int = 0;
const STREAM_END: c_int = 1;
const BUF_ERROR: c_int = -5;
const FINISH: c_int = 4;
/// Largest input of a job, bytes.
const MOST: usize = 256 << 10;

/// zlib's `z_stream`.
#[repr(C)]
struct Stream {
    next_in: *const u8,
    avail_in: c_uint,
    total_in: c_ulong,
    next_out: *mut u8,
    avail_out: c_uint,
    total_out: c_ulong,
    msg: *const c_char,
    state: *mut c_void,
    zalloc: Option<unsafe extern "C" fn(*mut c_void, c_uint, c_uint) -> *mut c_void>,
    zfree: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    opaque: *mut c_void,
    data_type: c_int,
    adler: c_ulong,
    reserved: c_ulong,
}

type Step = unsafe extern "C" fn(*mut Stream, c_int) -> c_int;
type End = unsafe extern "C" fn(*mut Stream) -> c_int;
type OneCall = unsafe extern "C" fn(*mut u8, *mut c_ulong, *const u8, c_ulong) -> c_int;

/// The library's functions.
pub struct Library {
    deflate_init:
        unsafe extern "C" fn(*mut Stream, c_int, c_int, c_int, c_int, c_int, *const c_char, c_int) -> c_int,
    deflate: Step,
    deflate_end: End,
    inflate_init: unsafe extern "C" fn(*mut Stream, c_int, *const c_char, c_int) -> c_int,
    inflate: Step,
    inflate_end: End,
    compress: OneCall,
    uncompress: OneCall,
}

impl Library {
    pub fn open(path: &Path) -> Result<Library> {
        // SAFETY: our own library, whose constructor has no precondition; it stays loaded to the end.
        unsafe {
            let library = libloading::Library::new(path).with_context(|| format!("{}", path.display()))?;
            let library: &'static libloading::Library = Box::leak(Box::new(library));
            Ok(Library {
                deflate_init: *library.get(b"deflateInit2_\0")?,
                deflate: *library.get(b"deflate\0")?,
                deflate_end: *library.get(b"deflateEnd\0")?,
                inflate_init: *library.get(b"inflateInit2_\0")?,
                inflate: *library.get(b"inflate\0")?,
                inflate_end: *library.get(b"inflateEnd\0")?,
                compress: *library.get(b"compress\0")?,
                uncompress: *library.get(b"uncompress\0")?,
            })
        }
    }

    /// One job: a stream in random pieces, or a whole buffer in one call.
    pub fn job(&self, dice: &mut Dice) -> Result<()> {
        let length = dice.length(MOST);
        let data = dice.data(length);
        match dice.below(5) {
            0 | 1 => self.compresses(dice, &data),
            2 | 3 => self.decompresses(dice, &data),
            _ => self.in_one_call(&data),
        }
        .with_context(|| format!("zlib, {length} bytes"))
    }

    fn compresses(&self, dice: &mut Dice, data: &[u8]) -> Result<()> {
        let (bits, level) = (dice.pick(&[15, 31, -15]), dice.below(11) as c_int - 1);
        let (step, space) = (1 + dice.length(data.len() + 1), 32 + dice.length(data.len() + 1));
        let flushes = dice.pick(&[0, 0, 2, 3]);
        let mut stream = Open::new(self.deflate_end);
        // SAFETY: a zeroed stream and a C string.
        let code =
            unsafe { (self.deflate_init)(stream.get(), level, 8, bits, 8, 0, c"1.2.11".as_ptr(), SIZE) };
        ensure!(code == OK, "deflateInit2 says {code}");
        let (mut packed, mut at) = (Vec::new(), 0);
        loop {
            let end = data.len().min(at + step);
            let flush = if end == data.len() {
                FINISH
            } else if dice.once_in(4) {
                flushes
            } else {
                0
            };
            let code = stream.drain(self.deflate, &data[at..end], flush, space, &mut packed)?;
            at = end;
            match code {
                STREAM_END => break,
                OK | BUF_ERROR if flush != FINISH => {}
                code => bail!("deflate says {code} at {at}, level {level}, bits {bits}"),
            }
        }
        ensure!(
            inflated(&packed, bits)? == data,
            "wrong bytes: deflate, level {level}, bits {bits}, step {step}"
        );
        stream.close()
    }

    fn decompresses(&self, dice: &mut Dice, data: &[u8]) -> Result<()> {
        let bits = dice.pick(&[15, 31, -15, 47]);
        let mut packed = deflated(data, dice.below(10) as u8, bits);
        let length = packed.len();
        packed.extend(&b"behind the stream"[..dice.below(18)]);
        let (step, space) = (1 + dice.length(packed.len()), 1 + dice.length(data.len() + 1));
        // short pieces into little space are for short streams
        let (step, space) = (step.max(packed.len() / 500), space.max(data.len() / 500));
        let mut stream = Open::new(self.inflate_end);
        // SAFETY: a zeroed stream and a C string.
        let code = unsafe { (self.inflate_init)(stream.get(), bits, c"1.2.11".as_ptr(), SIZE) };
        ensure!(code == OK, "inflateInit2 says {code}");
        let (mut plain, mut at) = (Vec::new(), 0);
        loop {
            let end = packed.len().min(at + step);
            let code = stream.drain(self.inflate, &packed[at..end], 0, space, &mut plain)?;
            at = end;
            match code {
                STREAM_END => break,
                OK | BUF_ERROR if at < packed.len() => {}
                code => bail!("inflate says {code} at {at} of {length}, bits {bits}"),
            }
        }
        ensure!(at - stream.left() == length, "inflate ended at another place, bits {bits}");
        let first = plain.iter().zip(data).position(|(ours, good)| ours != good);
        ensure!(
            plain == data,
            "wrong bytes: inflate, bits {bits}, step {step}, space {space}: {} for {} bytes, the first other at {first:?}",
            plain.len(),
            data.len()
        );
        stream.close()
    }

    fn in_one_call(&self, data: &[u8]) -> Result<()> {
        let mut packed = vec![0; data.len() + data.len() / 8 + 64];
        let mut plain = vec![0; data.len()];
        let (mut made, mut back) = (packed.len() as c_ulong, plain.len() as c_ulong);
        // SAFETY: buffers of the lengths that are passed.
        let codes = unsafe {
            [
                (self.compress)(packed.as_mut_ptr(), &mut made, data.as_ptr(), data.len() as c_ulong),
                (self.uncompress)(plain.as_mut_ptr(), &mut back, packed.as_ptr(), made),
            ]
        };
        ensure!(codes == [OK, OK], "compress and uncompress say {codes:?}");
        ensure!(back as usize == data.len() && plain == data, "wrong bytes: compress or uncompress");
        ensure!(inflated(&packed[..made as usize], 15)? == data, "wrong bytes: compress");
        Ok(())
    }
}

const SIZE: c_int = size_of::<Stream>() as c_int;

/// A stream that is closed whatever happens.
struct Open {
    stream: Box<Stream>,
    end: Option<End>,
}

impl Open {
    fn new(end: End) -> Open {
        // SAFETY: every field of a stream may be zero.
        Open { stream: Box::new(unsafe { std::mem::zeroed() }), end: Some(end) }
    }

    fn get(&mut self) -> *mut Stream {
        &mut *self.stream
    }

    fn left(&self) -> usize {
        self.stream.avail_in as usize
    }

    /// Calls `step` with `input` until it wants more or says that it is done; what it made goes to `out`.
    fn drain(
        &mut self,
        step: Step,
        input: &[u8],
        flush: c_int,
        space: usize,
        out: &mut Vec<u8>,
    ) -> Result<c_int> {
        let mut room = vec![0; space];
        self.stream.next_in = input.as_ptr();
        self.stream.avail_in = input.len() as c_uint;
        loop {
            self.stream.next_out = room.as_mut_ptr();
            self.stream.avail_out = space as c_uint;
            // SAFETY: an open stream over live buffers.
            let code = unsafe { step(self.get(), flush) };
            out.extend_from_slice(&room[..space - self.stream.avail_out as usize]);
            if code < 0 && code != BUF_ERROR || code == STREAM_END || self.stream.avail_out != 0 {
                return Ok(code);
            }
        }
    }

    fn close(mut self) -> Result<()> {
        let end = self.end.take().context("closed")?;
        // SAFETY: an open stream, closed once.
        let code = unsafe { end(self.get()) };
        ensure!(code == OK, "deflateEnd or inflateEnd says {code}");
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            // SAFETY: an open stream, or a zeroed one, which is refused.
            unsafe { end(self.get()) };
        }
    }
}

/// What is before and behind the payload: header, and length of the trailer.
fn frame(bits: c_int) -> (&'static [u8], usize) {
    match bits {
        15 => (&[0x78, 0x9C], 4),
        31 | 47 => (&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3], 8),
        _ => (&[], 0),
    }
}

/// Compressed by another implementation.
fn deflated(data: &[u8], level: u8, bits: c_int) -> Vec<u8> {
    let payload = miniz_oxide::deflate::compress_to_vec(data, level);
    let mut out = [frame(bits).0, &payload].concat();
    match bits {
        15 => out.extend(adler2::adler32_slice(data).to_be_bytes()),
        31 | 47 => {
            out.extend(crc32fast::hash(data).to_le_bytes());
            out.extend((data.len() as u32).to_le_bytes());
        }
        _ => {}
    }
    out
}

/// Decompressed by another implementation, check value and length included.
fn inflated(packed: &[u8], bits: c_int) -> Result<Vec<u8>> {
    let (header, trailer) = frame(bits);
    ensure!(packed.len() >= header.len() + trailer, "shorter than its frame");
    let (payload, end) = packed[header.len()..].split_at(packed.len() - header.len() - trailer);
    let data = miniz_oxide::inflate::decompress_to_vec(payload)
        .map_err(|error| anyhow::anyhow!("wrong bytes: no deflate stream: {:?}", error.status))?;
    let expected = deflated(&data, 0, bits);
    ensure!(end == &expected[expected.len() - trailer..], "wrong bytes: trailer");
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_round_trips_and_notices_spoilt_trailers() {
        let data = Dice::of(1, 0).data(5000);
        for bits in [15, 31, -15] {
            let mut packed = deflated(&data, 6, bits);
            assert_eq!(inflated(&packed, bits).unwrap(), data);
            *packed.last_mut().unwrap() ^= 1;
            assert!(bits == -15 || inflated(&packed, bits).is_err());
        }
    }
}
