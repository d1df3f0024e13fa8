//! How property tests run.

use proptest::test_runner::Config;

/// A property's settings: `usual` cases, more or fewer as `PROPTEST_CASES` stands to its default of 256.
pub(crate) fn cases(usual: u32) -> Config {
    let config = Config::default();
    let cases = u64::from(usual) * u64::from(config.cases) / 256;
    Config { cases: cases.max(1) as u32, failure_persistence: None, ..config }
}
