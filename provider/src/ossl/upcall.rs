//! UNSAFE: calls into the core of the libcrypto that is loading us, through the table given to
//! `OSSL_provider_init`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::transmute;
use std::ptr;

use super::dispatch::Dispatch;
use super::handle::Md;
use super::libcrypto::Libcrypto;
use super::param::{END, OsslParam, utf8_ptr};

const CORE_GET_PARAMS: c_int = 2;
const CORE_GET_LIBCTX: c_int = 4;

type Erased = unsafe extern "C" fn();
type GetParams = unsafe extern "C" fn(*const c_void, *mut OsslParam) -> c_int;
type GetLibctx = unsafe extern "C" fn(*const c_void) -> *mut c_void;

/// The upcalls that this provider uses, and the handle they want.
pub(crate) struct Core {
    handle: *const c_void,
    get_params: Option<GetParams>,
    get_libctx: Option<GetLibctx>,
}

// SAFETY: the handle is an opaque token of libcrypto; its upcalls are thread-safe (provider-base(7)).
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

impl Core {
    /// # Safety
    /// `table` is the table given to `OSSL_provider_init` together with `handle`.
    pub(crate) unsafe fn new(handle: *const c_void, table: *const Dispatch) -> Self {
        let mut core = Core { handle, get_params: None, get_libctx: None };
        let mut next = table;
        // SAFETY: the table ends with id 0, and `next` stops there.
        while let Some(slot) = unsafe { next.as_ref() }.filter(|slot| slot.id != 0) {
            if let Some(function) = slot.function {
                // SAFETY: the id fixes the function's type (core_dispatch.h).
                unsafe {
                    match slot.id {
                        CORE_GET_PARAMS => core.get_params = Some(transmute::<Erased, GetParams>(function)),
                        CORE_GET_LIBCTX => core.get_libctx = Some(transmute::<Erased, GetLibctx>(function)),
                        _ => {}
                    }
                }
            }
            // SAFETY: not the last slot.
            next = unsafe { next.add(1) };
        }
        core
    }

    /// An address inside the libcrypto that called us.
    pub(crate) fn anchor(&self) -> Option<*const c_void> {
        self.get_params.map(|function| function as *const c_void)
    }

    /// Whether the application's library context has a digest of this name. Nothing is set there, ever.
    pub(crate) fn app_knows_digest(&self, lib: &'static Libcrypto, name: &CStr) -> bool {
        // SAFETY: the upcall takes the handle it came with.
        let Some(ctx) = self.get_libctx.map(|get| unsafe { get(self.handle) }) else { return false };
        // SAFETY: libcrypto's own context, alive as long as this provider in it.
        unsafe { Md::known_to(lib, ctx, name) }
    }

    /// The value of `key` in our section of the configuration file.
    pub(crate) fn setting(&self, key: &CStr) -> Option<String> {
        let get = self.get_params?;
        let key = CString::from(key);
        let mut place: *const c_char = ptr::null();
        let mut request = [OsslParam { key: key.as_ptr(), ..utf8_ptr(c"", &mut place) }, END];
        // SAFETY: a terminated array whose buffer is `place`; the handle belongs to the upcall.
        let found = unsafe { get(self.handle, request.as_mut_ptr()) } == 1;
        if !found || place.is_null() {
            return None;
        }
        // SAFETY: libcrypto stored the address of the NUL-terminated value that it keeps with the provider.
        Some(unsafe { CStr::from_ptr(place) }.to_string_lossy().into_owned())
    }
}
