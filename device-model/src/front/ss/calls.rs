//! The system calls about SS regions: GET_SS_DMA, SHARE_SVAS, and what mmap and munmap do to the memory.

use super::super::model::Model;
use super::super::nodes::{self, Found, Sys};
use super::super::profile::Profile;
use super::super::queue::{self, Queue};
use super::region::{Attached, Region};
use super::slices::{Place, Slices};
use crate::engine::Memory;
use std::borrow::Cow;
use std::sync::Arc;

fn slices(profile: &Profile, queue: &Queue, turn: u64, len: u64) -> Slices {
    let place = Place { device: queue.device, queue: queue.number, turn };
    Slices::new(&profile.ss, profile.flags, place, len)
}

/// Gives the queue `len` bytes of DMA memory for the program to map; the file behind them.
pub fn attach(queue: &Queue, model: &Model, len: usize) -> Sys<libc::c_int> {
    if len as u64 > model.profile.ss.limit {
        return Err(libc::ENOMEM);
    }
    let turn = queue.slot.shared_ss().1 + 1;
    let region = Region::new(len, slices(&model.profile, queue, turn, len as u64));
    let region = Arc::new(region.map_err(|_| libc::ENOMEM)?);
    let file = region.fd();
    *queue.ss() = Some(Attached::Own(region));
    queue.slot.share_ss(len as u64, turn);
    Ok(file)
}

/// Takes the memory away; the device thread must have stopped.
pub fn detach(queue: &Queue) {
    queue.slot.share_ss(0, queue.slot.shared_ss().1);
    *queue.ss() = None;
}

/// GET_SS_DMA: the slice whose number is at `arg` goes there; how many follow it.
pub fn get_dma(found: &Found, model: &Model, memory: &dyn Memory, arg: u64) -> Sys<libc::c_int> {
    let queue = &found.queue;
    if queue.state() == queue::State::Zombie {
        return Err(libc::EINVAL);
    }
    // what came through fork is known by its length alone: the parent's lock and mapping are out of reach
    let own = if found.inherited { None } else { queue.ss().clone() };
    let known = match &own {
        Some(Attached::Own(region)) => Cow::Borrowed(region.slices()),
        Some(Attached::Shared(_)) => {
            model.dir.log(&format!("{}: GET_SS_DMA of a queue that only shares a region", queue.name));
            return Err(libc::EINVAL);
        }
        None => match queue.slot.shared_ss() {
            (0, _) => return Err(libc::EINVAL),
            (len, turn) => Cow::Owned(slices(&model.profile, queue, turn, len)),
        },
    };
    let mut word = [0u8; 8];
    memory.read(arg, &mut word).map_err(|_| libc::EFAULT)?;
    let index = u64::from_le_bytes(word);
    let slice = known.get(index).ok_or(libc::EINVAL)?;
    memory.write(arg, &slice.word().to_le_bytes()).map_err(|_| libc::EFAULT)?;
    Ok(known.count() as libc::c_int - 1 - index as libc::c_int)
}

/// SHARE_SVAS: the queue behind `fd` reaches this queue's region too.
pub fn share(found: &Found, fd: libc::c_int) -> Sys<libc::c_int> {
    let target = nodes::find(fd).ok_or(libc::EINVAL)?;
    let zombie = [found, &target].iter().any(|f| f.queue.state() == queue::State::Zombie);
    if zombie || found.inherited || target.inherited {
        return Err(libc::EINVAL);
    }
    let region = match &*found.queue.ss() {
        Some(Attached::Own(region)) => Arc::downgrade(region),
        _ => return Err(libc::EINVAL),
    };
    if !target.queue.mark_mapped(queue::Region::Ss) {
        return Err(libc::EINVAL);
    }
    *target.queue.ss() = Some(Attached::Shared(region));
    Ok(0)
}
