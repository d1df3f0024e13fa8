//! The vector files: one vector a line, a name and hexadecimal fields, `-` for an empty one, `#` before a source.

use crate::engine::testing::hex;
use std::path::Path;

/// One line.
pub struct Vector {
    /// First word.
    pub name: String,
    /// The others, decoded.
    pub fields: Vec<Vec<u8>>,
    /// The others as they stand, for those that are names.
    pub words: Vec<String>,
    /// File and line, and the source above it: for messages.
    pub at: String,
}

/// The vectors of `test-vectors/<path>`.
pub fn vectors(path: &str) -> Vec<Vector> {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors").join(path);
    let text = std::fs::read_to_string(&full).unwrap_or_else(|e| panic!("{}: {e}", full.display()));
    let (mut out, mut source) = (Vec::new(), "");
    for (number, line) in text.lines().enumerate() {
        if let Some(comment) = line.strip_prefix("# ") {
            source = comment;
            continue;
        }
        let mut words = line.split(' ');
        let Some(name) = words.next().filter(|name| !name.is_empty()) else { continue };
        let words: Vec<String> = words.map(str::to_owned).collect();
        let fields = words.iter().map(|w| {
            if w.len() % 2 == 0 && w.bytes().all(|b| b.is_ascii_hexdigit()) { hex(w) } else { vec![] }
        });
        out.push(Vector {
            name: name.to_owned(),
            fields: fields.collect(),
            words: words.clone(),
            at: format!("{path}:{} ({source})", number + 1),
        });
    }
    assert!(!out.is_empty(), "{path}");
    out
}
