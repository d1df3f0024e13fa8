//! One file per subcommand.

pub mod devices;
pub mod explain;
pub mod run;
pub mod stats;
pub mod switch;

use std::io::{self, Write};

/// Writes to standard output; a closed pipe (`warpdrive stats | head -1`) ends quietly.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
