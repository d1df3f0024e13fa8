//! UNSAFE: reading and writing `OSSL_PARAM` arrays, whose buffers belong to the caller. Lengths and types are
//! checked here before any byte moves; the rules are those of OSSL_PARAM(3).
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_uint, c_void};
use std::marker::PhantomData;
use std::ptr;

/// `OSSL_PARAM`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct OsslParam {
    pub(crate) key: *const c_char,
    pub(crate) data_type: c_uint,
    pub(crate) data: *mut c_void,
    pub(crate) data_size: usize,
    pub(crate) return_size: usize,
}

// SAFETY: the only shared ones are static descriptor tables, which nobody writes.
unsafe impl Sync for OsslParam {}

/// Data types (`OSSL_PARAM_*`).
pub(crate) mod kind {
    use std::ffi::c_uint;

    pub(crate) const INTEGER: c_uint = 1;
    pub(crate) const UNSIGNED: c_uint = 2;
    pub(crate) const UTF8_STRING: c_uint = 4;
    pub(crate) const OCTET_STRING: c_uint = 5;
    pub(crate) const UTF8_PTR: c_uint = 6;
    pub(crate) const OCTET_PTR: c_uint = 7;
}

const UNMODIFIED: usize = usize::MAX;

/// Ends an array.
pub(crate) const END: OsslParam =
    OsslParam { key: ptr::null(), data_type: 0, data: ptr::null_mut(), data_size: 0, return_size: 0 };

/// One line of a "gettable" or "settable" table, as OpenSSL's `OSSL_PARAM_int` and its kin write it.
pub(crate) const fn describe(key: &'static CStr, data_type: c_uint, size: usize) -> OsslParam {
    OsslParam {
        key: key.as_ptr(),
        data_type,
        data: ptr::null_mut(),
        data_size: size,
        return_size: UNMODIFIED,
    }
}

/// A request for, or a value of, a NUL-terminated string that somebody else owns.
pub(crate) fn utf8_ptr(key: &'static CStr, place: &mut *const c_char) -> OsslParam {
    OsslParam {
        key: key.as_ptr(),
        data_type: kind::UTF8_PTR,
        data: ptr::from_mut(place).cast(),
        data_size: 0,
        return_size: UNMODIFIED,
    }
}

/// A string value, or the space for one.
pub(crate) fn utf8_string(key: &'static CStr, data: *mut c_char, size: usize) -> OsslParam {
    let data = data.cast();
    OsslParam {
        key: key.as_ptr(),
        data_type: kind::UTF8_STRING,
        data,
        data_size: size,
        return_size: UNMODIFIED,
    }
}

/// A C `int` to be read or written.
pub(crate) fn int(key: &'static CStr, place: &mut i32) -> OsslParam {
    OsslParam {
        key: key.as_ptr(),
        data_type: kind::INTEGER,
        data: ptr::from_mut(place).cast(),
        data_size: 4,
        return_size: UNMODIFIED,
    }
}

/// A 64-bit unsigned number to be read or written.
pub(crate) fn uint64(key: &'static CStr, place: &mut u64) -> OsslParam {
    OsslParam {
        key: key.as_ptr(),
        data_type: kind::UNSIGNED,
        data: ptr::from_mut(place).cast(),
        data_size: 8,
        return_size: UNMODIFIED,
    }
}

/// A borrowed array of parameters that the caller sends to us; may be null.
#[derive(Clone, Copy)]
pub(crate) struct Params<'a> {
    first: *const OsslParam,
    borrow: PhantomData<&'a OsslParam>,
}

impl<'a> Params<'a> {
    /// # Safety
    /// `first` is null or starts an array that ends with a null key and lives for `'a`.
    pub(crate) unsafe fn new(first: *const OsslParam) -> Self {
        Params { first, borrow: PhantomData }
    }

    /// A terminated array of our own.
    pub(crate) fn of(array: &'a [OsslParam]) -> Self {
        assert!(array.last().is_some_and(|last| last.key.is_null()));
        Params { first: array.as_ptr(), borrow: PhantomData }
    }

    pub(crate) fn none() -> Self {
        Params { first: ptr::null(), borrow: PhantomData }
    }

    pub(crate) fn as_ptr(self) -> *const OsslParam {
        self.first
    }

    pub(crate) fn is_null(self) -> bool {
        self.first.is_null()
    }

    fn iter(self) -> impl Iterator<Item = &'a OsslParam> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            // SAFETY: `new` promised a terminated array alive for `'a`; `next` has not passed its end.
            let param = unsafe { next.as_ref() }?;
            if param.key.is_null() {
                return None;
            }
            // SAFETY: the terminator comes at `next + 1` at the latest.
            next = unsafe { next.add(1) };
            Some(param)
        })
    }

    fn find(self, key: &CStr) -> Option<&'a OsslParam> {
        self.iter().find(|param| param.named(key))
    }

    pub(crate) fn has(self, key: &CStr) -> bool {
        self.find(key).is_some()
    }

    /// The array without the named parameters, terminated.
    pub(crate) fn without(self, keys: &[&CStr]) -> Vec<OsslParam> {
        self.filtered(|param| !keys.iter().any(|key| param.named(key)))
    }

    /// The named parameters of the array, terminated.
    pub(crate) fn only(self, keys: &[&CStr]) -> Vec<OsslParam> {
        self.filtered(|param| keys.iter().any(|key| param.named(key)))
    }

    fn filtered(self, keep: impl Fn(&OsslParam) -> bool) -> Vec<OsslParam> {
        self.iter().filter(|param| keep(param)).copied().chain(std::iter::once(END)).collect()
    }

    /// `None`: absent. `Some(None)`: present but not readable as an unsigned number.
    pub(crate) fn uint(self, key: &CStr) -> Option<Option<u64>> {
        self.find(key).map(OsslParam::read_uint)
    }

    /// `None`: absent. `Some(None)`: present but not a string.
    pub(crate) fn utf8(self, key: &CStr) -> Option<Option<Vec<u8>>> {
        self.find(key).map(OsslParam::read_utf8)
    }
}

impl OsslParam {
    fn named(&self, key: &CStr) -> bool {
        // SAFETY: a parameter with a non-null key has a NUL-terminated one; `named` is called on such only.
        unsafe { CStr::from_ptr(self.key) == key }
    }

    fn bytes(&self) -> Option<&[u8]> {
        if self.data.is_null() {
            return None;
        }
        // SAFETY: OSSL_PARAM(3): `data` points to `data_size` readable bytes.
        Some(unsafe { std::slice::from_raw_parts(self.data.cast::<u8>(), self.data_size) })
    }

    /// An integer of any width in native byte order, if it is not negative and fits 64 bits.
    fn read_uint(&self) -> Option<u64> {
        let bytes = self.bytes()?;
        if bytes.is_empty() || !matches!(self.data_type, kind::INTEGER | kind::UNSIGNED) {
            return None;
        }
        let significant: Vec<u8> = if cfg!(target_endian = "little") {
            bytes.iter().rev().copied().collect()
        } else {
            bytes.to_vec()
        };
        if self.data_type == kind::INTEGER && significant[0] & 0x80 != 0 {
            return None;
        }
        let skip = significant.len().saturating_sub(8);
        if significant[..skip].iter().any(|byte| *byte != 0) {
            return None;
        }
        Some(significant[skip..].iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn read_utf8(&self) -> Option<Vec<u8>> {
        let text: &[u8] = match self.data_type {
            kind::UTF8_STRING => self.bytes()?,
            kind::UTF8_PTR if !self.data.is_null() => {
                // SAFETY: for this type `data` is the address of a string pointer.
                let text = unsafe { *self.data.cast::<*const c_char>() };
                if text.is_null() {
                    return None;
                }
                // SAFETY: the string is NUL-terminated by the type's definition.
                unsafe { CStr::from_ptr(text) }.to_bytes()
            }
            _ => return None,
        };
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Some(text[..end].to_vec())
    }
}

/// A borrowed array of parameters that the caller asks us to fill.
pub(crate) struct Answers<'a> {
    first: *mut OsslParam,
    borrow: PhantomData<&'a mut OsslParam>,
}

impl<'a> Answers<'a> {
    /// # Safety
    /// `first` is null or starts a writable array that ends with a null key and lives for `'a`.
    pub(crate) unsafe fn new(first: *mut OsslParam) -> Self {
        Answers { first, borrow: PhantomData }
    }

    pub(crate) fn as_ptr(&mut self) -> *mut OsslParam {
        self.first
    }

    fn find(&mut self, key: &CStr) -> Option<&mut OsslParam> {
        let mut next = self.first;
        // SAFETY: `new` promised a terminated, writable array; `next` never passes its end, and only one
        // reference is handed out per call.
        while let Some(param) = unsafe { next.as_mut() } {
            if param.key.is_null() {
                return None;
            }
            if param.named(key) {
                return Some(param);
            }
            // SAFETY: not the terminator yet.
            next = unsafe { next.add(1) };
        }
        None
    }

    /// Whether one of `keys` is asked for.
    pub(crate) fn asks(&mut self, keys: &[&CStr]) -> bool {
        keys.iter().any(|key| self.find(key).is_some())
    }

    /// Answers `key` with a number, if asked. False: asked in a form that cannot hold it.
    pub(crate) fn uint(&mut self, key: &CStr, value: u64) -> bool {
        let Some(param) = self.find(key) else { return true };
        if !matches!(param.data_type, kind::INTEGER | kind::UNSIGNED) {
            return false;
        }
        if param.data.is_null() {
            param.return_size = 8;
            return true;
        }
        let size = param.data_size;
        let mut image = vec![0u8; size.max(8)];
        image[..8].copy_from_slice(&value.to_le_bytes());
        let spare = if param.data_type == kind::INTEGER { size * 8 - size.min(1) } else { size * 8 };
        if size == 0 || (spare < 64 && value >> spare != 0) {
            return false;
        }
        image.truncate(size);
        if cfg!(target_endian = "big") {
            image.reverse();
        }
        param.write(&image);
        true
    }

    /// Answers `key` with a string that lives as long as the library, if asked.
    pub(crate) fn utf8_static(&mut self, key: &CStr, value: &'static CStr) -> bool {
        let Some(param) = self.find(key) else { return true };
        let text = value.to_bytes_with_nul();
        match param.data_type {
            kind::UTF8_PTR => {
                param.return_size = text.len() - 1;
                if !param.data.is_null() {
                    // SAFETY: for this type `data` is the address of a writable string pointer.
                    unsafe { *param.data.cast::<*const c_char>() = value.as_ptr() };
                }
                true
            }
            kind::UTF8_STRING => {
                param.return_size = text.len() - 1;
                if param.data.is_null() {
                    return true;
                }
                if param.data_size < text.len() - 1 {
                    return false;
                }
                let room = param.data_size.min(text.len());
                param.write(&text[..room]);
                param.return_size = text.len() - 1;
                true
            }
            _ => false,
        }
    }

    /// Answers `key`, if asked, with `value` as a copy or as a pointer to it.
    ///
    /// # Safety
    /// The asker may keep the pointer: `value` must stay in place as long as its context lives.
    pub(crate) unsafe fn octets(&mut self, key: &CStr, value: &[u8]) -> bool {
        let Some(param) = self.find(key) else { return true };
        param.return_size = value.len();
        if param.data.is_null() {
            return matches!(param.data_type, kind::OCTET_PTR | kind::OCTET_STRING);
        }
        match param.data_type {
            kind::OCTET_PTR => {
                // SAFETY: for this type `data` is the address of a writable pointer.
                unsafe { *param.data.cast::<*const u8>() = value.as_ptr() };
                true
            }
            kind::OCTET_STRING if param.data_size >= value.len() => {
                param.write(value);
                true
            }
            _ => false,
        }
    }
}

impl Answers<'_> {
    /// Answers `key`, if asked, with an address that the asker may keep. False: asked for a copy.
    pub(crate) fn pointer(&mut self, key: &CStr, address: *const u8, len: usize) -> bool {
        let Some(param) = self.find(key) else { return true };
        if param.data_type != kind::OCTET_PTR {
            return false;
        }
        param.return_size = len;
        if !param.data.is_null() {
            // SAFETY: for this type `data` is the address of a writable pointer.
            unsafe { *param.data.cast::<*const u8>() = address };
        }
        true
    }
}

impl OsslParam {
    /// Copies `value` (at most `data_size` bytes) into the caller's buffer.
    fn write(&mut self, value: &[u8]) {
        debug_assert!(value.len() <= self.data_size);
        // SAFETY: OSSL_PARAM(3): `data` points to `data_size` writable bytes; the callers checked the length.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), self.data.cast::<u8>(), value.len()) };
        self.return_size = value.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(data_type: c_uint, buffer: &mut [u8], value: u64) -> Option<usize> {
        let mut array = [describe(c"x", data_type, buffer.len()), END];
        array[0].data = buffer.as_mut_ptr().cast();
        // SAFETY: a terminated local array.
        let mut answers = unsafe { Answers::new(array.as_mut_ptr()) };
        answers.uint(c"x", value).then(|| array[0].return_size)
    }

    #[test]
    fn numbers_are_answered_in_every_width_that_holds_them() {
        let mut one = [0u8; 1];
        assert_eq!(answer(kind::UNSIGNED, &mut one, 255), Some(1));
        assert_eq!(one, [255]);
        assert_eq!(answer(kind::INTEGER, &mut one, 255), None);
        assert_eq!(answer(kind::UNSIGNED, &mut one, 256), None);
        let mut four = [0u8; 4];
        assert_eq!(answer(kind::INTEGER, &mut four, 16), Some(4));
        assert_eq!(i32::from_ne_bytes(four), 16);
        let mut sixteen = [9u8; 16];
        assert_eq!(answer(kind::UNSIGNED, &mut sixteen, 5), Some(16));
        assert_eq!(u128::from_ne_bytes(sixteen), 5);
        assert_eq!(answer(kind::OCTET_STRING, &mut sixteen, 5), None);
    }

    #[test]
    fn numbers_are_read_in_every_width_and_negatives_are_refused() {
        let mut value = 3i32;
        let array = [int(c"n", &mut value), END];
        assert_eq!(Params::of(&array).uint(c"n"), Some(Some(3)));
        assert_eq!(Params::of(&array).uint(c"m"), None);
        let mut value = -3i32;
        let array = [int(c"n", &mut value), END];
        assert_eq!(Params::of(&array).uint(c"n"), Some(None));
    }

    #[test]
    fn without_drops_only_the_named() {
        let array = [describe(c"a", kind::INTEGER, 4), describe(c"b", kind::INTEGER, 4), END];
        let rest = Params::of(&array).without(&[c"a"]);
        assert_eq!(rest.len(), 2);
        assert!(Params::of(&rest).has(c"b"));
        assert!(!Params::of(&rest).has(c"a"));
    }

    #[test]
    fn strings_are_read_up_to_the_terminator() {
        let mut text = *b"auto\0junk";
        let array = [utf8_string(c"mode", text.as_mut_ptr().cast(), 9), END];
        assert_eq!(Params::of(&array).utf8(c"mode"), Some(Some(b"auto".to_vec())));
    }
}
