//! UNSAFE: calls libdeflate, which works on whole buffers: faster than any stream where all data is at hand.
//!
//! Its memory is its own (malloc); it never unwinds. On aarch64 its first call reads `/proc/self/auxv`, and does
//! with plain code if it may not.
#![expect(unsafe_code)]

use std::ptr::NonNull;

use libdeflate_sys as ffi;

/// Memory of a compressor, bytes, as libdeflate 1.26 allocates it: level 1, and levels 2 to 9.
pub const fn compressor_bytes(level: i32) -> usize {
    if level <= 1 { 204 << 10 } else { 669 << 10 }
}

/// Memory of a decompressor, bytes.
pub const DECOMPRESSOR_BYTES: usize = 12 << 10;

/// A compressor for one level, of any number of buffers.
pub struct Compressor {
    level: i32,
    state: NonNull<ffi::libdeflate_compressor>,
}

impl Compressor {
    /// A compressor of `level` (1 to 9, as zlib counts); `None` without memory.
    pub fn new(level: i32) -> Option<Self> {
        // SAFETY: no precondition; a bad level gives null.
        let state = NonNull::new(unsafe { ffi::libdeflate_alloc_compressor(level) })?;
        Some(Compressor { level, state })
    }

    /// Its level.
    pub fn level(&self) -> i32 {
        self.level
    }

    /// Compresses all of `input` to raw deflate data at the start of `output`; the length, or `None` if it does
    /// not fit.
    pub fn deflate(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        // SAFETY: a live compressor that only we use, and buffers of the lengths given; output is only written.
        let made = unsafe {
            ffi::libdeflate_deflate_compress(
                self.state.as_ptr(),
                input.as_ptr().cast(),
                input.len(),
                output.as_mut_ptr().cast(),
                output.len(),
            )
        };
        (made != 0).then_some(made)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: made by libdeflate_alloc_compressor, freed once.
        unsafe { ffi::libdeflate_free_compressor(self.state.as_ptr()) };
    }
}

/// A decompressor, of any number of buffers.
pub struct Decompressor {
    state: NonNull<ffi::libdeflate_decompressor>,
}

impl Decompressor {
    /// `None` without memory.
    pub fn new() -> Option<Self> {
        // SAFETY: no precondition.
        let state = NonNull::new(unsafe { ffi::libdeflate_alloc_decompressor() })?;
        Some(Decompressor { state })
    }

    /// Decompresses the raw deflate data at the start of `input` into `output`, up to its final block's end: bytes
    /// used and bytes made. `None` if it is not complete, not valid, or too long for `output`, which then holds
    /// anything.
    pub fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Option<(usize, usize)> {
        // The fast loop wants some input ahead of it: short inputs get zeros behind them, which must not be needed.
        const SHORT: usize = 512;
        const AHEAD: usize = 32;
        if input.len() > SHORT {
            return self.inflate_as_it_is(input, output);
        }
        let mut longer = [0; SHORT + AHEAD];
        longer[..input.len()].copy_from_slice(input);
        self.inflate_as_it_is(&longer[..input.len() + AHEAD], output).filter(|(used, _)| *used <= input.len())
    }

    fn inflate_as_it_is(&mut self, input: &[u8], output: &mut [u8]) -> Option<(usize, usize)> {
        let (mut used, mut made) = (0, 0);
        // SAFETY: a live decompressor that only we use, and buffers of the lengths given; output is only written.
        let code = unsafe {
            ffi::libdeflate_deflate_decompress_ex(
                self.state.as_ptr(),
                input.as_ptr().cast(),
                input.len(),
                output.as_mut_ptr().cast(),
                output.len(),
                &raw mut used,
                &raw mut made,
            )
        };
        (code == ffi::libdeflate_result_LIBDEFLATE_SUCCESS).then_some((used, made))
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: made by libdeflate_alloc_decompressor, freed once.
        unsafe { ffi::libdeflate_free_decompressor(self.state.as_ptr()) };
    }
}

/// CRC-32 of data whose value so far is `value`, followed by `bytes`.
pub fn crc32(value: u32, bytes: &[u8]) -> u32 {
    // SAFETY: a buffer of that length; the pointer of a slice is not null, which would mean "start".
    unsafe { ffi::libdeflate_crc32(value, bytes.as_ptr().cast(), bytes.len()) }
}

/// Adler-32 of data whose value so far is `value` (both halves below 65521), followed by `bytes`.
pub fn adler32(value: u32, bytes: &[u8]) -> u32 {
    // SAFETY: as above.
    unsafe { ffi::libdeflate_adler32(value, bytes.as_ptr().cast(), bytes.len()) }
}
