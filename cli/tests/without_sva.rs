//! Unmodified programs on machines whose devices do not know the process's addresses (KAE kernels, `uacce_mode=2`):
//! served as elsewhere, and nothing is refused.

mod common;

use std::path::Path;

use common::{Mode, PYTHON, WITHOUT_SVA, build_dir, run, run_with, unaided};
use serde_json::Value;

/// Streams, one-shot calls, threads, and a fork in the middle; checks itself.
const ZLIB: &str = r#"
import hashlib, os, threading, zlib
data = b''.join(hashlib.sha256(str(i // 7).encode()).digest() + b' line of text %d\n' % i for i in range(30000))
for wbits in (15, -15, 31):
    c = zlib.compressobj(6, zlib.DEFLATED, wbits)
    packed = b''.join(c.compress(data[i:i + 70001]) for i in range(0, len(data), 70001)) + c.flush()
    d = zlib.decompressobj(wbits)
    out = b''.join(d.decompress(packed[i:i + 50003]) for i in range(0, len(packed), 50003)) + d.flush()
    assert d.eof and out == data, wbits
zeros = bytes(9 << 20)
assert zlib.decompress(zlib.compress(zeros)) == zeros
bad = []
def work(n):
    for i in range(3):
        piece = data[n * 1000 + i:n * 1000 + 400000]
        if zlib.decompress(zlib.compress(piece)) != piece: bad.append(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
[t.start() for t in threads]; [t.join() for t in threads]
assert not bad, bad
c = zlib.compressobj(); first = c.compress(data[:500000])
pid = os.fork()
ok = zlib.decompress(first + c.compress(data[500000:]) + c.flush()) == data
ok = ok and zlib.decompress(zlib.compress(data)) == data
if pid == 0:
    os._exit(0 if ok else 9)
assert ok and os.waitpid(pid, 0)[1] == 0
"#;

#[test]
fn zlib_programs_are_served() {
    let scratch = tempfile::tempdir().unwrap();
    let data = std::fs::read("/usr/bin/python3").unwrap();
    let file = scratch.path().join("data");
    std::fs::write(&file, &data).unwrap();
    for mode in WITHOUT_SVA {
        run(mode, &[PYTHON, "-c", ZLIB]).success().served(mode, &["zip.compress", "zip.decompress"]);
        run(mode, &["pigz".as_ref(), "-kf".as_ref(), file.as_os_str()])
            .success()
            .served(mode, &["zip.compress"]);
        let back = unaided("gzip").arg("-dc").arg(scratch.path().join("data.gz")).output().unwrap();
        assert!(back.status.success() && back.stdout == data, "{mode:?}");
    }
}

fn openssl(directory: &Path, arguments: &str) {
    let output = unaided("openssl").current_dir(directory).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn aided(mode: Mode, dir: &Path, arguments: &str) -> common::Run {
    let words: Vec<&str> = std::iter::once("openssl").chain(arguments.split(' ')).collect();
    run_with(mode, &words, |command| {
        command.current_dir(dir);
    })
    .success()
}

#[test]
fn openssl_programs_are_served() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let data: Vec<u8> = (0..1_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    std::fs::write(dir.join("data"), data).unwrap();
    // One update of the whole file: more than one request can lend.
    let encrypt = format!(
        "enc -aes-256-ctr -bufsize 1000000 -K {} -iv {} -in data -out",
        "3c".repeat(32),
        "fe".repeat(16)
    );
    openssl(dir, &format!("{encrypt} reference.ctr"));
    for bits in [2048, 4096] {
        openssl(dir, &format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out {bits}.pem"));
        openssl(dir, &format!("pkey -in {bits}.pem -pubout -out {bits}.pub"));
        openssl(dir, &format!("dgst -sha256 -sign {bits}.pem -out {bits}.reference data"));
    }
    let same = |one: &str, other: &str| {
        std::fs::read(dir.join(one)).unwrap() == std::fs::read(dir.join(other)).unwrap()
    };
    for mode in WITHOUT_SVA {
        aided(mode, dir, &format!("{encrypt} our.ctr")).served(mode, &["sec.cipher"]);
        assert!(same("our.ctr", "reference.ctr"), "{mode:?}");
        for bits in [2048, 4096] {
            aided(mode, dir, &format!("dgst -sha256 -sign {bits}.pem -out our.sig data"))
                .served(mode, &["hpre.rsa"]);
            assert!(same("our.sig", &format!("{bits}.reference")), "{mode:?}, {bits} bits");
            aided(mode, dir, &format!("dgst -sha256 -verify {bits}.pub -signature {bits}.reference data"))
                .served(mode, &["hpre.rsa"]);
        }
    }
}

#[test]
fn such_devices_are_listed_as_usable() {
    for (profile, sva) in [
        ("kunpeng920-nosva", false),
        ("kunpeng930-nosva,flags=128", false),
        ("kunpeng930-nosva,uacce_mode=1", true),
    ] {
        let list = |arguments: &[&str]| {
            let output = unaided(env!("CARGO_BIN_EXE_warpdrive"))
                .args(arguments)
                .env("LD_PRELOAD", build_dir().join("libwarpdrive_device_model.so"))
                .env("WARPDRIVE_MODEL", profile)
                .output()
                .unwrap();
            assert!(output.status.success(), "{profile}");
            String::from_utf8(output.stdout).unwrap()
        };
        let text = list(&["devices"]);
        assert!(text.lines().count() > 1, "{text}");
        for line in text.lines().skip(1) {
            let state = if sva { "usable" } else { "usable (no SVA: data is copied through pinned memory)" };
            assert!(line.ends_with(state) && !line.contains("not usable"), "{text}");
        }
        let json: Value = serde_json::from_str(&list(&["devices", "--json"])).unwrap();
        for device in json["devices"].as_array().unwrap() {
            assert_eq!((&device["usable"], &device["sva"]), (&Value::from(true), &Value::from(sva)));
        }
    }
}

/// Devices that die under the requests of several threads, together with the memory that holds their results.
#[test]
fn removal_reset_and_overflow_cost_no_byte() {
    let script = r#"
import hashlib, threading, zlib
data = b''.join(hashlib.sha256(str(i // 7).encode()).digest() + b' line of text %d\n' % i for i in range(20000))
bad = []
def work(n):
    for i in range(4):
        piece = data[n * 1000 + i:n * 1000 + 300000]
        if zlib.decompress(zlib.compress(piece)) != piece: bad.append(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
[t.start() for t in threads]; [t.join() for t in threads]
assert not bad, bad
"#;
    for plan in
        ["zip.compress:remove@7;zip.decompress:remove@9", "zip:reset@%7", "zip.compress:cq-overflow@%6"]
    {
        let mode = Mode::FaultsOn("kunpeng930-nosva,ss_slice=1M", plan);
        run(mode, &[PYTHON, "-c", script]).success().served(mode, &["zip.compress", "zip.decompress"]);
    }
}

#[test]
fn kernel_without_such_memory_left_means_software() {
    let script = "import zlib; d = bytes(range(256)) * 4000; assert zlib.decompress(zlib.compress(d)) == d";
    let run = run(Mode::Model("kunpeng930-nosva,ss_limit=64K"), &[PYTHON, "-c", script]).success();
    for class in ["zip.compress", "zip.decompress"] {
        assert_eq!((run.requests("device", class), run.requests("model", class)), (0, 0));
    }
    assert_eq!(run.report["refused"], 0);
}
