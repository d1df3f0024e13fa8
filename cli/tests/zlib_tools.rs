//! More unmodified programs that use zlib, on the model, with faults, and without a device. Their results are compared
//! with those of the same programs unaided. The slow ones, which need large packages, are `make test-programs`.

mod common;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{MODES, Mode, PYTHON, Running, compile, run, run_with, unaided, warpdrive_run};

/// Runs a shell script unaided in `directory`; what it prints.
fn shell(directory: &Path, script: &str) -> String {
    let output = unaided("sh").args(["-ec", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a shell script in `mode` in `directory`.
fn aided(mode: Mode, directory: &Path, script: &str) -> common::Run {
    run_with(mode, &["sh", "-ec", script], |command| {
        command.current_dir(directory);
    })
    .success()
}

/// What a program that reads raw deflate data shows: V2 decompresses no such data.
fn raw(mode: Mode) -> &'static [&'static str] {
    if mode == Mode::Model("kunpeng920") { &["zip.compress"] } else { &["zip.compress", "zip.decompress"] }
}

/// Files of several kinds in `directory/tree`: text, binary, noise, zeros; some small.
fn tree(directory: &Path) {
    shell(
        directory,
        "mkdir -p tree/sub; head -c 1500000 /usr/bin/python3 > tree/binary; seq 100000 > tree/numbers; head -c 300000 /dev/zero > tree/zeros
         for i in 1 2 3 4 5 6 7 8; do seq $i 50 $((i * 3000)) > tree/sub/$i; done
         gzip -c tree/numbers > tree/packed.gz; echo small > tree/sub/small; : > tree/empty",
    );
}

#[test]
fn git_clones_repacks_and_checks() {
    let scratch = tempfile::tempdir().unwrap();
    tree(scratch.path());
    shell(
        scratch.path(),
        "git init -q -b main tree; cd tree; git add -A; git -c user.name=a -c user.email=a@example.org commit -qm one
         seq 7 120000 > numbers; git -c user.name=a -c user.email=a@example.org commit -qam two",
    );
    let script =
        "git clone -q file://\"$PWD/tree\" clone; cd clone; git repack -adfq; git fsck --full --strict
                  git rev-list --objects --all | cut -d' ' -f1 | git cat-file --batch | sha256sum
                  git archive --format=tar.gz HEAD | gzip -dc | sha256sum";
    let plain = shell(scratch.path(), script);
    for mode in MODES {
        shell(scratch.path(), "rm -rf clone");
        let run = aided(mode, scratch.path(), script);
        assert_eq!(run.stdout(), plain, "{mode:?}");
        run.served(mode, &["zip.compress"]);
        shell(scratch.path(), "git -C clone fsck --full --strict");
    }
}

#[test]
fn archives_of_python_are_read_by_other_programs() {
    let scratch = tempfile::tempdir().unwrap();
    tree(scratch.path());
    let script = r#"
import os, tarfile, zipfile, sys
os.chdir(sys.argv[1])
with tarfile.open('a.tar.gz', 'w:gz') as t: t.add('tree')
with zipfile.ZipFile('a.zip', 'w', zipfile.ZIP_DEFLATED) as z:
    for root, _, names in sorted(os.walk('tree')):
        for name in sorted(names): z.write(os.path.join(root, name))
for name in ('theirs.tar.gz', 'a.tar.gz'):
    with tarfile.open(name) as t:
        print(sum(len(t.extractfile(m).read()) for m in t if m.isfile()))
with zipfile.ZipFile('theirs.zip') as z: print(z.testzip())
"#;
    shell(scratch.path(), "tar czf theirs.tar.gz tree; zip -qr theirs.zip tree");
    let directory = scratch.path().to_str().unwrap();
    let plain = unaided(PYTHON).args(["-c", script, directory]).output().unwrap();
    assert!(plain.status.success());
    for mode in MODES {
        let run = run(mode, &[PYTHON, "-c", script, directory]).success();
        assert_eq!(run.stdout().as_bytes(), plain.stdout, "{mode:?}");
        run.served(mode, raw(mode));
        shell(
            scratch.path(),
            "unzip -tq a.zip; rm -rf out; mkdir out; tar xzf a.tar.gz -C out; diff -r tree out/tree
             rm -rf out; mkdir out; unzip -q a.zip -d out; diff -r tree out/tree",
        );
    }
}

#[test]
fn nginx_compresses_and_curl_reads() {
    let scratch = tempfile::tempdir().unwrap();
    tree(scratch.path());
    let directory = scratch.path().display();
    let configuration = format!(
        "daemon off; master_process off; pid {directory}/pid; error_log {directory}/error.log;
         events {{ worker_connections 32; }}
         http {{ access_log off; gzip on; gzip_min_length 1; gzip_types *; gzip_comp_level 6;
                 client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
                 uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
                 server {{ listen unix:{directory}/socket; root {directory}/tree; }} }}"
    );
    std::fs::write(scratch.path().join("nginx.conf"), configuration).unwrap();
    let socket = scratch.path().join("socket");
    let fetch = "for f in binary numbers zeros sub/3 sub/small; do
                     curl -sS --fail --compressed --unix-socket socket http://localhost/$f | cmp - tree/$f
                 done; curl -sSI --compressed --unix-socket socket http://localhost/numbers | grep -i '^content-encoding'";
    for mode in MODES {
        let _ = std::fs::remove_file(&socket);
        let report = scratch.path().join("report.json");
        let mut command = warpdrive_run(mode, &report);
        command.args(["/usr/sbin/nginx", "-c"]).arg(scratch.path().join("nginx.conf")).stderr(Stdio::null());
        let mut server = Running(command.spawn().unwrap());
        // However long it takes on a busy machine; a server that ended never comes.
        while !socket.exists() {
            assert!(server.0.try_wait().unwrap().is_none(), "nginx ended: {mode:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(shell(scratch.path(), fetch), "Content-Encoding: gzip\r\n", "{mode:?}");
        // What arrives first is too little for the device, and a reader stays where it began.
        aided(mode, scratch.path(), fetch).served(mode, &[]);
        server.terminate();
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(report["refused"], 0, "{mode:?}: {report:#}");
        let served = report["device"]["zip"]["compress"]["requests"].as_u64().unwrap_or(0);
        assert_eq!(served > 0, mode != Mode::NoDevice, "{mode:?}: {report:#}");
    }
}

#[test]
fn rsync_compresses_its_way() {
    let scratch = tempfile::tempdir().unwrap();
    tree(scratch.path());
    // A shell that is not remote at all: rsync compresses only what goes through one.
    std::fs::write(scratch.path().join("rsh"), "#!/bin/sh\nshift\nexec \"$@\"\n").unwrap();
    shell(scratch.path(), "chmod +x rsh");
    let script = "rsync -rz --compress-choice=zlibx -e ./rsh tree/ there:\"$PWD/copy\"; diff -r tree copy
                  seq 50 > copy/sub/4; echo more >> tree/numbers
                  rsync -rzc --compress-choice=zlibx -e ./rsh there:\"$PWD/tree/\" copy; diff -r tree copy";
    for mode in MODES {
        shell(scratch.path(), "rm -rf copy");
        aided(mode, scratch.path(), script).served(mode, raw(mode));
    }
}

#[test]
fn perl_uses_every_part_of_its_interface() {
    let script = r#"
use strict; use Compress::Zlib; use Digest::MD5 'md5_hex';
my $data = join '', map { "$_ " . md5_hex($_ % 999) . "\n" } 1 .. 9000;
my ($d) = deflateInit(-Level => 6, -WindowBits => -15); my $packed = '';
for my $piece (unpack '(a7001)*', $data) {
    my ($out, $status) = $d->deflate($piece); die $status if $status; $packed .= $out;
    if (length($packed) % 3 == 0) { ($out) = $d->flush(Z_SYNC_FLUSH); $packed .= $out }
    $d->deflateParams(-Level => 1 + length($packed) % 9) == Z_OK or die;
}
my ($out) = $d->flush(); $packed .= $out;
my ($i) = inflateInit(-WindowBits => -15); my $back = ''; my $rest = $packed;
while (1) {
    my $piece = substr $rest, 0, 5003, ''; my ($out, $status) = $i->inflate($piece); $back .= $out;
    last if $status == Z_STREAM_END; die "$status" if $status != Z_OK && $status != Z_BUF_ERROR;
}
die unless $back eq $data;
die unless Compress::Zlib::memGunzip(Compress::Zlib::memGzip($data)) eq $data;
die unless uncompress(compress($data, 9)) eq $data;
my ($words) = deflateInit(-Dictionary => 'abcdef0123456789'); my ($x) = $words->deflate('0123456789' x 99); my ($y) = $words->flush();
my ($r) = inflateInit(-Dictionary => 'abcdef0123456789'); my $z = $x . $y; my ($w, $s) = $r->inflate($z);
die unless $w eq '0123456789' x 99 && $s == Z_STREAM_END;
my $gz = gzopen($ARGV[0], 'wb') or die; $gz->gzwrite($data) == length $data or die; $gz->gzclose();
$gz = gzopen($ARGV[0], 'rb'); my ($line, $lines) = ('', 0); $lines++ while $gz->gzreadline($line) > 0; $gz->gzclose();
print "$lines ", crc32($data), ' ', adler32($data), "\n";
"#;
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file.gz");
    let program: [&OsStr; 4] = ["/usr/bin/perl".as_ref(), "-e".as_ref(), script.as_ref(), file.as_os_str()];
    let plain = unaided(program[0]).args(&program[1..]).output().unwrap();
    assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
    for mode in MODES {
        let run = run(mode, &program).success();
        assert_eq!(run.stdout().as_bytes(), plain.stdout, "{mode:?}");
        run.served(mode, &["zip.compress", "zip.decompress"]);
    }
}

#[test]
fn libpng_writes_and_reads_pictures() {
    let scratch = tempfile::tempdir().unwrap();
    let program = compile("png_round.c", &["-lpng", "-lz"], scratch.path());
    let file = scratch.path().join("picture.png");
    let plain = unaided(&program).arg(&file).output().unwrap();
    assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
    for mode in MODES {
        let run = run(mode, &[program.as_os_str(), file.as_os_str()]).success();
        assert_eq!(run.stdout().as_bytes(), plain.stdout, "{mode:?}");
        run.served(mode, &["zip.compress"]);
        let again = unaided(&program).arg(&file).status().unwrap();
        assert!(again.success(), "{mode:?}");
    }
}

#[test]
#[ignore = "needs a JDK: make test-programs"]
fn jar_packs_and_unpacks() {
    let scratch = tempfile::tempdir().unwrap();
    tree(scratch.path());
    let script = "rm -rf out a.jar; jar cf a.jar tree; jar tf a.jar | sort | sha256sum; mkdir out; cd out; jar xf ../a.jar
                  diff -r ../tree tree; jar xf ../theirs.zip; diff -r ../tree tree";
    shell(scratch.path(), "zip -qr theirs.zip tree");
    let plain = shell(scratch.path(), script);
    for mode in MODES {
        let run = aided(mode, scratch.path(), script);
        assert_eq!(run.stdout(), plain, "{mode:?}");
        run.served(mode, &["zip.compress"]);
        shell(scratch.path(), "unzip -tq a.jar");
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: make test-programs"]
fn pg_dump_writes_what_pg_restore_reads() {
    let scratch = tempfile::tempdir().unwrap();
    let binaries = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed")
        .map(|entry| entry.unwrap().path().join("bin"))
        .max()
        .expect("a release of it");
    // The server refuses to be root's.
    let server = |command: &str| {
        let line = format!("PATH={}:$PATH; cd {}; {command}", binaries.display(), scratch.path().display());
        let mut all = Command::new("runuser");
        all.args(["-u", "postgres", "--", "sh", "-ec", &line]);
        let output = all.output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    };
    shell(scratch.path(), "chmod 777 .");
    server(
        "initdb -D data -A trust -N > /dev/null; pg_ctl -D data -w -o \"-k $PWD -h ''\" -l log start > /dev/null",
    );
    let script = format!(
        "PATH={}:$PATH; export PGHOST=\"$PWD\" PGUSER=postgres; pg_dump -Fc -Z6 -f a.dump postgres
         pg_restore -f - a.dump | grep -v -e '^--' -e '^.restrict ' -e '^.unrestrict ' | sha256sum; pg_dump -Fd -Z9 -f dir postgres; rm -r dir",
        binaries.display()
    );
    let checked = std::panic::catch_unwind(|| {
        server(&format!("PGHOST={} pgbench -i -q -s 1 postgres 2> /dev/null", scratch.path().display()));
        let plain = shell(scratch.path(), &script);
        for mode in MODES {
            let run = aided(mode, scratch.path(), &script);
            assert_eq!(run.stdout(), plain, "{mode:?}");
            run.served(mode, &["zip.compress", "zip.decompress"]);
        }
    });
    server("pg_ctl -D data -m immediate stop > /dev/null");
    checked.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
}
