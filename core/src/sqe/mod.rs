//! Descriptor layouts: words with explicit bit ranges, as the hardware tables give them. No unsafe code, and
//! no knowledge of queues.
#![forbid(unsafe_code)]
