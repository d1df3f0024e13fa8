//! The device's way to the program's memory: system calls that answer a bad address with an error.
//!
//! UNSAFE: hands the program's addresses to the kernel, which checks them; no address is dereferenced here.
#![allow(unsafe_code)]

use crate::engine::{Fault, Memory};
use crate::sys::{self, HiddenFd};
use std::cell::OnceCell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes moved per step on the way through a bounce file.
const CHUNK: usize = 1 << 20;

/// The memory of the process in which the device thread runs.
///
/// `process_vm_readv`/`process_vm_writev` on the own process where they exist. Emulators do not implement them
/// and sandboxes may refuse them: then the bytes go through a memory file, where `pwrite` and `pread` answer a
/// bad address with `EFAULT` just as well.
pub struct ProcessMemory {
    pid: libc::pid_t,
    bounce: OnceCell<Option<HiddenFd>>,
    note: fn(&str),
}

/// The direct way was refused once in this process.
static CLOSED: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

fn bounce_file() -> Option<HiddenFd> {
    // SAFETY: a NUL-terminated name; the new descriptor is handed on.
    let fd = unsafe { libc::memfd_create(c"warpdrive-model-bounce".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 { None } else { HiddenFd::adopt(fd).ok() }
}

impl ProcessMemory {
    /// Access for the calling process. `note` receives a line if the direct way is closed.
    pub fn new(note: fn(&str)) -> ProcessMemory {
        ProcessMemory { pid: sys::pid(), bounce: OnceCell::new(), note }
    }

    fn direct(&self, direction: Direction, addr: u64, local: *mut u8, len: usize) -> io::Result<usize> {
        let here = libc::iovec { iov_base: local.cast(), iov_len: len };
        let there = libc::iovec { iov_base: addr as *mut libc::c_void, iov_len: len };
        // SAFETY: `local` is valid for `len` bytes in the needed direction (from the callers' slices); the
        // kernel checks `there`.
        let moved = unsafe {
            match direction {
                Direction::Read => libc::process_vm_readv(self.pid, &here, 1, &there, 1, 0),
                Direction::Write => libc::process_vm_writev(self.pid, &here, 1, &there, 1, 0),
            }
        };
        usize::try_from(moved).map_err(|_| io::Error::last_os_error())
    }

    fn through_file(
        &self,
        fd: libc::c_int,
        direction: Direction,
        addr: u64,
        local: *mut u8,
        len: usize,
    ) -> bool {
        let mut done = 0;
        while done < len {
            let n = (len - done).min(CHUNK);
            let there = (addr + done as u64) as *mut libc::c_void;
            // SAFETY: `local + done` is valid for `n` bytes; the kernel checks `there`.
            let moved = unsafe {
                let here = local.add(done).cast::<libc::c_void>();
                match direction {
                    Direction::Read => {
                        libc::pwrite(fd, there, n, 0) == n as isize
                            && libc::pread(fd, here, n, 0) == n as isize
                    }
                    Direction::Write => {
                        libc::pwrite(fd, here, n, 0) == n as isize
                            && libc::pread(fd, there, n, 0) == n as isize
                    }
                }
            };
            if !moved {
                return false;
            }
            done += n;
        }
        true
    }

    fn transfer(&self, direction: Direction, addr: u64, local: *mut u8, len: usize) -> Result<(), Fault> {
        let fault = Fault { addr, len };
        if len == 0 {
            return Ok(());
        }
        if addr.checked_add(len as u64).is_none() {
            return Err(fault);
        }
        if self.bounce.get().is_none() && !CLOSED.load(Ordering::Relaxed) {
            let mut done = 0;
            loop {
                // SAFETY: `done < len`, within the caller's slice.
                let at = unsafe { local.add(done) };
                match self.direct(direction, addr + done as u64, at, len - done) {
                    Ok(0) => return Err(fault),
                    Ok(n) => done += n,
                    Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                        if !CLOSED.swap(true, Ordering::Relaxed) {
                            (self.note)(&format!(
                                "process_vm access is not possible here ({e}): using a memory file"
                            ));
                        }
                        break;
                    }
                    Err(_) => return Err(fault),
                }
                if done == len {
                    return Ok(());
                }
            }
        }
        let file = self.bounce.get_or_init(|| {
            let file = bounce_file();
            if file.is_none() {
                (self.note)("no memory file either: every request that touches memory fails");
            }
            file
        });
        match file {
            Some(file) if self.through_file(file.number(), direction, addr, local, len) => Ok(()),
            _ => Err(fault),
        }
    }
}

impl Memory for ProcessMemory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.transfer(Direction::Read, addr, buf.as_mut_ptr(), buf.len())
    }
    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), Fault> {
        self.transfer(Direction::Write, addr, buf.as_ptr().cast_mut(), buf.len())
    }
    fn untouched(&self, addr: u64, len: usize) -> u64 {
        let page = sys::page_size() as u64;
        let first = addr / page * page;
        let Some(end) = addr.checked_add(len as u64) else { return 0 };
        let mut present = vec![0u8; (end - first).div_ceil(page) as usize];
        let at = first as *mut libc::c_void;
        // SAFETY: the vector has a byte for each page of the range; the kernel checks the range.
        match unsafe { libc::mincore(at, (end - first) as usize, present.as_mut_ptr()) } {
            0 if len > 0 => present.iter().filter(|flags| **flags & 1 == 0).count() as u64,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both_ways() -> [ProcessMemory; 2] {
        let direct = ProcessMemory::new(|_| ());
        let bounced = ProcessMemory::new(|_| ());
        assert!(bounced.bounce.set(bounce_file()).is_ok());
        [direct, bounced]
    }

    #[test]
    fn own_memory_is_reached_and_a_bad_address_is_a_fault() {
        for memory in both_ways() {
            let source: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
            let mut copy = vec![0u8; source.len()];
            memory.read(source.as_ptr() as u64, &mut copy).unwrap();
            assert_eq!(copy, source);
            let mut target = [0u8; 100];
            memory.write(target.as_mut_ptr() as u64, &source[..100]).unwrap();
            assert_eq!(target[..], source[..100]);
            for addr in [0, 16, u64::MAX - 4, 1 << 63] {
                assert_eq!(memory.read(addr, &mut copy[..8]), Err(Fault { addr, len: 8 }));
                assert_eq!(memory.write(addr, &source[..8]), Err(Fault { addr, len: 8 }));
            }
            assert_eq!(memory.read(0, &mut []), Ok(()));
            // a read-only page can be read, and not written
            let constant = c"read only".as_ptr() as u64;
            assert_eq!(memory.read(constant, &mut copy[..4]), Ok(()));
            assert!(memory.write(constant, b"x").is_err());
        }
    }

    #[test]
    fn pages_are_untouched_until_somebody_writes_to_them() {
        let page = sys::page_size();
        // SAFETY: a new private mapping, not unmapped before the end of the process.
        let at = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), 8 * page, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        } as u64;
        let page = page as u64;
        let memory = ProcessMemory::new(|_| ());
        // Where pages are large, one touch may bring all of them.
        assert_eq!(memory.untouched(at, 8 * page as usize), 8);
        assert_eq!(memory.untouched(at + page - 1, 2), 2);
        memory.write(at + 3 * page, &[1]).unwrap();
        assert_eq!(memory.untouched(at + 3 * page + 5, 9), 0);
        assert!(memory.untouched(at, 8 * page as usize) < 8);
        assert_eq!((memory.untouched(at, 0), memory.untouched(u64::MAX, 2)), (0, 0));
    }
}
