//! The notation of the tables: a 32-bit word with fields `[high:low]`, and 64-bit values as two words.

use std::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits `[high:low]` of a word of type `W`. Made only by [`word!`], which checks the range at compile time.
pub struct Field<W> {
    high: u32,
    low: u32,
    word: PhantomData<fn(W)>,
}

impl<W> Clone for Field<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Field<W> {}

impl<W> std::fmt::Debug for Field<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}:{}]", self.high, self.low)
    }
}

impl<W> Field<W> {
    pub(crate) const fn new(high: u32, low: u32) -> Self {
        assert!(high < 32 && low <= high, "a field is [high:low] inside 32 bits");
        Field { high, low, word: PhantomData }
    }

    /// Largest value the field holds.
    pub const fn max(self) -> u32 {
        u32::MAX >> (31 - (self.high - self.low))
    }

    /// The field's bits inside the word.
    pub const fn mask(self) -> u32 {
        self.max() << self.low
    }

    pub(crate) const fn extract(self, word: u32) -> u32 {
        (word >> self.low) & self.max()
    }

    pub(crate) const fn insert(self, word: u32, value: u32) -> u32 {
        debug_assert!(value <= self.max(), "value wider than its field");
        (word & !self.mask()) | ((value & self.max()) << self.low)
    }
}

/// Defines a 32-bit descriptor word whose fields are constants with the bit ranges of the tables:
///
/// ```text
/// word! {
///     /// zip.md 2.2.
///     pub struct Kind {
///         /// Format.
///         [7:0] REQUEST_TYPE,
///         /// History size.
///         [15:12] WINDOW,
///     }
/// }
/// let word = Kind::default().with(Kind::REQUEST_TYPE, 2).with(Kind::WINDOW, 4);
/// ```
///
/// Overlapping fields do not compile.
macro_rules! word {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $( $(#[$field_meta:meta])* [$high:literal : $low:literal] $field:ident ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq)]
        #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(transparent)]
        $vis struct $name(pub u32);

        impl $name {
            $(
                $(#[$field_meta])*
                pub const $field: $crate::sqe::word::Field<$name> = $crate::sqe::word::Field::new($high, $low);
            )*

            /// Name and position of every field, for reports and tests.
            pub const FIELDS: &'static [(&'static str, $crate::sqe::word::Field<$name>)] =
                &[$( (stringify!($field), Self::$field) ),*];

            /// Value of a field.
            pub const fn get(self, field: $crate::sqe::word::Field<$name>) -> u32 {
                field.extract(self.0)
            }

            /// The word with a field replaced; the value must fit.
            #[must_use]
            pub const fn with(self, field: $crate::sqe::word::Field<$name>, value: u32) -> Self {
                Self(field.insert(self.0, value))
            }
        }

        const _: () = {
            let mut taken = 0u32;
            $(
                assert!(taken & $name::$field.mask() == 0, concat!(stringify!($field), " overlaps"));
                taken |= $name::$field.mask();
            )*
            let _ = taken;
        };

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $( .field(stringify!($field), &format_args!("{:#x}", self.get(Self::$field))) )*
                    .finish()
            }
        }
    };
}
pub(crate) use word;

/// Defines a code of the tables: a number, constants for the published values, and their text. Codes come
/// from the device, so any number is a legal value.
macro_rules! code {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $( $field:ident = $value:literal, $text:literal; )*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis struct $name(pub u32);

        impl $name {
            $(
                #[doc = $text]
                pub const $field: $name = $name($value);
            )*
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match *self {
                    $( Self::$field => f.write_str($text), )*
                    Self(other) => write!(f, "unlisted code {other:#x}"),
                }
            }
        }
    };
}
pub(crate) use code;

/// A 64-bit value as two words, low half first. Alignment 4: BD type 3 has 64-bit fields at offsets that are
/// multiples of 4 only (sec.md 4).
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pair {
    /// Bits [31:0].
    pub low: u32,
    /// Bits [63:32].
    pub high: u32,
}

impl Pair {
    /// Splits a value.
    pub const fn new(value: u64) -> Self {
        Pair { low: value as u32, high: (value >> 32) as u32 }
    }

    /// The value.
    pub const fn get(self) -> u64 {
        (self.high as u64) << 32 | self.low as u64
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.get())
    }
}

/// Defines a descriptor of 32-bit words and asserts the byte offset of every member and the size.
macro_rules! descriptor {
    ($(#[$meta:meta])* $vis:vis struct $name:ident: $size:literal {
        $( $(#[$field_meta:meta])* $offset:literal $field:ident: $ty:ty ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(C)]
        $vis struct $name {
            $( $(#[$field_meta])* pub $field: $ty, )*
        }

        const _: () = {
            assert!(std::mem::size_of::<$name>() == $size);
            assert!(std::mem::align_of::<$name>() == 4);
            $( assert!(std::mem::offset_of!($name, $field) == $offset, stringify!($field)); )*
        };
    };
}
pub(crate) use descriptor;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Pair;
    use crate::sqe::{hpre, sec, zip};

    /// Checks every field of every word against arithmetic done bit by bit.
    macro_rules! check_words {
        ($($word:ty),* $(,)?) => {
            proptest! {
                #[test]
                fn a_field_reads_back_and_leaves_the_other_bits(start: u32, value: u32) {
                    $(
                        for (name, field) in <$word>::FIELDS {
                            let value = value & field.max();
                            let mut before = <$word>::default();
                            before.0 = start;
                            let word = before.with(*field, value);
                            prop_assert_eq!(word.get(*field), value, "{}", name);
                            prop_assert_eq!(word.0 & !field.mask(), start & !field.mask(), "{}", name);
                            for (other, position) in <$word>::FIELDS.iter().filter(|(n, _)| n != name) {
                                prop_assert_eq!(word.get(*position), before.get(*position), "{}", other);
                            }
                        }
                    )*
                }
            }

            #[test]
            fn masks_are_runs_of_bits_that_do_not_overlap() {
                $(
                    let mut taken = 0u32;
                    for (name, field) in <$word>::FIELDS {
                        let bits: Vec<u32> = (0..32).filter(|bit| field.mask() >> bit & 1 == 1).collect();
                        assert_eq!(format!("{field:?}"), format!("[{}:{}]", bits[bits.len() - 1], bits[0]), "{name}");
                        assert_eq!(bits.len() as u32, bits[bits.len() - 1] - bits[0] + 1, "{name}");
                        assert_eq!(taken & field.mask(), 0, "{name}");
                        taken |= field.mask();
                    }
                )*
            }
        };
    }

    check_words!(
        zip::Completion,
        zip::Control,
        zip::Output,
        zip::Kind,
        zip::Context0,
        zip::Context1,
        zip::Context2,
        sec::Head2,
        sec::Sources2,
        sec::Mac2,
        sec::Cipher2,
        sec::Length,
        sec::Offsets,
        sec::Tag2,
        sec::Head3,
        sec::Cipher3,
        sec::Auth3,
        sec::Stream3,
        sec::Done,
        hpre::Task,
        hpre::Sizes,
        hpre::Sm2,
    );

    proptest! {
        #[test]
        fn a_pair_is_the_little_endian_64_bit_value(value: u64) {
            use zerocopy::IntoBytes;
            prop_assert_eq!(Pair::new(value).get(), value);
            let pair = Pair::new(value);
            prop_assert_eq!(pair.as_bytes(), &value.to_le_bytes()[..]);
        }
    }
}
