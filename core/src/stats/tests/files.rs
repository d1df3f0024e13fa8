//! Whose a file is, and what happens to its counts.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;

use super::*;
use crate::stats::layout::{FIRST_SHARDS, MAGIC, SHARDS, UNFINISHED, word};

const REQUESTS: usize = schema::requests(Op::ZipCompress);
const NAME: &str = "device.zip.compress.requests";

/// Runs a test in a process of its own: the children that other tests of this process fork would inherit the mappings,
/// and with them the locks, of files that the test lets go.
fn alone(test: impl FnOnce()) {
    assert!(in_child(|| {
        test();
        true
    }));
}

fn sum(directory: &TempDir) -> u64 {
    read_dir(directory.path()).unwrap()[NAME]
}

fn file_count(directory: &TempDir) -> usize {
    std::fs::read_dir(directory.path()).unwrap().count()
}

#[test]
fn a_new_file_has_every_name_and_what_is_added() {
    let directory = TempDir::new();
    let page = open(&directory);
    count(&page, 0, REQUESTS, 40);
    assert!(in_child(|| page.word(1, REQUESTS).fetch_add(2, Ordering::Relaxed) == 0));
    let sums = read_dir(directory.path()).unwrap();
    assert_eq!((sums[NAME], sums["software.too_small"]), (42, 0));
    let counters = schema::entries(std::iter::empty()).into_iter().filter(|e| e.kind == Kind::Counter);
    assert!(sums.keys().cloned().eq(counters.map(|e| e.name).collect::<std::collections::BTreeSet<_>>()));
    let file = only_file(&directory);
    let owner = file.content.owner.unwrap();
    assert!(file.alive);
    assert_eq!(owner.pid, u64::from(std::process::id()));
    assert!(owner.program.starts_with("warpdrive"), "{}", owner.program);
    assert!(owner.values == file.content.totals);
}

#[test]
fn a_file_is_for_its_group_to_read_and_for_its_user_to_write_whatever_the_umask() {
    for mask in [0, 0o777] {
        let directory = TempDir::new();
        assert!(in_child(|| {
            // SAFETY: umask cannot fail; the child is alone.
            #[expect(unsafe_code, reason = "no safe interface")]
            unsafe {
                libc::umask(mask)
            };
            let page = open(&directory);
            std::fs::metadata(page.path()).unwrap().permissions().mode() & 0o777 == 0o640
        }));
    }
}

#[test]
fn a_file_is_taken_over_when_nobody_maps_it_and_its_counts_stay() {
    alone(|| {
        let directory = TempDir::new();
        let first = open(&directory);
        let path = first.path().to_owned();
        count(&first, 0, REQUESTS, 5);
        let second = open(&directory);
        assert_ne!(second.path(), path, "two at a time have a file each");
        count(&second, 1, REQUESTS, 7);
        drop(first);
        let files = reader::files(directory.path()).unwrap();
        assert_eq!(files.iter().map(|file| file.alive).filter(|alive| *alive).count(), 1);

        let third = open(&directory);
        assert_eq!(third.path(), path);
        assert_eq!(third.counted(REQUESTS), 0, "begins at nothing");
        count(&third, 0, REQUESTS, 1);
        assert_eq!((third.counted(REQUESTS), sum(&directory)), (1, 13));
        let file =
            reader::files(directory.path()).unwrap().into_iter().find(|file| file.path == path).unwrap();
        assert_eq!(file.content.totals.counters[NAME], 6);
        assert_eq!(file.content.owner.unwrap().values.counters[NAME], 1);
        assert_eq!(file_count(&directory), 2);
    });
}

#[test]
fn there_are_never_more_files_than_processes_at_a_time() {
    alone(|| {
        let directory = TempDir::new();
        for round in 1..=3 {
            let pages: Vec<_> = (0..20).map(|_| open(&directory)).collect();
            pages.iter().for_each(|page| count(page, 0, REQUESTS, 1));
            assert_eq!((file_count(&directory), sum(&directory)), (20, 20 * round));
        }
        for _ in 0..50 {
            count(&open(&directory), 0, REQUESTS, 1);
        }
        assert_eq!((file_count(&directory), sum(&directory)), (20, 110));
    });
}

#[test]
fn a_file_is_its_childs_as_long_as_that_lives() {
    alone(|| {
        let directory = TempDir::new();
        let (mut here, there) = UnixStream::pair().unwrap();
        // A process that forks and ends; the grandchild goes on counting until it is told to end.
        assert!(in_child(|| {
            let page = open(&directory);
            let mut there = there.try_clone().unwrap();
            std::thread::spawn(move || {
                in_child(|| {
                    there.write_all(b"a").unwrap();
                    there.read_exact(&mut [0]).unwrap();
                    count(&page, 0, REQUESTS, 3);
                    there.write_all(b"b").unwrap();
                    true
                })
            });
            here.try_clone().unwrap().read_exact(&mut [0]).is_ok()
        }));
        let inherited = only_file(&directory);
        assert!(inherited.alive);
        assert_ne!(open(&directory).path(), inherited.path, "somebody still counts there");
        here.write_all(b"c").unwrap();
        here.read_exact(&mut [0]).unwrap();
        assert_eq!(sum(&directory), 3);
    });
}

#[test]
fn killed_processes_leave_what_they_counted() {
    alone(|| {
        let directory = TempDir::new();
        for _ in 0..3 {
            assert!(!in_child(|| {
                let page = open(&directory);
                count(&page, 0, REQUESTS, 1);
                count(&page, 1, REQUESTS, 1);
                // SAFETY: the child ends here.
                #[expect(unsafe_code, reason = "no safe interface")]
                unsafe {
                    libc::raise(libc::SIGKILL)
                };
                true
            }));
        }
        assert_eq!(sum(&directory), 6);
        assert!(reader::files(directory.path()).unwrap().iter().all(|file| !file.alive));
    });
}

#[test]
fn a_file_that_was_never_finished_is_begun_again() {
    alone(|| {
        for begun in [&b""[..], &UNFINISHED[..], &[&UNFINISHED[..], &[7; 100]].concat()] {
            let directory = TempDir::new();
            let path = open(&directory).path().to_owned();
            std::fs::write(&path, begun).unwrap();
            let page = open(&directory);
            assert_eq!(page.path(), path);
            count(&page, 1, REQUESTS, 2);
            assert_eq!(sum(&directory), 2);
        }
    });
}

#[test]
fn an_owner_that_died_while_it_was_entered_changes_no_count() {
    alone(|| {
        let directory = TempDir::new();
        let page = open(&directory);
        count(&page, 0, REQUESTS, 9);
        let path = page.path().to_owned();
        drop(page);
        // Half of the baseline is written.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[word::SEQUENCE] |= 1;
        let baseline = plain().baseline;
        bytes[baseline..baseline + 8].copy_from_slice(&9_u64.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let content = only_file(&directory).content;
        assert!(content.totals.counters[NAME] == 9 && content.owner.is_none());

        let page = open(&directory);
        assert_eq!((page.path(), page.counted(REQUESTS)), (&*path, 0));
        let content = only_file(&directory).content;
        assert_eq!(content.totals.counters[NAME], 9);
        assert!(content.owner.is_some_and(|owner| !owner.values.any()));
    });
}

#[test]
fn what_is_not_ours_is_left_alone() {
    alone(|| {
        let directory = TempDir::new();
        let path = open(&directory).path().to_owned();
        let good = std::fs::read(&path).unwrap();
        let mut other_schema = good.clone();
        other_schema[layout::HEADER] ^= 1;
        let mut shards = good.clone();
        shards[word::SHARD_COUNT] = 3;
        let mut version = good.clone();
        version[word::VERSION] = 2;
        let text = b"somebody's notes".repeat(500);
        for bad in [&good[..good.len() - 1], &good[..100], b"short", &text, &other_schema, &shards, &version]
        {
            std::fs::write(&path, bad).unwrap();
            assert_ne!(open(&directory).path(), path);
            assert_eq!(std::fs::read(&path).unwrap(), bad);
        }

        // links of either kind, to what we could well write to
        let target = directory.path().join("precious");
        for content in [&b""[..], &good] {
            std::fs::write(&target, content).unwrap();
            for link in [|to, at| std::fs::hard_link(to, at), |to, at| symlink(to, at)] {
                std::fs::remove_file(&path).unwrap();
                link(&target, &path).unwrap();
                assert_ne!(open(&directory).path(), path);
                assert_eq!(std::fs::read(&target).unwrap(), content);
            }
        }
        // what an open could wait for
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_ne!(open(&directory).path(), path);
    });
}

#[test]
fn directories_that_cannot_be_used_are_errors_only() {
    let directory = TempDir::new();
    directory.write("file", "");
    for path in [Path::new("/nonexistent"), &directory.path().join("file")] {
        assert!(Page::open(path, &plain()).is_err());
        assert!(read_dir(path).is_err());
    }
}

#[test]
fn files_of_other_gauges_are_other_files() {
    alone(|| {
        let directory = TempDir::new();
        let page = Page::open(directory.path(), &with_gauges(&["model.a", "model.b"])).unwrap();
        page.gauge(1).unwrap().store(77, Ordering::Relaxed);
        assert!(page.gauge(2).is_none());
        let gauges = only_file(&directory).content.owner.unwrap().gauges;
        assert_eq!(gauges, [("model.a".to_owned(), 0), ("model.b".to_owned(), 77)].into());
        let path = page.path().to_owned();
        drop(page);
        assert_ne!(open(&directory).path(), path);
        let page = Page::open(directory.path(), &with_gauges(&["model.a", "model.b"])).unwrap();
        assert_eq!(page.path(), path);
        assert_eq!(
            page.gauge(1).unwrap().load(Ordering::Relaxed),
            0,
            "a present value dies with its process"
        );
    });
}

#[test]
fn threads_share_until_a_queue_is_open_and_then_have_a_shard_each() {
    alone(|| {
        let directory = TempDir::new();
        let page = open(&directory);
        let size = || std::fs::metadata(page.path()).unwrap().len();
        let small = size();
        let first: Vec<_> = (0..5).map(|_| page.take_shard()).collect();
        assert_eq!(first, [(0, true), (1, true), (0, false), (0, false), (0, false)]);
        assert_eq!(size(), small);

        assert!(page.is_ours());
        let mut owned: Vec<_> = (FIRST_SHARDS..SHARDS).map(|_| page.take_shard()).collect();
        owned.sort_unstable();
        assert!(owned.into_iter().eq((FIRST_SHARDS..SHARDS).map(|shard| (shard, true))));
        let (shard, own) = page.take_shard();
        assert!(shard < SHARDS && !own, "the sixty-fifth shares");
        (0..SHARDS).for_each(|shard| count(&page, shard, REQUESTS, 1));
        assert_eq!(sum(&directory), SHARDS as u64);
        page.give_back(17);
        assert_eq!(page.take_shard(), (17, true));
        // All of it is taken over with the file.
        drop(page);
        let page = open(&directory);
        assert_eq!((file_count(&directory), page.counted(REQUESTS)), (1, 0));
        count(&page, SHARDS - 1, REQUESTS, 1);
        assert_eq!((page.counted(REQUESTS), sum(&directory)), (1, SHARDS as u64 + 1));
    });
}

#[test]
fn a_file_that_is_gone_or_replaced_does_not_grow() {
    let directory = TempDir::new();
    let page = open(&directory);
    assert!(page.is_ours());
    assert_eq!([page.take_shard(), page.take_shard()], [(0, true), (1, true)]);
    let (path, elsewhere) = (page.path().to_owned(), directory.path().join("elsewhere"));
    std::fs::rename(&path, &elsewhere).unwrap();
    assert!(!page.take_shard().1);
    std::fs::copy(&elsewhere, &path).unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(!page.take_shard().1);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
    std::fs::rename(&elsewhere, &path).unwrap();
    assert!(page.take_shard().1);
}

#[test]
fn a_child_that_has_opened_no_queue_leaves_its_parents_file_as_it_is() {
    let directory = TempDir::new();
    let page = open(&directory);
    assert!(page.is_ours());
    assert_eq!([page.take_shard(), page.take_shard()], [(0, true), (1, true)]);
    assert!(in_child(|| !page.take_shard().1 && !page.is_ours()));
    assert_eq!(page.take_shard(), (2, true));
}

#[test]
fn threads_that_count_while_the_file_grows_lose_nothing() {
    const THREADS: u64 = 100;
    const COUNTS: u64 = 500;
    let directory = TempDir::new();
    let page = open(&directory);
    assert!(page.is_ours());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..COUNTS).for_each(|_| count(&page, seat::shard(&page, true), REQUESTS, 1)));
        }
    });
    assert_eq!((page.counted(REQUESTS), sum(&directory)), (THREADS * COUNTS, THREADS * COUNTS));
}

#[test]
fn a_complete_file_begins_with_the_magic_number_and_has_one_link() {
    let directory = TempDir::new();
    let page = open(&directory);
    assert!(std::fs::read(page.path()).unwrap().starts_with(&MAGIC));
    assert_eq!(std::fs::metadata(page.path()).unwrap().nlink(), 1);
}
