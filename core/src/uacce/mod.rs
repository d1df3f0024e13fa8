//! The kernel's side: finding devices in sysfs, opening their nodes, mapping their regions. Knows file
//! descriptors and memory, never a queue format.

pub mod abi;
pub mod node;
pub mod process;
pub mod region;
pub mod sysfs;

pub use node::Node;
pub use region::Region;
pub use sysfs::{Device, Entry, Kind, Reach, Unusable};
