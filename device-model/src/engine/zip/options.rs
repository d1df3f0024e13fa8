//! Behaviour that the reference leaves open or that hardware may show now and then (reference sections 17 and 20):
//! one switch each, for tests of drivers. Without any, the engine is as section 10's table recommends.

/// Longest cached input of a stream, bytes ([`Options::cached_input`]).
pub(super) const CACHE: usize = 64;

/// Least [`Options::portion`]: room for any final block of one byte, with a gzip trailer.
const LEAST_PORTION: u32 = 16;

/// Switches of the engine. [`Options::parse`] reads them from text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `leave-input`: a stream's request uses only the first half of its input, though there is space.
    pub leave_input: bool,
    /// `portion:N`: a stream's request gives at most N bytes (from 16), though there is space for more.
    pub portion: Option<u32>,
    /// `pending-output`: where output is full, all input counts as used (ctx_st 1) and the rest of the output is to be
    /// fetched with an empty request. Otherwise the last byte is left to be sent again (ctx_st 2).
    pub pending_output: bool,
    /// `cached-input`: up to 64 bytes of a stored block are taken in beyond full output; ctx_st 2 with bit 7 and ctx_dw1
    /// set in a final block, ctx_st 1 in another.
    pub cached_input: bool,
    /// `cached-bits`: between blocks ctx_st 3 with the number of bits at hand, which are put into the context (7.3).
    pub cached_bits: bool,
    /// `negative`: status 0x0D, not 0x00, for output that is not smaller than the input.
    pub negative: bool,
    /// `last-block`: bit 8 of the status word also in state 4 and behind a compression's final block.
    pub last_block: bool,
    /// `wide-window`: the compressor reaches back 32 KiB whatever the window field says.
    pub wide_window: bool,
    /// `independent`: the compressor does not refer to data of earlier requests.
    pub independent: bool,
    /// `least-output`: on V3 a stream's request with less than 200 bytes of space is refused, as a driver's comment says
    /// (section 11); bypass requests excepted.
    pub least_output: bool,
}

impl Options {
    /// The engine as the table recommends.
    pub const NONE: Options = Options {
        leave_input: false,
        portion: None,
        pending_output: false,
        cached_input: false,
        cached_bits: false,
        negative: false,
        last_block: false,
        wide_window: false,
        independent: false,
        least_output: false,
    };

    /// Reads names joined by `+`, such as `leave-input+portion:64`; the error names the one that is wrong.
    pub fn parse(text: &str) -> Result<Options, String> {
        let mut out = Options::NONE;
        for word in text.split('+').map(str::trim).filter(|word| !word.is_empty()) {
            if let Some(count) = word.strip_prefix("portion:") {
                let count = count.parse().ok().filter(|n| *n >= LEAST_PORTION);
                let bad = || format!("zip option `{word}`: a number of bytes from {LEAST_PORTION}");
                out.portion = Some(count.ok_or_else(bad)?);
                continue;
            }
            let switch = match word {
                "leave-input" => &mut out.leave_input,
                "pending-output" => &mut out.pending_output,
                "cached-input" => &mut out.cached_input,
                "cached-bits" => &mut out.cached_bits,
                "negative" => &mut out.negative,
                "last-block" => &mut out.last_block,
                "wide-window" => &mut out.wide_window,
                "independent" => &mut out.independent,
                "least-output" => &mut out.least_output,
                _ => return Err(format!("zip option `{word}` is unknown")),
            };
            *switch = true;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_unknown_ones_named() {
        assert_eq!(Options::parse(""), Ok(Options::NONE));
        assert_eq!(
            Options::parse("leave-input + portion:64"),
            Ok(Options { leave_input: true, portion: Some(64), ..Options::NONE })
        );
        for bad in ["lazy", "portion", "portion:15", "portion:x"] {
            assert!(Options::parse(&format!("negative+{bad}")).unwrap_err().contains(bad));
        }
    }
}
