//! Waiting on descriptors of which some are queues: poll, select, epoll, each with the kernel's edge (uacce.md 3.5).
//!
//! UNSAFE: C entry points; pointers are the caller's, as the C library documents them.
#![allow(unsafe_code)]

use super::fds::{guarded, queue};
use crate::front::model::{self, Forkable};
use crate::front::nodes::{self, DEVICE_FDS, Found};
use crate::sys::{self, FdSet, next};
use libc::{c_int, epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};
use std::time::{Duration, Instant};

/// Whether a poll has anything to do with a queue.
unsafe fn concerns_queues(fds: *const pollfd, n: nfds_t) -> bool {
    if fds.is_null() {
        return false;
    }
    // SAFETY: the caller's array of `n` records.
    let records = unsafe { std::slice::from_raw_parts(fds, n as usize) };
    records.iter().any(|record| DEVICE_FDS.contains(record.fd)) && !model::in_vfork_child()
}

/// Polls with queues among the descriptors; `wait` is the real call.
unsafe fn poll_queues(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: Option<Duration>,
    wait: impl FnMut(&mut [pollfd], Option<Duration>) -> c_int,
) -> c_int {
    // SAFETY: the caller's array of `n` records, not null (checked by `concerns_queues`).
    let records = unsafe { std::slice::from_raw_parts_mut(fds, n as usize) };
    let saved = sys::errno();
    let result = guarded(|| Ok(nodes::poll(records, timeout, wait)));
    match result {
        Ok(count) if count >= 0 => sys::set_errno(saved),
        Ok(_) => {}
        Err(errno) => sys::set_errno(errno),
    }
    result.unwrap_or(-1)
}

/// A time-out in milliseconds, rounded up so that the last one is slept and not spun.
fn milliseconds(left: Option<Duration>) -> c_int {
    left.map_or(-1, |d| d.as_micros().div_ceil(1000).min(i32::MAX as u128) as c_int)
}

fn limit(timeout: c_int) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

unsafe fn span(timeout: *const timespec) -> Option<Duration> {
    // SAFETY: null or the caller's record.
    unsafe { timeout.as_ref() }
        .map(|t| Duration::from_secs(t.tv_sec.max(0) as u64) + Duration::from_nanos(t.tv_nsec.max(0) as u64))
}

fn ppoll_for(records: &mut [pollfd], left: Option<Duration>, mask: *const sigset_t) -> c_int {
    let left = left.map(|d| timespec { tv_sec: d.as_secs() as _, tv_nsec: d.subsec_nanos() as _ });
    let left = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: a slice of records, a local time-out, the caller's mask.
    unsafe { next::ppoll(records.as_mut_ptr(), records.len() as nfds_t, left, mask) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        if !concerns_queues(fds, n) {
            return next::poll(fds, n, timeout);
        }
        poll_queues(fds, n, limit(timeout), |records, left| {
            next::poll(records.as_mut_ptr(), n, milliseconds(left))
        })
    }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __poll_chk(fds: *mut pollfd, n: nfds_t, timeout: c_int, room: size_t) -> c_int {
    if room / size_of::<pollfd>() < n as usize {
        sys::fatal(&[b"*** buffer overflow detected ***: terminated\n"]);
    }
    // SAFETY: the caller's arguments.
    unsafe { poll(fds, n, timeout) }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn ppoll(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        if !concerns_queues(fds, n) {
            return next::ppoll(fds, n, timeout, mask);
        }
        poll_queues(fds, n, span(timeout), |records, left| ppoll_for(records, left, mask))
    }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn __ppoll_chk(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    room: size_t,
) -> c_int {
    if room / size_of::<pollfd>() < n as usize {
        sys::fatal(&[b"*** buffer overflow detected ***: terminated\n"]);
    }
    // SAFETY: the caller's arguments.
    unsafe { ppoll(fds, n, timeout, mask) }
}

/// The queues and other descriptors of a `select` as records for poll; `None` if no queue is waited for.
unsafe fn as_records(n: c_int, sets: [*mut fd_set; 3]) -> Option<Vec<pollfd>> {
    const WANTED: [i16; 3] =
        [libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND, libc::POLLOUT | libc::POLLWRNORM, libc::POLLPRI];
    let mut records = Vec::new();
    let mut any = false;
    for fd in 0..n.clamp(0, libc::FD_SETSIZE as c_int) {
        let mut events = 0;
        for (set, wanted) in sets.into_iter().zip(WANTED) {
            // SAFETY: null or the caller's set, `fd` below its size.
            if !set.is_null() && unsafe { libc::FD_ISSET(fd, set) } {
                events |= wanted;
            }
        }
        if events != 0 {
            any |= DEVICE_FDS.contains(fd) && queue(fd).is_some();
            records.push(pollfd { fd, events, revents: 0 });
        }
    }
    any.then_some(records)
}

/// What `select` reports for the records' events.
unsafe fn report(records: &[pollfd], sets: [*mut fd_set; 3]) -> c_int {
    const FITS: [i16; 3] = [
        libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND | libc::POLLHUP | libc::POLLERR,
        libc::POLLOUT | libc::POLLWRNORM | libc::POLLERR,
        libc::POLLPRI,
    ];
    if records.iter().any(|record| record.revents & libc::POLLNVAL != 0) {
        sys::set_errno(libc::EBADF);
        return -1;
    }
    let mut count = 0;
    for record in records {
        for (set, fits) in sets.into_iter().zip(FITS) {
            // SAFETY: null or the caller's set, in which the descriptor was found.
            unsafe {
                if !set.is_null() && libc::FD_ISSET(record.fd, set) {
                    if record.revents & fits != 0 {
                        count += 1;
                    } else {
                        libc::FD_CLR(record.fd, set);
                    }
                }
            }
        }
    }
    count
}

#[unsafe(no_mangle)]
unsafe extern "C" fn select(
    n: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        let sets = [read, write, except];
        let Some(mut records) = as_records(n, sets) else {
            return next::select(n, read, write, except, timeout);
        };
        let wanted = timeout.as_ref().map(|t| {
            Duration::from_secs(t.tv_sec.max(0) as u64) + Duration::from_micros(t.tv_usec.max(0) as u64)
        });
        let begun = Instant::now();
        let count = records.len() as nfds_t;
        let result = poll_queues(records.as_mut_ptr(), count, wanted, |records, left| {
            next::poll(records.as_mut_ptr(), count, milliseconds(left))
        });
        if let (Some(place), Some(wanted)) = (timeout.as_mut(), wanted) {
            let left = wanted.saturating_sub(begun.elapsed());
            *place = timeval { tv_sec: left.as_secs() as _, tv_usec: left.subsec_micros() as _ };
        }
        if result < 0 { result } else { report(&records, sets) }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pselect(
    n: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        let sets = [read, write, except];
        let Some(mut records) = as_records(n, sets) else {
            return next::pselect(n, read, write, except, timeout, mask);
        };
        let count = records.len() as nfds_t;
        let result = poll_queues(records.as_mut_ptr(), count, span(timeout), |records, left| {
            ppoll_for(records, left, mask)
        });
        if result < 0 { result } else { report(&records, sets) }
    }
}

/// A queue in an epoll set.
struct Member {
    set: c_int,
    fd: c_int,
    wanted: u32,
    data: u64,
    /// It was reported and level-triggered: the next wait asks it again.
    listed: bool,
}

/// Sets that hold queues.
static SETS: FdSet = FdSet::new();
static MEMBERS: Forkable<Vec<Member>> = Forkable::new(Vec::new());

/// Marks the data of a queue's registration, together with its descriptor.
const MARK: u64 = 0x7764_6d71_0000_0000;

fn members<R>(f: impl FnOnce(&mut Vec<Member>) -> R) -> R {
    MEMBERS.with(f)
}

/// A descriptor is closed: as a set, or as a member of sets.
pub(super) fn closed(fd: c_int, member: bool) {
    if member || SETS.contains(fd) {
        members(|all| all.retain(|m| m.set != fd && !(member && m.fd == fd)));
        SETS.remove(fd);
    }
}

fn ready(found: &Found, wanted: u32) -> bool {
    let kae = model::peek().is_some_and(|m| m.profile.kae());
    wanted & (libc::EPOLLIN | libc::EPOLLRDNORM) as u32 != 0 && found.queue.take_ready(kae)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_ctl(set: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    let found = if DEVICE_FDS.contains(fd) { queue(fd) } else { None };
    // SAFETY: the caller's arguments.
    unsafe {
        let (Some(found), false) = (found, event.is_null() && operation != libc::EPOLL_CTL_DEL) else {
            return next::epoll_ctl(set, operation, fd, event);
        };
        if operation == libc::EPOLL_CTL_DEL {
            members(|all| all.retain(|m| (m.set, m.fd) != (set, fd)));
            return next::epoll_ctl(set, operation, fd, event);
        }
        let (wanted, data) = ((*event).events, (*event).u64);
        // a queue never becomes writable
        let readable = wanted & !(libc::EPOLLOUT | libc::EPOLLWRNORM | libc::EPOLLWRBAND) as u32;
        let mut marked = epoll_event { events: readable, u64: MARK | fd as u64 };
        let result = next::epoll_ctl(set, operation, fd, &mut marked);
        if result == 0 {
            // the kernel asks the queue here, which consumes what it has; interrupts so far had no one to wake
            found.queue.calm_from(fd);
            let listed = ready(&found, wanted);
            members(|all| {
                all.retain(|m| (m.set, m.fd) != (set, fd));
                all.push(Member { set, fd, wanted, data, listed });
            });
            SETS.insert(set);
        }
        result
    }
}

/// `epoll_wait` with queues in the set; `wait` is the real call with room and time-out.
unsafe fn wait_for(
    set: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: Option<Duration>,
    mut wait: impl FnMut(*mut epoll_event, c_int, Option<Duration>) -> c_int,
) -> c_int {
    let until = timeout.map(|t| Instant::now() + t);
    let saved = sys::errno();
    loop {
        let mut count = 0;
        let asked: Vec<(c_int, u32, u64)> = members(|all| {
            let listed = all.iter_mut().filter(|m| m.set == set && m.listed);
            let taken = listed.map(|m| {
                m.listed = false;
                (m.fd, m.wanted, m.data)
            });
            taken.collect()
        });
        let answer = |fd: c_int, wanted: u32, data: u64, count: &mut c_int| {
            let positive = queue(fd).is_some_and(|found| ready(&found, wanted));
            if positive && *count < room {
                let shown = wanted & (libc::EPOLLIN | libc::EPOLLRDNORM) as u32;
                // SAFETY: the caller's array of `room` records.
                unsafe { events.add(*count as usize).write(epoll_event { events: shown, u64: data }) };
                *count += 1;
                let level = wanted & (libc::EPOLLET | libc::EPOLLONESHOT) as u32 == 0;
                members(|all| {
                    all.iter_mut().filter(|m| (m.set, m.fd) == (set, fd)).for_each(|m| m.listed = level);
                });
            }
        };
        for (fd, wanted, data) in asked {
            answer(fd, wanted, data, &mut count);
        }
        let left = if count > 0 {
            Some(Duration::ZERO)
        } else {
            until.map(|u| u.saturating_duration_since(Instant::now()))
        };
        let mut more = 0;
        if count < room {
            // SAFETY: the rest of the caller's array.
            more = unsafe { wait(events.add(count as usize), room - count, left) };
        }
        if more < 0 {
            return if count > 0 { count } else { more };
        }
        // SAFETY: records that the call has just filled.
        let fresh: Vec<epoll_event> =
            (count..count + more).map(|n| unsafe { *events.add(n as usize) }).collect();
        for event in fresh {
            let (fd, data) = ((event.u64 & 0xffff_ffff) as c_int, event.u64);
            let member = members(|all| {
                let known = all.iter().find(|m| data & !0xffff_ffff == MARK && (m.set, m.fd) == (set, fd));
                known.map(|m| (m.wanted, m.data))
            });
            match member {
                Some((wanted, data)) => {
                    if let Some(found) = queue(fd) {
                        found.queue.calm_from(fd);
                    }
                    answer(fd, wanted, data, &mut count);
                }
                None => {
                    // SAFETY: `count` stays below the number of records filled.
                    unsafe { events.add(count as usize).write(event) };
                    count += 1;
                }
            }
        }
        if count > 0 || until.is_some_and(|u| Instant::now() >= u) {
            sys::set_errno(saved);
            return count;
        }
    }
}

fn concerns(set: c_int, room: c_int) -> bool {
    room > 0 && SETS.contains(set) && !model::in_vfork_child()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(set: c_int, events: *mut epoll_event, room: c_int, timeout: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        if !concerns(set, room) {
            return next::epoll_wait(set, events, room, timeout);
        }
        wait_for(set, events, room, limit(timeout), |at, room, left| {
            next::epoll_wait(set, at, room, milliseconds(left))
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_pwait(
    set: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        if !concerns(set, room) {
            return next::epoll_pwait(set, events, room, timeout, mask);
        }
        wait_for(set, events, room, limit(timeout), |at, room, left| {
            next::epoll_pwait(set, at, room, milliseconds(left), mask)
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_pwait2(
    set: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        if !concerns(set, room) {
            return next::epoll_pwait2(set, events, room, timeout, mask);
        }
        wait_for(set, events, room, span(timeout), |at, room, left| {
            next::epoll_pwait(set, at, room, milliseconds(left), mask)
        })
    }
}
