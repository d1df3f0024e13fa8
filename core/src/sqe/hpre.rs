//! HPRE descriptor, 64 bytes (hpre.md 1).

use super::word::{Pair, code, descriptor, word};

code! {
    /// Operation, dword 0 [4:0] (hpre.md 3).
    pub struct Opcode {
        NC_NCRT = 0x00, "RSA, plain exponentiation";
        NC_CRT = 0x01, "RSA, private operation with CRT key";
        KG_STD = 0x02, "RSA key completion";
        KG_CRT = 0x03, "RSA key completion with CRT values";
        DH_G2 = 0x04, "DH with base 2";
        DH = 0x05, "DH";
        ECDH_MULTIPLY = 0x0D, "multiplication of a curve point";
        ECDSA_SIGN = 0x0E, "ECDSA signature";
        ECDSA_VERIFY = 0x0F, "ECDSA verification";
        X_DH_MULTIPLY = 0x10, "X25519 or X448";
        SM2_KEY_GEN = 0x11, "SM2 key generation";
        SM2_SIGN = 0x12, "SM2 signature";
        SM2_VERIFY = 0x13, "SM2 verification";
        SM2_ENCRYPT = 0x14, "SM2 encryption";
        SM2_DECRYPT = 0x15, "SM2 decryption";
    }
}

/// dword 0 [31:30] as the driver writes it.
pub const DONE_SUBMITTED: u32 = 1;
/// dword 0 [31:30] as the hardware writes it on completion.
pub const DONE_COMPLETED: u32 = 3;
/// etype1 bit for an address-translation or prefetch error (hpre.md 1.1).
pub const ETYPE1_SVA: u32 = 1 << 5;

word! {
    /// dword 0.
    pub struct Task {
        /// An [`Opcode`].
        [4:0] ALG,
        /// Error type, 0 = none. Written back.
        [15:5] ETYPE,
        /// Second error field, 0 = none. Written back.
        [29:16] ETYPE1,
        /// Progress. Written back.
        [31:30] DONE,
    }
}

word! {
    /// dword 1.
    pub struct Sizes {
        /// W/8 − 1 for the slot width W in bytes (hpre.md 4).
        [7:0] TASK_LEN1,
        /// Always 0.
        [15:8] TASK_LEN2,
        /// Always 0.
        [23:16] MRTTEST_NUM,
        /// Always 0.
        [24:24] UWKEY_ENB,
        /// SM2: the hardware draws k.
        [25:25] SM2_KSEL,
        /// Always 0.
        [26:26] SVA_BYPASS,
        /// Prefetch status. Written back.
        [30:27] SVA_STATUS,
        /// Scheduling on the extra cores.
        [31:31] BD_RSV2,
    }
}

word! {
    /// dword 10.
    pub struct Sm2 {
        /// SM2: message length − 1.
        [8:0] SM2_MLEN,
        /// Always 0.
        [19:16] UWKEY_SEL,
        /// Always 0.
        [22:20] WRAP_NUM,
    }
}

descriptor! {
    /// The descriptor, named as in hpre.md 1.1.
    pub struct Sqe: 64 {
        /// dword 0: operation, errors, progress.
        0 task: Task,
        /// dword 1: slot width.
        4 sizes: Sizes,
        /// dwords 2, 3: key image.
        8 key: Pair,
        /// dwords 4, 5: input.
        16 input: Pair,
        /// dwords 6, 7: output.
        24 output: Pair,
        /// dwords 8, 9: returned unchanged.
        32 tag: Pair,
        /// dword 10: SM2.
        40 sm2: Sm2,
        /// dword 11: always 0.
        44 kek_key: u32,
        /// dwords 12 to 15: always 0.
        48 reserved: [u32; 4],
    }
}

impl Sqe {
    /// Whether `self`, written back, still carries every input of `sent` (column "dir" of hpre.md 1.1, for
    /// operations other than verify).
    pub fn answers(&self, sent: &Sqe) -> bool {
        let inputs = |sqe: &Sqe| Sqe {
            task: sqe.task.with(Task::ETYPE, 0).with(Task::ETYPE1, 0).with(Task::DONE, 0),
            sizes: sqe.sizes.with(Sizes::SVA_STATUS, 0),
            ..*sqe
        };
        inputs(self) == inputs(sent)
    }

    /// Completed without error (hpre.md 12, item 7).
    pub fn succeeded(&self) -> bool {
        self.task.get(Task::DONE) == DONE_COMPLETED
            && self.task.get(Task::ETYPE) == 0
            && self.task.get(Task::ETYPE1) == 0
    }
}
