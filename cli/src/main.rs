//! The `warpdrive` command.
fn main() {}
