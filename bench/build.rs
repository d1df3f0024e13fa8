//! Compiles the plain C loop that the queue path is measured against.

fn main() {
    println!("cargo::rerun-if-changed=src/queue/plain.c");
    cc::Build::new().file("src/queue/plain.c").opt_level(2).warnings(true).compile("warpdrive_plain");
}
