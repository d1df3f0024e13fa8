//! SEC descriptors, 128 bytes: BD type 2 (V2, sec.md 3) and BD type 3 (V3, sec.md 4). The tables give bytes;
//! here every field stands in the 32-bit word that holds it.

use super::word::{Pair, code, descriptor, word};

code! {
    /// Cipher, c_alg (sec.md 5.5).
    pub struct CipherAlg {
        DES = 0, "DES";
        TRIPLE_DES = 1, "3DES";
        AES = 2, "AES";
        SM4 = 3, "SM4";
    }
}

code! {
    /// Mode of operation, c_mode (sec.md 5.5).
    pub struct CipherMode {
        ECB = 0, "ECB";
        CBC = 1, "CBC";
        CFB = 2, "CFB";
        OFB = 3, "OFB";
        CTR = 4, "CTR";
        CCM = 5, "CCM";
        GCM = 6, "GCM";
        XTS = 7, "XTS";
        CBC_CS = 9, "CBC with ciphertext stealing";
    }
}

code! {
    /// Direction, cipher (sec.md 5.1).
    pub struct CipherAction {
        NONE = 0, "none";
        ENCRYPT = 1, "encrypt";
        DECRYPT = 2, "decrypt";
    }
}

code! {
    /// Key length, c_key_len (sec.md 5.5). In XTS that of one of the two keys; SM4 is 0.
    pub struct KeyLength {
        BITS_128 = 0, "128 bits";
        BITS_192 = 1, "192 bits";
        BITS_256 = 2, "256 bits";
    }
}

/// BD type of V2.
pub const TYPE_V2: u32 = 2;
/// BD type of V3.
pub const TYPE_V3: u32 = 3;
/// Scene of ciphers (sec.md 5.2).
pub const SCENE_CIPHER: u32 = 1;
/// The result goes to data_dst_addr.
pub const DESTINATION_USED: u32 = 1;
/// ctr_count_mode: all 128 bits roll over (sec.md 7.6).
pub const COUNTER_128: u32 = 2;
/// Longest flat request that carries the translation hint on V3 (sec.md 11.1).
pub const PREFETCH_MAX: u32 = 0x6000;
/// Success of a cipher: the cipher unit has finished (sec.md 10.1).
pub const FLAG_CIPHER: u32 = 2;

word! {
    /// BD 2, dw0.
    pub struct Head2 {
        /// BD type.
        [3:0] TYPE,
        /// A [`CipherAction`].
        [5:4] CIPHER,
        /// Authentication action.
        [7:6] AUTH,
        /// 0 cipher then digest.
        [8:8] SEQ,
        /// [`DESTINATION_USED`] or 0.
        [10:9] DE,
        /// Scene.
        [14:11] SCENE,
        /// 0 flat, 1 SGL.
        [17:15] SRC_ADDR_TYPE,
        /// 0 flat, 1 SGL.
        [20:18] DST_ADDR_TYPE,
        /// Always 0.
        [23:21] MAC_ADDR_TYPE,
    }
}

word! {
    /// BD 2, dw1.
    pub struct Sources2 {
        /// Always 0.
        [3:0] NONCE_LEN,
        /// Always 0.
        [4:4] HUK,
        /// Always 0.
        [5:5] KEY_S,
        /// Cipher IV source.
        [7:6] CI_GEN,
        /// Authentication IV source.
        [9:8] AI_GEN,
        /// Hash padding.
        [11:10] A_PAD,
        /// Checksum.
        [13:12] C_S,
        /// Always 0.
        [16:16] RHF,
        /// Cipher key source, 0 memory.
        [18:17] C_KEY_TYPE,
        /// Authentication key source, 0 memory.
        [20:19] A_KEY_TYPE,
        /// Always 0.
        [23:21] WRITE_FRAME_LEN,
        /// Always 0.
        [24:24] CAL_IV_ADDR_EN,
        /// Always 0.
        [25:25] TLS_UP,
        /// Do nothing, just complete.
        [31:31] INVALID,
    }
}

word! {
    /// BD 2, dw2.
    pub struct Mac2 {
        /// MAC length in words.
        [4:0] MAC_LEN,
        /// Authentication key length in words.
        [10:5] A_KEY_LEN,
        /// Authentication algorithm.
        [16:11] A_ALG,
    }
}

word! {
    /// BD 2, dw3.
    pub struct Cipher2 {
        /// CCM and GCM tag length in bytes.
        [5:0] C_ICV_LEN,
        /// Variant of ciphertext stealing.
        [8:6] C_WIDTH,
        /// A [`KeyLength`].
        [11:9] C_KEY_LEN,
        /// A [`CipherMode`].
        [15:12] C_MODE,
        /// A [`CipherAlg`].
        [19:16] C_ALG,
    }
}

word! {
    /// A length word: BD 2 dw4 and dw5, BD 3 dw17 and dw18.
    pub struct Length {
        /// Bytes.
        [23:0] BYTES,
        /// Always 0.
        [31:24] OFFSET,
    }
}

word! {
    /// Start offsets: BD 2 dw6, BD 3 dw16.
    pub struct Offsets {
        /// Start of authenticated data.
        [15:0] AUTH_SRC,
        /// Start of cipher data.
        [31:16] CIPHER_SRC,
    }
}

word! {
    /// BD 2, dw10.
    pub struct Tag2 {
        /// Returned unchanged.
        [15:0] TAG,
    }
}

word! {
    /// BD 3, dw0.
    pub struct Head3 {
        /// BD type.
        [3:0] TYPE,
        /// Do nothing, just complete.
        [4:4] BD_INVALID,
        /// Scene.
        [8:5] SCENE,
        /// [`DESTINATION_USED`] or 0.
        [10:9] DE,
        /// 0 flat, 1 SGL.
        [13:11] SRC_ADDR_TYPE,
        /// 0 flat, 1 SGL.
        [16:14] DST_ADDR_TYPE,
        /// Always 0.
        [19:17] MAC_ADDR_TYPE,
    }
}

word! {
    /// BD 3, dw1.
    pub struct Cipher3 {
        /// A [`CipherAction`].
        [1:0] CIPHER,
        /// Cipher IV source.
        [3:2] CI_GEN,
        /// CCM and GCM tag length in bytes.
        [9:4] C_ICV_LEN,
        /// Variant of ciphertext stealing.
        [12:10] C_WIDTH,
        /// A [`KeyLength`].
        [15:13] C_KEY_LEN,
        /// A [`CipherMode`].
        [19:16] C_MODE,
        /// A [`CipherAlg`].
        [23:20] C_ALG,
        /// Always 0.
        [27:24] NONCE_LEN,
        /// Always 0.
        [28:28] HUK,
        /// Always 0.
        [29:29] CAL_IV_ADDR_EN,
        /// 0 cipher then digest.
        [30:30] SEQ,
    }
}

word! {
    /// BD 3, dw14.
    pub struct Auth3 {
        /// Authentication action.
        [1:0] AUTH,
        /// Authentication IV source.
        [3:2] AI_GEN,
        /// MAC length in words.
        [8:4] MAC_LEN,
        /// Authentication key length in words.
        [14:9] A_KEY_LEN,
        /// Authentication algorithm.
        [20:15] A_ALG,
        /// Always 0.
        [24:21] KEY_SEL,
        /// Width of the counter's roll-over; SM4-XTS: standard.
        [26:25] CTR_COUNT_MODE,
        /// Hint to prefetch translations.
        [27:27] SVA_PREFETCH,
        /// Always 0.
        [30:28] KEY_WRAP_NUM,
        /// Always 0.
        [31:31] UPDATE_KEY,
    }
}

word! {
    /// BD 3, dw27, stream scene.
    pub struct Stream3 {
        /// Hash padding.
        [1:0] AUTH_PAD,
        /// Protocol.
        [4:2] STREAM_PROTOCOL,
        /// MAC selector.
        [5:5] MAC_SEL,
        /// TLS 1.3.
        [15:8] PLAINTEXT_TYPE,
        /// TLS 1.3.
        [31:16] PAD_LEN_1P3,
    }
}

word! {
    /// dw28 of both types, written back (sec.md 10.1, 10.2).
    pub struct Done {
        /// 1 = finished.
        [0:0] DONE,
        /// Tag check, 2 = mismatch.
        [3:1] ICV,
        /// Checksum check.
        [6:4] CSC,
        /// Which units finished.
        [10:7] FLAG,
        /// Storage check.
        [13:11] DIF_CHECK,
        /// 0 = no error.
        [23:16] ERROR_TYPE,
        /// Not read.
        [31:24] WARNING_TYPE,
    }
}

impl Done {
    /// A cipher request finished without error. The Linux driver demands the flag on both generations.
    pub const fn cipher_succeeded(self) -> bool {
        self.get(Done::DONE) == 1 && self.get(Done::ERROR_TYPE) == 0 && self.get(Done::FLAG) == FLAG_CIPHER
    }
}

descriptor! {
    /// BD type 2 (sec.md 3.1).
    pub struct Bd2: 128 {
        /// dw0.
        0 head: Head2,
        /// dw1.
        4 sources: Sources2,
        /// dw2.
        8 mac: Mac2,
        /// dw3.
        12 cipher: Cipher2,
        /// dw4: bytes to authenticate.
        16 a_len: Length,
        /// dw5: bytes to encrypt or decrypt.
        20 c_len: Length,
        /// dw6.
        24 offsets: Offsets,
        /// dw7: always 0.
        28 checksum_offsets: u32,
        /// dw8: PBKDF2.
        32 pbkdf2: u32,
        /// dw9: always 0.
        36 salt: u32,
        /// dw10.
        40 tag: Tag2,
        /// dw11: always 0.
        44 padding: u32,
        /// dw12, dw13: total message length in bits.
        48 long_a_data_len: Pair,
        /// dw14, dw15.
        56 a_ivin_addr: Pair,
        /// dw16, dw17.
        64 a_key_addr: Pair,
        /// dw18, dw19.
        72 mac_addr: Pair,
        /// dw20, dw21.
        80 c_ivin_addr: Pair,
        /// dw22, dw23.
        88 c_key_addr: Pair,
        /// dw24, dw25.
        96 data_src_addr: Pair,
        /// dw26, dw27.
        104 data_dst_addr: Pair,
        /// dw28, written back.
        112 done: Done,
        /// dw29 to dw31, written back, not read.
        116 results: [u32; 3],
    }
}

descriptor! {
    /// BD type 3 (sec.md 4.1), stream layout of bytes 92 to 111.
    pub struct Bd3: 128 {
        /// dw0.
        0 head: Head3,
        /// dw1.
        4 cipher: Cipher3,
        /// dw2, dw3.
        8 tag: Pair,
        /// dw4, dw5.
        16 data_src_addr: Pair,
        /// dw6, dw7.
        24 a_key_addr: Pair,
        /// dw8, dw9.
        32 a_ivin_addr: Pair,
        /// dw10, dw11: reserved.
        40 reserved: Pair,
        /// dw12, dw13.
        48 c_key_addr: Pair,
        /// dw14.
        56 auth: Auth3,
        /// dw15: always 0.
        60 salt: u32,
        /// dw16.
        64 offsets: Offsets,
        /// dw17: bytes to authenticate.
        68 a_len: Length,
        /// dw18: bytes to encrypt or decrypt.
        72 c_len: Length,
        /// dw19, dw20.
        76 data_dst_addr: Pair,
        /// dw21, dw22.
        84 mac_addr: Pair,
        /// dw23, dw24.
        92 c_ivin_addr: Pair,
        /// dw25, dw26: total message length in bits.
        100 long_a_data_len: Pair,
        /// dw27.
        108 stream: Stream3,
        /// dw28, written back.
        112 done: Done,
        /// dw29 to dw31, written back, not read.
        116 results: [u32; 3],
    }
}

impl Bd2 {
    /// Whether `self`, written back, still carries every input of `sent`: only bytes 112 to 127 may change.
    pub fn answers(&self, sent: &Bd2) -> bool {
        let inputs = |bd: &Bd2| Bd2 { done: Done(0), results: [0; 3], ..*bd };
        inputs(self) == inputs(sent)
    }
}

impl Bd3 {
    /// Whether `self`, written back, still carries every input of `sent`: only bytes 112 to 127 may change.
    pub fn answers(&self, sent: &Bd3) -> bool {
        let inputs = |bd: &Bd3| Bd3 { done: Done(0), results: [0; 3], ..*bd };
        inputs(self) == inputs(sent)
    }
}
