//! The shared object itself, and what it assumes about libcrypto's headers.

mod common;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use common::{Bench, Device, libraries, succeed};

fn tool(program: &str, args: &[&str]) -> String {
    let module = libraries().join("libwarpdrive_provider.so");
    String::from_utf8(succeed(Command::new(program).args(args).arg(module), program)).expect("text")
}

#[test]
fn module_exports_only_the_init_function() {
    let symbols: Vec<_> = tool("nm", &["-D", "--defined-only"]).lines().map(str::to_owned).collect();
    assert_eq!(symbols.len(), 1, "{symbols:?}");
    assert!(symbols[0].ends_with(" T OSSL_provider_init"), "{symbols:?}");
}

#[test]
fn module_is_linked_with_no_libcrypto_and_stays_mapped() {
    let dynamic = tool("readelf", &["-d", "-W"]);
    assert!(!dynamic.contains("libcrypto") && !dynamic.contains("libssl"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    let undefined = tool("nm", &["-D", "--undefined-only"]);
    let openssl = ["EVP_", "OSSL_", "BN_", "ERR_", "RAND_", "CRYPTO_", "OPENSSL_"];
    let leaked = undefined.lines().find(|line| {
        openssl.iter().any(|prefix| line.trim_start().trim_start_matches("U ").starts_with(prefix))
    });
    assert_eq!(leaked, None);
}

/// C spelling of the type names used in `ossl/dispatch.rs`.
fn c_type(rust: &str) -> String {
    let plain = match rust.trim() {
        "Obj" => "void *",
        "In" => "const unsigned char *",
        "Out" => "unsigned char *",
        "Params" => "const OSSL_PARAM *",
        "ParamsMut" => "OSSL_PARAM *",
        "Option<Callback>" => "OSSL_CALLBACK *",
        "c_int" => "int",
        "usize" => "size_t",
        "*mut usize" => "size_t *",
        "*mut c_int" => "int *",
        "*const c_void" => "const void *",
        "*const c_char" => "const char *",
        "*const Algorithm" => "const OSSL_ALGORITHM *",
        other => panic!("no C type for {other:?}"),
    };
    plain.to_owned()
}

#[test]
fn slots_and_constants_agree_with_the_installed_headers() {
    if !Path::new("/usr/include/openssl/core_dispatch.h").exists() {
        eprintln!("OpenSSL's headers are not installed: nothing to compare with");
        return;
    }
    let source = include_str!("../src/ossl/dispatch.rs");
    let mut header = String::new();
    let mut slots = 0;
    for line in source.lines().map(str::trim).filter(|line| line.contains(": (") && line.ends_with(';')) {
        let (name, rest) = line.split_once(" = ").expect("name = id: (types)");
        let (id, signature) = rest.trim_end_matches(';').split_once(": ").expect("id: (types)");
        let (args, ret) = signature.split_once(") -> ").unwrap_or((signature.trim_end_matches(')'), ""));
        let ret = if ret.is_empty() { "void".to_owned() } else { c_type(ret) };
        let args: Vec<_> = args.trim_start_matches('(').split(", ").map(c_type).collect();
        let (args, upper) = (args.join(", "), name.to_uppercase());
        writeln!(header, "SLOT({upper}, {name}, {id}, {ret} ({args}))").expect("string");
        slots += 1;
    }
    assert!(slots > 55, "only {slots} slots found in dispatch.rs");
    let bench = Bench::new("abi", Device::Absent);
    bench.write("abi_slots.h", header.as_bytes());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/abi.c");
    let mut cc = Command::new("cc");
    succeed(
        cc.arg("-fsyntax-only").arg("-Wno-deprecated-declarations").arg("-I").arg(&bench.dir).arg(file),
        "abi.c",
    );
}
