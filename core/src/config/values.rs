//! Values as text: one parser and one printer per type. A parser's error says what it expects.

use std::path::PathBuf;
use std::time::Duration;

use super::{LogSink, Mode, Policy};

pub(super) fn parse_mode(text: &str) -> Result<Mode, &'static str> {
    match text {
        "auto" => Ok(Mode::Auto),
        "hw" => Ok(Mode::Hw),
        "off" => Ok(Mode::Off),
        _ => Err("auto, hw or off"),
    }
}

pub(super) fn show_mode(mode: &Mode) -> String {
    match mode {
        Mode::Auto => "auto",
        Mode::Hw => "hw",
        Mode::Off => "off",
    }
    .to_owned()
}

pub(super) fn parse_policy(text: &str) -> Result<Policy, &'static str> {
    let named = Policy::ALL.into_iter().find(|policy| policy.name() == text);
    named.ok_or("latency, save-cpu, throughput, device or off")
}

pub(super) fn show_policy(policy: &Policy) -> String {
    policy.name().to_owned()
}

/// Per cent with up to two decimals, as ten-thousandths; at most a tenth.
pub(super) fn parse_share(text: &str) -> Result<u32, &'static str> {
    let expected = "per cent from 0 to 10, with at most two decimals";
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if decimals.is_empty() || decimals.len() > 2 || whole.len() > 2 || !digits(whole) || !digits(decimals) {
        return Err(expected);
    }
    let whole: u32 = whole.parse().map_err(|_| expected)?;
    let decimals: u32 = format!("{decimals:0<2}").parse().map_err(|_| expected)?;
    let share = whole * 100 + decimals;
    if share <= 1000 { Ok(share) } else { Err(expected) }
}

pub(super) fn show_share(share: &u32) -> String {
    match (share / 100, share % 100) {
        (whole, 0) => format!("{whole}%"),
        (whole, decimals) => format!("{whole}.{decimals:02}%"),
    }
}

pub(super) fn parse_switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" | "yes" | "true" | "1" => Ok(true),
        "off" | "no" | "false" | "0" => Ok(false),
        _ => Err("on or off"),
    }
}

pub(super) fn show_switch(on: &bool) -> String {
    if *on { "on" } else { "off" }.to_owned()
}

pub(super) fn parse_bytes(text: &str) -> Result<usize, &'static str> {
    let expected = "a number of bytes, with K, M or G behind it if wanted";
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: usize = digits.trim_end().parse().map_err(|_| expected)?;
    number.checked_mul(1 << shift).ok_or(expected)
}

pub(super) fn show_bytes(bytes: &usize) -> String {
    match *bytes {
        0 => "0".to_owned(),
        bytes if bytes.is_multiple_of(1 << 30) => format!("{}G", bytes >> 30),
        bytes if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

pub(super) fn parse_milliseconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(number @ 1..=3_600_000) => Ok(Duration::from_millis(number)),
        _ => Err("milliseconds from 1 to 3600000"),
    }
}

pub(super) fn show_milliseconds(duration: &Duration) -> String {
    duration.as_millis().to_string()
}

pub(super) fn parse_queues(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|number| (1..=1024).contains(number)).ok_or("a number from 1 to 1024")
}

pub(super) fn parse_sample(text: &str) -> Result<u32, &'static str> {
    text.parse().ok().filter(|number| *number <= 1_000_000).ok_or("a number from 0 to 1000000")
}

pub(super) fn parse_faults(text: &str) -> Result<u32, &'static str> {
    text.parse().ok().filter(|number| (1..=1000).contains(number)).ok_or("a number from 1 to 1000")
}

pub(super) fn parse_sink(text: &str) -> Result<LogSink, &'static str> {
    match text {
        "off" => Ok(LogSink::Off),
        "syslog" => Ok(LogSink::Syslog),
        path if path.starts_with('/') && !path.contains('\0') => Ok(LogSink::File(PathBuf::from(path))),
        _ => Err("off, syslog or an absolute path"),
    }
}

pub(super) fn show_sink(sink: &LogSink) -> String {
    match sink {
        LogSink::Off => "off".to_owned(),
        LogSink::Syslog => "syslog".to_owned(),
        LogSink::File(path) => path.display().to_string(),
    }
}

pub(super) fn parse_level(text: &str) -> Result<log::LevelFilter, &'static str> {
    text.parse().map_err(|_| "off, error, warn, info, debug or trace")
}

pub(super) fn show_level(level: &log::LevelFilter) -> String {
    level.to_string().to_ascii_lowercase()
}
