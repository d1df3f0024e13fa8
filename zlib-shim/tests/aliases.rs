//! Functions that are others under another name or with arguments of another type: they do what those do.
#![allow(unsafe_code, missing_docs)]

mod common;

use std::ffi::{CString, c_char, c_int, c_ulong, c_void};

use common::{Stream, built, inflated, ours, sample};

type File = *mut c_void;

/// A function of the library under test, of the documented signature.
macro_rules! of {
    ($name:ident: fn($($ty:ty),*) -> $ret:ty) => {{
        let path = CString::new(built("libwarpdrive_z.so").to_str().expect("UTF-8 path")).unwrap();
        // SAFETY: C strings; the library is open already and stays so; the signature is the documented one.
        unsafe {
            let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            let found = libc::dlsym(library, concat!(stringify!($name), "\0").as_ptr().cast());
            assert!(!found.is_null(), concat!(stringify!($name), " is missing"));
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($ty),*) -> $ret>(found)
        }
    }};
}

#[test]
fn sums_of_other_lengths_are_the_same() {
    let data = sample(0, 5000, 3);
    let (adler32_z, crc32_z) = (
        of!(adler32_z: fn(c_ulong, *const u8, usize) -> c_ulong),
        of!(crc32_z: fn(c_ulong, *const u8, usize) -> c_ulong),
    );
    let (adler64, crc64) = (
        of!(adler32_combine64: fn(c_ulong, c_ulong, i64) -> c_ulong),
        of!(crc32_combine64: fn(c_ulong, c_ulong, i64) -> c_ulong),
    );
    let gen64 = of!(crc32_combine_gen64: fn(i64) -> c_ulong);
    // SAFETY: a live buffer of that length.
    unsafe {
        let api = ours();
        assert_eq!(adler32_z(1, data.as_ptr(), 5000), (api.adler32)(1, data.as_ptr(), 5000));
        assert_eq!(crc32_z(0, data.as_ptr(), 5000), (api.crc32)(0, data.as_ptr(), 5000));
        for n in [0, 1, 5000, 1 << 40] {
            assert_eq!(adler64(77, 99, n), (api.adler32_combine)(77, 99, n));
            assert_eq!(crc64(77, 99, n), (api.crc32_combine)(77, 99, n));
            assert_eq!(gen64(n), (api.crc32_combine_gen)(n));
        }
    }
}

#[test]
fn one_call_functions_of_other_lengths_are_the_same() {
    let data = sample(0, 100_000, 3);
    let n = data.len();
    let bounds =
        (of!(compressBound_z: fn(usize) -> usize), of!(deflateBound_z: fn(*mut Stream, usize) -> usize));
    let compress = of!(compress: fn(*mut u8, *mut c_ulong, *const u8, c_ulong) -> c_int);
    let compress_z = of!(compress_z: fn(*mut u8, *mut usize, *const u8, usize) -> c_int);
    let compress2_z = of!(compress2_z: fn(*mut u8, *mut usize, *const u8, usize, c_int) -> c_int);
    let uncompress = of!(uncompress: fn(*mut u8, *mut c_ulong, *const u8, c_ulong) -> c_int);
    let uncompress_z = of!(uncompress_z: fn(*mut u8, *mut usize, *const u8, usize) -> c_int);
    let uncompress2_z = of!(uncompress2_z: fn(*mut u8, *mut usize, *const u8, *mut usize) -> c_int);
    // SAFETY: live buffers of the stated lengths.
    unsafe {
        assert_eq!((bounds.0)(n) as u64, (ours().compressBound)(n as u64));
        assert_eq!(
            (bounds.1)(std::ptr::null_mut(), n) as u64,
            (ours().deflateBound)(std::ptr::null_mut(), n as u64)
        );
        let (mut a, mut b, mut c) = (vec![0; n * 2], vec![0; n * 2], vec![0; n * 2]);
        let (mut la, mut lb, mut lc) = (n as c_ulong * 2, n * 2, n * 2);
        assert_eq!(compress(a.as_mut_ptr(), &mut la, data.as_ptr(), n as c_ulong), 0);
        assert_eq!(compress_z(b.as_mut_ptr(), &mut lb, data.as_ptr(), n), 0);
        assert_eq!(compress2_z(c.as_mut_ptr(), &mut lc, data.as_ptr(), n, 9), 0);
        assert!(a[..la as usize] == b[..lb], "the default level is the same");
        assert!(inflated(&b[..lb], 15) == data && inflated(&c[..lc], 15) == data);
        let mut back = vec![0; n];
        let mut room = n as c_ulong;
        assert_eq!(uncompress(back.as_mut_ptr(), &mut room, b.as_ptr(), lb as c_ulong), 0);
        assert!(room == n as c_ulong && back == data);
        back.fill(0);
        let mut room = n;
        assert_eq!(uncompress_z(back.as_mut_ptr(), &mut room, b.as_ptr(), lb), 0);
        assert!(room == n && back == data);
        back.fill(0);
        let mut used = lb + 10;
        assert_eq!(uncompress2_z(back.as_mut_ptr(), &mut room, b.as_ptr(), &mut used), 0);
        assert!(room == n && back == data && used == lb, "what follows is not used");
        let mut room = n / 2;
        assert_eq!(uncompress_z(back.as_mut_ptr(), &mut room, b.as_ptr(), lb), -5);
    }
}

#[test]
fn streams_open_with_the_default_window() {
    let deflate_init = of!(deflateInit_: fn(*mut Stream, c_int, *const c_char, c_int) -> c_int);
    let inflate_init = of!(inflateInit_: fn(*mut Stream, *const c_char, c_int) -> c_int);
    let used = of!(deflateUsed: fn(*mut Stream, *mut c_int) -> c_int);
    let data = sample(0, 100_000, 3);
    let (mut out, mut back, mut bits) = (vec![0; 200_000], vec![0; 100_001], -1);
    let (mut s, mut r) = (Stream::new(), Stream::new());
    // SAFETY: streams and live buffers.
    unsafe {
        assert_eq!(deflate_init(&mut *s, 6, c"1.2.11".as_ptr(), 112), 0);
        s.feed(&data);
        s.room(&mut out);
        assert_eq!((ours().deflate)(&mut *s, 4), 1);
        assert_eq!(used(&mut *s, &mut bits), 0);
        assert!((0..=8).contains(&bits), "{bits}");
        assert_eq!(inflate_init(&mut *r, c"1.2.11".as_ptr(), 112), 0);
        r.feed(&out[..s.total_out as usize]);
        r.room(&mut back);
        assert_eq!((ours().inflate)(&mut *r, 0), 1);
        assert!(back[..100_000] == data[..]);
        assert_eq!([(ours().deflateEnd)(&mut *s), (ours().inflateEnd)(&mut *r)], [0, 0]);
        assert_eq!(inflate_init(&mut *r, c"2.0".as_ptr(), 112), -6);
        assert_eq!(deflate_init(&mut *s, 6, std::ptr::null(), 112), -6);
    }
}

#[test]
fn files_of_items_descriptors_and_wide_offsets() {
    let gzopen64 = of!(gzopen64: fn(*const c_char, *const c_char) -> File);
    let gzdopen = of!(gzdopen: fn(c_int, *const c_char) -> File);
    let gzfwrite = of!(gzfwrite: fn(*const u8, usize, usize, File) -> usize);
    let gzfread = of!(gzfread: fn(*mut u8, usize, usize, File) -> usize);
    let seek64 = of!(gzseek64: fn(File, i64, c_int) -> i64);
    let tell64 = of!(gztell64: fn(File) -> i64);
    let offset64 = of!(gzoffset64: fn(File) -> i64);
    let getc = of!(gzgetc_: fn(File) -> c_int);
    let (close_r, close_w) = (of!(gzclose_r: fn(File) -> c_int), of!(gzclose_w: fn(File) -> c_int));
    let room = common::Room::new();
    let path = CString::new(room.0.join("file.gz").to_str().expect("UTF-8 path")).unwrap();
    let data = sample(0, 60_000, 3);
    // SAFETY: open handles and live buffers.
    unsafe {
        let file = gzopen64(path.as_ptr(), c"wb".as_ptr());
        assert_eq!(gzfwrite(data.as_ptr(), 6, 10_000, file), 10_000);
        assert_eq!(gzfwrite(data.as_ptr(), usize::MAX, 2, file), 0, "too many to count");
        assert_eq!(close_r(file), -2, "not open for reading");
        assert_eq!(close_w(file), 0);
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY);
        let file = gzdopen(fd, c"rb".as_ptr());
        let mut back = vec![0; 60_010];
        assert_eq!(gzfread(back.as_mut_ptr(), 7, 100, file), 100);
        assert!(back[..700] == data[..700]);
        assert_eq!((tell64(file), getc(file)), (700, c_int::from(data[700])));
        assert_eq!(seek64(file, 59_995, libc::SEEK_SET), 59_995);
        assert_eq!(gzfread(back.as_mut_ptr(), 5, 3, file), 1, "whole items only are counted");
        assert_eq!(offset64(file), (ours().gzoffset)(file));
        assert_eq!(close_w(file), -2, "not open for writing");
        assert_eq!(close_r(file), 0);
    }
}
