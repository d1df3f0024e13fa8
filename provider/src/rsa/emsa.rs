//! Encoded messages of RFC 8017: EMSA-PKCS1-v1_5 and EMSA-PSS, for moduli whose bit length is a multiple of 8
//! (all that the device has). Software encodes and compares, the device only exponentiates.

use zeroize::Zeroizing;

/// A digest as the encodings need it.
pub(crate) trait Hash {
    /// Output size in bytes.
    fn size(&self) -> usize;
    /// The digest of the concatenated parts; `None` if the library fails.
    fn hash(&self, parts: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>>;
}

/// What stands before a digest in a PKCS#1 v1.5 block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// Nothing: raw input, or the MD5-SHA1 concatenation of TLS 1.0.
    None,
    /// A DigestInfo with this object identifier (content bytes) and NULL parameters (RFC 8017 9.2).
    Oid(&'static [u8]),
}

/// Names of OpenSSL's digests and their identifiers. Not here, and so the twin's: MDC2, whose signatures are no
/// DigestInfo, and MD4, for which releases of OpenSSL write an identifier that is not MD4's.
pub(crate) const PREFIXES: [(&std::ffi::CStr, Prefix); 14] = [
    (c"SHA2-256", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 1])),
    (c"SHA2-384", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 2])),
    (c"SHA2-512", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 3])),
    (c"SHA2-224", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 4])),
    (c"SHA2-512/224", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 5])),
    (c"SHA2-512/256", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 6])),
    (c"SHA3-224", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 7])),
    (c"SHA3-256", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 8])),
    (c"SHA3-384", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 9])),
    (c"SHA3-512", Prefix::Oid(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 10])),
    (c"SHA1", Prefix::Oid(&[0x2B, 14, 3, 2, 26])),
    (c"MD5", Prefix::Oid(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 2, 5])),
    (c"RIPEMD-160", Prefix::Oid(&[0x2B, 36, 3, 2, 1])),
    (c"MD5-SHA1", Prefix::None),
];

/// 00 01 FF … FF 00 prefix digest, `size` bytes. `None` if there is no room for eight bytes of padding.
pub(crate) fn pkcs1(size: usize, prefix: Prefix, digest: &[u8]) -> Option<Vec<u8>> {
    let mut info = Vec::new();
    if let Prefix::Oid(oid) = prefix {
        let byte = |len: usize| u8::try_from(len).ok().filter(|len| *len < 0x80);
        info.extend_from_slice(&[0x30, byte(8 + oid.len() + digest.len())?, 0x30, byte(4 + oid.len())?]);
        info.extend_from_slice(&[0x06, byte(oid.len())?]);
        info.extend_from_slice(oid);
        info.extend_from_slice(&[0x05, 0x00, 0x04, byte(digest.len())?]);
    }
    let padding = size.checked_sub(3 + info.len() + digest.len()).filter(|len| *len >= 8)?;
    let mut block = vec![0x00, 0x01];
    block.resize(2 + padding, 0xFF);
    block.push(0x00);
    block.extend_from_slice(&info);
    block.extend_from_slice(digest);
    Some(block)
}

/// Salt length rules of `RSA_PKCS1_PSS_PADDING`, by OpenSSL's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Salt {
    /// Exactly so many bytes.
    Exactly(usize),
    /// As long as the digest (−1).
    Digest,
    /// Sign with the longest, verify with any (−2).
    Auto,
    /// The longest that fits (−3).
    Max,
    /// Sign with the digest's length or the longest if that is shorter, verify with any (−4, from 3.1).
    AutoDigestMax,
}

impl Salt {
    /// From the parameter's number; `None` for one that is not known here.
    pub(crate) fn from_number(number: i32) -> Option<Salt> {
        match number {
            -1 => Some(Salt::Digest),
            -2 => Some(Salt::Auto),
            -3 => Some(Salt::Max),
            -4 => Some(Salt::AutoDigestMax),
            _ => usize::try_from(number).ok().map(Salt::Exactly),
        }
    }

    /// Bytes of salt to sign with, `None` if they do not fit.
    pub(crate) fn to_sign(self, size: usize, digest: usize) -> Option<usize> {
        let longest = size.checked_sub(digest + 2)?;
        let wanted = match self {
            Salt::Exactly(len) => len,
            Salt::Digest => digest,
            Salt::Auto | Salt::Max => longest,
            Salt::AutoDigestMax => digest.min(longest),
        };
        (wanted <= longest).then_some(wanted)
    }

    fn accepts(self, size: usize, digest: usize, found: usize) -> bool {
        match self {
            Salt::Exactly(len) => found == len,
            Salt::Digest => found == digest,
            Salt::Max => Some(found) == size.checked_sub(digest + 2),
            Salt::Auto | Salt::AutoDigestMax => true,
        }
    }
}

/// EMSA-PSS-ENCODE with emBits = 8·size − 1. `None` if the salt does not fit or the library fails.
pub(crate) fn pss_encode(
    size: usize,
    hash: &impl Hash,
    mgf: &impl Hash,
    digest: &[u8],
    salt: &[u8],
) -> Option<Vec<u8>> {
    let h = hash.hash(&[&[0u8; 8], digest, salt])?;
    let masked = size.checked_sub(h.len() + 1)?;
    let zeros = masked.checked_sub(salt.len() + 1)?;
    let mut block = vec![0u8; zeros];
    block.push(0x01);
    block.extend_from_slice(salt);
    mask(mgf, &h, &mut block)?;
    block[0] &= 0x7F;
    block.extend_from_slice(&h);
    block.push(0xBC);
    Some(block)
}

/// EMSA-PSS-VERIFY with emBits = 8·size − 1. `None` if the library fails.
pub(crate) fn pss_verify(
    block: &[u8],
    hash: &impl Hash,
    mgf: &impl Hash,
    digest: &[u8],
    salt: Salt,
) -> Option<bool> {
    let len = hash.size();
    if digest.len() != len || block.len() < len + 2 || block[0] & 0x80 != 0 || block[block.len() - 1] != 0xBC
    {
        return Some(false);
    }
    let (masked, rest) = block.split_at(block.len() - len - 1);
    let h = &rest[..len];
    let mut data = masked.to_vec();
    mask(mgf, h, &mut data)?;
    data[0] &= 0x7F;
    let Some(one) = data.iter().position(|byte| *byte != 0).filter(|at| data[*at] == 0x01) else {
        return Some(false);
    };
    let found = &data[one + 1..];
    if !salt.accepts(block.len(), len, found.len()) {
        return Some(false);
    }
    Some(hash.hash(&[&[0u8; 8], digest, found])?.as_slice() == h)
}

/// XORs MGF1(seed) over `data`.
fn mask(mgf: &impl Hash, seed: &[u8], data: &mut [u8]) -> Option<()> {
    if mgf.size() == 0 {
        return None;
    }
    for (counter, chunk) in data.chunks_mut(mgf.size()).enumerate() {
        let stream = mgf.hash(&[seed, &u32::try_from(counter).ok()?.to_be_bytes()])?;
        chunk.iter_mut().zip(stream.iter()).for_each(|(byte, key)| *byte ^= key);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a hash, but enough of one to tell inputs apart.
    struct Toy(usize);
    impl Hash for Toy {
        fn size(&self) -> usize {
            self.0
        }
        fn hash(&self, parts: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
            let mut state = 0xcbf2_9ce4_8422_2325u64;
            let mut out = Vec::new();
            for byte in parts.iter().flat_map(|part| part.iter()) {
                state = (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
            }
            for _ in 0..self.0 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                out.push((state >> 33) as u8);
            }
            Some(Zeroizing::new(out))
        }
    }

    #[test]
    fn pkcs1_block_of_sha256_is_the_rfc_prefix() {
        let block = pkcs1(128, PREFIXES[0].1, &[0xAA; 32]).expect("room");
        assert_eq!(block.len(), 128);
        assert_eq!(&block[..3], [0, 1, 0xFF]);
        // RFC 8017 9.2 note 1.
        let info = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
        assert_eq!(&block[128 - 51 - 1..128 - 32], [&[0u8][..], &info].concat());
    }

    #[test]
    fn pkcs1_block_keeps_eight_bytes_of_padding() {
        assert!(pkcs1(43, Prefix::None, &[0; 32]).is_some());
        assert!(pkcs1(42, Prefix::None, &[0; 32]).is_none());
        assert!(pkcs1(8, Prefix::None, &[0; 32]).is_none());
    }

    #[test]
    fn pss_block_verifies_with_every_fitting_salt_and_rule() {
        let (hash, mgf) = (Toy(20), Toy(13));
        let digest = [7u8; 20];
        for len in 0..=(128 - 20 - 2) {
            let salt = vec![3u8; len];
            let block = pss_encode(128, &hash, &mgf, &digest, &salt).expect("fits");
            let ok = |rule| pss_verify(&block, &hash, &mgf, &digest, rule).expect("toy never fails");
            assert!(ok(Salt::Auto) && ok(Salt::AutoDigestMax) && ok(Salt::Exactly(len)));
            assert!(!ok(Salt::Exactly(len + 1)));
            assert_eq!(ok(Salt::Digest), len == 20);
            assert_eq!(ok(Salt::Max), len == 106);
        }
        assert!(pss_encode(128, &hash, &mgf, &digest, &[0; 107]).is_none());
    }

    #[test]
    fn pss_verification_refuses_every_single_changed_byte() {
        let (hash, mgf) = (Toy(20), Toy(20));
        let block = pss_encode(64, &hash, &mgf, &[9; 20], &[1; 8]).expect("fits");
        for at in 0..block.len() {
            let mut bad = block.clone();
            bad[at] ^= 0x80;
            assert_eq!(pss_verify(&bad, &hash, &mgf, &[9; 20], Salt::Exactly(8)), Some(false), "byte {at}");
        }
        assert_eq!(pss_verify(&block, &hash, &mgf, &[8; 20], Salt::Auto), Some(false));
        assert_eq!(pss_verify(&block[..10], &hash, &mgf, &[9; 20], Salt::Auto), Some(false));
    }

    #[test]
    fn salt_rules_to_sign_follow_their_numbers() {
        let sign = |number| Salt::from_number(number).expect("known").to_sign(128, 32);
        assert_eq!([sign(-1), sign(-2), sign(-3), sign(-4)], [Some(32), Some(94), Some(94), Some(32)]);
        assert_eq!([sign(0), sign(94), sign(95)], [Some(0), Some(94), None]);
        assert_eq!(Salt::AutoDigestMax.to_sign(128, 64), Some(62));
        assert_eq!(Salt::Digest.to_sign(128, 64), None);
        assert_eq!(Salt::from_number(-5), None);
    }
}
