//! The off switch: made, turned, obeyed, and not obeyed when somebody else could have made it.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::stats::switch::{Obeyed, State, all, own, turn};

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_switch_is_made_turned_and_read() {
    let directory = TempDir::new();
    let path = own(directory.path()).unwrap();
    assert_eq!(path, directory.path().join("switch"), "our own directory");
    assert_eq!(all(directory.path()).unwrap(), []);
    for (off, reason) in [(true, "a reset storm"), (false, ""), (true, "\x1b[2Jagain")] {
        turn(&path, off, reason).unwrap();
        let states = all(directory.path()).unwrap();
        let [(name, State { off: found, since, reason: text, .. })] = &states[..] else {
            panic!("{states:?}")
        };
        assert_eq!(
            (name.as_str(), *found, text.as_str()),
            ("switch", off, reason.replace('\x1b', "?").as_str())
        );
        assert!(*since > 1_600_000_000);
    }
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no draft is left");
    turn(&path, true, &"x".repeat(1000)).unwrap();
    assert_eq!(all(directory.path()).unwrap()[0].1.reason.len(), 224);
}

#[test]
fn a_switch_is_obeyed_from_when_it_appears_and_by_children() {
    let directory = TempDir::new();
    let obeyed = Obeyed::new(&[directory.path(), Path::new("/nonexistent")]);
    assert!(obeyed.enabled());
    let path = own(directory.path()).unwrap();
    turn(&path, true, "").unwrap();
    obeyed.look_is_due();
    assert!(!obeyed.enabled());
    turn(&path, false, "").unwrap();
    assert!(obeyed.enabled() && in_child(|| obeyed.enabled()));
    turn(&path, true, "").unwrap();
    assert!(!obeyed.enabled() && in_child(|| !obeyed.enabled()));
    // The user's own switch counts as well.
    turn(&path, false, "").unwrap();
    let mine = directory.path().join(format!("switch-{}", crate::uacce::node::effective_user()));
    turn(&mine, true, "mine").unwrap();
    obeyed.look_is_due();
    assert!(!obeyed.enabled());
    assert_eq!(all(directory.path()).unwrap().len(), 2);
}

#[test]
fn what_others_could_write_to_or_what_is_no_switch_is_not_obeyed() {
    let directory = TempDir::new();
    let (path, target) = (own(directory.path()).unwrap(), directory.path().join("target"));
    turn(&target, true, "").unwrap();
    let good = std::fs::read(&target).unwrap();
    let refused = || {
        let ignored = Obeyed::new(&[directory.path()]).enabled() && all(directory.path()).unwrap().is_empty();
        ignored && turn(&path, true, "").is_err()
    };
    for permissions in [0o660, 0o646] {
        std::fs::write(&path, &good).unwrap();
        mode(&path, permissions);
        assert!(refused(), "{permissions:o}");
        std::fs::remove_file(&path).unwrap();
    }
    for bad in [&good[..255], &[b"X", &good[1..]].concat(), b""] {
        std::fs::write(&path, bad).unwrap();
        mode(&path, 0o640);
        assert!(refused());
        assert_eq!(std::fs::read(&path).unwrap(), bad);
    }
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert!(refused());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &good).unwrap();
    mode(&path, 0o640);
    assert!(!Obeyed::new(&[directory.path()]).enabled(), "the same bytes in order are obeyed");
}

#[test]
fn a_directory_that_may_not_be_looked_into_is_looked_at_once() {
    let directory = TempDir::new();
    directory.write("inner/file", "");
    let inner = directory.path().join("inner");
    mode(&inner, 0);
    assert!(in_child(|| {
        // SAFETY: the child is alone; root would be let in, so it becomes nobody, for others the call fails.
        #[expect(unsafe_code, reason = "no safe interface")]
        unsafe {
            libc::setuid(65534)
        };
        let obeyed = Obeyed::new(&[&inner]);
        let before = obeyed.enabled() && !obeyed.may_look();
        obeyed.look_is_due();
        before && obeyed.enabled()
    }));
    mode(&inner, 0o700);
}
