//! On the device model: the default provider cannot tell our results from its own, whoever served them.

mod common;

use common::{Bench, Device, HEALTHY, succeed};

/// Every second request ends in an error status; nothing may show.
const SIGNALLED: Device = Device::Faulty("hpre:status=3@%2;sec:status=2@%2");
/// Wrong bytes with a good status, where a check exists: every RSA result.
const CORRUPT: Device = Device::Faulty("hpre:corrupt@1+");

const DIGESTS: [&str; 7] = ["md5", "sha1", "sha256", "sha512", "sha512-256", "sha3-256", "ripemd160"];

fn key(bench: &Bench, size: &str) {
    let how = match size {
        "three-primes" => "-primes 3 -out key.pem 2048".to_owned(),
        "e3" => "-3 -out key.pem 2048".to_owned(),
        bits => format!("-out key.pem {bits}"),
    };
    bench.unaided(&format!("genrsa {how}"));
    bench.unaided("rsa -in key.pem -pubout -out pub.pem");
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// Signs with one side and verifies with the other, both ways.
fn cross_sign(bench: &Bench, size: &str, digests: &[&str]) {
    key(bench, size);
    bench.write("message", size.repeat(1000).as_bytes());
    for digest in digests {
        bench.ours(&format!("dgst -{digest} -sign key.pem -out ours message"));
        bench.unaided(&format!("dgst -{digest} -sign key.pem -out theirs message"));
        assert_eq!(bench.read("ours"), bench.read("theirs"), "{size} {digest}");
        bench.ours(&format!("dgst -{digest} -verify pub.pem -signature theirs message"));
        if size == "512" || (size == "1024" && *digest == "sha512") {
            continue;
        }
        for salt in ["-1", "-2", "0"] {
            let pss = format!("-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt}");
            bench.ours(&format!("dgst -{digest} {pss} -sign key.pem -out ours message"));
            bench.unaided(&format!("dgst -{digest} {pss} -verify pub.pem -signature ours message"));
            bench.unaided(&format!("dgst -{digest} {pss} -sign key.pem -out theirs message"));
            bench.ours(&format!("dgst -{digest} {pss} -verify pub.pem -signature theirs message"));
        }
    }
}

#[test]
fn names_are_the_default_providers() {
    let bench = Bench::new("names", HEALTHY[0]);
    for (what, count) in [("-signature-algorithms", 1), ("-key-managers", 1), ("-cipher-algorithms", 3)] {
        let list = text(bench.ours(&format!("list {what}")));
        let of = |provider: &str| -> Vec<String> {
            let tail = format!(" @ {provider}");
            list.lines().filter_map(|line| line.trim().strip_suffix(&tail)).map(str::to_owned).collect()
        };
        let (ours, theirs) = (of("warpdrive"), of("default"));
        assert_eq!(ours.len(), count, "{list}");
        for names in ours {
            assert!(theirs.contains(&names), "{names} is not one of default's in\n{list}");
        }
    }
}

#[test]
fn every_size_that_the_device_has_is_signed_and_verified_by_it() {
    for device in HEALTHY {
        for size in ["1024", "2048", "3072", "4096"] {
            let bench = Bench::new(&format!("sizes-{size}"), device);
            cross_sign(&bench, size, if size == "2048" { &DIGESTS } else { &DIGESTS[1..4] });
            let counters = bench.agreed_counters();
            assert!(counters.rsa() >= 18, "{counters:?}");
            assert_eq!(counters.of("software.failed"), 0, "{counters:?}");
        }
    }
}

#[test]
fn other_sizes_and_forms_are_served_by_software() {
    for size in ["512", "1536", "2047", "three-primes"] {
        let bench = Bench::new(&format!("odd-{size}"), HEALTHY[0]);
        cross_sign(&bench, size, &["sha1", "sha256"]);
        let counters = bench.counters();
        assert!(counters.of("software.unsupported") > 0, "{counters:?}");
    }
    let bench = Bench::new("e3", HEALTHY[0]);
    cross_sign(&bench, "e3", &["sha256"]);
    assert!(bench.counters().rsa() > 0);
}

#[test]
fn faults_change_no_result() {
    for (name, device) in [("signalled", SIGNALLED), ("corrupt", CORRUPT)] {
        let bench = Bench::new(&format!("faults-{name}"), device);
        cross_sign(&bench, "2048", &["sha1", "sha256"]);
        let counters = bench.counters();
        assert!(counters.of("software.failed") > 0, "{name}: {counters:?}");
    }
}

#[test]
fn lost_requests_resets_and_refused_queues_change_no_result() {
    let plans = [
        ("lost", "hpre:drop@%9;sec:drop@%9", "software.failed"),
        ("reset", "hpre:reset@%9;sec:reset@%9", "software.failed"),
        ("refused", "*:refuse-open=EACCES@1+", "software.no_device"),
    ];
    for (name, plan, counter) in plans {
        let bench = Bench::new(&format!("plan-{name}"), Device::Faulty(plan));
        key(&bench, "1024");
        let program = bench.compile("share");
        succeed(bench.command(program).args(["key.pem", "openssl.cnf"]), name);
        let counters = bench.counters();
        assert!(counters.of(counter) > 0, "{name}: {counters:?}");
    }
}

/// All key comparisons of `c/keys.c`.
fn compare_keys(name: &str, device: Device, sizes: &[(&str, &str)]) {
    for (size, form) in sizes {
        let bench = Bench::new(&format!("keys-{name}-{size}-{form}"), device);
        key(&bench, size);
        let program = bench.compile("keys");
        let what = format!("{name}, {size}, {form}");
        succeed(bench.command(program).args(["key.pem", device.provider(), form]), &what);
        let (counters, on_device) =
            (bench.counters(), matches!(*size, "1024" | "2048" | "3072" | "4096" | "e3"));
        match device {
            Device::Model(_) if on_device => {
                assert!(counters.rsa() > 50, "{what}: {counters:?}");
                // A bad signature is software's to refuse, and counts as data the device could not judge.
                assert!(counters.of("software.tripped") == 0, "{what}: {counters:?}");
            }
            Device::Faulty(_) if on_device => {
                assert!(counters.of("software.failed") > 0, "{what}: {counters:?}")
            }
            _ => assert!(
                device == Device::Absent || counters.of("software.unsupported") > 0,
                "{what}: {counters:?}"
            ),
        }
    }
}

#[test]
fn keys_parameters_signatures_and_errors_equal_the_defaults() {
    compare_keys("kunpeng930", HEALTHY[0], &[("1024", "whole"), ("2048", "whole"), ("e3", "whole")]);
    compare_keys("kunpeng920", HEALTHY[1], &[("1024", "whole"), ("1024", "plain")]);
}

#[test]
fn keys_that_the_device_cannot_take_equal_the_defaults() {
    let sizes = [("512", "whole"), ("1536", "whole"), ("2047", "whole"), ("three-primes", "whole")];
    compare_keys("odd", HEALTHY[0], &sizes);
}

#[test]
fn a_key_with_a_wrong_crt_value_signs_as_the_default_does_and_blames_no_device() {
    let bench = Bench::new("broken", HEALTHY[0]);
    key(&bench, "2048");
    let program = bench.compile("keys");
    succeed(bench.command(program).args(["key.pem", "warpdrive", "broken"]), "a broken key");
    assert_eq!(bench.counters().of("software.tripped"), 0);
}

#[test]
fn keys_equal_the_defaults_while_the_device_fails() {
    compare_keys("signalled", SIGNALLED, &[("2048", "whole"), ("1024", "plain")]);
    compare_keys("corrupt", CORRUPT, &[("1024", "whole")]);
    compare_keys("silent", Device::Faulty("hpre:drop@%40"), &[("1024", "whole")]);
}

#[test]
fn keys_equal_the_defaults_without_a_device() {
    compare_keys("absent", Device::Absent, &[("2048", "whole")]);
}

/// The random walks of `c/ctr.c`.
fn walk(name: &str, device: Device, seed: u32, walks: u32) -> common::Counters {
    let bench = Bench::new(&format!("ctr-{name}"), device);
    let program = bench.compile("ctr");
    let (seed, walks) = (seed.to_string(), walks.to_string());
    succeed(bench.command(program).args([seed.as_str(), &walks, device.provider()]), name);
    if matches!(device, Device::Model(_)) { bench.agreed_counters() } else { bench.counters() }
}

#[test]
fn ctr_equals_the_default_in_every_chunking() {
    for (device, seed) in HEALTHY.into_iter().zip([1, 2]) {
        let counters = walk(&format!("healthy-{seed}"), device, seed, 60);
        assert!(counters.cipher() > 100, "{counters:?}");
        assert_eq!(counters.of("software.failed"), 0, "{counters:?}");
    }
    walk("absent", Device::Absent, 3, 20);
}

#[test]
fn ctr_equals_the_default_when_the_device_fails_in_mid_message() {
    let counters = walk("signalled", SIGNALLED, 4, 60);
    assert!(counters.of("software.failed") > 0 && counters.cipher() > 0, "{counters:?}");
    let counters = walk("partial", Device::Faulty("sec:partial@%3"), 5, 60);
    assert!(counters.of("software.failed") > 0, "{counters:?}");
    let counters = walk("silent", Device::Faulty("sec:drop@%25"), 6, 20);
    assert!(counters.of("software.failed") > 0, "{counters:?}");
}

#[test]
fn threads_forks_and_library_contexts_share_one_device() {
    for (name, device) in [("healthy", HEALTHY[0]), ("signalled", SIGNALLED), ("absent", Device::Absent)] {
        let bench = Bench::new(&format!("share-{name}"), device);
        key(&bench, "2048");
        let program = bench.compile("share");
        succeed(bench.command(program).args(["key.pem", "openssl.cnf"]), name);
        let counters = bench.counters();
        assert_eq!(counters.rsa() > 20 && counters.cipher() > 20, device != Device::Absent, "{counters:?}");
    }
}

#[test]
fn enc_files_of_all_sizes_equal_the_defaults() {
    let bench = Bench::new("enc", HEALTHY[0]);
    for len in [0usize, 1, 15, 16, 17, 4096, 1 << 20] {
        let message: Vec<u8> = (0..len).map(|at| (at * 7 + at / 251) as u8).collect();
        bench.write("message", &message);
        for (bits, digits) in [(128, 32), (192, 48), (256, 64)] {
            let key: String = "0f1e2d3c4b5a6978".chars().cycle().take(digits).collect();
            // The counter wraps at 32 and at 128 bits on the way.
            let keys = format!("-aes-{bits}-ctr -K {key} -iv fffffffffffffffffffffffffffffff0");
            bench.ours(&format!("enc {keys} -in message -out ours"));
            bench.unaided(&format!("enc {keys} -in message -out theirs"));
            assert_eq!(bench.read("ours"), bench.read("theirs"), "{bits} bits, {len} bytes");
            bench.ours(&format!("enc -d {keys} -in theirs -out back"));
            assert_eq!(bench.read("back"), message);
        }
    }
    assert!(bench.agreed_counters().cipher() > 0);
}

#[test]
fn generated_keys_certificates_and_messages_are_good_for_everybody() {
    let bench = Bench::new("pki", HEALTHY[0]);
    bench.write("message", b"signed\r\n");
    bench.ours("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out pkcs8.pem");
    bench.ours("genrsa -traditional -out pkcs1.pem 2048");
    bench.unaided("rsa -check -noout -in pkcs8.pem");
    bench.unaided("rsa -check -noout -in pkcs1.pem");
    bench.ours("rsa -check -noout -in pkcs8.pem");
    bench.ours("req -x509 -newkey rsa:2048 -nodes -keyout own.pem -out own.crt -subj /CN=own -sha384");
    bench.unaided("verify -CAfile own.crt own.crt");
    bench.ours("req -x509 -key pkcs8.pem -sigopt rsa_padding_mode:pss -out pss.crt -subj /CN=pss");
    bench.unaided("verify -CAfile pss.crt pss.crt");
    bench.ours("verify -CAfile pss.crt pss.crt");
    for padding in ["pkcs1", "pss"] {
        let sign =
            format!("-signer own.crt -inkey own.pem -keyopt rsa_padding_mode:{padding} -binary -nodetach");
        bench.ours(&format!("cms -sign -in message {sign} -outform DER -out cms"));
        bench.unaided("cms -verify -inform DER -in cms -CAfile own.crt -out content");
        assert_eq!(bench.read("content"), b"signed\r\n");
    }
    bench.ours("cms -encrypt -binary -in message -outform DER -out enveloped own.crt");
    bench.ours("cms -decrypt -inform DER -in enveloped -recip own.crt -inkey own.pem -out content");
    assert_eq!(bench.read("content"), b"signed\r\n");
    assert!(bench.agreed_counters().rsa() >= 4);
}

#[test]
fn pss_keys_and_legacy_digests_work_as_before() {
    let bench = Bench::new("rest", HEALTHY[0]);
    bench.write("message", b"message");
    bench.unaided("genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha256 -out pss.pem");
    bench.ours("dgst -sha256 -sign pss.pem -out sig message");
    bench.unaided("dgst -sha256 -prverify pss.pem -signature sig message");
    key(&bench, "2048");
    let legacy = "-provider legacy -provider default";
    bench.ours(&format!("dgst -md4 {legacy} -sign key.pem -out ours message"));
    bench.unaided(&format!("dgst -md4 {legacy} -sign key.pem -out theirs message"));
    assert_eq!(bench.read("ours"), bench.read("theirs"));
}

#[test]
fn the_section_switches_engines_off() {
    let bench = Bench::new("section", HEALTHY[0]);
    bench.configure("rsa = off\n");
    assert!(!text(bench.ours("list -signature-algorithms")).contains("warpdrive"));
    assert!(text(bench.ours("list -cipher-algorithms")).contains("AES-128-CTR @ warpdrive"));
}
