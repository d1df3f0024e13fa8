//! The environment that the program was started with.
//!
//! Servers clear theirs (nginx keeps a handful of variables and writes its title over the rest) long before a worker
//! makes its first request, so our variables are remembered when a library of ours is loaded. That costs no system
//! call, and no memory unless there are such variables.

use std::ffi::OsString;

use once_cell::race::OnceBox;

/// How the names of our variables begin.
pub const PREFIX: &str = "WARPDRIVE_";

/// What builds that are to be repeated set, by a convention of their own (reproducible-builds.org).
pub const REPEATED_BUILD: &str = "SOURCE_DATE_EPOCH";

type Variables = Vec<(OsString, OsString)>;

static REMEMBERED: OnceBox<Variables> = OnceBox::new();

/// Remembers our variables as they are now. The first call decides.
pub fn remember() {
    let _ = REMEMBERED.set(Box::new(present()));
}

/// Our variables as remembered, or as they are now.
pub(crate) fn variables() -> Variables {
    REMEMBERED.get().cloned().unwrap_or_else(present)
}

fn present() -> Variables {
    let ours =
        |name: &OsString| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) || name == REPEATED_BUILD;
    std::env::vars_os().filter(|(name, _)| ours(name)).collect()
}
