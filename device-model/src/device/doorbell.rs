//! A store to the MMIO region, as a doorbell (`qm.md` 4.1): pure decoding.

/// Where the doorbell register lies in the MMIO region (V2 and later).
const REGISTER: u32 = 0x1000;

/// A store to the MMIO region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Bytes from the start of the region.
    pub offset: u32,
    /// Bytes stored.
    pub width: u8,
    /// Value stored, zero-extended.
    pub value: u64,
}

/// Which ring a doorbell speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ring {
    /// New submission tail.
    Submission,
    /// New completion head; whether to arm the interrupt.
    Completion { arm: bool },
}

/// A doorbell whose fields make sense by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doorbell {
    pub(super) queue: u16,
    pub(super) ring: Ring,
    pub(super) index: u16,
}

impl Doorbell {
    /// Decodes a store; the error names what is wrong with it.
    pub(super) fn decode(store: Store) -> Result<Doorbell, String> {
        let Store { offset, width, value } = store;
        if offset != REGISTER || width != 8 {
            return Err(format!(
                "a store of {width} bytes at MMIO offset {offset:#x}: only 64-bit stores to {REGISTER:#x} are defined"
            ));
        }
        let field = |low: u32, bits: u32| (value >> low) & ((1 << bits) - 1);
        let bad = |what: &str| Err(format!("doorbell {value:#018x}: {what}"));
        if field(16, 16) != 0 {
            return bad("random data is not 0 (db random invalid)");
        }
        let arm = field(48, 1) == 1;
        let ring = match field(12, 4) {
            0 => Ring::Submission,
            1 => Ring::Completion { arm },
            _ => return bad("the command is neither SQ (0) nor CQ (1)"),
        };
        if field(49, 15) != 0 || (ring == Ring::Submission && arm) {
            return bad("priority bits are not 0");
        }
        Ok(Doorbell { queue: field(0, 12) as u16, ring, index: field(32, 16) as u16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(value: u64) -> Result<Doorbell, String> {
        Doorbell::decode(Store { offset: REGISTER, width: 8, value })
    }

    #[test]
    fn fields_are_where_the_table_says() {
        let bell = |queue, ring, index| Ok(Doorbell { queue, ring, index });
        assert_eq!(decode(0x0001_0123_0000_13ff), bell(0x3ff, Ring::Completion { arm: true }, 0x123));
        assert_eq!(decode(0x0000_ffff_0000_1000), bell(0, Ring::Completion { arm: false }, 0xffff));
        assert_eq!(decode(0x0000_0400_0000_0fff), bell(0xfff, Ring::Submission, 0x400));
    }

    #[test]
    fn what_no_table_defines_is_named() {
        for (value, what) in [
            (0x0000_0000_0001_0000, "random data"),
            (0x0000_0000_0000_2000, "command"),
            (0x0001_0000_0000_0000, "priority"),
            (0x8001_0000_0000_1000, "priority"),
        ] {
            assert!(decode(value).unwrap_err().contains(what), "{value:#x}");
        }
        for (offset, width) in [(REGISTER, 4), (REGISTER + 8, 8), (0, 8)] {
            assert!(Doorbell::decode(Store { offset, width, value: 0 }).is_err());
        }
    }
}
