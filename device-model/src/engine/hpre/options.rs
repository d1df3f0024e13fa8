//! Behaviour that the reference leaves open (section 14) or that tests want: one switch each.

/// Switches of the engine. Without any, it checks whatever no correct driver fails (section 11, items 15 and 16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `any-point`: points need not satisfy the curve's equation, only be below p. Hardware seems to be like that for
    /// alg 0x0D: the vendor's benchmark multiplies a point of secp256k1 on secp256r1.
    pub any_point: bool,
    /// `any-class`: RSA and DH also on queues of class 1, elliptic curves also on others.
    pub any_class: bool,
    /// `zero-digest`: a digest of zero is signed and verified as any other; every driver refuses to send it (section 9).
    pub zero_digest: bool,
    /// `seed:N`: random numbers are a sequence that N determines, not the operating system's.
    pub seed: Option<u64>,
}

impl Options {
    /// Every check, and the operating system's random numbers.
    pub const NONE: Options = Options { any_point: false, any_class: false, zero_digest: false, seed: None };

    /// Reads names joined by `+`, such as `any-point+seed:7`; the error names the one that is wrong.
    pub fn parse(text: &str) -> Result<Options, String> {
        let mut out = Options::NONE;
        for word in text.split('+').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "any-point" => out.any_point = true,
                "any-class" => out.any_class = true,
                "zero-digest" => out.zero_digest = true,
                _ => match word.strip_prefix("seed:").map(str::parse) {
                    Some(Ok(seed)) => out.seed = Some(seed),
                    Some(Err(_)) => return Err(format!("hpre option `{word}`: a number of 64 bits")),
                    None => return Err(format!("hpre option `{word}` is unknown")),
                },
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_text() {
        let all = Options { any_point: true, any_class: true, zero_digest: true, seed: Some(7) };
        assert_eq!(Options::parse("any-point+any-class + zero-digest+seed:7"), Ok(all));
        assert_eq!(Options::parse(""), Ok(Options::NONE));
        for wrong in ["any", "seed:", "seed:x", "seed", "any-point,any-class"] {
            assert!(Options::parse(wrong).unwrap_err().contains("hpre option"), "{wrong}");
        }
    }
}
