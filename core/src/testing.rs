//! Helpers of the unit tests: directories that vanish, class directories, devices, forks.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::uacce::{Device, Kind};

/// A directory of its own, removed on drop.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("warpdrive-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes `text` to a file below, making directories on the way.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A class entry of a healthy ZIP device of Kunpeng 930 as in uacce.md 2.6; its node is a file beside it.
pub(crate) fn class_entry(directory: &TempDir, name: &str) {
    for (file, text) in [
        ("api", "hisi_qm_v3\n"),
        ("algorithms", "zlib\ngzip\ndeflate\nlz77_zstd\n"),
        ("flags", "1\n"),
        ("region_mmio_size", "65536\n"),
        ("region_dus_size", "151552\n"),
        ("available_instances", "64\n"),
        ("isolate", "0\n"),
        ("device/numa_node", "1\n"),
    ] {
        directory.write(&format!("class/{name}/{file}"), text);
    }
    directory.write(&format!("dev/{name}"), "");
}

/// A device for a fake opener.
pub(crate) fn device(name: &str, kind: Kind, numa_node: i32, algorithms: &[&str]) -> Device {
    Device {
        name: name.to_owned(),
        kind,
        node: PathBuf::new(),
        attributes: PathBuf::new(),
        generation: 3,
        algorithms: algorithms.iter().map(|line| (*line).to_owned()).collect(),
        mmio_size: 0x2000,
        dus_size: 0x25000,
        reach: crate::uacce::Reach::Process,
        numa_node,
    }
}

/// Runs `child` in a forked child and answers whether it returned true; false as well if it died of a signal.
#[expect(unsafe_code)]
pub(crate) fn in_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `child` and leaves by _exit, so no destructor and no other thread's state is
    // needed; glibc keeps malloc usable in it.
    unsafe {
        match libc::fork() {
            0 => {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
                libc::_exit(if matches!(result, Ok(true)) { 0 } else { 1 })
            }
            pid => {
                assert!(pid > 0);
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
                libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
            }
        }
    }
}
