//! RSA: keys, encodings, signatures. Safe code; OpenSSL is reached through `ossl`'s handles only.

pub(crate) mod device;
pub(crate) mod emsa;
pub(crate) mod generate;
pub(crate) mod key;
pub(crate) mod sign;
