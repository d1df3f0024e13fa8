//! GCM and CCM: NIST CAVP, RFC 8998. A changed tag must be found.

use crate::engine::testing::Space;
use crate::engine::{Generation, Rule};
use crate::files::vectors;
use crate::sec::{Buffer, Descriptor, EVERYWHERE, End, V2};
use crate::{cipher, digest};

/// Payload, what is at mac_addr, and whether the tag differs.
type Outcome = Result<(Vec<u8>, Vec<u8>, bool), Rule>;

/// The parts of a vector.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    pub key: &'a [u8],
    pub nonce: &'a [u8],
    pub aad: &'a [u8],
    pub plain: &'a [u8],
    pub cipher: &'a [u8],
    pub tag: &'a [u8],
}

/// The blocks A1 and B0 of CCM (`sec.md` 9.5), which the driver formats.
fn ccm_blocks(s: &Sealed<'_>) -> [[u8; 16]; 2] {
    let wide = 15 - s.nonce.len();
    let (mut first, mut header) = ([0; 16], [0; 16]);
    for block in [&mut first, &mut header] {
        block[0] = wide as u8 - 1;
        block[1..=s.nonce.len()].copy_from_slice(s.nonce);
    }
    first[15] = 1;
    header[0] |= ((s.tag.len() as u8 - 2) / 2) << 3 | u8::from(!s.aad.is_empty()) << 6;
    let length = (s.plain.len() as u64).to_be_bytes();
    header[16 - wide.min(8)..].copy_from_slice(&length[8 - wide.min(8)..]);
    [first, header]
}

/// Runs one direction; the AAD area of the destination stays as it is. Gives the payload and what is at mac_addr.
pub fn run(name: &str, s: &Sealed<'_>, seal: bool, (generation, list): (Generation, bool)) -> Outcome {
    let mem = Space::default();
    let input = if seal { s.plain } else { s.cipher };
    let src = Buffer::new(&mem, &[s.aad, input].concat(), list);
    let dst = Buffer::new(&mem, &vec![0xEE; s.aad.len() + input.len()], list);
    let (alg, ccm) = match name {
        "aes-gcm" => (2, false),
        "aes-ccm" => (2, true),
        "sm4-gcm" => (3, false),
        "sm4-ccm" => (3, true),
        _ => panic!("{name}"),
    };
    let [first, header] = if ccm { ccm_blocks(s) } else { [[0; 16]; 2] };
    let (iv, auth_iv) = if ccm { (mem.put(&first), mem.put(&header)) } else { (mem.put(s.nonce), 0) };
    let key_len = if alg == 3 { 0 } else { (s.key.len() as u32 - 16) / 8 };
    let mac = mem.put(&if seal { vec![0; s.tag.len()] } else { s.tag.to_vec() });
    let kind = u32::from(list);
    let end = Descriptor::new(generation)
        .set(&[("cipher", if seal { 1 } else { 2 }), ("seq", u32::from(!seal)), ("scene", 1), ("de", 1)])
        .set(&[("c_alg", alg), ("c_mode", if ccm { 5 } else { 6 }), ("c_key_len", key_len)])
        .set(&[("c_icv_len", s.tag.len() as u32), ("src_addr_type", kind), ("dst_addr_type", kind)])
        .set(&[("a_len", s.aad.len() as u32), ("c_len", input.len() as u32)])
        .set(&[("cipher_src_offset", s.aad.len() as u32)])
        .at(&[("src", src.address), ("dst", dst.address), ("mac", mac), ("c_key", mem.put_odd(s.key, 1))])
        .at(&[("c_ivin", iv), ("a_ivin", auth_iv)])
        .run(&mem);
    match end {
        End::Done(mismatch) => {
            let out = dst.bytes(&mem);
            assert!(out[..s.aad.len()].iter().all(|b| *b == 0xEE), "{name}: the AAD area was written");
            Ok((out[s.aad.len()..].to_vec(), mem.get(mac, s.tag.len()), mismatch))
        }
        End::Refused(rule) => Err(rule),
    }
}

/// GCM as a stream of FIRST and MIDDLE parts (`sec.md` 9.8): whole blocks with the state between them; gives the
/// output and the GHASH state, from which a driver makes the tag. Stops at the first refusal.
pub fn stream(
    name: &str,
    s: &Sealed<'_>,
    seal: bool,
    (generation, list): (Generation, bool),
) -> Result<(Vec<u8>, Vec<u8>), Rule> {
    let mem = Space::default();
    let key = mem.put(s.key);
    let words = s.key.len() as u32 / 4;
    let (alg, hash, code) = if name == "sm4-gcm" { (3, 0x31, 0) } else { (2, 0x22, (words - 4) / 2) };
    let mac = mem.put(&[0; 16]);
    let kind = u32::from(list);
    let mut counter = [s.nonce, &[0; 4]].concat();
    let src = Buffer::new(&mem, s.aad, list);
    let first = Descriptor::new(generation)
        .set(&[("auth", 1), ("a_alg", hash), ("mac_len", 4), ("a_key_len", words), ("scene", 7), ("de", 1)])
        .set(&[("seq", u32::from(!seal)), ("a_len", s.aad.len() as u32), ("a_pad", 1), ("mac_sel", 1)])
        .set(&[("cipher_src_offset", s.aad.len() as u32), ("src_addr_type", kind), ("dst_addr_type", kind)])
        .at(&[("src", src.address), ("mac", mac), ("a_key", key), ("c_ivin", mem.put(&counter))]);
    let mut refused = None;
    let mut run = |descriptor: Descriptor| match descriptor.run(&mem) {
        End::Done(mismatch) => assert!(!mismatch, "{name}"),
        End::Refused(rule) => refused = refused.or(Some(rule)),
    };
    run(first);
    counter[15] = 1;
    let input = if seal { s.plain } else { s.cipher };
    let mut out = Vec::new();
    for chunk in input.chunks(32) {
        let (src, dst) = (Buffer::new(&mem, chunk, list), Buffer::new(&mem, &vec![0; chunk.len()], list));
        let middle = Descriptor::new(generation)
            .set(&[("cipher", if seal { 1 } else { 2 }), ("seq", u32::from(!seal)), ("scene", 7), ("de", 1)])
            .set(&[("c_alg", alg), ("c_mode", 6), ("c_key_len", code), ("c_icv_len", s.tag.len() as u32)])
            .set(&[
                ("a_key_len", words),
                ("ai_gen", 1),
                ("a_pad", 1),
                ("mac_sel", 1),
                ("c_len", chunk.len() as u32),
            ])
            .set(&[("src_addr_type", kind), ("dst_addr_type", kind)])
            .at(&[("src", src.address), ("dst", dst.address), ("mac", mac), ("a_ivin", mac)])
            .at(&[("a_key", key), ("c_key", key), ("c_ivin", mem.put(&counter))]);
        run(middle);
        out.extend(dst.bytes(&mem));
        let number = u32::from_be_bytes(counter[12..].try_into().unwrap()) + chunk.len() as u32 / 16;
        counter[12..].copy_from_slice(&number.to_be_bytes());
    }
    refused.map_or_else(|| Ok((out, mem.get(mac, 16))), Err)
}

/// Both directions everywhere, and a tag with one bit changed.
pub fn check(name: &str, s: &Sealed<'_>, at: &str) {
    for device in EVERYWHERE {
        let sealed = run(name, s, true, device);
        // V2: no SM4, no empty payload (`sec.md` 12.2)
        if device.0 == V2 && (name.starts_with("sm4") || s.plain.is_empty()) {
            assert!(sealed.is_err(), "{at}: {name} {sealed:?}");
            assert!(run(name, s, false, device).is_err(), "{at}: {name}");
            continue;
        }
        assert!(
            sealed == Ok((s.cipher.to_vec(), s.tag.to_vec(), false)),
            "{at}: {name}, {device:?}: {sealed:02x?}"
        );
        let opened = run(name, s, false, device);
        assert!(
            opened == Ok((s.plain.to_vec(), s.tag.to_vec(), false)),
            "{at}: {name}, {device:?}: {opened:02x?}"
        );
        let mut tag = s.tag.to_vec();
        tag[s.tag.len() - 1] ^= 0x40;
        let forged = run(name, &Sealed { tag: &tag, ..*s }, false, device).unwrap();
        assert!(forged.2 && forged.1 == tag, "{at}: {name}, {device:?}: a changed tag");
    }
}

#[test]
fn aead_vectors() {
    for v in vectors("public/aead.txt") {
        let [key, nonce, aad, plain, cipher, tag] = &v.fields[..] else { panic!("{}", v.at) };
        let sealed = Sealed { key, nonce, aad, plain, cipher, tag };
        if plain.is_empty() && aad.is_empty() {
            continue; // no driver may send it (9.3)
        }
        check(&v.name, &sealed, &v.at);
        if v.name.ends_with("gcm") && plain.len() % 16 == 0 && !plain.is_empty() && !aad.is_empty() {
            check_stream(&v.name, &sealed, &v.at);
        }
    }
}

/// Streams give what the whole request gives, and the same state whichever way the payload went; lists and, on V2,
/// SM4 are refused (9.8).
fn check_stream(name: &str, s: &Sealed<'_>, at: &str) {
    for (generation, list) in EVERYWHERE {
        let both = [true, false].map(|seal| stream(name, s, seal, (generation, list)));
        if list || generation == V2 && name == "sm4-gcm" {
            assert_eq!(both, [Err(Rule::Unsupported), Err(Rule::Unsupported)], "{at}: stream");
            continue;
        }
        let [sealed, opened] =
            both.map(|result| result.unwrap_or_else(|rule| panic!("{at}: stream: {rule:?}")));
        assert!(sealed.0 == s.cipher && opened.0 == s.plain && sealed.1 == opened.1, "{at}: stream");
    }
}

/// CBC with HMAC (`sec.md` 9.6) in the forms that the hardware has; expected values from CBC and HMAC of the engine,
/// which have public vectors of their own.
#[test]
fn cbc_with_hmac_is_cbc_then_hmac_over_all() {
    let data =
        |len: usize, first: u8| (0..len).map(|i| first.wrapping_add((i * 7) as u8)).collect::<Vec<u8>>();
    let (iv, aad, plain) = (data(16, 3), data(13, 90), data(80, 17));
    for (cipher, key) in [("aes-128", 16), ("aes-192", 24), ("aes-256", 32), ("sm4-128", 16)] {
        for (hash, code, auth_key, length) in [
            ("sha-1", 0x10, 20, 12),
            ("sha-256", 0x11, 32, 32),
            ("sha-512", 0x15, 64, 32),
            ("sm3", 0x26, 32, 16),
        ] {
            let (key, auth_key) = (data(key, 200), data(auth_key, 111));
            let sealed =
                cipher::crypt(&format!("{cipher}-cbc"), true, (&key, &iv, &plain), (V2, false)).unwrap();
            let whole = [&aad[..], &sealed].concat();
            let name = format!("hmac-{hash}");
            let tag = digest::whole(&name, (&auth_key, &whole, length), (V2, false)).unwrap();
            let parts = Authenticated { cipher, code, keys: (&key, &auth_key), iv: &iv, aad: &aad };
            for device in EVERYWHERE {
                let to = parts.run(true, &plain, &vec![0; length], device);
                let back = parts.run(false, &sealed, &tag, device);
                if device.0 == V2 && (cipher.starts_with("sm4") || hash == "sm3") {
                    assert_eq!(
                        (to, back),
                        (Err(Rule::Unsupported), Err(Rule::Unsupported)),
                        "{cipher} {hash}"
                    );
                    continue;
                }
                assert!(
                    to == Ok((sealed.clone(), tag.clone(), false)),
                    "{cipher} {hash} {device:?}: {to:02x?}"
                );
                assert!(
                    back == Ok((plain.clone(), tag.clone(), false)),
                    "{cipher} {hash} {device:?}: {back:02x?}"
                );
                let mut forged = tag.clone();
                forged[0] ^= 1;
                assert!(
                    parts.run(false, &sealed, &forged, device).unwrap().2,
                    "{cipher} {hash}: a changed tag"
                );
            }
        }
    }
}

/// What stays the same in both directions of CBC with HMAC.
struct Authenticated<'a> {
    cipher: &'a str,
    code: u32,
    keys: (&'a [u8], &'a [u8]),
    iv: &'a [u8],
    aad: &'a [u8],
}

impl Authenticated<'_> {
    fn run(&self, seal: bool, input: &[u8], tag: &[u8], (generation, list): (Generation, bool)) -> Outcome {
        let mem = Space::default();
        let src = Buffer::new(&mem, &[self.aad, input].concat(), list);
        let dst = Buffer::new(&mem, &vec![0xEE; self.aad.len() + input.len()], list);
        let mac = mem.put(tag);
        let kind = u32::from(list);
        let total = (self.aad.len() + input.len()) as u32;
        let end = Descriptor::new(generation)
            .set(&cipher::fields(&format!("{}-cbc", self.cipher)))
            .set(&[
                ("cipher", if seal { 1 } else { 2 }),
                ("auth", if seal { 1 } else { 2 }),
                ("seq", u32::from(!seal)),
            ])
            .set(&[
                ("scene", 1),
                ("de", 1),
                ("src_addr_type", kind),
                ("dst_addr_type", kind),
                ("a_alg", self.code),
            ])
            .set(&[("a_key_len", self.keys.1.len() as u32 / 4), ("mac_len", tag.len() as u32 / 4)])
            .set(&[
                ("a_len", total),
                ("c_len", input.len() as u32),
                ("cipher_src_offset", self.aad.len() as u32),
            ])
            .at(&[("src", src.address), ("dst", dst.address), ("mac", mac), ("c_ivin", mem.put(self.iv))])
            .at(&[("c_key", mem.put(self.keys.0)), ("a_key", mem.put(self.keys.1))])
            .run(&mem);
        match end {
            End::Done(mismatch) => {
                let out = dst.bytes(&mem)[self.aad.len()..].to_vec();
                Ok((out, mem.get(mac, tag.len()), mismatch))
            }
            End::Refused(rule) => Err(rule),
        }
    }
}
