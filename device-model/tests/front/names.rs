//! Every spelling of names and waits that C programs use: the driver `names.c`.

use super::{Run, compile};

#[test]
fn nodes_entries_and_waits_answer_in_every_spelling() {
    let program = compile("names");
    for profile in super::BOTH {
        for name in ["names", "listings", "waits"] {
            let run = Run::new(profile, "");
            let output = run.of(&program, &[name]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && text.ends_with("ok\n"), "{name}: {text}\n{}", run.log());
        }
    }
}
