//! A channel that plays a script: per request, a write-back or a fault. It keeps what it was sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::Fault;
use crate::qm::memory::{address, address_mut};
use crate::qm::{Channel, Version};

/// One played request.
pub(crate) enum Play {
    /// Words to change in the descriptor before it goes back.
    Reply(Vec<(usize, u32)>),
    /// The channel itself fails.
    Fail(Fault),
}

/// The channel. Panics when asked for more requests than the script has.
pub(crate) struct Fake {
    version: Version,
    script: VecDeque<Play>,
    /// Every descriptor sent, as words.
    pub sent: Vec<Vec<u32>>,
    /// Every call of `record`.
    pub records: Vec<(u64, bool)>,
    /// As [`Channel::longest_loan`].
    pub longest_loan: usize,
    /// Buffers on loan.
    pub lent: usize,
    /// Loans are refused from this one on.
    pub refuse_loan: usize,
}

impl Fake {
    pub fn new(version: Version, script: impl IntoIterator<Item = Play>) -> Self {
        Fake {
            version,
            script: script.into_iter().collect(),
            sent: vec![],
            records: vec![],
            longest_loan: usize::MAX,
            lent: 0,
            refuse_loan: usize::MAX,
        }
    }

    /// A channel whose one request comes back with these words changed.
    pub fn replying(version: Version, words: &[(usize, u32)]) -> Self {
        Fake::new(version, [Play::Reply(words.to_vec())])
    }

    pub fn played(&self) -> bool {
        self.script.is_empty()
    }
}

impl Fake {
    fn loan(&mut self, len: usize) -> Result<(), Fault> {
        assert!(len <= self.longest_loan, "a loan of {len} bytes");
        if self.lent == self.refuse_loan {
            return Err(Fault::Memory);
        }
        self.lent += 1;
        Ok(())
    }
}

impl Channel for Fake {
    fn version(&self) -> Version {
        self.version
    }

    fn execute(&mut self, sqe: &mut [u8], deadline: Duration) -> Result<(), Fault> {
        assert!(deadline >= Duration::from_secs(1), "a deadline must be generous");
        self.sent.push(words(sqe));
        match self.script.pop_front().expect("one request too many") {
            Play::Fail(fault) => Err(fault),
            Play::Reply(changes) => {
                for (index, value) in changes {
                    sqe[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
                }
                Ok(())
            }
        }
    }

    fn lend(&mut self, bytes: &[u8]) -> Result<u64, Fault> {
        self.loan(bytes.len())?;
        Ok(address(bytes))
    }

    fn lend_mut(&mut self, bytes: &mut [u8], likely: usize) -> Result<u64, Fault> {
        assert!(likely > 0);
        self.loan(bytes.len())?;
        Ok(address_mut(bytes))
    }

    fn lend_state(&mut self, bytes: &mut [u8]) -> Result<u64, Fault> {
        self.loan(0)?;
        Ok(address_mut(bytes))
    }

    fn settle(&mut self) {
        self.lent = 0;
    }

    fn longest_loan(&self) -> usize {
        self.longest_loan
    }

    fn record(&mut self, bytes: u64, ok: bool) {
        self.records.push((bytes, ok));
    }
}

pub(crate) fn words(sqe: &[u8]) -> Vec<u32> {
    sqe.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes"))).collect()
}

/// A golden descriptor: `send` and `reply` of one block of a file in test-vectors/sqe (its README tells the
/// form).
pub(crate) struct Golden {
    name: String,
    send: Vec<(usize, String)>,
    pub reply: Vec<(usize, u32)>,
}

impl Golden {
    pub fn play(&self) -> Play {
        Play::Reply(self.reply.clone())
    }

    /// Compares every word; `symbols` gives the addresses that stand in for the file's placeholders.
    pub fn check(&self, sent: &[u32], symbols: &[(&str, u64)]) {
        let mut expected = vec![Some(0u32); sent.len()];
        for (index, text) in &self.send {
            if let Some((_, address)) = symbols.iter().find(|(name, _)| name == text) {
                expected[*index] = Some(*address as u32);
                expected[*index + 1] = Some((*address >> 32) as u32);
            } else if text == "TAG" {
                assert_ne!(sent[*index], 0, "{}: tag", self.name);
                expected[*index] = None;
            } else if text == "ANY" {
                assert_ne!((sent[*index], sent[*index + 1]), (0, 0), "{}: address", self.name);
                expected[*index] = None;
                expected[*index + 1] = None;
            } else {
                expected[*index] = Some(u32::from_str_radix(text, 16).expect("a hexadecimal word"));
            }
        }
        for (index, (expected, sent)) in expected.iter().zip(sent).enumerate() {
            if let Some(expected) = expected {
                assert_eq!(sent, expected, "{}: dw{index} is {sent:#010x}, not {expected:#010x}", self.name);
            }
        }
    }
}

/// Reads a golden file.
pub(crate) fn golden(text: &str) -> BTreeMap<String, Golden> {
    let mut cases = BTreeMap::new();
    let mut current: Option<Golden> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if let Some(done) = current.take() {
                cases.insert(done.name.clone(), done);
            }
            current = Some(Golden { name: name.into(), send: vec![], reply: vec![] });
            continue;
        }
        let (key, value) = line.split_once('=').expect("key = value");
        let case = current.as_mut().expect("a [name] line first");
        let pairs = || {
            value.split_whitespace().map(|pair| {
                let (index, word) = pair.split_once(':').expect("index:word");
                (index.parse::<usize>().expect("a decimal index"), word)
            })
        };
        match key.trim() {
            "from" => {}
            "send" => case.send.extend(pairs().map(|(index, word)| (index, word.to_owned()))),
            "reply" => case
                .reply
                .extend(pairs().map(|(index, word)| (index, u32::from_str_radix(word, 16).expect("a word")))),
            other => panic!("unknown key {other}"),
        }
    }
    cases.extend(current.map(|done| (done.name.clone(), done)));
    cases
}
