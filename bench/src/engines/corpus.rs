//! The data: files that every Debian machine has, and generators with fixed seeds for what it may not have. Classes
//! are named by what is in them; two machines measure the same kinds of data, not the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Every class with its data, `bytes` each (a class of files may have less, at least a quarter).
///
/// # Errors
/// If a class of files cannot be filled at all.
pub fn make(bytes: usize) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    Ok(vec![
        ("text", files(&["/usr/share/common-licenses", "/usr/share/perl", "/usr/share/doc"], text, bytes)?),
        ("source", files(&[source, "/usr/include"], code, bytes)?),
        ("logs", logs(&mut dice, bytes)),
        ("json", json(&mut dice, bytes)),
        ("elf", files(&["/usr/bin", "/bin"], elf, bytes)?),
        ("database", database(&mut dice, bytes)),
        ("sparse", sparse(&mut dice, bytes)),
        ("incompressible", (0..bytes).map(|_| dice.roll() as u8).collect()),
    ])
}

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 24
    }

    fn below(&mut self, n: usize) -> usize {
        self.roll() as usize % n
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

type Wanted = fn(&Path, &[u8]) -> bool;

fn text(path: &Path, content: &[u8]) -> bool {
    let plain = content.iter().take(4096).all(|&b| matches!(b, 9 | 10 | 13 | 32..));
    plain && path.extension().is_none_or(|e| e == "txt" || e == "pod" || e == "md")
}

fn code(path: &Path, _content: &[u8]) -> bool {
    path.extension().is_some_and(|e| e == "rs" || e == "h" || e == "c")
}

fn elf(_path: &Path, content: &[u8]) -> bool {
    content.starts_with(b"\x7fELF")
}

/// The wanted files under `roots` in order of their names, one after another.
fn files(roots: &[&str], wanted: Wanted, bytes: usize) -> Result<Vec<u8>> {
    let mut all = Vec::with_capacity(bytes);
    let mut waiting: Vec<PathBuf> = roots.iter().rev().map(PathBuf::from).collect();
    while let Some(path) = waiting.pop() {
        if all.len() >= bytes {
            break;
        }
        let Ok(kind) = fs::symlink_metadata(&path) else { continue };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if kind.is_dir() && !name.starts_with("target") && !name.starts_with(".git") {
            let mut inside: Vec<PathBuf> =
                fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            inside.sort();
            waiting.extend(inside.into_iter().rev());
        } else if kind.is_file() && kind.len() > 2000 {
            let Ok(content) = fs::read(&path) else { continue };
            if wanted(&path, &content) {
                // no single file is most of a class
                all.extend_from_slice(&content[..content.len().min(bytes / 4)]);
            }
        }
    }
    ensure!(all.len() >= bytes / 4, "too few files under {roots:?}");
    all.truncate(bytes);
    Ok(all)
}

fn logs(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    let mut out = String::with_capacity(bytes + 200);
    let mut clock = 1_700_000_000u64;
    while out.len() < bytes {
        clock += dice.below(4) as u64;
        let path =
            dice.of(&["/", "/index.html", "/api/v1/items", "/static/app.js", "/login", "/images/logo.png"]);
        let agent =
            dice.of(&["Mozilla/5.0 (X11; Linux x86_64)", "curl/7.88.1", "Mozilla/5.0 (Windows NT 10.0)"]);
        out.push_str(&format!(
            "10.{}.{}.{} - - [{clock}] \"{} {path}?id={} HTTP/1.1\" {} {} \"-\" \"{agent}\" {:.3}\n",
            dice.below(4),
            dice.below(256),
            dice.below(256),
            dice.of(&["GET", "GET", "GET", "POST"]),
            dice.below(100_000),
            dice.of(&["200", "200", "200", "304", "404", "500"]),
            dice.below(60_000),
            dice.below(2000) as f64 / 1000.0,
        ));
    }
    out.into_bytes()[..bytes].to_vec()
}

fn json(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    let mut out = String::with_capacity(bytes + 400);
    while out.len() < bytes {
        let (id, price) = (dice.below(1 << 20), dice.below(100_000) as f64 / 100.0);
        let name = dice.of(&["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf"]);
        let tag = dice.of(&["new", "sale", "used", "rare", "bulk"]);
        out.push_str(&format!(
            "{{\"id\":{id},\"name\":\"{name}-{}\",\"price\":{price},\"tags\":[\"{tag}\",\"{}\"],\"stock\":{},\
             \"updated\":\"2024-{:02}-{:02}T{:02}:{:02}:00Z\",\"active\":{}}},",
            dice.below(500),
            dice.of(&["red", "green", "blue"]),
            dice.below(300),
            dice.below(12) + 1,
            dice.below(28) + 1,
            dice.below(24),
            dice.below(60),
            dice.below(2) == 0,
        ));
    }
    out.into_bytes()[..bytes].to_vec()
}

/// Pages of 8 KiB with rows of numbers, names and padding, like a table's heap.
fn database(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 8192);
    let mut key = 1u32;
    while out.len() < bytes {
        let page = out.len();
        out.extend_from_slice(&(page as u64).to_le_bytes());
        out.extend_from_slice(&[0, 4, 0x28, 0, 0, 0x20, 4, 0x20]);
        while out.len() - page < 7800 {
            out.extend_from_slice(&key.to_le_bytes());
            key += 1 + dice.below(3) as u32;
            out.extend_from_slice(&(dice.below(1_000_000) as u64).to_le_bytes());
            out.extend_from_slice(&(1_700_000_000_000 + dice.below(1 << 30) as u64).to_le_bytes());
            let name = dice.of(&["Anna", "Bernd", "Chen", "Dmitri", "Elena", "Farid", "Grace", "Hiro"]);
            out.extend_from_slice(format!("{name:<12}").as_bytes());
            out.extend_from_slice(&[0, 0, 0, dice.below(3) as u8]);
        }
        out.resize(page + 8192, 0);
    }
    out.truncate(bytes);
    out
}

/// Mostly empty pages, as in disk images and core files.
fn sparse(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    for page in out.chunks_mut(4096) {
        if dice.below(16) == 0 {
            let n = dice.below(400).min(page.len());
            page[..n].iter_mut().for_each(|byte| *byte = dice.roll() as u8);
        }
    }
    out
}
