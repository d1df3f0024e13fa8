//! The shared queue against the in-memory device, first with one thread, where the journal tells every step.

mod many;
mod tickets;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::qm::doorbell::Kind;
use crate::qm::fake::{Event, Fate, shared};
use crate::testing::in_child;

const LONG: Patience = Patience::learned(Duration::from_secs(60));
const BRIEF: Patience = Patience::learned(Duration::from_millis(2));

#[test]
fn execute_returns_the_write_back_and_rings_once() {
    let (queue, device) = shared(8, 64);
    let mut sqe = [0x5A; 64];
    queue.execute(&mut sqe, &LONG).unwrap();
    assert_eq!(sqe, [0xA5; 64]);
    assert_eq!(device.lock().journal, [Event::Ring(Kind::Submission, 1)]);
    assert!(queue.is_alive());
    assert_eq!(queue.in_flight(), 0);
}

#[test]
fn batch_rings_once() {
    let (queue, device) = shared(64, 64);
    let mut sqes: Vec<u8> = (0..20_u8).flat_map(|n| [n; 64]).collect();
    queue.execute_all(&mut sqes, &LONG).unwrap();
    assert!(sqes.chunks(64).zip(0..).all(|(sqe, n)| sqe == [!n; 64]));
    let rung = device.lock().journal.iter().filter(|e| matches!(e, Event::Ring(Kind::Submission, _))).count();
    assert_eq!(rung, 1);
}

#[test]
fn batch_larger_than_the_ring_goes_in_parts() {
    let (queue, device) = shared(7, 64);
    let mut sqes: Vec<u8> = (0..200_u8).flat_map(|n| [n; 64]).collect();
    queue.execute_all(&mut sqes, &LONG).unwrap();
    assert!(sqes.chunks(64).zip(0..).all(|(sqe, n)| sqe == [!n; 64]));
    assert_eq!(device.lock().accepted, 200);
    queue.execute_all(&mut [], &LONG).unwrap();
    assert_eq!(queue.execute_all(&mut [0; 65], &LONG), Err(Fault::Unsupported));
    assert_eq!(device.lock().accepted, 200);
}

#[test]
fn sleep_is_preceded_by_arming_and_a_look() {
    let (queue, device) = shared(8, 64);
    device.lock().fates.extend([Fate::CompleteInSleep, Fate::CompleteAtArming]);
    queue.execute(&mut [0; 64], &LONG).unwrap();
    let armed = |index| Event::Ring(Kind::Completion { arm: true }, index);
    let journal = std::mem::take(&mut device.lock().journal);
    assert_eq!(journal[..3], [Event::Ring(Kind::Submission, 1), armed(0), Event::Sleep]);
    queue.execute(&mut [0; 64], &LONG).unwrap();
    assert!(!device.lock().journal.contains(&Event::Sleep), "it came between the last look and the arming");
}

#[test]
fn faults_stop_the_queue_before_they_are_seen() {
    for (fate, patience, fault) in [
        (Fate::Drop, BRIEF, Fault::Timeout),
        (Fate::CompleteInStop, BRIEF, Fault::Timeout),
        (Fate::ReceiveStops, LONG, Fault::Reset),
        (Fate::Slot(8), LONG, Fault::Inconsistent),
        (Fate::Slot(5), LONG, Fault::Inconsistent),
    ] {
        let (queue, device) = shared(8, 64);
        device.lock().fates.push_back(fate);
        let mut sqe = [7; 64];
        assert_eq!(queue.execute(&mut sqe, &patience), Err(fault), "{fate:?}");
        assert_eq!(sqe, [7; 64], "{fate:?}");
        assert_eq!(device.lock().journal.last(), Some(&Event::Stop), "{fate:?}");
        assert!(!queue.is_alive());
        let length = device.lock().journal.len();
        assert_eq!(queue.execute(&mut sqe, &LONG), Err(fault), "it is never used again");
        assert_eq!(queue.retire(Fault::Check), fault, "the first fault stays");
        drop(queue);
        assert_eq!(device.lock().journal.len(), length, "it is stopped once");
    }
}

#[test]
fn fault_in_a_batch_leaves_nothing_in_flight() {
    let (queue, device) = shared(16, 64);
    device.lock().fates.extend([Fate::Complete, Fate::Drop, Fate::Complete]);
    let mut sqes = [3; 64 * 3];
    assert_eq!(queue.execute_all(&mut sqes, &BRIEF), Err(Fault::Timeout));
    assert_eq!(device.lock().journal.last(), Some(&Event::Stop));
}

#[test]
fn send_word_refuses_before_the_doorbell() {
    let (queue, device) = shared(8, 64);
    device.lock().ring.set_send_stopped(1);
    assert!(!queue.is_alive());
    assert_eq!(queue.execute(&mut [0; 64], &LONG), Err(Fault::Reset));
    assert_eq!(device.lock().journal, [Event::Stop]);
}

#[test]
fn stop_that_is_not_confirmed_takes_the_memory_away() {
    let (queue, device) = shared(8, 64);
    device.lock().stop_fails = true;
    device.lock().fates.push_back(Fate::Drop);
    assert_eq!(queue.execute(&mut [1; 64], &BRIEF), Err(Fault::Timeout));
    assert!(device.lock().ring.receive_stopped(), "what the fake sees through the same mapping");
}

#[test]
fn descriptor_of_another_size_is_refused_and_the_queue_lives() {
    let (queue, device) = shared(8, 64);
    assert_eq!(queue.execute(&mut [0; 128], &LONG), Err(Fault::Unsupported));
    assert!(device.lock().journal.is_empty());
    queue.execute(&mut [0; 64], &LONG).unwrap();
}

#[test]
fn forked_child_touches_neither_memory_nor_locks() {
    let (queue, device) = shared(8, 64);
    let queue = Arc::new(queue);
    queue.execute(&mut [0; 64], &LONG).unwrap();
    device.lock().fates.push_back(Fate::Drop);
    let mut ticket = queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap();
    let held = device.lock();
    // The fake's memory is not there in the child, and its lock is copied locked: a touch is a crash or never ends.
    assert!(in_child(|| {
        !queue.is_alive()
            && queue.in_flight() == 0
            && queue.execute(&mut [0; 64], &LONG) == Err(Fault::Reset)
            && queue.execute_all(&mut [0; 128], &LONG) == Err(Fault::Reset)
            && queue.retire(Fault::Check) == Fault::Reset
            && matches!(queue.submit(&[0; 64], Box::new(()), LONG.deadline), Err(Refusal::Dead(_)))
            && matches!(ticket.poll(&mut [0; 64]), Err(Fault::Reset))
            && ticket.wait_fd() == Err(Fault::Reset)
    }));
    drop(held);
    drop(ticket);
    queue.execute(&mut [0; 64], &LONG).unwrap();
}

#[test]
fn queue_of_the_parent_is_abandoned_and_never_stopped() {
    let (mut queue, device) = shared(8, 64);
    queue.owner = Owner::elsewhere();
    drop(queue);
    assert_eq!(device.lock().journal, [Event::Abandon]);
}

#[test]
fn panic_with_a_request_in_flight_stops_the_queue() {
    let (queue, device) = shared(8, 64);
    device.lock().fates.push_back(Fate::PanicAtDoorbell);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = queue.execute(&mut [0; 64], &LONG);
    }));
    assert!(outcome.is_err());
    assert_eq!(device.lock().journal.last(), Some(&Event::Stop));
    assert_eq!(queue.execute(&mut [0; 64], &LONG), Err(Fault::Reset));
}
