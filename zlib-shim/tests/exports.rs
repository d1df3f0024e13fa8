//! What the shared objects export: all of zlib's functions and nothing else, in the drop-in flavour with zlib's
//! versions. Reads them with `nm`, which comes with the linker.
#![allow(missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// zlib 1.2.13's functions with their versions, then the newer ones; `name` or `name@@VERSION`.
const EXPECTED: &str = include_str!("symbols.txt");

fn exported(library: &Path) -> BTreeSet<String> {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library).output().expect("nm runs");
    assert!(output.status.success(), "nm {}", library.display());
    let text = String::from_utf8(output.stdout).expect("text");
    // The version nodes themselves are absolute symbols.
    text.lines()
        .filter(|line| !line.contains(" A "))
        .filter_map(|line| line.split_whitespace().last())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_preload_library_exports_the_whole_api_and_nothing_else() {
    let expected: BTreeSet<String> =
        EXPECTED.lines().filter_map(|line| line.split('@').next()).map(str::to_owned).collect();
    assert_eq!(expected.len(), 95);
    assert_eq!(exported(&common::built("libwarpdrive_z.so")), expected);
}

#[test]
fn the_drop_in_has_zlibs_versions_and_name() {
    let room = common::Room::new();
    let library = room.0.join("libz.so.1");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("relink.sh");
    let output = Command::new("sh")
        .arg(script)
        .arg(common::built("libwarpdrive_z.a"))
        .arg(&library)
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: BTreeSet<String> = EXPECTED.lines().map(str::to_owned).collect();
    assert_eq!(exported(&library), expected);

    let read = Command::new("readelf").args(["-d"]).arg(&library).output().expect("readelf runs");
    let dynamic = String::from_utf8_lossy(&read.stdout);
    assert!(dynamic.contains("[libz.so.1]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

#[test]
fn neither_library_can_be_unloaded() {
    let read = Command::new("readelf")
        .args(["-d"])
        .arg(common::built("libwarpdrive_z.so"))
        .output()
        .expect("readelf runs");
    assert!(String::from_utf8_lossy(&read.stdout).contains("NODELETE"));
}
