//! ZIP descriptor, 128 bytes (zip.md 2). One layout serves type 0 (V2) and type 3 (V3): they differ in the
//! type field and in the place of the tag.

use super::word::{Pair, code, descriptor, word};

code! {
    /// Status of a completed request, dw3[7:0] (zip.md 10).
    pub struct Status {
        SUCCESS = 0x00, "success";
        NEGATIVE_COMPRESSION = 0x0D, "negative compression: output not smaller than input, output valid";
        OUTPUT_FULL = 0x0E, "output space insufficient";
        SOURCE_DIF = 0x0F, "DIF check error on input";
        CHECK_VALUE = 0x10, "check value error, trailer mismatch";
        TARGET_DIF = 0x12, "DIF check error on uncompressed data";
        STREAM_END = 0x13, "decompression reached the end of the stream";
    }
}

code! {
    /// Kind of request, dw9[7:0] (zip.md 2.2).
    pub struct RequestType {
        RAW = 0x01, "raw deflate";
        ZLIB = 0x02, "zlib";
        GZIP = 0x03, "gzip";
    }
}

code! {
    /// State of a decompression stream, ctx_dw0[3:0] (zip.md 7.1).
    pub struct StreamState {
        IDLE = 0, "nothing special";
        OUTPUT_PENDING = 1, "decoded data did not fit, output pending";
        OUTPUT_RAN_OUT = 2, "output space ran out in the middle of decoding";
        BLOCK_NOT_STARTED = 3, "next block not started, bits cached";
        TRAILER_INCOMPLETE = 4, "payload finished, trailer not complete";
    }
}

/// dw7[31:28] of the V2 layout.
pub const TYPE_V2: u32 = 0;
/// dw7[31:28] of the V3 layout.
pub const TYPE_V3: u32 = 3;
/// dw9[15:12], history of a compression: 4, 8, 16 and 32 KiB (3 is 24 KiB).
pub const WINDOW_4K: u32 = 0;
/// 8 KiB.
pub const WINDOW_8K: u32 = 1;
/// 16 KiB.
pub const WINDOW_16K: u32 = 2;
/// 32 KiB.
pub const WINDOW_32K: u32 = 4;
/// Offset of the hardware area in the driver's context buffer; this address goes into dw22/23 (zip.md 7.2).
pub const CONTEXT_OFFSET: usize = 0x40;
/// Bytes of the hardware area; behind it drivers keep data of their own (zip.md 7.2).
pub const CONTEXT_AREA: usize = 0x97C0;
/// Size of the driver's context buffer (zip.md 7.2).
pub const CONTEXT_SIZE: usize = 0x1_0000;

word! {
    /// dw3, written back.
    pub struct Completion {
        /// A [`Status`].
        [7:0] STATUS,
        /// The last block was decoded.
        [8:8] LAST_BLOCK,
    }
}

word! {
    /// dw7.
    pub struct Control {
        /// Bytes to skip at the start of the input SGL.
        [23:0] INPUT_OFFSET,
        /// Compression: this request ends the stream.
        [25:25] FLUSH,
        /// Stateful.
        [26:26] STREAM_MODE,
        /// First request of a stream.
        [27:27] STREAM_NEW,
        /// [`TYPE_V2`] or [`TYPE_V3`].
        [31:28] SQE_TYPE,
    }
}

word! {
    /// dw8.
    pub struct Output {
        /// Bytes to skip at the start of the output SGL.
        [23:0] OUTPUT_OFFSET,
    }
}

word! {
    /// dw9.
    pub struct Kind {
        /// A [`RequestType`].
        [7:0] REQUEST_TYPE,
        /// 0 flat, 1 SGL.
        [11:8] BUFFER_TYPE,
        /// History size code.
        [15:12] WINDOW,
        /// Storage use only.
        [31:16] ALIGN_SIZE,
    }
}

word! {
    /// dw15, stream state.
    pub struct Context0 {
        /// A [`StreamState`].
        [3:0] STATE,
        /// The current block is the last one.
        [7:7] FINAL_BLOCK,
        /// Input bits held in the context but not yet decoded.
        [15:10] CACHED_BITS,
    }
}

word! {
    /// dw28, stream state.
    pub struct Context1 {
        /// Bytes left of a stored block.
        [18:0] STORED_LEFT,
    }
}

word! {
    /// dw29, stream state.
    pub struct Context2 {
        /// History bytes kept in the context.
        [15:0] WINDOW_LENGTH,
    }
}

descriptor! {
    /// The descriptor, named as in zip.md 2.
    pub struct Sqe: 128 {
        /// dw0: input bytes used.
        0x00 consumed: u32,
        /// dw1: output bytes written.
        0x04 produced: u32,
        /// dw2: LZ77 only.
        0x08 comp_data_length: u32,
        /// dw3: status.
        0x0C result: Completion,
        /// dw4: input bytes.
        0x10 input_data_length: u32,
        /// dw5, dw6: storage use only.
        0x14 lba: Pair,
        /// dw7: flags and type.
        0x1C control: Control,
        /// dw8: output offset.
        0x20 output: Output,
        /// dw9: format, buffer type, window.
        0x24 kind: Kind,
        /// dw10: storage use only.
        0x28 dif: u32,
        /// dw11: storage use only.
        0x2C priv_info: u32,
        /// dw12: storage use only.
        0x30 dif2: u32,
        /// dw13: tag of the V2 layout; LZ77 literal capacity of the V3 layout.
        0x34 tag_v2: u32,
        /// dw14: output capacity.
        0x38 dest_avail_out: u32,
        /// dw15: stream state.
        0x3C ctx0: Context0,
        /// dw16, dw17: unused.
        0x40 comp_head: Pair,
        /// dw18, dw19: input.
        0x48 source: Pair,
        /// dw20, dw21: output.
        0x50 dest: Pair,
        /// dw22, dw23: stream context.
        0x58 stream_ctx: Pair,
        /// dw24, dw25: LZ77 literals.
        0x60 literals: Pair,
        /// dw26: tag of the V3 layout.
        0x68 tag_v3: u32,
        /// dw27: upper tag, 0.
        0x6C tag_v3_high: u32,
        /// dw28: stream state.
        0x70 ctx1: Context1,
        /// dw29: stream state.
        0x74 ctx2: Context2,
        /// dw30: uncompressed length of the stream modulo 2^32.
        0x78 isize: u32,
        /// dw31: running check value (zip.md 6).
        0x7C checksum: u32,
    }
}

impl Sqe {
    /// Whether `self`, written back, still carries every input of `sent`. The columns "In" without "WB" of
    /// zip.md 2 must come back unchanged; dw2 is a result (of LZ77 requests) and not looked at.
    pub fn answers(&self, sent: &Sqe) -> bool {
        let inputs = |sqe: &Sqe| Sqe {
            consumed: 0,
            produced: 0,
            comp_data_length: 0,
            result: Completion(0),
            ctx0: Context0(0),
            ctx1: Context1(0),
            ctx2: Context2(0),
            isize: 0,
            checksum: 0,
            ..*sqe
        };
        inputs(self) == inputs(sent)
    }

    /// The status field.
    pub fn status(&self) -> Status {
        Status(self.result.get(Completion::STATUS))
    }
}
