//! The two security descriptors as one record: type 2 (V2, reference section 3) and type 3 (V3, section 4).
//!
//! A field that only one type has reads 0 from the other. Every bit of both types belongs to exactly one field
//! (a test counts them), so that [`Fields::only`] can demand 0 of all that a request does not use.

use crate::engine::entry::Entry;
use crate::engine::{Generation, Refusal, Rule};

/// Bytes of a descriptor of either type.
pub(super) const SIZE: usize = 128;

/// First byte of what the engine writes; sections 3 and 4 let drivers submit it as zero.
pub(super) const WRITEBACK: usize = 112;

/// Where a field is: bits `high..=low` counted from the 32-bit word (or, above bit 31, the 64-bit word) at `byte`.
type Place = (usize, u32, u32);

macro_rules! fields {
    ($($(#[doc = $doc:literal])* $name:ident: $type2:expr, $type3:expr;)+) => {
        /// The fields of a descriptor, raw.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) struct Fields {
            pub(super) generation: Generation,
            $($(#[doc = $doc])* pub(super) $name: u64,)+
        }

        /// Name, place in type 2, place in type 3.
        const TABLE: &[(&str, Option<Place>, Option<Place>)] = &[$((stringify!($name), $type2, $type3),)+];

        impl Fields {
            /// Reads all fields, whatever they hold.
            pub(super) fn read(e: &Entry<'_>, generation: Generation) -> Self {
                let value = |type2: Option<Place>, type3: Option<Place>| {
                    let place = if generation == Generation::V2 { type2 } else { type3 };
                    place.map_or(0, |place| get(e, place))
                };
                Self { generation, $($name: value($type2, $type3),)+ }
            }

            fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

fn get(e: &Entry<'_>, (byte, high, low): Place) -> u64 {
    if high > 31 { e.long(byte) } else { u64::from(e.bits(byte, high, low)) }
}

fields! {
    kind: Some((0, 3, 0)), Some((0, 3, 0));
    /// 1: do nothing, just complete.
    invalid: Some((4, 31, 31)), Some((0, 4, 4));
    /// Direction: 0 none, 1 encrypt, 2 decrypt, 3 copy (5.1).
    cipher: Some((0, 5, 4)), Some((4, 1, 0));
    /// Authentication: 0 none, 1 calculate, 2 verify (5.1).
    auth: Some((0, 7, 6)), Some((56, 1, 0));
    /// 0 cipher then digest, 1 digest then cipher.
    seq: Some((0, 8, 8)), Some((4, 30, 30));
    /// 1: the destination address is in use; 0: the result replaces the source.
    de: Some((0, 10, 9)), Some((0, 10, 9));
    scene: Some((0, 14, 11)), Some((0, 8, 5));
    src_addr_type: Some((0, 17, 15)), Some((0, 13, 11));
    dst_addr_type: Some((0, 20, 18)), Some((0, 16, 14));
    mac_addr_type: Some((0, 23, 21)), Some((0, 19, 17));
    reserved_dw0: Some((0, 31, 24)), Some((0, 31, 20));
    nonce_len: Some((4, 3, 0)), Some((4, 27, 24));
    huk: Some((4, 4, 4)), Some((4, 28, 28));
    key_s: Some((4, 5, 5)), None;
    ci_gen: Some((4, 7, 6)), Some((4, 3, 2));
    /// Where the authentication state comes from: 0 initial value, 1 a_ivin_addr (5.4).
    ai_gen: Some((4, 9, 8)), Some((56, 3, 2));
    /// 0 pad, 1 do not pad. On V3 auth_pad, part of the stream layout (scene 7).
    a_pad: Some((4, 11, 10)), Some((108, 1, 0));
    c_s: Some((4, 13, 12)), None;
    reserved_byte5: Some((4, 15, 14)), None;
    rhf: Some((4, 16, 16)), None;
    c_key_type: Some((4, 18, 17)), None;
    a_key_type: Some((4, 20, 19)), None;
    write_frame_len: Some((4, 23, 21)), None;
    cal_iv_addr_en: Some((4, 24, 24)), Some((4, 29, 29));
    tls_up: Some((4, 25, 25)), None;
    reserved_byte7: Some((4, 30, 26)), Some((4, 31, 31));
    /// Words.
    mac_len: Some((8, 4, 0)), Some((56, 8, 4));
    /// Words.
    a_key_len: Some((8, 10, 5)), Some((56, 14, 9));
    a_alg: Some((8, 16, 11)), Some((56, 20, 15));
    reserved_dw2: Some((8, 31, 17)), None;
    /// CCM and GCM tag, bytes.
    c_icv_len: Some((12, 5, 0)), Some((4, 9, 4));
    c_width: Some((12, 8, 6)), Some((4, 12, 10));
    c_key_len: Some((12, 11, 9)), Some((4, 15, 13));
    c_mode: Some((12, 15, 12)), Some((4, 19, 16));
    c_alg: Some((12, 19, 16)), Some((4, 23, 20));
    reserved_dw3: Some((12, 31, 20)), None;
    /// Bytes to authenticate.
    a_len: Some((16, 23, 0)), Some((68, 23, 0));
    iv_offset_l: Some((16, 31, 24)), None;
    auth_key_offset: None, Some((68, 31, 24));
    /// Bytes to encrypt or decrypt.
    c_len: Some((20, 23, 0)), Some((72, 23, 0));
    iv_offset_h: Some((20, 31, 24)), None;
    auth_ivin_offset: None, Some((72, 31, 24));
    auth_src_offset: Some((24, 15, 0)), Some((64, 15, 0));
    cipher_src_offset: Some((24, 31, 16)), Some((64, 31, 16));
    cs_ip_header_offset: Some((28, 15, 0)), None;
    cs_udp_header_offset: Some((28, 31, 16)), None;
    pass_word_len: Some((32, 15, 0)), None;
    dk_len: Some((32, 31, 16)), None;
    salt: Some((36, 31, 0)), Some((60, 31, 0));
    tag: Some((40, 15, 0)), Some((8, 63, 0));
    reserved_byte42: Some((40, 31, 16)), None;
    c_pad: Some((44, 17, 0)), None;
    reserved_dw11: Some((44, 31, 18)), None;
    reserved_dw10: None, Some((40, 63, 0));
    /// Bits in a whole message. On V3 part of the stream layout (scene 7).
    long_a_data_len: Some((48, 63, 0)), Some((100, 63, 0));
    key_sel: None, Some((56, 24, 21));
    /// Counter width, or the standard of SM4-XTS (7.6, 7.7).
    ctr_count_mode: None, Some((56, 26, 25));
    /// A hint without effect.
    sva_prefetch: None, Some((56, 27, 27));
    key_wrap_num: None, Some((56, 30, 28));
    update_key: None, Some((56, 31, 31));
    stream_protocol: None, Some((108, 4, 2));
    mac_sel: None, Some((108, 5, 5));
    reserved_byte108: None, Some((108, 7, 6));
    plaintext_type: None, Some((108, 15, 8));
    pad_len_1p3: None, Some((108, 31, 16));
    a_ivin_addr: Some((56, 63, 0)), Some((32, 63, 0));
    a_key_addr: Some((64, 63, 0)), Some((24, 63, 0));
    mac_addr: Some((72, 63, 0)), Some((84, 63, 0));
    c_ivin_addr: Some((80, 63, 0)), Some((92, 63, 0));
    c_key_addr: Some((88, 63, 0)), Some((48, 63, 0));
    data_src_addr: Some((96, 63, 0)), Some((16, 63, 0));
    data_dst_addr: Some((104, 63, 0)), Some((76, 63, 0));
}

/// Fields that any request may set: what it is, and what the engine hands back or ignores.
const COMMON: &[&str] = &["kind", "scene", "tag", "sva_prefetch"];

impl Fields {
    /// The checks that come before any meaning: type and write-back area.
    pub(super) fn check_frame(&self, e: &Entry<'_>) -> Result<(), Refusal> {
        let expected = if self.generation == Generation::V2 { 2 } else { 3 };
        if self.kind != expected {
            let text = format!("descriptor type {}, {:?} takes {expected}", self.kind, self.generation);
            return Err(Rule::Type.broken(text));
        }
        for at in (WRITEBACK..SIZE).step_by(4) {
            e.must_be_zero(at, 31, 0, "writeback area")?;
        }
        Ok(())
    }

    /// Refuses every non-zero field outside [`COMMON`] and `used`.
    pub(super) fn only(&self, used: &[&[&str]]) -> Result<(), Refusal> {
        let known = |name: &str| COMMON.contains(&name) || used.iter().any(|list| list.contains(&name));
        match self.values().find(|(name, value)| *value != 0 && !known(name)) {
            None => Ok(()),
            Some((name, value)) => Err(Rule::Reserved.broken(self.describe(name, value))),
        }
    }

    fn describe(&self, name: &str, value: u64) -> String {
        let (_, type2, type3) =
            TABLE.iter().find(|(known, ..)| *known == name).expect("names are the table's");
        let place = if self.generation == Generation::V2 { type2 } else { type3 };
        let (byte, high, low) = place.expect("a field without a place reads 0");
        format!("{name} (byte {byte:#x}, bits {high}:{low}) is {value:#x}, must be 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_bit_of_both_types_belongs_to_exactly_one_field() {
        for (generation, kind) in [(Generation::V2, 2), (Generation::V3, 3)] {
            for bit in 0..WRITEBACK * 8 {
                let mut raw = [0; SIZE];
                raw[bit / 8] = 1 << (bit % 8);
                let fields = Fields::read(&Entry::new(&mut raw, SIZE).unwrap(), generation);
                let set: Vec<_> = fields.values().filter(|(_, value)| *value != 0).collect();
                assert_eq!(set.len(), 1, "type {kind} byte {} bit {}: {set:?}", bit / 8, bit % 8);
                assert!(set[0].1.is_power_of_two());
            }
        }
    }

    #[test]
    fn no_field_reaches_into_the_write_back_area() {
        for (name, type2, type3) in TABLE {
            for (byte, high, _) in [type2, type3].into_iter().flatten() {
                assert!(byte + *high as usize / 8 < WRITEBACK, "{name}");
            }
        }
    }
}
