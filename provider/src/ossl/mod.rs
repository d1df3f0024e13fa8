//! OpenSSL's side of the wall: C types, dispatch slots, parameters, the functions of the libcrypto that
//! loaded us, and owned handles over them. Nothing outside `ossl` and `shim` holds an OpenSSL pointer.

pub(crate) mod dispatch;
pub(crate) mod error;
pub(crate) mod guard;
pub(crate) mod handle;
pub(crate) mod libcrypto;
pub(crate) mod param;
pub(crate) mod twin;
pub(crate) mod upcall;
