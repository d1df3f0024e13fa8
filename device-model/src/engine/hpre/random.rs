//! The device's random number generator: k of SM2 signatures and ciphertexts, d of SM2 key generation (section 7).

use super::NoResult;
use num_bigint::BigUint;
use sm3::{Digest, Sm3};
use std::sync::atomic::{AtomicU64, Ordering};
use zeroize::Zeroizing;

/// Values tried before the generator gives up: a range of senseless parameters may hold no value that serves.
pub(super) const ATTEMPTS: usize = 128;

/// Where random numbers come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The operating system.
    System,
    /// SM3 of (seed, counter): reproducible where the order of requests is.
    Seeded { seed: u64, used: AtomicU64 },
}

impl Source {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoResult> {
        match self {
            Self::System => getrandom::fill(bytes).map_err(|_| NoResult),
            Self::Seeded { seed, used } => {
                for part in bytes.chunks_mut(32) {
                    let count = used.fetch_add(1, Ordering::Relaxed);
                    let block = Sm3::new().chain_update(seed.to_be_bytes()).chain_update(count.to_be_bytes());
                    part.copy_from_slice(&block.finalize()[..part.len()]);
                }
                Ok(())
            }
        }
    }

    /// Uniform in `gap ..= n − gap`.
    pub(super) fn between(&self, gap: u32, n: &BigUint) -> Result<BigUint, NoResult> {
        let low = BigUint::from(gap);
        if *n < low {
            return Err(NoResult);
        }
        let high = n - gap;
        let bits = high.bits();
        let mut bytes = Zeroizing::new(vec![0; bits.div_ceil(8) as usize]);
        for _ in 0..ATTEMPTS {
            self.fill(&mut bytes)?;
            let mut value = BigUint::from_bytes_be(&bytes);
            value >>= bytes.len() as u64 * 8 - bits;
            if low <= value && value <= high {
                return Ok(value);
            }
        }
        Err(NoResult)
    }
}
