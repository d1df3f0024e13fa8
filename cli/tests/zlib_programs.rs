//! Unmodified zlib programs, on the model, with faults, and without a device.

mod common;

use common::{MODES, Mode, PYTHON, compile, run, unaided};

/// One-shot, streams, gzip files, zip archives; checks itself, and prints a digest of what it decompressed.
const ROUND_TRIP: &str = r#"
import gzip, hashlib, io, os, sys, zlib, zipfile
data = b''.join(hashlib.sha256(str(i // 7).encode()).digest() + b' line of text %d\n' % i for i in range(30000))
digest = hashlib.sha256()
for wbits in (15, -15, 31):
    c = zlib.compressobj(6, zlib.DEFLATED, wbits)
    pieces = [c.compress(data[i:i + 70001]) for i in range(0, len(data), 70001)]
    packed = b''.join(pieces) + c.flush()
    d = zlib.decompressobj(wbits)
    out = b''.join(d.decompress(packed[i:i + 5003]) for i in range(0, len(packed), 5003)) + d.flush()
    assert d.eof and not d.unused_data and out == data, wbits
    digest.update(out)
assert zlib.decompress(zlib.compress(data, 9)) == data
buffer = io.BytesIO()
with gzip.GzipFile(fileobj=buffer, mode='wb', mtime=0) as f:
    f.write(data)
assert gzip.decompress(buffer.getvalue() * 2) == data * 2
archive = io.BytesIO()
with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as z:
    z.writestr('a', data); z.writestr('b', b'small')
with zipfile.ZipFile(archive) as z:
    assert z.testzip() is None and z.read('a') == data and z.read('b') == b'small'
print(digest.hexdigest())
"#;

#[test]
fn python_round_trips_every_format_and_the_result_is_the_unaided_one() {
    let plain = unaided(PYTHON).args(["-c", ROUND_TRIP]).output().unwrap();
    assert!(plain.status.success());
    for mode in MODES {
        let run = run(mode, &[PYTHON, "-c", ROUND_TRIP]).success();
        assert_eq!(run.stdout().as_bytes(), plain.stdout, "{mode:?}");
        run.served(mode, &["zip.compress", "zip.decompress"]);
    }
}

#[test]
fn corrupt_and_truncated_streams_give_zlibs_own_errors() {
    let script = r#"
import zlib
data = bytes(range(256)) * 2000 + b'tail'
packed = zlib.compress(data)
def attempt(blob):
    d = zlib.decompressobj()
    try:
        out = d.decompress(blob); out += d.flush()
        print('ok', len(out), d.eof, len(d.unused_data))
    except zlib.error as e:
        print(e)
import random; random.seed(7)
body = bytes(random.randrange(256) for _ in range(60000))
packed = zlib.compress(body + data)
for at in (0, 1, 2, 5000, len(packed) // 2, len(packed) - 5, len(packed) - 1):
    bad = bytearray(packed); bad[at] ^= 0x55
    attempt(bytes(bad))
for cut in (1, 2, 6, len(packed) // 3, len(packed) - 1):
    attempt(packed[:cut])
attempt(packed + b'trailing garbage')
try: zlib.decompress(packed[:-1])
except zlib.error as e: print(e)
"#;
    let blob = tempfile::NamedTempFile::new().unwrap();
    // The compressed bytes must be the same for every mode: made unaided, once.
    let make = format!(
        "import zlib,random; random.seed(7)\nbody = bytes(random.randrange(256) for _ in range(60000))\n\
         open({:?},'wb').write(zlib.compress(body + bytes(range(256)) * 2000 + b'tail'))",
        blob.path().display().to_string()
    );
    assert!(unaided(PYTHON).args(["-c", &make]).status().unwrap().success());
    let script = script.replace(
        "packed = zlib.compress(body + data)",
        &format!("packed = open({:?},'rb').read()", blob.path().display().to_string()),
    );
    let plain = unaided(PYTHON).args(["-c", &script]).output().unwrap();
    assert!(plain.status.success());
    for mode in MODES {
        let run = run(mode, &[PYTHON, "-c", &script]).success();
        assert_eq!(run.stdout(), String::from_utf8_lossy(&plain.stdout), "{mode:?}");
        run.served(mode, &["zip.decompress"]);
    }
}

#[test]
fn a_fork_in_mid_stream_leaves_parent_and_child_correct() {
    let script = r#"
import os, zlib
data = b''.join(b'%d %d;' % (i, i * i) for i in range(200000))
half = len(data) // 2
c = zlib.compressobj(); first = c.compress(data[:half])
packed = zlib.compress(data); d = zlib.decompressobj(); head = d.decompress(packed[:len(packed) // 2])
pid = os.fork()
whole = first + c.compress(data[half:]) + c.flush()
back = head + d.decompress(packed[len(packed) // 2:]) + d.flush()
ok = zlib.decompress(whole) == data and back == data
fresh = zlib.decompress(zlib.compress(data)) == data
if pid == 0:
    os._exit(0 if ok and fresh else 9)
assert ok and fresh
assert os.waitpid(pid, 0)[1] == 0
"#;
    for mode in MODES {
        run(mode, &[PYTHON, "-c", script]).success().served(mode, &["zip.compress", "zip.decompress"]);
    }
}

#[test]
fn threads_share_the_device() {
    let script = r#"
import threading, zlib
data = b''.join(b'%d:%d\n' % (i, i * 7919) for i in range(60000))
bad = []
def work(n):
    for i in range(6):
        piece = data[n * 1000 + i:]
        if zlib.decompress(zlib.compress(piece)) != piece: bad.append(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert not bad, bad
"#;
    for mode in MODES {
        run(mode, &[PYTHON, "-c", script]).success().served(mode, &["zip.compress", "zip.decompress"]);
    }
}

#[test]
fn a_program_that_mixes_files_and_streams_works() {
    let scratch = tempfile::tempdir().unwrap();
    let program = compile("zlib_mix.c", &["-lz"], scratch.path());
    let plain = unaided(&program).arg(scratch.path().join("plain.gz")).output().unwrap();
    assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
    for mode in MODES {
        let file = scratch.path().join("aided.gz");
        let run = run(mode, &[program.as_os_str(), file.as_os_str()]).success();
        assert_eq!(run.stdout(), String::from_utf8_lossy(&plain.stdout), "{mode:?}");
        run.served(mode, &["zip.compress", "zip.decompress"]);
        let check = unaided("gzip").arg("-t").arg(&file).output().unwrap();
        assert!(check.status.success(), "{mode:?}: {}", String::from_utf8_lossy(&check.stderr));
    }
}

#[test]
fn pigz_and_git_work_and_their_output_is_read_by_unaided_programs() {
    let scratch = tempfile::tempdir().unwrap();
    let data = std::fs::read("/usr/bin/python3").unwrap();
    let file = scratch.path().join("data");
    std::fs::write(&file, &data).unwrap();
    for mode in MODES {
        run(mode, &["pigz".as_ref(), "-kf".as_ref(), file.as_os_str()])
            .success()
            .served(mode, &["zip.compress"]);
        let packed = scratch.path().join("data.gz");
        let back = unaided("gzip").arg("-dc").arg(&packed).output().unwrap();
        assert!(back.status.success() && back.stdout == data, "{mode:?}");
        let repository = scratch.path().join("repository");
        let script = "set -e; git init -q -b main \"$0\"; cd \"$0\"; cp ../data .; seq 200000 > numbers; git add -A; \
                      git -c user.name=a -c user.email=a@example.org commit -qm one; git gc -q";
        run(mode, &["sh".as_ref(), "-c".as_ref(), script.as_ref(), repository.as_os_str()])
            .success()
            .served(mode, &["zip.compress"]);
        let check = unaided("git").arg("-C").arg(&repository).args(["fsck", "--full"]).output().unwrap();
        assert!(check.status.success(), "{mode:?}: {}", String::from_utf8_lossy(&check.stderr));
        std::fs::remove_dir_all(&repository).unwrap();
    }
}

#[test]
fn a_device_without_free_queues_and_an_unreadable_node_are_software() {
    let script = "import zlib; d = bytes(range(256)) * 4000; assert zlib.decompress(zlib.compress(d)) == d";
    let exhausted = Mode::Faults("zip:refuse-open=16@1+");
    for (mode, why) in [(exhausted, "all_busy"), (Mode::Model("kunpeng930,zip.node_mode=0"), "no_device")] {
        let run = run(mode, &[PYTHON, "-c", script]).success();
        assert_eq!(run.requests("device", "zip.compress"), 0, "{mode:?}: {:#}", run.report);
        assert!(run.software(why) > 0, "{mode:?}: {:#}", run.report);
    }
}

#[test]
fn a_server_that_clears_its_environment_is_still_served_and_counted() {
    let script = r#"
import os, zlib
os.environ.clear()
if os.fork() == 0:
    d = bytes(range(256)) * 4000
    os._exit(0 if zlib.decompress(zlib.compress(d)) == d else 9)
assert os.wait()[1] == 0
"#;
    for mode in MODES {
        let run =
            run(mode, &[PYTHON, "-c", script]).success().served(mode, &["zip.compress", "zip.decompress"]);
        if mode == Mode::NoDevice {
            assert!(run.software("no_device") > 0, "{:#}", run.report);
        }
    }
}
