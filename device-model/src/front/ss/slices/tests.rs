use super::*;
use proptest::prelude::*;

const SETTINGS: SsProfile =
    SsProfile { slice: GRAIN, gaps: Gaps::All, seed: 7, limit: 1 << 30, whole_device: false };
const HERE: Place = Place { device: 4, queue: 11, turn: 0 };

fn slices(settings: SsProfile, flags: u8, len: u64) -> Slices {
    Slices::new(&settings, flags, HERE, len)
}

#[test]
fn an_iommu_gives_one_slice_of_any_length_and_none_gives_many() {
    let one = slices(SETTINGS, IOMMU, 5 * GRAIN + 4096);
    assert_eq!((one.count(), one.0[0].size, one.0[0].word() & 0xfff), (1, 5 * GRAIN + 4096, 5));
    let many = slices(SETTINGS, 2, 5 * GRAIN);
    assert_eq!(many.count(), 5);
    assert!(many.0.iter().all(|s| s.size == GRAIN && s.word() & 0xfff == 1));
    // 256 MiB: the size does not fit into its field
    let huge = slices(SETTINGS, IOMMU, 256 << 20);
    assert_eq!((huge.count(), huge.0[0].word() & 0xfff), (1, 0));
    let longest = slices(SsProfile { slice: 128 << 20, ..SETTINGS }, 2, 256 << 20);
    assert_eq!(longest.0.iter().map(|s| s.word() & 0xfff).collect::<Vec<_>>(), [2048, 2048]);
}

#[test]
fn the_short_slice_is_not_always_the_last() {
    let settings = SsProfile { slice: 4 * GRAIN, ..SETTINGS };
    let mut places = [0; 3];
    for seed in 0..60 {
        let slices = slices(SsProfile { seed, ..settings }, 2, 9 * GRAIN);
        assert_eq!(slices.count(), 3);
        places[slices.0.iter().position(|s| s.size == GRAIN).unwrap()] += 1;
    }
    assert!(places.iter().all(|n| *n > 5), "{places:?}");
}

#[test]
fn a_range_over_a_gap_is_missed_and_one_over_contiguous_slices_is_found() {
    let apart = slices(SETTINGS, 2, 3 * GRAIN);
    let (first, second) = (apart.0[0], apart.0[1]);
    assert_eq!(apart.locate(first.dma, GRAIN), Ok(0));
    assert_eq!(apart.locate(second.dma + 10, 20), Ok(GRAIN + 10));
    assert_eq!(apart.locate(first.dma + GRAIN - 1, 1), Ok(GRAIN - 1));
    assert_eq!(apart.locate(first.dma + GRAIN - 1, 2), Err(Miss::CrossesGap));
    assert_eq!(apart.locate(first.dma, GRAIN + 1), Err(Miss::CrossesGap));
    assert_eq!(apart.locate(first.dma + GRAIN, 1), Err(Miss::NoSlice));
    assert_eq!(apart.locate(first.dma - 1, 4), Err(Miss::NoSlice));
    assert_eq!(apart.locate(u64::MAX, 2), Err(Miss::NoSlice));
    assert_eq!(apart.locate(first.dma, u64::MAX), Err(Miss::CrossesGap));
    for process in [0, 0x1000, 0x7fff_ffff_f000, 0xffff_ffff_f000] {
        assert_eq!(apart.locate(process, 1), Err(Miss::ProcessAddress));
    }
    let together = slices(SsProfile { gaps: Gaps::None, ..SETTINGS }, 2, 3 * GRAIN);
    assert_eq!(together.count(), 3);
    assert_eq!(together.locate(together.0[0].dma + 100, 3 * GRAIN - 100), Ok(100));
    assert_eq!(together.locate(together.0[0].dma + 100, 3 * GRAIN), Err(Miss::CrossesGap));
}

#[test]
fn addresses_depend_on_seed_queue_and_turn_and_are_reproducible() {
    let of = |seed, place| Slices::new(&SsProfile { seed, ..SETTINGS }, 2, place, 4 * GRAIN);
    assert_eq!(of(7, HERE), of(7, HERE));
    let others = [
        of(8, HERE),
        of(7, Place { queue: 12, ..HERE }),
        of(7, Place { device: 5, ..HERE }),
        of(7, Place { turn: 1, ..HERE }),
    ];
    let mine = of(7, HERE);
    for other in others {
        for slice in &other.0 {
            assert_eq!(mine.locate(slice.dma, 1), Err(Miss::NoSlice));
        }
    }
}

#[test]
fn some_neighbours_are_contiguous_and_some_are_not() {
    let slices = slices(SsProfile { gaps: Gaps::Some, ..SETTINGS }, 2, 400 * GRAIN);
    let contiguous = slices.0.windows(2).filter(|w| w[0].dma + w[0].size == w[1].dma).count();
    assert!((50..150).contains(&contiguous), "{contiguous}");
}

/// The rule said with one byte at a time.
fn naive(slices: &Slices, addr: u64, len: u64) -> Option<u64> {
    let byte = |addr: u64| {
        let slice = slices.0.iter().find(|s| (s.dma..s.dma + s.size).contains(&addr))?;
        Some(slice.offset + (addr - slice.dma))
    };
    let first = byte(addr)?;
    // pages decide: every slice border lies on one
    let mut at = addr;
    while at < addr.checked_add(len)? {
        byte(at)?;
        at = (at / PAGE + 1) * PAGE;
    }
    Some(first)
}

fn gaps() -> impl Strategy<Value = Gaps> {
    prop_oneof![Just(Gaps::All), Just(Gaps::Some), Just(Gaps::None)]
}

proptest! {
    #[test]
    fn slices_rise_fill_the_region_and_stay_in_the_queues_window(
        seed: u64, gaps in gaps(), grains in 1u64..64, pages in 1u64..3000, device in 0usize..48,
        queue in 0u16..1024, turn in 0u64..5, iommu: bool,
    ) {
        let settings = SsProfile { slice: grains * GRAIN, gaps, seed, limit: 4 << 30, whole_device: false };
        let flags = if iommu { IOMMU } else { 2 };
        let len = pages * PAGE;
        let slices = Slices::new(&settings, flags, Place { device, queue, turn }, len);
        let mut end = 0;
        let mut last = FIRST;
        for slice in &slices.0 {
            prop_assert_eq!(slice.offset, end);
            prop_assert!(slice.size > 0 && slice.dma >= last && slice.dma % PAGE == 0);
            end += slice.size;
            last = slice.dma + slice.size;
        }
        prop_assert_eq!(end, len);
        prop_assert_eq!(slices.0[0].dma >> WINDOW_BITS, (last - 1) >> WINDOW_BITS);
        prop_assert!(last < 1 << 52);
    }

    #[test]
    fn locate_agrees_with_byte_by_byte(
        seed: u64, gaps in gaps(), pages in 1u64..80, start in 0u64..90, odd in 0u64..4096, len in 1u64..300_000,
    ) {
        let settings = SsProfile { slice: GRAIN, gaps, seed, limit: 4 << 30, whole_device: false };
        let slices = Slices::new(&settings, 2, HERE, pages * PAGE);
        let addr = slices.0[0].dma - PAGE + start * PAGE + odd;
        prop_assert_eq!(slices.locate(addr, len).ok(), naive(&slices, addr, len));
    }
}

#[test]
fn the_largest_region_in_the_smallest_slices_fits_its_window() {
    for seed in 0..20 {
        let slices = Slices::new(&SsProfile { seed, ..SETTINGS }, 2, HERE, 4 << 30);
        let (first, last) = (slices.0[0], slices.0[slices.count() - 1]);
        assert_eq!(first.dma >> WINDOW_BITS, (last.dma + last.size - 1) >> WINDOW_BITS);
    }
}
