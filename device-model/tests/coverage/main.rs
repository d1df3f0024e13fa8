//! What the model's own tests have seen succeed: operation by generation, kind of buffer, and whole or in a stream.
//!
//! `operations.txt` lists every operation that must be covered and explains each cell that cannot be; the tests
//! record what they run (`WARPDRIVE_MODEL_COVERAGE`); `ci/coverage` brings both together here and compares them with
//! `docs/model-coverage.md`, or writes the page anew with `UPDATE_DOCS=1`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The columns: generation, buffers, mode.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("V2", "flat", "one-shot"),
    ("V2", "flat", "stream"),
    ("V2", "SGL", "one-shot"),
    ("V2", "SGL", "stream"),
    ("V3", "flat", "one-shot"),
    ("V3", "flat", "stream"),
    ("V3", "SGL", "one-shot"),
    ("V3", "SGL", "stream"),
];
const ENGINES: [(&str, &str); 3] = [("zip", "ZIP"), ("sec", "SEC2"), ("hpre", "HPRE")];
/// Refusals that say "not on this generation" or "not in this form".
const BY_DESIGN: [&str; 6] = ["unsupported", "type", "value", "reserved", "length", "key"];

fn operations() -> &'static str {
    include_str!("operations.txt")
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/model-coverage.md")
}

/// `a{b,c}d` as `abd` and `acd`, from left to right.
fn braces(text: &str) -> Vec<String> {
    let Some((head, rest)) = text.split_once('{') else { return vec![text.to_owned()] };
    let (choices, tail) = rest.split_once('}').expect("a closing brace");
    let tails = braces(tail);
    choices.split(',').flat_map(|c| tails.iter().map(move |t| format!("{head}{c}{t}"))).collect()
}

/// Does `text` match the pattern, in which `*` stands for anything?
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).any(|at| tail.is_char_boundary(at) && matches(rest, &tail[at..]))
        }),
    }
}

/// Why a cell is not tested.
struct Explanation {
    operations: Vec<String>,
    columns: [String; 3],
    /// The descriptor can be written, and is refused; otherwise nothing can ask for it.
    refused: bool,
    /// Refused unless a key of the profile opens it, and then tested.
    switched: bool,
    text: String,
}

impl Explanation {
    fn covers(&self, operation: &str, column: (&str, &str, &str)) -> bool {
        self.operations.iter().any(|pattern| matches(pattern, operation))
            && self.columns.iter().zip([column.0, column.1, column.2]).all(|(p, c)| matches(p, c))
    }
}

struct Catalogue {
    /// Engine and operation, in the order of the page.
    rows: Vec<(String, String)>,
    explanations: Vec<Explanation>,
}

fn catalogue(text: &str) -> Catalogue {
    let mut out = Catalogue { rows: Vec::new(), explanations: Vec::new() };
    let mut section = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if section == "explanations" {
            let parts: Vec<&str> = line.splitn(6, '|').map(str::trim).collect();
            let [operations, generation, buffers, mode, kind, text] = parts[..] else {
                panic!("an explanation has six parts: {line}")
            };
            assert!(["refused", "switch", "absent"].contains(&kind), "{line}");
            out.explanations.push(Explanation {
                operations: braces(operations),
                columns: [generation, buffers, mode].map(str::to_owned),
                refused: kind != "absent",
                switched: kind == "switch",
                text: text.to_owned(),
            });
        } else {
            assert!(ENGINES.iter().any(|(name, _)| *name == section), "{line}: unknown section {section}");
            out.rows.extend(braces(line).into_iter().map(|operation| (section.clone(), operation)));
        }
    }
    out
}

/// Operation and column to the outcomes that were recorded.
type Record = BTreeMap<(String, usize), BTreeSet<String>>;

fn record(text: &str) -> Record {
    let mut out = Record::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [_, operation, generation, buffers, mode, outcome] = parts[..] else { panic!("{line}") };
        // V5 takes the requests of V3; what it adds has tests of its own
        if generation == "V5" {
            continue;
        }
        // lists on one side only count as lists
        let buffers = if buffers == "Flat" { "flat" } else { "SGL" };
        let mode = if mode == "OneShot" { "one-shot" } else { "stream" };
        // V5 has the requests of V3, beyond them only the end of a GCM stream: no column of its own
        if let Some(column) = COLUMNS.iter().position(|c| *c == (generation, buffers, mode)) {
            out.entry((operation.to_owned(), column)).or_default().insert(outcome.to_owned());
        }
    }
    out
}

/// The page, and what is wrong with it.
fn render(catalogue: &Catalogue, record: &Record) -> (String, Vec<String>) {
    let mut faults = Vec::new();
    let mut page = String::from(include_str!("head.md"));
    for (engine, title) in ENGINES {
        page += &format!("\n## {title}\n\n| operation |");
        for (generation, buffers, mode) in COLUMNS {
            page += &format!(" {generation} {buffers} {mode} |");
        }
        page += &format!("\n|---|{}\n", "---|".repeat(COLUMNS.len()));
        for (_, operation) in catalogue.rows.iter().filter(|(of, _)| of == engine) {
            page += &format!("| {operation} |");
            for (index, column) in COLUMNS.into_iter().enumerate() {
                let seen = record.get(&(operation.clone(), index));
                let has = |outcome: &str| seen.is_some_and(|outcomes| outcomes.contains(outcome));
                let why = catalogue.explanations.iter().position(|e| e.covers(operation, column));
                let at = format!("{operation}, {} {} {}", column.0, column.1, column.2);
                let cell = match why {
                    None if has("ok") => "tested".to_owned(),
                    None => {
                        faults.push(format!("{at}: neither tested nor explained; recorded: {seen:?}"));
                        String::new()
                    }
                    Some(number) => {
                        let explanation = &catalogue.explanations[number];
                        if has("ok") != explanation.switched {
                            faults.push(format!(
                                "{at}: tested is {}, although: {}",
                                has("ok"),
                                explanation.text
                            ));
                        }
                        if explanation.refused && !BY_DESIGN.iter().any(|rule| has(rule)) {
                            faults.push(format!("{at}: no test has seen the refusal: {}", explanation.text));
                        }
                        let word = if explanation.refused { "refused" } else { "–" };
                        format!("{word} {}", number + 1)
                    }
                };
                page += &format!(" {cell} |");
            }
            page.push('\n');
        }
    }
    page += "\n## Why\n\n";
    for (index, explanation) in catalogue.explanations.iter().enumerate() {
        page += &format!("{}. {}\n", index + 1, explanation.text);
    }
    let known: BTreeSet<&String> = catalogue.rows.iter().map(|(_, operation)| operation).collect();
    let listed = |operation: &String| known.contains(operation) || operation.starts_with("nothing");
    for ((operation, column), outcomes) in record {
        if outcomes.contains("ok") && !listed(operation) {
            faults.push(format!("{operation}, {:?}: tested, but not in operations.txt", COLUMNS[*column]));
        }
    }
    (page, faults)
}

/// The committed page stands by itself: every operation of the list, no empty cell, every number explained.
#[test]
fn the_committed_table_has_no_cell_without_a_word() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return; // the page is just being written
    }
    let catalogue = catalogue(operations());
    let text = std::fs::read_to_string(page()).expect("docs/model-coverage.md: run ci/coverage update");
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        rows.insert(cells[0].to_owned(), cells[1..].iter().map(|c| (*c).to_owned()).collect::<Vec<_>>());
    }
    for (_, operation) in &catalogue.rows {
        let cells =
            rows.get(operation).unwrap_or_else(|| panic!("{operation} is missing: run ci/coverage update"));
        assert_eq!(cells.len(), COLUMNS.len(), "{operation}");
        for (cell, column) in cells.iter().zip(COLUMNS) {
            let why = catalogue.explanations.iter().position(|e| e.covers(operation, column));
            let expected = match why {
                None => "tested".to_owned(),
                Some(n) => {
                    format!("{} {}", if catalogue.explanations[n].refused { "refused" } else { "–" }, n + 1)
                }
            };
            assert_eq!(*cell, expected, "{operation}, {column:?}: run ci/coverage");
        }
    }
}

/// The table is what a whole run of the tests has recorded (`MODEL_COVERAGE_RECORD`, set by `ci/coverage`).
#[test]
fn the_committed_table_is_what_the_tests_have_seen() {
    let Some(path) = std::env::var_os("MODEL_COVERAGE_RECORD") else { return };
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let (text, faults) = render(&catalogue(operations()), &record(&text));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page(), &text).expect("docs/model-coverage.md is writable");
    }
    assert!(faults.is_empty(), "{} cells:\n{}", faults.len(), faults.join("\n"));
    assert!(
        std::fs::read_to_string(page()).unwrap() == text,
        "docs/model-coverage.md is stale: ci/coverage update"
    );
}

#[test]
fn an_empty_cell_a_missing_refusal_and_a_wrong_explanation_are_found() {
    let list = "[sec]\nA {on,off}\n[explanations]\nA off | V2 | * | * | refused | not on V2\n* | * | SGL | * | absent | x\n* | * | * | stream | absent | y";
    let catalogue = catalogue(list);
    let seen = "sec\tA on\tV2\tFlat\tOneShot\tok\nsec\tA off\tV2\tFlat\tOneShot\tunsupported\n\
                sec\tA off\tV3\tMixed\tOneShot\tok\nsec\tB\tV3\tFlat\tOneShot\tok";
    let (page, faults) = render(&catalogue, &record(seen));
    assert!(page.contains("| A on | tested | – 3 | – 2 | – 2 |  |"), "{page}");
    let expected = [
        ("A on, V3 flat one-shot", "neither tested nor explained"),
        ("A off, V2 flat stream", "no test has seen the refusal"),
        ("A off, V2 SGL one-shot", "no test has seen the refusal"),
        ("A off, V2 SGL stream", "no test has seen the refusal"),
        ("A off, V3 flat one-shot", "neither tested nor explained"),
        ("A off, V3 SGL one-shot", "tested is true, although"),
        ("B, (\"V3\", \"flat\", \"one-shot\")", "not in operations.txt"),
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, (at, what)) in faults.iter().zip(expected) {
        assert!(fault.starts_with(at) && fault.contains(what), "{fault}");
    }
}
