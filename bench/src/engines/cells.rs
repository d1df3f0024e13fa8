//! What is measured: each class of data at each level and way of use, and the way back.

use anyhow::{Context, Result, ensure};

use crate::abi::cpu_time;
use crate::contender::{Contender, Output, Use};

/// Work that a round repeats until it takes about this long with Debian's zlib, nanoseconds.
const ROUND: u64 = 4_000_000;

/// Levels measured.
const LEVELS: [i32; 4] = [1, 3, 6, 9];

/// Bytes of a class that message cells use.
const MESSAGES: usize = 64 << 10;

/// One cell.
pub struct Cell<'a> {
    class: &'static str,
    data: &'a [u8],
    /// The level of compression; `None`: decompression of what Debian's zlib made at level 6.
    level: Option<i32>,
    how: Use,
}

/// What a cell's measurement gave, by contender.
pub struct Row {
    /// Class, direction, level and use.
    pub name: String,
    /// Direction and use, without class: rows that are averaged.
    pub group: String,
    /// Ratio to Debian's zlib, median of the rounds; none where the contender cannot be used so.
    pub ratio: Vec<Option<f64>>,
    /// Lower bound of that median.
    pub low: Vec<Option<f64>>,
    /// Our speed over the contender's: lower bound of the median.
    pub ours_low: Vec<Option<f64>>,
    /// Output, bytes.
    pub size: Vec<Option<usize>>,
    /// Megabytes of data a second.
    pub speed: Vec<Option<f64>>,
}

fn use_name(how: Use) -> String {
    match how {
        Use::OneCall => "one call".into(),
        Use::Pieces(n) => format!("pieces of {} KiB", n >> 10),
        Use::Messages(n) => format!("messages of {n}"),
        Use::Resets(n) => format!("messages of {n}, reset"),
    }
}

/// Every cell of the corpus.
pub fn all<'a>(corpus: &'a [(&'static str, Vec<u8>)]) -> Vec<Cell<'a>> {
    const LONG: [Use; 2] = [Use::OneCall, Use::Pieces(16 << 10)];
    const SHORT: [Use; 4] =
        [Use::Messages(256), Use::Messages(1024), Use::Messages(16 << 10), Use::Resets(1024)];
    let mut cells = Vec::new();
    for (class, data) in corpus {
        let levels = LEVELS.into_iter().map(Some).chain([None]);
        for level in levels {
            cells.extend(LONG.map(|how| Cell { class, data, level, how }));
            if matches!(level, None | Some(1 | 6)) {
                let data = &data[..data.len().min(MESSAGES)];
                cells.extend(SHORT.map(|how| Cell { class, data, level, how }));
            }
        }
    }
    cells
}

impl Cell<'_> {
    fn group(&self) -> String {
        match self.level {
            Some(level) => format!("deflate level {level}, {}", use_name(self.how)),
            None => format!("inflate, {}", use_name(self.how)),
        }
    }

    /// Class, direction, level and use.
    pub fn name(&self) -> String {
        format!("{}, {}", self.class, self.group())
    }

    /// Times every contender; the second is Debian's zlib.
    pub fn measure(&self, contenders: &[Contender], rounds: usize) -> Result<Row> {
        let reference = &contenders[1];
        let room = self.data.len() + self.data.len() / 4 + self.data.len().div_ceil(256) * 64 + 4096;
        let (mut packed, mut out) = (Output::new(room), Output::new(room));
        reference.deflate(self.data, 6, self.how, &mut packed)?;
        let run = |contender: &Contender, out: &mut Output| match self.level {
            Some(level) => contender.deflate(self.data, level, self.how, out),
            None => contender.inflate(&packed, self.how, out),
        };
        let mut able = Vec::new();
        let mut size = Vec::new();
        let mut back = Output::new(room);
        for contender in contenders {
            let can =
                run(contender, &mut out).with_context(|| format!("{} {}", contender.name, self.name()))?;
            able.push(can);
            size.push(can.then(|| out.bytes().len()));
            if can && self.level.is_some() {
                reference.inflate(&out, Use::OneCall, &mut back)?;
                ensure!(back.bytes() == self.data, "{}: {} made wrong data", self.name(), contender.name);
            } else if can {
                ensure!(out.bytes() == self.data, "{}: {} made wrong data", self.name(), contender.name);
            }
        }
        let mut once = || -> Result<u64> {
            let start = cpu_time();
            run(reference, &mut out)?;
            Ok(cpu_time() - start)
        };
        let repeat = (ROUND / once()?.min(once()?).max(1)).clamp(1, 10_000);
        let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
        for round in 0..rounds {
            for turn in 0..contenders.len() {
                let which = (turn + round) % contenders.len();
                if able[which] {
                    let start = cpu_time();
                    for _ in 0..repeat {
                        run(&contenders[which], &mut out)?;
                    }
                    times[which].push((cpu_time() - start) as f64);
                }
            }
        }
        let ratios = |of: usize, over: usize| -> Option<Vec<f64>> {
            (able[of] && able[over]).then(|| {
                let mut all: Vec<f64> = times[over].iter().zip(&times[of]).map(|(b, a)| b / a).collect();
                all.sort_by(f64::total_cmp);
                all
            })
        };
        let every = 0..contenders.len();
        let median = |all: Vec<f64>| all[all.len() / 2];
        let low = |all: Vec<f64>| all[low_rank(all.len())];
        let work = self.data.len() as f64 * repeat as f64 * 1e3;
        Ok(Row {
            name: self.name(),
            group: self.group(),
            ratio: every.clone().map(|i| ratios(i, 1).map(median)).collect(),
            low: every.clone().map(|i| ratios(i, 1).map(low)).collect(),
            ours_low: every.clone().map(|i| ratios(0, i).map(low)).collect(),
            size,
            speed: every
                .map(|i| {
                    let mut all = times[i].clone();
                    all.sort_by(f64::total_cmp);
                    all.get(all.len() / 2).map(|time| work / time)
                })
                .collect(),
        })
    }
}

/// Rank, from 0, of the lower bound of a 95 % interval for the median of `n` samples (binomial order statistics).
fn low_rank(n: usize) -> usize {
    let mut chance = 0.5f64.powi(n as i32);
    let (mut below, mut rank) = (chance, 0);
    while below <= 0.025 && rank < n / 2 {
        rank += 1;
        chance *= (n - rank + 1) as f64 / rank as f64;
        below += chance;
    }
    rank.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::low_rank;

    #[test]
    fn ranks_are_those_of_the_tables() {
        for (n, rank) in [(5, 0), (6, 0), (9, 1), (15, 3), (31, 9)] {
            assert_eq!(low_rank(n), rank, "{n} samples");
        }
    }
}
