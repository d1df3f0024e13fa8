//! Requests as plain structs in, outcomes out; descriptors in between. Every function is generic over
//! [`Channel`](crate::qm::Channel), so that tests need no device.

pub mod cipher;
pub mod rsa;
pub mod zip;
