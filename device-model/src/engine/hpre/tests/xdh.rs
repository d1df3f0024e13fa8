//! X25519 and X448 with the numbers of RFC 7748, whose strings are little-endian.

use super::*;

/// The prime, a24 and the bytes of a coordinate; X25519 or X448.
pub(super) struct Ladder {
    width: usize,
    pub(super) bytes: usize,
    p: BigUint,
    a24: u32,
}

impl Ladder {
    pub(super) fn x25519() -> Self {
        Self { width: 32, bytes: 32, p: (BigUint::from(1u32) << 255) - 19u32, a24: 121_665 }
    }

    pub(super) fn x448() -> Self {
        let one = BigUint::from(1u32);
        Self { width: 72, bytes: 56, p: (&one << 448) - (&one << 224) - 1u32, a24: 39_081 }
    }

    fn case(&self, k: &BigUint, u: &BigUint) -> Case {
        let key = [slot(&self.p, self.width), slot(&self.a24.into(), self.width), slot(k, self.width)];
        Case::new(0x10, self.width, &key.concat(), &slot(u, self.width), self.width)
    }

    /// What a driver does (section 5.5): reverse, clamp, reduce.
    fn driver(&self, scalar: &[u8], u: &[u8]) -> (BigUint, BigUint) {
        let (mut k, mut u) = (scalar.to_vec(), u.to_vec());
        if self.bytes == 32 {
            k[0] &= 0xF8;
            k[31] = k[31] & 0x7F | 0x40;
            u[31] &= 0x7F;
        } else {
            k[0] &= 0xFC;
            k[55] |= 0x80;
        }
        (BigUint::from_bytes_le(&k), BigUint::from_bytes_le(&u) % &self.p)
    }

    pub(super) fn agree(&self, scalar: &[u8], u: &[u8]) -> Vec<u8> {
        let (k, u) = self.driver(scalar, u);
        let mut out = self.case(&k, &u).good();
        out.reverse();
        assert!(out[self.bytes..].iter().all(|byte| *byte == 0), "leading zero bytes");
        out.truncate(self.bytes);
        out
    }

    /// Section 5.2: k, u = X(k, u), k; from the base point.
    fn iterate(&self, base: u8, count: usize) -> Vec<u8> {
        let mut k = vec![0; self.bytes];
        k[0] = base;
        let mut u = k.clone();
        for _ in 0..count {
            let next = self.agree(&k, &u);
            u = std::mem::replace(&mut k, next);
        }
        k
    }
}

#[test]
fn rfc_7748_section_5_2_examples() {
    let curve = Ladder::x25519();
    for [k, u, out] in [
        [
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ],
        [
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ],
    ] {
        assert_eq!(curve.agree(&hex(k), &hex(u)), hex(out));
    }
    let curve = Ladder::x448();
    for [k, u, out] in [
        [
            "3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121700a779c984c24f8cdd78fbff44943eba368f54b29259a4f1c600ad3",
            "06fce640fa3487bfda5f6cf2d5263f8aad88334cbd07437f020f08f9814dc031ddbdc38c19c6da2583fa5429db94ada18aa7a7fb4ef8a086",
            "ce3e4ff95a60dc6697da1db1d85e6afbdf79b50a2412d7546d5f239fe14fbaadeb445fc66a01b0779d98223961111e21766282f73dd96b6f",
        ],
        [
            "203d494428b8399352665ddca42f9de8fef600908e0d461cb021f8c538345dd77c3e4806e25f46d3315c44e0a5b4371282dd2c8d5be3095f",
            "0fbcc2f993cd56d3305b0b7d9e55d4c1a8fb5dbb52f8e9a1e9b6201b165d015894e56c4d3570bee52fe205e28a78b91cdfbde71ce8d157db",
            "884a02576239ff7a2f2f63b2db6a9ff37047ac13568e1e30fe63c4a7ad1b3ee3a5700df34321d62077e63633c575c1c954514e99da7c179d",
        ],
    ] {
        assert_eq!(curve.agree(&hex(k), &hex(u)), hex(out));
    }
}

#[test]
fn rfc_7748_iterated() {
    let curve = Ladder::x25519();
    assert_eq!(curve.iterate(9, 1), hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
    assert_eq!(
        curve.iterate(9, 1000),
        hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")
    );
    let curve = Ladder::x448();
    assert_eq!(
        curve.iterate(5, 1),
        hex(
            "3f482c8a9f19b01e6c46ee9711d9dc14fd4bf67af30765c2ae2b846a4d23a8cd0db897086239492caf350b51f833868b9bc2b3bca9cf4113"
        )
    );
    assert_eq!(
        curve.iterate(5, 1000),
        hex(
            "aa3b4749d55b9daf1e5b00288826c467274ce3ebbdd5c17b975e09d4af6c67cf10d087202db88286e2b79fceea3ec353ef54faa26e219f38"
        )
    );
}

#[test]
fn rfc_7748_section_6_key_agreement() {
    for (curve, base, keys) in [
        (
            Ladder::x25519(),
            9,
            [
                "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
                "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
                "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
                "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
            ],
        ),
        (
            Ladder::x448(),
            5,
            [
                "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
                "9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0",
                "1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d",
                "3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609",
                "07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24403085d59a449a5037514a879d",
            ],
        ),
    ] {
        let [a, pa, b, pb, z] = keys.map(hex);
        let mut g = vec![0; curve.bytes];
        g[0] = base;
        assert_eq!(curve.agree(&a, &g), pa);
        assert_eq!(curve.agree(&b, &g), pb);
        assert_eq!(curve.agree(&a, &pb), z);
        assert_eq!(curve.agree(&b, &pa), z);
    }
}

#[test]
fn low_order_points_give_zero() {
    for curve in [Ladder::x25519(), Ladder::x448()] {
        let k = BigUint::from(1u32) << (8 * curve.bytes - 2);
        for u in [0u32.into(), 1u32.into(), &curve.p - 1u32] {
            assert_eq!(curve.case(&k, &u).good(), vec![0; curve.width]);
        }
    }
}

#[test]
fn coordinates_not_below_p_and_a_zero_scalar_fail() {
    for curve in [Ladder::x25519(), Ladder::x448()] {
        let nine = BigUint::from(9u32);
        curve.case(&nine, &curve.p).fails();
        curve.case(&nine, &(&curve.p + &nine)).fails();
        curve.case(&BigUint::default(), &nine).fails();
        let even = Ladder { p: &curve.p - 1u32, ..curve };
        even.case(&nine, &nine).fails();
    }
}

#[test]
fn scalars_are_not_clamped_again() {
    // 1·P = P and 8·P = 4·(2·P): neither would hold of clamped scalars.
    for curve in [Ladder::x25519(), Ladder::x448()] {
        let base = BigUint::from(9u32);
        let times = |k: u32, u: &BigUint| BigUint::from_bytes_be(&curve.case(&k.into(), u).good());
        assert_eq!(times(1, &base), base);
        assert_eq!(times(8, &base), times(4, &times(2, &base)));
        assert_eq!(times(15, &base), times(3, &times(5, &base)));
    }
}
