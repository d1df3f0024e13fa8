//! Every result is computed by software too (`sample = 1`): silent faults, which no engine can see, are found, and no
//! program gets a wrong byte.

mod common;

use common::{Mode, PYTHON, Run, run_with, unaided};

/// Silent faults, at results for which there is no other check than this one.
const PLAN: &str = "zip.compress:corrupt@%2;zip.decompress:corrupt@%3;sec.cipher:corrupt@%2";

/// Without the known answers, which would find such a device out before its first request.
fn sampled<S: AsRef<std::ffi::OsStr>>(profile: &'static str, program: &[S]) -> Run {
    run_with(Mode::FaultsOn(profile, PLAN), program, |command| {
        command.env("WARPDRIVE_SAMPLE", "1").env("WARPDRIVE_KNOWN_ANSWER", "off").env("WARPDRIVE_MODE", "hw");
    })
    .success()
}

/// How often an event happened.
fn event(run: &Run, name: &str) -> u64 {
    run.report["events"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {:#}", run.report))
}

#[test]
fn silently_wrong_streams_never_reach_a_zlib_program() {
    let script = r#"
import hashlib, zlib
data = b''.join(hashlib.sha256(str(i // 7).encode()).digest() + b' line of text %d\n' % i for i in range(30000))
for wbits in (15, -15, 31):
    c = zlib.compressobj(6, zlib.DEFLATED, wbits)
    packed = b''.join(c.compress(data[i:i + 70001]) for i in range(0, len(data), 70001)) + c.flush()
    print(wbits, len(packed) > 1000)
    for step in (20011, 300007):
        d = zlib.decompressobj(wbits)
        out = b''.join(d.decompress(packed[i:i + step]) for i in range(0, len(packed), step)) + d.flush()
        assert d.eof and not d.unused_data and out == data, (wbits, step)
for n in range(6):
    assert zlib.decompress(zlib.compress(data[n:], 9)) == data[n:]
"#;
    for profile in ["kunpeng930", "kunpeng920", "kunpeng930-nosva"] {
        let run = sampled(profile, &[PYTHON, "-c", script]);
        let (compressed, decompressed) =
            (run.requests("device", "zip.compress"), run.requests("device", "zip.decompress"));
        // Zlib and gzip data has check values, which find a part; samples are what finds the rest.
        let faults = compressed / 2 + decompressed / 3;
        let found = event(&run, "check_failed");
        // Without SVA one result may be that of several requests, more than one of them wrong.
        let all = if profile.ends_with("nosva") { (1..=faults).contains(&found) } else { found == faults };
        assert!(all, "{profile}: {found} of {faults} found: {:#}", run.report);
        assert!(event(&run, "sample_failed") > 5 && event(&run, "sample_passed") > 5, "{:#}", run.report);
        assert_eq!(run.report["refused"], 0, "{:#}", run.report);
    }
}

#[test]
fn silently_wrong_ciphertext_never_reaches_openssl() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let data: Vec<u8> = (0..600_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    std::fs::write(dir.join("data"), &data).unwrap();
    let words = |output: &str| -> Vec<String> {
        let key = "3c".repeat(32);
        let iv = "fe".repeat(16);
        let path = |name: &str| dir.join(name).display().to_string();
        [
            "openssl",
            "enc",
            "-aes-256-ctr",
            "-K",
            &key,
            "-iv",
            &iv,
            "-in",
            &path("data"),
            "-out",
            &path(output),
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let plain = words("reference");
    assert!(unaided(&plain[0]).args(&plain[1..]).status().unwrap().success());
    for profile in ["kunpeng930", "kunpeng920-nosva"] {
        let run = sampled(profile, &words("ours"));
        let requests = run.requests("device", "sec.cipher");
        assert!(requests > 10);
        assert_eq!(event(&run, "sample_failed"), requests / 2, "{profile}: {:#}", run.report);
        assert_eq!(run.report["refused"], 0, "{:#}", run.report);
        let same = std::fs::read(dir.join("ours")).unwrap() == std::fs::read(dir.join("reference")).unwrap();
        assert!(same, "{profile}");
    }
}
