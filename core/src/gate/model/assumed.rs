//! What requests are taken to cost until they have been measured here. **All of these are assumptions**: software's
//! come from measurements on another machine (x86-64; design/baselines.md), the device's from the few figures that
//! have been published, or from nothing. They only decide what is tried first.

use crate::job::Effort;

/// How cost grows with the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    /// Nanoseconds for 1024 bytes.
    PerKib(u64),
    /// Nanoseconds for 256 bytes (a modulus of 2048 bits), with this power of the length.
    Power(u64, u32),
}

/// Cost as a function of the size: something for the request, something for its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Curve {
    fixed_ns: u64,
    growth: Growth,
}

impl Curve {
    const fn linear(fixed_ns: u64, ns_per_kib: u64) -> Curve {
        Curve { fixed_ns, growth: Growth::PerKib(ns_per_kib) }
    }

    const fn power(fixed_ns: u64, ns_of_2048_bits: u64, power: u32) -> Curve {
        Curve { fixed_ns, growth: Growth::Power(ns_of_2048_bits, power) }
    }

    /// Nanoseconds for `bytes`, at least 1.
    pub(super) const fn at(self, bytes: u64) -> u64 {
        let grown = match self.growth {
            Growth::PerKib(ns) => bytes.saturating_mul(ns) / 1024,
            Growth::Power(ns, power) => {
                // Eighths of 2048 bits keep the powers small; nobody has a modulus of more than 64 of them.
                let eighths = bytes.div_ceil(32);
                let eighths = if eighths > 512 { 512 } else { eighths };
                ns.saturating_mul(eighths.pow(power)) / 8u64.pow(power)
            }
        };
        let sum = self.fixed_ns.saturating_add(grown);
        if sum == 0 { 1 } else { sum }
    }
}

/// Software's cost. Sections are those of baselines.md.
pub(super) const fn software(effort: Effort) -> Curve {
    match effort {
        // 1b and 1c, zlib-rs: 16 KiB chunks at 239, 104, 65 and 33 MB/s; 256 bytes in 5 to 17 µs.
        Effort::DeflateFast => Curve::linear(5_000, 4_300),
        Effort::DeflateLight => Curve::linear(8_000, 9_800),
        Effort::DeflateUsual => Curve::linear(10_000, 15_700),
        Effort::DeflateBest => Curve::linear(10_000, 31_000),
        // 1b: 549 MB/s of output; a byte of input makes about 3.3 (sizes in 1a). 1c: 256 bytes in 4.7 µs.
        Effort::Inflate => Curve::linear(4_500, 6_200),
        // 2a: AES-256-CTR and CBC decryption some 6 GB/s, CBC encryption 1.1 GB/s, SM4 100 MB/s. 2c: 300 ns a message.
        Effort::Cipher => Curve::linear(300, 170),
        Effort::CipherChained => Curve::linear(300, 930),
        Effort::CipherPlain => Curve::linear(300, 10_200),
        // 2a: RSA-2048 2576 signatures and 51.9 thousand verifications a second, RSA-4096 185 and 13 thousand.
        Effort::RsaPrivate => Curve::power(0, 388_000, 3),
        Effort::RsaPublic => Curve::power(0, 19_300, 2),
    }
}

/// The device's cost with nothing ahead of the request.
pub(super) const fn device(effort: Effort) -> Curve {
    match effort {
        // UADK's docs/perf.rst, cited in design/peers.md: blocks of 8 KiB at 556 MB/s one at a time, which is 14.7 µs
        // each, and at 7.2 GB/s with 60 in flight, so 2.3 µs of that on one of two engines. The level does not matter.
        Effort::DeflateFast | Effort::DeflateLight | Effort::DeflateUsual | Effort::DeflateBest => {
            Curve::linear(12_400, 290)
        }
        // A guess: as much for the way, and 1 GB/s of output.
        Effort::Inflate => Curve::linear(12_400, 3_400),
        // A guess: nothing is published.
        Effort::Cipher | Effort::CipherChained | Effort::CipherPlain => Curve::linear(8_000, 1_700),
        // "100,000 OPS" of RSA-2048 for a server with two devices (hikunpeng.com), were each of ten engines: 200 µs.
        Effort::RsaPrivate => Curve::power(10_000, 200_000, 3),
        // A guess.
        Effort::RsaPublic => Curve::power(10_000, 10_000, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_the_sources_come_out() {
        let near = |got: u64, expected: u64| {
            assert!(got.abs_diff(expected) * 10 <= expected, "{got} is not near {expected}");
        };
        near(software(Effort::DeflateUsual).at(16 << 10), 262_000);
        near(software(Effort::CipherChained).at(16 << 10), 14_700);
        near(software(Effort::RsaPrivate).at(256), 388_000);
        near(software(Effort::RsaPublic).at(512), 77_000);
        near(device(Effort::DeflateFast).at(8 << 10), 14_700);
        near(device(Effort::RsaPrivate).at(256), 210_000);
    }

    #[test]
    fn every_cost_grows_with_the_size_and_none_overflows() {
        for effort in Effort::ALL {
            for curve in [software(effort), device(effort)] {
                assert!(curve.at(0) >= 1 && curve.at(128) <= curve.at(512) && curve.at(512) < curve.at(4096));
                assert!(curve.at(u64::MAX) >= curve.at(1 << 20));
            }
        }
    }
}
