//! Counter files: written, damaged, summed.

use super::*;
use crate::Fault;
use crate::testing::{TempDir, in_child};

fn record(name: &[u8], value: u64) -> Vec<u8> {
    let mut record = vec![0; RECORD];
    record[..name.len()].copy_from_slice(name);
    record[NAME..NAME + 8].copy_from_slice(&value.to_le_bytes());
    record
}

#[test]
fn names_are_those_of_the_contract() {
    let names: Vec<_> = (0..EVENTS).map(name).collect();
    assert_eq!(
        names,
        [
            "device.zip.compress.requests",
            "device.zip.compress.bytes",
            "device.zip.decompress.requests",
            "device.zip.decompress.bytes",
            "device.sec.cipher.requests",
            "device.sec.cipher.bytes",
            "device.hpre.rsa.requests",
            "device.hpre.rsa.bytes",
            "software.disabled",
            "software.too_small",
            "software.cheaper_on_cpu",
            "software.unsupported",
            "software.no_device",
            "software.all_busy",
            "software.failed",
            "software.tripped",
            "software.forked",
            "software.switched_off",
            "software.queue_deep",
            "software.explored",
            "software.unproven",
        ]
    );
    assert_eq!(name(DEVICE + Why::Failed(Fault::Timeout).index()), "software.failed");
    assert_eq!(name(DEVICE + Why::Forked.index()), "software.forked");
}

#[test]
fn made_file_reads_back_what_was_added() {
    let directory = TempDir::new();
    let (path, page) = create(directory.path(), false).unwrap();
    let word = page.atomic_u64(3 * RECORD + NAME).unwrap();
    word.fetch_add(41, Ordering::Relaxed);
    assert!(in_child(|| word.fetch_add(1, Ordering::Relaxed) == 41), "a child counts in the same file");
    let sums = read_dir(directory.path()).unwrap();
    assert_eq!(sums.len(), COUNT);
    assert_eq!(sums["device.zip.decompress.bytes"], 42);
    assert_eq!(sums["software.too_small"], 0);
    assert_eq!(std::fs::metadata(path.unwrap()).unwrap().len(), ((COUNT + 1) * RECORD) as u64);
}

#[test]
fn two_copies_in_one_process_have_a_file_each_and_are_summed() {
    let directory = TempDir::new();
    let (first, one) = create(directory.path(), false).unwrap();
    let (second, two) = create(directory.path(), false).unwrap();
    assert_ne!(first, second);
    one.atomic_u64(NAME).unwrap().store(2, Ordering::Relaxed);
    two.atomic_u64(NAME).unwrap().store(3, Ordering::Relaxed);
    assert_eq!(read_dir(directory.path()).unwrap()["device.zip.compress.requests"], 5);
}

#[test]
fn directory_that_cannot_be_written_is_an_error_only() {
    assert!(create(Path::new("/nonexistent"), false).is_err());
    assert!(read_dir(Path::new("/nonexistent")).is_err());
}

#[test]
fn truncated_and_foreign_files_lose_only_their_own_rest() {
    let directory = TempDir::new();
    let good = [record(b"zip.compress.requests", 7), record(b"zip.compress.bytes", 9)].concat();
    directory.write("ledger", &good[..RECORD + 60]);
    directory.write("empty", "");
    directory.write(
        "text",
        "This is no counter file, but it is longer than one record of sixty-four bytes. ".repeat(3),
    );
    directory.write("ended", [good.clone(), vec![0; RECORD], record(b"after.the.end", 1)].concat());
    directory.write("sub/directory", &good);
    directory.write("garbled", [record(b"a", 1), record(b"a\0b", 1), record(b"c", 1)].concat());
    let sums = read_dir(directory.path()).unwrap();
    let expected: BTreeMap<String, u64> =
        [("zip.compress.requests", 14), ("zip.compress.bytes", 9), ("a", 1)]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
    assert_eq!(sums, expected);
}

#[test]
fn sums_do_not_overflow() {
    let directory = TempDir::new();
    directory.write("one", record(b"x", u64::MAX));
    directory.write("two", record(b"x", 2));
    assert_eq!(read_dir(directory.path()).unwrap()["x"], u64::MAX);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        for (name, _) in records(&bytes) {
            proptest::prop_assert!(!name.is_empty() && name.is_ascii());
        }
    }
}

#[test]
fn processes_of_one_user_share_a_file_that_outlives_them() {
    let directory = TempDir::new();
    let count = || {
        let (path, page) = create(directory.path(), true).unwrap();
        assert_eq!(path, None, "nothing to take away");
        page.atomic_u64(NAME).unwrap().fetch_add(5, Ordering::Relaxed);
    };
    count();
    count();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(read_dir(directory.path()).unwrap()["device.zip.compress.requests"], 10);
}

#[test]
fn a_shared_file_that_is_not_ours_is_not_counted_in() {
    let directory = TempDir::new();
    drop(create(directory.path(), true).unwrap());
    let shared = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&shared).unwrap();
    for bad in [&good[..good.len() - 1], &[1; SIZE][..], b""] {
        std::fs::write(&shared, bad).unwrap();
        assert!(create(directory.path(), true).is_err());
        assert_eq!(std::fs::read(&shared).unwrap(), bad);
    }
    std::fs::remove_file(&shared).unwrap();
    std::os::unix::fs::symlink("/dev/null", &shared).unwrap();
    assert!(create(directory.path(), true).is_err());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "the own file is taken away");
}

#[test]
fn others_cannot_write_to_a_counter_file_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new();
    assert!(in_child(|| {
        // SAFETY: umask cannot fail; the child is alone.
        #[expect(unsafe_code, reason = "no safe interface")]
        unsafe {
            libc::umask(0)
        };
        let (path, _page) = create(directory.path(), false).unwrap();
        std::fs::metadata(path.unwrap()).unwrap().permissions().mode() & 0o022 == 0
    }));
}
