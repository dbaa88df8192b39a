//! Random writes, sizes, reads and errors against a model, while files are compressed.

use std::sync::Arc;

use lastline_appender::Archive;
use lastline_line::{Offset, ReadBack, ReadOutcome};
use lastline_testing::stdout;
use lastline_testing::storage::{MemoryStorage, NO_SPACE, Step};
use proptest::prelude::*;

use super::{compressing, lines};
use crate::support::{Feed, appender, close, read_all};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Take(usize::MAX)),
        2 => (1_usize..400).prop_map(Step::Take),
        1 => Just(Step::Fail(NO_SPACE)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever the disk does: each byte that is not declared reads back as it was, at any moment, and
    /// afterwards, from plain and compressed files.
    #[test]
    fn every_byte_is_filed_or_declared_and_reads_as_it_was(
        chunks in proptest::collection::vec((0_u32..2, 1_usize..3000), 1..40),
        steps in proptest::collection::vec(step(), 0..40),
        rotate in 300_u64..6000,
        max in proptest::option::of(4_000_u64..40_000),
        most in 1_usize..5000,
        reads in proptest::collection::vec(any::<proptest::sample::Index>(), 40),
    ) {
        let storage = MemoryStorage::new();
        storage.script(steps);
        let mut options = compressing(rotate);
        options.max_bytes = max;
        let appender = appender(storage.clone(), options);
        let reader = appender.read_back();
        let mut feeds: Vec<Feed> = (0..2).map(|rank| Feed::new(&appender, stdout(rank))).collect();
        for ((rank, count), read) in chunks.into_iter().zip(reads) {
            let feed = &mut feeds[rank as usize];
            feed.push(&lines(feed.at as usize, count));
            let (from, mut buffer) = (read.index(feed.at as usize), vec![0; most]);
            let outcome = reader.read_back(stdout(rank), Offset(from as u64), &mut buffer).unwrap();
            if let ReadOutcome::Read(bytes) = outcome {
                prop_assert!(buffer[..bytes] == lines(from, bytes));
            }
        }
        let lengths: Vec<u64> = feeds.iter().map(|feed| feed.at).collect();
        feeds.into_iter().for_each(Feed::end);
        let written = close(&appender);
        let archive = Archive::new(Arc::new(storage)).unwrap();
        for (rank, length) in lengths.into_iter().enumerate() {
            let stream = stdout(rank as u32);
            let told = &written.streams[&stream];
            prop_assert_eq!(told.filed_bytes + told.not_filed.bytes(), length);
            let back = read_all(&*reader, stream, most);
            prop_assert_eq!(back.len() as u64, length);
            let holes = back.iter().filter(|byte| byte.is_none()).count() as u64;
            prop_assert_eq!(holes, told.not_filed.bytes() + told.pruned.bytes());
            let expected = lines(0, length as usize);
            prop_assert!(back.iter().zip(expected).all(|(byte, it)| byte.is_none_or(|b| b == it)));
            prop_assert!(read_all(&archive, stream, most) == back);
        }
    }
}
