//! The keys of a profile: one line each.

use super::{GRAIN, Gaps, IOMMU, Kernel, Kind, KindProfile, NO_IOMMU, Profile, ProfileError, SVA};
use crate::device::service::{self, Service, Work};
use crate::engine::sec::V2Ciphers;
use crate::engine::{Generation, hpre, zip};

/// What a key changes.
#[derive(Clone, Copy)]
pub enum Scope {
    /// The machine.
    Machine(fn(&mut Profile, &str) -> Option<()>),
    /// Every kind of device, or the kind that is named before the key.
    Kind(fn(&mut KindProfile, Kind, &str) -> Option<()>),
}

/// A key: its name, what it wants, and what it does.
#[derive(Clone, Copy)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// The values that it takes, for people.
    pub wants: &'static str,
    /// Its effect; `None` if it cannot read the value.
    pub set: Scope,
}

const fn machine(name: &'static str, wants: &'static str, set: fn(&mut Profile, &str) -> Option<()>) -> Key {
    Key { name, wants, set: Scope::Machine(set) }
}

const fn kind(
    name: &'static str,
    wants: &'static str,
    set: fn(&mut KindProfile, Kind, &str) -> Option<()>,
) -> Key {
    Key { name, wants, set: Scope::Kind(set) }
}

const DEVICES: &str = "a number from 0 to 16";

/// Every key there is. `zip=N` is short for `zip.devices=N`, likewise `sec` and `hpre`.
pub const KEYS: &[Key] = &[
    kind("devices", DEVICES, |k, _, v| put(&mut k.devices, number(v, 0, 16))),
    kind("queues", "a number from 1 to 1024", |k, _, v| put(&mut k.queues, number(v, 1, 1024))),
    kind("isolate", "0 or 1", |k, _, v| put(&mut k.isolate, flag(v))),
    kind("node_mode", "an octal mode up to 777", |k, _, v| put(&mut k.node_mode, mode(v))),
    kind("late", "milliseconds after the first discovery", |k, _, v| put(&mut k.late, v.parse().ok())),
    kind("node", "a NUMA node from -1 to 7", |k, _, v| {
        put(&mut k.node, v.parse().ok().filter(|n| (-1..=7).contains(n)).map(Some))
    }),
    kind("algorithms", "names known for the kind, joined by `+`, in kernel order", |k, kind, v| {
        put(&mut k.algorithms, algorithms(kind, v))
    }),
    kind("options", "for zip and hpre: names of the engine's `Options`, joined by `+`", |k, kind, v| {
        match kind {
            Kind::Zip => put(&mut k.options, zip::Options::parse(v).ok()),
            Kind::Hpre => put(&mut k.hpre_options, hpre::Options::parse(v).ok()),
            Kind::Sec => None,
        }
    }),
    kind("engines", PER_CLASS, |k, _, v| {
        per_class(&mut k.work, v, |w| &mut w.engines, service::MOST_ENGINES)
    }),
    kind("latency_ns", PER_CLASS, |k, _, v| per_class(&mut k.work, v, |w| &mut w.latency_ns, SECOND)),
    kind("fixed_ns", PER_CLASS, |k, _, v| per_class(&mut k.work, v, |w| &mut w.fixed_ns, SECOND)),
    kind("bytes_per_us", PER_CLASS, |k, _, v| per_class(&mut k.work, v, |w| &mut w.bytes_per_us, SECOND)),
    kind("cubic_ns", PER_CLASS, |k, _, v| per_class(&mut k.work, v, |w| &mut w.cubic_ns, SECOND)),
    machine(
        "service",
        "`none`, `kunpeng920` or `kunpeng930`: how long requests take; assumptions",
        |p, v| Service::named(v).map(|service| p.serve(service)),
    ),
    machine("page_fault_ns", "a number up to a second", |p, v| {
        put(&mut p.page_fault_ns, v.parse().ok().filter(|n| *n <= SECOND))
    }),
    machine("canned", "0 or 1", |p, v| put(&mut p.canned, flag(v))),
    machine("version", "2, 3 or 5", |p, v| put(&mut p.generation, version(v))),
    machine("sec_v2", "`plain`, `aes-ctr` or `all`", |p, v| {
        let v2 = match v {
            "plain" => Some(V2Ciphers::Plain),
            "aes-ctr" => Some(V2Ciphers::AesCtr),
            "all" => Some(V2Ciphers::All),
            _ => None,
        };
        put(&mut p.sec_engine.v2, v2)
    }),
    machine("sec_copies_aad", "0 or 1", |p, v| put(&mut p.sec_engine.copies_additional, flag(v))),
    machine("nodes", "a number from 1 to 8", |p, v| put(&mut p.nodes, number(v, 1, 8))),
    machine("depth", "a number from 16 to 4096", |p, v| put(&mut p.depth, number(v, 16, 4096))),
    machine("doorbell_isolation", "0 or 1", |p, v| put(&mut p.doorbell_isolation, flag(v))),
    machine("kernel", "`old`, `new` or `newest`", kernel),
    machine("put_q", "`zombie` (old), `zombie-new` (new) or `init` (newest kernels)", put_q),
    machine("qp_info", "0 or 1", |p, v| put(&mut p.qp_info, flag(v))),
    machine("trace", "0 or 1", |p, v| put(&mut p.trace, flag(v))),
    machine("flags", "1, 2, 128 or 129", |p, v| {
        let known = v.parse().ok().filter(|f| [SVA, NO_IOMMU, IOMMU, IOMMU | SVA].contains(f));
        put(&mut p.flags, known)
    }),
    machine("uacce_mode", "0, 1 or 2 (it reads the `flags` set before it)", uacce_mode),
    // parsed once in the life of a process
    machine("api", "the text", |p, v| put(&mut p.api, Some(Some(Box::leak(v.to_owned().into_boxed_str()))))),
    machine("ss_slice", "a multiple of 64K up to 128M", |p, v| {
        put(&mut p.ss.slice, bytes(v).filter(|n| n % GRAIN == 0 && (GRAIN..=128 << 20).contains(n)))
    }),
    machine("ss_limit", "64K to 4G", |p, v| {
        put(&mut p.ss.limit, bytes(v).filter(|n| (GRAIN..=4 << 30).contains(n)))
    }),
    machine("ss_seed", "a number", |p, v| put(&mut p.ss.seed, v.parse().ok())),
    machine("ss_reach", "`queue` or `device`", |p, v| {
        let reach = match v {
            "queue" => Some(false),
            "device" => Some(true),
            _ => None,
        };
        put(&mut p.ss.whole_device, reach)
    }),
    machine("ss_gaps", "`all`, `some` or `none`", |p, v| put(&mut p.ss.gaps, gaps(v))),
];

const PER_CLASS: &str =
    "a number (engines up to 16, times up to a second), or two as `A/B` for the queue classes";
const SECOND: u64 = 1_000_000_000;

/// One value for both queue classes, or one each.
fn per_class<T: std::str::FromStr + PartialOrd + Copy>(
    work: &mut [Work; 2],
    text: &str,
    field: fn(&mut Work) -> &mut T,
    most: T,
) -> Option<()> {
    let read = |text: &str| text.parse().ok().filter(|n| *n <= most);
    let (first, second) = text.split_once('/').unwrap_or((text, text));
    let values = [read(first)?, read(second)?];
    for (work, value) in work.iter_mut().zip(values) {
        *field(work) = value;
    }
    Some(())
}

fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    value.map(|value| *place = value)
}

fn number(text: &str, low: u16, high: u16) -> Option<u16> {
    text.parse().ok().filter(|n| (low..=high).contains(n))
}

fn flag(text: &str) -> Option<bool> {
    number(text, 0, 1).map(|n| n == 1)
}

fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777)
}

fn version(text: &str) -> Option<Generation> {
    match text {
        "2" => Some(Generation::V2),
        "3" => Some(Generation::V3),
        "5" => Some(Generation::V5),
        _ => None,
    }
}

/// Any selection of the names that the kernel knows for the kind (uacce.md 2.5), in its order. They stay in memory:
/// a profile is parsed once in the life of a process.
fn algorithms(kind: Kind, text: &str) -> Option<&'static [&'static str]> {
    let known: &[&'static str] = match kind {
        Kind::Zip => &["zlib", "gzip", "deflate", "lz77_zstd", "lz77_only", "lz4"],
        Kind::Sec => &["cipher", "digest", "aead"],
        Kind::Hpre => &["rsa", "dh", "ecdh", "ecdsa", "sm2", "x25519", "x448"],
    };
    let places: Option<Vec<usize>> =
        text.split('+').map(|name| known.iter().position(|k| *k == name)).collect();
    let places = places.filter(|p| p.is_sorted_by(|a, b| a < b))?;
    Some(Vec::leak(places.into_iter().map(|place| known[place]).collect()))
}

fn kernel(profile: &mut Profile, text: &str) -> Option<()> {
    profile.kernel = match text {
        "old" => Kernel::Old,
        "new" => Kernel::New,
        "newest" => Kernel::Newest,
        _ => return None,
    };
    // mainline knows the call since 6.0; a later `qp_info` may say otherwise
    profile.qp_info = profile.kernel != Kernel::Old || profile.kae();
    Some(())
}

fn put_q(profile: &mut Profile, text: &str) -> Option<()> {
    let kernel = match text {
        "zombie" => Kernel::Old,
        "zombie-new" => Kernel::New,
        "init" => Kernel::Newest,
        _ => return None,
    };
    profile.kernel = kernel;
    Some(())
}

fn uacce_mode(profile: &mut Profile, text: &str) -> Option<()> {
    match (number(text, 0, 2)?, profile.flags) {
        // not registered with uacce at all
        (0, _) => Kind::ALL.into_iter().for_each(|kind| profile.kind_mut(kind).devices = 0),
        (1, _) => profile.flags = IOMMU | SVA,
        (_, SVA | NO_IOMMU) => profile.flags = NO_IOMMU,
        _ => profile.flags = IOMMU,
    }
    Some(())
}

fn gaps(text: &str) -> Option<Gaps> {
    match text {
        "all" => Some(Gaps::All),
        "some" => Some(Gaps::Some),
        "none" => Some(Gaps::None),
        _ => None,
    }
}

/// Reads a size with an optional `K`, `M` or `G`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Sets one key; the error names key, value and what it wants.
pub fn set(profile: &mut Profile, key: &str, value: &str) -> Result<(), ProfileError> {
    let bad = |why: &str| ProfileError(format!("`{key}={value}`: {why}"));
    let kind_called = |name: &str| Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let (scope, name) = match (kind_called(key), key.split_once('.')) {
        (Some(kind), _) => (Some(kind), "devices"),
        (None, Some((kind, name))) => {
            (Some(kind_called(kind).ok_or_else(|| bad("no such kind of device"))?), name)
        }
        (None, None) => (None, key),
    };
    let known = KEYS.iter().find(|k| k.name == name).ok_or_else(|| bad("no such key"))?;
    let wants = || bad(&format!("wants {}", known.wants));
    match known.set {
        Scope::Machine(_) if scope.is_some() => Err(bad("a key of the machine, not of a kind")),
        Scope::Machine(set) => set(profile, value).ok_or_else(wants),
        Scope::Kind(set) => {
            let kinds = Kind::ALL.into_iter().filter(|kind| scope.is_none_or(|only| only == *kind));
            kinds.into_iter().try_for_each(|kind| set(profile.kind_mut(kind), kind, value)).ok_or_else(wants)
        }
    }
}
