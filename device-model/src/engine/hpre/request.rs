//! What a descriptor asks for: fields, widths and operand sizes (reference sections 1, 3, 4 and 5.6).

use super::super::{Context, Generation, Refusal, Rule, entry::Entry};
use super::Options;

/// Operations (section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// in^exponent mod n.
    Power,
    /// RSA private operation with a CRT key.
    Crt,
    /// (e, p, q) to (d, n), and with `crt` to (qinv, dq, dp) as well.
    KeyCompletion {
        crt: bool,
    },
    /// base^x mod p, with base 2 or the input.
    DiffieHellman {
        base_two: bool,
    },
    /// k·P on a Weierstrass curve.
    PointMultiply,
    EcdsaSign,
    EcdsaVerify,
    /// u(k·P) on a Montgomery curve.
    Ladder,
    Sm2Generate,
    /// `drawn`: the device supplies k (sm2_ksel).
    Sm2Sign {
        drawn: bool,
    },
    Sm2Verify,
    /// `message` in bytes.
    Sm2Encrypt {
        drawn: bool,
        message: usize,
    },
    Sm2Decrypt {
        message: usize,
    },
}

/// Bytes that a request reads at its key and input addresses and writes at its output address (section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) key: usize,
    pub(super) input: usize,
    pub(super) output: usize,
}

impl Operation {
    /// The operation of `alg`; None for a code without one, or without a known layout.
    pub(super) fn of(alg: u32, drawn: bool, message: usize) -> Option<Self> {
        Some(match alg {
            0x00 => Self::Power,
            0x01 => Self::Crt,
            0x02 | 0x03 => Self::KeyCompletion { crt: alg == 3 },
            0x04 | 0x05 => Self::DiffieHellman { base_two: alg == 4 },
            0x0D => Self::PointMultiply,
            0x0E => Self::EcdsaSign,
            0x0F => Self::EcdsaVerify,
            0x10 => Self::Ladder,
            0x11 => Self::Sm2Generate,
            0x12 => Self::Sm2Sign { drawn },
            0x13 => Self::Sm2Verify,
            0x14 => Self::Sm2Encrypt { drawn, message },
            0x15 => Self::Sm2Decrypt { message },
            _ => return None,
        })
    }

    /// RSA and DH, which both generations and queues of class 0 have; the others need V3 and class 1.
    fn is_modular(self) -> bool {
        matches!(self, Self::Power | Self::Crt | Self::KeyCompletion { .. } | Self::DiffieHellman { .. })
    }

    /// Slot widths, bytes (section 4).
    fn widths(self) -> &'static [usize] {
        match self {
            Self::Power | Self::Crt | Self::KeyCompletion { .. } => &[128, 256, 384, 512],
            Self::DiffieHellman { .. } => &[96, 128, 192, 256, 384, 512],
            Self::PointMultiply | Self::EcdsaSign | Self::EcdsaVerify => &[32, 48, 72],
            Self::Ladder => &[32, 72],
            _ => &[32],
        }
    }

    pub(super) fn sizes(self, w: usize) -> Sizes {
        let (key, input, output) = match self {
            Self::Power | Self::DiffieHellman { base_two: false } => (2 * w, w, w),
            Self::DiffieHellman { base_two: true } => (2 * w, 0, w),
            Self::Crt => (5 * w / 2, w, w),
            Self::KeyCompletion { crt: false } => (2 * w, 0, 2 * w),
            Self::KeyCompletion { crt: true } => (2 * w, 0, 7 * w / 2),
            Self::PointMultiply => (4 * w, 2 * w, 2 * w),
            Self::Sm2Sign { drawn: true } => (7 * w, w, 2 * w),
            Self::EcdsaSign | Self::Sm2Sign { drawn: false } => (7 * w, 2 * w, 2 * w),
            Self::EcdsaVerify | Self::Sm2Verify => (8 * w, 3 * w, 0),
            Self::Ladder => (3 * w, w, w),
            Self::Sm2Generate => (4 * w, 2 * w, 3 * w),
            Self::Sm2Encrypt { message, .. } => (8 * w, w + message, 3 * w + message),
            Self::Sm2Decrypt { message } => (4 * w, 3 * w + message, message),
        };
        Sizes { key, input, output }
    }

    /// For people, by what the descriptor shows: of a curve, only the slot it needs.
    pub(super) fn name(self, w: usize) -> String {
        let bits = match w {
            72 => 521,
            _ => 8 * w,
        };
        match self {
            Self::Power => format!("RSA-{bits}"),
            Self::Crt => format!("RSA-{bits} CRT"),
            Self::KeyCompletion { crt: false } => format!("RSA-{bits} key generation"),
            Self::KeyCompletion { crt: true } => format!("RSA-{bits} CRT key generation"),
            Self::DiffieHellman { base_two: false } => format!("DH-{bits}"),
            Self::DiffieHellman { base_two: true } => format!("DH-{bits} base 2"),
            Self::PointMultiply => format!("ECDH {bits}"),
            Self::EcdsaSign => format!("ECDSA {bits} sign"),
            Self::EcdsaVerify => format!("ECDSA {bits} verify"),
            Self::Ladder if w == 32 => "X25519".into(),
            Self::Ladder if w == 72 => "X448".into(),
            Self::Ladder => format!("X{bits}"),
            Self::Sm2Generate => "SM2 key generation".into(),
            Self::Sm2Sign { drawn: false } => "SM2 sign".into(),
            Self::Sm2Sign { drawn: true } => "SM2 sign, device k".into(),
            Self::Sm2Verify => "SM2 verify".into(),
            Self::Sm2Encrypt { drawn: false, .. } => "SM2 encrypt".into(),
            Self::Sm2Encrypt { drawn: true, .. } => "SM2 encrypt, device k".into(),
            Self::Sm2Decrypt { .. } => "SM2 decrypt".into(),
        }
    }
}

/// The operation code of an entry, its width W in bytes, and the operation if there is one.
pub(super) fn look(e: &Entry<'_>) -> (u32, usize, Option<Operation>) {
    let alg = e.bits(0, 4, 0);
    let width = 8 * (e.bits(4, 7, 0) as usize + 1);
    (alg, width, Operation::of(alg, e.bits(4, 25, 25) == 1, e.bits(40, 8, 0) as usize + 1))
}

/// A decoded descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    /// Slot width W, bytes.
    pub(super) width: usize,
    pub(super) key: u64,
    pub(super) input: u64,
    pub(super) output: u64,
}

/// Fields that every driver leaves 0 (sections 1.1 and 10): (offset, high bit, low bit, name). Bit 31 of dword 1, the
/// scheduling flag, is free (section 1.3).
const ALWAYS_ZERO: [(usize, u32, u32, &str); 15] = [
    (0, 15, 5, "etype"),
    (0, 29, 16, "etype1"),
    (4, 15, 8, "task_len2"),
    (4, 23, 16, "mrttest_num"),
    (4, 24, 24, "uwkey_enb"),
    (4, 26, 26, "sva_bypass"),
    (4, 30, 27, "sva_status"),
    (40, 15, 9, "reserved bits beside sm2_mlen"),
    (40, 19, 16, "uwkey_sel"),
    (40, 31, 20, "wrap_num and reserved bits"),
    (44, 31, 0, "kek_key"),
    (48, 31, 0, "reserved dword 12"),
    (52, 31, 0, "reserved dword 13"),
    (56, 31, 0, "reserved dword 14"),
    (60, 31, 0, "reserved dword 15"),
];

impl Request {
    pub(super) fn decode(e: &Entry<'_>, ctx: &Context<'_>, options: Options) -> Result<Self, Refusal> {
        let (alg, width, operation) = look(e);
        let Some(operation) = operation else {
            let rule = if alg < 0x16 { Rule::Unsupported } else { Rule::Type };
            return Err(rule.broken(format!("alg {alg:#04x} is not offered")));
        };
        if !operation.is_modular() && ctx.generation < Generation::V3 {
            let text = format!("alg {alg:#04x} is not offered on {:?}", ctx.generation);
            return Err(Rule::Unsupported.broken(text));
        }
        let done = e.bits(0, 31, 30);
        if done != 1 {
            return Err(Rule::Value.broken(format!("done is {done} at submission, must be 1")));
        }
        for (at, high, low, name) in ALWAYS_ZERO {
            e.must_be_zero(at, high, low, name)?;
        }
        if !matches!(operation, Operation::Sm2Sign { .. } | Operation::Sm2Encrypt { .. }) {
            e.must_be_zero(4, 25, 25, "sm2_ksel")?;
        }
        // With alg 0x0D the field is a private mark of drivers (section 1.4).
        if !matches!(
            operation,
            Operation::Sm2Encrypt { .. } | Operation::Sm2Decrypt { .. } | Operation::PointMultiply
        ) {
            e.must_be_zero(40, 8, 0, "sm2_mlen")?;
        }
        let class = u16::from(!operation.is_modular());
        if !options.any_class && ctx.qc_type != class {
            let text = format!("alg {alg:#04x} on a queue of class {}, must be {class}", ctx.qc_type);
            return Err(Rule::QueueClass.broken(text));
        }
        if !operation.widths().contains(&width) {
            let len = width / 8 - 1;
            let text = format!("task_len1 {len:#04x} (W = {width}) is no width of alg {alg:#04x}");
            return Err(Rule::Length.broken(text));
        }
        Ok(Self { operation, width, key: e.long(8), input: e.long(16), output: e.long(24) })
    }
}
