//! Against the `aes-gcm`, `ccm` and `hmac` crates, which share with the engine no more than the block ciphers (GCM: and
//! the field multiplication). Random messages, tags, offsets, and all arrangements of buffers.

use super::*;
use ::ccm::Ccm;
use ::ccm::consts::{U4, U6, U7, U8, U9, U10, U11, U12, U13, U14, U16};
use aes_gcm::AesGcm;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use hmac::{Hmac, KeyInit as MacKey, Mac};
use proptest::prelude::*;

/// Key, nonce, additional data, text.
type Sealer = fn(&[u8], &[u8], &[u8], &[u8]) -> Vec<u8>;

/// Secret text with the tag behind it.
fn sealed<A: Aead + KeyInit>(key: &[u8], nonce: &[u8], additional: &[u8], text: &[u8]) -> Vec<u8> {
    let cipher = A::new_from_slice(key).unwrap();
    let nonce = nonce.try_into().expect("a nonce of the algorithm's length");
    cipher.encrypt(nonce, Payload { msg: text, aad: additional }).unwrap()
}

pub(super) fn gcm_oracle(sm4: bool, input: &Input) -> Vec<u8> {
    let run = match (sm4, input.key.len()) {
        (true, _) => sealed::<AesGcm<sm4::Sm4, U12>>,
        (_, 16) => sealed::<AesGcm<aes::Aes128, U12>>,
        (_, 24) => sealed::<AesGcm<aes::Aes192, U12>>,
        _ => sealed::<AesGcm<aes::Aes256, U12>>,
    };
    run(&input.key, &input.iv, &input.additional, &input.text)
}

/// Tag and nonce lengths that go together here: every one of both.
const CCM_SIZES: [(usize, usize); 8] =
    [(4, 7), (6, 8), (8, 9), (10, 10), (12, 11), (14, 12), (16, 13), (8, 13)];

pub(super) fn ccm_oracle(sm4: bool, input: &Input, nonce: &[u8], tag: usize) -> Vec<u8> {
    macro_rules! by_cipher {
        ($tag:ty, $nonce:ty) => {
            match (sm4, input.key.len()) {
                (true, _) => sealed::<Ccm<sm4::Sm4, $tag, $nonce>>,
                (_, 16) => sealed::<Ccm<aes::Aes128, $tag, $nonce>>,
                (_, 24) => sealed::<Ccm<aes::Aes192, $tag, $nonce>>,
                _ => sealed::<Ccm<aes::Aes256, $tag, $nonce>>,
            }
        };
    }
    let run: Sealer = match (tag, nonce.len()) {
        (4, 7) => by_cipher!(U4, U7),
        (6, 8) => by_cipher!(U6, U8),
        (8, 9) => by_cipher!(U8, U9),
        (10, 10) => by_cipher!(U10, U10),
        (12, 11) => by_cipher!(U12, U11),
        (14, 12) => by_cipher!(U14, U12),
        (16, 13) => by_cipher!(U16, U13),
        _ => by_cipher!(U8, U13),
    };
    run(&input.key, nonce, &input.additional, &input.text)
}

pub(super) fn hmac_oracle(a_alg: u32, key: &[u8], message: &[u8]) -> Vec<u8> {
    fn run<M: Mac + MacKey>(key: &[u8], message: &[u8]) -> Vec<u8> {
        <M as MacKey>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
    }
    match a_alg {
        0x10 => run::<Hmac<sha1::Sha1>>(key, message),
        0x11 => run::<Hmac<sha2::Sha256>>(key, message),
        0x15 => run::<Hmac<sha2::Sha512>>(key, message),
        _ => run::<Hmac<sm3::Sm3>>(key, message),
    }
}

/// CBC encryption by single blocks.
pub(super) fn cbc_oracle(sm4: bool, key: &[u8], iv: &[u8], text: &[u8]) -> Vec<u8> {
    use aes::cipher::{BlockCipherEncrypt, KeyInit};
    let encrypt = |block: &mut [u8; 16]| match (sm4, key.len()) {
        (true, _) => sm4::Sm4::new_from_slice(key).unwrap().encrypt_block(block.into()),
        (_, 16) => aes::Aes128::new_from_slice(key).unwrap().encrypt_block(block.into()),
        (_, 24) => aes::Aes192::new_from_slice(key).unwrap().encrypt_block(block.into()),
        _ => aes::Aes256::new_from_slice(key).unwrap().encrypt_block(block.into()),
    };
    let mut chain: [u8; 16] = iv.try_into().unwrap();
    let mut out = Vec::new();
    for chunk in text.chunks(16) {
        chain.iter_mut().zip(chunk).for_each(|(into, with)| *into ^= with);
        encrypt(&mut chain);
        out.extend(chain);
    }
    out
}

/// How a request is laid out: V3, SM4, size of the key, source and destination as lists, in place, odd offset.
fn shape(mode: Mode) -> impl Strategy<Value = Ask> {
    (any::<bool>(), any::<bool>(), 0usize..3, any::<(bool, bool)>(), any::<bool>(), 0u32..40).prop_map(
        move |(v3, sm4, size, lists, in_place, offset)| {
            let sm4 = sm4 && v3;
            let key = if sm4 { 16 } else { [16, 24, 32][size] };
            let lists = if in_place { (lists.0, lists.0) } else { lists };
            Ask { sm4, lists, in_place, offset, ..Ask::new(if v3 { V3 } else { V2 }, mode, key, 16) }
        },
    )
}

fn bytes(len: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), len)
}

/// V2 has no empty text, and no generation an empty message.
fn possible(ask: &Ask, input: &mut Input) {
    if input.text.is_empty() && (ask.generation == V2 || input.additional.is_empty()) {
        input.text.push(1);
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(200))]

    #[test]
    fn gcm_equals_the_crate(
        ask in shape(Mode::Gcm), tag in 8usize..=16, key in bytes(32), iv in bytes(12), additional in bytes(0..90), text in bytes(0..130),
    ) {
        let ask = Ask { tag, ..ask };
        let mut input = Input { key: key[..ask.key].to_vec(), iv, additional, text, ..Input::default() };
        possible(&ask, &mut input);
        let expected = gcm_oracle(ask.sm4, &input);
        let (secret, full) = expected.split_at(input.text.len());
        both_ways(&ask, &input, secret, &full[..tag]);
    }

    #[test]
    fn ccm_equals_the_crate(
        ask in shape(Mode::Ccm), sizes in proptest::sample::select(&CCM_SIZES[..]), key in bytes(32), nonce in bytes(13),
        additional in bytes(0..90), text in bytes(0..130),
    ) {
        let (tag, width) = sizes;
        let ask = Ask { tag, ..ask };
        let mut input = Input { key: key[..ask.key].to_vec(), additional, text, ..Input::default() };
        possible(&ask, &mut input);
        let nonce = &nonce[..width];
        (input.iv, input.auth_iv) = ccm_blocks(nonce, input.additional.len(), input.text.len(), tag);
        let expected = ccm_oracle(ask.sm4, &input, nonce, tag);
        let (secret, tag) = expected.split_at(input.text.len());
        both_ways(&ask, &input, secret, tag);
    }

    #[test]
    fn cbc_with_hmac_equals_the_crate(
        ask in shape(Mode::Etm(0x10)), hash in 0usize..4, tag in 1usize..=16, auth_key in 0usize..=32, key in bytes(32), iv in bytes(16),
        secret_key in bytes(128), additional in bytes(0..90), blocks in 1usize..8, seed: u8,
    ) {
        let hash = if ask.generation == V2 { hash.min(2) } else { hash };
        let (a_alg, size, longest) = [(0x10, 20, 16), (0x11, 32, 16), (0x15, 64, 32), (0x26, 32, 16)][hash];
        let (tag, auth_key) = ((tag * 4).min(size), auth_key.min(longest));
        let ask = Ask { mode: Mode::Etm(a_alg), tag, auth_key: auth_key as u32, ..ask };
        let input = Input {
            key: key[..ask.key].to_vec(), iv, auth_key: secret_key[..auth_key * 4].to_vec(), additional,
            text: seq(seed, blocks * 16), ..Input::default()
        };
        let secret = cbc_oracle(ask.sm4, &input.key, &input.iv, &input.text);
        let mac = hmac_oracle(a_alg, &input.auth_key, &[&input.additional[..], &secret].concat());
        both_ways(&ask, &input, &secret, &mac[..tag]);
    }
}

/// Long additional data and texts over many batches of blocks; CCM with the longest additional data there is.
#[test]
fn long_messages_equal_the_crates() {
    let text: Vec<u8> = (0..100_003u32).map(|i| ((i * 7) >> 3) as u8).collect();
    let mut input =
        Input { key: seq(3, 32), iv: seq(9, 12), additional: seq(1, 0xFEFF), text, ..Input::default() };
    let ask = Ask { lists: (true, false), ..Ask::new(V3, Mode::Gcm, 32, 16) };
    let expected = gcm_oracle(false, &input);
    both_ways(&Ask { lists: (false, false), ..ask }, &input, &expected[..100_003], &expected[100_003..]);
    let nonce = seq(5, 12);
    (input.iv, input.auth_iv) = ccm_blocks(&nonce, 0xFEFF, 100_003, 14);
    let expected = ccm_oracle(false, &input, &nonce, 14);
    let ask = Ask { mode: Mode::Ccm, tag: 14, lists: (false, false), ..ask };
    both_ways(&ask, &input, &expected[..100_003], &expected[100_003..]);
}
