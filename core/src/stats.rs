//! Counters that any reader can map.
