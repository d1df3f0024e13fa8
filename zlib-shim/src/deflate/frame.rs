//! What stands around and between deflate data: headers, trailers, stored blocks, bounds.

use warpdrive_core::engine::zip::Format;
use zlib_rs::deflate::Strategy;

use crate::soft::deflate::Params;

/// The first two bytes of a zlib stream (RFC 1950), and the dictionary's identity if there is one.
pub fn zlib_header(params: Params, dictionary: Option<u32>) -> Vec<u8> {
    let fast = params.strategy as i32 >= Strategy::HuffmanOnly as i32 || params.level < 2;
    let flevel = match params.level {
        _ if fast => 0,
        ..6 => 1,
        6 => 2,
        _ => 3,
    };
    let cmf = 8 | ((params.window_bits as u16 - 8) << 4);
    let head = cmf << 8 | flevel << 6 | if dictionary.is_some() { 0x20 } else { 0 };
    let head = head + (31 - head % 31);
    let mut out = head.to_be_bytes().to_vec();
    out.extend(dictionary.iter().flat_map(|id| id.to_be_bytes()));
    out
}

/// The XFL byte of a gzip header.
pub fn xfl(params: Params) -> u8 {
    if params.level == 9 {
        2
    } else if params.strategy as i32 >= Strategy::HuffmanOnly as i32 || params.level < 2 {
        4
    } else {
        0
    }
}

/// The trailer behind the final block: nothing, Adler-32, or CRC-32 and length.
pub fn trailer(format: Format, check: u32, total_in: u64) -> Vec<u8> {
    match format {
        Format::Raw => Vec::new(),
        Format::Zlib => check.to_be_bytes().to_vec(),
        Format::Gzip => [check.to_le_bytes(), (total_in as u32).to_le_bytes()].concat(),
    }
}

/// Length of the trailer.
pub const fn trailer_len(format: Format) -> usize {
    match format {
        Format::Raw => 0,
        Format::Zlib => 4,
        Format::Gzip => 8,
    }
}

/// An empty stored block, not final: what a sync flush ends with when the output is on a byte boundary.
pub const SYNC_MARK: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// An empty final block with fixed codes.
pub const EMPTY_FINAL: [u8; 2] = [3, 0];

const STORED_MAX: usize = 65535;

/// Length of [`stored`]'s output for `n > 0` bytes of input.
pub const fn stored_len(n: usize) -> usize {
    n + 5 * n.div_ceil(STORED_MAX)
}

/// Writes `data` as stored blocks into `out` (at least [`stored_len`] bytes), the last one final if `last`;
/// returns the length.
pub fn stored(data: &[u8], last: bool, out: &mut [u8]) -> usize {
    let mut at = 0;
    let blocks = data.len().div_ceil(STORED_MAX);
    for (i, block) in data.chunks(STORED_MAX).enumerate() {
        let length = block.len() as u16;
        out[at] = u8::from(last && i + 1 == blocks);
        out[at + 1..at + 3].copy_from_slice(&length.to_le_bytes());
        out[at + 3..at + 5].copy_from_slice(&(!length).to_le_bytes());
        out[at + 5..at + 5 + block.len()].copy_from_slice(block);
        at += 5 + block.len();
    }
    at
}

/// zlib's `compressBound`.
pub const fn compress_bound(n: u64) -> u64 {
    n.wrapping_add(n >> 12).wrapping_add(n >> 14).wrapping_add(n >> 25).wrapping_add(13)
}

/// zlib's `deflateBound`, without (`None`) or with the stream's parameters and the length of its wrapper.
pub fn deflate_bound(n: u64, stream: Option<(Params, u64)>) -> u64 {
    // Fixed codes throughout, and stored blocks of the smallest size, as zlib estimates them.
    let fixed = n.wrapping_add(n >> 3).wrapping_add(n >> 8).wrapping_add(n >> 9).wrapping_add(4);
    let stored = n.wrapping_add(n >> 5).wrapping_add(n >> 7).wrapping_add(n >> 11).wrapping_add(7);
    let Some((params, wrapper)) = stream else { return fixed.max(stored).wrapping_add(6) };
    let hash_bits = params.mem_level + 7;
    if params.window_bits == 15 && hash_bits == 15 {
        return compress_bound(n).wrapping_sub(6).wrapping_add(wrapper);
    }
    // Level 0 in large buffers: the smaller estimate lacks a block's header on tiny inputs.
    let body = match (params.window_bits <= hash_bits, params.level) {
        (true, 0) => fixed.max(stored),
        (true, _) => fixed,
        (false, _) => stored,
    };
    body.wrapping_add(wrapper)
}

/// zlib's guess at the kind of data from its first bytes: 1 (text) or 0 (binary).
pub fn data_type(sample: &[u8]) -> i32 {
    const TEXT: i32 = 1;
    const BINARY: i32 = 0;
    // The control characters that no text file has: all below 32 but 7 to 13, 26 and 27.
    // Looked at in pieces without a way out, which the compiler makes one comparison of many bytes of.
    let control = |&b: &u8| matches!(b, 0..=6 | 14..=25 | 28..=31);
    if sample.chunks(256).any(|piece| piece.iter().fold(false, |found, byte| found | control(byte))) {
        return BINARY;
    }
    if sample.iter().any(|&b| matches!(b, 9 | 10 | 13 | 32..)) { TEXT } else { BINARY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(level: i32, window_bits: i32) -> Params {
        Params { level, strategy: Strategy::Default, window_bits, mem_level: 8 }
    }

    #[test]
    fn zlib_headers_are_those_of_every_level() {
        for (level, bytes) in
            [(1, [0x78, 0x01]), (2, [0x78, 0x5e]), (5, [0x78, 0x5e]), (6, [0x78, 0x9c]), (9, [0x78, 0xda])]
        {
            assert_eq!(zlib_header(params(level, 15), None), bytes);
        }
        assert_eq!(zlib_header(params(6, 9), None), [0x18, 0x95]);
        assert_eq!(zlib_header(params(6, 15), Some(0x0102_0304)), [0x78, 0xbb, 1, 2, 3, 4]);
    }

    #[test]
    fn stored_blocks_inflate_to_their_data() {
        for n in [1, 2, 65_535, 65_536, 200_000] {
            let data: Vec<u8> = (0..n).map(|i| i as u8).collect();
            let mut out = vec![0; stored_len(n)];
            assert_eq!(stored(&data, true, &mut out), out.len());
            let mut back = vec![0; n];
            let (got, code) =
                zlib_rs::decompress_slice(&mut back, &out, zlib_rs::InflateConfig { window_bits: -15 });
            assert_eq!((got.len(), code), (n, zlib_rs::ReturnCode::Ok));
            assert_eq!(back, data);
        }
    }

    #[test]
    fn bound_of_stored_chunks_holds() {
        // What the device path makes at most of one finishing call: stored blocks in pieces of 64 KiB.
        for n in [1u64, 100, 65_535, 65_536, 1 << 20, (1 << 24) + 3] {
            let pieces = n.div_ceil(65_536);
            assert!(n + 5 * n.div_ceil(65_535).max(pieces) + 6 <= compress_bound(n), "{n}");
        }
    }
}
