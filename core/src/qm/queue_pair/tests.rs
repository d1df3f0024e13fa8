//! The queue pair against the in-memory device.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::qm::doorbell::Kind;
use crate::qm::fake::{Event, Fate, queue};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(2);

fn inverted(sqe: &[u8]) -> Vec<u8> {
    sqe.iter().map(|byte| !byte).collect()
}

#[test]
fn execute_returns_the_write_back() {
    let (mut pair, device) = queue(8, 64);
    let mut sqe = [0x5A; 64];
    pair.execute(&mut sqe, LONG).unwrap();
    assert_eq!(sqe, [0xA5; 64]);
    assert_eq!(device.lock().journal[0], Event::Ring(Kind::Submission, 1));
    assert!(pair.is_alive());
}

#[test]
fn many_passes_over_the_ring_keep_the_phase() {
    let (mut pair, device) = queue(8, 64);
    for round in 0..100_u8 {
        let mut sqe = [round; 64];
        pair.execute(&mut sqe, LONG).unwrap();
        assert_eq!(sqe, [!round; 64]);
    }
    assert_eq!(device.lock().accepted, 100);
}

#[test]
fn depth_that_is_no_power_of_two_wraps() {
    let (mut pair, _device) = queue(3, 128);
    for round in 0..20_u8 {
        let mut sqe = [round; 128];
        pair.execute(&mut sqe, LONG).unwrap();
        assert_eq!(sqe, [!round; 128]);
    }
}

#[test]
fn completions_are_returned_in_batches() {
    let (mut pair, device) = queue(256, 64);
    for _ in 0..64 {
        pair.execute(&mut [0; 64], LONG).unwrap();
    }
    let returned: Vec<_> = device.lock().journal.iter().filter(|e| **e != submission(e)).copied().collect();
    let plain = |index| Event::Ring(Kind::Completion { arm: false }, index);
    assert_eq!(returned, [plain(32), plain(64)]);
}

fn submission(event: &Event) -> Event {
    match event {
        Event::Ring(_, index) => Event::Ring(Kind::Submission, *index),
        other => *other,
    }
}

#[test]
fn credit_counts_in_flight_and_unreturned() {
    let (mut pair, device) = queue(16, 64);
    device.lock().fates.extend([Fate::Complete; 3]);
    let mut out = [0; 64];
    for _ in 0..3 {
        pair.submit(&[1; 64]).unwrap();
        pair.reap(&mut out).unwrap().unwrap();
    }
    // Three consumed and not yet returned: the batch is four.
    assert_eq!(pair.lane.as_ref().unwrap().slots.used(), 3);
    device.lock().fates.extend([Fate::CompleteInSleep; 15]);
    for _ in 0..15 {
        pair.submit(&[2; 64]).unwrap();
    }
    assert_eq!(pair.submit(&[3; 64]), Err(Refusal::Full));
    assert_eq!(pair.in_flight(), 15);
    device.lock().release(Fate::CompleteInSleep);
    for _ in 0..15 {
        assert!(pair.reap(&mut out).unwrap().is_some());
    }
    assert_eq!(pair.reap(&mut out), Ok(None));
    assert!(device.lock().most_outstanding <= 15);
}

#[test]
fn slots_identify_requests_that_complete_out_of_order() {
    let (mut pair, device) = queue(8, 64);
    device.lock().fates.extend([Fate::Drop; 3]);
    let slots: Vec<_> = (0..3_u8).map(|n| pair.submit(&[n; 64]).unwrap()).collect();
    device.lock().release_reversed();
    let mut out = [0; 64];
    for n in (0..3_u8).rev() {
        assert_eq!(pair.reap(&mut out).unwrap(), Some(slots[usize::from(n)]));
        assert_eq!(out, [!n; 64]);
    }
}

#[test]
fn slot_still_in_flight_is_not_written_over() {
    let (mut pair, device) = queue(4, 64);
    device.lock().fates.extend([Fate::CompleteInSleep, Fate::Complete, Fate::Complete, Fate::Complete]);
    let mut out = [0; 64];
    pair.submit(&[0; 64]).unwrap();
    for _ in 0..3 {
        pair.submit(&[1; 64]).unwrap();
        pair.reap(&mut out).unwrap().unwrap();
    }
    assert_eq!(pair.submit(&[2; 64]), Err(Refusal::Full), "slot 0 is in flight");
    device.lock().release(Fate::CompleteInSleep);
    assert_eq!(pair.reap(&mut out).unwrap().map(Slot::index), Some(0));
    pair.submit(&[2; 64]).unwrap();
}

#[test]
fn sleep_is_preceded_by_arming() {
    let (mut pair, device) = queue(8, 64);
    device.lock().fates.push_back(Fate::CompleteInSleep);
    let mut sqe = [0; 64];
    pair.execute(&mut sqe, LONG).unwrap();
    let journal = device.lock().journal.clone();
    assert_eq!(
        journal[..3],
        [Event::Ring(Kind::Submission, 1), Event::Ring(Kind::Completion { arm: true }, 0), Event::Sleep]
    );
}

#[test]
fn completion_between_last_look_and_arming_is_seen_without_a_sleep() {
    let (mut pair, device) = queue(8, 64);
    device.lock().fates.push_back(Fate::CompleteAtArming);
    let mut sqe = [0; 64];
    pair.execute(&mut sqe, LONG).unwrap();
    assert!(!device.lock().journal.contains(&Event::Sleep));
}

#[test]
fn timeout_stops_the_queue_before_it_is_reported() {
    let (mut pair, device) = queue(8, 64);
    device.lock().fates.push_back(Fate::Drop);
    let mut sqe = [7; 64];
    assert_eq!(pair.execute(&mut sqe, SHORT), Err(Fault::Timeout));
    assert_eq!(device.lock().journal.last(), Some(&Event::Stop));
    assert!(!pair.is_alive());
}

#[test]
fn late_completion_reaches_nobody() {
    let (mut pair, device) = queue(8, 64);
    device.lock().fates.push_back(Fate::CompleteInStop);
    let mut sqe = [7; 64];
    assert_eq!(pair.execute(&mut sqe, SHORT), Err(Fault::Timeout));
    assert_eq!(sqe, [7; 64]);
    assert_eq!(pair.execute(&mut sqe, SHORT), Err(Fault::Timeout), "the queue is never used again");
    assert_eq!(pair.reap(&mut sqe), Err(Fault::Timeout));
    assert_eq!(device.lock().accepted, 1);
}

#[test]
fn send_word_refuses_before_the_doorbell() {
    let (mut pair, device) = queue(8, 64);
    device.lock().ring.set_send_stopped(1);
    assert!(!pair.is_alive());
    assert_eq!(pair.execute(&mut [0; 64], LONG), Err(Fault::Reset));
    assert_eq!(device.lock().journal, [Event::Stop]);
}

#[test]
fn send_word_alone_does_not_lose_accepted_requests() {
    let (mut pair, device) = queue(8, 64);
    device.lock().fates.push_back(Fate::CompleteInSleep);
    pair.submit(&[1; 64]).unwrap();
    device.lock().ring.set_send_stopped(1);
    let mut out = [0; 64];
    assert_eq!(pair.wait(&mut out, LONG).map(Slot::index), Ok(0));
    assert_eq!(out, [!1; 64]);
}

#[test]
fn receive_word_in_mid_flight_fails_the_request() {
    let (mut pair, device) = queue(8, 64);
    device.lock().fates.push_back(Fate::ReceiveStops);
    assert_eq!(pair.execute(&mut [0; 64], LONG), Err(Fault::Reset));
    assert_eq!(device.lock().journal.last(), Some(&Event::Stop));
}

#[test]
fn completion_of_a_slot_beyond_the_ring_is_inconsistent() {
    let (mut pair, device) = queue(8, 64);
    device.lock().fates.push_back(Fate::Slot(8));
    assert_eq!(pair.execute(&mut [0; 64], LONG), Err(Fault::Inconsistent));
    assert_eq!(device.lock().journal.last(), Some(&Event::Stop));
}

#[test]
fn completion_of_a_slot_that_is_not_in_flight_is_inconsistent() {
    let (mut pair, device) = queue(8, 64);
    device.lock().fates.push_back(Fate::Slot(5));
    assert_eq!(pair.execute(&mut [0; 64], LONG), Err(Fault::Inconsistent));
}

#[test]
fn descriptor_of_another_size_is_refused_and_the_queue_lives() {
    let (mut pair, device) = queue(8, 64);
    assert_eq!(pair.execute(&mut [0; 128], LONG), Err(Fault::Unsupported));
    assert!(device.lock().journal.is_empty());
    pair.execute(&mut [0; 64], LONG).unwrap();
}

#[test]
fn drop_stops_the_queue() {
    let (pair, device) = queue(8, 64);
    drop(pair);
    assert_eq!(device.lock().journal, [Event::Stop]);
}

#[test]
fn queue_of_another_process_is_abandoned_and_never_stopped() {
    let (mut pair, device) = queue(8, 64);
    pair.owner = Owner::elsewhere();
    assert!(!pair.is_alive());
    assert!(pair.execute(&mut [0; 64], LONG).is_err());
    drop(pair);
    assert_eq!(device.lock().journal, [Event::Abandon]);
}

#[test]
fn panic_with_a_request_in_flight_stops_the_queue() {
    let (mut pair, device) = queue(8, 64);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let quiet = Quiet(&mut pair);
        device.lock().fates.push_back(Fate::Drop);
        quiet.0.submit(&[0; 64]).unwrap();
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(result.is_err());
    assert_eq!(device.lock().journal.last(), Some(&Event::Stop));
}

proptest! {
    /// Any mix of submissions, completions in any moment, and reaping: no slot is confused, no completion is
    /// lost, and the completion queue never overflows (the device asserts it).
    #[test]
    fn any_interleaving_keeps_requests_apart(depth in 2_u16..20, steps in prop::collection::vec(0_u8..4, 1..300)) {
        let (mut pair, device) = queue(depth, 64);
        let mut expected = std::collections::HashMap::new();
        let mut out = [0; 64];
        let mut number = 0_u8;
        for step in steps {
            match step {
                0 | 1 => {
                    device.lock().fates.push_back(if step == 0 { Fate::Complete } else { Fate::CompleteInSleep });
                    number = number.wrapping_add(1);
                    match pair.submit(&[number; 64]) {
                        Ok(slot) => prop_assert!(expected.insert(slot, number).is_none()),
                        Err(refusal) => {
                            prop_assert_eq!(refusal, Refusal::Full);
                            device.lock().fates.pop_back();
                        }
                    }
                }
                2 => device.lock().release(Fate::CompleteInSleep),
                _ => {
                    if let Some(slot) = pair.reap(&mut out).unwrap() {
                        let number = expected.remove(&slot);
                        prop_assert_eq!(number.map(|n| inverted(&[n; 64])), Some(out.to_vec()));
                    }
                }
            }
            prop_assert_eq!(usize::from(pair.in_flight()), expected.len());
            prop_assert!(pair.in_flight() < depth);
        }
        device.lock().release(Fate::CompleteInSleep);
        while let Some(slot) = pair.reap(&mut out).unwrap() {
            prop_assert!(expected.remove(&slot).is_some());
        }
        prop_assert!(expected.is_empty());
    }
}
