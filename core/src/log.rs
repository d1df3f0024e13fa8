//! Messages through the `log` facade to the configured sink, or nowhere; never to the host's standard error.
//! In our shared objects the facade's global is private to the object, so the host's own logger is untouched.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};
use once_cell::race::OnceBox;

use crate::config::{Config, LogSink};

/// Where the system log listens.
const SYSLOG_SOCKET: &str = "/dev/log";

/// A sandbox has refused an open: from then on no socket is made, which a filter might answer by killing.
static QUIET: AtomicBool = AtomicBool::new(false);

static SINK: OnceBox<Sink> = OnceBox::new();

struct Sink {
    target: LogSink,
    level: LevelFilter,
}

/// Directs messages as configured. The first call with a sink decides; off costs nothing.
pub fn install(config: &Config) {
    if config.log == LogSink::Off || config.log_level == LevelFilter::Off {
        return;
    }
    let sink = SINK.get_or_init(|| Box::new(Sink { target: config.log.clone(), level: config.log_level }));
    // Another logger, of a program that links this crate directly, keeps its place.
    if log::set_logger(sink).is_ok() {
        log::set_max_level(sink.level);
    }
}

/// Makes panics of this copy of the standard library silent (logged if configured): they are caught at the
/// C interface, and the default hook would write to the host's standard error. For our shared objects only.
pub fn silence_panics() {
    std::panic::set_hook(Box::new(|info| {
        log::error!("internal error, the call fails or moves to software: {info}")
    }));
}

/// Stops using the system log's socket: the process turned out to be sandboxed.
pub(crate) fn sandboxed() {
    QUIET.store(true, Ordering::Relaxed);
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // No descriptor is kept, so that nobody can close it and have our lines in his own file.
        let written = match &self.target {
            LogSink::Off => Ok(()),
            LogSink::File(path) => append(path, record),
            LogSink::Syslog => syslog(record),
        };
        // A message that cannot be written is lost; there is nowhere to say so.
        let _ = written;
    }

    fn flush(&self) {}
}

/// One write per line, so that lines of several processes do not mix.
fn append(path: &Path, record: &Record<'_>) -> std::io::Result<()> {
    // A FIFO without a reader loses the line; the program does not wait for one. The mode is not the host's to
    // widen: daemons run with a umask of zero.
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o644).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let mut file = options.open(path)?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let line = format!(
        "{}.{:03} warpdrive[{}] {}: {}\n",
        since.as_secs(),
        since.subsec_millis(),
        std::process::id(),
        record.level(),
        one_line(&record.args().to_string())
    );
    file.write_all(line.as_bytes())
}

fn syslog(record: &Record<'_>) -> std::io::Result<()> {
    if QUIET.load(Ordering::Relaxed) {
        return Ok(());
    }
    // RFC 3164 priority: facility user (1) times 8 plus severity.
    let priority = 8 + match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    let line =
        format!("<{priority}>warpdrive[{}]: {}", std::process::id(), one_line(&record.args().to_string()));
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(line.as_bytes(), SYSLOG_SOCKET).map(drop)
}

/// A message may quote configuration text; it stays one line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_sink_appends_single_lines_and_respects_the_level() {
        let path = std::env::temp_dir().join(format!("warpdrive-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let sink = Sink { target: LogSink::File(path.clone()), level: LevelFilter::Warn };
        for (level, text) in
            [(Level::Warn, "first\nline"), (Level::Info, "too quiet"), (Level::Error, "second")]
        {
            sink.log(&Record::builder().level(level).args(format_args!("{text}")).build());
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("WARN: first line"), "{text}");
        assert!(lines[1].ends_with("ERROR: second"), "{text}");
    }

    #[test]
    fn pipe_without_a_reader_loses_the_message_and_nobody_waits() {
        let directory = crate::testing::TempDir::new();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let sink = Sink { target: LogSink::File(pipe), level: LevelFilter::Trace };
        sink.log(&Record::builder().level(Level::Error).args(format_args!("x")).build());
    }

    #[test]
    fn unwritable_sink_loses_the_message_only() {
        let sink = Sink { target: LogSink::File("/nonexistent/log".into()), level: LevelFilter::Trace };
        sink.log(&Record::builder().level(Level::Error).args(format_args!("x")).build());
    }
}
