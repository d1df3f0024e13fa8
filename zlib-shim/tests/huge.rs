//! Streams of more than 4 GiB, made from nothing: the counts of 64 bits, the trailer's count of 32, and check values.
//! Long: part of `make zlib-differential`.
#![allow(unsafe_code, missing_docs)]

mod common;

use common::{Stream, deflate_init, inflate_init, ours};

/// Input of one call, and how many calls: 4.25 GiB.
const PIECE: usize = 64 << 20;
const PIECES: u64 = 68;

#[test]
#[ignore = "minutes: make zlib-differential"]
fn gzip_streams_beyond_4_gib() {
    let api = ours();
    let mut piece = vec![0u8; PIECE];
    piece[..8].copy_from_slice(b"not only");
    // SAFETY: a live buffer.
    let one = unsafe { (api.crc32)(0, piece.as_ptr(), PIECE as u32) };
    let (mut s, mut r, mut sum) = (Stream::new(), Stream::new(), 0);
    assert_eq!(deflate_init(api, &mut s, 1, 31, 8, 0), 0);
    assert_eq!(inflate_init(api, &mut r, 47), 0);
    let (mut packed, mut back, mut tail) = (vec![0; 1 << 20], vec![0; PIECE], Vec::new());
    for n in 1..=PIECES {
        s.feed(&piece);
        // SAFETY: open streams and live buffers throughout.
        unsafe {
            sum = (api.crc32_combine)(sum, one, PIECE as i64);
            loop {
                s.room(&mut packed);
                let code = (api.deflate)(&mut *s, if n == PIECES { 4 } else { 0 });
                let made = packed.len() - s.avail_out as usize;
                tail.extend_from_slice(&packed[..made]);
                tail.drain(..tail.len().saturating_sub(8));
                r.feed(&packed[..made]);
                loop {
                    r.room(&mut back);
                    let code = (api.inflate)(&mut *r, 0);
                    assert!(matches!(code, 0 | 1 | -5), "{code} {}", r.message());
                    if code != 0 || r.avail_in == 0 && r.avail_out != 0 {
                        break;
                    }
                }
                if s.avail_out != 0 || code == 1 {
                    break;
                }
                assert_eq!(code, 0, "{}", s.message());
            }
        }
        assert_eq!(s.total_in, n * PIECE as u64);
    }
    let total = PIECES * PIECE as u64;
    assert!(total > 1 << 32);
    assert_eq!((r.total_out, r.total_in), (total, s.total_out));
    assert_eq!((s.adler, r.adler), (sum, sum));
    assert_eq!(tail, [(sum as u32).to_le_bytes(), (total as u32).to_le_bytes()].concat(), "CRC-32 and ISIZE");
    // SAFETY: open streams.
    unsafe { assert_eq!([(api.deflateEnd)(&mut *s), (api.inflateEnd)(&mut *r)], [0, 0]) };
}

#[test]
#[ignore = "minutes: make zlib-differential"]
fn gzip_streams_beyond_4_gib_on_the_device() {
    let counted = common::again_on_the_model("gzip_streams_beyond_4_gib", &[]);
    let total = PIECES * PIECE as u64;
    assert!(counted.core["device.zip.compress.bytes"] * 100 > total * 99, "{:?}", counted.core);
    assert!(counted.core["device.zip.decompress.requests"] > 0, "{:?}", counted.core);
}
