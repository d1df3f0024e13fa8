//! Against the modes of other crates, over the same block ciphers.

use super::*;
use cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit, StreamCipher};
use cts::{Decrypt, Encrypt};
use proptest::prelude::*;

/// The result by the other crates, for a cipher with a block size of their choice.
fn expected<C>(ask: &Ask, key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8>
where
    C: KeyInit + cipher::BlockCipherEncrypt + cipher::BlockCipherDecrypt + Clone,
{
    let mut out = data.to_vec();
    macro_rules! blocks {
        ($mode:expr, $call:ident) => {
            $mode.$call(cipher::Block::<C>::slice_as_chunks_mut(&mut out).0)
        };
    }
    macro_rules! pair {
        ($encrypt:ty, $decrypt:ty) => {
            if ask.encrypt {
                blocks!(<$encrypt>::new_from_slices(key, iv).unwrap(), encrypt_blocks);
            } else {
                blocks!(<$decrypt>::new_from_slices(key, iv).unwrap(), decrypt_blocks);
            }
        };
    }
    macro_rules! stealing {
        ($mode:ty) => {
            if ask.encrypt {
                <$mode>::new_from_slices(key, iv).unwrap().encrypt(&mut out).unwrap();
            } else {
                <$mode>::new_from_slices(key, iv).unwrap().decrypt(&mut out).unwrap();
            }
        };
    }
    match ask.mode {
        "ecb" => {
            let cipher = C::new_from_slice(key).unwrap();
            for block in cipher::Block::<C>::slice_as_chunks_mut(&mut out).0 {
                if ask.encrypt {
                    cipher.encrypt_block(block);
                } else {
                    cipher.decrypt_block(block);
                }
            }
        }
        "cbc" => pair!(cbc::Encryptor<C>, cbc::Decryptor<C>),
        "cfb" if ask.encrypt => cfb_mode::Encryptor::<C>::new_from_slices(key, iv).unwrap().encrypt(&mut out),
        "cfb" => cfb_mode::Decryptor::<C>::new_from_slices(key, iv).unwrap().decrypt(&mut out),
        "cs1" => stealing!(cts::CbcCs1<C>),
        "cs2" => stealing!(cts::CbcCs2<C>),
        "cs3" => stealing!(cts::CbcCs3<C>),
        other => panic!("{other}"),
    }
    out
}

/// OFB, counter modes and XTS, which their crates have for blocks of 16 bytes.
fn expected_wide<C>(ask: &Ask, key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8>
where
    C: KeyInit
        + cipher::BlockSizeUser<BlockSize = cipher::consts::U16>
        + cipher::BlockCipherEncrypt
        + cipher::BlockCipherDecrypt
        + Clone,
{
    let mut out = data.to_vec();
    match ask.mode {
        "ofb" => ofb::Ofb::<C>::new_from_slices(key, iv).unwrap().apply_keystream(&mut out),
        "ctr" => ctr::Ctr128BE::<C>::new_from_slices(key, iv).unwrap().apply_keystream(&mut out),
        "ctr32" => ctr::Ctr32BE::<C>::new_from_slices(key, iv).unwrap().apply_keystream(&mut out),
        "xts" => {
            let (first, second) = key.split_at(key.len() / 2);
            let (data_key, tweak_key) =
                (C::new_from_slice(first).unwrap(), C::new_from_slice(second).unwrap());
            let xts = xts_mode::Xts128::new(data_key, tweak_key);
            let tweak = <[u8; 16]>::try_from(iv).unwrap().into();
            if ask.encrypt {
                xts.encrypt_sector(&mut out, tweak);
            } else {
                xts.decrypt_sector(&mut out, tweak);
            }
        }
        _ => return expected::<C>(ask, key, iv, data),
    }
    out
}

proptest! {
    #![proptest_config(crate::properties::cases(1500))]
    #[test]
    fn every_cipher_agrees_with_other_crates(which in 0usize..1000, encrypt: bool, v2: bool, key: [u8; 32], more: [u8; 32], iv: [u8; 16],
                                             data in proptest::collection::vec(any::<u8>(), 17..3000), wrap: bool) {
        let generation = if v2 { V2 } else { V3 };
        let asks: Vec<Ask> = all(generation).filter(|ask| ask.exists() && ask.mode != "xtsgb").collect();
        let ask = Ask { encrypt, ..asks[which % asks.len()] };
        let key = &[key, more].concat()[..ask.key_len()];
        let mut iv = iv[..ask.block()].to_vec();
        if ask.mode.starts_with("ctr") {
            // V2 takes no counter that wraps, unless by option; elsewhere wrap often
            let low: [u8; 4] = if v2 && ask.offered() { [0x12; 4] } else if wrap { [0xFF; 4] } else { iv[12..].try_into().unwrap() };
            iv[12..].copy_from_slice(&low);
        }
        let len = if ask.whole_blocks() { data.len() / 16 * 16 } else { data.len() };
        let data = &data[..len];
        let by_others = match (ask.cipher, ask.bits) {
            ("des", _) => expected::<des::Des>(&ask, key, &iv, data),
            ("3des", 128) => expected::<des::TdesEde2>(&ask, key, &iv, data),
            ("3des", _) => expected::<des::TdesEde3>(&ask, key, &iv, data),
            ("sm4", _) => expected_wide::<sm4::Sm4>(&ask, key, &iv, data),
            (_, 128) => expected_wide::<aes::Aes128>(&ask, key, &iv, data),
            (_, 192) => expected_wide::<aes::Aes192>(&ask, key, &iv, data),
            _ => expected_wide::<aes::Aes256>(&ask, key, &iv, data),
        };
        prop_assert_eq!(once(&ask, key, &iv, data), by_others, "{:?}", ask);
    }

    /// No crate has the XTS of GB/T 17964: it must undo itself, and be the IEEE one up to the second block.
    #[test]
    fn gb_xts_is_undone_and_starts_like_ieee(key: [u8; 32], iv: [u8; 16], data in proptest::collection::vec(any::<u8>(), 32..300)) {
        let ask = Ask { generation: V3, cipher: "sm4", bits: 128, mode: "xtsgb", encrypt: true, sgl: false };
        let secret = once(&ask, &key, &iv, &data);
        let ieee = once(&Ask { mode: "xts", ..ask }, &key, &iv, &data);
        prop_assert_eq!(&secret[..16], &ieee[..16]);
        prop_assert_ne!(&secret[16..], &ieee[16..]);
        prop_assert_eq!(once(&Ask { encrypt: false, ..ask }, &key, &iv, &secret), data);
    }
}
