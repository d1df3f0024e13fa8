//! Plain ciphers: NIST SP 800-38A and CAVP, RFC 3686, RFC 3962, IEEE 1619, GB/T 32907 and 17964.

use crate::engine::sec::{Sec, V2Ciphers};
use crate::engine::testing::Space;
use crate::engine::{Generation, Rule};
use crate::files::vectors;
use crate::sec::{Buffer, Descriptor, EVERYWHERE, End, V2};

/// c_alg, c_mode, c_width and c_key_len for a name like `aes-128-cbc`, with the counter selector of V3.
pub fn fields(name: &str) -> Vec<(&'static str, u32)> {
    let parts: Vec<&str> = name.split('-').collect();
    let (alg, key, mode) = match parts[..] {
        ["aes", bits, mode] => (2, (bits.parse::<u32>().unwrap() - 128) / 64, mode),
        ["sm4", "128", mode] => (3, 0, mode),
        ["des", mode] | ["des", "64", mode] => (0, 1, mode),
        ["3des", "128", mode] => (1, 3, mode),
        ["3des", "192", mode] => (1, 1, mode),
        _ => panic!("{name}"),
    };
    let (code, width, selector) = match mode {
        "ecb" => (0, 0, 0),
        "cbc" => (1, 0, 0),
        "cfb" => (2, 0, 0),
        "ofb" => (3, 0, 0),
        "ctr" => (4, 0, 2),
        "ctr32" => (4, 0, 0),
        "xts" => (7, 0, 0),
        "xtsgb" => (7, 0, 1),
        "cs1" => (9, 1, 0),
        "cs2" => (9, 2, 0),
        "cs3" => (9, 3, 0),
        _ => panic!("{name}"),
    };
    vec![
        ("c_alg", alg),
        ("c_key_len", key),
        ("c_mode", code),
        ("c_width", width),
        ("ctr_count_mode", selector),
    ]
}

/// What V2 has (`sec.md` 7.2): ECB, CBC, XTS, and AES in CTR while the low counter word does not wrap.
fn on(generation: Generation, name: &str, iv: &[u8], len: usize) -> bool {
    let mode = name.rsplit('-').next().unwrap();
    let wraps = || {
        let low = u32::from_be_bytes(iv[12..].try_into().unwrap());
        u64::from(low) + len.div_ceil(16) as u64 > 1 << 32
    };
    generation != V2
        || matches!(mode, "ecb" | "cbc" | "xts")
        || (mode == "ctr" && name.starts_with("aes") && !wraps())
}

/// V2's descriptor has no selector: a 32-bit counter and XTS by GB/T cannot be asked for.
fn expressible(generation: Generation, name: &str) -> bool {
    generation != V2 || !(name.ends_with("ctr32") || name.ends_with("xtsgb"))
}

/// One direction on one device: source and destination apart, and in place.
pub fn crypt(name: &str, encrypt: bool, parts: (&[u8], &[u8], &[u8]), device: (Generation, bool)) -> Answer {
    crypt_on(&Sec::STANDARD, name, encrypt, parts, device)
}

/// The output, or why not.
type Answer = Result<Vec<u8>, Rule>;

/// The same on an engine with other switches.
fn crypt_on(
    engine: &Sec,
    name: &str,
    encrypt: bool,
    (key, iv, data): (&[u8], &[u8], &[u8]),
    (generation, list): (Generation, bool),
) -> Answer {
    let run = |in_place: bool| {
        let mem = Space::default();
        let src = Buffer::new(&mem, data, list);
        let dst = Buffer::new(&mem, &vec![0xEE; data.len()], list);
        let target = if in_place { &src } else { &dst };
        let kind = u32::from(list);
        let descriptor = Descriptor::new(generation)
            .set(&fields(name))
            .set(&[("cipher", if encrypt { 1 } else { 2 }), ("scene", u32::from(!in_place)), ("de", 1)])
            .set(&[("src_addr_type", kind), ("dst_addr_type", kind), ("c_len", data.len() as u32)])
            .at(&[("src", src.address), ("dst", target.address), ("c_key", mem.put_odd(key, 1))])
            .at(&[("c_ivin", if iv.is_empty() { 0 } else { mem.put_odd(iv, 1) })]);
        match descriptor.run_on(engine, &mem) {
            End::Done(false) => Ok(target.bytes(&mem)),
            End::Refused(rule) => Err(rule),
            other => panic!("{name}: {other:?}"),
        }
    };
    let result = run(false);
    assert_eq!(run(true), result, "{name} in place");
    result
}

/// Both directions everywhere.
pub fn check(name: &str, key: &[u8], iv: &[u8], plain: &[u8], cipher: &[u8], at: &str) {
    for device in EVERYWHERE.into_iter().filter(|device| expressible(device.0, name)) {
        let both = [(true, plain, cipher), (false, cipher, plain)];
        for (encrypt, input, output) in both {
            let result = crypt(name, encrypt, (key, iv, input), device);
            if on(device.0, name, iv, input.len()) {
                assert!(
                    result.as_deref() == Ok(output),
                    "{at}: {name}, {device:?}, encrypt {encrypt}: {result:02x?}"
                );
            } else {
                assert_eq!(result, Err(Rule::Unsupported), "{at}: {name}, {device:?}");
                // with the switch that a profile can set
                let open = Sec { v2: V2Ciphers::All, ..Sec::STANDARD };
                let result = crypt_on(&open, name, encrypt, (key, iv, input), device);
                assert!(result.as_deref() == Ok(output), "{at}: {name}, {device:?}, open: {result:02x?}");
            }
        }
    }
}

#[test]
fn cipher_vectors() {
    for v in vectors("public/cipher.txt") {
        let [key, iv, plain, cipher] = &v.fields[..] else { panic!("{}", v.at) };
        check(&v.name, key, iv, plain, cipher, &v.at);
    }
}

/// The file of the SEC reference's own values: GB/T 17964 XTS, ciphertext stealing, both counters.
#[test]
fn vectors_of_the_reference() {
    for v in vectors("model/sec.txt") {
        // `source/name = key iv plain cipher`
        let name = v.name.split_once('/').expect("a source").1;
        let [_, key, iv, plain, cipher] = &v.fields[..] else { panic!("{}", v.at) };
        check(name, key, iv, plain, cipher, &v.at);
    }
}

/// CBC-CS1, CS2 and CS3 (addendum to SP 800-38A) put together from CBC of the zero-padded message, for every key.
#[test]
fn stealing_is_cbc_rearranged() {
    let data =
        |len: usize, first: u8| (0..len).map(|i| first.wrapping_add((i * 11) as u8)).collect::<Vec<u8>>();
    let iv = data(16, 1);
    for (cipher, key) in [("aes-128", 16), ("aes-192", 24), ("aes-256", 32), ("sm4-128", 16)] {
        let key = data(key, 77);
        for len in [17, 31, 32, 33, 48, 63] {
            let plain = data(len, 5);
            let mut padded = plain.clone();
            padded.resize(len.next_multiple_of(16), 0);
            let whole = crypt(&format!("{cipher}-cbc"), true, (&key, &iv, &padded), (V2, false)).unwrap();
            let (rest, last) = whole.split_at(padded.len() - 16);
            let (front, second) = rest.split_at(rest.len() - 16);
            let cut = len - rest.len();
            let swapped = [front, last, &second[..cut]].concat();
            let straight = [front, &second[..cut], last].concat();
            let expected = [&straight, if cut == 16 { &straight } else { &swapped }, &swapped];
            for (variant, expected) in ["cs1", "cs2", "cs3"].into_iter().zip(expected) {
                check(&format!("{cipher}-{variant}"), &key, &iv, &plain, expected, "composed");
            }
        }
    }
}

/// The selector of V3 for a counter of 32 bits has no counterpart on V2, so these run on V3 alone.
#[test]
fn counter_of_32_bits_wraps_within_its_word() {
    let key = [7; 16];
    let iv = [0xFF; 16];
    let mut low = [0xFF; 16];
    low[12..].fill(0);
    for device in EVERYWHERE.into_iter().filter(|device| device.0 != V2) {
        let wide = crypt("aes-128-ctr", true, (&key, &iv, &[0; 32]), device).unwrap();
        let narrow = crypt("aes-128-ctr32", true, (&key, &iv, &[0; 32]), device).unwrap();
        let second = crypt("aes-128-ecb", true, (&key, &[], &low), device).unwrap();
        assert_eq!(narrow[..16], wide[..16]);
        assert_eq!(narrow[16..], second[..]);
        assert_eq!(wide[16..], crypt("aes-128-ecb", true, (&key, &[], &[0; 16]), device).unwrap()[..]);
    }
}
