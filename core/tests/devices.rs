//! The whole core through its public interface, on whatever devices the process sees: with the device model
//! preloaded they serve, without any the gate says `NoDevice`. One test, so that nothing else of this process
//! counts while it compares its counters with the model's.
//!
//! On the model: `CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="env WARPDRIVE_MODEL_DIR=$(mktemp -d)
//! LD_PRELOAD=$PWD/target/debug/libwarpdrive_device_model.so" cargo test -p warpdrive-core --test devices`

use std::path::PathBuf;

use warpdrive_core::engine::{cipher, zip};
use warpdrive_core::uacce::Kind;
use warpdrive_core::{Op, Runtime, Why, stats};

/// Whether the model has a fault plan: then software may serve any request, for a reason that faults give,
/// and what a device did serve must still be right.
fn faulty() -> bool {
    std::env::var_os("WARPDRIVE_MODEL_FAULTS").is_some()
}

#[track_caller]
fn check(result: Result<(), Why>, expected: Result<(), Why>) {
    let by_fault =
        matches!(result, Err(Why::Failed(_) | Why::Tripped | Why::AllBusy | Why::NoDevice | Why::Forked));
    if !(faulty() && by_fault) {
        assert_eq!(result, expected);
    }
}

/// Text that compresses, `len` bytes of it.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| b"the quick brown fox jumps over the lazy dog. "[(i * i / 7 + i) % 45]).collect()
}

/// Compresses on a device and back; `None` for both if one of them was served in software.
fn zip_round_trip(format: zip::Format, input: &[u8]) -> Result<(), Why> {
    let gate = Runtime::get().gate();
    let mut packed = vec![0; zip::Stream::compress_bound(input.len())];
    let job = zip::job(format, zip::Direction::Compress, input.len(), true);
    let outcome = gate.run(
        job,
        &mut packed,
        |packed, lease| zip::compress(lease, format, input, packed).map(Ok),
        |_, why| Err(why),
    )?;
    assert_eq!(outcome.consumed, input.len());
    packed.truncate(outcome.produced);

    let mut unpacked = vec![0; input.len() + 1024];
    let job = zip::job(format, zip::Direction::Decompress, packed.len(), true);
    let outcome = gate.run(
        job,
        &mut unpacked,
        |unpacked, lease| zip::decompress(lease, format, &packed, unpacked).map(Ok),
        |_, why| Err(why),
    )?;
    assert_eq!(&unpacked[..outcome.produced], input);
    Ok(())
}

/// Encrypts on a device and back.
fn cipher_round_trip(input: &[u8]) -> Result<(), Why> {
    let gate = Runtime::get().gate();
    let (algorithm, mode) = (cipher::Algorithm::Aes128, cipher::Mode::Ctr);
    let once = |input: &[u8], direction| {
        let mut output = vec![0; input.len()];
        gate.run(
            cipher::job(algorithm, mode, input.len()),
            &mut output,
            |output, lease| {
                let request = cipher::Request {
                    algorithm,
                    mode,
                    direction,
                    key: &[7; 16],
                    iv: &mut [9; 16],
                    data: cipher::Data::Separate { input, output },
                };
                cipher::run(lease, request).map(Ok)
            },
            |_, why| Err(why),
        )
        .map(|()| output)
    };
    let sealed = once(input, cipher::Direction::Encrypt)?;
    assert_ne!(sealed, input);
    assert_eq!(once(&sealed, cipher::Direction::Decrypt)?, input);
    Ok(())
}

#[test]
fn every_engine_serves_where_there_are_devices_and_the_gate_says_so_where_not() {
    let runtime = Runtime::get();
    let present = |kind| runtime.devices().iter().any(|d| d.kind == Some(kind) && d.unusable.is_empty());
    let enabled = |kind| Op::ALL.iter().any(|op| op.kind() == kind && runtime.gate().config().enabled(*op));
    let expected = |kind| match (enabled(kind), present(kind)) {
        (false, _) => Err(Why::Disabled),
        (true, false) => Err(Why::NoDevice),
        (true, true) => Ok(()),
    };

    for len in [1, 4096, 70_000, 1 << 20] {
        for format in [zip::Format::Zlib, zip::Format::Gzip] {
            check(zip_round_trip(format, &text(len)), expected(Kind::Zip));
        }
    }
    for len in [2048, 5000, 1 << 18] {
        check(cipher_round_trip(&text(len)), expected(Kind::Sec));
    }

    // More requests than a ring has entries: the phase turns, completions are returned in batches.
    for kind in [Kind::Zip, Kind::Sec] {
        let rounds = if expected(kind).is_ok() { 1500 } else { 1 };
        for _ in 0..rounds {
            let result = match kind {
                Kind::Zip => zip_round_trip(zip::Format::Zlib, &text(100)),
                _ => cipher_round_trip(&text(2048)),
            };
            check(result, expected(kind));
        }
    }

    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..20 {
                    check(zip_round_trip(zip::Format::Zlib, &text(9000)), expected(Kind::Zip));
                    check(cipher_round_trip(&text(3000)), expected(Kind::Sec));
                }
            });
        }
    });

    assert!(in_child(|| {
        for _ in 0..5 {
            check(zip_round_trip(zip::Format::Zlib, &text(9000)), expected(Kind::Zip));
        }
        true
    }));
    check(zip_round_trip(zip::Format::Zlib, &text(9000)), expected(Kind::Zip));

    counters_agree();
}

/// In a healthy run the device's count is the model's count. The child's requests are in the model's ledger
/// only, unless both wrote to a counter file; so the two are compared where a directory is given.
fn counters_agree() {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(core), Some(model)) = (variable("WARPDRIVE_STATS_DIR"), variable("WARPDRIVE_MODEL_DIR")) else {
        return;
    };
    let (core, model) = (stats::read_dir(&core).unwrap(), stats::read_dir(&model).unwrap());
    for class in ["zip.compress", "zip.decompress", "sec.cipher"] {
        for quantity in ["requests", "bytes"] {
            let name = format!("{class}.{quantity}");
            let count = model.get(&name).copied().unwrap_or(0);
            let reaped = core[&format!("device.{name}")];
            // Under faults a request may be executed and never reaped, but not the other way round.
            assert!(if faulty() { reaped <= count } else { reaped == count }, "{name}: {reaped} of {count}");
        }
    }
}

/// Runs `child` in a forked child and answers whether it returned true.
#[expect(unsafe_code)]
fn in_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `child` and leaves by _exit; glibc keeps malloc usable in it.
    unsafe {
        match libc::fork() {
            0 => {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
                libc::_exit(if matches!(result, Ok(true)) { 0 } else { 1 })
            }
            pid => {
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
                libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
            }
        }
    }
}
