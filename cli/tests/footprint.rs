//! Without a device the libraries cost nothing: one look at one directory, no thread, nothing left open.

mod common;

use common::{PYTHON, build_dir, unaided};

/// System calls of `program` with `environment`, as strace prints them, all threads and children.
fn trace(program: &[&str], environment: &[(&str, String)]) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = unaided("strace");
    command.args(["-f", "-o"]).arg(log.path());
    // Only the traced program gets the environment: strace itself must not preload anything.
    for (name, value) in environment {
        command.arg("-E").arg(format!("{name}={value}"));
    }
    let output = command.args(program).output().expect("strace runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(text.lines().count() > 20, "strace saw nothing: {text}");
    text.lines().map(str::to_owned).collect()
}

fn ours(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.contains("uacce") || line.contains("warpdrive")).collect()
}

/// Calls that open anything, without the dynamic loader's search for our own shared objects.
fn opened(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| line.contains("open(") || line.contains("openat("))
        .filter_map(|line| line.split('"').nth(1).map(str::to_owned))
        .filter(|path| !path.ends_with(".so") && !path.contains(".so."))
        .collect()
}

fn threads(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.contains("CLONE_THREAD")).count()
}

fn require_no_device() {
    assert!(
        !std::path::Path::new("/sys/class/uacce").exists(),
        "this machine has a uacce class directory: the test of its absence cannot run here"
    );
}

#[test]
fn a_zlib_program_without_a_device_looks_at_one_directory_and_starts_no_thread() {
    require_no_device();
    let script = "import zlib; d = bytes(range(256)) * 4000; assert zlib.decompress(zlib.compress(d)) == d";
    let library = build_dir().join("libwarpdrive_z.so").display().to_string();
    let plain = trace(&[PYTHON, "-c", script], &[]);
    let preloaded = trace(&[PYTHON, "-c", script], &[("LD_PRELOAD", library)]);
    let looks: Vec<_> =
        ours(&preloaded).into_iter().filter(|line| line.contains("/sys/class/uacce")).collect();
    assert_eq!(looks.len(), 1, "{looks:#?}");
    assert!(looks[0].contains("ENOENT"), "{looks:#?}");
    assert_eq!(threads(&preloaded), threads(&plain));
    let mut extra = opened(&preloaded);
    for path in opened(&plain) {
        if let Some(at) = extra.iter().position(|other| *other == path) {
            extra.remove(at);
        }
    }
    assert_eq!(extra, ["/sys/class/uacce"], "opened beyond the unaided program");
}

#[test]
fn the_provider_without_a_device_looks_at_one_directory_and_starts_no_thread() {
    require_no_device();
    let scratch = tempfile::tempdir().unwrap();
    let conf = scratch.path().join("openssl.cnf");
    let module = build_dir().join("libwarpdrive_provider.so");
    let base = "openssl_conf = i\n[i]\nproviders = p\n[p]\ndefault = d\n[d]\nactivate = 1\n";
    std::fs::write(&conf, base).unwrap();
    let environment = [("OPENSSL_CONF", conf.display().to_string())];
    let program = ["openssl", "list", "-providers"];
    let plain = trace(&program, &environment);
    let with = format!("{base}[p]\nwarpdrive = w\n[w]\nactivate = 1\nmodule = {}\n", module.display());
    std::fs::write(&conf, with).unwrap();
    let loaded = trace(&program, &environment);
    let looks: Vec<_> = ours(&loaded).into_iter().filter(|line| line.contains("/sys/class/uacce")).collect();
    assert_eq!(looks.len(), 1, "{looks:#?}");
    assert_eq!(threads(&loaded), threads(&plain));
    let mut extra = opened(&loaded);
    for path in opened(&plain) {
        if let Some(at) = extra.iter().position(|other| *other == path) {
            extra.remove(at);
        }
    }
    assert_eq!(extra, ["/sys/class/uacce"], "opened beyond the unaided program");
}
