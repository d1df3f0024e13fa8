//! Paired measurements behind `make bench`.
