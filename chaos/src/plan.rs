//! What goes wrong in a round.

use crate::dice::Dice;

/// Kinds of faults that a whole run must have met: names of the model's counters behind `fault.`, and what the hand does.
pub const KINDS: [&str; 13] = [
    "status",
    "partial",
    "page_fault",
    "truncate",
    "drop",
    "delay",
    "cq_overflow",
    "reset",
    "isolate",
    "remove",
    "refuse_open",
    "busy",
    "stale_tag",
];

/// The silent fault for which a check exists in RSA alone.
pub const CORRUPT: &str = "corrupt";

/// One round: which devices, and how they fail.
#[derive(Debug)]
pub struct Round {
    pub seed: u64,
    pub profile: &'static str,
    pub faults: String,
    /// Most queues of each library.
    pub queues: usize,
    /// Unused for so many milliseconds, a queue is closed.
    pub idle_ms: u64,
    /// Whether the hand takes devices away in this round.
    pub hand: bool,
}

impl Round {
    pub fn new(seed: u64, number: u64) -> Round {
        let mut dice = Dice::of(seed, number.wrapping_add(1 << 32));
        let own = dice.next();
        // Every fourth round is a calm one, so that devices are trusted for long; the others in turn scarce, old, new.
        let profile = ["kunpeng930", "kunpeng930", "kunpeng920", "scarce"][number as usize % 4];
        let scale = [1.0, 0.3, 1.0, 0.5][number as usize % 4];
        let queues = dice.pick(&[3, 6, 12]);
        let idle_ms = dice.pick(&[50, 1000, 10_000]);
        Round { seed: own, profile, faults: plan(&mut dice, scale), queues, idle_ms, hand: number % 4 != 1 }
    }
}

/// The first rule that fires decides; each has dice of its own. Before those by chance stands one of each kind that strikes
/// early and for certain, so that a round on the slowest machine meets it.
fn plan(dice: &mut Dice, scale: f64) -> String {
    let rules = [
        ("zip", "status=0x0b", 0.006),
        ("sec", "status=0x02", 0.006),
        ("hpre", "status=0x03", 0.01),
        ("*", "partial", 0.004),
        ("*", "page-fault", 0.003),
        ("*", "page-fault=3", 0.002),
        ("zip", "truncate", 0.01),
        ("*", "stale-tag", 0.003),
        ("hpre", "corrupt", 0.02),
        ("*", "delay=30", 0.003),
        ("*", "drop", 0.0004),
        ("*", "cq-overflow", 0.001),
        ("*", "reset=20", 0.001),
        ("*", "isolate", 0.0002),
        ("*", "remove", 0.0002),
        // EACCES would be for good
        ("*", "refuse-open=1", 0.02),
        ("*", "refuse-open=16", 0.05),
        ("*", "busy=20", 0.02),
    ];
    let mut early = Vec::new();
    let mut by_chance = Vec::new();
    for (engine, kind, chance) in rules {
        // few queues are opened, and little RSA is done
        let most =
            if engine == "hpre" || kind.starts_with("refuse") || kind.starts_with("busy") { 10 } else { 150 };
        early.push(format!("{engine}:{kind}@{}", 10 + dice.below(most)));
        by_chance.push(format!("{engine}:{kind}@p{:.6},seed={}", chance * scale, dice.next() >> 40));
    }
    [early, by_chance].concat().join(";")
}
