//! The key table and its parser.

use proptest::prelude::*;

use super::*;

#[test]
fn defaults_are_those_of_the_table() {
    let (config, problems) = parse("");
    assert_eq!(problems, []);
    assert_eq!((config.mode, config.zip, config.cipher, config.rsa), (Mode::Auto, true, true, true));
    assert_eq!(config.minimum(Op::ZipCompress), 4096);
    assert_eq!(config.minimum(Op::ZipDecompress), 4096);
    assert_eq!(config.minimum(Op::SecCipher), 2048);
    assert_eq!(config.minimum(Op::HpreRsa), 128);
    assert_eq!(config.inflate_replay_limit, 1 << 20);
    assert_eq!(config.deadline, Duration::from_secs(1));
    assert_eq!(config.log, LogSink::Off);
    for key in KEYS {
        assert_eq!(key.value(&config), key.default, "{}", key.name);
    }
}

#[test]
fn names_are_unique_and_fit_both_spellings() {
    let mut names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
    for key in KEYS {
        assert!(key.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", key.name);
        assert!(!RESERVED.iter().any(|reserved| key.environment().starts_with(reserved)));
        assert!(!key.doc.contains('|') && !key.values.contains('|'), "one table cell");
    }
}

#[test]
fn file_text_sets_keys_and_ignores_comments() {
    let text =
        "# all of it\n\n mode = hw  # really\nzip=off\ninflate_replay_limit = 64K\nlog = /var/log/w.log\n";
    let (config, problems) = parse(text);
    assert_eq!(problems, []);
    assert_eq!((config.mode, config.zip), (Mode::Hw, false));
    assert_eq!(config.inflate_replay_limit, 65536);
    assert_eq!(config.log, LogSink::File("/var/log/w.log".into()));
    assert_eq!(config.minimum(Op::SecCipher), 0, "mode hw knows no minimum");
    assert!(!config.enabled(Op::ZipDecompress) && config.enabled(Op::HpreRsa));
}

#[test]
fn bad_lines_are_reported_and_the_others_hold() {
    let (config, problems) =
        parse("zip = maybe\nrsa = off\nnonsense\nspeed = 11\nbreaker_faults = 0\nlog = relative");
    assert!(config.zip && !config.rsa);
    let messages: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "line 1: zip takes on or off, not \"maybe\"",
            "line 3: no '=' in \"nonsense\"",
            "line 4: unknown key \"speed\"",
            "line 5: breaker_faults takes a number from 1 to 1000, not \"0\"",
            "line 6: log takes off, syslog or an absolute path, not \"relative\"",
        ]
    );
}

#[test]
fn environment_overrides_section_overrides_file_and_each_reports_its_mistakes() {
    let directory = crate::testing::TempDir::new();
    directory.write("warpdrive.conf", "mode = off\nzip_compress_min = 1\nrsa_min = x\n");
    let environment = [
        ("WARPDRIVE_MODE", "hw"),
        ("WARPDRIVE_MOED", "off"),
        ("WARPDRIVE_CIPHER", "perhaps"),
        ("WARPDRIVE_MODEL", "kunpeng930"),
        ("WARPDRIVE_STATS_DIR", "/tmp/x"),
        ("HOME", "/root"),
    ]
    .map(|(name, value)| (name.into(), value.into()));
    let section =
        [("cipher_min", "7"), ("mode", "off"), ("module", "x")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let (config, problems) = load(&directory.path().join("warpdrive.conf"), &Vec::new, &section, environment);
    assert_eq!((config.mode, config.zip_compress_min, config.cipher), (Mode::Hw, 1, true));
    assert_eq!(config.cipher_min, 7);
    let sources: Vec<_> = problems.iter().map(|problem| problem.source.clone()).collect();
    let variable = |name: &str| Source::Environment(name.to_owned());
    assert_eq!(
        sources,
        [
            Source::Line(3),
            Source::Section("module".into()),
            variable("WARPDRIVE_MOED"),
            variable("WARPDRIVE_CIPHER")
        ]
    );
}

#[test]
fn missing_file_is_no_problem_and_an_unreadable_one_is() {
    let directory = crate::testing::TempDir::new();
    assert_eq!(load(&directory.path().join("none"), &Vec::new, &[], []).1, []);
    let (config, problems) = load(directory.path(), &Vec::new, &[], []);
    assert_eq!(config, Config::default());
    assert_eq!(problems.len(), 1);
    directory.write("long", "#".repeat(70_000));
    assert_eq!(load(&directory.path().join("long"), &Vec::new, &[], []).1.len(), 1);
}

#[test]
fn mode_off_disables_everything() {
    let (config, _) = parse("mode = off");
    assert!(Op::ALL.into_iter().all(|op| !config.enabled(op)));
}

/// `UPDATE_DOCS=1 cargo test -p warpdrive-core` writes the page anew.
#[test]
fn configuration_page_is_current() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, markdown()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(page).unwrap(), markdown(), "run with UPDATE_DOCS=1");
}

proptest! {
    #[test]
    fn any_text_parses_without_harm(text in "(?s).{0,300}") {
        let (config, problems) = parse(&text);
        prop_assert!(problems.len() <= text.lines().count());
        prop_assert!(config.queues_per_process >= 1);
    }

    #[test]
    fn any_line_of_the_table_is_taken_or_reported(key in 0..KEYS.len(), value in "[ -~]{0,20}") {
        let (config, problems) = parse(&format!("{} = {value}", KEYS[key].name));
        let written = KEYS[key].value(&config);
        // A value in force is written in a way that gives the same value again.
        let (again, second) = parse(&format!("{} = {written}", KEYS[key].name));
        prop_assert!(second.is_empty() && again == config, "{written}");
        prop_assert!(problems.len() <= 1);
        if !problems.is_empty() {
            prop_assert_eq!(config, Config::default());
        }
    }

    #[test]
    fn byte_counts_come_back_as_written(bytes in any::<usize>()) {
        prop_assert_eq!(parse_bytes(&show_bytes(&bytes)), Ok(bytes));
    }
}

#[test]
fn file_that_is_no_regular_file_is_reported_and_nobody_waits_for_it() {
    let directory = crate::testing::TempDir::new();
    let (pipe, folder) = (directory.path().join("pipe"), directory.path().join("folder"));
    std::fs::create_dir(&folder).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe, folder, "/dev/zero".into()] {
        let (config, problems) = load(&path, &Vec::new, &[], []);
        assert_eq!(config, Config::default());
        let messages: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(messages, [format!("{}: not a regular file, ignored", path.display())]);
    }
}

#[test]
fn rules_of_a_program_hold_for_it_alone() {
    let directory = crate::testing::TempDir::new();
    let text = "zip_compress_min = 1\n[program \"git\"]\nzlib = off\npolicy = save-cpu\n\
                [program \"curl\"]\nrsa = off\nnonsense = 1\n[programm \"git\"]\ncipher = off\n\
                [program \"git\"] # again\npolicy = throughput\n";
    directory.write("warpdrive.conf", text);
    let load = |names: &[&str]| {
        let names = || names.iter().map(|name| (*name).to_owned()).collect();
        load(&directory.path().join("warpdrive.conf"), &names, &[], [])
    };
    let (git, problems) = load(&["git"]);
    assert_eq!((git.zip, git.rsa, git.cipher, git.policy), (false, true, true, Policy::Throughput));
    assert_eq!(git.zip_compress_min, 1);
    let messages: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "line 7: unknown key \"nonsense\"",
            "line 8: expected [program \"NAME\"], not \"[programm \\\"git\\\"]\"; its lines are ignored",
        ],
        "mistakes in any section are reported"
    );
    let (other, _) = load(&["gitk", "python3"]);
    assert_eq!((other.zip, other.rsa, other.policy), (true, true, Policy::Latency));
    let (both, _) = load(&["python3.11", "curl"]);
    assert_eq!((both.zip, both.rsa), (true, false));
}

#[test]
fn names_are_looked_up_only_for_a_rule() {
    let directory = crate::testing::TempDir::new();
    directory.write("warpdrive.conf", "zip = off\n");
    let names = || panic!("nobody asked");
    assert_eq!(load(&directory.path().join("warpdrive.conf"), &names, &[], []).1, []);
}

#[test]
fn shares_are_per_cent_with_two_decimals() {
    let share = |text: &str| {
        let (config, problems) = parse(&format!("explore_share = {text}"));
        problems.is_empty().then_some(config.explore_share)
    };
    let good = [("2%", 200), ("0", 0), ("0.5%", 50), ("0.05", 5), ("10 %", 1000), ("1.25%", 125)];
    for (text, expected) in good {
        assert_eq!(share(text), Some(expected), "{text}");
    }
    for bad in ["10.01%", "11%", "-1%", "1.234%", "1.%", "%", "x", "+1", "100"] {
        assert_eq!(share(bad), None, "{bad}");
    }
}

#[test]
fn builds_that_are_to_be_repeated_compress_in_software() {
    let directory = crate::testing::TempDir::new();
    let with = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        load(&directory.path().join("none"), &Vec::new, &[], pairs.collect::<Vec<_>>()).0
    };
    assert!(with(&[]).enabled(Op::ZipCompress));
    for pairs in [[("SOURCE_DATE_EPOCH", "1700000000")], [("WARPDRIVE_REPRODUCIBLE", "on")]] {
        let config = with(&pairs);
        assert!(config.reproducible && !config.enabled(Op::ZipCompress), "{pairs:?}");
        assert!(config.enabled(Op::ZipDecompress), "what comes back is the same everywhere");
    }
    let overruled = with(&[("WARPDRIVE_REPRODUCIBLE", "off"), ("SOURCE_DATE_EPOCH", "1")]);
    assert!(!overruled.reproducible, "our own variable has the last word");
}
