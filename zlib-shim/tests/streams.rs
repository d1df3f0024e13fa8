//! What programs do with streams beside compressing: tiny buffers, abandoning, copying, forking, threads, their
//! own allocators, other libraries' streams. In software and on the device model.
#![allow(unsafe_code, missing_docs)]

mod common;

use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{
    Stream, again_on_the_model, deflate_init, deflated, inflate_init, inflated, ours, sample, theirs,
};

/// Compresses with pieces of `step` input and `space` output, flushing now and then.
fn deflate_slowly(data: &[u8], bits: i32, step: usize, space: usize) -> Vec<u8> {
    let (api, mut s) = (ours(), Stream::new());
    assert_eq!(deflate_init(api, &mut s, 6, bits, 8, 0), 0);
    let (mut out, mut room, mut at) = (Vec::new(), vec![0; space], 0);
    loop {
        let n = step.min(data.len() - at);
        s.feed(&data[at..at + n]);
        at += n;
        let flush = if at == data.len() {
            4
        } else if space > 6 && (at / step) % 50 == 49 {
            // With less space zlib, too, would write one mark after another.
            2
        } else {
            0
        };
        loop {
            s.room(&mut room);
            // SAFETY: an open stream and live buffers.
            let code = unsafe { (api.deflate)(&mut *s, flush) };
            out.extend_from_slice(&room[..space - s.avail_out as usize]);
            match code {
                1 => {
                    // SAFETY: an open stream.
                    assert_eq!(unsafe { (api.deflateEnd)(&mut *s) }, 0);
                    return out;
                }
                0 | -5 => {}
                code => panic!("{code} {}", s.message()),
            }
            if s.avail_in == 0 && s.avail_out != 0 && flush != 4 {
                break;
            }
        }
    }
}

fn inflate_slowly(input: &[u8], bits: i32, step: usize, space: usize) -> Vec<u8> {
    let (api, mut s) = (ours(), Stream::new());
    assert_eq!(inflate_init(api, &mut s, bits), 0);
    let (mut out, mut room, mut at) = (Vec::new(), vec![0; space], 0);
    loop {
        if s.avail_in == 0 {
            let n = step.min(input.len() - at);
            s.feed(&input[at..at + n]);
            at += n;
        }
        s.room(&mut room);
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (api.inflate)(&mut *s, 0) };
        out.extend_from_slice(&room[..space - s.avail_out as usize]);
        match code {
            1 => break,
            0 => {}
            code => panic!("{code} {}", s.message()),
        }
    }
    // SAFETY: an open stream.
    assert_eq!(unsafe { (api.inflateEnd)(&mut *s) }, 0);
    out
}

#[test]
fn one_byte_in_and_one_byte_out() {
    for kind in 0..4 {
        let data = sample(kind, 3000, 21);
        for bits in [15, 31, -15] {
            assert!(inflated(&deflate_slowly(&data, bits, 1, 1), bits) == data);
            let input = deflated(theirs(), &data, 6, bits);
            assert!(inflate_slowly(&input, bits, 1, 1) == data);
            // Large pieces into one byte, and one byte at a time into much.
            assert!(inflate_slowly(&input, bits, input.len(), 1) == data);
            assert!(inflate_slowly(&input, bits, 1, 5000) == data);
            assert!(inflated(&deflate_slowly(&data, bits, 3000, 1), bits) == data);
        }
    }
}

#[test]
fn one_byte_at_a_time_on_the_device() {
    for faults in ["", "zip:status=0x0b@%5"] {
        let counted =
            again_on_the_model("one_byte_in_and_one_byte_out", &[("WARPDRIVE_MODEL_FAULTS", faults)]);
        assert!(counted.core["device.zip.compress.requests"] > 10, "{:?}", counted.core);
        assert!(counted.core["device.zip.decompress.requests"] > 10, "{:?}", counted.core);
    }
}

#[test]
fn one_call_never_exceeds_the_bound() {
    for length in [0, 1, 2, 100, 5000, 65_536, 200_001, 3 << 20] {
        for kind in [0, 1] {
            let data = sample(kind, length, 4);
            for level in [0, 1, 2, 6, 9] {
                for bits in [15, 31, -15, 12, 9] {
                    // Asserts the return code with exactly deflateBound's space.
                    let made = deflated(ours(), &data, level, bits);
                    assert!(inflated(&made, bits) == data, "{length} {kind} {level} {bits}");
                }
            }
        }
    }
}

#[test]
fn one_call_on_the_device_never_exceeds_the_bound() {
    let counted = again_on_the_model("one_call_never_exceeds_the_bound", &[]);
    assert!(counted.core["device.zip.compress.bytes"] > 10 << 20, "{:?}", counted.core);
}

#[test]
fn abandoned_and_misused_streams_are_told() {
    let api = ours();
    let data = sample(0, 100_000, 8);
    let mut room = vec![0; 200_000];
    let mut s = Stream::new();
    // SAFETY: streams and buffers as each line needs them.
    unsafe {
        assert_eq!(deflate_init(api, &mut s, 6, 15, 8, 0), 0);
        s.feed(&data);
        s.room(&mut room);
        assert_eq!((api.deflate)(&mut *s, 0), 0);
        assert_eq!((api.inflate)(&mut *s, 0), -2, "a deflate stream is no inflate stream");
        assert_eq!((api.inflateEnd)(&mut *s), -2);
        let mut moved = Stream::new();
        std::ptr::copy_nonoverlapping(&*s, &mut *moved, 1);
        assert_eq!((api.deflate)(&mut *moved, 4), -2, "a moved stream is refused, as zlib does");
        assert_eq!((api.deflateEnd)(&mut *s), -3, "data was left inside");
        assert_eq!((api.deflateEnd)(&mut *s), -2, "closed already");
        assert_eq!((api.deflate)(std::ptr::null_mut(), 0), -2);
        assert_eq!((api.inflateEnd)(std::ptr::null_mut()), -2);
        assert_eq!((api.deflateCopy)(std::ptr::null_mut(), &mut *s), -2);
        assert_eq!((api.deflateInit2_)(&mut *s, 6, 8, 15, 8, 0, c"2.0".as_ptr(), 112), -6);
        assert_eq!((api.deflateInit2_)(&mut *s, 6, 8, 15, 8, 0, c"1.2.11".as_ptr(), 88), -6);
        assert_eq!((api.deflateInit2_)(&mut *s, 6, 8, 15, 8, 0, std::ptr::null(), 112), -6);
    }
}

#[test]
fn abandoned_streams_on_the_device_are_told() {
    again_on_the_model("abandoned_and_misused_streams_are_told", &[]);
}

static LIVE: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static REFUSE: AtomicUsize = AtomicUsize::new(usize::MAX);

unsafe extern "C" fn count_alloc(_: *mut c_void, items: c_uint, size: c_uint) -> *mut c_void {
    if CALLS.fetch_add(1, Ordering::SeqCst) >= REFUSE.load(Ordering::SeqCst) {
        return std::ptr::null_mut();
    }
    LIVE.fetch_add(1, Ordering::SeqCst);
    // SAFETY: malloc has no precondition.
    unsafe { libc::malloc(items as usize * size as usize) }
}

unsafe extern "C" fn count_free(_: *mut c_void, address: *mut c_void) {
    LIVE.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: from count_alloc.
    unsafe { libc::free(address) }
}

#[test]
fn a_programs_allocator_is_used_and_given_back_everything() {
    let api = ours();
    let data = sample(0, 50_000, 3);
    let input = deflated(theirs(), &data, 6, 15);
    for refuse in [0, 1, 2, 3, usize::MAX] {
        REFUSE.store(refuse, Ordering::SeqCst);
        for inflating in [false, true] {
            CALLS.store(0, Ordering::SeqCst);
            let (mut s, mut room) = (Stream::new(), vec![0; 100_000]);
            s.zalloc = Some(count_alloc);
            s.zfree = Some(count_free);
            let code = if inflating {
                inflate_init(api, &mut s, 15)
            } else {
                deflate_init(api, &mut s, 6, 15, 8, 0)
            };
            if code == 0 {
                assert!(CALLS.load(Ordering::SeqCst) > 0, "the allocator was asked");
                s.room(&mut room);
                s.feed(if inflating { &input } else { &data });
                // SAFETY: open streams and live buffers.
                unsafe {
                    let (step, end) =
                        if inflating { (api.inflate, api.inflateEnd) } else { (api.deflate, api.deflateEnd) };
                    assert_eq!(step(&mut *s, 4), 1);
                    assert_eq!(end(&mut *s), 0);
                }
            } else {
                assert!(code == -4 && refuse < 3, "{code} at {refuse}");
                assert!(s.state.is_null());
            }
            assert_eq!(LIVE.load(Ordering::SeqCst), 0, "all is given back");
        }
    }
}

/// Runs `f` in a forked child; whether it went well there.
fn in_child(f: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only compresses and leaves by _exit.
    unsafe {
        match libc::fork() {
            0 => {
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(false);
                libc::_exit(i32::from(!done));
            }
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
            }
        }
    }
}

#[test]
fn a_stream_goes_on_in_parent_and_forked_child() {
    let api = ours();
    let data = sample(3, 600_000, 8);
    let input = deflated(theirs(), &data, 6, 31);
    for (cut, bits) in [(100, 15), (300_000, 31), (300_000, -15)] {
        let (mut s, mut room) = (Stream::new(), vec![0; 1 << 20]);
        assert_eq!(deflate_init(api, &mut s, 6, bits, 8, 0), 0);
        let (mut r, mut back) = (Stream::new(), vec![0; data.len() + 1000]);
        assert_eq!(inflate_init(api, &mut r, 31), 0);
        s.room(&mut room);
        s.feed(&data[..cut]);
        r.room(&mut back);
        r.feed(&input[..cut.min(input.len() / 2)]);
        // SAFETY: open streams and live buffers.
        unsafe {
            assert_eq!((api.deflate)(&mut *s, 2), 0);
            assert_eq!((api.inflate)(&mut *r, 0), 0);
        }
        let mut go_on = || {
            s.feed(&data[cut..]);
            r.feed(&input[r.total_in as usize..]);
            // SAFETY: as above.
            let codes = unsafe { [(api.deflate)(&mut *s, 4), (api.inflate)(&mut *r, 0)] };
            let made = s.total_out as usize;
            codes == [1, 1] && inflated(&room[..made], bits) == data && back[..data.len()] == data[..]
        };
        assert!(in_child(&mut go_on), "the child goes on");
        assert!(go_on(), "the parent goes on");
        // SAFETY: open streams.
        unsafe { assert_eq!([(api.deflateEnd)(&mut *s), (api.inflateEnd)(&mut *r)], [0, 0]) };
    }
}

#[test]
fn a_stream_on_the_device_goes_on_in_parent_and_forked_child() {
    let counted = again_on_the_model("a_stream_goes_on_in_parent_and_forked_child", &[]);
    assert!(counted.core["device.zip.compress.requests"] > 3, "{:?}", counted.core);
}

#[test]
fn threads_compress_side_by_side() {
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            scope.spawn(move || {
                for round in 0..6 {
                    let data = sample(round, 70_000 + thread as usize * 1000, thread);
                    let bits = [15, 31, -15][round as usize % 3];
                    let made = deflated(ours(), &data, 6, bits);
                    assert!(inflate_slowly(&made, bits, 4096, 5000) == data);
                }
            });
        }
    });
}

#[test]
fn threads_on_the_device_compress_side_by_side() {
    let counted = again_on_the_model("threads_compress_side_by_side", &[]);
    assert_eq!(counted.core["device.zip.compress.requests"], counted.model["zip.compress.requests"]);
    assert!(counted.core["device.zip.compress.requests"] > 40, "{:?}", counted.core);
}

#[test]
fn a_stream_of_another_library_goes_to_that_library() {
    if std::env::var_os("ON_THE_MODEL").is_none() {
        let library = common::built("libwarpdrive_z.so");
        common::again(
            "a_stream_of_another_library_goes_to_that_library",
            &format!("{}:{}", library.display(), common::system_zlib()),
            &[],
        );
        return;
    }
    let data = sample(0, 10_000, 1);
    let (mut s, mut room) = (Stream::new(), vec![0; 20_000]);
    assert_eq!(deflate_init(theirs(), &mut s, 6, 15, 8, 0), 0);
    s.feed(&data);
    s.room(&mut room);
    // SAFETY: an open stream and live buffers; ours passes it on.
    unsafe {
        assert_eq!((ours().deflate)(&mut *s, 4), 1);
        assert!(inflated(&room[..s.total_out as usize], 15) == data);
        assert_eq!((ours().deflateReset)(&mut *s), 0);
        assert_eq!((ours().deflateEnd)(&mut *s), 0);
    }
}

#[test]
fn small_pieces_into_small_spaces() {
    for round in 0..6u64 {
        // of zeros, a byte of input makes more output than there is space for
        let data = sample([2, 3][round as usize % 2], 40_000 + round as usize * 1001, round);
        for bits in [15, 31, -15] {
            let input = deflated(theirs(), &data, 6, bits);
            for (step, space) in [(48, 97), (1, 300), (3, 405), (6, 1525)] {
                let back = inflate_slowly(&input, bits, step, space);
                let first = back.iter().zip(&data).position(|(ours, good)| ours != good);
                let lengths = (back.len(), data.len());
                assert!(back == data, "{round} {bits} {step} {space}: {lengths:?}, other at {first:?}");
            }
        }
    }
}

#[test]
fn small_pieces_are_right_when_a_device_fails_with_its_output_full() {
    for faults in
        ["zip.decompress:partial@%29", "zip.decompress:status=0x0b@p0.005,seed=3", "zip.decompress:reset@%53"]
    {
        // the device is back at once, so that many streams meet their fault
        let rest =
            ["WARPDRIVE_BREAKER_COOLDOWN_MS", "WARPDRIVE_BREAKER_COOLDOWN_MAX_MS"].map(|key| (key, "1"));
        let env = [("WARPDRIVE_MODEL_FAULTS", faults), common::EVERY_FAULT, rest[0], rest[1]];
        let counted = again_on_the_model("small_pieces_into_small_spaces", &env);
        assert!(counted.core["software.failed"] > 0, "{faults}: {:?}", counted.core);
    }
}
