//! References: deflate by another implementation than the model's, cipher modes written out over single
//! blocks.

use std::io::Read;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use warpdrive_core::engine::cipher::{Algorithm, Mode};
use warpdrive_core::engine::zip::Format;

/// `payload` behind the header of its container.
fn framed(format: Format, payload: &[u8]) -> Vec<u8> {
    let header: &[u8] = match format {
        Format::Raw => &[],
        Format::Zlib => &[0x78, 0x9C],
        Format::Gzip => &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3],
    };
    [header, payload].concat()
}

/// Decompresses a payload with its trailer, which is verified.
pub fn inflate(format: Format, payload: &[u8]) -> Vec<u8> {
    let stream = framed(format, payload);
    let mut data = Vec::new();
    match format {
        Format::Raw => flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut data),
        Format::Zlib => flate2::read::ZlibDecoder::new(&stream[..]).read_to_end(&mut data),
        Format::Gzip => flate2::read::GzDecoder::new(&stream[..]).read_to_end(&mut data),
    }
    .unwrap();
    data
}

/// Compresses; payload and trailer without the header.
pub fn deflate(format: Format, data: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::new(6);
    let mut stream = Vec::new();
    match format {
        Format::Raw => flate2::read::DeflateEncoder::new(data, level).read_to_end(&mut stream),
        Format::Zlib => flate2::read::ZlibEncoder::new(data, level).read_to_end(&mut stream),
        Format::Gzip => flate2::read::GzEncoder::new(data, level).read_to_end(&mut stream),
    }
    .unwrap();
    stream.split_off(framed(format, &[]).len())
}

/// Check value as the format's trailer has it; 0 for raw.
pub fn check(format: Format, data: &[u8]) -> u32 {
    match format {
        Format::Raw => 0,
        Format::Zlib => {
            let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
                let a = (a + u32::from(*byte)) % 65_521;
                (a, (b + a) % 65_521)
            });
            b << 16 | a
        }
        Format::Gzip => {
            let mut crc = flate2::Crc::new();
            crc.update(data);
            crc.sum()
        }
    }
}

fn block(algorithm: Algorithm, key: &[u8], data: [u8; 16]) -> [u8; 16] {
    fn with<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt>(key: &[u8], data: &mut [u8; 16]) {
        let cipher = C::new_from_slice(key).unwrap();
        cipher.encrypt_block(data.as_mut_slice().try_into().unwrap());
    }
    let mut data = data;
    match algorithm {
        Algorithm::Aes128 => with::<aes::Aes128>(key, &mut data),
        Algorithm::Aes192 => with::<aes::Aes192>(key, &mut data),
        Algorithm::Aes256 => with::<aes::Aes256>(key, &mut data),
        Algorithm::Sm4 => with::<sm4::Sm4>(key, &mut data),
    }
    data
}

fn xor(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
    std::array::from_fn(|n| a[n] ^ b[n])
}

/// Encrypts.
pub fn encrypt(algorithm: Algorithm, mode: Mode, key: &[u8], iv: [u8; 16], data: &[u8]) -> Vec<u8> {
    match mode {
        Mode::Ecb => data.chunks(16).flat_map(|p| block(algorithm, key, p.try_into().unwrap())).collect(),
        Mode::Cbc => {
            let mut chain = iv;
            let mut next = |piece: &[u8]| {
                chain = block(algorithm, key, xor(piece.try_into().unwrap(), chain));
                chain
            };
            data.chunks(16).flat_map(&mut next).collect()
        }
        Mode::Ctr => {
            let start = u128::from_be_bytes(iv);
            let stream = (0..).flat_map(|n| block(algorithm, key, start.wrapping_add(n).to_be_bytes()));
            data.iter().zip(stream).map(|(byte, key)| byte ^ key).collect()
        }
        Mode::Xts => xts(algorithm, key, iv, data),
    }
}

/// IEEE 1619, with ciphertext stealing.
fn xts(algorithm: Algorithm, key: &[u8], iv: [u8; 16], data: &[u8]) -> Vec<u8> {
    let (data_key, tweak_key) = key.split_at(key.len() / 2);
    let mut tweak = u128::from_le_bytes(block(algorithm, tweak_key, iv));
    let whole = data.len() / 16;
    let mut output = Vec::with_capacity(data.len());
    for (n, piece) in data.chunks(16).enumerate() {
        let mask = tweak.to_le_bytes();
        let masked = |input: [u8; 16]| xor(block(algorithm, data_key, xor(input, mask)), mask);
        if n < whole {
            output.extend(masked(piece.try_into().unwrap()));
        } else {
            // The tail takes the place of the front of the last whole block, which is encrypted once more.
            let stolen: [u8; 16] = output.split_off((whole - 1) * 16).try_into().unwrap();
            let mut last = stolen;
            last[..piece.len()].copy_from_slice(piece);
            output.extend(masked(last));
            output.extend(&stolen[..piece.len()]);
        }
        tweak = (tweak << 1) ^ if tweak >> 127 == 1 { 0x87 } else { 0 };
    }
    output
}
