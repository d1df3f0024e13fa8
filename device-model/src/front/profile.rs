//! Which machine is modelled: devices, generation, queue numbers, attributes.
//!
//! A profile is data. `WARPDRIVE_MODEL` names one and may override keys: `kunpeng930,queues=2,zip=1,hpre.isolate=1`.

pub use crate::device::Kind;
use crate::device::canned::Canned;
use crate::device::service::{Service, Work};
use crate::engine::sec::Sec;
use crate::engine::{Engine, Generation, hpre, zip};
use std::fmt;

pub mod keys;

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
    /// Milliseconds from the first discovery of the run until the devices appear.
    pub late: u64,
    /// NUMA node of all devices of the kind (-1: none), instead of spreading them.
    pub node: Option<i16>,
    /// Behaviour of ZIP that the reference leaves open; nothing for the other kinds.
    pub options: zip::Options,
    /// The same of HPRE.
    pub hpre_options: hpre::Options,
    /// How long its requests take, by queue class.
    pub work: [Work; 2],
}

/// Which kernel's system interface (uacce.md 3.1 to 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Up to 5.18, and the KAE drivers: a put queue is a ZOMBIE, whose ioctls still reach the driver; a region can
    /// be mapped once in the life of the descriptor.
    Old,
    /// From 5.19: a put queue is a ZOMBIE that answers ENXIO.
    New,
    /// From the end of 2025: PUT_Q leads back to INIT, and the hardware queue is freed at close.
    Newest,
}

/// The DMA memory that a queue without SVA gets by mapping its SS region (uacce.md 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SsProfile {
    /// Longest slice in bytes, without an IOMMU: a multiple of 64 KiB, up to 128 MiB.
    pub slice: u64,
    /// Whether neighbouring slices are contiguous for the device.
    pub gaps: Gaps,
    /// What the DMA addresses are made from.
    pub seed: u64,
    /// Bytes that one queue can get; beyond, the mapping fails with ENOMEM.
    pub limit: u64,
    /// Whether a queue also reaches the regions of its device's other queues in the process. Hardware does: an IOMMU
    /// domain belongs to the device, and physical addresses to nobody. The rule for drivers is the queue's own region.
    pub whole_device: bool,
}

/// Whether slices that are neighbours in the mapping are neighbours for the device too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// Never: there is a gap after every slice.
    All,
    /// Sometimes, as the seed wants it.
    Some,
    /// Always.
    None,
}

/// `flags`: the device uses the process address space.
pub const SVA: u8 = 1;
/// `flags`: KAE without an IOMMU.
pub const NO_IOMMU: u8 = 2;
/// `flags`: KAE with an IOMMU paging domain.
pub const IOMMU: u8 = 0x80;

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
    /// The kernel's rules.
    pub kernel: Kernel,
    /// The kernel knows QM_SET_QP_INFO.
    pub qp_info: bool,
    /// The `flags` attribute (uacce.md 2.4): bit 0 SVA, bit 1 no IOMMU, bit 7 IOMMU. 1 is the mainline kernel.
    pub flags: u8,
    /// The `api` attribute, if it is not the one that belongs to generation and `flags`.
    pub api: Option<&'static str>,
    /// How the kernel hands out DMA memory.
    pub ss: SsProfile,
    /// What a page of a request's buffers costs that the program has not touched, nanoseconds.
    pub page_fault_ns: u64,
    /// Requests seen before are answered without computing.
    pub canned: bool,
    /// Every request leaves a line in the file `trace`.
    pub trace: bool,
    /// ZIP, SEC2 and HPRE.
    pub zip: KindProfile,
    /// See `zip`.
    pub sec: KindProfile,
    /// See `zip`.
    pub hpre: KindProfile,
    /// What no document decides about the SEC engine.
    pub sec_engine: Sec,
}

const fn kind(queues: u16, algorithms: &'static [&'static str]) -> KindProfile {
    KindProfile {
        devices: 2,
        queues,
        algorithms,
        isolate: false,
        node_mode: 0o666,
        late: 0,
        node: None,
        options: zip::Options::NONE,
        work: [Work::FREE; 2],
        hpre_options: hpre::Options::NONE,
    }
}

const SEC_ALGORITHMS: &[&str] = &["cipher", "digest", "aead"];

/// Kunpeng 920: queue manager V2, one doorbell page for all queues.
pub const KUNPENG920: Profile = Profile {
    name: "kunpeng920",
    generation: Generation::V2,
    nodes: 2,
    depth: 1024,
    doorbell_isolation: false,
    kernel: Kernel::Newest,
    qp_info: true,
    flags: SVA,
    api: None,
    ss: SsProfile { slice: 4 << 20, gaps: Gaps::Some, seed: 1, limit: 1 << 30, whole_device: false },
    page_fault_ns: 0,
    canned: false,
    trace: false,
    zip: kind(64, &["zlib", "gzip"]),
    sec: kind(256, SEC_ALGORITHMS),
    hpre: kind(64, &["rsa", "dh"]),
    sec_engine: Sec::STANDARD,
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

/// Kunpeng 920 with the KAE kernel drivers in `uacce_mode=2` and no IOMMU; KAE frees a queue at PUT_Q.
pub const KUNPENG920_NOSVA: Profile =
    Profile { name: "kunpeng920-nosva", flags: NO_IOMMU, kernel: Kernel::Old, ..KUNPENG920 };

/// Kunpeng 930 likewise.
pub const KUNPENG930_NOSVA: Profile =
    Profile { name: "kunpeng930-nosva", flags: NO_IOMMU, kernel: Kernel::Old, ..KUNPENG930 };

/// A machine where queues are scarce: one device of each kind with two queues of 64 entries, Kunpeng 930 otherwise.
pub const SCARCE: Profile = Profile {
    name: "scarce",
    depth: 64,
    zip: KindProfile { devices: 1, queues: 2, ..KUNPENG930.zip },
    sec: KindProfile { devices: 1, queues: 2, ..KUNPENG930.sec },
    hpre: KindProfile { devices: 1, queues: 2, ..KUNPENG930.hpre },
    ..KUNPENG930
};

/// All machines that have a name.
pub const PROFILES: [&Profile; 5] = [&KUNPENG920, &KUNPENG930, &KUNPENG920_NOSVA, &KUNPENG930_NOSVA, &SCARCE];

/// One device of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it is.
    pub kind: Kind,
    /// Minor number, from one counter for all devices.
    pub minor: u16,
    /// `hisi_zip-4`
    pub name: String,
    /// NUMA node of the PCI function, -1 if none.
    pub node: i16,
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
    /// The keys are those of [`keys::KEYS`]; those of a kind also count for one kind alone as `zip.queues`.
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
            keys::set(&mut profile, key.trim(), value.trim())?;
        }
        Ok(profile)
    }

    /// Settings of one kind.
    pub fn kind(&self, kind: Kind) -> &KindProfile {
        match kind {
            Kind::Zip => &self.zip,
            Kind::Sec => &self.sec,
            Kind::Hpre => &self.hpre,
        }
    }

    /// What executes the descriptors of a kind. What has settings stays in memory: one for the life of a process.
    /// `played` is called for each canned answer.
    pub fn engine(&self, kind: Kind, played: fn()) -> &'static dyn Engine {
        let of = self.kind(kind);
        let plain: &'static dyn Engine = match kind {
            Kind::Zip if of.options != zip::Options::NONE => Box::leak(Box::new(zip::Zip(of.options))),
            Kind::Sec if self.sec_engine != Sec::STANDARD => Box::leak(Box::new(self.sec_engine)),
            Kind::Hpre if of.hpre_options != hpre::Options::NONE => {
                Box::leak(Box::new(hpre::Hpre::new(of.hpre_options)))
            }
            _ => kind.engine(),
        };
        if self.canned { Box::leak(Box::new(Canned::new(plain, played))) } else { plain }
    }

    /// Sets the service time of everything.
    fn serve(&mut self, service: Service) {
        for kind in Kind::ALL {
            self.kind_mut(kind).work = service.of(kind);
        }
        self.page_fault_ns = service.page_fault_ns;
    }

    /// Whether requests take any time beyond their execution.
    pub fn takes_time(&self) -> bool {
        self.page_fault_ns > 0 || Kind::ALL.iter().any(|kind| self.kind(*kind).work != [Work::FREE; 2])
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
                let node = self.kind(kind).node.unwrap_or((n % self.nodes) as i16);
                devices.push(Device { kind, minor, name, node });
            }
        }
        devices
    }

    /// The `api` attribute.
    pub fn api(&self) -> &'static str {
        let bare = self.flags & NO_IOMMU != 0;
        self.api.unwrap_or(match self.generation {
            Generation::V2 if bare => "hisi_qm_v2_noiommu",
            Generation::V3 if bare => "hisi_qm_v3_noiommu",
            Generation::V5 if bare => "hisi_qm_v5_noiommu",
            Generation::V2 => "hisi_qm_v2",
            Generation::V3 => "hisi_qm_v3",
            Generation::V5 => "hisi_qm_v5",
        })
    }

    /// Requests carry process addresses.
    pub fn sva(&self) -> bool {
        self.flags & SVA != 0
    }

    /// The KAE kernel drivers: more attributes, and the SS region.
    pub fn kae(&self) -> bool {
        self.flags != SVA
    }

    /// PCI revision id of the queue manager.
    pub fn revision(&self) -> u8 {
        match self.generation {
            Generation::V2 => 0x21,
            Generation::V3 => 0x30,
            Generation::V5 => 0x51,
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

/// The unit in which GET_SS_DMA gives sizes, bytes.
pub const GRAIN: u64 = 64 << 10;

#[cfg(test)]
mod tests;
