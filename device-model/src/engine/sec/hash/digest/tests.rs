use super::*;
use crate::engine::testing::hex;
use hmac::{KeyInit, Mac};
use proptest::prelude::*;
use sha2::Digest as _;

const ALL: [Digest; 9] = [
    Digest::Md5,
    Digest::Sha1,
    Digest::Sha224,
    Digest::Sha256,
    Digest::Sha384,
    Digest::Sha512,
    Digest::Sha512To224,
    Digest::Sha512To256,
    Digest::Sm3,
];

/// The same by the crates' own buffering, padding and HMAC.
fn expected(digest: Digest, hmac_key: Option<&[u8]>, data: &[u8]) -> Vec<u8> {
    macro_rules! either {
        ($hash:ty) => {
            match hmac_key {
                None => <$hash>::digest(data).to_vec(),
                Some(key) => {
                    let mac = hmac::Hmac::<$hash>::new_from_slice(key).unwrap();
                    mac.chain_update(data).finalize().into_bytes().to_vec()
                }
            }
        };
    }
    match digest {
        Digest::Md5 => either!(md5::Md5),
        Digest::Sha1 => either!(sha1::Sha1),
        Digest::Sha224 => either!(sha2::Sha224),
        Digest::Sha256 => either!(sha2::Sha256),
        Digest::Sha384 => either!(sha2::Sha384),
        Digest::Sha512 => either!(sha2::Sha512),
        Digest::Sha512To224 => either!(sha2::Sha512_224),
        Digest::Sha512To256 => either!(sha2::Sha512_256),
        Digest::Sm3 => either!(sm3::Sm3),
    }
}

#[test]
fn every_length_around_the_padding_agrees_with_the_crates() {
    let data: Vec<u8> = (0..300).map(|i| (i * 7) as u8).collect();
    for digest in ALL {
        for len in 0..300 {
            assert_eq!(
                digest.once(None, &data[..len]),
                expected(digest, None, &data[..len]),
                "{digest:?} {len}"
            );
        }
    }
}

#[test]
fn states_are_chaining_words_in_the_byte_order_of_the_digest() {
    // Initial values: RFC 1321 section 3.3, FIPS 180-4 section 5.3, GB/T 32905 section 4.1
    let image = |digest| Running::start(digest, None).image();
    assert_eq!(image(Digest::Md5), hex("0123456789abcdeffedcba9876543210"));
    assert_eq!(image(Digest::Sha1), hex("67452301efcdab8998badcfe10325476c3d2e1f0"));
    assert_eq!(
        image(Digest::Sha224),
        hex("c1059ed8367cd5073070dd17f70e5939ffc00b316858151164f98fa7befa4fa4")
    );
    assert_eq!(image(Digest::Sm3), hex("7380166f4914b2b9172442d7da8a0600a96f30bc163138aae38dee4db0fb0e4e"));
    assert_eq!(image(Digest::Sha384)[..8], hex("cbbb9d5dc1059ed8"));
    assert_eq!(image(Digest::Sha512To224)[..8], hex("8c3d37c819544da2"));
    assert_eq!(image(Digest::Sha512To256)[..8], hex("22312194fc2bf72c"));
    for digest in ALL {
        assert_eq!(image(digest).len(), digest.state_len());
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_cut_at_block_boundaries_gives_the_digest(data in proptest::collection::vec(any::<u8>(), 0..2000), cuts: [u8; 3],
                                                    key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=64)),
                                                    digest in proptest::sample::select(&ALL[..])) {
        let key = key.as_deref();
        let block = digest.block_len();
        let mut rest = &data[..];
        let mut image = Running::start(digest, key).image();
        for cut in cuts {
            let (head, tail) = rest.split_at((usize::from(cut) % 8 * block).min(rest.len() / block * block));
            let mut running = Running::resume(digest, &image);
            running.absorb(head);
            image = running.image();
            rest = tail;
        }
        let got = Running::resume(digest, &image).finish(key, rest, 8 * data.len() as u128);
        prop_assert_eq!(&got, &expected(digest, key, &data));
        prop_assert_eq!(&got, &digest.once(key, &data));
    }
}
