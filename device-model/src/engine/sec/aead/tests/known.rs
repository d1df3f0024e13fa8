//! Known answers: the reference's own, SP 800-38D (the GCM submission's cases), SP 800-38C, RFC 3610, RFC 8998.

use super::*;

fn gcm(generation: Generation, sm4: bool, values: [&str; 6]) {
    let [key, nonce, additional, text, secret, tag] = values.map(hex);
    let ask = Ask { sm4, ..Ask::new(generation, Mode::Gcm, key.len(), tag.len()) };
    both_ways(&ask, &Input { key, iv: nonce, additional, text, ..Input::default() }, &secret, &tag);
}

fn ccm(generation: Generation, sm4: bool, values: [&str; 6]) {
    let [key, nonce, additional, text, secret, tag] = values.map(hex);
    let ask = Ask { sm4, ..Ask::new(generation, Mode::Ccm, key.len(), tag.len()) };
    let (iv, auth_iv) = ccm_blocks(&nonce, additional.len(), text.len(), tag.len());
    both_ways(&ask, &Input { key, iv, auth_iv, additional, text, ..Input::default() }, &secret, &tag);
}

#[test]
fn gcm_gives_the_cases_of_its_submission() {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", cases 4, 10 and 16; 3 is 4 without additional data.
    let nonce = "cafebabefacedbaddecaf888";
    let additional = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
    let text = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    for generation in [V2, V3] {
        let secret = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
                      21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091";
        gcm(
            generation,
            false,
            [&key[..32], nonce, additional, text, secret, "5bc94fbc3221a5db94fae95ae7121a47"],
        );
        gcm(generation, false, [&key[..32], nonce, additional, text, secret, "5bc94fbc3221a5db"]);
        let secret = "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c
                      7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710";
        gcm(
            generation,
            false,
            [&key[..48], nonce, additional, text, secret, "2519498e80f1478f37ba55bd6d27618c"],
        );
        let secret = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
                      8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662";
        gcm(generation, false, [key, nonce, additional, text, secret, "76fc6ece0f4e1768cddf8853bb2d551b"]);
        let text = format!("{text}1aafd255");
        let secret = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
                      21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985";
        gcm(generation, false, [&key[..32], nonce, "", &text, secret, "4d5c2af327cd64a62cf35abd2ba6fab4"]);
    }
}

#[test]
fn ccm_gives_the_examples_of_sp_800_38c() {
    let key = "404142434445464748494a4b4c4d4e4f";
    for generation in [V2, V3] {
        ccm(
            generation,
            false,
            [key, "10111213141516", "0001020304050607", "20212223", "7162015b", "4dac255d"],
        );
        ccm(
            generation,
            false,
            [
                key,
                "1011121314151617",
                "000102030405060708090a0b0c0d0e0f",
                "202122232425262728292a2b2c2d2e2f",
                "d2a1f0e051ea5f62081a7792073d593d",
                "1fc64fbfaccd",
            ],
        );
        ccm(
            generation,
            false,
            [
                key,
                "101112131415161718191a1b",
                "000102030405060708090a0b0c0d0e0f10111213",
                "202122232425262728292a2b2c2d2e2f3031323334353637",
                "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5",
                "484392fbc1b09951",
            ],
        );
    }
}

#[test]
fn ccm_gives_packet_vectors_of_rfc_3610() {
    let key = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf";
    for generation in [V2, V3] {
        ccm(
            generation,
            false,
            [
                key,
                "00000003020100a0a1a2a3a4a5",
                "0001020304050607",
                "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
                "588c979a61c663d2f066d0c2c0f989806d5f6b61dac384",
                "17e8d12cfdf926e0",
            ],
        );
        ccm(
            generation,
            false,
            [
                key,
                "00000004030201a0a1a2a3a4a5",
                "0001020304050607",
                "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "72c91a36e135f8cf291ca894085c87e3cc15c439c9e43a3b",
                "a091d56e10400916",
            ],
        );
    }
}

#[test]
fn sm4_gives_the_examples_of_rfc_8998() {
    let key = "0123456789abcdeffedcba9876543210";
    let nonce = "00001234567800000000abcd";
    let additional = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
    let text = "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd
                eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa";
    let secret = "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735
                  d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d";
    gcm(V3, true, [key, nonce, additional, text, secret, "83de3541e4c2b58177e065a9bf7b62ec"]);
    let secret = "48af93501fa62adbcd414cce6034d895dda1bf8f132f042098661572e7483094
                  fd12e518ce062c98acee28d95df4416bed31a2f04476c18bb40c84a74b97dc5b";
    ccm(V3, true, [key, nonce, additional, text, secret, "16842d4fa186f56ab33256971fa110f4"]);
}

#[test]
fn ccm_and_hmac_give_the_reference_answers() {
    for generation in [V2, V3] {
        // 9.5 and 16.8; also that the formatted blocks are those that the reference prints.
        let (iv, auth_iv) = ccm_blocks(&seq(0xA1, 13), 16, 32, 8);
        assert_eq!(iv, hex("01a1a2a3a4a5a6a7a8a9aaabacad0001"));
        assert_eq!(auth_iv, hex("59a1a2a3a4a5a6a7a8a9aaabacad0020"));
        let ask = Ask::new(generation, Mode::Ccm, 16, 8);
        let input = Input {
            key: seq(0, 16),
            iv,
            auth_iv,
            additional: seq(0x40, 16),
            text: seq(0x80, 32),
            ..Input::default()
        };
        let secret = hex("12b6c3b4d40401a999ef565ae4d049ae7c163635e0de2f1f572045865bd831f6");
        both_ways(&ask, &input, &secret, &hex("619550c1e7b5d3a3"));

        let input = Input {
            key: seq(0, 16),
            iv: [vec![1], seq(0xA1, 15)].concat(),
            auth_key: seq(0x20, 32),
            additional: seq(0x40, 8),
            text: seq(0x80, 32),
            ..Input::default()
        };
        let secret = hex("b71d65f0924459ce5aec5399c0614c63b334bc4a5e870d141ecb358d224c6701");
        let tag = hex("4d90af5b634878310e591742f1e65c1b7e8912605b681ce56c41e79d163a2629");
        both_ways(&Ask::new(generation, Mode::Etm(0x11), 16, 32), &input, &secret, &tag);
        // A shorter tag is the first words of it.
        both_ways(&Ask::new(generation, Mode::Etm(0x11), 16, 12), &input, &secret, &tag[..12]);
    }
}

#[test]
fn an_empty_text_has_a_tag_on_v3() {
    // GCM submission, case 1, with the tag over additional data computed as the reference's GMAC (16.8).
    let input = Input { key: seq(0, 16), iv: seq(0xA0, 12), additional: seq(0x80, 40), ..Input::default() };
    let tag = hex("ea3b0a80d3641d567b8d4626af992951");
    both_ways(&Ask::new(V3, Mode::Gcm, 16, 16), &input, &[], &tag);
}
