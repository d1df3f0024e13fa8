//! Ciphers on the model.

use warpdrive_core::Why;
use warpdrive_core::engine::cipher::{self, Algorithm, Data, Direction, MAX_LEN, Mode, Request};
use warpdrive_core::qm::Version;

use crate::{bytes, check_healthy, device, software, version};

struct Case<'a> {
    algorithm: Algorithm,
    mode: Mode,
    key: &'a [u8],
    iv: [u8; 16],
}

/// Runs both directions, separate and in place; the chain value behind the data.
fn check(case: &Case<'_>, plain: &[u8], encrypted: &[u8]) -> [u8; 16] {
    let Case { algorithm, mode, key, iv } = *case;
    let mut chains = Vec::new();
    for (direction, from, to) in
        [(Direction::Encrypt, plain, encrypted), (Direction::Decrypt, encrypted, plain)]
    {
        let name = format!("{algorithm:?} {mode:?} {direction:?}, {} bytes", from.len());
        let mut chain = iv;
        let mut output = vec![0; from.len()];
        let data = Data::Separate { input: from, output: &mut output };
        let request = Request { algorithm, mode, direction, key, iv: &mut chain, data };
        device(request.job(), |ch| cipher::run(ch, request)).unwrap();
        assert!(output == to, "{name}");
        chains.push(chain);

        let mut chain = iv;
        let mut buffer = from.to_vec();
        let data = Data::InPlace(&mut buffer);
        let request = Request { algorithm, mode, direction, key, iv: &mut chain, data };
        device(request.job(), |ch| cipher::run(ch, request)).unwrap();
        assert!(buffer == to, "{name}, in place");
        chains.push(chain);
    }
    // The chain value is that of the ciphertext, whichever way it was reached.
    assert!(chains.iter().all(|chain| *chain == chains[0]), "{algorithm:?} {mode:?}: {chains:?}");
    chains[0]
}

fn known_answers() {
    // sec.md 16.2.
    let key: Vec<u8> = (0..32).collect();
    let plain: Vec<u8> = (0..64).collect();
    let iv = std::array::from_fn(|n| 0xA0 + n as u8);
    let answer = "224c27f4ba378b27d3d6888adced64425830cb2973f008c46e64c4e1ca612106\
                  f9c530e03496918b5ccda474a2fabf530c2ee0e87c573abe5d4ef0496b029260";
    let case = Case { algorithm: Algorithm::Aes256, mode: Mode::Cbc, key: &key, iv };
    let chain = check(&case, &plain, &bytes(answer));
    assert_eq!(chain[..], bytes("0c2ee0e87c573abe5d4ef0496b029260"));
    // sec.md 16.8.
    let key = bytes("2b7e151628aed2a6abf7158809cf4f3c000102030405060708090a0b0c0d0e0f");
    let iv = std::array::from_fn(|n| 0xF0 + n as u8);
    let plain = bytes(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17",
    );
    for (algorithm, answer) in [
        (
            Algorithm::Sm4,
            "e9538251c71d7b80bbe4483fef497bd1b3db1a3e60408c575d63ff7db39f8326\
             0869f9e2585fec9f0b863bf8fd784b8627d16c0db6d2cfc7",
        ),
        (
            Algorithm::Aes128,
            "e705008c4be131fab58dbc7dbc27d74c2b744226e5e287383f25dfccdd3ea83c\
             4baef9a01e63cc829e064c8691fc2e382ed45ec690388ccd",
        ),
    ] {
        check(&Case { algorithm, mode: Mode::Xts, key: &key, iv }, &plain, &bytes(answer));
    }
    // sec.md 16.3, all 128 bits of the counter; the carry is what V2 is not asked for.
    if version() != Version::V2 {
        let key = bytes("0123456789abcdeffedcba9876543210");
        let iv = 0x0011_2233_4455_6677_8899_AABB_FFFF_FFFFu128.to_be_bytes();
        let plain: Vec<u8> = (0..40).collect();
        let answer = "37f28ed7d38fd8ea282943afc06920cbeee7947797d22666177053fbf7717b81711c3b45772abaa8";
        let case = Case { algorithm: Algorithm::Sm4, mode: Mode::Ctr, key: &key, iv };
        let chain = check(&case, &plain, &bytes(answer));
        assert_eq!(chain, 0x0011_2233_4455_6677_8899_AABC_0000_0002u128.to_be_bytes());
    }
}

#[test]
fn ciphers_agree_with_software_on_both_generations() {
    check_healthy("cipher::operations", &["sec.cipher"]);
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn operations() {
    use Algorithm::{Aes128, Aes192, Aes256, Sm4};
    known_answers();
    for algorithm in [Aes128, Aes192, Aes256, Sm4] {
        for mode in [Mode::Ecb, Mode::Cbc, Mode::Ctr, Mode::Xts] {
            if !cipher::supported(version(), algorithm, mode) {
                let refused = device(cipher::job(algorithm, mode, 64), |_| Ok(()));
                assert!(matches!(refused, Err(Why::Unsupported)));
                continue;
            }
            let keys = if mode == Mode::Xts { 2 } else { 1 };
            let key: Vec<u8> = (0..algorithm.key_len() * keys).map(|n| (n * 7 + 1) as u8).collect();
            let any_length = matches!(mode, Mode::Ctr | Mode::Xts);
            for len in [1, 16, 17, 48, 1_000, 4_096, 0x6010] {
                if (!any_length && len % 16 != 0) || (mode == Mode::Xts && len < 16) {
                    continue;
                }
                let plain: Vec<u8> = (0..len).map(|n| (n * 31 + n / 256) as u8).collect();
                let iv = [0x42; 16];
                let encrypted = software::encrypt(algorithm, mode, &key, iv, &plain);
                check(&Case { algorithm, mode, key: &key, iv }, &plain, &encrypted);
            }
        }
    }
    if version() == Version::V2 {
        let mut buffer = [0; 32];
        let request = Request {
            algorithm: Aes128,
            mode: Mode::Ctr,
            direction: Direction::Encrypt,
            key: &[0; 16],
            iv: &mut [0xFF; 16],
            data: Data::InPlace(&mut buffer),
        };
        let refused = device(request.job(), |ch| cipher::run(ch, request));
        assert!(matches!(refused, Err(Why::Unsupported)), "a counter about to wrap is no work for V2");
    }
    two_descriptors();
}

/// One request of more than one descriptor; decrypting what was encrypted must give it back, and the first
/// blocks of the second descriptor must follow from the chain value.
fn two_descriptors() {
    let (algorithm, mode, key) = (Algorithm::Aes128, Mode::Ctr, [3; 16]);
    let mut buffer = vec![0; MAX_LEN + 40];
    let request = Request {
        algorithm,
        mode,
        direction: Direction::Encrypt,
        key: &key,
        iv: &mut [0; 16],
        data: Data::InPlace(&mut buffer),
    };
    device(request.job(), |ch| cipher::run(ch, request)).unwrap();
    let counter = (MAX_LEN as u128 / 16 - 1).to_be_bytes();
    assert_eq!(buffer[MAX_LEN - 16..], software::encrypt(algorithm, mode, &key, counter, &[0; 56]));
}
