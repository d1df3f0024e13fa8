//! The four calls of a queue, and the two that only KAE has (uacce.md 3.2, 3.3).

use super::super::memory::ProcessMemory;
use super::super::model::{self, Model};
use super::super::profile::Kernel;
use super::super::queue::State;
use super::super::{ownership, ss, worker};
use super::{Found, Sys, attendant, await_rest, start};
use crate::engine::Memory as _;
use libc::c_int;

/// The kernel's own, for any descriptor.
const FIONBIO: u64 = 0x5421;
const START_Q: u64 = 0x5700;
const PUT_Q: u64 = 0x5701;
const SHARE_SVAS: u64 = 0x5702;
const GET_SS_DMA: u64 = 0x8008_5703;
const SET_QP_CTX: u64 = 0xC004_480A;
const SET_QP_INFO: u64 = 0xC010_480B;

fn user_memory() -> ProcessMemory {
    ProcessMemory::new(model::note)
}

/// `ioctl` on a queue.
pub fn ioctl(found: &Found, request: u64, arg: u64) -> Sys<c_int> {
    let queue = &found.queue;
    let model = model::peek().ok_or(libc::ENXIO)?;
    let (kernel, kae) = (model.profile.kernel, model.profile.kae());
    if request & 0xffff_ffff == FIONBIO {
        let mut on = [0u8; 4];
        user_memory().read(arg, &mut on).map_err(|_| libc::EFAULT)?;
        queue.slot.set_nonblocking(if on == [0; 4] { 0 } else { libc::O_NONBLOCK });
        return Ok(0);
    }
    // old kernels hand the request to the driver whatever the state
    if queue.state() == State::Zombie && kernel != Kernel::Old {
        return Err(libc::ENXIO);
    }
    // the kernel takes an unsigned int
    match request & 0xffff_ffff {
        START_Q => start_q(found, model),
        PUT_Q => put_q(found, model),
        SHARE_SVAS if kae => ss::calls::share(found, arg as c_int),
        GET_SS_DMA if kae => ss::calls::get_dma(found, model, &user_memory(), arg),
        SET_QP_CTX => {
            let mut structure = [0u8; 4];
            user_memory().read(arg, &mut structure).map_err(|_| libc::EFAULT)?;
            let qc_type = u16::from_le_bytes([structure[2], structure[3]]);
            if qc_type > if kae || kernel == Kernel::Old { 1 } else { 2 } {
                return Err(libc::EINVAL);
            }
            if queue.slot.epoch() == queue.epoch {
                queue.slot.set_qc_type(qc_type);
            }
            structure[..2].copy_from_slice(&queue.number.to_le_bytes());
            user_memory().write(arg, &structure).map_err(|_| libc::EFAULT)?;
            Ok(0)
        }
        SET_QP_INFO if model.profile.qp_info => {
            let mut structure = [0u8; 16];
            user_memory().read(arg, &mut structure).map_err(|_| libc::EFAULT)?;
            structure[..4].copy_from_slice(&(queue.kind.sqe_size() as u32).to_le_bytes());
            structure[4..6].copy_from_slice(&queue.depth.to_le_bytes());
            structure[6..8].copy_from_slice(&queue.depth.to_le_bytes());
            user_memory().write(arg, &structure).map_err(|_| libc::EFAULT)?;
            Ok(0)
        }
        _ => Err(libc::EINVAL),
    }
}

fn start_q(found: &Found, model: &'static Model) -> Sys<c_int> {
    let queue = &found.queue;
    if queue.state() != State::Init {
        return Err(libc::EINVAL);
    }
    if !found.inherited {
        return start(queue, model).map(|()| 0);
    }
    if model::alive(queue.slot.owner()) {
        return attendant::ask(queue, model).map(|()| 0);
    }
    let Found { queue, .. } = found;
    model.dir.log(&format!(
        "{} queue {}: started without the process that opened it: its address space is gone, nothing will complete",
        queue.name, queue.number
    ));
    if queue.change_state(State::Init, State::Started) { Ok(0) } else { Err(libc::EINVAL) }
}

fn put_q(found: &Found, model: &'static Model) -> Sys<c_int> {
    let queue = &found.queue;
    let after = if model.profile.kernel == Kernel::Newest { State::Init } else { State::Zombie };
    match queue.state() {
        State::Zombie => return Ok(0), // old kernels only
        State::Init if after == State::Init => return Ok(0),
        State::Init => {
            queue.change_state(State::Init, after);
        }
        State::Started if found.inherited => {
            // the device thread is another process's: it sees the state, and is waited for
            queue.slot.deafen();
            if queue.change_state(State::Started, after) {
                queue.slot.wake();
                await_rest(queue);
            }
        }
        State::Started => {
            // the thread drains while the state still says started, then nothing runs any more
            worker::stop(queue);
            queue.change_state(State::Started, after);
        }
    }
    if after == State::Zombie {
        // the hardware queue is anybody's from here on
        ownership::let_go(found.fd);
    }
    Ok(0)
}
