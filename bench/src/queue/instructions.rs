//! Fixed work for callgrind: so many requests of one thread, with a device that answers inside of the doorbell, or that
//! device alone. The difference is what the queue path needs.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use warpdrive_core::qm::doorbell::{Doorbell, Kind};
use warpdrive_core::qm::{Patience, QueuePair, Shared};

use crate::link::{DEPTH, Memory, SQE};

pub fn run(what: &str, count: u32) -> Result<()> {
    let (ring, link) = Memory::new()?.core(true)?;
    let patience = Patience::learned(Duration::from_secs(10));
    let mut sqe = [0x5A; SQE];
    match what {
        "device" => {
            for n in 1..=count {
                link.ring(Kind::Submission, (n % u32::from(DEPTH)) as u16);
            }
        }
        "execute" => {
            let queue = Shared::new(ring, link);
            for _ in 0..count {
                queue.execute(&mut sqe, &patience).map_err(|fault| anyhow!(fault))?;
            }
        }
        "submit-reap" => {
            let mut queue = QueuePair::new(ring, link);
            for _ in 0..count {
                queue.submit(&sqe).map_err(|refusal| anyhow!("{refusal:?}"))?;
                queue.reap(&mut sqe)?;
            }
        }
        _ => bail!("device, execute or submit-reap"),
    }
    Ok(())
}
