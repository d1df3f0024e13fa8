//! OpenSSL 3 provider over the WarpDrive core: RSA keys and signatures on HPRE, AES-CTR on SEC.
//!
//! What is named is complete: whatever the device cannot do (a key size, a padding mode, a short message), and
//! whatever it fails at, is done by the default provider in a private library context, with the same result.
//! Without a device nothing is named. The rooms: `ossl` knows OpenSSL's C interface, `shim` the functions that
//! libcrypto calls, `provider` what is offered, `rsa` and `ctr` the algorithms.

mod ctr;
mod ossl;
mod provider;
mod rsa;
mod shim;
