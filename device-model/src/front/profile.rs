//! Which machine is modelled: devices, generation, queue numbers, attributes.
//!
//! A profile is data. `WARPDRIVE_MODEL` names one and may override keys: `kunpeng930,queues=2,zip=1,hpre.isolate=1`.

use crate::engine::Generation;
use std::fmt;

/// One kind of accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Compression, PCI function 0xa250.
    Zip,
    /// Ciphers and digests, PCI function 0xa255.
    Sec,
    /// Public-key arithmetic, PCI function 0xa258.
    Hpre,
}

impl Kind {
    /// All kinds, in the order in which a two-socket server numbers its devices.
    pub const ALL: [Kind; 3] = [Kind::Sec, Kind::Hpre, Kind::Zip];

    /// The name used by the ledger and the fault plan.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Zip => "zip",
            Kind::Sec => "sec",
            Kind::Hpre => "hpre",
        }
    }
    /// The kernel driver's name, first part of every device name.
    pub fn driver(self) -> &'static str {
        match self {
            Kind::Zip => "hisi_zip",
            Kind::Sec => "hisi_sec2",
            Kind::Hpre => "hisi_hpre",
        }
    }
    /// Bytes of one submission-queue entry.
    pub fn sqe_size(self) -> usize {
        match self {
            Kind::Zip | Kind::Sec => 128,
            Kind::Hpre => 64,
        }
    }
    /// PCI device id of the physical function.
    pub fn pci_id(self) -> u16 {
        match self {
            Kind::Zip => 0xa250,
            Kind::Sec => 0xa255,
            Kind::Hpre => 0xa258,
        }
    }
}

/// Settings of one kind of device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindProfile {
    /// How many devices.
    pub devices: u16,
    /// Queues of each device, 1..=1024.
    pub queues: u16,
    /// Lines of the `algorithms` attribute, in kernel order.
    pub algorithms: &'static [&'static str],
    /// The `isolate` attribute.
    pub isolate: bool,
    /// Permission bits of the device node.
    pub node_mode: u32,
}

/// What `PUT_Q` on a started queue leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutQ {
    /// Old and new kernels: freed at once, the descriptor is good for nothing but close.
    Zombie,
    /// Newest kernels: stopped, back to INIT, freed at close.
    Init,
}

/// A whole machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Name of the base profile.
    pub name: &'static str,
    /// Hardware generation.
    pub generation: Generation,
    /// NUMA nodes; devices of a kind are spread over them in turn.
    pub nodes: u16,
    /// Entries of each submission and completion queue.
    pub depth: u16,
    /// Each queue has its own 64 KiB doorbell window.
    pub doorbell_isolation: bool,
    /// Kernel behaviour of `PUT_Q`.
    pub put_q: PutQ,
    /// The kernel knows QM_SET_QP_INFO.
    pub qp_info: bool,
    /// ZIP, SEC2 and HPRE.
    pub zip: KindProfile,
    /// See `zip`.
    pub sec: KindProfile,
    /// See `zip`.
    pub hpre: KindProfile,
}

const fn kind(queues: u16, algorithms: &'static [&'static str]) -> KindProfile {
    KindProfile { devices: 2, queues, algorithms, isolate: false, node_mode: 0o666 }
}

const SEC_ALGORITHMS: &[&str] = &["cipher", "digest", "aead"];

/// Kunpeng 920: queue manager V2, one doorbell page for all queues.
pub const KUNPENG920: Profile = Profile {
    name: "kunpeng920",
    generation: Generation::V2,
    nodes: 2,
    depth: 1024,
    doorbell_isolation: false,
    put_q: PutQ::Init,
    qp_info: true,
    zip: kind(64, &["zlib", "gzip"]),
    sec: kind(256, SEC_ALGORITHMS),
    hpre: kind(64, &["rsa", "dh"]),
};

/// Kunpeng 930: queue manager V3, a doorbell window per queue.
pub const KUNPENG930: Profile = Profile {
    name: "kunpeng930",
    generation: Generation::V3,
    doorbell_isolation: true,
    // the kernel also lists lz77_zstd, which zip.md 13.2 lets a model leave out
    zip: kind(64, &["zlib", "gzip", "deflate"]),
    hpre: kind(64, &["rsa", "dh", "ecdh", "ecdsa", "sm2", "x25519", "x448"]),
    ..KUNPENG920
};

const PROFILES: [&Profile; 2] = [&KUNPENG920, &KUNPENG930];

/// One device of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it is.
    pub kind: Kind,
    /// Minor number, from one counter for all devices.
    pub minor: u16,
    /// `hisi_zip-4`
    pub name: String,
    /// NUMA node of the PCI function.
    pub node: u16,
}

/// A text that is no profile: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError(pub String);

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Profile {
    /// Reads `NAME[,KEY=VALUE]…`. An empty text or name is the default profile.
    ///
    /// Keys: `zip`, `sec`, `hpre` (devices of the kind, 0..=16), `devices` (of every kind), `queues` (1..=1024),
    /// `node_mode` (octal), `isolate` (0 or 1), each also for one kind as `zip.queues`; `nodes` (1..=8), `depth`
    /// (16..=4096), `put_q` (`init` or `zombie`), `doorbell_isolation` and `qp_info` (0 or 1).
    pub fn parse(text: &str) -> Result<Profile, ProfileError> {
        let mut parts = text.split(',').map(str::trim);
        let name = parts.next().unwrap_or("");
        let mut profile = if name.is_empty() {
            KUNPENG930
        } else {
            let found = PROFILES.iter().find(|p| p.name == name);
            (*found.ok_or_else(|| ProfileError(format!("no profile is called `{name}`")))?).clone()
        };
        for part in parts.filter(|p| !p.is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| ProfileError(format!("`{part}` is not KEY=VALUE")))?;
            profile.set(key.trim(), value.trim())?;
        }
        Ok(profile)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), ProfileError> {
        let bad = |why: &str| ProfileError(format!("`{key}={value}`: {why}"));
        let number = |low: u16, high: u16| -> Result<u16, ProfileError> {
            let range = || bad(&format!("wants a number from {low} to {high}"));
            value.parse().ok().filter(|n| (low..=high).contains(n)).ok_or_else(range)
        };
        let flag = || number(0, 1).map(|n| n == 1);
        match key {
            "zip" => self.zip.devices = number(0, 16)?,
            "sec" => self.sec.devices = number(0, 16)?,
            "hpre" => self.hpre.devices = number(0, 16)?,
            "nodes" => self.nodes = number(1, 8)?,
            "depth" => self.depth = number(16, 4096)?,
            "doorbell_isolation" => self.doorbell_isolation = flag()?,
            "qp_info" => self.qp_info = flag()?,
            "put_q" => {
                self.put_q = match value {
                    "init" => PutQ::Init,
                    "zombie" => PutQ::Zombie,
                    _ => return Err(bad("wants `init` or `zombie`")),
                }
            }
            _ => {
                let (scope, what) = key.split_once('.').map_or((None, key), |(s, w)| (Some(s), w));
                if scope.is_some_and(|s| Kind::ALL.iter().all(|k| k.name() != s)) {
                    return Err(bad("no such kind of device"));
                }
                for kind in Kind::ALL {
                    if scope.is_some_and(|s| s != kind.name()) {
                        continue;
                    }
                    let settings = self.kind_mut(kind);
                    match what {
                        "devices" => settings.devices = number(0, 16)?,
                        "queues" => settings.queues = number(1, 1024)?,
                        "isolate" => settings.isolate = flag()?,
                        "node_mode" => {
                            let mode = u32::from_str_radix(value, 8).ok().filter(|m| *m <= 0o777);
                            settings.node_mode = mode.ok_or_else(|| bad("wants an octal mode up to 777"))?;
                        }
                        _ => return Err(bad("no such key")),
                    }
                }
            }
        }
        Ok(())
    }

    /// Settings of one kind.
    pub fn kind(&self, kind: Kind) -> &KindProfile {
        match kind {
            Kind::Zip => &self.zip,
            Kind::Sec => &self.sec,
            Kind::Hpre => &self.hpre,
        }
    }

    fn kind_mut(&mut self, kind: Kind) -> &mut KindProfile {
        match kind {
            Kind::Zip => &mut self.zip,
            Kind::Sec => &mut self.sec,
            Kind::Hpre => &mut self.hpre,
        }
    }

    /// The devices, in minor-number order.
    pub fn devices(&self) -> Vec<Device> {
        let mut devices = Vec::new();
        for kind in Kind::ALL {
            for n in 0..self.kind(kind).devices {
                let minor = devices.len() as u16;
                let name = format!("{}-{minor}", kind.driver());
                devices.push(Device { kind, minor, name, node: n % self.nodes });
            }
        }
        devices
    }

    /// The `api` attribute.
    pub fn api(&self) -> &'static str {
        match self.generation {
            Generation::V2 => "hisi_qm_v2",
            Generation::V3 => "hisi_qm_v3",
        }
    }

    /// PCI revision id of the queue manager.
    pub fn revision(&self) -> u8 {
        match self.generation {
            Generation::V2 => 0x21,
            Generation::V3 => 0x30,
        }
    }

    /// Bytes of the MMIO region: a 64 KiB window per queue, or the shared page(s) up to the doorbell at 0x1000.
    pub fn mmio_size(&self, page: usize) -> usize {
        if self.doorbell_isolation { 0x10000 } else { (1 + 0x1000 / page) * page }
    }

    /// Bytes of the DUS region: SQ and CQ rounded up to a page, and one status page.
    pub fn dus_size(&self, kind: Kind, page: usize) -> usize {
        let rings = (kind.sqe_size() + 16) * usize::from(self.depth);
        (page - 1 + rings + page) / page * page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_sizes_are_those_of_the_kernel() {
        for (profile, mmio) in [(&KUNPENG920, 8192), (&KUNPENG930, 65536)] {
            assert_eq!(profile.mmio_size(4096), mmio);
            assert_eq!(profile.mmio_size(65536), 65536);
            assert_eq!(profile.dus_size(Kind::Zip, 4096), 151_552);
            assert_eq!(profile.dus_size(Kind::Sec, 4096), 151_552);
            assert_eq!(profile.dus_size(Kind::Hpre, 4096), 86016);
            assert_eq!(profile.dus_size(Kind::Zip, 65536), 262_144);
            assert_eq!(profile.dus_size(Kind::Hpre, 65536), 196_608);
        }
    }

    #[test]
    fn minors_come_from_one_counter_and_nodes_alternate() {
        let devices = KUNPENG930.devices();
        let names: Vec<_> = devices.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(
            names,
            ["hisi_sec2-0", "hisi_sec2-1", "hisi_hpre-2", "hisi_hpre-3", "hisi_zip-4", "hisi_zip-5"]
        );
        assert_eq!(devices.iter().map(|d| d.node).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn keys_override_one_kind_or_all() {
        let p = Profile::parse("kunpeng920,queues=2,zip=1,hpre.queues=7,sec.node_mode=000,zip.isolate=1")
            .unwrap();
        assert_eq!((p.zip.queues, p.sec.queues, p.hpre.queues), (2, 2, 7));
        assert_eq!((p.zip.devices, p.sec.devices), (1, 2));
        assert_eq!((p.sec.node_mode, p.zip.node_mode), (0, 0o666));
        assert!(p.zip.isolate && !p.sec.isolate);
        assert_eq!(p.api(), "hisi_qm_v2");
        assert_eq!(Profile::parse("").unwrap(), KUNPENG930);
    }

    #[test]
    fn a_bad_text_says_what_is_wrong() {
        for text in
            ["kunpeng999", "kunpeng930,queues", "kunpeng930,queues=0", "kunpeng930,colour=1", ",sac.queues=1"]
        {
            assert!(Profile::parse(text).is_err(), "{text}");
        }
        let error = Profile::parse("kunpeng930,queues=0").unwrap_err().to_string();
        assert!(error.contains("queues=0") && error.contains("1 to 1024"), "{error}");
    }
}
