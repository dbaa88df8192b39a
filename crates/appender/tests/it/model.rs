//! Random writes, sizes and errors against a model.

use std::sync::Arc;

use lastline_appender::{Archive, Options};
use lastline_line::{Offset, ReadBack};
use lastline_testing::stdout;
use lastline_testing::storage::{BAD_DISK, MemoryStorage, NO_SPACE, Step};
use proptest::prelude::*;

use crate::support::{Feed, appender, close, eager, read_all};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_usize..100).prop_map(Step::Take),
        1 => Just(Step::Fail(NO_SPACE)),
        1 => Just(Step::Fail(BAD_DISK)),
    ]
}

fn options(rotate_bytes: Option<u64>, max_bytes: Option<u64>, threads: usize) -> Options {
    let mut options = eager();
    options.rotate_bytes = rotate_bytes;
    options.max_bytes = max_bytes;
    options.threads = threads;
    options
}

/// Bytes that differ from place to place, with a newline now and then.
fn bytes(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| if at % 13 == 12 { b'\n' } else { (at % 251) as u8 }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// What is read back and what is declared are together what was pushed, whatever the disk
    /// does; and who reads the files afterwards sees the same.
    #[test]
    fn every_byte_is_filed_or_declared(
        chunks in proptest::collection::vec((0_u32..3, 1_usize..120), 1..60),
        steps in proptest::collection::vec(step(), 0..60),
        rotate in proptest::option::of(1_u64..200),
        max in proptest::option::of(50_u64..2000),
        threads in 1_usize..3,
        most in 1_usize..64,
    ) {
        let storage = MemoryStorage::new();
        storage.script(steps);
        let appender = appender(storage.clone(), options(rotate, max, threads));
        let reader = appender.read_back();
        let mut feeds: Vec<Feed> = (0..3).map(|r| Feed::new(&appender, stdout(r))).collect();
        for (rank, count) in chunks {
            let feed = &mut feeds[rank as usize];
            let piece = bytes(feed.at as usize, count);
            feed.push(&piece);
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
            let mut holes = 0;
            for (at, (byte, expected)) in back.iter().zip(bytes(0, length as usize)).enumerate() {
                let mut gaps = told.not_filed.as_slice().iter().chain(told.pruned.as_slice());
                let declared = gaps.any(|gap| gap.span.from.0 <= at as u64 && (at as u64) < gap.span.to.0);
                prop_assert_eq!(byte.is_none(), declared);
                prop_assert!(byte.is_none_or(|byte| byte == expected));
                holes += u64::from(byte.is_none());
            }
            prop_assert_eq!(holes, told.not_filed.bytes() + told.pruned.bytes());
            prop_assert_eq!(reader.filed(stream), Offset(length));
            prop_assert_eq!(read_all(&archive, stream, most), back);
            prop_assert_eq!(archive.filed_bytes(stream), told.filed_bytes);
        }
    }
}
