//! Where the shared objects are: beside the command in a build tree, under `../lib/warpdrive` once installed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The shared objects that `run` hands to a program.
#[derive(Debug, Clone, Copy)]
pub enum Library {
    /// zlib replacement for LD_PRELOAD.
    Zlib,
    /// OpenSSL provider module.
    Provider,
    /// Device model for LD_PRELOAD.
    DeviceModel,
}

impl Library {
    fn file_name(self) -> &'static str {
        match self {
            Library::Zlib => "libwarpdrive_z.so",
            Library::Provider => "libwarpdrive_provider.so",
            Library::DeviceModel => "libwarpdrive_device_model.so",
        }
    }
}

/// Absolute path of `library`.
///
/// # Errors
/// Names every place that was tried.
pub fn find(library: Library) -> Result<PathBuf> {
    let executable = std::env::current_exe().context("cannot tell where this command is installed")?;
    find_from(&executable, std::env::var_os("WARPDRIVE_LIBDIR").map(PathBuf::from), library)
}

fn find_from(executable: &Path, libdir: Option<PathBuf>, library: Library) -> Result<PathBuf> {
    let beside = executable.parent().unwrap_or(Path::new("/"));
    let candidates: Vec<PathBuf> =
        libdir.into_iter().chain([beside.to_path_buf(), beside.join("../lib/warpdrive")]).collect();
    for directory in &candidates {
        if let Ok(path) = directory.join(library.file_name()).canonicalize() {
            return Ok(path);
        }
    }
    let tried = candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    anyhow::bail!("{} not found (looked in {tried}); set WARPDRIVE_LIBDIR", library.file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_beside_the_command_or_below_its_prefix_is_found() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        let lib = root.path().join("lib/warpdrive");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(&lib).unwrap();
        let command = bin.join("warpdrive");
        let error = find_from(&command, None, Library::Zlib).unwrap_err().to_string();
        assert!(error.contains("libwarpdrive_z.so not found"), "{error}");
        std::fs::write(lib.join("libwarpdrive_z.so"), "").unwrap();
        assert!(
            find_from(&command, None, Library::Zlib).unwrap().ends_with("lib/warpdrive/libwarpdrive_z.so")
        );
        std::fs::write(bin.join("libwarpdrive_z.so"), "").unwrap();
        assert!(find_from(&command, None, Library::Zlib).unwrap().ends_with("bin/libwarpdrive_z.so"));
    }
}
