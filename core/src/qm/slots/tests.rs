//! The protocol step by step. Every interleaving of it: `interleavings`.

use super::*;

const NAP: Duration = Duration::from_secs(60);

fn slots(depth: u16) -> Slots {
    Slots::new(depth, depth - 1)
}

fn announced(slots: &Slots, claim: &Claim) -> Vec<u16> {
    let mut tails = Vec::new();
    slots.announce(claim, false, |tail| tails.push(tail));
    tails
}

#[test]
fn first_of_those_who_meet_leads_and_rings_for_all_that_are_ready() {
    let slots = slots(8);
    let first = slots.claim(1, true).unwrap();
    let second = slots.claim(2, true).unwrap();
    assert_eq!((first.first, first.leading), (0, true));
    assert_eq!((second.first, second.count, second.leading), (1, 2, false));
    assert_eq!(announced(&slots, &second), [], "the first has the bell, and its slot is not written yet");
    assert_eq!(announced(&slots, &first), [3], "one doorbell for both");
    assert_eq!(slots.used(), 3);
}

#[test]
fn slot_that_is_still_written_holds_back_those_behind_it() {
    let slots = slots(8);
    let first = slots.claim(1, false).unwrap();
    assert_eq!(announced(&slots, &first), [1]);
    let [slow, quick] = [slots.claim(1, false).unwrap(), slots.claim(1, false).unwrap()];
    assert_eq!(announced(&slots, &quick), []);
    assert_eq!(announced(&slots, &slow), [3]);
}

#[test]
fn claim_is_cut_at_the_credit_and_at_a_slot_in_use() {
    let slots = slots(4);
    let all = slots.claim(9, true).unwrap();
    assert_eq!(all.count, 3, "depth less one");
    assert_eq!(slots.claim(1, true).unwrap_err(), Denied::Full);
    announced(&slots, &all);
    for slot in 0..3 {
        assert_eq!(slots.complete(slot, &Claim::NONE), Completed::Owned);
    }
    assert_eq!(slots.claim(1, true).unwrap_err(), Denied::Full, "consumed, not returned");
    slots.returned(3);
    let next = slots.claim(9, true).unwrap();
    assert_eq!((next.first, next.count), (3, 1), "slot 0 was not read yet");
    slots.free(0);
    assert_eq!(slots.claim(9, true).unwrap().count, 1);
}

#[test]
fn only_what_was_announced_can_complete_and_once() {
    let slots = slots(4);
    let claim = slots.claim(1, true).unwrap();
    assert_eq!(slots.complete(0, &claim), Completed::Unknown, "written, not announced");
    announced(&slots, &claim);
    assert_eq!(slots.complete(1, &claim), Completed::Unknown);
    assert_eq!(slots.complete(4, &claim), Completed::Unknown, "beyond the ring");
    assert_eq!(slots.complete(0, &claim), Completed::Owned);
    assert_eq!(slots.complete(0, &claim), Completed::Unknown);
    assert!(slots.is_done(0));
}

#[test]
fn slot_that_was_given_back_is_no_longer_the_batch_s_own() {
    let slots = slots(4);
    let mut batch = slots.claim(2, true).unwrap();
    announced(&slots, &batch);
    assert_eq!(slots.complete(0, &batch), Completed::Owned);
    slots.free(0);
    batch.gave_back(4);
    slots.returned(1);
    let between = slots.claim(2, false).unwrap();
    announced(&slots, &between);
    for slot in [2, 3] {
        slots.complete(slot, &batch);
        slots.free(slot);
    }
    slots.returned(2);
    let again = slots.claim(1, false).unwrap();
    assert_eq!(again.first, 0);
    slots.announce(&again, true, |_| ());
    assert_eq!(slots.complete(0, &batch), Completed::Posted, "somebody else's by now");
    assert_eq!(slots.complete(1, &batch), Completed::Owned);
}

#[test]
fn posted_requests_are_told_apart() {
    let slots = slots(4);
    let claim = slots.claim(1, false).unwrap();
    slots.announce(&claim, true, |_| ());
    assert_eq!(slots.complete(0, &Claim::NONE), Completed::Posted);
}

#[test]
fn passes_over_the_ring_change_the_word() {
    let slots = slots(3);
    let mut words = std::collections::HashSet::new();
    for round in 0..300_u16 {
        assert!(words.insert(slots.word.load(Acquire)), "round {round}");
        let claim = slots.claim(1, true).unwrap();
        assert_eq!(claim.first, round % 3);
        assert!(claim.leading);
        announced(&slots, &claim);
        slots.complete(claim.first, &claim);
        slots.returned(1);
        slots.free(claim.first);
        slots.resign(claim.first);
    }
}

#[test]
fn one_leads_at_a_time_and_nobody_claims_after_a_stop() {
    let slots = slots(4);
    assert!(slots.try_lead() && !slots.try_lead() && !slots.lead());
    slots.resign(0);
    assert!(slots.lead());
    slots.resign(0);
    slots.stop();
    assert!(!slots.try_lead());
    assert_eq!(slots.claim(1, true).unwrap_err(), Denied::Stopped);
}

#[test]
fn nobody_sleeps_without_a_leader_or_on_a_stopped_queue_or_on_a_done_slot() {
    let slots = slots(4);
    let claim = slots.claim(1, false).unwrap();
    announced(&slots, &claim);
    // Each of these returns at once, or the test takes minutes.
    slots.park(0, NAP);
    assert!(slots.lead());
    slots.complete(0, &Claim::NONE);
    slots.park(0, NAP);
    slots.stop();
    slots.sleep(1, NAP, || true);
}

#[test]
fn sleeper_is_woken_by_its_completion_and_by_a_leader_that_goes() {
    let ends: [fn(&Slots); 3] = [
        |slots: &Slots| assert_eq!(slots.complete(0, &Claim::NONE), Completed::Owned),
        |slots: &Slots| slots.resign(2),
        |slots: &Slots| {
            slots.stop();
            slots.wake_all();
        },
    ];
    for ended in ends {
        let slots = slots(4);
        let claim = slots.claim(1, false).unwrap();
        announced(&slots, &claim);
        assert!(slots.lead());
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| slots.park(0, NAP * 60));
            while *slots.berths[0].asleep.lock().unwrap() == 0 {
                std::thread::yield_now();
            }
            ended(&slots);
            sleeper.join().unwrap();
        });
        assert_eq!(slots.sleepers.load(Relaxed), 0);
    }
}
