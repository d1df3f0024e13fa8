//! What a queue lends to its device.

/// The process's own address of bytes that the device reads.
pub(crate) fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().expose_provenance() as u64
}

/// The process's own address of bytes that the device writes.
pub(crate) fn address_mut(bytes: &mut [u8]) -> u64 {
    bytes.as_mut_ptr().expose_provenance() as u64
}
