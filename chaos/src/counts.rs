//! The model's ledger and the core's counter files (ARCHITECTURE.md).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// Values by name.
#[derive(Debug, Default, Clone)]
pub struct Counts(pub BTreeMap<String, u64>);

impl Counts {
    /// Adds the records of a ledger of the model's.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let bytes = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
        for record in bytes.chunks_exact(64).take_while(|record| record[0] != 0) {
            let name = String::from_utf8_lossy(&record[..48]).trim_end_matches('\0').to_owned();
            *self.0.entry(name).or_default() += u64::from_le_bytes(record[48..56].try_into()?);
        }
        Ok(())
    }

    /// Adds the core's counter files of a directory.
    pub fn add_directory(&mut self, path: &Path) -> Result<()> {
        let sums = warpdrive_core::stats::read_dir(path).with_context(|| format!("{}", path.display()))?;
        self.add(&Counts(sums));
        Ok(())
    }

    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The sum of all whose names begin and end so.
    pub fn sum(&self, start: &str, end: &str) -> u64 {
        let matching = self.0.iter().filter(|(name, _)| name.starts_with(start) && name.ends_with(end));
        matching.map(|(_, value)| value).sum()
    }

    pub fn add(&mut self, other: &Counts) {
        for (name, value) in &other.0 {
            *self.0.entry(name.clone()).or_default() += value;
        }
    }
}
