//! A running process as seen from outside: which counter files it maps.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use warpdrive_core::stats;

/// What is known of a process.
pub struct Process {
    /// Directory of its counter file.
    pub directory: PathBuf,
    /// Inode and file name of the counter files that it maps; one for each of our libraries in it.
    mapped: Vec<(u64, PathBuf)>,
}

impl Process {
    /// Looks at process `pid`; one that has ended is only known by what it left.
    pub fn look(pid: u32) -> Result<Process> {
        let maps = match std::fs::read(format!("/proc/{pid}/maps")) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot look at process {pid}")),
        };
        let files: Vec<(u64, PathBuf)> = maps.lines().filter_map(counter_file).collect();
        let directory = match files.first().and_then(|(_, path)| path.parent()) {
            Some(directory) => directory.to_owned(),
            None => named(pid).unwrap_or_else(default_directory),
        };
        Ok(Process { directory, mapped: files })
    }

    /// Whether the process counts in this file. The inode alone could be another file system's.
    pub fn maps(&self, inode: u64, path: &Path) -> bool {
        self.mapped.iter().any(|(own, name)| *own == inode && name.file_name() == path.file_name())
    }

    /// Whether it maps any.
    pub fn maps_any(&self) -> bool {
        !self.mapped.is_empty()
    }
}

/// Inode and path of a counter file from a line of `/proc/<pid>/maps`.
fn counter_file(line: &str) -> Option<(u64, PathBuf)> {
    let mut fields = line.splitn(6, ' ');
    let inode = fields.nth(4)?.parse().ok()?;
    let path = Path::new(fields.next()?.trim_start());
    let name = path.file_name()?.to_str()?;
    (name.starts_with("core-") && name.ends_with(".stats")).then(|| (inode, path.to_owned()))
}

/// The directory that the process was started with.
fn named(pid: u32) -> Option<PathBuf> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = [stats::DIRECTORY_VARIABLE.as_bytes(), b"="].concat();
    let value = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(&prefix[..]))?;
    (!value.is_empty()).then(|| std::ffi::OsString::from_vec(value.to_vec()).into())
}

/// Where this user's programs count.
pub fn default_directory() -> PathBuf {
    std::env::var_os(stats::DIRECTORY_VARIABLE)
        .filter(|directory| !directory.is_empty())
        .map_or_else(|| PathBuf::from(stats::DEFAULT_DIRECTORY), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_counter_files_are_found_in_a_listing_of_mappings() {
        let line = "7f0d2-7f0d3 rw-s 00000000 00:19 4711          /run/warpdrive/stats/core-0-ab-3.stats";
        let path = PathBuf::from("/run/warpdrive/stats/core-0-ab-3.stats");
        assert_eq!(counter_file(line), Some((4711, path)));
        for other in [
            "7f0d2-7f0d3 rw-p 00000000 00:00 0 ",
            "7f0d2-7f0d3 rw-p 00000000 00:00 0                 [heap]",
            "7f0d2-7f0d3 r--p 00000000 fe:00 12                /lib/libz.so.1",
            "",
        ] {
            assert_eq!(counter_file(other), None, "{other}");
        }
    }

    #[test]
    fn a_process_that_has_ended_is_no_error_and_maps_nothing() {
        let process = Process::look(u32::MAX).unwrap();
        assert!(!process.maps_any() && process.directory == default_directory());
        let own = Process::look(std::process::id()).unwrap();
        assert!(!own.maps_any(), "the command itself keeps no counters");
    }
}
