//! What happens to whole devices while programs use them: reset, isolation, removal, and (re)appearance.
//!
//! Everything here takes effect in all processes of the run before it returns: the words of the queues' slots and
//! memory files are shared, and a removed device's files are cut to nothing, so that every mapping of them faults.

use super::model::{self, Model};
use super::queue::State;
use super::slots::{SLOT_WORDS, Slot};
use super::{ownership, tree};
use crate::device::DeviceEvent;
use crate::sys;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Words of the machine: those of no device first, then [`DEVICE_WORDS`] for each minor number.
pub const MACHINE_WORDS: usize = FIRST_DEVICE + 64 * DEVICE_WORDS;
const FIRST_DEVICE: usize = 8;
const DEVICE_WORDS: usize = 4 + HISTORY;
/// Errors that are remembered for isolation, at most: those of an hour beyond this count as this many.
const HISTORY: usize = 4096;
/// How long an error counts (uacce.md 2.2), milliseconds.
const HOUR: u64 = 3_600_000;
/// Largest threshold of `isolate_strategy`.
const MOST_ERRORS: u64 = 65535;
/// How long a reset lasts if nobody says, milliseconds.
const RESET_MS: u64 = 20;
/// How long removal waits for requests that are being executed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The words that belong to no single queue; all start as 0.
#[derive(Clone, Copy, Debug)]
pub struct Machine(&'static [AtomicU64]);

impl Machine {
    /// The machine whose words these are.
    pub fn new(words: &'static [AtomicU64]) -> Machine {
        Machine(&words[..MACHINE_WORDS])
    }

    /// Counts the wishes of processes that share a queue with the one that serves it.
    pub fn wishes(self) -> &'static AtomicU64 {
        &self.0[0]
    }

    /// When the run first looked for devices, monotonic milliseconds; now, if that is now.
    fn discovered(self) -> u64 {
        let _ = self.0[1].compare_exchange(0, sys::monotonic_ms().max(1), Ordering::SeqCst, Ordering::SeqCst);
        self.0[1].load(Ordering::SeqCst)
    }

    /// Counts what changed in the discovery tree.
    fn changes(self) -> &'static AtomicU64 {
        &self.0[2]
    }

    fn device(self, device: usize) -> &'static [AtomicU64] {
        &self.0[FIRST_DEVICE + device * DEVICE_WORDS..][..DEVICE_WORDS]
    }

    fn threshold(self, device: usize) -> &'static AtomicU64 {
        &self.device(device)[0]
    }

    fn appeared(self, device: usize) -> &'static AtomicU64 {
        &self.device(device)[1]
    }

    /// The node stays when the device goes, as where nobody manages `/dev`.
    fn keeps_node(self, device: usize) -> &'static AtomicU64 {
        &self.device(device)[2]
    }

    /// Whether the error at `now` makes the device isolated: the errors of the last hour, without this one, have
    /// reached the threshold.
    fn error(self, device: usize, now: u64) -> bool {
        let words = self.device(device);
        let (count, history) = (&words[3], &words[4..]);
        let threshold = self.threshold(device).load(Ordering::SeqCst);
        if threshold == 0 {
            return false;
        }
        let recent = history.iter().filter(|at| {
            let at = at.load(Ordering::SeqCst);
            at != 0 && now.saturating_sub(at) <= HOUR
        });
        let reached = recent.count() as u64 >= threshold.min(HISTORY as u64);
        let place = count.fetch_add(1, Ordering::SeqCst) as usize % HISTORY;
        history[place].store(now.max(1), Ordering::SeqCst);
        reached
    }

    fn forget_errors(self, device: usize) {
        self.device(device)[4..].iter().for_each(|at| at.store(0, Ordering::SeqCst));
    }
}

impl Model {
    /// Whether the device is there.
    pub fn present(&self, device: usize) -> bool {
        let late = self.profile.kind(self.devices[device].kind).late;
        !self.function(device).removed()
            && (late == 0
                || self.machine.appeared(device).load(Ordering::SeqCst) != 0
                || sys::monotonic_ms() >= self.machine.discovered() + late)
    }

    /// The `isolate` attribute.
    pub fn isolated(&self, device: usize) -> bool {
        self.profile.kind(self.devices[device].kind).isolate || self.function(device).isolated()
    }

    /// Makes the tree of this process show the devices that are there.
    pub fn sync_tree(&self) {
        static SEEN: AtomicU64 = AtomicU64::new(u64::MAX);
        let changes = self.machine.changes().load(Ordering::SeqCst);
        let late = |device: &usize| {
            let kind = self.devices[*device].kind;
            self.profile.kind(kind).late > 0 && self.machine.appeared(*device).load(Ordering::SeqCst) == 0
        };
        let pending: Vec<usize> = (0..self.devices.len()).filter(late).collect();
        let due = pending.iter().any(|device| self.present(*device));
        if SEEN.swap(changes, Ordering::SeqCst) == changes && !due {
            return;
        }
        self.arrange();
        for device in pending.into_iter().filter(|device| self.present(*device)) {
            self.machine.appeared(device).store(1, Ordering::SeqCst);
            self.machine.changes().fetch_add(1, Ordering::SeqCst);
            self.dir.log(&format!("{} has appeared", self.devices[device].name));
        }
    }

    /// Arranges every tree of the run.
    fn arrange(&self) {
        for root in tree::all(&self.dir.state("")) {
            for (index, device) in self.devices.iter().enumerate() {
                let keep = self.machine.keeps_node(index).load(Ordering::SeqCst) != 0;
                if let Err(error) = tree::show(&root, device, self.present(index), keep) {
                    self.dir.log(&format!("{} in the tree: {error}", device.name));
                }
            }
        }
    }

    /// Something happens to a whole device: first its words, so that an open already fails, then its queues and what
    /// the tree shows.
    pub fn device_event(&self, device: usize, event: DeviceEvent) {
        self.function(device).apply(event, sys::monotonic_ms());
        match event {
            DeviceEvent::Busy(_) => {}
            DeviceEvent::Reset(_) => {
                if self.machine.error(device, sys::monotonic_ms()) {
                    self.dir.log(&format!("{}: isolated after its errors", self.devices[device].name));
                    self.function(device).apply(DeviceEvent::Isolate, sys::monotonic_ms());
                }
                self.write_reset_words(device);
            }
            DeviceEvent::Isolate => self.write_reset_words(device),
            DeviceEvent::Remove => self.take_away(device),
        }
        self.wake_all(device);
    }

    fn slots_of(&self, device: usize) -> impl Iterator<Item = (u16, Slot)> {
        self.slots[device]
            .chunks_exact(SLOT_WORDS)
            .map(Slot::from_words)
            .enumerate()
            .map(|(n, s)| (n as u16, s))
    }

    /// TX words of all queues, and RX words of those that nothing is left to drain for (qm.md 7). The device threads
    /// write the other RX words.
    fn write_reset_words(&self, device: usize) {
        for (number, slot) in self.slots_of(device).filter(|(_, slot)| slot.state() != State::Zombie) {
            let idle = slot.state() == State::Init || !model::alive(slot.owner());
            let written = (|| {
                let Some(memory) = ownership::existing_memory(self, device, number)? else { return Ok(()) };
                let end = memory.metadata()?.len();
                memory.write_all_at(&1u32.to_le_bytes(), end - 4)?;
                if idle { memory.write_all_at(&1u32.to_le_bytes(), end - 8) } else { Ok(()) }
            })();
            if let Err::<(), io::Error>(error) = written {
                self.dir.log(&format!("{} queue {number}: {error}", self.devices[device].name));
            }
        }
    }

    /// Removal (uacce.md 3.9): queues become ZOMBIE and come to rest, then node, class entry and memory go.
    fn take_away(&self, device: usize) {
        self.machine.changes().fetch_add(1, Ordering::SeqCst);
        self.arrange();
        let ended: Vec<(u16, Slot)> = self.slots_of(device).collect();
        for (_, slot) in &ended {
            slot.deafen();
            slot.remove();
            slot.wake();
        }
        let until = Instant::now() + PATIENCE;
        for (number, slot) in &ended {
            while slot.busy() && model::alive(slot.owner()) && Instant::now() < until {
                std::thread::sleep(Duration::from_micros(200));
            }
            if slot.busy() && model::alive(slot.owner()) {
                let name = &self.devices[device].name;
                self.dir.log(&format!("{name} queue {number}: removed in the middle of a request"));
            }
        }
        if let Err(error) = ownership::destroy(self, device) {
            self.dir.log(&format!("removal of {}: {error}", self.devices[device].name));
        }
    }

    /// Puts a removed or late device (back) in its place, without faults.
    pub fn add(&self, device: usize) {
        self.machine.appeared(device).store(1, Ordering::SeqCst);
        self.machine.keeps_node(device).store(0, Ordering::SeqCst);
        self.machine.forget_errors(device);
        self.function(device).renew();
        self.machine.changes().fetch_add(1, Ordering::SeqCst);
        self.arrange();
    }

    /// The next removal leaves the node behind: opening it fails with ENODEV.
    pub fn keep_node(&self, device: usize) {
        self.machine.keeps_node(device).store(1, Ordering::SeqCst);
    }

    /// The present text of an attribute that changes while the machine runs, without newline.
    pub fn live_attribute(&self, device: usize, name: &str) -> Option<String> {
        Some(match name {
            "available_instances" if self.function(device).busy(sys::monotonic_ms()) => "0".to_owned(),
            "available_instances" => ownership::free_queues(self, device).to_string(),
            "isolate" => u8::from(self.isolated(device)).to_string(),
            "isolate_strategy" => self.machine.threshold(device).load(Ordering::SeqCst).to_string(),
            "dev_state" if self.function(device).stopped(sys::monotonic_ms()) => "-1".to_owned(),
            "dev_state" => u8::from(self.isolated(device)).to_string(),
            "numa_distance" => match self.devices[device].node {
                // as the kernel's default table has it; a node of the model that the machine lacks is remote
                node if node < 0 || sys::current_node() == Some(node as u32) => "10".to_owned(),
                _ => "20".to_owned(),
            },
            _ => return None,
        })
    }

    /// A write to `isolate_strategy` (uacce.md 2.2).
    pub fn set_isolate_strategy(&self, device: usize, text: &[u8]) -> Result<(), libc::c_int> {
        let threshold = kernel_number(text).filter(|n| *n <= MOST_ERRORS).ok_or(libc::EINVAL)?;
        let queues = usize::from(self.profile.kind(self.devices[device].kind).queues);
        if self.profile.kae() && ownership::free_queues(self, device) != queues {
            return Err(libc::EBUSY);
        }
        if self.isolated(device) {
            return Err(libc::EPERM);
        }
        self.machine.threshold(device).store(threshold, Ordering::SeqCst);
        self.machine.forget_errors(device);
        Ok(())
    }

    /// A command of an administrator; what it did, or what is wrong with it.
    ///
    /// `remove NAME [keep-node]`, `add NAME`, `reset NAME [MS]`, `isolate NAME`, `busy NAME MS`, `list`.
    pub fn command(&self, words: &[&str]) -> Result<String, String> {
        let find = |name: &str| {
            let index = tree::device_index(&self.devices, name);
            index.ok_or_else(|| format!("the profile `{}` has no device {name}", self.profile.name))
        };
        let ms =
            |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no number of milliseconds"));
        let event = |name: &str, event| find(name).map(|device| self.device_event(device, event));
        match *words {
            ["remove", name] => event(name, DeviceEvent::Remove)?,
            ["remove", name, "keep-node"] => {
                self.keep_node(find(name)?);
                event(name, DeviceEvent::Remove)?;
            }
            ["add", name] => self.add(find(name)?),
            ["reset", name] => event(name, DeviceEvent::Reset(RESET_MS))?,
            ["reset", name, text] => event(name, DeviceEvent::Reset(ms(text)?))?,
            ["isolate", name] => event(name, DeviceEvent::Isolate)?,
            ["busy", name, text] => event(name, DeviceEvent::Busy(ms(text)?))?,
            ["list"] => {
                self.sync_tree();
                let line = |(index, device): (usize, &super::profile::Device)| {
                    let state = match (self.present(index), self.isolated(index)) {
                        (false, _) => "absent",
                        (true, true) => "isolated",
                        (true, false) => "present",
                    };
                    format!("{}\t{state}\t{}\n", device.name, ownership::free_queues(self, index))
                };
                return Ok(self.devices.iter().enumerate().map(line).collect());
            }
            _ => {
                return Err(
                    "wants `remove NAME [keep-node]`, `add NAME`, `reset NAME [MS]`, `isolate NAME`, \
                             `busy NAME MS` or `list`"
                        .to_owned(),
                );
            }
        }
        self.dir.log(&format!("administrator: {}", words.join(" ")));
        Ok(String::new())
    }
}

/// A number as the kernel's `kstrtoul` reads it with base 0: decimal, `0x` or leading `0` for octal, an optional plus
/// and one optional newline.
fn kernel_number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = |text: &str, radix| {
        let clean = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if clean { u64::from_str_radix(text, radix).ok() } else { None }
    };
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => digits(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => digits(text, 8),
        None => digits(text, 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine::new(Vec::leak((0..MACHINE_WORDS).map(|_| AtomicU64::new(0)).collect()))
    }

    #[test]
    fn a_device_is_isolated_when_the_last_hours_errors_reach_the_threshold() {
        let machine = machine();
        assert!((0..100).all(|n| !machine.error(3, n)), "0 means never");
        machine.threshold(3).store(2, Ordering::SeqCst);
        assert!(!machine.error(3, 1_000));
        assert!(!machine.error(3, 2_000));
        assert!(!machine.error(3, 1_001 + HOUR), "the first has been forgotten");
        assert!(machine.error(3, 2_000 + HOUR));
        machine.forget_errors(3);
        assert!(!machine.error(3, 2_001 + HOUR));
        assert!(!machine.error(4, 2_001 + HOUR));
    }

    #[test]
    fn numbers_are_read_as_the_kernel_reads_them() {
        for (text, value) in [("5", 5), ("5\n", 5), ("+7", 7), ("0x1f\n", 31), ("010", 8), ("0", 0)] {
            assert_eq!(kernel_number(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", "\n", "-1", " 5", "5 ", "5\n\n", "0x", "09", "++1", "five", "99999999999999999999"] {
            assert_eq!(kernel_number(text.as_bytes()), None, "{text}");
        }
    }
}
