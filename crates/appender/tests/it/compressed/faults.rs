//! What goes wrong while a file is compressed.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lastline_appender::{Archive, DirStorage, Note, Reason, Storage};
use lastline_testing::stdout;
use lastline_testing::storage::NO_SPACE;

use super::picky::{Fault, Picky};
use super::{NEWEST, compressing, lines, names, until_compressed};
use crate::support::{
    DEADLINE, Feed, Notes, appender, close, read_all, read_whole, small_disk, until,
};

const FIRST: &str = "rank-0.stdout.0001.log";

#[test]
fn a_storage_that_takes_no_compressed_file_keeps_the_plain_one_and_is_tried_again() {
    let faults = [Fault::Create, Fault::Append(0), Fault::Append(7), Fault::Sync, Fault::Rename];
    for fault in faults {
        let (storage, notes) = (Picky::new(fault), Notes::default());
        let appender = appender(storage.clone(), notes.of(compressing(10_000)));
        let reader = appender.read_back();
        let mut feed = Feed::new(&appender, stdout(0));
        feed.push(&lines(0, 35_000));
        until("it is tried again", || storage.met() > 2);
        assert!(storage.memory.bytes(FIRST).is_some(), "{fault:?}");
        assert!(!names(&storage).iter().any(|name| name.ends_with(".zst")), "{fault:?}");
        assert!(read_whole(&*reader, stdout(0)) == lines(0, 35_000), "{fault:?}");
        let reason = Reason::Os(NO_SPACE);
        assert_eq!(notes.all(), [Note::NotCompressed { name: FIRST.into(), reason }], "{fault:?}");
        storage.set(Fault::None);
        assert_eq!(until_compressed(&storage, NEWEST), 3, "{fault:?}");
        assert!(read_whole(&*reader, stdout(0)) == lines(0, 35_000), "{fault:?}");
        close(&appender);
        assert_eq!(notes.all().len(), 1, "{fault:?}");
    }
}

/// What is left has room for the file and not for the compressed one beside it; then somebody makes room.
#[test]
fn a_real_file_system_that_is_full_keeps_the_plain_file() -> ExitCode {
    let dir = tempfile::tempdir().unwrap();
    let Some((_mount, ballast)) = small_disk(dir.path(), 600_000) else { return ExitCode::SUCCESS };
    let storage = Arc::new(DirStorage::new(dir.path()).unwrap());
    let notes = Notes::default();
    let appender = appender(Arc::clone(&storage), notes.of(compressing(400_000)));
    let all = hexadecimal(400_010);
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(&all);
    until("it is tried", || !notes.all().is_empty());
    let name = String::from(FIRST);
    assert_eq!(notes.all(), [Note::NotCompressed { name, reason: Reason::Os(NO_SPACE) }]);
    assert!(read_whole(&*appender.read_back(), stdout(0)) == all);
    assert_eq!(fs::metadata(dir.path().join(FIRST)).unwrap().len(), 400_000);
    fs::remove_file(&ballast).unwrap();
    until("it is compressed", || !dir.path().join(FIRST).exists());
    assert!(read_whole(&*appender.read_back(), stdout(0)) == all);
    let written = close(&appender);
    assert!(written.streams[&stdout(0)].not_filed.is_empty());
    assert!(dir.path().join(format!("{FIRST}.zst")).exists());
    ExitCode::SUCCESS
}

/// Digits that compress to half of it, without a newline: a file is as long as it may be.
fn hexadecimal(digits: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b"0123456789abcdef"[(state >> 60) as usize]
    };
    (0..digits).map(|_| next()).collect()
}

#[test]
fn a_plain_file_that_cannot_be_removed_stays_and_the_compressed_one_goes() {
    let (storage, notes) = (Picky::new(Fault::Remove), Notes::default());
    let appender = appender(storage.clone(), notes.of(compressing(10_000)));
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(&lines(0, 35_000));
    until("each was tried", || storage.met() == 3);
    close(&appender);
    let plain = [1, 2, 3].map(|number| format!("rank-0.stdout.{number:04}.log"));
    assert_eq!(names(&storage)[..3], plain);
    assert_eq!(names(&storage).len(), 4);
    assert_eq!(notes.all().len(), 1);
    let archive = Archive::new(Arc::new(storage)).unwrap();
    assert!(read_whole(&archive, stdout(0)) == lines(0, 35_000));
}

#[test]
fn the_end_waits_for_no_file_to_be_compressed() {
    let storage = Picky::new(Fault::Hang);
    let appender = appender(storage.clone(), compressing(10_000));
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(&lines(0, 35_000));
    until("one is being compressed", || storage.met() > 0);
    let begun = Instant::now();
    let written = appender.close(DEADLINE);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(written.streams[&stdout(0)].filed_bytes, 35_000);
    assert_eq!(written.abandoned_threads, 0);
    // What it was about to write is not there in the end, and the plain one is.
    storage.set(Fault::None);
    let is_plain = |name: &String| name.ends_with(".log");
    until("nothing is left of it", || names(&storage).iter().all(is_plain));
    assert_eq!(names(&storage).len(), 4);
    assert!(read_whole(&*appender.read_back(), stdout(0)) == lines(0, 35_000));
}

#[test]
fn what_must_stay_free_is_not_used_to_compress() {
    let (storage, notes) = (Picky::new(Fault::Hang), Notes::default());
    storage.memory.set_room(1 << 20);
    let mut options = notes.of(compressing(10_000));
    options.min_free_bytes = Some(500_000);
    let appender = appender(storage.clone(), options);
    let reader = appender.read_back();
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(&lines(0, 35_000));
    until("one is being compressed", || storage.met() > 0);
    // Somebody else takes the room; who compresses looks before its next write, which is of another file.
    storage.memory.set_room(400_000);
    until("it is looked at again", || {
        feed.push(&lines(feed.at as usize, 20));
        !notes.all().is_empty()
    });
    storage.set(Fault::None);
    let short = |note: &Note| matches!(note, Note::NotCompressed { reason: Reason::MinFree, .. });
    until("it says so", || notes.all().iter().any(short));
    assert!(names(&storage).contains(&String::from("rank-0.stdout.0003.log")));
    storage.memory.set_room(1 << 20);
    until_compressed(&storage, NEWEST);
    let back = read_all(&*reader, stdout(0), 4096);
    assert!(back[..35_000].iter().zip(lines(0, 35_000)).all(|(byte, it)| *byte == Some(it)));
    close(&appender);
}

#[test]
fn what_cannot_be_made_smaller_stays_plain_without_a_word() {
    let (storage, notes) = (Picky::new(Fault::None), Notes::default());
    let appender = appender(storage.clone(), notes.of(compressing(10_000)));
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let mut feed = Feed::new(&appender, stdout(0));
    let no_newline = |byte| if byte == b'\n' { 0 } else { byte };
    let noise: Vec<u8> = (0..9_999).map(|_| no_newline(noise())).collect();
    feed.push(&noise);
    feed.push(b"\n");
    // The file behind it is compressed, so that its turn is over.
    feed.push(&lines(0, 20_000));
    let second = "rank-0.stdout.0002.log.zst";
    until("the next one is compressed", || storage.memory.bytes(second).is_some());
    assert_eq!(storage.memory.bytes(FIRST).unwrap()[..9_999], noise);
    close(&appender);
    assert_eq!(notes.all(), []);
    assert!(storage.open(&format!("{FIRST}.zst")).is_err());
}
