//! Who we are: told apart from our parent without a system call.
//!
//! What a process opened is useless in its children: their memory has no mapping of it. A process id does not tell a
//! child for certain (in a new PID namespace it can be its parent's), and asking for it is a system call. So one page,
//! made when the first device is met, is zeroed by the kernel in every child (MADV_WIPEONFORK, Linux 4.14); the child
//! writes a number of its own into it.

use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::race::OnceBox;

use crate::uacce::region::{Region, page_size};

/// A number that this process shares with none of its ancestors; never 0, the same for the life of the process.
///
/// The first call maps a page: do not ask before a device has been found. Where the kernel cannot zero it in children
/// the process id has to do.
pub fn identity() -> u64 {
    // Copied by a fork as it stands, so a child counts on from where its parent was.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let Some(word) = word() else { return u64::from(std::process::id()) };
    match word.load(Ordering::Relaxed) {
        0 => {
            let own = NEXT.fetch_add(1, Ordering::Relaxed);
            // Threads that ask at the same time agree on one number.
            word.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed)
                .map_or_else(|other| other, |_| own)
        }
        own => own,
    }
}

/// The word that is zero in a child which has not asked yet; `None` where the kernel cannot do that.
fn word() -> Option<&'static AtomicU64> {
    static PAGE: OnceBox<Option<Region>> = OnceBox::new();
    let page = PAGE.get_or_init(|| Box::new(Region::wiped_on_fork(page_size()).ok()));
    page.as_ref()?.atomic_u64(0)
}

/// The process that opened something, recognised by one load.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    word: Option<&'static AtomicU64>,
    identity: u64,
}

impl Owner {
    /// This process; as [`identity`].
    pub fn here() -> Owner {
        Owner { identity: identity(), word: word() }
    }

    /// Whether this is the process that runs.
    #[inline]
    pub fn is_here(&self) -> bool {
        match self.word {
            Some(word) => word.load(Ordering::Relaxed) == self.identity,
            None => identity() == self.identity,
        }
    }

    /// Some other process.
    #[cfg(test)]
    pub(crate) fn elsewhere() -> Owner {
        Owner { identity: u64::MAX, ..Owner::here() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;

    #[test]
    fn children_and_grandchildren_are_told_apart_and_threads_are_not() {
        let own = identity();
        assert_ne!(own, 0);
        assert_eq!(std::thread::spawn(identity).join().unwrap(), own);
        assert!(in_child(|| {
            let child = identity();
            let agreed = identity() == child && std::thread::spawn(identity).join().unwrap() == child;
            agreed && child != own && in_child(|| identity() != child && identity() != own)
        }));
        assert_eq!(identity(), own);
    }

    #[test]
    fn owner_is_told_from_its_children_whether_they_have_asked_or_not() {
        let owner = Owner::here();
        assert!(owner.is_here() && !Owner::elsewhere().is_here());
        assert!(in_child(|| !owner.is_here() && Owner::here().is_here() && !owner.is_here()));
        assert!(owner.is_here());
    }

    #[test]
    fn page_is_zero_in_a_child_alone() {
        let page = Region::wiped_on_fork(page_size()).unwrap();
        let word = page.atomic_u64(0).unwrap();
        word.store(7, Ordering::Relaxed);
        assert!(in_child(|| word.load(Ordering::Relaxed) == 0));
        assert_eq!(word.load(Ordering::Relaxed), 7);
    }
}
