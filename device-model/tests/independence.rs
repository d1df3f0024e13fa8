//! The model shares nothing with the code that it judges.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Package name to the names it depends on, from the workspace's lock file.
fn locked() -> HashMap<String, Vec<String>> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let text = std::fs::read_to_string(lock).unwrap();
    let mut packages: HashMap<String, Vec<String>> = HashMap::new();
    for package in text.split("[[package]]").skip(1) {
        let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
        let name = package.lines().find(|l| l.starts_with("name = ")).and_then(quoted).unwrap();
        let list = package.split_once("dependencies = [").map_or("", |(_, rest)| rest);
        let list = list.split(']').next().unwrap_or("");
        // an entry may carry a version after the name
        let names = list.lines().filter_map(quoted).map(|n| n.split(' ').next().unwrap_or("").to_owned());
        packages.entry(name).or_default().extend(names);
    }
    packages
}

#[test]
fn no_crate_of_the_driver_is_among_the_dependencies() {
    let packages = locked();
    let mut seen = BTreeSet::new();
    let mut queue = vec!["warpdrive-device-model".to_owned()];
    while let Some(name) = queue.pop() {
        queue.extend(packages[&name].iter().filter(|n| !seen.contains(*n)).cloned());
        seen.insert(name);
    }
    assert!(seen.contains("libc"), "the lock file was not understood: {seen:?}");
    let ours: Vec<_> = seen.iter().filter(|name| name.starts_with("warpdrive")).collect();
    assert_eq!(ours, ["warpdrive-device-model"]);
    // and the other libraries under test would be found, were they there
    assert!(packages["warpdrive-provider"].contains(&"warpdrive-core".to_owned()));
    // no C library that the program's own could interpose
    for c in ["libz-sys", "openssl-sys", "zlib-rs"] {
        assert!(!seen.contains(c), "{c}");
    }
}
