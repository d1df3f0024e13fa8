//! AES-CTR. The chain (counter block, keystream left over from a partial block) is ours, so that any part of a
//! message may be served by the device or by software. Whole blocks go where the gate says; a partial block at
//! the end is always software: its keystream block must be kept for the next call.

use std::ffi::CStr;
use std::sync::Arc;

use warpdrive_core::engine::cipher::{self, Algorithm, Data, Direction, Mode, Request};
use warpdrive_core::{Fault, Lease, Why};
use zeroize::{Zeroize, Zeroizing};

use crate::ossl::error::{Reason, raise};
use crate::ossl::handle::CipherCtx;
use crate::ossl::param::{self, OsslParam, Params};
use crate::provider::Provider;

const BLOCK: usize = 16;

/// Key sizes, by index: what the default provider calls them, what the engine calls them, and their bytes.
pub(crate) const SIZES: [(&CStr, Algorithm, usize); 3] = [
    (c"AES-128-CTR", Algorithm::Aes128, 16),
    (c"AES-192-CTR", Algorithm::Aes192, 24),
    (c"AES-256-CTR", Algorithm::Aes256, 32),
];

/// One cipher context.
pub(crate) struct Ctr {
    size: usize,
    encrypting: bool,
    key: Zeroizing<[u8; 32]>,
    software: Option<CipherCtx>,
    /// The software context's counter equals `counter`.
    in_step: bool,
    /// Number of the next keystream block.
    counter: [u8; BLOCK],
    original: [u8; BLOCK],
    keystream: Zeroizing<[u8; BLOCK]>,
    /// Bytes of `keystream` that are used up; 0 if none is left over.
    used: usize,
    pub(crate) padding: bool,
    pub(crate) tls: Tls,
    // Dropped last: it may own the library context of the software side.
    provider: Arc<Provider>,
}

/// TLS ≤ 1.2 settings. No TLS suite uses CTR, but the default provider's cipher takes them.
pub(crate) struct Tls {
    pub(crate) version: u32,
    pub(crate) mac_size: usize,
    pub(crate) mac: *const u8,
}

impl Ctr {
    /// `size` indexes [`SIZES`].
    pub(crate) fn new(provider: Arc<Provider>, size: usize) -> Ctr {
        Ctr {
            provider,
            size,
            encrypting: true,
            key: Zeroizing::new([0; 32]),
            software: None,
            in_step: false,
            counter: [0; BLOCK],
            original: [0; BLOCK],
            keystream: Zeroizing::new([0; BLOCK]),
            used: 0,
            padding: true,
            tls: Tls { version: 0, mac_size: 0, mac: std::ptr::null() },
        }
    }

    pub(crate) fn duplicate(&self) -> Option<Ctr> {
        let software = match &self.software {
            Some(software) => Some(software.duplicate()?),
            None => None,
        };
        Some(Ctr {
            provider: Arc::clone(&self.provider),
            software,
            key: self.key.clone(),
            keystream: self.keystream.clone(),
            tls: Tls { ..self.tls },
            ..*self
        })
    }

    /// Key length in bytes.
    pub(crate) fn key_len(&self) -> usize {
        SIZES[self.size].2
    }

    pub(crate) fn is_encrypting(&self) -> bool {
        self.encrypting
    }

    pub(crate) fn has_key(&self) -> bool {
        self.software.is_some()
    }

    pub(crate) fn counter(&self) -> &[u8; BLOCK] {
        &self.counter
    }

    pub(crate) fn original(&self) -> &[u8; BLOCK] {
        &self.original
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Starts a message. What is absent is kept: also the counter, which a CTR context never starts over.
    pub(crate) fn init(&mut self, encrypting: bool, key: Option<&[u8]>, iv: Option<&[u8]>) -> bool {
        self.used = 0;
        self.encrypting = encrypting;
        if let Some(iv) = iv {
            let Ok(iv) = <[u8; BLOCK]>::try_from(iv) else { return self.refuse(Reason::InvalidIvLength) };
            (self.counter, self.original) = (iv, iv);
            self.in_step = false;
        }
        if let Some(key) = key {
            if key.len() != self.key_len() {
                return self.refuse(Reason::InvalidKeyLength);
            }
            return self.set_key(key);
        }
        true
    }

    fn set_key(&mut self, key: &[u8]) -> bool {
        if self.software.is_none() {
            let twin = self.provider.twin().and_then(|twin| twin.cipher(self.size, SIZES[self.size].0));
            self.software = twin.and_then(|cipher| cipher.context());
        }
        self.in_step = match &mut self.software {
            Some(software) => software.rekey(key, &self.counter),
            None => false,
        };
        if !self.in_step {
            self.software = None;
            return self.refuse(Reason::CipherOperationFailed);
        }
        self.key.zeroize();
        self.key[..key.len()].copy_from_slice(key);
        true
    }

    /// The "num" parameter. Which values are allowed is the default provider's business.
    pub(crate) fn set_used(&mut self, value: usize) -> bool {
        if let Some(software) = &mut self.software {
            let mut number = value as u64;
            let array: [OsslParam; 2] = [param::uint64(c"num", &mut number), param::END];
            self.in_step = false;
            if !software.set_params(Params::of(&array)) {
                return false;
            }
        }
        if value >= BLOCK {
            return self.refuse(Reason::FailedToGetParameter);
        }
        self.used = value;
        true
    }

    /// Encrypts or decrypts `data`, which is the same. The key is set (the caller's duty).
    pub(crate) fn crypt(&mut self, mut data: Data<'_>) -> bool {
        let len = length(&data);
        let mut done = 0;
        if self.used > 0 {
            done = len.min(BLOCK - self.used);
            xor(part(&mut data, 0, done), &self.keystream[self.used..]);
            self.used = (self.used + done) % BLOCK;
        }
        if len - done < BLOCK {
            self.provider.gate().software(Why::TooSmall);
        }
        while len - done >= BLOCK {
            let whole = (len - done) / BLOCK * BLOCK;
            let step = whole.min(until_wrap(&self.counter));
            if !self.blocks(part(&mut data, done, done + step)) {
                return self.refuse(Reason::CipherOperationFailed);
            }
            done += step;
        }
        if done < len {
            if !self.next_keystream() {
                return self.refuse(Reason::CipherOperationFailed);
            }
            xor(part(&mut data, done, len), self.keystream.as_slice());
            self.used = len - done;
        }
        true
    }

    /// Whole blocks, none beyond a wrap of the counter's low 32 bits (V2 would carry no further).
    fn blocks(&mut self, data: Data<'_>) -> bool {
        let blocks = length(&data) / BLOCK;
        let (_, algorithm, key_len) = SIZES[self.size];
        let Some(software) = &mut self.software else { return false };
        let mut chunk = Chunk {
            software,
            in_step: &mut self.in_step,
            counter: &self.counter,
            key: &self.key[..key_len],
            algorithm,
            direction: if self.encrypting { Direction::Encrypt } else { Direction::Decrypt },
            data,
        };
        let job = cipher::job(algorithm, Mode::Ctr, blocks * BLOCK);
        let done =
            self.provider.gate().run(job, &mut chunk, Chunk::on_device, |chunk, _| chunk.in_software());
        if done {
            advance(&mut self.counter, blocks as u128);
        }
        done
    }

    /// Makes the keystream block for `counter` and steps on.
    fn next_keystream(&mut self) -> bool {
        let Some(software) = &mut self.software else { return false };
        if !self.in_step && !software.set_counter(&self.counter) {
            return false;
        }
        self.keystream.zeroize();
        self.in_step = software.crypt(Data::InPlace(self.keystream.as_mut_slice()));
        advance(&mut self.counter, 1);
        self.in_step
    }

    #[track_caller]
    fn refuse(&self, reason: Reason) -> bool {
        if let Some(lib) = self.provider.lib() {
            raise(lib, reason);
        }
        false
    }
}

/// One call's whole blocks, for either side.
struct Chunk<'a> {
    software: &'a mut CipherCtx,
    in_step: &'a mut bool,
    counter: &'a [u8; BLOCK],
    key: &'a [u8],
    algorithm: Algorithm,
    direction: Direction,
    data: Data<'a>,
}

impl Chunk<'_> {
    fn on_device(&mut self, lease: &mut Lease<'_>) -> Result<bool, Fault> {
        let mut iv = *self.counter;
        let end = length(&self.data);
        let request = Request {
            algorithm: self.algorithm,
            mode: Mode::Ctr,
            direction: self.direction,
            key: self.key,
            iv: &mut iv,
            data: part(&mut self.data, 0, end),
        };
        // In place, the input is gone once the device has succeeded.
        let input = match (&request.data, lease.is_sampled()) {
            (Data::InPlace(buffer), true) => Some(Zeroizing::new(buffer.to_vec())),
            _ => None,
        };
        cipher::run(lease, request)?;
        *self.in_step = false;
        let result = lease.check_sample(|| self.agrees(input.as_deref()));
        if let (Err(_), Data::InPlace(buffer), Some(input)) = (&result, &mut self.data, &input) {
            buffer.copy_from_slice(input);
        }
        result.map(|()| true)
    }

    /// Whether software makes the same of the input; `in_place` is that of data in place.
    fn agrees(&mut self, in_place: Option<&Vec<u8>>) -> bool {
        let (input, output): (&[u8], &[u8]) = match (&self.data, in_place) {
            (Data::Separate { input, output }, _) => (input, &output[..input.len()]),
            (Data::InPlace(buffer), Some(input)) => (input, buffer),
            (Data::InPlace(_), None) => return false,
        };
        let mut own = Zeroizing::new(input.to_vec());
        self.software.set_counter(self.counter)
            && self.software.crypt(Data::InPlace(&mut own))
            && own.as_slice() == output
    }

    fn in_software(&mut self) -> bool {
        if !*self.in_step && !self.software.set_counter(self.counter) {
            return false;
        }
        let end = length(&self.data);
        *self.in_step = self.software.crypt(part(&mut self.data, 0, end));
        *self.in_step
    }
}

fn length(data: &Data<'_>) -> usize {
    match data {
        Data::Separate { input, .. } => input.len(),
        Data::InPlace(buffer) => buffer.len(),
    }
}

/// The range `from..to` of both sides.
fn part<'a>(data: &'a mut Data<'_>, from: usize, to: usize) -> Data<'a> {
    match data {
        Data::Separate { input, output } => {
            Data::Separate { input: &input[from..to], output: &mut output[from..to] }
        }
        Data::InPlace(buffer) => Data::InPlace(&mut buffer[from..to]),
    }
}

fn xor(data: Data<'_>, keystream: &[u8]) {
    match data {
        Data::Separate { input, output } => {
            for ((out, byte), key) in output.iter_mut().zip(input).zip(keystream) {
                *out = byte ^ key;
            }
        }
        Data::InPlace(buffer) => buffer.iter_mut().zip(keystream).for_each(|(byte, key)| *byte ^= key),
    }
}

fn advance(counter: &mut [u8; BLOCK], blocks: u128) {
    *counter = u128::from_be_bytes(*counter).wrapping_add(blocks).to_be_bytes();
}

/// Bytes until the low 32 bits of the counter wrap.
fn until_wrap(counter: &[u8; BLOCK]) -> usize {
    let low = u128::from_be_bytes(*counter) as u32;
    usize::try_from(((1u64 << 32) - u64::from(low)) * BLOCK as u64).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_wraps_at_128_bits() {
        let mut counter = [0xFF; BLOCK];
        advance(&mut counter, 2);
        assert_eq!(u128::from_be_bytes(counter), 1);
    }

    #[test]
    fn requests_end_where_the_low_counter_word_wraps() {
        let mut counter = [0xFF; BLOCK];
        assert_eq!(until_wrap(&counter), 16);
        counter[15] = 0xFD;
        assert_eq!(until_wrap(&counter), 48);
        assert_eq!(until_wrap(&[0; BLOCK]), 1usize << 36);
    }

    #[test]
    fn parts_cover_both_sides_alike() {
        let (input, mut output) = ([1, 2, 3, 4], [0; 4]);
        let mut data = Data::Separate { input: &input, output: &mut output };
        xor(part(&mut data, 1, 3), &[0xF0, 0xF0]);
        assert_eq!(output, [0, 0xF2, 0xF3, 0]);
    }
}
