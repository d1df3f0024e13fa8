//! Questions with known answers. Where they come from: test-vectors/README.md.

/// Bytes from hexadecimal digits, at compile time.
const fn hex<const N: usize>(digits: &[u8]) -> [u8; N] {
    const fn value(digit: u8) -> u8 {
        match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("not a hexadecimal digit"),
        }
    }
    assert!(digits.len() == 2 * N);
    let (mut bytes, mut n) = ([0; N], 0);
    while n < N {
        bytes[n] = value(digits[2 * n]) << 4 | value(digits[2 * n + 1]);
        n += 1;
    }
    bytes
}

/// Length of [`sample`].
pub(super) const SAMPLE: usize = 2048;

/// Text of few letters, repeated text, and noise.
pub(super) fn sample() -> [u8; SAMPLE] {
    let mut state = 1u32;
    std::array::from_fn(|n| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7FFF_FFFF;
        let noise = state >> 16;
        match n {
            0..1024 => b"etaoinshrdlu"[noise as usize % 12],
            1024..1920 => b"queue doorbell phase lease "[n % 27],
            _ => noise as u8,
        }
    })
}

/// [`sample`] as raw deflate data: a dynamic, a fixed and a stored block, with empty ones between.
pub(super) const PAYLOAD: [u8; 712] = hex(
    b"1c93490a03510844cf2a28f841141cee9fd7812c928e5dd6a484badf94cd9e599e968ec4554d657427df2f56ad5bcb454f46fbddc478\
     aebb4f9465468458ccdb9d9bb5e7be969d6abe52bd53a37302965b86c68ba72da2396cde9568a61f839efa8d78d6d5e65bcdbdd20867\
     e40d0c7d597ed2a677dbd05e76564ebe1a84186476e2e47594f7b7aacb8ad1b8b08f08ef9999176caf6f612ed72084e473dd9a491ebc\
     94acf4377935629b0bdca0254166bcd9edaf50e736aa99aca945f0bd2b84bf57a1c3ff873305f515968f4134c1b9fb409f34f4dbb165\
     649e9a2a2f0100af73b7d59087825b6736b14274e17f0aa9cc3c3e9d2636d51821f23989b2ea58375d6fd9f7a275896b8d9518d4a3ce\
     bb5dcfdf973792f1f794c9c3a3c1ff7b41689f84c89917934639309976404465316aa09908dcd3516c14380728239d2d24ffb4daca5f\
     ac589adad0904fbd78b19358d1288d86dcddae69093c42c00c290b1d52823c4c20c171287abbb956dcc340adf7e8df03ebd837675184\
     3dff11e2feaca76473a9040af51623136d7de18a2d3cafae7c59e564e9619ec6db82482246cf6edaebdccc32a73e5f7374708e3e3e3b\
     ef2750c5cad06eda10162a08e2477e9bc84c5f86e16c016629984a6fbe5b3a1b0b5aa55c0093031cbd6e0bda60804c6f60af95747fe7\
     31d1c3b3a1612442d474837bf05585851118f73a4e34f9c993c538581967a0f02a7dca057e87dd74e1c3916183dbfd000000ffff4a55\
     282c4d2d4d5548c9cf2f4a4acdc95128c8482c4e55c8490591a352a352a352349502000000ffff0180007fff550c51a9f9c655466350\
     193cd6dc55c1bac6530b27295e42333dea47fc778027745e705def2f34cb6e30a677a9d4e206de94f9f95c885aa9cec7010348845d04\
     13e502f339a21362cf626de205d69489ef915e2510ae613dab201dcbcad7eabc0b98a0232d9908415edf053642588283c3b81b479b14\
     8b35a33fd858d9e84086",
);

/// Modulus.
pub(super) const MODULUS: [u8; 128] = hex(
    b"96752776dc11cc1b4bc9d0e2b5b3f747336bf1ccc609fa09ae982aa89d663f78db26d2e96e431e92700e2a8cd16b140ce888274eebc3\
     ec2fcb7c312046a906e2af798fde8d7bce4c847aabda4561a4d80ce4c7ca316f4aa73af3a8fa51ed7702cda1d586211b98748709bc76\
     d46f49885fdf75b740db69b8ccf3cc6de44c90ef",
);

/// First prime.
pub(super) const P: [u8; 64] = hex(
    b"c4eb22b5b1dd1e1fc5675ce673200e4ddb8f33aa94f0fae58e66c06eb9e25a31d8e2b90992b03ec48f682f274edc0e8e9d9d4197981b\
     a7a9470b8875326c254b",
);

/// Second prime.
pub(super) const Q: [u8; 64] = hex(
    b"c39976f23cbd04984c1ac4861bc3bd948296715d26c584c3a03994ffeae039d68c1c285adfc3466444d9b468ddaad9e39229436354f9\
     c917f2bfa3f50644106d",
);

/// d mod (p − 1).
pub(super) const DP: [u8; 64] = hex(
    b"9f5da8dea14ed1a566ce6b49fa1c1457807c9994d12b61f24c57ee1eee8338f9a48c80b235ac3b703a9b57a6195550d6acca6b1e33b5\
     15f09295cbdf056aae97",
);

/// d mod (q − 1).
pub(super) const DQ: [u8; 64] = hex(
    b"1683fbe53688ab96bc6bf863579ed89bd7cc6990477e45221fb78127546a2b3e3f329e92975f6b22efa9ffd27271d05319e81611c11e\
     5fbf99f9e56db722eea1",
);

/// q⁻¹ mod p.
pub(super) const QINV: [u8; 64] = hex(
    b"2dad78f27e9558c7118ef125b6e04a62c025819555a9e3a173e149622d12b8d9d569c632a23e57cc43b0bd7741684edf4540a6200e68\
     d15ae5e8606e9c6dde3f",
);

/// A number below the modulus.
pub(super) const INPUT: [u8; 128] = hex(
    b"097e5ff5d1df02bcf0890669c5f32fdf99adedf8c0b46183370a36c828370a462ef575a9b7a688cf16b1ec9a1647253a4e642a6a705d\
     683b6774198419d8d675097e5ff5d1df02bcf0890669c5f32fdf99adedf8c0b46183370a36c828370a462ef575a9b7a688cf16b1ec9a\
     1647253a4e642a6a705d683b6774198419d8d675",
);

/// `INPUT` to the power of d.
pub(super) const RESULT: [u8; 128] = hex(
    b"2cf643d65873eda133a976a9005e68f1484a5e760ca469df79f35fcc6dcf7fd3a90b1f078fd345713f84225e769b6b99a552eca8e3d5\
     77e14c366e82c7e7c93c4ad0f0f990d90e96ddca60270c3877817ab3bba3777d9bfb683741b0eabcb3c01da3bcc89c348a9da312f110\
     410669794aa12a4dd0bc3e6a0f834f44b953f1eb",
);

/// Check value of [`sample`].
pub(super) const ADLER32: u32 = 0xFB0B_3C7B;
/// Check value of [`sample`].
pub(super) const CRC32: u32 = 0x1ED2_8647;

/// NIST SP 800-38A, the key of the AES-128 examples.
pub(super) const KEY: [u8; 16] = hex(b"2b7e151628aed2a6abf7158809cf4f3c");
/// NIST SP 800-38A, the plaintext of all examples.
pub(super) const PLAINTEXT: [u8; 64] =
    hex(b"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
     30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
/// NIST SP 800-38A, F.2.1.
pub(super) const CBC_IV: [u8; 16] = hex(b"000102030405060708090a0b0c0d0e0f");
/// NIST SP 800-38A, F.2.1.
pub(super) const CBC_CIPHERTEXT: [u8; 64] =
    hex(b"7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
     73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7");
/// NIST SP 800-38A, F.5.1; its low 32 bits do not wrap.
pub(super) const CTR_IV: [u8; 16] = hex(b"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
/// NIST SP 800-38A, F.5.1.
pub(super) const CTR_CIPHERTEXT: [u8; 64] =
    hex(b"874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff\
     5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee");
