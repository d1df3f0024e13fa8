//! UNSAFE: what a process holds, and what the devices have left, for finding leaks.
#![expect(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};

/// The class directory, as the model shows it.
const CLASS: &str = "/sys/class/uacce";

/// The descriptors of this process.
#[derive(Debug)]
pub struct Held {
    /// Of queues, by device.
    pub queues: BTreeMap<String, usize>,
    /// All but those of queues and the model's own, with what they are.
    pub others: Vec<String>,
}

impl Held {
    /// Looks at this process. `model` is the directory of the model's state, whose files are not the program's.
    pub fn now(model: &str) -> Result<Held> {
        let mut held = Held { queues: BTreeMap::new(), others: Vec::new() };
        let own = format!("/proc/{}/fd", std::process::id());
        for entry in fs::read_dir("/proc/self/fd").context("descriptors")? {
            let path = entry?.path();
            // closed since the directory was read
            let Ok(link) = fs::read_link(&path) else { continue };
            let link = link.to_string_lossy().into_owned();
            let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            match link.strip_prefix(model) {
                // a queue is a FIFO of the model's, which shows the program a character device
                Some(inside) if number.is_some_and(is_character_device) => {
                    let device = inside.rsplit('/').nth(1).unwrap_or(inside);
                    *held.queues.entry(device.to_owned()).or_default() += 1;
                }
                None if link != own => held.others.push(link),
                _ => {}
            }
        }
        held.others.sort();
        Ok(held)
    }

    /// Checks that what is held now is what was held then and at most `most` queues.
    pub fn check(&self, before: &Held, most: usize) -> Result<()> {
        let open: usize = self.queues.values().sum();
        ensure!(open <= most, "{open} queues are open, more than {most}: {:?}", self.queues);
        ensure!(
            self.others == before.others,
            "descriptors were leaked: {:?}, before {:?}",
            self.others,
            before.others
        );
        Ok(())
    }
}

/// Free queues of each device that is there.
pub fn free_queues() -> Result<BTreeMap<String, usize>> {
    let mut free = BTreeMap::new();
    for entry in fs::read_dir(CLASS).context(CLASS)? {
        let entry = entry?;
        // removed since the directory was read
        let Ok(text) = fs::read_to_string(entry.path().join("available_instances")) else { continue };
        let count = text.trim().parse().with_context(|| format!("available_instances: {text:?}"))?;
        free.insert(entry.file_name().to_string_lossy().into_owned(), count);
    }
    ensure!(!free.is_empty(), "no devices in {CLASS}");
    Ok(free)
}

fn is_character_device(descriptor: i32) -> bool {
    // SAFETY: all zero is a value of the structure, which the call fills; a bad descriptor is an error.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(descriptor, &mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFCHR
    }
}
