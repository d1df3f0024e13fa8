//! UNSAFE: reads the program's `gz_header` behind its pointer.
#![expect(unsafe_code)]

use std::ffi::CStr;
use std::slice;

use zlib_rs::c_api::gz_header;
use zlib_rs::crc32::crc32;

/// The header that a program gave to `deflateSetHeader`, or none. It stays valid until it was written, as zlib
/// documents.
#[derive(Debug, Clone, Copy)]
pub struct Head(*mut gz_header);

/// A header's variable parts; name and comment with their NUL.
struct Parts<'a> {
    head: &'a gz_header,
    extra: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
    comment: Option<&'a [u8]>,
}

impl Head {
    /// No header given: zlib's standard one.
    pub const NONE: Head = Head(std::ptr::null_mut());

    /// Wraps the program's pointer.
    ///
    /// # Safety
    /// `head` is null or valid as zlib documents for `deflateSetHeader`, until the header was written.
    pub unsafe fn new(head: *mut gz_header) -> Self {
        Head(head)
    }

    fn parts(&self) -> Option<Parts<'_>> {
        // SAFETY: contract of new.
        let head = unsafe { self.0.as_ref() }?;
        let text = |p: *mut u8| {
            // SAFETY: not null; NUL-terminated by zlib's contract.
            (!p.is_null()).then(|| unsafe { CStr::from_ptr(p.cast()) }.to_bytes_with_nul())
        };
        let extra = (!head.extra.is_null()).then(|| {
            // SAFETY: extra points to extra_len bytes by zlib's contract; zlib writes the low 16 bits' worth.
            unsafe { slice::from_raw_parts(head.extra.cast_const(), (head.extra_len & 0xffff) as usize) }
        });
        Some(Parts { head, extra, name: text(head.name), comment: text(head.comment) })
    }

    /// The whole gzip header (RFC 1952) with the given XFL byte.
    pub fn bytes(&self, xfl: u8) -> Vec<u8> {
        let mut out = vec![0x1f, 0x8b, 8];
        let Some(Parts { head, extra, name, comment }) = self.parts() else {
            out.extend([0, 0, 0, 0, 0, xfl, gz_header::OS_CODE]);
            return out;
        };
        let flag = |set: bool, bit: u8| if set { 1 << bit } else { 0 };
        out.push(
            flag(head.text != 0, 0)
                | flag(head.hcrc != 0, 1)
                | flag(extra.is_some(), 2)
                | flag(name.is_some(), 3)
                | flag(comment.is_some(), 4),
        );
        out.extend((head.time as u32).to_le_bytes());
        out.extend([xfl, head.os as u8]);
        if let Some(extra) = extra {
            out.extend((extra.len() as u16).to_le_bytes());
            out.extend(extra);
        }
        out.extend(name.into_iter().chain(comment).flatten());
        if head.hcrc != 0 {
            let check = crc32(0, &out) as u16;
            out.extend(check.to_le_bytes());
        }
        out
    }

    /// Bytes that the program's header adds to the standard 10 and the trailer, as `deflateBound` counts them.
    pub fn extra_bytes(&self) -> u64 {
        let Some(Parts { head, extra, name, comment }) = self.parts() else { return 0 };
        let extra = if extra.is_some() { 2 + u64::from(head.extra_len) } else { 0 };
        extra
            + [name, comment].into_iter().flatten().map(|s| s.len() as u64).sum::<u64>()
            + if head.hcrc != 0 { 2 } else { 0 }
    }
}
