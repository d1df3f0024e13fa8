//! A descriptor that tells one request's caller to look.
//!
//! UNSAFE: eventfd and epoll have no safe interface in the standard library.

use std::os::fd::RawFd;
use std::ptr;

use super::{Held, last_errno};

/// An event of one request, united by epoll with the descriptor of its queue. Level-triggered: what was signalled
/// stays readable.
#[derive(Debug)]
pub struct Wakeup {
    // The set goes before its members.
    set: Held,
    event: Held,
}

impl Wakeup {
    /// Not signalled; readable also whenever `queue` is, if that is given.
    ///
    /// # Errors
    /// The errno: EMFILE and the like.
    pub fn new(queue: Option<RawFd>) -> Result<Wakeup, i32> {
        // SAFETY: no pointers; a refusal is a negative number.
        let set = opened(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: as above.
        let event = opened(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        for fd in [Some(event.fd), queue].into_iter().flatten() {
            let mut interest = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
            // SAFETY: one epoll_event, borrowed for the call.
            if unsafe { libc::epoll_ctl(set.fd, libc::EPOLL_CTL_ADD, fd, ptr::from_mut(&mut interest)) } != 0
            {
                return Err(last_errno());
            }
        }
        Ok(Wakeup { set, event })
    }

    /// What to poll. It belongs to this object.
    pub fn descriptor(&self) -> RawFd {
        self.set.fd
    }

    /// Makes the descriptor readable for good.
    pub fn signal(&self) {
        if self.event.is_ours() {
            let one = 1_u64.to_ne_bytes();
            // SAFETY: eight bytes are read from a buffer of eight. The counter cannot overflow: one signal per request.
            unsafe { libc::write(self.event.fd, one.as_ptr().cast(), one.len()) };
        }
    }
}

fn opened(fd: RawFd) -> Result<Held, i32> {
    if fd < 0 { Err(last_errno()) } else { Held::new(fd) }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, Write};
    use std::os::fd::AsRawFd;

    use super::*;

    fn readable(fd: RawFd) -> bool {
        let mut set = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, borrowed for the call.
        unsafe { libc::poll(&mut set, 1, 0) == 1 }
    }

    impl Wakeup {
        /// Whether a poller would be told to look, now.
        pub(crate) fn is_readable(&self) -> bool {
            readable(self.descriptor())
        }
    }

    #[test]
    fn readable_by_its_event_and_by_its_queue() {
        let (reader, mut writer): (PipeReader, PipeWriter) = std::io::pipe().unwrap();
        let own = Wakeup::new(Some(reader.as_raw_fd())).unwrap();
        let other = Wakeup::new(None).unwrap();
        assert!(!readable(own.descriptor()) && !readable(other.descriptor()));
        writer.write_all(b"x").unwrap();
        assert!(readable(own.descriptor()) && !readable(other.descriptor()));
        other.signal();
        assert!(readable(other.descriptor()));
        assert!(readable(other.descriptor()), "a look takes nothing away");
    }

    #[test]
    fn queue_without_a_descriptor_is_an_errno() {
        assert_eq!(Wakeup::new(Some(-1)).unwrap_err(), libc::EBADF);
    }
}
