//! UNSAFE: children of this process.
#![expect(unsafe_code)]

use anyhow::{Result, ensure};

/// A child that was forked and not yet waited for.
#[derive(Debug)]
pub struct Child(libc::pid_t);

/// Runs `life` in a forked child, whose exit status says whether it went well; the error is printed there.
pub fn fork(life: impl FnOnce() -> Result<()>) -> Result<Child> {
    // SAFETY: the child has one thread; it uses the allocator, which glibc keeps usable, and leaves by _exit.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error().into()),
        0 => {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life));
            let code = match result {
                Ok(Ok(())) => 0,
                Ok(Err(error)) => {
                    eprintln!("a child: {error:#}");
                    1
                }
                Err(_) => 2,
            };
            // SAFETY: no precondition; nothing of the parent's is torn down.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(Child(pid)),
    }
}

impl Child {
    /// Waits for the end, which must be a good one.
    pub fn wait(self) -> Result<()> {
        let mut status = 0;
        // SAFETY: a child of ours, waited for once.
        let pid = unsafe { libc::waitpid(self.0, &mut status, 0) };
        ensure!(pid == self.0, "waitpid: {}", std::io::Error::last_os_error());
        ensure!(status == 0, "a child ended with wait status {status:#x}");
        Ok(())
    }
}
