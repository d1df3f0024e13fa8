//! What is believed of one device's work of one kind, and when it may be tried again.
//!
//! Untested work is proved by one thread while the others go on in software. Proved work is trusted until faults send
//! it to rest; each further rest is longer, and after each it is proved again. Lock-free, since a fork may copy it at
//! any moment. Times are milliseconds on the pool's clock.

use std::time::Duration;

use crate::Fault;
use crate::config::Config;
use crate::job::Why;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// The lowest two bits of the word; above them a time.
const STATE: u64 = 3;
const UNTESTED: u64 = 0;
/// Since that time.
const PROVING: u64 = 1;
const TRUSTED: u64 = 2;
/// Until that time.
const RESTING: u64 = 3;

/// A prover who has not answered for so long has vanished: another may take his place.
const PROVER_PATIENCE: u64 = 60_000;

/// First rest after a fault that cost a queue, where the breaker does not ask for a longer one.
const FIRST_REST: u64 = 100;

/// How the breaker is set (`breaker_*` keys), milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Faults in a row that end the trust.
    pub(super) faults: u32,
    pub(super) first_rest: u64,
    pub(super) longest_rest: u64,
}

impl Limits {
    pub(super) fn new(config: &Config) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
        Limits {
            faults: config.breaker_faults,
            first_rest: millis(config.breaker_cooldown),
            longest_rest: millis(config.breaker_cooldown_max),
        }
    }
}

/// Trust in one kind of work of one device.
#[derive(Debug)]
pub(super) struct Trust {
    word: AtomicU64,
    /// Faults in a row.
    faults: AtomicU32,
    /// The last rest; 0 since a request was served.
    rest: AtomicU64,
}

/// What may be asked of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Trusted,
    /// A proof, and after it whatever.
    ToProve,
    /// Nothing.
    Away(Why),
}

/// Leave to prove, for one thread.
#[derive(Debug)]
pub(super) struct Proof(u64);

impl Trust {
    pub(super) fn new() -> Self {
        Trust { word: AtomicU64::new(UNTESTED), faults: AtomicU32::new(0), rest: AtomicU64::new(0) }
    }

    /// What another process or an earlier look at the same device has found out; a proof that is under way is not
    /// ours.
    pub(super) fn inherited(&self) -> Self {
        let word = self.word.load(Ordering::Relaxed);
        Trust {
            word: AtomicU64::new(if word & STATE == PROVING { UNTESTED } else { word }),
            faults: AtomicU32::new(self.faults.load(Ordering::Relaxed)),
            rest: AtomicU64::new(self.rest.load(Ordering::Relaxed)),
        }
    }

    /// What may be asked at the moment.
    pub(super) fn standing(&self, now: impl Fn() -> u64) -> Standing {
        let word = self.word.load(Ordering::Acquire);
        let time = word >> 2;
        match word & STATE {
            TRUSTED => Standing::Trusted,
            PROVING if now() < time.saturating_add(PROVER_PATIENCE) => Standing::Away(Why::Unproven),
            RESTING if now() < time => Standing::Away(Why::Tripped),
            _ => Standing::ToProve,
        }
    }

    /// Asks to prove, with a queue at hand; `None` if another thread was faster, or nothing is to be proved.
    pub(super) fn begin(&self, now: u64) -> Option<Proof> {
        let word = self.word.load(Ordering::Relaxed);
        let time = word >> 2;
        let due = match word & STATE {
            UNTESTED => true,
            RESTING => now >= time,
            // Its place is taken over in another millisecond than it was taken in, so that the two can be told apart.
            PROVING => now >= time.saturating_add(PROVER_PATIENCE),
            _ => false,
        };
        let proving = now << 2 | PROVING;
        let won =
            due && self.word.compare_exchange(word, proving, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        won.then_some(Proof(proving))
    }

    /// The proof went well; whether it still was this thread's to give.
    pub(super) fn proved(&self, proof: Proof) -> bool {
        self.faults.store(0, Ordering::Relaxed);
        self.word.compare_exchange(proof.0, TRUSTED, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// The proof failed; the length of the rest that follows.
    pub(super) fn disproved(&self, proof: Proof, now: u64, limits: Limits) -> Option<u64> {
        self.send_to_rest(proof.0, limits.first_rest, now, limits)
    }

    /// No proof was made, and the first request met `fault`; the length of the rest, if that is what follows.
    pub(super) fn tried(
        &self,
        proof: Proof,
        fault: Fault,
        queue_lost: bool,
        now: u64,
        limits: Limits,
    ) -> Option<u64> {
        if fault.blames_device() {
            let faults = self.faults.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            let recovering = self.rest.load(Ordering::Relaxed) != 0;
            if queue_lost || recovering || faults >= limits.faults {
                return self.disproved(proof, now, limits);
            }
        } else {
            // The data were bad, which says little about the device.
            self.faults.store(0, Ordering::Relaxed);
        }
        self.abandon(proof);
        None
    }

    /// The proof was not made.
    pub(super) fn abandon(&self, proof: Proof) {
        let _ = self.word.compare_exchange(proof.0, UNTESTED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A request was served.
    pub(super) fn worked(&self) {
        // Stores only where something changes: this is every request's way.
        if self.faults.load(Ordering::Relaxed) != 0 {
            self.faults.store(0, Ordering::Relaxed);
        }
        if self.rest.load(Ordering::Relaxed) != 0 {
            self.rest.store(0, Ordering::Relaxed);
        }
    }

    /// A request met `fault`, which may have cost its queue. The length of the rest, if that is what follows.
    pub(super) fn failed(&self, fault: Fault, queue_lost: bool, now: u64, limits: Limits) -> Option<u64> {
        if !fault.blames_device() {
            // The device works; it is the request that it could not serve.
            if !queue_lost {
                self.worked();
            }
            return None;
        }
        let faults = self.faults.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let base = if faults >= limits.faults {
            limits.first_rest
        } else if queue_lost {
            FIRST_REST.min(limits.first_rest)
        } else {
            return None;
        };
        // Requests that were under way when the trust ended do not lengthen the rest.
        self.send_to_rest(TRUSTED, base, now, limits)
    }

    fn send_to_rest(&self, from: u64, base: u64, now: u64, limits: Limits) -> Option<u64> {
        let doubled = self.rest.load(Ordering::Relaxed).saturating_mul(2);
        let rest = doubled.max(base).min(limits.longest_rest);
        let resting = now.saturating_add(rest) << 2 | RESTING;
        self.word.compare_exchange(from, resting, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.rest.store(rest, Ordering::Relaxed);
        Some(rest)
    }

    /// Something happened to the whole device: what was trusted is to be proved again.
    pub(super) fn doubt(&self) {
        let _ = self.word.compare_exchange(TRUSTED, UNTESTED, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { faults: 3, first_rest: 1000, longest_rest: 3000 };
    const STATUS: Fault = Fault::Status(0x0D);

    fn trusted() -> Trust {
        let trust = Trust::new();
        assert!(trust.proved(trust.begin(1).unwrap()));
        trust
    }

    #[test]
    fn one_thread_proves_and_the_others_are_away() {
        let trust = Trust::new();
        assert_eq!(trust.standing(|| 1), Standing::ToProve);
        let proof = trust.begin(1).unwrap();
        assert!(trust.begin(1).is_none());
        assert_eq!(trust.standing(|| 1), Standing::Away(Why::Unproven));
        assert!(trust.proved(proof));
        assert_eq!(trust.standing(|| panic!("no look at the clock")), Standing::Trusted);
        assert!(trust.begin(1).is_none(), "nothing is left to prove");
    }

    #[test]
    fn proof_that_was_not_made_is_made_by_another() {
        let trust = Trust::new();
        trust.abandon(trust.begin(1).unwrap());
        assert!(trust.begin(1).is_some());
    }

    #[test]
    fn vanished_prover_is_replaced_and_his_late_answer_is_void() {
        let trust = Trust::new();
        let late = trust.begin(5).unwrap();
        assert!(trust.begin(5 + PROVER_PATIENCE - 1).is_none());
        let second = trust.begin(5 + PROVER_PATIENCE).unwrap();
        assert!(!trust.proved(late));
        assert_eq!(trust.standing(|| 5 + PROVER_PATIENCE), Standing::Away(Why::Unproven));
        assert!(trust.proved(second));
    }

    #[test]
    fn failed_proofs_lengthen_the_rest_up_to_its_limit() {
        let trust = Trust::new();
        let mut now = 10;
        for rest in [1000, 2000, 3000, 3000] {
            let proof = trust.begin(now).unwrap();
            assert_eq!(trust.disproved(proof, now, LIMITS), Some(rest));
            assert_eq!(trust.standing(|| now + rest - 1), Standing::Away(Why::Tripped));
            assert!(trust.begin(now + rest - 1).is_none());
            now += rest;
            assert_eq!(trust.standing(|| now), Standing::ToProve);
        }
    }

    #[test]
    fn faults_in_a_row_end_the_trust_and_data_faults_do_not() {
        let trust = trusted();
        for _ in 0..10 {
            assert_eq!(trust.failed(Fault::Data(1), false, 5, LIMITS), None);
        }
        for _ in 0..4 {
            assert_eq!(trust.failed(STATUS, false, 5, LIMITS), None);
            assert_eq!(trust.failed(STATUS, false, 5, LIMITS), None);
            trust.worked();
        }
        assert_eq!(trust.failed(STATUS, false, 5, LIMITS), None);
        assert_eq!(trust.failed(Fault::Check, false, 5, LIMITS), None);
        assert_eq!(trust.failed(STATUS, false, 5, LIMITS), Some(1000));
        assert_eq!(trust.failed(STATUS, false, 900, LIMITS), None, "under way when the trust ended");
        assert_eq!(trust.standing(|| 1005), Standing::ToProve);
    }

    #[test]
    fn lost_queue_rests_shortly_at_first() {
        let trust = trusted();
        assert_eq!(trust.failed(Fault::Timeout, true, 5, LIMITS), Some(FIRST_REST));
        for (now, rest) in [(200, 2 * FIRST_REST), (600, 1000), (2000, 2000)] {
            // A proof alone does not make up for faults at work.
            assert!(trust.proved(trust.begin(now).unwrap()));
            trust.faults.store(if rest < 1000 { 0 } else { 9 }, Ordering::Relaxed);
            assert_eq!(trust.failed(Fault::Reset, true, now, LIMITS), Some(rest));
        }
        assert!(trust.proved(trust.begin(9000).unwrap()));
        trust.worked();
        assert_eq!(trust.failed(Fault::Timeout, true, 9000, LIMITS), Some(FIRST_REST), "work does");
    }

    #[test]
    fn first_requests_prove_where_nobody_else_does() {
        let trust = Trust::new();
        let first = |fault, lost, now| trust.tried(trust.begin(now).unwrap(), fault, lost, now, LIMITS);
        for fault in [STATUS, STATUS, Fault::Data(1), STATUS, STATUS] {
            assert_eq!(first(fault, false, 1), None);
        }
        assert_eq!(first(STATUS, false, 1), Some(1000));
        assert_eq!(first(STATUS, false, 1001), Some(2000), "one is enough after a rest");
        let trust = Trust::new();
        assert_eq!(trust.tried(trust.begin(1).unwrap(), Fault::Reset, true, 1, LIMITS), Some(1000));
    }

    #[test]
    fn doubt_asks_for_a_proof_without_a_rest_and_ends_none() {
        let trust = trusted();
        trust.doubt();
        assert_eq!(trust.standing(|| 1), Standing::ToProve);
        assert!(trust.proved(trust.begin(1).unwrap()));
        trust.failed(Fault::Timeout, true, 5, LIMITS);
        trust.doubt();
        assert_eq!(trust.standing(|| 6), Standing::Away(Why::Tripped));
    }

    #[test]
    fn heir_knows_what_was_found_out_but_proves_for_himself() {
        assert_eq!(trusted().inherited().standing(|| 1), Standing::Trusted);
        let trust = Trust::new();
        let _proof = trust.begin(1).unwrap();
        assert_eq!(trust.inherited().standing(|| 1), Standing::ToProve);
        let trust = trusted();
        trust.failed(Fault::Reset, true, 5, LIMITS);
        assert_eq!(trust.inherited().standing(|| 6), Standing::Away(Why::Tripped));
    }
}

/// Every interleaving of small teams, by `ci/loom`.
#[cfg(all(test, loom))]
mod interleavings {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    const LIMITS: Limits = Limits { faults: 1, first_rest: 1000, longest_rest: 3000 };

    #[test]
    fn one_proves_and_who_trusts_has_seen_the_proof() {
        crate::sync::check(|| {
            let house = Arc::new((Trust::new(), UnsafeCell::new(())));
            let act = |house: &(Trust, UnsafeCell<()>)| match house.0.begin(1) {
                Some(proof) => {
                    // Two provers at a time, or a trusting reader beside one, are found by loom.
                    house.1.with_mut(|_| ());
                    assert!(house.0.proved(proof));
                }
                None if house.0.standing(|| 1) == Standing::Trusted => house.1.with(|_| ()),
                None => (),
            };
            let team: Vec<_> = (0..2)
                .map(|_| {
                    let house = house.clone();
                    thread::spawn(move || act(&house))
                })
                .collect();
            act(&house);
            team.into_iter().for_each(|actor| actor.join().unwrap());
            assert_eq!(house.0.standing(|| 1), Standing::Trusted);
        });
    }

    #[test]
    fn faults_at_the_same_time_make_one_rest() {
        crate::sync::check(|| {
            let trust = Arc::new(Trust::new());
            assert!(trust.proved(trust.begin(1).unwrap()));
            let fail = |trust: &Trust| trust.failed(Fault::Reset, true, 1, LIMITS).is_some();
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let trust = trust.clone();
                    thread::spawn(move || {
                        let rests = fail(&trust);
                        trust.doubt();
                        rests
                    })
                })
                .collect();
            let mut rests = usize::from(fail(&trust));
            rests += others.into_iter().map(|other| usize::from(other.join().unwrap())).sum::<usize>();
            // A doubt may come first: then there is no trust left to end, and the proof is due at once.
            assert!(rests <= 1);
            let standing = trust.standing(|| 1);
            assert_eq!(standing == Standing::Away(Why::Tripped), rests == 1, "{standing:?}");
        });
    }
}
