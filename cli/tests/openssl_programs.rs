//! Unmodified `openssl` and `curl`: signatures, ciphers, TLS; on the model, with faults, and without a device.

mod common;

use std::path::Path;
use std::process::Stdio;

use common::{MODES, Mode, Running, run, run_with, unaided, warpdrive_run};

fn openssl(directory: &Path, arguments: &str) {
    let output = unaided("openssl").current_dir(directory).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A scratch directory with a key, its public half, a certificate, data, and an unaided signature.
fn material(bits: u32) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let data: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    std::fs::write(dir.join("data"), data).unwrap();
    openssl(dir, &format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out key.pem"));
    openssl(dir, "pkey -in key.pem -pubout -out public.pem");
    openssl(dir, "dgst -sha256 -sign key.pem -out reference.sig data");
    openssl(
        dir,
        "req -x509 -new -key key.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost -out cert.pem",
    );
    scratch
}

fn aided(mode: Mode, dir: &Path, arguments: &str) -> common::Run {
    let words: Vec<&str> = std::iter::once("openssl").chain(arguments.split(' ')).collect();
    run_with(mode, &words, |command| {
        command.current_dir(dir);
    })
}

#[test]
fn signatures_made_with_us_verify_unaided_and_the_other_way_round() {
    for bits in [1024, 2048, 3072, 4096] {
        let scratch = material(bits);
        let dir = scratch.path();
        for mode in MODES {
            aided(mode, dir, "dgst -sha256 -sign key.pem -out our.sig data")
                .success()
                .served(mode, &["hpre.rsa"]);
            let same = std::fs::read(dir.join("our.sig")).unwrap()
                == std::fs::read(dir.join("reference.sig")).unwrap();
            assert!(same, "PKCS#1 v1.5 is deterministic: {bits} bits, {mode:?}");
            aided(mode, dir, "dgst -sha384 -sigopt rsa_padding_mode:pss -sign key.pem -out our.pss data")
                .success()
                .served(mode, &["hpre.rsa"]);
            openssl(
                dir,
                "dgst -sha384 -sigopt rsa_padding_mode:pss -verify public.pem -signature our.pss data",
            );
            aided(mode, dir, "dgst -sha256 -verify public.pem -signature reference.sig data")
                .success()
                .served(mode, &["hpre.rsa"]);
            std::fs::write(
                dir.join("bad.sig"),
                [&std::fs::read(dir.join("our.sig")).unwrap()[1..], b"x"].concat(),
            )
            .unwrap();
            let refused = aided(mode, dir, "dgst -sha256 -verify public.pem -signature bad.sig data");
            assert_eq!(refused.output.status.code(), Some(1), "{mode:?}: {}", refused.stderr());
            assert!(refused.stdout().contains("Verification failure"), "{mode:?}");
        }
    }
}

#[test]
fn ctr_ciphertext_is_the_unaided_one_for_every_key_size() {
    let scratch = material(1024);
    let dir = scratch.path();
    for (cipher, key) in [("aes-128-ctr", 16), ("aes-192-ctr", 24), ("aes-256-ctr", 32)] {
        let arguments =
            format!("enc -{cipher} -K {} -iv {} -in data -out", "3c".repeat(key), "fe".repeat(16));
        openssl(dir, &format!("{arguments} reference.ctr"));
        let reference = std::fs::read(dir.join("reference.ctr")).unwrap();
        for mode in MODES {
            aided(mode, dir, &format!("{arguments} our.ctr")).success().served(mode, &["sec.cipher"]);
            assert!(std::fs::read(dir.join("our.ctr")).unwrap() == reference, "{cipher} {mode:?}");
            let back = arguments.replace("-in data", "-d -in our.ctr");
            aided(mode, dir, &format!("{back} back")).success().served(mode, &["sec.cipher"]);
            assert!(std::fs::read(dir.join("back")).unwrap() == std::fs::read(dir.join("data")).unwrap());
        }
    }
}

#[test]
fn without_a_device_none_of_our_algorithms_is_offered() {
    for list in ["-signature-algorithms", "-cipher-algorithms", "-key-managers"] {
        let run = run(Mode::NoDevice, &["openssl", "list", list]).success();
        assert!(!run.stdout().contains("warpdrive"), "{list}: {}", run.stdout());
        let run = common::run(Mode::Model("kunpeng930"), &["openssl", "list", list]).success();
        assert!(run.stdout().contains("warpdrive"), "{list}: {}", run.stdout());
    }
    let run = run(Mode::NoDevice, &["openssl", "list", "-providers", "-verbose"]).success();
    assert!(
        run.stdout().contains("warpdrive"),
        "the provider itself is listed, with its status: {}",
        run.stdout()
    );
}

#[test]
fn keys_made_with_us_are_written_out_and_used_by_everybody() {
    let scratch = material(2048);
    let dir = scratch.path();
    for mode in MODES {
        aided(mode, dir, "genrsa -out made.pem 2048").success();
        openssl(dir, "rsa -in made.pem -check -noout");
        aided(mode, dir, "rsa -in made.pem -check -noout").success();
        aided(mode, dir, "req -x509 -new -key made.pem -subj /CN=x -out made.crt").success();
        openssl(dir, "verify -CAfile made.crt made.crt");
        aided(mode, dir, "pkcs12 -export -inkey made.pem -in made.crt -passout pass:x -out made.p12")
            .success();
        openssl(dir, "pkcs12 -in made.p12 -passin pass:x -noout");
        aided(
            mode,
            dir,
            "cms -sign -signer made.crt -inkey made.pem -in data -binary -nodetach -outform DER -out m.cms",
        )
        .success();
        openssl(dir, "cms -verify -CAfile made.crt -inform DER -in m.cms -out verified -purpose any");
        let oaep =
            "pkeyutl -encrypt -pubin -inkey public.pem -in short -out enc -pkeyopt rsa_padding_mode:oaep";
        std::fs::write(dir.join("short"), b"0123456789abcdef").unwrap();
        aided(mode, dir, oaep).success();
        openssl(dir, "pkeyutl -decrypt -inkey key.pem -in enc -out dec -pkeyopt rsa_padding_mode:oaep");
        assert_eq!(std::fs::read(dir.join("dec")).unwrap(), b"0123456789abcdef");
    }
}

#[test]
fn a_tls_handshake_with_curl_works_on_both_sides() {
    let scratch = material(2048);
    let dir = scratch.path();
    for mode in MODES {
        for version in ["-tls1_2", "-tls1_3"] {
            let report = dir.join("report.json");
            // Port 0: the server takes a free one and tells which. OpenSSL 3.0.20 ends at a client whose UNIX socket has
            // no name, so it is not one of those.
            let told = dir.join("server.txt");
            let server = warpdrive_run(mode, &report)
                .args(["openssl", "s_server", "-accept", "127.0.0.1:0", "-WWW", version])
                .args(["-cert", "cert.pem", "-key", "key.pem"])
                .current_dir(dir)
                .stdin(Stdio::null())
                .stdout(std::fs::File::create(&told).unwrap())
                .spawn()
                .unwrap();
            let mut server = Running(server);
            let port = loop {
                let output = std::fs::read_to_string(&told).unwrap();
                if let Some(line) = output.lines().find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")) {
                    break line.to_owned();
                }
                assert!(server.0.try_wait().unwrap().is_none(), "{mode:?} {version}: no server");
                std::thread::sleep(std::time::Duration::from_millis(5));
            };
            let place = format!("localhost:{port}:127.0.0.1");
            let page = format!("https://localhost:{port}/data");
            let curl =
                ["curl", "-sS", "--noproxy", "*", "--cacert", "cert.pem", "--resolve", &place, page.as_str()];
            let page = unaided(curl[0]).args(&curl[1..]).current_dir(dir).output().unwrap();
            let ours = run_with(mode, &curl, |command| {
                command.current_dir(dir);
            });
            server.terminate();
            let data = std::fs::read(dir.join("data")).unwrap();
            assert!(page.stdout == data, "{mode:?} {version}: {}", String::from_utf8_lossy(&page.stderr));
            let ours = ours.success();
            assert!(ours.output.stdout == data, "{mode:?} {version}");
            ours.served(mode, &["hpre.rsa"]);
            let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
            let signed = report["device"]["hpre"]["rsa"]["requests"].as_u64().unwrap();
            assert_eq!(signed > 0, mode != Mode::NoDevice, "{mode:?}: {report:#}");
        }
    }
}
