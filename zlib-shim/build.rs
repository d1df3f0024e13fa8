//! Compiles the variadic shim (stable Rust has no variadic definitions) and marks the shared object as never
//! to be unloaded, because of its thread-locals.

fn main() {
    println!("cargo:rerun-if-changed=c/printf.c");
    cc::Build::new().file("c/printf.c").flag("-fvisibility=hidden").warnings(true).compile("wdz_printf");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
