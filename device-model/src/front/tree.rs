//! The discovery tree, as real files: `sys/class/uacce`, the PCI directories behind it, and `dev`.
//!
//! Paths of the program that belong to uacce are redirected here, so that directory descriptors, `realpath`,
//! `fopen` and relative symbolic links work by themselves. One attribute is alive: `available_instances`.

use super::profile::{Device, Profile};
use super::shared::fingerprint;
use crate::sys;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The class directory.
pub const CLASS: &str = "/sys/class/uacce";
/// Root of the modelled PCI functions; no real machine has this domain.
pub const PCI: &str = "/sys/devices/pci0057:00";
/// What the name of every device node starts with.
pub const NODE_PREFIX: &str = "/dev/hisi_";
/// Major number shown for the nodes.
pub const MAJOR: u32 = 236;
/// What the links by device number start with.
const BY_NUMBER: &str = "/sys/dev/char/236:";

/// PCI address of a device.
fn bdf(device: &Device) -> String {
    format!("0057:{:02x}:00.0", device.minor + 1)
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn write_device(root: &Path, profile: &Profile, device: &Device) -> io::Result<()> {
    let kind = profile.kind(device.kind);
    let page = sys::page_size();
    let function = root.join(&PCI[1..]).join(bdf(device));
    let entry = function.join("uacce").join(&device.name);
    fs::create_dir_all(entry.join("power"))?;
    write(&entry.join("power/control"), "auto\n", 0o644)?;

    let node = device.node.to_string();
    let isolate = u8::from(kind.isolate).to_string();
    let dev = format!("{MAJOR}:{}", device.minor);
    let uevent = format!("MAJOR={MAJOR}\nMINOR={}\nDEVNAME={}", device.minor, device.name);
    let attributes = [
        ("api", profile.api().to_owned()),
        ("algorithms", kind.algorithms.join("\n")),
        ("flags", profile.flags.to_string()),
        ("available_instances", kind.queues.to_string()),
        ("region_mmio_size", profile.mmio_size(page).to_string()),
        ("region_dus_size", profile.dus_size(device.kind, page).to_string()),
        ("isolate", isolate.clone()),
        ("node_id", node.clone()),
        ("numa_distance", "10".to_owned()),
        ("dev_state", isolate),
        ("dev", dev),
        ("uevent", uevent),
    ];
    for (name, text) in attributes {
        if profile.kae() || !["node_id", "numa_distance", "dev_state"].contains(&name) {
            write(&entry.join(name), &(text + "\n"), 0o444)?;
        }
    }
    write(&entry.join("isolate_strategy"), "0\n", 0o644)?;
    symlink(format!("../../../{}", bdf(device)), entry.join("device"))?;
    symlink("../../../../../class/uacce", entry.join("subsystem"))?;

    let by_number = root.join("sys/dev/char");
    fs::create_dir_all(&by_number)?;
    let target = format!("../../{}/{}/uacce/{}", &PCI["/sys/".len()..], bdf(device), device.name);
    symlink(target, by_number.join(format!("{MAJOR}:{}", device.minor)))?;
    symlink(format!("../../../bus/pci/drivers/{}", device.kind.driver()), function.join("driver"))?;
    symlink("../../../bus/pci", function.join("subsystem"))?;
    let (vendor, id) = (0x19e5, device.kind.pci_id());

    let function_attributes = [
        ("numa_node", node),
        ("vendor", "0x19e5".to_owned()),
        ("device", format!("{:#06x}", device.kind.pci_id())),
        ("revision", format!("{:#04x}", profile.revision())),
        ("class", "0x120000".to_owned()),
        ("subsystem_vendor", "0x19e5".to_owned()),
        ("subsystem_device", "0x0000".to_owned()),
        ("enable", "1".to_owned()),
        (
            "uevent",
            format!(
                "DRIVER={}\nPCI_CLASS=120000\nPCI_ID={vendor:04X}:{id:04X}\nPCI_SLOT_NAME={}",
                device.kind.driver(),
                bdf(device)
            ),
        ),
    ];
    for (name, text) in function_attributes {
        write(&function.join(name), &(text + "\n"), 0o444)?;
    }
    let target = format!("../../{}/{}/uacce/{}", &PCI["/sys/".len()..], bdf(device), device.name);
    symlink(target, root.join(&CLASS[1..]).join(&device.name))?;
    write(&root.join("dev").join(&device.name), "", kind.node_mode)
}

/// Makes the tree of `profile` below `parent`, unless a process of the run has made it already.
pub fn materialise(parent: &Path, profile: &Profile) -> io::Result<PathBuf> {
    let name = format!("tree-{}", fingerprint(&format!("{profile:?} {}", sys::page_size())));
    let done = parent.join(&name);
    if done.is_dir() {
        return Ok(done);
    }
    let building = parent.join(format!("{name}.{}", sys::pid()));
    let _ = fs::remove_dir_all(&building);
    fs::create_dir_all(building.join(&CLASS[1..]))?;
    fs::create_dir_all(building.join("dev"))?;
    for device in profile.devices() {
        write_device(&building, profile, &device)?;
    }
    // rename is atomic; whoever comes second finds a full directory in the way and takes that
    match fs::rename(&building, &done) {
        Err(_) if done.is_dir() => fs::remove_dir_all(&building)?,
        other => other?,
    }
    Ok(done)
}

/// Puts a new text where the program may be reading, or about to.
fn replace(root: &Path, device: &Device, attribute: &str, text: &str) -> io::Result<()> {
    let entry = root.join(&PCI[1..]).join(bdf(device)).join("uacce").join(&device.name);
    // A name of its own for each thread of each process: they may all be at it.
    static TURN: AtomicU64 = AtomicU64::new(0);
    let fresh = format!(".{attribute}.{}.{}", sys::pid(), TURN.fetch_add(1, Ordering::Relaxed));
    let fresh = entry.join(fresh);
    let place = entry.join(attribute);
    write(&fresh, text, fs::metadata(&place)?.permissions().mode() & 0o777)?;
    fs::rename(fresh, place)
}

/// Puts a new text where the program is about to read it.
pub fn refresh(root: &Path, device: &Device, attribute: &str, text: &str) -> io::Result<()> {
    replace(root, device, attribute, &format!("{text}\n"))
}

/// The trees of a run, one for each profile that its processes have.
pub fn all(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    let tree = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        name.starts_with("tree-") && !name.contains('.')
    };
    entries.filter(tree).collect()
}

/// Shows a device in the tree, or takes class entry, attributes and (unless `keep_node`) the node out of sight.
pub fn show(root: &Path, device: &Device, present: bool, keep_node: bool) -> io::Result<()> {
    let absent = root.join(".absent").join(&device.name);
    let places = [
        (root.join(&CLASS[1..]).join(&device.name), absent.join("class"), true),
        (root.join(&PCI[1..]).join(bdf(device)).join("uacce"), absent.join("uacce"), true),
        (root.join("dev").join(&device.name), absent.join("node"), !keep_node),
    ];
    if !places[0].1.parent().is_some_and(Path::is_dir) {
        if present {
            return Ok(()); // it never was away
        }
        fs::create_dir_all(&absent)?;
    }
    for (seen, hidden, moves) in places {
        let moved = if present {
            fs::rename(&hidden, &seen)
        } else if moves {
            fs::rename(&seen, &hidden)
        } else {
            Ok(())
        };
        // it is where it should be, or another process has just done the same
        moved.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    }
    Ok(())
}

/// Where the file is that stands for a device's node: while it is there, and while it is not.
pub fn node_files(root: &Path, name: &str) -> [PathBuf; 2] {
    [root.join("dev").join(name), root.join(".absent").join(name).join("node")]
}

/// Where a path of the program leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Not ours.
    Elsewhere,
    /// Something in the discovery tree; the path in its clean form.
    Tree(&'a str),
    /// The node of this name, or a node name that may not exist.
    Node(&'a str),
}

fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Says where a clean absolute path leads.
pub fn place(path: &str) -> Place<'_> {
    if below(path, CLASS).is_some() || below(path, PCI).is_some() || path.starts_with(BY_NUMBER) {
        Place::Tree(path)
    } else if let Some(rest) = path.strip_prefix(NODE_PREFIX) {
        if rest.contains('/') { Place::Elsewhere } else { Place::Node(&path["/dev/".len()..]) }
    } else {
        Place::Elsewhere
    }
}

/// Where in the tree a clean path of ours lies.
pub fn inside(path: &str) -> &str {
    path
}

/// Whether a path could be ours at all: cheap, without allocation, never a false "no".
pub fn worth_a_look(path: &[u8]) -> bool {
    let has = |needle: &[u8]| path.windows(needle.len()).any(|w| w == needle);
    if path.first() == Some(&b'/') {
        (path.starts_with(b"/sys")
            || path.starts_with(b"/dev")
            || path.starts_with(b"//")
            || path.starts_with(b"/./"))
            && (has(b"/uacce") || has(b"hisi_") || has(b"/pci0057:") || has(b"/char/236:"))
    } else {
        has(b"hisi_") || has(b"uacce") || LIVE.iter().any(|name| path.ends_with(name.as_bytes()))
    }
}

/// Copies an absolute path to `out` without `//` and `/./`; the length, or `None` if it does not fit.
/// `..` stays: below the class directory it must be resolved through the symbolic links of the tree.
pub fn clean(path: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut n = 0;
    for part in path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".") {
        let end = n + 1 + part.len();
        let place = out.get_mut(n..end)?;
        place[0] = b'/';
        place[1..].copy_from_slice(part);
        n = end;
    }
    // a final slash asks for the directory behind a symbolic link
    if n > 0 && path.ends_with(b"/") {
        *out.get_mut(n)? = b'/';
        n += 1;
    }
    Some(n)
}

/// The minor-ordered position of the device called `name`.
pub fn device_index(devices: &[Device], name: &str) -> Option<usize> {
    devices.iter().position(|d| d.name == name)
}

/// Attributes whose text changes while the machine runs.
pub const LIVE: [&str; 5] =
    ["available_instances", "isolate", "isolate_strategy", "dev_state", "numa_distance"];

/// The live attribute that a path names, and its device if the path names that, too.
pub fn live<'a>(devices: &'a [Device], path: &str) -> Option<(&'static str, Option<&'a Device>)> {
    let (entry, last) = path.rsplit_once('/').unwrap_or(("", path));
    let attribute = LIVE.into_iter().find(|name| *name == last)?;
    let name = entry.rsplit('/').next().unwrap_or("");
    Some((attribute, devices.iter().find(|d| d.name == name)))
}

/// Where the files of queue ownership of a kind's device live, below the state directory.
pub fn queue_dir(device: &Device) -> String {
    format!("queues/{}", device.name)
}

#[cfg(test)]
mod tests {
    use super::super::profile::{KUNPENG920, KUNPENG930, KUNPENG930_NOSVA, Kind};
    use super::*;

    fn cleaned(path: &str) -> String {
        let mut out = [0u8; 64];
        let n = clean(path.as_bytes(), &mut out).unwrap();
        String::from_utf8(out[..n].to_vec()).unwrap()
    }

    #[test]
    fn paths_are_recognised_in_every_spelling_and_neighbours_are_not() {
        assert_eq!(cleaned("//sys/./class//uacce"), CLASS);
        assert_eq!(cleaned("/sys/class/uacce//"), "/sys/class/uacce/");
        assert_eq!(place(CLASS), Place::Tree(CLASS));
        assert_eq!(place("/sys/class/uacce2"), Place::Elsewhere);
        assert_eq!(place("/dev/hisi_zip-4"), Place::Node("hisi_zip-4"));
        assert_eq!(place("/dev/hisi_x/y"), Place::Elsewhere);
        for ours in [
            "/sys/class/uacce",
            "//sys//class/./uacce/hisi_zip-4/api",
            "/dev/hisi_zip-4",
            "x/available_instances",
        ] {
            assert!(worth_a_look(ours.as_bytes()), "{ours}");
        }
        for other in ["/etc/passwd", "/sys/class/net", "/home/hisi_zip", "passwd", ""] {
            assert!(!worth_a_look(other.as_bytes()), "{other}");
        }
        assert_eq!(clean(b"/a/b", &mut [0; 3]), None);
    }

    #[test]
    fn the_tree_reads_like_sysfs() {
        let parent = std::env::temp_dir().join(format!("wd-tree-test-{}", std::process::id()));
        fs::create_dir_all(&parent).unwrap();
        let root = materialise(&parent, &KUNPENG930).unwrap();
        assert_eq!(materialise(&parent, &KUNPENG930).unwrap(), root);
        let v2 = materialise(&parent, &KUNPENG920).unwrap();
        assert_ne!(v2, root);
        let class = root.join("sys/class/uacce");
        let read = |name: &str| fs::read_to_string(class.join(name)).unwrap();
        assert_eq!(fs::read_dir(&class).unwrap().count(), 6);
        assert_eq!(read("hisi_zip-4/api"), "hisi_qm_v3\n");
        assert_eq!(read("hisi_zip-5/device/numa_node"), "1\n");
        assert_eq!(read("hisi_zip-5/algorithms"), "zlib\ngzip\ndeflate\n");
        assert_eq!(read("hisi_sec2-0/available_instances"), "256\n");
        let device = KUNPENG930.devices().remove(0);
        refresh(&root, &device, "available_instances", "17").unwrap();
        assert_eq!(read("hisi_sec2-0/available_instances"), "17\n");
        std::thread::scope(|scope| {
            for free in 0..8 {
                let (root, device) = (&root, &device);
                scope.spawn(move || {
                    (0..50).for_each(|_| {
                        refresh(root, device, "available_instances", &free.to_string()).unwrap();
                    })
                });
            }
        });
        assert_eq!(read("hisi_hpre-2/subsystem/hisi_hpre-2/flags"), "1\n");
        // what only the KAE kernel has
        assert!(!class.join("hisi_zip-4/numa_distance").exists());
        let kae = materialise(&parent, &KUNPENG930_NOSVA).unwrap().join("sys/class/uacce/hisi_zip-5");
        let of_kae = |name: &str| fs::read_to_string(kae.join(name)).unwrap();
        assert_eq!((of_kae("flags"), of_kae("node_id")), ("2\n".to_owned(), "1\n".to_owned()));
        assert_eq!((of_kae("numa_distance"), of_kae("dev_state")), ("10\n".to_owned(), "0\n".to_owned()));
        let link = fs::read_link(class.join("hisi_zip-4")).unwrap();
        assert!(link.to_str().unwrap().starts_with("../../devices/pci"), "{link:?}");
        let devices = KUNPENG930.devices();
        let (attribute, zip) = live(&devices, "/x/hisi_zip-4/available_instances").unwrap();
        assert_eq!((attribute, zip.unwrap().kind), ("available_instances", Kind::Zip));
        assert_eq!(live(&devices, "isolate"), Some(("isolate", None)));
        assert_eq!(live(&devices, "/x/hisi_zip-4/api"), None);
        for _ in 0..2 {
            show(&root, &devices[4], false, false).unwrap();
            assert!(!class.join("hisi_zip-4").exists() && fs::read_dir(&class).unwrap().count() == 5);
            assert!(!root.join("dev/hisi_zip-4").exists());
        }
        for _ in 0..2 {
            show(&root, &devices[4], true, false).unwrap();
            assert_eq!(read("hisi_zip-4/api"), "hisi_qm_v3\n");
            assert!(root.join("dev/hisi_zip-4").exists());
        }
        fs::remove_dir_all(&parent).unwrap();
    }
}
