//! Who is measured.
//!
//! UNSAFE: looks up C functions by name, and calls libdeflate.
#![allow(unsafe_code, reason = "C functions of other libraries")]
#![allow(clippy::missing_transmute_annotations, reason = "the table's fields are the annotations")]

use std::ffi::{CStr, c_char};

use anyhow::{Context, Result};

use crate::abi::{Functions, Open};

/// How data is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// All in one call, on a stream opened and closed for it.
    OneCall,
    /// In pieces of so many bytes.
    Pieces(usize),
    /// As messages of so many bytes, a stream opened and closed for each.
    Messages(usize),
    /// As messages of so many bytes, one stream that is reset for each.
    Resets(usize),
}

enum Kind {
    /// The library, where there is one, stays open as long as its functions are used.
    Zlib(Functions, #[expect(dead_code, reason = "kept open")] Option<libloading::Library>),
    Libdeflate,
}

/// One library.
pub struct Contender {
    /// Short name.
    pub name: &'static str,
    /// What it calls itself.
    pub version: String,
    kind: Kind,
}

/// A function of a crate, whose stream type has another name.
macro_rules! function {
    ($path:path) => {
        // SAFETY: the prototype of zlib.h, over a stream type of the same layout as far as it is used.
        unsafe { std::mem::transmute::<*const (), _>($path as *const ()) }
    };
}

fn symbol<T: Copy>(library: &libloading::Library, name: &str) -> Result<T> {
    // SAFETY: the table's types are the prototypes of zlib.h.
    Ok(*unsafe { library.get::<T>(name.as_bytes()) }.with_context(|| name.to_owned())?)
}

/// zlib-rs, by its crate.
pub fn zlib_rs() -> Contender {
    use libz_rs_sys as crate_;
    let functions = Functions {
        deflate_init2: function!(crate_::deflateInit2_),
        deflate: function!(crate_::deflate),
        deflate_reset: function!(crate_::deflateReset),
        deflate_end: function!(crate_::deflateEnd),
        inflate_init2: function!(crate_::inflateInit2_),
        inflate: function!(crate_::inflate),
        inflate_reset: function!(crate_::inflateReset),
        inflate_end: function!(crate_::inflateEnd),
        stream_size: size_of::<crate_::z_stream>() as i32,
    };
    // SAFETY: a static C string.
    let version = unsafe { CStr::from_ptr(crate_::zlibVersion()) }.to_string_lossy().into_owned();
    Contender { name: "zlib-rs", version, kind: Kind::Zlib(functions, None) }
}

/// zlib-ng, by its crate, if this build has it (it needs cmake).
#[cfg(feature = "zlib-ng")]
pub fn zlib_ng() -> Option<Contender> {
    use std::ffi::c_int;

    use libz_ng_sys as crate_;

    use crate::abi::Strm;

    // zlib-ng's own names ask for no version.
    unsafe extern "C" fn deflate_init2(
        strm: Strm,
        level: c_int,
        method: c_int,
        window_bits: c_int,
        mem_level: c_int,
        strategy: c_int,
        _version: *const c_char,
        _size: c_int,
    ) -> c_int {
        // SAFETY: contract of deflateInit2.
        unsafe { crate_::zng_deflateInit2(strm.cast(), level, method, window_bits, mem_level, strategy) }
    }
    unsafe extern "C" fn inflate_init2(
        strm: Strm,
        window_bits: c_int,
        _version: *const c_char,
        _size: c_int,
    ) -> c_int {
        // SAFETY: contract of inflateInit2.
        unsafe { crate_::zng_inflateInit2(strm.cast(), window_bits) }
    }

    let functions = Functions {
        deflate_init2,
        deflate: function!(crate_::deflate),
        deflate_reset: function!(crate_::deflateReset),
        deflate_end: function!(crate_::deflateEnd),
        inflate_init2,
        inflate: function!(crate_::inflate),
        inflate_reset: function!(crate_::inflateReset),
        inflate_end: function!(crate_::inflateEnd),
        stream_size: size_of::<crate_::z_stream>() as i32,
    };
    Some(Contender {
        name: "zlib-ng",
        version: "crate libz-ng-sys".into(),
        kind: Kind::Zlib(functions, None),
    })
}

/// Left out of this build.
#[cfg(not(feature = "zlib-ng"))]
pub fn zlib_ng() -> Option<Contender> {
    println!("zlib-ng    left out: this build has not the feature zlib-ng, which needs cmake");
    None
}

impl Contender {
    /// A zlib by path.
    pub fn library(name: &'static str, path: &str) -> Result<Self> {
        // SAFETY: zlib libraries have no initialisers that could disturb this process.
        let library = unsafe { libloading::Library::new(path) }.with_context(|| path.to_owned())?;
        let functions = Functions {
            deflate_init2: symbol(&library, "deflateInit2_")?,
            deflate: symbol(&library, "deflate")?,
            deflate_reset: symbol(&library, "deflateReset")?,
            deflate_end: symbol(&library, "deflateEnd")?,
            inflate_init2: symbol(&library, "inflateInit2_")?,
            inflate: symbol(&library, "inflate")?,
            inflate_reset: symbol(&library, "inflateReset")?,
            inflate_end: symbol(&library, "inflateEnd")?,
            stream_size: 112,
        };
        let version: unsafe extern "C" fn() -> *const c_char = symbol(&library, "zlibVersion")?;
        // SAFETY: a static C string.
        let version = unsafe { CStr::from_ptr(version()) }.to_string_lossy().into_owned();
        Ok(Contender {
            name,
            version: format!("{version} ({path})"),
            kind: Kind::Zlib(functions, Some(library)),
        })
    }

    /// libdeflate, by its crate.
    pub fn libdeflate() -> Self {
        Contender { name: "libdeflate", version: "crate libdeflate-sys".into(), kind: Kind::Libdeflate }
    }

    /// Compresses `data`; the pieces of output, one a message.
    pub fn deflate(&self, data: &[u8], level: i32, how: Use, out: &mut Output) -> Result<bool> {
        out.clear();
        match &self.kind {
            Kind::Zlib(functions, _) => match how {
                Use::OneCall => {
                    out.take(|room| Open::deflate(functions, level)?.run(data, room, None))?;
                }
                Use::Pieces(n) => {
                    out.take(|room| Open::deflate(functions, level)?.run(data, room, Some(n)))?;
                }
                Use::Messages(n) => {
                    for message in data.chunks(n) {
                        out.take(|room| Open::deflate(functions, level)?.run(message, room, None))?;
                    }
                }
                Use::Resets(n) => {
                    let mut open = Open::deflate(functions, level)?;
                    for message in data.chunks(n) {
                        out.take(|room| open.run(message, room, None))?;
                        open.reset()?;
                    }
                }
            },
            Kind::Libdeflate => {
                let mut once = None;
                let pieces = match how {
                    Use::Pieces(_) => return Ok(false),
                    Use::OneCall => data.chunks(data.len()),
                    Use::Messages(n) | Use::Resets(n) => data.chunks(n),
                };
                for message in pieces {
                    if !matches!(how, Use::Resets(_)) {
                        once = None;
                    }
                    let state = once.get_or_insert_with(|| whole::Compressor::new(level));
                    out.take(|room| Ok(state.run(message, room)))?;
                }
            }
        }
        Ok(true)
    }

    /// Decompresses `packed`, each piece a stream; false if this library cannot be used so.
    pub fn inflate(&self, packed: &Output, how: Use, out: &mut Output) -> Result<bool> {
        out.clear();
        let chunk = if let Use::Pieces(n) = how { Some(n) } else { None };
        match &self.kind {
            Kind::Zlib(functions, _) => {
                let mut kept = None;
                for message in packed.pieces() {
                    if let (Use::Resets(_), Some(open)) = (how, &mut kept) {
                        Open::reset(open)?;
                    } else {
                        kept = None;
                    }
                    let open = match &mut kept {
                        Some(open) => open,
                        None => kept.insert(Open::inflate(functions)?),
                    };
                    out.take(|room| open.run(message, room, chunk))?;
                }
            }
            Kind::Libdeflate => {
                if chunk.is_some() {
                    return Ok(false);
                }
                let mut once = None;
                for message in packed.pieces() {
                    if !matches!(how, Use::Resets(_)) {
                        once = None;
                    }
                    let state = once.get_or_insert_with(whole::Decompressor::new);
                    out.take(|room| Ok(state.run(message, room)))?;
                }
            }
        }
        Ok(true)
    }
}

/// Streams or data made, one after another in one buffer.
pub struct Output {
    buffer: Vec<u8>,
    ends: Vec<usize>,
}

impl Output {
    /// Room for `n` bytes in all.
    pub fn new(n: usize) -> Self {
        Output { buffer: vec![0; n], ends: Vec::new() }
    }

    fn clear(&mut self) {
        self.ends.clear();
    }

    fn take(&mut self, f: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<()> {
        let at = self.ends.last().copied().unwrap_or(0);
        let made = f(&mut self.buffer[at..])?;
        self.ends.push(at + made);
        Ok(())
    }

    /// Bytes made.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.ends.last().copied().unwrap_or(0)]
    }

    /// The pieces made.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.buffer[start..end])
    }
}

/// libdeflate's calls.
mod whole {
    use libdeflate_sys as ffi;

    pub struct Compressor(*mut ffi::libdeflate_compressor);

    impl Compressor {
        pub fn new(level: i32) -> Self {
            // SAFETY: no precondition.
            Compressor(unsafe { ffi::libdeflate_alloc_compressor(level) })
        }

        pub fn run(&mut self, input: &[u8], output: &mut [u8]) -> usize {
            let (from, to) = (input.as_ptr().cast(), output.as_mut_ptr().cast());
            // SAFETY: a live compressor and buffers of the lengths given.
            unsafe { ffi::libdeflate_zlib_compress(self.0, from, input.len(), to, output.len()) }
        }
    }

    impl Drop for Compressor {
        fn drop(&mut self) {
            // SAFETY: freed once.
            unsafe { ffi::libdeflate_free_compressor(self.0) };
        }
    }

    pub struct Decompressor(*mut ffi::libdeflate_decompressor);

    impl Decompressor {
        pub fn new() -> Self {
            // SAFETY: no precondition.
            Decompressor(unsafe { ffi::libdeflate_alloc_decompressor() })
        }

        pub fn run(&mut self, input: &[u8], output: &mut [u8]) -> usize {
            let mut made = 0;
            let (from, to) = (input.as_ptr().cast(), output.as_mut_ptr().cast());
            // SAFETY: a live decompressor and buffers of the lengths given.
            unsafe {
                ffi::libdeflate_zlib_decompress(self.0, from, input.len(), to, output.len(), &raw mut made)
            };
            made
        }
    }

    impl Drop for Decompressor {
        fn drop(&mut self) {
            // SAFETY: freed once.
            unsafe { ffi::libdeflate_free_decompressor(self.0) };
        }
    }
}
