//! How a request can fail, and the value of error_type for it.

use crate::engine::buffer::Trouble;
use crate::engine::{Fault, Refusal, Rule};

/// error_type for a broken rule. Section 12.2 suggests the first six values; the hardware's are not known.
pub(super) fn code(rule: Rule) -> u8 {
    match rule {
        Rule::Type => 0x01,
        Rule::Unsupported => 0x02,
        Rule::Length => 0x03,
        Rule::Key => 0x04,
        Rule::List | Rule::Alignment => 0x05,
        Rule::Address => 0x06,
        // A field that must be 0 is not, or has a value outside its table.
        _ => 0x07,
    }
}

/// error_type of the fault plan's error behind a partial output.
pub(super) const INJECTED: u8 = 0x08;

/// How a decoded request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// What it points at breaks a table, or cannot be reached.
    Refused(Refusal),
    /// The fault plan's doing.
    Injected {
        /// done_flag, if it is not the one of success (what happens to `flag` when a task fails is unknown 4).
        flag: Option<u16>,
        /// error_type.
        code: u8,
        /// Bytes of output that had been written.
        output: u64,
    },
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let rule = match trouble {
            Trouble::Access(_) => Rule::Address,
            Trouble::List(_) => Rule::List,
        };
        rule.broken(trouble.to_string()).into()
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Trouble::from(fault).into()
    }
}
