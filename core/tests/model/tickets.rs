//! Requests that are waited for by descriptor, on queues that the model polls as the kernel does: a completion is shown
//! to one poller.
#![allow(unsafe_code, reason = "epoll_wait, as an event loop calls it")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use warpdrive_core::qm::{self, Patience};
use warpdrive_core::uacce::{Kind, sysfs};

use crate::{count, with_model};

const THREADS: u32 = 4;
const EACH: u32 = 60;
const DEADLINE: Duration = Duration::from_secs(100);

#[test]
fn tickets_of_several_threads_are_waited_for_by_descriptor() {
    for profile in ["kunpeng920", "kunpeng930"] {
        let (_, model) = with_model("tickets::by_descriptor", profile, &[]);
        let expected = u64::from((THREADS + 1) * EACH + 2);
        assert_eq!(count(&model, "zip.decompress.executed"), expected, "{profile}");
        assert_eq!(count(&model, "refused"), 0, "{profile}");
    }
}

/// A bypass request: stateful decompression of nothing into 16 bytes, which completes without doing anything
/// (zip.md 11).
fn nothing(generation: u32) -> [u8; 128] {
    let kind = if generation <= 2 { 0 } else { 3 << 28 };
    let mut sqe = [0; 128];
    for (at, word) in [(0x1C, kind | 1 << 26), (0x24, 2u32), (0x38, 0x10), (0x58, 0x1000)] {
        sqe[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    sqe
}

/// Whether an event loop is told that `fd` is ready, within a time that only a lost wake-up exceeds.
fn told(fd: i32) -> bool {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event.
    let ready = unsafe { libc::epoll_wait(fd, &raw mut event, 1, 60_000) };
    ready == 1 || (ready < 0 && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted)
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn by_descriptor() {
    let root = Path::new("/sys/class/uacce");
    let devices: Vec<_> = sysfs::scan(root).unwrap().iter().filter_map(|entry| entry.device(root)).collect();
    let device = devices.iter().find(|device| device.kind == Kind::Zip).unwrap();
    let request = nothing(device.generation);
    let (queue, memory) = qm::open_shared(device, 1).unwrap();
    let queue = Arc::new(queue);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..EACH {
                    let keep = Box::new((thread, number));
                    let mut ticket = queue.submit(&request, keep, DEADLINE).unwrap();
                    let fd = ticket.wait_fd().unwrap();
                    let mut sqe = [0; 128];
                    let kept = loop {
                        assert!(told(fd), "a lost wake-up");
                        if let Some(kept) = ticket.poll(&mut sqe).unwrap() {
                            break kept;
                        }
                    };
                    assert_eq!(sqe, request);
                    assert_eq!(*kept.downcast::<(u32, u32)>().unwrap(), (thread, number));
                }
            });
        }
        // Beside them, one that sleeps in poll and takes the hints.
        let patience = Patience { deadline: DEADLINE, spin: qm::Spin::Short };
        for _ in 0..EACH {
            let mut sqe = request;
            queue.execute(&mut sqe, &patience).unwrap();
            assert_eq!(sqe, request);
        }
    });
    // One that nobody waits for is reaped by the next who comes by.
    drop(queue.submit(&request, Box::new(()), DEADLINE).unwrap());
    queue.execute(&mut request.clone(), &Patience::learned(DEADLINE)).unwrap();
    assert_eq!(queue.in_flight(), 0);
    drop(queue);
    drop(memory);
}
