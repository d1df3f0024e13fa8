//! One queue pair with its driver, who remembers everything and believes nothing.

use super::arena::Arena;
use super::mutate::Random;
use super::seeds::Seed;
use std::collections::VecDeque;
use warpdrive_device_model::device::faults::Fault;
use warpdrive_device_model::device::local::{LocalInterrupt, LocalRings};
use warpdrive_device_model::device::{Fetched, Finished, Kind, QueuePair, Setup, Store};
use warpdrive_device_model::engine::Generation;

pub const DEPTH: u16 = 64;
/// Number of the queue within its function.
pub const NUMBER: u16 = 3;

/// What a submitted request is expected to come to.
pub struct Job {
    pub memory: Arena,
    pub sent: Vec<u8>,
    /// Index of the seed, if it was left as it is.
    pub clean: Option<usize>,
    pub fault: Option<Fault>,
    pub executed: bool,
}

/// A queue of one kind, generation and class.
pub struct Lane {
    pub kind: Kind,
    pub generation: Generation,
    pub qc_type: u16,
    /// Seeds that belong here.
    pub seeds: Vec<usize>,
    pub rings: LocalRings,
    pub interrupt: LocalInterrupt,
    pub pair: QueuePair,
    pub tail: u16,
    /// Completion entry to look at next, and the phase that makes it new.
    pub head: u16,
    pub phase: bool,
    /// Head as last returned.
    pub returned: u16,
    pub announced: VecDeque<(u16, Job)>,
    /// Fetched, in submission order.
    pub in_flight: VecDeque<(u16, Job)>,
    pub fetched: Vec<Fetched>,
    pub finished: Vec<Finished>,
    /// This driver forgets to count completions that it has not returned.
    pub careless: bool,
}

fn pair(kind: Kind, generation: Generation, qc_type: u16) -> QueuePair {
    QueuePair::new(Setup {
        device: format!("{}-chaos", kind.driver()),
        kind,
        engine: kind.engine(),
        generation,
        number: NUMBER,
        depth: DEPTH,
        qc_type,
        doorbell_isolation: generation != Generation::V2,
    })
}

impl Lane {
    pub fn new(like: &Seed, seeds: Vec<usize>) -> Lane {
        let Seed { kind, generation, qc_type, .. } = *like;
        Lane {
            kind,
            generation,
            qc_type,
            seeds,
            rings: LocalRings::new(kind, DEPTH, NUMBER),
            interrupt: LocalInterrupt::default(),
            pair: pair(kind, generation, qc_type),
            tail: 0,
            head: 0,
            phase: true,
            returned: 0,
            announced: VecDeque::new(),
            in_flight: VecDeque::new(),
            fetched: Vec::new(),
            finished: Vec::new(),
            careless: false,
        }
    }

    /// A new queue on the same device.
    pub fn reopen(&mut self, random: &mut Random) {
        let like = Seed {
            kind: self.kind,
            generation: self.generation,
            qc_type: self.qc_type,
            entry: Vec::new(),
            regions: Vec::new(),
        };
        *self = Lane::new(&like, std::mem::take(&mut self.seeds));
        self.careless = random.one_in(3);
    }

    /// How many more requests the driver may announce.
    pub fn credit(&self) -> usize {
        let unreturned = (self.head + DEPTH - self.returned) % DEPTH;
        // a slot behind the oldest open one is not free, even if its own request was lost
        let oldest = self.in_flight.front().or(self.announced.front()).map_or(self.tail, |(slot, _)| *slot);
        let open = (self.tail + DEPTH - oldest) % DEPTH;
        let counted = open + if self.careless { 0 } else { unreturned };
        usize::from((DEPTH - 1).saturating_sub(counted))
    }

    pub fn sq_doorbell(&self) -> Store {
        Store { offset: 0x1000, width: 8, value: u64::from(NUMBER) | u64::from(self.tail) << 32 }
    }

    pub fn cq_doorbell(&self, arm: bool) -> Store {
        let value = u64::from(NUMBER) | 1 << 12 | u64::from(self.head) << 32 | u64::from(arm) << 48;
        Store { offset: 0x1000, width: 8, value }
    }

    /// A store that no queue should take.
    pub fn bad_doorbell(&self, random: &mut Random) -> Store {
        let own = u64::from(NUMBER);
        let value = match random.below(7) {
            0 => own | (2 + random.below(14) as u64) << 12,
            1 => own | (1 + random.below(0xFFFF) as u64) << 16,
            2 => own | (u64::from(DEPTH) + random.below(1000) as u64) << 32 | (random.below(2) as u64) << 12,
            3 => own | (1 + random.below(0x7FFF) as u64) << 49,
            4 => own | (random.word() | 1) << 16,
            5 => return Store { offset: 0x1000, width: [1, 2, 4][random.below(3)], value: random.word() },
            _ => {
                let offset = [0, 0x340, 0xFF8, 0x1008, 0xFFF8][random.below(5)];
                return Store { offset, width: 8, value: random.word() };
            }
        };
        Store { offset: 0x1000, width: 8, value }
    }

    /// Whether the device may change byte `at` of an entry.
    pub fn written_back(&self, at: usize) -> bool {
        match self.kind {
            Kind::Zip => at < 0x10 || (0x3c..0x40).contains(&at) || at >= 0x70,
            Kind::Sec => at >= 112,
            // a verification puts its verdict in the place of the output address
            Kind::Hpre => at < 4 || at == 7 || (24..28).contains(&at),
        }
    }
}
