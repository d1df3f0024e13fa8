//! Random use against a reference that does the same with plain lists, one step at a time; and what remains open
//! after it.

use proptest::prelude::*;

use super::*;
use crate::pool::search::MOST_USERS;
use crate::qm::fake::Fate;

const CONFIG: &str =
    "breaker_faults = 2\nbreaker_cooldown_ms = 300\nbreaker_cooldown_max_ms = 900\nqueue_idle_ms = 5000";
const OPS: [Op; 3] = [PACK, UNPACK, Op::SecCipher];
/// Kinds of the devices.
const DEVICES: [Kind; 3] = [Kind::Zip, Kind::Zip, Kind::Sec];

/// What happens next; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Lease {
        op: usize,
        cap: usize,
    },
    /// One lease: the proof, if it is due, and a request, then its return.
    Serve(usize),
    /// The request ends with an error status.
    Status(usize),
    /// No completion arrives.
    Lose(usize),
    /// Its queue is reset.
    Reset(usize),
    /// Returned unused.
    Return(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => (0..OPS.len(), 1..8_usize).prop_map(|(op, cap)| Step::Lease { op, cap }),
        5 => any::<usize>().prop_map(Step::Serve),
        2 => any::<usize>().prop_map(Step::Status),
        1 => any::<usize>().prop_map(Step::Lose),
        1 => any::<usize>().prop_map(Step::Reset),
        1 => any::<usize>().prop_map(Step::Return),
        // Round figures, so that rests and idleness end on the millisecond.
        3 => prop::sample::select(vec![1, 9, 10, 50, 99, 100, 150, 300, 600, 1250, 5000]).prop_map(Step::Pass),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Belief {
    Untested,
    Proving,
    Trusted,
    Resting(u64),
}

#[derive(Debug, Clone)]
struct Work {
    belief: Belief,
    faults: u32,
    rest: u64,
}

/// A queue that somebody has or may have.
#[derive(Debug, Clone)]
struct Place {
    number: usize,
    device: usize,
    class: u16,
    users: u32,
    dead: Option<Fault>,
    used: u64,
}

#[derive(Debug)]
struct Reference {
    now: u64,
    opened: usize,
    places: Vec<Place>,
    work: Vec<Vec<Work>>,
    last: [Option<usize>; OPS.len()],
    swept: u64,
}

impl Reference {
    fn new() -> Self {
        let work = Work { belief: Belief::Untested, faults: 0, rest: 0 };
        let work = vec![vec![work; OPS.len()]; DEVICES.len()];
        Reference { now: 1, opened: 0, places: Vec::new(), work, last: [None; OPS.len()], swept: u64::MAX }
    }

    fn away(&self, device: usize, op: usize) -> Option<Why> {
        match self.work[device][op].belief {
            Belief::Proving => Some(Why::Unproven),
            Belief::Resting(until) if self.now < until => Some(Why::Tripped),
            _ => None,
        }
    }

    fn place(&mut self, number: usize) -> &mut Place {
        self.places.iter_mut().find(|place| place.number == number).unwrap()
    }

    /// Number of the queue, others on it, and whether a proof is due.
    fn lease(&mut self, op: usize, cap: usize) -> Result<(usize, u32, bool), Why> {
        let number = self.choose(op, cap)?;
        let now = self.now;
        let place = self.place(number);
        place.users += 1;
        place.used = now;
        let (others, device) = (place.users - 1, place.device);
        let work = &mut self.work[device][op];
        let proof = work.belief != Belief::Trusted;
        if proof {
            work.belief = Belief::Proving;
        }
        self.sweep();
        Ok((number, others, proof))
    }

    fn choose(&mut self, op: usize, cap: usize) -> Result<usize, Why> {
        let (kind, class) = (OPS[op].kind(), OPS[op].qc_type());
        let last = self.last[op].and_then(|last| self.places.iter().find(|place| place.number == last));
        if let Some(last) = last
            && last.users == 0
            && self.away(last.device, op).is_none()
        {
            return Ok(last.number);
        }
        let of_kind: Vec<_> = (0..DEVICES.len()).filter(|device| DEVICES[*device] == kind).collect();
        let usable: Vec<_> =
            of_kind.iter().copied().filter(|device| self.away(*device, op).is_none()).collect();
        if usable.is_empty() {
            let whys: Vec<_> = of_kind.iter().filter_map(|device| self.away(*device, op)).collect();
            return Err(if whys.contains(&Why::Unproven) { Why::Unproven } else { Why::Tripped });
        }
        let alive = |place: &&Place| place.dead.is_none();
        let load = |device: usize| -> u32 {
            let there = self.places.iter().filter(alive).filter(|place| place.device == device);
            there.map(|place| place.users).sum()
        };
        let mine: Vec<_> = self
            .places
            .iter()
            .filter(alive)
            .filter(|place| place.class == class && usable.contains(&place.device))
            .collect();
        if let Some(free) = mine
            .iter()
            .filter(|place| place.users == 0)
            .min_by_key(|place| (load(place.device), place.device))
        {
            // Of a device's free queues the oldest.
            return Ok(free.number);
        }
        let device = usable.iter().copied().min_by_key(|device| (load(*device), *device)).unwrap();
        if self.places.len() < cap {
            return Ok(self.open(device, class));
        }
        let rest = if mine.is_empty() { 0 } else { 10 };
        let spare = self
            .places
            .iter()
            .filter(alive)
            .filter(|place| DEVICES[place.device] != kind || place.class != class)
            .filter(|place| place.users == 0 && self.now - place.used >= rest)
            .min_by_key(|place| (place.device, place.number));
        if let Some(spare) = spare.map(|place| place.number) {
            self.places.retain(|place| place.number != spare);
            if self.places.len() < cap {
                return Ok(self.open(device, class));
            }
            // The budget is smaller than it was.
            return self.choose(op, cap);
        }
        mine.iter()
            .filter(|place| place.users < MOST_USERS)
            .min_by_key(|place| (place.users, place.device, place.number))
            .map(|place| place.number)
            .ok_or(Why::AllBusy)
    }

    fn open(&mut self, device: usize, class: u16) -> usize {
        let number = self.opened;
        self.opened += 1;
        self.places.push(Place { number, device, class, users: 0, dead: None, used: self.now });
        self.swept = self.swept.min(self.now + 1250);
        number
    }

    fn sweep(&mut self) {
        if self.now >= self.swept {
            let now = self.now;
            self.places.retain(|place| place.users > 0 || now - place.used < 5000);
            self.swept = if self.places.is_empty() { u64::MAX } else { now + 1250 };
        }
    }

    /// The request of a lease on queue `number` came to this.
    fn report(&mut self, number: usize, op: usize, proof: bool, outcome: Result<(), Fault>) {
        let now = self.now;
        let place = self.place(number);
        let device = place.device;
        let (first, lost) = match (outcome, place.dead) {
            (Err(fault @ (Fault::Timeout | Fault::Reset)), None) => {
                place.dead = Some(fault);
                (true, true)
            }
            (_, dead) => (dead.is_none(), dead.is_some()),
        };
        let work = &mut self.work[device][op];
        match outcome {
            Ok(()) => {
                if proof {
                    work.belief = Belief::Trusted;
                }
                (work.faults, work.rest) = (0, 0);
            }
            Err(_) if !first => {
                if proof {
                    work.belief = Belief::Untested;
                }
            }
            Err(_) => {
                work.faults += 1;
                let many = work.faults >= 2;
                let base = match (proof, many, lost) {
                    (true, true, _) | (true, _, true) => Some(300),
                    (true, false, false) => (work.rest > 0).then_some(300),
                    (false, true, _) => Some(300),
                    (false, false, true) => Some(100),
                    (false, false, false) => None,
                };
                let may = if proof { Belief::Proving } else { Belief::Trusted };
                match base {
                    Some(base) if work.belief == may => {
                        work.rest = (2 * work.rest).max(base).min(900);
                        work.belief = Belief::Resting(now + work.rest);
                    }
                    None if proof => work.belief = Belief::Untested,
                    _ => {}
                }
            }
        }
        let lonely = !self.places.iter().any(|place| place.device == device && place.dead.is_none());
        if first && outcome == Err(Fault::Reset) && lonely {
            for work in &mut self.work[device] {
                if work.belief == Belief::Trusted {
                    work.belief = Belief::Untested;
                }
            }
        }
    }

    fn give_back(&mut self, number: usize, op: usize) {
        let place = self.place(number);
        place.users -= 1;
        if place.dead.is_some() {
            if place.users == 0 {
                self.places.retain(|place| place.number != number);
            }
        } else {
            self.last[op] = Some(number);
        }
    }
}

struct Held<'a> {
    lease: Lease<'a>,
    number: usize,
    op: usize,
    proof: bool,
}

fn play(house: &House, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut reference = Reference::new();
    let mut held: Vec<Held<'_>> = Vec::new();
    for step in steps {
        let index = match step {
            Step::Serve(n) | Step::Status(n) | Step::Lose(n) | Step::Reset(n) | Step::Return(n) => {
                if held.is_empty() {
                    continue;
                }
                n % held.len()
            }
            Step::Lease { op, cap } => {
                let expected = reference.lease(op, cap);
                let lease = house.lease(OPS[op], cap);
                let seen = lease.as_ref().map(|lease| {
                    let queue = house.number_of(lease);
                    (queue, u32::from(lease.depth()), lease.needs_proof())
                });
                prop_assert_eq!(seen.map_err(|why| *why), expected);
                if let (Ok(lease), Ok((number, _, proof))) = (lease, expected) {
                    held.push(Held { lease, number, op, proof });
                }
                prop_assert_eq!(
                    house.kernel.lock().open(None),
                    reference.places.iter().filter(|p| p.dead.is_none()).count()
                );
                prop_assert_eq!(house.count(), reference.places.len());
                continue;
            }
            Step::Pass(milliseconds) => {
                house.pass(milliseconds);
                reference.now += milliseconds;
                continue;
            }
        };
        let Held { mut lease, number, op, proof } = held.swap_remove(index);
        let dead = reference.place(number).dead;
        let queue = house.queue(number);
        let outcome = match step {
            Step::Return(_) => None,
            Step::Serve(_) => Some((LONG, dead.map_or(Ok(()), Err))),
            Step::Lose(_) if dead.is_none() => {
                queue.lock().fates.push_back(Fate::Drop);
                Some((SHORT, Err(Fault::Timeout)))
            }
            Step::Reset(_) if dead.is_none() => {
                queue.lock().ring.set_receive_stopped(1);
                Some((LONG, Err(Fault::Reset)))
            }
            Step::Status(_) if dead.is_none() => {
                lease.failed(Fault::Status(9));
                reference.report(number, op, proof, Err(Fault::Status(9)));
                drop(lease);
                reference.give_back(number, op);
                continue;
            }
            _ => Some((LONG, dead.map_or(Ok(()), Err))),
        };
        match outcome {
            Some((deadline, expected)) => {
                let result = request(&mut lease, deadline);
                prop_assert_eq!(result, expected.map_err(Why::Failed));
                reference.report(number, op, proof, expected);
            }
            None if proof => {
                let device = reference.place(number).device;
                reference.work[device][op].belief = Belief::Untested;
            }
            None => {}
        }
        drop(lease);
        reference.give_back(number, op);
    }
    drop(held);
    Ok(())
}

impl House {
    /// Which of the kernel's queues, in the order of their opening, a lease has.
    fn number_of(&self, lease: &Lease<'_>) -> usize {
        let seat = lease.seat.as_ref().unwrap();
        let before = seat.queue.is_alive();
        // Whose status word the queue sees is the one.
        let kernel = self.kernel.lock();
        let found = kernel.queues.iter().position(|queue| {
            let queue = queue.lock();
            queue.ring.set_send_stopped(1);
            let same = before && !seat.queue.is_alive();
            queue.ring.set_send_stopped(0);
            same
        });
        found.expect("one of the kernel's queues")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_use_is_what_the_reference_does_and_leaves_nothing_open(
        steps in proptest::collection::vec(step(), 1..200)
    ) {
        let devices = vec![
            zip("a", 0),
            zip("b", 0),
            device("c", Kind::Sec, 0, &["cipher"]),
        ];
        let house = House::with(devices, CONFIG);
        play(&house, steps)?;
        house.pass(100_000);
        house.pool.tidy();
        prop_assert_eq!(house.kernel.lock().open(None), 0);
        prop_assert_eq!(house.count(), 0);
    }
}
