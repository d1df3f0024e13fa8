//! Paired measurements: our zlib library against the one it replaces, call by call in one process.
//!
//! The machine's speed drifts, so each round times both libraries one right after the other, in alternating order,
//! and only the ratio of a round counts. Printed: the median ratio and, for claims of "not slower", the lower bound
//! of its 95 % confidence interval (order statistics of the median).

mod pairing;
mod zlib;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let ours = arguments.next().context("usage: warpdrive-bench OUR-LIBRARY THEIR-LIBRARY")?;
    let theirs = arguments.next().context("usage: warpdrive-bench OUR-LIBRARY THEIR-LIBRARY")?;
    let ours = zlib::Library::open(&ours)?;
    let theirs = zlib::Library::open(&theirs)?;
    println!("ours: zlib {}, theirs: zlib {}; ratio > 1: ours is faster", ours.version(), theirs.version());
    println!("{:34} {:>10} {:>10} {:>8} {:>8}", "call, size", "ours µs", "theirs µs", "ratio", "low 95%");
    for size in [256, 1024, 16 << 10, 256 << 10, 1 << 20] {
        let data = zlib::text(size);
        for level in [1, 6, 9] {
            let mut run = |library: &zlib::Library| library.compress(&data, level).map(drop);
            pairing::row(&format!("compress2 level {level}, {size} B"), &ours, &theirs, &mut run)?;
        }
        let packed = theirs.compress(&data, 6)?;
        let mut run = |library: &zlib::Library| {
            anyhow::ensure!(library.uncompress(&packed, size)? == data, "wrong bytes");
            Ok(())
        };
        pairing::row(&format!("uncompress, {size} B"), &ours, &theirs, &mut run)?;
    }
    Ok(())
}
