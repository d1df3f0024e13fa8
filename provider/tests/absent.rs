//! Without a device: nothing is named, nothing is left open, and everything works.

mod common;

use common::{Bench, Device, run};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

#[test]
fn provider_is_listed_with_name_version_and_state() {
    let bench = Bench::new("listed", Device::Absent);
    let list = text(bench.ours("list -providers -verbose"));
    for line in ["name: WarpDrive", "version: 0.", "status: active", "build info: nothing offered"] {
        assert!(list.contains(line), "{line:?} is missing in\n{list}");
    }
}

#[test]
fn without_a_device_no_algorithm_is_named() {
    let bench = Bench::new("none", Device::Absent);
    for what in [
        "-signature-algorithms",
        "-key-managers",
        "-cipher-algorithms",
        "-digest-algorithms",
        "-mac-algorithms",
    ] {
        let list = text(bench.ours(&format!("list {what}")));
        assert!(list.contains("@ default") && !list.contains("warpdrive"), "{list}");
    }
}

#[test]
fn without_a_device_loading_leaves_no_descriptor_thread_or_mapping() {
    let bench = Bench::new("quiet", Device::Absent);
    let program = bench.compile("quiet");
    let report = text(common::succeed(bench.command(program).env_remove("WARPDRIVE_STATS_DIR"), "quiet"));
    assert_eq!(report, "signature default\ndescriptors 0 threads 0 mappings 0\n");
}

#[test]
fn without_a_device_signing_and_encrypting_go_on() {
    let bench = Bench::new("goes-on", Device::Absent);
    bench.write("message", b"a message");
    bench.unaided("genrsa -out key.pem 2048");
    bench.ours("dgst -sha256 -sign key.pem -out sig message");
    bench.unaided("dgst -sha256 -prverify key.pem -signature sig message");
    let keys = "-K 00112233445566778899aabbccddeeff -iv 000102030405060708090a0b0c0d0e0f";
    bench.ours(&format!("enc -aes-128-ctr {keys} -in message -out a"));
    bench.unaided(&format!("enc -aes-128-ctr {keys} -in message -out b"));
    assert_eq!(bench.read("a"), bench.read("b"));
}

#[test]
fn malformed_or_unknown_keys_of_the_section_are_no_obstacle() {
    let bench = Bench::new("malformed", Device::Absent);
    bench.configure("mode = sideways\ncipher_min = many\nno_such_key = 1\n");
    let output = run(bench.command("openssl").args(["list", "-providers"]));
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(text(output.stdout).contains("WarpDrive"));
}

/// Settings come through the core alone, which knows when the environment must not be believed (AT_SECURE).
#[test]
fn provider_itself_reads_no_environment() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let source = std::fs::read_to_string(&path).expect("source");
            for call in ["env::var", "env::vars", "getenv"] {
                assert!(!source.contains(call), "{} uses {call}", path.display());
            }
        }
    }
    assert!(files > 20, "{files} files looked at");
}
