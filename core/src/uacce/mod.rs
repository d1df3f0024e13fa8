//! The kernel's side: finding devices in sysfs, opening their nodes, mapping their regions.
