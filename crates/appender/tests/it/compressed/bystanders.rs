//! What others do to a file while it is compressed, and bounds that it has to go for.

use lastline_appender::{Reason, Storage};
use lastline_line::{Offset, ReadBack, ReadOutcome};
use lastline_testing::stdout;
use lastline_testing::storage::MemoryStorage;

use super::picky::{Fault, Picky};
use super::{NEWEST, compressing, lines, names, until_compressed};
use crate::support::{Feed, appender, close, read_whole, until};

const FIRST: &str = "rank-0.stdout.0001.log";

/// Somebody does `work` to the first file while it is being compressed.
fn meanwhile(work: impl FnOnce(&MemoryStorage)) -> Picky {
    let storage = Picky::new(Fault::Hang);
    let appender = appender(storage.clone(), compressing(10_000));
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(&lines(0, 35_000));
    until("it is being compressed", || storage.met() == 1);
    work(&storage.memory);
    storage.set(Fault::None);
    let others = ["rank-0.stdout.0002.log.zst", "rank-0.stdout.0003.log.zst"];
    let there = |name: &&str| storage.memory.bytes(name).is_some();
    until("the others are compressed", || others.iter().all(there));
    close(&appender);
    assert!(!names(&storage).iter().any(|name| name.contains(".0001.log.zst")));
    storage
}

#[test]
fn a_file_that_is_removed_meanwhile_does_not_come_back() {
    let storage = meanwhile(|memory| memory.remove(FIRST).unwrap());
    assert!(storage.open(FIRST).is_err());
}

#[test]
fn a_file_that_is_changed_meanwhile_is_left_as_it_is() {
    let storage = meanwhile(|memory| memory.truncate(FIRST, 100));
    assert_eq!(storage.memory.bytes(FIRST).unwrap(), lines(0, 100));
    let storage = meanwhile(|memory| {
        let taken = memory.open(FIRST).unwrap().append(b"mine").unwrap();
        assert_eq!(taken, 4);
    });
    assert!(storage.memory.bytes(FIRST).unwrap().ends_with(b"mine"));
}

#[test]
fn what_has_the_name_already_is_neither_replaced_nor_removed() {
    let storage = Picky::new(Fault::None);
    let appender = appender(storage.clone(), compressing(10_000));
    let planted = ["rank-0.stdout.0001.log.zst", "rank-0.stdout.0002.log.zst.unfinished"];
    for name in planted {
        storage.memory.create(name).unwrap().append(b"not ours").unwrap();
    }
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(&lines(0, 35_000));
    let third = "rank-0.stdout.0003.log.zst";
    until("the third one is compressed", || storage.memory.bytes(third).is_some());
    close(&appender);
    for name in planted {
        assert_eq!(storage.memory.bytes(name).unwrap(), b"not ours", "{name}");
    }
    assert!(read_whole(&*appender.read_back(), stdout(0)) == lines(0, 35_000));
}

/// The bound counts what files take: more is kept of what is compressed, and it is on the disk that they
/// keep within it.
#[test]
fn the_bound_on_all_files_counts_what_they_take() {
    const MAX: u64 = 100_000;
    let storage = MemoryStorage::new();
    let mut options = compressing(10_000);
    options.max_bytes = Some(MAX);
    let appender = appender(storage.clone(), options);
    let mut feed = Feed::new(&appender, stdout(0));
    let taken = || -> u64 {
        let sizes = names(&storage).into_iter().map(|name| storage.bytes(&name));
        sizes.flatten().map(|bytes| bytes.len() as u64).sum()
    };
    for step in 0..60 {
        feed.push(&lines(step * 10_000, 10_000));
        until("it is filed", || appender.read_back().filed(stdout(0)).0 == feed.at);
        until_compressed(&storage, NEWEST);
        assert!(taken() <= MAX);
    }
    // All of it, six times the bound.
    assert!(read_whole(&*appender.read_back(), stdout(0)) == lines(0, 600_000));
    // And on, until that is too much, too.
    while appender.written().streams[&stdout(0)].pruned.is_empty() {
        feed.push(&lines(feed.at as usize, 10_000));
    }
    let written = close(&appender);
    assert!(taken() <= MAX, "{}", taken());
    let pruned = &written.streams[&stdout(0)].pruned;
    assert_eq!(pruned.as_slice()[0].span.from.0, 0);
    let mut buffer = [0; 10];
    let read = appender.read_back().read_back(stdout(0), Offset(0), &mut buffer).unwrap();
    assert!(matches!(&read, ReadOutcome::Gone { cause, .. } if *cause == Reason::Pruned.words()));
    assert!(!names(&storage).iter().any(|name| name.contains(".0001.log")));
}

/// A file has to go for the bound while it is being compressed.
#[test]
fn a_file_that_goes_for_the_bound_meanwhile_leaves_nothing() {
    let storage = Picky::new(Fault::Hang);
    let mut options = compressing(10_000);
    options.max_bytes = Some(30_000);
    let appender = appender(storage.clone(), options);
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(&lines(0, 15_000));
    until("it is being compressed", || storage.met() == 1);
    feed.push(&lines(15_000, 45_000));
    until("it was given up", || storage.open(FIRST).is_err());
    storage.set(Fault::None);
    until("another one is compressed", || {
        names(&storage).iter().any(|name| name.ends_with(".zst"))
    });
    close(&appender);
    assert!(!names(&storage).iter().any(|name| name.contains(".0001.log")));
}
