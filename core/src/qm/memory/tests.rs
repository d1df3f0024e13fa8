//! Loans against memory of the test's own, seen by the "device" at other addresses.

use super::granules::GRANULE;
use super::*;

const K64: usize = 64 << 10;

/// A queue without SVA whose region has slices of these lengths with gaps between them.
fn pinned_with(kind: Kind, lengths: &[usize]) -> Memory {
    let total: usize = lengths.iter().sum();
    let answers: Vec<u64> =
        lengths.iter().enumerate().map(|(n, len)| (0x100 + n as u64) << 32 | (len / K64) as u64).collect();
    let slices = Slices::parse(&answers, total, false).unwrap();
    Memory::new(false, kind, Some(Own::new(Region::not_inherited(total).unwrap(), slices)))
}

/// The bytes that the device sees at `address`.
fn seen(memory: &Memory, address: u64, len: usize) -> Vec<u8> {
    let own = memory.own.as_ref().unwrap();
    let mut bytes = vec![0; len];
    own.region.copy_out(offset_of(memory, address), &mut bytes);
    bytes
}

fn offset_of(memory: &Memory, address: u64) -> usize {
    let own = memory.own.as_ref().unwrap();
    (0..own.region.len()).step_by(64).find(|offset| own.slices.device(*offset) == Some(address)).unwrap()
}

#[test]
fn without_sva_the_device_reads_copies_and_its_results_come_back() {
    let memory = pinned_with(Kind::Zip, &[4 * K64, 8 * K64]);
    let mut loans = Loans::default();
    let input: Vec<u8> = (0..30_000u32).map(|n| n as u8).collect();
    let (mut output, mut state) = (vec![9; 40_000], vec![7; 38_848]);
    let from = memory.lend(&mut loans, &input).unwrap();
    let to = memory.lend_mut(&mut loans, &mut output, 40_000).unwrap();
    let context = memory.lend_state(&mut loans, &mut state).unwrap();
    assert_eq!(seen(&memory, from, input.len()), input);
    assert_eq!(seen(&memory, context, state.len()), state);
    let region = &memory.own.as_ref().unwrap().region;
    region.copy_in(offset_of(&memory, to), &[5; 100]);
    region.copy_in(offset_of(&memory, context), &[6; 38_848]);
    memory.collect(&loans, to, &mut output[..100]).unwrap();
    memory.collect(&loans, context, &mut state).unwrap();
    assert!(output[..100] == [5; 100] && output[100..].iter().all(|byte| *byte == 9));
    assert!(state.iter().all(|byte| *byte == 6));
}

#[test]
fn buffers_are_aligned_and_cross_no_gap() {
    let memory = pinned_with(Kind::Zip, &[K64; 12]);
    let own = memory.own.as_ref().unwrap();
    let mut all = Vec::new();
    for len in [1, 63, 64, 65, 4096, 5000, 16 << 10, 38_848, 60_000, 65_536] {
        let mut loans = Loans::default();
        let bytes = vec![1; len];
        let address = memory.lend(&mut loans, &bytes).unwrap();
        assert_eq!(address % 64, 0, "{len}");
        let offset = offset_of(&memory, address);
        assert_eq!(own.slices.device(offset + len - 1), Some(address + len as u64 - 1), "{len}");
        all.push((offset, len, loans));
    }
    for (n, (offset, len, _)) in all.iter().enumerate() {
        let apart = |(other, other_len, _): &(usize, usize, Loans)| {
            offset + len <= *other || other + other_len <= *offset
        };
        assert!(all.iter().enumerate().all(|(m, other)| m == n || apart(other)));
    }
}

#[test]
fn more_than_there_is_is_refused_until_loans_are_settled() {
    let memory = pinned_with(Kind::Zip, &[K64, K64]);
    let big = vec![0; K64 + 1];
    assert_eq!(memory.lend(&mut Loans::default(), &big), Err(Fault::Memory), "crosses the gap");
    let (mut first, mut second) = (Loans::default(), Loans::default());
    memory.lend(&mut first, &big[..K64]).unwrap();
    memory.lend(&mut second, &big[..K64]).unwrap();
    assert_eq!(memory.lend(&mut Loans::default(), &[1]), Err(Fault::Memory));
    memory.settle(&mut first);
    assert!(memory.lend(&mut Loans::default(), &big[..K64]).is_ok());
    assert_eq!(memory.longest_loan(), 16 << 10);
    assert_eq!(pinned_with(Kind::Zip, &[K64; 64]).longest_loan(), K64);
}

#[test]
fn small_buffers_of_a_request_share_a_granule() {
    let memory = pinned_with(Kind::Hpre, &[K64]);
    let mut loans = Loans::default();
    // The largest RSA request: key image, input, output.
    let addresses: Vec<u64> =
        [2560, 512, 512].iter().map(|len| memory.lend(&mut loans, &vec![1; *len]).unwrap()).collect();
    assert_eq!(addresses.iter().map(|a| a / 4096).collect::<std::collections::BTreeSet<_>>().len(), 1);
    assert_eq!(loans.runs.iter().flatten().count(), 1);
}

#[test]
fn secrets_are_gone_after_the_request_and_plain_data_is_not_wiped() {
    for (kind, kept) in [(Kind::Sec, false), (Kind::Hpre, false), (Kind::Zip, true)] {
        for memory in [pinned_with(kind, &[2 * K64]), Memory::shared(kind)] {
            let mut loans = Loans::default();
            let address = memory.lend(&mut loans, &[0xA5; 200]).unwrap();
            let mut result = [0; 200];
            let to = memory.lend_mut(&mut loans, &mut result, 200).unwrap();
            memory.own.as_ref().unwrap().region.copy_in(offset_of(&memory, to), &[0xB6; 200]);
            memory.settle(&mut loans);
            let expected = if kept { ([0xA5; 200], [0xB6; 200]) } else { ([0; 200], [0; 200]) };
            assert_eq!(seen(&memory, address, 200), expected.0, "{kind}");
            assert_eq!(seen(&memory, to, 200), expected.1, "{kind}");
        }
    }
}

#[test]
fn with_sva_short_buffers_are_staged_and_long_ones_lent_where_they_are() {
    let memory = Memory::shared(Kind::Zip);
    let mut loans = Loans::default();
    let (short, long) = (vec![3; SHORT], vec![4; SHORT + 1]);
    let staged = memory.lend(&mut loans, &short).unwrap();
    assert_ne!(staged, address(&short));
    assert_eq!(seen(&memory, staged, SHORT), short);
    assert_eq!(memory.lend(&mut loans, &long), Ok(address(&long)));
    let mut output = vec![0; 100];
    let to = memory.lend_mut(&mut loans, &mut output, 100).unwrap();
    memory.own.as_ref().unwrap().region.copy_in(offset_of(&memory, to), &[8; 60]);
    memory.collect(&loans, to, &mut output[..60]).unwrap();
    assert!(output[..60] == [8; 60] && output[60..] == [0; 40]);
    // Nothing to bring back where the device wrote into the buffer itself.
    assert_eq!(memory.collect(&loans, address(&long), &mut [1; 5]), Ok(()));
    assert_eq!((memory.longest_loan(), memory.shares_addresses()), (usize::MAX, true));
}

#[test]
fn with_sva_a_full_staging_area_lends_the_buffer_itself() {
    let memory = Memory::shared(Kind::Sec);
    let mut held: Vec<Loans> = Vec::new();
    let bytes = [1; SHORT];
    loop {
        let mut loans = Loans::default();
        if memory.lend(&mut loans, &bytes) == Ok(address(&bytes)) {
            break;
        }
        held.push(loans);
    }
    assert_eq!(held.len(), STAGING / GRANULE);
    held.iter_mut().for_each(|loans| memory.settle(loans));
    assert_ne!(memory.lend(&mut Loans::default(), &bytes), Ok(address(&bytes)));
}

#[test]
fn a_forked_child_uses_nothing_of_its_parents_and_unmaps_nothing() {
    let memory = pinned_with(Kind::Sec, &[2 * K64]);
    let mut loans = Loans::default();
    let address = memory.lend(&mut loans, &[1; 100]).unwrap();
    assert!(crate::testing::in_child(|| {
        // The memory is not mapped here, so that a touch of it would kill the child.
        let refused = memory.lend(&mut Loans::default(), &[1; 100]) == Err(Fault::Memory)
            && memory.collect(&loans, address, &mut [0; 100]) == Err(Fault::Reset);
        memory.settle(&mut loans);
        refused
    }));
}
