//! UNSAFE: turns the opaque pointers that libcrypto hands back into the objects they were made from. The one
//! place where a panic stops: it becomes the call's own failure value, and the object refuses further work.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a C return type says for "failed".
pub(crate) trait Failure {
    const FAILURE: Self;
}

impl Failure for c_int {
    const FAILURE: Self = 0;
}
impl Failure for () {
    const FAILURE: Self = ();
}
impl<T> Failure for *mut T {
    const FAILURE: Self = ptr::null_mut();
}
impl<T> Failure for *const T {
    const FAILURE: Self = ptr::null();
}

/// Runs one export's body; a panic becomes the failure value.
pub(crate) fn guard<R: Failure>(body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // A payload whose own drop panics must not reopen the hole.
        std::mem::forget(payload);
        R::FAILURE
    })
}

/// An object owned by libcrypto through an opaque pointer.
pub(crate) struct Object<T> {
    broken: AtomicBool,
    value: T,
}

/// Gives `value` to libcrypto.
pub(crate) fn give<T>(value: T) -> *mut c_void {
    Box::into_raw(Box::new(Object { broken: AtomicBool::new(false), value })).cast()
}

/// Takes an object back and drops it.
///
/// # Safety
/// `object` is null or came from [`give`] with the same `T` and is not used again.
pub(crate) unsafe fn take<T>(object: *mut c_void) {
    guard(|| {
        if !object.is_null() {
            // SAFETY: by the caller's contract this is the box that `give` made.
            drop(unsafe { Box::from_raw(object.cast::<Object<T>>()) });
        }
    });
}

/// Lends the object for a call that may change it.
///
/// # Safety
/// `object` is null or came from [`give`] with the same `T`, is alive, and no other thread uses it now
/// (libcrypto's rule for contexts).
pub(crate) unsafe fn exclusive<T, R: Failure>(object: *mut c_void, body: impl FnOnce(&mut T) -> R) -> R {
    // SAFETY: alive and exclusively ours by the caller's contract.
    let Some(object) = (unsafe { object.cast::<Object<T>>().as_mut() }) else { return R::FAILURE };
    let Object { broken, value } = object;
    run(broken, || body(value))
}

/// Lends the object for a call that only reads it; several threads may do so at once.
///
/// # Safety
/// `object` is null or came from [`give`] with the same `T`, is alive, and nobody has it exclusively.
pub(crate) unsafe fn shared<T, R: Failure>(object: *const c_void, body: impl FnOnce(&T) -> R) -> R {
    // SAFETY: alive by the caller's contract.
    let Some(object) = (unsafe { object.cast::<Object<T>>().as_ref() }) else { return R::FAILURE };
    run(&object.broken, || body(&object.value))
}

fn run<R: Failure>(broken: &AtomicBool, body: impl FnOnce() -> R) -> R {
    if broken.load(Ordering::Relaxed) {
        return R::FAILURE;
    }
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        broken.store(true, Ordering::Relaxed);
        std::mem::forget(payload);
        R::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_fails_the_call_and_the_object_refuses_further_work() {
        let object = give(7i32);
        // SAFETY: `object` is ours alone.
        unsafe {
            assert_eq!(exclusive::<i32, c_int>(object, |v| *v), 7);
            assert_eq!(exclusive::<i32, c_int>(object, |_| panic!("on purpose")), 0);
            assert_eq!(exclusive::<i32, c_int>(object, |v| *v), 0);
            assert_eq!(shared::<i32, c_int>(object, |v| *v), 0);
            take::<i32>(object);
        }
    }

    #[test]
    fn null_object_is_a_failure_not_a_crash() {
        // SAFETY: null is allowed.
        unsafe {
            assert_eq!(exclusive::<i32, c_int>(ptr::null_mut(), |v| *v), 0);
            take::<i32>(ptr::null_mut());
        }
    }
}
