//! The worked examples of section 15: descriptors word by word at the addresses given there, images byte by byte.

use super::*;

const KEY: u64 = 0x0000_FFFF_8000_1000;
const IN: u64 = 0x0000_FFFF_8000_2000;
const OUT: u64 = 0x0000_FFFF_8000_3000;

/// Executes `words` over the three images (the output: its length) and demands dword 0 `word0` and, elsewhere, the
/// words that `changed` names or those that were sent. Gives the output.
fn example(
    words: [u32; 16],
    [key, input]: [&[u8]; 2],
    output: usize,
    word0: u32,
    changed: &[(usize, u32)],
) -> Vec<u8> {
    let mem = Space::default();
    mem.put_at(KEY, key);
    mem.put_at(IN, input);
    mem.put_at(OUT, &vec![0xEE; output]);
    let class = u16::from(words[0] & 31 > 5);
    let (got, verdict) = Words(words.to_vec()).run(&STRICT, &mem, V3, class);
    let mut expected = words;
    expected[0] = word0;
    for (index, word) in changed {
        expected[*index] = *word;
    }
    assert_eq!(got.0, expected);
    assert!(matches!(verdict, Verdict::Done { ok: true, .. }));
    assert_eq!((mem.get(KEY, key.len()), mem.get(IN, input.len())), (key.to_vec(), input.to_vec()));
    mem.get(OUT, output)
}

/// The words that all examples but verification share; 15.9 gives the others.
fn words(dw0: u32, dw1: u32, input: u64, dw10: u32) -> [u32; 16] {
    let (low, high) = (input as u32, (input >> 32) as u32);
    [dw0, dw1, 0x8000_1000, 0xFFFF, low, high, 0x8000_3000, 0xFFFF, 0x8000_4000, 0xFFFF, dw10, 0, 0, 0, 0, 0]
}

#[test]
fn descriptors_are_little_endian_words() {
    // The raw bytes of 15.1.
    let raw = hex("01000040 1f000000 00100080 ffff0000 00200080 ffff0000 00300080 ffff0000
         00400080 ffff0000 00000000 00000000 00000000 00000000 00000000 00000000");
    let sent: Vec<u8> = words(0x4000_0001, 0x1F, IN, 0).iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(sent, raw);
}

#[test]
fn rsa_2048_crt_15_1() {
    let v = named();
    let key = ["rsa.dq", "rsa.dp", "rsa.q", "rsa.p", "rsa.qinv"].map(|name| v[name].clone()).concat();
    assert_eq!(key.len(), 0x280);
    let sent = words(0x4000_0001, 0x1F, IN, 0);
    assert_eq!(example(sent, [&key, &v["rsa.message"]], 256, 0xC000_0001, &[]), v["rsa.signature"]);
}

#[test]
fn rsa_2048_public_15_2_keeps_the_leading_zero_byte() {
    let v = named();
    let key = [right(&[1, 0, 1], 256), v["rsa.n"].clone()].concat();
    let sent = words(0x4000_0000, 0x1F, IN, 0);
    let out = example(sent, [&key, &v["rsa.signature"]], 256, 0xC000_0000, &[]);
    assert_eq!(out, v["rsa.message"]);
    assert_eq!(out[..4], [0, 2, 0xE4, 0x22]);
}

#[test]
fn dh_2048_15_3() {
    let v = named();
    let key = |x: &str| [right(&v[x], 256), v["dh.p"].clone()].concat();
    let a = key("dh.xa");
    assert_eq!(example(words(0x4000_0004, 0x1F, 0, 0), [&a, &[]], 256, 0xC000_0004, &[]), v["dh.ya"]);
    let phase2 = words(0x4000_0005, 0x1F, IN, 0);
    assert_eq!(example(phase2, [&a, &right(&[2], 256)], 256, 0xC000_0005, &[]), v["dh.ya"]);
    assert_eq!(example(phase2, [&a, &v["dh.yb"]], 256, 0xC000_0005, &[]), v["dh.z"]);
    assert_eq!(example(phase2, [&key("dh.xb"), &v["dh.ya"]], 256, 0xC000_0005, &[]), v["dh.z"]);
}

#[test]
fn x25519_15_4() {
    let v = named();
    let generate = words(0x4000_0010, 3, KEY + 0xA0, 0);
    assert_eq!(example(generate, [&v["x25519.key"], &[]], 32, 0xC000_0010, &[]), v["x25519.public"]);
    let share = words(0x4000_0010, 3, IN, 0);
    let out = example(share, [&v["x25519.key"], &v["x25519.peer"]], 32, 0xC000_0010, &[]);
    assert_eq!(out, v["x25519.shared"]);
}

#[test]
fn x448_15_4_slots() {
    // Three slots of the example and what UADK puts behind them: b, n, and the base point at 0x168.
    let key = [named()["x448.key"].clone(), vec![0; 144], right(&[5], 72), vec![0; 72]].concat();
    let generate = words(0x4000_0010, 8, KEY + 0x168, 0);
    let out = example(generate, [&key, &[]], 72, 0xC000_0010, &[]);
    assert_eq!(out[..16], [0; 16]);
    assert_ne!(out[16..], [0; 56]);
}

#[test]
fn ecdh_p256_15_5() {
    let v = named();
    let generate = words(0x4000_000D, 0x8000_0003, KEY + 0xA0, 0);
    assert_eq!(example(generate, [&v["ecdh.key"], &[]], 64, 0xC000_000D, &[]), v["ecdh.public"]);
    let share = words(0x4000_000D, 0x8000_0003, IN, 0);
    let out = example(share, [&v["ecdh.key"], &v["ecdh.peer"]], 64, 0xC000_000D, &[]);
    assert_eq!(out, v["ecdh.shared"]);
}

#[test]
fn sm2_sign_15_6() {
    let v = named();
    let sent = words(0x4000_0012, 3, IN, 0);
    let out = example(sent, [&v["sm2.private"], &v["sm2.sign.in"]], 64, 0xC000_0012, &[]);
    assert_eq!(out, v["sm2.sign.out"]);
    // Without k: random, to be checked by a verification (15.9: the output address is the input's).
    let without = [&v["sm2.sign.in"][..32], &[0; 32]].concat();
    let sent = words(0x4000_0012, 0x0200_0003, IN, 0);
    let drawn = example(sent, [&v["sm2.private"], &without], 64, 0xC000_0012, &[]);
    assert_ne!(drawn, v["sm2.sign.out"]);
    let input = [&without[..32], &drawn[32..], &drawn[..32]].concat();
    let mut verify = words(0x4000_0013, 3, IN, 0);
    verify[6] = 0x8000_2000;
    example(verify, [&sm2_public(&v), &input], 0, 0xC000_0013, &[(6, 2)]);
}

/// p, a, b, n, Gx, Gy, Qx, Qy from the private image p, a, d, b, n, Gx, Gy.
fn sm2_public(v: &HashMap<&str, Vec<u8>>) -> Vec<u8> {
    let private = &v["sm2.private"];
    [&private[..64], &private[96..], &v["sm2.q"]].concat()
}

#[test]
fn sm2_encrypt_15_7() {
    let v = named();
    let key = sm2_public(&v);
    assert_eq!(key.len(), 256);
    let sent = words(0x4000_0014, 3, IN, 0x12);
    let out = example(sent, [&key, &v["sm2.encrypt.in"]], 115, 0xC000_0014, &[]);
    assert_eq!(out, v["sm2.encrypt.out"]);
    let sent = words(0x4000_0015, 3, IN, 0x12);
    let message = example(sent, [&v["sm2.private"], &out], 19, 0xC000_0015, &[]);
    assert_eq!(message, b"encryption standard");
}

#[test]
fn ecdsa_p256_verify_15_8() {
    let v = named();
    let mut sent = words(0x4000_000F, 3, IN, 0);
    sent[6] = 0x8000_2000;
    example(sent, [&v["ecdsa.key"], &v["ecdsa.in"]], 0, 0xC000_000F, &[(6, 2)]);
    for bit in [256, 511, 512, 700] {
        let mut input = v["ecdsa.in"].clone();
        input[bit / 8] ^= 1 << (bit % 8);
        example(sent, [&v["ecdsa.key"], &input], 0, 0xC000_000F, &[(6, 0)]);
    }
}

#[test]
fn constants_of_the_other_operations_15_9() {
    // (dword 0, dword 1, input address, dword 10, key, input and output bytes); RSA and DH elsewhere, by their images.
    let v = named();
    let curves = curves();
    let d = number("123456789abcdef");
    let p384 = &curves["secp384r1"];
    let out = example(
        words(0x4000_000D, 5, IN, 0),
        [&p384.private_image(&d), &p384.image(&[&p384.g.0, &p384.g.1])],
        96,
        0xC000_000D,
        &[],
    );
    assert_eq!(pair(&out), p384.public_of(&d));
    let p521 = &curves["secp521r1"];
    let key = p521.private_image(&d);
    assert_eq!(key.len(), 504);
    let out = example(words(0x4000_000D, 8, KEY + 0x168, 0), [&key, &[]], 144, 0xC000_000D, &[]);
    assert_eq!((&out[..6], &out[72..78]), (&[0; 6][..], &[0; 6][..]));
    for (curve, dw1, size) in [("secp256r1", 3, 64), ("secp521r1", 8, 144)] {
        let curve = &curves[curve];
        let (e, k) = (&BigUint::from(11u32), &BigUint::from(13u32));
        let sent = words(0x4000_000E, dw1, IN, 0);
        let key = curve.private_image(&d);
        let out = example(sent, [&key, &curve.image(&[e, k])], size, 0xC000_000E, &[]);
        assert_eq!(out, curve.sign(0x0E, &d, e, k).good());
    }
    // SM2 key generation reads G inside the private image, here the input.
    let out = example(
        words(0x4000_0011, 3, IN + 0xA0, 0),
        [&sm2_public(&v), &v["sm2.private"]],
        96,
        0xC000_0011,
        &[],
    );
    let sm2 = &curves["sm2p256v1"];
    assert_eq!(sm2.public_of(&BigUint::from_bytes_be(&out[64..])), pair(&out[..64]));
    // 512 bytes with the device's k, and back.
    let message = crate::engine::testing::seq(9, 512);
    let text = example(
        words(0x4000_0014, 0x0200_0003, IN, 0x1FF),
        [&sm2_public(&v), &[vec![0; 32], message.clone()].concat()],
        608,
        0xC000_0014,
        &[],
    );
    let back = words(0x4000_0015, 3, IN, 0x1FF);
    assert_eq!(example(back, [&v["sm2.private"], &text], 512, 0xC000_0015, &[]), message);
    // The split descriptors carry their marker back.
    for marker in [0x0E, 0x0F] {
        let sent = words(0x4000_000D, 0x8000_0003, IN, marker);
        let out = example(sent, [&v["sm2.private"], &v["sm2.private"][160..]], 64, 0xC000_000D, &[]);
        assert_eq!(out, v["sm2.q"]);
    }
}
