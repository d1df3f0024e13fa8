//! A minute of chaos, always of the same seed. `make chaos` goes on for ten minutes, and rolls new dice.

use std::process::Command;

#[test]
fn a_minute_of_chaos_leaves_no_wrong_byte_no_error_and_no_leak() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warpdrive-chaos"));
    let own = [("CHAOS_SEED", "1"), ("CHAOS_SECONDS", "60")];
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WARPDRIVE_") {
            command.env_remove(name);
        }
    }
    for (name, usual) in own {
        if std::env::var_os(name).is_none() {
            command.env(name, usual);
        }
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{err}", output.status);
    assert!(out.contains("no wrong byte, no error, no leak"), "{out}");
}
