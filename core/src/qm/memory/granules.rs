//! Which parts of a queue's memory are on loan: a bitmap of granules, without a lock.
//!
//! Several threads may use one queue, and a fork may copy any lock in its locked state, so a run of granules is
//! claimed word by word with compare-and-swap, and given back if another thread was faster in a later word.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a granule: what a small page holds, so that the small buffers of one request share a page.
pub(super) const GRANULE: usize = 4096;

/// How often a thread tries to be faster than the others before it gives up.
const ATTEMPTS: usize = 16;

const WORD: u32 = u64::BITS;

/// The granules of one memory.
#[derive(Debug)]
pub(super) struct Granules {
    /// A set bit is a granule on loan.
    words: Box<[AtomicU64]>,
    /// Runs that a buffer may occupy: no buffer crosses from one into the next.
    segments: Box<[Range<u32>]>,
}

/// Consecutive granules on loan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    first: u32,
    count: u32,
}

impl Run {
    /// First byte.
    pub(super) const fn offset(self) -> usize {
        self.first as usize * GRANULE
    }

    /// Length in bytes.
    pub(super) const fn len(self) -> usize {
        self.count as usize * GRANULE
    }
}

impl Granules {
    /// Over `segments` of byte offsets; the parts of granules at their ends are not used.
    pub(super) fn new(segments: impl IntoIterator<Item = Range<usize>>) -> Self {
        let number = |granule: usize| u32::try_from(granule).unwrap_or(u32::MAX);
        let segments: Box<[Range<u32>]> = segments
            .into_iter()
            .map(|bytes| number(bytes.start.div_ceil(GRANULE))..number(bytes.end / GRANULE))
            .filter(|granules| !granules.is_empty())
            .collect();
        let end = segments.iter().map(|segment| segment.end).max().unwrap_or(0);
        let words = (0..end.div_ceil(WORD)).map(|_| AtomicU64::new(0)).collect();
        Granules { words, segments }
    }

    /// Bytes of the longest runs of which there is room for `count`, were all free: at first an equal share of the
    /// whole, then half of that and so on until the segments have room for so many.
    pub(super) fn longest(&self, count: usize) -> usize {
        let mut granules = self.segments.iter().map(|segment| segment.len()).sum::<usize>() / count;
        while granules > 0
            && self.segments.iter().map(|segment| segment.len() / granules).sum::<usize>() < count
        {
            granules /= 2;
        }
        granules * GRANULE
    }

    /// Lends a run of at least `bytes`; `None` if there is none at the moment.
    pub(super) fn take(&self, bytes: usize) -> Option<Run> {
        let count = u32::try_from(bytes.div_ceil(GRANULE)).ok()?.max(1);
        for _ in 0..ATTEMPTS {
            let first = self.segments.iter().find_map(|segment| self.free_run(segment, count))?;
            let run = Run { first, count };
            if self.claim(run) {
                return Some(run);
            }
        }
        None
    }

    /// Takes a run back.
    pub(super) fn give(&self, run: Run) {
        for (word, mask) in masks(run) {
            // Release: whoever takes it next comes after all that was done with it.
            self.words[word].fetch_and(!mask, Ordering::Release);
        }
    }

    /// Where `count` free granules stood a moment ago.
    fn free_run(&self, segment: &Range<u32>, count: u32) -> Option<u32> {
        let (mut start, mut at) = (segment.start, segment.start);
        while at < segment.end {
            let bits = self.words[(at / WORD) as usize].load(Ordering::Relaxed) >> (at % WORD);
            let left = WORD - at % WORD;
            if bits & 1 == 1 {
                at += bits.trailing_ones().min(left);
                start = at;
            } else {
                at += bits.trailing_zeros().min(left);
                if at.min(segment.end).saturating_sub(start) >= count {
                    return Some(start);
                }
            }
        }
        None
    }

    fn claim(&self, run: Run) -> bool {
        for (index, (word, mask)) in masks(run).enumerate() {
            let claimed = self.words[word].fetch_update(Ordering::Acquire, Ordering::Relaxed, |bits| {
                (bits & mask == 0).then_some(bits | mask)
            });
            if claimed.is_err() {
                for (word, mask) in masks(run).take(index) {
                    self.words[word].fetch_and(!mask, Ordering::Relaxed);
                }
                return false;
            }
        }
        true
    }
}

/// The words that a run touches, with its bits in each.
fn masks(run: Run) -> impl Iterator<Item = (usize, u64)> {
    let (start, end) = (run.first, run.first + run.count);
    (start / WORD..end.div_ceil(WORD)).map(move |word| {
        let low = start.max(word * WORD) - word * WORD;
        let high = end.min((word + 1) * WORD) - word * WORD;
        (word as usize, (u64::MAX >> (WORD - (high - low))) << low)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn granules(run: Run) -> Range<u32> {
        run.first..run.first + run.count
    }

    proptest! {
        /// Against a set of numbers: what is lent was free and lies inside one segment, and nothing is refused that
        /// the first fit would have.
        #[test]
        fn runs_are_those_of_a_first_fit_over_a_set(
            lengths in prop::collection::vec(1usize..90, 1..6),
            gap in 0usize..3,
            steps in prop::collection::vec((any::<bool>(), 1usize..80), 1..80),
        ) {
            let mut segments = Vec::new();
            let mut start = 0;
            for length in lengths {
                segments.push(start..start + length);
                start += length + gap;
            }
            let bytes = segments.iter().map(|s| s.start * GRANULE..s.end * GRANULE);
            let map = Granules::new(bytes);
            let mut taken = BTreeSet::new();
            let mut lent: Vec<Run> = Vec::new();
            for (give, count) in steps {
                if give && !lent.is_empty() {
                    let run = lent.swap_remove(count % lent.len());
                    map.give(run);
                    granules(run).for_each(|n| { taken.remove(&n); });
                    continue;
                }
                let fits = |first: usize| (first..first + count).all(|n| !taken.contains(&(n as u32)));
                let expected = segments.iter().find_map(|s| {
                    (s.start..(s.end + 1).saturating_sub(count)).find(|first| fits(*first))
                });
                let run = map.take(count * GRANULE - 1);
                prop_assert_eq!(run.map(|run| run.first as usize), expected);
                if let Some(run) = run {
                    prop_assert_eq!(run.count as usize, count);
                    granules(run).for_each(|n| { taken.insert(n); });
                    lent.push(run);
                }
            }
        }
    }

    #[test]
    fn partial_granules_at_the_ends_are_left_out() {
        let map = Granules::new([1..2 * GRANULE + 1, 3 * GRANULE..3 * GRANULE + 5]);
        assert_eq!((map.longest(1), map.longest(2)), (GRANULE, 0));
        assert_eq!(map.take(1).map(Run::offset), Some(GRANULE));
        assert_eq!(map.take(1), None);
    }

    #[test]
    fn empty_map_lends_nothing() {
        let map = Granules::new([]);
        assert_eq!((map.longest(1), map.take(1)), (0, None));
    }

    #[test]
    fn longest_runs_are_shares_that_the_segments_have_room_for() {
        let of = |lengths: &[usize], count| {
            let bounds = lengths.iter().scan(0, |at, len| Some((std::mem::replace(at, *at + len), *len)));
            Granules::new(bounds.map(|(at, len)| at * GRANULE..(at + len) * GRANULE)).longest(count) / GRANULE
        };
        assert_eq!(of(&[1024], 8), 128);
        assert_eq!(of(&[16; 64], 8), 16);
        assert_eq!(of(&[512, 16, 16], 8), 34, "a share of all still fits eight times: fifteen in the first");
        assert_eq!(of(&[48, 16, 16, 16, 16, 16], 8), 16);
        assert_eq!(of(&[3], 8), 0);
    }

    /// Every granule has one holder at a time, whatever the threads do.
    #[test]
    fn threads_never_hold_the_same_granule() {
        const COUNT: usize = 150;
        let map = Granules::new(std::iter::once(0..COUNT * GRANULE));
        let holders: Vec<AtomicU64> = (0..COUNT).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            for thread in 1..=4u64 {
                let (map, holders) = (&map, &holders);
                scope.spawn(move || {
                    for round in 0..3000usize {
                        let Some(run) = map.take((1 + (round * thread as usize) % 70) * GRANULE) else {
                            continue;
                        };
                        for granule in granules(run) {
                            assert_eq!(holders[granule as usize].swap(thread, Ordering::Relaxed), 0);
                        }
                        for granule in granules(run) {
                            assert_eq!(holders[granule as usize].swap(0, Ordering::Relaxed), thread);
                        }
                        map.give(run);
                    }
                });
            }
        });
        assert_eq!(map.take(COUNT * GRANULE).map(Run::offset), Some(0), "all were given back");
    }
}
