//! How far devices are from where a thread runs, by the machine's own table.

use std::path::Path;

use crate::uacce::Device;

/// Where the kernel lists its NUMA nodes.
const NODES: &str = "/sys/devices/system/node";
/// What the kernel says of a node itself, and of another where the firmware says nothing.
const LOCAL: u8 = 10;
const REMOTE: u8 = 20;

/// Distances of each device's node to every node.
#[derive(Debug, Clone)]
pub(super) struct Distances(Box<[Box<[u8]>]>);

impl Distances {
    /// Looks at the table of this machine, unless all `devices` are on one node: then nothing depends on it.
    pub(super) fn of(devices: &[Device]) -> Self {
        Self::look(devices, Path::new(NODES))
    }

    fn look(devices: &[Device], nodes: &Path) -> Self {
        let row = |device: &Device| -> Box<[u8]> {
            let path = nodes.join(format!("node{}/distance", device.numa_node));
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect()
        };
        let spread = devices.iter().any(|device| device.numa_node != devices[0].numa_node);
        Distances(if spread { devices.iter().map(row).collect() } else { Box::default() })
    }

    /// Whether it matters where a thread runs.
    pub(super) fn matter(&self) -> bool {
        !self.0.is_empty()
    }

    /// From device number `index`, which is `device`, to NUMA node `here`: 10 on the spot, more elsewhere.
    pub(super) fn from(&self, index: usize, device: &Device, here: i32) -> u8 {
        let known = usize::try_from(here).ok().and_then(|here| self.0.get(index)?.get(here));
        known.copied().unwrap_or(if device.numa_node == here { LOCAL } else { REMOTE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TempDir, device};
    use crate::uacce::Kind;

    fn devices(nodes: &[i32]) -> Vec<Device> {
        nodes.iter().map(|node| device("a", Kind::Zip, *node, &["zlib"])).collect()
    }

    #[test]
    fn table_of_the_machine_tells_a_near_stranger_from_a_far_one() {
        let directory = TempDir::new();
        // Two sockets of two nodes each.
        directory.write("node0/distance", "10 12 20 22\n");
        directory.write("node2/distance", "20 22 10 12\n");
        let devices = devices(&[0, 2]);
        let distances = Distances::look(&devices, directory.path());
        let from = |here| [0, 1].map(|index| distances.from(index, &devices[index], here));
        assert!(distances.matter());
        assert_eq!([from(0), from(1), from(3)], [[10, 20], [12, 22], [22, 12]]);
        assert_eq!(from(7), [REMOTE, REMOTE], "a node that the table does not have");
    }

    #[test]
    fn machine_without_a_table_knows_here_and_elsewhere() {
        let devices = devices(&[0, 1]);
        let distances = Distances::look(&devices, Path::new("/nonexistent"));
        assert_eq!([0, 1].map(|index| distances.from(index, &devices[index], 1)), [REMOTE, LOCAL]);
    }

    #[test]
    fn one_node_asks_nobody() {
        assert!(!Distances::of(&devices(&[3, 3])).matter());
        assert!(!Distances::of(&[]).matter());
    }
}
