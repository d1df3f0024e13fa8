//! Reads an openssl.cnf as libcrypto does (config(5)): continued lines, comments, quotes and escapes, `section::key`,
//! `$variables`, `.include` of files and directories, `.pragma`. What libcrypto would reject is passed over here: it
//! says so itself when the program starts.

use std::path::{Path, PathBuf};

/// Includes within includes; libcrypto has no bound, a file that includes itself has no end.
const DEEPEST: u32 = 16;

/// Assignments in the order in which libcrypto meets them.
#[derive(Debug, Default)]
pub struct Settings {
    /// (section, key, value); the default section is "".
    lines: Vec<(String, String, String)>,
    /// `.pragma dollarid`: a dollar sign belongs to names, only `${…}` and `$(…)` are variables.
    dollar_is_a_letter: bool,
    include_dir: Option<PathBuf>,
}

impl Settings {
    /// From the text of a file.
    pub fn parse(content: &str) -> Self {
        let mut settings = Self {
            include_dir: std::env::var_os("OPENSSL_CONF_INCLUDE").map(PathBuf::from),
            ..Self::default()
        };
        settings.read(content, &mut String::new(), 0);
        settings
    }

    /// The last value of `key` in `section`.
    pub fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.lines.iter().rev().find(|(s, k, _)| s == section && k == key).map(|(_, _, value)| value.as_str())
    }

    /// Keys and values of a section.
    pub fn section(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        self.lines
            .iter()
            .filter(move |(s, ..)| s == section)
            .map(|(_, key, value)| (key.as_str(), value.as_str()))
    }

    fn read(&mut self, content: &str, section: &mut String, depth: u32) {
        let mut line = String::new();
        for part in content.lines() {
            line.push_str(part);
            if line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
                line.pop();
                continue;
            }
            let complete = std::mem::take(&mut line);
            self.statement(without_comment(&complete).trim(), section, depth);
        }
        self.statement(without_comment(&line).trim(), section, depth);
    }

    fn statement(&mut self, line: &str, section: &mut String, depth: u32) {
        let argument = |name: &str| {
            let rest =
                line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '\t', '=']))?.trim_start();
            Some(rest.strip_prefix('=').unwrap_or(rest).trim())
        };
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            *section = self.expanded(name.trim(), "");
            if section == "default" {
                section.clear();
            }
        } else if let Some(pragma) = argument(".pragma") {
            let (name, value) = pragma.split_once(':').map_or((pragma, ""), |(n, v)| (n.trim(), v.trim()));
            match name {
                "dollarid" => self.dollar_is_a_letter = matches!(value, "true" | "on" | "yes" | "1"),
                "includedir" if std::env::var_os("OPENSSL_CONF_INCLUDE").is_none() => {
                    self.include_dir = Some(PathBuf::from(self.expanded(value, section)));
                }
                _ => {}
            }
        } else if let Some(path) = argument(".include") {
            let path = PathBuf::from(self.expanded(path, section));
            self.include(&path, section, depth);
        } else if let Some((key, value)) = line.split_once('=') {
            let value = self.expanded(value.trim(), section);
            let (place, key) = match key.trim().split_once("::") {
                Some(("default", key)) => ("", key),
                Some(split) => split,
                None => (section.as_str(), key.trim()),
            };
            self.lines.push((place.to_owned(), key.to_owned(), value));
        }
    }

    fn include(&mut self, path: &Path, section: &mut String, depth: u32) {
        let path = match &self.include_dir {
            Some(dir) => dir.join(path), // an absolute path stays what it is
            None => path.to_owned(),
        };
        let files: Vec<PathBuf> = match std::fs::read_dir(&path) {
            Ok(entries) => entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|file| file.extension().is_some_and(|e| e == "cnf" || e == "conf"))
                .collect(),
            Err(_) => vec![path],
        };
        for file in files.iter().filter(|_| depth < DEEPEST) {
            if let Ok(content) = std::fs::read(file) {
                self.read(&String::from_utf8_lossy(&content), section, depth + 1);
            }
        }
    }

    /// A value without its quotes and escapes, variables replaced; `section` is where it stands.
    fn expanded(&self, text: &str, section: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            match first {
                '"' | '\'' | '`' => {
                    while let Some(c) = rest.chars().next() {
                        rest = &rest[c.len_utf8()..];
                        match c {
                            _ if c == first => break,
                            '\\' => escape(&mut rest, &mut out),
                            _ => out.push(c),
                        }
                    }
                }
                '\\' => escape(&mut rest, &mut out),
                '$' => match self.variable(rest) {
                    Some((name, after)) => {
                        out.push_str(&self.lookup(name, section));
                        rest = after;
                    }
                    None => out.push('$'),
                },
                _ => out.push(first),
            }
        }
        out
    }

    /// The name behind a dollar sign, and what follows it.
    fn variable<'a>(&self, rest: &'a str) -> Option<(&'a str, &'a str)> {
        for (open, close) in [('{', '}'), ('(', ')')] {
            if let Some(inner) = rest.strip_prefix(open) {
                return inner.split_once(close);
            }
        }
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let word = |text: &str| text.find(|c| !letter(c)).unwrap_or(text.len());
        let mut end = word(rest);
        if rest[end..].starts_with("::") {
            end += 2 + word(&rest[end + 2..]);
        }
        (end > 0 && !self.dollar_is_a_letter).then(|| rest.split_at(end))
    }

    fn lookup(&self, name: &str, section: &str) -> String {
        let (section, key) = name.split_once("::").unwrap_or((section, name));
        if section == "ENV" {
            return std::env::var(key).unwrap_or_default();
        }
        let value = self.value(section, key).or_else(|| self.value("", key));
        value.map_or_else(|| std::env::var(key).unwrap_or_default(), str::to_owned)
    }
}

fn escape(rest: &mut &str, out: &mut String) {
    if let Some(c) = rest.chars().next() {
        *rest = &rest[c.len_utf8()..];
        out.push(match c {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            other => other,
        });
    }
}

/// The line up to a `#` that is neither quoted nor escaped.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in line.char_indices() {
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', _) => escaped = true,
            (c, Some(q)) if c == q => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'' | '`', None) => quote = Some(c),
            ('#', None) => return &line[..at],
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, section: &str, key: &str) -> String {
        Settings::parse(text).value(section, key).unwrap_or("NONE").to_owned()
    }

    #[test]
    fn values_are_what_libcrypto_makes_of_them() {
        assert_eq!(value("a = \"b # c\" # d", "", "a"), "b # c");
        assert_eq!(value("a = \\\n  b", "", "a"), "b");
        assert_eq!(value("a = b\\#c\\\\", "", "a"), "b#c\\");
        assert_eq!(value("# a = b", "", "a"), "NONE");
        assert_eq!(value("[ s ]\na=b\n[default]\na=c", "", "a"), "c");
        assert_eq!(value("s::a = b\n[t]\na = c", "s", "a"), "b");
        assert_eq!(value("[s]\na = 1\n[t]\nx = 2\n[s]\na = 3", "s", "a"), "3");
    }

    #[test]
    fn variables_are_replaced() {
        let text =
            "n = init\n[s]\nn = own\na = $n-x\nb = ${s::n}\nc = $(default::n)\n[t]\na = $n\n[sec_$n]\nk = v";
        for (section, key, expected) in
            [("s", "a", "own-x"), ("s", "b", "own"), ("t", "a", "init"), ("sec_init", "k", "v")]
        {
            assert_eq!(value(text, section, key), expected, "{section} {key}");
        }
        assert_eq!(value(".pragma dollarid:true\nn=1\na = x$n${n}", "", "a"), "x$n1");
    }

    #[test]
    fn includes_are_followed_and_an_endless_one_ends() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("one.cnf");
        std::fs::write(&file, format!("a = b\n.include {}\n[left]\n", file.display())).unwrap();
        std::fs::write(dir.path().join("not-one.txt"), "a = c\n").unwrap();
        for path in [file.as_path(), dir.path()] {
            let settings = Settings::parse(&format!("a = 0\n.include = \"{}\"\nk = v", path.display()));
            assert_eq!((settings.value("", "a"), settings.value("left", "k")), (Some("b"), Some("v")));
        }
        let beside = format!(".pragma includedir:{}\n.include one.cnf", dir.path().display());
        assert_eq!(value(&beside, "", "a"), "b");
    }
}
