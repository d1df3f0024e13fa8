//! UNSAFE: the cast between a program's `z_stream` and this library's state behind it.
//!
//! The state is tagged by a magic number that no other zlib has at that place: theirs begins with a pointer,
//! and the magic is no canonical address. It lives in memory from the program's own allocator if it gave one.
#![expect(unsafe_code)]

use std::ffi::{c_uint, c_void};
use std::ptr;

use zlib_rs::ReturnCode;
use zlib_rs::c_api::{alloc_func, free_func, z_stream};

use crate::guard::catch;
use crate::io::Io;

/// What can stand behind a `z_stream`.
pub trait Kind {
    /// Tells this kind of state from all others.
    const MAGIC: u64;
}

/// The program's allocator.
#[derive(Debug, Clone, Copy)]
pub struct Alloc {
    /// `zalloc` of the stream.
    pub zalloc: alloc_func,
    /// `zfree` of the stream.
    pub zfree: free_func,
    /// First argument of both.
    pub opaque: *mut c_void,
}

#[repr(C)]
struct Tagged<T> {
    magic: u64,
    /// Which copy of this library made it: another one's allocator and layout are its own affair.
    library: *const u8,
    /// The stream this state was made for: like zlib, a moved or copied stream is refused.
    owner: *mut z_stream,
    base: *mut c_void,
    alloc: Alloc,
    /// A panic happened inside: every call but the closing one fails from then on.
    broken: bool,
    body: T,
}

unsafe extern "C" fn default_alloc(_opaque: *mut c_void, items: c_uint, size: c_uint) -> *mut c_void {
    // SAFETY: malloc has no precondition; the product of two 32-bit numbers fits.
    unsafe { libc::malloc(items as usize * size as usize) }
}

unsafe extern "C" fn default_free(_opaque: *mut c_void, address: *mut c_void) {
    // SAFETY: address came from default_alloc, by zlib's contract for zfree.
    unsafe { libc::free(address) }
}

/// Fills in the default allocator where the program gave none, as zlib does, and returns the program's own
/// one if it gave one.
pub fn settle_allocator(strm: &mut z_stream) -> Option<Alloc> {
    if strm.zalloc.is_none() {
        strm.zalloc = Some(default_alloc);
        strm.opaque = ptr::null_mut();
    }
    if strm.zfree.is_none() {
        strm.zfree = Some(default_free);
    }
    own_allocator(strm)
}

/// The program's allocator, if it is not the default one.
fn own_allocator(strm: &z_stream) -> Option<Alloc> {
    let (zalloc, zfree) = (strm.zalloc?, strm.zfree?);
    let default = ptr::fn_addr_eq(zalloc, default_alloc as alloc_func)
        && ptr::fn_addr_eq(zfree, default_free as free_func);
    (!default).then_some(Alloc { zalloc, zfree, opaque: strm.opaque })
}

/// Puts `body` behind `strm`. [`settle_allocator`] comes first.
///
/// # Errors
/// `MemError` if the allocator has no memory, `StreamError` if it was not settled.
pub fn attach<T: Kind>(strm: &mut z_stream, body: T) -> Result<(), ReturnCode> {
    let (Some(zalloc), Some(zfree)) = (strm.zalloc, strm.zfree) else { return Err(ReturnCode::StreamError) };
    let alloc = Alloc { zalloc, zfree, opaque: strm.opaque };
    let align = align_of::<Tagged<T>>();
    // SAFETY: the program's allocator, called as zlib documents it.
    let base = unsafe { zalloc(alloc.opaque, 1, (size_of::<Tagged<T>>() + align) as c_uint) };
    if base.is_null() {
        return Err(ReturnCode::MemError);
    }
    let place = base.cast::<u8>().wrapping_add(base.cast::<u8>().align_offset(align)).cast::<Tagged<T>>();
    // SAFETY: place is aligned and lies, with its whole size, inside the allocation made above.
    unsafe {
        place.write(Tagged {
            magic: T::MAGIC,
            library: this_library(),
            owner: strm,
            base,
            alloc,
            broken: false,
            body,
        })
    };
    strm.state = place.cast();
    Ok(())
}

/// An address that only this copy of the library has.
pub fn this_library() -> *const u8 {
    static HERE: u8 = 0;
    &raw const HERE
}

enum Found<'a, T> {
    Ours(&'a mut Tagged<T>),
    /// Another library's state.
    Foreign,
    Bad,
}

/// # Safety
/// `strm` is null or points to a `z_stream` whose `state` is null or points to at least 24 readable bytes;
/// nobody else uses the stream meanwhile. That is zlib's contract with its callers.
unsafe fn find<'a, T: Kind>(strm: *mut z_stream) -> Found<'a, T> {
    // SAFETY: contract of this function.
    let Some(stream) = (unsafe { strm.as_ref() }) else { return Found::Bad };
    if stream.state.is_null() || !stream.state.cast::<u64>().is_aligned() {
        return Found::Bad;
    }
    let place = stream.state.cast::<Tagged<T>>();
    // SAFETY: contract of this function: these fields lie in the first 24 bytes.
    let (magic, library, owner) = unsafe {
        (
            ptr::addr_of!((*place).magic).read(),
            ptr::addr_of!((*place).library).read(),
            ptr::addr_of!((*place).owner).read(),
        )
    };
    if magic >> 16 != FAMILY || library != this_library() {
        return Found::Foreign;
    }
    if magic != T::MAGIC {
        return Found::Bad;
    }
    if owner != strm || stream.zalloc.is_none() || stream.zfree.is_none() {
        return Found::Bad;
    }
    // SAFETY: the magic says that attach made this state; the contract makes the reference unique.
    Found::Ours(unsafe { &mut *place })
}

/// Upper 48 bits of every magic number of this library: not a canonical address on either architecture.
pub const FAMILY: u64 = 0xA5D2_5744_5A53;

/// Names the type of a closure for [`with`] before it is passed on.
pub fn body<T, R, F: FnOnce(&mut T, &mut Io<'_>) -> R>(f: F) -> F {
    f
}

/// Runs `f` on the state behind `strm`; `foreign` if another library opened it; `fail` for no stream, a wrong
/// one, one that broke, and one that breaks now.
///
/// # Safety
/// As [`find`]; the buffers of the stream are valid as zlib documents.
pub unsafe fn with<T: Kind, R: Copy>(
    strm: *mut z_stream,
    fail: R,
    foreign: impl FnOnce() -> R,
    f: impl FnOnce(&mut T, &mut Io<'_>) -> R,
) -> R {
    // SAFETY: contract of this function.
    let tagged = match unsafe { find::<T>(strm) } {
        Found::Ours(tagged) => tagged,
        Found::Foreign => return foreign(),
        Found::Bad => return fail,
    };
    if tagged.broken {
        return fail;
    }
    // SAFETY: find saw that strm is not null; the state is in other memory, so the two do not overlap.
    let mut io = Io::new(unsafe { &mut *strm });
    match catch(|| f(&mut tagged.body, &mut io)) {
        Some(result) => result,
        None => {
            tagged.broken = true;
            fail
        }
    }
}

/// Closes the stream: runs `last` on its state, frees it and leaves `strm.state` null.
///
/// # Safety
/// As [`with`].
pub unsafe fn close<T: Kind, R: Copy>(
    strm: *mut z_stream,
    fail: R,
    foreign: impl FnOnce() -> R,
    last: impl FnOnce(T) -> R,
) -> R {
    // SAFETY: contract of this function.
    let tagged = match unsafe { find::<T>(strm) } {
        Found::Ours(tagged) => tagged,
        Found::Foreign => return foreign(),
        Found::Bad => return fail,
    };
    let (alloc, base) = (tagged.alloc, tagged.base);
    tagged.magic = 0;
    // SAFETY: the magic is gone, so nobody reads the body through the old place again.
    let body = unsafe { ptr::read(&tagged.body) };
    let result = catch(|| last(body)).unwrap_or(fail);
    // SAFETY: strm is not null (find saw it) and base came from this allocator in attach.
    unsafe {
        (*strm).state = ptr::null_mut();
        (alloc.zfree)(alloc.opaque, base);
    }
    result
}

/// Makes `dest` a copy of `source` with the state that `clone` makes of the source's.
///
/// # Safety
/// As [`with`] for `source`; `dest` is null or points to writable memory of a `z_stream`'s size.
pub unsafe fn copy<T: Kind>(
    dest: *mut z_stream,
    source: *mut z_stream,
    foreign: impl FnOnce() -> ReturnCode,
    clone: impl FnOnce(&mut T, &mut Io<'_>) -> Result<T, ReturnCode>,
) -> ReturnCode {
    if dest.is_null() {
        return ReturnCode::StreamError;
    }
    let mut body = None;
    // SAFETY: contract of this function.
    let code = unsafe {
        with::<T, _>(source, ReturnCode::StreamError, foreign, |state, io| match clone(state, io) {
            Ok(made) => {
                body = Some(made);
                ReturnCode::Ok
            }
            Err(code) => code,
        })
    };
    let Some(body) = body else { return code };
    // SAFETY: both are valid z_streams by contract; ptr::copy allows them to be the same.
    let dest = unsafe {
        ptr::copy(source, dest, 1);
        &mut *dest
    };
    attach(dest, body).err().unwrap_or(ReturnCode::Ok)
}
