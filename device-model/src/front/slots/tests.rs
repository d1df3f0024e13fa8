//! A slot in private memory.

use super::*;

fn device(queues: usize) -> &'static [AtomicU64] {
    Vec::leak((0..queues * SLOT_WORDS).map(|_| AtomicU64::new(0)).collect())
}

fn begun() -> Slot {
    let slot = Slot::of(device(1), 0);
    slot.begin(7, 2, 0);
    slot
}

fn store(value: u64) -> Store {
    Store { offset: 0x1000, width: 8, value }
}

#[test]
fn every_store_arrives_once_and_in_its_writers_order() {
    let slot = begun();
    slot.listen();
    let writers: Vec<_> = (0..3u64)
        .map(|w| std::thread::spawn(move || (0..2000).for_each(|n| slot.push(store(w << 32 | n)))))
        .collect();
    let mut next = [0u64; 3];
    while next != [2000; 3] {
        let ticket = slot.ticket();
        match slot.pop() {
            Some(Store { value, offset: 0x1000, width: 8 }) => {
                let writer = (value >> 32) as usize;
                assert_eq!(value & 0xffff_ffff, next[writer]);
                next[writer] += 1;
            }
            Some(other) => panic!("{other:?}"),
            None => slot.sleep(ticket, None),
        }
    }
    writers.into_iter().for_each(|w| w.join().unwrap());
    assert_eq!(slot.pop(), None);
}

#[test]
fn a_slot_that_does_not_listen_drops_stores_and_a_new_start_knows_nothing_of_the_last() {
    let slot = begun();
    slot.push(store(1));
    slot.listen();
    slot.push(store(2));
    slot.deafen();
    slot.push(store(3));
    assert_eq!((slot.pop(), slot.pop()), (Some(store(2)), None));
    slot.listen();
    slot.push(store(4));
    slot.deafen();
    slot.listen();
    assert_eq!(slot.pop(), None);
    slot.push(store(5));
    assert_eq!(slot.pop(), Some(store(5)));
}

#[test]
fn a_new_opening_makes_a_zombie_of_the_old_one_and_starts_clean() {
    let slot = begun();
    let first = slot.epoch();
    assert!(slot.change_state(State::Init, State::Started) && !slot.change_state(State::Init, State::Zombie));
    slot.wrote();
    slot.set_qc_type(1);
    assert!(slot.mark_mapped(Region::Dus, 5, |_| true));
    assert_eq!(slot.remove(), State::Started);
    let second = slot.begin(8, 2, 3);
    assert_ne!(first, second);
    assert_eq!((slot.state(), slot.qc_type(), slot.owner(), slot.resets_at_open()), (State::Init, 0, 8, 3));
    assert!(!slot.take_written() && slot.mapper(Region::Dus) == 0);
    assert!(slot.gone(first) && !slot.gone(second));
}

#[test]
fn a_region_is_mapped_once_and_old_kernels_remember_it() {
    let slot = begun();
    assert!(slot.mark_mapped(Region::Mmio, 5, |_| true));
    assert!(!slot.mark_mapped(Region::Mmio, 6, |_| true));
    assert!(slot.mark_mapped(Region::Mmio, 6, |other| other != 5), "its mapper has died");
    slot.mark_unmapped(Region::Mmio, false);
    assert!(slot.mark_mapped(Region::Mmio, 5, |_| true));
    slot.mark_unmapped(Region::Mmio, true);
    assert!(!slot.mark_mapped(Region::Mmio, 5, |_| false));
}

#[test]
fn mainline_consumes_all_completions_with_one_answer_and_kae_one_interrupt() {
    let slot = begun();
    slot.wrote();
    slot.wrote();
    slot.interrupted();
    slot.interrupted();
    assert!(slot.take_written() && !slot.take_written());
    assert!(slot.take_event() && slot.take_event() && !slot.take_event());
}
