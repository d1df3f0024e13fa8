//! UNSAFE: the RSA key management functions that libcrypto calls.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use super::entry::instance;
use crate::ossl::dispatch::{Callback, Dispatch, END, select, slot};
use crate::ossl::guard::{exclusive, give, guard, shared, take};
use crate::ossl::handle::Progress;
use crate::ossl::param::{self, Answers, OsslParam, Params, describe, kind};
use crate::rsa::generate::Generation;
use crate::rsa::key::Key;

/// The function table of the RSA key management.
pub(super) static TABLE: [Dispatch; 20] = [
    slot::keymgmt_new(new),
    slot::keymgmt_free(free),
    slot::keymgmt_load(load),
    slot::keymgmt_has(has),
    slot::keymgmt_match(matches),
    slot::keymgmt_validate(validate),
    slot::keymgmt_import(import),
    slot::keymgmt_import_types(types),
    slot::keymgmt_export(export),
    slot::keymgmt_export_types(types),
    slot::keymgmt_get_params(get_params),
    slot::keymgmt_gettable_params(gettable_params),
    slot::keymgmt_dup(dup),
    slot::keymgmt_gen_init(gen_init),
    slot::keymgmt_gen_set_params(gen_set_params),
    slot::keymgmt_gen_settable_params(gen_settable_params),
    slot::keymgmt_gen(generate),
    slot::keymgmt_gen_cleanup(gen_cleanup),
    slot::keymgmt_query_operation_name(query_operation_name),
    END,
];

/// n, e, d; up to ten primes and exponents, nine coefficients.
const NUMBERS: [&CStr; 32] = [
    c"n",
    c"e",
    c"d",
    c"rsa-factor1",
    c"rsa-factor2",
    c"rsa-factor3",
    c"rsa-factor4",
    c"rsa-factor5",
    c"rsa-factor6",
    c"rsa-factor7",
    c"rsa-factor8",
    c"rsa-factor9",
    c"rsa-factor10",
    c"rsa-exponent1",
    c"rsa-exponent2",
    c"rsa-exponent3",
    c"rsa-exponent4",
    c"rsa-exponent5",
    c"rsa-exponent6",
    c"rsa-exponent7",
    c"rsa-exponent8",
    c"rsa-exponent9",
    c"rsa-exponent10",
    c"rsa-coefficient1",
    c"rsa-coefficient2",
    c"rsa-coefficient3",
    c"rsa-coefficient4",
    c"rsa-coefficient5",
    c"rsa-coefficient6",
    c"rsa-coefficient7",
    c"rsa-coefficient8",
    c"rsa-coefficient9",
];

/// `head`, then every number of a key, then the end.
const fn with_numbers<const N: usize>(head: &[OsslParam]) -> [OsslParam; N] {
    let mut table = [param::END; N];
    let mut at = 0;
    while at < head.len() {
        table[at] = head[at];
        at += 1;
    }
    let mut number = 0;
    while number < NUMBERS.len() {
        table[at + number] = describe(NUMBERS[number], kind::UNSIGNED, 0);
        number += 1;
    }
    assert!(at + number + 1 == N);
    table
}

static TYPES: [OsslParam; 33] = with_numbers(&[]);
static GETTABLE: [OsslParam; 37] = with_numbers(&[
    describe(c"bits", kind::INTEGER, 4),
    describe(c"security-bits", kind::INTEGER, 4),
    describe(c"max-size", kind::INTEGER, 4),
    describe(c"default-digest", kind::UTF8_STRING, 0),
]);
static GEN_SETTABLE: [OsslParam; 4] = [
    describe(c"bits", kind::UNSIGNED, size_of::<usize>()),
    describe(c"primes", kind::UNSIGNED, size_of::<usize>()),
    describe(c"e", kind::UNSIGNED, 0),
    param::END,
];

unsafe extern "C" fn new(provider: *mut c_void) -> *mut c_void {
    // SAFETY: libcrypto passes our provider context.
    guard(|| unsafe { instance(provider) }.map_or(ptr::null_mut(), |provider| give(Key::empty(provider))))
}

unsafe extern "C" fn free(key: *mut c_void) {
    // SAFETY: made by `give::<Key>`; freed once.
    unsafe { take::<Key>(key) }
}

/// By reference: the object that a store of this provider would hand over.
unsafe extern "C" fn load(reference: *const c_void, size: usize) -> *mut c_void {
    guard(|| {
        if reference.is_null() || size != size_of::<*mut c_void>() {
            return ptr::null_mut();
        }
        // SAFETY: a reference of this size is the address of a pointer to one of our keys, given up by this.
        unsafe { ptr::replace(reference.cast_mut().cast::<*mut c_void>(), ptr::null_mut()) }
    })
}

unsafe extern "C" fn has(key: *const c_void, selection: c_int) -> c_int {
    // SAFETY: one of our keys, which libcrypto keeps alive.
    unsafe { shared::<Key, _>(key, |key| key.has(selection).into()) }
}

unsafe extern "C" fn matches(one: *const c_void, other: *const c_void, selection: c_int) -> c_int {
    // SAFETY: both are our keys.
    unsafe {
        shared::<Key, _>(one, |one| shared::<Key, c_int>(other, |other| one.matches(other, selection).into()))
    }
}

unsafe extern "C" fn validate(key: *const c_void, selection: c_int, check_type: c_int) -> c_int {
    // OSSL_KEYMGMT_VALIDATE_QUICK_CHECK
    let quick = check_type == 1;
    // SAFETY: one of our keys.
    unsafe { shared::<Key, _>(key, |key| key.validate(selection, quick).into()) }
}

unsafe extern "C" fn import(key: *mut c_void, selection: c_int, params: *const OsslParam) -> c_int {
    // SAFETY: a key that is being made, so nobody else has it yet; a terminated array.
    unsafe { exclusive::<Key, _>(key, |key| key.import(selection, Params::new(params)).into()) }
}

unsafe extern "C" fn export(
    key: *mut c_void,
    selection: c_int,
    callback: Option<Callback>,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: one of our keys, read only; callback and argument belong together.
    unsafe {
        shared::<Key, _>(key, |key| match key.data() {
            Some(data) if selection & select::POSSIBLE != 0 => {
                data.twin().export(selection, callback, argument).into()
            }
            _ => 0,
        })
    }
}

unsafe extern "C" fn types(selection: c_int) -> *const OsslParam {
    if selection & select::KEYPAIR != 0 { TYPES.as_ptr() } else { ptr::null() }
}

unsafe extern "C" fn get_params(key: *mut c_void, params: *mut OsslParam) -> c_int {
    // SAFETY: one of our keys, read only; a terminated array.
    unsafe { shared::<Key, _>(key, |key| key.get_params(&mut Answers::new(params)).into()) }
}

unsafe extern "C" fn gettable_params(_: *mut c_void) -> *const OsslParam {
    GETTABLE.as_ptr()
}

unsafe extern "C" fn dup(key: *const c_void, selection: c_int) -> *mut c_void {
    // SAFETY: one of our keys.
    unsafe { shared::<Key, _>(key, |key| key.duplicate(selection).map_or(ptr::null_mut(), give)) }
}

unsafe extern "C" fn gen_init(
    provider: *mut c_void,
    selection: c_int,
    params: *const OsslParam,
) -> *mut c_void {
    // SAFETY: our provider context; a terminated array.
    guard(|| unsafe {
        instance(provider)
            .and_then(|provider| Generation::new(provider, selection, Params::new(params)))
            .map_or(ptr::null_mut(), give)
    })
}

unsafe extern "C" fn gen_set_params(generation: *mut c_void, params: *const OsslParam) -> c_int {
    // SAFETY: a generation of ours, used by one thread; a terminated array.
    unsafe { exclusive::<Generation, _>(generation, |it| it.set_params(Params::new(params)).into()) }
}

unsafe extern "C" fn gen_settable_params(_: *mut c_void, _: *mut c_void) -> *const OsslParam {
    GEN_SETTABLE.as_ptr()
}

unsafe extern "C" fn generate(
    generation: *mut c_void,
    progress: Option<Callback>,
    argument: *mut c_void,
) -> *mut c_void {
    // SAFETY: a generation of ours; the callback accepts its argument.
    unsafe {
        exclusive::<Generation, _>(generation, |it| {
            it.run(Progress::new(progress, argument)).map_or(ptr::null_mut(), give)
        })
    }
}

unsafe extern "C" fn gen_cleanup(generation: *mut c_void) {
    // SAFETY: made by `gen_init`; freed once.
    unsafe { take::<Generation>(generation) }
}

unsafe extern "C" fn query_operation_name(_: c_int) -> *const c_char {
    c"RSA".as_ptr()
}

/// The shared data of a key given to an operation; `None` for a null key.
///
/// # Safety
/// `key` is null or one of our keys.
pub(super) unsafe fn key_data(key: *const c_void) -> Option<Arc<crate::rsa::key::KeyData>> {
    let mut data = None;
    // SAFETY: by the contract.
    unsafe { shared::<Key, ()>(key, |key| data = key.data().cloned()) };
    data
}
