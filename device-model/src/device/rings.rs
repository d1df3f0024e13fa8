//! Positions of one queue pair's rings, as the hardware keeps them: pure arithmetic, no memory.

/// A doorbell that makes no sense; says what and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadIndex(pub String);

/// The completion ring has no free entry: the driver did not return what it consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// Submission and completion ring positions after START_Q.
#[derive(Clone, Debug)]
pub struct Rings {
    depth: u16,
    sq_head: u16,
    sq_tail: u16,
    cq_tail: u16,
    cq_returned: u16,
    outstanding: u16,
    phase: bool,
}

impl Rings {
    /// Empty rings of `depth` entries each; the first pass over the completion ring writes phase 1.
    pub fn new(depth: u16) -> Rings {
        Rings { depth, sq_head: 0, sq_tail: 0, cq_tail: 0, cq_returned: 0, outstanding: 0, phase: true }
    }

    /// Submission doorbell: everything up to, not including, `index` may be fetched. How many are new.
    pub fn announce(&mut self, index: u16) -> Result<u16, BadIndex> {
        if index >= self.depth {
            return Err(BadIndex(format!("SQ doorbell: index {index} at depth {}", self.depth)));
        }
        let new = (index + self.depth - self.sq_tail) % self.depth;
        let waiting = (self.sq_tail + self.depth - self.sq_head) % self.depth;
        if waiting + new >= self.depth {
            return Err(BadIndex(format!(
                "SQ doorbell: index {index} passes the head {} (tail was {})",
                self.sq_head, self.sq_tail
            )));
        }
        self.sq_tail = index;
        Ok(new)
    }

    /// Takes the next announced submission slot.
    pub fn fetch(&mut self) -> Option<u16> {
        if self.sq_head == self.sq_tail {
            return None;
        }
        let slot = self.sq_head;
        self.sq_head = (slot + 1) % self.depth;
        Some(slot)
    }

    /// Completion doorbell: the driver's new head. How many entries it gave back.
    pub fn give_back(&mut self, index: u16) -> Result<u16, BadIndex> {
        if index >= self.depth {
            return Err(BadIndex(format!("CQ doorbell: index {index} at depth {}", self.depth)));
        }
        let returned = (index + self.depth - self.cq_returned) % self.depth;
        if returned > self.outstanding {
            return Err(BadIndex(format!(
                "CQ doorbell: head {index} lies beyond the last completion written (tail {})",
                self.cq_tail
            )));
        }
        self.cq_returned = index;
        self.outstanding -= returned;
        Ok(returned)
    }

    /// Takes the completion entry to write next: its index and the phase bit to put there.
    pub fn complete(&mut self) -> Result<(u16, bool), Overflow> {
        // one entry stays free: full and empty must differ
        if self.outstanding + 1 >= self.depth {
            return Err(Overflow);
        }
        let entry = (self.cq_tail, self.phase);
        self.outstanding += 1;
        self.cq_tail += 1;
        if self.cq_tail == self.depth {
            self.cq_tail = 0;
            self.phase = !self.phase;
        }
        Ok(entry)
    }

    /// Completions written that no doorbell has returned.
    pub fn outstanding(&self) -> u16 {
        self.outstanding
    }

    /// Announced entries that were not fetched yet.
    pub fn waiting(&self) -> u16 {
        (self.sq_tail + self.depth - self.sq_head) % self.depth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn phase_toggles_each_time_the_completion_ring_wraps() {
        let mut rings = Rings::new(4);
        let mut seen = Vec::new();
        for n in 0..10u16 {
            let (index, phase) = rings.complete().unwrap();
            seen.push((index, phase));
            rings.give_back((n + 1) % 4).unwrap();
        }
        let expected: Vec<_> = (0..10u16).map(|n| (n % 4, (n / 4) % 2 == 0)).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn slots_are_fetched_in_order_up_to_the_tail() {
        let mut rings = Rings::new(8);
        assert_eq!(rings.fetch(), None);
        assert_eq!(rings.announce(6), Ok(6));
        assert_eq!(rings.announce(6), Ok(0));
        let fetched: Vec<_> = std::iter::from_fn(|| rings.fetch()).collect();
        assert_eq!(fetched, [0, 1, 2, 3, 4, 5]);
        assert_eq!(rings.announce(2), Ok(4));
        assert_eq!(std::iter::from_fn(|| rings.fetch()).collect::<Vec<_>>(), [6, 7, 0, 1]);
    }

    #[test]
    fn an_unreturned_completion_is_never_overwritten() {
        let mut rings = Rings::new(4);
        for _ in 0..3 {
            rings.complete().unwrap();
        }
        assert_eq!(rings.complete(), Err(Overflow));
        assert_eq!(rings.give_back(2), Ok(2));
        assert_eq!(rings.complete(), Ok((3, true)));
        assert_eq!(rings.complete(), Ok((0, false)));
        assert_eq!(rings.complete(), Err(Overflow));
    }

    #[test]
    fn senseless_doorbells_are_refused_and_change_nothing() {
        let mut rings = Rings::new(4);
        assert!(rings.announce(4).is_err());
        assert!(rings.give_back(4).is_err());
        assert!(rings.give_back(1).is_err(), "nothing was completed");
        rings.announce(3).unwrap();
        assert!(rings.announce(2).is_err(), "the tail may not move backwards");
        assert_eq!(rings.waiting(), 3);
        rings.complete().unwrap();
        assert!(rings.give_back(2).is_err());
        assert_eq!(rings.give_back(1), Ok(1));
    }

    /// The same rules with lists instead of arithmetic.
    #[derive(Default)]
    struct Naive {
        announced: VecDeque<u16>,
        unreturned: VecDeque<u16>,
        next_slot: u16,
        written: u32,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Announce(u16),
        Fetch,
        Complete,
        GiveBack(u16),
    }

    fn steps(depth: u16) -> impl Strategy<Value = Vec<Step>> {
        let index = 0..depth + 2;
        let step = prop_oneof![
            index.clone().prop_map(Step::Announce),
            Just(Step::Fetch),
            Just(Step::Complete),
            index.prop_map(Step::GiveBack),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn arithmetic_agrees_with_lists((depth, steps) in (2u16..9).prop_flat_map(|d| (Just(d), steps(d)))) {
            let (mut rings, mut naive) = (Rings::new(depth), Naive::default());
            for step in steps {
                match step {
                    Step::Announce(index) => {
                        // walk from the last announced slot to the new tail
                        let mut walk = Vec::new();
                        let mut slot = naive.next_slot;
                        while index < depth && slot != index {
                            walk.push(slot);
                            slot = (slot + 1) % depth;
                        }
                        let legal = index < depth && naive.announced.len() + walk.len() < usize::from(depth);
                        let expected = legal.then_some(walk.len() as u16);
                        prop_assert_eq!(rings.announce(index).ok(), expected);
                        if legal {
                            naive.announced.extend(walk);
                            naive.next_slot = index;
                        }
                    }
                    Step::Fetch => prop_assert_eq!(rings.fetch(), naive.announced.pop_front()),
                    Step::Complete => {
                        let full = naive.unreturned.len() == usize::from(depth) - 1;
                        let entry = ((naive.written % u32::from(depth)) as u16, naive.written / u32::from(depth) % 2 == 0);
                        prop_assert_eq!(rings.complete().ok(), (!full).then_some(entry));
                        if !full {
                            naive.unreturned.push_back(entry.0);
                            naive.written += 1;
                        }
                    }
                    Step::GiveBack(index) => {
                        // the new head is an unreturned entry, or the one that will be written next
                        let next = (naive.written % u32::from(depth)) as u16;
                        let count = naive.unreturned.iter().position(|entry| *entry == index)
                            .or((index == next).then_some(naive.unreturned.len()));
                        prop_assert_eq!(rings.give_back(index).ok(), count.map(|n| n as u16));
                        naive.unreturned.drain(..count.unwrap_or(0));
                    }
                }
                prop_assert_eq!(usize::from(rings.waiting()), naive.announced.len());
                prop_assert_eq!(usize::from(rings.outstanding()), naive.unreturned.len());
            }
        }
    }
}
