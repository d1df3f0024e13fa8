//! UNSAFE: exported C functions of the gzip file API.
#![expect(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::{ptr, slice};

use super::STREAM_ERROR;
use crate::guard::guard;
use crate::gz::{self, Gz, MAGIC_OFFSET, Mode, open};
use crate::next::next;

type File = *mut Gz;

/// Runs `f` on the handle; `fail` for none, `foreign` for another library's.
///
/// # Safety
/// zlib's contract: `file` is null or an open handle that nobody else uses meanwhile.
unsafe fn with<R>(file: File, fail: R, foreign: impl FnOnce() -> R, f: impl FnOnce(&mut Gz) -> R) -> R
where
    R: Copy,
{
    if file.is_null() {
        return fail;
    }
    // SAFETY: every zlib's handle is longer than that; the field is aligned in ours.
    let found = unsafe { file.cast::<u8>().add(MAGIC_OFFSET).cast::<u64>().read_unaligned() };
    if found != gz::magic() {
        return foreign();
    }
    // SAFETY: the magic says that the handle is ours; unique by contract.
    guard(fail, || f(unsafe { &mut *file }))
}

/// Names the type of a closure for [`with`] before it is passed on.
fn body<R, F: FnOnce(&mut Gz) -> R>(f: F) -> F {
    f
}

macro_rules! on_file {
    ($file:expr, $fail:expr, $name:literal, fn($($ty:ty),*) -> $ret:ty, ($($arg:expr),*), $body:expr) => {{
        let body = body::<$ret, _>($body);
        // SAFETY: zlib's contract with its caller, which the exported function states.
        unsafe { with($file, $fail, || next!($fail, $name, fn($($ty),*) -> $ret, ($($arg),*)), body) }
    }};
}

fn hand_out(made: Option<Box<Gz>>) -> File {
    made.map_or(ptr::null_mut(), Box::into_raw)
}

/// `gzopen`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzopen(path: *const c_char, mode: *const c_char) -> File {
    if path.is_null() || mode.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: C strings by contract, and not null.
    guard(ptr::null_mut(), || unsafe { hand_out(open::open(CStr::from_ptr(path), CStr::from_ptr(mode))) })
}

/// `gzopen64`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzopen64(path: *const c_char, mode: *const c_char) -> File {
    // SAFETY: same contract.
    unsafe { gzopen(path, mode) }
}

/// `gzdopen`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzdopen(fd: c_int, mode: *const c_char) -> File {
    if mode.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: a C string by contract, and not null.
    guard(ptr::null_mut(), || unsafe { hand_out(open::adopt(fd, CStr::from_ptr(mode))) })
}

unsafe fn close(file: File, only: Option<Mode>, foreign: impl FnOnce() -> c_int) -> c_int {
    let mut gone = false;
    // SAFETY: same contract.
    let code = unsafe {
        with(file, STREAM_ERROR, foreign, |gz| {
            if only.is_some_and(|mode| mode != gz.mode()) {
                return STREAM_ERROR;
            }
            gone = true;
            gz.close()
        })
    };
    if gone {
        // SAFETY: made by Box::into_raw in hand_out, and given up by the caller.
        drop(unsafe { Box::from_raw(file) });
    }
    code
}

/// `gzclose`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzclose(file: File) -> c_int {
    // SAFETY: same contract.
    unsafe { close(file, None, || next!(STREAM_ERROR, c"gzclose", fn(File) -> c_int, (file))) }
}

/// `gzclose_r`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzclose_r(file: File) -> c_int {
    // SAFETY: same contract.
    unsafe { close(file, Some(Mode::Read), || next!(STREAM_ERROR, c"gzclose_r", fn(File) -> c_int, (file))) }
}

/// `gzclose_w`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzclose_w(file: File) -> c_int {
    // SAFETY: same contract.
    unsafe { close(file, Some(Mode::Write), || next!(STREAM_ERROR, c"gzclose_w", fn(File) -> c_int, (file))) }
}

/// `gzread`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzread(file: File, buf: *mut c_void, len: c_uint) -> c_int {
    on_file!(file, -1, c"gzread", fn(File, *mut c_void, c_uint) -> c_int, (file, buf, len), |gz| {
        // SAFETY: room for len bytes, by zlib's contract.
        gz.read(unsafe { room(buf, len as usize) })
    })
}

/// The caller's buffer as a slice; empty for null.
unsafe fn room<'a>(buf: *mut c_void, len: usize) -> &'a mut [u8] {
    if buf.is_null() || len == 0 {
        return &mut [];
    }
    // SAFETY: the caller's buffer has that length.
    unsafe { slice::from_raw_parts_mut(buf.cast(), len) }
}

unsafe fn data<'a>(buf: *const c_void, len: usize) -> &'a [u8] {
    if buf.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's buffer has that length.
    unsafe { slice::from_raw_parts(buf.cast(), len) }
}

/// `gzfread`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzfread(buf: *mut c_void, size: usize, items: usize, file: File) -> usize {
    on_file!(
        file,
        0,
        c"gzfread",
        fn(*mut c_void, usize, usize, File) -> usize,
        (buf, size, items, file),
        |gz| match size.checked_mul(items) {
            Some(0) => 0,
            // SAFETY: room for items of that size, by zlib's contract.
            Some(len) => gz.fread(unsafe { room(buf, len) }) / size,
            None => {
                gz.too_large();
                0
            }
        }
    )
}

/// `gzwrite`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzwrite(file: File, buf: *const c_void, len: c_uint) -> c_int {
    on_file!(file, 0, c"gzwrite", fn(File, *const c_void, c_uint) -> c_int, (file, buf, len), |gz| {
        // SAFETY: len bytes, by zlib's contract.
        gz.write(unsafe { data(buf, len as usize) })
    })
}

/// `gzfwrite`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzfwrite(buf: *const c_void, size: usize, items: usize, file: File) -> usize {
    on_file!(
        file,
        0,
        c"gzfwrite",
        fn(*const c_void, usize, usize, File) -> usize,
        (buf, size, items, file),
        |gz| match size.checked_mul(items) {
            Some(0) => 0,
            // SAFETY: items of that size, by zlib's contract.
            Some(len) => gz.fwrite(unsafe { data(buf, len) }) / size,
            None => {
                gz.too_large();
                0
            }
        }
    )
}

/// `gzvprintf`; `args` is the platform's `va_list`, which both ABIs pass as a pointer.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzvprintf(file: File, format: *const c_char, args: *mut c_void) -> c_int {
    unsafe extern "C" {
        fn vsnprintf(to: *mut c_char, size: usize, format: *const c_char, args: *mut c_void) -> c_int;
    }
    on_file!(
        file,
        STREAM_ERROR,
        c"gzvprintf",
        fn(File, *const c_char, *mut c_void) -> c_int,
        (file, format, args),
        |gz| {
            // SAFETY: the slice bounds the output; format and args match, by zlib's contract.
            gz.print(|to| unsafe { vsnprintf(to.as_mut_ptr().cast(), to.len(), format, args) })
        }
    )
}

/// `gzprintf`: a jump to the C shim, with all argument registers and the stack as they are.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn gzprintf() {
    unsafe extern "C" {
        fn wdz_gzprintf();
    }
    #[cfg(target_arch = "x86_64")]
    std::arch::naked_asm!("jmp {}", sym wdz_gzprintf);
    #[cfg(target_arch = "aarch64")]
    std::arch::naked_asm!("b {}", sym wdz_gzprintf);
}

/// `gzputs`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzputs(file: File, text: *const c_char) -> c_int {
    on_file!(file, -1, c"gzputs", fn(File, *const c_char) -> c_int, (file, text), |gz| {
        if text.is_null() {
            return -1;
        }
        // SAFETY: a C string by contract, and not null.
        gz.put_text(unsafe { CStr::from_ptr(text) }.to_bytes())
    })
}

/// `gzputc`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzputc(file: File, c: c_int) -> c_int {
    on_file!(file, -1, c"gzputc", fn(File, c_int) -> c_int, (file, c), |gz| gz.put_byte(c))
}

/// `gzgets`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzgets(file: File, buf: *mut c_char, len: c_int) -> *mut c_char {
    on_file!(
        file,
        ptr::null_mut(),
        c"gzgets",
        fn(File, *mut c_char, c_int) -> *mut c_char,
        (file, buf, len),
        |gz| {
            // SAFETY: room for len bytes, by zlib's contract.
            let got = len > 0 && gz.line(unsafe { room(buf.cast(), len as usize) });
            if got { buf } else { ptr::null_mut() }
        }
    )
}

/// `gzgetc`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzgetc(file: File) -> c_int {
    on_file!(file, -1, c"gzgetc", fn(File) -> c_int, (file), |gz| gz.get())
}

/// `gzgetc_`: what programs built against older headers call.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzgetc_(file: File) -> c_int {
    on_file!(file, -1, c"gzgetc_", fn(File) -> c_int, (file), |gz| gz.get())
}

/// `gzungetc`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzungetc(c: c_int, file: File) -> c_int {
    on_file!(file, -1, c"gzungetc", fn(c_int, File) -> c_int, (c, file), |gz| gz.unget(c))
}

/// `gzflush`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzflush(file: File, flush: c_int) -> c_int {
    on_file!(file, STREAM_ERROR, c"gzflush", fn(File, c_int) -> c_int, (file, flush), |gz| gz.flush(flush))
}

/// `gzsetparams`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzsetparams(file: File, level: c_int, strategy: c_int) -> c_int {
    on_file!(
        file,
        STREAM_ERROR,
        c"gzsetparams",
        fn(File, c_int, c_int) -> c_int,
        (file, level, strategy),
        |gz| gz.set_params(level, strategy)
    )
}

/// `gzbuffer`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzbuffer(file: File, size: c_uint) -> c_int {
    on_file!(file, -1, c"gzbuffer", fn(File, c_uint) -> c_int, (file, size), |gz| gz.buffer(size))
}

/// `gzseek`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzseek(file: File, offset: i64, whence: c_int) -> i64 {
    on_file!(file, -1, c"gzseek", fn(File, i64, c_int) -> i64, (file, offset, whence), |gz| gz
        .seek_to(offset, whence))
}

/// `gzseek64`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzseek64(file: File, offset: i64, whence: c_int) -> i64 {
    on_file!(file, -1, c"gzseek64", fn(File, i64, c_int) -> i64, (file, offset, whence), |gz| gz
        .seek_to(offset, whence))
}

/// `gzrewind`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzrewind(file: File) -> c_int {
    on_file!(file, -1, c"gzrewind", fn(File) -> c_int, (file), |gz| gz.rewind())
}

/// `gztell`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gztell(file: File) -> i64 {
    on_file!(file, -1, c"gztell", fn(File) -> i64, (file), |gz| gz.tell())
}

/// `gztell64`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gztell64(file: File) -> i64 {
    on_file!(file, -1, c"gztell64", fn(File) -> i64, (file), |gz| gz.tell())
}

/// `gzoffset`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzoffset(file: File) -> i64 {
    on_file!(file, -1, c"gzoffset", fn(File) -> i64, (file), |gz| gz.offset())
}

/// `gzoffset64`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzoffset64(file: File) -> i64 {
    on_file!(file, -1, c"gzoffset64", fn(File) -> i64, (file), |gz| gz.offset())
}

/// `gzeof`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzeof(file: File) -> c_int {
    on_file!(file, 0, c"gzeof", fn(File) -> c_int, (file), |gz| gz.at_end().into())
}

/// `gzdirect`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzdirect(file: File) -> c_int {
    on_file!(file, 0, c"gzdirect", fn(File) -> c_int, (file), |gz| gz.plain().into())
}

/// `gzerror`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzerror(file: File, code: *mut c_int) -> *const c_char {
    on_file!(file, ptr::null(), c"gzerror", fn(File, *mut c_int) -> *const c_char, (file, code), |gz| {
        let (number, text) = gz.error();
        if !code.is_null() {
            // SAFETY: not null, and valid for a write by zlib's contract.
            unsafe { code.write(number) };
        }
        text.as_ptr()
    })
}

/// `gzclearerr`.
///
/// # Safety
/// zlib's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gzclearerr(file: File) {
    on_file!(file, (), c"gzclearerr", fn(File) -> (), (file), |gz| gz.clear());
}
