//! The whole core through its public interface, on whatever devices the process sees: with the device model
//! preloaded they serve, without any the gate says `NoDevice`. The scenario is one test, so that nothing else of
//! its process counts while it compares its counters with the model's; the other tests run it again, in a
//! process of its own, on the model.

use std::path::{Path, PathBuf};
use std::process::Command;

use warpdrive_core::engine::{cipher, rsa, zip};
use warpdrive_core::uacce::Kind;
use warpdrive_core::{Op, Runtime, Why, stats};

/// Whether the model has a fault plan: then software may serve any request, for a reason that faults give,
/// and what a device did serve must still be right.
fn faulty() -> bool {
    std::env::var_os("WARPDRIVE_MODEL_FAULTS").is_some()
}

#[track_caller]
fn check(result: Result<(), Why>, expected: Result<(), Why>) {
    // What is expected was asked a moment ago: a device may have failed, or recovered, since.
    let by_fault = matches!(
        result,
        Ok(())
            | Err(Why::Failed(_) | Why::Tripped | Why::Unproven | Why::AllBusy | Why::NoDevice | Why::Forked)
    );
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

/// Bytes of a hexadecimal number.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// A 1024-bit key made for this test.
const N: &str = "\
     b57c6bfb8122aa77a9668a2a38a4de0882b368eafe370f4a3c34be0417902dce2188a847e963f99a5001207abc718f05\
     5013015d4c2233f8df195797347387863252a061ce0ee39836d2fd2b0f75e2dd31bb866f54a62bba42309b6d00b400b2\
     a0649bb62887e386d25b8f9637480029589b16fc19a778d9a813e565c52ffba1";
const D: &str = "\
     85d1ccbd92a6c113a2f15d076ce504633a1c984c4e4ec31375f95df31e7ccd89a4e8634d4326d8b1943480827fd92c20\
     3abf08ce8688e1d1ac8fbf2a5b1ea4da6c9438d46c210fe6069c3b7c42b5bd482ebb2fd0c0aac1a6b59f421595f7ad3e\
     7a089b280e7cf3252ef6b605257a344183b4f410087897fd0e37eef76fa81301";
const P: &str = "\
     e28d3ecbed276236ee6221924fbac3ab0453333b4de91e280ef72574b2cccc12da5284f7b1e84a80585546e2d748a09a\
     dde6ce7296769aea1e8c565e1cf4a269";
const Q: &str = "\
     cd1390e0f8cc92871d9504bee13e4fa07909fe561e73fa0132dfff370c6b1e8db9311aea3bdb7e7bd6ab49a241821648\
     30f8590a075f65fd67b9cb6cf43e7879";
const DP: &str = "\
     90f935e02568786f1268f576bd529477d192b44c14f54278fbeaa7ab5fe7b207b671ebe8dd8dfa6edb17e6feae2929ad\
     30a6cc2183ab6e42b73db2df12c47151";
const DQ: &str = "\
     8e288007d3b04beaa9d101272890bf35e871cb02fbbd3d92d3277f8d336896177c46d3f78762d23d1a444698d97c49e1\
     e54062c896efc48d72f7d25246c57f51";
const QINV: &str = "\
     b9f390a2e171096254d217263622719e889c0383a53e90a94d26c3c8a8dec57512bd2ea0d54254911ca4e090425711ab\
     c1251b0eb5f5578842e9d392a19c099c";

/// Applies the private key, by CRT or plainly, and then the public key, on a device.
fn rsa_round_trip(crt: bool, input: &[u8; 128]) -> Result<(), Why> {
    let gate = Runtime::get().gate();
    let n = bytes(N);
    let [p, q, dp, dq, qinv] = [P, Q, DP, DQ, QINV].map(bytes);
    let private = if crt {
        rsa::PrivateKey::crt(&n, rsa::Crt { p: &p, q: &q, dp: &dp, dq: &dq, qinv: &qinv })
    } else {
        rsa::PrivateKey::plain(&n, &bytes(D))
    };
    let (private, public) = (private.unwrap(), rsa::PublicKey::new(&n, &[1, 0, 1]).unwrap());
    let (mut sealed, mut opened) = ([0; 128], [0; 128]);
    gate.run(
        rsa::job(128),
        &mut sealed,
        |sealed, lease| rsa::private(lease, &private, input, sealed).map(Ok),
        |_, why| Err(why),
    )?;
    gate.run(
        rsa::job(128),
        &mut opened,
        |opened, lease| rsa::public(lease, &public, &sealed, opened).map(Ok),
        |_, why| Err(why),
    )?;
    assert_eq!(&opened, input);
    Ok(())
}

/// Every engine serves where there are devices, and the gate says so where there are none.
#[test]
fn scenario() {
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

    for crt in [true, false] {
        check(rsa_round_trip(crt, &[0x42; 128]), expected(Kind::Hpre));
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
                check(rsa_round_trip(true, &[0x17; 128]), expected(Kind::Hpre));
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

/// Runs the scenario in a process of its own on the model. The log must then contain `evidence`: a fault plan
/// that never struck would prove nothing.
fn on_the_model(name: &str, profile: &str, faults: Option<&str>, evidence: &str) {
    let own = std::env::current_exe().unwrap();
    let build = own.parent().and_then(Path::parent).unwrap();
    let model = build.join("libwarpdrive_device_model.so");
    assert!(model.exists(), "{} is not built: run `cargo build --workspace` first", model.display());
    let scratch =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("devices-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&scratch);
    for directory in ["model", "stats"] {
        std::fs::create_dir_all(scratch.join(directory)).unwrap();
    }
    let mut command = Command::new(own);
    command.args(["--exact", "scenario", "--nocapture"]);
    command.env("LD_PRELOAD", model).env("WARPDRIVE_MODEL", profile);
    command.env("WARPDRIVE_MODEL_DIR", scratch.join("model"));
    command.env("WARPDRIVE_STATS_DIR", scratch.join("stats"));
    command.env("WARPDRIVE_POLICY", "device");
    command.env("WARPDRIVE_LOG", scratch.join("log")).env("WARPDRIVE_LOG_LEVEL", "debug");
    if let Some(faults) = faults {
        // The point is that each fault is survived, not that the breaker spares us the next.
        command.env("WARPDRIVE_MODEL_FAULTS", faults).env("WARPDRIVE_BREAKER_FAULTS", "1000");
        // A proof that meets a fault would send the device to rest.
        command.env("WARPDRIVE_KNOWN_ANSWER", "off");
    }
    // Only plans with late completions are to meet a deadline: a loaded machine is no fault of the device.
    let late = faults.is_some_and(|plan| plan.contains(":drop") || plan.contains(":delay"));
    command.env("WARPDRIVE_DEADLINE_MS", if late { "50" } else { "60000" });
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let log = std::fs::read_to_string(scratch.join("log")).unwrap_or_default();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{err}{log}", output.status);
    assert!(out.contains("1 passed"), "the scenario did not run: {out}");
    assert!(log.contains(evidence), "no {evidence:?} in {log}");
    let _ = std::fs::remove_dir_all(&scratch);
}

#[test]
fn healthy_kunpeng930_serves_everything_and_counts_agree() {
    on_the_model("930", "kunpeng930", None, "queue of type 1 opened");
}

#[test]
fn healthy_kunpeng920_serves_everything_and_counts_agree() {
    on_the_model("920", "kunpeng920", None, "queue of type 1 opened");
}

#[test]
fn lost_completions_end_in_software() {
    on_the_model("drop", "kunpeng930", Some("*:drop@%97"), "no completion before the deadline");
}

#[test]
fn late_completions_reach_nobody() {
    on_the_model("delay", "kunpeng930", Some("*:delay=120@%131"), "no completion before the deadline");
}

#[test]
fn resets_end_in_software() {
    on_the_model("reset", "kunpeng930", Some("*:reset@%150"), "queue reset by the device");
}

#[test]
fn error_statuses_and_partial_output_end_in_software() {
    on_the_model(
        "status",
        "kunpeng930",
        Some("zip:status=0x0b@%3;sec:status=0x01@%5;zip:partial@%7"),
        "device error status 0xb",
    );
}

#[test]
fn devices_without_free_queues_are_software() {
    on_the_model("busy", "kunpeng930", Some("*:refuse-open=16@3+"), "no queue: Os(16)");
}

#[test]
fn devices_that_may_not_be_opened_are_software() {
    on_the_model("denied", "kunpeng930", Some("*:refuse-open=13@1+"), "no queue: Os(13)");
}

/// In a healthy run the device's count is the model's count. The child's requests are in the model's ledger
/// only, unless both wrote to a counter file; so the two are compared where a directory is given.
fn counters_agree() {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(core), Some(model)) = (variable("WARPDRIVE_STATS_DIR"), variable("WARPDRIVE_MODEL_DIR")) else {
        return;
    };
    let (core, model) = (stats::read_dir(&core).unwrap(), stats::read_dir(&model).unwrap());
    for class in ["zip.compress", "zip.decompress", "sec.cipher", "hpre.rsa"] {
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
