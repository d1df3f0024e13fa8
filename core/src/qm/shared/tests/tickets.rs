//! Requests that are waited for elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;
use crate::qm::fake::{Device, FakeLink};
use parking_lot::Mutex;

/// What a request keeps: tells when it was let go.
struct Buffer(Arc<AtomicBool>);

impl Drop for Buffer {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn buffer() -> (Keep, Arc<AtomicBool>) {
    let gone = Arc::new(AtomicBool::new(false));
    (Box::new(Buffer(Arc::clone(&gone))), gone)
}

fn is_gone(gone: &AtomicBool) -> bool {
    gone.load(Ordering::Relaxed)
}

fn started(depth: u16) -> (Arc<Shared<FakeLink>>, Arc<Mutex<Device>>) {
    let (queue, device) = shared(depth, 64);
    (Arc::new(queue), device)
}

fn readable(fd: std::os::fd::RawFd) -> bool {
    // A clone of the descriptor in an epoll set of the caller's, as an event loop has it.
    crate::uacce::node::Wakeup::new(Some(fd)).unwrap().is_readable()
}

#[test]
fn poll_gives_the_write_back_and_what_was_kept_once() {
    let (queue, device) = started(8);
    device.lock().fates.push_back(Fate::Drop);
    let (keep, gone) = buffer();
    let mut ticket = queue.submit(&[0x5A; 64], keep, LONG.deadline).unwrap();
    let mut sqe = [0; 64];
    assert!(ticket.poll(&mut sqe).unwrap().is_none());
    assert!(!is_gone(&gone));
    device.lock().release_one();
    let kept = ticket.poll(&mut sqe).unwrap().expect("done");
    assert_eq!(sqe, [0xA5; 64]);
    assert!(!is_gone(&gone) && kept.is::<Buffer>());
    drop(kept);
    assert!(is_gone(&gone));
    assert!(ticket.poll(&mut sqe).is_err(), "there is nothing left to give");
    assert_eq!(queue.in_flight(), 0);
}

#[test]
fn wait_sleeps_like_a_synchronous_request() {
    let (queue, device) = started(8);
    device.lock().fates.extend([Fate::CompleteInSleep, Fate::CompleteAtArming]);
    for n in 0..3_u8 {
        let ticket = queue.submit(&[n; 64], Box::new(n), LONG.deadline).unwrap();
        let mut sqe = [0; 64];
        let kept = ticket.wait(&mut sqe, &LONG).unwrap();
        assert_eq!((sqe, *kept.downcast::<u8>().unwrap()), ([!n; 64], n));
    }
}

#[test]
fn completed_tickets_hold_no_slot() {
    let (queue, _device) = started(4);
    let mut tickets: Vec<_> =
        (0..50_u8).map(|n| queue.submit(&[n; 64], Box::new(n), LONG.deadline).unwrap()).collect();
    queue.execute(&mut [0; 64], &LONG).unwrap();
    for (n, ticket) in (0..).zip(&mut tickets) {
        let mut sqe = [0; 64];
        assert!(ticket.poll(&mut sqe).unwrap().is_some());
        assert_eq!(sqe, [!n; 64]);
    }
}

#[test]
fn full_queue_refuses_and_drops_what_was_to_be_kept() {
    let (queue, device) = started(3);
    device.lock().fates.extend([Fate::Drop; 3]);
    let held: Vec<_> = (0..2).map(|_| queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap()).collect();
    let (keep, gone) = buffer();
    assert_eq!(queue.submit(&[1; 64], keep, LONG.deadline).unwrap_err(), Refusal::Full);
    assert!(is_gone(&gone));
    assert_eq!(queue.submit(&[1; 63], Box::new(()), LONG.deadline).unwrap_err(), Refusal::WrongSize);
    device.lock().release(Fate::Drop);
    drop(held);
    queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap();
}

#[test]
fn abandoned_request_keeps_its_buffers_until_the_device_is_done() {
    let (queue, device) = started(8);
    device.lock().fates.push_back(Fate::Drop);
    let (keep, gone) = buffer();
    drop(queue.submit(&[1; 64], keep, LONG.deadline).unwrap());
    queue.execute(&mut [2; 64], &LONG).unwrap();
    assert!(!is_gone(&gone), "the device may still write");
    device.lock().release_one();
    assert!(!is_gone(&gone));
    queue.execute(&mut [3; 64], &LONG).unwrap();
    assert!(is_gone(&gone), "the next who came by reaped it");
    assert_eq!(queue.in_flight(), 0);
}

#[test]
fn abandoned_request_keeps_its_buffers_until_the_queue_is_stopped() {
    let (queue, device) = started(8);
    device.lock().fates.extend([Fate::Drop; 2]);
    /// Let go only when the device is quiet.
    struct Strict(Arc<Mutex<Device>>);
    impl Drop for Strict {
        fn drop(&mut self) {
            assert_eq!(self.0.lock().journal.last(), Some(&Event::Stop));
        }
    }
    drop(queue.submit(&[1; 64], Box::new(Strict(device.clone())), LONG.deadline).unwrap());
    let (keep, gone) = buffer();
    let mut ticket = queue.submit(&[1; 64], keep, LONG.deadline).unwrap();
    queue.retire(Fault::Reset);
    assert!(matches!(ticket.poll(&mut [0; 64]), Err(Fault::Reset)));
    assert!(is_gone(&gone) || Arc::strong_count(&gone) == 2, "the ticket may still hold it");
    drop(ticket);
    assert!(is_gone(&gone));
    assert_eq!(queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap_err(), Refusal::Dead(Fault::Reset));
}

#[test]
fn late_ticket_stops_the_queue_first() {
    let (queue, device) = started(8);
    device.lock().fates.extend([Fate::Drop; 2]);
    let mut polled = queue.submit(&[1; 64], Box::new(()), Duration::ZERO).unwrap();
    assert!(matches!(polled.poll(&mut [0; 64]), Err(Fault::Timeout)));
    assert_eq!(device.lock().journal.last(), Some(&Event::Stop));
    let (queue, device) = started(8);
    device.lock().fates.extend([Fate::Drop; 2]);
    let waited = queue.submit(&[1; 64], Box::new(()), Duration::from_millis(2)).unwrap();
    assert!(matches!(waited.wait(&mut [0; 64], &LONG), Err(Fault::Timeout)));
    assert_eq!(device.lock().journal.last(), Some(&Event::Stop));
}

#[test]
fn dropping_the_last_holder_stops_the_queue_and_ends_its_tickets() {
    let (queue, device) = started(8);
    device.lock().fates.push_back(Fate::Drop);
    let (keep, gone) = buffer();
    let ticket = queue.submit(&[1; 64], keep, LONG.deadline).unwrap();
    drop(queue);
    assert!(!device.lock().journal.contains(&Event::Stop), "a ticket holds its queue");
    drop(ticket);
    assert_eq!(device.lock().journal.last(), Some(&Event::Stop));
    assert!(is_gone(&gone));
}

#[test]
fn descriptor_becomes_readable_when_the_device_is_done() {
    let (queue, device) = started(8);
    device.lock().fates.push_back(Fate::Drop);
    let mut ticket = queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap();
    let fd = ticket.wait_fd().unwrap();
    assert_eq!(ticket.wait_fd(), Ok(fd), "the same at every call");
    assert!(!readable(fd));
    device.lock().release_one();
    assert!(readable(fd));
    assert!(ticket.poll(&mut [0; 64]).unwrap().is_some());
}

#[test]
fn descriptor_made_after_completion_is_readable_at_once() {
    let (queue, device) = started(8);
    device.lock().fates.extend([Fate::Drop, Fate::CompleteAtArming]);
    // Done, and nobody has looked; done while arming; done and reaped by another.
    let first = queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap();
    device.lock().release_one();
    assert!(readable(first.wait_fd().unwrap()));
    let second = queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap();
    assert!(readable(second.wait_fd().unwrap()));
    let third = queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap();
    queue.execute(&mut [0; 64], &LONG).unwrap();
    assert!(readable(third.wait_fd().unwrap()));
}

#[test]
fn hint_that_went_to_another_reaches_the_ticket_all_the_same() {
    let (queue, device) = started(8);
    device.lock().fates.extend([Fate::Drop; 2]);
    let [mut one, two] = [1, 2].map(|n| queue.submit(&[n; 64], Box::new(()), LONG.deadline).unwrap());
    let fds = [one.wait_fd().unwrap(), two.wait_fd().unwrap()];
    // Both complete; the kernel shows it to one poller, who takes the hint away and reaps.
    device.lock().release(Fate::Drop);
    assert!(one.poll(&mut [0; 64]).unwrap().is_some());
    device.lock().take_hints(&queue);
    assert!(fds.into_iter().all(readable), "each has its own event");
}

#[test]
fn hint_that_came_to_a_caller_while_another_led_is_not_lost() {
    let (queue, device) = started(8);
    device.lock().fates.extend([Fate::Drop; 2]);
    let [one, mut two] = [1, 2].map(|n| queue.submit(&[n; 64], Box::new(()), LONG.deadline).unwrap());
    let fds = [one.wait_fd().unwrap(), two.wait_fd().unwrap()];
    // Somebody leads and has had its last look; then the first request is done, and the hint comes to the second's caller.
    let lane = queue.lane.as_ref().unwrap();
    assert!(lane.slots.lead());
    device.lock().release_one();
    device.lock().take_hints(&queue);
    assert!(two.poll(&mut [0; 64]).unwrap().is_none());
    assert!(!readable(fds[0]));
    lane.slots.resign(0);
    assert!(lane.post.is_asked());
    // What `Lane::resign` does after this step, were it its own.
    assert!(lane.slots.try_lead());
    lane.resign(0).unwrap();
    assert!(readable(fds[0]) && !readable(fds[1]));
}

#[test]
fn hint_that_came_to_a_caller_whose_request_was_done_is_not_lost() {
    let (queue, device) = started(8);
    device.lock().fates.extend([Fate::Drop; 2]);
    let [mut one, two] = [1, 2].map(|n| queue.submit(&[n; 64], Box::new(()), LONG.deadline).unwrap());
    let fds = [one.wait_fd().unwrap(), two.wait_fd().unwrap()];
    device.lock().release_one();
    queue.execute(&mut [0; 64], &LONG).unwrap();
    assert!(readable(fds[0]), "done, and reaped by another");
    device.lock().take_hints(&queue);
    device.lock().release_one();
    device.lock().take_hints(&queue);
    assert!(one.poll(&mut [0; 64]).unwrap().is_some());
    assert!(readable(fds[1]), "the hint of the second came to the first's caller");
}

#[test]
fn whoever_leaves_the_queue_leaves_it_armed_while_somebody_watches() {
    let (queue, device) = started(64);
    device.lock().fates.push_back(Fate::Drop);
    let ticket = queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap();
    let fd = ticket.wait_fd().unwrap();
    for _ in 0..20 {
        // Synchronous requests return completions, which disarms.
        queue.execute(&mut [0; 64], &LONG).unwrap();
        device.lock().take_hints(&queue);
        assert!(!readable(fd));
    }
    device.lock().release_one();
    assert!(readable(fd));
}

#[test]
fn stop_makes_the_descriptor_readable() {
    let (queue, device) = started(8);
    device.lock().fates.push_back(Fate::Drop);
    let mut ticket = queue.submit(&[1; 64], Box::new(()), LONG.deadline).unwrap();
    let fd = ticket.wait_fd().unwrap();
    queue.retire(Fault::Timeout);
    assert!(readable(fd));
    assert!(matches!(ticket.poll(&mut [0; 64]), Err(Fault::Timeout)));
}

proptest! {
    /// Any mix of synchronous, posted, polled, abandoned and batched requests, with completions at any moment: every
    /// answer belongs to its request, buffers live exactly until the device is done, the rings never overflow (the device
    /// asserts it).
    #[test]
    fn any_mix_keeps_requests_and_buffers_apart(depth in 2_u16..12, steps in prop::collection::vec(0_u8..6, 1..200)) {
        let (queue, device) = started(depth);
        let mut tickets = Vec::new();
        let mut abandoned = Vec::new();
        for (step, number) in steps.into_iter().zip((0..=u8::MAX).cycle()) {
            match step {
                0 | 1 => {
                    let fate = if step == 0 { Fate::Complete } else { Fate::Drop };
                    device.lock().fates.push_back(fate);
                    let (keep, gone) = buffer();
                    match queue.submit(&[number; 64], keep, LONG.deadline) {
                        Ok(ticket) => tickets.push((number, ticket, gone)),
                        Err(refusal) => {
                            prop_assert_eq!(refusal, Refusal::Full);
                            prop_assert!(is_gone(&gone));
                            device.lock().fates.pop_back();
                        }
                    }
                }
                2 => device.lock().release(Fate::Drop),
                3 => {
                    // A full queue would wait for ever here, as nobody else completes anything.
                    device.lock().release(Fate::Drop);
                    let mut sqes = [number; 64 * 5];
                    queue.execute_all(&mut sqes, &LONG).unwrap();
                    prop_assert_eq!(sqes, [!number; 64 * 5]);
                }
                4 if !tickets.is_empty() => {
                    let (_, ticket, gone) = tickets.remove(0);
                    drop(ticket);
                    abandoned.push(gone);
                }
                _ => {
                    let mut kept = Vec::new();
                    for (number, mut ticket, gone) in tickets.drain(..) {
                        prop_assert!(!is_gone(&gone));
                        let mut sqe = [0; 64];
                        match ticket.poll(&mut sqe).unwrap() {
                            Some(_) => prop_assert_eq!(sqe, [!number; 64]),
                            None => kept.push((number, ticket, gone)),
                        }
                    }
                    tickets = kept;
                }
            }
        }
        device.lock().release(Fate::Drop);
        queue.execute(&mut [0; 64], &LONG).unwrap();
        prop_assert!(abandoned.iter().all(|gone| is_gone(gone)));
        prop_assert_eq!(queue.in_flight(), 0);
        for (number, ticket, _) in tickets {
            let mut sqe = [0; 64];
            ticket.wait(&mut sqe, &LONG).unwrap();
            prop_assert_eq!(sqe, [!number; 64]);
        }
    }
}
