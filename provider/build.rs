//! Link options of the module: it must stay mapped after `dlclose` (thread locals), and must not be linked
//! with the C library symbols left open.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,defs");
    println!("cargo:rerun-if-changed=build.rs");
}
