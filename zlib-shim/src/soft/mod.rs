//! The software engines. Streams are zlib-rs's, through its own functions over its stream type. (Its C exports
//! abort on a panic; these unwind, so that the guard can turn a panic into the call's failure value.) What comes
//! whole in one call is libdeflate's. `choice` says which, `pool` keeps their states between streams.

pub mod back;
mod choice;
pub mod deflate;
mod gathered;
pub mod inflate;
mod libdeflate;
pub mod oneshot;
mod pool;
pub mod sample;
pub mod sums;
mod tiny;

use std::ptr;

use zlib_rs::c_api::z_stream;

use crate::state::Alloc;

/// An empty stream with the program's allocator, or the engine's own.
fn empty(alloc: Option<Alloc>) -> z_stream {
    z_stream {
        next_in: ptr::null(),
        avail_in: 0,
        total_in: 0,
        next_out: ptr::null_mut(),
        avail_out: 0,
        total_out: 0,
        msg: ptr::null_mut(),
        state: ptr::null_mut(),
        zalloc: alloc.map(|a| a.zalloc),
        zfree: alloc.map(|a| a.zfree),
        opaque: alloc.map_or(ptr::null_mut(), |a| a.opaque),
        data_type: 0,
        adler: 0,
        reserved: 0,
    }
}

/// Lends buffers of ours to the engine's stream, as much of them as it can count.
fn lend_slices(inner: &mut z_stream, input: &[u8], output: &mut [u8]) {
    inner.next_in = input.as_ptr();
    inner.avail_in = input.len().min(u32::MAX as usize) as u32;
    inner.next_out = output.as_mut_ptr();
    inner.avail_out = output.len().min(u32::MAX as usize) as u32;
}

/// Lends the program's buffers to the engine's stream.
fn lend(inner: &mut z_stream, outer: &z_stream) {
    inner.next_in = outer.next_in;
    inner.avail_in = outer.avail_in;
    inner.next_out = outer.next_out;
    inner.avail_out = outer.avail_out;
    // What an earlier call left is the program's to keep or clear.
    inner.msg = ptr::null_mut();
}

/// Moves the program's stream to where the engine's stands now. The totals move by what was used, because a
/// program may set them.
fn settle(inner: &z_stream, outer: &mut z_stream) {
    outer.total_in = outer.total_in.wrapping_add((outer.avail_in - inner.avail_in).into());
    outer.total_out = outer.total_out.wrapping_add((outer.avail_out - inner.avail_out).into());
    outer.next_in = inner.next_in;
    outer.avail_in = inner.avail_in;
    outer.next_out = inner.next_out;
    outer.avail_out = inner.avail_out;
    if !inner.msg.is_null() {
        outer.msg = inner.msg;
    }
}
