//! From operand images to the result of one operation (reference section 5).

use super::number::{Image, Slots, slot};
use super::random::Source;
use super::request::{Operation, Request};
use super::{NoResult, Options, ecc, montgomery, rsa, sm2};

/// What an operation gives.
pub(super) enum Answer {
    /// Bytes for the output address.
    Output(Slots),
    /// Whether a signature is valid.
    Verdict(bool),
}

/// Calls `$module::$name` for the number of 64-bit limbs in a slot of `$width` bytes.
macro_rules! by_limbs {
    ($width:expr, $module:ident :: $name:ident ( $($argument:expr),* )) => {
        match $width {
            32 => $module::$name::<4>($($argument),*),
            48 => $module::$name::<6>($($argument),*),
            _ => $module::$name::<9>($($argument),*),
        }
    };
}

/// `key` and `input` have the operation's sizes.
pub(super) fn compute(
    request: &Request,
    key: &[u8],
    input: &[u8],
    options: Options,
    source: &Source,
) -> Result<Answer, NoResult> {
    let w = request.width;
    let (k, i) = (Image { bytes: key, width: w }, Image { bytes: input, width: w });
    let scalar = |drawn: bool, given: usize| match drawn {
        true => sm2::Scalar::Drawn(source),
        false => sm2::Scalar::Given(i.slot(given)),
    };
    let out = match request.operation {
        Operation::Power | Operation::DiffieHellman { .. } => {
            let base = match request.operation {
                Operation::DiffieHellman { base_two: true } => 2u32.into(),
                _ => i.slot(0),
            };
            let mut out = Slots::new();
            out.put(&rsa::power(&base, &k.slot(0), &k.slot(1))?, w);
            out
        }
        Operation::Crt => {
            let half = Image { bytes: key, width: w / 2 };
            let [dq, dp, q, p, qinv] = std::array::from_fn(|index| half.slot(index));
            let mut out = Slots::new();
            out.put(&rsa::crt(&i.slot(0), &rsa::CrtKey { dq, dp, q, p, qinv })?, w);
            out
        }
        Operation::KeyCompletion { crt } => {
            let h = w / 2;
            let full = rsa::complete(&slot(&key[..w]), &slot(&key[w..w + h]), &slot(&key[w + h..]))?;
            let mut out = Slots::new();
            out.put(&full.d, w);
            out.put(&full.n, w);
            if crt {
                out.put(&full.qinv, h);
                out.put(&full.dq, h);
                out.put(&full.dp, h);
            }
            out
        }
        Operation::PointMultiply => by_limbs!(w, ecc::multiply(k, i, options))?,
        Operation::EcdsaSign => by_limbs!(w, ecc::sign(k, i, options))?,
        Operation::EcdsaVerify => return by_limbs!(w, ecc::verify(k, i, options)).map(Answer::Verdict),
        Operation::Ladder => {
            let [p, a24, scalar] = std::array::from_fn(|index| k.slot(index));
            let mut out = Slots::new();
            out.put(&by_limbs!(w, montgomery::ladder(&p, &a24, &scalar, &i.slot(0)))?, w);
            out
        }
        Operation::Sm2Generate => sm2::generate(k, i, options, source)?,
        Operation::Sm2Sign { drawn } => sm2::sign(k, i, options, &scalar(drawn, 1))?,
        Operation::Sm2Verify => return sm2::verify(k, i, options).map(Answer::Verdict),
        Operation::Sm2Encrypt { drawn, .. } => sm2::encrypt(k, &input[w..], options, &scalar(drawn, 0))?,
        Operation::Sm2Decrypt { .. } => sm2::decrypt(k, input, options)?,
    };
    Ok(Answer::Output(out))
}
