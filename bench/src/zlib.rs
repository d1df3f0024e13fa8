//! A zlib library opened by path, for calling two of them in one process.
//!
//! UNSAFE: C functions of a shared object are called by the prototypes of zlib.h.
#![allow(unsafe_code, reason = "C functions of a library opened at run time")]

use std::ffi::{CStr, c_char, c_int, c_uchar, c_ulong};

use anyhow::{Result, ensure};

type Version = unsafe extern "C" fn() -> *const c_char;
type Bound = unsafe extern "C" fn(c_ulong) -> c_ulong;
type Compress2 = unsafe extern "C" fn(*mut c_uchar, *mut c_ulong, *const c_uchar, c_ulong, c_int) -> c_int;
type Uncompress = unsafe extern "C" fn(*mut c_uchar, *mut c_ulong, *const c_uchar, c_ulong) -> c_int;

/// One zlib, with the functions the measurements use.
#[derive(Debug)]
pub struct Library {
    version: Version,
    bound: Bound,
    compress2: Compress2,
    uncompress: Uncompress,
    // Last, so that the functions do not outlive it.
    _library: libloading::Library,
}

impl Library {
    /// Opens the shared object at `path`.
    pub fn open(path: &str) -> Result<Self> {
        // SAFETY: loading runs the library's initialisers; both contenders are zlib libraries, which have none
        // that could disturb this process.
        let library = unsafe { libloading::Library::new(path)? };
        // SAFETY: the types are the prototypes of zlib.h, which both libraries keep.
        let library = unsafe {
            Self {
                version: *library.get::<Version>(b"zlibVersion\0")?,
                bound: *library.get::<Bound>(b"compressBound\0")?,
                compress2: *library.get::<Compress2>(b"compress2\0")?,
                uncompress: *library.get::<Uncompress>(b"uncompress\0")?,
                _library: library,
            }
        };
        Ok(library)
    }

    /// What the library calls itself.
    pub fn version(&self) -> String {
        // SAFETY: zlibVersion returns a static C string.
        unsafe { CStr::from_ptr((self.version)()) }.to_string_lossy().into_owned()
    }

    /// compress2.
    pub fn compress(&self, data: &[u8], level: i32) -> Result<Vec<u8>> {
        // SAFETY: plain arithmetic on its argument.
        let bound = unsafe { (self.bound)(data.len() as c_ulong) };
        let mut out = vec![0; bound as usize];
        let mut length = bound;
        // SAFETY: both buffers are valid for the lengths given.
        let status = unsafe {
            (self.compress2)(out.as_mut_ptr(), &raw mut length, data.as_ptr(), data.len() as c_ulong, level)
        };
        ensure!(status == 0, "compress2 returned {status}");
        out.truncate(length as usize);
        Ok(out)
    }

    /// uncompress into a buffer of exactly `size` bytes.
    pub fn uncompress(&self, packed: &[u8], size: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; size];
        let mut length = size as c_ulong;
        // SAFETY: both buffers are valid for the lengths given.
        let status = unsafe {
            (self.uncompress)(out.as_mut_ptr(), &raw mut length, packed.as_ptr(), packed.len() as c_ulong)
        };
        ensure!(status == 0, "uncompress returned {status}");
        out.truncate(length as usize);
        Ok(out)
    }
}

/// English-like text: words of a small vocabulary drawn by a fixed generator.
pub fn text(size: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "the ",
        "queue ",
        "of ",
        "a ",
        "device ",
        "and ",
        "its ",
        "doorbell ",
        "ring ",
        "to ",
        "stream ",
        "window ",
        "in ",
        "phase, ",
        "is ",
        "written.\n",
    ];
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut out = Vec::with_capacity(size + 16);
    while out.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(WORDS[(state >> 40) as usize % 16].as_bytes());
        if state.is_multiple_of(11) {
            out.extend_from_slice(format!("{} ", state >> 48).as_bytes());
        }
    }
    out.truncate(size);
    out
}
