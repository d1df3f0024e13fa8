//! Finding devices in the uacce class directory (uacce.md 2). An entry that cannot be used stays in the list
//! with every reason, because `warpdrive devices` must say why.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::uacce::node;

/// Where the kernel lists uacce devices.
pub const CLASS_DIRECTORY: &str = "/sys/class/uacce";

/// Where the character devices are.
pub const DEVICE_DIRECTORY: &str = "/dev";

/// `flags` bit 0: the device works on the process's own addresses (uacce.md 2.4).
const FLAG_SVA: u32 = 1;

/// `flags` bit 7: there is an IOMMU, so that a queue's own memory is one piece for the device.
const FLAG_IOMMU: u32 = 1 << 7;

/// Which memory a device reaches, by `flags` (uacce.md 2.4 and 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The process's own memory at the process's own addresses (SVA).
    Process,
    /// Only memory that the kernel pins for a queue, at addresses of the device's (KAE kernels without SVA).
    Pinned {
        /// The memory is one piece for the device.
        iommu: bool,
    },
}

impl Reach {
    const fn of(flags: u32) -> Reach {
        if flags & FLAG_SVA != 0 { Reach::Process } else { Reach::Pinned { iommu: flags & FLAG_IOMMU != 0 } }
    }
}

/// Kind of accelerator, from the driver name (uacce.md 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `hisi_zip`: compression.
    Zip,
    /// `hisi_sec2`: symmetric ciphers and digests.
    Sec,
    /// `hisi_hpre`: public-key operations.
    Hpre,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 3] = [Kind::Zip, Kind::Sec, Kind::Hpre];

    /// Kernel driver name, the part of the entry's name before `-<minor>`.
    pub const fn driver(self) -> &'static str {
        match self {
            Kind::Zip => "hisi_zip",
            Kind::Sec => "hisi_sec2",
            Kind::Hpre => "hisi_hpre",
        }
    }

    /// Short name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Zip => "zip",
            Kind::Sec => "sec",
            Kind::Hpre => "hpre",
        }
    }

    /// Position in [`Kind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Bytes of one descriptor of this kind (qm.md 2).
    pub const fn sqe_size(self) -> usize {
        match self {
            Kind::Zip | Kind::Sec => 128,
            Kind::Hpre => 64,
        }
    }

    fn of(entry: &str) -> Option<Kind> {
        let (driver, minor) = entry.rsplit_once('-')?;
        if minor.is_empty() || !minor.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Kind::ALL.into_iter().find(|kind| kind.driver() == driver)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an entry cannot serve, or cannot serve now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unusable {
    /// Not one of the drivers this library knows.
    UnknownDriver,
    /// An attribute is missing or unreadable.
    Unreadable(&'static str, i32),
    /// An attribute's content is not what the kernel documents.
    Unparsable(&'static str, String),
    /// Queue-manager generation without support here (V1).
    Generation(u32),
    /// `isolate` is 1: taken out of service after hardware errors.
    Isolated,
    /// `available_instances` is 0 at the moment.
    NoFreeQueue,
    /// The character device is missing, or this process may not read and write it.
    Node(i32),
    /// Opening a queue failed in this process (only in [`crate::Runtime::devices`]).
    Open(i32),
    /// The queue's dimensions do not fit the descriptors of this kind.
    Geometry,
}

impl Unusable {
    /// Whether the reason may go away by itself: such a device stays a candidate.
    pub const fn passes(&self) -> bool {
        matches!(self, Unusable::NoFreeQueue | Unusable::Isolated | Unusable::Open(_))
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errno = |code: &i32| io::Error::from_raw_os_error(*code);
        match self {
            Unusable::UnknownDriver => f.write_str("driver not known to warpdrive"),
            Unusable::Unreadable(file, code) => write!(f, "attribute {file} unreadable: {}", errno(code)),
            Unusable::Unparsable(file, text) => write!(f, "attribute {file} not understood: {text:?}"),
            Unusable::Generation(number) => write!(f, "queue manager V{number} not supported"),
            Unusable::Isolated => f.write_str("isolated by the kernel after hardware errors"),
            Unusable::NoFreeQueue => f.write_str("no free queue"),
            Unusable::Node(code) if *code == libc::EACCES || *code == libc::EPERM => {
                f.write_str("no permission on the device node")
            }
            Unusable::Node(code) => write!(f, "device node: {}", errno(code)),
            Unusable::Open(code) => write!(f, "opening a queue failed: {}", errno(code)),
            Unusable::Geometry => f.write_str("queue dimensions do not fit its descriptors"),
        }
    }
}

/// One entry of the class directory; an attribute that could not be read is `None` (or empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Entry name, `<driver>-<minor>`.
    pub name: String,
    /// Kind of accelerator.
    pub kind: Option<Kind>,
    /// Path of the character device.
    pub node: PathBuf,
    /// `api`, for example `hisi_qm_v3`.
    pub api: Option<String>,
    /// Lines of `algorithms`.
    pub algorithms: Vec<String>,
    /// `flags`.
    pub flags: Option<u32>,
    /// `region_mmio_size` in bytes.
    pub mmio_size: Option<usize>,
    /// `region_dus_size` in bytes.
    pub dus_size: Option<usize>,
    /// `available_instances`: queues free at the moment of the scan.
    pub available: Option<i64>,
    /// `device/numa_node`, with −1 read as 0 (uacce.md 7).
    pub numa_node: i32,
    /// `isolate`; `None` on kernels before 6.1, which do not have it.
    pub isolated: Option<bool>,
    /// Every reason that speaks against the entry; empty for a device in good order.
    pub unusable: Vec<Unusable>,
}

/// What it takes to open queues of a device in good order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Entry name.
    pub name: String,
    /// Kind of accelerator.
    pub kind: Kind,
    /// Path of the character device.
    pub node: PathBuf,
    /// Directory of its attributes.
    pub attributes: PathBuf,
    /// Queue-manager generation: the number in `api`, at least 2.
    pub generation: u32,
    /// Lines of `algorithms`.
    pub algorithms: Vec<String>,
    /// Exact length of the doorbell region.
    pub mmio_size: usize,
    /// Exact length of the queue memory.
    pub dus_size: usize,
    /// NUMA node.
    pub numa_node: i32,
    /// Which memory it reaches.
    pub reach: Reach,
}

impl Device {
    /// Whether `algorithm` is a whole line of the `algorithms` attribute.
    pub fn has(&self, algorithm: &str) -> bool {
        self.algorithms.iter().any(|line| line == algorithm)
    }

    /// Whether the kernel has isolated the device by now. An unreadable attribute means no.
    pub fn isolated_now(&self) -> bool {
        read(&self.attributes.join("isolate")).is_ok_and(|text| text == "1")
    }
}

impl Entry {
    /// The device, if nothing lasting speaks against it. `root` is the directory of the scan.
    pub fn device(&self, root: &Path) -> Option<Device> {
        if !self.unusable.iter().all(Unusable::passes) {
            return None;
        }
        Some(Device {
            name: self.name.clone(),
            kind: self.kind?,
            node: self.node.clone(),
            attributes: root.join(&self.name),
            generation: self.generation()?,
            algorithms: self.algorithms.clone(),
            mmio_size: self.mmio_size?,
            dus_size: self.dus_size?,
            numa_node: self.numa_node,
            reach: self.reach()?,
        })
    }

    /// Which memory the device reaches, from `flags`.
    pub fn reach(&self) -> Option<Reach> {
        self.flags.map(Reach::of)
    }

    /// The decimal number that starts at index 9 of `api` (uacce.md 2.3); `None` for 0 and for anything else.
    pub fn generation(&self) -> Option<u32> {
        let digits = self.api.as_ref()?.get(9..)?;
        let end = digits.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok().filter(|number| *number > 0)
    }
}

/// Looks at the class directory `root` afresh, in the order of the minor numbers. `root` is
/// [`CLASS_DIRECTORY`] everywhere but in tests.
///
/// # Errors
/// The directory cannot be opened or listed; `NotFound` where the kernel has no uacce.
pub fn scan(root: &Path) -> io::Result<Vec<Entry>> {
    scan_with(root, Path::new(DEVICE_DIRECTORY))
}

/// As [`scan`], with the character devices in `nodes`.
///
/// # Errors
/// As [`scan`].
pub fn scan_with(root: &Path, nodes: &Path) -> io::Result<Vec<Entry>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root)? {
        // A name that is not text cannot be a driver name and a number.
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_by_key(|name| {
        (name.rsplit_once('-').and_then(|(_, minor)| minor.parse::<u32>().ok()), name.clone())
    });
    Ok(names.into_iter().map(|name| inspect(root, nodes, name)).collect())
}

fn inspect(root: &Path, nodes: &Path, name: String) -> Entry {
    let directory = root.join(&name);
    let mut reasons = Vec::new();
    let kind = Kind::of(&name);
    if kind.is_none() {
        reasons.push(Unusable::UnknownDriver);
    }
    let api = text(&directory, "api", &mut reasons);
    let algorithms = text(&directory, "algorithms", &mut reasons)
        .map(|text| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
        .unwrap_or_default();
    let flags = number::<u32>(&directory, "flags", &mut reasons);
    let mmio_size = number::<usize>(&directory, "region_mmio_size", &mut reasons);
    let dus_size = number::<usize>(&directory, "region_dus_size", &mut reasons);
    let available = optional::<i64>(&directory, "available_instances", &mut reasons);
    let numa_node = optional::<i32>(&directory, "device/numa_node", &mut reasons).unwrap_or(0).max(0);
    // The attribute is absent before Linux 6.1, so that a failure to read it says nothing.
    let isolated = read(&directory.join("isolate")).ok().map(|text| text == "1");
    let node = nodes.join(&name);

    let mut entry = Entry {
        name,
        kind,
        node,
        api,
        algorithms,
        flags,
        mmio_size,
        dus_size,
        available,
        numa_node,
        isolated,
        unusable: Vec::new(),
    };
    match (entry.generation(), &entry.api) {
        (Some(1), _) => reasons.push(Unusable::Generation(1)),
        (None, Some(api)) => reasons.push(Unusable::Unparsable("api", api.clone())),
        _ => {}
    }
    if isolated == Some(true) {
        reasons.push(Unusable::Isolated);
    }
    if available.is_some_and(|free| free <= 0) {
        reasons.push(Unusable::NoFreeQueue);
    }
    if kind.is_some()
        && let Err(errno) = node::accessible(&entry.node)
    {
        reasons.push(Unusable::Node(errno));
    }
    entry.unusable = reasons;
    entry
}

fn text(directory: &Path, file: &'static str, reasons: &mut Vec<Unusable>) -> Option<String> {
    read(&directory.join(file)).map_err(|errno| reasons.push(Unusable::Unreadable(file, errno))).ok()
}

fn number<T: std::str::FromStr>(
    directory: &Path,
    file: &'static str,
    reasons: &mut Vec<Unusable>,
) -> Option<T> {
    let text = text(directory, file, reasons)?;
    text.parse().map_err(|_| reasons.push(Unusable::Unparsable(file, text))).ok()
}

/// An attribute that some kernels do not have: absence is no reason against the device, nonsense is.
fn optional<T: std::str::FromStr>(
    directory: &Path,
    file: &'static str,
    reasons: &mut Vec<Unusable>,
) -> Option<T> {
    let text = read(&directory.join(file)).ok()?;
    text.parse().map_err(|_| reasons.push(Unusable::Unparsable(file, text))).ok()
}

/// One attribute, without its trailing newline. A sysfs attribute is at most a page, given by one read.
fn read(path: &Path) -> Result<String, i32> {
    let mut buffer = [0; 4096];
    let length = File::open(path)
        .and_then(|mut file| file.read(&mut buffer))
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    Ok(String::from_utf8_lossy(&buffer[..length]).trim_end_matches(['\n', '\0']).to_owned())
}

#[cfg(test)]
mod tests;
