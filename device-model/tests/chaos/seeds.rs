//! Valid requests to start from: what the engines' own tests ran with success, packed in `seeds.z`.
//!
//! To make the file anew, let the tests write their requests and then pack them:
//!
//!     WARPDRIVE_MODEL_SEEDS=DIR cargo test -p warpdrive-device-model --lib engine::
//!     WARPDRIVE_MODEL_SEEDS=DIR cargo test -p warpdrive-device-model --test chaos

use std::path::Path;
use warpdrive_device_model::device::Kind;
use warpdrive_device_model::engine::Generation;

/// One request with all the memory that it can reach.
#[derive(Clone, Debug)]
pub struct Seed {
    pub kind: Kind,
    pub generation: Generation,
    pub qc_type: u16,
    pub entry: Vec<u8>,
    /// Address and content.
    pub regions: Vec<(u64, Vec<u8>)>,
}

impl Seed {
    /// Big numbers take milliseconds: to be drawn less often.
    pub fn is_slow(&self) -> bool {
        self.kind == Kind::Hpre && self.entry[4] >= 31
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(n);
        self.0 = tail;
        head
    }
    fn number(&mut self, bytes: usize) -> u64 {
        self.take(bytes).iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
    }
}

/// All seeds of the packed file.
pub fn all() -> Vec<Seed> {
    let packed = include_bytes!("seeds.z");
    let raw = miniz_oxide::inflate::decompress_to_vec_zlib(packed).expect("the packed seeds");
    let mut reader = Reader(&raw);
    let mut seeds = Vec::new();
    while !reader.0.is_empty() {
        let kind = [Kind::Zip, Kind::Sec, Kind::Hpre][reader.number(1) as usize];
        let generation = match reader.number(1) {
            2 => Generation::V2,
            3 => Generation::V3,
            _ => Generation::V5,
        };
        let qc_type = reader.number(2) as u16;
        let (entry, regions) = (reader.number(2) as usize, reader.number(2));
        let entry = reader.take(entry).to_vec();
        let regions = (0..regions)
            .map(|_| {
                let (addr, len) = (reader.number(8), reader.number(4) as usize);
                (addr, reader.take(len).to_vec())
            })
            .collect();
        seeds.push(Seed { kind, generation, qc_type, entry, regions });
    }
    seeds
}

/// Packs the files of a directory into `seeds.z`.
pub fn pack(directory: &Path) {
    let files = std::fs::read_dir(directory).expect("the directory of seeds");
    let mut paths: Vec<_> = files.map(|file| file.expect("an entry").path()).collect();
    paths.sort();
    let raw: Vec<u8> = paths.iter().flat_map(|path| std::fs::read(path).expect("a seed")).collect();
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&raw, 9);
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos/seeds.z"), packed)
        .expect("written");
}
