//! The two security descriptors: type 2 (V2) and type 3 (V3), decoded into one request (reference sections 3 to 5).

use super::modes::{Carry, Doubling, Stealing};
use crate::engine::Generation;
use crate::engine::entry::Entry;

/// Bytes of a descriptor of either type.
pub(super) const SIZE: usize = 128;
/// Longest cipher data, bytes (reference 7.4).
const LONGEST: u32 = 0xFF_FE00;

/// Error values (section 12.2 suggests them; the hardware's are not known).
pub(super) mod error {
    pub(in super::super) const TYPE: u8 = 0x01;
    pub(in super::super) const UNSUPPORTED: u8 = 0x02;
    pub(in super::super) const LENGTH: u8 = 0x03;
    pub(in super::super) const KEY_LENGTH: u8 = 0x04;
    pub(in super::super) const LIST: u8 = 0x05;
    pub(in super::super) const ADDRESS: u8 = 0x06;
    /// A field that must be 0 is not, or has a value outside its table.
    pub(in super::super) const FIELD: u8 = 0x07;
    /// The fault plan's error behind a partial output.
    pub(in super::super) const INJECTED: u8 = 0x08;
}

/// A refusal: error value and the field's name with its value.
pub(super) type Refusal = (u8, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Aes,
    Sm4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Ecb,
    Cbc,
    Cfb,
    Ofb,
    Ctr(Carry),
    Xts(Doubling),
    CbcCs(Stealing),
}

/// A plain cipher request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) algorithm: Algorithm,
    pub(super) mode: Mode,
    pub(super) encrypt: bool,
    /// Bytes of one key (XTS has two).
    pub(super) key_len: usize,
    pub(super) len: u32,
    pub(super) key: u64,
    pub(super) iv: u64,
    /// Bytes to skip at the start of source and target.
    pub(super) offset: u64,
    pub(super) source: Side,
    pub(super) target: Side,
}

/// Where data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) addr: u64,
    pub(super) sgl: bool,
}

/// What a descriptor asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    /// The invalid bit: complete and touch nothing.
    Nothing,
    Cipher(Request),
}

/// The raw fields that both types have, at their different places.
struct Fields {
    cipher: u32,
    auth: u32,
    scene: u32,
    de: u32,
    source_type: u32,
    target_type: u32,
    c_width: u32,
    c_key_len: u32,
    c_mode: u32,
    c_alg: u32,
    counter: Option<u32>,
    len: u32,
    offset: u32,
    key: u64,
    iv: u64,
    source: u64,
    target: u64,
}

type ZeroField = (usize, u32, u32, &'static str);

/// Type 2 fields that a cipher request leaves 0: (offset, high bit, low bit, name).
const ZERO_TYPE_2: [ZeroField; 25] = [
    (0, 23, 21, "mac_addr_type"),
    (0, 31, 24, "reserved byte 3"),
    (4, 3, 0, "nonce_len"),
    (4, 4, 4, "huk"),
    (4, 5, 5, "key_s"),
    (4, 7, 6, "ci_gen"),
    (4, 15, 8, "ai_gen, a_pad, c_s and reserved bits"),
    (4, 16, 16, "rhf"),
    (4, 18, 17, "c_key_type"),
    (4, 20, 19, "a_key_type"),
    (4, 23, 21, "write_frame_len"),
    (4, 24, 24, "cal_iv_addr_en"),
    (4, 25, 25, "tls_up"),
    (4, 30, 26, "byte 7 reserved bits"),
    (12, 31, 20, "reserved bits of dw3"),
    (16, 31, 24, "iv_offset_l"),
    (20, 31, 24, "iv_offset_h"),
    (28, 15, 0, "cs_ip_header_offset"),
    (28, 31, 16, "cs_udp_header_offset"),
    (32, 31, 0, "pass_word_len, dk_len"),
    (36, 31, 0, "salt"),
    (40, 31, 16, "reserved half at byte 42"),
    (44, 31, 0, "c_pad fields"),
    (48, 31, 0, "long_a_data_len low"),
    (52, 31, 0, "long_a_data_len high"),
];

/// Type 3 fields that a cipher request leaves 0.
const ZERO_TYPE_3: [ZeroField; 17] = [
    (0, 19, 17, "mac_addr_type"),
    (0, 31, 20, "reserved bits of dw0"),
    (4, 3, 2, "ci_gen"),
    (4, 27, 24, "nonce_len"),
    (4, 28, 28, "huk"),
    (4, 29, 29, "cal_iv_addr_en"),
    (4, 31, 31, "byte 7 reserved bit"),
    (40, 31, 0, "reserved dword 10"),
    (44, 31, 0, "reserved dword 11"),
    (56, 24, 21, "key_sel"),
    (56, 30, 28, "key_wrap_num"),
    (56, 31, 31, "update_key"),
    (60, 31, 0, "salt"),
    (68, 31, 24, "auth_key_offset"),
    (72, 31, 24, "auth_ivin_offset"),
    (100, 31, 0, "reserved dword 25"),
    (104, 31, 0, "reserved dword 26"),
];

/// Authentication fields, which a plain cipher leaves 0.
const AUTH_TYPE_2: [ZeroField; 6] = [
    (0, 8, 8, "seq"),
    (8, 4, 0, "mac_len"),
    (8, 10, 5, "a_key_len"),
    (8, 31, 11, "a_alg and reserved bits"),
    (16, 23, 0, "a_len"),
    (24, 15, 0, "auth_src_offset"),
];
const AUTH_TYPE_3: [ZeroField; 7] = [
    (4, 30, 30, "seq"),
    (56, 3, 2, "ai_gen"),
    (56, 8, 4, "mac_len"),
    (56, 14, 9, "a_key_len"),
    (56, 20, 15, "a_alg"),
    (68, 23, 0, "a_len"),
    (64, 15, 0, "auth_src_offset"),
];

impl Task {
    /// Decodes and checks.
    pub(super) fn decode(e: &Entry<'_>, generation: Generation) -> Result<Self, Refusal> {
        let (expected, invalid) = match generation {
            Generation::V2 => (2, e.bits(4, 31, 31)),
            Generation::V3 => (3, e.bits(0, 4, 4)),
        };
        let found = e.bits(0, 3, 0);
        if found != expected {
            return Err((error::TYPE, format!("descriptor type {found}, {generation:?} takes {expected}")));
        }
        for at in [112, 116, 120, 124] {
            e.must_be_zero(at, 31, 0, "writeback area").map_err(|text| (error::FIELD, text))?;
        }
        if invalid == 1 {
            return Ok(Self::Nothing);
        }
        let fields = Fields::read(e, generation);
        if fields.auth != 0 {
            let what = if fields.cipher == 0 { "digest or MAC" } else { "cipher with authentication" };
            return Err((error::UNSUPPORTED, format!("auth is {}: {what} is not modelled yet", fields.auth)));
        }
        if fields.cipher == 0 || fields.cipher == 3 {
            return Err((error::FIELD, format!("cipher direction is {}, must be 1 or 2", fields.cipher)));
        }
        fields.check_algorithm(generation)?;
        let zero = |list: &[ZeroField]| -> Result<(), Refusal> {
            list.iter()
                .try_for_each(|(at, high, low, name)| e.must_be_zero(*at, *high, *low, name))
                .map_err(|text| (error::FIELD, text))
        };
        match generation {
            Generation::V2 => zero(&ZERO_TYPE_2).and_then(|()| zero(&AUTH_TYPE_2))?,
            Generation::V3 => zero(&ZERO_TYPE_3).and_then(|()| zero(&AUTH_TYPE_3))?,
        }
        let icv = if generation == Generation::V2 { (12, 5, 0) } else { (4, 9, 4) };
        zero(&[(icv.0, icv.1, icv.2, "c_icv_len")])?;
        if generation == Generation::V3 {
            zero(&[(108, 31, 0, "reserved dword 27")])?;
        }
        fields.request().map(Self::Cipher)
    }
}

impl Fields {
    fn read(e: &Entry<'_>, generation: Generation) -> Self {
        match generation {
            Generation::V2 => Self {
                cipher: e.bits(0, 5, 4),
                auth: e.bits(0, 7, 6),
                scene: e.bits(0, 14, 11),
                de: e.bits(0, 10, 9),
                source_type: e.bits(0, 17, 15),
                target_type: e.bits(0, 20, 18),
                c_width: e.bits(12, 8, 6),
                c_key_len: e.bits(12, 11, 9),
                c_mode: e.bits(12, 15, 12),
                c_alg: e.bits(12, 19, 16),
                counter: None,
                len: e.bits(20, 23, 0),
                offset: e.bits(24, 31, 16),
                key: e.long(88),
                iv: e.long(80),
                source: e.long(96),
                target: e.long(104),
            },
            Generation::V3 => Self {
                cipher: e.bits(4, 1, 0),
                auth: e.bits(56, 1, 0),
                scene: e.bits(0, 8, 5),
                de: e.bits(0, 10, 9),
                source_type: e.bits(0, 13, 11),
                target_type: e.bits(0, 16, 14),
                c_width: e.bits(4, 12, 10),
                c_key_len: e.bits(4, 15, 13),
                c_mode: e.bits(4, 19, 16),
                c_alg: e.bits(4, 23, 20),
                counter: Some(e.bits(56, 26, 25)),
                len: e.bits(72, 23, 0),
                offset: e.bits(64, 31, 16),
                key: e.long(48),
                iv: e.long(92),
                source: e.long(16),
                target: e.long(76),
            },
        }
    }

    /// Algorithm and mode that this model has at all (before the fields that belong to them are looked at).
    fn check_algorithm(&self, generation: Generation) -> Result<(), Refusal> {
        let refuse = |text: String| Err((error::UNSUPPORTED, text));
        match self.c_alg {
            2 | 3 => {}
            0 | 1 => return refuse(format!("c_alg {} (DES, 3DES) is not modelled yet", self.c_alg)),
            other => return refuse(format!("c_alg {other} is unknown")),
        }
        match self.c_mode {
            0 | 1 | 4 | 7 => Ok(()),
            2 | 3 | 9 if generation >= Generation::V3 => Ok(()),
            2 | 3 | 9 => refuse(format!("c_mode {} is not offered on {generation:?}", self.c_mode)),
            5 | 6 => refuse(format!("c_mode {} (CCM, GCM) is not modelled yet", self.c_mode)),
            other => refuse(format!("c_mode {other} is unknown")),
        }
    }

    fn request(&self) -> Result<Request, Refusal> {
        let field = |text: String| Err((error::FIELD, text));
        let length = |text: String| Err((error::LENGTH, text));
        // Scenes 0 (Linux, OP-TEE) and 1 (UADK) are alike; the others belong to other operations.
        if self.scene > 1 {
            return field(format!("scene {} with a plain cipher, must be 0 or 1", self.scene));
        }
        if self.de > 1 {
            return field(format!("de is {}, must be 0 or 1", self.de));
        }
        let algorithm = if self.c_alg == 2 { Algorithm::Aes } else { Algorithm::Sm4 };
        let key_len = match (algorithm, self.c_key_len) {
            (Algorithm::Aes, 1) if self.c_mode == 7 => {
                return Err((error::KEY_LENGTH, "c_key_len 1 (192 bits) with XTS".into()));
            }
            (Algorithm::Aes, 0..=2) => 16 + 8 * self.c_key_len as usize,
            (Algorithm::Sm4, 0) => 16,
            (_, other) => {
                return Err((error::KEY_LENGTH, format!("c_key_len {other} with {algorithm:?}")));
            }
        };
        let counter = self.counter.unwrap_or(2);
        // With SM4-XTS the field selects the standard, and 3 means IEEE like 0 and 2 (7.7); elsewhere 1 and 3 mean nothing.
        if matches!(counter, 1 | 3) && (self.c_mode, algorithm) != (7, Algorithm::Sm4) {
            return field(format!("ctr_count_mode {counter} with c_mode {} is undefined", self.c_mode));
        }
        let mode = match (self.c_mode, self.c_width) {
            (9, 1) => Mode::CbcCs(Stealing::Cs1),
            (9, 2) => Mode::CbcCs(Stealing::Cs2),
            (9, 3) => Mode::CbcCs(Stealing::Cs3),
            (9, other) => return field(format!("c_width {other} with ciphertext stealing, must be 1 to 3")),
            (_, other) if other != 0 => return field(format!("c_width {other} without ciphertext stealing")),
            (0, _) => Mode::Ecb,
            (1, _) => Mode::Cbc,
            (2, _) => Mode::Cfb,
            (3, _) => Mode::Ofb,
            (4, _) => Mode::Ctr(if counter == 0 { Carry::Low32 } else { Carry::All128 }),
            _ => Mode::Xts(if self.counter == Some(1) { Doubling::Gb } else { Doubling::Ieee }),
        };
        let (least, multiple) = match mode {
            Mode::Ecb | Mode::Cbc => (16, 16),
            Mode::Xts(_) => (16, 1),
            Mode::CbcCs(_) if algorithm == Algorithm::Aes => (17, 1),
            Mode::CbcCs(_) => (16, 1),
            Mode::Cfb | Mode::Ofb | Mode::Ctr(_) => (1, 1),
        };
        if self.len < least || self.len > LONGEST || !self.len.is_multiple_of(multiple) {
            return length(format!(
                "c_len {:#x} with {mode:?}: from {least} to {LONGEST:#x}, multiple of {multiple}",
                self.len
            ));
        }
        let side = |name: &str, kind: u32, addr: u64| match kind {
            0 => Ok(Side { addr, sgl: false }),
            1 => Ok(Side { addr, sgl: true }),
            other => Err((error::FIELD, format!("{name} address type {other}, must be 0 or 1"))),
        };
        let source = side("source", self.source_type, self.source)?;
        let target = match self.de {
            0 => source,
            _ => side("destination", self.target_type, self.target)?,
        };
        Ok(Request {
            algorithm,
            mode,
            encrypt: self.cipher == 1,
            key_len,
            len: self.len,
            key: self.key,
            iv: self.iv,
            offset: u64::from(self.offset),
            source,
            target,
        })
    }
}
