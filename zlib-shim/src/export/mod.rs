//! UNSAFE (in the files below): the C surface. Each function guards against panics and hands over to safe code.

mod back;
pub mod deflate;
mod gz;
pub mod inflate;
#[cfg(not(test))]
mod load;
mod oneshot;
mod sums;

use std::ffi::{c_char, c_int};

use zlib_rs::ReturnCode;
use zlib_rs::c_api::z_stream;

const _: () = assert!(size_of::<z_stream>() == 112 || cfg!(not(target_pointer_width = "64")));

/// The version this library answers with. Headers compare its first character only, but programs read it as
/// numbers with dots between them: nothing else may stand there.
const VERSION: &std::ffi::CStr = c"1.3.1";

/// zlib's check of the caller's header: the major version and the size of the stream structure.
fn compatible(version: Option<c_char>, stream_size: c_int) -> bool {
    version == Some(b'1' as c_char) && stream_size as usize == size_of::<z_stream>()
}

const STREAM_ERROR: c_int = ReturnCode::StreamError as c_int;
const VERSION_ERROR: c_int = ReturnCode::VersionError as c_int;
