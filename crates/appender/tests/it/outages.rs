//! Filing stops, declared, and goes on when it can.

use std::fs;
use std::process::ExitCode;

use lastline_appender::{Archive, DirStorage, Note, Reason};
use lastline_line::Offset;
use lastline_testing::stdout;
use lastline_testing::storage::{BAD_DISK, MemoryStorage, NO_SPACE, Step};

use crate::support::{Feed, Notes, appender, close, eager, read_all, small_disk, until};

#[test]
fn a_full_disk_is_one_gap_one_note_and_one_more_when_there_is_room() {
    let storage = MemoryStorage::new();
    let notes = Notes::default();
    let appender = appender(storage.clone(), notes.of(eager()));
    let reader = appender.read_back();
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"before\n");
    // In the index too: else that is told of first.
    until("it is filed", || storage.bytes("index").is_some_and(|index| index.len() == 96));
    storage.fail(Some(NO_SPACE));
    (0..500).for_each(|_| feed.push(b"missing\n"));
    until("it is declared", || reader.filed(stdout(0)) == Offset(4007));
    storage.fail(None);
    feed.push(b"after\n");
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    assert_eq!(stream.filed_bytes, 13);
    let gaps = stream.not_filed.as_slice();
    assert_eq!((gaps.len(), gaps[0].span.len()), (1, 4000));
    assert_eq!(gaps[0].cause, "no space left on device");
    assert_eq!(storage.bytes("rank-0.stdout.log").unwrap(), b"before\nafter\n");
    let reason = Reason::Os(NO_SPACE);
    let notes = notes.all();
    assert_eq!(notes[0], Note::Stopped { stream: stdout(0), reason });
    assert!(matches!(notes[1..], [Note::Resumed { missing_bytes: 4000, .. }]), "{notes:?}");
    let archive = Archive::new(std::sync::Arc::new(storage)).unwrap();
    assert_eq!(read_all(&archive, stdout(0), 100), read_all(&*reader, stdout(0), 100));
    assert_eq!(archive.gaps(stdout(0)).bytes(), 4000);
}

#[test]
fn a_write_that_is_taken_in_part_is_accounted_to_the_byte() {
    let storage = MemoryStorage::new();
    storage.script([Step::Take(3), Step::Take(2), Step::Fail(BAD_DISK)]);
    let appender = appender(storage.clone(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"0123456789\n");
    feed.push(b"after\n");
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    let gap = &stream.not_filed.as_slice()[0];
    assert_eq!(gap.span.from, Offset(5));
    assert_eq!(gap.cause, "input/output error");
    assert_eq!(stream.filed_bytes + stream.not_filed.bytes(), 17);
    assert!(storage.bytes("rank-0.stdout.log").unwrap().starts_with(b"01234"));
}

#[test]
fn a_thousand_streams_on_a_full_disk_try_seldom_and_say_it_once() {
    let storage = MemoryStorage::new();
    storage.fail(Some(NO_SPACE));
    let notes = Notes::default();
    let mut options = notes.of(eager());
    options.retry_after = std::time::Duration::from_secs(3600);
    let appender = appender(storage.clone(), options);
    let mut feeds: Vec<Feed> = (0..1000).map(|rank| Feed::new(&appender, stdout(rank))).collect();
    for _ in 0..10 {
        feeds.iter_mut().for_each(|feed| feed.push(b"missing\n"));
    }
    let written = close(&appender);
    assert!(written.streams.values().all(|stream| stream.not_filed.bytes() == 80));
    let told = notes.all();
    assert!(matches!(told[..], [Note::Stopped { reason: Reason::Os(NO_SPACE), .. }]), "{told:?}");
    assert_eq!(storage.writes(), 0, "the files could not even be made");
}

#[test]
fn filing_stops_before_the_disk_is_full() {
    let storage = MemoryStorage::new();
    storage.set_room(1 << 20);
    let mut options = eager();
    options.min_free_bytes = Some(1 << 19);
    let appender = appender(storage.clone(), options);
    let mut feed = Feed::new(&appender, stdout(0));
    (0..128).for_each(|_| feed.push(&[b'x'; 16 << 10]));
    let reader = appender.read_back();
    until("all is settled", || reader.filed(stdout(0)) == Offset(feed.at));
    let before = appender.written().streams[&stdout(0)].clone();
    assert!(before.filed_bytes <= (1 << 19) + (64 << 10) + (16 << 10), "{}", before.filed_bytes);
    assert!(before.filed_bytes >= 1 << 19, "{}", before.filed_bytes);
    let cause = "less than the minimum of free space was left";
    assert!(before.not_filed.as_slice().iter().all(|gap| gap.cause == cause));
    storage.set_room(1 << 30);
    feed.push(b"after\n");
    close(&appender);
    assert!(storage.bytes("rank-0.stdout.log").unwrap().ends_with(b"xafter\n"));
}

#[test]
fn an_index_that_cannot_be_written_is_noted_and_the_job_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let notes = Notes::default();
    let appender = appender(DirStorage::new(dir.path()).unwrap(), notes.of(eager()));
    fs::create_dir(dir.path().join("index")).unwrap();
    let mut feed = Feed::new(&appender, stdout(0));
    (0..1000).for_each(|_| feed.push(b"fine\n"));
    let written = close(&appender);
    assert_eq!(written.streams[&stdout(0)].filed_bytes, 5000);
    assert_eq!(notes.all(), [Note::IndexStopped { reason: Reason::Os(17) }]);
}

#[test]
fn an_index_that_was_removed_is_written_again_from_the_start() {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"one\n");
    until("the index is there", || storage.bytes("index").is_some_and(|b| b.len() > 16));
    lastline_appender::Storage::remove(&storage, "index").unwrap();
    let mut lines = 1;
    until("it is there again", || {
        feed.push(b"two\n");
        lines += 1;
        storage.bytes("index").is_some()
    });
    close(&appender);
    let archive = Archive::new(std::sync::Arc::new(storage)).unwrap();
    let all = read_all(&archive, stdout(0), 100);
    assert_eq!(all.iter().flatten().count(), lines * 4);
    assert_eq!(archive.streams(), [stdout(0)]);
}

/// A real file system of a megabyte, where the system lets us have one.
#[test]
fn a_real_file_system_that_is_full_takes_what_fits_and_goes_on_later() -> ExitCode {
    let dir = tempfile::tempdir().unwrap();
    let Some((_mount, ballast)) = small_disk(dir.path(), 512 << 10) else {
        return ExitCode::SUCCESS;
    };
    let notes = Notes::default();
    let appender = appender(DirStorage::new(dir.path()).unwrap(), notes.of(eager()));
    let reader = appender.read_back();
    let mut feed = Feed::new(&appender, stdout(0));
    let line: Vec<u8> = (0..1000).map(|at| b'a' + (at % 26) as u8).collect();
    (0..1000).for_each(|_| feed.push(&line));
    until("all is settled", || reader.filed(stdout(0)) == Offset(feed.at));
    fs::remove_file(&ballast).unwrap();
    feed.push(b"after\n");
    let written = close(&appender);
    let stream = &written.streams[&stdout(0)];
    assert_eq!(stream.filed_bytes + stream.not_filed.bytes(), feed.at);
    assert!(stream.not_filed.bytes() > 0);
    assert!(stream.not_filed.as_slice().iter().all(|gap| gap.cause == "no space left on device"));
    let file = fs::read(dir.path().join("rank-0.stdout.log")).unwrap();
    assert_eq!(file.len() as u64, stream.filed_bytes);
    assert!(file.ends_with(b"after\n"));
    let back: Vec<u8> = read_all(&*reader, stdout(0), 5000).into_iter().flatten().collect();
    assert_eq!(back, file);
    let archive = Archive::open(dir.path()).unwrap();
    assert_eq!(read_all(&archive, stdout(0), 777), read_all(&*reader, stdout(0), 999));
    let told = notes.all();
    assert!(told.len() <= 3, "{told:?}");
    ExitCode::SUCCESS
}
