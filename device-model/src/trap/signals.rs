//! The SIGSEGV handler that turns faulting stores into doorbells, and the program's own view of that signal.
//!
//! Once a doorbell page is mapped, SIGSEGV is handled here. What the program installs for it is kept aside and
//! called for every fault that is not a doorbell; nobody can block the signal, because a fault while SIGSEGV is
//! blocked kills the process.
//!
//! UNSAFE: reads and changes the interrupted thread's registers; replaces signal actions. The handler uses only
//! atomics and system calls.
#![allow(unsafe_code)]

use super::{Decoded, Effect, Source};
use crate::front::model;
use crate::front::ports::{self, Store};
use crate::sys::{self, Handler, next};
use libc::{c_int, c_void, siginfo_t, sigset_t, ucontext_t};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

static INSTALLED: AtomicBool = AtomicBool::new(false);
/// What the program wants done about SIGSEGV: a leaked record, replaced as a whole.
static PROGRAM: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());

/// Takes SIGSEGV over, once, and makes sure that this thread does not block it.
pub fn install() {
    // SAFETY: all records are initialised; our handler has the SA_SIGINFO signature.
    unsafe {
        let mut only: sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut only);
        libc::sigaddset(&mut only, libc::SIGSEGV);
        next::pthread_sigmask(libc::SIG_UNBLOCK, &only, std::ptr::null_mut());
        let _guard = model::lock();
        if INSTALLED.load(Ordering::Acquire) {
            return;
        }
        let mut ours: libc::sigaction = std::mem::zeroed();
        ours.sa_sigaction = on_fault as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigemptyset(&mut ours.sa_mask);
        let mut before: libc::sigaction = std::mem::zeroed();
        next::sigaction(libc::SIGSEGV, std::ptr::null(), &mut before);
        PROGRAM.store(Box::leak(Box::new(before)), Ordering::Release);
        next::sigaction(libc::SIGSEGV, &ours, std::ptr::null_mut());
        INSTALLED.store(true, Ordering::Release);
    }
}

extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = sys::errno();
    // SAFETY: the kernel passes valid records to an SA_SIGINFO handler.
    unsafe {
        // a positive code: a real fault of this thread, not a signal that somebody sent
        if (*info).si_code > 0
            && let Some((port, offset)) = ports::find((*info).si_addr() as usize)
            && port.writable.load(Ordering::SeqCst)
        {
            if port.gone() && port.let_stores_through() {
                // done again, the store finds the file's end: the SIGBUS of a removed device
                sys::set_errno(errno);
                return;
            }
            let context = &mut *context.cast::<ucontext_t>();
            match machine::decode_at(context) {
                Some(decoded) => {
                    let value = narrowed(machine::value(context, decoded.source), decoded);
                    port.push(Store { offset: offset as u32, width: decoded.width, value });
                    machine::advance(context, decoded);
                    sys::set_errno(errno);
                    return;
                }
                None => undecodable(context),
            }
        }
        sys::set_errno(errno);
        chain(signal, info, context);
        sys::set_errno(errno);
    }
}

/// The value as it reaches memory: its low bytes, in the order that the instruction stores them.
fn narrowed(value: u64, decoded: Decoded) -> u64 {
    let unused = 64 - 8 * u32::from(decoded.width.min(8));
    match decoded.source {
        Source::Swapped(_) => value.swap_bytes() >> unused,
        _ => value << unused >> unused,
    }
}

/// Ends the process, naming the instruction: continuing would lose a doorbell silently.
fn undecodable(context: &ucontext_t) -> ! {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let code = machine::code(context);
    let mut text = [b' '; 48];
    for (n, byte) in code.iter().enumerate() {
        text[3 * n] = DIGITS[usize::from(byte >> 4)];
        text[3 * n + 1] = DIGITS[usize::from(byte & 15)];
    }
    let parts: [&[u8]; 3] = [
        b"warpdrive device model: cannot decode the store to a doorbell page: ",
        &text[..3 * code.len()],
        b"\n",
    ];
    if let Some(model) = model::peek() {
        model.dir.log_from_signal(&parts);
    }
    sys::fatal(&parts)
}

/// Does with a fault what the program wants done.
unsafe fn chain(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: PROGRAM holds a leaked record once we are installed; a handler in it has the signature that its
    // flags say, which is the program's promise to sigaction.
    unsafe {
        let wanted = PROGRAM.load(Ordering::Acquire);
        if wanted.is_null() {
            return;
        }
        let action = *wanted;
        let default = || {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = libc::SIG_DFL;
            action
        };
        if action.sa_sigaction == libc::SIG_DFL || action.sa_sigaction == libc::SIG_IGN {
            if action.sa_sigaction == libc::SIG_IGN && (*info).si_code <= 0 {
                return;
            }
            // the instruction faults again, or the signal is sent again, and ends the process as it should
            next::sigaction(signal, &default(), std::ptr::null_mut());
            if (*info).si_code <= 0 {
                libc::raise(signal);
            }
            return;
        }
        if action.sa_flags & libc::SA_RESETHAND != 0 {
            PROGRAM.store(RESET.get(), Ordering::Release);
        }
        let mut before: sigset_t = std::mem::zeroed();
        next::pthread_sigmask(libc::SIG_BLOCK, &action.sa_mask, &mut before);
        if action.sa_flags & libc::SA_NODEFER != 0 {
            let mut only: sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut only);
            libc::sigaddset(&mut only, signal);
            next::pthread_sigmask(libc::SIG_UNBLOCK, &only, std::ptr::null_mut());
        }
        if action.sa_flags & libc::SA_SIGINFO != 0 {
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                std::mem::transmute(action.sa_sigaction);
            handler(signal, info, context);
        } else {
            let handler: extern "C" fn(c_int) = std::mem::transmute(action.sa_sigaction);
            handler(signal);
        }
        next::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
    }
}

/// A record that says SIG_DFL, for SA_RESETHAND.
struct Reset(std::cell::UnsafeCell<std::mem::MaybeUninit<libc::sigaction>>);
// SAFETY: never written; all-zero means SIG_DFL.
unsafe impl Sync for Reset {}
impl Reset {
    fn get(&self) -> *mut libc::sigaction {
        self.0.get().cast()
    }
}
static RESET: Reset = Reset(std::cell::UnsafeCell::new(std::mem::MaybeUninit::zeroed()));

/// The program's `sigaction`.
///
/// # Safety
/// Pointers are null or valid, as for `sigaction`.
pub unsafe fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    // SAFETY: the caller's pointers; our copy is a local.
    unsafe {
        let mut wanted = std::mem::MaybeUninit::<libc::sigaction>::uninit();
        let mut new = new;
        if !new.is_null() {
            wanted.write(*new);
            libc::sigdelset(&mut (*wanted.as_mut_ptr()).sa_mask, libc::SIGSEGV);
            new = wanted.as_ptr();
        }
        if signal != libc::SIGSEGV || !INSTALLED.load(Ordering::Acquire) {
            return next::sigaction(signal, new, old);
        }
        let present = PROGRAM.load(Ordering::Acquire);
        if !new.is_null() {
            PROGRAM.store(Box::leak(Box::new(*new)), Ordering::Release);
        }
        if !old.is_null() {
            *old = *present;
        }
        0
    }
}

/// The program's `signal` for SIGSEGV, with the flags that the flavour implies; `None` if it is not ours.
///
/// # Safety
/// `handler` is a handler or one of the SIG constants.
pub unsafe fn signal(signal: c_int, handler: Handler, flags: c_int) -> Option<Handler> {
    if signal != libc::SIGSEGV || !INSTALLED.load(Ordering::Acquire) {
        return None;
    }
    // SAFETY: local records.
    unsafe {
        let mut new: libc::sigaction = std::mem::zeroed();
        new.sa_sigaction = handler;
        new.sa_flags = flags;
        let mut old: libc::sigaction = std::mem::zeroed();
        sigaction(signal, &new, &mut old);
        Some(old.sa_sigaction)
    }
}

/// A signal mask of the program without SIGSEGV: `copy` is filled, and returned unless `set` is null.
///
/// # Safety
/// `set` is null or valid.
pub unsafe fn without_faults(
    how: c_int,
    set: *const sigset_t,
    copy: &mut std::mem::MaybeUninit<sigset_t>,
) -> *const sigset_t {
    if set.is_null() || how == libc::SIG_UNBLOCK {
        return set;
    }
    // SAFETY: the caller's set is valid.
    unsafe {
        copy.write(*set);
        libc::sigdelset(copy.as_mut_ptr(), libc::SIGSEGV);
    }
    copy.as_ptr()
}

#[cfg(target_arch = "x86_64")]
mod machine {
    use super::*;

    const ORDER: [c_int; 16] = [
        libc::REG_RAX,
        libc::REG_RCX,
        libc::REG_RDX,
        libc::REG_RBX,
        libc::REG_RSP,
        libc::REG_RBP,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
    ];

    fn register(context: &ucontext_t, number: u8) -> u64 {
        context.uc_mcontext.gregs[ORDER[usize::from(number & 15)] as usize] as u64
    }

    /// Up to 15 bytes at the instruction pointer, without reading into a page that it may not reach.
    pub fn code(context: &ucontext_t) -> &'static [u8] {
        let at = context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
        let len = 15.min(4096 - at % 4096);
        // SAFETY: the processor has just fetched an instruction there; the length stays in its page.
        unsafe { std::slice::from_raw_parts(at as *const u8, len) }
    }

    /// Decodes the interrupted instruction.
    pub fn decode_at(context: &ucontext_t) -> Option<Decoded> {
        let code = code(context);
        let decoded = crate::trap::x86_64::decode(code).ok();
        if decoded.is_some() || code.len() == 15 {
            return decoded;
        }
        // it may go on in the next page; then that page was fetched, too
        let at = code.as_ptr();
        let mut bytes = [0u8; 15];
        for n in 0..bytes.len() {
            // SAFETY: bytes up to the end of the instruction are mapped; decoding stops there.
            bytes[n] = unsafe { at.add(n).read_volatile() };
            if let Ok(decoded) = crate::trap::x86_64::decode(&bytes[..=n]) {
                return Some(decoded);
            }
        }
        None
    }

    pub fn value(context: &ucontext_t, source: Source) -> u64 {
        let vector = |number: u8, half: usize| {
            // SAFETY: on x86-64 the kernel always passes the floating-point state.
            let state = unsafe { &*context.uc_mcontext.fpregs };
            let xmm = state._xmm[usize::from(number & 15)].element;
            u64::from(xmm[2 * half]) | u64::from(xmm[2 * half + 1]) << 32
        };
        match source {
            Source::General(number) => register(context, number),
            Source::HighByte(number) => register(context, number) >> 8,
            Source::Swapped(number) => register(context, number),
            Source::VectorLow(number) => vector(number, 0),
            Source::VectorHigh(number) => vector(number, 1),
            Source::Constant(value) => value,
        }
    }

    pub fn advance(context: &mut ucontext_t, decoded: Decoded) {
        let gregs = &mut context.uc_mcontext.gregs;
        gregs[libc::REG_RIP as usize] += i64::from(decoded.length);
        match decoded.effect {
            Effect::Nothing => {}
            Effect::Add(number, delta) => gregs[ORDER[usize::from(number & 15)] as usize] += delta,
            Effect::Zero(number, width) => {
                let register = &mut gregs[ORDER[usize::from(number & 15)] as usize];
                // a 32-bit result clears the upper half as well
                *register = if width >= 4 { 0 } else { *register & !0xffff };
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod machine {
    use super::*;

    /// Header of a record in the context's reserved area.
    #[repr(C)]
    struct Record {
        magic: u32,
        size: u32,
    }
    const FPSIMD_MAGIC: u32 = 0x4650_8001;

    /// The instruction at the program counter.
    pub fn code(context: &ucontext_t) -> &'static [u8] {
        // SAFETY: the processor has just fetched these four bytes.
        unsafe { std::slice::from_raw_parts(context.uc_mcontext.pc as *const u8, 4) }
    }

    /// Decodes the interrupted instruction.
    pub fn decode_at(context: &ucontext_t) -> Option<Decoded> {
        let code = code(context);
        crate::trap::aarch64::decode(u32::from_le_bytes([code[0], code[1], code[2], code[3]]))
    }

    fn vector(context: &ucontext_t, number: u8, half: usize) -> u64 {
        // the reserved area follows the general registers, aligned to 16 bytes: records until size 0
        let start = (&raw const context.uc_mcontext).cast::<u8>();
        let mut at = start as usize + std::mem::offset_of!(libc::mcontext_t, pstate) + 8;
        at = at.next_multiple_of(16);
        let end = start as usize + size_of::<libc::mcontext_t>();
        while at + size_of::<Record>() < end {
            // SAFETY: inside the context by the loop's condition; the kernel keeps records 16-byte aligned.
            let record = unsafe { &*(at as *const Record) };
            if record.magic == FPSIMD_MAGIC {
                // SAFETY: fpsr and fpcr follow the header, then 32 registers of 16 bytes.
                return unsafe { *((at + 16 + 16 * usize::from(number & 31) + 8 * half) as *const u64) };
            }
            if record.size == 0 {
                break;
            }
            at += record.size as usize;
        }
        0
    }

    pub fn value(context: &ucontext_t, source: Source) -> u64 {
        match source {
            Source::General(number) | Source::HighByte(number) | Source::Swapped(number) => {
                context.uc_mcontext.regs.get(usize::from(number)).copied().unwrap_or(0)
            }
            Source::VectorLow(number) => vector(context, number, 0),
            Source::VectorHigh(number) => vector(context, number, 1),
            Source::Constant(value) => value,
        }
    }

    pub fn advance(context: &mut ucontext_t, decoded: Decoded) {
        context.uc_mcontext.pc += u64::from(decoded.length);
        if let Effect::Add(number, delta) = decoded.effect {
            let registers = &mut context.uc_mcontext;
            let base = match usize::from(number) {
                31 => &mut registers.sp,
                n => &mut registers.regs[n],
            };
            *base = base.wrapping_add_signed(delta);
        }
    }
}
