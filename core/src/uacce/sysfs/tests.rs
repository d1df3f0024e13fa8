//! Class directories on disk, healthy and broken.

use super::*;
use crate::testing::{TempDir, class_entry};

fn scanned(directory: &TempDir) -> Vec<Entry> {
    scan_with(&directory.path().join("class"), &directory.path().join("dev")).unwrap()
}

/// The only entry of a class directory in which `file` says `text` (or is missing).
fn with(file: &str, text: Option<&str>) -> Entry {
    let directory = TempDir::new();
    class_entry(&directory, "hisi_zip-4");
    match text {
        Some(text) => directory.write(&format!("class/hisi_zip-4/{file}"), text),
        None => std::fs::remove_file(directory.path().join("class/hisi_zip-4").join(file)).unwrap(),
    }
    scanned(&directory).remove(0)
}

fn is_candidate(entry: &Entry) -> bool {
    entry.device(Path::new("/class")).is_some()
}

#[test]
fn healthy_entry_is_read_whole() {
    let directory = TempDir::new();
    class_entry(&directory, "hisi_zip-4");
    let entries = scanned(&directory);
    let entry = &entries[0];
    assert_eq!(entry.unusable, []);
    assert_eq!((entry.kind, entry.available, entry.isolated), (Some(Kind::Zip), Some(64), Some(false)));
    let device = entry.device(Path::new("/class")).unwrap();
    assert_eq!(device.generation, 3);
    assert_eq!((device.mmio_size, device.dus_size, device.numa_node), (65536, 151_552, 1));
    assert_eq!(device.node, directory.path().join("dev/hisi_zip-4"));
    assert_eq!(device.attributes, Path::new("/class/hisi_zip-4"));
}

#[test]
fn algorithms_match_as_whole_lines() {
    let device = with("algorithms", Some("ecdh\nx25519\n")).device(Path::new("/")).unwrap();
    assert!(device.has("ecdh") && !device.has("dh") && !device.has("x25") && !device.has(""));
}

#[test]
fn missing_class_directory_is_not_found() {
    let directory = TempDir::new();
    let error = scan(&directory.path().join("class")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn entries_come_in_the_order_of_minor_numbers() {
    let directory = TempDir::new();
    for name in ["hisi_zip-10", "hisi_hpre-9", "hisi_sec2-0"] {
        class_entry(&directory, name);
    }
    let names: Vec<_> = scanned(&directory).into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["hisi_sec2-0", "hisi_hpre-9", "hisi_zip-10"]);
}

#[test]
fn each_lasting_defect_excludes_with_its_reason() {
    use Unusable::*;
    let noent = libc::ENOENT;
    let table = [
        ("api", None, Unreadable("api", noent)),
        ("api", Some("hisi_qm_v\n"), Unparsable("api", "hisi_qm_v".into())),
        ("api", Some("hisi_qm_vx\n"), Unparsable("api", "hisi_qm_vx".into())),
        ("api", Some("hisi_qm_v0\n"), Unparsable("api", "hisi_qm_v0".into())),
        ("api", Some("hisi_qm_v1\n"), Generation(1)),
        ("algorithms", None, Unreadable("algorithms", noent)),
        ("flags", None, Unreadable("flags", noent)),
        ("flags", Some("one\n"), Unparsable("flags", "one".into())),
        ("region_mmio_size", None, Unreadable("region_mmio_size", noent)),
        ("region_dus_size", Some("-1\n"), Unparsable("region_dus_size", "-1".into())),
        ("available_instances", Some("many\n"), Unparsable("available_instances", "many".into())),
        ("device/numa_node", Some("\n"), Unparsable("device/numa_node", String::new())),
    ];
    for (file, text, reason) in table {
        let entry = with(file, text);
        assert_eq!(entry.unusable, [reason], "{file} {text:?}");
        assert!(!is_candidate(&entry), "{file} {text:?}");
    }
}

#[test]
fn passing_defects_keep_the_candidate() {
    for (file, text, reason) in
        [("isolate", "1\n", Unusable::Isolated), ("available_instances", "0\n", Unusable::NoFreeQueue)]
    {
        let entry = with(file, Some(text));
        assert_eq!(entry.unusable, [reason]);
        assert!(is_candidate(&entry));
    }
}

#[test]
fn attributes_that_old_kernels_lack_are_not_missed() {
    for file in ["isolate", "available_instances", "device/numa_node"] {
        let entry = with(file, None);
        assert_eq!(entry.unusable, [], "{file}");
    }
    assert_eq!(with("device/numa_node", Some("-1\n")).numa_node, 0);
}

#[test]
fn api_suffixes_and_later_generations_are_understood() {
    for (api, number) in
        [("hisi_qm_v2", 2), ("hisi_qm_v2_noiommu", 2), ("hisi_qm_v5", 5), ("hisi_qm_v12", 12)]
    {
        assert_eq!(with("api", Some(&format!("{api}\n"))).generation(), Some(number), "{api}");
    }
}

#[test]
fn unknown_drivers_are_listed_and_not_used() {
    let directory = TempDir::new();
    for name in ["other_accel-0", "hisi_zip", "hisi_zip-", "hisi_zip-x", "hisi_zipper-1"] {
        class_entry(&directory, name);
    }
    let entries = scanned(&directory);
    assert_eq!(entries.len(), 5);
    for entry in entries {
        assert_eq!(entry.unusable, [Unusable::UnknownDriver], "{}", entry.name);
        assert!(!is_candidate(&entry));
    }
}

#[test]
fn missing_node_is_a_reason() {
    let directory = TempDir::new();
    class_entry(&directory, "hisi_zip-4");
    std::fs::remove_file(directory.path().join("dev/hisi_zip-4")).unwrap();
    let entry = scanned(&directory).remove(0);
    assert_eq!(entry.unusable, [Unusable::Node(libc::ENOENT)]);
    assert!(!is_candidate(&entry));
}

#[test]
fn every_defect_of_an_entry_is_listed() {
    let directory = TempDir::new();
    std::fs::create_dir_all(directory.path().join("class/hisi_zip-0")).unwrap();
    let entry = scanned(&directory).remove(0);
    assert_eq!(entry.unusable.len(), 6, "{:?}", entry.unusable);
    for reason in &entry.unusable {
        assert!(!reason.to_string().is_empty());
    }
}

#[test]
fn flags_say_which_memory_a_device_reaches() {
    let pinned = |iommu| Reach::Pinned { iommu };
    for (flags, reach) in
        [("1", Reach::Process), ("129", Reach::Process), ("2", pinned(false)), ("128", pinned(true))]
    {
        let entry = with("flags", Some(&format!("{flags}\n")));
        assert_eq!(entry.unusable, []);
        assert_eq!(entry.device(Path::new("/")).unwrap().reach, reach, "{flags}");
    }
    assert!(!is_candidate(&with("flags", Some("yes\n"))));
}
